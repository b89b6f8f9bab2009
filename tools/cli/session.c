#include "tools/cli/session.h"

#include <assert.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/table.h"

static bool conninfo_has_password(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool found = false;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		found |= strcmp(o->keyword, "password") == 0 && o->val != NULL;
	PQconninfoFree(options);
	return found;
}

/* sudo keeps the name of the person behind it. */
static void actor_set(struct session *s, const char *actor)
{
	const struct passwd *user = getpwuid(getuid());
	const char *sudo = getenv("SUDO_USER");

	if (actor == NULL || actor[0] == '\0')
		actor = sudo != NULL && sudo[0] != '\0' ? sudo
			: user != NULL			? user->pw_name
							: "unknown";
	snprintf(s->actor, sizeof(s->actor), "%s", actor);
}

int session_open(struct session *s, const char *program, const char *conninfo, const char *actor,
		 struct error *err)
{
	const char *keys[] = { "dbname", "client_encoding", "fallback_application_name", NULL };
	const char *values[] = { conninfo != NULL ? conninfo : "", "UTF8", program, NULL };

	*s = (struct session){ 0 };
	if (conninfo_has_password(values[0]))
		return error_set(err, ERROR_USAGE, "no password in --conninfo: use a passfile");
	actor_set(s, actor);
	s->conn = PQconnectdbParams(keys, values, 1);
	if (s->conn == NULL || PQstatus(s->conn) != CONNECTION_OK)
		return error_set(err, ERROR_DATABASE, "cannot connect: %s",
				 s->conn != NULL ? PQerrorMessage(s->conn) : "no memory");
	return session_run(s, "session settings",
			   "SELECT set_config('TimeZone', 'Asia/Shanghai', false),"
			   " set_config('DateStyle', 'ISO, YMD', false),"
			   " set_config('extra_float_digits', '1', false),"
			   " set_config('client_min_messages', 'warning', false)",
			   0, NULL, NULL, NULL, err);
}

void session_close(struct session *s)
{
	PQfinish(s->conn); /* ends an open transaction */
	*s = (struct session){ 0 };
}

/* The server repeats values of a list or of an activation, which are a stranger's text. */
static int refused(const struct session *s, const PGresult *result, const char *what,
		   struct error *err)
{
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	const char *detail = PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
	char shown[600], more[600];

	if (message == NULL)
		return error_set(err, ERROR_DATABASE, "%s: %s", what, PQerrorMessage(s->conn));
	text_shown(message, shown, sizeof(shown));
	if (detail == NULL)
		return error_set(err, ERROR_DATABASE, "%s: %s", what, shown);
	return error_set(err, ERROR_DATABASE, "%s: %s: %s", what, shown,
			 text_shown(detail, more, sizeof(more)));
}

int session_run(struct session *s, const char *what, const char *sql, int n,
		const char *const *values, const int *sizes, PGresult **ret, struct error *err)
{
	enum { VALUES_MAX = 24 };
	int formats[VALUES_MAX] = { 0 };
	PGresult *result;
	int rc = 0;

	assert(n <= VALUES_MAX);
	for (int i = 0; sizes != NULL && i < n; i++)
		formats[i] = sizes[i] != 0;
	result = PQexecParams(s->conn, sql, n, NULL, values, sizes, formats, 0);
	if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
		rc = refused(s, result, what, err);
	if (rc == 0 && ret != NULL)
		*ret = result;
	else
		PQclear(result);
	return rc;
}

int session_begin(struct session *s, struct error *err)
{
	const char *values[] = { s->actor };
	int rc;

	assert(!s->open);
	if ((rc = session_run(s, "begin", "BEGIN", 0, NULL, NULL, NULL, err)) != 0)
		return rc;
	s->open = true;
	return session_run(s, "actor", "SELECT set_config('haulgate.actor', $1, true)", 1, values,
			   NULL, NULL, err);
}

int session_commit(struct session *s, struct error *err)
{
	struct error cause;
	int rc;

	assert(s->open);
	s->open = false;
	rc = session_run(s, "commit", "COMMIT", 0, NULL, NULL, NULL, &cause);
	if (rc == 0)
		return 0;
	if (PQstatus(s->conn) == CONNECTION_OK)
		return error_set(err, rc, "%.1500s", cause.text);
	/* The server may have committed and died before it could say so.  libpq explains in
	 * several lines what that may mean; the first one will do. */
	return error_set(err, ERROR_CLOSED,
			 "%.*s: the connection broke, so it is not known whether it was done",
			 (int)strcspn(cause.text, "\n"), cause.text);
}

int session_audit(struct session *s, const char *action, const char *subject, json_t *detail,
		  struct error *err)
{
	char *text = detail != NULL ? json_dumps(detail, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	const char *values[] = { s->actor, action, subject, text };
	int rc;

	assert(s->open);
	json_decref(detail);
	if (text == NULL)
		return error_set(err, ERROR_MEMORY, "audit_log: no memory");
	rc = session_run(s, "audit_log",
			 "INSERT INTO audit_log (actor, action, subject, detail)"
			 " VALUES ($1, $2, $3, $4::jsonb)",
			 4, values, NULL, NULL, err);
	free(text);
	return rc;
}

const char *session_value(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int session_vehicle(struct session *s, const char *vin, int64_t *ret, struct error *err)
{
	PGresult *result;
	int rc = session_run(s, "vehicle", "SELECT id FROM vehicle WHERE vin = $1", 1, &vin, NULL,
			     &result, err);
	char shown[80];

	if (rc != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(err, ERROR_NOT_FOUND,
			       "%s is not registered: import it with tools/registry first",
			       text_shown(vin, shown, sizeof(shown)));
	else
		*ret = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return rc;
}

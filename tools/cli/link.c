/*
 * link.c - haulgate-link-admin, behind tools/link: the platforms that haulgate-link reports to.
 * See docs/links.md.  The running services hear of each change at once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/arguments.h"
#include "tools/cli/session.h"
#include "tools/cli/table.h"

struct links {
	struct session session;
	struct error err;
};

static int open_database(struct links *k, const struct arguments *a)
{
	return session_open(&k->session, "haulgate-link-admin", argument(a, "conninfo"),
			    argument(a, "actor"), &k->err);
}

/* ---- what is selected ---- */

enum { SELECTIONS = 3 };

static const struct {
	const char *option;
	/* $1: names or numbers between commas.  Result: the first that is none, the ids. */
	const char *sql;
} selections[SELECTIONS] = {
#define RESOLVE(table, name)                                                                       \
	"SELECT min(w) FILTER (WHERE x.id IS NULL), array_agg(x.id) FROM"                          \
	" (SELECT trim(word) AS w FROM unnest(string_to_array($1, ',')) word) g LEFT JOIN " table  \
	" x ON x." name " = w OR x.id::text = w"
	{ "fleet", RESOLVE("fleet", "name") },
	{ "division", RESOLVE("division", "name") },
	{ "route", RESOLVE("haul_route", "name") },
};
static const char platforms_sql[] = RESOLVE("platform", "login");

/* Ids of what the option names, as PostgreSQL's array literal; NULL when it was not given. */
static int resolve(struct links *k, const struct arguments *a, const char *option, const char *sql,
		   char **ret)
{
	const char *values[] = { argument(a, option) }, *unknown;
	PGresult *result;
	int rc;

	*ret = NULL;
	if (values[0] == NULL)
		return 0;
	if (values[0][0] == '\0') {
		*ret = strdup("{}");
		return *ret != NULL ? 0 : error_set(&k->err, ERROR_MEMORY, "no memory");
	}
	if ((rc = session_run(&k->session, option, sql, 1, values, NULL, &result, &k->err)) != 0)
		return rc;
	if ((unknown = session_value(result, 0, 0)) != NULL)
		rc = error_set(&k->err, ERROR_NOT_FOUND, "--%s: there is no '%s'", option, unknown);
	else if ((*ret = strdup(PQgetvalue(result, 0, 1))) == NULL)
		rc = error_set(&k->err, ERROR_MEMORY, "no memory");
	PQclear(result);
	return rc;
}

struct wanted {
	const char *selection; /* NULL: as it is */
	char *selected, *not_from;
};

static void wanted_release(struct wanted *w)
{
	free(w->selected);
	free(w->not_from);
}

/* check_options() has let at most one way of selecting through. */
static int wanted_read(struct links *k, const struct arguments *a, struct wanted *ret)
{
	int rc = resolve(k, a, "not-from", platforms_sql, &ret->not_from), way = 0;

	if (rc != 0)
		return rc;
	while (way < SELECTIONS && !argument_given(a, selections[way].option))
		way++;
	if (way < SELECTIONS) {
		ret->selection = selections[way].option;
		return resolve(k, a, ret->selection, selections[way].sql, &ret->selected);
	}
	if (!argument_given(a, "all"))
		return 0;
	ret->selection = "all";
	ret->selected = strdup("{}");
	return ret->selected != NULL ? 0 : error_set(&k->err, ERROR_MEMORY, "no memory");
}

/* ---- the row ---- */

enum { VALUES = 13 };

static const char *start_of(const struct arguments *a)
{
	const char *protocol = argument(a, "protocol");

	if (protocol == NULL)
		return NULL;
	return strcmp(protocol, "hj1239") == 0	   ? "~~"
	       : strcmp(protocol, "gbt32960") == 0 ? "##"
						   : "";
}

static int check_options(const struct arguments *a)
{
	const char *address = argument(a, "address"), *start = start_of(a),
		   *file = argument(a, "password-file"), *ca = argument(a, "ca");
	const char *colon = address != NULL ? strrchr(address, ':') : NULL;
	int ways = argument_given(a, "all");

	for (int i = 0; i < SELECTIONS; i++)
		ways += argument_given(a, selections[i].option);
	if (ways > 1)
		return argument_wrong(a, "one of --all, --fleet, --division, --route");
	if (address != NULL && (colon == NULL || colon == address || colon[1] == '\0'))
		return argument_wrong(a, "--address %s: host:port is wanted", address);
	if (start != NULL && start[0] == '\0')
		return argument_wrong(a, "--protocol: hj1239 or gbt32960");
	if ((file != NULL && file[0] != '/') || (ca != NULL && ca[0] != '\0' && ca[0] != '/'))
		return argument_wrong(a, "files of haulgate-link are named by their whole path");
	if (argument_given(a, "tls") && argument_given(a, "no-tls"))
		return argument_wrong(a, "--tls or --no-tls");
	return 0;
}

static void values_of(const struct arguments *a, const struct links *k, const struct wanted *w,
		      const char *values[VALUES])
{
	const char *all[VALUES] = {
		argument_operand(a, 0),
		argument(a, "address"),
		argument_given(a, "no-tls") ? "f"
		: argument_given(a, "tls")  ? "t"
					    : NULL,
		argument(a, "ca"),
		start_of(a),
		argument(a, "code"),
		argument(a, "login"),
		argument(a, "password-file"),
		w->selection,
		w->selected,
		w->not_from,
		argument(a, "in-flight"),
		k->session.actor,
	};

	memcpy(values, all, sizeof(all));
}

/* For audit_log: what was given.  The password stands in a file, never here. */
static json_t *detail_of(const char *const values[VALUES])
{
	return json_pack("{s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}",
			 "address", values[1], "tls", values[2], "ca", values[3], "start",
			 values[4], "code", values[5], "login", values[6], "password_file",
			 values[7], "selection", values[8], "selected", values[9], "not_from",
			 values[10], "in_flight", values[11]);
}

static int add_row(struct links *k, const struct arguments *a, const struct wanted *w)
{
	const char *values[VALUES], *begin[2];
	int rc;

	values_of(a, k, w, values);
	begin[0] = values[0];
	begin[1] = argument_given(a, "history") ? "t" : "f";
	if ((rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = session_run(
		     &k->session, "platform_link",
		     "INSERT INTO platform_link (name, address, tls, tls_ca, start, platform_code,"
		     " login, password_file, selection, selected, not_from, in_flight, changed_by)"
		     " VALUES ($1, $2, coalesce($3::boolean, true), nullif($4, ''),"
		     " coalesce($5, '~~'), $6, $7, $8, coalesce($9, 'all'),"
		     " coalesce($10, '{}')::bigint[], coalesce($11, '{}')::integer[],"
		     " coalesce($12, '64')::integer, $13)",
		     VALUES, values, NULL, NULL, &k->err)) != 0 ||
	    /* A gateway that is not here yet has nothing from before: it begins at its beginning.
	     */
	    (rc = session_run(&k->session, "platform_link_position",
			      "INSERT INTO platform_link_position (link_id, gateway_id, position)"
			      " SELECT l.id, i.gateway_id, CASE WHEN $2::boolean THEN 0 ELSE"
			      " i.position END FROM platform_link l, ingest_position i"
			      " WHERE l.name = $1",
			      2, begin, NULL, NULL, &k->err)) != 0 ||
	    (rc = session_audit(&k->session, "link.add", values[0], detail_of(values), &k->err)) !=
		    0)
		return rc;
	return session_commit(&k->session, &k->err);
}

static int link_add(const struct arguments *a, void *context)
{
	static const char *const needed[] = { "address", "code", "login", "password-file" };
	struct links *k = context;
	struct wanted w = { 0 };
	int rc = check_options(a);

	for (size_t i = 0; rc == 0 && i < sizeof(needed) / sizeof(needed[0]); i++)
		if (!argument_given(a, needed[i]))
			rc = argument_wrong(a, "--%s is needed", needed[i]);
	if (rc != 0)
		return rc;
	if ((rc = open_database(k, a)) == 0 && (rc = wanted_read(k, a, &w)) == 0 &&
	    (rc = add_row(k, a, &w)) == 0)
		printf("%s: forwards %s, from %s on; status shows how it goes\n",
		       argument_operand(a, 0), w.selection != NULL ? w.selection : "all",
		       argument_given(a, "history") ? "the oldest frame that is kept" : "now");
	wanted_release(&w);
	return rc;
}

/* One row must have changed. */
static int commit_change(struct links *k, const PGresult *result, const char *name,
			 const char *action, json_t *detail)
{
	int rc;

	if (strcmp(PQcmdTuples((PGresult *)(uintptr_t)result), "1") != 0) {
		json_decref(detail);
		return error_set(&k->err, ERROR_NOT_FOUND, "there is no link '%s': list shows them",
				 name);
	}
	if ((rc = session_audit(&k->session, action, name, detail, &k->err)) != 0)
		return rc;
	return session_commit(&k->session, &k->err);
}

static int set_row(struct links *k, const struct arguments *a, const struct wanted *w)
{
	const char *values[VALUES];
	PGresult *result;
	int rc;

	values_of(a, k, w, values);
	if ((rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = session_run(
		     &k->session, "platform_link",
		     "UPDATE platform_link SET address = coalesce($2, address),"
		     " tls = coalesce($3::boolean, tls),"
		     " tls_ca = CASE WHEN $4::text IS NULL THEN tls_ca ELSE nullif($4, '') END,"
		     " start = coalesce($5, start), platform_code = coalesce($6, platform_code),"
		     " login = coalesce($7, login), password_file = coalesce($8, password_file),"
		     " selection = coalesce($9, selection),"
		     " selected = coalesce($10::bigint[], selected),"
		     " not_from = coalesce($11::integer[], not_from),"
		     " in_flight = coalesce($12::integer, in_flight), changed_by = $13"
		     " WHERE name = $1",
		     VALUES, values, NULL, &result, &k->err)) != 0)
		return rc;
	rc = commit_change(k, result, values[0], "link.set", detail_of(values));
	PQclear(result);
	return rc;
}

static int link_set(const struct arguments *a, void *context)
{
	struct links *k = context;
	struct wanted w = { 0 };
	int rc = check_options(a);

	if (rc != 0)
		return rc;
	if ((rc = open_database(k, a)) == 0 && (rc = wanted_read(k, a, &w)) == 0 &&
	    (rc = set_row(k, a, &w)) == 0)
		printf("%s: changed, it connects anew\n", argument_operand(a, 0));
	wanted_release(&w);
	return rc;
}

static int set_state(const struct arguments *a, struct links *k, const char *state,
		     const char *action, const char *said)
{
	const char *values[] = { argument_operand(a, 0), state, NULL };
	PGresult *result;
	int rc;

	if ((rc = open_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	values[2] = k->session.actor;
	if ((rc = session_run(&k->session, "platform_link",
			      "UPDATE platform_link SET state = $2, changed_by = $3"
			      " WHERE name = $1",
			      3, values, NULL, &result, &k->err)) != 0)
		return rc;
	rc = commit_change(k, result, values[0], action,
			   json_pack("{s:s*}", "reason", argument(a, "reason")));
	PQclear(result);
	if (rc == 0)
		printf("%s: %s\n", values[0], said);
	return rc;
}

static int link_start(const struct arguments *a, void *context)
{
	return set_state(a, context, "active", "link.start",
			 "active; it connects now and sends what has waited");
}

static int link_stop(const struct arguments *a, void *context)
{
	return set_state(a, context, "stopped", "link.stop",
			 "stopped; its place is kept, as long as the spool's archive is");
}

/* ---- what there is ---- */

static int show(const struct arguments *a, struct links *k, const char *sql)
{
	const char *values[] = { argument_operand(a, 0) };
	PGresult *result;
	int rc;

	if ((rc = open_database(k, a)) != 0 ||
	    (rc = session_run(&k->session, "platform_link", sql, 1, values, NULL, &result,
			      &k->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

static int link_list(const struct arguments *a, void *context)
{
	return show(a, context,
		    "SELECT name, state, address, CASE WHEN NOT tls THEN 'no' ELSE"
		    " coalesce(tls_ca, 'system') END AS tls_ca,"
		    " CASE start WHEN '~~' THEN 'hj1239' ELSE 'gbt32960' END AS protocol,"
		    " platform_code AS code, login, selection,"
		    " array_to_string(selected, ',') AS selected,"
		    " (SELECT string_agg(p.login, ',') FROM platform p WHERE p.id = ANY(not_from))"
		    " AS not_from, in_flight, changed_by FROM platform_link"
		    " WHERE $1::text IS NULL OR name = $1 ORDER BY name");
}

static int link_status(const struct arguments *a, void *context)
{
	return show(a, context,
		    "SELECT l.name, p.gateway_id AS gateway,"
		    " CASE WHEN l.state <> 'active' THEN l.state"
		    " WHEN p.updated_at < now() - interval '90 s' THEN 'no haulgate-link runs'"
		    " WHEN p.connected_since IS NULL THEN 'not connected'"
		    " ELSE 'since ' || to_char(p.connected_since, 'MM-DD HH24:MI:SS') END"
		    " AS connected,"
		    " pg_size_pretty(greatest(i.position - p.position, 0)) AS backlog,"
		    " p.forwarded, p.refused, p.missing,"
		    " to_char(p.updated_at, 'MM-DD HH24:MI:SS') AS as_of, p.message"
		    " FROM platform_link l LEFT JOIN platform_link_position p ON p.link_id = l.id"
		    " LEFT JOIN ingest_position i USING (gateway_id)"
		    " WHERE $1::text IS NULL OR l.name = $1 ORDER BY l.name, p.gateway_id");
}

static int link_refused(const struct arguments *a, void *context)
{
	return show(
		a, context,
		"SELECT r.at, r.gateway_id AS gateway, r.position, r.vin,"
		" CASE r.flag WHEN 0 THEN 'never answered' WHEN 254 THEN 'closes the connection'"
		" ELSE lpad(to_hex(r.flag::integer), 2, '0') END AS answer"
		" FROM platform_link_refused r JOIN platform_link l ON l.id = r.link_id"
		" WHERE l.name = $1"
		" ORDER BY r.at DESC, r.position DESC LIMIT 1000");
}

/* The other direction: what platforms that report to us delivered. */
static int link_days(const struct arguments *a, void *context)
{
	return show(
		a, context,
		"SELECT day, login AS platform, vehicles, frames, supplements, duplicates, refused,"
		" lost, round(100.0 * lost / nullif(expected, 0), 3) AS lost_pct,"
		" round((delay_ms_mean / 1000)::numeric, 1) AS delay_s,"
		" round(delay_ms_max / 1000.0, 1) AS longest_s FROM platform_quality"
		" WHERE ($1::text IS NULL OR login = $1) AND day > current_date - 31"
		" ORDER BY day DESC, login");
}

/* ---- the program ---- */

static const struct argument_option options[] = {
	{ "conninfo", "TEXT", "libpq connection string; without it: PGHOST, PGDATABASE, ..." },
	{ "actor", "NAME", "who does this, for audit_log; default: the login name" },
	{ "address", "HOST:PORT", "where the other platform listens" },
	{ "protocol", "NAME", "hj1239 (default, \"~~\") or gbt32960 (\"##\")" },
	{ "code", "CODE", "our code at the other platform, 1 to 17 characters" },
	{ "login", "USER", "our user name there, 1 to 12 characters" },
	{ "password-file", "FILE", "first line: the password; mode 0600, haulgate-link's user's" },
	{ "tls", NULL, "with TLS (default)" },
	{ "no-tls", NULL, "without TLS: password and data can be read on the way" },
	{ "ca", "FILE", "PEM, the CA of its certificate; default: the system's" },
	{ "all", NULL, "all vehicles (default)" },
	{ "fleet", "LIST", "vehicles of these fleets: names or numbers, A,B" },
	{ "division", "LIST", "reports from within these divisions" },
	{ "route", "LIST", "reports from within the corridors of these routes" },
	{ "not-from", "LIST", "nothing that came from these platforms (their logins)" },
	{ "in-flight", "N", "frames sent and not yet answered, 1 to 4096; default 64" },
	{ "history", NULL, "begin with the oldest frame that is kept, not now" },
	{ "reason", "TEXT", "why; it stays in audit_log" },
	{ 0 },
};

#define ROW_OPTIONS                                                                                \
	"address protocol code login password-file tls no-tls ca all fleet division route "        \
	"not-from in-flight"

static const struct argument_command commands[] = {
	{ "add", "NAME", ROW_OPTIONS " history", 1, 1, link_add,
	  "a platform to report to; forwards from now on" },
	{ "set", "NAME", ROW_OPTIONS, 1, 1, link_set, "changes what is named, keeps the rest" },
	{ "list", "[NAME]", "", 0, 1, link_list, "the links" },
	{ "status", "[NAME]", "", 0, 1, link_status, "how each stands, by gateway" },
	{ "refused", "NAME", "", 1, 1, link_refused,
	  "frames that the other side refused for good, newest first" },
	{ "days", "[LOGIN]", "", 0, 1, link_days,
	  "inbound: how complete and how late platforms reported to us, by day" },
	{ "stop", "NAME", "reason", 1, 1, link_stop, "logs out; what comes meanwhile waits" },
	{ "start", "NAME", "reason", 1, 1, link_start,
	  "goes on where it stood; on a link that waits: tries at once" },
	{ 0 },
};

static const struct argument_program program = {
	.name = "tools/link",
	.intro = "The platforms that haulgate-link reports to.  Every change is a line of\n"
		 "audit_log, and reaches running services within a second.  Accounts of platforms\n"
		 "that report to us: tools/keys platform.\n",
	.outro = "\ndocs/links.md has examples.\n"
		 "Exit: 0 done, 1 failed or refused, 2 wrong arguments.\n",
	.options = options,
	.common = "conninfo actor",
	.commands = commands,
};

int main(int argc, char **argv)
{
	struct links k = { 0 };
	int code = arguments_run(&program, argc, argv, &k);

	if (code < 0) {
		fprintf(stderr, "%s: %s\n", program.name, k.err.text);
		code = ARGUMENT_FAILED;
	}
	session_close(&k.session);
	return fflush(stdout) == 0 ? code : ARGUMENT_FAILED;
}

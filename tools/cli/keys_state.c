/* What stands in terminal_key, and its states: pending, active, revoked. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/keys.h"

/* ---- reading ---- */

/* Without secrets, not even wrapped ones: what is not shown cannot be copied from a screen. */
#define COLUMNS                                                                                    \
	"k.id AS key, v.vin, k.purpose, k.algorithm, k.mode, k.chip_id, k.state, k.origin,"        \
	" to_char(k.valid_from, 'YYYY-MM-DD HH24:MI') AS valid_from,"                              \
	" to_char(k.valid_to, 'YYYY-MM-DD HH24:MI') AS valid_to,"                                  \
	" coalesce(left(encode(sha256(k.public_key), 'hex'), 16),"                                 \
	" CASE WHEN k.secret IS NULL THEN 'the gateway''s pair' ELSE 'secret, wrapped with '"      \
	" || encode(substr(k.secret, 2, 4), 'hex') END) AS fingerprint,"                           \
	" k.changed_by, k.reason"
#define TABLES " FROM terminal_key k JOIN vehicle v ON v.id = k.vehicle_id "

int keys_list(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *values[] = { argument_operand(a, 0), argument(a, "state") };
	PGresult *result;
	int rc;

	if (values[1] != NULL && strcmp(values[1], "pending") != 0 &&
	    strcmp(values[1], "active") != 0 && strcmp(values[1], "revoked") != 0)
		return argument_wrong(a, "--state is pending, active or revoked");
	if ((rc = keys_database(k, a)) != 0 ||
	    (rc = session_run(&k->session, "terminal_key",
			      "SELECT " COLUMNS TABLES "WHERE ($1::text IS NULL OR v.vin = $1)"
			      " AND ($2::text IS NULL OR k.state = $2) ORDER BY v.vin, k.id",
			      2, values, NULL, &result, &k->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

static int key_number(const struct arguments *a)
{
	const char *text = argument_operand(a, 0);

	if (strspn(text, "0123456789") != strlen(text) || strlen(text) > 18)
		return argument_wrong(a, "'%s' is no number of a key: list shows them", text);
	return 0;
}

int keys_show(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *values[] = { argument_operand(a, 0) };
	char text[400];
	PGresult *result;
	int rc;

	if ((rc = key_number(a)) != 0 || (rc = keys_database(k, a)) != 0 ||
	    (rc = session_run(
		     &k->session, "terminal_key",
		     "SELECT " COLUMNS
		     ", encode(k.public_key, 'hex') AS public_key, encode(k.iv, 'hex') AS iv,"
		     " k.created_at" TABLES "WHERE k.id = $1::bigint",
		     1, values, NULL, &result, &k->err)) != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND, "there is no key %s", values[0]);
	for (int c = 0; rc == 0 && c < PQnfields(result); c++)
		if (!PQgetisnull(result, 0, c))
			printf("%-12s %s\n", PQfname(result, c),
			       text_shown(PQgetvalue(result, 0, c), text, sizeof(text)));
	PQclear(result);
	return rc;
}

/* ---- for evidence ---- */

static json_t *text_or_null(const PGresult *result, int row, int column)
{
	return PQgetisnull(result, row, column) ? json_null()
						: json_string(PQgetvalue(result, row, column));
}

/* Of a row that begins with id, algorithm, and public key in hex. */
static int public_key_stored(struct keys *k, const PGresult *result, int row,
			     struct public_key *ret)
{
	const char *hex = PQgetvalue(result, row, 2);

	ret->algorithm = (enum algorithm)algorithm_parse(PQgetvalue(result, row, 1));
	ret->size = strlen(hex) / 2;
	if (ret->size > sizeof(ret->bytes) || !hex_bytes(hex, 2 * ret->size, ret->bytes, ret->size))
		return error_set(&k->err, ERROR_CORRUPT, "key %s is no public key",
				 PQgetvalue(result, row, 0));
	return 0;
}

/* False: it has no PEM, and says why instead. */
static bool export_key(struct keys *k, const PGresult *result, int row, json_t *keys)
{
	json_t *key = json_object();
	struct public_key public = { 0 };
	char pem[2048];
	bool good;

	for (int c = 0; c < PQnfields(result); c++)
		json_object_set_new(key, PQfname(result, c), text_or_null(result, row, c));
	json_object_set_new(key, "key",
			    json_integer(strtoll(PQgetvalue(result, row, 0), NULL, 10)));
	json_array_append_new(keys, key);
	good = public_key_stored(k, result, row, &public) == 0 &&
	       public_key_pem(&public, pem, sizeof(pem), &k->err) == 0;
	json_object_set_new(key, "pem", good ? json_string(pem) : json_null());
	if (!good)
		json_object_set_new(key, "problem", json_string(k->err.text));
	return good;
}

/* A key that is damaged must not keep the others from the court: all are printed, it is named. */
static int export_keys(struct keys *k, const PGresult *result, json_t *keys)
{
	char bad[24] = "";
	int count = 0;

	for (int row = 0; row < PQntuples(result); row++) {
		if (export_key(k, result, row, keys))
			continue;
		if (count++ == 0)
			snprintf(bad, sizeof(bad), "%s", PQgetvalue(result, row, 0));
	}
	if (count > 0)
		return error_set(&k->err, ERROR_CORRUPT,
				 "%d of %d keys cannot be written as PEM, the first is key %s; "
				 "everything else is there",
				 count, PQntuples(result), bad);
	return 0;
}

int keys_export_terminal(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *values[] = { argument_operand(a, 0) };
	json_t *keys, *all;
	PGresult *result;
	int rc;

	if ((rc = keys_database(k, a)) != 0 ||
	    (rc = session_run(
		     &k->session, "terminal_key",
		     "SELECT k.id AS key, k.algorithm, encode(k.public_key, 'hex') AS public_key,"
		     " k.chip_id, k.state, k.origin, k.reason,"
		     " to_char(k.valid_from, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+08:00\"') AS "
		     "valid_from,"
		     " to_char(k.valid_to, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+08:00\"') AS valid_to,"
		     " to_char(k.created_at, 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+08:00\"') AS "
		     "created_at" TABLES "WHERE v.vin = $1 AND k.purpose = 'sign' ORDER BY k.id",
		     1, values, NULL, &result, &k->err)) != 0)
		return rc;
	keys = json_array();
	rc = export_keys(k, result, keys);
	PQclear(result);
	all = json_pack("{s:s, s:o}", "vin", values[0], "keys", keys);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
	return rc;
}

/* ---- changes of state ---- */

static const char no_pending[] = "there is no such pending activation";

/* Runs sql ($1 key, $2 actor, $3 reason), which returns the VIN if it changed something. */
static int change(const struct arguments *a, struct keys *k, const char *action, const char *sql,
		  const char *otherwise)
{
	const char *reason = argument(a, "reason");
	const char *values[] = { argument_operand(a, 0), k->session.actor, reason };
	PGresult *result;
	int rc = session_run(&k->session, action, sql, 3, values, NULL, &result, &k->err);

	if (rc != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND, "key %s: %s", values[0], otherwise);
	else if ((rc = session_audit(&k->session, action, PQgetvalue(result, 0, 0),
				     json_pack("{s:I, s:s*}", "key",
					       (json_int_t)strtoll(values[0], NULL, 10), "reason",
					       reason),
				     &k->err)) == 0 &&
		 (rc = session_commit(&k->session, &k->err)) == 0)
		printf("%s: key %s of %s\n", action, values[0], PQgetvalue(result, 0, 0));
	PQclear(result);
	return rc;
}

static int begin(const struct arguments *a, struct keys *k)
{
	int rc = key_number(a);

	if (rc != 0 || (rc = keys_database(k, a)) != 0)
		return rc;
	return session_begin(&k->session, &k->err);
}

static int reason_given(const struct arguments *a)
{
	const char *reason = argument(a, "reason");

	if (reason == NULL || reason[0] == '\0')
		return argument_wrong(a, "--reason TEXT is needed: somebody will ask");
	return 0;
}

int keys_revoke(const struct arguments *a, void *context)
{
	const char *key = argument_operand(a, 0);
	int rc = reason_given(a);

	if (rc != 0)
		return rc;
	if (strspn(key, "0123456789") != strlen(key))
		return keys_end_gateway(a, context);
	if ((rc = begin(a, context)) != 0)
		return rc;
	/* Evidence is judged by the times: it was good until now. */
	return change(a, context, "key.revoke",
		      "UPDATE terminal_key k SET state = 'revoked', changed_by = $2, reason = $3,"
		      " valid_to = CASE WHEN k.valid_from < now() THEN least(k.valid_to, now())"
		      " ELSE k.valid_to END FROM vehicle v WHERE k.id = $1::bigint"
		      " AND v.id = k.vehicle_id AND k.state <> 'revoked' RETURNING v.vin",
		      "there is no such key, or it is revoked already");
}

int keys_reject(const struct arguments *a, void *context)
{
	int rc = reason_given(a);

	if (rc != 0 || (rc = begin(a, context)) != 0)
		return rc;
	return change(a, context, "key.reject",
		      "UPDATE terminal_key k SET state = 'revoked', changed_by = $2, reason = $3"
		      " FROM vehicle v WHERE k.id = $1::bigint AND v.id = k.vehicle_id"
		      " AND k.state = 'pending' RETURNING v.vin",
		      no_pending);
}

/* Another good signing key of the vehicle: the person says what becomes of it. */
static int settle_others(const struct arguments *a, struct keys *k)
{
	const char *values[] = { argument_operand(a, 0), k->session.actor };
	PGresult *result;
	int rc;

	if (argument_given(a, "replace"))
		return session_run(
			&k->session, "terminal_key",
			"UPDATE terminal_key o SET state = 'revoked', changed_by = $2,"
			" reason = 'replaced by key ' || $1,"
			" valid_to = CASE WHEN o.valid_from < now() THEN least(o.valid_to, now())"
			" ELSE o.valid_to END FROM terminal_key k WHERE k.id = $1::bigint"
			" AND k.state = 'pending' AND o.vehicle_id = k.vehicle_id AND o.id <> k.id"
			" AND o.purpose = 'sign' AND o.state = 'active'",
			2, values, NULL, NULL, &k->err);
	if (argument_given(a, "beside"))
		return 0;
	if ((rc = session_run(
		     &k->session, "terminal_key",
		     "SELECT o.id FROM terminal_key k JOIN terminal_key o"
		     " ON o.vehicle_id = k.vehicle_id AND o.id <> k.id"
		     " WHERE k.id = $1::bigint AND o.purpose = 'sign'"
		     " AND o.state = 'active' AND (o.valid_to IS NULL OR o.valid_to > now())"
		     " LIMIT 1",
		     1, values, NULL, &result, &k->err)) != 0)
		return rc;
	if (PQntuples(result) > 0)
		rc = error_set(&k->err, ERROR_USAGE,
			       "the vehicle has another good key, %s: say --replace when its "
			       "terminal was changed, --beside when both are good",
			       PQgetvalue(result, 0, 0));
	PQclear(result);
	return rc;
}

/* As strict as an import: what was revoked is not approved, nor what is active elsewhere. */
static int check_pending(const struct arguments *a, struct keys *k)
{
	const char *values[] = { argument_operand(a, 0) };
	struct public_key public = { 0 };
	struct key_row row = { .public_key = &public };
	PGresult *result;
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT k.id, k.algorithm, encode(k.public_key, 'hex'), v.vin,"
			     " k.chip_id" TABLES "WHERE k.id = $1::bigint AND k.state = 'pending'",
			     1, values, NULL, &result, &k->err);

	if (rc != 0)
		return rc;
	if (PQntuples(result) == 0) {
		rc = error_set(&k->err, ERROR_NOT_FOUND, "key %s: %s", values[0], no_pending);
	} else if ((rc = public_key_stored(k, result, 0, &public)) == 0) {
		row.vin = PQgetvalue(result, 0, 3);
		row.chip = session_value(result, 0, 4);
		rc = key_row_check(k, &row);
	}
	PQclear(result);
	return rc;
}

int keys_approve(const struct arguments *a, void *context)
{
	struct keys *k = context;
	int rc;

	if (argument_given(a, "replace") && argument_given(a, "beside"))
		return argument_wrong(a, "--replace and --beside exclude each other");
	if ((rc = begin(a, k)) != 0 || (rc = check_pending(a, k)) != 0 ||
	    (rc = settle_others(a, k)) != 0)
		return rc;
	return change(a, k, "key.approve",
		      "UPDATE terminal_key k SET state = 'active', changed_by = $2,"
		      " reason = coalesce($3, k.reason) FROM vehicle v WHERE k.id = $1::bigint"
		      " AND v.id = k.vehicle_id AND k.state = 'pending' RETURNING v.vin",
		      no_pending);
}

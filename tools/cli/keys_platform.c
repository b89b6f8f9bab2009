/* Accounts of platforms that report to us.  A password is only ever a hash here. */
#include <crypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "tools/cli/keys.h"
#include "tools/cli/registry_sheet.h"

/* The login frame has 12 bytes for the name and 20 for the password. */
enum { LOGIN_MAX = 12, PASSWORD_MIN = 8, PASSWORD_MAX = 20 };

/* ---- the password ---- */

static int hash_password(const struct secret *password, char ret[CRYPT_OUTPUT_SIZE],
			 struct error *err)
{
	struct crypt_data *data = calloc(1, sizeof(*data));
	char *setting = crypt_gensalt_ra("$y$", 0, NULL, 0);
	const char *hash = NULL;
	int rc = 0;

	if (data != NULL && setting != NULL)
		hash = crypt_rn((const char *)password->bytes, setting, data, sizeof(*data));
	if (hash == NULL)
		rc = error_errno(err, ERROR_MEMORY, "yescrypt failed");
	else
		snprintf(ret, CRYPT_OUTPUT_SIZE, "%s", hash);
	if (data != NULL)
		OPENSSL_cleanse(data, sizeof(*data));
	free(data);
	free(setting);
	return rc;
}

static int read_password(const struct arguments *a, char ret_hash[CRYPT_OUTPUT_SIZE],
			 struct error *err)
{
	const char *file = argument_given(a, "file") ? argument(a, "file") : "-";
	struct secret password;
	int rc = secret_read(&password, file, err);

	while (rc == 0 && password.size > 0 &&
	       (password.bytes[password.size - 1] == '\n' ||
		password.bytes[password.size - 1] == '\r'))
		password.bytes[--password.size] = '\0';
	if (rc == 0 && (password.size < PASSWORD_MIN || password.size > PASSWORD_MAX))
		rc = error_set(err, ERROR_USAGE,
			       "the password has %zu bytes: %d to %d fit the login frame",
			       password.size, PASSWORD_MIN, PASSWORD_MAX);
	if (rc == 0 && strlen((const char *)password.bytes) != password.size)
		rc = error_set(err, ERROR_USAGE, "the password has a NUL in it");
	if (rc == 0)
		rc = hash_password(&password, ret_hash, err);
	secret_wipe(&password);
	return rc;
}

/* ---- accounts ---- */

static int add(const struct arguments *a, struct keys *k, const char *hash)
{
	const char *name = argument_operand(a, 0), *login = argument(a, "login"),
		   *sources = argument(a, "sources");
	const bool tls = !argument_given(a, "no-tls");
	const char *values[] = {
		name, login, hash, sources != NULL ? sources : "", tls ? "t" : "f", k->session.actor
	};
	int rc;

	if ((rc = session_run(&k->session, "platform",
			      "INSERT INTO platform (name, login, password, sources, require_tls,"
			      " changed_by) VALUES ($1, $2, $3, CASE WHEN $4 = '' THEN '{}'::cidr[]"
			      " ELSE string_to_array($4, ',')::cidr[] END, $5::boolean, $6)",
			      6, values, NULL, NULL, &k->err)) != 0 ||
	    (rc = session_audit(&k->session, "platform.add", login,
				json_pack("{s:s, s:s*, s:b}", "name", name, "sources", sources,
					  "require_tls", (int)tls),
				&k->err)) != 0 ||
	    (rc = session_commit(&k->session, &k->err)) != 0)
		return rc;
	printf("platform %s may log in as %s, from %s, %s TLS; it has no vehicles yet: platform "
	       "vehicles %s --add VIN ...\n",
	       name, login, sources != NULL ? sources : "any address",
	       tls ? "with" : "also without", login);
	return 0;
}

int keys_platform_add(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *login = argument(a, "login");
	char hash[CRYPT_OUTPUT_SIZE];
	int rc;

	if (login == NULL || strlen(login) < 1 || strlen(login) > LOGIN_MAX)
		return argument_wrong(a, "--login is needed, 1 to %d bytes", LOGIN_MAX);
	if ((rc = read_password(a, hash, &k->err)) != 0 || (rc = keys_database(k, a)) != 0 ||
	    (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	return add(a, k, hash);
}

/* Sets one thing of an account: $1 login, $2 actor, $3 value. */
static int change(const struct arguments *a, struct keys *k, const char *action, const char *sql,
		  const char *value)
{
	const char *login = argument_operand(a, 0), *reason = NULL;
	const char *values[] = { login, NULL, value };
	PGresult *result;
	int rc;

	if (strcmp(action, "platform.block") == 0)
		reason = argument(a, "reason");
	if ((rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	values[1] = k->session.actor;
	if ((rc = session_run(&k->session, "platform", sql, 3, values, NULL, &result, &k->err)) !=
	    0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND,
			       "there is no platform with the login '%s': platform list shows them",
			       login);
	else if ((rc = session_audit(&k->session, action, login,
				     json_pack("{s:s*}", "reason", reason), &k->err)) == 0 &&
		 (rc = session_commit(&k->session, &k->err)) == 0)
		printf("%s: %s\n", action, PQgetvalue(result, 0, 0));
	PQclear(result);
	return rc;
}

int keys_platform_password(const struct arguments *a, void *context)
{
	struct keys *k = context;
	char hash[CRYPT_OUTPUT_SIZE];
	int rc = read_password(a, hash, &k->err);

	if (rc != 0)
		return rc;
	return change(a, k, "platform.password",
		      "UPDATE platform SET password = $3, changed_by = $2 WHERE login = $1"
		      " RETURNING name",
		      hash);
}

int keys_platform_block(const struct arguments *a, void *context)
{
	const char *reason = argument(a, "reason");

	if (reason == NULL || reason[0] == '\0')
		return argument_wrong(a, "--reason TEXT is needed: somebody will ask");
	return change(a, context, "platform.block",
		      "UPDATE platform SET state = $3, changed_by = $2 WHERE login = $1"
		      " RETURNING name",
		      "blocked");
}

int keys_platform_unblock(const struct arguments *a, void *context)
{
	return change(a, context, "platform.unblock",
		      "UPDATE platform SET state = $3, changed_by = $2 WHERE login = $1"
		      " RETURNING name",
		      "active");
}

int keys_platform_list(const struct arguments *a, void *context)
{
	struct keys *k = context;
	PGresult *result;
	int rc;

	if ((rc = keys_database(k, a)) != 0 ||
	    (rc = session_run(
		     &k->session, "platform",
		     "SELECT p.name, p.login, p.state,"
		     " coalesce(nullif(array_to_string(p.sources, ','), ''), 'any')"
		     " AS sources, CASE WHEN p.require_tls THEN 'required' ELSE 'any' END"
		     " AS tls, count(v.vehicle_id) AS vehicles, p.changed_by"
		     " FROM platform p LEFT JOIN platform_vehicle v ON v.platform_id = p.id"
		     " GROUP BY p.id ORDER BY p.name",
		     0, NULL, NULL, &result, &k->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

/* ---- vehicles ---- */

/* The VINs of the arguments and of --file, one a line, as a text that PostgreSQL splits. */
static int vins_given(const struct arguments *a, char **ret, struct error *err)
{
	struct sheet file = { 0 };
	size_t size = 1, used = 0;
	int rc = 0;

	if (argument_given(a, "file") && (rc = sheet_open(argument(a, "file"), &file, err)) == 0 &&
	    strcmp(file.format, "XLSX") == 0)
		rc = error_set(err, ERROR_USAGE, "--file is a text with a VIN a line");
	for (size_t i = 1; i < argument_operands(a); i++)
		size += strlen(argument_operand(a, i)) + 1;
	size += file.size;
	*ret = rc == 0 ? malloc(size) : NULL;
	if (rc == 0 && *ret == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory");
	for (size_t i = 1; rc == 0 && i < argument_operands(a); i++)
		used += (size_t)snprintf(*ret + used, size - used, "%s\n", argument_operand(a, i));
	if (rc == 0)
		snprintf(*ret + used, size - used, "%s",
			 file.bytes != NULL ? (const char *)file.bytes : "");
	sheet_close(&file);
	return rc;
}

static const char vins_sql[] =
	"WITH given AS (SELECT DISTINCT trim(vin) AS vin FROM"
	" regexp_split_to_table($1, E'[\\r\\n]+') vin WHERE trim(vin) <> '')";

/* All or none: a VIN with a typing error must not pass unseen. */
static int check_vins(struct keys *k, const char *const values[], bool remove)
{
	char sql[1200], shown[80];
	PGresult *result;
	int rc;

	snprintf(sql, sizeof(sql),
		 "%s SELECT g.vin FROM given g LEFT JOIN vehicle v USING (vin) %s ORDER BY 1",
		 vins_sql,
		 remove ? "LEFT JOIN platform_vehicle x ON x.vehicle_id = v.id AND x.platform_id ="
			  " (SELECT id FROM platform WHERE login = $2) WHERE x.vehicle_id IS NULL"
			: "WHERE v.id IS NULL AND $2::text IS NOT NULL");
	if ((rc = session_run(&k->session, "vehicles", sql, 2, values, NULL, &result, &k->err)) !=
	    0)
		return rc;
	if (PQntuples(result) > 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND,
			       "%d of the VINs %s, the first is %s; "
			       "nothing was changed",
			       PQntuples(result),
			       remove ? "are not this platform's" : "are not registered",
			       text_shown(PQgetvalue(result, 0, 0), shown, sizeof(shown)));
	PQclear(result);
	return rc;
}

static int change_vehicles(const struct arguments *a, struct keys *k, const char *vins, bool remove)
{
	const char *login = argument_operand(a, 0);
	const char *values[] = { vins, login };
	char sql[1200];
	PGresult *result;
	int rc;

	if ((rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = check_vins(k, values, remove)) != 0)
		return rc;
	snprintf(sql, sizeof(sql), "%s %s", vins_sql,
		 remove ? "DELETE FROM platform_vehicle x USING given g, vehicle v, platform p"
			  " WHERE v.vin = g.vin AND p.login = $2 AND x.vehicle_id = v.id"
			  " AND x.platform_id = p.id RETURNING v.vin"
			: "INSERT INTO platform_vehicle (platform_id, vehicle_id)"
			  " SELECT p.id, v.id FROM given JOIN vehicle v USING (vin), platform p"
			  " WHERE p.login = $2 ON CONFLICT DO NOTHING RETURNING"
			  " (SELECT vin FROM vehicle WHERE id = vehicle_id)");
	if ((rc = session_run(&k->session, "platform_vehicle", sql, 2, values, NULL, &result,
			      &k->err)) != 0)
		return rc;
	if (PQntuples(result) == 0) {
		puts("nothing to change");
	} else {
		json_t *list = json_array();

		for (int row = 0; row < PQntuples(result); row++)
			json_array_append_new(list, json_string(PQgetvalue(result, row, 0)));
		if ((rc = session_audit(&k->session,
					remove ? "platform.vehicles.remove"
					       : "platform.vehicles.add",
					login, json_pack("{s:o}", "vins", list), &k->err)) == 0 &&
		    (rc = session_commit(&k->session, &k->err)) == 0)
			printf("%s: %d vehicles %s\n", login, PQntuples(result),
			       remove ? "less" : "more");
	}
	PQclear(result);
	return rc;
}

static int print_vehicles(struct keys *k, const char *login)
{
	const char *values[] = { login };
	PGresult *result;
	int rc = session_run(&k->session, "platform_vehicle",
			     "SELECT v.vin, v.plate, f.name AS fleet, v.state FROM platform p"
			     " JOIN platform_vehicle x ON x.platform_id = p.id"
			     " JOIN vehicle v ON v.id = x.vehicle_id"
			     " LEFT JOIN fleet f ON f.id = v.fleet_id"
			     " WHERE p.login = $1 ORDER BY v.vin",
			     1, values, NULL, &result, &k->err);

	if (rc != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

static int platform_known(struct keys *k, const char *login)
{
	const char *values[] = { login };
	PGresult *result;
	int rc = session_run(&k->session, "platform", "SELECT FROM platform WHERE login = $1", 1,
			     values, NULL, &result, &k->err);

	if (rc != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND,
			       "there is no platform with the login '%s': platform list shows them",
			       login);
	PQclear(result);
	return rc;
}

int keys_platform_vehicles(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const bool add_them = argument_given(a, "add"), remove = argument_given(a, "remove");
	const bool has_vins = argument_operands(a) > 1 || argument_given(a, "file");
	char *vins = NULL;
	int rc;

	if ((add_them && remove) || has_vins != (add_them || remove))
		return argument_wrong(a, "platform vehicles LOGIN shows them; --add or --remove "
					 "wants VINs, behind LOGIN or in --file");
	if ((rc = keys_database(k, a)) != 0 ||
	    (rc = platform_known(k, argument_operand(a, 0))) != 0)
		return rc;
	if (!has_vins)
		return print_vehicles(k, argument_operand(a, 0));
	if ((rc = vins_given(a, &vins, &k->err)) == 0)
		rc = change_vehicles(a, k, vins, remove);
	free(vins);
	return rc;
}

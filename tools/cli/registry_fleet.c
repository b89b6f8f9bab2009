/* Fleets and what is asked of their terminals. */
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry.h"

int registry_fleet_list(const struct arguments *a, void *context)
{
	struct registry *r = context;
	PGresult *result;
	int rc;

	if ((rc = registry_database(r, a)) != 0 ||
	    (rc = session_run(&r->session, "fleet",
			      "SELECT f.name, f.grade, f.signature, f.signature_share, f.transport,"
			      " f.encryption, count(v.id) AS vehicles FROM fleet f"
			      " LEFT JOIN vehicle v ON v.fleet_id = f.id GROUP BY f.id ORDER BY 1",
			      0, NULL, NULL, &result, &r->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

/* The options that are columns of fleet, with what each may be. */
static const struct policy {
	const char *option, *column, *type, *allowed; /* NULL: a number from 0 to 1 */
} policies[] = {
	{ "grade", "grade", "text", "A B B- C D leading" },
	{ "signature", "signature", "text", "inherit optional required" },
	{ "signature-share", "signature_share", "real", NULL },
	{ "transport", "transport", "text", "any tls certificate" },
	{ "encryption", "encryption", "text", "optional required" },
};
enum { POLICY_COUNT = sizeof(policies) / sizeof(policies[0]) };

static bool is_allowed(const struct policy *p, const char *value)
{
	const size_t n = strlen(value);
	char *end;
	double share;

	if (p->allowed == NULL) {
		share = strtod(value, &end);
		return end != value && *end == '\0' && share >= 0 && share <= 1;
	}
	for (const char *at = p->allowed; *at != '\0'; at += strspn(at, " ")) {
		size_t size = strcspn(at, " ");

		if (size == n && memcmp(at, value, n) == 0)
			return true;
		at += size;
	}
	return false;
}

/* Exit code, or 0.  values[1..]: in the order of the table, NULL for what stays. */
static int policies_given(const struct arguments *a, const char *values[1 + POLICY_COUNT])
{
	bool any = argument_given(a, "create");

	for (size_t i = 0; i < POLICY_COUNT; i++) {
		const char *value = argument(a, policies[i].option);

		values[1 + i] = value;
		any |= value != NULL;
		if (value != NULL && !is_allowed(&policies[i], value))
			return argument_wrong(
				a, "--%s '%s': allowed is %s", policies[i].option, value,
				policies[i].allowed != NULL ? policies[i].allowed : "0 to 1");
	}
	return any ? 0 : argument_wrong(a, "what is to be set?");
}

static int store(struct registry *r, const struct arguments *a,
		 const char *const values[1 + POLICY_COUNT])
{
	char sql[1200];
	size_t used;
	PGresult *result;
	int rc;

	if (argument_given(a, "create") &&
	    (rc = session_run(&r->session, "fleet",
			      "INSERT INTO fleet (name) VALUES ($1) ON CONFLICT DO NOTHING", 1,
			      values, NULL, NULL, &r->err)) != 0)
		return rc;
	used = (size_t)snprintf(sql, sizeof(sql), "UPDATE fleet SET ");
	for (size_t i = 0; i < POLICY_COUNT; i++)
		used += (size_t)snprintf(sql + used, sizeof(sql) - used,
					 "%s%s = coalesce($%zu::%s, %s)", i > 0 ? ", " : "",
					 policies[i].column, i + 2, policies[i].type,
					 policies[i].column);
	snprintf(sql + used, sizeof(sql) - used, " WHERE name = $1 RETURNING id");
	if ((rc = session_run(&r->session, "fleet", sql, 1 + POLICY_COUNT, values, NULL, &result,
			      &r->err)) != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&r->err, ERROR_NOT_FOUND,
			       "there is no fleet '%s': --create makes it", values[0]);
	PQclear(result);
	return rc;
}

int registry_fleet_set(const struct arguments *a, void *context)
{
	struct registry *r = context;
	const char *values[1 + POLICY_COUNT] = { argument_operand(a, 0) };
	json_t *detail;
	int rc = policies_given(a, values);

	if (rc != 0 || (rc = registry_database(r, a)) != 0 ||
	    (rc = session_begin(&r->session, &r->err)) != 0 || (rc = store(r, a, values)) != 0)
		return rc;
	detail = json_pack("{s:s*}", "reason", argument(a, "reason"));
	for (size_t i = 0; i < POLICY_COUNT; i++)
		if (values[1 + i] != NULL)
			json_object_set_new(detail, policies[i].column, json_string(values[1 + i]));
	if ((rc = session_audit(&r->session, "fleet.set", values[0], detail, &r->err)) == 0 &&
	    (rc = session_commit(&r->session, &r->err)) == 0)
		printf("fleet %s is set\n", values[0]);
	return rc;
}

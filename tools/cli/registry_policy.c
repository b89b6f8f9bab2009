/* policy: how far terminals may bring keys of their own, whatever a gateway's configuration says.
 */
#include <string.h>

#include "tools/cli/registry.h"

static int show(struct registry *r)
{
	PGresult *result;
	int rc = session_run(&r->session, "registry_policy",
			     "SELECT activation, activation_age FROM registry_policy", 0, NULL,
			     NULL, &result, &r->err);

	if (rc != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

static int set(struct registry *r, const char *activation, const char *reason)
{
	PGresult *result;
	int rc;

	if ((rc = session_begin(&r->session, &r->err)) != 0 ||
	    (rc = session_run(&r->session, "registry_policy",
			      "UPDATE registry_policy SET activation = $1 FROM"
			      " (SELECT activation FROM registry_policy FOR UPDATE) old"
			      " RETURNING old.activation",
			      1, &activation, NULL, &result, &r->err)) != 0)
		return rc;
	if ((rc = session_audit(&r->session, "registry.policy", NULL,
				json_pack("{s:s, s:s, s:s}", "from", PQgetvalue(result, 0, 0), "to",
					  activation, "reason", reason),
				&r->err)) == 0 &&
	    (rc = session_commit(&r->session, &r->err)) == 0)
		printf("activation: %s -> %s\n", PQgetvalue(result, 0, 0), activation);
	PQclear(result);
	return rc;
}

int registry_policy(const struct arguments *a, void *context)
{
	struct registry *r = context;
	const char *activation = argument(a, "activation"), *reason = argument(a, "reason");
	int rc;

	if (activation != NULL && strcmp(activation, "automatic") != 0 &&
	    strcmp(activation, "approval") != 0 && strcmp(activation, "off") != 0)
		return argument_wrong(a, "--activation is automatic, approval or off");
	if (activation != NULL && (reason == NULL || reason[0] == '\0'))
		return argument_wrong(a, "--reason TEXT is needed: somebody will ask");
	if ((rc = registry_database(r, a)) != 0)
		return rc;
	return activation != NULL ? set(r, activation, reason) : show(r);
}

/* One vehicle: its state, and what became of it. */
#include <string.h>

#include "tools/cli/registry.h"

/* ---- states ---- */

static int change(const struct arguments *a, struct registry *r, const char *action, const char *to,
		  const char *from)
{
	const char *vin = argument_operand(a, 0), *reason = argument(a, "reason");
	const char *values[] = { vin, to, from };
	PGresult *result;
	int rc;

	if (reason == NULL || reason[0] == '\0')
		return argument_wrong(a, "--reason TEXT is needed: somebody will ask");
	if ((rc = registry_database(r, a)) != 0 ||
	    (rc = session_begin(&r->session, &r->err)) != 0 ||
	    (rc = session_run(&r->session, "vehicle",
			      /* Locked first: who waited for an import sees what it made. */
			      "UPDATE vehicle v SET state = $2 FROM (SELECT id, state FROM vehicle"
			      " WHERE vin = $1 FOR NO KEY UPDATE) old WHERE old.id = v.id"
			      " AND v.state = ANY (string_to_array($3, ' '))"
			      " RETURNING old.state",
			      3, values, NULL, &result, &r->err)) != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&r->err, ERROR_NOT_FOUND,
			       "%s is not registered, or its state is none of: %s", vin, from);
	else if ((rc = session_audit(&r->session, action, vin,
				     json_pack("{s:s, s:s, s:s}", "from", PQgetvalue(result, 0, 0),
					       "to", to, "reason", reason),
				     &r->err)) == 0 &&
		 (rc = session_commit(&r->session, &r->err)) == 0)
		printf("%s: %s -> %s\n", vin, PQgetvalue(result, 0, 0), to);
	PQclear(result);
	return rc;
}

int registry_block(const struct arguments *a, void *context)
{
	return change(a, context, "registry.block", "blocked", "registered provisional");
}

int registry_unblock(const struct arguments *a, void *context)
{
	return change(a, context, "registry.unblock", "registered", "blocked");
}

int registry_retire(const struct arguments *a, void *context)
{
	return change(a, context, "registry.retire", "retired", "registered provisional blocked");
}

/* ---- history ---- */

/*
 * Each remembered row beside the one that came after it (the next remembered one, or what stands
 * now), and of both what differs.  Together with what audit_log says of the VIN.
 */
static const char history_sql[] =
	"WITH v AS (SELECT id FROM vehicle WHERE vin = $1),"
	" now_is AS ("
	"  SELECT 'vehicle' AS kind, x.id, to_jsonb(x) AS row FROM vehicle x JOIN v USING (id)"
	"  UNION ALL SELECT 'terminal_identity', x.id, to_jsonb(x) FROM terminal_identity x"
	"   WHERE vehicle_id = (SELECT id FROM v)"
	"  UNION ALL SELECT 'terminal_key', x.id, to_jsonb(x) - 'secret' FROM terminal_key x"
	"   WHERE vehicle_id = (SELECT id FROM v)"
	"  UNION ALL SELECT 'certificate', x.id, to_jsonb(x) FROM certificate x"
	"   WHERE vehicle_id = (SELECT id FROM v)),"
	" h AS (SELECT h.at, h.actor, h.kind, h.row_id, h.id, h.action, h.old,"
	"   coalesce(lead(h.old) OVER (PARTITION BY h.kind, h.row_id ORDER BY h.id), n.row) AS new"
	"  FROM registry_history h JOIN now_is n ON n.kind = h.kind AND n.id = h.row_id),"
	" lines AS ("
	"  SELECT h.at, h.actor, h.kind || ' ' || h.row_id AS what, (SELECT string_agg("
	"    format('%s %s -> %s', key, coalesce(nullif(value, ''), '(empty)'),"
	"     coalesce(h.new ->> key, '(empty)')), ', ' ORDER BY key)"
	"    FROM jsonb_each_text(h.old) WHERE value IS DISTINCT FROM h.new ->> key) AS change,"
	"   h.id FROM h"
	"  UNION ALL SELECT created_at, NULL, 'vehicle ' || id, 'is known since', 0 FROM vehicle"
	"   WHERE vin = $1"
	"  UNION ALL SELECT at, actor, action,"
	"   (SELECT string_agg(format('%s %s', key, value), ', ' ORDER BY key)"
	"    FROM jsonb_each_text(detail) WHERE value IS NOT NULL), id"
	"   FROM audit_log WHERE subject = $1)"
	" SELECT to_char(at, 'YYYY-MM-DD HH24:MI:SS') AS at, actor, what, change FROM lines"
	" ORDER BY lines.at, id";

int registry_history(const struct arguments *a, void *context)
{
	struct registry *r = context;
	const char *values[] = { argument_operand(a, 0) };
	PGresult *result;
	int64_t id;
	int rc;

	if ((rc = registry_database(r, a)) != 0 ||
	    (rc = session_vehicle(&r->session, values[0], &id, &r->err)) != 0 ||
	    (rc = session_run(&r->session, "history", history_sql, 1, values, NULL, &result,
			      &r->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

/*
 * What a list changes.  registry_plan has a line for each vehicle of the list: what is stored now
 * (old_...), what is to be stored (...), and what that makes of vehicle and terminal.
 *
 * A column that the list does not have leaves what is stored.  So does an empty cell, unless
 * clear_empty is asked for: then it becomes NULL, where the table allows that.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry.h"

enum { SQL_SIZE = 16384 };

struct sql {
	char text[SQL_SIZE];
	size_t used;
};

static void put(struct sql *q, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct sql *q, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	q->used += (size_t)vsnprintf(q->text + q->used, SQL_SIZE - q->used, format, args);
	va_end(args);
	if (q->used >= SQL_SIZE)
		abort(); /* the texts come from the table of columns alone */
}

static int run(struct stage *s, const char *sql, PGresult **ret)
{
	return session_run(&s->registry->session, "list", sql, 0, NULL, NULL, ret,
			   &s->registry->err);
}

/* Where a column is stored: v vehicle, f fleet, t terminal_identity. */
static void put_stored(struct sql *q, int column)
{
	const struct registry_column *c = &registry_columns[column];

	if (c->place == PLACE_FLEET)
		put(q, "f.name");
	else
		put(q, "%s.%s", c->place == PLACE_VEHICLE ? "v" : "t", c->name);
}

/*
 * The state of the list; without one a provisional vehicle becomes registered, and any other stays
 * as row, the vehicle, has it at the moment of writing.
 */
static void put_state(struct sql *q, const char *listed, const char *row)
{
	put(q,
	    "coalesce(%s, CASE %s.state WHEN 'provisional' THEN 'registered' ELSE %s.state END,"
	    " 'registered')",
	    listed, row, row);
}

/* What is to be stored. */
static void put_wanted(struct sql *q, const struct stage *s, int column, bool clear_empty)
{
	const struct registry_column *c = &registry_columns[column];
	const bool never_null = column == COLUMN_category || column == COLUMN_state;

	if (column == COLUMN_state)
		put_state(q, "s.state", "v");
	else if (column == COLUMN_category)
		put(q, "coalesce(s.category, v.category, 'truck')");
	else if (column == COLUMN_vin)
		put(q, "s.vin");
	else if (!s->present[column])
		put_stored(q, column);
	else if (c->kind == KIND_TIME)
		/* A list has seconds; what is stored may be finer. */
		put(q,
		    "CASE WHEN s.%s = date_trunc('second', v.%s) THEN v.%s ELSE %ss.%s%s%s%s END",
		    c->name, c->name, c->name, clear_empty ? "" : "coalesce(", c->name,
		    clear_empty ? "" : ", v.", clear_empty ? "" : c->name, clear_empty ? "" : ")");
	else if (clear_empty && !never_null)
		put(q, "s.%s", c->name);
	else {
		put(q, "coalesce(s.%s, ", c->name);
		put_stored(q, column);
		put(q, ")");
	}
}

/* "a, b, c" of the columns of a place but the VIN, with a prefix. */
static void put_names(struct sql *q, enum column_place place, const char *prefix)
{
	const char *comma = "";

	for (int c = 0; c < COLUMN_COUNT; c++) {
		if (registry_columns[c].place != place || c == COLUMN_vin)
			continue;
		put(q, "%s%s%s", comma, prefix, registry_columns[c].name);
		comma = ", ";
	}
}

static void put_differs(struct sql *q, enum column_place place)
{
	put(q, "(");
	put_names(q, place, "");
	put(q, ") IS DISTINCT FROM (");
	put_names(q, place, "old_");
	put(q, ")");
}

static void make_sql(struct sql *q, const struct stage *s, bool clear_empty)
{
	put(q, "CREATE TEMP TABLE registry_plan ON COMMIT DROP AS SELECT *, vehicle_id IS NULL OR"
	       " fleet IS DISTINCT FROM old_fleet OR ");
	put_differs(q, PLACE_VEHICLE);
	put(q, " AS vehicle_changed, CASE WHEN num_nonnulls(");
	put_names(q, PLACE_TERMINAL, "");
	/* Another serial number or chip is another box: the old one stays in the table. */
	put(q, ") = 0 THEN CASE WHEN terminal_id IS NULL THEN 'none' ELSE 'removed' END"
	       " WHEN terminal_id IS NULL THEN 'new'"
	       " WHEN serial <> old_serial OR chip_id <> old_chip_id THEN 'exchanged' WHEN ");
	put_differs(q, PLACE_TERMINAL);
	put(q, " THEN 'corrected' ELSE 'none' END AS terminal FROM (SELECT s.line,"
	       " v.id AS vehicle_id, t.id AS terminal_id");
	for (int c = 0; c < COLUMN_COUNT; c++) {
		put(q, ", ");
		put_wanted(q, s, c, clear_empty);
		put(q, " AS %s, ", registry_columns[c].name);
		put_stored(q, c);
		put(q, " AS old_%s", registry_columns[c].name);
	}
	put(q, " FROM registry_stage s LEFT JOIN vehicle v ON v.vin = s.vin"
	       " LEFT JOIN fleet f ON f.id = v.fleet_id LEFT JOIN terminal_identity t"
	       " ON t.vehicle_id = v.id AND t.state = 'active' WHERE s.vin IS NOT NULL) p");
}

/* One box in two trucks, counting the trucks that the list does not name. */
static int check_boxes(struct stage *s, int column)
{
	const char *name = registry_columns[column].name;
	struct sql q = { .used = 0 };
	PGresult *result;
	int rc;

	put(&q,
	    "WITH last AS (SELECT line, vin, %s AS code FROM registry_plan WHERE %s IS NOT NULL"
	    " UNION ALL SELECT NULL, v.vin, t.%s FROM terminal_identity t JOIN vehicle v"
	    " ON v.id = t.vehicle_id WHERE t.state = 'active' AND t.%s IS NOT NULL"
	    " AND t.%s IN (SELECT %s FROM registry_plan)"
	    " AND NOT EXISTS (SELECT FROM registry_plan p WHERE p.vehicle_id = v.id))"
	    " SELECT a.line, format('%s %%s is %%s''s, too', a.code, min(b.vin)) FROM last a"
	    " JOIN last b ON b.code = a.code AND b.vin <> a.vin WHERE a.line IS NOT NULL"
	    " GROUP BY a.line, a.code",
	    name, name, name, name, name, name, name);
	if ((rc = run(s, q.text, &result)) != 0)
		return rc;
	for (int row = 0; row < PQntuples(result); row++)
		problem_add(&s->problems, (unsigned)strtoul(PQgetvalue(result, row, 0), NULL, 10),
			    s->present[column] ? s->place[column] : NO_COLUMN, "%s",
			    PQgetvalue(result, row, 1));
	PQclear(result);
	return 0;
}

static int check_times(struct stage *s)
{
	PGresult *result;
	int rc = run(s, "SELECT line FROM registry_plan WHERE valid_to <= valid_from", &result);

	if (rc != 0)
		return rc;
	for (int row = 0; row < PQntuples(result); row++)
		problem_add(&s->problems, (unsigned)strtoul(PQgetvalue(result, row, 0), NULL, 10),
			    NO_COLUMN, "valid_to lies before valid_from");
	PQclear(result);
	return 0;
}

int plan_lock(struct stage *s)
{
	/* In one order, so that two who lock several never wait for each other. */
	return run(s,
		   "SELECT FROM vehicle WHERE vin IN (SELECT vin FROM registry_stage)"
		   " ORDER BY id FOR NO KEY UPDATE",
		   NULL);
}

int plan_make(struct stage *s, bool clear_empty)
{
	struct sql q = { .used = 0 };
	int rc;

	make_sql(&q, s, clear_empty);
	if ((rc = run(s, q.text, NULL)) != 0 || (rc = run(s, "ANALYZE registry_plan", NULL)) != 0 ||
	    (rc = check_boxes(s, COLUMN_chip_id)) != 0 || (rc = check_boxes(s, COLUMN_iccid)) != 0)
		return rc;
	return check_times(s);
}

int plan_count(struct stage *s, struct plan_counts *ret)
{
	PGresult *result;
	long values[8];
	int rc = run(s,
		     "SELECT count(*) FILTER (WHERE vehicle_id IS NULL),"
		     " count(*) FILTER (WHERE vehicle_id IS NOT NULL AND"
		     " (vehicle_changed OR terminal <> 'none')),"
		     " count(*) FILTER (WHERE NOT vehicle_changed AND terminal = 'none'),"
		     " count(*) FILTER (WHERE terminal = 'new'),"
		     " count(*) FILTER (WHERE terminal = 'corrected'),"
		     " count(*) FILTER (WHERE terminal = 'exchanged'),"
		     " count(*) FILTER (WHERE terminal = 'removed'),"
		     " (SELECT count(DISTINCT p.fleet) FROM registry_plan p WHERE NOT EXISTS"
		     " (SELECT FROM fleet f WHERE f.name = p.fleet) AND p.fleet IS NOT NULL)"
		     " FROM registry_plan",
		     &result);

	if (rc != 0)
		return rc;
	for (int i = 0; i < 8; i++)
		values[i] = strtol(PQgetvalue(result, 0, i), NULL, 10);
	PQclear(result);
	*ret = (struct plan_counts){ values[0], values[1], values[2], values[3],
				     values[4], values[5], values[6], values[7] };
	return 0;
}

/* ---- what a person reads ---- */

int plan_print(struct stage *s, long max)
{
	struct sql q = { .used = 0 };
	PGresult *result;
	char text[1200];
	int rc;

	put(&q, "SELECT kind, vin, what FROM (SELECT *, row_number() OVER (PARTITION BY kind"
		" ORDER BY line) AS n FROM (SELECT line, vin, CASE WHEN vehicle_id IS NULL"
		" THEN 'insert' ELSE 'update' END AS kind, array_to_string(ARRAY[");
	for (int c = 1; c < COLUMN_COUNT; c++) {
		const char *name = registry_columns[c].name;

		put(&q,
		    "%sCASE WHEN %s IS DISTINCT FROM old_%s THEN CASE WHEN vehicle_id IS NULL THEN"
		    " format('%s %%s', %s) ELSE format('%s %%s -> %%s', coalesce(old_%s::text,"
		    " '(empty)'), coalesce(%s::text, '(empty)')) END END",
		    c > 1 ? ", " : "", name, name, name, name, name, name, name);
	}
	put(&q,
	    "], ', ') || CASE terminal WHEN 'exchanged' THEN '; the terminal is exchanged'"
	    " WHEN 'removed' THEN '; the terminal is removed' ELSE '' END AS what"
	    " FROM registry_plan WHERE vehicle_changed OR terminal <> 'none') k) n"
	    " WHERE n <= %ld ORDER BY kind, n",
	    max);
	if ((rc = run(s, q.text, &result)) != 0)
		return rc;
	for (int row = 0; row < PQntuples(result); row++)
		printf("  %s %s: %s\n", PQgetvalue(result, row, 0), PQgetvalue(result, row, 1),
		       text_shown(PQgetvalue(result, row, 2), text, sizeof(text)));
	PQclear(result);
	return 0;
}

/* ---- doing it ---- */

/*
 * Columns of vehicle that the list has, each set to a value of row.  or_stored: where that is
 * NULL, what is stored stays.  The state is the caller's.
 */
static void put_settings(struct sql *q, const struct stage *s, const char *row, bool or_stored)
{
	for (int c = 0; c < COLUMN_COUNT; c++) {
		const char *name = registry_columns[c].name;

		if (registry_columns[c].place != PLACE_VEHICLE || !s->present[c] ||
		    c == COLUMN_vin || c == COLUMN_state)
			continue;
		if (or_stored)
			put(q, ", %s = coalesce(%s.%s, vehicle.%s)", name, row, name, name);
		else
			put(q, ", %s = %s.%s", name, row, name);
	}
}

static void put_insert(struct sql *q, const struct stage *s)
{
	put(q, "INSERT INTO vehicle (fleet_id, vin, ");
	put_names(q, PLACE_VEHICLE, "");
	put(q, ") SELECT f.id, p.vin, ");
	put_names(q, PLACE_VEHICLE, "p.");
	/* A gateway may have met the vehicle since the plan was made, and a person blocked it. */
	put(q, " FROM registry_plan p LEFT JOIN fleet f ON f.name = p.fleet"
	       " WHERE p.vehicle_id IS NULL ON CONFLICT (vin) DO UPDATE SET state = ");
	put_state(q, "(SELECT s.state FROM registry_stage s WHERE s.vin = excluded.vin)",
		  "vehicle");
	if (s->present[COLUMN_fleet])
		put(q, ", fleet_id = coalesce(excluded.fleet_id, vehicle.fleet_id)");
	put_settings(q, s, "excluded", true);
}

static void put_update(struct sql *q, const struct stage *s)
{
	put(q, "UPDATE vehicle v SET state = ");
	put_state(q, "s.state", "v");
	if (s->present[COLUMN_fleet])
		put(q, ", fleet_id = f.id");
	put_settings(q, s, "p", false);
	put(q, " FROM registry_plan p JOIN registry_stage s ON s.vin = p.vin"
	       " LEFT JOIN fleet f ON f.name = p.fleet"
	       " WHERE v.id = p.vehicle_id AND p.vehicle_changed");
}

static int apply_vehicles(struct stage *s)
{
	struct sql insert = { .used = 0 }, update = { .used = 0 };
	int rc;

	put_insert(&insert, s);
	put_update(&update, s);
	if ((rc = run(s,
		      "INSERT INTO fleet (name) SELECT DISTINCT fleet FROM registry_plan"
		      " WHERE fleet IS NOT NULL ON CONFLICT DO NOTHING",
		      NULL)) != 0 ||
	    (rc = run(s, insert.text, NULL)) != 0)
		return rc;
	return run(s, update.text, NULL);
}

static int apply_terminals(struct stage *s)
{
	struct sql correct = { .used = 0 }, insert = { .used = 0 };
	int rc;

	put(&correct, "UPDATE terminal_identity t SET (");
	put_names(&correct, PLACE_TERMINAL, "");
	put(&correct, ") = ROW (");
	put_names(&correct, PLACE_TERMINAL, "p.");
	put(&correct, ") FROM registry_plan p WHERE t.id = p.terminal_id"
		      " AND p.terminal = 'corrected'");

	put(&insert, "INSERT INTO terminal_identity (vehicle_id, ");
	put_names(&insert, PLACE_TERMINAL, "");
	put(&insert, ") SELECT v.id, ");
	put_names(&insert, PLACE_TERMINAL, "p.");
	put(&insert, " FROM registry_plan p JOIN vehicle v ON v.vin = p.vin"
		     " WHERE p.terminal IN ('new', 'exchanged')");
	if ((rc = run(s,
		      "UPDATE terminal_identity t SET state = 'removed',"
		      " valid_to = greatest(now(), t.valid_from + interval '1 microsecond')"
		      " FROM registry_plan p WHERE t.id = p.terminal_id"
		      " AND p.terminal IN ('exchanged', 'removed')",
		      NULL)) != 0 ||
	    (rc = run(s, correct.text, NULL)) != 0)
		return rc;
	return run(s, insert.text, NULL);
}

int plan_apply(struct stage *s)
{
	int rc = apply_vehicles(s);

	return rc != 0 ? rc : apply_terminals(s);
}

/*
 * export.c - haulgate-export: the week's findings, passages and vehicle-days of each division as
 * CSV.
 *
 * One REPEATABLE READ READ ONLY transaction reads everything; rows stream one at a time.  The same
 * data gives the same bytes.  See docs/export.md.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "gateway/base/config.h"
#include "gateway/query/instant.h"
#include "tools/cli/export_set.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_LATER = 75 };

/* kind of file, and the statement: $1 first day, $2 last day, $3 division or NULL */
#define BELONGS                                                                                    \
	" WHERE day BETWEEN $1::date AND $2::date AND "                                            \
	"(division_id = $3::int OR ($3::int IS NULL AND division_id IS NULL)) ORDER BY day, vin "  \
	"COLLATE \"C\", "
static const struct {
	const char *kind, *sql;
} exports[] = {
	{ "findings",
	  "SELECT * FROM api.export_finding" BELONGS "rule_id COLLATE \"C\", revision" },
	{ "passages", "SELECT * FROM api.export_passage" BELONGS "route_id, from_at" },
	{ "vehicle-days", "SELECT * FROM api.export_vehicle_day" BELONGS "revision" },
};
enum { EXPORT_COUNT = sizeof(exports) / sizeof(exports[0]) };

static const char divisions_sql[] =
	"SELECT id::text FROM (SELECT id FROM division"
	" UNION SELECT division_id FROM finding WHERE day BETWEEN $1::date AND $2::date"
	" UNION SELECT division_id FROM passage WHERE day BETWEEN $1::date AND $2::date"
	" UNION SELECT division_id FROM vehicle_day WHERE day BETWEEN $1::date AND $2::date) known "
	"WHERE id IS NOT NULL ORDER BY id";

static const char usage[] =
	"usage: haulgate-export --week YYYY-Www --out DIR [--config FILE | --conninfo TEXT]\n"
	"\n"
	"Writes the findings, passages and vehicle-days of an ISO week (Beijing days, Monday to\n"
	"Sunday) as one CSV for each division, with manifest.json and SHA256SUMS.\n"
	"\n"
	"  --week 2026-W47   the week\n"
	"  --out DIR         folder of this export; made if it is not there\n"
	"  --config FILE     take export.conninfo from the configuration\n"
	"  --conninfo TEXT   libpq connection string; without either: PGHOST, PGDATABASE, ...\n"
	"  --replace         put this export in the place of one with other content\n"
	"  --quiet           say nothing but errors\n"
	"  --version, --help\n"
	"\n"
	"Exit: 0 done or already there, 1 failed or refused, 2 wrong arguments,\n"
	"75 not possible now (database away, another export runs): try again later.\n";

struct options {
	const char *week, *out, *config, *conninfo;
	bool replace, quiet;
};

struct job {
	const struct options *options;
	PGconn *conn;
	struct export_set *set;
	char first_day[16], last_day[16];
	int64_t first, last; /* days since 1970 */
	unsigned parts_done, parts;
	uint64_t shown;
	int64_t run_id;
	enum exit_code failure;
	struct error err;
};

/* ---- the week ---- */

static void day_text(int64_t day, char out[16])
{
	time_t t = (time_t)(day * 86400);
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(out, 16, "%Y-%m-%d", &tm);
}

/* ISO 8601: week 1 holds 4 January, weeks begin on Monday. */
static bool week_parse(const char *text, int64_t *ret_monday)
{
	int64_t january4, next4, monday, next_monday;
	int year, week, n = 0;

	if (strlen(text) != 8 || sscanf(text, "%4d-W%2d%n", &year, &week, &n) != 2 || n != 8 ||
	    !civil_day(year, 1, 4, &january4) || !civil_day(year + 1, 1, 4, &next4) || week < 1)
		return false;
	/* 1970-01-01 was a Thursday: day 0 + 3 days since Monday. */
	monday = january4 - (january4 + 3) % 7;
	next_monday = next4 - (next4 + 3) % 7;
	*ret_monday = monday + (week - 1) * 7;
	return *ret_monday < next_monday;
}

/* ---- the database ---- */

/* Errors that a later run may not meet. */
static bool worth_another_try(const char *state)
{
	return state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "53", 2) == 0 ||
	       strncmp(state, "57P", 3) == 0 || strcmp(state, "40001") == 0 ||
	       strcmp(state, "55P03") == 0;
}

static int refused(struct job *j, const PGresult *result, const char *what)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	j->failure = worth_another_try(state) ? EXIT_LATER : EXIT_FAILED;
	return error_set(&j->err, ERROR_DATABASE, "%s: %s", what,
			 message != NULL ? message : PQerrorMessage(j->conn));
}

static int run_sql(struct job *j, const char *sql, int n, const char *const *values, PGresult **ret,
		   const char *what)
{
	PGresult *result = PQexecParams(j->conn, sql, n, NULL, values, NULL, NULL, 0);
	ExecStatusType status = PQresultStatus(result);
	int rc = 0;

	if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
		rc = refused(j, result, what);
	if (rc == 0 && ret != NULL)
		*ret = result;
	else
		PQclear(result);
	return rc;
}

static int connect_database(struct job *j)
{
	const char *keys[] = { "dbname", "client_encoding", "fallback_application_name", NULL };
	const char *values[] = { "", "UTF8", "haulgate-export", NULL };
	struct config *config = NULL;
	int rc;

	if (j->options->config != NULL) {
		if ((rc = config_load(j->options->config, &config, &j->err)) != 0) {
			j->failure = EXIT_USAGE;
			return rc;
		}
		values[0] = config->export_conninfo;
	}
	if (j->options->conninfo != NULL)
		values[0] = j->options->conninfo;
	j->conn = PQconnectdbParams(keys, values, 1);
	config_free(config);
	if (j->conn == NULL || PQstatus(j->conn) != CONNECTION_OK) {
		j->failure = EXIT_LATER;
		return error_set(&j->err, ERROR_DATABASE, "cannot connect: %s",
				 j->conn != NULL ? PQerrorMessage(j->conn) : "no memory");
	}
	return run_sql(
		j,
		"SELECT set_config('TimeZone', 'Asia/Shanghai', false),"
		" set_config('DateStyle', 'ISO, YMD', false), set_config('jit', 'off', false),"
		" set_config('extra_float_digits', '1', false)",
		0, NULL, NULL, "session settings");
}

/* One export at a time, and a line in export_run for each. */
static int begin_run(struct job *j)
{
	const char *values[] = { j->options->week };
	PGresult *result;
	int rc;

	if ((rc = run_sql(j, "SELECT pg_try_advisory_lock(hashtext('haulgate-export'))", 0, NULL,
			  &result, "lock")) != 0)
		return rc;
	if (strcmp(PQgetvalue(result, 0, 0), "t") != 0)
		rc = error_set(&j->err, ERROR_BUSY, "another export runs");
	PQclear(result);
	if (rc != 0) {
		j->failure = EXIT_LATER;
		return rc;
	}
	if ((rc = run_sql(
		     j, "INSERT INTO export_run (kind, period) VALUES ('weekly', $1) RETURNING id",
		     1, values, &result, "export_run")) != 0)
		return rc;
	j->run_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return run_sql(j, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", 0, NULL, NULL,
		       "transaction");
}

static int end_run(struct job *j, const char *manifest)
{
	char id[24], files[16], rows[24];
	const char *values[] = { id, files, rows, manifest };

	snprintf(id, sizeof(id), "%" PRId64, j->run_id);
	snprintf(files, sizeof(files), "%u", export_set_files(j->set));
	snprintf(rows, sizeof(rows), "%" PRIu64, export_set_rows(j->set));
	return run_sql(
		j,
		"UPDATE export_run SET finished_at = now(), files = $2::int, rows = $3::bigint,"
		" manifest = $4 WHERE id = $1::bigint",
		4, values, NULL, "export_run");
}

/* ---- progress ---- */

static void progress(struct job *j, const char *kind)
{
	bool tty = isatty(STDERR_FILENO);
	char bar[25];
	unsigned filled;

	if (j->options->quiet)
		return;
	if (!tty) {
		if (kind != NULL)
			fprintf(stderr, "%s: %u of %u files, %" PRIu64 " rows\n", kind,
				j->parts_done, j->parts, export_set_rows(j->set));
		return;
	}
	filled = j->parts_done * (unsigned)(sizeof(bar) - 1) / (j->parts > 0 ? j->parts : 1);
	memset(bar, '.', sizeof(bar) - 1);
	memset(bar, '#', filled);
	bar[sizeof(bar) - 1] = '\0';
	fprintf(stderr, "\r[%s] %u/%u files, %" PRIu64 " rows ", bar, j->parts_done, j->parts,
		export_set_rows(j->set));
	if (j->parts_done == j->parts)
		fputc('\n', stderr);
}

/* ---- the files ---- */

static bool is_number_type(Oid type)
{
	static const Oid numbers[] = {
		20, 21, 23, 700, 701, 1700
	}; /* int8 int2 int4 float4 float8 numeric */

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (numbers[i] == type)
			return true;
	return false;
}

static void put_rows(struct job *j, const PGresult *result, bool *heading)
{
	int columns = PQnfields(result);

	for (int c = 0; *heading && c < columns; c++)
		export_set_cell(j->set, PQfname(result, c), false);
	if (*heading)
		export_set_line(j->set);
	*heading = false;
	for (int row = 0; row < PQntuples(result); row++) {
		for (int c = 0; c < columns; c++)
			export_set_cell(j->set,
					PQgetisnull(result, row, c) ? NULL
								    : PQgetvalue(result, row, c),
					is_number_type(PQftype(result, c)));
		export_set_line(j->set);
		if (++j->shown % 100000 == 0)
			progress(j, NULL);
	}
}

/* Single-row mode: whatever the size of the table, one row is in memory. */
static int write_file(struct job *j, size_t export, const char *division)
{
	const char *values[] = { j->first_day, j->last_day, division };
	bool heading = true;
	PGresult *result;
	int rc;

	if ((rc = export_set_begin(j->set, exports[export].kind,
				   division != NULL ? division : "outside", &j->err)) != 0)
		return rc;
	if (!PQsendQueryParams(j->conn, exports[export].sql, 3, NULL, values, NULL, NULL, 0) ||
	    !PQsetSingleRowMode(j->conn))
		return refused(j, NULL, exports[export].kind);
	while ((result = PQgetResult(j->conn)) != NULL) {
		ExecStatusType status = PQresultStatus(result);

		if (status == PGRES_SINGLE_TUPLE || status == PGRES_TUPLES_OK)
			put_rows(j, result, &heading);
		else if (rc == 0)
			rc = refused(j, result, exports[export].kind);
		PQclear(result);
	}
	if (rc == 0)
		rc = export_set_end(j->set, &j->err);
	j->parts_done++;
	return rc;
}

static int write_files(struct job *j)
{
	const char *values[] = { j->first_day, j->last_day };
	PGresult *divisions;
	int n, rc = run_sql(j, divisions_sql, 2, values, &divisions, "divisions");

	if (rc != 0)
		return rc;
	n = PQntuples(divisions);
	j->parts = (unsigned)(n + 1) * EXPORT_COUNT;
	for (size_t i = 0; rc == 0 && i < EXPORT_COUNT; i++) {
		for (int d = 0; rc == 0 && d <= n; d++) {
			rc = write_file(j, i, d < n ? PQgetvalue(divisions, d, 0) : NULL);
			progress(j, NULL);
		}
		if (rc == 0 && !isatty(STDERR_FILENO))
			progress(j, exports[i].kind);
	}
	PQclear(divisions);
	return rc != 0 ? rc : run_sql(j, "COMMIT", 0, NULL, NULL, "commit");
}

static int export_week(struct job *j)
{
	char manifest[EXPORT_HASH_SIZE];
	enum export_result result;
	int rc;

	if ((rc = export_set_open(j->options->out, j->options->week, j->first_day, j->last_day,
				  &j->set, &j->err)) != 0) {
		j->failure = rc == ERROR_BUSY ? EXIT_LATER : EXIT_FAILED;
		return rc;
	}
	if ((rc = connect_database(j)) != 0 || (rc = begin_run(j)) != 0 ||
	    (rc = write_files(j)) != 0 ||
	    (rc = export_set_publish(j->set, j->options->replace, &result, manifest, &j->err)) !=
		    0 ||
	    (rc = end_run(j, manifest)) != 0)
		return rc;
	if (!j->options->quiet)
		fprintf(stderr, "%s: %" PRIu64 " rows in %u files %s %s, manifest %.16s\n",
			j->options->week, export_set_rows(j->set), export_set_files(j->set),
			result == EXPORT_UNCHANGED ? "were already in" : "written to",
			j->options->out, manifest);
	return 0;
}

/* ---- arguments ---- */

/* A password in the arguments can be read by everybody on the machine. */
static bool conninfo_has_password(const char *conninfo)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool found = false;

	for (PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++)
		found |= strcmp(o->keyword, "password") == 0 && o->val != NULL;
	PQconninfoFree(options);
	return found;
}

static int bad_usage(const char *text)
{
	fprintf(stderr, "haulgate-export: %s; see --help\n", text);
	return EXIT_USAGE;
}

static int check(const struct options *o, struct job *j)
{
	if (o->week == NULL || o->out == NULL)
		return bad_usage("--week and --out are needed");
	if (!week_parse(o->week, &j->first))
		return bad_usage("--week must be an ISO week such as 2026-W47 that its year has");
	if (o->config != NULL && o->conninfo != NULL)
		return bad_usage("--config and --conninfo exclude each other");
	if (o->conninfo != NULL && conninfo_has_password(o->conninfo))
		return bad_usage("no password in --conninfo: use a passfile or --config");
	j->last = j->first + 6;
	day_text(j->first, j->first_day);
	day_text(j->last, j->last_day);
	if ((time(NULL) + 8 * 3600) / 86400 <= j->last && !o->quiet)
		fprintf(stderr, "%s is not over: a later export of it may differ\n", o->week);
	return EXIT_DONE;
}

/* Returns an exit code, or -1 to go on. */
static int parse(int argc, char **argv, struct options *o)
{
	static const struct option options[] = {
		{ "week", required_argument, NULL, 'w' },
		{ "out", required_argument, NULL, 'o' },
		{ "config", required_argument, NULL, 'c' },
		{ "conninfo", required_argument, NULL, 'd' },
		{ "replace", no_argument, NULL, 'r' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'w':
			o->week = optarg;
			break;
		case 'o':
			o->out = optarg;
			break;
		case 'c':
			o->config = optarg;
			break;
		case 'd':
			o->conninfo = optarg;
			break;
		case 'r':
			o->replace = true;
			break;
		case 'q':
			o->quiet = true;
			break;
		case 'v':
			puts("haulgate-export " HAULGATE_VERSION);
			return EXIT_DONE;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			return bad_usage("an argument is wrong");
		}
	}
	return optind == argc ? -1 : bad_usage("too many arguments");
}

int main(int argc, char **argv)
{
	struct options options = { 0 };
	struct job j = { .options = &options, .failure = EXIT_FAILED };
	int code = parse(argc, argv, &options);

	if (code >= 0)
		return code;
	if ((code = check(&options, &j)) != EXIT_DONE)
		return code;
	if (export_week(&j) != 0) {
		fprintf(stderr, "haulgate-export: %s\n", j.err.text);
		code = j.failure;
	}
	export_set_close(j.set);
	PQfinish(j.conn);
	return code;
}

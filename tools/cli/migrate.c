/*
 * migrate.c - haulgate-migrate: brings a database to the state that the files of schema/ describe.
 *
 * roles.sql, then each NNNN_name.sql that is not applied yet (one transaction each, in order), then
 * grants.sql, then the first version of every rule of the program, then with --seed the files of
 * seed/. Forward only: an applied file whose bytes changed is refused.  Safe to run twice, and at
 * once.
 */
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libpq-fe.h>

#include "gateway/assess/assess.h"
#include "tools/cli/migrate_files.h"

enum exit_code { EXIT_OK, EXIT_DATABASE, EXIT_USAGE, EXIT_REFUSED, EXIT_PENDING, EXIT_FILES };

static const char usage[] =
	"usage: haulgate-migrate [--conninfo TEXT] [--schema-dir DIR] [--seed] [--status]\n"
	"\n"
	"Creates or upgrades the haulgate database.  Run it as the owner of the database (a "
	"superuser\n"
	"when PostGIS is not installed in it yet); safe to run at any time, also twice.\n"
	"\n"
	"  --conninfo TEXT   libpq connection string; default: the PG* environment variables\n"
	"  --schema-dir DIR  folder with roles.sql, NNNN_name.sql, grants.sql, seed/; default: "
	"schema/\n"
	"                    of the source tree that this program was built from\n"
	"  --seed            also load seed/*.sql: the divisions and sample routes of the city\n"
	"  --status          change nothing; print what is applied and what is pending\n"
	"  --help            this text\n"
	"\n"
	"exit: 0 the database is current, 1 the database refused or is away, 2 wrong usage,\n"
	"      3 refused: an applied file has changed, or the database is newer than the files,\n"
	"      4 (--status) migrations are pending, 5 a file cannot be read\n";

struct migrate {
	PGconn *conn;
	char dir[PATH_MAX];
	struct migration *list;
	size_t count;
};

/* ---- the database ---- */

static int complain(struct migrate *m, const char *what)
{
	fprintf(stderr, "haulgate-migrate: %s: %s", what, PQerrorMessage(m->conn));
	return EXIT_DATABASE;
}

static int run(struct migrate *m, const char *what, const char *sql)
{
	PGresult *r = PQexec(m->conn, sql);
	const ExecStatusType status = PQresultStatus(r);

	PQclear(r);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? EXIT_OK
								       : complain(m, what);
}

static int run_params(struct migrate *m, const char *what, const char *sql, int n,
		      const char *const *values)
{
	PGresult *r = PQexecParams(m->conn, sql, n, NULL, values, NULL, NULL, 0);
	const ExecStatusType status = PQresultStatus(r);

	PQclear(r);
	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? EXIT_OK
								       : complain(m, what);
}

/* A whole file, in one transaction. */
static int run_file(struct migrate *m, const char *dir, const char *name)
{
	char path[PATH_MAX];
	size_t size;
	char *sql;
	int rc;

	path_join(path, dir, name);
	if ((sql = file_read(path, &size)) == NULL)
		return EXIT_FILES;
	rc = run(m, name, "BEGIN");
	if (rc == EXIT_OK)
		rc = run(m, name, sql);
	rc = rc == EXIT_OK ? run(m, name, "COMMIT") : (run(m, name, "ROLLBACK"), rc);
	free(sql);
	return rc;
}

static int database_open(struct migrate *m, const char *conninfo)
{
	m->conn = PQconnectdb(conninfo);
	if (PQstatus(m->conn) != CONNECTION_OK)
		return complain(m, "cannot connect");
	return run(m, "settings",
		   "SET client_min_messages = warning; SET search_path = public; "
		   "SET application_name = 'haulgate-migrate'");
}

/* Held until the connection ends.  The number only has to be the same everywhere. */
static int lock_take(struct migrate *m)
{
	return run(m, "waiting for another migration to end",
		   "SET lock_timeout = '60s'; SELECT pg_advisory_lock(3276800001); RESET "
		   "lock_timeout");
}

static struct migration *migration_find(struct migrate *m, int version)
{
	for (size_t i = 0; i < m->count; i++)
		if (m->list[i].version == version)
			return &m->list[i];
	return NULL;
}

static int refuse_changed(const struct migrate *m, const struct migration *g, const char *had)
{
	fprintf(stderr,
		"haulgate-migrate: %s/%s has changed since it was applied to this database\n"
		"  applied sha256 %s\n  the file has   %s\n"
		"  Applied migrations are never edited: restore the file as it was released, and "
		"put the\n"
		"  change into a new file with the next number.\n",
		m->dir, g->name, had, g->sha256);
	return EXIT_REFUSED;
}

/* Compares the files with what the database says was applied. */
static int applied_read(struct migrate *m)
{
	PGresult *r =
		PQexec(m->conn, "SELECT version, name, sha256 FROM schema_version ORDER BY 1");
	int rc = EXIT_OK, newest = 0;

	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		rc = complain(m, "schema_version");
	for (int i = 0; rc == EXIT_OK && i < PQntuples(r); i++) {
		struct migration *g = migration_find(m, (int)strtol(PQgetvalue(r, i, 0), NULL, 10));

		newest = (int)strtol(PQgetvalue(r, i, 0), NULL, 10);
		if (g == NULL) {
			fprintf(stderr,
				"haulgate-migrate: the database has migration %s, which is not in "
				"%s:\n"
				"  it was made by a newer release; run that release's "
				"haulgate-migrate\n",
				PQgetvalue(r, i, 1), m->dir);
			rc = EXIT_REFUSED;
		} else if (strcmp(g->sha256, PQgetvalue(r, i, 2)) != 0) {
			rc = refuse_changed(m, g, PQgetvalue(r, i, 2));
		} else {
			g->applied = true;
		}
	}
	for (size_t i = 0; rc == EXIT_OK && i < m->count; i++) {
		if (m->list[i].applied || m->list[i].version > newest)
			continue;
		fprintf(stderr,
			"haulgate-migrate: %s is not applied, but later ones are: give it the "
			"next free number\n",
			m->list[i].name);
		rc = EXIT_REFUSED;
	}
	PQclear(r);
	return rc;
}

static int migration_apply(struct migrate *m, const struct migration *g)
{
	char version[16];
	const char *const values[] = { version, g->name, g->sha256 };
	int rc;

	snprintf(version, sizeof(version), "%d", g->version);
	rc = run(m, g->name, "BEGIN");
	if (rc == EXIT_OK)
		rc = run(m, g->name, g->sql);
	if (rc == EXIT_OK)
		rc = run_params(m, g->name,
				"INSERT INTO schema_version (version, name, sha256) "
				"VALUES ($1::integer, $2, $3)",
				3, values);
	if (rc != EXIT_OK) {
		run(m, g->name, "ROLLBACK");
		return rc;
	}
	rc = run(m, g->name, "COMMIT");
	if (rc == EXIT_OK)
		printf("applied %s\n", g->name);
	return rc;
}

/* ---- rules ---- */

/* The shortest decimal that reads back as the same number. */
static size_t number_json(double value, char *out, size_t size)
{
	int length = snprintf(out, size, "%.15g", value);

	if (strtod(out, NULL) < value || strtod(out, NULL) > value)
		length = snprintf(out, size, "%.17g", value);
	return (size_t)length;
}

static void rule_parameters_json(const struct rule_definition *d, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "{");

	for (size_t i = 0; i < RULE_PARAMETERS_MAX && d->parameters[i].name != NULL; i++) {
		used += (size_t)snprintf(out + used, size - used, "%s\"%s\":", i > 0 ? "," : "",
					 d->parameters[i].name);
		used += number_json(d->parameters[i].initial, out + used, size - used);
	}
	snprintf(out + used, size - used, "}");
}

/* A rule that the table knows in any version is left alone: its thresholds are the operator's. */
static int rules_sync(struct migrate *m)
{
	int rc = EXIT_OK;

	for (size_t i = 0; rc == EXIT_OK && i < RULE_COUNT; i++) {
		const struct rule_definition *d = &rule_definitions[i];
		char severity[16], parameters[2048];
		const char *const values[] = { d->id, d->label, d->doc, severity, parameters };

		snprintf(severity, sizeof(severity), "%d", d->severity);
		rule_parameters_json(d, parameters, sizeof(parameters));
		rc = run_params(
			m, d->id,
			"INSERT INTO rule (rule_id, version, label, doc, severity, parameters) "
			"SELECT $1, 1, $2, $3, $4::smallint, $5::jsonb "
			"WHERE NOT EXISTS (SELECT FROM rule WHERE rule_id = $1)",
			5, values);
	}
	return rc;
}

static int seed(struct migrate *m)
{
	struct dirent **entries = NULL;
	char dir[PATH_MAX];
	int n, rc = EXIT_OK;

	path_join(dir, m->dir, "seed");
	n = scandir(dir, &entries, is_sql, alphasort);
	if (n < 0) {
		fprintf(stderr, "haulgate-migrate: cannot read %s: %m\n", dir);
		return EXIT_FILES;
	}
	for (int i = 0; i < n; i++) {
		if (rc == EXIT_OK && (rc = run_file(m, dir, entries[i]->d_name)) == EXIT_OK)
			printf("seeded %s\n", entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

/* ---- what the operator should know ---- */

static bool setting_is_off(struct migrate *m, const char *name)
{
	PGresult *r =
		PQexecParams(m->conn, "SELECT current_setting($1)", 1, NULL, &name, NULL, NULL, 0);
	const bool off =
		PQresultStatus(r) == PGRES_TUPLES_OK && strcmp(PQgetvalue(r, 0, 0), "off") == 0;

	PQclear(r);
	return off;
}

static void advise(struct migrate *m)
{
	if (setting_is_off(m, "fsync") || setting_is_off(m, "full_page_writes"))
		fprintf(stderr,
			"haulgate-migrate: warning: fsync or full_page_writes is off: a power cut "
			"would destroy the database.\n  The gateway refuses to store into it; set "
			"both to "
			"on in postgresql.conf.\n");
	if (setting_is_off(m, "data_checksums"))
		fprintf(stderr,
			"haulgate-migrate: warning: data checksums are off: a rotten page would go "
			"unnoticed.\n  Stop the server and run pg_checksums --enable.\n");
}

static int status_print(struct migrate *m)
{
	size_t pending = 0;
	PGresult *r = PQexec(m->conn, "SELECT to_regclass('public.schema_version') IS NOT NULL");
	const bool fresh = PQresultStatus(r) != PGRES_TUPLES_OK || PQgetvalue(r, 0, 0)[0] != 't';
	int rc = fresh ? EXIT_OK : applied_read(m);

	PQclear(r);
	if (rc != EXIT_OK)
		return rc;
	for (size_t i = 0; i < m->count; i++) {
		printf("%-8s %s\n", m->list[i].applied ? "applied" : "pending", m->list[i].name);
		pending += !m->list[i].applied;
	}
	return pending > 0 ? EXIT_PENDING : EXIT_OK;
}

static int migrate_all(struct migrate *m, bool want_seed)
{
	int rc = lock_take(m);

	if (rc == EXIT_OK)
		rc = run_file(m, m->dir, "roles.sql");
	if (rc == EXIT_OK)
		rc = run(m, "schema_version",
			 "CREATE TABLE IF NOT EXISTS schema_version (version integer PRIMARY KEY, "
			 "name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT "
			 "NULL DEFAULT now())");
	if (rc == EXIT_OK)
		rc = applied_read(m);
	for (size_t i = 0; rc == EXIT_OK && i < m->count; i++)
		if (!m->list[i].applied)
			rc = migration_apply(m, &m->list[i]);
	if (rc == EXIT_OK)
		rc = run_file(m, m->dir, "grants.sql");
	if (rc == EXIT_OK)
		rc = rules_sync(m);
	if (rc == EXIT_OK && want_seed)
		rc = seed(m);
	if (rc == EXIT_OK)
		printf("database is at %s\n", m->list[m->count - 1].name);
	return rc;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "conninfo", required_argument, NULL, 'c' },
		{ "schema-dir", required_argument, NULL, 'd' },
		{ "seed", no_argument, NULL, 's' },
		{ "status", no_argument, NULL, 't' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	struct migrate m = { 0 };
	const char *conninfo = "";
	bool want_seed = false, want_status = false;
	int option, rc;

	schema_dir_find(m.dir);
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			conninfo = optarg;
			break;
		case 'd':
			snprintf(m.dir, sizeof(m.dir), "%s", optarg);
			break;
		case 's':
			want_seed = true;
			break;
		case 't':
			want_status = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_OK;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind != argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	rc = migrations_read(m.dir, &m.list, &m.count) == 0 ? EXIT_OK : EXIT_FILES;
	if (rc == EXIT_OK)
		rc = database_open(&m, conninfo);
	if (rc == EXIT_OK)
		rc = want_status ? status_print(&m) : migrate_all(&m, want_seed);
	if (rc == EXIT_OK || rc == EXIT_PENDING)
		advise(&m);
	PQfinish(m.conn);
	for (size_t i = 0; i < m.count; i++)
		free(m.list[i].sql);
	free(m.list);
	return rc;
}

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/registry.h"

enum { COPY_ROOM = 262144, LINE_MAX_SIZE = COLUMN_COUNT * (2 * VALUE_SIZE + 2) + 64 };

/* ---- the heading ---- */

static void take_heading(struct stage *s, const struct sheet_row *row)
{
	char shown[200];

	s->has_heading = true;
	for (size_t i = 0; i < SHEET_COLUMNS_MAX; i++)
		s->columns[i] = -1;
	for (size_t i = 0; i < row->count; i++) {
		const char *heading = row->cells[i].text;
		const int column = registry_column_find(heading);

		if (row->cells[i].kind == SHEET_EMPTY)
			continue;
		text_shown(heading, shown, sizeof(shown));
		if (column < 0) {
			problem_add(s->ignore_unknown ? &s->warnings : &s->problems, row->line, i,
				    "the heading '%s' is not known%s", shown,
				    s->ignore_unknown ? " and is passed over"
						      : ": correct it, or pass such columns over "
							"with --ignore-unknown");
		} else if (s->present[column]) {
			problem_add(&s->problems, row->line, i,
				    "the heading '%s' means %s, which column %s is already", shown,
				    registry_columns[column].name,
				    sheet_column_name(s->place[column], (char[8]){ 0 }));
		} else {
			s->columns[i] = column;
			s->present[column] = true;
			s->place[column] = i;
		}
	}
}

/* ---- the lines ---- */

static void copy_text(struct stage *s, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			s->copy[s->copy_used++] = '\\';
		s->copy[s->copy_used++] = *text;
	}
}

static int copy_flush(struct stage *s, struct error *err)
{
	PGconn *conn = s->registry->session.conn;

	if (s->copy_used > 0 && PQputCopyData(conn, s->copy, (int)s->copy_used) != 1)
		return error_set(err, ERROR_DATABASE, "list: %s", PQerrorMessage(conn));
	s->copy_used = 0;
	return 0;
}

static void progress(const struct stage *s, bool end)
{
	if (s->quiet || s->rows < 10000 || (s->rows % 10000 != 0 && !end))
		return;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%u lines read%s", s->rows, end ? "\n" : "");
	else if (end)
		fprintf(stderr, "%u lines read\n", s->rows);
}

/* False: the cell has a problem. */
static bool take_cell(struct stage *s, const struct sheet_row *row, int column,
		      char out[VALUE_SIZE])
{
	static const struct sheet_cell empty = { SHEET_EMPTY, "" };
	const size_t place = s->place[column];
	const struct sheet_cell *cell = place < row->count ? &row->cells[place] : &empty;
	char complaint[VALUE_SIZE], shown[80];

	if (registry_value(column, cell, s->sheet->epoch_1904, out, complaint))
		return true;
	problem_add(&s->problems, row->line, place, "%s '%s': %s", registry_columns[column].name,
		    text_shown(cell->text, shown, sizeof(shown)), complaint);
	out[0] = '\0';
	return false;
}

static int take_line(const struct sheet *sheet, const struct sheet_row *row, void *arg,
		     struct error *err)
{
	struct stage *s = arg;
	char value[VALUE_SIZE];

	(void)sheet;
	if (!s->has_heading) {
		take_heading(s, row);
		return s->present[COLUMN_vin]
			       ? 0
			       : error_set(err, ERROR_USAGE,
					   "line %u, the heading, has no column vin (车架号): %s",
					   row->line, "is it the first line of the list?");
	}
	s->rows++;
	progress(s, false);
	if (s->copy_used + LINE_MAX_SIZE > COPY_ROOM && copy_flush(s, err) != 0)
		return err->code;
	s->copy_used += (size_t)snprintf(s->copy + s->copy_used, 16, "%u", row->line);
	for (int c = 0; c < COLUMN_COUNT; c++) {
		bool good = true;

		value[0] = '\0';
		if (s->present[c])
			good = take_cell(s, row, c, value);
		if (c == COLUMN_vin && good && value[0] == '\0')
			problem_add(&s->problems, row->line, s->place[c], "the VIN is missing");
		if (c == COLUMN_vin && value[0] != '\0' && !vin_check_digit(value))
			problem_add(&s->warnings, row->line, s->place[c],
				    "vin %s: the check digit, position 9, does not fit", value);
		s->empty_cells += s->present[c] && good && value[0] == '\0';
		s->copy[s->copy_used++] = '\t';
		copy_text(s, value[0] != '\0' ? value : "");
		if (value[0] == '\0')
			s->copy_used += (size_t)snprintf(s->copy + s->copy_used, 3, "\\N");
	}
	s->copy[s->copy_used++] = '\n';
	return 0;
}

static int make_table(struct stage *s)
{
	char sql[2000];
	size_t used =
		(size_t)snprintf(sql, sizeof(sql), "CREATE TEMP TABLE registry_stage (line int");

	for (int c = 0; c < COLUMN_COUNT; c++)
		used += (size_t)snprintf(sql + used, sizeof(sql) - used, ", %s %s",
					 registry_columns[c].name, registry_columns[c].type);
	snprintf(sql + used, sizeof(sql) - used, ") ON COMMIT DROP");
	return session_run(&s->registry->session, "list", sql, 0, NULL, NULL, NULL,
			   &s->registry->err);
}

static int copy_end(struct stage *s, int rc)
{
	struct error *err = &s->registry->err;
	PGconn *conn = s->registry->session.conn;
	PGresult *result;

	if (rc == 0)
		rc = copy_flush(s, err);
	if (PQputCopyEnd(conn, rc == 0 ? NULL : "the list cannot be read") != 1 && rc == 0)
		rc = error_set(err, ERROR_DATABASE, "list: %s", PQerrorMessage(conn));
	while ((result = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(result) != PGRES_COMMAND_OK && rc == 0)
			rc = error_set(err, ERROR_DATABASE, "list: %s",
				       PQresultErrorMessage(result));
		PQclear(result);
	}
	return rc;
}

int stage_load(struct stage *s)
{
	struct session *session = &s->registry->session;
	struct error *err = &s->registry->err;
	PGresult *result;
	int rc;

	if ((rc = make_table(s)) != 0)
		return rc;
	if ((s->copy = malloc(COPY_ROOM)) == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	result = PQexec(session->conn, "COPY registry_stage FROM STDIN");
	if (PQresultStatus(result) != PGRES_COPY_IN)
		rc = error_set(err, ERROR_DATABASE, "list: %s", PQerrorMessage(session->conn));
	PQclear(result);
	if (rc == 0) {
		rc = sheet_rows(s->sheet, take_line, s, err);
		progress(s, true);
		if (rc == 0 && !s->has_heading)
			rc = error_set(err, ERROR_USAGE, "the list is empty");
		rc = copy_end(s, rc);
	}
	free(s->copy);
	s->copy = NULL;
	return rc != 0 ? rc
		       : session_run(session, "list", "ANALYZE registry_stage", 0, NULL, NULL, NULL,
				     err);
}

/* ---- the whole list ---- */

/* sql gives line and text of each problem. */
static int check(struct stage *s, int column, const char *sql)
{
	PGresult *result;
	int rc = session_run(&s->registry->session, "list", sql, 0, NULL, NULL, &result,
			     &s->registry->err);

	if (rc != 0)
		return rc;
	for (int row = 0; row < PQntuples(result); row++)
		problem_add(&s->problems, (unsigned)strtoul(PQgetvalue(result, row, 0), NULL, 10),
			    s->place[column], "%s", PQgetvalue(result, row, 1));
	PQclear(result);
	return 0;
}

int stage_check(struct stage *s, bool create_fleets)
{
	static const char twice[] =
		"SELECT line, format('vin %s: line %s has it already', vin, first) FROM"
		" (SELECT line, vin, min(line) OVER (PARTITION BY vin) AS first FROM registry_stage"
		" WHERE vin IS NOT NULL) l WHERE line > first";
	static const char fleets[] =
		"SELECT min(line), format('fleet ''%s'' is not there (%s lines): correct it, add it"
		" with fleet set, or say --create-fleets', fleet, count(*)) FROM registry_stage s"
		" WHERE fleet IS NOT NULL AND NOT EXISTS (SELECT FROM fleet f WHERE f.name = "
		"s.fleet)"
		" GROUP BY fleet";
	int rc = check(s, COLUMN_vin, twice);

	return rc != 0 || create_fleets ? rc : check(s, COLUMN_fleet, fleets);
}

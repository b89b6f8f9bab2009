/* export: all vehicles, as import takes them back; rows stream, memory does not grow. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xlsxwriter.h>

#include "tools/cli/registry.h"

/* Where the cells go. */
struct output {
	int fd; /* of a new file; -1: none */
	FILE *csv;
	lxw_workbook *book;
	lxw_worksheet *sheet;
	lxw_row_t line;
	bool failed;
};

/* ---- CSV ---- */

static void csv_cell(FILE *out, const char *text, bool first, bool number)
{
	const bool formula = !number && csv_is_formula(text);

	if (!first)
		fputc(',', out);
	if (!formula && strpbrk(text, ",\"\r\n") == NULL) {
		fputs(text, out);
		return;
	}
	fputs(formula ? "\"'" : "\"", out);
	for (; *text != '\0'; text++) {
		if (*text == '"')
			fputc('"', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

/* ---- both ---- */

static void put_cell(struct output *o, int column, const char *text, bool number)
{
	lxw_error error = LXW_NO_ERROR;

	if (o->csv != NULL)
		csv_cell(o->csv, text, column == 0, number);
	else if (number && text[0] != '\0')
		error = worksheet_write_number(o->sheet, o->line, (lxw_col_t)column,
					       strtod(text, NULL), NULL);
	else if (text[0] != '\0') /* a string cell is never run as a formula */
		error = worksheet_write_string(o->sheet, o->line, (lxw_col_t)column, text, NULL);
	o->failed |= error != LXW_NO_ERROR;
}

static void put_line_end(struct output *o)
{
	if (o->csv != NULL)
		fputs("\r\n", o->csv);
	o->line++;
}

static void put_heading(struct output *o, bool chinese)
{
	char text[64];

	if (o->csv != NULL)
		fputs("\xEF\xBB\xBF", o->csv); /* without it Excel takes the local code page */
	for (int c = 0; c < COLUMN_COUNT; c++)
		put_cell(o, c,
			 chinese ? registry_column_chinese(c, text, sizeof(text))
				 : registry_columns[c].name,
			 false);
	put_line_end(o);
}

static int put_rows(struct registry *r, struct output *o)
{
	PGresult *result;
	int rc = 0;

	while ((result = PQgetResult(r->session.conn)) != NULL) {
		const ExecStatusType status = PQresultStatus(result);

		if (status != PGRES_SINGLE_TUPLE && status != PGRES_TUPLES_OK && rc == 0)
			rc = error_set(&r->err, ERROR_DATABASE, "export: %s",
				       PQresultErrorMessage(result));
		for (int row = 0; rc == 0 && row < PQntuples(result); row++) {
			for (int c = 0; c < COLUMN_COUNT; c++)
				put_cell(o, c, PQgetvalue(result, row, c),
					 registry_columns[c].kind == KIND_NUMBER);
			put_line_end(o);
		}
		PQclear(result);
	}
	if (rc == 0 && (o->failed || (o->csv != NULL && ferror(o->csv))))
		rc = error_errno(&r->err, ERROR_IO, "the export cannot be written");
	return rc;
}

static int send_query(struct registry *r)
{
	char sql[2000];
	size_t used = (size_t)snprintf(sql, sizeof(sql), "SELECT ");

	/* Times as text with a time of day: a bare date would mean the end of its day. */
	for (int c = 0; c < COLUMN_COUNT; c++)
		used += (size_t)snprintf(sql + used, sizeof(sql) - used,
					 registry_columns[c].kind == KIND_TIME
						 ? "%sto_char(%s, 'YYYY-MM-DD HH24:MI:SS')"
						 : "%s%s",
					 c > 0 ? ", " : "", registry_columns[c].name);
	snprintf(sql + used, sizeof(sql) - used,
		 " FROM registry.vehicles ORDER BY vin COLLATE \"C\"");
	if (!PQsendQuery(r->session.conn, sql) || !PQsetSingleRowMode(r->session.conn))
		return error_set(&r->err, ERROR_DATABASE, "export: %s",
				 PQerrorMessage(r->session.conn));
	return 0;
}

/* ---- the file ---- */

/* The library opens by name, and would follow a link that lies there: it gets our new file. */
static int open_book(struct output *o, struct error *err)
{
	lxw_workbook_options options = { .constant_memory = LXW_TRUE };
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", o->fd);
	o->book = workbook_new_opt(path, &options);
	o->sheet = o->book != NULL ? workbook_add_worksheet(o->book, "vehicles") : NULL;
	return o->sheet != NULL ? 0 : error_set(err, ERROR_MEMORY, "no memory");
}

/* path NULL: stdout. */
static int open_output(struct output *o, const char *path, bool xlsx, struct error *err)
{
	if (path == NULL) {
		o->csv = stdout;
		return 0;
	}
	o->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (o->fd < 0)
		return error_errno(err, ERROR_IO, "cannot write %s", path);
	if (xlsx)
		return open_book(o, err);
	o->csv = fdopen(o->fd, "w");
	return o->csv != NULL ? 0 : error_set(err, ERROR_MEMORY, "no memory");
}

static int close_output(struct output *o, struct error *err)
{
	const lxw_error error = o->book != NULL ? workbook_close(o->book) : LXW_NO_ERROR;
	bool failed = o->csv != NULL && (fflush(o->csv) != 0 || ferror(o->csv));

	if (o->fd >= 0) {
		failed |= fsync(o->fd) != 0;
		failed |= (o->csv != NULL ? fclose(o->csv) : close(o->fd)) != 0;
	}
	if (error != LXW_NO_ERROR)
		return error_set(err, ERROR_IO, "XLSX: %s", lxw_strerror(error));
	return failed ? error_errno(err, ERROR_IO, "the export cannot be written") : 0;
}

/* Aside, then in place; what is there already stays. */
static int write_file(const struct arguments *a, struct registry *r, const char *out, bool xlsx)
{
	struct output o = { .fd = -1 };
	char aside[4096];
	int rc, closed;

	if (snprintf(aside, sizeof(aside), "%s.%ld", out != NULL ? out : "", (long)getpid()) >=
	    (int)sizeof(aside))
		return error_set(&r->err, ERROR_USAGE, "the name of the file is too long");
	if (out != NULL && access(out, F_OK) == 0)
		return error_set(&r->err, ERROR_USAGE, "%s is there already", out);
	if ((rc = open_output(&o, out != NULL ? aside : NULL, xlsx, &r->err)) == 0) {
		put_heading(&o, argument_given(a, "chinese"));
		if ((rc = send_query(r)) == 0)
			rc = put_rows(r, &o);
	}
	closed = close_output(&o, rc == 0 ? &r->err : NULL);
	rc = rc != 0 ? rc : closed;
	if (out != NULL && rc == 0 &&
	    renameat2(AT_FDCWD, aside, AT_FDCWD, out, RENAME_NOREPLACE) != 0)
		rc = error_errno(&r->err, ERROR_IO, "cannot write %s", out);
	if (o.fd >= 0 && rc != 0) /* else it was never ours */
		unlink(aside);
	if (rc == 0 && out != NULL && !argument_given(a, "quiet"))
		fprintf(stderr, "%u vehicles written to %s\n", (unsigned)o.line - 1, out);
	return rc;
}

int registry_export(const struct arguments *a, void *context)
{
	struct registry *r = context;
	const char *out = argument(a, "out"), *format = argument(a, "format");
	const size_t n = out != NULL ? strlen(out) : 0;
	bool xlsx = n > 5 && strcmp(out + n - 5, ".xlsx") == 0;
	int rc;

	if (format != NULL) {
		xlsx = strcmp(format, "xlsx") == 0;
		if (!xlsx && strcmp(format, "csv") != 0)
			return argument_wrong(a, "--format is csv or xlsx");
	}
	if (xlsx && out == NULL)
		return argument_wrong(a, "an XLSX needs --out FILE");
	if ((rc = registry_database(r, a)) != 0)
		return rc;
	return write_file(a, r, out, xlsx);
}

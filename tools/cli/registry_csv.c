/* CSV as RFC 4180 has it, in memory, cell by cell, in place. */
#include <string.h>

#include "tools/cli/registry_sheet.h"

struct reader {
	char *at;
	unsigned line;
	struct sheet_cell cells[SHEET_COLUMNS_MAX];
	size_t count;
};

/* The cell between quotes; a doubled quote is one.  at: behind the first quote. */
static int quoted(struct reader *r, char **ret, struct error *err)
{
	const unsigned began = r->line;
	char *to = r->at;

	*ret = r->at;
	for (;; r->at++) {
		if (*r->at == '\0')
			return error_set(err, ERROR_CORRUPT,
					 "line %u: a quote is opened and never closed", began);
		if (*r->at == '"' && r->at[1] != '"')
			break;
		if (*r->at == '"')
			r->at++;
		r->line += *r->at == '\n';
		*to++ = *r->at;
	}
	r->at++;
	if (strchr(",\r\n", *r->at) == NULL)
		return error_set(err, ERROR_CORRUPT, "line %u: text behind a closing quote",
				 r->line);
	*to = '\0'; /* on or before the closing quote */
	return 0;
}

/* Takes the cell; *ret_last: it ends the line.  The separator behind it becomes its NUL. */
static int cell(struct reader *r, bool *ret_last, struct error *err)
{
	struct sheet_cell *c = &r->cells[r->count];
	char *text, separator;
	int rc = 0;

	if (r->count == SHEET_COLUMNS_MAX)
		return error_set(err, ERROR_FULL, "line %u has more than %d columns", r->line,
				 SHEET_COLUMNS_MAX);
	if (*r->at == '"') {
		r->at++;
		rc = quoted(r, &text, err);
	} else {
		text = r->at;
		r->at += strcspn(r->at, ",\r\n");
	}
	if (rc != 0)
		return rc;
	separator = *r->at;
	*ret_last = separator != ',';
	if (separator != '\0')
		*r->at++ = '\0';
	if (separator == '\r' && *r->at == '\n')
		r->at++;
	text = sheet_trim(text);
	c->text = text;
	c->kind = text[0] == '\0'		  ? SHEET_EMPTY
		  : strlen(text) > SHEET_CELL_MAX ? SHEET_TOO_LONG
						  : SHEET_TEXT;
	r->count++;
	return 0;
}

int csv_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err)
{
	struct reader r = { .at = (char *)s->bytes, .line = 1 };
	unsigned rows = 0;
	int rc = 0;

	if (strncmp(r.at, "\xEF\xBB\xBF", 3) == 0)
		r.at += 3;
	while (rc == 0 && *r.at != '\0') {
		const unsigned line = r.line;
		bool last = false, empty = true;

		for (r.count = 0; rc == 0 && !last;) {
			rc = cell(&r, &last, err);
			empty &= rc != 0 || r.cells[r.count - 1].kind == SHEET_EMPTY;
		}
		r.line++;
		if (rc == 0 && ++rows > SHEET_ROWS_MAX)
			rc = error_set(err, ERROR_FULL, "more than %d lines", SHEET_ROWS_MAX);
		if (rc == 0 && !empty)
			rc = row(s,
				 &(struct sheet_row){
					 .line = line, .count = r.count, .cells = r.cells },
				 arg, err);
	}
	return rc;
}

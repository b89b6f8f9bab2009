/* The rows of a sheet of an XLSX file: texts shared or inline, numbers as written, no formulas. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry_sheet.h"
#include "tools/cli/registry_xlsx.h"

enum { ENTRIES_MAX = 10000, ROW_BYTES = SHEET_COLUMNS_MAX * (SHEET_CELL_MAX + 2) };

struct reader {
	struct sheet *sheet;
	sheet_row_fn *row;
	void *arg;
	const struct strings *strings;
	unsigned line, rows;
	struct sheet_cell cells[SHEET_COLUMNS_MAX];
	size_t count; /* columns of the row so far */
	size_t column;
	char type[16];
	bool in_value, in_row, in_cell, has_formula, too_long;
	unsigned phonetic;
	char value[SHEET_CELL_MAX + 1]; /* of the cell that is read */
	size_t value_size;
	char *bytes; /* texts of the row */
	size_t used;
};

/* "C7" -> 2; without a reference the cell stands behind the one before. */
static size_t column_of(const char *reference, size_t otherwise)
{
	size_t column = 0;

	if (reference == NULL)
		return otherwise;
	for (; *reference >= 'A' && *reference <= 'Z' && column <= SHEET_COLUMNS_MAX; reference++)
		column = column * 26 + (size_t)(*reference - 'A') + 1;
	return column - 1; /* without a letter: beyond every bound */
}

static void row_start(struct xml_part *p, struct reader *r, const char **attributes)
{
	const char *number = xml_attribute(attributes, "r");
	unsigned long line = number != NULL ? strtoul(number, NULL, 10) : r->line + 1;

	if (line <= r->line || line > SHEET_ROWS_MAX)
		p->rc = error_set(p->err, ERROR_CORRUPT, "row %lu stands behind row %u", line,
				  r->line);
	r->line = (unsigned)line;
	r->count = r->used = 0;
	r->column = (size_t)-1;
	r->in_row = true;
}

static void cell_start(struct xml_part *p, struct reader *r, const char **attributes)
{
	const char *type = xml_attribute(attributes, "t");

	r->column = column_of(xml_attribute(attributes, "r"), r->column + 1);
	snprintf(r->type, sizeof(r->type), "%s", type != NULL ? type : "n");
	r->value_size = 0;
	r->in_cell = true;
	r->has_formula = r->too_long = r->in_value = false;
	r->phonetic = 0;
	if (r->column >= SHEET_COLUMNS_MAX) {
		p->rc = error_set(p->err, ERROR_FULL, "row %u has more than %d columns", r->line,
				  SHEET_COLUMNS_MAX);
		return;
	}
	while (r->count <= r->column)
		r->cells[r->count++] = (struct sheet_cell){ SHEET_EMPTY, "" };
}

static void on_start(struct xml_part *p, const char *name, const char **attributes)
{
	struct reader *r = p->arg;

	if (strcmp(name, "row") == 0)
		row_start(p, r, attributes);
	else if (strcmp(name, "c") == 0 && r->in_row)
		cell_start(p, r, attributes);
	else if (strcmp(name, "f") == 0 && r->in_cell)
		r->has_formula = true;
	else if (strcmp(name, "rPh") == 0)
		r->phonetic++;
	r->in_value = r->in_cell && r->phonetic == 0 &&
		      (strcmp(name, "v") == 0 || strcmp(name, "t") == 0);
}

static void on_text(struct xml_part *p, const char *text, int size)
{
	struct reader *r = p->arg;

	if (!r->in_value)
		return;
	if (r->value_size + (size_t)size > SHEET_CELL_MAX) {
		r->too_long = true;
		return;
	}
	memcpy(r->value + r->value_size, text, (size_t)size);
	r->value_size += (size_t)size;
}

/* What the cell shows and what it is. */
static struct sheet_cell cell_value(struct reader *r)
{
	const char *text = r->value;
	struct sheet_cell c = { SHEET_TEXT, "" };
	char *copy;

	r->value[r->value_size] = '\0';
	if (strcmp(r->type, "s") == 0 && r->value_size > 0) {
		text = strings_get(r->strings, r->value);
		r->too_long = text != NULL && strlen(text) > SHEET_CELL_MAX;
		text = text != NULL && !r->too_long ? text : "";
	} else if (strcmp(r->type, "b") == 0) {
		text = r->value[0] == '1' ? "TRUE" : "FALSE";
	} else if (strcmp(r->type, "n") == 0) {
		c.kind = SHEET_NUMBER;
	} else if (strcmp(r->type, "e") == 0) {
		c.kind = SHEET_ERROR;
	}
	copy = r->bytes + r->used;
	r->used += (size_t)snprintf(copy, SHEET_CELL_MAX + 1, "%s", text) + 1;
	c.text = sheet_trim(copy);
	if (r->has_formula)
		c.kind = SHEET_FORMULA;
	else if (r->too_long)
		c.kind = SHEET_TOO_LONG;
	else if (c.text[0] == '\0')
		c.kind = SHEET_EMPTY;
	return c;
}

static void row_end(struct xml_part *p, struct reader *r)
{
	bool empty = true;

	r->in_row = false;
	for (size_t i = 0; i < r->count; i++)
		empty &= r->cells[i].kind == SHEET_EMPTY;
	if (!empty)
		p->rc = r->row(r->sheet,
			       &(struct sheet_row){
				       .line = r->line, .count = r->count, .cells = r->cells },
			       r->arg, p->err);
}

static void on_end(struct xml_part *p, const char *name)
{
	struct reader *r = p->arg;

	r->in_value = false;
	if (strcmp(name, "rPh") == 0 && r->phonetic > 0)
		r->phonetic--;
	if (strcmp(name, "c") == 0 && r->in_cell) {
		r->in_cell = false;
		/* A cell that the row has twice cannot fill the row's bytes. */
		if (r->used + SHEET_CELL_MAX + 1 > ROW_BYTES)
			p->rc = error_set(p->err, ERROR_CORRUPT, "row %u repeats its cells",
					  r->line);
		else
			r->cells[r->column] = cell_value(r);
	} else if (strcmp(name, "row") == 0 && r->in_row) {
		row_end(p, r);
	}
}

static int read_sheet(zip_t *zip, struct sheet *s, sheet_row_fn *row, void *arg, struct error *err)
{
	struct reader r = { .sheet = s, .row = row, .arg = arg, .bytes = malloc(ROW_BYTES) };
	struct xml_part p = {
		.start = on_start, .end = on_end, .text = on_text, .arg = &r, .err = err
	};
	struct strings strings = { 0 };
	char name[PART_NAME_SIZE];
	int rc;

	r.strings = &strings;
	if (r.bytes == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	if ((rc = workbook_read(zip, name, &s->epoch_1904, err)) == 0 &&
	    (rc = strings_read(zip, &strings, err)) == 0)
		rc = xml_part_read(zip, name, SHEET_UNPACK_MAX, &p);
	strings_free(&strings);
	free(r.bytes);
	return rc;
}

int xlsx_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err)
{
	zip_error_t problem;
	zip_source_t *source;
	zip_t *zip;
	int rc;

	zip_error_init(&problem);
	source = zip_source_buffer_create(s->bytes, s->size, 0, &problem);
	zip = source != NULL ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &problem)
			     : NULL;
	if (zip == NULL) {
		rc = error_set(err, ERROR_CORRUPT,
			       "the file cannot be unpacked (%s): it is damaged or cut off",
			       zip_error_strerror(&problem));
		zip_source_free(source);
	} else if (zip_get_num_entries(zip, 0) > ENTRIES_MAX) {
		rc = error_set(err, ERROR_FULL, "the file has more than %d parts", ENTRIES_MAX);
		zip_discard(zip);
	} else {
		rc = read_sheet(zip, s, row, arg, err);
		zip_discard(zip);
	}
	zip_error_fini(&problem);
	return rc;
}

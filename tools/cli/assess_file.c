/* A trip out of a CSV file whose columns are the names of the API. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/query/instant.h"
#include "tools/cli/assess.h"
#include "tools/cli/registry_sheet.h"
#include "tools/cli/table.h"

/* What a column of the file is: a field of the stream, or one of these. */
enum { COLUMN_IGNORED = -1, COLUMN_AT = -2 };

struct reader {
	struct trip_file *file;
	size_t column_count; /* 0: the heading has not come */
	int columns[SHEET_COLUMNS_MAX];
	size_t at_column;
	size_t strange[STREAM_FIELD_COUNT]; /* values that the field cannot hold */
};

/* ---- the heading ---- */

/* Position has its own two columns, with their signs; the API does not show the status bits. */
static int column_of(const char *name)
{
	if (strcmp(name, "at") == 0)
		return COLUMN_AT;
	for (int i = 0; i < STREAM_FIELD_COUNT; i++)
		if (i != STREAM_position_status && strcmp(name, info_stream.fields[i].name) == 0)
			return i;
	return COLUMN_IGNORED;
}

static void tell_ignored(const struct reader *r, const struct sheet_row *row)
{
	const char *before = "haulgate-assess: note: columns not used: ";
	char name[64];

	for (size_t i = 0; i < row->count; i++) {
		if (r->columns[i] != COLUMN_IGNORED)
			continue;
		fprintf(stderr, "%s%s", before, text_shown(row->cells[i].text, name, sizeof(name)));
		before = ", ";
	}
	if (strcmp(before, ", ") == 0)
		fputc('\n', stderr);
}

static int heading(struct reader *r, const struct sheet_row *row, struct error *err)
{
	bool seen_at = false, seen[STREAM_FIELD_COUNT] = { false };

	for (size_t i = 0; i < row->count; i++) {
		const int column = column_of(row->cells[i].text);
		bool *is_seen = column >= 0 ? &seen[column] : &seen_at;

		r->columns[i] = column;
		if (column == COLUMN_IGNORED)
			continue;
		if (*is_seen)
			return error_set(err, ERROR_CORRUPT, "line %u: column '%s' stands twice",
					 row->line, row->cells[i].text);
		*is_seen = true;
		if (column == COLUMN_AT)
			r->at_column = i;
	}
	if (!seen_at)
		return error_set(err, ERROR_CORRUPT, "line %u: no column 'at' in the heading",
				 row->line);
	r->column_count = row->count;
	tell_ignored(r, row);
	return 0;
}

/* ---- cells ---- */

/* Unix seconds, ".0" behind them allowed, or RFC 3339 as the API prints it. */
static bool read_at(const char *text, int64_t *ret)
{
	const size_t digits = strspn(text, "0123456789");
	const char *fraction = text + digits;

	if (digits > 0 && digits <= 10 && (*fraction == '\0' || *fraction == '.')) {
		if (*fraction == '.' && fraction[1 + strspn(fraction + 1, "0")] != '\0')
			return false;
		*ret = strtoll(text, NULL, 10);
		return true;
	}
	/* A date alone is a day, not a second. */
	return strchr(text, ':') != NULL && instant_parse(text, false, ret);
}

static int at_of(struct reader *r, const struct sheet_row *row, int64_t *ret, struct error *err)
{
	const struct trip_file *f = r->file;
	const char *text = r->at_column < row->count ? row->cells[r->at_column].text : "";
	char shown[64];

	if (!read_at(text, ret))
		return error_set(err, ERROR_CORRUPT,
				 "line %u: at: '%s' is neither unix seconds nor a time such as "
				 "2026-11-16T08:00:00+08:00",
				 row->line, text_shown(text, shown, sizeof(shown)));
	if (f->count > 0 && *ret < f->rows[f->count - 1].at)
		return error_set(err, ERROR_CORRUPT,
				 "line %u: at goes back by %" PRId64
				 " s: a trip is in the order of "
				 "time",
				 row->line, f->rows[f->count - 1].at - *ret);
	return 0;
}

/* Empty, or what programs write for "no value", is absent. */
static bool read_value(const char *text, double *ret)
{
	char *end;

	*ret = NAN;
	if (text[0] == '\0' || strcasecmp(text, "nan") == 0 || strcasecmp(text, "null") == 0)
		return true;
	if (text[strspn(text, "0123456789.eE+-")] != '\0')
		return false;
	*ret = strtod(text, &end);
	return end != text && *end == '\0';
}

/* Up to half a step above the largest, as the wire rounds; signs of a position stand in its status.
 */
static bool holds(int column, double value)
{
	const struct field *f = &info_stream.fields[column];
	const bool position = column == STREAM_lon || column == STREAM_lat;
	const double most = f->max * f->scale + f->bias;

	return value >= (position ? -most : f->bias) && value <= most + f->scale / 2;
}

static int values_of(struct reader *r, const struct sheet_row *row,
		     double values[STREAM_FIELD_COUNT], struct error *err)
{
	char shown[64];

	for (size_t i = 0; i < row->count; i++) {
		const int column = r->columns[i];

		if (column < 0)
			continue;
		if (!read_value(row->cells[i].text, &values[column]))
			return error_set(err, ERROR_CORRUPT, "line %u: %s: '%s' is no number",
					 row->line, info_stream.fields[column].name,
					 text_shown(row->cells[i].text, shown, sizeof(shown)));
		if (!isnan(values[column]) && !holds(column, values[column])) {
			values[column] = NAN;
			r->strange[column]++;
		}
	}
	return 0;
}

/* ---- a row ---- */

static void body_of(double values[STREAM_FIELD_COUNT], uint8_t *body)
{
	enum { NO_FIX = 1, SOUTH = 2, WEST = 4 };
	double *lon = &values[STREAM_lon], *lat = &values[STREAM_lat];

	values[STREAM_position_status] = isnan(*lon) || isnan(*lat)
						 ? NO_FIX
						 : (*lat < 0 ? SOUTH : 0) + (*lon < 0 ? WEST : 0);
	*lon = fabs(*lon);
	*lat = fabs(*lat);
	for (size_t i = 0; i < STREAM_FIELD_COUNT; i++)
		field_put(&info_stream.fields[i], body, values[i]);
}

static void engine_of(const double values[STREAM_FIELD_COUNT], struct engine_values *ret)
{
#define TAKE(name) ret->name = values[STREAM_##name];
	ENGINE_VALUES(TAKE)
#undef TAKE
	ret->nox_downstream_ppm = nox_reading_ppm(ret->nox_downstream_ppm);
	ret->fuel_flow_lph = fuel_reading_lph(ret->fuel_flow_lph);
}

static int grow(struct trip_file *f, struct error *err)
{
	const size_t size = f->size > 0 ? 2 * f->size : 4096;
	struct trip_row *rows = realloc(f->rows, size * sizeof(*rows));

	if (rows == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for %zu samples", size);
	f->rows = rows;
	f->size = size;
	return 0;
}

static int row_take(const struct sheet *s, const struct sheet_row *row, void *arg,
		    struct error *err)
{
	struct reader *r = arg;
	struct trip_file *f = r->file;
	double values[STREAM_FIELD_COUNT];
	int64_t at;
	int rc;

	(void)s;
	if (r->column_count == 0)
		return heading(r, row, err);
	if (row->count > r->column_count)
		return error_set(err, ERROR_CORRUPT, "line %u has %zu cells, the heading %zu",
				 row->line, row->count, r->column_count);
	for (size_t i = 0; i < STREAM_FIELD_COUNT; i++)
		values[i] = NAN;
	if ((rc = at_of(r, row, &at, err)) != 0 || (rc = values_of(r, row, values, err)) != 0 ||
	    (f->count == f->size && (rc = grow(f, err)) != 0))
		return rc;
	f->rows[f->count] = (struct trip_row){ .at = at };
	engine_of(values, &f->rows[f->count].engine);
	body_of(values, f->rows[f->count].body);
	f->count++;
	return 0;
}

static void tell_strange(const struct reader *r)
{
	for (size_t i = 0; i < STREAM_FIELD_COUNT; i++)
		if (r->strange[i] > 0)
			fprintf(stderr,
				"haulgate-assess: note: %zu values of %s are outside of what the "
				"field can hold; they count as absent\n",
				r->strange[i], info_stream.fields[i].name);
}

int trip_file_read(const char *path, struct trip_file *ret, struct error *err)
{
	struct reader r = { .file = ret };
	struct sheet sheet;
	int rc;

	*ret = (struct trip_file){ 0 };
	if ((rc = sheet_open(path, &sheet, err)) == 0 && strcmp(sheet.format, "XLSX") == 0)
		rc = error_set(err, ERROR_USAGE, "%s is an XLSX: save it as CSV", path);
	if (rc == 0 && (rc = sheet_rows(&sheet, row_take, &r, err)) == 0) {
		tell_strange(&r);
		if (ret->count == 0)
			rc = error_set(err, ERROR_CORRUPT, "%s holds no sample", path);
	}
	sheet_close(&sheet);
	return rc;
}

void trip_file_free(struct trip_file *f)
{
	free(f->rows);
	*f = (struct trip_file){ 0 };
}

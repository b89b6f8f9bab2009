#include "tools/cli/registry_columns.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tools/cli/table.h"

const struct registry_column registry_columns[COLUMN_COUNT] = {
#define ROW(name_, headings_, place_, kind_, type_, low_, high_, values_, doc_)                    \
	{ #name_, headings_, PLACE_##place_, KIND_##kind_, type_, low_, high_, values_, doc_ },
	REGISTRY_COLUMNS(ROW)
#undef ROW
};

/* Whether text is one of the alternatives a|b|c of list, which ends at a blank or NUL. */
static bool is_one_of(const char *list, const char *text)
{
	const size_t n = strlen(text);

	for (;; list++) {
		const size_t size = strcspn(list, "| ");

		if (size == n && strncasecmp(list, text, n) == 0)
			return true;
		list += size;
		if (*list != '|')
			return false;
	}
}

int registry_column_find(const char *heading)
{
	char text[VALUE_SIZE];

	/* "参考扭矩 (Nm)" is 参考扭矩. */
	snprintf(text, sizeof(text), "%s", heading);
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < COLUMN_COUNT; i++)
			if (strcasecmp(text, registry_columns[i].name) == 0 ||
			    is_one_of(registry_columns[i].headings, text))
				return i;
		text[strcspn(text, "( ")] = '\0';
		if (strstr(text, "（") != NULL)
			*strstr(text, "（") = '\0';
	}
	return -1;
}

const char *registry_column_chinese(int column, char *out, size_t size)
{
	const char *text = registry_columns[column].headings;

	snprintf(out, size, "%.*s", (int)strcspn(text, "|"), text);
	return out;
}

/* ---- VIN ---- */

bool vin_check_digit(const char *vin)
{
	/* Values of A to Z; I, O and Q have none. */
	static const int values[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4,
				      5, 0, 7, 0, 9, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const int weights[] = { 8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2 };
	int sum = 0;

	for (size_t i = 0; i < 17; i++)
		sum += weights[i] *
		       (vin[i] >= 'A' && vin[i] <= 'Z' ? values[vin[i] - 'A'] : vin[i] - '0');
	return vin[8] == "0123456789X"[sum % 11];
}

static bool vin_value(const char *text, char *out, char *complaint)
{
	const size_t n = strlen(text);

	snprintf(complaint, VALUE_SIZE, "a VIN is 17 letters and digits without I, O and Q");
	if (n != 17)
		return false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];

		if (!((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z')) || c == 'I' || c == 'O' ||
		    c == 'Q')
			return false;
		out[i] = c;
	}
	out[n] = '\0';
	return true;
}

/* ---- text ---- */

static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += (*text & 0xC0) != 0x80;
	return n;
}

static bool text_value(const struct registry_column *c, const char *text, char *out,
		       char *complaint)
{
	const size_t n = characters(text);

	snprintf(complaint, VALUE_SIZE,
		 "allowed are %.0f to %.0f characters, no control characters", c->low, c->high);
	if (n < (size_t)c->low || n > (size_t)c->high)
		return false;
	for (const char *p = text; *p != '\0'; p += utf8_size(p))
		if ((unsigned char)*p < 0x20 || *p == 0x7F || utf8_size(p) == 0)
			return false;
	if (csv_is_formula(text)) {
		snprintf(complaint, VALUE_SIZE,
			 "it begins like a formula; a text may not begin with = + - @");
		return false;
	}
	snprintf(out, VALUE_SIZE, "%s", text);
	return true;
}

static bool code_value(const struct registry_column *c, const char *text, char *out,
		       char *complaint)
{
	const size_t n = strlen(text);

	if (c->low == c->high)
		snprintf(complaint, VALUE_SIZE, "allowed are %.0f letters and digits", c->low);
	else
		snprintf(complaint, VALUE_SIZE, "allowed are %.0f to %.0f letters, digits, - and _",
			 c->low, c->high);
	if (n < (size_t)c->low || n > (size_t)c->high)
		return false;
	for (const char *p = text; *p != '\0'; p++) {
		const bool sign = (*p == '-' || *p == '_') && c->low < c->high;

		if (!((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= 'a' && *p <= 'z') || sign))
			return false;
	}
	snprintf(out, VALUE_SIZE, "%s", text);
	return true;
}

/* A text column whose cell is a number: a plate or serial that the spreadsheet took for one. */
static bool number_as_text(const char *text, char out[32], char *complaint)
{
	const double value = strtod(text, NULL);

	if (fabs(value) >= 1e15) {
		snprintf(complaint, VALUE_SIZE,
			 "the spreadsheet made it a number and cut it at 15 digits: format the "
			 "column as text and enter it again");
		return false;
	}
	if (floor(value) < value || value < 0)
		snprintf(out, 32, "%.15g", value);
	else
		snprintf(out, 32, "%.0f", value);
	return true;
}

/* ---- choices and numbers ---- */

static bool choice_value(const struct registry_column *c, const char *text, char *out,
			 char *complaint)
{
	size_t used = (size_t)snprintf(complaint, VALUE_SIZE, "allowed are");

	for (const char *p = c->values; *p != '\0'; p += strspn(p, " ")) {
		const size_t name = strcspn(p, "="), size = strcspn(p, " ");
		const size_t first = strcspn(p + name + 1, "| ");

		snprintf(out, VALUE_SIZE, "%.*s", (int)name, p);
		if (strcasecmp(out, text) == 0 || is_one_of(p + name + 1, text))
			return true;
		used += (size_t)snprintf(complaint + used, VALUE_SIZE - used, "%s %.*s (%.*s)",
					 p == c->values ? "" : ",", (int)name, p, (int)first,
					 p + name + 1);
		p += size;
	}
	return false;
}

static bool number_value(const struct registry_column *c, const char *text, char *out,
			 char *complaint)
{
	char *end;
	double value = strtod(text, &end);

	snprintf(complaint, VALUE_SIZE, "allowed is a number from %g to %g", c->low, c->high);
	if (end == text || *end != '\0' || strpbrk(text, "xXpPnN") != NULL || !(value >= c->low) ||
	    !(value <= c->high))
		return false;
	snprintf(out, VALUE_SIZE, "%.9g", value);
	return true;
}

/* ---- times, as Beijing has them ---- */

static bool time_fields(const char *text, struct tm *tm, bool *ret_date_only)
{
	char a = 0, b = 0, t = 0;
	int n = 0, all = 0, fields;

	*tm = (struct tm){ 0 };
	fields = sscanf(text, "%4d%c%2d%c%2d%n", &tm->tm_year, &a, &tm->tm_mon, &b, &tm->tm_mday,
			&n);
	if (fields != 5 || a != b || (a != '-' && a != '/' && a != '.'))
		return false;
	*ret_date_only = text[n] == '\0';
	if (*ret_date_only)
		return true;
	text += n;
	fields = sscanf(text, "%c%2d:%2d%n:%2d%n", &t, &tm->tm_hour, &tm->tm_min, &n, &tm->tm_sec,
			&all);
	if (fields < 3 || (t != ' ' && t != 'T'))
		return false;
	text += fields == 4 ? all : n;
	return *text == '\0' || strcmp(text, "+08:00") == 0;
}

/* Days since 1899-12-30, or since 1904-01-01, with the time of day as a fraction. */
static bool time_serial(const char *text, bool epoch_1904, struct tm *tm, bool *ret_date_only)
{
	char *end;
	double serial = strtod(text, &end) + (epoch_1904 ? 1462 : 0);
	time_t at;

	/* 1900-03-01 to 2199; before it Excel counts a day that never was. */
	if (end == text || *end != '\0' || !(serial >= 61) || !(serial < 109575))
		return false;
	at = (time_t)llround((serial - 25569) * 86400);
	*ret_date_only = at % 86400 == 0;
	gmtime_r(&at, tm);
	tm->tm_year += 1900;
	tm->tm_mon += 1;
	return true;
}

static bool time_value(int column, const struct sheet_cell *cell, bool epoch_1904, char *out,
		       char *complaint)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool date_only = false, leap;
	struct tm tm;

	snprintf(complaint, VALUE_SIZE,
		 "allowed is a date from 2000 to 2199 such as 2026-11-16 or 2026/11/16 08:00:00");
	if (!(cell->kind == SHEET_NUMBER ? time_serial(cell->text, epoch_1904, &tm, &date_only)
					 : time_fields(cell->text, &tm, &date_only)))
		return false;
	leap = tm.tm_year % 4 == 0 && (tm.tm_year % 100 != 0 || tm.tm_year % 400 == 0);
	if (tm.tm_year < 2000 || tm.tm_year > 2199 || tm.tm_mon < 1 || tm.tm_mon > 12 ||
	    tm.tm_mday < 1 || tm.tm_mday > days[tm.tm_mon - 1] + (tm.tm_mon == 2 && leap) ||
	    tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
	    tm.tm_sec > 59)
		return false;
	if (date_only && column == COLUMN_valid_to) {
		tm.tm_hour = 23;
		tm.tm_min = tm.tm_sec = 59;
	}
	snprintf(out, VALUE_SIZE, "%04d-%02d-%02d %02d:%02d:%02d+08", tm.tm_year, tm.tm_mon,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return true;
}

/* ---- a cell ---- */

bool registry_value(int column, const struct sheet_cell *cell, bool epoch_1904,
		    char out[VALUE_SIZE], char complaint[VALUE_SIZE])
{
	const struct registry_column *c = &registry_columns[column];
	const char *text = cell->text;
	char number[32];

	out[0] = complaint[0] = '\0';
	switch (cell->kind) {
	case SHEET_EMPTY:
		return true;
	case SHEET_FORMULA:
		snprintf(complaint, VALUE_SIZE, "a formula is not taken: paste its value");
		return false;
	case SHEET_ERROR:
		snprintf(complaint, VALUE_SIZE, "the spreadsheet shows an error here");
		return false;
	case SHEET_TOO_LONG:
		snprintf(complaint, VALUE_SIZE, "the cell has more than %d bytes", SHEET_CELL_MAX);
		return false;
	case SHEET_NUMBER:
		if (c->kind == KIND_NUMBER || c->kind == KIND_TIME)
			break;
		if (!number_as_text(text, number, complaint))
			return false;
		text = number;
		break;
	case SHEET_TEXT:
		/* The export's guard against formulas, taken off again. */
		if (text[0] == '\'' && csv_is_formula(text + 1))
			text++;
		break;
	}
	switch (c->kind) {
	case KIND_VIN:
		return vin_value(text, out, complaint);
	case KIND_TEXT:
		return text_value(c, text, out, complaint);
	case KIND_CODE:
		return code_value(c, text, out, complaint);
	case KIND_CHOICE:
		return choice_value(c, text, out, complaint);
	case KIND_NUMBER:
		return number_value(c, text, out, complaint);
	case KIND_TIME:
		return time_value(column, cell, epoch_1904, out, complaint);
	}
	return false;
}

/* ---- the page ---- */

static void put_allowed(FILE *out, const struct registry_column *c)
{
	switch (c->kind) {
	case KIND_VIN:
		fputs("17 letters and digits without I, O, Q", out);
		break;
	case KIND_TEXT:
		fprintf(out, "%.0f to %.0f characters", c->low, c->high);
		break;
	case KIND_CODE:
		if (c->low == c->high)
			fprintf(out, "%.0f letters and digits", c->low);
		else
			fprintf(out, "%.0f to %.0f letters, digits, `-`, `_`", c->low, c->high);
		break;
	case KIND_NUMBER:
		fprintf(out, "%g to %g", c->low, c->high);
		break;
	case KIND_TIME:
		fputs("2026-11-16, 2026/11/16 08:00:00, or a date of the spreadsheet", out);
		break;
	case KIND_CHOICE:
		for (const char *p = c->values; *p != '\0'; p++) {
			if (*p == '=')
				fputs(" (", out);
			else if (*p == '|')
				fputs(", ", out);
			else if (*p == ' ')
				fputs("); ", out);
			else
				fputc(*p, out);
		}
		fputc(')', out);
		break;
	}
}

void registry_columns_markdown(FILE *out)
{
	fputs("| heading | other headings | allowed | meaning |\n|---|---|---|---|\n", out);
	for (int i = 0; i < COLUMN_COUNT; i++) {
		const struct registry_column *c = &registry_columns[i];

		fprintf(out, "| `%s` | ", c->name);
		for (const char *p = c->headings; *p != '\0'; p++)
			if (*p == '|')
				fputs(", ", out);
			else
				fputc(*p, out);
		fputs(" | ", out);
		put_allowed(out, c);
		fprintf(out, " | %s |\n", c->doc);
	}
}

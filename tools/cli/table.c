#include "tools/cli/table.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { COLUMNS_MAX = 16, CELL_SIZE = 400 };

size_t utf8_size(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	const size_t n = p[0] < 0x80   ? 1
			 : p[0] < 0xC2 ? 0
			 : p[0] < 0xE0 ? 2
			 : p[0] < 0xF0 ? 3
			 : p[0] < 0xF5 ? 4
				       : 0;

	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
	    (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
		return 0; /* too long, a surrogate, or beyond U+10FFFF */
	return n;
}

/* Not a control character of either block, and none that turns the direction of writing. */
static bool is_printable(const char *text, size_t n)
{
	const uint8_t *p = (const uint8_t *)text;

	if (n == 1)
		return p[0] >= 0x20 && p[0] != 0x7F;
	if (n == 2)
		return p[0] != 0xC2 || p[1] >= 0xA0;
	return n != 3 || p[0] != 0xE2 ||
	       !((p[1] == 0x80 && p[2] >= 0x8B && p[2] <= 0xAE && (p[2] <= 0x8F || p[2] >= 0xA8)) ||
		 (p[1] == 0x81 && p[2] >= 0xA0));
}

const char *text_shown(const char *text, char *out, size_t size)
{
	size_t used = 0;

	while (*text != '\0') {
		size_t n = utf8_size(text);
		const bool plain = n > 0 && is_printable(text, n);

		n = n > 0 ? n : 1;
		if (used + (plain ? n : 4 * n) + 4 > size) {
			used += (size_t)snprintf(out + used, size - used, "...");
			break;
		}
		for (size_t i = 0; i < n; i++) {
			if (plain)
				out[used++] = text[i];
			else
				used += (size_t)snprintf(out + used, size - used, "\\x%02x",
							 (unsigned)(uint8_t)text[i]);
		}
		text += n;
	}
	out[used] = '\0';
	return out;
}

/* Columns of the terminal: a Chinese character takes two. */
static int width_of(const char *text)
{
	int width = 0;

	for (const uint8_t *p = (const uint8_t *)text; *p != '\0'; p++)
		width += (*p & 0xC0) == 0x80 ? 0 : *p >= 0xE3 ? 2 : 1;
	return width;
}

static const char *cell(const PGresult *result, int row, int column, char out[CELL_SIZE])
{
	return text_shown(row < 0 ? PQfname(result, column) : PQgetvalue(result, row, column), out,
			  CELL_SIZE);
}

void table_print(const PGresult *result)
{
	const int columns = PQnfields(result) < COLUMNS_MAX ? PQnfields(result) : COLUMNS_MAX;
	int widths[COLUMNS_MAX] = { 0 };
	char text[CELL_SIZE];

	for (int row = -1; row < PQntuples(result); row++) {
		for (int c = 0; c < columns; c++) {
			int width = width_of(cell(result, row, c, text));

			widths[c] = width > widths[c] ? width : widths[c];
		}
	}
	for (int row = -1; row < PQntuples(result); row++) {
		for (int c = 0; c < columns; c++) {
			int width = width_of(cell(result, row, c, text));

			printf("%s%*s", text, c + 1 < columns ? widths[c] - width + 2 : 0, "");
		}
		putchar('\n');
	}
}

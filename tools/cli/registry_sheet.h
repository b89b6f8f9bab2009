/*
 * registry_sheet.h - reads a table out of a CSV or XLSX file, row by row, whatever the file is.
 *
 * CSV: UTF-8 with or without byte order mark, or GB 18030 (what Excel writes in China).  XLSX: the
 * first visible sheet.  The file is read into memory once: what is hashed is what is read.  All
 * sizes are bounded, also those that a compressed file unpacks to.
 */
#ifndef TOOLS_CLI_REGISTRY_SHEET_H
#define TOOLS_CLI_REGISTRY_SHEET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "tools/cli/csv.h"

enum {
	SHEET_CELL_MAX = 1000, /* bytes */
	SHEET_COLUMNS_MAX = 256,
	SHEET_ROWS_MAX = 1100000,	      /* Excel has 1,048,576 */
	SHEET_FILE_MAX = 256 * 1024 * 1024,   /* bytes */
	SHEET_UNPACK_MAX = 512 * 1024 * 1024, /* bytes of a part of an XLSX */
	SHEET_STRINGS_MAX = 128 * 1024 * 1024,
};

enum sheet_kind {
	SHEET_EMPTY,
	SHEET_TEXT, /* UTF-8, without blanks at its ends */
	SHEET_NUMBER,
	SHEET_FORMULA,
	SHEET_ERROR,
	SHEET_TOO_LONG
};

struct sheet_cell {
	enum sheet_kind kind;
	const char *text; /* never NULL */
};

struct sheet_row {
	unsigned line; /* of the file (CSV) or of the sheet, from 1 */
	size_t count;
	const struct sheet_cell *cells;
};

struct sheet {
	char sha256[65];    /* of the file */
	const char *format; /* for people */
	bool epoch_1904;
	uint8_t *bytes;
	size_t size;
};

/* Gets each row that is not empty; anything but 0 ends the reading. */
typedef int sheet_row_fn(const struct sheet *s, const struct sheet_row *row, void *arg,
			 struct error *err);

/* Reads and hashes the file, and finds out what it is. */
int sheet_open(const char *path, struct sheet *ret, struct error *err);
int sheet_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err);
void sheet_close(struct sheet *s);

/* "A", "B", ..., "AA" */
const char *sheet_column_name(size_t column, char out[8]);

/* ---- inside ---- */

/* Cuts blanks at both ends, also those of Unicode that come by copy and paste; in place. */
char *sheet_trim(char *text);
int csv_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err);
int xlsx_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err);

#endif

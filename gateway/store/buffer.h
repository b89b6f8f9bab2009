/*
 * buffer.h - bytes in network order: tuples of a binary COPY, and arrays as binary parameters.
 */
#ifndef GATEWAY_STORE_BUFFER_H
#define GATEWAY_STORE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/store/pg.h"

struct buffer { /* zeroed = empty; grows and keeps its memory */
	uint8_t *bytes;
	size_t size, max;
};

void buffer_release(struct buffer *b);
/* Room for size bytes behind what is there; does not change size. */
uint8_t *buffer_room(struct buffer *b, size_t size);

/* One column of a tuple: length and value. */
void column_null(struct buffer *b);
void column_i16(struct buffer *b, int16_t value);
void column_i32(struct buffer *b, int32_t value);
void column_i64(struct buffer *b, int64_t value);
void column_f32(struct buffer *b, double value); /* NAN: NULL */
void column_bytes(struct buffer *b, const void *bytes, size_t size);
void column_ns(struct buffer *b, int64_t unix_ns); /* timestamptz */
void tuple_start(struct buffer *b, int columns);

/*
 * A table of rows as one array for each column, for "FROM unnest($1::bigint[], ...)".
 * types: one letter a column: i bigint, d integer, h smallint, b boolean, f double precision,
 * t text, y bytea, T timestamptz, D date.  Values are added column after column, row after row.
 */
enum { ROWS_COLUMNS_MAX = 20 };
struct rows {
	const char *types;
	int columns, next; /* next: column of the next value */
	int32_t count;	   /* whole rows */
	struct buffer column[ROWS_COLUMNS_MAX];
	bool has_null[ROWS_COLUMNS_MAX];
};

void rows_start(struct rows *r, const char *types);
void rows_release(struct rows *r);
void rows_null(struct rows *r);
void rows_int(struct rows *r, int64_t value);			 /* i d h b */
void rows_double(struct rows *r, double value);			 /* f; NAN: NULL */
void rows_text(struct rows *r, const char *text);		 /* t; NULL: NULL */
void rows_bytes(struct rows *r, const void *bytes, size_t size); /* y */
void rows_time(struct rows *r, int64_t unix_s);			 /* T */
void rows_ns(struct rows *r, int64_t unix_ns);			 /* T */
void rows_day(struct rows *r, int32_t day);			 /* D: days since 1970-01-01 */

/* Adds each column as a parameter.  The rows must live until the statement has run. */
void rows_params(struct rows *r, struct params *p);

#endif

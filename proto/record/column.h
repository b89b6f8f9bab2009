/*
 * column.h - varints, runs and bit-packed number columns.  Inside proto/record only.
 *
 * Writers and readers are sticky: after the first byte that does not fit or is not there, failed
 * stays true and the rest does nothing.
 */
#ifndef PROTO_RECORD_COLUMN_H
#define PROTO_RECORD_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static inline int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
}

struct out {
	uint8_t *p;
	size_t left;
	bool failed;
};
void out_byte(struct out *o, uint8_t byte);
void out_bytes(struct out *o, const uint8_t *bytes, size_t n);
void out_varint(struct out *o, uint64_t value);

/* Pairs of value and how often it comes in a row. */
struct runs {
	struct out *out;
	uint64_t value, length;
};
void runs_start(struct runs *r, struct out *o);
void runs_add(struct runs *r, uint64_t value);
void runs_end(struct runs *r);

/*
 * n numbers of size bytes (1, 2 or 4).  A head byte, the first number plain, then bits:
 *   bits 0-5 of the head: width w of each further number, 0: all are equal
 *   bit 6: zigzag of the difference to the first number, else to the number before
 *   3F: all numbers plain, where packing would not save
 */
void out_column(struct out *o, const uint32_t *values, size_t n, size_t size);

struct in {
	const uint8_t *p;
	size_t left;
	bool failed;
};
uint8_t in_byte(struct in *in);
uint64_t in_varint(struct in *in);
void in_bytes(struct in *in, uint8_t *to, size_t n);

struct in_runs {
	struct in *in;
	uint64_t value, left;
};
uint64_t in_runs_next(struct in_runs *r);
bool in_runs_done(const struct in_runs *r); /* no run reaches over the end */

/* False when the bytes are not a column of n numbers of size bytes. */
bool in_column(struct in *in, uint32_t *values, size_t n, size_t size);

#endif

#include "gateway/store/buffer.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/store/arena.h"

void buffer_release(struct buffer *b)
{
	free(b->bytes);
	*b = (struct buffer){ 0 };
}

uint8_t *buffer_room(struct buffer *b, size_t size)
{
	if (b->max - b->size < size) {
		b->max = (b->size + size) * 2 + 1024;
		b->bytes = memory_grow(b->bytes, b->max);
	}
	return b->bytes + b->size;
}

static void put(struct buffer *b, uint64_t value, unsigned size)
{
	uint8_t *p = buffer_room(b, size);

	for (unsigned i = 0; i < size; i++)
		p[i] = (uint8_t)(value >> 8 * (size - 1 - i));
	b->size += size;
}

static void put_sized(struct buffer *b, uint64_t value, unsigned size)
{
	put(b, size, 4);
	put(b, value, size);
}

void column_null(struct buffer *b)
{
	put(b, UINT32_MAX, 4);
}

void column_i16(struct buffer *b, int16_t value)
{
	put_sized(b, (uint16_t)value, 2);
}

void column_i32(struct buffer *b, int32_t value)
{
	put_sized(b, (uint32_t)value, 4);
}

void column_i64(struct buffer *b, int64_t value)
{
	put_sized(b, (uint64_t)value, 8);
}

void column_f32(struct buffer *b, double value)
{
	const float narrow = (float)value;
	uint32_t bits;

	if (isnan(value)) {
		column_null(b);
		return;
	}
	memcpy(&bits, &narrow, sizeof(bits));
	put_sized(b, bits, 4);
}

void column_bytes(struct buffer *b, const void *bytes, size_t size)
{
	put(b, size, 4);
	memcpy(buffer_room(b, size), bytes, size);
	b->size += size;
}

static int64_t time_of_ns(int64_t unix_ns)
{
	return unix_ns / 1000 - PG_EPOCH * INT64_C(1000000);
}

void column_ns(struct buffer *b, int64_t unix_ns)
{
	column_i64(b, time_of_ns(unix_ns));
}

void tuple_start(struct buffer *b, int columns)
{
	put(b, (uint64_t)columns, 2);
}

/* ---- rows ---- */

enum { ARRAY_HEAD = 20 }; /* dimensions, null flag, element type, size, lower bound; 4 bytes each */

static uint32_t type_oid(char type)
{
	switch (type) {
	case 'i':
		return 20;
	case 'd':
		return 23;
	case 'h':
		return 21;
	case 'b':
		return 16;
	case 'f':
		return 701;
	case 't':
		return 25;
	case 'y':
		return 17;
	case 'T':
		return 1184;
	default:
		assert(type == 'D');
		return 1082;
	}
}

void rows_start(struct rows *r, const char *types)
{
	r->types = types;
	r->columns = (int)strlen(types);
	r->next = 0;
	r->count = 0;
	assert(r->columns <= ROWS_COLUMNS_MAX);
	for (int i = 0; i < r->columns; i++) {
		buffer_room(&r->column[i], ARRAY_HEAD);
		r->column[i].size = ARRAY_HEAD;
		r->has_null[i] = false;
	}
}

void rows_release(struct rows *r)
{
	for (int i = 0; i < ROWS_COLUMNS_MAX; i++)
		buffer_release(&r->column[i]);
}

static struct buffer *next(struct rows *r, const char *allowed)
{
	struct buffer *b = &r->column[r->next];

	assert(strchr(allowed, r->types[r->next]) != NULL);
	(void)allowed;
	if (++r->next == r->columns) {
		r->next = 0;
		r->count++;
	}
	return b;
}

void rows_null(struct rows *r)
{
	r->has_null[r->next] = true;
	put(next(r, "idhbftyTD"), UINT32_MAX, 4);
}

void rows_int(struct rows *r, int64_t value)
{
	const char type = r->types[r->next];
	const unsigned size = type == 'i' ? 8 : type == 'd' ? 4 : type == 'h' ? 2 : 1;

	put_sized(next(r, "idhb"), (uint64_t)value, size);
}

void rows_double(struct rows *r, double value)
{
	uint64_t bits;

	if (isnan(value)) {
		rows_null(r);
		return;
	}
	memcpy(&bits, &value, sizeof(bits));
	put_sized(next(r, "f"), bits, 8);
}

void rows_text(struct rows *r, const char *text)
{
	if (text == NULL)
		rows_null(r);
	else
		column_bytes(next(r, "t"), text, strlen(text));
}

void rows_bytes(struct rows *r, const void *bytes, size_t size)
{
	column_bytes(next(r, "y"), bytes, size);
}

void rows_time(struct rows *r, int64_t unix_s)
{
	put_sized(next(r, "T"), (uint64_t)((unix_s - PG_EPOCH) * 1000000), 8);
}

void rows_ns(struct rows *r, int64_t unix_ns)
{
	put_sized(next(r, "T"), (uint64_t)time_of_ns(unix_ns), 8);
}

void rows_day(struct rows *r, int32_t day)
{
	put_sized(next(r, "D"), (uint32_t)(day - PG_EPOCH_DAY), 4);
}

void rows_params(struct rows *r, struct params *p)
{
	assert(r->next == 0);
	for (int i = 0; i < r->columns; i++) {
		struct buffer *b = &r->column[i];
		const size_t size = b->size;
		const uint32_t head[5] = { 1, r->has_null[i], type_oid(r->types[i]),
					   (uint32_t)r->count, 1 };

		assert(p->n < PARAMS_MAX);
		b->size = 0;
		for (int j = 0; j < 5; j++)
			put(b, head[j], 4);
		b->size = size;
		p->values[p->n] = (const char *)b->bytes;
		p->lengths[p->n++] = (int)size;
	}
}

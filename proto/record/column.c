#include "proto/record/column.h"

#include <assert.h>
#include <string.h>

enum { WIDTH_MASK = 0x3F, PLAIN = 0x3F, FROM_FIRST = 0x40, WIDTH_MAX = 33 };

void out_bytes(struct out *o, const uint8_t *bytes, size_t n)
{
	if (o->failed || n > o->left) {
		o->failed = true;
		return;
	}
	if (n > 0)
		memcpy(o->p, bytes, n);
	o->p += n;
	o->left -= n;
}

void out_byte(struct out *o, uint8_t byte)
{
	out_bytes(o, &byte, 1);
}

void out_varint(struct out *o, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		out_byte(o, (uint8_t)(value | 0x80));
	out_byte(o, (uint8_t)value);
}

void runs_start(struct runs *r, struct out *o)
{
	*r = (struct runs){ .out = o };
}

void runs_end(struct runs *r)
{
	if (r->length == 0)
		return;
	out_varint(r->out, r->value);
	out_varint(r->out, r->length);
	r->length = 0;
}

void runs_add(struct runs *r, uint64_t value)
{
	if (r->length > 0 && r->value != value)
		runs_end(r);
	r->value = value;
	r->length++;
}

static void out_plain(struct out *o, uint32_t value, size_t size)
{
	for (size_t i = size; i-- > 0;)
		out_byte(o, (uint8_t)(value >> 8 * i));
}

static unsigned width_of(uint64_t bits)
{
	return bits == 0 ? 0 : 64 - (unsigned)__builtin_clzll(bits);
}

static uint64_t difference(uint32_t value, uint32_t from)
{
	return zigzag((int64_t)value - (int64_t)from);
}

/* Differences low bits first; the last byte is filled with zeros. */
static void out_differences(struct out *o, const uint32_t *values, size_t n, unsigned width,
			    bool from_first)
{
	uint64_t bits = 0;
	unsigned have = 0;

	assert(width <= WIDTH_MAX);
	for (size_t i = 1; i < n; i++) {
		bits |= difference(values[i], from_first ? values[0] : values[i - 1]) << have;
		for (have += width; have >= 8; have -= 8, bits >>= 8)
			out_byte(o, (uint8_t)bits);
	}
	if (have > 0)
		out_byte(o, (uint8_t)bits);
}

void out_column(struct out *o, const uint32_t *values, size_t n, size_t size)
{
	uint64_t by_step = 0, by_first = 0;
	unsigned width;
	bool from_first;

	for (size_t i = 1; i < n; i++) {
		by_step |= difference(values[i], values[i - 1]);
		by_first |= difference(values[i], values[0]);
	}
	from_first = width_of(by_first) < width_of(by_step);
	width = width_of(from_first ? by_first : by_step);
	if (width >= 8 * size) {
		out_byte(o, PLAIN);
		for (size_t i = 0; i < n; i++)
			out_plain(o, values[i], size);
		return;
	}
	out_byte(o, (uint8_t)(width | (from_first ? FROM_FIRST : 0)));
	out_plain(o, values[0], size);
	if (width > 0)
		out_differences(o, values, n, width, from_first);
}

void in_bytes(struct in *in, uint8_t *to, size_t n)
{
	if (in->failed || n > in->left) {
		in->failed = true;
		return;
	}
	if (n > 0)
		memcpy(to, in->p, n);
	in->p += n;
	in->left -= n;
}

uint8_t in_byte(struct in *in)
{
	uint8_t byte = 0;

	in_bytes(in, &byte, 1);
	return byte;
}

uint64_t in_varint(struct in *in)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		const uint8_t byte = in_byte(in);

		value |= (uint64_t)(byte & 0x7F) << shift;
		if ((byte & 0x80) == 0)
			return value;
	}
	in->failed = true;
	return 0;
}

uint64_t in_runs_next(struct in_runs *r)
{
	if (r->left == 0) {
		r->value = in_varint(r->in);
		r->left = in_varint(r->in);
		if (r->left == 0) {
			r->in->failed = true;
			return 0;
		}
	}
	r->left--;
	return r->value;
}

bool in_runs_done(const struct in_runs *r)
{
	return !r->in->failed && r->left == 0;
}

static uint32_t in_plain(struct in *in, size_t size)
{
	uint32_t value = 0;

	for (size_t i = 0; i < size; i++)
		value = value << 8 | in_byte(in);
	return value;
}

static bool in_differences(struct in *in, uint32_t *values, size_t n, unsigned width,
			   bool from_first, uint32_t max)
{
	const uint64_t mask = ((uint64_t)1 << width) - 1;
	uint64_t bits = 0;
	unsigned have = 0;

	for (size_t i = 1; i < n; i++) {
		const uint32_t from = from_first ? values[0] : values[i - 1];
		int64_t value;

		for (; have < width; have += 8)
			bits |= (uint64_t)in_byte(in) << have;
		value = from + unzigzag(bits & mask);
		bits >>= width;
		have -= width;
		if (value < 0 || value > max)
			return false;
		values[i] = (uint32_t)value;
	}
	return !in->failed && bits == 0;
}

bool in_column(struct in *in, uint32_t *values, size_t n, size_t size)
{
	const uint32_t max = UINT32_MAX >> (32 - 8 * size);
	const uint8_t head = in_byte(in);
	const unsigned width = head & WIDTH_MASK;

	if (n == 0)
		return false;
	if (head == PLAIN) {
		for (size_t i = 0; i < n; i++)
			values[i] = in_plain(in, size);
		return !in->failed;
	}
	if (width >= 8 * size || (head & ~(WIDTH_MASK | FROM_FIRST)) != 0)
		return false;
	values[0] = in_plain(in, size);
	if (width > 0)
		return in_differences(in, values, n, width, (head & FROM_FIRST) != 0, max);
	for (size_t i = 1; i < n; i++)
		values[i] = values[0];
	return !in->failed;
}

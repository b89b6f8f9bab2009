#include "proto/wire/field.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/text.h"

enum { DECIMALS_MAX = 8, ZERO_PADDING_MIN = 4 };

static bool is_number(const struct field *f)
{
	return f->kind == FIELD_NUMBER || f->kind == FIELD_CODE || f->kind == FIELD_BITS;
}

uint32_t field_raw(const struct field *f, const uint8_t *body)
{
	const uint8_t *p = body + f->offset;

	assert(is_number(f));
	switch (f->size) {
	case 1:
		return p[0];
	case 2:
		return get_u16(p);
	default:
		assert(f->size == 4);
		return get_u32(p);
	}
}

static uint32_t all_bits(const struct field *f)
{
	return UINT32_MAX >> (32 - 8 * f->size);
}

enum presence field_presence(const struct field *f, uint32_t raw)
{
	uint32_t top;

	if (!is_number(f) || f->kind == FIELD_BITS || raw <= f->max)
		return FIELD_PRESENT;
	top = raw >> (8 * f->size - 8);
	if (raw == all_bits(f))
		return FIELD_INVALID;
	if (top == 0xFE || raw == all_bits(f) - 1)
		return FIELD_ABNORMAL;
	return top == 0xFF ? FIELD_INVALID : FIELD_RESERVED;
}

bool field_value(const struct field *f, const uint8_t *body, double *ret_value)
{
	uint32_t raw;

	if (!is_number(f))
		return false;
	raw = field_raw(f, body);
	if (raw > f->max && f->kind != FIELD_BITS)
		return false;
	*ret_value = raw * f->scale + f->bias;
	return true;
}

void field_put_raw(const struct field *f, uint8_t *body, uint32_t raw)
{
	uint8_t *p = body + f->offset;

	assert(is_number(f));
	assert(raw <= all_bits(f));
	if (f->size == 1)
		p[0] = (uint8_t)raw;
	else if (f->size == 2)
		put_u16(p, (uint16_t)raw);
	else
		put_u32(p, raw);
}

void field_put(const struct field *f, uint8_t *body, double value)
{
	const double raw = round((value - f->bias) / f->scale);

	if (isnan(value))
		field_put_raw(f, body, all_bits(f));
	else if (!(raw > 0))
		field_put_raw(f, body, 0);
	else
		field_put_raw(f, body, raw >= f->max ? f->max : (uint32_t)raw);
}

/* The fewest decimals that show each step of x, at most DECIMALS_MAX. */
static unsigned decimals(double x)
{
	unsigned n = 0;

	while (n < DECIMALS_MAX && fabs(x - round(x)) > 1e-9) {
		x *= 10;
		n++;
	}
	return n;
}

/* Fixed point without printf: a day of a truck has 1.6 million of these. */
static void put_number(struct text *t, double value, unsigned digits)
{
	char buffer[32], *p = buffer + sizeof(buffer);
	uint64_t scaled, power = 1;

	for (unsigned i = 0; i < digits; i++)
		power *= 10;
	scaled = (uint64_t)llround(fabs(value) * (double)power);
	while (digits > 0 && scaled % 10 == 0) {
		scaled /= 10;
		digits--;
	}
	if (value < 0 && scaled > 0)
		text_put(t, "-");
	for (unsigned i = 0; i < digits; i++, scaled /= 10)
		*--p = (char)('0' + scaled % 10);
	if (digits > 0)
		*--p = '.';
	do
		*--p = (char)('0' + scaled % 10);
	while ((scaled /= 10) > 0);
	text_bytes(t, p, (size_t)(buffer + sizeof(buffer) - p));
}

static size_t without_padding(const struct field *f, const uint8_t *p)
{
	size_t n = f->size, zeros;

	while (n > 0 && (p[n - 1] == '\0' || p[n - 1] == ' '))
		n--;
	if (f->kind != FIELD_PADDED)
		return n;
	for (zeros = 0; zeros < n && p[n - 1 - zeros] == '0';)
		zeros++;
	return zeros >= ZERO_PADDING_MIN ? n - zeros : n;
}

static bool printable(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] > 0x7E)
			return false;
	return true;
}

static bool all_ff(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] != 0xFF)
			return false;
	return true;
}

size_t field_string(const struct field *f, const uint8_t *body, char out[FIELD_STRING_SIZE])
{
	const uint8_t *p = body + f->offset;
	struct text t;
	size_t n;

	assert(!is_number(f) && 2 * f->size < FIELD_STRING_SIZE);
	text_start(&t, out, FIELD_STRING_SIZE);
	n = f->kind == FIELD_BYTES ? f->size : without_padding(f, p);
	if (n == 0 || all_ff(p, n))
		return 0;
	if (f->kind == FIELD_PADDED && n <= f->max)
		text_hex(&t, p, f->max);
	else if (f->kind == FIELD_BYTES || !printable(p, n))
		text_hex(&t, p, n);
	else
		for (size_t i = 0; i < n; i++)
			text_bytes(&t, &(const char){ (char)p[i] }, 1);
	return t.used;
}

size_t field_json(const struct field *f, const uint8_t *body, char *out, size_t size)
{
	char string[FIELD_STRING_SIZE];
	double value;
	struct text t;

	text_start(&t, out, size);
	if (is_number(f)) {
		if (field_value(f, body, &value))
			put_number(&t, value, decimals(f->scale));
		else
			text_put(&t, "null");
	} else if (field_string(f, body, string) > 0) {
		text_json_string(&t, string);
	} else {
		text_put(&t, "null");
	}
	return t.used;
}

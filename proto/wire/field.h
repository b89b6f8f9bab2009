/*
 * field.h - one row per field of an information body; decoding, encoding, validation, JSON,
 * CSV columns and docs are made from the rows.
 *
 * A body stays as it came over the wire; a field is read out of it when asked for.  So nothing is
 * copied per sample, and what is stored can always be turned back into the bytes that were sent.
 */
#ifndef PROTO_WIRE_FIELD_H
#define PROTO_WIRE_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
	FIELD_NUMBER, /* value = raw * scale + bias, absent above max */
	FIELD_CODE,   /* a small enumeration: value = raw, absent above max */
	FIELD_BITS,   /* a bit set: always present */
	FIELD_TEXT,   /* size bytes of ASCII; trailing NUL and blanks are padding */
	FIELD_BYTES,  /* shown as hexadecimal */
	/*
	 * As TEXT, and four or more trailing '0' are padding too.  What is left counts as binary,
	 * and is shown as max bytes of hexadecimal, when it has at most max bytes: a CVN comes both
	 * ways.
	 */
	FIELD_PADDED,
};

enum presence {
	FIELD_PRESENT,
	FIELD_INVALID,	/* FF, FFxx, FFxxxxxx: not available (J1939); all bits set (others) */
	FIELD_ABNORMAL, /* FE, FExx, FExxxxxx (J1939); FFFE, FFFFFFFE (GB/T 32960) */
	FIELD_RESERVED, /* any other raw value above max */
};

struct field {
	const char *name; /* JSON key, CSV and SQL column, docs heading; unit is its suffix */
	uint16_t offset;  /* in the body */
	uint16_t size;	  /* bytes; 1, 2 or 4 for NUMBER, CODE and BITS; big-endian */
	enum field_kind kind;
	double scale;
	double bias;
	uint32_t max; /* largest valid raw value; BITS: the bits with a meaning */
	const char *unit;
	const char *label; /* the standard's own name, zh */
	const char *doc;
};

/* Numbers only (NUMBER, CODE, BITS); body holds at least offset + size bytes. */
uint32_t field_raw(const struct field *f, const uint8_t *body);
enum presence field_presence(const struct field *f, uint32_t raw);

/* True and *ret_value in the field's unit when present; *ret_value untouched when not. */
bool field_value(const struct field *f, const uint8_t *body, double *ret_value);

/* Nearest raw value, clamped to 0..max; NAN writes the "invalid" mark (all bits set). */
void field_put(const struct field *f, uint8_t *body, double value);
void field_put_raw(const struct field *f, uint8_t *body, uint32_t raw);

/*
 * Writes the value as a JSON value (number with the digits its scale has, string, or null when
 * absent).  Returns the length; output is cut at size like snprintf.
 */
size_t field_json(const struct field *f, const uint8_t *body, char *out, size_t size);

/*
 * TEXT, PADDED and BYTES as a NUL-terminated string.  Returns the length, 0 when absent (nothing
 * but padding, or all FF).  Text that is not printable ASCII is shown as hexadecimal.
 * out must hold FIELD_STRING_SIZE bytes.
 */
enum { FIELD_STRING_SIZE = 80 };
size_t field_string(const struct field *f, const uint8_t *body, char out[FIELD_STRING_SIZE]);

/* For the tables, whose rows are X(set, name, offset, size, kind, scale, bias, max, unit, label,
 * doc). */
#define FIELD_ROW(set, name_, offset_, size_, kind_, scale_, bias_, max_, unit_, label_, doc_)     \
	{ .name = #name_,                                                                          \
	  .offset = offset_,                                                                       \
	  .size = size_,                                                                           \
	  .kind = FIELD_##kind_,                                                                   \
	  .scale = scale_,                                                                         \
	  .bias = bias_,                                                                           \
	  .max = max_,                                                                             \
	  .unit = unit_,                                                                           \
	  .label = label_,                                                                         \
	  .doc = doc_ },

/* Summed over a table: the bytes that its fields fill. */
#define FIELD_SIZE_SUM(set, name, offset, size, ...) +(size)

#endif

#include <assert.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/layout.h"

static uint8_t *room(struct unit_writer *w, size_t n)
{
	uint8_t *p = w->buf + w->size;

	if (w->failed || n > w->max - w->size) {
		w->failed = true;
		return NULL;
	}
	w->size += n;
	return p;
}

static void put_time(struct unit_writer *w, int64_t at)
{
	uint8_t *p = room(w, WIRE_TIME_SIZE);

	if (p != NULL)
		wire_time_encode(at, p);
}

static void put_serial(struct unit_writer *w, uint16_t serial)
{
	uint8_t *p = room(w, 2);

	if (p != NULL)
		put_u16(p, serial);
}

static void put_bytes(struct unit_writer *w, const uint8_t *bytes, size_t n)
{
	uint8_t *p = room(w, n);

	if (p != NULL && n > 0)
		memcpy(p, bytes, n);
}

static void start(struct unit_writer *w, enum layout layout, uint8_t *buf, size_t max)
{
	*w = (struct unit_writer){ .buf = buf, .layout = layout };
	w->max = max < FRAME_UNIT_MAX ? max : FRAME_UNIT_MAX;
}

void unit_start(struct unit_writer *w, enum layout layout, int64_t at, uint16_t serial,
		uint8_t *buf, size_t max)
{
	assert(layout > LAYOUT_UNKNOWN && layout < LAYOUT_COUNT);
	start(w, layout, buf, max);
	put_time(w, at);
	if (layout == LAYOUT_B || layout == LAYOUT_B_SIGNED || layout == LAYOUT_C)
		put_serial(w, serial);
}

void unit_sign(struct unit_writer *w, const uint8_t r[32], const uint8_t s[32])
{
	static const uint8_t size = 32;

	put_bytes(w, &size, 1);
	put_bytes(w, r, size);
	put_bytes(w, &size, 1);
	put_bytes(w, s, size);
}

void unit_block(struct unit_writer *w, uint8_t type, int64_t at, uint16_t serial,
		const uint8_t *body, size_t size)
{
	put_bytes(w, &type, 1);
	if (w->layout == LAYOUT_A || (w->layout == LAYOUT_A_PRIME && w->blocks == 0))
		put_serial(w, serial);
	if (w->layout == LAYOUT_C)
		put_time(w, at);
	put_bytes(w, body, size);
	if (w->layout == LAYOUT_B_SIGNED) {
		uint8_t placeholder[32];

		memset(placeholder, '0', sizeof(placeholder));
		unit_sign(w, placeholder, placeholder);
	}
	w->blocks++;
}

size_t unit_logout(int64_t at, uint16_t serial, uint8_t *buf, size_t max)
{
	struct unit_writer w;

	start(&w, LAYOUT_UNKNOWN, buf, max);
	put_time(&w, at);
	put_serial(&w, serial);
	return w.failed ? 0 : w.size;
}

size_t unit_login(int64_t at, uint16_t serial, const char *iccid, enum header header, uint8_t *buf,
		  size_t max)
{
	static const uint8_t no_storage[2] = { 1, 0 }; /* one subsystem, codes of length 0 */
	uint8_t padded[20] = { 0 };
	struct unit_writer w;

	start(&w, LAYOUT_UNKNOWN, buf, max);
	put_time(&w, at);
	put_serial(&w, serial);
	memcpy(padded, iccid, strnlen(iccid, sizeof(padded)));
	put_bytes(&w, padded, sizeof(padded));
	if (header == HEADER_P)
		put_bytes(&w, no_storage, sizeof(no_storage));
	return w.failed ? 0 : w.size;
}

#include "gateway/link/outgoing.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
	PLAIN = 0x01,
	START_GBT = 0x23,
	START_2025 = 0x24,
	START_HJ = 0x7E,
	USER_SIZE = 12,
	PASSWORD_SIZE = 20,
	LOGIN_SIZE = WIRE_TIME_SIZE + 2 + USER_SIZE + PASSWORD_SIZE + 1,
	LOGOUT_SIZE = WIRE_TIME_SIZE + 2,
};

static_assert(FRAME_HEAD_SIZE + LOGIN_SIZE + 1 <= OUTGOING_SMALL_MAX, "a login fits");

static bool is_forwarded(const struct frame *f)
{
	switch (frame_meaning(f)) {
	case MEANING_LOGIN:
	case MEANING_LOGOUT:
	case MEANING_REPORT:
	case MEANING_TAMPER_ALARM:
		return true;
	default:
		return false;
	}
}

bool outgoing_read(const Haulgate__FrameRecord *r, struct frame *ret)
{
	size_t used;

	if (r->verdict != VERDICT_ACCEPTED ||
	    frame_scan(r->raw.data, r->raw.len, FRAME_UNIT_MAX, ret, &used) != SCAN_FRAME)
		return false;
	if (r->unit.len > 0) {
		ret->unit = r->unit.data;
		ret->unit_size = r->unit.len;
	}
	ret->encryption = PLAIN;
	return is_forwarded(ret);
}

bool outgoing_sayable(const struct frame *f, uint8_t start)
{
	return start != START_GBT || frame_meaning(f) != MEANING_TAMPER_ALARM;
}

size_t outgoing_encode(const struct frame *f, uint8_t start, uint8_t *buf, size_t size)
{
	struct frame out = *f;

	out.start = f->start == START_2025 ? f->start : start;
	out.header = HEADER_P;
	out.answer = ANSWER_COMMAND;
	out.encryption = PLAIN;
	return frame_encode(&out, buf, size);
}

void outgoing_supplement(uint8_t *frame, size_t size)
{
	enum { COMMAND_AT = 2 };

	if (frame[COMMAND_AT] != COMMAND_REALTIME)
		return;
	frame[COMMAND_AT] = COMMAND_SUPPLEMENT;
	frame[size - 1] ^= COMMAND_REALTIME ^ COMMAND_SUPPLEMENT;
}

/* ---- our own ---- */

uint8_t outgoing_login_command(uint8_t start)
{
	return start == START_HJ ? 0x07 : 0x05;
}

uint8_t outgoing_logout_command(uint8_t start)
{
	return start == START_HJ ? 0x08 : 0x06;
}

static size_t own(const struct outgoing_login *l, uint8_t command, const uint8_t *unit,
		  size_t unit_size, uint8_t *buf)
{
	struct frame f = {
		.start = l->start,
		.header = HEADER_P,
		.command = command,
		.answer = ANSWER_COMMAND,
		.encryption = PLAIN,
		.unit = unit,
		.unit_size = unit_size,
	};

	snprintf(f.vin, sizeof(f.vin), "%s", l->platform_code);
	return frame_encode(&f, buf, OUTGOING_SMALL_MAX);
}

static void time_and_serial(uint8_t *unit, int64_t now, uint16_t serial)
{
	wire_time_encode(now, unit);
	unit[WIRE_TIME_SIZE] = (uint8_t)(serial >> 8);
	unit[WIRE_TIME_SIZE + 1] = (uint8_t)serial;
}

size_t outgoing_platform_login(const struct outgoing_login *l, int64_t now, uint8_t *buf)
{
	uint8_t unit[LOGIN_SIZE] = { 0 };
	size_t size;

	time_and_serial(unit, now, l->serial);
	memcpy(unit + 8, l->user, strnlen(l->user, USER_SIZE));
	memcpy(unit + 8 + USER_SIZE, l->password, strnlen(l->password, PASSWORD_SIZE));
	unit[LOGIN_SIZE - 1] = PLAIN;
	size = own(l, outgoing_login_command(l->start), unit, sizeof(unit), buf);
	explicit_bzero(unit, sizeof(unit));
	return size;
}

size_t outgoing_platform_logout(const struct outgoing_login *l, int64_t now, uint8_t *buf)
{
	uint8_t unit[LOGOUT_SIZE];

	time_and_serial(unit, now, l->serial);
	return own(l, outgoing_logout_command(l->start), unit, sizeof(unit), buf);
}

size_t outgoing_heartbeat(const struct outgoing_login *l, uint8_t *buf)
{
	return own(l, l->start == START_HJ ? 0x05 : 0x07, NULL, 0, buf);
}

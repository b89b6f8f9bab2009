/*
 * outgoing.h - what goes over a link: a vehicle's frame out of its record, and our own frames.
 *
 * HJ 1239.3 section 5 and GB/T 32960.3 wrap the terminal's original unit, signature included, in
 * header P.  Its encryption is 01: a unit that came encrypted goes in clear, as it was opened.
 * A frame of GB/T 32960.3-2025 keeps its own start "$$", or nobody could read its unit.
 * Pure: no clock, no I/O.
 */
#ifndef GATEWAY_LINK_OUTGOING_H
#define GATEWAY_LINK_OUTGOING_H

#include <stdbool.h>

#include "proto/wire/unit.h"
#include "record.pb-c.h"

/*
 * The frame in a record as it was when it was accepted: in clear.  False: it is nothing that is
 * forwarded, or no frame.  Views into r.
 */
bool outgoing_read(const Haulgate__FrameRecord *r, struct frame *ret);

/*
 * False: on a link with that start byte its command means something else.  A tamper alarm (06)
 * would log the platform out on "##", and GB/T 32960.3 has no other command for it.
 */
bool outgoing_sayable(const struct frame *f, uint8_t start);
/* Writes f for a link with that start byte.  Returns its size, 0: it does not fit. */
size_t outgoing_encode(const struct frame *f, uint8_t start, uint8_t *buf, size_t size);
/* Makes a supplement of it if it is a real-time report. */
void outgoing_supplement(uint8_t *frame, size_t size);

/* Who we are on a link, and in which protocol. */
struct outgoing_login {
	uint8_t start; /* "~~": HJ 1239.3 commands, "##": GB/T 32960.3 */
	const char *platform_code, *user, *password;
	uint16_t serial;
};
enum { OUTGOING_SMALL_MAX = 96 }; /* holds each of these */
size_t outgoing_platform_login(const struct outgoing_login *l, int64_t now, uint8_t *buf);
size_t outgoing_platform_logout(const struct outgoing_login *l, int64_t now, uint8_t *buf);
/* "##" has a heartbeat; "~~" has none, so it asks for the time. */
size_t outgoing_heartbeat(const struct outgoing_login *l, uint8_t *buf);
/* Our login's or logout's command, to know their answers. */
uint8_t outgoing_login_command(uint8_t start);
uint8_t outgoing_logout_command(uint8_t start);

#endif

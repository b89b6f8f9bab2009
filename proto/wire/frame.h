/*
 * frame.h - cut a byte stream into checked frames, and write frames.
 *
 * Four protocols share one frame of 24 + n + 1 bytes (big-endian, no byte stuffing):
 *
 *   header V (GB 17691-2018 table Q.2, HJ 1239.3-2021 vehicle link)
 *     start 2 | command 1 | vin 17 | software version 1 | encryption 1 | length 2 | unit | bcc
 *   header P (GB/T 32960.3 table 2, HJ 1239.3-2021 table 16)
 *     start 2 | command 1 | answer 1 | vin 17 | encryption 1 | length 2 | unit | bcc
 *
 * start: "##" 23 23, "~~" 7E 7E (HJ 1239), "$$" 24 24 (GB/T 32960.3-2025).
 * The fourth byte tells P (FE, or 01..07 in an answer) from V (a VIN character).
 * bcc: XOR of the bytes from the command to the end of the (encrypted) unit.
 *
 * Pure code: no I/O, clock, allocation or log.  A frame is a view that dies with its bytes.
 */
#ifndef PROTO_WIRE_FRAME_H
#define PROTO_WIRE_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	VIN_SIZE = 17,
	FRAME_HEAD_SIZE = 24,
	FRAME_UNIT_MAX = 65531, /* the standards' limit of the length field */
	FRAME_SIZE_MAX = FRAME_HEAD_SIZE + FRAME_UNIT_MAX + 1,
};

enum header { HEADER_V, HEADER_P };

/* What the header alone can tell; the data unit's layout may refine it (unit.h). */
enum protocol {
	PROTOCOL_UNKNOWN = 0,
	PROTOCOL_GB17691 = 1,
	PROTOCOL_HJ1239 = 2,
	PROTOCOL_GBT32960_2016 = 3,
	PROTOCOL_GBT32960_2025 = 4,
	PROTOCOL_COUNT
};

enum answer {
	ANSWER_SUCCESS = 0x01,
	ANSWER_ERROR = 0x02,
	ANSWER_VIN_DUPLICATE = 0x03,
	ANSWER_VIN_UNKNOWN = 0x04, /* 2025 edition only */
	ANSWER_COMMAND = 0xFE,	   /* not an answer */
	ANSWER_CHIP_TAKEN = 0x100, /* to an activation: no flag, but said in its unit */
};

enum command {
	COMMAND_LOGIN = 0x01,
	COMMAND_REALTIME = 0x02,
	COMMAND_SUPPLEMENT = 0x03,
	COMMAND_LOGOUT = 0x04,
};

struct frame {
	uint8_t start; /* 0x23, 0x7E or 0x24 */
	enum header header;
	enum protocol protocol;
	uint8_t command;
	uint8_t answer;		  /* ANSWER_COMMAND for header V */
	char vin[VIN_SIZE + 1];	  /* NUL-terminated; trailing NULs and blanks removed */
	uint8_t software_version; /* header V only, else 0 */
	uint8_t encryption;	  /* as sent; 01 = none in all protocols */
	const uint8_t *unit;	  /* borrowed */
	size_t unit_size;
	const uint8_t *bytes; /* the whole frame, borrowed */
	size_t size;
};

enum scan {
	SCAN_MORE,	   /* the bytes so far may become a frame: read on */
	SCAN_FRAME,	   /* *ret_frame is filled */
	SCAN_NOISE,	   /* *ret_used bytes cannot start a frame: drop them */
	SCAN_BAD_CHECKSUM, /* a plausible header, BCC wrong: *ret_frame is filled for the report;
			    *ret_used is 1, so that scanning goes on from start + 1 */
	SCAN_TOO_LONG,	   /* a plausible header whose length is above unit_max or the limit of
			      its command; *ret_used is 1; *ret_frame holds the header, unit NULL */
};

/*
 * Looks at the start of buf.  *ret_used: bytes to drop before the next call (0 for SCAN_MORE).
 * Header plausibility: start mark, command or answer byte, VIN characters, encryption byte.
 * unit_max bounds the length field before any byte of the unit is awaited.
 * After SCAN_BAD_CHECKSUM and SCAN_TOO_LONG nothing behind the start mark is lost.
 */
enum scan frame_scan(const uint8_t *buf, size_t size, size_t unit_max, struct frame *ret_frame,
		     size_t *ret_used);

uint8_t frame_checksum(const uint8_t *bytes, size_t size);

/*
 * Writes f (start, header, command, answer, vin, version, encryption, unit) with length and BCC.
 * Returns the frame's size, or 0 when it does not fit into size or the unit is too long.
 * f->unit may already stand in its place in buf.
 */
size_t frame_encode(const struct frame *f, uint8_t *buf, size_t size);

/*
 * Writes the answer that f's protocol defines.  Returns its size, 0 = this frame is not answered
 * (the protocol defines none, or f itself is an answer).
 *   now: unix seconds, for time synchronisation.
 *
 *  - GB 17691, HJ 1239 in header V: time (05) always; the rest only with echo: the same header,
 *    empty unit.  An error has no coding there: not answered.
 *  - Header P: flag changed, time of the unit kept, rest removed; heartbeat empty; time sync
 *    carries the current time.
 *  - An activation is answered by a command of its own: 08, in the 2025 edition 0A.
 *
 * Encryption of an answer is 01.
 */
size_t frame_answer(const struct frame *f, enum answer answer, bool echo, int64_t now, uint8_t *buf,
		    size_t size);

/* Six bytes year-2000, month, day, hour, minute, second at GMT+8 <-> unix seconds. */
enum { WIRE_TIME_SIZE = 6 };
#define WIRE_TIME_NONE INT64_MIN

/*
 * Returns unix seconds, or WIRE_TIME_NONE for a date that no calendar has.
 */
int64_t wire_time_decode(const uint8_t bytes[WIRE_TIME_SIZE]);
void wire_time_encode(int64_t at, uint8_t bytes[WIRE_TIME_SIZE]);

bool vin_plausible(const char *vin); /* 17 characters of A-Z a-z 0-9 */
const char *protocol_name(enum protocol protocol);
const char *command_name(enum protocol protocol, enum header header, uint8_t command);

#endif

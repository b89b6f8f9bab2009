/*
 * unit.h - the data unit of a frame: login, logout, report, alarm, activation.
 *
 * Everything here is a view into the frame's bytes.  Checked readers only: a length that lies
 * costs its frame, nothing else.
 */
#ifndef PROTO_WIRE_UNIT_H
#define PROTO_WIRE_UNIT_H

#include "proto/wire/algorithm.h"
#include "proto/wire/frame.h"
#include "proto/wire/info.h"
#include "proto/wire/verdict.h"

/*
 * How the 0x02/0x03 unit is laid out: a property of the terminal, since field and standard
 * disagree.  Numbers are stored: never reuse one.
 */
enum layout {
	LAYOUT_UNKNOWN = 0,
	LAYOUT_A = 1,	     /* time, { type, serial, body }* */
	LAYOUT_A_PRIME = 2,  /* time, type, serial, body, { type, body }* */
	LAYOUT_B = 3,	     /* time, serial, { type, body }* */
	LAYOUT_B_SIGNED = 4, /* as B, and after every body 20 R[32] 20 S[32] */
	LAYOUT_C = 5,	     /* HJ 1239: time, serial, { type, time, body }*, signature? */
	LAYOUT_D = 6,	     /* time, { type, body }* with emission types */
	LAYOUT_EV = 7,	     /* GB/T 32960: time, { type, body }* with its own types */
	LAYOUT_EV_2025 = 8,  /* as EV with the 2025 types, FF signature */
	LAYOUT_COUNT
};

const char *layout_name(unsigned layout);

struct block {
	const struct info *info; /* NULL: unknown type, body is the raw rest */
	uint8_t type;
	int64_t at;	 /* unix seconds of this sample; see report_decode */
	uint16_t serial; /* of the block or the unit; 0 when the layout has none */
	const uint8_t *body;
	size_t size;
};

enum { REPORT_BLOCKS_MAX = 512, SERIAL_MIN = 1, SERIAL_MAX = 65531 };

/* A signature at the end of a unit, and the bytes that it covers. */
struct unit_signature {
	enum algorithm algorithm; /* NONE: there is none */
	const uint8_t *r, *s;	  /* SM2, P256: big-endian; RSA: r alone; NULL without */
	size_t r_size, s_size;
	/*
	 * From the first byte of the unit.  NULL in LAYOUT_B_SIGNED, whose range no source tells:
	 * there r and s are those of the last body.
	 */
	const uint8_t *bytes;
	size_t size;
	/* The other reading of the 2025 edition's text, tried second: with the FF mark. 0: none. */
	size_t other_size;
};

struct report {
	enum layout layout;
	enum protocol protocol; /* refined by the layout */
	int64_t at;		/* the unit's own time: collection (A, B, D, EV) or sending (C) */
	uint16_t serial;
	unsigned quirks;
	struct unit_signature signature;
	size_t block_count;
	struct block blocks[REPORT_BLOCKS_MAX];
};

/*
 * Decodes a real-time or supplementary unit.
 *   known: the layout last seen from this terminal, or LAYOUT_UNKNOWN to detect it by exact
 *     consumption, then by plausibility.  Several equally plausible: A before B, and a quirk.
 *   now: unix seconds of reception, to judge BCD times and the clock.
 * When known does not fit exactly, all layouts are tried again.  Only where none fits, an unknown
 * type behind a known body takes the rest of the unit as one raw block.
 * Sample times: layout C gives each block its own; otherwise the n-th block of one type has the
 * unit's time + n seconds (one-second records of one packet, in the order sent).
 * Returns VERDICT_ACCEPTED, BAD_UNIT, BAD_TIME or ENCRYPTED.  *ret is filled for ACCEPTED only.
 */
enum verdict report_decode(const struct frame *f, enum layout known, int64_t now,
			   struct report *ret);

struct login {
	int64_t at;
	uint16_t serial;
	char iccid[21];
};
enum verdict login_decode(const struct frame *f, int64_t now, struct login *ret);

struct logout {
	int64_t at;
	uint16_t serial; /* that of the matching login */
};
enum verdict logout_decode(const struct frame *f, int64_t now, struct logout *ret);

/* HJ 1239 0x06: the terminal was unplugged or removed. */
struct tamper_alarm {
	int64_t at;
	uint16_t serial;
	bool position_valid;
	double lon, lat;
};
enum verdict tamper_alarm_decode(const struct frame *f, int64_t now, struct tamper_alarm *ret);

/* HJ 1239 0x07 in header V. */
struct activation {
	int64_t at;
	char chip_id[17];
	/* SM2: X[32] Y[32] (a 04 in front is taken off); 2025 edition: as its algorithm has it. */
	const uint8_t *public_key;
	size_t public_key_size;
	char vin[VIN_SIZE + 1];
	struct unit_signature signature;
};
enum verdict activation_decode(const struct frame *f, int64_t now, struct activation *ret);
/* Unit of the downlink 0x08: state 1 activated, 2 failed; info 0 ok, 1 chip used, 2 VIN error. */
size_t activation_answer_encode(uint8_t state, uint8_t info, uint8_t *buf, size_t size);

struct platform_login {
	int64_t at;
	uint16_t serial;
	char user[13];
	char password[21]; /* never log it */
	uint8_t encryption;
};
enum verdict platform_login_decode(const struct frame *f, int64_t now, struct platform_login *ret);

/* What a command means depends on protocol and header; this is the meaning. */
enum meaning {
	MEANING_UNKNOWN,
	MEANING_LOGIN,
	MEANING_REPORT,
	MEANING_LOGOUT,
	MEANING_TIME,
	MEANING_HEARTBEAT,
	MEANING_TAMPER_ALARM,
	MEANING_ACTIVATION,
	MEANING_ACTIVATION_ANSWER,
	MEANING_PLATFORM_LOGIN,
	MEANING_PLATFORM_LOGOUT,
	MEANING_KEY_EXCHANGE,
	MEANING_DOWNLINK_ANSWER, /* 80, 81, 82 with an answer flag */
};
enum meaning frame_meaning(const struct frame *f);
const char *meaning_name(enum meaning meaning);

/* Largest unit that makes sense for the frame's command; bounds memory before the unit arrives. */
size_t frame_unit_limit(uint8_t command);

/*
 * Builders, for the simulator and tests: append to a unit; when all is written, failed tells and
 * size is the unit's.  LAYOUT_B_SIGNED gets placeholder signatures.  unit_login and unit_logout
 * return the size, 0 = no room.
 */
struct unit_writer {
	uint8_t *buf;
	size_t size, max;
	enum layout layout;
	unsigned blocks;
	bool failed; /* sticky: no room */
};
void unit_start(struct unit_writer *w, enum layout layout, int64_t at, uint16_t serial,
		uint8_t *buf, size_t max);
void unit_block(struct unit_writer *w, uint8_t type, int64_t at, uint16_t serial,
		const uint8_t *body, size_t size);
/* R and S at the end of the unit (layout C), with their lengths; the caller signs buf[0..size). */
void unit_sign(struct unit_writer *w, const uint8_t r[32], const uint8_t s[32]);
size_t unit_login(int64_t at, uint16_t serial, const char *iccid, enum header header, uint8_t *buf,
		  size_t max);
size_t unit_logout(int64_t at, uint16_t serial, uint8_t *buf, size_t max);

/* One block as a JSON object: type, name, serial, at, its fields, what follows them. */
size_t block_json(const struct block *b, char *out, size_t size);

/* A whole frame as JSON, for tools and logs; cut at size like snprintf. */
size_t frame_json(const struct frame *f, enum layout known, int64_t now, char *out, size_t size);

#endif

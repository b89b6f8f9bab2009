#include "proto/wire/unit.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/claimed_time.h"

enum {
	PLAIN = 0x01,
	ICCID_SIZE = 20,
	LOGIN_SIZE = 28,
	LOGOUT_SIZE = 8,
	TAMPER_ALARM_SIZE = 17,
	ACTIVATION_SIZE = 169,
	ACTIVATION_ANSWER_SIZE = 2,
	PLATFORM_LOGIN_SIZE = 41,
	PLATFORM_LOGOUT_SIZE = 8,
	SM2_SIZE = 32, /* of R, S, X and Y */
};

static enum meaning meaning_v(uint8_t command)
{
	static const enum meaning meanings[] = {
		[0x01] = MEANING_LOGIN,	     [0x02] = MEANING_REPORT,
		[0x03] = MEANING_REPORT,     [0x04] = MEANING_LOGOUT,
		[0x05] = MEANING_TIME,	     [0x06] = MEANING_TAMPER_ALARM,
		[0x07] = MEANING_ACTIVATION, [0x08] = MEANING_ACTIVATION_ANSWER,
	};

	return command < sizeof(meanings) / sizeof(meanings[0]) ? meanings[command]
								: MEANING_UNKNOWN;
}

static enum meaning meaning_2025(uint8_t command)
{
	static const enum meaning meanings[] = {
		[0x01] = MEANING_LOGIN,		 [0x02] = MEANING_REPORT,
		[0x03] = MEANING_REPORT,	 [0x04] = MEANING_LOGOUT,
		[0x05] = MEANING_PLATFORM_LOGIN, [0x06] = MEANING_PLATFORM_LOGOUT,
		[0x07] = MEANING_HEARTBEAT,	 [0x08] = MEANING_TIME,
		[0x09] = MEANING_ACTIVATION,	 [0x0A] = MEANING_ACTIVATION_ANSWER,
		[0x0B] = MEANING_KEY_EXCHANGE,
	};

	return command < sizeof(meanings) / sizeof(meanings[0]) ? meanings[command]
								: MEANING_UNKNOWN;
}

/*
 * Header P is used by GB/T 32960 and by HJ 1239, which give the commands 05 to 08 other meanings.
 * "~~" is HJ 1239; "##" may be either, and the length tells.
 */
static enum meaning meaning_p(const struct frame *f)
{
	const bool hj = f->start == 0x7E;
	const size_t n = f->unit_size;

	switch (f->command) {
	case 0x01:
	case 0x02:
	case 0x03:
	case 0x04:
		return meaning_v(f->command);
	case 0x05:
		return hj || n == 0 ? MEANING_TIME : MEANING_PLATFORM_LOGIN;
	case 0x06:
		return hj || n == TAMPER_ALARM_SIZE ? MEANING_TAMPER_ALARM
						    : MEANING_PLATFORM_LOGOUT;
	case 0x07:
		if (n == ACTIVATION_SIZE)
			return MEANING_ACTIVATION;
		return hj || n == PLATFORM_LOGIN_SIZE ? MEANING_PLATFORM_LOGIN : MEANING_HEARTBEAT;
	case 0x08:
		if (n == ACTIVATION_ANSWER_SIZE)
			return MEANING_ACTIVATION_ANSWER;
		return hj || n == PLATFORM_LOGOUT_SIZE ? MEANING_PLATFORM_LOGOUT : MEANING_TIME;
	case 0x09:
		return MEANING_KEY_EXCHANGE;
	default:
		return MEANING_UNKNOWN;
	}
}

enum meaning frame_meaning(const struct frame *f)
{
	if (f->header == HEADER_V)
		return meaning_v(f->command);
	if (f->command >= 0x80 && f->command <= 0x82)
		return f->answer == ANSWER_COMMAND ? MEANING_UNKNOWN : MEANING_DOWNLINK_ANSWER;
	return f->start == 0x24 ? meaning_2025(f->command) : meaning_p(f);
}

size_t frame_unit_limit(uint8_t command)
{
	enum { LOGIN_MAX = 32 * 1024, SMALL_MAX = 2 * 1024, KEY_MAX = 8 * 1024 };

	switch (command) {
	case 0x01: /* 2025: 20 systems of 50 packs, 24 bytes each */
		return LOGIN_MAX;
	case 0x04: /* 2 KiB: a few blocks of RSA ciphertext around at most 169 bytes */
	case 0x05:
	case 0x06:
	case 0x07:
	case 0x08:
	case 0x0A:
		return SMALL_MAX;
	case 0x09:
	case 0x0B:
		return KEY_MAX;
	default:
		return FRAME_UNIT_MAX;
	}
}

/* What does not read as plain is ciphertext when it is marked so. */
static enum verdict refused(const struct frame *f, enum verdict why)
{
	return f->encryption == PLAIN ? why : VERDICT_ENCRYPTED;
}

/* The time at the start of a unit of the right size; the same rules for all of them. */
static enum verdict start_time(const struct frame *f, int64_t now, int64_t *ret_at)
{
	unsigned quirks = 0;
	const int64_t at = claimed_time(f->unit, now, &quirks);

	if (at == WIRE_TIME_NONE)
		return refused(f, VERDICT_BAD_TIME);
	if (f->encryption != PLAIN && (quirks & QUIRK_CLOCK) != 0)
		return VERDICT_ENCRYPTED;
	*ret_at = at;
	return VERDICT_ACCEPTED;
}

/* Text of a fixed size; what is not printable becomes '?', so that it can be shown and logged. */
static void copy_text(char *out, const uint8_t *p, size_t n)
{
	while (n > 0 && (p[n - 1] == '\0' || p[n - 1] == ' '))
		n--;
	for (size_t i = 0; i < n; i++)
		out[i] = p[i] >= 0x20 && p[i] <= 0x7E ? (char)p[i] : '?';
	out[n] = '\0';
}

/* Codes of the rechargeable storage behind the ICCID: 2016 count and length, 2025 a list. */
static bool storage_codes_fit(const struct frame *f)
{
	struct reader r = { f->unit + LOGIN_SIZE, f->unit_size - LOGIN_SIZE, false };
	size_t n, each, sum = 0;

	if (r.left == 0)
		return true;
	if (f->header == HEADER_V)
		return false;
	n = reader_u8(&r);
	if (f->start == 0x24) {
		for (size_t i = 0; i < n && n < 0xFE; i++)
			sum += reader_u8(&r);
		reader_bytes(&r, sum * 24);
	} else {
		each = reader_u8(&r);
		reader_bytes(&r, n >= 0xFE || each >= 0xFE ? 0 : n * each);
	}
	return !r.failed && r.left == 0;
}

enum verdict login_decode(const struct frame *f, int64_t now, struct login *ret)
{
	struct login login = { 0 };
	enum verdict verdict;

	if (f->unit_size < LOGIN_SIZE || !storage_codes_fit(f))
		return refused(f, VERDICT_BAD_UNIT);
	if ((verdict = start_time(f, now, &login.at)) != VERDICT_ACCEPTED)
		return verdict;
	login.serial = get_u16(f->unit + 6);
	copy_text(login.iccid, f->unit + 8, ICCID_SIZE);
	*ret = login;
	return VERDICT_ACCEPTED;
}

enum verdict logout_decode(const struct frame *f, int64_t now, struct logout *ret)
{
	struct logout logout = { 0 };
	enum verdict verdict;

	if (f->unit_size != LOGOUT_SIZE)
		return refused(f, VERDICT_BAD_UNIT);
	if ((verdict = start_time(f, now, &logout.at)) != VERDICT_ACCEPTED)
		return verdict;
	logout.serial = get_u16(f->unit + 6);
	*ret = logout;
	return VERDICT_ACCEPTED;
}

enum verdict tamper_alarm_decode(const struct frame *f, int64_t now, struct tamper_alarm *ret)
{
	/* Status, longitude and latitude stand here as in the stream body. */
	static const size_t shift = 24 - 8;
	struct tamper_alarm alarm = { 0 };
	uint8_t body[STREAM_SIZE] = { 0 };
	enum verdict verdict;

	static_assert(STREAM_SIZE >= 24 + 9, "room for the position");
	if (f->unit_size != TAMPER_ALARM_SIZE)
		return refused(f, VERDICT_BAD_UNIT);
	if ((verdict = start_time(f, now, &alarm.at)) != VERDICT_ACCEPTED)
		return verdict;
	alarm.serial = get_u16(f->unit + 6);
	memcpy(body + 8 + shift, f->unit + 8, 9);
	alarm.position_valid = info_position(&info_stream, body, &alarm.lon, &alarm.lat);
	*ret = alarm;
	return VERDICT_ACCEPTED;
}

/* R and S with their lengths; n bytes of length. */
static bool read_signature(struct reader *r, size_t n, struct activation *ret)
{
	const size_t r_size = n == 1 ? reader_u8(r) : reader_u16(r);
	const uint8_t *r_bytes = reader_bytes(r, r_size);
	const size_t s_size = n == 1 ? reader_u8(r) : reader_u16(r);
	const uint8_t *s_bytes = reader_bytes(r, s_size);

	ret->signature.r = r_bytes;
	ret->signature.s = s_bytes;
	ret->signature.r_size = r_size;
	ret->signature.s_size = s_size;
	return !r->failed && r->left == 0;
}

/* A point may be sent with the 04 that marks it as uncompressed. */
static void take_off_mark(struct activation *a)
{
	if (a->signature.algorithm == ALGORITHM_RSA || a->public_key_size != 1 + 2 * SM2_SIZE ||
	    a->public_key[0] != 0x04)
		return;
	a->public_key++;
	a->public_key_size--;
}

/* The 2025 edition adds the key's length and the signature's type; else as HJ 1239. */
enum verdict activation_decode(const struct frame *f, int64_t now, struct activation *ret)
{
	struct reader r = { f->unit, f->unit_size, false };
	struct activation a = { 0 };
	const bool edition_2025 = f->start == 0x24;
	const uint8_t *chip, *vin;
	enum verdict verdict;

	if (!edition_2025 && f->unit_size != ACTIVATION_SIZE)
		return refused(f, VERDICT_BAD_UNIT);
	reader_bytes(&r, WIRE_TIME_SIZE);
	chip = reader_bytes(&r, sizeof(a.chip_id) - 1);
	a.public_key_size = edition_2025 ? reader_u16(&r) : 2 * SM2_SIZE;
	a.public_key = reader_bytes(&r, a.public_key_size);
	vin = reader_bytes(&r, VIN_SIZE);
	a.signature.bytes = f->unit;
	a.signature.size = f->unit_size - r.left;
	a.signature.algorithm = edition_2025 ? signature_type_2025(reader_u8(&r)) : ALGORITHM_SM2;
	if (!read_signature(&r, edition_2025 ? 2 : 1, &a) ||
	    a.signature.algorithm == ALGORITHM_NONE)
		return refused(f, VERDICT_BAD_UNIT);
	if ((verdict = start_time(f, now, &a.at)) != VERDICT_ACCEPTED)
		return verdict;
	copy_text(a.chip_id, chip, sizeof(a.chip_id) - 1);
	copy_text(a.vin, vin, VIN_SIZE);
	take_off_mark(&a);
	*ret = a;
	return VERDICT_ACCEPTED;
}

size_t activation_answer_encode(uint8_t state, uint8_t info, uint8_t *buf, size_t size)
{
	if (size < ACTIVATION_ANSWER_SIZE)
		return 0;
	buf[0] = state;
	buf[1] = info;
	return ACTIVATION_ANSWER_SIZE;
}

enum verdict platform_login_decode(const struct frame *f, int64_t now, struct platform_login *ret)
{
	struct platform_login login = { 0 };
	enum verdict verdict;

	if (f->unit_size != PLATFORM_LOGIN_SIZE)
		return refused(f, VERDICT_BAD_UNIT);
	if ((verdict = start_time(f, now, &login.at)) != VERDICT_ACCEPTED)
		return verdict;
	login.serial = get_u16(f->unit + 6);
	copy_text(login.user, f->unit + 8, sizeof(login.user) - 1);
	copy_text(login.password, f->unit + 20, sizeof(login.password) - 1);
	login.encryption = f->unit[40];
	*ret = login;
	return VERDICT_ACCEPTED;
}

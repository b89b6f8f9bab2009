#include "proto/wire/guard.h"

#include <assert.h>

#include "proto/wire/claimed_time.h"

enum { PLAIN = 0x01 };

/* The answers to 80, 81 and 82 begin with a time; what follows depends on what was asked. */
static enum verdict downlink_answer_time(const struct frame *f, int64_t now)
{
	unsigned quirks = 0;
	const bool sound = f->unit_size >= WIRE_TIME_SIZE &&
			   claimed_time(f->unit, now, &quirks) != WIRE_TIME_NONE &&
			   (quirks & QUIRK_CLOCK) == 0;

	if (sound)
		return VERDICT_ACCEPTED;
	return f->encryption == PLAIN ? VERDICT_BAD_TIME : VERDICT_ENCRYPTED;
}

/*
 * Reads the unit as its command says; that is the only proof that a key was the right one where the
 * mode has none.  A report is left in scratch, an activation in *a.  UNKNOWN_COMMAND: the command
 * has no unit to read.
 */
static enum verdict decode(const struct frame *f, enum layout known, int64_t now,
			   struct report *scratch, struct activation *a)
{
	struct login login;
	struct logout logout;
	struct tamper_alarm alarm;
	struct platform_login platform;

	switch (frame_meaning(f)) {
	case MEANING_REPORT:
		return report_decode(f, known, now, scratch);
	case MEANING_LOGIN:
		return login_decode(f, now, &login);
	case MEANING_LOGOUT:
	case MEANING_PLATFORM_LOGOUT: /* the same eight bytes */
		return logout_decode(f, now, &logout);
	case MEANING_TAMPER_ALARM:
		return tamper_alarm_decode(f, now, &alarm);
	case MEANING_ACTIVATION:
		return activation_decode(f, now, a);
	case MEANING_PLATFORM_LOGIN:
		return platform_login_decode(f, now, &platform);
	case MEANING_DOWNLINK_ANSWER:
		return downlink_answer_time(f, now);
	default:
		return VERDICT_UNKNOWN_COMMAND;
	}
}

/* Why it did not open: what came nearest to opening is what a person wants to know. */
static void keep_nearest(struct guard_result *ret, enum cipher_result result)
{
	static const int nearness[] = {
		[CIPHER_BAD_SIZE] = 0, [CIPHER_BAD_PADDING] = 1, [CIPHER_NO_ROOM] = 2,
		[CIPHER_FAULT] = 2,    [CIPHER_OPENED] = 3,
	};

	if (nearness[result] > nearness[ret->cipher])
		ret->cipher = result;
}

/*
 * Reads what was opened.  Whether it can be read must not depend on its padding, or the answer
 * tells whether a padding was right (cipher.h): so every end that a padding could give is tried,
 * the one that it does give first.  padded: as from cipher_padded_size().
 */
static bool read_opened(struct frame *g, size_t padded, enum layout known, int64_t now,
			struct report *scratch, struct activation *a)
{
	if (decode(g, known, now, scratch, a) == VERDICT_ACCEPTED)
		return true;
	for (size_t cut = 0; cut <= CIPHER_BLOCK && cut < padded; cut++) {
		g->unit_size = padded - cut;
		if (decode(g, known, now, scratch, a) == VERDICT_ACCEPTED)
			return true;
	}
	return false;
}

/*
 * Tries the keys in order; the first that gives a unit that can be read wins, and *g is its frame.
 * The length of a unit may decide what its command means, so the meaning is asked for anew.
 */
static bool open_unit(const struct frame *f, const struct guard_keys *keys, enum layout known,
		      int64_t now, uint8_t *unit, struct report *scratch, struct activation *a,
		      struct frame *g, struct guard_result *ret)
{
	ret->cipher = CIPHER_BAD_SIZE;
	for (size_t i = 0; i < keys->cipher_count; i++) {
		const struct guard_cipher *c = &keys->ciphers[i];
		const size_t padded = cipher_padded_size(c->key, f->unit_size);
		size_t size = 0;
		const enum cipher_result result =
			cipher_open(c->key, f->unit, f->unit_size, unit, &size);

		keep_nearest(ret, result);
		if (result != CIPHER_OPENED)
			continue;
		*g = *f;
		g->unit = unit;
		g->unit_size = size;
		g->encryption = PLAIN;
		if (!ret->content_bad)
			ret->cipher_key = c->id;
		if (read_opened(g, padded, known, now, scratch, a)) {
			ret->opened = true;
			ret->content_bad = false;
			ret->cipher_key = c->id;
			ret->unit_size = g->unit_size;
			ret->padding_wrong = size == padded || g->unit_size != size;
			return true;
		}
		ret->content_bad = true;
	}
	return false;
}

static void verify_report(const struct unit_signature *s, const struct guard_keys *keys,
			  struct guard_result *ret)
{
	if (s->algorithm == ALGORITHM_NONE)
		return;
	if (s->bytes == NULL) {
		ret->signature = SIGNATURE_UNDEFINED;
		return;
	}
	if (!keys->verify) {
		ret->signature = SIGNATURE_SKIPPED;
		return;
	}
	ret->signature = SIGNATURE_NO_KEY;
	for (size_t i = 0; i < keys->signer_count; i++) {
		const struct guard_signer *signer = &keys->signers[i];

		if (signature_key_algorithm(signer->key) != s->algorithm)
			continue;
		if (signature_verify(signer->key, s, &ret->signature_user)) {
			ret->signature = SIGNATURE_VALID;
			ret->signature_key = signer->id;
			return;
		}
		ret->signature = SIGNATURE_INVALID;
	}
}

/* It brings its own key: what is proved is that its sender holds the private half. */
static void verify_activation(const struct activation *a, struct guard_result *ret)
{
	struct signature_key *key = signature_key_new(a->signature.algorithm, a->public_key,
						      a->public_key_size, a->chip_id);

	ret->signature = SIGNATURE_INVALID;
	if (key != NULL && signature_verify(key, &a->signature, &ret->signature_user)) {
		if (signature_key_sound(key))
			ret->signature = SIGNATURE_VALID;
		else
			ret->signature_user = SIGNATURE_USER_NONE;
	}
	signature_key_free(key);
}

void guard_check(const struct frame *f, const struct guard_keys *keys, enum layout known,
		 int64_t now, uint8_t *unit, struct report *scratch, struct guard_result *ret)
{
	struct frame g = *f;
	struct activation a = { 0 };
	enum verdict verdict;

	assert(keys->cipher_count <= GUARD_KEYS_MAX && keys->signer_count <= GUARD_KEYS_MAX);
	*ret = (struct guard_result){ .verdict = VERDICT_ACCEPTED };
	if (f->unit_size == 0)
		return;
	verdict = decode(f, known, now, scratch, &a);
	if (verdict == VERDICT_ENCRYPTED ||
	    (verdict == VERDICT_UNKNOWN_COMMAND && f->encryption != PLAIN)) {
		if (open_unit(f, keys, known, now, unit, scratch, &a, &g, ret)) {
			verdict = VERDICT_ACCEPTED;
		} else if (verdict == VERDICT_ENCRYPTED) {
			ret->verdict =
				keys->cipher_count > 0 ? VERDICT_DECRYPT_FAILED : VERDICT_ENCRYPTED;
			return;
		}
	}
	if (verdict != VERDICT_ACCEPTED)
		return;
	if (frame_meaning(&g) == MEANING_REPORT)
		verify_report(&scratch->signature, keys, ret);
	else if (frame_meaning(&g) == MEANING_ACTIVATION)
		verify_activation(&a, ret);
}

/*
 * checkpoint.h - the signed word about the log: so many segments, these two roots, at that time.
 * A short text that fits a mail or a QR code; whoever keeps a copy can show later that the log
 * only grew.  docs/evidence.md has the bytes.
 */
#ifndef GATEWAY_EVIDENCE_CHECKPOINT_H
#define GATEWAY_EVIDENCE_CHECKPOINT_H

#include "gateway/evidence/key.h"

enum { ORIGIN_SIZE = 65, CHECKPOINT_TEXT_SIZE = 768 };

struct checkpoint {
	char origin[ORIGIN_SIZE]; /* who speaks: letters, digits, . _ / - */
	uint64_t size;		  /* of the log, in segments */
	struct hash root[HASH_KINDS];
	int64_t time;	/* unix seconds, by the clock of the host that sealed */
	unsigned clock; /* clock_status(): 0 unknown, 1 synchronised, 2 unsynchronised */
	bool sm2;	/* else Ed25519 */
	struct hash key_id;
	uint8_t signature[KEY_SIGNATURE_SIZE];
};

bool origin_valid(const char *origin);

/* Signs: fills sm2, key_id and signature. */
int checkpoint_sign(struct checkpoint *c, const struct log_key *k, struct error *err);

/* True when the key made this signature for exactly this text. */
bool checkpoint_signed(const struct checkpoint *c, const struct log_key *k);

/* Returns the size of the text; a NUL stands behind it. */
size_t checkpoint_write(const struct checkpoint *c, char out[CHECKPOINT_TEXT_SIZE]);

/* Reads one from the front of text.  Its size, or 0 when none stands there. */
size_t checkpoint_read(const char *text, size_t size, struct checkpoint *ret);

const char *checkpoint_clock(const struct checkpoint *c);
/* "2026-11-30T16:54:00Z" */
enum { CHECKPOINT_TIME_SIZE = 32 };
void checkpoint_time(const struct checkpoint *c, char out[CHECKPOINT_TIME_SIZE]);

#endif

/*
 * guard.h - open and verify one frame with the keys that may apply: the expensive part of judging
 * it, as a pure function, so that any thread can do it.
 */
#ifndef PROTO_WIRE_GUARD_H
#define PROTO_WIRE_GUARD_H

#include "proto/wire/cipher.h"
#include "proto/wire/signature.h"

enum { GUARD_KEYS_MAX = 8 };

struct guard_cipher {
	uint64_t id; /* for the record: terminal_key.id, 0 = a key of the gateway */
	const struct cipher_key *key;
};

struct guard_signer {
	uint64_t id;
	struct signature_key *key;
};

/* Borrowed by the caller's job, which keeps the keys alive until it is done. */
struct guard_keys {
	struct guard_cipher ciphers[GUARD_KEYS_MAX]; /* in the order to try */
	size_t cipher_count;
	struct guard_signer signers[GUARD_KEYS_MAX];
	size_t signer_count;
	bool verify; /* false: a signature is not in the share to check: SKIPPED */
};

struct guard_result {
	/*
	 * ACCEPTED: go on with the opened (or plain) unit; ENCRYPTED: no key fits the encryption;
	 * DECRYPT_FAILED: a key is there, and none gave a unit that decodes; see cipher.
	 * What is plain and wrong is ACCEPTED here, and found by who decodes it.
	 */
	enum verdict verdict;
	/* Of a unit that was to be opened: what came nearest.  OPENED and not opened: content_bad.
	 */
	enum cipher_result cipher;
	bool opened;	     /* unit holds what was inside */
	bool content_bad;    /* a key fitted, and what it gave does not decode */
	uint64_t cipher_key; /* what opened it, also if the content is bad */
	size_t unit_size;    /* of the opened unit, in the caller's buffer */
	bool padding_wrong;  /* opened; no reason to refuse it, or the answer would tell */
	enum signature_check signature;
	uint64_t signature_key;
	enum signature_user signature_user;
};

/*
 * known, now: as for report_decode().  unit: room for f->unit_size bytes.  scratch: the caller's.
 * Plain units that are merely marked encrypted are found as report_decode() finds them.
 * An activation is verified with the key that it carries (signature_key 0).
 */
void guard_check(const struct frame *f, const struct guard_keys *keys, enum layout known,
		 int64_t now, uint8_t *unit, struct report *scratch, struct guard_result *ret);

#endif

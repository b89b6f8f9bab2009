/*
 * ring.h - the gateway's own keys, from keys.dir: pairs that open units, and the key that unwraps
 * the secrets of terminals.  Immutable but for the count; a reload makes another one.
 */
#ifndef GATEWAY_IDENTITY_RING_H
#define GATEWAY_IDENTITY_RING_H

#include "gateway/identity/identity.h"
#include "gateway/identity/wrap.h"

/* What one folder may hold; tools/keys makes no more than a gateway takes. */
enum { RING_PAIRS_MAX = 16, RING_WRAPPING_MAX = 8, RING_NAME_SIZE = 64 };

struct ring_pair {
	char name[RING_NAME_SIZE];
	enum algorithm algorithm;
	/* Made once for each mode that fits, used by all threads; else NULL. */
	struct cipher_key *ciphers[CIPHER_MODE_COUNT];
};

struct key_ring {
	atomic_uint refs;
	char *dir;
	/* wrapping.key, then those that a rotation keeps, wrapping-NAME.key; none: no secret opens.
	 */
	size_t wrapping_count;
	struct wrap_key wrapping[RING_WRAPPING_MAX];
	uint64_t wrapping_stamp; /* of wrapping.key: a rotation makes another file of it */
	size_t count;
	struct ring_pair pairs[RING_PAIRS_MAX]; /* by name, descending */
};

/* dir "": an empty ring.  ERROR_USAGE names the file and what to do. */
int key_ring_load(const char *dir, struct key_ring **ret, struct error *err);
struct key_ring *key_ring_ref(struct key_ring *r);

/* As wrap_open(), with whichever key fits. */
int key_ring_unwrap(const struct key_ring *r, const char *vin, const uint8_t *in, size_t size,
		    uint8_t *out, size_t *ret_size, struct error *err);
/* wrapping.key is another file than the one that was read: tools/keys has made a new one. */
bool key_ring_is_stale(const struct key_ring *r);

/*
 * pkcs11.c: the private key behind a "pkcs11:" URI, through OpenSSL's provider or engine.  NULL: it
 * is not there, with the reason.  path: for messages.  pin: "" = none.
 */
EVP_PKEY *key_from_uri(const char *path, const char *uri, char *pin, struct error *err);

#endif

/*
 * ring.h - the gateway's own keys, from keys.dir: pairs that open units, and the key that unwraps
 * the secrets of terminals.  Immutable but for the count; a reload makes another one.
 */
#ifndef GATEWAY_IDENTITY_RING_H
#define GATEWAY_IDENTITY_RING_H

#include "gateway/identity/identity.h"
#include "gateway/identity/wrap.h"

enum { RING_PAIRS_MAX = 16, RING_NAME_SIZE = 64 };

struct ring_pair {
	char name[RING_NAME_SIZE];
	enum algorithm algorithm;
	/* Made once for each mode that fits, used by all threads; else NULL. */
	struct cipher_key *ciphers[CIPHER_MODE_COUNT];
};

struct key_ring {
	atomic_uint refs;
	bool has_wrapping;
	struct wrap_key wrapping;
	size_t count;
	struct ring_pair pairs[RING_PAIRS_MAX]; /* by name, descending */
};

/* dir "": an empty ring.  ERROR_USAGE names the file and what to do. */
int key_ring_load(const char *dir, struct key_ring **ret, struct error *err);
struct key_ring *key_ring_ref(struct key_ring *r);

/*
 * pkcs11.c: the private key behind a "pkcs11:" URI, through OpenSSL's provider or engine.  NULL: it
 * is not there, with the reason.  path: for messages.  pin: "" = none.
 */
EVP_PKEY *key_from_uri(const char *path, const char *uri, char *pin, struct error *err);

#endif

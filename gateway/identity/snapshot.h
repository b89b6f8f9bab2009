/*
 * snapshot.h - one vehicle as it was read, and what it means at a time.
 *
 * The rows of the registry become a snapshot; others see its struct identity.  Keys are made once
 * and shared by the snapshots that follow; what depends on the clock is judged when a snapshot is
 * made, and the identity thread makes another one when the clock passes a bound.
 */
#ifndef GATEWAY_IDENTITY_SNAPSHOT_H
#define GATEWAY_IDENTITY_SNAPSHOT_H

#include "gateway/identity/identity.h"
#include "gateway/identity/ring.h"

enum { CLAIM_SIZE = 72 };

/* [from, to) */
struct period {
	int64_t from, to;
};

/* A chip or a public key that a signing key of the vehicle has. */
struct claim {
	char what[CLAIM_SIZE]; /* "chip:<id>" or "key:<SHA-256>" */
	bool active;	       /* else revoked */
	char chip_id[17];      /* beside a key; "" = not registered */
};

struct key_set { /* immutable but for the count */
	atomic_uint refs;
	size_t key_count, past_count, claim_count;
	struct identity_key *keys, *past;
	struct claim *claims;
};
struct key_set *key_set_new(size_t rows); /* room for the keys of that many rows */
struct key_set *key_set_ref(struct key_set *k);
void key_set_put(struct key_set *k); /* NULL-safe */

/* A row of terminal_key. */
struct key_row {
	int64_t id;
	bool signs, revoked;
	const char *algorithm, *mode, *chip_id; /* "" = NULL */
	const uint8_t *public_key, *secret, *iv;
	size_t public_key_size, secret_size, iv_size; /* 0 = NULL */
	struct period valid;
};
/*
 * Adds what the row gives: a claim, and a key if it is active, or a past one.  On failure only the
 * claim; err says what to do about the row.
 */
int key_set_add(struct key_set *k, const char *vin, const struct key_row *row,
		const struct key_ring *ring, struct error *err);

/* What the database says of a vehicle, besides keys. */
struct facts {
	int64_t vehicle_id;
	char vin[VIN_SIZE + 1];
	bool barred; /* retired or blocked */
	struct period valid;
	char iccid[21];
	struct period box_valid; /* of iccid */
	bool signature_required, encryption_required, has_orders, activated;
	double signature_share;
	enum transport transport;
	enum layout layout;
};
struct certificate_row {
	struct identity_certificate certificate;
	struct period valid;
};

struct snapshot {
	struct identity identity; /* first: what others see */
	uint64_t digest;	  /* of the rows it was made from */
	uint64_t keys_digest;	  /* of those that the keys were made from */
	struct facts facts;
	struct certificate_row *certificates;
	struct key_set *keys;
	struct period holds; /* when the judgement is right: between the nearest bounds */
};

/* Takes keys, certificates and platforms over.  at: unix seconds. */
struct snapshot *snapshot_new(const struct facts *facts, struct key_set *keys,
			      struct certificate_row *certificates, size_t certificate_count,
			      int32_t *platforms, size_t platform_count, int64_t at);
/* The clock has passed a bound since s was judged, or was put back. */
bool snapshot_is_stale(const struct snapshot *s, int64_t at);
/* The same vehicle, judged at another time. */
struct snapshot *snapshot_again(const struct snapshot *s, int64_t at);
/* Who looks at them sees no difference.  They are of the same rows. */
bool snapshot_equal(const struct snapshot *a, const struct snapshot *b);
static inline struct snapshot *snapshot_of(struct identity *i)
{
	return (struct snapshot *)(void *)i;
}

/* "key:" and the digest of a public key. */
void claim_of_key(const uint8_t *key, size_t size, char out[CLAIM_SIZE]);
void claim_of_chip(const char *chip_id, char out[CLAIM_SIZE]);

#endif

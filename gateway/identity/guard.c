/* Which keys may open and verify a frame. */
#include <string.h>

#include "gateway/identity/ring.h"

static bool is_valid(const struct identity_key *k, int64_t at)
{
	return k->valid_from <= at && at < k->valid_to;
}

static void cipher_add(struct guard_keys *g, uint64_t id, const struct cipher_key *key)
{
	for (size_t i = 0; i < g->cipher_count; i++)
		if (g->ciphers[i].key == key)
			return;
	if (key != NULL && g->cipher_count < GUARD_KEYS_MAX)
		g->ciphers[g->cipher_count++] = (struct guard_cipher){ .id = id, .key = key };
}

/* The vehicle's own secrets whose algorithm is (or is not) what the byte says. */
static void secrets_add(struct guard_keys *g, const struct identity *id, int64_t at,
			enum algorithm said, bool equal)
{
	for (size_t i = 0; i < id->key_count; i++) {
		const struct identity_key *k = &id->keys[i];

		if (k->cipher != NULL && is_valid(k, at) && (k->algorithm == said) == equal)
			cipher_add(g, (uint64_t)k->id, k->cipher);
	}
}

static void pairs_add(struct guard_keys *g, const struct key_ring *ring, enum algorithm algorithm,
		      enum cipher_mode mode)
{
	for (size_t i = 0; ring != NULL && i < ring->count; i++)
		if (ring->pairs[i].algorithm == algorithm)
			cipher_add(g, 0, ring->pairs[i].ciphers[mode]);
}

/* The gateway's pairs in the modes that the vehicle's rows ask; without a row for what the byte
 * says, in its default mode. */
static void rows_of_pairs_add(struct guard_keys *g, const struct identity *id,
			      const struct key_ring *ring, int64_t at, enum algorithm said)
{
	bool has_row = false;

	for (size_t i = 0; id != NULL && i < id->key_count; i++) {
		const struct identity_key *k = &id->keys[i];

		if (k->cipher != NULL || k->signer != NULL || k->algorithm != said ||
		    !is_valid(k, at))
			continue;
		pairs_add(g, ring, said, k->mode);
		has_row = true;
	}
	if (!has_row)
		pairs_add(g, ring, said, CIPHER_MODE_DEFAULT);
	for (size_t i = 0; id != NULL && i < id->key_count; i++) {
		const struct identity_key *k = &id->keys[i];

		if (k->cipher == NULL && k->signer == NULL && k->algorithm != said &&
		    is_valid(k, at))
			pairs_add(g, ring, k->algorithm, k->mode);
	}
}

static void signers_add(struct guard_keys *g, const struct identity_key *keys, size_t count,
			int64_t at)
{
	for (size_t i = 0; i < count; i++) {
		const struct identity_key *k = &keys[i];

		if (k->signer != NULL && is_valid(k, at) && g->signer_count < GUARD_KEYS_MAX)
			g->signers[g->signer_count++] =
				(struct guard_signer){ .id = (uint64_t)k->id, .key = k->signer };
	}
}

void identity_guard_keys(const struct identity *id, const struct key_ring *ring,
			 const struct frame *f, enum protocol protocol, int64_t at,
			 struct guard_keys *ret)
{
	enum { PLAIN = 0x01 };

	memset(ret, 0, sizeof(*ret));
	ret->verify = true;
	if (f->encryption != PLAIN) {
		const enum algorithm said = encryption_algorithm(protocol, f->encryption);

		if (id != NULL) {
			secrets_add(ret, id, at, said, true);
			secrets_add(ret, id, at, said, false);
		}
		rows_of_pairs_add(ret, id, ring, at, said);
	}
	if (id != NULL)
		signers_add(ret, id->keys, id->key_count, at);
}

void identity_guard_past_keys(const struct identity *id, int64_t at, struct guard_keys *g)
{
	signers_add(g, id->past, id->past_count, at);
}

/* The keys of a vehicle: rows of terminal_key made ready to use. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "gateway/identity/memory.h"
#include "gateway/identity/snapshot.h"

enum { SECRET_SIZE = 16, IV_SIZE = 16 };

struct key_set *key_set_new(size_t rows)
{
	struct key_set *k = memory_zero(1, sizeof(*k));

	atomic_init(&k->refs, 1);
	k->keys = memory_zero(rows, sizeof(*k->keys));
	k->past = memory_zero(rows, sizeof(*k->past));
	k->claims = memory_zero(2 * rows, sizeof(*k->claims));
	return k;
}

struct key_set *key_set_ref(struct key_set *k)
{
	atomic_fetch_add_explicit(&k->refs, 1, memory_order_relaxed);
	return k;
}

/* The set owns them; others see them as constant. */
static struct cipher_key *owned(const struct cipher_key *cipher)
{
	return (struct cipher_key *)(uintptr_t)cipher;
}

void key_set_put(struct key_set *k)
{
	if (k == NULL || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < k->key_count; i++) {
		signature_key_free(k->keys[i].signer);
		cipher_key_free(owned(k->keys[i].cipher));
	}
	for (size_t i = 0; i < k->past_count; i++)
		signature_key_free(k->past[i].signer);
	free(k->keys);
	free(k->past);
	free(k->claims);
	free(k);
}

/* ---- claims ---- */

void claim_of_key(const uint8_t *key, size_t size, char out[CLAIM_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int n = snprintf(out, CLAIM_SIZE, "key:");

	SHA256(key, size, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		n += snprintf(out + n, CLAIM_SIZE - (size_t)n, "%02x", digest[i]);
}

void claim_of_chip(const char *chip_id, char out[CLAIM_SIZE])
{
	snprintf(out, CLAIM_SIZE, "chip:%s", chip_id);
}

static struct claim *claim_add(struct key_set *k, const struct key_row *row)
{
	struct claim *c = &k->claims[k->claim_count++];

	c->active = !row->revoked;
	snprintf(c->chip_id, sizeof(c->chip_id), "%s", row->chip_id);
	return c;
}

/* In the form in which activations ask; a row that holds no key at all is claimed as it stands. */
static void claims_add(struct key_set *k, const struct key_row *row)
{
	const int algorithm = algorithm_parse(row->algorithm);
	uint8_t key[PUBLIC_KEY_MAX];
	const size_t size = algorithm == ALGORITHM_RSA
				    ? public_key_encode(ALGORITHM_RSA, row->public_key,
							row->public_key_size, key)
				    : 0;

	claim_of_key(size > 0 ? key : row->public_key, size > 0 ? size : row->public_key_size,
		     claim_add(k, row)->what);
	if (row->chip_id[0] != '\0')
		claim_of_chip(row->chip_id, claim_add(k, row)->what);
}

/* ---- keys ---- */

static int signer_make(struct identity_key *key, const struct key_row *row, struct error *err)
{
	const bool is_point = key->algorithm == ALGORITHM_SM2 || key->algorithm == ALGORITHM_P256;

	key->signer = signature_key_new(key->algorithm, row->public_key, row->public_key_size,
					row->chip_id);
	if (key->signer == NULL)
		return error_set(err, ERROR_USAGE,
				 "it is no public key of its algorithm: revoke it and import the "
				 "right one");
	if (is_point && row->public_key_size == sizeof(key->public_key))
		memcpy(key->public_key, row->public_key, sizeof(key->public_key));
	return 0;
}

static struct cipher_key *cipher_of_pair(enum algorithm algorithm, enum cipher_mode mode,
					 const uint8_t *der, size_t size)
{
	const uint8_t *p = der;
	EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &p, (long)size);
	struct cipher_key *cipher = pair != NULL ? cipher_key_pair(pair, mode) : NULL;

	EVP_PKEY_free(pair);
	ERR_clear_error();
	if (cipher != NULL && cipher_key_algorithm(cipher) != algorithm) {
		cipher_key_free(cipher);
		cipher = NULL;
	}
	return cipher;
}

static int cipher_make(struct identity_key *key, const char *vin, const struct key_row *row,
		       const struct key_ring *ring, struct error *err)
{
	const bool symmetric =
		key->algorithm == ALGORITHM_SM4 || key->algorithm == ALGORITHM_AES128;
	const uint8_t *iv = row->iv_size == IV_SIZE ? row->iv : NULL;
	uint8_t secret[WRAP_SECRET_MAX];
	size_t size;
	int rc;

	if ((rc = key_ring_unwrap(ring, vin, row->secret, row->secret_size, secret, &size, err)) <
	    0)
		return rc;
	if (!symmetric)
		key->cipher = cipher_of_pair(key->algorithm, key->mode, secret, size);
	else if (size == SECRET_SIZE)
		key->cipher = cipher_key_symmetric(key->algorithm, key->mode, secret, iv);
	OPENSSL_cleanse(secret, size);
	return key->cipher != NULL
		       ? 0
		       : error_set(err, ERROR_USAGE,
				   "its secret, mode and IV do not make a key of its algorithm: "
				   "import it again");
}

int key_set_add(struct key_set *k, const char *vin, const struct key_row *row,
		const struct key_ring *ring, struct error *err)
{
	const int algorithm = algorithm_parse(row->algorithm);
	const int mode = cipher_mode_parse(row->mode);
	/* A key without an end was never good: an activation that a person rejected. */
	const bool is_past = row->revoked && row->signs && row->valid.to != INT64_MAX;
	size_t *count = is_past ? &k->past_count : &k->key_count;
	struct identity_key *key = is_past ? &k->past[*count] : &k->keys[*count];
	int rc = 0;

	if (row->signs)
		claims_add(k, row);
	if (row->revoked && !is_past)
		return 0;
	if (algorithm <= ALGORITHM_NONE || mode < 0 ||
	    (!row->signs && !cipher_mode_fits((enum algorithm)algorithm, (enum cipher_mode)mode)))
		return error_set(err, ERROR_USAGE,
				 "mode %s of algorithm %s is not known to this program: correct "
				 "the row, or update the gateway",
				 row->mode, row->algorithm);
	*key = (struct identity_key){ .id = row->id,
				      .valid_from = row->valid.from,
				      .valid_to = row->valid.to,
				      .algorithm = (enum algorithm)algorithm,
				      .mode = (enum cipher_mode)mode };
	snprintf(key->chip_id, sizeof(key->chip_id), "%s", row->chip_id);
	if (row->signs)
		rc = signer_make(key, row, err);
	else if (row->secret_size > 0)
		rc = cipher_make(key, vin, row, ring, err);
	*count += rc == 0;
	return rc;
}

#include "proto/wire/cipher_key.h"

#include <assert.h>
#include <limits.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

enum { RSA_BITS_MIN = 1024, RSA_BITS_MAX = 4096 };

static bool has_prefix(enum cipher_mode mode)
{
	return mode == CIPHER_MODE_CBC_PREFIX || mode == CIPHER_MODE_CTR_PREFIX;
}

static enum cipher_mode first_mode(enum algorithm algorithm, enum cipher_mode mode)
{
	if (mode != CIPHER_MODE_DEFAULT)
		return mode;
	return algorithm == ALGORITHM_SM2   ? CIPHER_MODE_SM2_ANY
	       : algorithm == ALGORITHM_RSA ? CIPHER_MODE_RSA_PKCS1
					    : CIPHER_MODE_ECB;
}

static const char *evp_name(enum algorithm algorithm, enum cipher_mode mode)
{
	const bool sm4 = algorithm == ALGORITHM_SM4;

	if (mode == CIPHER_MODE_ECB)
		return sm4 ? "SM4-ECB" : "AES-128-ECB";
	if (mode == CIPHER_MODE_CTR_PREFIX)
		return sm4 ? "SM4-CTR" : "AES-128-CTR";
	return sm4 ? "SM4-CBC" : "AES-128-CBC";
}

static struct cipher_key *key_new(enum algorithm algorithm, enum cipher_mode mode)
{
	struct cipher_key *k;

	if (!cipher_mode_fits(algorithm, mode))
		return NULL;
	k = OPENSSL_zalloc(sizeof(*k));
	if (k == NULL)
		return NULL;
	k->algorithm = algorithm;
	k->mode = first_mode(algorithm, mode);
	return k;
}

struct cipher_key *cipher_key_symmetric(enum algorithm algorithm, enum cipher_mode mode,
					const uint8_t key[16], const uint8_t *iv)
{
	struct cipher_key *k;

	if ((algorithm != ALGORITHM_SM4 && algorithm != ALGORITHM_AES128) ||
	    (mode == CIPHER_MODE_CBC_FIXED) != (iv != NULL))
		return NULL;
	k = key_new(algorithm, mode);
	if (k == NULL)
		return NULL;
	memcpy(k->key, key, sizeof(k->key));
	if (iv != NULL)
		memcpy(k->iv, iv, sizeof(k->iv));
	else if (mode == CIPHER_MODE_CBC_KEY)
		memcpy(k->iv, key, sizeof(k->iv));
	k->cipher = EVP_CIPHER_fetch(NULL, evp_name(algorithm, k->mode), NULL);
	if (k->cipher == NULL) {
		cipher_key_free(k);
		return NULL;
	}
	return k;
}

struct cipher_key *cipher_key_pair(EVP_PKEY *key, enum cipher_mode mode)
{
	const bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	struct cipher_key *k;

	if (!rsa && EVP_PKEY_is_a(key, "SM2") != 1)
		return NULL;
	if (rsa && (EVP_PKEY_get_bits(key) < RSA_BITS_MIN || EVP_PKEY_get_bits(key) > RSA_BITS_MAX))
		return NULL;
	k = key_new(rsa ? ALGORITHM_RSA : ALGORITHM_SM2, mode);
	if (k == NULL)
		return NULL;
	if (EVP_PKEY_up_ref(key) != 1) {
		cipher_key_free(k);
		return NULL;
	}
	k->pair = key;
	if (k->mode == CIPHER_MODE_RSA_PKCS1 && !cipher_rsa_secret(k)) {
		cipher_key_free(k);
		return NULL;
	}
	return k;
}

void cipher_key_free(struct cipher_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pair);
	EVP_CIPHER_free(k->cipher);
	OPENSSL_clear_free(k, sizeof(*k));
}

enum algorithm cipher_key_algorithm(const struct cipher_key *k)
{
	return k->algorithm;
}

static bool is_padded(enum cipher_mode mode)
{
	return mode == CIPHER_MODE_ECB || mode == CIPHER_MODE_CBC_PREFIX ||
	       mode == CIPHER_MODE_CBC_ZERO || mode == CIPHER_MODE_CBC_FIXED ||
	       mode == CIPHER_MODE_CBC_KEY;
}

size_t cipher_padded_size(const struct cipher_key *k, size_t size)
{
	const size_t head = has_prefix(k->mode) ? CIPHER_BLOCK : 0;

	return is_padded(k->mode) && size > head ? size - head : 0;
}

/* Bytes of right PKCS#7 padding at the end, else 0; always the same work.  size: whole blocks. */
static size_t padding_size(const uint8_t *text, size_t size)
{
	const unsigned n = text[size - 1];
	unsigned wrong = (unsigned)(n == 0) | (unsigned)(n > CIPHER_BLOCK);

	for (unsigned i = 0; i < CIPHER_BLOCK; i++)
		wrong |= (unsigned)(i < n) & (unsigned)(text[size - 1 - i] != n);
	return n & (wrong - 1);
}

static enum cipher_result symmetric_open(const struct cipher_key *k, const uint8_t *in, size_t size,
					 uint8_t *out, size_t *ret_size)
{
	const bool padded = is_padded(k->mode);
	const uint8_t *iv = has_prefix(k->mode) ? in : k->iv;
	const size_t head = has_prefix(k->mode) ? CIPHER_BLOCK : 0;
	enum cipher_result result = CIPHER_FAULT;
	EVP_CIPHER_CTX *ctx;
	int n, rest;

	if (size <= head || (padded && size % CIPHER_BLOCK != 0))
		return CIPHER_BAD_SIZE;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL || EVP_DecryptInit_ex2(ctx, k->cipher, k->key, iv, NULL) != 1 ||
	    EVP_CIPHER_CTX_set_padding(ctx, 0) != 1 ||
	    EVP_DecryptUpdate(ctx, out, &n, in + head, (int)(size - head)) != 1 ||
	    EVP_DecryptFinal_ex(ctx, out + n, &rest) != 1)
		goto out;
	*ret_size = size - head - (padded ? padding_size(out, size - head) : 0);
	result = CIPHER_OPENED;
out:
	EVP_CIPHER_CTX_free(ctx);
	return result;
}

static enum cipher_result symmetric_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
					 uint8_t *out, size_t max, size_t *ret_size)
{
	const bool ctr = k->mode == CIPHER_MODE_CTR_PREFIX;
	const uint8_t *iv = has_prefix(k->mode) ? out : k->iv;
	const size_t head = has_prefix(k->mode) ? CIPHER_BLOCK : 0;
	const size_t padding = ctr ? 0 : CIPHER_BLOCK - size % CIPHER_BLOCK;
	enum cipher_result result = CIPHER_FAULT;
	EVP_CIPHER_CTX *ctx;
	int n, rest;

	if (head + size + padding > max)
		return CIPHER_NO_ROOM;
	if (head > 0 && RAND_bytes(out, CIPHER_BLOCK) != 1)
		return CIPHER_FAULT;
	ctx = EVP_CIPHER_CTX_new();
	if (ctx == NULL || EVP_EncryptInit_ex2(ctx, k->cipher, k->key, iv, NULL) != 1 ||
	    EVP_EncryptUpdate(ctx, out + head, &n, in, (int)size) != 1 ||
	    EVP_EncryptFinal_ex(ctx, out + head + n, &rest) != 1)
		goto out;
	*ret_size = head + (size_t)n + (size_t)rest;
	result = CIPHER_OPENED;
out:
	EVP_CIPHER_CTX_free(ctx);
	return result;
}

/* What failed is in the result: nothing is left in the queue that TLS reads on the same thread. */
enum cipher_result cipher_open(const struct cipher_key *k, const uint8_t *in, size_t size,
			       uint8_t *out, size_t *ret_size)
{
	enum cipher_result result;

	assert(size <= INT_MAX);
	*ret_size = 0;
	ERR_set_mark();
	if (k->algorithm == ALGORITHM_SM2)
		result = cipher_sm2_open(k, in, size, out, ret_size);
	else if (k->algorithm == ALGORITHM_RSA)
		result = cipher_rsa_open(k, in, size, out, ret_size);
	else
		result = symmetric_open(k, in, size, out, ret_size);
	if (result != CIPHER_OPENED)
		*ret_size = 0;
	ERR_pop_to_mark();
	return result;
}

enum cipher_result cipher_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
			       uint8_t *out, size_t max, size_t *ret_size)
{
	enum cipher_result result;

	assert(size <= INT_MAX / 2);
	*ret_size = 0;
	ERR_set_mark();
	if (k->algorithm == ALGORITHM_SM2)
		result = cipher_sm2_seal(k, in, size, out, max, ret_size);
	else if (k->algorithm == ALGORITHM_RSA)
		result = cipher_rsa_seal(k, in, size, out, max, ret_size);
	else
		result = symmetric_seal(k, in, size, out, max, ret_size);
	ERR_pop_to_mark();
	return result;
}

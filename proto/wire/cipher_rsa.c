/*
 * RSA: a unit is a row of blocks, each of the key's size.
 */
#include <openssl/rsa.h>

#include "proto/wire/cipher_key.h"

/* Bytes of a block that hold no text: PKCS#1 v1.5 8.1; OAEP two digests and two bytes. */
static size_t overhead(enum cipher_mode mode)
{
	return mode == CIPHER_MODE_RSA_PKCS1 ? 11 : mode == CIPHER_MODE_RSA_OAEP ? 42 : 66;
}

static bool set_padding(EVP_PKEY_CTX *ctx, enum cipher_mode mode)
{
	if (mode == CIPHER_MODE_RSA_PKCS1)
		return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1;
	if (EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) != 1)
		return false;
	return mode == CIPHER_MODE_RSA_OAEP ||
	       (EVP_PKEY_CTX_set_rsa_oaep_md(ctx, EVP_sha256()) == 1 &&
		EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, EVP_sha256()) == 1);
}

/*
 * All blocks are worked through, also behind a bad one: the time must not tell which one it was.
 */
enum cipher_result cipher_rsa_open(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t *ret_size)
{
	const size_t block = (size_t)EVP_PKEY_get_size(k->pair);
	enum cipher_result result = CIPHER_FAULT;
	EVP_PKEY_CTX *ctx;
	size_t used = 0;

	if (size == 0 || size % block != 0 || size / block > CIPHER_RSA_BLOCKS_MAX)
		return CIPHER_BAD_SIZE;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	if (ctx == NULL || EVP_PKEY_decrypt_init(ctx) != 1 || !set_padding(ctx, k->mode))
		goto out;
	result = CIPHER_OPENED;
	for (size_t i = 0; i < size; i += block) {
		size_t n = size - used;

		if (EVP_PKEY_decrypt(ctx, out + used, &n, in + i, block) == 1)
			used += n;
		else
			result = CIPHER_BAD_PADDING;
	}
	*ret_size = used;
out:
	EVP_PKEY_CTX_free(ctx);
	return result;
}

enum cipher_result cipher_rsa_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t max, size_t *ret_size)
{
	const size_t block = (size_t)EVP_PKEY_get_size(k->pair);
	const size_t part = block - overhead(k->mode);
	const size_t blocks = size == 0 ? 1 : (size + part - 1) / part;
	enum cipher_result result = CIPHER_FAULT;
	EVP_PKEY_CTX *ctx;

	if (blocks * block > max || blocks > CIPHER_RSA_BLOCKS_MAX)
		return CIPHER_NO_ROOM;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 || !set_padding(ctx, k->mode))
		goto out;
	for (size_t i = 0; i < blocks; i++) {
		const size_t left = size - i * part;
		size_t n = max - i * block;

		if (EVP_PKEY_encrypt(ctx, out + i * block, &n, in + i * part,
				     left < part ? left : part) != 1)
			goto out;
	}
	*ret_size = blocks * block;
	result = CIPHER_OPENED;
out:
	EVP_PKEY_CTX_free(ctx);
	return result;
}

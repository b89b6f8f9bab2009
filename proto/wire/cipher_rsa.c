/*
 * RSA: a unit is a row of blocks, each of the key's size.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#include "proto/wire/bytes.h"
#include "proto/wire/cipher_key.h"

enum {
	RSA_BLOCK_MAX = 512, /* 4096 bits, the most that cipher_key_pair() takes */
	DRAWS = 128,
};

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

/* A key ready to open.  The padding of PKCS#1 v1.5 is taken off here, not by OpenSSL. */
static EVP_PKEY_CTX *opener(const struct cipher_key *k)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);

	if (ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1 &&
	    (k->mode == CIPHER_MODE_RSA_PKCS1
		     ? EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) == 1
		     : set_padding(ctx, k->mode)))
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

/* ---- PKCS#1 v1.5 with implicit rejection ---- */

/* SHAKE-256 of a and b. */
static bool expand(const void *a, size_t a_size, const void *b, size_t b_size, uint8_t *out,
		   size_t size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, EVP_shake256(), NULL) == 1 &&
			EVP_DigestUpdate(ctx, a, a_size) == 1 &&
			EVP_DigestUpdate(ctx, b, b_size) == 1 &&
			EVP_DigestFinalXOF(ctx, out, size) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/*
 * What the private half makes of a block that nobody has a use for.  So it can be had from a device
 * too, which does not give its numbers away, and all gateways with this pair, now and after a
 * restart, draw the same texts: a text that changed would show that it was drawn.
 */
bool cipher_rsa_secret(struct cipher_key *k)
{
	static const char block_of[] = "haulgate: block of the key's secret";
	static const char secret_of[] = "haulgate: secret";
	const size_t block = (size_t)EVP_PKEY_get_size(k->pair);
	uint8_t in[RSA_BLOCK_MAX], out[RSA_BLOCK_MAX];
	size_t n = sizeof(out);
	EVP_PKEY_CTX *ctx;
	bool ok;

	ERR_set_mark();
	ok = expand(block_of, sizeof(block_of), NULL, 0, in, block);
	in[0] = 0; /* below the modulus */
	ctx = opener(k);
	k->has_secret = ok && ctx != NULL && EVP_PKEY_decrypt(ctx, out, &n, in, block) == 1;
	if (k->has_secret)
		ok = expand(secret_of, sizeof(secret_of), out, n, k->secret, sizeof(k->secret));
	OPENSSL_cleanse(out, sizeof(out));
	EVP_PKEY_CTX_free(ctx);
	ERR_pop_to_mark();
	return ok;
}

/* All ones when a < b, else 0, without a branch.  Both below 2^31. */
static uint32_t below(uint32_t a, uint32_t b)
{
	return 0u - ((a - b) >> 31);
}

static uint32_t choose(uint32_t mask, uint32_t a, uint32_t b)
{
	return (mask & a) | (~mask & b);
}

/*
 * A length from 0 to max: the last of many random numbers that is one.  That none is has a chance
 * of less than 2^-128.
 */
static uint32_t drawn_size(const uint8_t random[DRAWS * 2], uint32_t max)
{
	uint32_t bits = max, size = 0;

	for (int shift = 1; shift < 16; shift *= 2)
		bits |= bits >> shift;
	for (size_t i = 0; i < DRAWS; i++) {
		const uint32_t n = get_u16(random + 2 * i) & bits;

		size = choose(below(n, max + 1), n, size);
	}
	return size;
}

/*
 * 00 02, at least eight bytes that are not 0, 00, text.  Puts the text, or the drawn one, at out;
 * returns its size.  The same work whatever stands in the block: the only thing that differs is the
 * size, which the caller learns anyway, and it tells nothing of where the text is from.
 */
static size_t take_text(const uint8_t *in, const uint8_t *drawn, uint32_t block, uint8_t *out)
{
	const uint32_t max = block - (uint32_t)overhead(CIPHER_MODE_RSA_PKCS1);
	uint32_t good = below(in[0], 1) & below((uint32_t)in[1] ^ 2, 1);
	uint32_t zero = 0, found = 0, first;

	for (uint32_t i = 2; i < block; i++) {
		const uint32_t hit = below(in[i], 1) & ~found;

		zero = choose(hit, i, zero);
		found |= hit;
	}
	good &= found & ~below(zero, 2 + 8);
	first = choose(good, zero + 1, block - drawn_size(drawn + block, max));
	for (uint32_t i = first; i < block; i++)
		out[i - first] = (uint8_t)choose(good, in[i], drawn[i]);
	return block - first;
}

static enum cipher_result open_pkcs1(const struct cipher_key *k, EVP_PKEY_CTX *ctx,
				     const uint8_t *in, size_t block, uint8_t *out, size_t *ret_n)
{
	uint8_t padded[RSA_BLOCK_MAX], drawn[RSA_BLOCK_MAX + 2 * DRAWS];
	enum cipher_result result = CIPHER_BAD_PADDING;
	size_t n = sizeof(padded);

	if (!k->has_secret ||
	    !expand(k->secret, sizeof(k->secret), in, block, drawn, block + 2 * DRAWS))
		result = CIPHER_FAULT;
	/* Fails for a number above the modulus, as everybody can see. */
	else if (EVP_PKEY_decrypt(ctx, padded, &n, in, block) == 1 && n == block) {
		*ret_n = take_text(padded, drawn, (uint32_t)block, out);
		result = CIPHER_OPENED;
	}
	OPENSSL_cleanse(padded, sizeof(padded));
	OPENSSL_cleanse(drawn, sizeof(drawn));
	return result;
}

/* ---- a row of blocks ---- */

/* room: left in out. */
static enum cipher_result open_block(const struct cipher_key *k, EVP_PKEY_CTX *ctx,
				     const uint8_t *in, size_t block, uint8_t *out, size_t room,
				     size_t *ret_n)
{
	if (k->mode == CIPHER_MODE_RSA_PKCS1)
		return open_pkcs1(k, ctx, in, block, out, ret_n);
	*ret_n = room;
	return EVP_PKEY_decrypt(ctx, out, ret_n, in, block) == 1 ? CIPHER_OPENED
								 : CIPHER_BAD_PADDING;
}

/*
 * All blocks are worked through, also behind a bad one: the time must not tell which one it was.
 */
enum cipher_result cipher_rsa_open(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t *ret_size)
{
	const size_t block = (size_t)EVP_PKEY_get_size(k->pair);
	enum cipher_result result = CIPHER_OPENED;
	EVP_PKEY_CTX *ctx;
	size_t used = 0;

	if (size == 0 || size % block != 0 || size / block > CIPHER_RSA_BLOCKS_MAX)
		return CIPHER_BAD_SIZE;
	ctx = opener(k);
	if (ctx == NULL)
		return CIPHER_FAULT;
	for (size_t i = 0; i < size; i += block) {
		size_t n = 0;
		const enum cipher_result one =
			open_block(k, ctx, in + i, block, out + used, size - used, &n);

		if (one == CIPHER_OPENED)
			used += n;
		else
			result = one;
	}
	*ret_size = used;
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

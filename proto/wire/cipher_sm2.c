/*
 * SM2 encryption: C1 is a point, C3 a digest of 32 bytes, C2 the text.
 *
 * GM/T 0009 wraps x, y, C3 and C2 into a SEQUENCE, and so does OpenSSL.  Terminals send them bare,
 * in the order of the standard (C1C3C2) or of its draft (C1C2C3), with or without the 04 that marks
 * an uncompressed point.  A bare ciphertext is wrapped and given to OpenSSL.  Since C3 proves the
 * text, what opens in one layout has been opened rightly: so trying is safe.
 */
#include <string.h>

#include <openssl/asn1t.h>
#include <openssl/bn.h>

#include "proto/wire/cipher_key.h"

enum { NUMBER = 32, DIGEST = 32, BARE = 2 * NUMBER + DIGEST, MARK = 0x04 };

struct wrapped {
	BIGNUM *x, *y;
	ASN1_OCTET_STRING *digest, *text;
};
typedef struct wrapped WRAPPED;

ASN1_SEQUENCE(WRAPPED) = {
	ASN1_SIMPLE(WRAPPED, x, BIGNUM),
	ASN1_SIMPLE(WRAPPED, y, BIGNUM),
	ASN1_SIMPLE(WRAPPED, digest, ASN1_OCTET_STRING),
	ASN1_SIMPLE(WRAPPED, text, ASN1_OCTET_STRING),
} static_ASN1_SEQUENCE_END(WRAPPED)

static void wrapped_free(WRAPPED *w)
{
	ASN1_item_free((ASN1_VALUE *)w, ASN1_ITEM_rptr(WRAPPED));
}

static enum cipher_result open_der(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t room, size_t *ret_size)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	enum cipher_result result = CIPHER_FAULT;

	if (ctx != NULL && EVP_PKEY_decrypt_init(ctx) == 1) {
		*ret_size = room;
		result = EVP_PKEY_decrypt(ctx, out, ret_size, in, size) == 1 ? CIPHER_OPENED
									     : CIPHER_BAD_PADDING;
	}
	EVP_PKEY_CTX_free(ctx);
	return result;
}

/* One SEQUENCE, and nothing behind it; OpenSSL looks into it. */
static bool is_der(const uint8_t *in, size_t size)
{
	const uint8_t *p = in;
	long length;
	int tag, class;

	return size > 0 && (ASN1_get_object(&p, &length, &tag, &class, (long)size) & 0x81) == 0 &&
	       tag == V_ASN1_SEQUENCE && class == V_ASN1_UNIVERSAL && length == in + size - p;
}

/* The caller frees *ret_der with OPENSSL_free(); its size, or -1 without memory. */
static int wrap(const uint8_t *c1, const uint8_t *digest, const uint8_t *text, size_t text_size,
		uint8_t **ret_der)
{
	WRAPPED *w = (WRAPPED *)ASN1_item_new(ASN1_ITEM_rptr(WRAPPED));
	int size = -1;

	*ret_der = NULL;
	if (w != NULL && BN_bin2bn(c1, NUMBER, w->x) != NULL &&
	    BN_bin2bn(c1 + NUMBER, NUMBER, w->y) != NULL &&
	    ASN1_OCTET_STRING_set(w->digest, digest, DIGEST) == 1 &&
	    ASN1_OCTET_STRING_set(w->text, text, (int)text_size) == 1)
		size = ASN1_item_i2d((ASN1_VALUE *)w, ret_der, ASN1_ITEM_rptr(WRAPPED));
	wrapped_free(w);
	return size;
}

/* mark: 1 when a 04 stands in front.  The caller has checked the size. */
static enum cipher_result open_bare(const struct cipher_key *k, const uint8_t *in, size_t size,
				    size_t mark, bool old_order, uint8_t *out, size_t *ret_size)
{
	const uint8_t *c1 = in + mark, *rest = c1 + 2 * NUMBER;
	const size_t text_size = size - mark - BARE;
	const uint8_t *digest = old_order ? rest + text_size : rest;
	const uint8_t *text = old_order ? rest : rest + DIGEST;
	enum cipher_result result = CIPHER_FAULT;
	uint8_t *der;
	const int der_size = wrap(c1, digest, text, text_size, &der);

	if (der_size > 0)
		result = open_der(k, der, (size_t)der_size, out, size, ret_size);
	OPENSSL_free(der);
	return result;
}

/* The likelier layouts first: the mark is believed, then doubted; the standard's order, then the
 * draft's. */
enum cipher_result cipher_sm2_open(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t *ret_size)
{
	const bool any = k->mode == CIPHER_MODE_SM2_ANY;
	enum cipher_result result = CIPHER_BAD_SIZE;

	if ((any || k->mode == CIPHER_MODE_SM2_DER) && is_der(in, size))
		result = open_der(k, in, size, out, size, ret_size);
	for (int mark = 1; mark >= 0; mark--) {
		if (size <= BARE + (size_t)mark || (mark == 1 && in[0] != MARK))
			continue;
		for (int old_order = 0; old_order <= 1; old_order++) {
			if (result == CIPHER_OPENED || result == CIPHER_FAULT)
				return result;
			if (any || k->mode == (old_order ? CIPHER_MODE_SM2_C1C2C3
							 : CIPHER_MODE_SM2_C1C3C2))
				result = open_bare(k, in, size, (size_t)mark, old_order != 0, out,
						   ret_size);
		}
	}
	return result;
}

/* Puts what OpenSSL sealed into the bare layout of the mode, without the 04. */
static enum cipher_result unwrap(const uint8_t *der, size_t size, bool old_order, uint8_t *out,
				 size_t max, size_t *ret_size)
{
	WRAPPED *w = (WRAPPED *)ASN1_item_d2i(NULL, &der, (long)size, ASN1_ITEM_rptr(WRAPPED));
	enum cipher_result result = CIPHER_FAULT;
	uint8_t *rest = out + 2 * NUMBER;
	size_t text_size;

	if (w == NULL || ASN1_STRING_length(w->digest) != DIGEST)
		goto out;
	text_size = (size_t)ASN1_STRING_length(w->text);
	result = CIPHER_NO_ROOM;
	if (BARE + text_size > max)
		goto out;
	result = CIPHER_FAULT;
	if (BN_bn2binpad(w->x, out, NUMBER) < 0 || BN_bn2binpad(w->y, out + NUMBER, NUMBER) < 0)
		goto out;
	memcpy(old_order ? rest + text_size : rest, ASN1_STRING_get0_data(w->digest), DIGEST);
	memcpy(old_order ? rest : rest + DIGEST, ASN1_STRING_get0_data(w->text), text_size);
	*ret_size = BARE + text_size;
	result = CIPHER_OPENED;
out:
	wrapped_free(w);
	return result;
}

enum cipher_result cipher_sm2_seal(const struct cipher_key *k, const uint8_t *in, size_t size,
				   uint8_t *out, size_t max, size_t *ret_size)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, k->pair, NULL);
	enum cipher_result result = CIPHER_FAULT;
	uint8_t *der = NULL;
	size_t n = 0;

	if (size == 0) { /* the standard encrypts at least one bit */
		result = CIPHER_BAD_SIZE;
		goto out;
	}
	if (ctx == NULL || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_encrypt(ctx, NULL, &n, in, size) != 1 || (der = OPENSSL_malloc(n)) == NULL ||
	    EVP_PKEY_encrypt(ctx, der, &n, in, size) != 1)
		goto out;
	if (k->mode != CIPHER_MODE_SM2_DER) {
		result = unwrap(der, n, k->mode == CIPHER_MODE_SM2_C1C2C3, out, max, ret_size);
	} else if (n > max) {
		result = CIPHER_NO_ROOM;
	} else {
		memcpy(out, der, n);
		*ret_size = n;
		result = CIPHER_OPENED;
	}
out:
	OPENSSL_free(der);
	EVP_PKEY_CTX_free(ctx);
	return result;
}

#include "gateway/evidence/key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#define SM2_USER "1234567812345678" /* GM/T 0009: where nothing else was agreed */

enum { SM2_NUMBER = 32, SIGNATURE_DER_MAX = 80 };

struct log_key {
	EVP_PKEY *pair;
	bool sm2, private_half;
	size_t der_size;
	uint8_t der[KEY_DER_MAX];
	struct hash id;
};

static int wrap(EVP_PKEY *pair, bool private_half, const char *name, struct log_key **ret,
		struct error *err)
{
	struct log_key *k = calloc(1, sizeof(*k));
	uint8_t *der = NULL;
	int size, rc = 0;

	if (k == NULL || pair == NULL ||
	    (!EVP_PKEY_is_a(pair, "SM2") && !EVP_PKEY_is_a(pair, "ED25519"))) {
		rc = error_set(err, ERROR_USAGE,
			       "%s is no %s key of Ed25519 or SM2, in PEM without a pass phrase",
			       name, private_half ? "private" : "public");
		goto fail;
	}
	size = i2d_PUBKEY(pair, &der);
	if (size <= 0 || size > KEY_DER_MAX ||
	    EVP_Digest(der, (size_t)size, k->id.bytes, NULL, EVP_sha256(), NULL) != 1) {
		rc = error_set(err, ERROR_USAGE, "OpenSSL cannot encode the key of %s", name);
		goto fail;
	}
	memcpy(k->der, der, (size_t)size);
	k->der_size = (size_t)size;
	k->sm2 = EVP_PKEY_is_a(pair, "SM2") == 1;
	k->private_half = private_half;
	k->pair = pair;
	OPENSSL_free(der);
	*ret = k;
	return 0;
fail:
	OPENSSL_free(der);
	EVP_PKEY_free(pair);
	free(k);
	return rc;
}

int log_key_make(const char *algorithm, struct log_key **ret, struct error *err)
{
	const bool sm2 = strcmp(algorithm, "sm2") == 0;

	if (!sm2 && strcmp(algorithm, "ed25519") != 0)
		return error_set(err, ERROR_USAGE, "a key is of ed25519 or sm2, not '%s'",
				 algorithm);
	return wrap(EVP_PKEY_Q_keygen(NULL, NULL, sm2 ? "SM2" : "ED25519"), true, "the new key",
		    ret, err);
}

/* A file with a pass phrase would make OpenSSL ask on the terminal. */
static int no_pass_phrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return -1;
}

static int read_pem(const char *pem, size_t size, bool private_half, const char *name,
		    struct log_key **ret, struct error *err)
{
	BIO *bio;
	EVP_PKEY *pair = NULL;

	if (size > KEY_PEM_MAX * 8)
		return error_set(err, ERROR_USAGE, "%s is too long for a key", name);
	ERR_set_mark();
	bio = BIO_new_mem_buf(pem, (int)size);
	if (bio != NULL && private_half)
		pair = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
	else if (bio != NULL)
		pair = PEM_read_bio_PUBKEY(bio, NULL, no_pass_phrase, NULL);
	BIO_free(bio);
	ERR_pop_to_mark();
	return wrap(pair, private_half, name, ret, err);
}

int log_key_read_private(const char *pem, size_t size, const char *name, struct log_key **ret,
			 struct error *err)
{
	return read_pem(pem, size, true, name, ret, err);
}

int log_key_read_public(const char *pem, size_t size, const char *name, struct log_key **ret,
			struct error *err)
{
	return read_pem(pem, size, false, name, ret, err);
}

void log_key_free(struct log_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pair);
	free(k);
}

const char *log_key_algorithm(const struct log_key *k)
{
	return k->sm2 ? "sm2" : "ed25519";
}

const struct hash *log_key_id(const struct log_key *k)
{
	return &k->id;
}

struct bytes log_key_der(const struct log_key *k)
{
	return (struct bytes){ k->der, k->der_size };
}

static int take_pem(BIO *bio, bool written, char *out, size_t size, struct error *err)
{
	int n = -1;

	if (bio != NULL && written)
		n = BIO_read(bio, out, (int)size - 1);
	BIO_free(bio);
	if (n <= 0 || (size_t)n + 1 >= size)
		return error_set(err, ERROR_MEMORY, "OpenSSL cannot write a key as PEM");
	out[n] = '\0';
	return 0;
}

int log_key_public_pem(const struct log_key *k, char out[KEY_PEM_MAX], struct error *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	const bool written = bio != NULL && PEM_write_bio_PUBKEY(bio, k->pair) == 1;

	return take_pem(bio, written, out, KEY_PEM_MAX, err);
}

int log_key_private_pem(const struct log_key *k, char *out, size_t size, struct error *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	const bool written = bio != NULL && PEM_write_bio_PKCS8PrivateKey(bio, k->pair, NULL, NULL,
									  0, NULL, NULL) == 1;

	return take_pem(bio, written, out, size, err);
}

/* ---- signatures ---- */

/* The one form: OpenSSL's SEQUENCE of two numbers has several. */
static bool sm2_plain(const uint8_t *der, size_t size, uint8_t ret[KEY_SIGNATURE_SIZE])
{
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &der, (long)size);
	const bool ok =
		s != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(s), ret, SM2_NUMBER) == SM2_NUMBER &&
		BN_bn2binpad(ECDSA_SIG_get0_s(s), ret + SM2_NUMBER, SM2_NUMBER) == SM2_NUMBER;

	ECDSA_SIG_free(s);
	return ok;
}

/* Returns the size, or 0. */
static size_t sm2_der(const uint8_t signature[KEY_SIGNATURE_SIZE], uint8_t ret[SIGNATURE_DER_MAX])
{
	BIGNUM *r = BN_bin2bn(signature, SM2_NUMBER, NULL);
	BIGNUM *s = BN_bin2bn(signature + SM2_NUMBER, SM2_NUMBER, NULL);
	ECDSA_SIG *both = ECDSA_SIG_new();
	uint8_t *out = ret;
	int size = 0;

	if (r != NULL && s != NULL && both != NULL && ECDSA_SIG_set0(both, r, s) == 1) {
		r = s = NULL; /* both has them now */
		size = i2d_ECDSA_SIG(both, NULL) <= SIGNATURE_DER_MAX ? i2d_ECDSA_SIG(both, &out)
								      : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(both);
	return size > 0 ? (size_t)size : 0;
}

static EVP_MD_CTX *signature_context(const struct log_key *k, bool sign)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *of = NULL;
	const char *digest = k->sm2 ? "SM3" : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_DIST_ID, NULL, sizeof(SM2_USER) - 1),
		OSSL_PARAM_END,
	};
	char user[] = SM2_USER;
	int ok;

	params[0].data = user;
	if (ctx == NULL)
		return NULL;
	ok = sign ? EVP_DigestSignInit_ex(ctx, &of, digest, NULL, NULL, k->pair, NULL)
		  : EVP_DigestVerifyInit_ex(ctx, &of, digest, NULL, NULL, k->pair, NULL);
	if (ok == 1 && k->sm2)
		ok = EVP_PKEY_CTX_set_params(of, params);
	if (ok == 1)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

int log_key_sign(const struct log_key *k, const void *text, size_t size,
		 uint8_t ret[KEY_SIGNATURE_SIZE], struct error *err)
{
	uint8_t made[SIGNATURE_DER_MAX];
	size_t made_size = sizeof(made);
	EVP_MD_CTX *ctx;
	bool ok;

	if (!k->private_half)
		return error_set(err, ERROR_USAGE, "a public key does not sign");
	ctx = signature_context(k, true);
	ok = ctx != NULL && EVP_DigestSign(ctx, made, &made_size, text, size) == 1;
	EVP_MD_CTX_free(ctx);
	if (ok && k->sm2)
		ok = sm2_plain(made, made_size, ret);
	else if (ok && made_size == KEY_SIGNATURE_SIZE)
		memcpy(ret, made, KEY_SIGNATURE_SIZE);
	if (!ok || (!k->sm2 && made_size != KEY_SIGNATURE_SIZE))
		return error_set(err, ERROR_MEMORY, "OpenSSL cannot sign");
	return 0;
}

bool log_key_signed(const struct log_key *k, const void *text, size_t size,
		    const uint8_t signature[KEY_SIGNATURE_SIZE])
{
	uint8_t der[SIGNATURE_DER_MAX];
	const uint8_t *at = signature;
	size_t at_size = KEY_SIGNATURE_SIZE;
	EVP_MD_CTX *ctx;
	bool ok;

	ERR_set_mark();
	if (k->sm2) {
		at_size = sm2_der(signature, der);
		at = der;
	}
	ctx = signature_context(k, false);
	ok = ctx != NULL && at_size > 0 && EVP_DigestVerify(ctx, at, at_size, text, size) == 1;
	EVP_MD_CTX_free(ctx);
	ERR_pop_to_mark();
	return ok;
}

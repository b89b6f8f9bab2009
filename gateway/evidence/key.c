#include "gateway/evidence/key.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "proto/wire/signature.h"

enum { SM2_NUMBER = 32 };

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

static bool sign_ed25519(EVP_PKEY *pair, const void *text, size_t size,
			 uint8_t ret[KEY_SIGNATURE_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t made = KEY_SIGNATURE_SIZE;
	const bool ok = ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pair) == 1 &&
			EVP_DigestSign(ctx, ret, &made, text, size) == 1;

	EVP_MD_CTX_free(ctx);
	return ok && made == KEY_SIGNATURE_SIZE;
}

static bool signed_ed25519(EVP_PKEY *pair, const void *text, size_t size,
			   const uint8_t signature[KEY_SIGNATURE_SIZE])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const bool ok = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pair) == 1 &&
			EVP_DigestVerify(ctx, signature, KEY_SIGNATURE_SIZE, text, size) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* X[32] Y[32], however the file wrote the point. */
static bool sm2_point(EVP_PKEY *pair, uint8_t ret[2 * SM2_NUMBER])
{
	BIGNUM *x = NULL, *y = NULL;
	const bool ok = EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_EC_PUB_X, &x) == 1 &&
			EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_EC_PUB_Y, &y) == 1 &&
			BN_bn2binpad(x, ret, SM2_NUMBER) == SM2_NUMBER &&
			BN_bn2binpad(y, ret + SM2_NUMBER, SM2_NUMBER) == SM2_NUMBER;

	BN_free(x);
	BN_free(y);
	return ok;
}

static bool signed_sm2(EVP_PKEY *pair, const void *text, size_t size,
		       const uint8_t signature[KEY_SIGNATURE_SIZE])
{
	const struct unit_signature s = {
		.algorithm = ALGORITHM_SM2,
		.bytes = text,
		.size = size,
		.r = signature,
		.r_size = SM2_NUMBER,
		.s = signature + SM2_NUMBER,
		.s_size = SM2_NUMBER,
	};
	uint8_t point[2 * SM2_NUMBER];
	struct signature_key *key = NULL;
	enum signature_user user;
	bool ok;

	if (sm2_point(pair, point))
		key = signature_key_new(ALGORITHM_SM2, point, sizeof(point), NULL);
	ok = key != NULL && signature_verify(key, &s, &user);
	signature_key_free(key);
	return ok;
}

int log_key_sign(const struct log_key *k, const void *text, size_t size,
		 uint8_t ret[KEY_SIGNATURE_SIZE], struct error *err)
{
	bool ok;

	if (!k->private_half)
		return error_set(err, ERROR_USAGE, "a public key does not sign");
	ok = k->sm2 ? signature_sign_sm2(k->pair, SIGNATURE_DEFAULT_USER, text, size, ret,
					 ret + SM2_NUMBER)
		    : sign_ed25519(k->pair, text, size, ret);
	return ok ? 0 : error_set(err, ERROR_MEMORY, "OpenSSL cannot sign");
}

bool log_key_signed(const struct log_key *k, const void *text, size_t size,
		    const uint8_t signature[KEY_SIGNATURE_SIZE])
{
	bool ok;

	ERR_set_mark();
	ok = k->sm2 ? signed_sm2(k->pair, text, size, signature)
		    : signed_ed25519(k->pair, text, size, signature);
	ERR_pop_to_mark();
	return ok;
}

#include "tools/cli/keys_pair.h"

#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

enum { POINT_SIZE = 64 };

static int no(struct error *err, const char *what)
{
	return error_set(err, ERROR_MEMORY, "OpenSSL cannot %s", what);
}

/* ---- pairs ---- */

int pair_make(enum algorithm algorithm, EVP_PKEY **ret, struct error *err)
{
	switch (algorithm) {
	case ALGORITHM_SM2:
		*ret = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
		break;
	case ALGORITHM_RSA:
		*ret = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS);
		break;
	case ALGORITHM_P256:
		*ret = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
		break;
	default:
		return error_set(err, ERROR_USAGE, "a pair is of sm2, rsa or p256");
	}
	return *ret != NULL ? 0 : no(err, "make a key pair");
}

int pair_private_pem(EVP_PKEY *key, struct secret *ret, struct error *err)
{
	BIO *bio = BIO_new(BIO_s_secmem());
	int n = 0, rc = 0;

	if (bio == NULL || !PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) ||
	    (n = BIO_read(bio, ret->bytes, SECRET_MAX)) <= 0)
		rc = no(err, "write a private key");
	ret->size = n > 0 ? (size_t)n : 0;
	ret->bytes[ret->size] = '\0';
	BIO_free(bio);
	return rc;
}

/* A file with a pass phrase would make OpenSSL ask on the terminal. */
static int no_pass_phrase(char *buffer, int size, int writing, void *arg)
{
	(void)buffer, (void)size, (void)writing, (void)arg;
	return -1;
}

int pair_private_read(const struct secret *pem, const char *name, EVP_PKEY **ret, struct error *err)
{
	BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->size);

	*ret = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
	BIO_free(bio);
	if (*ret == NULL)
		return error_set(err, ERROR_USAGE,
				 "%s is no private key in PEM without a pass phrase", name);
	return 0;
}

enum algorithm pair_algorithm(const EVP_PKEY *key)
{
	char group[32];

	if (EVP_PKEY_is_a(key, "RSA"))
		return EVP_PKEY_get_bits(key) >= 1024 && EVP_PKEY_get_bits(key) <= 4096
			       ? ALGORITHM_RSA
			       : ALGORITHM_NONE;
	if (!EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		return ALGORITHM_NONE;
	if (strcmp(group, "SM2") == 0)
		return ALGORITHM_SM2;
	return strcmp(group, "prime256v1") == 0 ? ALGORITHM_P256 : ALGORITHM_NONE;
}

/* ---- public halves ---- */

int public_key_of(EVP_PKEY *key, struct public_key *ret, struct error *err)
{
	uint8_t point[1 + POINT_SIZE], *der = NULL;
	size_t n = 0;
	int size;

	ret->algorithm = pair_algorithm(key);
	if (ret->algorithm == ALGORITHM_NONE)
		return error_set(err, ERROR_USAGE,
				 "the key is neither SM2, P-256 nor RSA of 1024 to 4096 bits");
	if (ret->algorithm != ALGORITHM_RSA) {
		if (!EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
						    "uncompressed") ||
		    !EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
						     sizeof(point), &n) ||
		    n != sizeof(point))
			return no(err, "tell the public half of a key");
		memcpy(ret->bytes, point + 1, POINT_SIZE);
		ret->size = POINT_SIZE;
		return 0;
	}
	if ((size = i2d_PUBKEY(key, &der)) <= 0 || size > PUBLIC_KEY_MAX) {
		OPENSSL_free(der);
		return no(err, "tell the public half of a key");
	}
	memcpy(ret->bytes, der, (size_t)size);
	ret->size = (size_t)size;
	OPENSSL_free(der);
	return 0;
}

/* NULL: not a point of the curve. */
static EVP_PKEY *from_point(enum algorithm algorithm, const uint8_t xy[POINT_SIZE])
{
	const bool sm2 = algorithm == ALGORITHM_SM2;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, sm2 ? "SM2" : "EC", NULL);
	char group[] = "SM2", other[] = "prime256v1";
	uint8_t point[1 + POINT_SIZE] = { 4 };
	EVP_PKEY *key = NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, sm2 ? group : other,
						 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)),
		OSSL_PARAM_construct_end(),
	};

	memcpy(point + 1, xy, POINT_SIZE);
	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) <= 0 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) <= 0)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* Activations have brought RSA keys as SubjectPublicKeyInfo and as RSAPublicKey of PKCS#1. */
static EVP_PKEY *from_der(const struct public_key *k)
{
	const uint8_t *p = k->bytes;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)k->size);

	p = k->bytes;
	return key != NULL ? key : d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)k->size);
}

static EVP_PKEY *from_public_key(const struct public_key *k)
{
	if (k->algorithm == ALGORITHM_RSA)
		return from_der(k);
	return k->size == POINT_SIZE ? from_point(k->algorithm, k->bytes) : NULL;
}

int public_key_pem(const struct public_key *k, char *ret, size_t size, struct error *err)
{
	EVP_PKEY *key = from_public_key(k);
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	if (key != NULL && bio != NULL && PEM_write_bio_PUBKEY(bio, key))
		n = BIO_read(bio, ret, (int)size - 1);
	EVP_PKEY_free(key);
	BIO_free(bio);
	if (n <= 0)
		return error_set(err, ERROR_CORRUPT, "its bytes are no public key of %s",
				 algorithm_text(k->algorithm));
	ret[n] = '\0';
	return 0;
}

/* PEM of a public key or a certificate; NULL: neither. */
static EVP_PKEY *from_pem(const struct secret *text)
{
	BIO *bio = BIO_new_mem_buf(text->bytes, (int)text->size);
	EVP_PKEY *key = NULL;
	X509 *certificate = NULL;

	if (bio != NULL && strstr((const char *)text->bytes, "-----BEGIN CERTIFICATE") != NULL) {
		certificate = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL);
		key = certificate != NULL ? X509_get_pubkey(certificate) : NULL;
	} else if (bio != NULL) {
		key = PEM_read_bio_PUBKEY(bio, NULL, no_pass_phrase, NULL);
	}
	X509_free(certificate);
	BIO_free(bio);
	return key;
}

static bool is_valid_public(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	bool valid = ctx != NULL && EVP_PKEY_public_check(ctx) > 0;

	EVP_PKEY_CTX_free(ctx);
	return valid;
}

int public_key_read(const struct secret *text, const char *name, enum algorithm hex_algorithm,
		    struct public_key *ret, struct error *err)
{
	const char *chars = (const char *)text->bytes;
	const size_t skip =
		text->size == 2 * POINT_SIZE + 2 && strncmp(chars, "04", 2) == 0 ? 2 : 0;
	uint8_t xy[POINT_SIZE];
	EVP_PKEY *key;
	int rc;

	if (strstr(chars, "PRIVATE KEY-----") != NULL)
		return error_set(err, ERROR_USAGE,
				 "%s holds a private key: only its owner should have it, and the "
				 "gateway needs the public one; it was not taken",
				 name);
	if (hex_bytes(chars + skip, text->size - skip, xy, POINT_SIZE))
		key = from_point(hex_algorithm, xy);
	else if (strstr(chars, "-----BEGIN ") != NULL)
		key = from_pem(text);
	else
		return error_set(err, ERROR_USAGE,
				 "%s: neither PEM of a public key or certificate, nor %d hex "
				 "digits X || Y",
				 name, 2 * POINT_SIZE);
	if (key == NULL || !is_valid_public(key)) {
		EVP_PKEY_free(key);
		return error_set(err, ERROR_USAGE, "%s is no valid public key", name);
	}
	rc = public_key_of(key, ret, err);
	EVP_PKEY_free(key);
	return rc;
}

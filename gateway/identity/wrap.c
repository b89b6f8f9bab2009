#include "gateway/identity/wrap.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "gateway/identity/file.h"

enum { VERSION = 1, NONCE_SIZE = 12, TAG_SIZE = 16, FILE_MAX = 256, SCOPE_SIZE = 64 };

void wrap_key_set(struct wrap_key *k, const uint8_t bytes[WRAP_KEY_SIZE])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];

	memcpy(k->bytes, bytes, sizeof(k->bytes));
	SHA256(bytes, WRAP_KEY_SIZE, digest);
	memcpy(k->name, digest, sizeof(k->name));
	OPENSSL_cleanse(digest, sizeof(digest));
}

void wrap_key_wipe(struct wrap_key *k)
{
	OPENSSL_cleanse(k, sizeof(*k));
}

int wrap_key_read(const char *path, struct wrap_key *ret, struct error *err)
{
	uint8_t bytes[WRAP_KEY_SIZE];
	char *text = NULL;
	size_t file_size, size, n = 0;
	int rc = private_file_read(path, FILE_MAX, &text, &file_size, err);

	if (rc < 0)
		return rc;
	size = file_size;
	while (size > 0 && isspace((unsigned char)text[size - 1]))
		text[--size] = '\0';
	/* The length is looked at first: the decoder reads pairs of digits and may skip colons. */
	if (size != 2 * sizeof(bytes) ||
	    OPENSSL_hexstr2buf_ex(bytes, sizeof(bytes), &n, text, '\0') != 1 || n != sizeof(bytes))
		rc = error_set(
			err, ERROR_USAGE,
			"wrapping key %s is not 64 hex digits: restore it from its backup, "
			"or make one with tools/keys and import the terminals' secrets again",
			path);
	else
		wrap_key_set(ret, bytes);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	private_free(text, file_size);
	return rc;
}

/* The additional data; returns its size. */
static int scope(const char *vin, uint8_t out[SCOPE_SIZE])
{
	const int n = snprintf((char *)out, SCOPE_SIZE, "haulgate terminal_key %s", vin);

	return n < SCOPE_SIZE ? n : SCOPE_SIZE - 1;
}

int wrap_seal(const struct wrap_key *k, const char *vin, const uint8_t *secret, size_t size,
	      uint8_t *out, struct error *err)
{
	EVP_CIPHER_CTX *ctx = NULL;
	uint8_t aad[SCOPE_SIZE], *nonce = out + 1 + WRAP_NAME_SIZE, *text = nonce + NONCE_SIZE;
	int n, rc = -1;

	if (size == 0 || size > WRAP_SECRET_MAX)
		return error_set(err, ERROR_USAGE, "a secret has 1 to %d bytes, not %zu",
				 WRAP_SECRET_MAX, size);
	out[0] = VERSION;
	memcpy(out + 1, k->name, WRAP_NAME_SIZE);
	if (RAND_bytes(nonce, NONCE_SIZE) == 1 && (ctx = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, nonce) == 1 &&
	    EVP_EncryptUpdate(ctx, NULL, &n, aad, scope(vin, aad)) == 1 &&
	    EVP_EncryptUpdate(ctx, text, &n, secret, (int)size) == 1 &&
	    EVP_EncryptFinal_ex(ctx, text + size, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_SIZE, text + size) == 1)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	return rc == 0 ? 0 : error_set(err, ERROR_MEMORY, "OpenSSL cannot seal a secret");
}

int wrap_open(const struct wrap_key *k, const char *vin, const uint8_t *in, size_t size,
	      uint8_t *out, size_t *ret_size, struct error *err)
{
	EVP_CIPHER_CTX *ctx = NULL;
	uint8_t aad[SCOPE_SIZE], tag[TAG_SIZE], end[TAG_SIZE];
	const uint8_t *nonce = in + 1 + WRAP_NAME_SIZE, *text = nonce + NONCE_SIZE;
	size_t text_size;
	int n, rc = -1;

	if (size <= WRAP_OVERHEAD || size > WRAP_OVERHEAD + WRAP_SECRET_MAX || in[0] != VERSION)
		return error_set(err, ERROR_CORRUPT, "the wrapped secret is not one");
	if (memcmp(in + 1, k->name, WRAP_NAME_SIZE) != 0)
		return error_set(err, ERROR_NOT_FOUND,
				 "the secret is wrapped with key %02x%02x%02x%02x, we have "
				 "%02x%02x%02x%02x: put that wrapping.key into keys.dir, or import "
				 "the secret again",
				 in[1], in[2], in[3], in[4], k->name[0], k->name[1], k->name[2],
				 k->name[3]);
	text_size = size - WRAP_OVERHEAD;
	memcpy(tag, text + text_size, TAG_SIZE);
	if ((ctx = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, k->bytes, nonce) == 1 &&
	    EVP_DecryptUpdate(ctx, NULL, &n, aad, scope(vin, aad)) == 1 &&
	    EVP_DecryptUpdate(ctx, out, &n, text, (int)text_size) == 1 &&
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_SIZE, tag) == 1 &&
	    EVP_DecryptFinal_ex(ctx, end, &n) == 1)
		rc = 0;
	EVP_CIPHER_CTX_free(ctx);
	if (rc != 0) {
		OPENSSL_cleanse(out, text_size);
		return error_set(
			err, ERROR_CORRUPT,
			"the wrapped secret was changed, or made for another VIN: import it again");
	}
	*ret_size = text_size;
	return 0;
}

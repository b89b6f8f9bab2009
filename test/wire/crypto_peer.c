/*
 * crypto_peer: the ciphers and signatures of proto/wire for a test in another language.
 *
 * One question a line, words with a blank between; bytes in hexadecimal, "-" for none:
 *   open ALGORITHM MODE KEY IV BYTES     KEY: 16 bytes, or a PKCS#8 private key
 *   seal ALGORITHM MODE KEY IV BYTES     KEY: 16 bytes, or a SubjectPublicKeyInfo
 *   sign KEY USER BYTES
 *   verify ALGORITHM KEY CHIP SIZE OTHER_SIZE BYTES R S
 * One answer a line: "ok" and bytes, or "no" and why.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/x509.h>

#include "proto/wire/cipher.h"
#include "proto/wire/signature.h"

enum { LINE_SIZE = 1 << 19, WORDS = 10 };

struct bytes {
	uint8_t *p;
	size_t size;
};

static struct bytes from_hex(const char *word)
{
	struct bytes b = { NULL, 0 };
	long n = 0;

	if (strcmp(word, "-") == 0) {
		b.p = OPENSSL_zalloc(1);
		return b;
	}
	b.p = OPENSSL_hexstr2buf(word, &n);
	if (b.p == NULL) {
		fprintf(stderr, "not hexadecimal: %.40s\n", word);
		exit(2);
	}
	b.size = (size_t)n;
	return b;
}

static void answer(const uint8_t *p, size_t size)
{
	printf("ok ");
	for (size_t i = 0; i < size; i++)
		printf("%02x", p[i]);
	puts("");
}

static struct cipher_key *key_of(enum algorithm algorithm, enum cipher_mode mode, struct bytes key,
				 struct bytes iv)
{
	const uint8_t *p = key.p;
	struct cipher_key *k;
	EVP_PKEY *pair;

	if (algorithm == ALGORITHM_SM4 || algorithm == ALGORITHM_AES128)
		return key.size == 16
			       ? cipher_key_symmetric(algorithm, mode, key.p, iv.size ? iv.p : NULL)
			       : NULL;
	pair = d2i_AutoPrivateKey(NULL, &p, (long)key.size);
	if (pair == NULL) {
		p = key.p;
		pair = d2i_PUBKEY(NULL, &p, (long)key.size);
	}
	k = pair != NULL ? cipher_key_pair(pair, mode) : NULL;
	EVP_PKEY_free(pair);
	return k;
}

static void cipher(char **words)
{
	static const char *const results[] = { "opened", "bad_size", "bad_padding", "no_room",
					       "fault" };
	static uint8_t out[LINE_SIZE];
	struct bytes key = from_hex(words[3]), iv = from_hex(words[4]), in = from_hex(words[5]);
	struct cipher_key *k = key_of((enum algorithm)algorithm_parse(words[1]),
				      (enum cipher_mode)cipher_mode_parse(words[2]), key, iv);
	enum cipher_result result;
	size_t n = 0;

	if (k == NULL) {
		puts("no key");
	} else {
		result = strcmp(words[0], "open") == 0
				 ? cipher_open(k, in.p, in.size, out, &n)
				 : cipher_seal(k, in.p, in.size, out, sizeof(out), &n);
		if (result == CIPHER_OPENED)
			answer(out, n);
		else
			printf("no %s\n", results[result]);
	}
	cipher_key_free(k);
	OPENSSL_free(key.p);
	OPENSSL_free(iv.p);
	OPENSSL_free(in.p);
}

static void sign(char **words)
{
	struct bytes key = from_hex(words[1]), in = from_hex(words[3]);
	const uint8_t *p = key.p;
	EVP_PKEY *pair = d2i_AutoPrivateKey(NULL, &p, (long)key.size);
	uint8_t out[64];

	if (pair != NULL && signature_sign_sm2(pair, words[2], in.p, in.size, out, out + 32))
		answer(out, sizeof(out));
	else
		puts("no key");
	EVP_PKEY_free(pair);
	OPENSSL_free(key.p);
	OPENSSL_free(in.p);
}

static void verify(char **words)
{
	struct bytes key = from_hex(words[2]), in = from_hex(words[6]), r = from_hex(words[7]),
		     s = from_hex(words[8]);
	const enum algorithm algorithm = (enum algorithm)algorithm_parse(words[1]);
	const struct unit_signature signature = {
		.algorithm = algorithm,
		.r = r.p,
		.s = s.p,
		.r_size = r.size,
		.s_size = s.size,
		.bytes = in.p,
		.size = strtoul(words[4], NULL, 10),
		.other_size = strtoul(words[5], NULL, 10),
	};
	struct signature_key *k = signature_key_new(algorithm, key.p, key.size,
						    strcmp(words[3], "-") == 0 ? NULL : words[3]);
	enum signature_user user[3];
	bool valid[3];

	if (k == NULL) {
		puts("no key");
	} else { /* by OpenSSL, then by tables */
		for (int i = 0; i < 3; i++)
			valid[i] = signature_verify(k, &signature, &user[i]);
		if (valid[0] != valid[1] || valid[0] != valid[2] || user[0] != user[2])
			puts("no agreement");
		else if (valid[0])
			answer((uint8_t[]){ (uint8_t)user[0] }, 1);
		else
			puts("no invalid");
	}
	signature_key_free(k);
	OPENSSL_free(key.p);
	OPENSSL_free(in.p);
	OPENSSL_free(r.p);
	OPENSSL_free(s.p);
}

static size_t split(char *line, char **words)
{
	size_t n = 0;

	for (char *rest = NULL, *word = strtok_r(line, " \n", &rest); word != NULL && n < WORDS;
	     word = strtok_r(NULL, " \n", &rest))
		words[n++] = word;
	return n;
}

int main(void)
{
	static char line[LINE_SIZE];
	char *words[WORDS];

	while (fgets(line, sizeof(line), stdin) != NULL) {
		const size_t n = split(line, words);

		if (n == 6 && (strcmp(words[0], "open") == 0 || strcmp(words[0], "seal") == 0)) {
			cipher(words);
		} else if (n == 4 && strcmp(words[0], "sign") == 0) {
			sign(words);
		} else if (n == 9 && strcmp(words[0], "verify") == 0) {
			verify(words);
		} else {
			fprintf(stderr, "not a question: %.60s\n", words[0]);
			return 2;
		}
		fflush(stdout);
	}
	return 0;
}

/*
 * haulgate-bench-crypto: what a frame's signature and encryption cost.
 *
 *   haulgate-bench-crypto [SECONDS]      of each measurement, default 1
 *
 * Prints key=value lines.  A figure is operations in a second of the thread's own processor time,
 * summed over threads, so that other work on the machine changes it less.  Not a test.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "proto/wire/cipher.h"
#include "proto/wire/signature_key.h"

enum { UNIT = 450, KEYS = 1000, THREADS_MAX = 2, SEALED_MAX = 2048 };

#define USER SIGNATURE_DEFAULT_USER

static EVP_PKEY *truck;
static uint8_t point[2 * SM2_NUMBER], unit[UNIT], r[32], s[32];
static const struct unit_signature signature = {
	.algorithm = ALGORITHM_SM2,
	.r = r,
	.s = s,
	.r_size = 32,
	.s_size = 32,
	.bytes = unit,
	.size = UNIT,
};
static struct signature_key *keys[KEYS];

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s failed\n", what);
	exit(1);
}

static void by_openssl(unsigned i)
{
	need(sm2_verify_by_openssl(keys[i % KEYS], &signature) == SIGNATURE_USER_DEFAULT,
	     "openssl");
}

static void by_one_key(unsigned i)
{
	enum signature_user user;

	(void)i;
	need(signature_verify(keys[0], &signature, &user), "verify");
}

/* As from many trucks: the tables of the key are in no cache. */
static void by_many_keys(unsigned i)
{
	enum signature_user user;

	need(signature_verify(keys[i % KEYS], &signature, &user), "verify");
}

static void make_table(unsigned i)
{
	struct sm2_comb *comb = sm2_comb_new(point);

	(void)i;
	need(comb != NULL, "table");
	sm2_comb_free(comb);
}

static void refuse(unsigned i)
{
	const struct unit_signature wrong = { ALGORITHM_SM2, s, r, 32, 32, unit, UNIT, 0 };
	enum signature_user user;

	need(!signature_verify(keys[i % KEYS], &wrong, &user), "refuse");
}

static void sign(unsigned i)
{
	uint8_t r2[32], s2[32];

	(void)i;
	need(signature_sign_sm2(truck, USER, unit, UNIT, r2, s2), "sign");
}

static double seconds = 1;

struct work {
	void (*operation)(unsigned i);
	double per_s;
};

static void *run(void *arg)
{
	struct work *work = arg;
	const double start = now_s();
	double spent;
	unsigned i = 0;

	do {
		for (int j = 0; j < 16; j++)
			work->operation(i++);
		spent = now_s() - start;
	} while (spent < seconds);
	work->per_s = i / spent;
	return NULL;
}

static void measure(const char *name, void (*operation)(unsigned i), unsigned threads)
{
	struct work work[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
	double sum = 0;

	for (unsigned i = 0; i < threads; i++) {
		work[i].operation = operation;
		need(pthread_create(&thread[i], NULL, run, &work[i]) == 0, "thread");
	}
	for (unsigned i = 0; i < threads; i++) {
		pthread_join(thread[i], NULL);
		sum += work[i].per_s;
	}
	printf("%s_threads_%u_per_s=%.0f\n", name, threads, sum);
	fflush(stdout);
}

static void prepare(void)
{
	uint8_t marked[1 + sizeof(point)];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(unit); i++)
		unit[i] = (uint8_t)(i * 7);
	truck = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	need(truck != NULL && EVP_PKEY_get_octet_string_param(truck, OSSL_PKEY_PARAM_PUB_KEY,
							      marked, sizeof(marked), &n) == 1,
	     "key");
	memcpy(point, marked + 1, sizeof(point));
	need(signature_sign_sm2(truck, USER, unit, UNIT, r, s), "sign");
}

static size_t used_bytes(void)
{
	return mallinfo2().uordblks;
}

static void measure_signatures(void)
{
	const size_t start = used_bytes();
	size_t bare;

	for (int i = 0; i < KEYS; i++) {
		keys[i] = signature_key_new(ALGORITHM_SM2, point, sizeof(point), NULL);
		need(keys[i] != NULL, "key");
	}
	bare = used_bytes();
	sm2_order(); /* the base point's table is made now, and is not the keys' */
	measure("sm2_verify_openssl", by_openssl, 1);
	measure("sm2_verify_openssl", by_openssl, 2);
	measure("sm2_make_table", make_table, 1);
	const size_t shared = used_bytes();

	for (unsigned i = 0; i < 2 * KEYS; i++) /* the second time makes the table */
		by_many_keys(i);
	printf("signature_key_bytes=%zu\nsignature_key_with_table_bytes=%zu\n",
	       (bare - start) / KEYS, (bare - start + used_bytes() - shared) / KEYS);
	measure("sm2_verify_one_key", by_one_key, 1);
	measure("sm2_verify_one_key", by_one_key, 2);
	measure("sm2_verify_1000_keys", by_many_keys, 1);
	measure("sm2_verify_1000_keys", by_many_keys, 2);
	measure("sm2_refuse", refuse, 1);
	measure("sm2_sign", sign, 1);
	for (int i = 0; i < KEYS; i++)
		signature_key_free(keys[i]);
}

static const struct cipher_key *cipher;
static uint8_t sealed[SEALED_MAX];
static size_t sealed_size;

static void open_unit(unsigned i)
{
	uint8_t out[SEALED_MAX];
	size_t n;

	(void)i;
	need(cipher_open(cipher, sealed, sealed_size, out, &n) == CIPHER_OPENED && n == UNIT,
	     "open");
}

static void measure_cipher(const char *name, enum cipher_mode mode, struct cipher_key *k)
{
	char text[64];

	need(k != NULL && cipher_seal(k, unit, UNIT, sealed, sizeof(sealed), &sealed_size) ==
				  CIPHER_OPENED,
	     "seal");
	cipher = k;
	snprintf(text, sizeof(text), "open_%s_%s", name, cipher_mode_text(mode));
	measure(text, open_unit, 1);
	cipher_key_free(k);
}

static void measure_ciphers(void)
{
	static const uint8_t key[16] = "a key of 16 byte", iv[16] = "an iv of 16 byte";
	EVP_PKEY *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);

	need(rsa != NULL, "key");
	for (int mode = CIPHER_MODE_SM2_ANY; mode < CIPHER_MODE_COUNT; mode++) {
		const enum cipher_mode m = (enum cipher_mode)mode;
		const uint8_t *fixed = m == CIPHER_MODE_CBC_FIXED ? iv : NULL;

		if (cipher_mode_fits(ALGORITHM_SM2, m))
			measure_cipher("sm2", m, cipher_key_pair(truck, m));
		if (cipher_mode_fits(ALGORITHM_RSA, m))
			measure_cipher("rsa2048", m, cipher_key_pair(rsa, m));
		if (!cipher_mode_fits(ALGORITHM_SM4, m))
			continue;
		measure_cipher("sm4", m, cipher_key_symmetric(ALGORITHM_SM4, m, key, fixed));
		measure_cipher("aes128", m, cipher_key_symmetric(ALGORITHM_AES128, m, key, fixed));
	}
	EVP_PKEY_free(rsa);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		seconds = strtod(argv[1], NULL);
	if (argc > 2 || !(seconds > 0 && seconds <= 60)) {
		fprintf(stderr, "usage: haulgate-bench-crypto [SECONDS]\n");
		return 2;
	}
	prepare();
	printf("unit_bytes=%d\n", UNIT);
	measure_signatures();
	measure_ciphers();
	EVP_PKEY_free(truck);
	return 0;
}

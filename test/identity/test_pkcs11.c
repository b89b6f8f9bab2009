/* A pair that stays in a device: made beside it, put into it, and then used through its URI. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/pem.h>

#include "gateway/identity/ring.h"
#include "test/identity/fixture.h"

enum { THREADS = 4, ROUNDS = 50 };

static const char module_path[] = "/usr/lib/softhsm/libsofthsm2.so";

/* A token in the fixture's folder with the RSA pair of pair.pem. */
static void device_make(struct fixture *f)
{
	char text[256], path[128];

	snprintf(path, sizeof(path), "%s/tokens", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(text, sizeof(text), "directories.tokendir = %s/tokens\nlog.level = ERROR\n",
		 f->dir);
	fixture_file(f, "softhsm.conf", text, 0600);
	snprintf(path, sizeof(path), "%s/softhsm.conf", f->dir);
	setenv("SOFTHSM2_CONF", path, 1);
	setenv("PKCS11_MODULE_PATH", module_path, 1);
	fixture_pair(f, "pair", "RSA", 2048);
	snprintf(text, sizeof(text),
		 "softhsm2-util --import '%s/pair.pem' --token haulgate --label unit --id 01 "
		 "--pin 1234 >/dev/null",
		 f->dir);
	assert_int_equal(system("softhsm2-util --init-token --free --label haulgate --so-pin 5678 "
				"--pin 1234 >/dev/null"),
			 0);
	assert_int_equal(system(text), 0);
}

/* The pair itself, which leaves the folder. */
static struct cipher_key *pair_of_file(struct fixture *f)
{
	char path[128];
	struct cipher_key *k;
	EVP_PKEY *pair;
	FILE *file;

	snprintf(path, sizeof(path), "%s/pair.pem", f->dir);
	assert_non_null(file = fopen(path, "r"));
	assert_non_null(pair = PEM_read_PrivateKey(file, NULL, NULL, NULL));
	fclose(file);
	assert_non_null(k = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1));
	EVP_PKEY_free(pair);
	unlink(path);
	return k;
}

struct work {
	const struct cipher_key *key;
	const uint8_t *sealed;
	size_t size;
	bool right;
};

static void *open_often(void *arg)
{
	struct work *w = arg;
	uint8_t opened[1024];
	size_t n;

	w->right = true;
	for (int i = 0; i < ROUNDS; i++)
		w->right &= cipher_open(w->key, w->sealed, w->size, opened, &n) == CIPHER_OPENED &&
			    n == 300 && opened[299] == 0x5a;
	return NULL;
}

static void test_opens_what_was_sealed(void **state)
{
	uint8_t plain[300], sealed[1024], opened[1024], again[1024];
	struct work work[THREADS];
	pthread_t threads[THREADS];
	struct cipher_key *seal;
	struct fixture f;
	struct key_ring *r;
	struct error err;
	size_t size, n, m;

	(void)state;
	if (access(module_path, R_OK) != 0 ||
	    system("softhsm2-util --version >/dev/null 2>&1") != 0) {
		print_message("skipped: apt-get install softhsm2 libengine-pkcs11-openssl\n");
		skip();
	}
	fixture_keys_open(&f);
	device_make(&f);
	seal = pair_of_file(&f);
	fixture_file(&f, "unit.uri", "pkcs11:token=haulgate;object=unit;type=private\n", 0600);
	assert_int_equal(key_ring_load(f.dir, &r, &err), ERROR_USAGE); /* no PIN */
	fixture_file(&f, "unit.pin", "9999\n", 0600);
	assert_int_equal(key_ring_load(f.dir, &r, &err), ERROR_USAGE);
	assert_null(strstr(err.text, "9999"));
	fixture_file(&f, "unit.pin", "1234\n", 0644);
	assert_int_equal(key_ring_load(f.dir, &r, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, "unit.pin is open to other users"));
	fixture_file(&f, "unit.pin", "1234\n", 0600);
	if (key_ring_load(f.dir, &r, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(r->count, 1);
	assert_int_equal(r->pairs[0].algorithm, ALGORITHM_RSA);
	memset(plain, 0x5a, sizeof(plain));
	assert_int_equal(cipher_seal(seal, plain, sizeof(plain), sealed, sizeof(sealed), &size),
			 CIPHER_OPENED);
	assert_int_equal(size, 512); /* two blocks */
	for (int i = 0; i < THREADS; i++) {
		work[i] = (struct work){ r->pairs[0].ciphers[CIPHER_MODE_DEFAULT], sealed, size,
					 false };
		assert_int_equal(pthread_create(&threads[i], NULL, open_often, &work[i]), 0);
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_true(work[i].right);
	}
	/* A damaged block opens to a drawn text: the same as with the pair in a file. */
	sealed[100] ^= 1;
	assert_int_equal(cipher_open(work[0].key, sealed, size, opened, &n), CIPHER_OPENED);
	assert_int_equal(cipher_open(seal, sealed, size, again, &m), CIPHER_OPENED);
	assert_int_equal(n, m);
	assert_memory_equal(opened, again, n);
	identity_ring_put(r);
	cipher_key_free(seal);
	fixture_keys_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_opens_what_was_sealed) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

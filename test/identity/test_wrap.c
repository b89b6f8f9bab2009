/* Wrapping: what is sealed opens again, and nothing else does; files that others can read are
 * refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/identity/wrap.h"

static const char vin[] = "LTEST000000000001";
static const uint8_t key_bytes[WRAP_KEY_SIZE] = { 1, 2, 3 }, secret[16] = "0123456789abcdef";

static void test_opens_again(void **state)
{
	static uint8_t large[WRAP_SECRET_MAX], sealed[WRAP_SECRET_MAX + WRAP_OVERHEAD],
		opened[WRAP_SECRET_MAX];
	const size_t sizes[] = { 1, 16, 17, WRAP_SECRET_MAX };
	struct wrap_key k;
	struct error err;
	size_t n;

	(void)state;
	wrap_key_set(&k, key_bytes);
	memset(large, 0x5a, sizeof(large));
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(wrap_seal(&k, vin, large, sizes[i], sealed, &err), 0);
		assert_int_equal(
			wrap_open(&k, vin, sealed, sizes[i] + WRAP_OVERHEAD, opened, &n, &err), 0);
		assert_int_equal(n, sizes[i]);
		assert_memory_equal(opened, large, n);
	}
	assert_int_equal(wrap_seal(&k, vin, large, 0, sealed, &err), ERROR_USAGE);
	assert_int_equal(wrap_seal(&k, vin, large, WRAP_SECRET_MAX + 1, sealed, &err), ERROR_USAGE);
}

static void test_seals_are_never_alike(void **state)
{
	uint8_t a[16 + WRAP_OVERHEAD], b[16 + WRAP_OVERHEAD];
	struct wrap_key k;
	struct error err;

	(void)state;
	wrap_key_set(&k, key_bytes);
	assert_int_equal(wrap_seal(&k, vin, secret, 16, a, &err), 0);
	assert_int_equal(wrap_seal(&k, vin, secret, 16, b, &err), 0);
	assert_memory_not_equal(a + 5, b + 5, 12); /* nonces */
	assert_memory_not_equal(a + 17, b + 17, 16);
}

static void test_each_changed_bit_is_refused(void **state)
{
	uint8_t sealed[16 + WRAP_OVERHEAD], opened[WRAP_SECRET_MAX];
	struct wrap_key k;
	struct error err;
	size_t n;

	(void)state;
	wrap_key_set(&k, key_bytes);
	assert_int_equal(wrap_seal(&k, vin, secret, 16, sealed, &err), 0);
	for (size_t bit = 0; bit < 8 * sizeof(sealed); bit++) {
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(wrap_open(&k, vin, sealed, sizeof(sealed), opened, &n, &err) < 0);
		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < sizeof(sealed); size++)
		assert_int_equal(wrap_open(&k, vin, sealed, size, opened, &n, &err), ERROR_CORRUPT);
	assert_int_equal(wrap_open(&k, vin, sealed, sizeof(sealed), opened, &n, &err), 0);
}

static void test_other_vin_and_other_key(void **state)
{
	uint8_t sealed[16 + WRAP_OVERHEAD], opened[WRAP_SECRET_MAX];
	const uint8_t other_bytes[WRAP_KEY_SIZE] = { 9 };
	struct wrap_key k, other;
	struct error err;
	size_t n;

	(void)state;
	wrap_key_set(&k, key_bytes);
	wrap_key_set(&other, other_bytes);
	assert_int_equal(wrap_seal(&k, vin, secret, 16, sealed, &err), 0);
	assert_int_equal(
		wrap_open(&k, "LTEST000000000002", sealed, sizeof(sealed), opened, &n, &err),
		ERROR_CORRUPT);
	assert_int_equal(wrap_open(&other, vin, sealed, sizeof(sealed), opened, &n, &err),
			 ERROR_NOT_FOUND);
	assert_non_null(strstr(err.text, "wrapped with key"));
}

/* ---- the file ---- */

static char path[] = "/tmp/haulgate-wrap.XXXXXX";

static int read_of(const char *text, mode_t mode, struct wrap_key *k, struct error *err)
{
	FILE *f;

	unlink(path);
	assert_non_null(f = fopen(path, "w"));
	assert_true(fputs(text, f) >= 0);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	return wrap_key_read(path, k, err);
}

#define DIGITS "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"

static void test_file(void **state)
{
	struct wrap_key k;
	struct error err;

	(void)state;
	assert_int_equal(read_of(DIGITS "\n", 0600, &k, &err), 0);
	assert_int_equal(k.bytes[1], 0x11);
	assert_int_equal(k.bytes[31], 0xff);
	assert_int_equal(read_of(DIGITS, 0400, &k, &err), 0);
	assert_int_equal(read_of(DIGITS "\n", 0640, &k, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, "chmod 0600"));
	assert_non_null(strstr(err.text, path));
	assert_int_equal(read_of(DIGITS "\n", 0604, &k, &err), ERROR_USAGE);
	assert_int_equal(read_of("", 0600, &k, &err), ERROR_USAGE);
	assert_int_equal(read_of(DIGITS "0", 0600, &k, &err), ERROR_USAGE);
	assert_int_equal(read_of("zz" DIGITS, 0600, &k, &err), ERROR_USAGE);
	assert_int_equal(read_of(DIGITS DIGITS DIGITS DIGITS DIGITS, 0600, &k, &err), ERROR_USAGE);
	unlink(path);
	assert_int_equal(wrap_key_read(path, &k, &err), ERROR_NOT_FOUND);
	assert_int_equal(symlink("/dev/null", path), 0);
	assert_int_equal(wrap_key_read(path, &k, &err), ERROR_USAGE);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_again),
		cmocka_unit_test(test_seals_are_never_alike),
		cmocka_unit_test(test_each_changed_bit_is_refused),
		cmocka_unit_test(test_other_vin_and_other_key),
		cmocka_unit_test(test_file),
	};

	close(mkstemp(path));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

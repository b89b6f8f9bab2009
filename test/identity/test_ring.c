/* The gateway's own keys, and which keys may apply to a frame. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/identity/ring.h"
#include "test/identity/fixture.h"

enum { AT = 1800000000 };

/* ---- the folder ---- */

static void assert_refused(struct fixture *f, const char *words)
{
	struct key_ring *r = NULL;
	struct error err;

	assert_int_equal(key_ring_load(f->dir, &r, &err), ERROR_USAGE);
	if (strstr(err.text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, words);
}

static void assert_loads(struct fixture *f, size_t pairs)
{
	struct key_ring *r;
	struct error err;

	if (key_ring_load(f->dir, &r, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(r->count, pairs);
	identity_ring_put(r);
}

static void test_pairs_newest_first(void **state)
{
	struct fixture f;
	struct key_ring *r;
	struct error err;

	(void)state;
	fixture_keys_open(&f);
	assert_loads(&f, 0);
	fixture_wrapping(&f, 7);
	fixture_pair(&f, "2026-01", "SM2", 0);
	fixture_pair(&f, "2026-11", "RSA", 1024);
	fixture_pair(&f, "2025-06", "RSA", 2048);
	fixture_file(&f, "note.txt", "no key", 0644);
	fixture_file(&f, ".hidden.pem", "no key", 0644);
	assert_int_equal(key_ring_load(f.dir, &r, &err), 0);
	assert_int_equal(r->count, 3);
	assert_string_equal(r->pairs[0].name, "2026-11");
	assert_string_equal(r->pairs[1].name, "2026-01");
	assert_string_equal(r->pairs[2].name, "2025-06");
	assert_int_equal(r->pairs[0].algorithm, ALGORITHM_RSA);
	assert_int_equal(r->pairs[1].algorithm, ALGORITHM_SM2);
	assert_non_null(r->pairs[0].ciphers[CIPHER_MODE_RSA_OAEP]);
	assert_null(r->pairs[0].ciphers[CIPHER_MODE_SM2_ANY]);
	assert_non_null(r->pairs[1].ciphers[CIPHER_MODE_SM2_C1C2C3]);
	assert_int_equal(r->wrapping_count, 1);
	assert_memory_equal(r->wrapping[0].name, f.wrapping.name, WRAP_NAME_SIZE);
	identity_ring_put(r);
	fixture_keys_close(&f);
}

static void test_what_is_not_as_it_should_be(void **state)
{
	char path[128], name[32];
	struct fixture f;

	(void)state;
	fixture_keys_open(&f);
	fixture_pair(&f, "a", "SM2", 0);
	assert_loads(&f, 1);
	assert_int_equal(chmod(f.dir, 0750), 0);
	assert_refused(&f, "chmod 0700");
	assert_int_equal(chmod(f.dir, 0700), 0);

	snprintf(path, sizeof(path), "%s/a.pem", f.dir);
	assert_int_equal(chmod(path, 0644), 0);
	assert_refused(&f, "a.pem is open to other users");
	assert_int_equal(chmod(path, 0400), 0);
	assert_loads(&f, 1);

	fixture_file(&f, "b.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		     0600);
	assert_refused(&f, "b.pem has no private key");
	fixture_pair(&f, "b", "P-256", 0);
	assert_refused(&f, "b.pem is neither SM2 nor RSA");
	fixture_pair(&f, "b", "RSA", 768);
	assert_refused(&f, "1024 to 4096");
	fixture_file(&f, "b.pem", "", 0600);
	assert_refused(&f, "b.pem has no private key");
	snprintf(path, sizeof(path), "%s/b.pem", f.dir);
	unlink(path);

	fixture_file(&f, "c.uri", "file:/etc/passwd\n", 0600);
	assert_refused(&f, "begins with pkcs11:");
	fixture_file(&f, "c.uri", "pkcs11:token=none\n", 0600);
	assert_refused(&f, "c.uri: the device has no such private key");
	snprintf(path, sizeof(path), "%s/c.uri", f.dir);
	unlink(path);

	fixture_file(&f, "wrapping.key", "0011", 0600);
	assert_refused(&f, "64 hex digits");
	fixture_wrapping(&f, 1);
	for (int i = 0; i < RING_PAIRS_MAX; i++) {
		snprintf(name, sizeof(name), "n%02d", i);
		fixture_pair(&f, name, "SM2", 0);
	}
	assert_refused(&f, "17 pairs, at most 16");
	snprintf(path, sizeof(path), "%s.away", f.dir);
	assert_int_equal(rename(f.dir, path), 0);
	assert_refused(&f, "cannot be used");
	assert_int_equal(rename(path, f.dir), 0);
	fixture_keys_close(&f);
}

/* OpenSSL's engine prints a URI that leads nowhere, and the log is no place for a PIN. */
static void test_no_pin_in_a_uri(void **state)
{
	struct fixture f;

	(void)state;
	fixture_keys_open(&f);
	fixture_file(&f, "c.uri", "pkcs11:token=none;object=x?pin-value=geheim\n", 0600);
	assert_refused(&f, "ends in .pin");
	fixture_keys_close(&f);
}

/* ---- which keys ---- */

struct guards {
	struct fixture f;
	struct key_ring *ring;
	struct identity id;
	struct identity_key keys[16];
	struct frame frame;
	struct guard_keys ret;
};

static void guards_open(struct guards *g)
{
	struct error err;

	*g = (struct guards){ .frame = { .encryption = 0x02, .protocol = PROTOCOL_GB17691 } };
	fixture_keys_open(&g->f);
	fixture_pair(&g->f, "rsa1", "RSA", 1024);
	fixture_pair(&g->f, "rsa2", "RSA", 1024);
	fixture_pair(&g->f, "sm2", "SM2", 0);
	assert_int_equal(key_ring_load(g->f.dir, &g->ring, &err), 0);
	g->id.keys = g->keys;
}

static void guards_close(struct guards *g)
{
	for (size_t i = 0; i < g->id.key_count; i++) {
		cipher_key_free((struct cipher_key *)(uintptr_t)g->keys[i].cipher);
		signature_key_free(g->keys[i].signer);
	}
	identity_ring_put(g->ring);
	fixture_keys_close(&g->f);
}

static struct identity_key *key_add(struct guards *g, enum algorithm algorithm)
{
	struct identity_key *k = &g->keys[g->id.key_count++];

	*k = (struct identity_key){ .id = (int64_t)g->id.key_count,
				    .valid_from = INT64_MIN,
				    .valid_to = INT64_MAX,
				    .algorithm = algorithm };
	return k;
}

static struct identity_key *secret_add(struct guards *g, enum algorithm algorithm)
{
	static const uint8_t secret[16] = "0123456789abcdef";
	struct identity_key *k = key_add(g, algorithm);

	k->cipher = cipher_key_symmetric(algorithm, CIPHER_MODE_ECB, secret, NULL);
	assert_non_null(k->cipher);
	return k;
}

static struct identity_key *signer_add(struct guards *g)
{
	char hex[129];
	uint8_t point[64];
	unsigned byte;
	struct identity_key *k = key_add(g, ALGORITHM_SM2);

	public_key_new(hex);
	for (size_t i = 0; i < sizeof(point); i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		point[i] = (uint8_t)byte;
	}
	k->signer = signature_key_new(ALGORITHM_SM2, point, sizeof(point), "chip");
	assert_non_null(k->signer);
	return k;
}

static void guards_ask(struct guards *g, uint8_t encryption)
{
	g->frame.encryption = encryption;
	memset(&g->ret, 0xff, sizeof(g->ret));
	identity_guard_keys(&g->id, g->ring, &g->frame, PROTOCOL_GB17691, AT, &g->ret);
}

static void test_own_pairs_without_a_row(void **state)
{
	struct guards g;

	(void)state;
	guards_open(&g);
	guards_ask(&g, 0x02); /* RSA: both, the newer one first */
	assert_int_equal(g.ret.cipher_count, 2);
	assert_ptr_equal(g.ret.ciphers[0].key, g.ring->pairs[1].ciphers[CIPHER_MODE_DEFAULT]);
	assert_string_equal(g.ring->pairs[1].name, "rsa2");
	assert_int_equal(g.ret.ciphers[0].id, 0);
	assert_int_equal(g.ret.signer_count, 0);
	assert_true(g.ret.verify);
	guards_ask(&g, 0x03); /* SM2 */
	assert_int_equal(g.ret.cipher_count, 1);
	guards_ask(&g, 0x04); /* SM4: we have no such key */
	assert_int_equal(g.ret.cipher_count, 0);
	guards_ask(&g, 0x01); /* plain */
	assert_int_equal(g.ret.cipher_count, 0);
	identity_guard_keys(NULL, g.ring, &g.frame, PROTOCOL_GB17691, AT, &g.ret);
	assert_int_equal(g.ret.cipher_count, 0);
	g.frame.encryption = 0x02;
	identity_guard_keys(NULL, g.ring, &g.frame, PROTOCOL_GB17691, AT, &g.ret);
	assert_int_equal(g.ret.cipher_count, 2);
	/* The byte's meaning is the protocol's. */
	identity_guard_keys(NULL, g.ring, &g.frame, PROTOCOL_HJ1239, AT, &g.ret);
	assert_int_equal(g.ret.cipher_count, 1);
	guards_close(&g);
}

static void test_rows_first_then_pairs_in_their_mode(void **state)
{
	struct guards g;

	(void)state;
	guards_open(&g);
	secret_add(&g, ALGORITHM_AES128);
	secret_add(&g, ALGORITHM_SM4);
	key_add(&g, ALGORITHM_RSA)->mode = CIPHER_MODE_RSA_OAEP;
	guards_ask(&g, 0x04); /* SM4 */
	assert_int_equal(g.ret.cipher_count, 4);
	assert_int_equal(g.ret.ciphers[0].id, 2); /* what the byte says */
	assert_int_equal(g.ret.ciphers[1].id, 1); /* what it may have meant */
	assert_ptr_equal(g.ret.ciphers[2].key, g.ring->pairs[1].ciphers[CIPHER_MODE_RSA_OAEP]);
	guards_ask(&g, 0x02); /* RSA, in the row's mode only */
	assert_int_equal(g.ret.cipher_count, 4);
	assert_ptr_equal(g.ret.ciphers[2].key, g.ring->pairs[1].ciphers[CIPHER_MODE_RSA_OAEP]);
	assert_ptr_equal(g.ret.ciphers[3].key, g.ring->pairs[2].ciphers[CIPHER_MODE_RSA_OAEP]);
	guards_close(&g);
}

static void test_only_what_is_valid_at_that_time(void **state)
{
	struct identity_key *k;
	struct guards g;

	(void)state;
	guards_open(&g);
	secret_add(&g, ALGORITHM_SM4)->valid_from = AT + 1;
	secret_add(&g, ALGORITHM_SM4)->valid_to = AT;
	k = secret_add(&g, ALGORITHM_SM4);
	k->valid_from = AT;
	k->valid_to = AT + 1;
	signer_add(&g)->valid_from = AT + 1;
	signer_add(&g)->valid_to = AT;
	k = signer_add(&g);
	k->valid_from = AT;
	k->valid_to = AT + 1;
	guards_ask(&g, 0x04);
	assert_int_equal(g.ret.cipher_count, 1);
	assert_int_equal(g.ret.ciphers[0].id, 3);
	assert_int_equal(g.ret.signer_count, 1);
	assert_int_equal(g.ret.signers[0].id, 6);
	guards_ask(&g, 0x01); /* signers also for what is not encrypted */
	assert_int_equal(g.ret.signer_count, 1);
	/* A row that is over does not choose the mode of our pairs. */
	k = key_add(&g, ALGORITHM_RSA);
	k->mode = CIPHER_MODE_RSA_OAEP;
	k->valid_to = AT;
	guards_ask(&g, 0x02);
	assert_ptr_equal(g.ret.ciphers[1].key, g.ring->pairs[1].ciphers[CIPHER_MODE_DEFAULT]);
	guards_close(&g);
}

static void test_never_too_many(void **state)
{
	struct guards g;

	(void)state;
	guards_open(&g);
	for (int i = 0; i < GUARD_KEYS_MAX - 1; i++)
		secret_add(&g, ALGORITHM_SM4);
	for (int i = 0; i < GUARD_KEYS_MAX + 1; i++)
		signer_add(&g);
	guards_ask(&g, 0x02);
	assert_int_equal(g.ret.cipher_count, GUARD_KEYS_MAX);
	assert_int_equal(g.ret.signer_count, GUARD_KEYS_MAX);
	assert_int_equal(g.ret.ciphers[0].id, 1);
	guards_close(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs_newest_first),
		cmocka_unit_test(test_what_is_not_as_it_should_be),
		cmocka_unit_test(test_no_pin_in_a_uri),
		cmocka_unit_test(test_own_pairs_without_a_row),
		cmocka_unit_test(test_rows_first_then_pairs_in_their_mode),
		cmocka_unit_test(test_only_what_is_valid_at_that_time),
		cmocka_unit_test(test_never_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

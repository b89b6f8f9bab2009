/*
 * Padding oracles: nobody learns from a verdict whether the padding of a ciphertext of his was
 * right, since with the answer to that question recorded units can be read.
 */
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include "proto/wire/guard.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

#define NOW (SAMPLE_TIME + 60)

/* SERIAL: in no other layout a type that is known, so that random bytes fit none by chance. */
enum { BLOCK = CIPHER_BLOCK, RSA_BLOCK = 128, ROOM = 1024, ROUNDS = 400, SERIAL = 0x0163 };

static EVP_PKEY *pair, *other;
static uint8_t text[ROOM], sealed[2 * ROOM], opened[2 * ROOM];
static struct report scratch;

static int make_pairs(void **state)
{
	(void)state;
	pair = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)(8 * RSA_BLOCK));
	other = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)(8 * RSA_BLOCK));
	return pair == NULL || other == NULL;
}

static int free_pairs(void **state)
{
	(void)state;
	EVP_PKEY_free(pair);
	EVP_PKEY_free(other);
	return 0;
}

/* Layout A: a time and n seconds; returns the size in text. */
static size_t sound_unit(unsigned n)
{
	struct sample_drive drive;
	struct unit_writer w;
	uint8_t body[STREAM_SIZE];

	sample_drive_start(&drive, 7);
	unit_start(&w, LAYOUT_A, SAMPLE_TIME, SERIAL, text, ROOM);
	for (unsigned i = 0; i < n; i++) {
		sample_drive_second(&drive, body);
		unit_block(&w, INFO_STREAM, SAMPLE_TIME + i, SERIAL, body, sizeof(body));
	}
	assert_false(w.failed);
	return w.size;
}

/* A type that nobody knows, and its serial: it swallows whatever stands behind. */
static size_t with_unknown_type(size_t size)
{
	static const uint8_t head[] = { 0x90, 0, 7 };

	memcpy(text + size, head, sizeof(head));
	return size + sizeof(head);
}

static struct guard_result judge(const struct cipher_key *k, uint8_t command, size_t size)
{
	const struct guard_keys keys = { .ciphers = { { 5, k } }, .cipher_count = 1 };
	struct frame f = sample_frame(0x23, command == 0x02 ? HEADER_V : HEADER_P, command);
	struct guard_result result;

	f.unit = sealed;
	f.unit_size = size;
	f.encryption = 0x03;
	if (command != 0x02)
		f.answer = ANSWER_SUCCESS;
	guard_check(&f, &keys, LAYOUT_UNKNOWN, NOW, opened, &scratch, &result);
	return result;
}

/* ---- PKCS#7 ---- */

static const struct {
	enum algorithm algorithm;
	enum cipher_mode mode;
	const char *name;
	size_t head; /* the IV in front */
} modes[] = {
	{ ALGORITHM_SM4, CIPHER_MODE_ECB, "SM4-ECB", 0 },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_PREFIX, "SM4-CBC", BLOCK },
	{ ALGORITHM_SM4, CIPHER_MODE_CBC_ZERO, "SM4-CBC", 0 },
	{ ALGORITHM_AES128, CIPHER_MODE_ECB, "AES-128-ECB", 0 },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_PREFIX, "AES-128-CBC", BLOCK },
	{ ALGORITHM_AES128, CIPHER_MODE_CBC_ZERO, "AES-128-CBC", 0 },
};
enum { MODE_COUNT = sizeof(modes) / sizeof(modes[0]) };

static const uint8_t key_bytes[16] = "a key of 16 byte", no_iv[16];

/* Seals whole blocks, with whatever they have at their end for a padding. */
static size_t seal_as_it_is(size_t mode, size_t size)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, modes[mode].name, NULL);
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	const size_t head = modes[mode].head;
	int n;

	memset(sealed, 0, head);
	assert_int_equal(EVP_EncryptInit_ex2(ctx, cipher, key_bytes, no_iv, NULL), 1);
	EVP_CIPHER_CTX_set_padding(ctx, 0);
	assert_int_equal(EVP_EncryptUpdate(ctx, sealed + head, &n, text, (int)size), 1);
	assert_int_equal(n, size);
	EVP_CIPHER_CTX_free(ctx);
	EVP_CIPHER_free(cipher);
	return head + size;
}

/* The padding of each length, then random ends, then each length with one wrong byte. */
static void put_end(unsigned round, uint8_t *end)
{
	const unsigned n = 1 + round % BLOCK;

	RAND_bytes(end - BLOCK, BLOCK);
	if (round / BLOCK % 3 == 1)
		return;
	memset(end - n, (int)n, n);
	if (round / BLOCK % 3 == 2)
		end[-(int)(1 + round / (3 * BLOCK) % n)] ^= 0x40;
}

/* The verdict on the text, whatever its last block is.  size: a multiple of the block's. */
static enum verdict one_verdict(size_t mode, const struct cipher_key *k, uint8_t command,
				size_t size)
{
	enum verdict first = VERDICT_COUNT;

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct guard_result result;

		put_end(round, text + size);
		result = judge(k, command, seal_as_it_is(mode, size));
		if (round == 0)
			first = result.verdict;
		assert_int_equal(result.verdict, first);
		assert_int_equal(result.cipher, CIPHER_OPENED);
		assert_int_equal(result.content_bad, first != VERDICT_ACCEPTED);
	}
	return first;
}

static size_t blocks_of(size_t size)
{
	return (size + BLOCK - 1) / BLOCK * BLOCK;
}

/*
 * Method: sound beginnings, and a last block with 400 right and wrong paddings: behind a type that
 * swallows the rest; where the last body ends exactly at some place of the last block; where it
 * does not end; behind the time of an answer to a command.
 */
static void test_block_ciphers(void **state)
{
	(void)state;
	for (size_t mode = 0; mode < MODE_COUNT; mode++) {
		struct cipher_key *k = cipher_key_symmetric(modes[mode].algorithm, modes[mode].mode,
							    key_bytes, NULL);
		size_t size = with_unknown_type(sound_unit(1));

		assert_int_equal(one_verdict(mode, k, 0x02, blocks_of(size) + 2 * BLOCK),
				 VERDICT_ACCEPTED);
		for (unsigned n = 1; n <= 4; n++) { /* ends 2 and 10 bytes before the end */
			size = blocks_of(sound_unit(n));
			assert_int_equal(one_verdict(mode, k, 0x02, size), VERDICT_ACCEPTED);
		}
		size = blocks_of(sound_unit(2)) - 2 * BLOCK;
		assert_int_equal(one_verdict(mode, k, 0x02, size), VERDICT_DECRYPT_FAILED);
		wire_time_encode(SAMPLE_TIME, text);
		assert_int_equal(one_verdict(mode, k, 0x80, 2 * BLOCK), VERDICT_ACCEPTED);
		cipher_key_free(k);
	}
}

/* Method: units of all sizes, sealed rightly and then with zeros for a padding: their true end. */
static void test_true_end(void **state)
{
	struct cipher_key *k =
		cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_ECB, key_bytes, NULL);

	(void)state;
	for (unsigned n = 1; n <= 8; n++) {
		const size_t size = sound_unit(n);
		struct guard_result result;
		size_t sealed_size;

		assert_int_equal(cipher_seal(k, text, size, sealed, sizeof(sealed), &sealed_size),
				 CIPHER_OPENED);
		result = judge(k, 0x02, sealed_size);
		assert_true(result.opened);
		assert_false(result.padding_wrong);
		assert_int_equal(result.unit_size, size);
		memset(text + size, 0, BLOCK);
		result = judge(k, 0x02, seal_as_it_is(0, blocks_of(size)));
		assert_true(result.opened);
		assert_true(result.padding_wrong);
		assert_int_equal(result.unit_size, size);
		assert_int_equal(scratch.block_count, n);
	}
	cipher_key_free(k);
}

/* ---- PKCS#1 v1.5 ---- */

/* Seals one block with the padding that it has. */
static void raw_rsa(const uint8_t block[RSA_BLOCK], uint8_t out[RSA_BLOCK])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
	size_t n = RSA_BLOCK;

	assert_int_equal(EVP_PKEY_encrypt_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING), 1);
	assert_int_equal(EVP_PKEY_encrypt(ctx, out, &n, block, RSA_BLOCK), 1);
	EVP_PKEY_CTX_free(ctx);
}

/* The ways of being wrong, and 0: right. */
enum { WAYS = 6 };

/* A block with text_size bytes of text; wrong in the given way. */
static void put_block(unsigned way, size_t text_size, uint8_t block[RSA_BLOCK])
{
	const size_t zero = RSA_BLOCK - text_size - 1;

	RAND_bytes(block, RSA_BLOCK);
	for (size_t i = 2; i < RSA_BLOCK; i++)
		block[i] |= 1; /* no zero but those that are put */
	block[0] = 0;
	block[1] = 2;
	block[zero] = 0;
	if (way == 1)
		block[1] = 1;
	else if (way == 2)
		block[2 + text_size % 8] = 0; /* padding of less than eight bytes */
	else if (way == 3)
		block[zero] = 7; /* no end of the padding */
	else if (way == 4)
		block[0] = 1;
	else if (way == 5)
		block[1] = 0;
}

/* Method: a sound block, a type that swallows the rest, and 600 right and wrong blocks. */
static void test_rsa_verdicts(void **state)
{
	struct cipher_key *k = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1);
	uint8_t block[RSA_BLOCK];
	size_t n;

	(void)state;
	assert_int_equal(
		cipher_seal(k, text, with_unknown_type(sound_unit(1)), sealed, sizeof(sealed), &n),
		CIPHER_OPENED);
	assert_int_equal(n, RSA_BLOCK);
	for (unsigned round = 0; round < 600; round++) {
		struct guard_result result;

		put_block(round % WAYS, round / WAYS, block);
		raw_rsa(block, sealed + n);
		result = judge(k, 0x02, n + RSA_BLOCK);
		assert_int_equal(result.verdict, VERDICT_ACCEPTED);
		assert_int_equal(result.cipher, CIPHER_OPENED);
		assert_false(result.padding_wrong);
	}
	cipher_key_free(k);
}

/* Right blocks open to their text at every size; 117 is the longest. */
static void test_rsa_texts(void **state)
{
	struct cipher_key *k = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1);
	uint8_t block[RSA_BLOCK];
	size_t n;

	(void)state;
	for (size_t size = 0; size <= RSA_BLOCK - 11; size++) {
		put_block(0, size, block);
		raw_rsa(block, sealed);
		assert_int_equal(cipher_open(k, sealed, RSA_BLOCK, opened, &n), CIPHER_OPENED);
		assert_int_equal(n, size);
		assert_memory_equal(opened, block + RSA_BLOCK - size, size);
	}
	cipher_key_free(k);
}

/*
 * Method: 1,000 wrong blocks: what each opens to is the same at another gateway with this pair,
 * another with another pair, nothing of the block's own, and as long as any text.
 */
static void test_rsa_drawn_texts(void **state)
{
	struct cipher_key *k = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1);
	struct cipher_key *twin = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1);
	struct cipher_key *stranger = cipher_key_pair(other, CIPHER_MODE_RSA_PKCS1);
	unsigned lengths[RSA_BLOCK] = { 0 }, seen = 0, alike = 0;
	uint8_t block[RSA_BLOCK], again[RSA_BLOCK];
	size_t n, m;

	(void)state;
	for (unsigned round = 0; round < 1000; round++) {
		put_block(1 + round % (WAYS - 1), 100, block);
		raw_rsa(block, sealed);
		assert_int_equal(cipher_open(k, sealed, RSA_BLOCK, opened, &n), CIPHER_OPENED);
		assert_int_equal(cipher_open(twin, sealed, RSA_BLOCK, again, &m), CIPHER_OPENED);
		assert_int_equal(n, m);
		assert_memory_equal(opened, again, n);
		assert_true(n <= RSA_BLOCK - 11);
		lengths[n]++;
		assert_false(n >= 8 && memcmp(opened, block + RSA_BLOCK - n, 8) == 0);
		if (cipher_open(stranger, sealed, RSA_BLOCK, again, &m) == CIPHER_OPENED)
			alike += n == m && memcmp(opened, again, n) == 0;
	}
	for (size_t i = 0; i <= RSA_BLOCK - 11; i++) {
		seen += lengths[i] > 0;
		assert_true(lengths[i] < 40); /* 8.5 on average */
	}
	assert_true(seen > 110); /* of 118 */
	assert_true(alike < 5);	 /* empty ones */
	cipher_key_free(k);
	cipher_key_free(twin);
	cipher_key_free(stranger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_block_ciphers),	cmocka_unit_test(test_true_end),
		cmocka_unit_test(test_rsa_verdicts),	cmocka_unit_test(test_rsa_texts),
		cmocka_unit_test(test_rsa_drawn_texts),
	};

	return cmocka_run_group_tests(tests, make_pairs, free_pairs);
}

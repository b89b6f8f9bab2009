/*
 * fuzz_guard: any bytes as a unit that must be opened and verified.
 *
 * Input: start and header 1, encryption 1, command 1, known layout and how to seal 1, then the
 * unit.  Promises: nothing outside the buffers is touched; the result is one that the loop knows,
 * and the same each time; a unit that is sealed here is judged as it is judged in clear.
 */
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "proto/wire/guard.h"
#include "test/fuzz/fuzz.h"

enum { NOW = 1784865600, UNIT_MAX = 4096, ROOM = UNIT_MAX + 64, SEALERS = 4 };

static struct guard_keys keys, no_keys;
static struct report report, again;

/* The pair of tests that are known to the world: its private number is 20260724. */
static EVP_PKEY *known_pair(uint8_t point[64])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
	EC_POINT *p = EC_POINT_new(group);
	BIGNUM *d = BN_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
	uint8_t marked[65], number[32];
	char curve[] = "SM2";
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, 3),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, marked, sizeof(marked)),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, number, sizeof(number)),
		OSSL_PARAM_END,
	};
	EVP_PKEY *pair = NULL;

	CHECK(BN_set_word(d, 20260724) == 1 && EC_POINT_mul(group, p, d, NULL, NULL, NULL) == 1);
	CHECK(EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, marked, 65, NULL) == 65);
	CHECK(BN_bn2nativepad(d, number, sizeof(number)) == sizeof(number));
	CHECK(EVP_PKEY_fromdata_init(ctx) == 1);
	CHECK(EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params) == 1);
	memcpy(point, marked + 1, 64);
	EVP_PKEY_CTX_free(ctx);
	BN_free(d);
	EC_POINT_free(p);
	EC_GROUP_free(group);
	return pair;
}

static void make_keys(void)
{
	static const uint8_t key[16] = "a key of 16 byte";
	uint8_t point[64];
	EVP_PKEY *sm2 = known_pair(point),
		 *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);

	keys.ciphers[0].key = cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_ECB, key, NULL);
	keys.ciphers[1].key =
		cipher_key_symmetric(ALGORITHM_AES128, CIPHER_MODE_CBC_PREFIX, key, NULL);
	keys.ciphers[2].key = cipher_key_pair(sm2, CIPHER_MODE_SM2_ANY);
	keys.ciphers[3].key = cipher_key_pair(rsa, CIPHER_MODE_RSA_PKCS1);
	keys.cipher_count = SEALERS;
	keys.signers[0].key = signature_key_new(ALGORITHM_SM2, point, 64, "CHIP0123456789AB");
	keys.signer_count = 1;
	for (size_t i = 0; i < SEALERS; i++) {
		CHECK(keys.ciphers[i].key != NULL);
		keys.ciphers[i].id = i + 1;
	}
	CHECK(keys.signers[0].key != NULL);
	keys.signers[0].id = 9;
	keys.verify = no_keys.verify = true;
	EVP_PKEY_free(sm2);
	EVP_PKEY_free(rsa);
}

static void check_result(const struct frame *f, const struct guard_result *r)
{
	CHECK(r->verdict == VERDICT_ACCEPTED || r->verdict == VERDICT_DECRYPT_FAILED ||
	      r->verdict == VERDICT_ENCRYPTED);
	CHECK(!r->opened || (r->verdict == VERDICT_ACCEPTED && r->unit_size <= f->unit_size));
	CHECK(!r->opened || (r->cipher == CIPHER_OPENED && r->cipher_key != 0 && !r->content_bad));
	CHECK(r->opened || r->unit_size == 0);
	CHECK(r->signature < SIGNATURE_COUNT && r->signature != SIGNATURE_SKIPPED);
	CHECK((r->signature_user == SIGNATURE_USER_NONE) == (r->signature != SIGNATURE_VALID));
	CHECK(r->verdict == VERDICT_ACCEPTED || r->signature == SIGNATURE_NONE);
}

/* In memory of exactly its size, so that a sanitizer sees a byte too many. */
static struct guard_result check(const struct frame *f, const struct guard_keys *with,
				 enum layout known, uint8_t *opened)
{
	uint8_t *room = exact_copy(f->unit, f->unit_size);
	uint8_t *second = exact_copy(f->unit, f->unit_size);
	struct guard_result a, b;

	guard_check(f, with, known, NOW, room, &report, &a);
	guard_check(f, with, known, NOW, second, &again, &b);
	check_result(f, &a);
	CHECK(a.verdict == b.verdict && a.opened == b.opened && a.cipher_key == b.cipher_key);
	CHECK(a.unit_size == b.unit_size && a.signature == b.signature);
	CHECK(a.signature_user == b.signature_user && a.content_bad == b.content_bad);
	CHECK(memcmp(room, second, a.unit_size) == 0);
	memcpy(opened, room, a.unit_size);
	free(room);
	free(second);
	return a;
}

/* The same unit in clear and sealed: opened to the same bytes, with the same signature. */
static void check_sealed(const struct frame *f, size_t sealer, enum layout known)
{
	static uint8_t sealed[2 * ROOM], opened[2 * ROOM];
	struct frame clear = *f, g = *f;
	struct guard_result plain, result;
	size_t n;

	clear.encryption = 0x01;
	plain = check(&clear, &no_keys, known, opened);
	if (cipher_seal(keys.ciphers[sealer].key, f->unit, f->unit_size, sealed, sizeof(sealed),
			&n) != CIPHER_OPENED)
		return;
	g.unit = sealed;
	g.unit_size = n;
	g.encryption = 0x03;
	result = check(&g, &keys, known, opened);
	if (frame_meaning(&clear) == MEANING_REPORT && result.verdict != VERDICT_ACCEPTED)
		CHECK(report_decode(&clear, known, NOW, &report) != VERDICT_ACCEPTED);
	if (!result.opened)
		return;
	CHECK(result.cipher_key == sealer + 1);
	/* What cannot be read to its end may be read to another one (guard.c: read_opened). */
	n = result.unit_size < f->unit_size ? result.unit_size : f->unit_size;
	CHECK(memcmp(opened, f->unit, n) == 0);
	CHECK((result.unit_size != f->unit_size) == result.padding_wrong);
	if (result.padding_wrong) {
		CHECK(report_decode(&clear, known, NOW, &report) != VERDICT_ACCEPTED ||
		      frame_meaning(&clear) != MEANING_REPORT);
		return;
	}
	CHECK((plain.signature == SIGNATURE_NONE) == (result.signature == SIGNATURE_NONE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t starts[4] = { 0x23, 0x7E, 0x24, 0x23 };
	static uint8_t opened[ROOM];
	struct frame f = { .answer = ANSWER_COMMAND };
	enum layout known;
	uint8_t *unit;

	if (size < 4 || size - 4 > UNIT_MAX)
		return 0;
	if (keys.cipher_count == 0)
		make_keys();
	f.start = starts[data[0] % 4];
	f.header = data[0] & 4 ? HEADER_P : HEADER_V;
	f.encryption = data[1];
	f.command = data[2];
	known = (enum layout)(data[3] % LAYOUT_COUNT);
	memcpy(f.vin, "LGAG4DY33N3000001", VIN_SIZE);
	unit = exact_copy(data + 4, size - 4);
	f.unit = unit;
	f.unit_size = size - 4;
	check(&f, &keys, known, opened);
	if (data[3] & 0x80)
		check_sealed(&f, data[3] >> 4 & 3, known);
	free(unit);
	return 0;
}

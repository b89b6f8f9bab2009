#include "test/wire/pair.h"

#include <string.h>

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include "test/wire/cm.h"

void from_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	assert_int_equal(OPENSSL_hexstr2buf_ex(out, size, &n, hex, ' '), 1);
	assert_int_equal(n, size);
}

struct unit_signature signature_of(const uint8_t r[32], const uint8_t s[32], const void *bytes,
				   size_t size)
{
	return (struct unit_signature){ .algorithm = ALGORITHM_SM2,
					.r = r,
					.s = s,
					.r_size = 32,
					.s_size = 32,
					.bytes = bytes,
					.size = size };
}

EVP_PKEY *pair_of(const uint8_t d[32], uint8_t point[64])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
	EC_POINT *p = EC_POINT_new(group);
	BIGNUM *number = BN_bin2bn(d, 32, NULL);
	uint8_t marked[65], native[32];
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
	char name[] = "SM2";
	const OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, name, 3),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, marked, sizeof(marked)),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native)),
		OSSL_PARAM_END,
	};
	EVP_PKEY *pair = NULL;

	assert_int_equal(EC_POINT_mul(group, p, number, NULL, NULL, NULL), 1);
	assert_int_equal(
		EC_POINT_point2oct(group, p, POINT_CONVERSION_UNCOMPRESSED, marked, 65, NULL), 65);
	assert_int_equal(BN_bn2nativepad(number, native, 32), 32);
	assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
	assert_int_equal(
		EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, (OSSL_PARAM *)(uintptr_t)params),
		1);
	memcpy(point, marked + 1, 64);
	EVP_PKEY_CTX_free(ctx);
	BN_free(number);
	EC_POINT_free(p);
	EC_GROUP_free(group);
	return pair;
}

void public_point(EVP_PKEY *pair, uint8_t point[64])
{
	uint8_t marked[65];
	size_t n = 0;

	assert_int_equal(EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_PUB_KEY, marked,
							 sizeof(marked), &n),
			 1);
	assert_int_equal(n, sizeof(marked));
	memcpy(point, marked + 1, 64);
}

void sign_sha256(EVP_PKEY *pair, const uint8_t *bytes, size_t size, uint8_t *r, size_t *ret_r_size,
		 uint8_t *s, size_t *ret_s_size)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[512];
	const uint8_t *p = signature;
	size_t n = sizeof(signature);
	ECDSA_SIG *numbers;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, pair), 1);
	assert_int_equal(EVP_DigestSign(ctx, signature, &n, bytes, size), 1);
	EVP_MD_CTX_free(ctx);
	*ret_r_size = n;
	*ret_s_size = 0;
	if (EVP_PKEY_is_a(pair, "RSA")) {
		memcpy(r, signature, n);
		return;
	}
	numbers = d2i_ECDSA_SIG(NULL, &p, (long)n);
	assert_non_null(numbers);
	*ret_r_size = (size_t)BN_bn2binpad(ECDSA_SIG_get0_r(numbers), r, 32);
	*ret_s_size = (size_t)BN_bn2binpad(ECDSA_SIG_get0_s(numbers), s, 32);
	ECDSA_SIG_free(numbers);
}

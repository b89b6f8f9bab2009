#include "tools/cli/fleetsim/chip.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>

#include "proto/wire/signature.h"

enum { NUMBER_SIZE = 32, POINT_SIZE = 1 + 2 * NUMBER_SIZE, CHANCE_CHIP = 104 };

struct chip {
	EVP_PKEY *pair;
	uint8_t point[POINT_SIZE]; /* 04 X Y */
	char id[CHIP_ID_SIZE + 1];
	char user[64]; /* what SM2 hashes into the message */
	bool activates;
};

/* The point of a private number; both as OpenSSL's key. */
static EVP_PKEY *make_pair(const uint8_t number[NUMBER_SIZE], uint8_t point[POINT_SIZE])
{
	EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_sm2);
	EC_POINT *public = group != NULL ? EC_POINT_new(group) : NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "SM2", NULL);
	BIGNUM *private = BN_bin2bn(number, NUMBER_SIZE, NULL);
	uint8_t native[NUMBER_SIZE];
	char curve[] = "SM2";
	EVP_PKEY *pair = NULL;

	if (public == NULL || ctx == NULL || private == NULL ||
	    EC_POINT_mul(group, public, private, NULL, NULL, NULL) != 1 ||
	    EC_POINT_point2oct(group, public, POINT_CONVERSION_UNCOMPRESSED, point, POINT_SIZE,
			       NULL) != POINT_SIZE ||
	    BN_bn2nativepad(private, native, sizeof(native)) != sizeof(native))
		goto out;
	OSSL_PARAM params[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof(curve) - 1),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_PRIV_KEY, native, sizeof(native)),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, point, POINT_SIZE),
		OSSL_PARAM_END,
	};
	if (EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params) != 1)
		pair = NULL;
out:
	BN_clear_free(private);
	EVP_PKEY_CTX_free(ctx);
	EC_POINT_free(public);
	EC_GROUP_free(group);
	return pair;
}

int chip_derive(const struct truck_plan *truck, unsigned variant, struct chip **ret,
		struct error *err)
{
	struct chip *c = calloc(1, sizeof(*c));
	uint8_t number[NUMBER_SIZE];
	struct prng chance;

	*ret = NULL;
	if (c == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	prng_init(&chance, truck->seed + variant, CHANCE_CHIP);
	for (unsigned i = 0; i < sizeof(number); i++)
		number[i] = (uint8_t)prng_below(&chance, 256);
	number[0] &= 0x7F; /* below the order of the curve */
	snprintf(c->id, sizeof(c->id), "FS%014llX", (unsigned long long)prng_next(&chance) >> 8);
	/* Both ids that terminals use are met. */
	snprintf(c->user, sizeof(c->user), "%s",
		 truck->index % 4 == 3 ? SIGNATURE_DEFAULT_USER : c->id);
	c->activates = true;
	c->pair = make_pair(number, c->point);
	if (c->pair == NULL) {
		chip_free(c);
		return error_set(err, ERROR_MEMORY, "%s: OpenSSL made no SM2 pair", truck->vin);
	}
	*ret = c;
	return 0;
}

int chip_load(const char *path, const char *user, struct chip **ret, struct error *err)
{
	struct chip *c = calloc(1, sizeof(*c));
	FILE *f = fopen(path, "re");
	int rc = 0;

	*ret = NULL;
	if (c == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory");
	else if (f == NULL)
		rc = error_errno(err, ERROR_NOT_FOUND, "%s", path);
	else if ((c->pair = PEM_read_PrivateKey(f, NULL, NULL, NULL)) == NULL ||
		 EVP_PKEY_is_a(c->pair, "SM2") != 1)
		rc = error_set(err, ERROR_USAGE, "%s: a private SM2 key as PEM is wanted", path);
	else
		snprintf(c->user, sizeof(c->user), "%s",
			 user != NULL ? user : SIGNATURE_DEFAULT_USER);
	if (f != NULL)
		fclose(f);
	if (rc != 0) {
		chip_free(c);
		return rc;
	}
	*ret = c;
	return 0;
}

void chip_free(struct chip *c)
{
	if (c == NULL)
		return;
	EVP_PKEY_free(c->pair);
	free(c);
}

bool chip_activates(const struct chip *c)
{
	return c->activates;
}

void chip_sign(const struct chip *c, struct unit_writer *w)
{
	uint8_t r[NUMBER_SIZE], s[NUMBER_SIZE];
	const bool signed_ = signature_sign_sm2(c->pair, c->user, w->buf, w->size, r, s);

	assert(signed_); /* a sound key; only memory can lack */
	unit_sign(w, r, s);
}

size_t chip_activation(const struct chip *c, const char *vin, int64_t at, uint8_t *buf, size_t max)
{
	struct unit_writer w = { .buf = buf, .max = max };
	const size_t id_size = strlen(c->id);

	assert(max >= CHIP_ACTIVATION_SIZE && c->activates && strlen(vin) == VIN_SIZE);
	wire_time_encode(at, buf);
	memset(buf + WIRE_TIME_SIZE, 0, CHIP_ID_SIZE);
	memcpy(buf + WIRE_TIME_SIZE, c->id, id_size);
	w.size = WIRE_TIME_SIZE + CHIP_ID_SIZE;
	memcpy(buf + w.size, c->point + 1, POINT_SIZE - 1);
	w.size += POINT_SIZE - 1;
	memcpy(buf + w.size, vin, VIN_SIZE);
	w.size += VIN_SIZE;
	chip_sign(c, &w);
	assert(!w.failed && w.size == CHIP_ACTIVATION_SIZE);
	return w.size;
}

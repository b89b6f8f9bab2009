#include "tools/cli/fleetsim/trust.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { KEY_SIZE = 16, PATH_SIZE = 4096 };

int trust_parse(const char *names, struct fleet_plan *plan, struct error *err)
{
	char list[64], *save = NULL;

	plan->cipher_count = 0;
	snprintf(list, sizeof(list), "%s", names);
	for (char *name = strtok_r(list, ",", &save); name != NULL;
	     name = strtok_r(NULL, ",", &save)) {
		const int algorithm = algorithm_parse(name);
		if (algorithm <= ALGORITHM_NONE || algorithm == ALGORITHM_P256 ||
		    plan->cipher_count == FLEET_CIPHERS_MAX)
			return error_set(err, ERROR_USAGE,
					 "--encrypted %s: sm2, rsa, sm4, aes128 by comma are "
					 "wanted",
					 names);
		plan->ciphers[plan->cipher_count++] = (enum algorithm)algorithm;
	}
	return 0;
}

/* ---- the gateway's public halves ---- */

static EVP_PKEY *read_pair(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *pair = NULL;

	if (f == NULL)
		return NULL;
	pair = PEM_read_PUBKEY(f, NULL, NULL, NULL);
	if (pair == NULL) {
		rewind(f);
		pair = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	}
	fclose(f);
	return pair;
}

/* Names end in the time that they were made, so that the greatest is the newest. */
static void find_newest(const char *folder, const char *algorithm, char path[PATH_SIZE])
{
	DIR *d = opendir(folder);
	char newest[256] = "";

	for (const struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
		const size_t size = strlen(e->d_name);
		if (strncmp(e->d_name, algorithm, strlen(algorithm)) == 0 && size > 4 &&
		    strcmp(e->d_name + size - 4, ".pem") == 0 && strcmp(e->d_name, newest) > 0)
			snprintf(newest, sizeof(newest), "%s", e->d_name);
	}
	if (d != NULL)
		closedir(d);
	snprintf(path, PATH_SIZE, "%s/%s", folder, newest[0] != '\0' ? newest : algorithm);
}

int trust_gateway_load(const char *folder, const struct fleet_plan *plan, struct trust_gateway *ret,
		       struct error *err)
{
	char path[PATH_SIZE];

	for (unsigned i = 0; i < plan->cipher_count && plan->encrypted_share > 0; i++) {
		const enum algorithm algorithm = plan->ciphers[i];
		if (algorithm != ALGORITHM_SM2 && algorithm != ALGORITHM_RSA)
			continue;
		if (folder == NULL)
			return error_set(err, ERROR_USAGE,
					 "--encrypted %s: the gateway's key is wanted too: "
					 "--gateway-keys DIR",
					 algorithm_text(algorithm));
		find_newest(folder, algorithm_text(algorithm), path);
		EVP_PKEY *pair = read_pair(path);
		if (pair != NULL && ret->pairs[algorithm] == NULL)
			ret->pairs[algorithm] = cipher_key_pair(pair, CIPHER_MODE_DEFAULT);
		EVP_PKEY_free(pair);
		if (ret->pairs[algorithm] == NULL)
			return error_set(err, ERROR_NOT_FOUND,
					 "%s: no %s key of the gateway; make them with tools/keys "
					 "init",
					 path, algorithm_text(algorithm));
	}
	return 0;
}

void trust_gateway_free(struct trust_gateway *g)
{
	for (unsigned i = 0; i < ALGORITHM_COUNT; i++)
		cipher_key_free(g->pairs[i]);
}

/* ---- a truck ---- */

static int read_secret(const char *path, uint8_t key[KEY_SIZE], struct error *err)
{
	FILE *f = fopen(path, "re");
	char hex[2 * KEY_SIZE + 2] = "";
	int rc = 0;

	if (f == NULL)
		return error_errno(err, ERROR_NOT_FOUND, "%s", path);
	if (fgets(hex, sizeof(hex), f) == NULL || strspn(hex, "0123456789abcdefABCDEF") < 32)
		rc = error_set(err, ERROR_USAGE, "%s: 32 hexadecimal digits are wanted", path);
	fclose(f);
	for (unsigned i = 0; i < KEY_SIZE && rc == 0; i++) {
		const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };
		key[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	OPENSSL_cleanse(hex, sizeof(hex));
	return rc;
}

static int make_cipher(const struct truck_plan *truck, const struct trust_gateway *gateway,
		       const char *keys, struct trust *ret, struct error *err)
{
	uint8_t key[KEY_SIZE];
	char path[PATH_SIZE];
	int rc;

	ret->cipher = gateway->pairs[truck->cipher];
	if (ret->cipher != NULL)
		return 0;
	if (keys == NULL)
		return error_set(err, ERROR_USAGE,
				 "--encrypted %s: the trucks' keys are wanted too: --keys DIR",
				 algorithm_text(truck->cipher));
	snprintf(path, sizeof(path), "%s/%s.key", keys, truck->vin);
	if ((rc = read_secret(path, key, err)) != 0)
		return rc;
	ret->cipher = ret->own =
		cipher_key_symmetric(truck->cipher, CIPHER_MODE_DEFAULT, key, NULL);
	OPENSSL_cleanse(key, sizeof(key));
	return ret->own != NULL ? 0 : error_set(err, ERROR_MEMORY, "%s: no key", path);
}

int trust_make(const struct truck_plan *truck, const struct trust_gateway *gateway,
	       const char *keys, struct trust *ret, struct error *err)
{
	char path[PATH_SIZE];
	int rc = 0;

	if (truck->signs && keys != NULL) {
		snprintf(path, sizeof(path), "%s/%s.pem", keys, truck->vin);
		rc = chip_load(path, NULL, &ret->chip, err);
	} else if (truck->signs) {
		rc = chip_derive(truck, 0, &ret->chip, err);
	}
	if (rc == 0 && truck->cipher != ALGORITHM_NONE)
		rc = make_cipher(truck, gateway, keys, ret, err);
	return rc;
}

void trust_free(struct trust *t)
{
	chip_free(t->chip);
	cipher_key_free(t->own);
}

uint8_t trust_protect(const struct trust *t, enum protocol protocol, struct unit_writer *w)
{
	uint8_t sealed[4096];
	size_t size = 0;

	if (t->chip != NULL)
		chip_sign(t->chip, w);
	if (t->cipher == NULL)
		return encryption_byte(protocol, ALGORITHM_NONE);
	const enum cipher_result result =
		cipher_seal(t->cipher, w->buf, w->size, sealed, sizeof(sealed), &size);
	assert(result == CIPHER_OPENED && size <= w->max);
	memcpy(w->buf, sealed, size);
	w->size = size;
	return encryption_byte(protocol, cipher_key_algorithm(t->cipher));
}

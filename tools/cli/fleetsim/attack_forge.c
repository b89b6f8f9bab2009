/* attack_forge.c - attackers who want something that is not theirs: scripts, one after another. */
#include <stdio.h>
#include <string.h>

#include <dirent.h>
#include <poll.h>

#include <openssl/pem.h>
#include <openssl/rand.h>

#include "proto/wire/cipher.h"
#include "tools/cli/fleetsim/attacker.h"

enum {
	AGAIN = 12,
	PAUSE_MS = 100,
	OLD_S = 3600,
	SIGNATURE_SIZE = 66,
	BLOCK_SIZE = 256,
	ENCRYPTION_AT = 21
};

static enum heard attempt(struct attack *a, struct client *c, const uint8_t *bytes, size_t size)
{
	const enum heard heard = client_ask(c, bytes, size);

	a->result.attempts++;
	a->result.heard[heard]++;
	return heard;
}

static enum heard forbidden(struct attack *a, struct victim *v, struct client *c,
			    const uint8_t *bytes, size_t size, const char *what)
{
	const enum heard heard = attempt(a, c, bytes, size);

	if (heard == HEARD_success)
		attack_breach(a, v->plan.vin, what);
	return heard;
}

/* Somebody else connects and logs in as the truck: the login may be answered, a report may not. */
static bool pretend(struct attack *a, struct victim *v, struct client *c)
{
	uint8_t buf[256];
	const size_t n = victim_login(v, buf, sizeof(buf));

	return client_open(c, a, v->index + a->settings->attackers) &&
	       attempt(a, c, buf, n) != HEARD_closed;
}

/* The truck must not notice any of it. */
static void expect_session(struct attack *a, struct victim *v)
{
	uint8_t buf[PARCEL_FRAME_MAX];
	const size_t n = victim_report(v, v->chip, v->plan.vin, 0, buf, sizeof(buf));

	if (client_ask(&v->client, buf, n) != HEARD_success)
		attack_breach(a, v->plan.vin, "the truck lost its session to an attacker");
}

/* Recorded an hour ago: signed for ever, and proof of nothing today. */
static void replay(struct attack *a, struct victim *v)
{
	uint8_t old[PARCEL_FRAME_MAX];
	const size_t n = victim_report(v, v->chip, v->plan.vin, OLD_S, old, sizeof(old));
	struct client c = { .fd = -1 };

	client_ask(&v->client, old, n);
	for (unsigned i = 0; i < AGAIN && !attack_over(a); i++) {
		if (pretend(a, v, &c))
			forbidden(a, v, &c, old, n, "a recorded report was taken from elsewhere");
		expect_session(a, v);
	}
	client_close(&c);
}

static void wrong_vin(struct attack *a, struct victim *v)
{
	uint8_t buf[PARCEL_FRAME_MAX];
	struct victim other;
	size_t n;

	if (!victim_init(&other, a, v->index + a->settings->attackers))
		return;
	for (unsigned i = 0; i < AGAIN && !attack_over(a); i++) {
		n = victim_report(v, v->chip, other.plan.vin, 0, buf, sizeof(buf));
		forbidden(a, v, &v->client, buf, n, "its report for another VIN was taken");
		n = victim_login(&other, buf, sizeof(buf));
		forbidden(a, v, &v->client, buf, n, "its login for another VIN was taken");
	}
	victim_release(&other);
}

static void wrong_key(struct attack *a, struct victim *v)
{
	uint8_t buf[PARCEL_FRAME_MAX];
	struct client c = { .fd = -1 };
	size_t n;

	for (unsigned i = 0; i < AGAIN && !attack_over(a); i++) {
		if (pretend(a, v, &c)) {
			n = victim_report(v, v->other, v->plan.vin, 0, buf, sizeof(buf));
			forbidden(a, v, &c, buf, n, "a report signed by another key was taken");
			n = victim_activation(v, v->other, buf, sizeof(buf));
			forbidden(a, v, &c, buf, n, "a second key was activated by itself");
		}
		expect_session(a, v);
	}
	client_close(&c);
}

/* In bodies, R and S; not in what says that there is a signature: that is unsigned_forgery. */
static void bit_flips(struct attack *a, struct victim *v)
{
	enum { HEAD = 8 + 7, BLOCK = 7 + 37 };
	uint8_t buf[PARCEL_FRAME_MAX];
	struct prng chance;

	prng_init(&chance, v->plan.seed, 200);
	for (unsigned i = 0; i < 2 * AGAIN && !attack_over(a); i++) {
		const size_t n = victim_report(v, v->chip, v->plan.vin, 0, buf, sizeof(buf));
		const size_t unit = n - FRAME_HEAD_SIZE - 1;
		size_t at = unit - 1 - (size_t)prng_below(&chance, 32);

		if (i % 2 == 0 && (unit - 8 - SIGNATURE_SIZE) % BLOCK == 0)
			at = HEAD + (size_t)prng_below(&chance, FRAME_SECONDS) * BLOCK +
			     (size_t)prng_below(&chance, BLOCK - 7);
		frame_flip(buf, n, 8 * at + (size_t)prng_below(&chance, 8));
		if (forbidden(a, v, &v->client, buf, n, "a changed unit was taken") == HEARD_closed)
			break; /* bad_frames_max */
	}
}

static void unsigned_forgery(struct attack *a, struct victim *v)
{
	uint8_t buf[PARCEL_FRAME_MAX];
	struct client c = { .fd = -1 };

	client_close(&v->client); /* the truck is out of reach */
	for (unsigned i = 0; i < AGAIN && !attack_over(a); i++) {
		if (!pretend(a, v, &c))
			continue;
		const size_t n = victim_report(v, NULL, v->plan.vin, 0, buf, sizeof(buf));
		forbidden(a, v, &c, buf, n, "an unsigned report of an activated truck was taken");
	}
	client_close(&c);
}

/* ---- padding ---- */

/* The gateway's RSA pair, of which an attacker has the public half; NULL: none is known. */
static struct cipher_key *gateway_rsa(const char *dir)
{
	struct cipher_key *k = NULL;
	DIR *d = dir != NULL ? opendir(dir) : NULL;
	char path[4096];

	for (const struct dirent *e; d != NULL && k == NULL && (e = readdir(d)) != NULL;) {
		const size_t size = strlen(e->d_name);
		if (strncmp(e->d_name, "rsa", 3) != 0 || size < 4 ||
		    strcmp(e->d_name + size - 4, ".pem") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		FILE *f = fopen(path, "re");
		EVP_PKEY *pair = f != NULL ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;
		if (pair != NULL)
			k = cipher_key_pair(pair, CIPHER_MODE_RSA_PKCS1);
		EVP_PKEY_free(pair);
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return k;
}

/* Ciphertext of probe number i; returns its size. */
static size_t probe(const struct cipher_key *k, unsigned i, uint8_t unit[BLOCK_SIZE])
{
	static const uint8_t nonsense[100] = { 99, 99, 99 };
	size_t size = BLOCK_SIZE;

	RAND_bytes(unit, BLOCK_SIZE);
	unit[0] = 0x5A; /* below the modulus */
	if (k == NULL || i % 3 == 0)
		return size; /* no padding at all */
	if (cipher_seal(k, nonsense, i % 3 == 1 ? sizeof(nonsense) : 1, unit, BLOCK_SIZE, &size) !=
	    CIPHER_OPENED)
		size = BLOCK_SIZE;
	if (i % 2 == 0)
		unit[size - 1] ^= 1; /* padding broken; else good, around nonsense */
	return size;
}

static void padding_probes(struct attack *a, struct victim *v)
{
	/* Of HJ 1239: SM2, SM4, RSA, AES-128. */
	struct cipher_key *k = gateway_rsa(a->settings->keys);
	uint8_t buf[FRAME_HEAD_SIZE + BLOCK_SIZE + 1];
	unsigned kinds[HEARD_COUNT] = { 0 };

	for (unsigned i = 0; i < AGAIN && !attack_over(a); i++) {
		const uint8_t encryption = i % 4 == 3 ? (i % 8 == 3 ? 3 : 5) : 4;
		const size_t size = probe(encryption == 4 ? k : NULL, i, buf + FRAME_HEAD_SIZE);
		const size_t n = truck_frame(&v->plan, COMMAND_REALTIME, size, buf, sizeof(buf));
		buf[ENCRYPTION_AT] = encryption;
		buf[n - 1] = frame_checksum(buf + 2, n - 3);
		const enum heard heard = attempt(a, &v->client, buf, n);
		if (heard == HEARD_success)
			attack_breach(a, v->plan.vin, "ciphertext of nonsense was taken");
		if (heard == HEARD_closed)
			break; /* by the count of bad frames, not by what was in one */
		kinds[heard]++;
	}
	if (kinds[HEARD_error] > 0 && kinds[HEARD_silent] > 0)
		attack_breach(a, v->plan.vin, "two kinds of answers tell paddings apart");
	cipher_key_free(k);
}

/* ---- all of them ---- */

void attack_forge(struct attack *a)
{
	static void (*const scripts[ATTACK_COUNT])(struct attack *, struct victim *) = {
		[ATTACK_replay] = replay,
		[ATTACK_wrong_vin] = wrong_vin,
		[ATTACK_wrong_key] = wrong_key,
		[ATTACK_bit_flips] = bit_flips,
		[ATTACK_padding_probes] = padding_probes,
		[ATTACK_unsigned_forgery] = unsigned_forgery,
	};
	struct victim v;

	/* Each round has a truck of its own, as long as there are. */
	for (unsigned round = 0; !attack_over(a); round++) {
		if (victim_init(&v, a, a->first + round % a->count) && victim_begin(&v, a)) {
			scripts[a->kind](a, &v);
		} else if (!attack_over(a)) {
			a->result.unprepared++;
			poll(NULL, 0, PAUSE_MS); /* its address is out of favour, or its VIN */
		}
		victim_release(&v);
	}
}

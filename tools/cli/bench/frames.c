/*
 * haulgate-bench-frames: what haulgate-bench-load sends when frames are signed and encrypted, made
 * before any clock starts.
 *
 *   haulgate-bench-frames KEYS_DIR CONNECTIONS OUT_DIR
 *
 * Writes OUT_DIR/KIND.frames for each kind below (load.h tells the format), and
 * OUT_DIR/registry.sql with the vehicles and keys.  KEYS_DIR: the gateway's, from tools/keys init.
 */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "gateway/identity/wrap.h"
#include "proto/wire/cipher.h"
#include "proto/wire/signature.h"
#include "tools/cli/bench/load.h"

enum { POINT_SIZE = 65, SECRET_SIZE = 16, PATH_SIZE = 1024, CONNECTIONS_MAX = 10000 };

static const struct kind {
	const char *name;
	bool is_signed;
	enum algorithm algorithm;
} kinds[] = {
	{ "plain", false, ALGORITHM_NONE },	   { "signed", true, ALGORITHM_NONE },
	{ "encrypted-sm4", false, ALGORITHM_SM4 }, { "encrypted-sm2", false, ALGORITHM_SM2 },
	{ "signed+sm4", true, ALGORITHM_SM4 },
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]), DAY_S = 86400 };

struct truck {
	struct load_peer peer;
	EVP_PKEY *signer;
	struct cipher_key *sm4;
};

struct maker {
	struct wrap_key wrapping;
	struct cipher_key *gateway; /* its SM2 pair */
	FILE *registry, *out[KINDS];
};

static void need(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "bench-frames: %s\n", what);
	exit(1);
}

static void open_keys(struct maker *m, const char *dir)
{
	struct error err = { 0 };
	char path[PATH_SIZE];
	EVP_PKEY *pair;
	glob_t found;
	FILE *f;

	snprintf(path, sizeof(path), "%s/wrapping.key", dir);
	need(wrap_key_read(path, &m->wrapping, &err) == 0, err.text);
	snprintf(path, sizeof(path), "%s/sm2-*.pem", dir);
	need(glob(path, 0, NULL, &found) == 0, "no SM2 pair in the folder of keys");
	f = fopen(found.gl_pathv[0], "re");
	need(f != NULL, "the SM2 pair cannot be opened");
	pair = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	m->gateway = pair != NULL ? cipher_key_pair(pair, CIPHER_MODE_SM2_DER) : NULL;
	need(m->gateway != NULL, "the SM2 pair cannot be read");
	EVP_PKEY_free(pair);
	fclose(f);
	globfree(&found);
}

static FILE *create(const char *dir, const char *name, const char *ending)
{
	char path[PATH_SIZE];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s%s", dir, name, ending);
	f = fopen(path, "wxe");
	need(f != NULL, "a file of the output folder cannot be made");
	return f;
}

static void print_hex(FILE *f, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		fprintf(f, "%02x", bytes[i]);
}

/* Keys of a truck: made here, and told to the registry.  Good since before the frames' time. */
static void make_truck(struct maker *m, unsigned number, struct truck *t)
{
	uint8_t point[POINT_SIZE], secret[SECRET_SIZE], wrapped[SECRET_SIZE + WRAP_OVERHEAD];
	char vin[VIN_SIZE + 1];
	size_t n = 0;

	*t = (struct truck){ .peer.number = number,
			     .signer = EVP_PKEY_Q_keygen(NULL, NULL, "SM2") };
	load_vin(&t->peer, vin);
	need(t->signer != NULL && RAND_bytes(secret, sizeof(secret)) == 1 &&
		     EVP_PKEY_get_octet_string_param(t->signer, OSSL_PKEY_PARAM_PUB_KEY, point,
						     sizeof(point), &n) == 1 &&
		     wrap_seal(&m->wrapping, vin, secret, sizeof(secret), wrapped, NULL) == 0,
	     "no key");
	t->sm4 = cipher_key_symmetric(ALGORITHM_SM4, CIPHER_MODE_CBC_PREFIX, secret, NULL);
	need(t->sm4 != NULL, "no key");
	OPENSSL_cleanse(secret, sizeof(secret));
	fprintf(m->registry,
		"WITH v AS (INSERT INTO vehicle (vin) VALUES ('%s') RETURNING id)\n"
		"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, mode, public_key, "
		"secret, valid_from)\n"
		"SELECT id, k.* FROM v, (VALUES ('sign', 'sm2', 'default', '\\x",
		vin);
	print_hex(m->registry, point + 1, sizeof(point) - 1);
	fprintf(m->registry, "'::bytea, NULL::bytea, '2025-01-01'::timestamptz),\n"
			     "('encrypt', 'sm2', 'sm2-der', NULL, NULL, '2025-01-01'),\n"
			     "('encrypt', 'sm4', 'cbc-prefix', NULL, '\\x");
	print_hex(m->registry, wrapped, sizeof(wrapped));
	fprintf(m->registry, "', '2025-01-01')) k;\n");
}

/* Each kind has a day of its own: the store takes none for a replay of another. */
static size_t make_unit(const struct kind *kind, struct truck *t, uint32_t first, uint8_t *unit,
			size_t size)
{
	const int64_t at = load_start + (kind - kinds) * DAY_S + first;
	uint8_t body[STREAM_SIZE], r[32], s[32];
	struct unit_writer w;

	unit_start(&w, LAYOUT_C, at + LOAD_SAMPLES, (uint16_t)(first + 2), unit, size);
	for (uint32_t i = 0; i < LOAD_SAMPLES; i++) {
		load_sample(t->peer.number + first + i, body);
		unit_block(&w, INFO_STREAM, at + i, (uint16_t)(first + 2), body, sizeof(body));
	}
	if (kind->is_signed) {
		need(signature_sign_sm2(t->signer, SIGNATURE_DEFAULT_USER, unit, w.size, r, s),
		     "no signature");
		unit_sign(&w, r, s);
	}
	need(!w.failed, "a unit is too long");
	return w.size;
}

static void write_frame(FILE *f, const struct truck *t, uint8_t command, enum algorithm algorithm,
			const uint8_t *unit, size_t unit_size)
{
	struct frame frame = { .start = 0x7E,
			       .header = HEADER_P,
			       .protocol = PROTOCOL_HJ1239,
			       .command = command,
			       .answer = ANSWER_COMMAND,
			       .encryption = encryption_byte(PROTOCOL_HJ1239, algorithm),
			       .unit = unit,
			       .unit_size = unit_size };
	uint8_t buf[LOAD_REQUEST_MAX];
	size_t n;

	load_vin(&t->peer, frame.vin);
	n = frame_encode(&frame, buf, sizeof(buf));
	need(n > 0 && fwrite(buf, 1, n, f) == n, "a frame is not written");
}

static void write_frames(struct maker *m, const struct kind *kind, struct truck *t)
{
	const struct cipher_key *key = kind->algorithm == ALGORITHM_SM4	  ? t->sm4
				       : kind->algorithm == ALGORITHM_SM2 ? m->gateway
									  : NULL;
	uint8_t unit[LOAD_REQUEST_MAX], sealed[LOAD_REQUEST_MAX];
	FILE *f = m->out[kind - kinds];
	size_t n = unit_login(load_start, 1, "89860000000000000000", HEADER_P, unit, sizeof(unit));

	write_frame(f, t, COMMAND_LOGIN, ALGORITHM_NONE, unit, n);
	for (uint32_t i = 0; i < LOAD_PREPARED; i++) {
		n = make_unit(kind, t, i * LOAD_SAMPLES, unit, sizeof(unit));
		need(key == NULL ||
			     cipher_seal(key, unit, n, sealed, sizeof(sealed), &n) == CIPHER_OPENED,
		     "a unit cannot be encrypted");
		write_frame(f, t, COMMAND_REALTIME, kind->algorithm, key != NULL ? sealed : unit,
			    n);
	}
}

int main(int argc, char **argv)
{
	const unsigned long count = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	struct maker m = { 0 };
	struct truck t;

	if (count == 0 || count > CONNECTIONS_MAX) {
		fprintf(stderr, "usage: haulgate-bench-frames KEYS_DIR CONNECTIONS OUT_DIR\n");
		return 2;
	}
	open_keys(&m, argv[1]);
	m.registry = create(argv[3], "registry", ".sql");
	for (size_t k = 0; k < KINDS; k++)
		m.out[k] = create(argv[3], kinds[k].name, ".frames");
	fprintf(m.registry, "BEGIN;\n");
	for (unsigned i = 0; i < count; i++) {
		make_truck(&m, i, &t);
		for (size_t k = 0; k < KINDS; k++)
			write_frames(&m, &kinds[k], &t);
		EVP_PKEY_free(t.signer);
		cipher_key_free(t.sm4);
	}
	fprintf(m.registry, "COMMIT;\n");
	need(fclose(m.registry) == 0, "the registry is not written");
	for (size_t k = 0; k < KINDS; k++)
		need(fclose(m.out[k]) == 0, "frames are not written");
	cipher_key_free(m.gateway);
	wrap_key_wipe(&m.wrapping);
	return 0;
}

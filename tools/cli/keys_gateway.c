/* The gateway's own keys: files of keys.dir.  NAME is ALGORITHM-TIME, so that newer ones sort last.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "gateway/base/clock.h"
#include "gateway/identity/file.h"
#include "gateway/identity/ring.h"
#include "tools/cli/keys.h"

enum { PEM_MAX = 2048 };
static const char wrapping_name[] = "wrapping.key";

static void pair_name(enum algorithm algorithm, char out[KEY_NAME_SIZE])
{
	const int64_t ms = clock_wall_ns() / 1000000;
	const time_t t = (time_t)(ms / 1000);
	struct tm tm;
	char stamp[32];

	gmtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	snprintf(out, KEY_NAME_SIZE, "%s-%s%03d", algorithm_text(algorithm), stamp,
		 (int)(ms % 1000));
}

/* A pair of the folder, read. */
static int read_pair(struct keys *k, const char *file, EVP_PKEY **ret)
{
	char path[sizeof(k->dir.path) + 300], *text;
	struct secret pem = { 0 };
	size_t size;
	int rc;

	snprintf(path, sizeof(path), "%s/%s", k->dir.path, file);
	if ((rc = private_file_read(path, SECRET_MAX, &text, &size, &k->err)) != 0)
		return rc;
	memcpy(pem.bytes, text, size);
	pem.size = size;
	private_free(text, size);
	rc = pair_private_read(&pem, path, ret, &k->err);
	secret_wipe(&pem);
	return rc;
}

/* How many pairs of the algorithm the folder has; those of a token are known by their name. */
static int count_pairs(struct keys *k, enum algorithm algorithm, size_t *ret)
{
	char **names, prefix[16];
	size_t count;
	int rc = keys_dir_list(&k->dir, "", ".pem", &names, &count, &k->err);

	*ret = 0;
	if (rc != 0)
		return rc;
	for (size_t i = 0; rc == 0 && i < count; i++) {
		EVP_PKEY *key = NULL;

		rc = read_pair(k, names[i], &key);
		*ret += rc == 0 && pair_algorithm(key) == algorithm;
		EVP_PKEY_free(key);
	}
	names_free(names, count);
	snprintf(prefix, sizeof(prefix), "%s-", algorithm_text(algorithm));
	if (rc != 0 || (rc = keys_dir_list(&k->dir, prefix, ".uri", &names, &count, &k->err)) != 0)
		return rc;
	*ret += count;
	names_free(names, count);
	return 0;
}

/* A gateway that finds more pairs than it has room for does not start. */
static int check_room(struct keys *k)
{
	static const char *const endings[] = { ".pem", ".uri" };
	char **names;
	size_t count, all = 0;
	int rc;

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if ((rc = keys_dir_list(&k->dir, "", endings[i], &names, &count, &k->err)) != 0)
			return rc;
		names_free(names, count);
		all += count;
	}
	if (all >= RING_PAIRS_MAX)
		return error_set(&k->err, ERROR_FULL,
				 "%s has %zu pairs, and a gateway takes at most %d: end one with "
				 "revoke NAME first; nothing was changed",
				 k->dir.path, all, RING_PAIRS_MAX);
	return 0;
}

static int make_pair(struct keys *k, enum algorithm algorithm, char name[KEY_NAME_SIZE])
{
	char file[KEY_NAME_SIZE + 8];
	EVP_PKEY *key = NULL;
	struct secret pem;
	int rc;

	pair_name(algorithm, name);
	snprintf(file, sizeof(file), "%s.pem", name);
	if ((rc = check_room(k)) != 0)
		return rc;
	if ((rc = pair_make(algorithm, &key, &k->err)) == 0 &&
	    (rc = pair_private_pem(key, &pem, &k->err)) == 0)
		rc = keys_dir_make(&k->dir, file, pem.bytes, pem.size, &k->err);
	secret_wipe(&pem);
	EVP_PKEY_free(key);
	return rc;
}

static int make_wrapping_key(struct keys *k)
{
	char text[2 * WRAP_KEY_SIZE + 2];
	uint8_t bytes[WRAP_KEY_SIZE];
	int rc;

	if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
		return error_set(&k->err, ERROR_IO, "OpenSSL has no random bytes");
	bytes_hex(bytes, sizeof(bytes), text);
	text[2 * WRAP_KEY_SIZE] = '\n';
	rc = keys_dir_make(&k->dir, wrapping_name, text, sizeof(text) - 1, &k->err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(text, sizeof(text));
	return rc;
}

/* ---- init ---- */

/* A new wrapping key beside secrets that an old one wrapped would hide that the old one is lost. */
static int check_no_secrets(struct keys *k)
{
	PGresult *result;
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT count(*) FROM terminal_key WHERE secret IS NOT NULL", 0, NULL,
			     NULL, &result, &k->err);

	if (rc != 0)
		return rc;
	if (strcmp(PQgetvalue(result, 0, 0), "0") != 0)
		rc = error_set(&k->err, ERROR_USAGE,
			       "%s/%s is missing, but %s secrets in the database are wrapped with "
			       "it: bring it back from the safe or another gateway",
			       k->dir.path, wrapping_name, PQgetvalue(result, 0, 0));
	PQclear(result);
	return rc;
}

static int init_folder(struct keys *k, json_t *made)
{
	static const enum algorithm algorithms[] = { ALGORITHM_SM2, ALGORITHM_RSA };
	char name[KEY_NAME_SIZE];
	size_t there;
	int rc = 0;

	if (!keys_dir_has(&k->dir, wrapping_name)) {
		if ((k->session.open && (rc = check_no_secrets(k)) != 0) ||
		    (rc = make_wrapping_key(k)) != 0)
			return rc;
		json_array_append_new(made, json_string(wrapping_name));
	}
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		if ((rc = count_pairs(k, algorithms[i], &there)) != 0 ||
		    (there == 0 && (rc = make_pair(k, algorithms[i], name)) != 0))
			return rc;
		if (there == 0)
			json_array_append_new(made, json_sprintf("%s.pem", name));
	}
	return 0;
}

int keys_init(const struct arguments *a, void *context)
{
	struct keys *k = context;
	json_t *made = json_array();
	size_t i;
	json_t *name;
	int rc;

	if (!argument_given(a, "no-database") &&
	    ((rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0))
		goto out;
	if ((rc = keys_folder(k, a, true)) != 0 || (rc = init_folder(k, made)) != 0)
		goto out;
	if (k->session.open && json_array_size(made) > 0 &&
	    (rc = session_audit(&k->session, "key.init", NULL,
				json_pack("{s:s, s:O}", "dir", k->dir.path, "made", made),
				&k->err)) != 0)
		goto out;
	if (k->session.open && (rc = session_commit(&k->session, &k->err)) == ERROR_CLOSED)
		keys_in_doubt(k, "what was made in %s is kept and good", k->dir.path);
	if (rc != 0)
		goto out;
	json_array_foreach(made, i, name)
		printf("made %s/%s\n", k->dir.path, json_string_value(name));
	if (json_array_size(made) == 0)
		printf("%s has everything already; nothing was changed\n", k->dir.path);
	else
		printf("keep a copy of %s/%s in a safe: without it the secrets of terminals are "
		       "lost\n",
		       k->dir.path, wrapping_name);
out:
	/* Nothing can use them yet, and nothing tells of them. */
	if (rc != 0 && rc != ERROR_CLOSED)
		json_array_foreach(made, i, name) keys_dir_remove(&k->dir, json_string_value(name));
	json_decref(made);
	return rc;
}

/* ---- create, rotate ---- */

/* Exit code, or 0: algorithm is one of a gateway's pair. */
static int gateway_algorithm(const struct arguments *a, enum algorithm *ret)
{
	const char *text = argument(a, "algorithm");
	int algorithm = text != NULL ? algorithm_parse(text) : -1;

	if (algorithm != ALGORITHM_SM2 && algorithm != ALGORITHM_RSA)
		return argument_wrong(a, "--algorithm must be sm2 or rsa");
	*ret = (enum algorithm)algorithm;
	return 0;
}

static int make_uri(struct keys *k, enum algorithm algorithm, const char *uri,
		    char name[KEY_NAME_SIZE])
{
	char file[KEY_NAME_SIZE + 8], line[PEM_MAX];
	int n = snprintf(line, sizeof(line), "%s\n", uri), rc = check_room(k);

	if (rc != 0)
		return rc;
	pair_name(algorithm, name);
	snprintf(file, sizeof(file), "%s.uri", name);
	return keys_dir_make(&k->dir, file, line, (size_t)n, &k->err);
}

/* The PIN of the token, from --file; it stands beside the URI, where the gateway looks for it. */
static int make_pin(struct keys *k, const char *from, const char *name)
{
	char file[KEY_NAME_SIZE + 8];
	struct secret pin;
	int rc = secret_read(&pin, from, &k->err);

	snprintf(file, sizeof(file), "%s.pin", name);
	if (rc == 0) {
		secret_trim(&pin);
		pin.bytes[pin.size++] = '\n';
		rc = keys_dir_make(&k->dir, file, pin.bytes, pin.size, &k->err);
	}
	secret_wipe(&pin);
	return rc;
}

static void remove_pair(const struct keys *k, const char *name)
{
	static const char *const endings[] = { "pem", "uri", "pin" };
	char file[KEY_NAME_SIZE + 8];

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		snprintf(file, sizeof(file), "%s.%s", name, endings[i]);
		keys_dir_remove(&k->dir, file);
	}
}

static int check_uri(const struct arguments *a, const char *uri)
{
	if (strncmp(uri, "pkcs11:", 7) != 0 || strlen(uri) > PEM_MAX - 8 ||
	    strpbrk(uri, "\r\n") != NULL)
		return argument_wrong(a, "--uri begins with pkcs11: (RFC 7512)");
	if (strstr(uri, "pin-value") != NULL)
		return argument_wrong(a, "no pin-value in --uri, everybody could read it: give the "
					 "PIN by --file");
	return 0;
}

static int new_pair(const struct arguments *a, struct keys *k, const char *action)
{
	const char *uri = argument(a, "uri"), *pin = argument(a, "file");
	enum algorithm algorithm = ALGORITHM_NONE;
	char name[KEY_NAME_SIZE], file[KEY_NAME_SIZE + 8];
	size_t before = 0;
	int rc;

	if (pin != NULL && uri == NULL)
		return argument_wrong(a, "--file is the PIN of a token: it goes with --uri");
	if ((rc = gateway_algorithm(a, &algorithm)) != 0 ||
	    (uri != NULL && (rc = check_uri(a, uri)) != 0) ||
	    (rc = keys_folder(k, a, false)) != 0 ||
	    (rc = count_pairs(k, algorithm, &before)) != 0 || (rc = keys_database(k, a)) != 0 ||
	    (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	if (strcmp(action, "key.rotate") == 0 && before == 0)
		return error_set(&k->err, ERROR_USAGE,
				 "there is no %s pair to take the place of: use create gateway",
				 algorithm_text(algorithm));
	if ((rc = uri != NULL ? make_uri(k, algorithm, uri, name)
			      : make_pair(k, algorithm, name)) != 0)
		return rc;
	snprintf(file, sizeof(file), "%s.%s", name, uri != NULL ? "uri" : "pem");
	if ((pin == NULL || (rc = make_pin(k, pin, name)) == 0) &&
	    (rc = session_audit(&k->session, action, name,
				json_pack("{s:s, s:s, s:I}", "dir", k->dir.path, "algorithm",
					  algorithm_text(algorithm), "pairs",
					  (json_int_t)before + 1),
				&k->err)) == 0)
		rc = session_commit(&k->session, &k->err);
	if (rc == ERROR_CLOSED)
		return keys_in_doubt(k, "%s/%s is kept and good; audit_log may lack its line",
				     k->dir.path, file);
	if (rc != 0) {
		remove_pair(k, name);
		return rc;
	}
	printf("made %s/%s; reload the gateway so that it opens units with it\n", k->dir.path,
	       file);
	if (before > 0)
		printf("%zu older %s pair%s still open%s units; end one with: revoke NAME "
		       "--reason TEXT\n",
		       before, algorithm_text(algorithm), before > 1 ? "s" : "",
		       before > 1 ? "" : "s");
	return 0;
}

int keys_create_gateway(const struct arguments *a, void *context)
{
	return new_pair(a, context, "key.create");
}

int keys_rotate_gateway(const struct arguments *a, void *context)
{
	return new_pair(a, context, "key.rotate");
}

/* ---- end ---- */

static int ended_pair(struct keys *k, const char *name, char file[KEY_NAME_SIZE + 8])
{
	enum algorithm algorithm;
	EVP_PKEY *key = NULL;
	size_t count;
	int rc;

	if (strlen(name) >= KEY_NAME_SIZE || strchr(name, '/') != NULL || name[0] == '.')
		return error_set(&k->err, ERROR_USAGE, "'%s' is no name of a pair", name);
	snprintf(file, KEY_NAME_SIZE + 8, "%s.uri", name);
	if (keys_dir_has(&k->dir, file))
		return 0;
	snprintf(file, KEY_NAME_SIZE + 8, "%s.pem", name);
	if (!keys_dir_has(&k->dir, file))
		return error_set(&k->err, ERROR_NOT_FOUND, "%s has no pair '%s'", k->dir.path,
				 name);
	if ((rc = read_pair(k, file, &key)) != 0)
		return rc;
	algorithm = pair_algorithm(key);
	EVP_PKEY_free(key);
	if ((rc = count_pairs(k, algorithm, &count)) == 0 && count < 2)
		rc = error_set(&k->err, ERROR_USAGE,
			       "%s is the only %s pair: make another with rotate gateway first",
			       name, algorithm_text(algorithm));
	return rc;
}

int keys_end_gateway(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *name = argument_operand(a, 0), *reason = argument(a, "reason");
	char file[KEY_NAME_SIZE + 8], ended[KEY_NAME_SIZE + 16];
	int rc;

	if ((rc = keys_folder(k, a, false)) != 0 || (rc = ended_pair(k, name, file)) != 0 ||
	    (rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	snprintf(ended, sizeof(ended), "%s.ended", file);
	if ((rc = session_audit(&k->session, "key.revoke", name,
				json_pack("{s:s, s:s}", "dir", k->dir.path, "reason", reason),
				&k->err)) != 0 ||
	    (rc = keys_dir_rename(&k->dir, file, ended, false, &k->err)) != 0)
		return rc;
	rc = session_commit(&k->session, &k->err);
	if (rc == ERROR_CLOSED)
		return keys_in_doubt(k,
				     "%s/%s stays ended; audit_log may lack its line, and a .pin "
				     "beside it is called as before",
				     k->dir.path, ended);
	if (rc != 0) {
		keys_dir_rename(&k->dir, ended, file, false, NULL);
		return rc;
	}
	snprintf(file, sizeof(file), "%s.pin", name);
	snprintf(ended, sizeof(ended), "%s.pin.ended", name);
	if (keys_dir_has(&k->dir, file) &&
	    (rc = keys_dir_rename(&k->dir, file, ended, false, &k->err)) != 0)
		return rc;
	printf("%s is ended, its files in %s are called .ended; reload the gateway so that it "
	       "opens nothing with it any more\n",
	       name, k->dir.path);
	return 0;
}

/* ---- export ---- */

int keys_export_gateway(const struct arguments *a, void *context)
{
	struct keys *k = context;
	char **names, pem[PEM_MAX], hex[2 * PUBLIC_KEY_MAX + 1];
	struct public_key public;
	size_t count;
	int rc = keys_folder(k, a, false);

	if (rc != 0 || (rc = keys_dir_list(&k->dir, "", ".pem", &names, &count, &k->err)) != 0)
		return rc;
	for (size_t i = count; rc == 0 && i-- > 0;) {
		EVP_PKEY *key = NULL;

		if ((rc = read_pair(k, names[i], &key)) == 0 &&
		    (rc = public_key_of(key, &public, &k->err)) == 0 &&
		    (rc = public_key_pem(&public, pem, sizeof(pem), &k->err)) == 0) {
			bytes_hex(public.bytes, public.size, hex);
			printf("%.*s: %s, %s\n%s\n%s\n", (int)strlen(names[i]) - 4, names[i],
			       algorithm_text(public.algorithm),
			       public.algorithm == ALGORITHM_RSA ? "DER in hex" : "X || Y in hex",
			       hex, pem);
		}
		EVP_PKEY_free(key);
	}
	names_free(names, count);
	if (rc != 0 || (rc = keys_dir_list(&k->dir, "", ".uri", &names, &count, &k->err)) != 0)
		return rc;
	for (size_t i = count; i-- > 0;)
		printf("%.*s: in a token; its own tool exports the public half\n",
		       (int)strlen(names[i]) - 4, names[i]);
	names_free(names, count);
	return 0;
}

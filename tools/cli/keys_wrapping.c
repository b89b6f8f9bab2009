/*
 * A new wrapping key.  Order, so that a crash anywhere loses nothing: the new key is durable aside;
 * all secrets are wrapped again inside the transaction; the files change places; commit.  From the
 * change of places on both keys are in the folder, and every reader tries both.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "gateway/identity/ring.h"
#include "tools/cli/keys.h"

static const char current_name[] = "wrapping.key", next_name[] = "wrapping.next";

/* All wrapping keys of the folder; the current one is the first. */
struct ring {
	struct wrap_key *keys;
	char **names; /* of files */
	size_t count;
};

static void ring_free(struct ring *r)
{
	for (size_t i = 0; i < r->count; i++)
		wrap_key_wipe(&r->keys[i]);
	free(r->keys);
	names_free(r->names, r->count);
}

static int ring_read(struct keys *k, struct ring *ret)
{
	char **names, **more;
	size_t count;
	int rc = keys_dir_list(&k->dir, "wrapping-", ".key", &names, &count, &k->err);

	*ret = (struct ring){ 0 };
	if (rc != 0)
		return rc;
	more = realloc(names, (count + 1) * sizeof(*names));
	ret->names = more != NULL ? more : names;
	ret->count = count;
	ret->keys = calloc(count + 1, sizeof(*ret->keys));
	if (more == NULL || ret->keys == NULL) {
		rc = error_set(&k->err, ERROR_MEMORY, "no memory");
		goto out;
	}
	memmove(ret->names + 1, ret->names, count * sizeof(*names));
	if ((ret->names[0] = strdup(current_name)) == NULL)
		rc = error_set(&k->err, ERROR_MEMORY, "no memory");
	ret->count = count + 1;
	for (size_t i = 0; rc == 0 && i < ret->count; i++)
		rc = keys_dir_wrap_key(&k->dir, ret->names[i], &ret->keys[i], &k->err);
out:
	if (rc != 0)
		ring_free(ret);
	return rc;
}

/* ---- the secrets ---- */

static int open_secret(const struct ring *ring, const char *vin, const uint8_t *in, size_t size,
		       uint8_t *out, size_t *ret_size, struct error *err)
{
	int rc = ERROR_NOT_FOUND;

	for (size_t i = 0; rc == ERROR_NOT_FOUND && i < ring->count; i++)
		rc = wrap_open(&ring->keys[i], vin, in, size, out, ret_size, err);
	return rc;
}

static int wrap_again(struct keys *k, const struct ring *ring, const struct wrap_key *next,
		      const PGresult *rows, int row)
{
	const char *id = PQgetvalue(rows, row, 0), *vin = PQgetvalue(rows, row, 1);
	uint8_t secret[WRAP_SECRET_MAX], wrapped[WRAP_SECRET_MAX + WRAP_OVERHEAD],
		old[WRAP_SECRET_MAX + WRAP_OVERHEAD];
	const char *hex = PQgetvalue(rows, row, 2);
	const char *values[] = { id, (const char *)wrapped };
	const size_t old_size = strlen(hex) / 2;
	int sizes[2] = { 0 }, rc;
	size_t size = 0;

	if (old_size > sizeof(old) || !hex_bytes(hex, 2 * old_size, old, old_size))
		return error_set(&k->err, ERROR_CORRUPT, "the secret of key %s is damaged", id);
	rc = open_secret(ring, vin, old, old_size, secret, &size, &k->err);
	if (rc == 0)
		rc = wrap_seal(next, vin, secret, size, wrapped, &k->err);
	OPENSSL_cleanse(secret, sizeof(secret));
	if (rc != 0) {
		struct error cause = k->err;

		return error_set(&k->err, cause.code, "key %s of %s: %.1200s", id, vin, cause.text);
	}
	sizes[1] = (int)(size + WRAP_OVERHEAD);
	return session_run(&k->session, "terminal_key",
			   "UPDATE terminal_key SET secret = $2::bytea WHERE id = $1::bigint", 2,
			   values, sizes, NULL, &k->err);
}

static int wrap_all_again(struct keys *k, const struct ring *ring, const struct wrap_key *next,
			  int *ret_count)
{
	PGresult *rows;
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT k.id, v.vin, encode(k.secret, 'hex') FROM terminal_key k"
			     " JOIN vehicle v ON v.id = k.vehicle_id WHERE k.secret IS NOT NULL"
			     " ORDER BY k.id FOR UPDATE OF k",
			     0, NULL, NULL, &rows, &k->err);

	if (rc != 0)
		return rc;
	*ret_count = PQntuples(rows);
	for (int row = 0; rc == 0 && row < *ret_count; row++)
		rc = wrap_again(k, ring, next, rows, row);
	PQclear(rows);
	return rc;
}

/* ---- the files ---- */

static int make_next(struct keys *k, struct wrap_key *ret)
{
	char text[2 * WRAP_KEY_SIZE + 2];
	uint8_t bytes[WRAP_KEY_SIZE];
	int rc;

	/* Of a rotation that was killed before the files changed places: it wrapped nothing. */
	keys_dir_remove(&k->dir, next_name);
	if (RAND_priv_bytes(bytes, sizeof(bytes)) != 1)
		return error_set(&k->err, ERROR_IO, "OpenSSL has no random bytes");
	wrap_key_set(ret, bytes);
	bytes_hex(bytes, sizeof(bytes), text);
	text[2 * WRAP_KEY_SIZE] = '\n';
	rc = keys_dir_make(&k->dir, next_name, text, sizeof(text) - 1, &k->err);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	OPENSSL_cleanse(text, sizeof(text));
	return rc;
}

static void name_of(const struct wrap_key *key, char hex[2 * WRAP_NAME_SIZE + 1])
{
	bytes_hex(key->name, WRAP_NAME_SIZE, hex);
}

/* A rotation that was killed between its two steps may have kept the current key already. */
static bool is_kept(struct keys *k, const char *kept, const struct wrap_key *current)
{
	struct wrap_key there;
	bool same = keys_dir_wrap_key(&k->dir, kept, &there, &k->err) == 0 &&
		    CRYPTO_memcmp(there.bytes, current->bytes, WRAP_KEY_SIZE) == 0;

	wrap_key_wipe(&there);
	return same;
}

/* wrapping.key is there at every moment, and the old key is durable before it loses that name. */
static int change_places(struct keys *k, const char *kept, const struct wrap_key *current)
{
	if (linkat(k->dir.fd, current_name, k->dir.fd, kept, 0) != 0 &&
	    (errno != EEXIST || !is_kept(k, kept, current)))
		return error_set(&k->err, ERROR_IO,
				 "cannot keep %s as %s in %s: another file has that name, or the "
				 "folder cannot be written",
				 current_name, kept, k->dir.path);
	if (fsync(k->dir.fd) != 0)
		return error_errno(&k->err, ERROR_IO, "cannot flush %s", k->dir.path);
	return keys_dir_rename(&k->dir, next_name, current_name, true, &k->err);
}

/* A gateway that finds more keys than it has room for does not start. */
static int check_room(struct keys *k, const struct ring *ring, const char *kept)
{
	const size_t after = ring->count + (keys_dir_has(&k->dir, kept) ? 0 : 1);

	if (after > RING_WRAPPING_MAX)
		return error_set(&k->err, ERROR_FULL,
				 "%s has %zu wrapping keys, and a gateway takes at most %d: run "
				 "finish first; nothing was changed",
				 k->dir.path, ring->count, RING_WRAPPING_MAX);
	return 0;
}

static int rotate(struct keys *k, const struct ring *ring)
{
	char old[2 * WRAP_NAME_SIZE + 1], new[2 * WRAP_NAME_SIZE + 1], kept[KEY_NAME_SIZE];
	struct wrap_key next;
	int rc, count = 0;

	name_of(&ring->keys[0], old);
	snprintf(kept, sizeof(kept), "wrapping-%s.key", old);
	if ((rc = check_room(k, ring, kept)) != 0 || (rc = make_next(k, &next)) != 0)
		return rc;
	name_of(&next, new);
	rc = wrap_all_again(k, ring, &next, &count);
	wrap_key_wipe(&next);
	if (rc != 0 ||
	    (rc = session_audit(&k->session, "key.rotate", "wrapping.key",
				json_pack("{s:s, s:s, s:s, s:i}", "dir", k->dir.path, "old", old,
					  "new", new, "secrets", count),
				&k->err)) != 0 ||
	    (rc = change_places(k, kept, &ring->keys[0])) != 0) {
		keys_dir_remove(&k->dir, next_name);
		return rc;
	}
	if ((rc = session_commit(&k->session, &k->err)) != 0) {
		/* It may have been committed all the same: both keys stay. */
		fprintf(stderr,
			"haulgate-keys: both wrapping keys are kept, nothing is lost: look at the "
			"database, then run rotate wrapping again\n");
		return rc;
	}
	printf("%d secrets are wrapped with %s now; the old key is kept as %s/%s\n", count, new,
	       k->dir.path, kept);
	puts("copy wrapping.key to the other gateways and to the safe, reload the gateways, then: "
	     "finish");
	return 0;
}

int keys_rotate_wrapping(const struct arguments *a, void *context)
{
	struct keys *k = context;
	struct ring ring;
	int rc;

	if ((rc = keys_folder(k, a, false)) != 0 || (rc = keys_database(k, a)) != 0 ||
	    (rc = session_begin(&k->session, &k->err)) != 0 ||
	    /* Nobody wraps with the old key meanwhile: key_row_insert() takes it shared. */
	    (rc = session_run(&k->session, "lock",
			      "SELECT pg_advisory_xact_lock(hashtext('haulgate-wrapping'))", 0,
			      NULL, NULL, NULL, &k->err)) != 0 ||
	    (rc = ring_read(k, &ring)) != 0)
		return rc;
	rc = rotate(k, &ring);
	ring_free(&ring);
	return rc;
}

/* ---- finish ---- */

static int used_by(struct keys *k, const char *name, char ret[24])
{
	const char *values[] = { name };
	PGresult *result;
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT count(*) FROM terminal_key WHERE secret IS NOT NULL"
			     " AND substr(secret, 2, 4) = decode($1, 'hex')",
			     1, values, NULL, &result, &k->err);

	if (rc == 0) {
		snprintf(ret, 24, "%s", PQgetvalue(result, 0, 0));
		PQclear(result);
	}
	return rc;
}

/* Whether secrets need an old key, which is not the current one under another name. */
static int is_needed(struct keys *k, const struct ring *ring, size_t i, bool *ret)
{
	char name[2 * WRAP_NAME_SIZE + 1], used[24];
	int rc;

	name_of(&ring->keys[i], name);
	if ((rc = used_by(k, name, used)) != 0)
		return rc;
	*ret = strcmp(used, "0") != 0 &&
	       CRYPTO_memcmp(ring->keys[i].bytes, ring->keys[0].bytes, WRAP_KEY_SIZE) != 0;
	if (*ret)
		fprintf(stderr,
			"haulgate-keys: %s secrets are still wrapped with %s, which stays: run "
			"rotate wrapping again, then finish\n",
			used, ring->names[i]);
	return 0;
}

/* The names that nothing needs, as an array. */
static int unneeded(struct keys *k, const struct ring *ring, json_t *ret)
{
	bool needed = false;
	int rc = 0;

	for (size_t i = 1; rc == 0 && i < ring->count; i++)
		if ((rc = is_needed(k, ring, i, &needed)) == 0 && !needed)
			json_array_append_new(ret, json_string(ring->names[i]));
	return rc;
}

static int remove_keys(struct keys *k, json_t *names)
{
	json_t *name;
	size_t i;
	int rc = session_audit(&k->session, "key.finish", "wrapping.key",
			       json_pack("{s:s, s:O}", "dir", k->dir.path, "removed", names),
			       &k->err);

	if (rc != 0 || (rc = session_commit(&k->session, &k->err)) != 0)
		return rc;
	json_array_foreach(names, i, name)
	{
		keys_dir_remove(&k->dir, json_string_value(name));
		printf("removed %s/%s; backups of the database from before the rotation still "
		       "need its copy in the safe\n",
		       k->dir.path, json_string_value(name));
	}
	return 0;
}

static int finish(struct keys *k, const struct ring *ring)
{
	json_t *names = json_array();
	int rc = unneeded(k, ring, names);

	if (rc == 0 && json_array_size(names) > 0)
		rc = remove_keys(k, names);
	else if (rc == 0 && ring->count == 1)
		puts("there is no old wrapping key; nothing was changed");
	else if (rc == 0)
		rc = error_set(&k->err, ERROR_USAGE,
			       "every old key is needed; nothing was removed");
	json_decref(names);
	return rc;
}

int keys_finish(const struct arguments *a, void *context)
{
	struct keys *k = context;
	struct ring ring;
	int rc;

	if ((rc = keys_folder(k, a, false)) != 0 || (rc = keys_database(k, a)) != 0 ||
	    (rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = session_run(&k->session, "lock",
			      "SELECT pg_advisory_xact_lock(hashtext('haulgate-wrapping'))", 0,
			      NULL, NULL, NULL, &k->err)) != 0 ||
	    (rc = ring_read(k, &ring)) != 0)
		return rc;
	rc = finish(k, &ring);
	ring_free(&ring);
	return rc;
}

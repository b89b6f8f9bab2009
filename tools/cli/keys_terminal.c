/* Keys of one terminal: made, taken in, and renewed with an overlap. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include "tools/cli/keys.h"

enum { OVERLAP_DAYS = 30, OVERLAP_DAYS_MAX = 3650 };

/* A key that is being made or taken in, with what is to be wiped. */
struct new_key {
	struct key_row row;
	struct public_key public;
	uint8_t secret[SYMMETRIC_KEY_SIZE], iv[IV_SIZE];
	struct secret file; /* for --out */
};

static void new_key_wipe(struct new_key *n)
{
	OPENSSL_cleanse(n, sizeof(*n));
}

/* ---- arguments ---- */

static int algorithm_given(const struct arguments *a, enum algorithm *ret)
{
	const char *text = argument(a, "algorithm");
	int algorithm = text != NULL ? algorithm_parse(text) : -1;

	if (algorithm <= ALGORITHM_NONE)
		return argument_wrong(a, "--algorithm must be one of sm2, rsa, p256, sm4, aes128");
	*ret = (enum algorithm)algorithm;
	return 0;
}

static int mode_given(const struct arguments *a, enum algorithm algorithm, enum cipher_mode *ret)
{
	const char *text = argument(a, "mode");
	int mode = text != NULL ? cipher_mode_parse(text) : CIPHER_MODE_DEFAULT;

	if (mode < 0 || !cipher_mode_fits(algorithm, (enum cipher_mode)mode))
		return argument_wrong(a, "--mode %s is none of %s; docs/protocol.md has the table",
				      text, algorithm_text(algorithm));
	*ret = (enum cipher_mode)mode;
	return 0;
}

/* VIN and times; chip and mode where the command has them. */
static int row_given(const struct arguments *a, struct key_row *row)
{
	row->vin = argument_operand(a, 0);
	row->valid_from = argument(a, "valid-from");
	row->valid_to = argument(a, "valid-to");
	row->chip = argument(a, "chip");
	if (is_symmetric(row->algorithm)) {
		if (row->chip != NULL)
			return argument_wrong(a, "--chip goes with a key that signs");
		return mode_given(a, row->algorithm, &row->mode);
	}
	if (argument_given(a, "mode"))
		return argument_wrong(a, "--mode goes with sm4 and aes128; for units encrypted to "
					 "the gateway's pair use the command mode");
	return 0;
}

/* ---- making ---- */

static int make_symmetric(struct new_key *n, struct error *err)
{
	struct secret *f = &n->file;

	if (RAND_priv_bytes(n->secret, sizeof(n->secret)) != 1 ||
	    RAND_bytes(n->iv, sizeof(n->iv)) != 1)
		return error_set(err, ERROR_IO, "OpenSSL has no random bytes");
	n->row.secret = n->secret;
	bytes_hex(n->secret, sizeof(n->secret), (char *)f->bytes);
	f->size = 2 * sizeof(n->secret);
	f->bytes[f->size++] = '\n';
	if (n->row.mode != CIPHER_MODE_CBC_FIXED)
		return 0;
	n->row.iv = n->iv;
	bytes_hex(n->iv, sizeof(n->iv), (char *)f->bytes + f->size);
	f->size += 2 * sizeof(n->iv);
	f->bytes[f->size++] = '\n';
	return 0;
}

static int make_key(struct new_key *n, struct error *err)
{
	EVP_PKEY *key = NULL;
	int rc;

	if (is_symmetric(n->row.algorithm))
		return make_symmetric(n, err);
	if ((rc = pair_make(n->row.algorithm, &key, err)) == 0 &&
	    (rc = public_key_of(key, &n->public, err)) == 0)
		rc = pair_private_pem(key, &n->file, err);
	n->row.public_key = &n->public;
	EVP_PKEY_free(key);
	return rc;
}

/* ---- taking in ---- */

/* 32 hex digits, then the IV on a line of its own where the mode wants one. */
static int read_symmetric(struct new_key *n, const char *name, struct error *err)
{
	struct secret *f = &n->file;
	const char *text = (const char *)f->bytes;
	const bool wants_iv = n->row.mode == CIPHER_MODE_CBC_FIXED;
	const size_t first = strcspn(text, "\r\n"), gap = strspn(text + first, "\r\n");

	if (!hex_bytes(text, first, n->secret, sizeof(n->secret)))
		return error_set(err, ERROR_USAGE, "%s: a key of %s is 32 hex digits on one line",
				 name, algorithm_text(n->row.algorithm));
	n->row.secret = n->secret;
	if (!wants_iv && f->size != first)
		return error_set(err, ERROR_USAGE,
				 "%s has more than the key; only mode cbc-fixed has an IV", name);
	if (!wants_iv)
		return 0;
	if (!hex_bytes(text + first + gap, f->size - first - gap, n->iv, sizeof(n->iv)))
		return error_set(err, ERROR_USAGE,
				 "%s: mode cbc-fixed wants its IV, 32 hex digits, on a second line",
				 name);
	n->row.iv = n->iv;
	return 0;
}

static int read_key(struct new_key *n, const char *path, struct error *err)
{
	const char *name = strcmp(path, "-") == 0 ? "stdin" : path;
	const enum algorithm wanted = n->row.algorithm;
	int rc;

	if ((rc = secret_read(&n->file, path, err)) != 0)
		return rc;
	secret_trim(&n->file);
	if (is_symmetric(wanted))
		return read_symmetric(n, name, err);
	if ((rc = public_key_read(&n->file, name,
				  wanted == ALGORITHM_P256 ? ALGORITHM_P256 : ALGORITHM_SM2,
				  &n->public, err)) != 0)
		return rc;
	n->row.public_key = &n->public;
	n->row.algorithm = n->public.algorithm;
	if (wanted != ALGORITHM_NONE && wanted != n->public.algorithm)
		return error_set(err, ERROR_USAGE, "%s is a key of %s, not of %s", name,
				 algorithm_text(n->public.algorithm), algorithm_text(wanted));
	return 0;
}

/* ---- the transaction ---- */

/* The file is made last, and removed only when it is sure that there is no row. */
static int commit_with_file(struct keys *k, const struct new_key *n, const char *out)
{
	const int64_t id = n->row.ret_id;
	int rc;

	if (out != NULL && (rc = key_file_make(out, n->file.bytes, n->file.size, &k->err)) != 0)
		return rc;
	rc = session_commit(&k->session, &k->err);
	if (rc == ERROR_CLOSED && out != NULL)
		return keys_in_doubt(k,
				     "show %" PRId64 " tells: if there is no such key, remove %s "
				     "and begin again; else %s is the only copy of it",
				     id, out, out);
	if (rc == ERROR_CLOSED)
		return keys_in_doubt(k, "show %" PRId64 " tells", id);
	if (rc != 0 && out != NULL)
		remove(out);
	return rc;
}

static int store_key(const struct arguments *a, struct keys *k, struct new_key *n,
		     const char *action, const char *out)
{
	json_t *more = json_object();
	int rc;

	/* The private half is on its way to the maker: who has had it is worth knowing later. */
	if (out != NULL)
		json_object_set_new(more, "written_to", json_string(out));
	if ((n->row.secret != NULL && (rc = keys_folder(k, a, false)) != 0) ||
	    (rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = session_vehicle(&k->session, n->row.vin, &n->row.vehicle_id, &k->err)) != 0 ||
	    (rc = key_row_insert(k, &n->row)) != 0) {
		json_decref(more);
		return rc;
	}
	if ((rc = key_row_audit(k, action, &n->row, more)) != 0 ||
	    (rc = commit_with_file(k, n, out)) != 0)
		return rc;
	printf("key %" PRId64 " of %s: %s, %s%s%s\n", n->row.ret_id, n->row.vin,
	       n->row.public_key != NULL ? "signs" : "encrypts", algorithm_text(n->row.algorithm),
	       out != NULL ? ", written to " : "", out != NULL ? out : "");
	return 0;
}

int keys_create_terminal(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *out = argument(a, "out");
	struct new_key n = { 0 };
	int rc;

	if ((rc = algorithm_given(a, &n.row.algorithm)) != 0 || (rc = row_given(a, &n.row)) != 0)
		return rc;
	if (out == NULL)
		return argument_wrong(a, "--out FILE is needed: the terminal's half goes there, "
					 "and is nowhere else");
	if ((rc = make_key(&n, &k->err)) == 0)
		rc = store_key(a, k, &n, "key.create", out);
	new_key_wipe(&n);
	return rc;
}

int keys_import(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *file = argument_given(a, "file") ? argument(a, "file") : "-";
	struct new_key n = { 0 };
	int rc;

	if ((argument_given(a, "algorithm") && (rc = algorithm_given(a, &n.row.algorithm)) != 0) ||
	    (rc = row_given(a, &n.row)) != 0)
		return rc;
	if ((rc = read_key(&n, file, &k->err)) == 0)
		rc = store_key(a, k, &n, "key.import", NULL);
	new_key_wipe(&n);
	return rc;
}

int keys_mode(const struct arguments *a, void *context)
{
	struct new_key n = { 0 };
	int rc;

	if ((rc = algorithm_given(a, &n.row.algorithm)) != 0)
		return rc;
	if (n.row.algorithm != ALGORITHM_SM2 && n.row.algorithm != ALGORITHM_RSA)
		return argument_wrong(a, "--algorithm must be sm2 or rsa: those of the gateway's "
					 "pairs");
	if ((rc = mode_given(a, n.row.algorithm, &n.row.mode)) != 0)
		return rc;
	n.row.vin = argument_operand(a, 0);
	n.row.valid_from = argument(a, "valid-from");
	n.row.valid_to = argument(a, "valid-to");
	return store_key(a, context, &n, "key.mode", NULL);
}

/* ---- rotation ---- */

/* The active key that is replaced; its mode and chip go over to the new one. */
static int find_old(struct keys *k, struct new_key *n, PGresult **ret)
{
	const char *values[] = { n->row.vin, algorithm_text(n->row.algorithm),
				 is_symmetric(n->row.algorithm) ? "encrypt" : "sign" };
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT k.id, k.mode, k.chip_id FROM terminal_key k"
			     " JOIN vehicle v ON v.id = k.vehicle_id WHERE v.vin = $1"
			     " AND k.algorithm = $2 AND k.purpose = $3 AND k.state = 'active'"
			     " AND (k.valid_to IS NULL OR k.valid_to > now())"
			     " AND ($3 = 'sign' OR k.secret IS NOT NULL)"
			     " ORDER BY k.id DESC LIMIT 1 FOR UPDATE OF k",
			     3, values, NULL, ret, &k->err);

	if (rc != 0)
		return rc;
	if (PQntuples(*ret) == 0) {
		PQclear(*ret);
		return error_set(&k->err, ERROR_NOT_FOUND,
				 "%s has no active %s key to take the place of: use create or "
				 "import",
				 n->row.vin, algorithm_text(n->row.algorithm));
	}
	n->row.mode = (enum cipher_mode)cipher_mode_parse(PQgetvalue(*ret, 0, 1));
	n->row.chip = session_value(*ret, 0, 2);
	return 0;
}

static int end_old(struct keys *k, const char *old, int days)
{
	char text[16];
	const char *values[] = { old, text, k->session.actor };

	snprintf(text, sizeof(text), "%d", days);
	/* now() stands still in a transaction; a key that is as old as it is must end later. */
	return session_run(&k->session, "terminal_key",
			   "UPDATE terminal_key SET changed_by = $3, valid_to ="
			   " least(valid_to, greatest(now() + make_interval(days => $2::int),"
			   " valid_from + interval '1 microsecond')) WHERE id = $1::bigint",
			   3, values, NULL, NULL, &k->err);
}

static int rotate(struct keys *k, struct new_key *n, const char *file, const char *out, int days)
{
	PGresult *old;
	int rc;

	if ((rc = session_vehicle(&k->session, n->row.vin, &n->row.vehicle_id, &k->err)) != 0 ||
	    (rc = find_old(k, n, &old)) != 0)
		return rc;
	if ((rc = file != NULL ? read_key(n, file, &k->err) : make_key(n, &k->err)) == 0 &&
	    (rc = end_old(k, PQgetvalue(old, 0, 0), days)) == 0 &&
	    (rc = key_row_insert(k, &n->row)) == 0 &&
	    (rc = key_row_audit(k, "key.rotate", &n->row,
				json_pack("{s:s, s:i}", "replaces", PQgetvalue(old, 0, 0),
					  "overlap_days", days))) == 0 &&
	    (rc = commit_with_file(k, n, out)) == 0)
		printf("key %" PRId64 " takes the place of key %s, which is good for %d more "
		       "days%s%s\n",
		       n->row.ret_id, PQgetvalue(old, 0, 0), days,
		       out != NULL ? "; written to " : "", out != NULL ? out : "");
	PQclear(old);
	return rc;
}

int keys_rotate_terminal(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *file = argument(a, "file"), *out = argument(a, "out"),
		   *overlap = argument(a, "overlap");
	struct new_key n = { .row.vin = argument_operand(a, 0) };
	long days = OVERLAP_DAYS;
	char *end;
	int rc;

	if ((rc = algorithm_given(a, &n.row.algorithm)) != 0)
		return rc;
	if (overlap != NULL && ((days = strtol(overlap, &end, 10)) < 0 || end == overlap ||
				*end != '\0' || days > OVERLAP_DAYS_MAX))
		return argument_wrong(a, "--overlap is a number of days, 0 to %d",
				      OVERLAP_DAYS_MAX);
	if ((file != NULL) == (out != NULL))
		return argument_wrong(a, "either --file (the terminal's new key) or --out (make "
					 "one and write it there)");
	if ((is_symmetric(n.row.algorithm) && (rc = keys_folder(k, a, false)) != 0) ||
	    (rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	rc = rotate(k, &n, file, out, (int)days);
	new_key_wipe(&n);
	return rc;
}

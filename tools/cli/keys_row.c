#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "tools/cli/keys.h"

void public_key_fingerprint(const uint8_t *bytes, size_t size, char ret[17])
{
	uint8_t digest[32] = { 0 };

	EVP_Digest(bytes, size, digest, NULL, EVP_sha256(), NULL);
	bytes_hex(digest, 8, ret);
}

/* The same key at two vehicles would let one speak for the other; a pending one speaks for none. */
static int check_once(struct keys *k, const struct key_row *row)
{
	const char *values[] = { (const char *)row->public_key->bytes };
	const int sizes[] = { (int)row->public_key->size };
	PGresult *result;
	int rc = session_run(&k->session, "terminal_key",
			     "SELECT k.id, v.vin, k.state, k.reason FROM terminal_key k"
			     " JOIN vehicle v ON v.id = k.vehicle_id WHERE k.public_key = $1::bytea"
			     " AND k.state IN ('revoked', 'active')"
			     " ORDER BY k.state = 'revoked' DESC, k.id LIMIT 1",
			     1, values, sizes, &result, &k->err);

	if (rc != 0)
		return rc;
	if (PQntuples(result) > 0 && strcmp(PQgetvalue(result, 0, 2), "revoked") == 0)
		rc = error_set(&k->err, ERROR_USAGE,
			       "this key was revoked (key %s of %s: %s); it is not taken again",
			       PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1),
			       PQgetisnull(result, 0, 3) ? "no reason given"
							 : PQgetvalue(result, 0, 3));
	else if (PQntuples(result) > 0)
		rc = error_set(&k->err, ERROR_USAGE, "this key is registered already: key %s of %s",
			       PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	PQclear(result);
	return rc;
}

static int check_chip(struct keys *k, const struct key_row *row)
{
	const char *values[] = { row->vin, row->chip };
	char shown[80]; /* a chip may come from an activation: a stranger's text */
	PGresult *result;
	int rc;

	if (strlen(row->chip) < 1 || strlen(row->chip) > 16)
		return error_set(&k->err, ERROR_USAGE, "chip id '%s': 1 to 16 characters",
				 text_shown(row->chip, shown, sizeof(shown)));
	if ((rc = session_run(&k->session, "terminal_key",
			      "SELECT v.vin, k.id FROM terminal_key k"
			      " JOIN vehicle v ON v.id = k.vehicle_id"
			      " WHERE k.chip_id = $2 AND k.state = 'active' AND k.purpose = 'sign'"
			      " AND v.vin <> $1 AND (k.valid_to IS NULL OR k.valid_to > now())",
			      2, values, NULL, &result, &k->err)) != 0)
		return rc;
	if (PQntuples(result) > 0)
		rc = error_set(&k->err, ERROR_USAGE, "chip %s belongs to %s (key %s)",
			       text_shown(row->chip, shown, sizeof(shown)),
			       PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	PQclear(result);
	return rc;
}

int key_row_check(struct keys *k, const struct key_row *row)
{
	/* That of activation_take(): nobody else gives this key or chip away until the commit. */
	int rc = session_run(
		&k->session, "lock",
		"SELECT pg_advisory_xact_lock(hashtextextended('haulgate activation', 0))", 0, NULL,
		NULL, NULL, &k->err);

	if (rc != 0 || (rc = check_once(k, row)) != 0)
		return rc;
	return row->chip != NULL ? check_chip(k, row) : 0;
}

static int seal(struct keys *k, const struct key_row *row, uint8_t *wrapped)
{
	struct wrap_key key;
	int rc;

	/* Until the commit no rotation changes the wrapping key under us. */
	if ((rc = session_run(&k->session, "lock",
			      "SELECT pg_advisory_xact_lock_shared(hashtext('haulgate-wrapping'))",
			      0, NULL, NULL, NULL, &k->err)) != 0)
		return rc;
	if ((rc = keys_dir_wrap_key(&k->dir, "wrapping.key", &key, &k->err)) == 0)
		rc = wrap_seal(&key, row->vin, row->secret, SYMMETRIC_KEY_SIZE, wrapped, &k->err);
	wrap_key_wipe(&key);
	return rc;
}

int key_row_insert(struct keys *k, struct key_row *row)
{
	uint8_t wrapped[SYMMETRIC_KEY_SIZE + WRAP_OVERHEAD];
	const bool signs = row->public_key != NULL;
	char vehicle[24];
	const char *values[] = {
		vehicle,
		signs ? "sign" : "encrypt",
		algorithm_text(row->algorithm),
		cipher_mode_text(row->mode),
		row->chip,
		signs ? (const char *)row->public_key->bytes : NULL,
		row->secret != NULL ? (const char *)wrapped : NULL,
		(const char *)row->iv,
		row->valid_from,
		row->valid_to,
		k->session.actor,
	};
	const int sizes[11] = {
		[5] = signs ? (int)row->public_key->size : 0,
		[6] = row->secret != NULL ? (int)sizeof(wrapped) : 0,
		[7] = row->iv != NULL ? IV_SIZE : 0,
	};
	PGresult *result;
	int rc;

	snprintf(vehicle, sizeof(vehicle), "%" PRId64, row->vehicle_id);
	if ((signs && (rc = key_row_check(k, row)) != 0) ||
	    (row->secret != NULL && (rc = seal(k, row, wrapped)) != 0))
		return rc;
	if ((rc = session_run(
		     &k->session, "terminal_key",
		     "INSERT INTO terminal_key (vehicle_id, purpose, algorithm, mode, chip_id,"
		     " public_key, secret, iv, valid_from, valid_to, changed_by)"
		     " VALUES ($1::bigint, $2, $3, $4, $5, $6::bytea, $7::bytea, $8::bytea,"
		     " coalesce($9::timestamptz, now()), $10::timestamptz, $11) RETURNING id",
		     11, values, sizes, &result, &k->err)) != 0)
		return rc;
	row->ret_id = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return 0;
}

int key_row_audit(struct keys *k, const char *action, const struct key_row *row, json_t *more)
{
	json_t *detail = json_pack(
		"{s:I, s:s, s:s, s:s, s:s*, s:s*, s:s*}", "key", (json_int_t)row->ret_id, "purpose",
		row->public_key != NULL ? "sign" : "encrypt", "algorithm",
		algorithm_text(row->algorithm), "mode", cipher_mode_text(row->mode), "chip_id",
		row->chip, "valid_from", row->valid_from, "valid_to", row->valid_to);
	char fingerprint[17];

	if (row->public_key != NULL && detail != NULL) {
		public_key_fingerprint(row->public_key->bytes, row->public_key->size, fingerprint);
		json_object_set_new(detail, "fingerprint", json_string(fingerprint));
	}
	if (more != NULL)
		json_object_update(detail, more);
	json_decref(more);
	return session_audit(&k->session, action, row->vin, detail, &k->err);
}

/*
 * keys.h - what the commands of haulgate-keys share.
 *
 * A command returns 0, an exit code of arguments.h, or a negative error code with err filled.
 * Files of secrets are made inside the transaction that registers them, just before its commit,
 * and removed when the server says that it rolled back.  When the connection breaks at the commit
 * they are kept, for they may be the only copy of a key that is registered: keys_in_doubt().
 */
#ifndef TOOLS_CLI_KEYS_H
#define TOOLS_CLI_KEYS_H

#include "gateway/base/config.h"
#include "tools/cli/arguments.h"
#include "tools/cli/keys_file.h"
#include "tools/cli/keys_pair.h"
#include "tools/cli/session.h"
#include "tools/cli/table.h"

struct keys {
	struct session session;
	struct keys_dir dir;
	struct error err;
};

/* Connects; reads and checks keys.dir.  Safe to call once a command. */
int keys_database(struct keys *k, const struct arguments *a);
int keys_folder(struct keys *k, const struct arguments *a, bool make);

/* Of a commit that returned ERROR_CLOSED: adds to k->err what is kept and how to find out. */
int keys_in_doubt(struct keys *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The commands, by file. */
int keys_init(const struct arguments *a, void *context); /* keys_gateway.c */
int keys_create_gateway(const struct arguments *a, void *context);
int keys_rotate_gateway(const struct arguments *a, void *context);
int keys_end_gateway(const struct arguments *a, void *context);
int keys_export_gateway(const struct arguments *a, void *context);
int keys_create_terminal(const struct arguments *a, void *context); /* keys_terminal.c */
int keys_import(const struct arguments *a, void *context);
int keys_mode(const struct arguments *a, void *context);
int keys_rotate_terminal(const struct arguments *a, void *context);
int keys_import_list(const struct arguments *a, void *context); /* keys_list.c */
int keys_list(const struct arguments *a, void *context);	/* keys_state.c */
int keys_show(const struct arguments *a, void *context);
int keys_export_terminal(const struct arguments *a, void *context);
int keys_revoke(const struct arguments *a, void *context);
int keys_approve(const struct arguments *a, void *context);
int keys_reject(const struct arguments *a, void *context);
int keys_rotate_wrapping(const struct arguments *a, void *context); /* keys_wrapping.c */
int keys_finish(const struct arguments *a, void *context);
int keys_certificate_add(const struct arguments *a, void *context); /* keys_certificate.c */
int keys_certificate_revoke(const struct arguments *a, void *context);
int keys_certificate_list(const struct arguments *a, void *context);
int keys_platform_add(const struct arguments *a, void *context); /* keys_platform.c */
int keys_platform_password(const struct arguments *a, void *context);
int keys_platform_block(const struct arguments *a, void *context);
int keys_platform_unblock(const struct arguments *a, void *context);
int keys_platform_list(const struct arguments *a, void *context);
int keys_platform_vehicles(const struct arguments *a, void *context);

/* ---- rows of terminal_key (keys_row.c) ---- */

struct key_row {
	const char *vin;
	int64_t vehicle_id;
	enum algorithm algorithm;
	enum cipher_mode mode;
	const char *chip;		     /* NULL: none */
	const char *valid_from, *valid_to;   /* NULL: now; without an end */
	const struct public_key *public_key; /* NULL: a cipher */
	const uint8_t *secret, *iv;	     /* 16 bytes each; NULL: none */
	int64_t ret_id;
};
enum { SYMMETRIC_KEY_SIZE = 16, IV_SIZE = 16 };

static inline bool is_symmetric(enum algorithm algorithm)
{
	return algorithm == ALGORITHM_SM4 || algorithm == ALGORITHM_AES128;
}

/*
 * Inside a transaction, which holds until its end what this says: the public key is active nowhere
 * and was never revoked, and its chip belongs to no other vehicle.
 */
int key_row_check(struct keys *k, const struct key_row *row);
/*
 * Inside a transaction: key_row_check() for one that signs, wraps the secret (k->dir is open then),
 * inserts the row, fills ret_id.
 */
int key_row_insert(struct keys *k, struct key_row *row);
/* The line of audit_log about row; more is taken over and may be NULL. */
int key_row_audit(struct keys *k, const char *action, const struct key_row *row, json_t *more);
/* First 8 bytes of SHA-256 of a public key, as hex, for people to compare. */
void public_key_fingerprint(const uint8_t *bytes, size_t size, char ret[17]);

#endif

/*
 * haulgate-seal - keeps the evidence log over the archived segments of a spool.
 *
 * A process of its own, so that the one that talks to terminals never has the key; best under a
 * user of its own that may only read the spool.
 */
#include "tools/cli/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "gateway/evidence/log.h"
#include "gateway/evidence/measure.h"
#include "gateway/identity/file.h"
#include "tools/cli/keys_file.h"

enum { COMMIT_EVERY = 100 }; /* segments: what a kill makes it measure again, at most */
enum { PRIVATE_MAX = 4096, GATEWAY_MAX = 32767 };

static const struct argument_option options[] = {
	{ "key", "FILE", "private key, PEM, mode 0600 (run)" },
	{ "gateway", "N", "number of the gateway that wrote the spool (1)" },
	{ "origin", "NAME", "who speaks in the checkpoints (haulgate/gateway-N)" },
	{ "archive-dir", "DIR", "where the compressed segments are (SPOOL/archive)" },
	{ "export", "FILE", "also write the checkpoint there, to be kept elsewhere" },
	{ "once", NULL, "seal what is there and end; this is the default" },
	{ "damaged", NULL, "seal damaged segments and gaps too; the log says so for ever" },
	{ "algorithm", "NAME", "of the new key: ed25519 (default) or sm2" },
	{ "spool", "DIR", "the spool (prove)" },
	{ "log", "FOLDER", "the evidence log (prove, grow)" },
	{ "out", "FILE", "the file to write; it is replaced (prove, grow)" },
	{ 0 },
};

static const struct argument_command commands[] = {
	{ "run", "SPOOL FOLDER", "key gateway origin archive-dir export once damaged", 2, 2,
	  seal_run,
	  "seal the archived segments of SPOOL that the log in FOLDER does not have yet" },
	{ "prove", "POSITION ...", "spool archive-dir log out", 1, 1000, seal_prove,
	  "write a package that proves the records at these positions" },
	{ "grow", "OLD", "log out", 1, 1, seal_grow,
	  "write a proof that the log only grew since the exported checkpoint OLD" },
	{ "key", "FILE", "algorithm", 1, 1, seal_key,
	  "make a key: FILE, and the public half as FILE.pub" },
	{ 0 },
};

static const struct argument_program program = {
	.name = "haulgate-seal",
	.intro = "Keeps a signed, append-only evidence log over the closed segments of a spool.",
	.outro =
		"Exit: 0 done, 1 spool, log, checkpoint and key do not agree (said which), 2 wrong "
		"arguments or unreadable.\ndocs/evidence.md tells what is proved, and how to check "
		"it.\n",
	.options = options,
	.common = "",
	.commands = commands,
};

int seal_cannot(const struct error *err)
{
	fprintf(stderr, "haulgate-seal: %s\n", err->text);
	return err->code == ERROR_CORRUPT || err->code == ERROR_NOT_FOUND ? ARGUMENT_FAILED
									  : ARGUMENT_USAGE;
}

/* ---- key ---- */

/* Puts the public half beside the private one, for whoever checks. */
static int write_public(const struct log_key *key, const char *file, struct error *err)
{
	char pem[KEY_PEM_MAX], path[PATH_MAX];
	int rc = log_key_public_pem(key, pem, err);

	if (rc != 0)
		return rc;
	if (snprintf(path, sizeof(path), "%s.pub", file) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path %s is too long", file);
	return key_file_make(path, pem, strlen(pem), err);
}

int seal_key(const struct arguments *a, void *context)
{
	const char *algorithm = argument(a, "algorithm"), *file = argument_operand(a, 0);
	struct log_key *key = NULL;
	struct error err = { 0 };
	char pem[PRIVATE_MAX];
	int rc = log_key_make(algorithm != NULL ? algorithm : "ed25519", &key, &err);

	(void)context;
	if (rc == 0)
		rc = log_key_private_pem(key, pem, sizeof(pem), &err);
	if (rc == 0)
		rc = key_file_make(file, pem, strlen(pem), &err);
	if (rc == 0)
		rc = write_public(key, file, &err);
	OPENSSL_cleanse(pem, sizeof(pem));
	log_key_free(key);
	return rc == 0 ? ARGUMENT_DONE : seal_cannot(&err);
}

static int read_key(const char *path, struct log_key **ret, struct error *err)
{
	char *pem = NULL;
	size_t size = 0;
	int rc = private_file_read(path, PRIVATE_MAX, &pem, &size, err);

	if (rc == ERROR_NOT_FOUND)
		return error_set(err, ERROR_USAGE, "there is no key %s", path);
	if (rc == 0)
		rc = log_key_read_private(pem, size, path, ret, err);
	private_free(pem, size);
	return rc;
}

/* ---- run ---- */

struct run {
	struct folder spool;
	const char *folder, *export;
	uint64_t gateway;
	bool damaged_too;
	char origin[ORIGIN_SIZE];
	struct hasher *hasher;
	struct log_key *key;
	struct evidence_log *log;
	uint64_t base;	 /* of the segment that is measured */
	uint64_t sealed; /* segments, by this run */
	bool tty;
};

static void say_flaw(const char *what, void *arg)
{
	const struct run *r = arg;

	fprintf(stderr, "%sflaw: segment %016" PRIx64 ": %s\n", r->tty ? "\r\033[K" : "", r->base,
		what);
}

static void show_progress(const struct run *r, size_t done, size_t all)
{
	if (r->tty)
		fprintf(stderr, "\r%zu of %zu segments, position %" PRIu64 " ", done, all, r->base);
}

static int seal_segment(struct run *r, struct error *err)
{
	const struct measure_events events = { .flaw = say_flaw, .arg = r };
	const uint64_t size = log_size(r->log);
	const char *broken = NULL;
	struct measured m;
	int rc = measure_segment(&r->spool, r->base, r->gateway, r->hasher, &events, &m, err);

	if (rc != 0)
		goto out;
	if (size > 0)
		broken = measured_break(&m, log_leaf(r->log, size - 1));
	if (broken != NULL) {
		say_flaw(broken, r);
		m.leaf.flaws++;
	}
	if (m.leaf.flaws > 0 && !r->damaged_too) {
		rc = error_set(err, ERROR_CORRUPT,
			       "segment %016" PRIx64 " is not as the spool wrote it, and is not "
			       "sealed; look for a copy, or seal it as it is with --damaged",
			       r->base);
		goto out;
	}
	rc = log_append(r->log, &m.leaf, err);
	if (rc == 0 && ++r->sealed % COMMIT_EVERY == 0 && log_pending(r->log) == 0)
		rc = log_commit(r->log, err);
out:
	measured_release(&m);
	return rc;
}

/* Oldest first, up to the first that is still live. */
static int seal_segments(struct run *r, struct error *err)
{
	struct segment_list list = { 0 };
	int rc = segment_list(&r->spool, true, &list, err);

	if (rc == 0 && list.archive_absent)
		fprintf(stderr, "haulgate-seal: note: there is no folder %s yet\n",
			r->spool.archive);
	for (size_t i = 0; rc == 0 && i < list.count && list.names[i].archived; i++) {
		const uint64_t size = log_size(r->log);

		r->base = list.names[i].base;
		if (size > 0 && r->base <= log_leaf(r->log, size - 1)->base)
			continue;
		show_progress(r, i, list.count);
		rc = seal_segment(r, err);
	}
	if (r->tty)
		fprintf(stderr, "\r\033[K");
	segment_list_release(&list);
	return rc;
}

/* What was sealed before a bad segment stays sealed. */
static int seal_and_commit(struct run *r, struct error *err)
{
	struct error later = { 0 };
	const int rc = seal_segments(r, err);
	int committed = 0;

	if (log_uncovered(r->log) > 0 || log_size(r->log) > log_checkpoint(r->log)->size)
		committed = log_commit(r->log, rc == 0 ? err : &later);
	return rc != 0 ? rc : committed;
}

/* One log is of one spool. */
static int check_gateway(const struct run *r, struct error *err)
{
	if (log_size(r->log) > 0 && log_leaf(r->log, 0)->gateway != r->gateway)
		return error_set(err, ERROR_USAGE, "the log is of gateway %" PRIu64,
				 log_leaf(r->log, 0)->gateway);
	return 0;
}

/* The public key and the copy that goes elsewhere. */
static int export_files(struct run *r, struct error *err)
{
	char text[CHECKPOINT_TEXT_SIZE], pem[KEY_PEM_MAX], path[PATH_MAX], name[PATH_MAX];
	const size_t size = checkpoint_write(log_checkpoint(r->log), text);
	int rc = log_key_public_pem(r->key, pem, err);

	if (rc == 0)
		rc = log_file_replace(r->folder, "public.pem", pem, strlen(pem), err);
	if (rc != 0 || r->export == NULL)
		return rc;
	if (snprintf(path, sizeof(path), "%s", r->export) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the export is too long");
	snprintf(name, sizeof(name), "%s", r->export);
	return log_file_replace(dirname(path), basename(name), text, size, err);
}

static int run_parse(const struct arguments *a, struct run *r, struct error *err)
{
	const char *gateway = argument(a, "gateway"), *origin = argument(a, "origin");
	char *end = NULL;

	r->gateway = 1;
	if (gateway != NULL) {
		errno = 0;
		r->gateway = strtoull(gateway, &end, 10);
		if (errno != 0 || *end != '\0' || r->gateway < 1 || r->gateway > GATEWAY_MAX)
			return error_set(err, ERROR_USAGE, "--gateway is a number of 1 to %d",
					 GATEWAY_MAX);
	}
	snprintf(r->origin, sizeof(r->origin), "haulgate/gateway-%" PRIu64, r->gateway);
	if (origin != NULL && !origin_valid(origin))
		return error_set(err, ERROR_USAGE,
				 "--origin has at most %d letters, digits and . _ / -",
				 ORIGIN_SIZE - 1);
	if (origin != NULL)
		snprintf(r->origin, sizeof(r->origin), "%s", origin);
	if (argument(a, "key") == NULL)
		return error_set(err, ERROR_USAGE, "--key is needed; `key FILE` makes one");
	r->folder = argument_operand(a, 1);
	r->export = argument(a, "export");
	r->damaged_too = argument_given(a, "damaged");
	r->tty = isatty(STDERR_FILENO) == 1;
	if (folder_init(&r->spool, argument_operand(a, 0), argument(a, "archive-dir"), err) != 0)
		return err->code;
	return spool_readable(&r->spool, err);
}

int seal_run(const struct arguments *a, void *context)
{
	struct run r = { 0 };
	struct error err = { 0 };
	int rc;

	(void)context;
	if ((rc = run_parse(a, &r, &err)) != 0 ||
	    (rc = read_key(argument(a, "key"), &r.key, &err)) != 0 ||
	    (rc = hasher_new(&r.hasher, &err)) != 0 ||
	    (rc = log_open(r.folder, r.origin, r.key, r.hasher, &r.log, &err)) != 0 ||
	    (rc = check_gateway(&r, &err)) != 0 || (rc = seal_and_commit(&r, &err)) != 0 ||
	    (rc = export_files(&r, &err)) != 0)
		goto out;
	printf("sealed %" PRIu64 " segments, %" PRIu64 " in the log\n", r.sealed, log_size(r.log));
out:
	log_close(r.log);
	hasher_free(r.hasher);
	log_key_free(r.key);
	return rc == 0 ? ARGUMENT_DONE : seal_cannot(&err);
}

int main(int argc, char **argv)
{
	return arguments_run(&program, argc, argv, NULL);
}

/* A whole log: against its checkpoint, older checkpoints, and the segments that are at hand. */
#include "tools/cli/verify.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/evidence/log.h"
#include "gateway/evidence/measure.h"

struct look {
	const struct verify_log *arguments;
	const struct log_key *key;
	struct hasher *hasher;
	struct evidence_log *log;
	struct folder spool;
	uint64_t base; /* of the segment that is read */
	struct steps *steps;
	bool tty;
};

/* ---- checkpoints ---- */

static void check_newest(struct look *l)
{
	step_tell(l->steps, true, "log: its lines have both roots of its checkpoint");
	step_checkpoint(l->steps, "checkpoint", log_checkpoint(l->log), l->key);
	if (log_uncovered(l->log) > 0)
		step_tell(l->steps, false,
			  "log: %" PRIu64
			  " bytes stand behind the last line that the checkpoint covers: "
			  "added, or left by a run that was killed (then `seal run` mends it)",
			  log_uncovered(l->log));
}

static int check_old(struct look *l, const char *path, struct error *err)
{
	const struct checkpoint *newest = log_checkpoint(l->log);
	struct checkpoint c;
	struct hash root;
	char *text = NULL;
	size_t size = 0;
	int rc = verify_read(path, CHECKPOINT_TEXT_SIZE, &text, &size, err);
	bool grew;

	if (rc != 0 && rc != ERROR_CORRUPT)
		return rc;
	if (rc == ERROR_CORRUPT || size == 0 || checkpoint_read(text, size, &c) != size)
		step_tell(l->steps, false, "%s: is no checkpoint", path);
	else if (!checkpoint_signed(&c, l->key))
		step_tell(l->steps, false, "%s: was not signed with this key, or was changed",
			  path);
	else if (strcmp(c.origin, newest->origin) != 0)
		step_tell(l->steps, false, "%s: is of another log, %s", path, c.origin);
	else if (c.size > newest->size)
		step_tell(l->steps, false,
			  "%s: covers %" PRIu64 " segments, the log has %" PRIu64
			  ": lines were removed",
			  path, c.size, newest->size);
	else {
		grew = true;
		for (int kind = 0; kind < HASH_KINDS; kind++) {
			tree_root(log_tree(l->log), (enum hash_kind)kind, c.size, &root);
			grew = grew && hash_same(&root, &c.root[kind]);
		}
		step_tell(l->steps, grew, "%s: the first %" PRIu64 " lines %s", path, c.size,
			  grew ? "are those it was made for" : "are others than it was made for");
	}
	free(text);
	return 0;
}

/* ---- segments ---- */

static void say_flaw(const char *what, void *arg)
{
	struct look *l = arg;

	printf("    segment %016" PRIx64 ": %s\n", l->base, what);
}

/* What differs from the line, from the most to the least telling. */
static const char *difference(const struct segment_leaf *is, const struct segment_leaf *was)
{
	if (!hash_same(&is->root[HASH_SHA256], &was->root[HASH_SHA256]) ||
	    !hash_same(&is->root[HASH_SM3], &was->root[HASH_SM3]) || is->records != was->records)
		return "its records are not those that were sealed";
	if (!hash_same(&is->chain, &was->chain) || is->end != was->end || is->first != was->first)
		return "its records are those that were sealed, its chain or header is not";
	if (is->flaws > was->flaws)
		return "its records are those that were sealed; it was damaged since";
	if (!hash_same(&is->file[HASH_SHA256], &was->file[HASH_SHA256]) ||
	    !hash_same(&is->file[HASH_SM3], &was->file[HASH_SM3]))
		return "its records are those that were sealed, its file is not, byte for byte";
	return NULL;
}

static int check_segment(struct look *l, uint64_t index, uint64_t *ret_missing, struct error *err)
{
	const struct segment_leaf *leaf = log_leaf(l->log, index);
	const struct measure_events events = { .flaw = say_flaw, .arg = l };
	const char *what = NULL;
	struct measured m;
	int rc;

	if (leaf->base < l->arguments->from)
		return 0;
	l->base = leaf->base;
	if (l->tty)
		fprintf(stderr, "\rsegment %" PRIu64 " of %" PRIu64 " ", index + 1,
			log_size(l->log));
	rc = measure_segment(&l->spool, leaf->base, leaf->gateway, l->hasher, &events, &m, err);
	if (l->tty)
		fputs("\r\033[K", stderr);
	if (rc == ERROR_NOT_FOUND) {
		++*ret_missing;
		step_tell(l->steps, false,
			  "segment %016" PRIx64 ": line %" PRIu64 " of the log; it is gone",
			  leaf->base, index + 1);
		rc = 0;
	} else if (rc == ERROR_CORRUPT) {
		step_tell(l->steps, false, "segment %016" PRIx64 ": cannot be read: %s", leaf->base,
			  err->text);
		rc = 0;
	} else if (rc == 0) {
		what = difference(&m.leaf, leaf);
		if (what != NULL)
			step_tell(l->steps, false, "segment %016" PRIx64 ": %s", leaf->base, what);
	}
	measured_release(&m);
	return rc;
}

/* Archives that the log should know and does not. */
static int check_strangers(struct look *l, struct error *err)
{
	const uint64_t size = log_size(l->log);
	struct segment_list list = { 0 };
	uint64_t newer = 0;
	int rc = segment_list(&l->spool, true, &list, err);

	for (size_t i = 0; i < list.count; i++) {
		const struct segment_name *name = &list.names[i];

		if (size == 0 || name->base > log_leaf(l->log, size - 1)->base)
			newer++;
		else if (log_find(l->log, name->base) == UINT64_MAX &&
			 name->base >= log_leaf(l->log, 0)->base)
			step_tell(l->steps, false,
				  "segment %016" PRIx64 ": is between sealed ones, and the log "
				  "does not know it",
				  name->base);
	}
	if (rc == 0)
		step_tell(l->steps, true, "spool: %" PRIu64 " segments are newer than the log",
			  newer);
	segment_list_release(&list);
	return rc;
}

static int check_spool(struct look *l, struct error *err)
{
	const struct verify_log *v = l->arguments;
	const uint64_t before = l->steps->bad;
	uint64_t missing = 0;
	int rc = folder_init(&l->spool, v->spool, v->archive, err);

	if (rc == 0)
		rc = spool_readable(&l->spool, err);
	for (uint64_t i = 0; rc == 0 && i < log_size(l->log); i++)
		rc = check_segment(l, i, &missing, err);
	if (rc != 0)
		return rc;
	if (l->steps->bad == before)
		step_tell(l->steps, true,
			  "segments: each one from position %" PRIu64 " on is as it was sealed",
			  v->from);
	else if (missing > 0)
		printf("    %" PRIu64 " segments are gone; say --from POSITION if the oldest were "
		       "moved away\n",
		       missing);
	return check_strangers(l, err);
}

static int own_key(const struct verify_log *v, struct log_key **ret, struct error *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/public.pem", v->folder) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the log is too long");
	printf("note: without --key the log vouches for itself: its key is the one in %s\n", path);
	return verify_key(path, ret, err);
}

int verify_log(const struct verify_log *v, const struct log_key *key, struct hasher *h,
	       struct steps *steps, struct error *err)
{
	struct look l = { .arguments = v, .key = key, .hasher = h, .steps = steps };
	struct log_key *own = NULL;
	int rc = 0;

	l.tty = isatty(STDERR_FILENO) == 1;
	if (key == NULL) {
		if ((rc = own_key(v, &own, err)) != 0)
			return rc;
		l.key = own;
	}
	rc = log_read(v->folder, h, &l.log, err);
	if (rc == 0)
		check_newest(&l);
	for (size_t i = 0; rc == 0 && i < v->checkpoint_count; i++)
		rc = check_old(&l, v->checkpoints[i], err);
	if (rc == 0 && v->spool != NULL)
		rc = check_spool(&l, err);
	log_close(l.log);
	log_key_free(own);
	return rc != 0 ? rc : step_result(steps, err);
}

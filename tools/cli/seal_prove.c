/* What goes out: packages with records and all that proves them, and proofs of growth. */
#include "tools/cli/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/evidence/growth.h"
#include "gateway/evidence/log.h"
#include "gateway/evidence/measure.h"
#include "gateway/evidence/package.h"

struct wanted {
	uint64_t position;
	uint64_t index; /* in its segment */
	uint8_t *bytes; /* NULL: not found yet */
	size_t size;
};

struct prove {
	struct folder spool;
	struct wanted *wanted; /* by rising position */
	size_t count;
	bool no_memory;
	struct hasher *hasher;
	struct evidence_log *log;
	struct log_key *key;
	struct checkpoint old; /* that somebody kept */
	FILE *out;
};

static int wanted_order(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return x->position < y->position ? -1 : x->position > y->position;
}

static int read_positions(const struct arguments *a, struct prove *p, struct error *err)
{
	p->wanted = calloc(argument_operands(a), sizeof(*p->wanted));
	if (p->wanted == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for the positions");
	for (size_t i = 0; i < argument_operands(a); i++) {
		const char *text = argument_operand(a, i);
		char *end = NULL;

		errno = 0;
		p->wanted[i].position = strtoull(text, &end, 0);
		if (errno != 0 || end == text || *end != '\0' || text[0] == '-')
			return error_set(err, ERROR_USAGE, "'%s' is no position", text);
	}
	p->count = argument_operands(a);
	qsort(p->wanted, p->count, sizeof(p->wanted[0]), wanted_order);
	for (size_t i = 1; i < p->count; i++)
		if (p->wanted[i].position == p->wanted[i - 1].position)
			return error_set(err, ERROR_USAGE, "position %" PRIu64 " comes twice",
					 p->wanted[i].position);
	return 0;
}

static void keep_record(const struct item *it, uint64_t index, void *arg)
{
	struct prove *p = arg;
	const struct wanted key = { .position = it->position };
	struct wanted *w = bsearch(&key, p->wanted, p->count, sizeof(p->wanted[0]), wanted_order);

	if (w == NULL)
		return;
	w->index = index;
	w->size = (size_t)(it->end - it->position);
	w->bytes = malloc(w->size);
	if (w->bytes == NULL)
		p->no_memory = true;
	else
		memcpy(w->bytes, it->bytes, w->size);
}

/* The line of the log whose segment can hold the position. */
static int find_line(const struct prove *p, uint64_t position, uint64_t *ret, struct error *err)
{
	for (uint64_t i = 0; i < log_size(p->log); i++) {
		const struct segment_leaf *leaf = log_leaf(p->log, i);

		if (position >= leaf->base && position < leaf->end) {
			*ret = i;
			return 0;
		}
	}
	return error_set(err, ERROR_NOT_FOUND,
			 "position %" PRIu64 " is in no segment that was sealed: %s", position,
			 "is it still live, or has `seal run` not come by?");
}

/* The spool must still be what was sealed: a package of anything else would prove nothing. */
static int compare(const struct measured *m, const struct segment_leaf *leaf, struct error *err)
{
	for (int kind = 0; kind < HASH_KINDS; kind++)
		if (!hash_same(&m->leaf.root[kind], &leaf->root[kind]))
			return error_set(err, ERROR_CORRUPT,
					 "segment %016" PRIx64 " is not what was sealed (%s)",
					 leaf->base, hash_name((enum hash_kind)kind));
	return 0;
}

/* The segment of line index, and the wanted records from first on that are in it. */
static int write_segment(struct prove *p, uint64_t index, size_t first, size_t *ret_next,
			 struct error *err)
{
	const struct segment_leaf *leaf = log_leaf(p->log, index);
	const struct measure_events events = { .record = keep_record, .arg = p };
	struct measured m;
	size_t i;
	int rc = measure_segment(&p->spool, leaf->base, leaf->gateway, p->hasher, &events, &m, err);

	if (rc == 0 && p->no_memory)
		rc = error_set(err, ERROR_MEMORY, "no memory for the records");
	if (rc != 0 || (rc = compare(&m, leaf, err)) != 0)
		goto out;
	package_segment(p->out, leaf, log_tree(p->log), index, log_size(p->log));
	for (i = first; i < p->count && p->wanted[i].position < leaf->end; i++) {
		const struct wanted *w = &p->wanted[i];

		if (w->bytes == NULL) {
			rc = error_set(err, ERROR_NOT_FOUND,
				       "no record begins at position %" PRIu64, w->position);
			goto out;
		}
		package_record(p->out, m.records, w->index, w->position, w->bytes, w->size);
	}
	*ret_next = i;
out:
	measured_release(&m);
	return rc;
}

static int write_package(struct prove *p, struct error *err)
{
	size_t next = 0;
	uint64_t line = 0;
	int rc = 0;

	package_begin(p->out, log_checkpoint(p->log), p->key);
	while (next < p->count && rc == 0)
		if ((rc = find_line(p, p->wanted[next].position, &line, err)) == 0)
			rc = write_segment(p, line, next, &next, err);
	package_end(p->out, p->count);
	return rc;
}

/* Up to size bytes of a file; more are cut off, and what needs all of them will not like it. */
static int read_small(const char *path, char *out, size_t size, size_t *ret_size, struct error *err)
{
	FILE *f = fopen(path, "re");

	if (f == NULL)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	*ret_size = fread(out, 1, size, f);
	fclose(f);
	return 0;
}

/* The key that the log's folder has must be the one that signed. */
static int read_public(struct prove *p, const char *folder, struct error *err)
{
	char path[PATH_MAX], pem[KEY_PEM_MAX];
	size_t size;
	int rc;

	if (snprintf(path, sizeof(path), "%s/public.pem", folder) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the log is too long");
	if ((rc = read_small(path, pem, sizeof(pem), &size, err)) != 0 ||
	    (rc = log_key_read_public(pem, size, path, &p->key, err)) != 0)
		return rc;
	if (!checkpoint_signed(log_checkpoint(p->log), p->key))
		return error_set(err, ERROR_CORRUPT, "%s did not sign the checkpoint", path);
	return 0;
}

static int replace_file(const char *file, const char *bytes, size_t size, struct error *err)
{
	char path[PATH_MAX], name[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the package is too long");
	snprintf(name, sizeof(name), "%s", file);
	return log_file_replace(dirname(path), basename(name), bytes, size, err);
}

/* Opens the log, has write fill the text, and puts it in place. */
static int make_file(struct prove *p, const char *folder, const char *file,
		     int (*write)(struct prove *p, struct error *err), struct error *err)
{
	char *text = NULL;
	size_t size = 0;
	int rc;

	if ((rc = hasher_new(&p->hasher, err)) != 0 ||
	    (rc = log_read(folder, p->hasher, &p->log, err)) != 0 ||
	    (rc = read_public(p, folder, err)) != 0)
		return rc;
	p->out = open_memstream(&text, &size);
	rc = p->out != NULL ? write(p, err)
			    : error_set(err, ERROR_MEMORY, "no memory for the text");
	if (p->out != NULL && fclose(p->out) != 0 && rc == 0)
		rc = error_set(err, ERROR_MEMORY, "no memory for the text");
	if (rc == 0)
		rc = replace_file(file, text, size, err);
	free(text);
	return rc;
}

static void release(struct prove *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->wanted[i].bytes);
	free(p->wanted);
	log_key_free(p->key);
	log_close(p->log);
	hasher_free(p->hasher);
}

int seal_prove(const struct arguments *a, void *context)
{
	const char *spool = argument(a, "spool"), *folder = argument(a, "log");
	const char *file = argument(a, "out");
	struct prove p = { 0 };
	struct error err = { 0 };
	int rc;

	(void)context;
	if (spool == NULL || folder == NULL || file == NULL)
		return argument_wrong(a, "--spool, --log and --out are needed");
	if ((rc = read_positions(a, &p, &err)) == 0 &&
	    (rc = folder_init(&p.spool, spool, argument(a, "archive-dir"), &err)) == 0)
		rc = make_file(&p, folder, file, write_package, &err);
	release(&p);
	return rc == 0 ? ARGUMENT_DONE : seal_cannot(&err);
}

/* ---- growth ---- */

static int write_growth(struct prove *p, struct error *err)
{
	const struct checkpoint *old = &p->old, *newest = log_checkpoint(p->log);
	struct hash root;

	if (!checkpoint_signed(old, p->key) || strcmp(old->origin, newest->origin) != 0)
		return error_set(err, ERROR_CORRUPT, "the older checkpoint is not of this log");
	if (old->size > newest->size)
		return error_set(err, ERROR_CORRUPT,
				 "the older checkpoint covers more segments than the log has");
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		tree_root(log_tree(p->log), (enum hash_kind)kind, old->size, &root);
		if (!hash_same(&root, &old->root[kind]))
			return error_set(err, ERROR_CORRUPT,
					 "the log does not begin as the older checkpoint says (%s)",
					 hash_name((enum hash_kind)kind));
	}
	growth_write(p->out, old, newest, log_tree(p->log));
	return 0;
}

int seal_grow(const struct arguments *a, void *context)
{
	const char *folder = argument(a, "log"), *file = argument(a, "out");
	char text[CHECKPOINT_TEXT_SIZE];
	struct prove p = { 0 };
	struct error err = { 0 };
	size_t size = 0;
	int rc;

	(void)context;
	if (folder == NULL || file == NULL)
		return argument_wrong(a, "--log and --out are needed");
	rc = read_small(argument_operand(a, 0), text, sizeof(text), &size, &err);
	if (rc == 0 && (size == 0 || checkpoint_read(text, size, &p.old) != size))
		rc = error_set(&err, ERROR_CORRUPT, "%s is no checkpoint", argument_operand(a, 0));
	if (rc == 0)
		rc = make_file(&p, folder, file, write_growth, &err);
	release(&p);
	return rc == 0 ? ARGUMENT_DONE : seal_cannot(&err);
}

/* Packages: records of the spool with everything that proves them. */
#include "tools/cli/seal.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/evidence/log.h"
#include "gateway/evidence/measure.h"
#include "gateway/evidence/package.h"
#include "gateway/identity/file.h"

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

/* The key that the log's folder has must be the one that signed. */
static int read_public(struct prove *p, const char *folder, struct error *err)
{
	char path[PATH_MAX], pem[KEY_PEM_MAX];
	size_t size;
	FILE *f;
	int rc;

	if (snprintf(path, sizeof(path), "%s/public.pem", folder) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the log is too long");
	f = fopen(path, "re");
	if (f == NULL)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	size = fread(pem, 1, sizeof(pem), f);
	fclose(f);
	rc = log_key_read_public(pem, size, path, &p->key, err);
	if (rc == 0 && !checkpoint_signed(log_checkpoint(p->log), p->key))
		rc = error_set(err, ERROR_CORRUPT, "%s did not sign the checkpoint", path);
	return rc;
}

static int replace_file(const char *file, const char *bytes, size_t size, struct error *err)
{
	char path[PATH_MAX], name[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s", file) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "the path of the package is too long");
	snprintf(name, sizeof(name), "%s", file);
	return log_file_replace(dirname(path), basename(name), bytes, size, err);
}

int seal_prove(const struct arguments *a, void *context)
{
	const char *spool = argument(a, "spool"), *folder = argument(a, "log");
	const char *file = argument(a, "out");
	struct prove p = { 0 };
	struct error err = { 0 };
	char *text = NULL;
	size_t size = 0;
	int rc;

	(void)context;
	if (spool == NULL || folder == NULL || file == NULL)
		return argument_wrong(a, "--spool, --log and --out are needed");
	if ((rc = read_positions(a, &p, &err)) != 0 ||
	    (rc = folder_init(&p.spool, spool, argument(a, "archive-dir"), &err)) != 0 ||
	    (rc = hasher_new(&p.hasher, &err)) != 0 ||
	    (rc = log_read(folder, p.hasher, &p.log, &err)) != 0 ||
	    (rc = read_public(&p, folder, &err)) != 0)
		goto out;
	p.out = open_memstream(&text, &size);
	rc = p.out != NULL ? write_package(&p, &err)
			   : error_set(&err, ERROR_MEMORY, "no memory for the package");
	if (p.out != NULL && fclose(p.out) != 0 && rc == 0)
		rc = error_set(&err, ERROR_MEMORY, "no memory for the package");
	if (rc == 0)
		rc = replace_file(file, text, size, &err);
out:
	free(text);
	for (size_t i = 0; i < p.count; i++)
		free(p.wanted[i].bytes);
	free(p.wanted);
	log_key_free(p.key);
	log_close(p.log);
	hasher_free(p.hasher);
	return rc == 0 ? ARGUMENT_DONE : seal_cannot(&err);
}

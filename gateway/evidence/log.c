#include "gateway/evidence/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/spool/file.h"

#define LOG_NAME	"log"
#define CHECKPOINT_NAME "checkpoint"

enum { LOG_PATH_MAX = PATH_MAX + 64 };

struct evidence_log {
	char folder[PATH_MAX];
	int fd;
	struct hasher *hasher;
	const struct log_key *key; /* NULL: only read */
	bool begun;		   /* there is a checkpoint */
	struct checkpoint checkpoint;
	struct segment_leaf *leaves; /* all lines that can be read */
	uint64_t lines, room;
	uint64_t size;	   /* lines that are believed: covered, or appended since */
	struct tree *tree; /* of all lines */
	uint64_t bytes;	   /* of all lines */
	uint64_t covered;  /* bytes of the lines that the checkpoint covers */
	uint64_t file_size;
};

static int path_of(const struct evidence_log *l, const char *name, char out[LOG_PATH_MAX])
{
	return snprintf(out, LOG_PATH_MAX, "%s/%s", l->folder, name);
}

/* ---- durable files ---- */

int log_file_replace(const char *folder, const char *name, const void *bytes, size_t size,
		     struct error *err)
{
	char path[LOG_PATH_MAX], temporary[LOG_PATH_MAX];
	int fd, rc = 0;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= LOG_PATH_MAX ||
	    snprintf(temporary, sizeof(temporary), "%s/%s.tmp", folder, name) >= LOG_PATH_MAX)
		return error_set(err, ERROR_USAGE, "the path of %s is too long", name);
	fd = file_create(temporary);
	if (fd < 0 || file_write(fd, 0, bytes, size) != 0 || fsync(fd) != 0)
		rc = error_errno(err, ERROR_IO, "cannot write %s", temporary);
	if (fd >= 0)
		close(fd);
	if (rc == 0 && (rename(temporary, path) != 0 || folder_sync(folder) != 0))
		rc = error_errno(err, ERROR_IO, "cannot replace %s", path);
	return rc;
}

static int write_checkpoint(struct evidence_log *l, struct error *err)
{
	struct checkpoint *c = &l->checkpoint;
	char text[CHECKPOINT_TEXT_SIZE];
	size_t size;
	int rc;

	c->size = l->size;
	for (int kind = 0; kind < HASH_KINDS; kind++)
		tree_root(l->tree, (enum hash_kind)kind, l->size, &c->root[kind]);
	c->time = clock_wall_ns() / 1000000000;
	c->clock = clock_status();
	if ((rc = checkpoint_sign(c, l->key, err)) != 0)
		return rc;
	size = checkpoint_write(c, text);
	return log_file_replace(l->folder, CHECKPOINT_NAME, text, size, err);
}

/* ---- reading ---- */

static int add_line(struct evidence_log *l, const struct segment_leaf *leaf, const char *line,
		    size_t size, struct error *err)
{
	const struct bytes part = { line, size };
	int rc;

	if (l->lines == l->room) {
		const uint64_t room = l->room == 0 ? 64 : 2 * l->room;
		struct segment_leaf *more = reallocarray(l->leaves, room, sizeof(*more));

		if (more == NULL)
			return error_set(err, ERROR_MEMORY, "no memory for the evidence log");
		l->leaves = more;
		l->room = room;
	}
	if ((rc = tree_append(l->tree, &part, 1, err)) != 0)
		return rc;
	l->leaves[l->lines++] = *leaf;
	l->bytes += size + 1;
	return 0;
}

/* Lines up to the first that is none: a crash can leave half a line, or zeros, at the end. */
static int read_lines(struct evidence_log *l, struct error *err)
{
	char text[LEAF_TEXT_SIZE];
	int rc = 0;

	for (;;) {
		const int64_t n = file_read(l->fd, l->bytes, text, sizeof(text));
		const char *end = n > 0 ? memchr(text, '\n', (size_t)n) : NULL;
		struct segment_leaf leaf;

		if (n < 0)
			return error_errno(err, ERROR_IO, "cannot read %s/" LOG_NAME, l->folder);
		if (end == NULL || !leaf_read(text, (size_t)(end - text), &leaf))
			return 0;
		if ((rc = add_line(l, &leaf, text, (size_t)(end - text), err)) != 0)
			return rc;
		if (l->lines == l->checkpoint.size)
			l->covered = l->bytes;
	}
}

static int read_checkpoint(struct evidence_log *l, struct error *err)
{
	char path[LOG_PATH_MAX], text[CHECKPOINT_TEXT_SIZE];
	int64_t n;
	int fd;

	path_of(l, CHECKPOINT_NAME, path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	n = file_read(fd, 0, text, sizeof(text));
	close(fd);
	if (n < 0)
		return error_set(err, ERROR_IO, "cannot read %s", path);
	if (n == 0 || checkpoint_read(text, (size_t)n, &l->checkpoint) != (size_t)n)
		return error_set(err, ERROR_CORRUPT, "%s is no checkpoint", path);
	l->begun = true;
	return 0;
}

/* What was promised must be there; more may be. */
static int compare(const struct evidence_log *l, struct error *err)
{
	const struct checkpoint *c = &l->checkpoint;
	struct hash root;

	if (!l->begun && l->file_size > 0)
		return error_set(err, ERROR_CORRUPT,
				 "%s has a log and no checkpoint: somebody removed it", l->folder);
	if (c->size > l->lines)
		return error_set(err, ERROR_CORRUPT,
				 "%s/" LOG_NAME ": the checkpoint covers %" PRIu64
				 " segments, and only the first %" PRIu64 " lines can be read",
				 l->folder, c->size, l->lines);
	for (int kind = 0; kind < HASH_KINDS && l->begun; kind++) {
		tree_root(l->tree, (enum hash_kind)kind, c->size, &root);
		if (!hash_same(&root, &c->root[kind]))
			return error_set(err, ERROR_CORRUPT,
					 "%s/" LOG_NAME ": its first %" PRIu64
					 " lines do not have the checkpoint's %s root: lines were "
					 "changed, removed, added or moved",
					 l->folder, c->size, hash_name((enum hash_kind)kind));
	}
	return 0;
}

static int load(struct evidence_log *l, struct error *err)
{
	struct stat st;
	int rc;

	if (fstat(l->fd, &st) != 0)
		return error_errno(err, ERROR_IO, "cannot read %s/" LOG_NAME, l->folder);
	l->file_size = (uint64_t)st.st_size;
	if ((rc = tree_new(l->hasher, &l->tree, err)) != 0 || (rc = read_checkpoint(l, err)) != 0 ||
	    (rc = read_lines(l, err)) != 0 || (rc = compare(l, err)) != 0)
		return rc;
	l->size = l->checkpoint.size;
	return 0;
}

static int log_new(const char *folder, struct hasher *h, int flags, struct evidence_log **ret,
		   struct error *err)
{
	struct evidence_log *l = calloc(1, sizeof(*l));
	char path[LOG_PATH_MAX];

	if (l == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for the evidence log");
	l->hasher = h;
	l->fd = -1;
	if (snprintf(l->folder, sizeof(l->folder), "%s", folder) >= (int)sizeof(l->folder)) {
		free(l);
		return error_set(err, ERROR_USAGE, "the path of the log is too long");
	}
	path_of(l, LOG_NAME, path);
	l->fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (l->fd < 0) {
		const int rc = error_errno(err, ERROR_IO, "cannot open %s", path);

		free(l);
		return rc;
	}
	*ret = l;
	return 0;
}

int log_read(const char *folder, struct hasher *h, struct evidence_log **ret, struct error *err)
{
	struct evidence_log *l = NULL;
	int rc = log_new(folder, h, O_RDONLY, &l, err);

	if (rc != 0)
		return rc;
	/* Half of what a run writes would look like what somebody added.  Loaded, it may go on. */
	if (flock(l->fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		rc = error_set(err, ERROR_BUSY, "a process seals into %s just now: try again",
			       folder);
	if (rc == 0)
		rc = load(l, err);
	flock(l->fd, LOCK_UN);
	if (rc == 0 && !l->begun)
		rc = error_set(err, ERROR_CORRUPT, "%s has no checkpoint", folder);
	if (rc != 0) {
		log_close(l);
		return rc;
	}
	*ret = l;
	return 0;
}

/* ---- going on ---- */

static int begin(struct evidence_log *l, const char *origin, struct error *err)
{
	snprintf(l->checkpoint.origin, sizeof(l->checkpoint.origin), "%s", origin);
	l->begun = true;
	return write_checkpoint(l, err);
}

static int agree(const struct evidence_log *l, const char *origin, struct error *err)
{
	const struct checkpoint *c = &l->checkpoint;

	if (!checkpoint_signed(c, l->key))
		return error_set(err, ERROR_CORRUPT,
				 "%s/" CHECKPOINT_NAME " was not signed with this key", l->folder);
	if (strcmp(c->origin, origin) != 0)
		return error_set(err, ERROR_USAGE, "the log is of %s, not of %s", c->origin,
				 origin);
	return 0;
}

int log_open(const char *folder, const char *origin, const struct log_key *key, struct hasher *h,
	     struct evidence_log **ret, struct error *err)
{
	struct evidence_log *l = NULL;
	int rc = folder_make(folder, err);

	if (rc != 0 || (rc = log_new(folder, h, O_RDWR | O_CREAT, &l, err)) != 0)
		return rc;
	l->key = key;
	if (flock(l->fd, LOCK_EX | LOCK_NB) != 0) {
		rc = error_errno(err, ERROR_BUSY, "another process seals into %s", folder);
		goto fail;
	}
	if ((rc = load(l, err)) != 0 ||
	    (rc = l->begun ? agree(l, origin, err) : begin(l, origin, err)) != 0)
		goto fail;
	/* Half a line of a run that was killed: its segment is measured again. */
	if (l->file_size > l->bytes && ftruncate(l->fd, (off_t)l->bytes) != 0) {
		rc = error_errno(err, ERROR_IO, "cannot cut %s/" LOG_NAME, folder);
		goto fail;
	}
	*ret = l;
	return 0;
fail:
	log_close(l);
	return rc;
}

void log_close(struct evidence_log *l)
{
	if (l == NULL)
		return;
	close(l->fd);
	tree_free(l->tree);
	free(l->leaves);
	free(l);
}

const struct checkpoint *log_checkpoint(const struct evidence_log *l)
{
	return &l->checkpoint;
}

uint64_t log_size(const struct evidence_log *l)
{
	return l->size;
}

uint64_t log_pending(const struct evidence_log *l)
{
	return l->size < l->lines ? l->lines - l->size : 0;
}

const struct segment_leaf *log_leaf(const struct evidence_log *l, uint64_t index)
{
	assert(index < l->size);
	return &l->leaves[index];
}

const struct tree *log_tree(const struct evidence_log *l)
{
	return l->tree;
}

uint64_t log_uncovered(const struct evidence_log *l)
{
	return l->file_size - l->covered;
}

uint64_t log_find(const struct evidence_log *l, uint64_t base)
{
	for (uint64_t i = 0; i < l->size; i++)
		if (l->leaves[i].base == base)
			return i;
	return UINT64_MAX;
}

int log_append(struct evidence_log *l, const struct segment_leaf *leaf, struct error *err)
{
	char text[LEAF_TEXT_SIZE], left[LEAF_TEXT_SIZE];
	const size_t size = leaf_write(leaf, text);
	uint64_t at = l->bytes;
	int rc;

	assert(l->key != NULL);
	if (l->size < l->lines) {
		const size_t left_size = leaf_write(&l->leaves[l->size], left);

		if (left_size != size || memcmp(left, text, size) != 0)
			return error_set(err, ERROR_CORRUPT,
					 "%s/" LOG_NAME ": line %" PRIu64
					 ", which no checkpoint covers, says something else of "
					 "segment %016" PRIx64 " than the spool",
					 l->folder, l->size + 1, leaf->base);
		l->size++;
		return 0;
	}
	if ((rc = add_line(l, leaf, text, size, err)) != 0)
		return rc;
	text[size] = '\n'; /* instead of the NUL */
	if (file_write(l->fd, at, text, size + 1) != 0)
		return error_errno(err, ERROR_IO, "cannot write %s/" LOG_NAME, l->folder);
	l->size++;
	return 0;
}

int log_commit(struct evidence_log *l, struct error *err)
{
	int rc;

	assert(l->key != NULL);
	if (log_pending(l) > 0)
		return error_set(err, ERROR_CORRUPT,
				 "%s/" LOG_NAME ": %" PRIu64
				 " lines behind the checkpoint are of segments that the spool "
				 "does not have: an older checkpoint was put in place?",
				 l->folder, log_pending(l));
	if (fsync(l->fd) != 0)
		return error_errno(err, ERROR_IO, "cannot sync %s/" LOG_NAME, l->folder);
	if ((rc = write_checkpoint(l, err)) != 0)
		return rc;
	l->covered = l->file_size = l->bytes;
	return 0;
}

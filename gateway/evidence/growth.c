#include "gateway/evidence/growth.h"

#include <inttypes.h>
#include <string.h>

#include "gateway/evidence/path.h"

#define FIRST_LINE "haulgate growth 1\n"

void growth_write(FILE *out, const struct checkpoint *old, const struct checkpoint *newest,
		  const struct tree *log)
{
	struct path paths[HASH_KINDS] = { { .count = 0 } };
	char was[CHECKPOINT_TEXT_SIZE], is[CHECKPOINT_TEXT_SIZE];

	/* Every log is one that the empty log became. */
	for (int kind = 0; kind < HASH_KINDS && old->size > 0; kind++)
		tree_consistency(log, (enum hash_kind)kind, old->size, newest->size, &paths[kind]);
	checkpoint_write(old, was);
	checkpoint_write(newest, is);
	fprintf(out, FIRST_LINE "%s%spath", was, is);
	paths_write(out, paths);
	fputc('\n', out);
}

bool growth_begins(const char *text, size_t size)
{
	struct cursor c = cursor_of(text, size);

	return cursor_takes(&c, FIRST_LINE);
}

static bool take_checkpoint(struct cursor *c, struct checkpoint *ret)
{
	const size_t size = checkpoint_read(c->at, (size_t)(c->end - c->at), ret);

	c->at += size;
	return size > 0;
}

static bool empty_is_empty(struct hasher *h, enum hash_kind kind, const struct path *path,
			   const struct hash *root)
{
	struct hash nothing;

	hasher_empty(h, kind, &nothing);
	return path->count == 0 && hash_same(&nothing, root);
}

static void check_path(struct steps *steps, struct hasher *h, const struct checkpoint *was,
		       const struct checkpoint *is, const struct path paths[HASH_KINDS])
{
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		const bool grew =
			was->size == 0
				? empty_is_empty(h, kind, &paths[kind], &was->root[kind])
				: path_consistent(h, kind, &paths[kind], was->size,
						  &was->root[kind], is->size, &is->root[kind]);

		step_tell(steps, grew,
			  grew ? "growth: by %s the first %" PRIu64
				 " segments are the same, and nothing was put between"
			       : "growth: by %s the newer log does not begin with the %" PRIu64
				 " segments of the older one, or the path was changed",
			  hash_name(kind), was->size);
	}
}

int growth_check(const char *text, size_t size, const struct log_key *key, struct hasher *h,
		 struct steps *steps, struct error *err)
{
	struct cursor c = cursor_of(text, size);
	struct path paths[HASH_KINDS];
	struct checkpoint was, is;

	cursor_word(&c, FIRST_LINE);
	if (c.bad || !take_checkpoint(&c, &was) || !take_checkpoint(&c, &is)) {
		step_tell(steps, false, "it has not the two checkpoints that it should begin with");
		return step_result(steps, err);
	}
	cursor_word(&c, "path");
	paths_read(&c, paths);
	cursor_word(&c, "\n");
	if (!cursor_done(&c)) {
		step_tell(steps, false, "its path cannot be read, or something stands behind it");
		return step_result(steps, err);
	}
	step_checkpoint(steps, "older checkpoint", &was, key);
	step_checkpoint(steps, "newer checkpoint", &is, key);
	if (strcmp(was.origin, is.origin) != 0)
		step_tell(steps, false, "the checkpoints are of two logs, %s and %s", was.origin,
			  is.origin);
	check_path(steps, h, &was, &is, paths);
	return step_result(steps, err);
}

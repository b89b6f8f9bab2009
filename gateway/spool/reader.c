#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/spool/scan.h"
#include "gateway/spool/spool.h"

/*
 * Bytes are known to be committed when a later segment follows, or when they lie before the
 * writer's durable position.  Without either (another process, a spool that crashed) a group must
 * be whole, or be followed by something of a later group, before a record of it is given out.
 */
struct spool_reader {
	struct folder folder;
	uint64_t position;
	uint64_t sequence; /* of the last record; smaller ones are not believed */
	struct segment *segment;
	struct follow follow; /* what comes behind the segment */
	bool at_gap;	      /* the last call passed over segments that are not there */
	uint64_t committed;   /* everything before it was found to be committed */
	struct scan scan;
	struct segment *fetch_segment; /* spool_fetch()'s own place */
	struct scan fetch_scan;
};

enum { AGAIN = 2 }; /* of the steps below: the place moved, look again */

int spool_reader_open(const char *dir, const char *archive_dir, uint64_t position,
		      struct spool_reader **ret, struct error *err)
{
	struct spool_reader *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for a spool reader");
	r->position = position;
	r->follow.base = BASE_NONE;
	if ((rc = folder_init(&r->folder, dir, archive_dir, err)) != 0 ||
	    (rc = scan_init(&r->scan, err)) != 0 || (rc = scan_init(&r->fetch_scan, err)) != 0) {
		spool_reader_close(r);
		return rc;
	}
	*ret = r;
	return 0;
}

void spool_reader_close(struct spool_reader *r)
{
	if (r == NULL)
		return;
	segment_close(r->segment);
	segment_close(r->fetch_segment);
	scan_release(&r->scan);
	scan_release(&r->fetch_scan);
	free(r);
}

uint64_t spool_reader_position(const struct spool_reader *r)
{
	return r->position;
}

bool spool_reader_at_gap(const struct spool_reader *r)
{
	return r->at_gap;
}

static int corrupt(struct spool_reader *r, uint64_t to, const char *what, struct error *err)
{
	const uint64_t from = r->position;

	assert(to > from);
	r->position = to;
	return error_set(err, ERROR_CORRUPT, "spool %s: positions %" PRIu64 " to %" PRIu64 ": %s",
			 r->folder.dir, from, to, what);
}

static int gap(struct spool_reader *r, uint64_t to, const char *what, struct error *err)
{
	r->at_gap = true;
	return corrupt(r, to, what, err);
}

/* ---- segments ---- */

/* The segment that holds position: the one with the largest base at or below it. */
static const struct segment_name *find_name(const struct segment_list *list, uint64_t position)
{
	const struct segment_name *found = NULL;

	for (size_t i = 0; i < list->count && list->names[i].base <= position; i++)
		found = &list->names[i];
	return found;
}

/* Opens it wherever it is now: it may be archived between the listing and this call. */
static int open_name(const struct folder *f, const struct segment_name *name, struct segment **ret,
		     struct error *err)
{
	int rc = segment_open(f, name->base, name->archived, ret, err);

	if (rc == ERROR_NOT_FOUND)
		rc = segment_open(f, name->base, !name->archived, ret, err);
	return rc;
}

static void leave_segment(struct spool_reader *r)
{
	segment_close(r->segment);
	r->segment = NULL;
	scan_use(&r->scan, NULL);
}

/* What follows the segment, as of now. */
static int look_ahead(struct spool_reader *r, struct error *err)
{
	struct segment_list list;
	int rc = segment_list(&r->folder, true, &list, err);

	if (rc != 0)
		return rc;
	rc = segment_follow(&r->folder, &list, r->segment, &r->follow, err);
	segment_list_release(&list);
	return rc;
}

/* A segment of which nothing can be checked is skipped as a whole, when there is one behind it. */
static int skip_unreadable(struct spool_reader *r, const struct segment_list *list,
			   const struct segment_name *name, struct error *err)
{
	leave_segment(r);
	for (size_t i = 0; i < list->count; i++)
		if (list->names[i].base > name->base)
			return corrupt(r, list->names[i].base,
				       "the segment's header or index is damaged", err);
	return 0;
}

/* The position lies before all segments that are there. */
static int enter_oldest(struct spool_reader *r, const struct segment_list *list, struct error *err)
{
	const uint64_t oldest = list->names[0].base;

	if (r->position == 0) {
		r->position = oldest;
		return AGAIN;
	}
	/* A volume that is not mounted must not look like segments that somebody deleted. */
	if (list->archive_absent)
		return error_set(err, ERROR_IO,
				 "position %" PRIu64 " is in the archive, and there is no folder "
				 "%s: is it mounted?",
				 r->position, r->folder.archive);
	return gap(r, oldest, "not kept any more", err);
}

/* Finds and opens the segment of the position.  AGAIN: open.  0: there is none yet. */
static int enter_segment(struct spool_reader *r, struct error *err)
{
	struct segment_list list;
	const struct segment_name *name;
	int rc = segment_list(&r->folder, true, &list, err);

	if (rc != 0)
		return rc;
	name = find_name(&list, r->position);
	if (list.count == 0)
		goto out;
	if (name == NULL) {
		rc = enter_oldest(r, &list, err);
		goto out;
	}
	rc = open_name(&r->folder, name, &r->segment, err);
	assert(rc != 0 || r->segment != NULL);
	if (rc == ERROR_CORRUPT || (rc == 0 && r->segment->copies == 0)) {
		rc = skip_unreadable(r, &list, name, err);
		goto out;
	}
	if (rc != 0)
		goto out;
	scan_use(&r->scan, r->segment);
	r->committed = 0;
	/* So that one segment's damage never casts doubt on the next. */
	r->sequence = r->segment->header.first_sequence - 1;
	rc = segment_follow(&r->folder, &list, r->segment, &r->follow, err);
	if (rc == 0)
		rc = AGAIN;
out:
	segment_list_release(&list);
	return rc;
}

/* The position is at the end of the segment's data. */
static int next_segment(struct spool_reader *r, struct error *err)
{
	const uint64_t next = r->follow.base;
	const bool linked = r->follow.linked;
	int rc = AGAIN;

	assert(next != BASE_NONE);
	leave_segment(r);
	if (r->position >= next)
		return AGAIN;
	if (linked)
		r->position = next;
	else
		rc = gap(r, next, "a segment is missing", err);
	return rc;
}

/* ---- records ---- */

/*
 * Whether the group at the position is committed, told by the bytes alone.  1: r->committed was
 * moved behind it.  0: not, or not yet.
 */
static int judge_group(struct spool_reader *r, struct error *err)
{
	uint64_t at = r->position, group = 0;
	bool seen = false, whole = true, marked = false;
	struct item it;
	int rc;

	for (;;) {
		if ((rc = scan_item(&r->scan, at, UINT64_MAX, &it, err)) != 0)
			return rc;
		if (it.kind == ITEM_NONE) {
			whole = false;
			rc = scan_find(&r->scan, at + 8, UINT64_MAX, &it, err);
			if (rc != 0 || it.kind == ITEM_NONE)
				return rc;
		}
		/* Something of a later group: everything before it had been synced. */
		if (marked || (seen && it.group != group)) {
			r->committed = it.position;
			return 1;
		}
		seen = true;
		group = it.group;
		if (it.kind == ITEM_DAMAGED_RECORD)
			whole = false;
		if (it.kind == ITEM_MARK && whole) {
			r->committed = it.end;
			return 1;
		}
		marked = it.kind == ITEM_MARK;
		at = it.end;
	}
}

/* 1: what begins at the position may be given out. */
static int position_committed(struct spool_reader *r, uint64_t limit, struct error *err)
{
	int rc;

	if (r->follow.end != UINT64_MAX || limit != UINT64_MAX || r->position < r->committed)
		return 1;
	rc = judge_group(r, err);
	if (rc != 0)
		return rc;
	scan_forget(&r->scan); /* the writer may have gone on since the window was read */
	return judge_group(r, err);
}

/* Nothing valid begins at the position, although it is committed: find where the log goes on. */
static int skip_damage(struct spool_reader *r, uint64_t bound, uint64_t limit, struct error *err)
{
	const uint64_t file_end = r->segment->base + r->segment->size;
	struct item it;
	int rc = scan_find(&r->scan, r->position + 8, bound, &it, err);

	if (rc != 0)
		return rc;
	if (it.kind != ITEM_NONE)
		return corrupt(r, it.position, "damaged", err);
	if (r->follow.end != UINT64_MAX && r->follow.linked)
		return corrupt(r, r->follow.end, "damaged up to the next segment", err);
	if (r->follow.end != UINT64_MAX) {
		/* Where the data ended stood in the segment that is missing. */
		r->position = r->follow.end;
		return AGAIN;
	}
	/* A segment may have followed since we looked last: then this was simply the end. */
	if ((rc = look_ahead(r, err)) != 0)
		return rc;
	if (r->follow.end != UINT64_MAX)
		return AGAIN;
	if (limit != UINT64_MAX && limit > r->position && r->position < file_end)
		return corrupt(r, limit < file_end ? limit : file_end, "damaged", err);
	return 0;
}

static int give_record(struct spool_reader *r, const struct item *it, uint64_t bound,
		       struct spool_record *ret, struct error *err)
{
	struct item behind;

	if (it->sequence <= r->sequence || it->sequence >= r->follow.sequence)
		return corrupt(r, it->end, "a record that cannot be here", err);
	*ret = (struct spool_record){ .position = it->position,
				      .next = it->end,
				      .sequence = it->sequence,
				      .payload = it->payload,
				      .size = it->size };
	/* The window always shows a mark's room behind a record, so the payload stays where it is.
	 */
	scan_item_behind(&r->scan, it, bound, &behind);
	if (behind.kind == ITEM_MARK && behind.mark.count > 0)
		ret->next = behind.end;
	r->sequence = it->sequence;
	r->position = ret->next;
	return 1;
}

/* A mark where a record could begin: the end of a group, or of the segment. */
static int pass_mark(struct spool_reader *r, const struct item *it, struct error *err)
{
	int rc;

	if (it->mark.count > 0) {
		r->position = it->end;
		return AGAIN;
	}
	if (r->follow.end == UINT64_MAX && (rc = look_ahead(r, err)) != 0)
		return rc;
	if (r->follow.end == UINT64_MAX)
		return 0;
	if (r->follow.end > r->position)
		return corrupt(r, r->follow.end, "damaged up to the next segment", err);
	return AGAIN;
}

static int read_position(struct spool_reader *r, uint64_t limit, struct spool_record *ret,
			 struct error *err)
{
	const uint64_t bound = r->follow.end < limit ? r->follow.end : limit;
	struct item it;
	int rc;

	scan_limit(&r->scan, bound);
	if ((rc = position_committed(r, limit, err)) < 0)
		return rc;
	if (rc == 0) {
		if ((rc = look_ahead(r, err)) != 0)
			return rc;
		return r->follow.end != UINT64_MAX ? AGAIN : 0;
	}
	if ((rc = scan_item(&r->scan, r->position, bound, &it, err)) != 0)
		return rc;
	switch (it.kind) {
	case ITEM_RECORD:
		return give_record(r, &it, bound, ret, err);
	case ITEM_DAMAGED_RECORD:
		return corrupt(r, it.end, "a record's checksum is wrong", err);
	case ITEM_MARK:
		return pass_mark(r, &it, err);
	case ITEM_NONE:
		break;
	}
	return skip_damage(r, bound, limit, err);
}

int spool_reader_next(struct spool_reader *r, uint64_t limit, struct spool_record *ret,
		      struct error *err)
{
	int rc = AGAIN;

	r->at_gap = false;
	while (rc == AGAIN) {
		if (r->segment == NULL) {
			rc = enter_segment(r, err);
			continue;
		}
		if (r->position < r->segment->base + HEADER_SIZE)
			r->position = r->segment->base + HEADER_SIZE;
		if (r->position >= r->follow.end)
			rc = next_segment(r, err);
		else if (r->position >= limit)
			rc = 0;
		else
			rc = read_position(r, limit, ret, err);
	}
	return rc;
}

/* ---- one record ---- */

static int fetch_enter(struct spool_reader *r, uint64_t position, struct error *err)
{
	struct segment_list list;
	const struct segment_name *name;
	int rc = segment_list(&r->folder, true, &list, err);

	if (rc != 0)
		return rc;
	name = find_name(&list, position);
	if (name == NULL) {
		rc = error_set(err, ERROR_NOT_FOUND, "no segment holds position %" PRIu64,
			       position);
	} else if (r->fetch_segment == NULL || r->fetch_segment->base != name->base) {
		segment_close(r->fetch_segment);
		r->fetch_segment = NULL;
		rc = open_name(&r->folder, name, &r->fetch_segment, err);
		assert(rc != 0 || r->fetch_segment != NULL);
		if (rc == 0 && r->fetch_segment->copies == 0)
			rc = error_set(err, ERROR_CORRUPT, "segment %016" PRIx64 ": header damaged",
				       name->base);
	}
	segment_list_release(&list);
	if (rc != 0) {
		segment_close(r->fetch_segment);
		r->fetch_segment = NULL;
	}
	return rc;
}

int spool_fetch(struct spool_reader *r, uint64_t position, struct spool_record *ret,
		struct error *err)
{
	struct item it;
	int rc = fetch_enter(r, position, err);

	if (rc != 0)
		return rc;
	scan_use(&r->fetch_scan, r->fetch_segment);
	if ((rc = scan_item(&r->fetch_scan, position, UINT64_MAX, &it, err)) != 0)
		return rc;
	if (it.kind == ITEM_DAMAGED_RECORD)
		return error_set(err, ERROR_CORRUPT, "record at %" PRIu64 ": checksum is wrong",
				 position);
	if (it.kind != ITEM_RECORD)
		return error_set(err, ERROR_NOT_FOUND, "no record begins at %" PRIu64, position);
	*ret = (struct spool_record){ .position = it.position,
				      .next = it.end,
				      .sequence = it.sequence,
				      .payload = it.payload,
				      .size = it.size };
	return 0;
}

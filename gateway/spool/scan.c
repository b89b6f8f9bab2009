#include "gateway/spool/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/spool/spool.h"

/* The largest item, and a mark behind it, always fit. */
enum { WINDOW_SIZE = 256 * 1024, ITEM_MAX = RECORD_HEADER_SIZE + SPOOL_RECORD_MAX + MARK_SIZE };
static_assert((int)ITEM_MAX <= (int)WINDOW_SIZE, "an item must fit into the window");

int scan_init(struct scan *s, struct error *err)
{
	*s = (struct scan){ .window = malloc(WINDOW_SIZE) };
	return s->window != NULL ? 0 : error_set(err, ERROR_MEMORY, "no memory to read a segment");
}

void scan_release(struct scan *s)
{
	free(s->window);
	*s = (struct scan){ 0 };
}

void scan_use(struct scan *s, struct segment *segment)
{
	s->segment = segment;
	s->until = UINT64_MAX;
	scan_forget(s);
}

void scan_limit(struct scan *s, uint64_t position)
{
	s->until = position;
}

void scan_forget(struct scan *s)
{
	s->from = 0;
	s->filled = 0;
	s->ended = false;
}

static int view_fill(struct scan *s, uint64_t offset, struct error *err)
{
	const uint64_t until = s->until - s->segment->base;
	size_t want = WINDOW_SIZE;
	int64_t n;

	if (s->until <= s->segment->base || until <= offset)
		want = 0;
	else if (until - offset < want)
		want = (size_t)(until - offset);
	n = segment_read(s->segment, offset, s->window, want, err);
	if (n < 0)
		return (int)n;
	s->from = offset;
	s->filled = (size_t)n;
	s->read_until = s->until;
	s->ended = n < WINDOW_SIZE;
	return 0;
}

/* Makes want bytes from the offset visible, as far as the file has them. */
static int scan_view(struct scan *s, uint64_t offset, size_t want, const uint8_t **ret,
		     size_t *ret_size, struct error *err)
{
	const bool inside = offset >= s->from && offset <= s->from + s->filled;
	const bool all = inside && offset + want <= s->from + s->filled;
	const bool no_more = inside && s->ended && s->read_until == s->until;
	int rc;

	assert(want <= WINDOW_SIZE);
	if (!all && !no_more && (rc = view_fill(s, offset, err)) != 0)
		return rc;
	*ret = s->window + (offset - s->from);
	*ret_size = s->filled - (size_t)(offset - s->from);
	return 0;
}

/* A checksum that fits by chance, or by malice, does not give a record a place that it cannot have.
 */
static void drop_impossible(const struct segment *segment, struct item *it)
{
	const uint64_t first = segment->header.first_sequence;
	const uint64_t behind = first + segment->size / RECORD_HEADER_SIZE;
	const uint64_t position = it->position;
	bool good = it->group >= first && it->group <= behind;

	if (it->kind == ITEM_NONE)
		return;
	if (it->kind == ITEM_MARK)
		good = good && it->mark.count <= behind - it->group &&
		       sector_up(it->mark.begin, segment->base) == it->mark.begin &&
		       (it->mark.count > 0 || it->mark.begin == position) &&
		       it->mark.begin <= position && it->mark.begin >= segment->base + HEADER_SIZE;
	else
		good = good && it->sequence >= it->group && it->sequence < behind;
	if (!good)
		*it = (struct item){ .position = position };
}

int scan_item(struct scan *s, uint64_t position, uint64_t end, struct item *ret, struct error *err)
{
	const uint64_t base = s->segment->base;
	const uint8_t *bytes;
	size_t size;
	int rc;

	*ret = (struct item){ .position = position };
	if (position < base + HEADER_SIZE || position >= end || (position - base) % 8 != 0)
		return 0;
	if ((rc = scan_view(s, position - base, ITEM_MAX, &bytes, &size, err)) != 0)
		return rc;
	if (size > end - position)
		size = (size_t)(end - position);
	item_read(bytes, size, s->segment->salt, position, base, ret);
	drop_impossible(s->segment, ret);
	return 0;
}

void scan_item_behind(const struct scan *s, const struct item *record, uint64_t end,
		      struct item *ret)
{
	const uint64_t base = s->segment->base, at = record->end - base;
	const size_t inside = (size_t)(at - s->from);
	size_t size;

	*ret = (struct item){ .position = record->end };
	assert(at >= s->from && inside <= s->filled);
	size = s->filled - inside;
	if (record->end >= end)
		return;
	if (size > end - record->end)
		size = (size_t)(end - record->end);
	if (size > MARK_SIZE)
		size = MARK_SIZE;
	item_read(s->window + inside, size, s->segment->salt, record->end, base, ret);
	drop_impossible(s->segment, ret);
	if (ret->kind != ITEM_MARK)
		*ret = (struct item){ .position = record->end };
}

int scan_find(struct scan *s, uint64_t position, uint64_t end, struct item *ret, struct error *err)
{
	const uint64_t base = s->segment->base;
	uint64_t at = base + (position - base + 7) / 8 * 8;
	const uint8_t *bytes;
	size_t size;
	int rc;

	*ret = (struct item){ .position = position };
	while (at < end) {
		if ((rc = scan_view(s, at - base, 8, &bytes, &size, err)) != 0)
			return rc;
		if (size < 8)
			return 0;
		for (; size >= 8 && at < end; bytes += 8, size -= 8, at += 8) {
			if (!item_magic(bytes))
				continue;
			if ((rc = scan_item(s, at, end, ret, err)) != 0 || ret->kind != ITEM_NONE)
				return rc;
			at += 8; /* the window may have moved: look again */
			break;
		}
	}
	*ret = (struct item){ .position = position };
	return 0;
}

int scan_last_byte(struct scan *s, uint64_t position, uint64_t end, uint64_t *ret,
		   struct error *err)
{
	const uint64_t base = s->segment->base;
	uint64_t at = position;
	const uint8_t *bytes;
	size_t size;
	int rc;

	*ret = position;
	for (; at < end; at += size) {
		if ((rc = scan_view(s, at - base, 1, &bytes, &size, err)) != 0)
			return rc;
		if (size == 0)
			return 0;
		if (size > end - at)
			size = (size_t)(end - at);
		for (size_t i = size; i > 0; i--) {
			if (bytes[i - 1] != 0) {
				*ret = at + i;
				break;
			}
		}
	}
	return 0;
}

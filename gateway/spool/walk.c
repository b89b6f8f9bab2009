#include "gateway/spool/walk.h"

#include <assert.h>
#include <openssl/evp.h>
#include <string.h>

/* The group that is being read.  open: begun, and neither taken nor judged yet. */
struct group {
	bool open;
	bool marked; /* its mark was seen; it is open only because it is not whole */
	bool broken;
	const char *reason;
	uint64_t first; /* sequence */
	uint64_t next;	/* sequence */
	uint64_t begin; /* position */
	uint64_t end;	/* behind its last valid item */
	uint64_t valid; /* good records */
	struct mark mark;
};

struct walk {
	const struct walk_events *events;
	struct walk_end end;
	struct group group;
	bool hole; /* bytes since the last item made no sense */
	EVP_MD_CTX *md;
	uint64_t base;
};

static void damage(struct walk *w, uint64_t from, uint64_t to, const char *reason)
{
	w->end.regions++;
	if (w->events->damage != NULL)
		w->events->damage(from, to, reason, w->events->arg);
}

static void group_break(struct group *g, const char *reason)
{
	if (!g->broken)
		g->reason = reason;
	g->broken = true;
}

/* The open group turned out to have been synced: what is good of it counts, the rest is damage. */
static void group_salvage(struct walk *w, uint64_t next_position, uint64_t next_sequence)
{
	struct group *g = &w->group;
	const uint64_t had = next_sequence - w->end.sequence;

	assert(g->open && next_sequence >= w->end.sequence);
	damage(w, g->begin, next_position, g->broken ? g->reason : "commit mark damaged");
	w->end.records += g->valid;
	w->end.lost += had > g->valid ? had - g->valid : 0;
	w->end.sequence = next_sequence;
	w->end.chain_known = g->marked;
	if (g->marked)
		memcpy(w->end.chain, g->mark.chain, CHAIN_SIZE);
	w->end.end = sector_up(g->end, w->base);
	w->end.groups++;
	g->open = false;
}

/* it is the first valid item of a group that has not been seen yet. */
static void group_start(struct walk *w, const struct item *it)
{
	struct group *g = &w->group;
	bool head_lost = false;
	uint64_t begin = it->position;

	if (g->open) {
		group_salvage(w, it->position, it->group);
	} else if (it->group > w->end.sequence) {
		w->end.lost += it->group - w->end.sequence;
		damage(w, w->end.end, it->position, "whole groups damaged");
		w->end.sequence = it->group;
		w->end.chain_known = false;
	} else if (w->hole) {
		head_lost = true;
		begin = w->end.end;
	}
	*g = (struct group){ .open = true,
			     .first = it->group,
			     .next = it->group,
			     .begin = begin,
			     .end = it->position };
	if (head_lost)
		group_break(g, "record damaged");
	w->hole = false;
	EVP_DigestInit_ex(w->md, EVP_sha256(), NULL);
	EVP_DigestUpdate(w->md, w->end.chain, CHAIN_SIZE);
}

static void take_record(struct walk *w, const struct item *it)
{
	struct group *g = &w->group;

	if (it->sequence != g->next)
		group_break(g, "records missing");
	if (it->kind == ITEM_DAMAGED_RECORD)
		group_break(g, "record damaged");
	else
		g->valid++;
	g->next = it->sequence + 1;
	g->end = it->end;
	EVP_DigestUpdate(w->md, it->bytes, (size_t)(it->end - it->position));
}

static void take_mark(struct walk *w, const struct item *it)
{
	struct group *g = &w->group;
	uint8_t chain[CHAIN_SIZE];

	EVP_DigestFinal_ex(w->md, chain, NULL);
	if (it->mark.begin != g->begin || it->mark.count != g->next - g->first)
		group_break(g, "records missing");
	if (w->end.chain_known && memcmp(chain, it->mark.chain, CHAIN_SIZE) != 0)
		group_break(g, "chain does not fit");
	g->marked = true;
	g->mark = it->mark;
	g->end = it->end;
	if (g->broken)
		return;
	w->end.records += g->valid;
	w->end.groups++;
	w->end.sequence = g->first + it->mark.count;
	w->end.chain_known = true;
	memcpy(w->end.chain, it->mark.chain, CHAIN_SIZE);
	w->end.end = it->end;
	g->open = false;
}

/* A mark with no records, where the next group would begin. */
static void take_closing_mark(struct walk *w, const struct item *it)
{
	if (w->group.open)
		group_salvage(w, it->position, it->group);
	if (it->group > w->end.sequence) {
		w->end.lost += it->group - w->end.sequence;
		damage(w, w->end.end, it->position, "whole groups damaged");
		w->end.sequence = it->group;
	}
	memcpy(w->end.chain, it->mark.chain, CHAIN_SIZE);
	w->end.chain_known = true;
	w->end.end = it->position;
	w->end.closed = true;
}

/* False: valid by its checksum, but not where the log can have it. */
static bool in_order(const struct walk *w, const struct item *it)
{
	const struct group *g = &w->group;
	const bool closing = it->kind == ITEM_MARK && it->mark.count == 0;
	const bool later = !g->open || g->marked || closing || it->group != g->first;

	if (it->group < w->end.sequence)
		return false;
	if (g->open && later && it->group < g->next)
		return false;
	if (it->kind == ITEM_MARK)
		return it->mark.begin <= it->position && it->mark.begin >= w->end.end;
	return it->sequence >= (later ? it->group : g->next);
}

static void take_item(struct walk *w, const struct item *it)
{
	struct group *g = &w->group;

	if (it->kind == ITEM_MARK && it->mark.count == 0) {
		take_closing_mark(w, it);
		return;
	}
	if (!g->open || g->marked || it->group != g->first)
		group_start(w, it);
	if (w->hole)
		group_break(g, "record damaged");
	w->hole = false;
	if (it->kind == ITEM_MARK)
		take_mark(w, it);
	else
		take_record(w, it);
}

/* Nothing valid follows: what is open was proven by a later segment, or is a torn tail. */
static int walk_finish(struct walk *w, struct scan *scan, uint64_t end, bool proven,
		       struct error *err)
{
	const struct group *g = &w->group;

	if (g->open && proven)
		group_salvage(w, end, g->marked ? g->first + g->mark.count : g->next);
	else if (proven && !w->end.closed && w->end.end < end)
		damage(w, w->end.end, end, "nothing valid up to the next segment");
	w->end.torn_end = w->end.end;
	if (proven || w->end.closed)
		return 0;
	return scan_last_byte(scan, w->end.end, end, &w->end.torn_end, err);
}

static int walk_items(struct walk *w, struct scan *scan, uint64_t end, struct error *err)
{
	uint64_t at = w->base + HEADER_SIZE;
	unsigned items = 0;
	struct item it;
	int rc;

	while (at < end && !w->end.closed) {
		if ((rc = scan_item(scan, at, end, &it, err)) != 0)
			return rc;
		while (it.kind == ITEM_NONE || !in_order(w, &it)) {
			w->hole = true;
			if ((rc = scan_find(scan, it.position + 8, end, &it, err)) != 0)
				return rc;
			if (it.kind == ITEM_NONE)
				return 0;
		}
		take_item(w, &it);
		at = it.end;
		if (w->events->progress != NULL && ++items % 4096 == 0)
			w->events->progress(at, w->events->arg);
	}
	return 0;
}

int walk_segment(struct segment *segment, uint64_t end, bool proven,
		 const struct walk_events *events, struct walk_end *ret, struct error *err)
{
	struct walk w = { .events = events, .base = segment->base };
	const uint64_t file_end = segment->base + segment->size;
	struct scan scan;
	int rc;

	assert(segment->copies != 0);
	w.end.end = segment->base + HEADER_SIZE;
	w.end.sequence = segment->header.first_sequence;
	memcpy(w.end.chain, segment->header.previous_chain, CHAIN_SIZE);
	w.end.chain_known = true;
	if ((rc = scan_init(&scan, err)) != 0)
		return rc;
	w.md = EVP_MD_CTX_new();
	if (w.md == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory for SHA-256");
	scan_use(&scan, segment);
	if (end > file_end)
		end = file_end;
	if (rc == 0)
		rc = walk_items(&w, &scan, end, err);
	if (rc == 0)
		rc = walk_finish(&w, &scan, end, proven, err);
	EVP_MD_CTX_free(w.md);
	scan_release(&scan);
	if (rc == 0)
		*ret = w.end;
	return rc;
}

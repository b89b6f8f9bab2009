#include "gateway/evidence/measure.h"

#include <assert.h>
#include <endian.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/spool/archive.h"
#include "gateway/spool/walk.h"

static_assert((int)CHAIN_SIZE == (int)HASH_SIZE, "the spool's chain is of SHA-256");

int spool_readable(const struct folder *f, struct error *err)
{
	const int fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return error_errno(err, ERROR_IO, "cannot read the spool %s", f->dir);
	close(fd);
	return 0;
}

struct measurement {
	const struct measure_events *events;
	struct measured *result;
	struct segment *segment;
	uint64_t chained; /* records that the chain covers */
};

void record_leaf(uint64_t position, const void *bytes, size_t size,
		 uint8_t position_bytes[POSITION_SIZE], struct bytes ret[RECORD_LEAF_PARTS])
{
	const uint64_t little = htole64(position);

	memcpy(position_bytes, &little, POSITION_SIZE);
	ret[0] = (struct bytes){ position_bytes, POSITION_SIZE };
	ret[1] = (struct bytes){ bytes, size };
}

static void flaw(struct measurement *m, const char *what)
{
	m->result->leaf.flaws++;
	if (m->events->flaw != NULL)
		m->events->flaw(what, m->events->arg);
}

static void found_damage(uint64_t from, uint64_t to, const char *reason, void *arg)
{
	char what[160];

	snprintf(what, sizeof(what), "positions %" PRIu64 " to %" PRIu64 ": %s", from, to, reason);
	flaw(arg, what);
}

/* Checksums, order and chain, by the code that recovery judges with. */
static int check(struct measurement *m, struct error *err)
{
	const struct walk_events events = { .damage = found_damage, .arg = m };
	struct segment_leaf *leaf = &m->result->leaf;
	struct segment *s = m->segment;
	struct walk_end end;
	struct error why = { 0 };
	int rc;

	if (s->copies != (1u << HEADER_COPIES) - 1)
		flaw(m, "one of the two header copies is damaged");
	if (archive_check(s->archive, &why) != 0)
		flaw(m, why.text);
	/* What is archived was behind the store, so all of it had been synced. */
	rc = walk_segment(s, s->base + s->size, true, &events, &end, err);
	if (rc != 0)
		return rc;
	leaf->end = end.end;
	m->chained = end.records;
	memcpy(leaf->chain.bytes, end.chain, CHAIN_SIZE);
	return 0;
}

static int take_record(struct measurement *m, const struct item *it, struct error *err)
{
	struct measured *result = m->result;
	struct bytes parts[RECORD_LEAF_PARTS];
	uint8_t position[POSITION_SIZE];

	if (m->events->record != NULL)
		m->events->record(it, tree_size(result->records), m->events->arg);
	record_leaf(it->position, it->bytes, (size_t)(it->end - it->position), position, parts);
	return tree_append(result->records, parts, RECORD_LEAF_PARTS, err);
}

/* Every record whose own checksums are right and whose sequence is higher than the last one's. */
static int take_records(struct measurement *m, struct error *err)
{
	struct segment *s = m->segment;
	const uint64_t end = s->base + s->size;
	uint64_t at = s->base + HEADER_SIZE, sequence = s->header.first_sequence;
	struct scan scan;
	struct item it;
	int rc = scan_init(&scan, err);

	if (rc != 0)
		return rc;
	scan_use(&scan, s);
	while (at < end && (rc = scan_find(&scan, at, end, &it, err)) == 0 &&
	       it.kind != ITEM_NONE) {
		at = it.end;
		if (it.kind != ITEM_RECORD || it.sequence < sequence)
			continue;
		sequence = it.sequence + 1;
		if ((rc = take_record(m, &it, err)) != 0)
			break;
	}
	scan_release(&scan);
	return rc;
}

static void describe(struct measured *m, const struct segment *s, uint64_t gateway)
{
	const struct segment_header *h = &s->header;

	m->leaf.gateway = gateway;
	m->leaf.base = s->base;
	m->leaf.first = h->first_sequence;
	m->previous_base = h->previous_base;
	m->previous_end = h->previous_end;
	memcpy(m->previous_chain.bytes, h->previous_chain, CHAIN_SIZE);
}

int measure_segment(const struct folder *f, uint64_t base, uint64_t gateway, struct hasher *h,
		    const struct measure_events *events, struct measured *ret, struct error *err)
{
	struct measurement m = { .events = events, .result = ret };
	char path[SEGMENT_PATH_MAX];
	int rc;

	*ret = (struct measured){ 0 };
	segment_path(f, base, true, path);
	if ((rc = segment_open(f, base, true, &m.segment, err)) != 0)
		return rc;
	if (m.segment->copies == 0) {
		rc = error_set(err, ERROR_CORRUPT, "%s: both header copies are damaged", path);
		goto out;
	}
	describe(ret, m.segment, gateway);
	if ((rc = tree_new(h, &ret->records, err)) != 0 || (rc = check(&m, err)) != 0 ||
	    (rc = take_records(&m, err)) != 0 ||
	    (rc = hasher_file(h, path, ret->leaf.file, err)) != 0)
		goto out;
	ret->leaf.records = tree_size(ret->records);
	if (ret->leaf.flaws == 0 && ret->leaf.records != m.chained)
		flaw(&m, "it has records that its chain does not cover");
	for (int kind = 0; kind < HASH_KINDS; kind++)
		tree_root(ret->records, (enum hash_kind)kind, ret->leaf.records,
			  &ret->leaf.root[kind]);
out:
	segment_close(m.segment);
	return rc;
}

void measured_release(struct measured *m)
{
	tree_free(m->records);
	m->records = NULL;
}

const char *measured_break(const struct measured *m, const struct segment_leaf *before)
{
	if (m->leaf.base <= before->base || m->previous_base != before->base)
		return "the segment before it is missing";
	if (m->previous_end != before->end)
		return "the segment before it ends elsewhere";
	if (!hash_same(&m->previous_chain, &before->chain))
		return "its chain does not continue the segment before";
	if (m->leaf.first != before->first + before->records)
		return "records are missing between it and the segment before";
	return NULL;
}

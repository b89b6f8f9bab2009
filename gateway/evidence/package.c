#include "gateway/evidence/package.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/evidence/measure.h"
#include "gateway/evidence/path.h"
#include "gateway/evidence/text.h"

#define FIRST_LINE "haulgate evidence 1\n"

/* ---- writing ---- */

void package_begin(FILE *out, const struct checkpoint *c, const struct log_key *key)
{
	const struct bytes der = log_key_der(key);
	char text[CHECKPOINT_TEXT_SIZE];

	checkpoint_write(c, text);
	fprintf(out, FIRST_LINE "%spublic ", text);
	hex_print(out, der.at, der.size);
	fputc('\n', out);
}

void package_segment(FILE *out, const struct segment_leaf *leaf, const struct tree *log,
		     uint64_t index, uint64_t size)
{
	struct path paths[HASH_KINDS];
	char text[LEAF_TEXT_SIZE];

	paths_include(log, index, size, paths);
	leaf_write(leaf, text);
	fprintf(out, "%s\nlog index=%" PRIu64, text, index);
	paths_write(out, paths);
	fputc('\n', out);
}

void package_record(FILE *out, const struct tree *records, uint64_t index, uint64_t position,
		    const void *bytes, size_t size)
{
	struct path paths[HASH_KINDS];

	paths_include(records, index, tree_size(records), paths);
	fprintf(out, "record index=%" PRIu64 " position=%" PRIu64, index, position);
	paths_write(out, paths);
	fputs(" bytes=", out);
	hex_print(out, bytes, size);
	fputc('\n', out);
}

void package_end(FILE *out, uint64_t records)
{
	fprintf(out, "end records=%" PRIu64 "\n", records);
}

/* ---- checking ---- */

struct check {
	struct cursor at;
	const char *text;
	struct hasher *hasher;
	const struct log_key *key;
	struct steps *steps;
	struct checkpoint checkpoint;
	struct segment_leaf leaf; /* of the records that are read */
	uint64_t next_segment;	  /* indices rise: each thing stands in one place */
	uint64_t next_record;
	uint64_t records;
};

/* Nothing behind it can be read.  Always false. */
static bool unreadable(struct check *c, const char *what)
{
	size_t line = 1;

	for (const char *p = c->text; p < c->at.at; p++)
		line += *p == '\n';
	step_tell(c->steps, false, "line %zu is not %s, as it would be in an unchanged package",
		  line, what);
	return false;
}

static bool check_checkpoint(struct check *c)
{
	struct checkpoint *p = &c->checkpoint;
	size_t size;

	if (!cursor_takes(&c->at, FIRST_LINE))
		return unreadable(c, "\"haulgate evidence 1\"");
	size = checkpoint_read(c->at.at, (size_t)(c->at.end - c->at.at), p);
	if (size == 0)
		return unreadable(c, "the beginning of a checkpoint");
	c->at.at += size;
	step_checkpoint(c->steps, "checkpoint", p, c->key);
	return true;
}

static bool check_public_key(struct check *c)
{
	const struct bytes der = log_key_der(c->key);
	char mine[2 * KEY_DER_MAX + 1];
	struct bytes theirs;

	hex_write(der.at, der.size, mine);
	if (!cursor_takes(&c->at, "public "))
		return unreadable(c, "the public key");
	theirs = cursor_digits(&c->at);
	cursor_word(&c->at, "\n");
	if (c->at.bad)
		return unreadable(c, "the public key");
	if (theirs.size != 2 * der.size || memcmp(theirs.at, mine, theirs.size) != 0)
		step_tell(c->steps, false, "public key: the package brings another one than yours");
	return true;
}

static bool check_segment(struct check *c)
{
	const char *line = c->at.at, *end = memchr(line, '\n', (size_t)(c->at.end - line));
	const uint64_t size = c->checkpoint.size;
	struct path path[HASH_KINDS];
	bool sound = true;
	uint64_t index;

	if (end == NULL || !leaf_read(line, (size_t)(end - line), &c->leaf))
		return unreadable(c, "the line of a segment");
	c->at.at = end + 1;
	cursor_word(&c->at, "log index=");
	index = cursor_number(&c->at);
	paths_read(&c->at, path);
	cursor_word(&c->at, "\n");
	if (c->at.bad || index < c->next_segment)
		return unreadable(c, "the place of the segment above in the log");
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		const struct bytes part = { line, (size_t)(end - line) };
		struct hash leaf;

		hasher_leaf(c->hasher, kind, &part, 1, &leaf);
		if (path_includes(c->hasher, kind, &path[kind], &leaf, index, size,
				  &c->checkpoint.root[kind]))
			continue;
		sound = false;
		step_tell(c->steps, false,
			  "segment %016" PRIx64 ": is not line %" PRIu64
			  " of the log by the %s root: its line, number or path was changed",
			  c->leaf.base, index + 1, hash_name(kind));
	}
	if (sound)
		step_tell(c->steps, true,
			  "segment %016" PRIx64 ": line %" PRIu64 " of %" PRIu64
			  "; gateway %" PRIu64 ", positions up to %" PRIu64 ", %" PRIu64
			  " records, %" PRIu64 " flaws when sealed",
			  c->leaf.base, index + 1, size, c->leaf.gateway, c->leaf.end,
			  c->leaf.records, c->leaf.flaws);
	c->next_segment = index + 1;
	c->next_record = 0;
	return true;
}

struct record {
	uint64_t index, position, sequence;
	struct path path[HASH_KINDS];
	uint8_t *bytes;
	size_t size;
};

/* The paths carry the proof; this tells a person what the bytes are. */
static bool describe_record(const struct check *c, struct record *r)
{
	uint64_t sequence;
	uint32_t length;

	if (r->size < RECORD_HEADER_SIZE || memcmp(r->bytes, "HGR1", 4) != 0)
		return false;
	memcpy(&length, r->bytes + 4, sizeof(length));
	memcpy(&sequence, r->bytes + 8, sizeof(sequence));
	r->sequence = le64toh(sequence);
	return record_size(le32toh(length)) == r->size && r->position >= c->leaf.base &&
	       r->position < c->leaf.end &&
	       (c->leaf.flaws > 0 || r->sequence == c->leaf.first + r->index);
}

static void prove_record(struct check *c, struct record *r)
{
	struct bytes parts[RECORD_LEAF_PARTS];
	uint8_t position[POSITION_SIZE];
	bool sound = true;

	record_leaf(r->position, r->bytes, r->size, position, parts);
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		struct hash leaf;

		hasher_leaf(c->hasher, kind, parts, RECORD_LEAF_PARTS, &leaf);
		if (path_includes(c->hasher, kind, &r->path[kind], &leaf, r->index, c->leaf.records,
				  &c->leaf.root[kind]))
			continue;
		sound = false;
		step_tell(c->steps, false,
			  "record at %" PRIu64 ": is not number %" PRIu64 " of segment %016" PRIx64
			  " by its %s root: its bytes, position, number or path was changed",
			  r->position, r->index + 1, c->leaf.base, hash_name(kind));
	}
	if (!sound)
		return;
	if (describe_record(c, r))
		step_tell(c->steps, true,
			  "record at %" PRIu64 ": number %" PRIu64 " of %" PRIu64
			  " in segment %016" PRIx64 ", sequence %" PRIu64 ", %zu bytes",
			  r->position, r->index + 1, c->leaf.records, c->leaf.base, r->sequence,
			  r->size);
	else
		step_tell(c->steps, false, "record at %" PRIu64 ": is no record of its segment",
			  r->position);
}

/* False: nothing behind it can be read.  *rc: ERROR_MEMORY. */
static bool check_record(struct check *c, int *rc, struct error *err)
{
	struct record r = { 0 };
	struct cursor digits;
	struct bytes hex;

	cursor_word(&c->at, "record index=");
	r.index = cursor_number(&c->at);
	cursor_word(&c->at, " position=");
	r.position = cursor_number(&c->at);
	paths_read(&c->at, r.path);
	cursor_word(&c->at, " bytes=");
	hex = cursor_digits(&c->at);
	cursor_word(&c->at, "\n");
	if (c->at.bad || r.index < c->next_record)
		return unreadable(c, "a record, or the records are out of order");
	r.size = hex.size / 2;
	r.bytes = malloc(r.size + 1);
	if (r.bytes == NULL) {
		*rc = error_set(err, ERROR_MEMORY, "no memory for a record");
		return false;
	}
	digits = cursor_of(hex.at, hex.size);
	cursor_hex(&digits, r.bytes, r.size);
	assert(cursor_done(&digits));
	prove_record(c, &r);
	free(r.bytes);
	c->next_record = r.index + 1;
	c->records++;
	return true;
}

static bool starts(const struct check *c, const char *word)
{
	struct cursor at = c->at;

	return cursor_takes(&at, word);
}

/* Segments, each with at least one record. */
static bool check_body(struct check *c, int *rc, struct error *err)
{
	while (starts(c, "segment ")) {
		if (!check_segment(c))
			return false;
		do {
			if (!check_record(c, rc, err))
				return false;
		} while (starts(c, "record "));
	}
	return true;
}

static void check_end(struct check *c)
{
	uint64_t records;

	cursor_word(&c->at, "end records=");
	records = cursor_number(&c->at);
	cursor_word(&c->at, "\n");
	if (!cursor_done(&c->at))
		unreadable(c, "the package's end");
	else if (records != c->records || records == 0)
		step_tell(c->steps, false,
			  "the package says that it has %" PRIu64 " records, and %" PRIu64
			  " are there: some were removed or added",
			  records, c->records);
}

int package_check(const char *text, size_t size, const struct log_key *key, struct hasher *h,
		  struct steps *steps, struct error *err)
{
	struct check c = {
		.at = cursor_of(text, size), .text = text, .hasher = h, .key = key, .steps = steps
	};
	int rc = 0;

	if (check_checkpoint(&c) && check_public_key(&c) && check_body(&c, &rc, err))
		check_end(&c);
	return rc != 0 ? rc : step_result(steps, err);
}

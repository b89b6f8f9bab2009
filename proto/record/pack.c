/*
 * Version 1:
 *
 *   version 1 | block count | kind count | kinds | order | columns of each kind
 *
 * kind: what several blocks share: family + 1 (0: no table), type of the table, type as sent.
 * order: runs of (kind, length) that cover all blocks.
 * Columns of a kind, over its blocks in their order:
 *   at:     runs of (zigzag of the step - 1, length); the step before the first is from base - 1
 *   serial: runs of (zigzag of the step, length), from 0
 *   size:   runs of (size, length); only for kinds without a fixed size
 *   each number of the table: a column, see put_column()
 *   each text of the table, and what follows the fixed part: bytes as they are
 *
 * Counts, lengths and runs are varints: 7 bits a byte, low first, top bit set on all but the last.
 */
#include "proto/record/pack.h"

#include <assert.h>
#include <string.h>

#include "proto/record/column.h"

enum { VERSION = 1 };

struct kind {
	const struct info *info;
	uint8_t type;
	size_t count;
};

static bool has_size(const struct info *info)
{
	return info == NULL || info->size != NULL;
}

static size_t fixed_size(const struct info *info)
{
	return info == NULL ? 0 : info->fixed_size;
}

static bool is_number(const struct field *f)
{
	return f->kind == FIELD_NUMBER || f->kind == FIELD_CODE || f->kind == FIELD_BITS;
}

/* ---- packing ---- */

struct packer {
	struct out out;
	int64_t base;
	size_t kind_count;
	struct kind kinds[REPORT_BLOCKS_MAX];
	uint16_t kind_of[REPORT_BLOCKS_MAX];	     /* of each block */
	const struct block *rows[REPORT_BLOCKS_MAX]; /* of the kind at work */
};

static size_t find_kind(struct packer *p, const struct block *b)
{
	size_t k = 0;

	while (k < p->kind_count && (p->kinds[k].info != b->info || p->kinds[k].type != b->type))
		k++;
	if (k == p->kind_count)
		p->kinds[p->kind_count++] = (struct kind){ .info = b->info, .type = b->type };
	p->kinds[k].count++;
	return k;
}

static void put_head(struct packer *p, size_t n)
{
	struct runs order;

	out_byte(&p->out, VERSION);
	out_varint(&p->out, n);
	out_varint(&p->out, p->kind_count);
	for (size_t k = 0; k < p->kind_count; k++) {
		const struct info *info = p->kinds[k].info;

		out_byte(&p->out, info != NULL ? (uint8_t)(info->family + 1) : 0);
		out_byte(&p->out, info != NULL ? info->type : 0);
		out_byte(&p->out, p->kinds[k].type);
	}
	runs_start(&order, &p->out);
	for (size_t i = 0; i < n; i++)
		runs_add(&order, p->kind_of[i]);
	runs_end(&order);
}

static void put_head_columns(struct packer *p, const struct kind *kind)
{
	struct runs runs;
	uint64_t before = (uint64_t)p->base - 1;

	runs_start(&runs, &p->out);
	for (size_t i = 0; i < kind->count; i++) {
		runs_add(&runs, zigzag((int64_t)((uint64_t)p->rows[i]->at - before - 1)));
		before = (uint64_t)p->rows[i]->at;
	}
	runs_end(&runs);
	before = 0;
	runs_start(&runs, &p->out);
	for (size_t i = 0; i < kind->count; i++) {
		runs_add(&runs, zigzag((int64_t)(p->rows[i]->serial - before)));
		before = p->rows[i]->serial;
	}
	runs_end(&runs);
	if (!has_size(kind->info))
		return;
	runs_start(&runs, &p->out);
	for (size_t i = 0; i < kind->count; i++)
		runs_add(&runs, p->rows[i]->size);
	runs_end(&runs);
}

static void put_bodies(struct packer *p, const struct kind *kind)
{
	const size_t fixed = fixed_size(kind->info);
	uint32_t column[REPORT_BLOCKS_MAX];

	for (size_t j = 0; kind->info != NULL && j < kind->info->field_count; j++) {
		const struct field *f = &kind->info->fields[j];

		if (!is_number(f)) {
			for (size_t i = 0; i < kind->count; i++)
				out_bytes(&p->out, p->rows[i]->body + f->offset, f->size);
			continue;
		}
		for (size_t i = 0; i < kind->count; i++)
			column[i] = field_raw(f, p->rows[i]->body);
		out_column(&p->out, column, kind->count, f->size);
	}
	for (size_t i = 0; i < kind->count; i++)
		out_bytes(&p->out, p->rows[i]->body + fixed, p->rows[i]->size - fixed);
}

size_t blocks_pack(const struct block *blocks, size_t n, int64_t base, uint8_t *out, size_t size)
{
	struct packer p;

	if (n > REPORT_BLOCKS_MAX)
		return 0;
	p.out = (struct out){ .p = out, .left = size };
	p.base = base;
	p.kind_count = 0;
	for (size_t i = 0; i < n; i++) {
		assert(blocks[i].info == NULL || blocks[i].size >= blocks[i].info->fixed_size);
		p.kind_of[i] = (uint16_t)find_kind(&p, &blocks[i]);
	}
	put_head(&p, n);
	for (size_t k = 0; k < p.kind_count; k++) {
		size_t count = 0;

		for (size_t i = 0; i < n; i++)
			if (p.kind_of[i] == k)
				p.rows[count++] = &blocks[i];
		assert(count == p.kinds[k].count);
		put_head_columns(&p, &p.kinds[k]);
		put_bodies(&p, &p.kinds[k]);
	}
	return p.out.failed ? 0 : size - p.out.left;
}

/* ---- unpacking ---- */

struct unpacker {
	struct in in;
	int64_t base;
	struct unpacked *ret;
	size_t kind_count;
	struct kind kinds[REPORT_BLOCKS_MAX];
	uint16_t kind_of[REPORT_BLOCKS_MAX];
	struct block *rows[REPORT_BLOCKS_MAX];
	size_t body_size; /* bytes of ret->bodies given out so far */
};

static bool get_head(struct unpacker *u)
{
	struct in_runs order = { .in = &u->in };

	if (in_byte(&u->in) != VERSION)
		return false;
	u->ret->block_count = in_varint(&u->in);
	u->kind_count = in_varint(&u->in);
	if (u->in.failed || u->ret->block_count > REPORT_BLOCKS_MAX ||
	    u->kind_count > u->ret->block_count)
		return false;
	for (size_t k = 0; k < u->kind_count; k++) {
		const uint8_t family = in_byte(&u->in), type = in_byte(&u->in);
		const struct info *info =
			family > 0 ? info_find((enum info_family)(family - 1), type) : NULL;

		if (family > INFO_EV_2025 + 1 || (family > 0) != (info != NULL))
			return false;
		u->kinds[k] = (struct kind){ .info = info, .type = in_byte(&u->in) };
	}
	for (size_t i = 0; i < u->ret->block_count; i++) {
		const uint64_t k = in_runs_next(&order);

		if (u->in.failed || k >= u->kind_count)
			return false;
		u->kind_of[i] = (uint16_t)k;
		u->ret->blocks[i].info = u->kinds[k].info;
		u->ret->blocks[i].type = u->kinds[k].type;
		u->kinds[k].count++;
	}
	return in_runs_done(&order);
}

/* Gives a row its bytes; the sum of all is bounded like a frame's unit. */
static bool place_body(struct unpacker *u, struct block *b, uint64_t size)
{
	const size_t fixed = fixed_size(b->info);

	if (size > FRAME_UNIT_MAX - u->body_size || size < fixed)
		return false;
	b->body = u->ret->bodies + u->body_size;
	b->size = (size_t)size;
	u->body_size += b->size;
	return true;
}

static bool get_head_columns(struct unpacker *u, const struct kind *kind)
{
	struct in_runs at = { .in = &u->in }, serial = at, size = at;
	uint64_t before = (uint64_t)u->base - 1;

	for (size_t i = 0; i < kind->count; i++) {
		before += (uint64_t)unzigzag(in_runs_next(&at)) + 1;
		u->rows[i]->at = (int64_t)before;
	}
	before = 0;
	for (size_t i = 0; i < kind->count; i++) {
		before += (uint64_t)unzigzag(in_runs_next(&serial));
		u->rows[i]->serial = (uint16_t)before;
	}
	for (size_t i = 0; i < kind->count; i++) {
		const uint64_t n =
			has_size(kind->info) ? in_runs_next(&size) : fixed_size(kind->info);

		if (u->in.failed || !place_body(u, u->rows[i], n))
			return false;
	}
	return in_runs_done(&at) && in_runs_done(&serial) && in_runs_done(&size);
}

/* The bytes are ours to write: place_body() gave them out of ret->bodies. */
static uint8_t *body_of(struct unpacker *u, const struct block *b)
{
	return u->ret->bodies + (b->body - u->ret->bodies);
}

static bool get_bodies(struct unpacker *u, const struct kind *kind)
{
	const size_t fixed = fixed_size(kind->info);
	uint32_t column[REPORT_BLOCKS_MAX];

	for (size_t j = 0; kind->info != NULL && j < kind->info->field_count; j++) {
		const struct field *f = &kind->info->fields[j];

		if (!is_number(f)) {
			for (size_t i = 0; i < kind->count; i++)
				in_bytes(&u->in, body_of(u, u->rows[i]) + f->offset, f->size);
			continue;
		}
		if (!in_column(&u->in, column, kind->count, f->size))
			return false;
		for (size_t i = 0; i < kind->count; i++)
			field_put_raw(f, body_of(u, u->rows[i]), column[i]);
	}
	for (size_t i = 0; i < kind->count; i++)
		in_bytes(&u->in, body_of(u, u->rows[i]) + fixed, u->rows[i]->size - fixed);
	return !u->in.failed;
}

/* The tail of an OBD body and the like must be as long as the body says, or readers would leave it.
 */
static bool sizes_agree(const struct kind *kind, struct block *const *rows)
{
	for (size_t i = 0; kind->info != NULL && i < kind->count; i++)
		if (kind->info->size != NULL &&
		    kind->info->size(rows[i]->body, rows[i]->size) != rows[i]->size)
			return false;
	return true;
}

int blocks_unpack(const uint8_t *in, size_t size, int64_t base, struct unpacked *ret)
{
	struct unpacker u;

	u.in = (struct in){ .p = in, .left = size };
	u.base = base;
	u.ret = ret;
	u.body_size = 0;
	if (!get_head(&u))
		return -1;
	for (size_t k = 0; k < u.kind_count; k++) {
		size_t count = 0;

		for (size_t i = 0; i < ret->block_count; i++)
			if (u.kind_of[i] == k)
				u.rows[count++] = &ret->blocks[i];
		if (!get_head_columns(&u, &u.kinds[k]) || !get_bodies(&u, &u.kinds[k]) ||
		    !sizes_agree(&u.kinds[k], u.rows))
			return -1;
	}
	return u.in.left == 0 ? 0 : -1;
}

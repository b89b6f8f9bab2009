#include "proto/wire/layout.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/claimed_time.h"

enum { SM2_SIZE = 32, SIGNATURE_2025 = 0xFF };

static const struct shape {
	enum info_family family;
	bool head_serial;  /* in the head of the unit, behind its time */
	bool first_serial; /* in front of the first body */
	bool each_serial;  /* in front of every body */
	bool each_time;	   /* in front of every body */
	bool each_signed;  /* behind every body */
} shapes[LAYOUT_COUNT] = {
	[LAYOUT_A] = { .each_serial = true },
	[LAYOUT_A_PRIME] = { .first_serial = true },
	[LAYOUT_B] = { .head_serial = true },
	[LAYOUT_B_SIGNED] = { .head_serial = true, .each_signed = true },
	[LAYOUT_C] = { .head_serial = true, .each_time = true },
	[LAYOUT_D] = { .family = INFO_EMISSION },
	[LAYOUT_EV] = { .family = INFO_EV_2016 },
	[LAYOUT_EV_2025] = { .family = INFO_EV_2025 },
};

struct walk {
	struct reader r;
	const uint8_t *start;
	const struct reading *how;
	const struct shape *shape;
	struct report *ret;
	int64_t now;
	struct score score;
	bool scored;
	uint16_t seen[256]; /* blocks of each type so far: they are one second apart */
};

/* A time is strong evidence, one reserved value is weak. */
enum { PENALTY_TIME = 8, PENALTY_CLOCK = 2, PENALTY_VALUE = 1, COST_UNKNOWN = 4, COST_SWAPPED = 4 };

static int64_t read_time(struct walk *w)
{
	const uint8_t *p = reader_bytes(&w->r, WIRE_TIME_SIZE);
	unsigned quirks = 0;
	int64_t at;

	if (p == NULL)
		return WIRE_TIME_NONE;
	at = claimed_time(p, w->now, &quirks);
	if (at == WIRE_TIME_NONE)
		w->score.values += PENALTY_TIME;
	if ((quirks & QUIRK_CLOCK) != 0)
		w->score.values += PENALTY_CLOCK;
	w->ret->quirks |= quirks;
	return at;
}

static uint16_t read_serial(struct walk *w)
{
	const uint16_t serial = reader_u16(&w->r);

	if (serial < SERIAL_MIN || serial > SERIAL_MAX)
		w->score.values += PENALTY_VALUE;
	return serial;
}

/*
 * R or S with its length: 32 bytes, or 33 with a leading zero.  NULL when it is not one.
 * Emission layouts only.
 */
static const uint8_t *read_sm2(struct reader *r)
{
	const uint8_t n = reader_u8(r);
	const uint8_t *p = n == SM2_SIZE || n == SM2_SIZE + 1 ? reader_bytes(r, n) : NULL;

	if (p == NULL || n == SM2_SIZE)
		return p;
	return p[0] == 0 ? p + 1 : NULL;
}

/* Takes a signature block when one stands here; the reader is unchanged when not. */
static bool take_signature(struct walk *w, bool at_end)
{
	struct reader r = w->r;
	const uint8_t *r_bytes = read_sm2(&r);
	const uint8_t *s_bytes = r_bytes != NULL ? read_sm2(&r) : NULL;

	if (s_bytes == NULL || (at_end && r.left > 0))
		return false;
	w->ret->signature = (struct unit_signature){ .algorithm = ALGORITHM_SM2,
						     .r = r_bytes,
						     .s = s_bytes,
						     .r_size = SM2_SIZE,
						     .s_size = SM2_SIZE };
	w->ret->quirks |= QUIRK_SIGNATURE_UNCHECKED;
	w->r = r;
	return true;
}

/* FF, algorithm 1..3, length 2, R, length 2, S, and nothing behind. */
static bool take_signature_2025(struct walk *w, struct reader r)
{
	const uint8_t mark = reader_u8(&r);
	const enum algorithm algorithm = signature_type_2025(reader_u8(&r));
	size_t r_size, s_size;
	const uint8_t *r_bytes, *s_bytes;

	r_size = reader_u16(&r);
	r_bytes = reader_bytes(&r, r_size);
	s_size = reader_u16(&r);
	s_bytes = reader_bytes(&r, s_size);
	if (r.failed || r.left > 0 || mark != SIGNATURE_2025 || algorithm == ALGORITHM_NONE)
		return false;
	w->ret->signature = (struct unit_signature){ .algorithm = algorithm,
						     .r = r_bytes,
						     .s = s_bytes,
						     .r_size = r_size,
						     .s_size = s_size };
	w->ret->quirks |= QUIRK_SIGNATURE_UNCHECKED;
	return true;
}

/* The signature that stands at end covers everything before it. */
static void covers(struct walk *w, const uint8_t *end)
{
	struct unit_signature *s = &w->ret->signature;

	s->bytes = w->start;
	s->size = (size_t)(end - w->start);
	s->other_size = w->shape->family == INFO_EV_2025 ? s->size + 1 : 0;
}

/* The signature ends the unit.  True when one stood here; everything before it is signed. */
static bool ends_signed(struct walk *w)
{
	struct report *ret = w->ret;
	const uint8_t *here = w->r.p;

	if (w->shape->family == INFO_EV_2025) {
		if (!take_signature_2025(w, w->r))
			return false;
		reader_bytes(&w->r, w->r.left);
	} else if (w->shape->family != INFO_EMISSION || w->shape->each_signed ||
		   /* One body with a signature is the layout that signs each body. */
		   (w->how->layout == LAYOUT_B && ret->block_count < 2) ||
		   !take_signature(w, true)) {
		return false;
	}
	covers(w, here);
	return true;
}

static bool well_formed_vin(const uint8_t *vin)
{
	size_t n = 0;

	for (size_t i = 0; i < VIN_SIZE; i++)
		n += (vin[i] >= '0' && vin[i] <= '9') || (vin[i] >= 'A' && vin[i] <= 'Z') ||
		     (vin[i] >= 'a' && vin[i] <= 'z');
	return n >= 15;
}

static void count_body(struct walk *w, const struct block *b)
{
	if (b->info == NULL) {
		w->score.unknown++;
		w->score.cost += COST_UNKNOWN;
		return;
	}
	for (size_t i = 0; i < b->info->field_count; i++) {
		const struct field *f = &b->info->fields[i];
		uint32_t raw;

		if (f->kind != FIELD_NUMBER && f->kind != FIELD_CODE && f->kind != FIELD_BITS)
			continue;
		raw = field_raw(f, b->body);
		if (field_presence(f, raw) == FIELD_RESERVED ||
		    (f->kind == FIELD_BITS && raw > f->max))
			w->score.values += PENALTY_VALUE;
	}
	if (b->info == &info_obd && !well_formed_vin(b->body + info_obd.fields[OBD_vin].offset))
		w->score.values += PENALTY_VALUE;
}

static const struct info *table_of(const struct walk *w, uint8_t type)
{
	if (w->how->twc_swapped && w->shape->family == INFO_EMISSION) {
		if (type == INFO_TWC)
			return &info_twc_nox;
		if (type == INFO_TWC_NOX)
			return &info_twc;
	}
	return info_find(w->shape->family, type);
}

/* GB/T 32960 7.2.1: types of the platform and the user carry two bytes of length. */
static bool custom_type(const struct walk *w, uint8_t type)
{
	return w->shape->family != INFO_EMISSION && type >= 0x09 && type < SIGNATURE_2025;
}

/* In a tolerant reading: do 17 bytes of 0x80 lead to the end, or to something known? */
static bool supplementary_fits(const struct walk *w)
{
	const struct reader *r = &w->r;

	if (r->left <= SUPPLEMENTARY_SIZE)
		return r->left == SUPPLEMENTARY_SIZE;
	return w->how->tolerance == TOLERANCE_NONE ||
	       (w->how->tolerance == TOLERANCE_REST &&
		info_find(INFO_EMISSION, r->p[SUPPLEMENTARY_SIZE]) != NULL);
}

static bool raw_body(struct walk *w, size_t size, struct block *b)
{
	w->ret->quirks |= QUIRK_UNKNOWN_INFO;
	b->info = NULL;
	b->size = size;
	b->body = reader_bytes(&w->r, size);
	return b->body != NULL;
}

/* A body that has no table, or a supplementary one of a size of its own. */
static bool odd_body(struct walk *w, struct block *b)
{
	/* 00 and FF are no types; where they stand, the reading is off. */
	if (b->type == 0x00 || b->type == 0xFF)
		return false;
	if (w->how->tolerance == TOLERANCE_SIZED || custom_type(w, b->type)) {
		struct reader r = w->r;
		const size_t size = reader_u16(&r);

		if (!r.failed && size <= r.left) {
			w->r = r;
			if (!raw_body(w, size, b))
				return false;
			if (b->type == INFO_SUPPLEMENTARY && w->shape->family == INFO_EMISSION &&
			    size == SUPPLEMENTARY_SIZE)
				b->info = &info_supplementary;
			return true;
		}
	}
	if (w->how->tolerance != TOLERANCE_REST || w->ret->block_count == 0)
		return false;
	w->score.unread = w->r.left;
	return raw_body(w, w->r.left, b);
}

static bool read_body(struct walk *w, struct block *b)
{
	const struct info *info = table_of(w, b->type);

	if (info == NULL || (info == &info_supplementary && !supplementary_fits(w)))
		return odd_body(w, b);
	b->info = info;
	b->size = info->size != NULL ? info->size(w->r.p, w->r.left) : info->fixed_size;
	b->body = reader_bytes(&w->r, b->size);
	return b->body != NULL && b->size > 0;
}

static bool read_block(struct walk *w)
{
	struct report *ret = w->ret;
	const struct shape *shape = w->shape;
	struct block *b = &ret->blocks[ret->block_count];

	if (ret->block_count == REPORT_BLOCKS_MAX)
		return false;
	b->type = reader_u8(&w->r);
	b->serial = ret->serial;
	if (shape->each_serial || (shape->first_serial && ret->block_count == 0))
		b->serial = read_serial(w);
	if (ret->block_count == 0)
		ret->serial = b->serial;
	b->at = shape->each_time ? read_time(w) : ret->at;
	if (w->r.failed || !read_body(w, b))
		return false;
	if (shape->each_signed && !take_signature(w, false))
		return false;
	if (!shape->each_time && ret->at != WIRE_TIME_NONE)
		b->at += w->seen[b->type]++;
	if (w->scored)
		count_body(w, b);
	ret->block_count++;
	return true;
}

/*
 * A last-resort reading of the 2025 edition: the signature is split off from the end first, so that
 * a body of unknown length does not swallow it.
 */
static bool split_signature_2025(struct walk *w)
{
	for (struct reader r = w->r; r.left > 0 && !r.failed; reader_bytes(&r, 1)) {
		if (*r.p != SIGNATURE_2025 || !take_signature_2025(w, r))
			continue;
		covers(w, r.p);
		w->r.left -= r.left;
		return true;
	}
	return false;
}

bool reading_walk(const struct frame *f, const struct reading *how, int64_t now, struct report *ret,
		  struct score *ret_score)
{
	struct walk w = {
		.r = { f->unit, f->unit_size, false },
		.start = f->unit,
		.how = how,
		.shape = &shapes[how->layout],
		.ret = ret,
		.now = now,
		.scored = ret_score != NULL,
	};
	bool is_signed = false;

	assert(how->layout > LAYOUT_UNKNOWN && how->layout < LAYOUT_COUNT);
	w.score.cost = how->twc_swapped ? COST_SWAPPED : 0;
	ret->layout = how->layout;
	ret->serial = 0;
	ret->quirks = 0;
	ret->signature = (struct unit_signature){ 0 };
	ret->block_count = 0;
	ret->at = read_time(&w);
	if (w.shape->head_serial)
		ret->serial = read_serial(&w);
	if (how->layout == LAYOUT_EV_2025 && how->tolerance == TOLERANCE_REST)
		is_signed = split_signature_2025(&w);
	while (w.r.left > 0 && !w.r.failed) {
		if (!is_signed && (is_signed = ends_signed(&w)))
			break;
		if (!read_block(&w))
			return false;
	}
	if (w.r.failed || (ret->block_count == 0 && !is_signed))
		return false;
	if (!is_signed && (how->layout == LAYOUT_C || how->layout == LAYOUT_EV_2025))
		ret->quirks |= QUIRK_UNSIGNED;
	if (ret_score != NULL)
		*ret_score = w.score;
	return true;
}

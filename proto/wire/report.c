#include <assert.h>
#include <string.h>

#include "proto/wire/layout.h"

static const char *const layout_names[LAYOUT_COUNT] = {
	[LAYOUT_UNKNOWN] = "unknown", [LAYOUT_A] = "A", [LAYOUT_A_PRIME] = "A'", [LAYOUT_B] = "B",
	[LAYOUT_B_SIGNED] = "B+sig",  [LAYOUT_C] = "C", [LAYOUT_D] = "D",	 [LAYOUT_EV] = "EV",
	[LAYOUT_EV_2025] = "EV-2025",
};

const char *layout_name(unsigned layout)
{
	return layout < LAYOUT_COUNT ? layout_names[layout] : "unknown";
}

/* Layouts worth trying, likeliest first: the order decides between equally plausible readings. */
static const enum layout *candidates(const struct frame *f)
{
	static const enum layout vehicle[] = { LAYOUT_A,       LAYOUT_C, LAYOUT_B_SIGNED, LAYOUT_B,
					       LAYOUT_A_PRIME, LAYOUT_D, LAYOUT_UNKNOWN };
	static const enum layout platform[] = { LAYOUT_EV,	 LAYOUT_C,	LAYOUT_A,
						LAYOUT_B_SIGNED, LAYOUT_B,	LAYOUT_A_PRIME,
						LAYOUT_D,	 LAYOUT_UNKNOWN };
	static const enum layout edition_2025[] = { LAYOUT_EV_2025, LAYOUT_UNKNOWN };

	if (f->start == 0x24)
		return edition_2025;
	return f->header == HEADER_V ? vehicle : platform;
}

static bool is_candidate(const struct frame *f, enum layout layout)
{
	const enum layout *l = candidates(f);

	while (*l != LAYOUT_UNKNOWN && *l != layout)
		l++;
	return *l != LAYOUT_UNKNOWN;
}

static bool has_type(const struct report *report, uint8_t type)
{
	for (size_t i = 0; i < report->block_count; i++)
		if (report->blocks[i].type == type)
			return true;
	return false;
}

static int compare(const struct score *a, const struct score *b)
{
	const unsigned sum_a = a->values + a->cost, sum_b = b->values + b->cost;

	if (sum_a != sum_b)
		return sum_a < sum_b ? -1 : 1;
	return (a->unread > b->unread) - (a->unread < b->unread);
}

/*
 * What the standards do not say must at least make sense: a reading that is off by some bytes is
 * full of values that no engine has.
 */
static bool credible(const struct reading *how, const struct score *score, size_t blocks)
{
	return (how->tolerance == TOLERANCE_NONE && !how->twc_swapped) ||
	       (score->values <= 1 + blocks / 4 && score->unknown <= 1 + blocks / 2);
}

static bool try_reading(const struct frame *f, const struct reading *how, int64_t now,
			struct report *ret, struct score *ret_score)
{
	return reading_walk(f, how, now, ret, ret_score) &&
	       credible(how, ret_score, ret->block_count) &&
	       (!how->twc_swapped || has_type(ret, INFO_TWC) || has_type(ret, INFO_TWC_NOX));
}

struct search {
	struct reading best;
	struct score score;
	bool tie;
};

static void consider(struct search *s, enum layout known, const struct reading *how,
		     const struct score *score, const struct report *report)
{
	const int order = s->best.layout == LAYOUT_UNKNOWN ? -1 : compare(score, &s->score);

	if (order < 0 || (order == 0 && how->layout == known))
		*s = (struct search){ *how, *score, false };
	/* With one body A and A' are the same bytes with the same meaning. */
	else if (order == 0 && s->best.layout != how->layout && s->best.layout != known &&
		 !(how->layout == LAYOUT_A_PRIME && report->block_count == 1))
		s->tie = true;
}

/*
 * All layouts at one tolerance.  The walk is cheap where it does not fit: it ends at the first
 * type byte that is none.
 */
static bool search_layouts(const struct frame *f, enum layout known, enum tolerance tolerance,
			   int64_t now, struct report *ret, struct search *s)
{
	*s = (struct search){ .tie = false };
	for (const enum layout *l = candidates(f); *l != LAYOUT_UNKNOWN; l++) {
		for (int swapped = 0; swapped < 2; swapped++) {
			const struct reading how = { *l, tolerance, swapped != 0 };
			struct score score;

			if (try_reading(f, &how, now, ret, &score))
				consider(s, known, &how, &score, ret);
		}
	}
	return s->best.layout != LAYOUT_UNKNOWN;
}

static bool detect(const struct frame *f, enum layout known, enum tolerance tolerance, int64_t now,
		   struct report *ret)
{
	struct search s;
	bool ok;

	if (!search_layouts(f, known, tolerance, now, ret, &s))
		return false;
	ok = reading_walk(f, &s.best, now, ret, NULL);
	assert(ok);
	if (s.tie)
		ret->quirks |= QUIRK_LAYOUT_GUESSED;
	return true;
}

/*
 * The usual case by far: the terminal's layout, many bodies, no score, no search.  A few bodies may
 * fit a wrong layout by chance, so there the values must make sense too.
 */
static bool read_known(const struct frame *f, enum layout known, int64_t now, struct report *ret)
{
	enum { BLOCKS_SURE = 4 };
	const struct reading how = { known, TOLERANCE_NONE, false };
	struct score score;

	if (known == LAYOUT_UNKNOWN || !reading_walk(f, &how, now, ret, NULL))
		return false;
	return ret->block_count >= BLOCKS_SURE ||
	       (reading_walk(f, &how, now, ret, &score) && score.values == 0);
}

/* Exact readings first; a raw rest is the last resort. */
static bool read_report(const struct frame *f, enum layout known, int64_t now, struct report *ret)
{
	return read_known(f, known, now, ret) || detect(f, known, TOLERANCE_NONE, now, ret) ||
	       detect(f, known, TOLERANCE_SIZED, now, ret) ||
	       detect(f, known, TOLERANCE_REST, now, ret);
}

/* Ciphertext that reads as plain by chance has a wrong time, or values that no engine has. */
static bool reads_as_plain(const struct frame *f, int64_t now, struct report *ret)
{
	enum { IMPLAUSIBLE = 8 };
	struct search s;

	return search_layouts(f, LAYOUT_UNKNOWN, TOLERANCE_NONE, now, ret, &s) &&
	       s.score.values + s.score.cost < IMPLAUSIBLE &&
	       detect(f, LAYOUT_UNKNOWN, TOLERANCE_NONE, now, ret) && ret->at != WIRE_TIME_NONE &&
	       (ret->quirks & QUIRK_CLOCK) == 0;
}

static enum protocol protocol_of(enum layout layout)
{
	switch (layout) {
	case LAYOUT_C:
		return PROTOCOL_HJ1239;
	case LAYOUT_EV:
		return PROTOCOL_GBT32960_2016;
	case LAYOUT_EV_2025:
		return PROTOCOL_GBT32960_2025;
	default:
		return PROTOCOL_GB17691;
	}
}

static bool obd_vin_differs(const struct frame *f, const struct report *report)
{
	const struct field *vin = &info_obd.fields[OBD_vin];
	char text[FIELD_STRING_SIZE];

	for (size_t i = 0; i < report->block_count; i++) {
		const struct block *b = &report->blocks[i];

		if (b->info != &info_obd)
			continue;
		field_string(vin, b->body, text);
		if (vin_plausible(text) && strcmp(text, f->vin) != 0)
			return true;
	}
	return false;
}

static bool block_times_sound(const struct report *report)
{
	for (size_t i = 0; i < report->block_count; i++)
		if (report->blocks[i].at == WIRE_TIME_NONE)
			return false;
	return true;
}

enum verdict report_decode(const struct frame *f, enum layout known, int64_t now,
			   struct report *ret)
{
	unsigned quirks = 0;

	assert(f->unit != NULL || f->unit_size == 0);
	if (!is_candidate(f, known))
		known = LAYOUT_UNKNOWN; /* the terminal speaks another protocol now */
	if (f->encryption != 0x01) {
		if (!reads_as_plain(f, now, ret))
			return VERDICT_ENCRYPTED;
		quirks |= QUIRK_PLAIN_MARKED_ENCRYPTED;
	} else if (!read_report(f, known, now, ret)) {
		return VERDICT_BAD_UNIT;
	}
	if (ret->at == WIRE_TIME_NONE || !block_times_sound(ret))
		return VERDICT_BAD_TIME;
	if (obd_vin_differs(f, ret))
		quirks |= QUIRK_OBD_VIN_DIFFERS;
	ret->quirks |= quirks;
	ret->protocol = protocol_of(ret->layout);
	return VERDICT_ACCEPTED;
}

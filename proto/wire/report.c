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

static bool has_type(const struct report *report, uint8_t type)
{
	for (size_t i = 0; i < report->block_count; i++)
		if (report->blocks[i].type == type)
			return true;
	return false;
}

struct search {
	struct reading best;
	unsigned penalty;
	bool tie;
};

static void consider(struct search *s, const struct reading *how, unsigned penalty,
		     const struct report *report)
{
	if (s->best.layout == LAYOUT_UNKNOWN || penalty < s->penalty) {
		*s = (struct search){ *how, penalty, false };
	} else if (penalty == s->penalty && s->best.layout != how->layout &&
		   !(how->layout == LAYOUT_A_PRIME && report->block_count == 1)) {
		/* With one body A and A' are the same bytes with the same meaning. */
		s->tie = true;
	}
}

/*
 * All layouts at one tolerance.  The walk is cheap where it does not fit: it ends at the first
 * type byte that is none.
 */
static bool search_layouts(const struct frame *f, enum tolerance tolerance, int64_t now,
			   struct report *ret, struct search *s)
{
	*s = (struct search){ .penalty = 0 };
	for (const enum layout *l = candidates(f); *l != LAYOUT_UNKNOWN; l++) {
		for (int swapped = 0; swapped < 2; swapped++) {
			const struct reading how = { *l, tolerance, swapped != 0 };
			unsigned penalty;

			if (reading_walk(f, &how, now, ret, &penalty) &&
			    (swapped == 0 || has_type(ret, INFO_TWC) ||
			     has_type(ret, INFO_TWC_NOX)))
				consider(s, &how, penalty, ret);
		}
	}
	return s->best.layout != LAYOUT_UNKNOWN;
}

/* The terminal's known layout, at one tolerance, with the three-way catalyst types either way. */
static bool read_known(const struct frame *f, enum layout known, enum tolerance tolerance,
		       int64_t now, struct report *ret)
{
	struct reading how = { known, tolerance, false };

	if (reading_walk(f, &how, now, ret, NULL))
		return true;
	how.twc_swapped = true;
	return reading_walk(f, &how, now, ret, NULL);
}

static bool detect(const struct frame *f, enum tolerance tolerance, int64_t now, struct report *ret)
{
	struct search s;
	bool ok;

	if (!search_layouts(f, tolerance, now, ret, &s))
		return false;
	ok = reading_walk(f, &s.best, now, ret, NULL);
	assert(ok);
	if (s.tie)
		ret->quirks |= QUIRK_LAYOUT_GUESSED;
	return true;
}

/* Exact readings first, of the known layout and of all; a raw rest is the last resort. */
static bool read_report(const struct frame *f, enum layout known, int64_t now, struct report *ret)
{
	for (int t = TOLERANCE_NONE; t <= TOLERANCE_REST; t++) {
		const enum tolerance tolerance = (enum tolerance)t;

		if (known != LAYOUT_UNKNOWN && read_known(f, known, tolerance, now, ret))
			return true;
		if (detect(f, tolerance, now, ret))
			return true;
	}
	return false;
}

/* Ciphertext that reads as plain by chance has a wrong time, or values that no engine has. */
static bool reads_as_plain(const struct frame *f, int64_t now, struct report *ret)
{
	struct search s;

	return search_layouts(f, TOLERANCE_NONE, now, ret, &s) && s.penalty < 8 &&
	       detect(f, TOLERANCE_NONE, now, ret) && ret->at != WIRE_TIME_NONE &&
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
	if ((unsigned)known >= LAYOUT_COUNT)
		known = LAYOUT_UNKNOWN;
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

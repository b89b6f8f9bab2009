/* Reports: each layout written and read back, detected alone, with all the tolerances of the field.
 */

#include <string.h>

#include "test/wire/cm.h"
#include "test/wire/sample.h"

#define NOW (SAMPLE_TIME + 3600)

static uint8_t unit[FRAME_UNIT_MAX];
static struct report report;

static enum verdict decode_as(struct frame f, size_t size, enum layout known)
{
	f.unit = unit;
	f.unit_size = size;
	return report_decode(&f, known, NOW, &report);
}

static enum verdict decode(size_t size)
{
	return decode_as(sample_frame(0x23, HEADER_V, COMMAND_REALTIME), size, LAYOUT_UNKNOWN);
}

static bool has(unsigned quirk)
{
	return (report.quirks & quirk) != 0;
}

struct sent {
	size_t count;
	struct {
		const struct info *info;
		uint8_t type;
		int64_t at;
		uint16_t serial;
		size_t size;
		uint8_t body[SAMPLE_BODY_MAX];
	} blocks[16];
};

static enum info_family family_of(enum layout layout)
{
	return layout == LAYOUT_EV	  ? INFO_EV_2016
	       : layout == LAYOUT_EV_2025 ? INFO_EV_2025
					  : INFO_EMISSION;
}

static const struct info *pick(enum info_family family, struct sample_random *r)
{
	size_t n = 0;

	while (info_all[n] != NULL)
		n++;
	for (;;) {
		const struct info *info = info_all[sample_below(r, (uint32_t)n)];

		if (info->family == family)
			return info;
	}
}

/* Random plausible blocks; the times and serials that the layout can say. */
static size_t write_random(enum layout layout, struct sample_random *r, size_t count,
			   struct sent *sent)
{
	struct unit_writer w;
	uint16_t seen[256] = { 0 };

	sent->count = count;
	unit_start(&w, layout, SAMPLE_TIME, 7, unit, sizeof(unit));
	for (size_t i = 0; i < count; i++) {
		const struct info *info = pick(family_of(layout), r);

		sent->blocks[i].info = info;
		sent->blocks[i].type = info->type;
		sent->blocks[i].size = sample_body(info, r, true, sent->blocks[i].body);
		sent->blocks[i].at = layout == LAYOUT_C ? SAMPLE_TIME - 50 + (int64_t)i
							: SAMPLE_TIME + seen[info->type]++;
		sent->blocks[i].serial = layout == LAYOUT_A	    ? (uint16_t)(7 + i)
					 : layout == LAYOUT_A_PRIME ? 7
					 : layout == LAYOUT_D || layout >= LAYOUT_EV ? 0
										     : 7;
		unit_block(&w, info->type, sent->blocks[i].at, sent->blocks[i].serial,
			   sent->blocks[i].body, sent->blocks[i].size);
	}
	assert_false(w.failed);
	return w.size;
}

static void assert_sent(const struct sent *sent)
{
	assert_int_equal(report.block_count, sent->count);
	assert_int_equal(report.at, SAMPLE_TIME);
	for (size_t i = 0; i < sent->count; i++) {
		const struct block *b = &report.blocks[i];

		assert_ptr_equal(b->info, sent->blocks[i].info);
		assert_int_equal(b->type, sent->blocks[i].type);
		assert_int_equal(b->at, sent->blocks[i].at);
		assert_int_equal(b->serial, sent->blocks[i].serial);
		assert_int_equal(b->size, sent->blocks[i].size);
		assert_memory_equal(b->body, sent->blocks[i].body, b->size);
		assert_true(b->body >= unit && b->body + b->size <= unit + sizeof(unit));
	}
}

/* Method: decode of encode is what was sent, for all layouts, random blocks; known and detected. */
static void test_every_layout_is_read_back(void **state)
{
	static struct sent sent;
	struct sample_random r = { 77 };
	size_t chances = 0;

	(void)state;
	for (int l = LAYOUT_A; l < LAYOUT_COUNT; l++) {
		const enum layout layout = (enum layout)l;

		for (int round = 0; round < 300; round++) {
			const size_t count = 1 + sample_below(&r, 12);
			const size_t n = write_random(layout, &r, count, &sent);
			const struct frame f = sample_frame_of(layout, COMMAND_REALTIME);

			assert_int_equal(decode_as(f, n, layout), VERDICT_ACCEPTED);
			assert_int_equal(report.layout, layout);
			assert_sent(&sent);
			assert_int_equal(decode_as(f, n, LAYOUT_UNKNOWN), VERDICT_ACCEPTED);
			if (count > 1) {
				assert_int_equal(report.layout, layout);
				assert_false(has(QUIRK_LAYOUT_GUESSED));
				assert_sent(&sent);
			}
			/* The memory of another layout does not hold a terminal in it. */
			assert_int_equal(decode_as(f, n, LAYOUT_B), VERDICT_ACCEPTED);
			chances += count > 3 && report.layout != layout;
		}
	}
	/* Random bodies may fit two layouts; a real driver's do not. */
	assert_true(chances <= 3);
}

/*
 * Method: a cut unit is refused, wherever it is not cut between two blocks.  Of 0x80 alone any rest
 * is kept raw, and says so.  By chance a cut may leave what another layout consumes exactly.
 */
static void test_every_cut_is_refused(void **state)
{
	static struct sent sent;
	struct sample_random r = { 5 };
	const size_t n = write_random(LAYOUT_C, &r, 6, &sent);
	size_t end = 8, next = 0, chances = 0;

	(void)state;
	for (size_t size = 0; size < n; size++) {
		if (size == end) {
			assert_int_equal(decode(size),
					 next == 0 ? VERDICT_BAD_UNIT : VERDICT_ACCEPTED);
			end += 7 + sent.blocks[next++].size;
		} else if (next > 1 && sent.blocks[next - 1].type == INFO_SUPPLEMENTARY &&
			   size >= end - SUPPLEMENTARY_SIZE) {
			assert_int_equal(decode(size), VERDICT_ACCEPTED);
			assert_true(has(QUIRK_UNKNOWN_INFO));
		} else if (decode(size) == VERDICT_ACCEPTED) {
			assert_int_not_equal(report.layout, LAYOUT_C);
			chances++;
		}
	}
	assert_true(chances <= 2);
}

static size_t write_streams(enum layout layout, size_t count)
{
	struct sample_drive drive;
	uint8_t body[STREAM_SIZE];
	struct unit_writer w;

	sample_drive_start(&drive, 3);
	unit_start(&w, layout, SAMPLE_TIME, 7, unit, sizeof(unit));
	for (size_t i = 0; i < count; i++) {
		sample_drive_second(&drive, body);
		unit_block(&w, INFO_STREAM, SAMPLE_TIME + (int64_t)i, 7, body, sizeof(body));
	}
	return w.size;
}

static void append(size_t *size, const void *bytes, size_t n)
{
	memcpy(unit + *size, bytes, n);
	*size += n;
}

/* Ten one-second records of one packet, the mainstream terminal. */
static void test_records_are_one_second_apart(void **state)
{
	(void)state;
	assert_int_equal(decode(write_streams(LAYOUT_A, 10)), VERDICT_ACCEPTED);
	assert_int_equal(report.block_count, 10);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(report.blocks[i].at, SAMPLE_TIME + (int64_t)i);
	assert_int_equal(report.protocol, PROTOCOL_GB17691);
	assert_int_equal(report.serial, 7);
	assert_int_equal(report.quirks, 0);
}

/* Method: one OBD body fits A and B; the terminal's memory decides, and without it A. */
static void test_undecidable_unit(void **state)
{
	static const uint8_t head[] = { 26, 7, 24, 12, 0, 0, 0x01, 0x00, 0x01 };
	struct sample_random r = { 9 };
	uint8_t body[SAMPLE_BODY_MAX];
	size_t size = 0;
	const struct frame f = sample_frame(0x23, HEADER_V, COMMAND_REALTIME);

	(void)state;
	append(&size, head, sizeof(head));
	append(&size, body, sample_body(&info_obd, &r, true, body));
	assert_int_equal(decode(size), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_A);
	assert_int_equal(report.serial, 1);
	assert_true(has(QUIRK_LAYOUT_GUESSED));
	assert_int_equal(decode_as(f, size, LAYOUT_B), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_B);
	assert_int_equal(report.serial, 0x0100);
	assert_false(has(QUIRK_LAYOUT_GUESSED));
	assert_int_equal(decode_as(f, size, LAYOUT_A_PRIME), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_A_PRIME);
}

/* Method: a signature over the blocks ends layout C; R and S may carry a leading zero. */
static void test_signature(void **state)
{
	uint8_t r[32], s[32];
	struct unit_writer w;
	size_t n;

	(void)state;
	memset(r, 0xA1, 32);
	memset(s, 0xB2, 32);
	n = write_streams(LAYOUT_C, 2);
	w = (struct unit_writer){ .buf = unit, .size = n, .max = sizeof(unit), .layout = LAYOUT_C };
	unit_sign(&w, r, s);
	assert_int_equal(decode(w.size), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_C);
	assert_int_equal(report.protocol, PROTOCOL_HJ1239);
	assert_int_equal(report.block_count, 2);
	assert_ptr_equal(report.signature.bytes, unit);
	assert_int_equal(report.signature.size, n);
	assert_memory_equal(report.signature.r, r, 32);
	assert_memory_equal(report.signature.s, s, 32);
	assert_int_equal(report.quirks, QUIRK_SIGNATURE_UNCHECKED);

	n = write_streams(LAYOUT_C, 2);
	append(&n, "\x21\0", 2);
	append(&n, r, 32);
	append(&n, "\x20", 1);
	append(&n, s, 32);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_memory_equal(report.signature.r, r, 32);

	assert_int_equal(decode(write_streams(LAYOUT_C, 2)), VERDICT_ACCEPTED);
	assert_int_equal(report.quirks, QUIRK_UNSIGNED);
	assert_null(report.signature.bytes);
	assert_null(report.signature.r);
}

/* Conformance case 11: the known parts are decoded, the rest is kept, and it is said. */
static void test_unknown_type(void **state)
{
	size_t n = write_streams(LAYOUT_A, 2);

	(void)state;
	append(&n,
	       "\x81\0\x07"
	       "anything at all",
	       18);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_A);
	assert_int_equal(report.block_count, 3);
	assert_ptr_equal(report.blocks[1].info, &info_stream);
	assert_null(report.blocks[2].info);
	assert_int_equal(report.blocks[2].type, 0x81);
	assert_int_equal(report.blocks[2].size, 15);
	assert_memory_equal(report.blocks[2].body, "anything at all", 15);
	assert_true(has(QUIRK_UNKNOWN_INFO));

	/* With a length of its own, what follows it is read. */
	n = write_streams(LAYOUT_D, 1);
	append(&n, "\x90\0\x04XYZW\x02", 8);
	append(&n, unit + 7, STREAM_SIZE);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_int_equal(report.block_count, 3);
	assert_null(report.blocks[1].info);
	assert_memory_equal(report.blocks[1].body, "XYZW", 4);
	assert_ptr_equal(report.blocks[2].info, &info_stream);
	assert_true(has(QUIRK_UNKNOWN_INFO));
}

/* Method: 0x80 as 17 bytes, as length and data, and as a maker's own rest. */
static void test_supplementary_forms(void **state)
{
	static const uint8_t fixed[17] = { 9, 50, 0, 0, 0, 20 };
	size_t n;

	(void)state;
	n = write_streams(LAYOUT_D, 1);
	append(&n, "\x80", 1);
	append(&n, fixed, 17);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_ptr_equal(report.blocks[1].info, &info_supplementary);
	assert_int_equal(report.quirks, 0);

	n = write_streams(LAYOUT_D, 1);
	append(&n, "\x80\0\x11", 3);
	append(&n, fixed, 17);
	append(&n, "\x80\0\x02XY", 5);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_int_equal(report.block_count, 3);
	assert_ptr_equal(report.blocks[1].info, &info_supplementary);
	assert_memory_equal(report.blocks[1].body, fixed, 17);
	assert_null(report.blocks[2].info);
	assert_int_equal(report.blocks[2].size, 2);

	n = write_streams(LAYOUT_D, 1);
	append(&n, "\x80", 1);
	append(&n, fixed, 17);
	append(&n, "\x27\x11\x02\0\x01", 5);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_int_equal(report.block_count, 2);
	assert_null(report.blocks[1].info);
	assert_int_equal(report.blocks[1].size, 22);
	assert_true(has(QUIRK_UNKNOWN_INFO));
}

/* Method: a template in the field sends the NOx body (32 bytes) under type 03, and the reverse. */
static void test_three_way_catalyst_types_swapped(void **state)
{
	struct sample_random r = { 21 };
	uint8_t body[SAMPLE_BODY_MAX], without_nox[SAMPLE_BODY_MAX];
	struct unit_writer w;

	(void)state;
	sample_body(&info_twc_nox, &r, true, body);
	sample_body(&info_twc, &r, true, without_nox);
	for (int known = LAYOUT_UNKNOWN; known <= LAYOUT_C; known += LAYOUT_C) {
		unit_start(&w, LAYOUT_C, SAMPLE_TIME, 1, unit, sizeof(unit));
		unit_block(&w, 0x03, SAMPLE_TIME, 0, body, TWC_NOX_SIZE);
		unit_block(&w, 0x03, SAMPLE_TIME + 1, 0, body, TWC_NOX_SIZE);
		assert_int_equal(
			decode_as(sample_frame(0x23, HEADER_V, 2), w.size, (enum layout)known),
			VERDICT_ACCEPTED);
		assert_ptr_equal(report.blocks[1].info, &info_twc_nox);
		assert_int_equal(report.blocks[1].type, 0x03);
		unit_start(&w, LAYOUT_C, SAMPLE_TIME, 1, unit, sizeof(unit));
		unit_block(&w, 0x05, SAMPLE_TIME, 0, without_nox, TWC_SIZE);
		assert_int_equal(
			decode_as(sample_frame(0x23, HEADER_V, 2), w.size, (enum layout)known),
			VERDICT_ACCEPTED);
		assert_ptr_equal(report.blocks[0].info, &info_twc);
	}
}

/* Conformance case 10, and the real frames that are marked encrypted and are plain. */
static void test_encryption_mark(void **state)
{
	struct frame f = sample_frame(0x23, HEADER_V, COMMAND_REALTIME);
	struct sample_random r = { 123 };
	size_t n = write_streams(LAYOUT_C, 3);

	(void)state;
	f.encryption = 0x03;
	assert_int_equal(decode_as(f, n, LAYOUT_UNKNOWN), VERDICT_ACCEPTED);
	assert_true(has(QUIRK_PLAIN_MARKED_ENCRYPTED));
	assert_int_equal(report.block_count, 3);
	for (int round = 0; round < 20000; round++) {
		const size_t size = 16 * (1 + sample_below(&r, 30));

		for (size_t i = 0; i < size; i++)
			unit[i] = (uint8_t)sample_random(&r);
		assert_int_equal(decode_as(f, size, (enum layout)sample_below(&r, LAYOUT_COUNT)),
				 VERDICT_ENCRYPTED);
	}
}

/* Conformance case 12 and 17, and BCD digits. */
static void test_times(void **state)
{
	static const uint8_t month_99[] = { 26, 99, 24, 12, 0, 0 };
	static const uint8_t year_2009[] = { 9, 7, 24, 12, 0, 0 };
	static const uint8_t bcd[] = { 0x26, 0x07, 0x24, 0x12, 0x00, 0x00 };
	size_t n = write_streams(LAYOUT_A, 2);

	(void)state;
	memcpy(unit, month_99, 6);
	assert_int_equal(decode(n), VERDICT_BAD_TIME);
	memcpy(unit, year_2009, 6);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_true(has(QUIRK_CLOCK));
	wire_time_encode(NOW + 86400 + 1, unit);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_true(has(QUIRK_CLOCK));
	wire_time_encode(NOW + 86400, unit);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_false(has(QUIRK_CLOCK));
	memcpy(unit, bcd, 6);
	assert_int_equal(decode(n), VERDICT_ACCEPTED);
	assert_int_equal(report.quirks, QUIRK_BCD_TIME);
	assert_int_equal(report.at, SAMPLE_TIME);
	/* The time of one block in layout C counts as much. */
	n = write_streams(LAYOUT_C, 2);
	unit[8 + 7 + STREAM_SIZE + 2] = 99;
	assert_int_equal(decode(n), VERDICT_BAD_TIME);
}

static void test_vin_of_the_engine(void **state)
{
	struct sample_random r = { 31 };
	uint8_t body[SAMPLE_BODY_MAX];
	const size_t size = sample_body(&info_obd, &r, true, body);
	static const struct {
		const char *vin;
		bool differs;
	} rows[] = { { SAMPLE_VIN, false },
		     { "LGAG4DY33N3000002", true },
		     { "?????????????????", false },
		     { "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", false } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct unit_writer w;

		memcpy(body + info_obd.fields[OBD_vin].offset, rows[i].vin, VIN_SIZE);
		unit_start(&w, LAYOUT_C, SAMPLE_TIME, 1, unit, sizeof(unit));
		unit_block(&w, INFO_OBD, SAMPLE_TIME, 1, body, size);
		assert_int_equal(decode(w.size), VERDICT_ACCEPTED);
		assert_int_equal(has(QUIRK_OBD_VIN_DIFFERS), rows[i].differs);
	}
}

/* Method: a unit of the smallest blocks has more of them than we hold; it is refused, not cut. */
static void test_too_many_blocks(void **state)
{
	static const uint8_t hybrid[HYBRID_SIZE] = { 0 };
	struct unit_writer w;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		unit_start(&w, LAYOUT_D, SAMPLE_TIME, 1, unit, sizeof(unit));
		for (int i = 0; i < REPORT_BLOCKS_MAX + extra; i++)
			unit_block(&w, INFO_HYBRID, SAMPLE_TIME, 1, hybrid, sizeof(hybrid));
		assert_int_equal(decode(w.size), extra ? VERDICT_BAD_UNIT : VERDICT_ACCEPTED);
	}
}

/* Method: every size below one block, in every header; a short unit once looped for ever. */
static void test_short_units(void **state)
{
	(void)state;
	memset(unit, 0xFF, 64);
	for (size_t size = 0; size < 16; size++) {
		for (int layout = LAYOUT_UNKNOWN; layout < LAYOUT_COUNT; layout++) {
			const struct frame f =
				sample_frame_of((enum layout)layout, COMMAND_REALTIME);

			assert_int_equal(decode_as(f, size, (enum layout)layout), VERDICT_BAD_UNIT);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_layout_is_read_back),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_short_units),
		cmocka_unit_test(test_records_are_one_second_apart),
		cmocka_unit_test(test_undecidable_unit),
		cmocka_unit_test(test_signature),
		cmocka_unit_test(test_unknown_type),
		cmocka_unit_test(test_supplementary_forms),
		cmocka_unit_test(test_three_way_catalyst_types_swapped),
		cmocka_unit_test(test_encryption_mark),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_vin_of_the_engine),
		cmocka_unit_test(test_too_many_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The packed column: what goes in comes out, any bytes at all are safe, and it is small. */

#include <stdlib.h>
#include <string.h>

#include "proto/record/pack.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

static struct unpacked unpacked;
static uint8_t packed[PACK_SIZE_MAX];

static void assert_round_trip(const struct block *blocks, size_t n, int64_t base)
{
	const size_t size = blocks_pack(blocks, n, base, packed, sizeof(packed));

	assert_true(size > 0);
	assert_int_equal(blocks_unpack(packed, size, base, &unpacked), 0);
	assert_int_equal(unpacked.block_count, n);
	for (size_t i = 0; i < n; i++) {
		const struct block *a = &blocks[i], *b = &unpacked.blocks[i];

		assert_ptr_equal(a->info, b->info);
		assert_int_equal(a->type, b->type);
		assert_true(a->at == b->at);
		assert_int_equal(a->serial, b->serial);
		assert_int_equal(a->size, b->size);
		assert_memory_equal(a->body, b->body, a->size);
	}
	/* Room for it, but not for one byte less. */
	assert_int_equal(blocks_pack(blocks, n, base, packed, size - 1), 0);
}

/* Method: random blocks of all tables and of none, in any order, at any time. */
static void test_random_blocks(void **state)
{
	static uint8_t bodies[64][SAMPLE_BODY_MAX];
	static struct block blocks[64];
	struct sample_random r = { 4711 };
	size_t infos = 0;

	(void)state;
	while (info_all[infos] != NULL)
		infos++;
	for (int round = 0; round < 3000; round++) {
		const size_t n = sample_below(&r, 24);
		const bool wild = sample_below(&r, 2) == 0;

		for (size_t i = 0; i < n; i++) {
			const size_t pick = sample_below(&r, (uint32_t)infos + 1);
			struct block *b = &blocks[i];

			b->info = info_all[pick];
			b->type = b->info != NULL && !wild ? b->info->type
							   : (uint8_t)sample_random(&r);
			b->body = bodies[i];
			b->size = b->info != NULL ? sample_body(b->info, &r,
								sample_below(&r, 2) == 0, bodies[i])
						  : sample_below(&r, 300);
			b->at = wild ? (int64_t)((uint64_t)sample_random(&r) << 32 |
						 sample_random(&r))
				     : SAMPLE_TIME + (int64_t)i;
			b->serial = (uint16_t)(wild ? sample_random(&r) : 7);
		}
		assert_round_trip(blocks, n, wild ? INT64_MIN + 5 : SAMPLE_TIME);
	}
}

/* Method: extreme steps of each width in one column, where packing must fall back to plain. */
static void test_extreme_columns(void **state)
{
	static uint8_t bodies[REPORT_BLOCKS_MAX][STREAM_SIZE];
	static struct block blocks[REPORT_BLOCKS_MAX];
	struct sample_random r = { 99 };

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		for (size_t i = 0; i < REPORT_BLOCKS_MAX; i++) {
			for (size_t j = 0; j < STREAM_SIZE; j++)
				bodies[i][j] = kind == 0   ? (uint8_t)(i % 2 ? 0xFF : 0x00)
					       : kind == 1 ? 0xFF
					       : kind == 2 ? (uint8_t)sample_random(&r)
							   : (uint8_t)(i == 7 ? 0xFF : 0x10);
			blocks[i] = (struct block){ .info = &info_stream,
						    .type = INFO_STREAM,
						    .at = SAMPLE_TIME + (int64_t)i,
						    .serial = 1,
						    .body = bodies[i],
						    .size = STREAM_SIZE };
		}
		assert_round_trip(blocks, REPORT_BLOCKS_MAX, SAMPLE_TIME);
	}
}

/* Method: columns whose steps need each number of bits, from the value before and from the first.
 */
static void test_every_width(void **state)
{
	static uint8_t bodies[24][STREAM_SIZE];
	static struct block blocks[24];
	struct sample_random r = { 17 };

	(void)state;
	for (unsigned width = 0; width < 64; width++) {
		uint32_t value = 0x40000000;

		for (size_t i = 0; i < 24; i++) {
			const uint32_t step = sample_random(&r) >> (31 - width / 2);

			value = width % 2 ? 0x40000000 + step : value + step;
			memset(bodies[i], 0x11, STREAM_SIZE);
			field_put_raw(&info_stream.fields[STREAM_odometer_km], bodies[i], value);
			field_put_raw(&info_stream.fields[STREAM_engine_rpm], bodies[i],
				      value & 0xFFFF);
			blocks[i] = (struct block){ .info = &info_stream,
						    .type = INFO_STREAM,
						    .at = SAMPLE_TIME,
						    .body = bodies[i],
						    .size = STREAM_SIZE };
		}
		assert_round_trip(blocks, 24, SAMPLE_TIME);
	}
}

/* Method: the largest unit there is, of bytes that do not pack, still fits the column. */
static void test_worst_case_fits(void **state)
{
	static uint8_t bodies[FRAME_UNIT_MAX];
	static struct block blocks[REPORT_BLOCKS_MAX];
	struct sample_random r = { 3 };
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(bodies); i++)
		bodies[i] = (uint8_t)sample_random(&r);
	for (size_t i = 0; i < REPORT_BLOCKS_MAX; i++) {
		blocks[i] =
			(struct block){ .type = (uint8_t)i,
					.at = (int64_t)(i * 7919 % 4000),
					.serial = (uint16_t)(i * 31),
					.body = bodies + at,
					.size = i + 1 < REPORT_BLOCKS_MAX ? 127
									  : sizeof(bodies) - at };
		at += blocks[i].size;
	}
	assert_round_trip(blocks, REPORT_BLOCKS_MAX, SAMPLE_TIME);
	assert_int_equal(blocks_pack(blocks, REPORT_BLOCKS_MAX + 1, 0, packed, sizeof(packed)), 0);
}

static size_t packed_drive(struct sample_drive *drive, int64_t at)
{
	static uint8_t frame[4096];
	static struct report report;
	const size_t n = sample_report(LAYOUT_A, drive, at, 10, frame, sizeof(frame));
	struct frame f;
	size_t used;

	assert_int_equal(frame_scan(frame, n, FRAME_UNIT_MAX, &f, &used), SCAN_FRAME);
	assert_int_equal(report_decode(&f, LAYOUT_A, at, &report), VERDICT_ACCEPTED);
	assert_round_trip(report.blocks, report.block_count, report.at);
	return blocks_pack(report.blocks, report.block_count, report.at, packed, sizeof(packed));
}

/* Method: an hour of driving in frames of 10 samples; the aim is 34 bytes a sample or less. */
static void test_driving_is_small(void **state)
{
	struct sample_drive drive;
	size_t sum = 0;

	(void)state;
	sample_drive_start(&drive, 2);
	for (int i = 0; i < 360; i++)
		sum += packed_drive(&drive, SAMPLE_TIME + i * 10);
	print_message("%.2f bytes a sample\n", (double)sum / 3600);
	assert_true(sum / 3600 < 24);
}

/* Method: cut at every byte, then each byte set to each value: refused or unpacked, never read
 * over. */
static void test_damage_is_safe(void **state)
{
	struct sample_drive drive;
	size_t n;

	(void)state;
	sample_drive_start(&drive, 8);
	n = packed_drive(&drive, SAMPLE_TIME);
	for (size_t size = 0; size <= n; size++) {
		uint8_t *copy =
			malloc(size + 1); /* exact, so that a sanitizer sees one byte over */

		assert_non_null(copy);
		memcpy(copy, packed, size);
		copy = realloc(copy, size > 0 ? size : 1);
		assert_int_equal(blocks_unpack(copy, size, SAMPLE_TIME, &unpacked) == 0, size == n);
		free(copy);
	}
	for (size_t at = 0; at < n; at++) {
		const uint8_t right = packed[at];

		for (unsigned value = 0; value < 256; value++) {
			packed[at] = (uint8_t)value;
			if (blocks_unpack(packed, n, SAMPLE_TIME, &unpacked) == 0)
				assert_true(unpacked.block_count <= REPORT_BLOCKS_MAX);
		}
		packed[at] = right;
	}
}

/* The format is stored for years: these bytes of version 1 must read the same for ever. */
static void test_version_1_stays_readable(void **state)
{
	static const uint8_t stored[] = {
		1,	  3,	2,	   /* version, blocks, kinds */
		1,	  4,	4,	   /* emission, hybrid, sent as 04 */
		0,	  0,	0x90,	   /* no table, sent as 90 */
		0,	  2,	1,    1,   /* order: hybrid twice, then the other */
		0,	  2,		   /* at: steps of one second */
		14,	  1,	0,    1,   /* serial 7, then the same */
		0x08 + 3, 0x03, 0xE8,	   /* motor_rpm 1000, step of 11 bits, */
		0xCF,	  0x07,		   /*   -1000 */
		0x00,	  50,		   /* motor_load_pct 50 */
		0x00,	  0x13, 0x88,	   /* battery_v 500 */
		0x00,	  0x27, 0x10,	   /* battery_a 0 */
		0x00,	  80,		   /* soc_pct 80 */
		4,	  1,		   /* at of the other: base + 2 */
		0,	  1,		   /* serial 0 */
		2,	  1,	'X',  'Y', /* size 2 */
	};

	(void)state;
	assert_int_equal(blocks_unpack(stored, sizeof(stored), 1000, &unpacked), 0);
	assert_int_equal(unpacked.block_count, 3);
	assert_ptr_equal(unpacked.blocks[0].info, &info_hybrid);
	assert_int_equal(unpacked.blocks[0].at, 1000);
	assert_int_equal(unpacked.blocks[1].at, 1001);
	assert_int_equal(unpacked.blocks[1].serial, 7);
	assert_memory_equal(unpacked.blocks[0].body, "\x03\xE8\x32\x13\x88\x27\x10\x50", 8);
	assert_memory_equal(unpacked.blocks[1].body, "\x00\x00\x32\x13\x88\x27\x10\x50", 8);
	assert_null(unpacked.blocks[2].info);
	assert_int_equal(unpacked.blocks[2].type, 0x90);
	assert_int_equal(unpacked.blocks[2].at, 1002);
	assert_memory_equal(unpacked.blocks[2].body, "XY", 2);
	assert_int_equal(blocks_pack(unpacked.blocks, 3, 1000, packed, sizeof(packed)),
			 sizeof(stored));
	assert_memory_equal(packed, stored, sizeof(stored));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_blocks),
		cmocka_unit_test(test_extreme_columns),
		cmocka_unit_test(test_every_width),
		cmocka_unit_test(test_worst_case_fits),
		cmocka_unit_test(test_driving_is_small),
		cmocka_unit_test(test_damage_is_safe),
		cmocka_unit_test(test_version_1_stays_readable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * fuzz_report: any bytes as the unit of a report, in every layout.
 *
 * Input: known layout 1, header and encryption 1, then the unit.  Promises: views stay inside the
 * unit; every field of every block can be read and shown; what is accepted is accepted again as
 * the layout it was found to be, is the same each time, and survives the stored column.
 */
#include "proto/record/pack.h"
#include "test/fuzz/fuzz.h"

enum { NOW = 1784865600 };

static struct report report, again;
static struct unpacked unpacked;

static void check_block(const struct block *b, const uint8_t *unit, size_t size)
{
	static char json[1 << 18];
	double lon, lat;

	assert_inside(b->body, b->size, unit, size);
	CHECK(b->at != WIRE_TIME_NONE);
	CHECK(b->info == NULL || b->size >= b->info->fixed_size);
	CHECK(block_json(b, json, sizeof(json)) == strlen(json));
	if (info_position(b->info, b->body, &lon, &lat))
		CHECK(lon >= -180 && lon <= 180 && lat >= -90 && lat <= 90);
}

static void check_stored(void)
{
	static uint8_t packed[PACK_SIZE_MAX];
	const size_t n =
		blocks_pack(report.blocks, report.block_count, report.at, packed, sizeof(packed));

	CHECK(n > 0);
	CHECK(blocks_unpack(packed, n, report.at, &unpacked) == 0);
	CHECK(unpacked.block_count == report.block_count);
	for (size_t i = 0; i < report.block_count; i++) {
		const struct block *a = &report.blocks[i], *b = &unpacked.blocks[i];

		CHECK(a->info == b->info && a->type == b->type && a->at == b->at);
		CHECK(a->serial == b->serial && a->size == b->size);
		CHECK(memcmp(a->body, b->body, a->size) == 0);
	}
}

static void check_accepted(const struct frame *f)
{
	CHECK(report.layout > LAYOUT_UNKNOWN && report.layout < LAYOUT_COUNT);
	CHECK(report.at != WIRE_TIME_NONE);
	CHECK(report.block_count > 0 || report.signature.bytes != NULL);
	for (size_t i = 0; i < report.block_count; i++)
		check_block(&report.blocks[i], f->unit, f->unit_size);
	if (report.signature.bytes != NULL)
		assert_inside(report.signature.bytes, report.signature.size, f->unit, f->unit_size);
	CHECK((report.signature.r == NULL) == (report.signature.s == NULL));
	if (report.signature.r != NULL) {
		assert_inside(report.signature.r, report.signature.r_size, f->unit, f->unit_size);
		assert_inside(report.signature.s, report.signature.s_size, f->unit, f->unit_size);
	}
	check_stored();
	CHECK(report_decode(f, report.layout, NOW, &again) == VERDICT_ACCEPTED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t starts[4] = { 0x23, 0x7E, 0x24, 0x23 };
	struct frame f = { .command = COMMAND_REALTIME, .answer = ANSWER_COMMAND };
	enum layout known;
	uint8_t *unit;

	if (size < 2 || size - 2 > FRAME_UNIT_MAX)
		return 0;
	known = (enum layout)(data[0] % (LAYOUT_COUNT + 1)); /* also one that is none */
	f.start = starts[data[1] % 4];
	f.header = data[1] % 4 >= 2 || data[1] & 4 ? HEADER_P : HEADER_V;
	f.encryption = data[1] & 0x80 ? 0x03 : 0x01;
	memcpy(f.vin, "LGAG4DY33N3000001", VIN_SIZE);
	unit = exact_copy(data + 2, size - 2);
	f.unit = unit;
	f.unit_size = size - 2;
	if (report_decode(&f, known, NOW, &report) == VERDICT_ACCEPTED)
		check_accepted(&f);
	free(unit);
	return 0;
}

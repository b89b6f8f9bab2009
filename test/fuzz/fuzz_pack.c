/*
 * fuzz_pack: any bytes as a stored column.
 *
 * Promises: no read outside them; what is unpacked stays inside its bounds, can be shown, and packs
 * and unpacks to the same.
 */
#include "proto/record/pack.h"
#include "test/fuzz/fuzz.h"

static const int64_t base = 1784865600;
static struct unpacked first, second;

static void check_same(void)
{
	CHECK(first.block_count == second.block_count);
	for (size_t i = 0; i < first.block_count; i++) {
		const struct block *a = &first.blocks[i], *b = &second.blocks[i];

		CHECK(a->info == b->info && a->type == b->type && a->at == b->at);
		CHECK(a->serial == b->serial && a->size == b->size);
		CHECK(memcmp(a->body, b->body, a->size) == 0);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t packed[PACK_SIZE_MAX];
	static char json[1 << 18];
	uint8_t *copy = exact_copy(data, size);
	size_t n;

	if (blocks_unpack(copy, size, base, &first) == 0) {
		CHECK(first.block_count <= REPORT_BLOCKS_MAX);
		for (size_t i = 0; i < first.block_count; i++) {
			const struct block *b = &first.blocks[i];

			assert_inside(b->body, b->size, first.bodies, sizeof(first.bodies));
			CHECK(block_json(b, json, sizeof(json)) == strlen(json));
		}
		n = blocks_pack(first.blocks, first.block_count, base, packed, sizeof(packed));
		CHECK(n > 0);
		CHECK(blocks_unpack(packed, n, base, &second) == 0);
		check_same();
	}
	free(copy);
	return 0;
}

/*
 * fuzz_frame_stream: any bytes from a socket, in pieces of any size.
 *
 * Input: piece size 1, then the stream.  Promises: always progress; a view never leaves the buffer;
 * the frames do not depend on the pieces; what is accepted is written back byte for byte; an answer
 * is a frame, and is not answered.
 */
#include "proto/wire/unit.h"
#include "test/fuzz/fuzz.h"

enum { UNIT_MAX = 4096, NOW = 1784865600 };

/* A digest of all frames of a stream, to compare two ways of cutting it. */
struct digest {
	uint64_t sum;
	size_t frames;
};

static void add(struct digest *d, const struct frame *f)
{
	for (size_t i = 0; i < f->size; i++)
		d->sum = (d->sum ^ f->bytes[i]) * 1099511628211u;
	d->frames++;
}

static void check_answer(const struct frame *f, enum answer answer)
{
	uint8_t reply[FRAME_HEAD_SIZE + WIRE_TIME_SIZE + 1];
	struct frame g;
	size_t used;
	const size_t n = frame_answer(f, answer, true, NOW, reply, sizeof(reply));

	if (n == 0)
		return;
	CHECK(f->answer == ANSWER_COMMAND);
	CHECK(frame_scan(reply, n, UNIT_MAX, &g, &used) == SCAN_FRAME && used == n);
	CHECK(memcmp(g.vin, f->vin, sizeof(g.vin)) == 0);
	CHECK(g.header == HEADER_V || g.answer == ANSWER_COMMAND ||
	      frame_answer(&g, answer, true, NOW, reply, sizeof(reply)) == 0);
}

static void check_frame(const struct frame *f, const uint8_t *buf, size_t size)
{
	static uint8_t again[FRAME_SIZE_MAX];
	static char json[2048];

	assert_inside(f->bytes, f->size, buf, size);
	assert_inside(f->unit, f->unit_size, f->bytes, f->size);
	CHECK(f->unit_size <= UNIT_MAX && f->unit_size <= frame_unit_limit(f->command));
	CHECK(frame_encode(f, again, sizeof(again)) == f->size);
	if (strlen(f->vin) == VIN_SIZE) /* else the padding may be blanks */
		CHECK(memcmp(again, f->bytes, f->size) == 0);
	check_answer(f, ANSWER_SUCCESS);
	check_answer(f, ANSWER_ERROR);
	CHECK(frame_json(f, LAYOUT_UNKNOWN, NOW, json, sizeof(json)) >= strlen(json));
}

/* Cuts buf into frames; returns how many bytes are done with. */
static size_t cut(const uint8_t *buf, size_t size, struct digest *d, int check)
{
	size_t at = 0, used;
	struct frame f;

	for (;;) {
		const enum scan scan = frame_scan(buf + at, size - at, UNIT_MAX, &f, &used);

		CHECK(used <= size - at);
		if (scan == SCAN_MORE) {
			CHECK(used == 0);
			return at;
		}
		CHECK(used > 0);
		if (scan == SCAN_FRAME) {
			add(d, &f);
			if (check)
				check_frame(&f, buf + at, size - at);
		} else if (scan != SCAN_NOISE) {
			CHECK(used == 1);
		}
		at += used;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct digest whole = { .frames = 0 }, pieces = whole;
	size_t piece, have = 0, at = 0;
	uint8_t *copy, *buf;

	if (size < 1)
		return 0;
	piece = data[0] + 1u + size / 1024; /* a long input in no more than a thousand pieces */
	data++;
	size--;
	copy = exact_copy(data, size);
	cut(copy, size, &whole, 1);
	free(copy);
	buf = malloc(size + 1);
	CHECK(buf != NULL);
	while (at < size) {
		const size_t n = piece < size - at ? piece : size - at;
		size_t used;

		memcpy(buf + have, data + at, n);
		have += n;
		at += n;
		used = cut(buf, have, &pieces, 0);
		memmove(buf, buf + used, have - used);
		have -= used;
	}
	free(buf);
	CHECK(whole.frames == pieces.frames && whole.sum == pieces.sum);
	return 0;
}

#ifdef FUZZ_ENGINE
/* Lengths and checksums repaired in 7 of 8 inputs, or nothing gets past the BCC. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	size_t at = 1;

	size = LLVMFuzzerMutate(data, size, max_size);
	while (seed % 8 != 0 && at + FRAME_HEAD_SIZE + 1 <= size) {
		uint8_t *b = data + at;
		size_t unit = (size_t)b[22] << 8 | b[23];

		if (b[0] != b[1] || (b[0] != 0x23 && b[0] != 0x7E && b[0] != 0x24)) {
			at++;
			continue;
		}
		if (unit > size - at - FRAME_HEAD_SIZE - 1)
			unit = size - at - FRAME_HEAD_SIZE - 1;
		b[22] = (uint8_t)(unit >> 8);
		b[23] = (uint8_t)unit;
		b[FRAME_HEAD_SIZE + unit] = frame_checksum(b + 2, FRAME_HEAD_SIZE - 2 + unit);
		at += FRAME_HEAD_SIZE + unit + 1;
	}
	return size;
}
#endif

/* Framing: every split gives the same frames, every damage is refused, nothing behind it is lost.
 */

#include <string.h>

#include "test/wire/cm.h"
#include "test/wire/sample.h"

enum { FOUND_MAX = 64, STREAM_MAX = 8192 };

struct found {
	size_t count, bad, noise;
	uint8_t bytes[FOUND_MAX][1024];
	size_t sizes[FOUND_MAX];
};

/* What a connection does with its buffer; the bytes are copied, so that a view cannot go stale. */
static size_t take(struct found *found, const uint8_t *buf, size_t size)
{
	size_t at = 0, used;
	struct frame f;

	for (;;) {
		const enum scan scan = frame_scan(buf + at, size - at, 4096, &f, &used);

		assert_true(used <= size - at);
		assert_true((used == 0) == (scan == SCAN_MORE));
		if (scan == SCAN_MORE)
			return at;
		if (scan == SCAN_FRAME) {
			assert_true(found->count < FOUND_MAX);
			memcpy(found->bytes[found->count], f.bytes, f.size);
			found->sizes[found->count++] = f.size;
		} else if (scan == SCAN_BAD_CHECKSUM) {
			found->bad++;
		} else {
			found->noise += used;
		}
		at += used;
	}
}

/* The stream in two or more pieces; a piece is what one read of the socket brings. */
static void feed(struct found *found, const uint8_t *stream, size_t size, size_t first,
		 size_t piece)
{
	static uint8_t buf[STREAM_MAX];
	size_t have = 0, at = 0, n = first;

	memset(found, 0, sizeof(*found));
	while (at < size) {
		if (n > size - at)
			n = size - at;
		memcpy(buf + have, stream + at, n);
		have += n;
		at += n;
		const size_t used = take(found, buf, have);

		memmove(buf, buf + used, have - used);
		have -= used;
		n = piece;
	}
}

static void assert_same(const struct found *a, const struct found *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t i = 0; i < a->count; i++) {
		assert_int_equal(a->sizes[i], b->sizes[i]);
		assert_memory_equal(a->bytes[i], b->bytes[i], a->sizes[i]);
	}
}

/* Every header and start mark, several commands, and a unit that holds start marks. */
static size_t mixed_stream(uint8_t *out)
{
	static const uint8_t marks[] = "####~~$$##\x02\xFE####~~\x02L#";
	struct sample_drive drive;
	uint8_t unit[64];
	struct frame f;
	size_t n = 0;

	sample_drive_start(&drive, 5);
	f = sample_frame(0x23, HEADER_V, COMMAND_LOGIN);
	f.unit = unit;
	f.unit_size = unit_login(SAMPLE_TIME, 1, "89860012345678901234", HEADER_V, unit, 64);
	n += frame_encode(&f, out + n, STREAM_MAX - n);
	n += sample_report(LAYOUT_A, &drive, SAMPLE_TIME, 3, out + n, STREAM_MAX - n);
	f = sample_frame(0x7E, HEADER_V, COMMAND_SUPPLEMENT);
	f.unit = marks;
	f.unit_size = sizeof(marks);
	n += frame_encode(&f, out + n, STREAM_MAX - n);
	f = sample_frame(0x24, HEADER_P, 0x07);
	n += frame_encode(&f, out + n, STREAM_MAX - n);
	n += sample_report(LAYOUT_C, &drive, SAMPLE_TIME, 2, out + n, STREAM_MAX - n);
	f = sample_frame(0x23, HEADER_P, 0x08);
	n += frame_encode(&f, out + n, STREAM_MAX - n);
	return n;
}

/* Method: cut the stream at every place, and feed it in pieces of 1 to 9 bytes. */
static void test_every_split_gives_the_same_frames(void **state)
{
	static uint8_t stream[STREAM_MAX];
	static struct found whole, split;
	const size_t n = mixed_stream(stream);

	(void)state;
	feed(&whole, stream, n, n, n);
	assert_int_equal(whole.count, 6);
	assert_int_equal(whole.noise, 0);
	for (size_t first = 1; first < n; first++) {
		feed(&split, stream, n, first, n);
		assert_same(&whole, &split);
	}
	for (size_t piece = 1; piece < 10; piece++) {
		feed(&split, stream, n, piece, piece);
		assert_same(&whole, &split);
	}
}

static size_t one_frame(uint8_t *out)
{
	struct sample_drive drive;

	sample_drive_start(&drive, 9);
	return sample_report(LAYOUT_B, &drive, SAMPLE_TIME, 2, out, STREAM_MAX);
}

static void test_every_prefix_asks_for_more(void **state)
{
	static uint8_t buf[STREAM_MAX];
	const size_t n = one_frame(buf);
	struct frame f;
	size_t used;

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(frame_scan(buf, i, 4096, &f, &used), SCAN_MORE);
	assert_int_equal(frame_scan(buf, n, 4096, &f, &used), SCAN_FRAME);
	assert_int_equal(used, n);
	assert_string_equal(f.vin, SAMPLE_VIN);
	assert_ptr_equal(f.unit, buf + FRAME_HEAD_SIZE);
	assert_int_equal(f.unit_size, n - FRAME_HEAD_SIZE - 1);
	assert_int_equal(f.software_version, 1);
	assert_int_equal(f.protocol, PROTOCOL_GB17691);
}

/* Method: flip each bit of a good frame; none of the results may be taken for a frame. */
static void test_every_flipped_bit_is_refused(void **state)
{
	static uint8_t buf[STREAM_MAX];
	const size_t n = one_frame(buf);
	struct frame f;
	size_t used;

	(void)state;
	for (size_t bit = 0; bit < 8 * n; bit++) {
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_int_not_equal(frame_scan(buf, n, FRAME_UNIT_MAX, &f, &used), SCAN_FRAME);
		buf[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

/* Method: noise of every kind in front of a frame, at every split; conformance cases 5 and 6. */
static void test_noise_in_front_is_skipped(void **state)
{
	static const char *const noises[] = { "#",
					      "##",
					      "###",
					      "~",
					      "~~",
					      "$",
					      "#~$",
					      "hello",
					      "##A",
					      "##\x02",
					      "#\x02",
					      "~~#",
					      "$$#",
					      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
					      "## this is a text of more than 24 bytes ##" };
	static uint8_t stream[STREAM_MAX];
	static struct found found;

	(void)state;
	for (size_t i = 0; i < sizeof(noises) / sizeof(noises[0]); i++) {
		const size_t before = strlen(noises[i]);
		size_t n = before;

		memcpy(stream, noises[i], before);
		n += mixed_stream(stream + n);
		for (size_t first = 1; first < before + 60; first++) {
			feed(&found, stream, n, first, n);
			assert_int_equal(found.count, 6);
			assert_int_equal(found.noise, before);
		}
	}
}

/* Method: a stray '#' must not wait for bytes behind the frame: the frame alone comes out. */
static void test_stray_mark_does_not_stall(void **state)
{
	static uint8_t stream[STREAM_MAX];
	static struct found found;

	(void)state;
	for (int command = COMMAND_LOGIN; command <= COMMAND_LOGOUT; command++) {
		for (int header = HEADER_V; header <= HEADER_P; header++) {
			struct frame f = sample_frame(0x23, (enum header)header, (uint8_t)command);

			stream[0] = 0x23;
			feed(&found, stream, 1 + frame_encode(&f, stream + 1, STREAM_MAX), 1, 1);
			assert_int_equal(found.count, 1);
			assert_int_equal(found.noise, 1);
		}
	}
}

/* Conformance case 7: a wrong BCC costs its frame, the next one comes out. */
static void test_bad_checksum_loses_nothing_behind(void **state)
{
	static uint8_t stream[STREAM_MAX];
	static struct found found;
	size_t n = one_frame(stream), first = n;

	(void)state;
	stream[n - 1] ^= 0x5A;
	n += one_frame(stream + n);
	for (size_t at = 1; at < n; at++) {
		feed(&found, stream, n, at, n);
		assert_int_equal(found.bad, 1);
		assert_int_equal(found.count, 1);
		assert_int_equal(found.sizes[0], n - first);
	}
}

/* Conformance case 14: the length is refused before a byte of the unit is there. */
static void test_length_above_the_limit(void **state)
{
	uint8_t buf[STREAM_MAX];
	struct frame f = sample_frame(0x23, HEADER_V, COMMAND_REALTIME);
	size_t used;

	(void)state;
	frame_encode(&f, buf, sizeof(buf));
	buf[22] = buf[23] = 0xFF;
	assert_int_equal(frame_scan(buf, 24, FRAME_UNIT_MAX, &f, &used), SCAN_TOO_LONG);
	assert_int_equal(used, 1);
	assert_string_equal(f.vin, SAMPLE_VIN);
	assert_null(f.unit);
	buf[22] = 0x10;
	assert_int_equal(frame_scan(buf, 24, FRAME_UNIT_MAX, &f, &used), SCAN_MORE);
	assert_int_equal(frame_scan(buf, 24, 4096, &f, &used), SCAN_TOO_LONG);
	buf[2] = COMMAND_LOGOUT; /* eight bytes, and room for ciphertext of them */
	assert_int_equal(frame_scan(buf, 24, FRAME_UNIT_MAX, &f, &used), SCAN_TOO_LONG);
}

/* Method: a header that holds only its first implausible byte is noise at once. */
static void test_plausibility_is_judged_early(void **state)
{
	uint8_t buf[STREAM_MAX];
	struct frame f = sample_frame(0x23, HEADER_P, COMMAND_REALTIME);
	static const struct {
		size_t at;
		uint8_t byte;
	} wrong[] = { { 0, 'x' },   { 1, '~' },	  { 2, 0x00 }, { 2, 0xFF },
		      { 2, 0x23 },  { 3, 0x08 },  { 3, 0x80 }, { 4, 0x00 },
		      { 20, 0x9C }, { 21, 0x06 }, { 21, 0x20 } };
	size_t used;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		frame_encode(&f, buf, sizeof(buf));
		buf[wrong[i].at] = wrong[i].byte;
		assert_int_equal(frame_scan(buf, wrong[i].at, 4096, &f, &used), SCAN_MORE);
		assert_int_equal(frame_scan(buf, wrong[i].at + 1, 4096, &f, &used), SCAN_NOISE);
		assert_true(used > 0);
		f = sample_frame(0x23, HEADER_P, COMMAND_REALTIME);
	}
}

/* Method: a megabyte without a frame is dropped in one call. */
static void test_noise_is_one_run(void **state)
{
	static uint8_t noise[1 << 20];
	struct frame f;
	size_t used;

	(void)state;
	memset(noise, 'z', sizeof(noise));
	assert_int_equal(frame_scan(noise, sizeof(noise), 4096, &f, &used), SCAN_NOISE);
	assert_int_equal(used, sizeof(noise));
	noise[sizeof(noise) - 1] = 0x23;
	assert_int_equal(frame_scan(noise, sizeof(noise), 4096, &f, &used), SCAN_NOISE);
	assert_int_equal(used, sizeof(noise) - 1);
}

/* Method: scan of encode is the same header, for all of them. */
static void test_encode_and_scan_agree(void **state)
{
	static const uint8_t starts[] = { 0x23, 0x7E, 0x24 }, unit[] = { 1, 2, 3 };
	uint8_t buf[64], again[64];
	size_t used;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		for (int header = HEADER_V; header <= HEADER_P; header++) {
			struct frame f = sample_frame(starts[i], (enum header)header, 0x30), g;

			if (starts[i] == 0x24 && header == HEADER_V)
				continue;
			f.unit = unit;
			f.unit_size = sizeof(unit);
			f.encryption = 0x03;
			assert_int_equal(frame_encode(&f, buf, sizeof(buf)), 28);
			assert_int_equal(frame_encode(&f, again, 27), 0);
			assert_int_equal(frame_scan(buf, 28, 64, &g, &used), SCAN_FRAME);
			assert_int_equal(g.start, f.start);
			assert_int_equal(g.header, f.header);
			assert_int_equal(g.command, f.command);
			assert_int_equal(g.answer, f.answer);
			assert_int_equal(g.encryption, f.encryption);
			assert_string_equal(g.vin, f.vin);
			assert_memory_equal(g.unit, unit, sizeof(unit));
			assert_int_equal(frame_encode(&g, again, sizeof(again)), 28);
			assert_memory_equal(buf, again, 28);
		}
	}
}

static void test_vin(void **state)
{
	(void)state;
	assert_true(vin_plausible(SAMPLE_VIN));
	assert_true(vin_plausible("lgag4dy33n3000001"));
	assert_false(vin_plausible("LGAG4DY33N300000"));
	assert_false(vin_plausible("LGAG4DY33N3000001X"));
	assert_false(vin_plausible("?????????????????"));
	assert_false(vin_plausible(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split_gives_the_same_frames),
		cmocka_unit_test(test_every_prefix_asks_for_more),
		cmocka_unit_test(test_every_flipped_bit_is_refused),
		cmocka_unit_test(test_noise_in_front_is_skipped),
		cmocka_unit_test(test_stray_mark_does_not_stall),
		cmocka_unit_test(test_bad_checksum_loses_nothing_behind),
		cmocka_unit_test(test_length_above_the_limit),
		cmocka_unit_test(test_plausibility_is_judged_early),
		cmocka_unit_test(test_noise_is_one_run),
		cmocka_unit_test(test_encode_and_scan_agree),
		cmocka_unit_test(test_vin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

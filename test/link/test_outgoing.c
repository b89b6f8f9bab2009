/* Frames of a link: every layout that we take can be read on the other side of a header P. */
#include <string.h>

#include "gateway/link/outgoing.h"
#include "test/wire/cm.h"

enum { NOW = 1794830400 };
static const char vin[] = "LTEST000000000001";

static size_t report(enum layout layout, unsigned blocks, uint8_t *buf, size_t size)
{
	uint8_t body[256] = { 0 };
	struct unit_writer w;

	unit_start(&w, layout, NOW, 5, buf, size);
	for (unsigned i = 0; i < blocks; i++) {
		memset(body, 0, sizeof(body));
		body[0] = 40;
		body[2] = 200;
		unit_block(&w, INFO_STREAM, NOW + i, 5, body, info_stream.fixed_size);
	}
	assert_false(w.failed);
	return w.size;
}

/* The record of a frame with header V. */
static void record_of(Haulgate__FrameRecord *r, uint8_t *raw, size_t raw_max, const uint8_t *unit,
		      size_t unit_size, uint8_t encryption)
{
	struct frame f = {
		.start = 0x23,
		.header = HEADER_V,
		.command = COMMAND_REALTIME,
		.answer = ANSWER_COMMAND,
		.software_version = 9,
		.encryption = encryption,
		.unit = unit,
		.unit_size = unit_size,
	};

	memcpy(f.vin, vin, sizeof(vin));
	haulgate__frame_record__init(r);
	r->verdict = VERDICT_ACCEPTED;
	r->raw.data = raw;
	r->raw.len = frame_encode(&f, raw, raw_max);
	assert_true(r->raw.len > 0);
}

static void test_layouts_survive_header_p(void **state)
{
	static const uint8_t starts[] = { 0x7E, 0x23 };
	static struct report before, after;

	(void)state;
	for (unsigned layout = LAYOUT_A; layout <= LAYOUT_D; layout++)
		for (unsigned s = 0; s < 2; s++) {
			uint8_t unit[2048], raw[2048], out[2048];
			const size_t size = report((enum layout)layout, 5, unit, sizeof(unit));
			Haulgate__FrameRecord r;
			struct frame f, there;
			size_t n, used;

			record_of(&r, raw, sizeof(raw), unit, size, 1);
			assert_true(outgoing_read(&r, &f));
			assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &before),
					 VERDICT_ACCEPTED);
			n = outgoing_encode(&f, starts[s], out, sizeof(out));
			assert_int_equal(frame_scan(out, n, FRAME_UNIT_MAX, &there, &used),
					 SCAN_FRAME);
			assert_int_equal(there.header, HEADER_P);
			assert_int_equal(frame_meaning(&there), MEANING_REPORT);
			assert_string_equal(there.vin, vin);
			assert_int_equal(there.unit_size, size);
			assert_memory_equal(there.unit, unit, size);
			assert_int_equal(report_decode(&there, LAYOUT_UNKNOWN, NOW, &after),
					 VERDICT_ACCEPTED);
			assert_int_equal(after.layout, before.layout);
			assert_int_equal(after.block_count, before.block_count);
		}
}

static void test_what_was_opened_goes_in_clear(void **state)
{
	uint8_t unit[512], ciphertext[640], raw[1024], out[1024];
	const size_t size = report(LAYOUT_C, 2, unit, sizeof(unit));
	Haulgate__FrameRecord r;
	struct frame f, there;
	size_t n, used;

	(void)state;
	memset(ciphertext, 0xA5, sizeof(ciphertext));
	record_of(&r, raw, sizeof(raw), ciphertext, size + 96, 2);
	r.unit.data = unit;
	r.unit.len = size;
	assert_true(outgoing_read(&r, &f));
	n = outgoing_encode(&f, 0x7E, out, sizeof(out));
	outgoing_supplement(out, n);
	outgoing_supplement(out, n);
	assert_int_equal(frame_scan(out, n, FRAME_UNIT_MAX, &there, &used), SCAN_FRAME);
	assert_int_equal(there.encryption, 1);
	assert_int_equal(there.command, COMMAND_SUPPLEMENT);
	assert_int_equal(there.unit_size, size);
	assert_memory_equal(there.unit, unit, size);
}

static void test_what_is_not_forwarded(void **state)
{
	uint8_t unit[512], raw[1024];
	const size_t size = report(LAYOUT_C, 2, unit, sizeof(unit));
	Haulgate__FrameRecord r;
	struct frame f;

	(void)state;
	record_of(&r, raw, sizeof(raw), unit, size, 1);
	r.verdict = VERDICT_BAD_UNIT;
	assert_false(outgoing_read(&r, &f));
	r.verdict = VERDICT_ACCEPTED;
	assert_true(outgoing_read(&r, &f));
	raw[2] = 0x07; /* an activation; the checksum is made to fit */
	raw[r.raw.len - 1] ^= 0x02 ^ 0x07;
	assert_false(outgoing_read(&r, &f));
	raw[3] ^= 1; /* the checksum is wrong */
	assert_false(outgoing_read(&r, &f));
	r.raw.len = 10;
	assert_false(outgoing_read(&r, &f));
}

/* 06 over "##" would log the platform out. */
static void test_a_tamper_alarm_has_no_command_in_gbt32960(void **state)
{
	uint8_t unit[17] = { 24, 1, 2, 3, 4, 5, 0, 1 }, raw[64];
	Haulgate__FrameRecord r;
	struct frame f;

	(void)state;
	record_of(&r, raw, sizeof(raw), unit, sizeof(unit), 1);
	assert_true(outgoing_read(&r, &f));
	assert_true(outgoing_sayable(&f, 0x23));
	raw[2] = 0x06;
	raw[r.raw.len - 1] ^= 0x02 ^ 0x06;
	assert_true(outgoing_read(&r, &f));
	assert_int_equal(frame_meaning(&f), MEANING_TAMPER_ALARM);
	assert_true(outgoing_sayable(&f, 0x7E));
	assert_false(outgoing_sayable(&f, 0x23));
}

static void test_our_own_frames(void **state)
{
	struct outgoing_login own = {
		.start = 0x7E,
		.platform_code = "CITY-A",
		.user = "twelve-bytes",
		.password = "twenty-bytes-exactly",
		.serial = 258,
	};
	uint8_t out[OUTGOING_SMALL_MAX];
	struct platform_login login;
	struct frame f;
	size_t used;

	(void)state;
	for (unsigned i = 0; i < 2; i++, own.start = 0x23) {
		frame_scan(out, outgoing_platform_login(&own, NOW, out), FRAME_UNIT_MAX, &f, &used);
		assert_int_equal(frame_meaning(&f), MEANING_PLATFORM_LOGIN);
		assert_int_equal(f.command, outgoing_login_command(own.start));
		assert_int_equal(platform_login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
		assert_int_equal(login.at, NOW);
		assert_int_equal(login.serial, 258);
		assert_string_equal(login.user, "twelve-bytes");
		assert_string_equal(login.password, "twenty-bytes-exactly");
		assert_int_equal(login.encryption, 1);
		assert_string_equal(f.vin, "CITY-A");
		frame_scan(out, outgoing_platform_logout(&own, NOW, out), FRAME_UNIT_MAX, &f,
			   &used);
		assert_int_equal(frame_meaning(&f), MEANING_PLATFORM_LOGOUT);
		frame_scan(out, outgoing_heartbeat(&own, out), FRAME_UNIT_MAX, &f, &used);
		assert_int_equal(frame_meaning(&f), i == 0 ? MEANING_TIME : MEANING_HEARTBEAT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts_survive_header_p),
		cmocka_unit_test(test_what_was_opened_goes_in_clear),
		cmocka_unit_test(test_what_is_not_forwarded),
		cmocka_unit_test(test_a_tamper_alarm_has_no_command_in_gbt32960),
		cmocka_unit_test(test_our_own_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

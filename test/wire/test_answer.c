/* Answers and times: what each protocol defines, and nothing for what is itself an answer. */

#include <stdio.h>
#include <string.h>

#include "test/wire/cm.h"
#include "test/wire/sample.h"

static const uint8_t some_time[] = { 26, 7, 24, 12, 0, 0 }, now_time[] = { 26, 7, 25, 8, 30, 15 };
#define NOW (SAMPLE_TIME + 20 * 3600 + 30 * 60 + 15)

static uint8_t question[512], reply[512];
static struct frame asked, answered;

static size_t ask_with(uint8_t start, enum header header, uint8_t command, uint8_t encryption,
		       const uint8_t *unit, size_t unit_size, enum answer answer, bool echo)
{
	struct frame f = sample_frame(start, header, command);
	size_t n, used;

	f.unit = unit;
	f.unit_size = unit_size;
	f.encryption = encryption;
	n = frame_encode(&f, question, sizeof(question));
	assert_int_equal(frame_scan(question, n, FRAME_UNIT_MAX, &asked, &used), SCAN_FRAME);
	n = frame_answer(&asked, answer, echo, NOW, reply, sizeof(reply));
	if (n > 0) {
		assert_int_equal(frame_scan(reply, n, 64, &answered, &used), SCAN_FRAME);
		assert_string_equal(answered.vin, f.vin);
		assert_int_equal(answered.start, start);
		assert_int_equal(answered.header, header);
		assert_int_equal(answered.encryption, 0x01);
		assert_int_equal(answered.software_version, f.software_version);
		/* No loops: what we send is not answered, if it comes back. */
		if (header == HEADER_P && answered.answer != ANSWER_COMMAND)
			assert_int_equal(
				frame_answer(&answered, answer, true, NOW, reply, sizeof(reply)),
				0);
		assert_int_equal(frame_answer(&asked, answer, echo, NOW, reply, n - 1), 0);
	}
	return n;
}

static size_t ask(uint8_t start, enum header header, uint8_t command, enum answer answer, bool echo)
{
	uint8_t unit[30] = { 26, 7, 24, 12, 0, 0, 0, 9 };

	return ask_with(start, header, command, 0x01, unit, sizeof(unit), answer, echo);
}

static void assert_unit(const uint8_t *unit, size_t size)
{
	assert_int_equal(answered.unit_size, size);
	if (size > 0)
		assert_memory_equal(answered.unit, unit, size);
}

static void test_header_v(void **state)
{
	(void)state;
	for (uint8_t command = 1; command <= 4; command++) {
		assert_int_equal(ask(0x23, HEADER_V, command, ANSWER_SUCCESS, false), 0);
		assert_int_equal(ask(0x23, HEADER_V, command, ANSWER_SUCCESS, true), 25);
		assert_int_equal(answered.command, command);
		/* No coding for an error: silence, so that the terminal keeps the data. */
		assert_int_equal(ask(0x23, HEADER_V, command, ANSWER_ERROR, true), 0);
	}
	assert_int_equal(ask_with(0x23, HEADER_V, 5, 1, NULL, 0, ANSWER_SUCCESS, false), 31);
	assert_unit(now_time, sizeof(now_time));
	assert_int_equal(ask(0x7E, HEADER_V, 6, ANSWER_SUCCESS, true), 25);
	assert_int_equal(ask(0x23, HEADER_V, 0x30, ANSWER_SUCCESS, true), 0);
	assert_int_equal(ask(0x23, HEADER_V, 0x08, ANSWER_SUCCESS, true), 0);
}

static void test_activation(void **state)
{
	uint8_t unit[169] = { 26, 7, 24, 12, 0, 0 };

	(void)state;
	assert_int_equal(ask_with(0x23, HEADER_V, 7, 1, unit, sizeof(unit), ANSWER_SUCCESS, false),
			 27);
	assert_int_equal(answered.command, 0x08);
	assert_unit((const uint8_t[]){ 1, 0 }, 2);
	assert_int_equal(
		ask_with(0x23, HEADER_V, 7, 1, unit, sizeof(unit), ANSWER_VIN_UNKNOWN, false), 27);
	assert_unit((const uint8_t[]){ 2, 2 }, 2);
	assert_int_equal(ask_with(0x24, HEADER_P, 9, 1, unit, sizeof(unit), ANSWER_SUCCESS, false),
			 27);
	assert_int_equal(answered.command, 0x0A);
}

static void test_header_p(void **state)
{
	static const uint8_t with_time[] = { 1, 2, 3, 4, 5, 6 };

	(void)state;
	for (size_t i = 0; i < sizeof(with_time); i++) {
		assert_int_equal(ask(0x23, HEADER_P, with_time[i], ANSWER_SUCCESS, false), 31);
		assert_int_equal(answered.command, with_time[i]);
		assert_int_equal(answered.answer, ANSWER_SUCCESS);
		assert_unit(some_time, sizeof(some_time));
		assert_int_equal(ask(0x23, HEADER_P, with_time[i], ANSWER_ERROR, false), 31);
		assert_int_equal(answered.answer, ANSWER_ERROR);
	}
	assert_int_equal(ask_with(0x23, HEADER_P, 7, 1, NULL, 0, ANSWER_SUCCESS, false), 25);
	assert_int_equal(ask_with(0x23, HEADER_P, 8, 1, NULL, 0, ANSWER_SUCCESS, false), 31);
	assert_unit(now_time, sizeof(now_time));
	assert_int_equal(ask(0x23, HEADER_P, 0xC5, ANSWER_SUCCESS, false), 0);
	assert_int_equal(ask(0x23, HEADER_P, 0x80, ANSWER_SUCCESS, false), 0);
}

static void test_vin_unknown_is_of_the_2025_edition(void **state)
{
	(void)state;
	assert_int_equal(ask(0x24, HEADER_P, 1, ANSWER_VIN_UNKNOWN, false), 31);
	assert_int_equal(answered.answer, ANSWER_VIN_UNKNOWN);
	assert_int_equal(ask(0x23, HEADER_P, 1, ANSWER_VIN_UNKNOWN, false), 31);
	assert_int_equal(answered.answer, ANSWER_ERROR);
}

/* Method: HJ 1239 platform commands, told from GB/T 32960 by start mark and by length. */
static void test_meanings(void **state)
{
	static const struct {
		uint8_t start;
		enum header header;
		uint8_t command;
		size_t unit_size;
		enum meaning meaning;
	} rows[] = {
		{ 0x23, HEADER_V, 0x01, 28, MEANING_LOGIN },
		{ 0x23, HEADER_V, 0x05, 0, MEANING_TIME },
		{ 0x23, HEADER_V, 0x06, 17, MEANING_TAMPER_ALARM },
		{ 0x23, HEADER_V, 0x07, 169, MEANING_ACTIVATION },
		{ 0x23, HEADER_V, 0x08, 2, MEANING_ACTIVATION_ANSWER },
		{ 0x23, HEADER_V, 0x80, 6, MEANING_UNKNOWN },
		{ 0x23, HEADER_P, 0x05, 41, MEANING_PLATFORM_LOGIN },
		{ 0x23, HEADER_P, 0x05, 0, MEANING_TIME },
		{ 0x23, HEADER_P, 0x06, 8, MEANING_PLATFORM_LOGOUT },
		{ 0x23, HEADER_P, 0x06, 17, MEANING_TAMPER_ALARM },
		{ 0x23, HEADER_P, 0x07, 0, MEANING_HEARTBEAT },
		{ 0x23, HEADER_P, 0x07, 41, MEANING_PLATFORM_LOGIN },
		{ 0x23, HEADER_P, 0x08, 0, MEANING_TIME },
		{ 0x23, HEADER_P, 0x08, 8, MEANING_PLATFORM_LOGOUT },
		{ 0x23, HEADER_P, 0x81, 8, MEANING_UNKNOWN },
		{ 0x7E, HEADER_P, 0x05, 0, MEANING_TIME },
		{ 0x7E, HEADER_P, 0x06, 17, MEANING_TAMPER_ALARM },
		{ 0x7E, HEADER_P, 0x07, 41, MEANING_PLATFORM_LOGIN },
		{ 0x7E, HEADER_P, 0x08, 8, MEANING_PLATFORM_LOGOUT },
		{ 0x7E, HEADER_P, 0x09, 50, MEANING_KEY_EXCHANGE },
		{ 0x24, HEADER_P, 0x09, 200, MEANING_ACTIVATION },
		{ 0x24, HEADER_P, 0x0B, 40, MEANING_KEY_EXCHANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame f = sample_frame(rows[i].start, rows[i].header, rows[i].command);

		f.unit_size = rows[i].unit_size;
		assert_int_equal(frame_meaning(&f), rows[i].meaning);
		assert_true(frame_unit_limit(f.command) >= f.unit_size);
	}
}

static void test_downlink_answer(void **state)
{
	struct frame f = sample_frame(0x23, HEADER_P, 0x80);

	(void)state;
	f.answer = ANSWER_SUCCESS;
	assert_int_equal(frame_meaning(&f), MEANING_DOWNLINK_ANSWER);
	assert_int_equal(frame_answer(&f, ANSWER_SUCCESS, true, NOW, reply, sizeof(reply)), 0);
}

/* Method: an encrypted question has no readable time; the answer then says the current one. */
static void test_ciphertext_has_no_time_to_keep(void **state)
{
	static const uint8_t ciphertext[16] = { 0x99, 0x88, 0x77, 0xF6, 0xE5, 0xD4 };

	(void)state;
	assert_int_equal(ask_with(0x23, HEADER_P, 2, 0x03, ciphertext, sizeof(ciphertext),
				  ANSWER_ERROR, false),
			 31);
	assert_int_equal(answered.answer, ANSWER_ERROR);
	assert_unit(now_time, sizeof(now_time));
	/* A plain but impossible time is given back as it came. */
	assert_int_equal(ask_with(0x23, HEADER_P, 2, 0x01, ciphertext, sizeof(ciphertext),
				  ANSWER_ERROR, false),
			 31);
	assert_unit(ciphertext, 6);
}

/* Method: a platform's short code is padded; the answer repeats the padding byte for byte. */
static void test_identity_is_repeated_with_its_padding(void **state)
{
	struct frame f = sample_frame(0x7E, HEADER_P, 0x08);
	size_t n, used;

	(void)state;
	snprintf(f.vin, sizeof(f.vin), "PLATFORM9");
	n = frame_encode(&f, question, sizeof(question));
	memset(question + 4 + 9, ' ', 8);
	question[n - 1] = frame_checksum(question + 2, n - 3);
	assert_int_equal(frame_scan(question, n, 64, &asked, &used), SCAN_FRAME);
	assert_string_equal(asked.vin, "PLATFORM9");
	n = frame_answer(&asked, ANSWER_SUCCESS, false, NOW, reply, sizeof(reply));
	assert_int_equal(n, 25);
	assert_memory_equal(reply + 4, question + 4, VIN_SIZE);
	assert_int_equal(frame_scan(reply, n, 64, &answered, &used), SCAN_FRAME);
}

/* Method: every day of the century, there and back; then what no calendar has. */
static void test_wire_time(void **state)
{
	uint8_t b[6], again[6];

	(void)state;
	assert_int_equal(wire_time_decode(some_time), SAMPLE_TIME);
	assert_int_equal(wire_time_decode((const uint8_t[]){ 0, 1, 1, 0, 0, 0 }), 946656000);
	for (int64_t at = 946656000; at < 946656000 + 36525 * 86400LL; at += 86400 - 61) {
		wire_time_encode(at, b);
		assert_int_equal(wire_time_decode(b), at);
		wire_time_encode(wire_time_decode(b), again);
		assert_memory_equal(b, again, 6);
	}
	static const uint8_t wrong[][6] = {
		{ 26, 99, 1, 0, 0, 0 },
		{ 26, 0, 1, 0, 0, 0 },
		{ 26, 1, 0, 0, 0, 0 },
		{ 26, 2, 29, 0, 0, 0 },
		{ 26, 4, 31, 0, 0, 0 },
		{ 26, 1, 1, 24, 0, 0 },
		{ 26, 1, 1, 0, 60, 0 },
		{ 26, 1, 1, 0, 0, 60 },
		{ 100, 1, 1, 0, 0, 0 },
		{ 26, 13, 1, 0, 0, 0 },
		{ 255, 255, 255, 255, 255, 255 },
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(wire_time_decode(wrong[i]) == WIRE_TIME_NONE);
	assert_true(wire_time_decode((const uint8_t[]){ 24, 2, 29, 0, 0, 0 }) != WIRE_TIME_NONE);
	wire_time_encode(WIRE_TIME_NONE, b);
	assert_int_equal(b[0], 0);
	wire_time_encode(INT64_MAX, b);
	assert_int_equal(b[0], 99);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header_v),
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_header_p),
		cmocka_unit_test(test_vin_unknown_is_of_the_2025_edition),
		cmocka_unit_test(test_meanings),
		cmocka_unit_test(test_downlink_answer),
		cmocka_unit_test(test_ciphertext_has_no_time_to_keep),
		cmocka_unit_test(test_identity_is_repeated_with_its_padding),
		cmocka_unit_test(test_wire_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The smaller units: login, logout, tamper alarm, activation, platform login; and fault codes. */

#include <string.h>

#include "proto/wire/dtc.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

#define NOW  (SAMPLE_TIME + 60)
#define TIME 26, 7, 24, 12, 0, 0

static struct frame with_unit(uint8_t start, enum header header, uint8_t command,
			      const uint8_t *unit, size_t size)
{
	struct frame f = sample_frame(start, header, command);

	f.unit = unit;
	f.unit_size = size;
	return f;
}

/* GB 17691 table of the login: time, serial, ICCID. */
static const uint8_t login_unit[28] = {
	TIME, 0x00, 0x03, '8', '9', '8', '6', '1', '1', '1', '9', '2',
	'2',  '2',  '0',  '3', '5', '5', '0', '7', '8', '7', '7',
};

static void test_login(void **state)
{
	struct frame f = with_unit(0x23, HEADER_V, 0x01, login_unit, sizeof(login_unit));
	uint8_t built[64];
	struct login login;

	(void)state;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	assert_int_equal(login.at, SAMPLE_TIME);
	assert_int_equal(login.serial, 3);
	assert_string_equal(login.iccid, "898611192220355078"
					 "77");
	assert_int_equal(unit_login(SAMPLE_TIME, 3, login.iccid, HEADER_V, built, sizeof(built)),
			 sizeof(login_unit));
	assert_memory_equal(built, login_unit, sizeof(login_unit));
	assert_int_equal(unit_login(SAMPLE_TIME, 3, login.iccid, HEADER_V, built, 27), 0);
	f.unit_size--;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_BAD_UNIT);
	f.encryption = 0x02;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ENCRYPTED);
}

/* Method: the lists of storage codes behind the ICCID: consumed exactly, or refused. */
static void test_login_with_storage_codes(void **state)
{
	uint8_t unit[28 + 4 + 3 * 24] = { 0 };
	struct frame f = with_unit(0x23, HEADER_P, 0x01, unit, 28 + 2);
	struct login login;

	(void)state;
	memcpy(unit, login_unit, sizeof(login_unit));
	unit[28] = 1;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	unit[28] = 3;
	unit[29] = 24;
	f.unit_size = 30 + 3 * 24;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	f.unit_size--;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_BAD_UNIT);
	f.start = 0x24; /* two systems with one and two packs */
	unit[28] = 2;
	unit[29] = 1;
	unit[30] = 2;
	f.unit_size = 31 + 3 * 24;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	f.header = HEADER_V;
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_BAD_UNIT);
}

static void test_login_text_is_safe_to_print(void **state)
{
	uint8_t unit[28];
	const struct frame f = with_unit(0x23, HEADER_V, 0x01, unit, sizeof(unit));
	struct login login;

	(void)state;
	memcpy(unit, login_unit, sizeof(unit));
	memcpy(unit + 8,
	       "\x01"
	       "98\n1\xFF"
	       "192220355  \0\0\0",
	       20);
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	assert_string_equal(login.iccid, "?98?1?192220355");
}

static void test_logout(void **state)
{
	static const uint8_t unit[8] = { TIME, 0x01, 0x02 };
	struct frame f = with_unit(0x23, HEADER_V, 0x04, unit, sizeof(unit));
	uint8_t built[8];
	struct logout logout;

	(void)state;
	assert_int_equal(logout_decode(&f, NOW, &logout), VERDICT_ACCEPTED);
	assert_int_equal(logout.at, SAMPLE_TIME);
	assert_int_equal(logout.serial, 0x0102);
	assert_int_equal(unit_logout(SAMPLE_TIME, 0x0102, built, sizeof(built)), 8);
	assert_memory_equal(built, unit, 8);
	f.unit_size = 7;
	assert_int_equal(logout_decode(&f, NOW, &logout), VERDICT_BAD_UNIT);
}

/* Method: every unit that starts with a time refuses month 99, and says "encrypted" if so marked.
 */
static void test_impossible_time(void **state)
{
	uint8_t unit[169] = { 26, 99, 24, 12, 0, 0 };
	struct frame f = with_unit(0x23, HEADER_V, 0x01, unit, 0);
	struct login login;
	struct logout logout;
	struct tamper_alarm alarm;
	struct activation activation;
	struct platform_login platform;

	(void)state;
	unit[103] = unit[136] = 32;
	for (int encrypted = 0; encrypted < 2; encrypted++) {
		const enum verdict want = encrypted ? VERDICT_ENCRYPTED : VERDICT_BAD_TIME;

		f.encryption = encrypted ? 0x03 : 0x01;
		f.unit_size = 28;
		assert_int_equal(login_decode(&f, NOW, &login), want);
		f.unit_size = 8;
		assert_int_equal(logout_decode(&f, NOW, &logout), want);
		f.unit_size = 17;
		assert_int_equal(tamper_alarm_decode(&f, NOW, &alarm), want);
		f.unit_size = 169;
		assert_int_equal(activation_decode(&f, NOW, &activation), want);
		f.unit_size = 41;
		assert_int_equal(platform_login_decode(&f, NOW, &platform), want);
	}
}

/* HJ 1239.3: time, serial, position status, longitude, latitude. */
static void test_tamper_alarm(void **state)
{
	uint8_t unit[17] = {
		TIME, 0x00, 0x05, 0x00, 0x07, 0x2D, 0xEB, 0xD0, 0x02, 0x7A, 0x4E, 0xD0
	};
	struct frame f = with_unit(0x23, HEADER_V, 0x06, unit, sizeof(unit));
	struct tamper_alarm alarm;

	(void)state;
	assert_int_equal(tamper_alarm_decode(&f, NOW, &alarm), VERDICT_ACCEPTED);
	assert_int_equal(alarm.at, SAMPLE_TIME);
	assert_int_equal(alarm.serial, 5);
	assert_true(alarm.position_valid);
	assert_float_equal(alarm.lon, 120.45, 1e-9);
	assert_float_equal(alarm.lat, 41.57, 1e-9);
	unit[8] = 0x01;
	assert_int_equal(tamper_alarm_decode(&f, NOW, &alarm), VERDICT_ACCEPTED);
	assert_false(alarm.position_valid);
	f.unit_size = 16;
	assert_int_equal(tamper_alarm_decode(&f, NOW, &alarm), VERDICT_BAD_UNIT);
}

static void test_activation(void **state)
{
	uint8_t unit[169] = { TIME };
	struct frame f = with_unit(0x23, HEADER_V, 0x07, unit, sizeof(unit));
	struct activation a;
	uint8_t answer[2];

	(void)state;
	memcpy(unit + 6, "CHIP0123456789AB", 16);
	memset(unit + 22, 0xEE, 64);
	memcpy(unit + 86, SAMPLE_VIN, 17);
	unit[103] = unit[136] = 32;
	memset(unit + 104, 0xAA, 32);
	memset(unit + 137, 0xBB, 32);
	assert_int_equal(activation_decode(&f, NOW, &a), VERDICT_ACCEPTED);
	assert_string_equal(a.chip_id, "CHIP0123456789AB");
	assert_string_equal(a.vin, SAMPLE_VIN);
	assert_ptr_equal(a.public_key, unit + 22);
	assert_ptr_equal(a.signature.r, unit + 104);
	assert_ptr_equal(a.signature.s, unit + 137);
	assert_ptr_equal(a.signature.bytes, unit);
	assert_int_equal(a.signature.size, 103);
	unit[103] = 31;
	assert_int_equal(activation_decode(&f, NOW, &a), VERDICT_BAD_UNIT);
	unit[103] = 255;
	assert_int_equal(activation_decode(&f, NOW, &a), VERDICT_BAD_UNIT);
	assert_int_equal(activation_answer_encode(2, 1, answer, 2), 2);
	assert_int_equal(answer[0], 2);
	assert_int_equal(answer[1], 1);
	assert_int_equal(activation_answer_encode(2, 1, answer, 1), 0);
}

static void test_platform_login(void **state)
{
	uint8_t unit[41] = { TIME, 0x00, 0x01 };
	struct frame f = with_unit(0x23, HEADER_P, 0x05, unit, sizeof(unit));
	struct platform_login login;
	char json[1024];

	(void)state;
	memcpy(unit + 8, "city-jinzhou", 12);
	memcpy(unit + 20, "a secret of 20 bytes", 20);
	unit[40] = 1;
	assert_int_equal(platform_login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	assert_string_equal(login.user, "city-jinzhou");
	assert_string_equal(login.password, "a secret of 20 bytes");
	assert_int_equal(login.encryption, 1);
	/* Conformance case 13: never shown. */
	frame_json(&f, LAYOUT_UNKNOWN, NOW, json, sizeof(json));
	assert_non_null(strstr(json, "city-jinzhou"));
	assert_null(strstr(json, "secret"));
	f.unit_size = 40;
	assert_int_equal(platform_login_decode(&f, NOW, &login), VERDICT_BAD_UNIT);
}

/* Method: the text of a frame, cut at every size, never writes behind its end. */
static void test_frame_json_is_cut(void **state)
{
	const struct frame f = with_unit(0x23, HEADER_V, 0x01, login_unit, sizeof(login_unit));
	char whole[1024], part[1024];
	const size_t n = frame_json(&f, LAYOUT_UNKNOWN, NOW, whole, sizeof(whole));

	(void)state;
	assert_int_equal(n, strlen(whole));
	assert_string_equal(
		whole,
		"{\"start\":\"##\",\"header\":\"V\",\"protocol\":\"GB 17691-2018\",\"command\":1,"
		"\"command_name\":\"login\",\"software_version\":1,"
		"\"vin\":\"LGAG4DY33N3000001\",\"encryption\":1,\"unit_size\":28,"
		"\"verdict\":\"accepted\",\"at\":\"2026-07-24T12:00:00+08:00\",\"serial\":3,"
		"\"iccid\":\"89861119222035507877\"}");
	for (size_t size = 0; size <= n; size++) {
		memset(part, 'x', sizeof(part));
		assert_int_equal(frame_json(&f, LAYOUT_UNKNOWN, NOW, part, size), n);
		assert_int_equal(part[size], 'x');
		if (size > 0) {
			assert_memory_equal(part, whole, size - 1);
			assert_int_equal(part[size - 1], '\0');
		}
	}
}

static void test_fault_codes(void **state)
{
	static const struct {
		uint8_t raw[DTC_SIZE];
		uint8_t protocol;
		const char *text;
		uint32_t spn;
		uint8_t fmi;
		int after_treatment;
	} rows[] = {
		/* J1939 DM1: SPN 4364 = 0x110C, FMI 18 */
		{ { 0x0C, 0x11, 0x12, 0x00 }, 2, "SPN 4364 FMI 18", 4364, 18, 1 },
		{ { 0xFF, 0xFF, 0xFF, 0x7F }, 2, "SPN 524287 FMI 31", 524287, 31, 0 },
		{ { 0x64, 0x00, 0x01, 0x81 }, 2, "SPN 100 FMI 1", 100, 1, 0 },
		/* SPN 1761 = 0x06E1: the reagent tank is low, which accuses nobody */
		{ { 0xE1, 0x06, 0x12, 0x00 }, 2, "SPN 1761 FMI 18", 1761, 18, 0 },
		{ { 0xD1, 0x16, 0x1F, 0x00 }, 2, "SPN 5841 FMI 31", 5841, 31, 1 },
		{ { 0x20, 0xEE, 0x00, 0x00 }, 0, "P20EE-00", 0, 0, 1 },
		{ { 0x20, 0x3D, 0x00, 0x00 }, 0, "P203D-00", 0, 0, 0 },
		{ { 0x06, 0x47, 0xF0, 0x09 }, 1, "P0647-F0", 0, 0, 0 },
		{ { 0xC1, 0x0F, 0x29, 0x01 }, 1, "U010F-29", 0, 0, 0 },
		{ { 0x14, 0x56, 0x00, 0xAF }, 1, "P1456-00", 0, 0, 0 },
		{ { 0xE0, 0x02, 0x00, 0xAF }, 1, "U2002-00", 0, 0, 0 },
		{ { 0x24, 0x55, 0x00, 0xAF }, 1, "P2455-00", 0, 0, 1 },
		{ { 0x41, 0x23, 0x11, 0x00 }, 0xFE, "C0123-11", 0, 0, 0 },
		{ { 0x93, 0xAB, 0x11, 0x00 }, 7, "B13AB-11", 0, 0, 0 },
	};
	struct dtc d;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		dtc_decode(rows[i].raw, rows[i].protocol, &d);
		assert_string_equal(d.text, rows[i].text);
		assert_int_equal(d.spn, rows[i].spn);
		assert_int_equal(d.fmi, rows[i].fmi);
		assert_memory_equal(d.raw, rows[i].raw, DTC_SIZE);
		assert_int_equal(dtc_after_treatment(&d), rows[i].after_treatment);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_login_with_storage_codes),
		cmocka_unit_test(test_login_text_is_safe_to_print),
		cmocka_unit_test(test_logout),
		cmocka_unit_test(test_impossible_time),
		cmocka_unit_test(test_tamper_alarm),
		cmocka_unit_test(test_activation),
		cmocka_unit_test(test_platform_login),
		cmocka_unit_test(test_frame_json_is_cut),
		cmocka_unit_test(test_fault_codes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

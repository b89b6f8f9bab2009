/* Information bodies beyond their numbers: fault codes behind the OBD part, and the position. */

#include <string.h>

#include "proto/wire/dtc.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

static void test_obd_information(void **state)
{
	uint8_t body[OBD_SIZE + 2 * DTC_SIZE] = { 2, 1 };
	const uint8_t *list;
	char json[2048];
	const struct block b = { .info = &info_obd,
				 .type = INFO_OBD,
				 .at = SAMPLE_TIME,
				 .body = body,
				 .size = sizeof(body) };

	(void)state;
	body[95] = 2;
	memcpy(body + OBD_SIZE, "\x0C\x11\x12\x00\xE0\x0D\x0A\x83", 8);
	assert_int_equal(info_obd.size(body, sizeof(body)), sizeof(body));
	assert_int_equal(info_obd.size(body, sizeof(body) - 1), 0);
	assert_int_equal(info_dtcs(body, sizeof(body), &list), 2);
	assert_ptr_equal(list, body + OBD_SIZE);
	block_json(&b, json, sizeof(json));
	assert_non_null(strstr(json, "\"at\":\"2026-07-24T12:00:00+08:00\""));
	assert_non_null(strstr(json, "\"mil\":1"));
	assert_non_null(strstr(json,
			       "\"dtcs\":[{\"raw\":\"0C111200\",\"text\":\"SPN 4364 FMI 18\"},"
			       "{\"raw\":\"E00D0A83\",\"text\":\"SPN 3552 FMI 10\"}]"));
	body[95] = 0xFE; /* the number itself is abnormal: no list */
	assert_int_equal(info_obd.size(body, sizeof(body)), OBD_SIZE);
	assert_int_equal(info_dtcs(body, sizeof(body), &list), 0);
}

static void test_position(void **state)
{
	uint8_t body[STREAM_SIZE] = { 0 };
	double lon = 0, lat = 0;

	(void)state;
	field_put(&info_stream.fields[STREAM_lon], body, 120.45);
	field_put(&info_stream.fields[STREAM_lat], body, 41.57);
	assert_true(info_position(&info_stream, body, &lon, &lat));
	assert_float_equal(lon, 120.45, 1e-9);
	assert_float_equal(lat, 41.57, 1e-9);
	body[24] = 2 | 4;
	assert_true(info_position(&info_stream, body, &lon, &lat));
	assert_float_equal(lon, -120.45, 1e-9);
	assert_float_equal(lat, -41.57, 1e-9);
	body[24] = 1;
	assert_false(info_position(&info_stream, body, &lon, &lat));
	body[24] = 0;
	field_put_raw(&info_stream.fields[STREAM_lat], body, 90000001);
	assert_false(info_position(&info_stream, body, &lon, &lat));
	field_put_raw(&info_stream.fields[STREAM_lat], body, UINT32_MAX);
	assert_false(info_position(&info_stream, body, &lon, &lat));
	assert_false(info_position(&info_hybrid, body, &lon, &lat));
	assert_false(info_position(NULL, body, &lon, &lat));

	/* 2025: shifted coordinates are not WGS-84. */
	const struct info *position = info_find(INFO_EV_2025, 0x05);

	memset(body, 0, sizeof(body));
	body[1] = 2;
	assert_false(info_position(position, body, &lon, &lat));
	body[1] = 1;
	assert_true(info_position(position, body, &lon, &lat));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_obd_information),
		cmocka_unit_test(test_position),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

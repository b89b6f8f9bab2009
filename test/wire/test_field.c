/* Fields: every row of every table, read and written, with the marks for "no value". */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "test/wire/cm.h"
#include "test/wire/sample.h"

static const struct field byte_field = { .name = "b",
					 .offset = 1,
					 .size = 1,
					 .kind = FIELD_NUMBER,
					 .scale = 1,
					 .bias = -40,
					 .max = 0xFA };
static const struct field word_field = { .name = "w",
					 .offset = 0,
					 .size = 2,
					 .kind = FIELD_NUMBER,
					 .scale = 0.05,
					 .bias = -200,
					 .max = 0xFAFF };
static const struct field long_field = {
	.name = "l", .offset = 0, .size = 4, .kind = FIELD_NUMBER, .scale = 0.1, .max = 0xFAFFFFFF
};

static bool is_number(const struct field *f)
{
	return f->kind == FIELD_NUMBER || f->kind == FIELD_CODE || f->kind == FIELD_BITS;
}

static void test_presence(void **state)
{
	(void)state;
	assert_int_equal(field_presence(&byte_field, 0xFA), FIELD_PRESENT);
	assert_int_equal(field_presence(&byte_field, 0xFB), FIELD_RESERVED);
	assert_int_equal(field_presence(&byte_field, 0xFE), FIELD_ABNORMAL);
	assert_int_equal(field_presence(&byte_field, 0xFF), FIELD_INVALID);
	assert_int_equal(field_presence(&word_field, 0xFAFF), FIELD_PRESENT);
	assert_int_equal(field_presence(&word_field, 0xFB00), FIELD_RESERVED);
	assert_int_equal(field_presence(&word_field, 0xFEFF), FIELD_ABNORMAL);
	assert_int_equal(field_presence(&word_field, 0xFFFE), FIELD_ABNORMAL);
	assert_int_equal(field_presence(&word_field, 0xFF00), FIELD_INVALID);
	assert_int_equal(field_presence(&word_field, 0xFFFF), FIELD_INVALID);
	assert_int_equal(field_presence(&long_field, 0xFAFFFFFF), FIELD_PRESENT);
	assert_int_equal(field_presence(&long_field, 0xFE000000), FIELD_ABNORMAL);
	assert_int_equal(field_presence(&long_field, 0xFFFFFFFE), FIELD_ABNORMAL);
	assert_int_equal(field_presence(&long_field, 0xFFFFFFFF), FIELD_INVALID);
}

/* Method: absent leaves the caller's value alone; zero is a value. */
static void test_absent_is_not_zero(void **state)
{
	uint8_t body[4] = { 0 };
	double value = 12345;

	(void)state;
	field_put(&word_field, body, NAN);
	assert_int_equal(body[0], 0xFF);
	assert_int_equal(body[1], 0xFF);
	assert_false(field_value(&word_field, body, &value));
	assert_true(value == 12345);
	body[0] = 0xFE;
	assert_false(field_value(&word_field, body, &value));
	assert_true(value == 12345);
	field_put_raw(&word_field, body, 0);
	assert_true(field_value(&word_field, body, &value));
	assert_true(value == -200);
}

static void test_put_clamps(void **state)
{
	uint8_t body[4] = { 0 };

	(void)state;
	field_put(&byte_field, body, 1e9);
	assert_int_equal(body[1], 0xFA);
	field_put(&byte_field, body, -1e9);
	assert_int_equal(body[1], 0);
	field_put(&byte_field, body, INFINITY);
	assert_int_equal(body[1], 0xFA);
	field_put(&word_field, body, 12.62);
	assert_int_equal(field_raw(&word_field, body), (200 + 12.6) / 0.05);
}

/* Method: each table's fields fill its fixed part without gap or overlap, names are unique. */
static void test_tables_are_sound(void **state)
{
	(void)state;
	for (size_t i = 0; info_all[i] != NULL; i++) {
		const struct info *info = info_all[i];
		size_t at = 0;

		for (size_t j = 0; j < info->field_count; j++) {
			const struct field *f = &info->fields[j];

			assert_int_equal(f->offset, at);
			at += f->size;
			assert_ptr_equal(info_field(info, f->name), f);
			assert_true(f->label[0] != '\0' && f->doc[0] != '\0');
			if (is_number(f))
				assert_true(f->max <= UINT32_MAX >> (32 - 8 * f->size));
		}
		assert_int_equal(at, info->fixed_size);
		assert_ptr_equal(info_find(info->family, info->type), info);
	}
	assert_null(info_find(INFO_EMISSION, 0x06));
	assert_null(info_field(&info_stream, "no_such_field"));
}

/* Method: for every row, a spread of raw values: value back to raw is the same raw. */
static void test_value_and_raw_agree(void **state)
{
	(void)state;
	for (size_t i = 0; info_all[i] != NULL; i++) {
		for (size_t j = 0; j < info_all[i]->field_count; j++) {
			const struct field *f = &info_all[i]->fields[j];
			uint8_t body[256] = { 0 }, again[256] = { 0 };
			const uint64_t step = f->max / 997 + 1;
			double value;

			if (!is_number(f) || f->kind == FIELD_BITS)
				continue;
			for (uint64_t raw = 0; raw <= f->max; raw += step) {
				field_put_raw(f, body, (uint32_t)raw);
				assert_true(field_value(f, body, &value));
				field_put(f, again, value);
				assert_int_equal(field_raw(f, again), raw);
			}
		}
	}
}

/* Method: the JSON text, read back, names the same raw value: no digit that matters is lost. */
static void test_json_keeps_every_raw_value(void **state)
{
	(void)state;
	for (size_t i = 0; info_all[i] != NULL; i++) {
		for (size_t j = 0; j < info_all[i]->field_count; j++) {
			const struct field *f = &info_all[i]->fields[j];
			uint8_t body[256] = { 0 }, again[256] = { 0 };
			const uint64_t step = f->max / 499 + 1;
			char text[64];
			double value;

			if (!is_number(f) || f->kind == FIELD_BITS)
				continue;
			for (uint64_t raw = 0; raw <= f->max; raw += step) {
				field_put_raw(f, body, (uint32_t)raw);
				field_json(f, body, text, sizeof(text));
				assert_int_equal(sscanf(text, "%lf", &value), 1);
				field_put(f, again, value);
				assert_int_equal(field_raw(f, again), raw);
			}
			if (f->max == UINT32_MAX >> (32 - 8 * f->size))
				continue;
			field_put(f, body, NAN);
			field_json(f, body, text, sizeof(text));
			assert_string_equal(text, "null");
		}
	}
}

static void check_json(const struct field *f, uint32_t raw, const char *want)
{
	uint8_t body[64] = { 0 };
	char text[64];

	field_put_raw(f, body, raw);
	assert_int_equal(field_json(f, body, text, sizeof(text)), strlen(want));
	assert_string_equal(text, want);
}

static void test_json_numbers(void **state)
{
	const struct field *stream = info_stream.fields;
	uint8_t body[64] = { 0 };
	char text[4];

	(void)state;
	check_json(&stream[STREAM_speed_kmh], 0x2621, "38.12890625");
	check_json(&stream[STREAM_speed_kmh], 0xFAFF, "250.99609375");
	check_json(&stream[STREAM_nox_downstream_ppm], 3999, "-0.05");
	check_json(&stream[STREAM_nox_downstream_ppm], 4000, "0");
	check_json(&stream[STREAM_lon], 120450000, "120.45");
	check_json(&stream[STREAM_scr_in_c], 8736, "0");
	check_json(&stream[STREAM_odometer_km], 0xFAFFFFFF, "421108121.5");
	check_json(&stream[STREAM_coolant_c], 0, "-40");
	/* Cut like snprintf: the length is the whole, the text what fits. */
	field_put_raw(&stream[STREAM_lon], body, 120450000);
	assert_int_equal(field_json(&stream[STREAM_lon], body, text, sizeof(text)), 6);
	assert_string_equal(text, "120");
	assert_int_equal(field_json(&stream[STREAM_lon], body, NULL, 0), 6);
}

static void check_text(const struct field *f, const char *bytes, const char *want)
{
	uint8_t body[OBD_SIZE] = { 0 };
	char text[FIELD_STRING_SIZE];

	memcpy(body + f->offset, bytes, f->size);
	assert_int_equal(field_string(f, body, text), strlen(want));
	assert_string_equal(text, want);
}

/* Method: the paddings that terminals are known to use. */
static void test_identification_texts(void **state)
{
	const struct field *id = &info_obd.fields[OBD_calibration_id];
	const struct field *cvn = &info_obd.fields[OBD_cvn];
	const struct field *vin = &info_obd.fields[OBD_vin];

	(void)state;
	check_text(id, "MD1CC878 4J H00200", "MD1CC878 4J H00200");
	check_text(id, "YCY30165-60     \0\0", "YCY30165-60");
	check_text(id, "AB12000000000000000", "AB12");
	check_text(id, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "");
	check_text(cvn,
		   "\x06\x78\xB4\x95"
		   "00000000000000",
		   "0678B495");
	check_text(cvn, "\xEC\x40\xA1\xBF\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "EC40A1BF");
	check_text(cvn, "0678B4950000000000", "0678B495");
	check_text(cvn, "\x41\x42\x43\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "41424300");
	check_text(vin, "LGAG4DY33N3000000", "LGAG4DY33N3000000");
	check_text(vin, "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", "");
	check_text(vin, "?????????????????", "?????????????????");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_presence),
		cmocka_unit_test(test_absent_is_not_zero),
		cmocka_unit_test(test_put_clamps),
		cmocka_unit_test(test_tables_are_sound),
		cmocka_unit_test(test_value_and_raw_agree),
		cmocka_unit_test(test_json_keeps_every_raw_value),
		cmocka_unit_test(test_json_numbers),
		cmocka_unit_test(test_identification_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

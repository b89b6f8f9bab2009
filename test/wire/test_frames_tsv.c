/*
 * Frames of other people, from real terminals and open programs: read in place, never copied here.
 * HAULGATE_FRAMES_TSV names the file; else the reference folder beside the repository.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "proto/record/pack.h"
#include "proto/wire/signature.h"
#include "test/wire/cm.h"
#include "test/wire/sample.h"

enum { ROWS_MAX = 256, LINE_MAX_SIZE = 200 * 1024 };

/* 2026-07-24: after the youngest frame. */
#define NOW SAMPLE_TIME

struct row {
	char protocol[128], command[256];
	uint8_t *bytes;
	size_t size;
	bool good;
};

static struct row rows[ROWS_MAX];
static size_t row_count;
static struct report report;

static char *column(char **rest)
{
	char *start = *rest;
	char *end = start != NULL ? strpbrk(start, "\t\r\n") : NULL;

	assert_non_null(end);
	*rest = end + 1;
	*end = '\0';
	return start;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
	size_t n = 0;
	unsigned byte;

	for (; sscanf(hex, "%2x", &byte) == 1; hex += 2)
		out[n++] = (uint8_t)byte;
	return n;
}

static int read_rows(void **state)
{
	const char *path = getenv("HAULGATE_FRAMES_TSV");
	static char line[LINE_MAX_SIZE];
	FILE *file = fopen(path != NULL ? path : FRAMES_TSV_DEFAULT, "r");

	(void)state;
	if (file == NULL)
		return 0; /* each test says that it is skipped */
	assert_non_null(fgets(line, sizeof(line), file));
	while (fgets(line, sizeof(line), file) != NULL && row_count < ROWS_MAX) {
		struct row *row = &rows[row_count++];
		char *rest = line;

		snprintf(row->protocol, sizeof(row->protocol), "%.127s", column(&rest));
		snprintf(row->command, sizeof(row->command), "%.255s", column(&rest));
		const char *hex = column(&rest);

		row->bytes = malloc(strlen(hex) / 2);
		assert_non_null(row->bytes);
		row->size = from_hex(hex, row->bytes);
		column(&rest);
		row->good = strncmp(column(&rest), "yes", 3) == 0;
	}
	fclose(file);
	return 0;
}

static int free_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < row_count; i++)
		free(rows[i].bytes);
	return 0;
}

static void need_rows(void)
{
	if (row_count > 0)
		return;
	print_message("skipped: absent: set HAULGATE_FRAMES_TSV to the file of frames\n");
	skip();
}

static struct frame scan(const struct row *row)
{
	struct frame f;
	size_t used;

	assert_int_equal(frame_scan(row->bytes, row->size, FRAME_UNIT_MAX, &f, &used), SCAN_FRAME);
	assert_int_equal(used, row->size);
	return f;
}

/* The row whose protocol and command start so. */
static struct frame find(const char *protocol, const char *command)
{
	for (size_t i = 0; i < row_count; i++)
		if (strncmp(rows[i].protocol, protocol, strlen(protocol)) == 0 &&
		    strstr(rows[i].command, command) != NULL && rows[i].good)
			return scan(&rows[i]);
	fail_msg("no row %s / %s", protocol, command);
	abort();
}

static enum verdict decode(const struct frame *f)
{
	struct login login;
	struct logout logout;
	struct activation activation;
	struct platform_login platform;

	switch (frame_meaning(f)) {
	case MEANING_LOGIN:
		return login_decode(f, NOW, &login);
	case MEANING_LOGOUT:
	case MEANING_PLATFORM_LOGOUT:
		return logout_decode(f, NOW, &logout);
	case MEANING_REPORT:
		return report_decode(f, LAYOUT_UNKNOWN, NOW, &report);
	case MEANING_ACTIVATION:
		return activation_decode(f, NOW, &activation);
	case MEANING_PLATFORM_LOGIN:
		return platform_login_decode(f, NOW, &platform);
	default:
		return VERDICT_ACCEPTED; /* without unit, or not ours to read */
	}
}

/* What is in the report comes back out of the stored column. */
static void check_stored(void)
{
	static uint8_t packed[PACK_SIZE_MAX];
	static struct unpacked unpacked;
	const size_t n =
		blocks_pack(report.blocks, report.block_count, report.at, packed, sizeof(packed));

	assert_true(n > 0);
	assert_int_equal(blocks_unpack(packed, n, report.at, &unpacked), 0);
	assert_int_equal(unpacked.block_count, report.block_count);
	for (size_t i = 0; i < report.block_count; i++) {
		assert_int_equal(unpacked.blocks[i].size, report.blocks[i].size);
		assert_memory_equal(unpacked.blocks[i].body, report.blocks[i].body,
				    report.blocks[i].size);
	}
}

static void test_every_row(void **state)
{
	size_t good = 0, bad = 0;

	(void)state;
	need_rows();
	for (size_t i = 0; i < row_count; i++) {
		struct frame f;
		size_t used;
		const enum scan got =
			frame_scan(rows[i].bytes, rows[i].size, FRAME_UNIT_MAX, &f, &used);

		if (!rows[i].good) {
			assert_int_equal(got, SCAN_BAD_CHECKSUM);
			bad++;
			continue;
		}
		assert_int_equal(got, SCAN_FRAME);
		assert_int_equal(used, rows[i].size);
		good++;
		if (f.answer != ANSWER_COMMAND)
			continue;
		if (decode(&f) != VERDICT_ACCEPTED)
			fail_msg("row %zu: %s, %s: %s", i, rows[i].protocol, rows[i].command,
				 verdict_name(decode(&f)));
		if (frame_meaning(&f) == MEANING_REPORT)
			check_stored();
	}
	print_message("%zu rows accepted, %zu with a wrong BCC refused\n", good, bad);
	assert_true(good >= 49 && bad >= 4);
}

static void assert_field(const struct block *b, const char *name, double want)
{
	const struct field *f = info_field(b->info, name);
	double value = -1e9;

	assert_non_null(f);
	assert_true(field_value(f, b->body, &value));
	assert_float_equal(value, want, 1e-9);
}

static enum presence presence(const struct block *b, const char *name)
{
	const struct field *f = info_field(b->info, name);

	assert_non_null(f);
	return field_presence(f, field_raw(f, b->body));
}

static void assert_text(const struct block *b, const char *name, const char *want)
{
	char text[FIELD_STRING_SIZE];

	field_string(info_field(b->info, name), b->body, text);
	assert_string_equal(text, want);
}

static void assert_position(const struct block *b, double lon, double lat)
{
	double x = 0, y = 0;

	assert_true(info_position(b->info, b->body, &x, &y));
	assert_float_equal(x, lon, 1e-9);
	assert_float_equal(y, lat, 1e-9);
}

static int64_t at(int year, int month, int day, int hour, int minute, int second)
{
	const uint8_t b[6] = { (uint8_t)(year - 2000), (uint8_t)month,	(uint8_t)day,
			       (uint8_t)hour,	       (uint8_t)minute, (uint8_t)second };

	return wire_time_decode(b);
}

static void test_login_values(void **state)
{
	struct login login;

	(void)state;
	need_rows();
	const struct frame f = find("GB17691", "01 login");

	assert_string_equal(f.vin, "LGDCH91G8KA141269");
	assert_int_equal(f.software_version, 1);
	assert_int_equal(f.encryption, 1);
	assert_int_equal(f.bytes[f.size - 1], 0x3A);
	assert_int_equal(login_decode(&f, NOW, &login), VERDICT_ACCEPTED);
	assert_int_equal(login.at, at(2020, 1, 8, 14, 8, 6));
	assert_int_equal(login.serial, 3);
	assert_string_equal(login.iccid, "89861119222035507877");
}

static void test_layout_a_values(void **state)
{
	char json[4096];

	(void)state;
	need_rows();
	const struct frame f = find("GB17691", "layout A");

	assert_string_equal(f.vin, "LGDCHA1G8MA127733");
	assert_int_equal(f.bytes[f.size - 1], 0x9F);
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &report), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_A);
	assert_int_equal(report.at, at(2021, 8, 14, 8, 47, 35));
	assert_int_equal(report.block_count, 2);

	const struct block *obd = &report.blocks[0], *stream = &report.blocks[1];

	assert_int_equal(obd->serial, 1);
	assert_field(obd, "obd_protocol", 1);
	assert_field(obd, "mil", 0);
	assert_field(obd, "support", 0xABDE);
	assert_field(obd, "readiness", 0xA9D6);
	assert_text(obd, "calibration_id", "YCY30165-60");
	assert_text(obd, "cvn", "EC40A1BF");
	block_json(obd, json, sizeof(json));
	for (const char *const *code =
		     (const char *const[]){ "145600AF", "E00200AF", "E06200AF", "E00900AF",
					    "204700AF", "245500AF", "E01200AF", NULL };
	     *code != NULL; code++)
		assert_non_null(strstr(json, *code));

	assert_int_equal(stream->serial, 1);
	assert_field(stream, "speed_kmh", 0);
	assert_field(stream, "baro_kpa", 98.5);
	assert_field(stream, "net_torque_pct", 0);
	assert_field(stream, "friction_torque_pct", 6);
	assert_field(stream, "engine_rpm", 0);
	assert_field(stream, "nox_upstream_ppm", -200);
	assert_field(stream, "reagent_pct", 38.8);
	assert_int_equal(presence(stream, "scr_in_c"), FIELD_ABNORMAL);
	assert_int_equal(presence(stream, "scr_out_c"), FIELD_ABNORMAL);
	assert_int_equal(presence(stream, "dpf_dp_kpa"), FIELD_ABNORMAL);
	assert_field(stream, "coolant_c", 21);
	assert_position(stream, 112.186135, 32.134654);
	assert_field(stream, "odometer_km", 4);
}

static void test_layout_c_values(void **state)
{
	(void)state;
	need_rows();
	const struct frame f = find("HJ1239", "layout C");

	assert_string_equal(f.vin, "LETYEEG23LH014309");
	assert_int_equal(f.header, HEADER_P);
	assert_int_equal(f.encryption, 3);
	assert_int_equal(f.bytes[f.size - 1], 0xB6);
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &report), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_C);
	assert_int_equal(report.protocol, PROTOCOL_HJ1239);
	assert_int_equal(report.quirks, QUIRK_PLAIN_MARKED_ENCRYPTED | QUIRK_UNSIGNED);
	assert_int_equal(report.at, at(2020, 6, 22, 17, 30, 45));
	assert_int_equal(report.serial, 0x1FE2);
	assert_int_equal(report.block_count, 3);

	const struct block *obd = &report.blocks[0], *stream = &report.blocks[1];
	const struct block *more = &report.blocks[2];

	assert_int_equal(obd->at, at(2020, 6, 20, 15, 26, 52));
	assert_field(obd, "obd_protocol", 1);
	assert_field(obd, "support", 0xDEA0);
	assert_field(obd, "readiness", 0x1EA0);
	assert_text(obd, "calibration_id", "MD1CC878 4J H00200");
	assert_text(obd, "cvn", "0678B495");
	assert_field(obd, "dtc_count", 0);
	assert_field(stream, "baro_kpa", 99.5);
	assert_field(stream, "friction_torque_pct", 5);
	assert_int_equal(presence(stream, "nox_upstream_ppm"), FIELD_INVALID);
	assert_int_equal(presence(stream, "nox_downstream_ppm"), FIELD_INVALID);
	assert_field(stream, "reagent_pct", 29.6);
	assert_field(stream, "air_flow_kgph", 8);
	assert_field(stream, "scr_in_c", 27.78125);
	assert_field(stream, "scr_out_c", 29.1875);
	assert_field(stream, "dpf_dp_kpa", 0);
	assert_field(stream, "coolant_c", 27);
	assert_position(stream, 115.713498, 28.629590);
	assert_field(stream, "odometer_km", 3);
	assert_ptr_equal(more->info, &info_supplementary);
	assert_field(more, "torque_mode", 9);
	assert_field(more, "accelerator_pct", 0);
	assert_field(more, "fuel_used_l", 20);
	assert_field(more, "reagent_tank_c", 32);
	assert_field(more, "reagent_flow_mlph", 0);
	assert_field(more, "reagent_used_g", 0);
	assert_field(more, "dpf_c", 40);
}

static void test_layout_b_signed_values(void **state)
{
	(void)state;
	need_rows();
	const struct frame f = find("GB17691-2018 (2019", "layout B");

	assert_string_equal(f.vin, "LWHTEST1234567895");
	assert_int_equal(f.software_version, 0x11);
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &report), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_B_SIGNED);
	assert_int_equal(report.at, at(2019, 6, 3, 15, 25, 59));
	assert_int_equal(report.serial, 4);
	assert_int_equal(report.block_count, 2);
	assert_field(&report.blocks[0], "obd_protocol", 1);
	assert_field(&report.blocks[1], "speed_kmh", 0x2621 / 256.0);
	assert_non_null(report.signature.r);
	assert_non_null(report.signature.s);
}

static void test_other_values(void **state)
{
	struct logout logout;

	(void)state;
	need_rows();
	struct frame f = find("GB/T32960.3-2016", "04 logout");

	assert_int_equal(logout_decode(&f, NOW, &logout), VERDICT_ACCEPTED);
	assert_int_equal(logout.at, at(2025, 10, 27, 20, 2, 2));
	assert_int_equal(logout.serial, 0x0802);

	f = find("GB17691", "[01 OBD only]");
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &report), VERDICT_ACCEPTED);
	assert_true((report.quirks & QUIRK_LAYOUT_GUESSED) != 0);
	assert_int_equal(report_decode(&f, LAYOUT_B, NOW, &report), VERDICT_ACCEPTED);
	assert_int_equal(report.layout, LAYOUT_B);

	f = find("GB/T32960.3-2025", "addtional unknown data");
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, NOW, &report), VERDICT_ACCEPTED);
	assert_true((report.quirks & QUIRK_UNKNOWN_INFO) != 0);
	assert_non_null(report.signature.bytes);

	f = find("private", "C5");
	assert_int_equal(frame_meaning(&f), MEANING_UNKNOWN);
}

/* Method: answers of the reference are answers: none is answered. */
static void test_answers_are_not_answered(void **state)
{
	uint8_t reply[64];
	size_t seen = 0;

	(void)state;
	need_rows();
	for (size_t i = 0; i < row_count; i++) {
		if (!rows[i].good)
			continue;
		const struct frame f = scan(&rows[i]);

		if (f.answer == ANSWER_COMMAND)
			continue;
		assert_int_equal(frame_answer(&f, ANSWER_SUCCESS, true, NOW, reply, sizeof(reply)),
				 0);
		seen++;
	}
	assert_true(seen >= 3);
}

/* Method: our answer to a login of the reference is the answer that the reference has. */
static void test_our_answer_is_theirs(void **state)
{
	uint8_t reply[64];

	(void)state;
	need_rows();
	static const char *const editions[] = { "GB/T32960.3-2016", "GB/T32960.3-2025" };

	for (size_t i = 0; i < 2; i++) {
		const struct frame login = find(editions[i], "01 login");
		const struct frame theirs = find(editions[i], "REPLY");

		assert_int_equal(
			frame_answer(&login, ANSWER_SUCCESS, false, NOW, reply, sizeof(reply)),
			theirs.size);
		assert_memory_equal(reply, theirs.bytes, theirs.size);
	}
}

/* The public test key of beidouchangxi/rtm_con, tests/rtm_con: it signed the 2025 samples. */
static const char rtm_con_key[] =
	"-----BEGIN PUBLIC KEY-----\n"
	"MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtXpm9jW8fB7n5V6ykPDX\n"
	"WslcLQuTPo/+GB9+PV5/ftXp8ueFiuGW8L6hvf+GzMSMvIjil8ji7iIwBwFAJc5M\n"
	"m0QzGDBJ1Ts8vBRLPI4R3XavYa9kESifDyNSbH8Ln3vHjtJEdfB0UZCzFIn9r8zO\n"
	"+Njj7I5YiutaywvJT+UMGahBexgbJdcdNysECv9cN8mVO/mTSx5bsbh9yMqqu5Z/\n"
	"J97RUXTch/j/wEMcWgitlLmFrRMXRu7aT69My6kGG1lw7z7Ocb+65L9jEygmJcNA\n"
	"wG4cnq9pwIQBmEN77ZyepIo/8UQRTEFCnEyrd+e+71IbawNW2SHa4c+fa0RfRg6E\n"
	"iwIDAQAB\n"
	"-----END PUBLIC KEY-----\n";

/* Method: every RSA signature of the reference is valid, and not over one byte less. */
static void test_other_peoples_signatures(void **state)
{
	struct signature_key *key;
	uint8_t der[512], *end = der;
	enum signature_user user;
	size_t seen = 0;
	EVP_PKEY *pair;
	BIO *bio;

	(void)state;
	need_rows();
	bio = BIO_new_mem_buf(rtm_con_key, -1);
	pair = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
	key = signature_key_new(ALGORITHM_RSA, der, (size_t)i2d_PUBKEY(pair, &end), NULL);
	assert_non_null(key);
	for (size_t i = 0; i < row_count; i++) {
		const struct frame f = rows[i].good ? scan(&rows[i]) : (struct frame){ 0 };

		if (f.start != 0x24 || frame_meaning(&f) != MEANING_REPORT ||
		    decode(&f) != VERDICT_ACCEPTED || report.signature.algorithm != ALGORITHM_RSA)
			continue;
		assert_true(signature_verify(key, &report.signature, &user));
		report.signature.size--;
		assert_false(signature_verify(key, &report.signature, &user));
		seen++;
	}
	assert_int_equal(seen, 8);
	signature_key_free(key);
	EVP_PKEY_free(pair);
	BIO_free(bio);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),
		cmocka_unit_test(test_login_values),
		cmocka_unit_test(test_layout_a_values),
		cmocka_unit_test(test_layout_c_values),
		cmocka_unit_test(test_layout_b_signed_values),
		cmocka_unit_test(test_other_values),
		cmocka_unit_test(test_other_peoples_signatures),
		cmocka_unit_test(test_answers_are_not_answered),
		cmocka_unit_test(test_our_answer_is_theirs),
	};

	return cmocka_run_group_tests(tests, read_rows, free_rows);
}

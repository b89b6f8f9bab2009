/* Units of the query service that need neither socket nor database. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/query/instant.h"
#include "gateway/query/negotiate.h"
#include "gateway/query/output.h"
#include "gateway/query/samples.h"
#include "gateway/query/token.h"

static int64_t parsed(const char *text, bool end)
{
	int64_t at = -1;

	assert_true(instant_parse(text, end, &at));
	return at;
}

static void test_instants_are_read(void **state)
{
	(void)state;
	assert_int_equal(parsed("1970-01-01T00:00:00Z", false), 0);
	assert_int_equal(parsed("2026-11-16T08:00:00+08:00", false), 1794787200);
	assert_int_equal(parsed("2026-11-16T08:00:00 08:00", false), 1794787200);
	assert_int_equal(parsed("2026-11-15T18:30:00-05:30", false), 1794787200);
	assert_int_equal(parsed("2026-11-16 00:00:00Z", false), 1794787200);
	assert_int_equal(parsed("2026-11-16", false), 1794758400);
	assert_int_equal(parsed("2026-11-16", true), 1794758400 + 86400);
	assert_int_equal(parsed("2028-02-29", false), 1835366400);
	/* Samples stand at whole seconds: the bound moves to the next one. */
	assert_int_equal(parsed("1970-01-01T00:00:00.5Z", false), 1);
	assert_int_equal(parsed("1970-01-01T00:00:00.000Z", false), 0);
}

static void test_what_is_no_instant_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"yesterday",
		"2026-11-16T08:00:00",
		"2026-13-01",
		"2026-02-29",
		"2026-11-31",
		"2026-11-16T24:00:00Z",
		"2026-11-16T08:60:00Z",
		"2026-11-16T08:00:00+0800",
		"2026-11-16T08:00:00+24:00",
		"2026-11-16T08:00:00.Z",
		"2026-11-16T08:00:00Z ",
		"1969-12-31",
		"2101-01-01",
		"20261116",
		"2026-11-16T08:00:00+08:00x",
	};
	int64_t at = 42;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(instant_parse(bad[i], false, &at));
	assert_int_equal(at, 42);
}

/* Method: every day of 131 years out and in again. */
static void test_instants_round_trip(void **state)
{
	char text[INSTANT_TEXT_SIZE];

	(void)state;
	for (int64_t at = 0; at < INT64_C(4133980800) - 8 * 3600; at += 86400 - 7) {
		instant_format(at, text);
		assert_int_equal(parsed(text, false), at);
	}
}

static void test_accept_is_negotiated(void **state)
{
	static const char *const types[] = { "application/json", "text/csv" };
	static const struct {
		const char *accept, *type;
	} cases[] = {
		{ NULL, "application/json" },
		{ "*/*", "application/json" },
		{ "text/csv", "text/csv" },
		{ "TEXT/CSV; charset=utf-8", "text/csv" },
		{ "text/*, application/json;q=0.5", "text/csv" },
		{ "text/csv;q=0.5, */*;q=0.8", "application/json" },
		{ "text/html,application/xhtml+xml,*/*;q=0.8", "application/json" },
		{ "application/json, text/csv", "application/json" },
		{ "text/csv;q=0, */*", "application/json" },
		{ "text/html", NULL },
		{ "text/csv;q=0", NULL },
		{ "", NULL },
		{ ",,;;q=,", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *type = negotiate_type(cases[i].accept, types, 2);

		if (cases[i].type == NULL)
			assert_null(type);
		else
			assert_string_equal(type, cases[i].type);
	}
}

static void test_text_is_escaped(void **state)
{
	struct output o;

	(void)state;
	output_init(&o, 1024);
	output_json(&o, "a\"b\\c\n辽N\xFF\xC0\xAF");
	output_bytes(&o, "", 1);
	assert_string_equal(o.data,
			    "\"a\\\"b\\\\c\\u000a辽N\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");
	o.used = 0;
	output_csv(&o, "a,\"b\"");
	output_bytes(&o, "", 1);
	assert_string_equal(o.data, "\"a,\"\"b\"\"\"");
	assert_true(text_is_plain("辽N12345", 9));
	assert_false(text_is_plain("a\0b", 3));
	assert_false(text_is_plain("\xED\xA0\x80", 3));
	assert_false(text_is_plain("\xE8\xBE", 2));
	output_release(&o);
}

static void test_output_stops_at_its_bound(void **state)
{
	struct output o;

	(void)state;
	output_init(&o, 10);
	output_text(&o, "0123456789");
	assert_false(o.failed);
	output_text(&o, "x");
	assert_true(o.failed);
	assert_int_equal(o.used, 10);
	output_release(&o);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

/* A name one character too long. */
#define TOKEN_AND_65                                                                               \
	"first-token-0123456 a123456789a123456789a123456789a123456789a123456789a123456789a1234"

static void test_tokens(void **state)
{
	static const char *const bad_lines[] = {
		"first-token-0123456 name\n",
		"first-token-0123456 name write\n",
		"first-token-0123456 name read,\x01\n",
		"first-token-0123456 na;me read\n",
		"first-token-0123456 name read command\n",
		"first-token-0123456 name ,\n",
		TOKEN_AND_65 " read\n",
	};
	char path[] = "/tmp/haulgate-token-test.XXXXXX";
	struct tokens *t = NULL;
	struct error err;

	(void)state;
	close(mkstemp(path));
	write_file(path, "# comment\n\nfirst-token-0123456\nsecond-token-012345\r\n", 0600);
	assert_int_equal(tokens_load(path, &t, &err), 0);
	assert_non_null(tokens_match(t, "first-token-0123456"));
	assert_non_null(tokens_match(t, "second-token-012345"));
	assert_null(tokens_match(t, "first-token-012345"));
	assert_null(tokens_match(t, "first-token-01234567"));
	assert_null(tokens_match(t, ""));
	assert_null(tokens_match(t, "# comment"));
	assert_non_null(tokens_authorize(t, "bearer first-token-0123456"));
	assert_null(tokens_authorize(t, "Basic first-token-0123456"));
	assert_null(tokens_authorize(t, "first-token-0123456"));
	assert_null(tokens_authorize(t, NULL));
	assert_string_equal(tokens_match(t, "second-token-012345")->name, "token 2");
	assert_int_equal(tokens_match(t, "second-token-012345")->rights, TOKEN_READ);
	tokens_free(t);

	write_file(path,
		   "plain-token-0123456\nofficer-token-01234 officer.li@bureau read,command\n"
		   "  machine-token-01234\tm-1   command \n",
		   0600);
	assert_int_equal(tokens_load(path, &t, &err), 0);
	assert_int_equal(tokens_match(t, "plain-token-0123456")->rights, TOKEN_READ);
	assert_string_equal(tokens_match(t, "officer-token-01234")->name, "officer.li@bureau");
	assert_int_equal(tokens_match(t, "officer-token-01234")->rights,
			 TOKEN_READ | TOKEN_COMMAND);
	assert_string_equal(tokens_match(t, "machine-token-01234")->name, "m-1");
	assert_int_equal(tokens_match(t, "machine-token-01234")->rights, TOKEN_COMMAND);
	assert_null(tokens_match(t, "officer-token-01234 officer.li@bureau read,command"));
	tokens_free(t);
	for (size_t i = 0; i < sizeof(bad_lines) / sizeof(bad_lines[0]); i++) {
		write_file(path, bad_lines[i], 0600);
		assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
		assert_non_null(strstr(err.text, ":1: a line is TOKEN or TOKEN NAME RIGHT"));
	}
	write_file(path, "first-token-0123456\nfirst-token-0123456 x read\n", 0600);
	assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, ":2: the token is there already"));

	write_file(path, "first-token-0123456\n", 0644);
	assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, "0600"));
	write_file(path, "short\n", 0600);
	assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, ":1:"));
	write_file(path, "\n# nothing\n", 0600);
	assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
	assert_int_equal(tokens_load("", &t, &err), ERROR_USAGE);
	unlink(path);
	assert_int_equal(tokens_load(path, &t, &err), ERROR_USAGE);
}

/* ---- samples ---- */

static struct unpacked scratch;

/* Adds a frame whose stream samples stand at the given seconds after base. */
static void add_frame(struct samples *s, int64_t base, const int *seconds, size_t n,
		      struct output *out)
{
	static uint8_t bodies[16][STREAM_SIZE], packed[PACK_SIZE_MAX];
	struct block blocks[16];
	size_t size;

	for (size_t i = 0; i < n; i++) {
		memset(bodies[i], 0xFF, STREAM_SIZE);
		field_put(info_field(&info_stream, "speed_kmh"), bodies[i], seconds[i]);
		blocks[i] = (struct block){ .info = &info_stream,
					    .type = INFO_STREAM,
					    .at = base + seconds[i],
					    .body = bodies[i],
					    .size = STREAM_SIZE };
	}
	size = blocks_pack(blocks, n, base + seconds[0], packed, sizeof(packed));
	assert_true(size > 0);
	assert_int_equal(samples_add(s, base + seconds[0], packed, size, &scratch, out), 0);
}

/* The seconds of a CSV, by its speed column: add_frame made them equal. */
static void assert_rows(struct output *out, const int *seconds, size_t n)
{
	char *line, *save;
	size_t i = 0;

	output_bytes(out, "", 1);
	assert_false(out->failed);
	for (line = strtok_r(out->data, "\n", &save); line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		assert_true(i < n);
		assert_true(strlen(line) > 26 && line[25] == ',');
		assert_int_equal(strtod(line + 26, NULL), seconds[i]);
		i++;
	}
	assert_int_equal(i, n);
}

static void test_overlapping_frames_come_out_in_order_once(void **state)
{
	const int a[] = { 0, 2, 4, 9 }, b[] = { 1, 3, 4, 5 }, c[] = { 5, 6, 20 }, d[] = { 21 };
	const int all[] = { 0, 1, 2, 3, 4, 5, 6, 9, 20, 21 };
	struct samples *s = samples_new(SAMPLES_CSV, 1000, 2000);
	struct output out;

	(void)state;
	output_init(&out, 1 << 20);
	add_frame(s, 1000, a, 4, &out);
	assert_int_equal(out.used, 0); /* nothing may leave before the next frame is known */
	add_frame(s, 1000, b, 4, &out);
	add_frame(s, 1000, c, 3, &out);
	add_frame(s, 1000, d, 1, &out);
	samples_end(s, &out);
	assert_rows(&out, all, 10);
	samples_free(s);
	output_release(&out);
}

static void test_bounds_are_half_open(void **state)
{
	const int a[] = { 0, 1, 2, 3 }, b[] = { 4, 5, 6 };
	const int all[] = { 2, 3, 4, 5 };
	struct samples *s = samples_new(SAMPLES_CSV, 1002, 1006);
	struct output out;

	(void)state;
	output_init(&out, 1 << 20);
	add_frame(s, 1000, a, 4, &out);
	add_frame(s, 1000, b, 3, &out);
	samples_end(s, &out);
	assert_rows(&out, all, 4);
	samples_free(s);
	output_release(&out);
}

/* Method: south-west of the origin, where sign and leading zeros show, and one without a fix. */
static void test_positions_carry_their_sign(void **state)
{
	static uint8_t body[STREAM_SIZE], packed[PACK_SIZE_MAX];
	static const struct {
		double lon, lat;
		uint32_t status;
		const char *text;
	} cases[] = {
		{ 0.5, 0.000001, 6, "\"lon\":-0.500000,\"lat\":-0.000001," },
		{ 120.450001, 41.57, 0, "\"lon\":120.450001,\"lat\":41.570000," },
		{ 180, 90, 0, "\"lon\":180.000000,\"lat\":90.000000," },
		{ 120, 41, 1, "\"lon\":null,\"lat\":null," },
	};
	struct output out;

	(void)state;
	output_init(&out, 1 << 20);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct samples *s = samples_new(SAMPLES_JSON, 0, 1000);
		struct block block = { .info = &info_stream,
				       .type = INFO_STREAM,
				       .at = 500,
				       .body = body,
				       .size = STREAM_SIZE };
		size_t size;

		memset(body, 0xFF, sizeof(body));
		field_put(info_field(&info_stream, "lon"), body, cases[i].lon);
		field_put(info_field(&info_stream, "lat"), body, cases[i].lat);
		field_put_raw(info_field(&info_stream, "position_status"), body, cases[i].status);
		size = blocks_pack(&block, 1, 500, packed, sizeof(packed));
		out.used = 0;
		assert_int_equal(samples_add(s, 500, packed, size, &scratch, &out), 0);
		samples_end(s, &out);
		output_bytes(&out, "", 1);
		assert_non_null(strstr(out.data, cases[i].text));
		assert_non_null(strstr(out.data, "{\"at\":\"1970-01-01T08:08:20+08:00\""));
		samples_free(s);
	}
	output_release(&out);
}

/* Method: any bytes instead of a packed column: refused or read, never a crash or an endless row.
 */
static void test_foreign_bytes_are_refused(void **state)
{
	uint8_t bytes[64];
	unsigned seed = 1;
	struct output out;

	(void)state;
	output_init(&out, 1 << 22);
	for (int round = 0; round < 20000; round++) {
		struct samples *s = samples_new(SAMPLES_JSON, 0, 100000);
		size_t n = (size_t)rand_r(&seed) % sizeof(bytes);

		for (size_t i = 0; i < n; i++)
			bytes[i] = (uint8_t)rand_r(&seed);
		if (n > 0)
			bytes[0] = (uint8_t)(round % 3);
		out.used = 0;
		(void)samples_add(s, 1000, bytes, n, &scratch, &out);
		samples_end(s, &out);
		samples_free(s);
	}
	assert_false(out.failed);
	output_release(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instants_are_read),
		cmocka_unit_test(test_what_is_no_instant_is_refused),
		cmocka_unit_test(test_instants_round_trip),
		cmocka_unit_test(test_accept_is_negotiated),
		cmocka_unit_test(test_text_is_escaped),
		cmocka_unit_test(test_output_stops_at_its_bound),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_overlapping_frames_come_out_in_order_once),
		cmocka_unit_test(test_bounds_are_half_open),
		cmocka_unit_test(test_positions_carry_their_sign),
		cmocka_unit_test(test_foreign_bytes_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

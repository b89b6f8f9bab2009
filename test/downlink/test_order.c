/* Commands as typed values: what the tables allow, the bytes of it, and what an answer says. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/downlink/order.h"
#include "test/wire/cm.h"

static struct downlink_command command;
static struct error err;
static char message[DOWNLINK_MESSAGE_SIZE];
static uint8_t unit[DOWNLINK_UNIT_MAX];

static void parse(const char *kind, const char *parameters)
{
	err.text[0] = '\0';
	if (order_parse_text(kind, parameters, &command, &err) != 0)
		fail_msg("%s %s: %s", kind, parameters, err.text);
}

static void refused(const char *kind, const char *parameters, const char *why)
{
	err.text[0] = '\0';
	assert_int_equal(order_parse_text(kind, parameters, &command, &err), ERROR_USAGE);
	if (strstr(err.text, why) == NULL)
		fail_msg("%s %s: \"%s\" does not say \"%s\"", kind, parameters, err.text, why);
}

static void encodes(enum downlink_edition edition, const void *bytes, size_t size)
{
	const size_t n = downlink_encode(&command, edition, unit, message);

	if (n == 0)
		fail_msg("refused: %s", message);
	assert_int_equal(n, size);
	assert_memory_equal(unit, bytes, size);
}

/* A literal with NULs in it. */
#define ENCODES(edition, literal) encodes(edition, literal, sizeof(literal) - 1)

/* ---- the tables ---- */

static void check_row(const struct downlink_field *f, bool seen[256])
{
	for (int e = 0; e < DOWNLINK_EDITIONS; e++) {
		const uint64_t wire = f->edition[e].max / f->edition[e].scale;

		assert_true(f->edition[e].min <= f->edition[e].max);
		if (f->type == DOWNLINK_NUMBER || f->type == DOWNLINK_YES_NO) {
			/* The two highest codes of each size are not values. */
			assert_true(f->edition[e].size == 1 || f->edition[e].size == 2);
			assert_true(wire < (UINT64_C(1) << 8 * f->edition[e].size) - 2);
		}
		if (f->type == DOWNLINK_ASCII || f->type == DOWNLINK_TEXT)
			assert_true(f->edition[e].max <= DOWNLINK_TEXT_MAX);
	}
	for (int i = 0; i < 2 && seen != NULL; i++) {
		const uint8_t id = i == 0 ? f->id : f->size_id;

		assert_true(id < 32);
		if (id != 0)
			assert_false(seen[id]);
		seen[id] = true;
	}
}

static void test_tables(void **state)
{
	bool seen[256] = { false };

	(void)state;
	for (const struct downlink_field *f = downlink_parameters; f->name != NULL; f++) {
		assert_ptr_equal(downlink_field_find(NULL, f->name), f);
		assert_int_not_equal(f->id, 0);
		check_row(f, seen);
	}
	for (int id = 1; id <= 0x10; id++)
		assert_true(seen[id]); /* table B.12 is complete */
	for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++) {
		assert_ptr_equal(downlink_control_find(c->name), c);
		assert_int_equal(c->id, c - downlink_controls + 1);
		for (const struct downlink_field *f = c->fields; f != NULL && f->name != NULL; f++)
			check_row(f, NULL);
	}
}

/* ---- bytes ---- */

static void test_query(void **state)
{
	(void)state;
	parse("query", "[\"heartbeat_s\", \"public_domain\", \"firmware_version\"]");
	ENCODES(DOWNLINK_2016, "\4\x09\x0D\x0E\x08");
	ENCODES(DOWNLINK_2025, "\4\x09\x0D\x0E\x08");
	refused("query", "[]", "at least one parameter");
	refused("query", "[\"heartbeat\"]", "parameter 'heartbeat' is unknown; allowed: local_");
	/* Fourteen of three bytes are one more than are shown: cut between two, not within one. */
	refused("query", "[\"参参参参参参参参参参参参参参\"]",
		"parameter '参参参参参参参参参参参参参' is unknown");
	refused("query", "[\"heartbeat_s\", \"heartbeat_s\"]", "heartbeat_s is given twice");
	refused("query", "[9]", "must be names");
	refused("query", "{\"heartbeat_s\": 1}", "must be a list of names");
	refused("erase", "[]", "kind 'erase' is unknown; allowed: query, set, control");
	refused("query", "[\"heartbeat_s\"", "not JSON");
}

static void test_set(void **state)
{
	(void)state;
	parse("set", "{\"local_storage_period_ms\": 60000, \"report_period_s\": 30}");
	ENCODES(DOWNLINK_2016, "\2\1\xEA\x60\2\0\x1E");
	ENCODES(DOWNLINK_2025, "\2\1\xEA\x60\2\x1E");
	parse("set", "{\"alarm_report_period_ms\": 1000}");
	ENCODES(DOWNLINK_2016, "\1\3\x03\xE8");
	ENCODES(DOWNLINK_2025, "\1\3\1");
	parse("set", "{\"platform_domain\": \"a.cn\", \"platform_port\": 32960}");
	ENCODES(DOWNLINK_2016, "\3\4\4\5a.cn\6\x80\xC0");
	parse("set", "{\"sampling_monitor\": true}");
	ENCODES(DOWNLINK_2016, "\1\x10\1");
	parse("set", "{\"sampling_monitor\": false}");
	ENCODES(DOWNLINK_2016, "\1\x10\2");
}

static void test_set_refusals(void **state)
{
	(void)state;
	refused("set", "{\"report_period_s\": 0}",
		"report_period_s is 0; it must be 1 to 600 (GB/T 32960.3-2016), or 1 to 30 (2025)");
	refused("set", "{\"heartbeat_s\": 241}", "heartbeat_s is 241; it must be 1 to 240");
	refused("set", "{\"heartbeat_s\": -1}", "heartbeat_s is out of range; it must be 1 to 240");
	refused("set", "{\"heartbeat_s\": 4294967297}", "out of range");
	refused("set", "{\"heartbeat_s\": \"60\"}", "heartbeat_s is not a whole number");
	refused("set", "{\"heartbeat_s\": 1.5}", "heartbeat_s is not a whole number");
	refused("set", "{\"heartbeat_s\": true}", "heartbeat_s is not a whole number");
	refused("set", "{\"sampling_monitor\": 1}", "sampling_monitor is neither true nor false");
	refused("set", "{\"hardware_version\": \"12345\"}", "can be queried only, not set");
	refused("set", "{\"platform_domain\": \"\"}", "platform_domain has 0 bytes");
	refused("set", "{\"platform_domain\": \"a;b\"}", "printable ASCII characters without ;");
	refused("set", "{\"platform_domain\": \"\\u4e2d\"}", "printable ASCII");
	refused("set", "{\"platform_domain\": \"a\\u0000b\"}", "");
	refused("set", "{\"heartbeat_s\": 1, \"heartbeat_s\": 2}", "duplicate");
	refused("set", "[]", "must be an object");
	/* Nothing fits both values, though each of them fits some edition. */
	refused("set", "{\"report_period_s\": 600, \"alarm_report_period_ms\": 61000}", "is 61000");
	parse("set", "{\"report_period_s\": 600}");
	assert_int_equal(downlink_encode(&command, DOWNLINK_2025, unit, message), 0);
	assert_string_equal(message,
			    "report_period_s is 600; it must be 1 to 30 in the 2025 edition "
			    "of GB/T 32960.3, which this terminal speaks");
	parse("set", "{\"alarm_report_period_ms\": 500}");
	assert_int_equal(downlink_encode(&command, DOWNLINK_2025, unit, message), 0);
	assert_non_null(strstr(message, "is 500; it must be 0 to 1000 in steps of 1000"));
}

static void test_control(void **state)
{
	(void)state;
	parse("control", "{\"action\": \"reset\"}");
	ENCODES(DOWNLINK_2016, "\3");
	parse("control", "{\"action\": \"alarm\", \"level\": 3}");
	ENCODES(DOWNLINK_2016, "\6\3");
	parse("control", "{\"text\": \"\\u4e2d!\", \"level\": 1, \"action\": \"alarm\"}");
	ENCODES(DOWNLINK_2025, "\6\1\xD6\xD0!");
	parse("control", "{\"action\": \"upgrade\", \"url\": \"ftp://h/f\"}");
	ENCODES(DOWNLINK_2016, "\1;;;;;;;;ftp://h/f;");
	parse("control", "{\"action\": \"upgrade\", \"url\": \"ftp://h/f\", \"url_first\": true}");
	ENCODES(DOWNLINK_2016, "\1ftp://h/f;;;;;;;;;");
	parse("control", "{\"action\": \"upgrade\", \"apn\": \"cmnet\", \"dial_user\": \"u\","
			 " \"dial_password\": \"p\", \"address\": \"192.0.2.59\", \"port\": 21,"
			 " \"maker\": \"AB12\", \"hardware_version\": \"HW001\","
			 " \"firmware_version\": \"FW002\", \"url\": \"f\", \"within_min\": 10}");
	ENCODES(DOWNLINK_2016, "\1cmnet;u;p;\0\0\xC0\x00\x02\x3B;\0\x15;AB12;HW001;FW002;f;\0\x0A");
	refused("control", "{\"action\": \"alarm\"}", "alarm needs level: 0 to 3");
	refused("control", "{\"action\": \"alarm\", \"level\": 4}",
		"level is 4; it must be 0 to 3");
	refused("control", "{\"action\": \"upgrade\"}", "upgrade needs url");
	refused("control", "{\"action\": \"upgrade\", \"url\": \"f\", \"maker\": \"A\"}",
		"maker has 1 bytes; it must be 4 printable");
	refused("control", "{\"action\": \"upgrade\", \"url\": \"f\", \"address\": \"1.2.3\"}",
		"an IPv4 address");
	refused("control", "{\"action\": \"reset\", \"level\": 1}",
		"parameter 'level' is unknown; allowed: none");
	refused("control", "{\"action\": \"explode\"}",
		"action 'explode' is unknown; allowed: upgrade, power_off, reset");
	refused("control", "{}", "need \"action\"; allowed: upgrade");
}

/* The longest values that there can be fit. */
static void test_longest(void **state)
{
	char text[4096], domain[DOWNLINK_TEXT_MAX + 1];

	(void)state;
	memset(domain, 'x', DOWNLINK_TEXT_MAX);
	domain[DOWNLINK_TEXT_MAX] = '\0';
	snprintf(text, sizeof(text), "{\"platform_domain\": \"%s\", \"public_domain\": \"%s\"}",
		 domain, domain);
	parse("set", text);
	assert_int_equal(downlink_encode(&command, DOWNLINK_2016, unit, message),
			 1 + 2 * (3 + DOWNLINK_TEXT_MAX));
	snprintf(text, sizeof(text), "{\"platform_domain\": \"%sy\"}", domain);
	refused("set", text, "too long");
	snprintf(text, sizeof(text), "{\"action\": \"alarm\", \"level\": 1, \"text\": \"%.201s\"}",
		 domain);
	refused("control", text, "text has 201 bytes");
}

/* ---- answers ---- */

static void answers(enum downlink_kind kind, uint8_t flag, enum downlink_edition edition,
		    const void *bytes, size_t size, const char *expected)
{
	uint8_t *copy = malloc(size + 1); /* so that valgrind and ASan see a read of one too many */
	char json[4096];
	size_t n;

	assert_non_null(copy);
	memcpy(copy, bytes, size);
	copy = realloc(copy, size > 0 ? size : 1);
	n = downlink_answer_json(kind, flag, edition, copy, size, json, sizeof(json));
	assert_string_equal(json, expected);
	assert_int_equal(n, strlen(json));
	assert_int_equal(downlink_answer_json(kind, flag, edition, copy, size, NULL, 0), n);
	free(copy);
}

#define AT	"\x1A\x07\x18\x0C\x00\x00"
#define AT_JSON "\"at\":\"2026-07-24T12:00:00+08:00\""
#define ANSWERS(kind, flag, edition, literal, expected)                                            \
	answers(kind, flag, edition, literal, sizeof(literal) - 1, expected)

static void test_answers(void **state)
{
	(void)state;
	ANSWERS(DOWNLINK_SET, 1, DOWNLINK_2016, AT, "{\"flag\":1," AT_JSON "}");
	ANSWERS(DOWNLINK_CONTROL, 2, DOWNLINK_2016, AT "\3",
		"{\"flag\":2," AT_JSON ",\"rest\":\"03\"}");
	ANSWERS(DOWNLINK_CONTROL, 1, DOWNLINK_2016, "", "{\"flag\":1}");
	ANSWERS(DOWNLINK_CONTROL, 1, DOWNLINK_2016, "\1\2", "{\"flag\":1,\"rest\":\"0102\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT, "{\"flag\":1," AT_JSON "}");
	ANSWERS(DOWNLINK_QUERY, 2, DOWNLINK_2016, AT "\1\x09\x3C",
		"{\"flag\":2," AT_JSON ",\"rest\":\"01093C\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016,
		AT
		"\x09\2\1\x2C\4\4\5a.cn\7V1.2\0\x08\xFF\0\0\0\0\x10\2\x0A\xFF\xFE\x09\xFF\6\0\x50",
		"{\"flag\":1," AT_JSON ",\"count\":9,\"parameters\":{\"report_period_s\":300,"
		"\"platform_domain\":\"a.cn\",\"hardware_version\":\"V1.2\","
		"\"firmware_version\":\"0xFF\",\"sampling_monitor\":false,\"terminal_answer_s\":"
		"null,"
		"\"heartbeat_s\":null,\"platform_port\":80}}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2025, AT "\2\2\x1E\3\1",
		"{\"flag\":1," AT_JSON ",\"count\":2,\"parameters\":{\"report_period_s\":30,"
		"\"alarm_report_period_ms\":1000}}");
}

/* What a terminal must not send is shown as it came, and reads nothing that is not there. */
static void test_bad_answers(void **state)
{
	(void)state;
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\2\x09\x3C\x80\1\2",
		"{\"flag\":1," AT_JSON ",\"count\":2,\"parameters\":{\"heartbeat_s\":60},"
		"\"missing\":1,\"rest\":\"800102\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\2\x09\x3C\x09\x3D",
		"{\"flag\":1," AT_JSON ",\"count\":2,\"parameters\":{\"heartbeat_s\":60},"
		"\"missing\":1,\"rest\":\"093D\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\1\5a.cn",
		"{\"flag\":1," AT_JSON
		",\"count\":1,\"parameters\":{},\"missing\":1,\"rest\":\"05612E636E\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\2\4\xFF\5a",
		"{\"flag\":1," AT_JSON
		",\"count\":2,\"parameters\":{},\"missing\":1,\"rest\":\"0561\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\2\4\0\5",
		"{\"flag\":1," AT_JSON ",\"count\":2,\"parameters\":{\"platform_domain\":\"\"}}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\1\6\1",
		"{\"flag\":1," AT_JSON
		",\"count\":1,\"parameters\":{},\"missing\":1,\"rest\":\"0601\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\1\0\1",
		"{\"flag\":1," AT_JSON
		",\"count\":1,\"parameters\":{},\"missing\":1,\"rest\":\"0001\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\0\x09\1",
		"{\"flag\":1," AT_JSON ",\"count\":0,\"parameters\":{},\"rest\":\"0901\"}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, "\xFF\xFF\xFF\xFF\xFF\xFF\1\x09\5",
		"{\"flag\":1,\"at\":null,\"count\":1,\"parameters\":{\"heartbeat_s\":5}}");
	ANSWERS(DOWNLINK_QUERY, 1, DOWNLINK_2016, AT "\1\x10\5",
		"{\"flag\":1," AT_JSON ",\"count\":1,\"parameters\":{\"sampling_monitor\":5}}");
}

/* What is set comes back by a query, in both editions. */
static void test_round_trip(void **state)
{
	static const char parameters[] =
		"{\"local_storage_period_ms\":1,\"report_period_s\":30,\"alarm_report_period_ms\":"
		"0,"
		"\"platform_domain\":\"a.example\",\"platform_port\":1,\"heartbeat_s\":240,"
		"\"terminal_answer_s\":600,\"platform_answer_s\":1,\"login_retry_min\":240,"
		"\"public_domain\":\"b\",\"public_port\":65531,\"sampling_monitor\":true}";

	(void)state;
	for (int e = 0; e < DOWNLINK_EDITIONS; e++) {
		uint8_t answer[WIRE_TIME_SIZE + DOWNLINK_UNIT_MAX];
		char expected[1024];
		size_t n;

		parse("set", parameters);
		n = downlink_encode(&command, (enum downlink_edition)e, unit, message);
		memcpy(answer, AT, WIRE_TIME_SIZE);
		memcpy(answer + WIRE_TIME_SIZE, unit, n);
		snprintf(expected, sizeof(expected),
			 "{\"flag\":1," AT_JSON ",\"count\":%u,\"parameters\":%s}", unit[0],
			 parameters);
		answers(DOWNLINK_QUERY, 1, (enum downlink_edition)e, answer, WIRE_TIME_SIZE + n,
			expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),	   cmocka_unit_test(test_query),
		cmocka_unit_test(test_set),	   cmocka_unit_test(test_set_refusals),
		cmocka_unit_test(test_control),	   cmocka_unit_test(test_longest),
		cmocka_unit_test(test_answers),	   cmocka_unit_test(test_bad_answers),
		cmocka_unit_test(test_round_trip),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

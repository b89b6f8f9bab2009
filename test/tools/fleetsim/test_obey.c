/* A truck's terminal under orders. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tools/cli/fleetsim/obey.h"

struct terminal {
	struct obedience *memory;
	struct order_answer answer;
};

/* bytes: what stands behind the time. */
static bool tell(struct terminal *t, uint8_t command, const char *bytes, size_t size)
{
	uint8_t unit[64] = { 26, 11, 23, 12, 0, 0 };
	const struct frame f = { .header = HEADER_P,
				 .command = command,
				 .answer = ANSWER_COMMAND,
				 .unit = unit,
				 .unit_size = WIRE_TIME_SIZE + size };

	assert_true(is_order(&f));
	memcpy(unit + WIRE_TIME_SIZE, bytes, size);
	return obey(&t->memory, &f, &t->answer);
}

static void assert_heartbeat(struct terminal *t, uint8_t seconds)
{
	assert_true(tell(t, DOWNLINK_QUERY, "\x01\x09", 2));
	assert_int_equal(t->answer.flag, ANSWER_SUCCESS);
	assert_int_equal(t->answer.unit_size, WIRE_TIME_SIZE + 3);
	assert_int_equal(t->answer.unit[WIRE_TIME_SIZE + 2], seconds);
}

static void refuses_a_read_only_one_and_takes_nothing_else_of_it(void **state)
{
	struct terminal t = { .memory = NULL };

	(void)state;
	assert_heartbeat(&t, 1);
	assert_true(tell(&t, DOWNLINK_SET, "\x02\x09\x3C\x07HW999", 9));
	assert_int_equal(t.answer.flag, ANSWER_ERROR);
	assert_int_equal(t.answer.unit_size, WIRE_TIME_SIZE);
	assert_heartbeat(&t, 1);
	assert_true(tell(&t, DOWNLINK_SET, "\x01\x09\x3C", 3));
	assert_int_equal(t.answer.flag, ANSWER_SUCCESS);
	assert_heartbeat(&t, 60);
	obedience_free(t.memory);
}

static void refuses_what_is_broken(void **state)
{
	static const struct {
		uint8_t command;
		const char *bytes;
		size_t size;
	} broken[] = {
		{ DOWNLINK_SET, "\x02\x09\x3C", 3 },	  { DOWNLINK_SET, "\x01\x09", 2 },
		{ DOWNLINK_SET, "\x01\xEE\x01", 3 },	  { DOWNLINK_SET, "\x01\x09\x01\x01", 4 },
		{ DOWNLINK_SET, "\x02\x04\xFF\x05x", 5 }, { DOWNLINK_QUERY, "\x01", 1 },
		{ DOWNLINK_QUERY, "\x01\xEE", 2 },
	};
	struct terminal t = { .memory = NULL };

	(void)state;
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		assert_true(tell(&t, broken[i].command, broken[i].bytes, broken[i].size));
		assert_int_equal(t.answer.flag, ANSWER_ERROR);
	}
	assert_false(tell(&t, DOWNLINK_QUERY, "", 0));
	assert_heartbeat(&t, 1);
	obedience_free(t.memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_a_read_only_one_and_takes_nothing_else_of_it),
		cmocka_unit_test(refuses_what_is_broken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

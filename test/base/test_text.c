/* Text is cut between characters, never within one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/base/text.h"

static void test_cut_here(void **state)
{
	static const char text[] = "a\u00e9\u53c2\U0001F69A"; /* 1, 2, 3 and 4 bytes */
	static const size_t kept[] = { 0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10 };

	(void)state;
	for (size_t max = 0; max < sizeof(kept) / sizeof(kept[0]); max++)
		assert_int_equal(text_whole(text, max), kept[max]);
}

static void test_cut_before(void **state)
{
	(void)state;
	assert_int_equal(text_whole("ab\xE5\x8F", 100), 2);
	assert_int_equal(text_whole("\xF0\x9F\x9A", 100), 0);
	assert_int_equal(text_whole("", 100), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_here),
		cmocka_unit_test(test_cut_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Log and errors: one event is one line, whatever its values hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/error.h"
#include "gateway/base/log.h"

static char got[4096];

/* Runs one log_line with stderr in a pipe, and leaves what it wrote in got. */
static void capture(enum log_level level, const char *text)
{
	int pipes[2], before = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(fcntl(pipes[0], F_SETFL, O_NONBLOCK), 0);
	dup2(pipes[1], STDERR_FILENO);
	log_line(level, "%s", text);
	dup2(before, STDERR_FILENO);
	close(before);
	close(pipes[1]);
	n = read(pipes[0], got, sizeof(got) - 1);
	close(pipes[0]);
	got[n > 0 ? n : 0] = '\0';
}

static void test_level_is_in_front(void **state)
{
	(void)state;
	capture(LOG_WARNING, "spool is full");
	assert_string_equal(got, "<4>spool is full\n");
}

static void test_unimportant_lines_are_dropped(void **state)
{
	(void)state;
	capture(LOG_DEBUG, "detail");
	assert_string_equal(got, "");
	log_set_level(LOG_DEBUG);
	capture(LOG_DEBUG, "detail");
	assert_string_equal(got, "<7>detail\n");
	log_set_level(LOG_INFO);
}

static void test_no_value_makes_a_second_line(void **state)
{
	(void)state;
	capture(LOG_INFO, "a\n<2>forged\r\033[31m");
	assert_string_equal(got, "<6>a?<2>forged??[31m\n");
}

static void test_long_lines_are_cut(void **state)
{
	char text[3000];

	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	capture(LOG_INFO, text);
	assert_int_equal(strlen(got), 1023);
	assert_int_equal(got[strlen(got) - 1], '\n');
}

static void test_text_from_outside(void **state)
{
	char out[32];

	(void)state;
	assert_string_equal(log_text("LTEST1", 6, out, sizeof(out)), "LTEST1");
	assert_string_equal(log_text("a\"b\\c", 5, out, sizeof(out)), "a\\\"b\\\\c");
	assert_string_equal(log_text("\0\n\x7f\xff", 4, out, sizeof(out)), "\\x00\\x0A\\x7F\\xFF");
	/* Cut between values, never inside an escape. */
	assert_string_equal(log_text("ab\n", 3, out, 6), "ab");
	assert_string_equal(log_text("ab\n", 3, out, 7), "ab\\x0A");
	assert_string_equal(log_text("abc", 3, out, 1), "");
}

static void test_errors_are_values(void **state)
{
	struct error err = { 0 };

	(void)state;
	assert_int_equal(error_set(&err, ERROR_FULL, "disk %s", "sda"), ERROR_FULL);
	assert_int_equal(err.code, ERROR_FULL);
	assert_string_equal(err.text, "disk sda");
	assert_int_equal(error_set(NULL, ERROR_BUSY, "x"), ERROR_BUSY);
	errno = ENOENT;
	assert_int_equal(error_errno(&err, ERROR_IO, "open %s", "f"), ERROR_IO);
	assert_string_equal(err.text, "open f: No such file or directory");
	assert_int_equal(errno, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_level_is_in_front),
		cmocka_unit_test(test_unimportant_lines_are_dropped),
		cmocka_unit_test(test_no_value_makes_a_second_line),
		cmocka_unit_test(test_long_lines_are_cut),
		cmocka_unit_test(test_text_from_outside),
		cmocka_unit_test(test_errors_are_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

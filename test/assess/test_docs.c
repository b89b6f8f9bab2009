/* docs/rules.md holds the table of rules as the code has it. */
#include "gateway/assess/markdown.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_page(void **state)
{
	static char page[200000];
	FILE *file = fopen(HAULGATE_DOCS_DIR "/rules.md", "r"), *memory;
	char *table = NULL;
	size_t size;

	(void)state;
	assert_non_null(file);
	size = fread(page, 1, sizeof(page) - 1, file);
	fclose(file);
	assert_true(size > 0 && size < sizeof(page) - 1);
	memory = open_memstream(&table, &size);
	rules_markdown(memory);
	fclose(memory);
	if (strstr(page, table) == NULL)
		fail_msg("docs/rules.md is stale; its generated part should be:\n%s", table);
	free(table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
	};

	return cmocka_run_group_tests_name("docs", tests, NULL, NULL);
}

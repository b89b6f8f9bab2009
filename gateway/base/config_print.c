#include <stdio.h>
#include <string.h>

#include "gateway/base/config_table.h"

void config_print(const struct config *c)
{
	const char *section = "";
	char text[LIST_SIZE];

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];
		const char *value = key_text(c, k, text);

		if (strcmp(section, k->section) != 0)
			printf("%s[%s]\n", i > 0 ? "\n" : "", k->section);
		section = k->section;
		/* A libpq string may carry a password: better in ~/.pgpass, never on a screen. */
		if (k->kind == KIND_TEXT && strstr(value, "password") != NULL)
			printf(";%s = (hidden: holds a password)  ; %s\n", k->name, k->doc);
		else
			printf("%s = %s  ; %s\n", k->name, value, k->doc);
	}
}

void config_print_markdown(void)
{
	const char *section = "";
	char list[LIST_SIZE];

	printf("# Configuration\n\n"
	       "One INI file for the gateway, the query service and the tools. "
	       "This page is written by `haulgate --print-config-docs`; a test compares it.\n\n"
	       "`haulgate --config FILE --check-config` names everything that is wrong with a "
	       "file, "
	       "with line, key, value and what is allowed. `--print-config` shows the values in "
	       "force. A key marked *reload* is taken over on SIGHUP; a bad file keeps the old "
	       "values and says why. `;` after a blank begins a comment.\n");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];

		if (strcmp(section, k->section) != 0)
			printf("\n## [%s]\n\n| key | default | allowed | | meaning |\n"
			       "|---|---|---|---|---|\n",
			       k->section);
		section = k->section;
		printf("| `%s` | %s%s%s | %s | %s | %s |\n", k->name, k->initial[0] ? "`" : "",
		       k->initial[0] ? k->initial : "empty", k->initial[0] ? "`" : "",
		       key_allowed(k, list), k->reload ? "reload" : "", k->doc);
	}
}

/*
 * haulgate-docs: prints the part of docs/protocol.md that is made from the tables of the code.
 * test/wire/docs compares it with the page; test/wire/docs --write puts it there.
 */
#include <stdlib.h>

#include "proto/wire/markdown.h"

int main(void)
{
	puts("## Information types\n");
	info_markdown(stdout);
	puts("## Verdicts\n");
	verdict_markdown(stdout);
	puts("## Quirks\n");
	quirk_markdown(stdout);
	return ferror(stdout) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/*
 * haulgate-docs: prints what the pages take from the tables of the code.
 *
 *   haulgate-docs           the generated part of docs/protocol.md
 *   haulgate-docs downlink  that of docs/downlink.md; test/wire/docs compares or writes both
 *   haulgate-docs rules     that of docs/rules.md; test/assess/test_docs.c compares it
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/assess/markdown.h"
#include "proto/wire/downlink.h"
#include "proto/wire/markdown.h"

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "rules") == 0) {
		rules_markdown(stdout);
	} else if (argc == 2 && strcmp(argv[1], "downlink") == 0) {
		downlink_markdown(stdout);
	} else if (argc == 1) {
		puts("## Information types\n");
		info_markdown(stdout);
		puts("## Encryption bytes and modes\n");
		cipher_markdown(stdout);
		puts("## Signatures checked\n");
		signature_markdown(stdout);
		puts("## Verdicts\n");
		verdict_markdown(stdout);
		puts("## Quirks\n");
		quirk_markdown(stdout);
	} else {
		fprintf(stderr, "usage: haulgate-docs [downlink|rules]\n");
		return 2;
	}
	return ferror(stdout) || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

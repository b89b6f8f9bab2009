/* markdown.h - the table of rules as a page, for docs/rules.md. */
#ifndef GATEWAY_ASSESS_MARKDOWN_H
#define GATEWAY_ASSESS_MARKDOWN_H

#include <stdio.h>

void rules_markdown(FILE *out);

#endif

/* csv.h - what the exports and the imports of tools agree on about a CSV cell. */
#ifndef TOOLS_CLI_CSV_H
#define TOOLS_CLI_CSV_H

#include <stdbool.h>

/*
 * Spreadsheets run a cell as a formula when it begins with = + - @, a tab or a line end, or with a
 * full-width form of these.  Exports put an apostrophe in front.
 */
bool csv_is_formula(const char *text);

#endif

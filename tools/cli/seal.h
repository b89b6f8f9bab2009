/*
 * seal.h - the commands of haulgate-seal.  Each returns the program's exit code and has told on
 * stderr what was wrong.
 */
#ifndef TOOLS_CLI_SEAL_H
#define TOOLS_CLI_SEAL_H

#include "gateway/base/error.h"
#include "tools/cli/arguments.h"

int seal_run(const struct arguments *a, void *context);	  /* seal.c */
int seal_key(const struct arguments *a, void *context);	  /* seal.c */
int seal_prove(const struct arguments *a, void *context); /* seal_prove.c */
int seal_grow(const struct arguments *a, void *context);  /* seal_prove.c */

/* Of a failure: arguments and unreadable files are 2, what does not agree is 1. */
int seal_cannot(const struct error *err);

#endif

/*
 * file.h - files that hold secrets: read only when nobody else can have read or written them.
 */
#ifndef GATEWAY_IDENTITY_FILE_H
#define GATEWAY_IDENTITY_FILE_H

#include <stddef.h>

#include "gateway/base/error.h"

/* ERROR_USAGE: no folder, not ours or root's, or open to others (mode 0700 is asked). */
int private_dir_check(const char *path, struct error *err);

/*
 * Reads a regular file of at most max bytes that is ours or root's and closed to others (mode 0600
 * or less).  *ret has a NUL behind it; give it back with private_free().  ERROR_NOT_FOUND: there is
 * none; ERROR_USAGE: it is not as it should be, and the message says what to do.
 */
int private_file_read(const char *path, size_t max, char **ret, size_t *ret_size,
		      struct error *err);
void private_free(char *text, size_t size); /* NULL-safe; wipes */

#endif

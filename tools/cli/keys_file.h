/*
 * keys_file.h - files that hold secrets: mode 0600, complete or absent, never overwritten; and the
 * folder of the gateway's own keys.
 *
 * A secret in memory stands in a struct secret and is wiped with secret_wipe().
 */
#ifndef TOOLS_CLI_KEYS_FILE_H
#define TOOLS_CLI_KEYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "gateway/identity/wrap.h"

enum { SECRET_MAX = 16384 };
struct secret {
	size_t size;
	uint8_t bytes[SECRET_MAX + 1]; /* a NUL behind them */
};
void secret_wipe(struct secret *s);
/* A whole file; "-" is stdin, where a terminal does not echo. */
int secret_read(struct secret *s, const char *path, struct error *err);
/* Cuts blanks and line ends at both ends. */
void secret_trim(struct secret *s);

/* Hex digits; n bytes exactly.  No table lookups by secret values. */
bool hex_bytes(const char *text, size_t size, uint8_t *out, size_t n);
void bytes_hex(const uint8_t *bytes, size_t n, char *out); /* room for 2 n + 1 */

/* A new file of mode 0600 at path, durable when it returns 0.  ERROR_USAGE: something is there. */
int key_file_make(const char *path, const void *bytes, size_t size, struct error *err);

/* ---- keys.dir ---- */

enum { KEY_NAME_SIZE = 64 };

struct keys_dir {
	int fd;
	char path[1024];
};

/* make: create it if it is not there.  ERROR_USAGE: not ours, not of mode 0700, or no folder. */
int keys_dir_open(struct keys_dir *d, const char *path, bool make, struct error *err);
void keys_dir_close(struct keys_dir *d);
bool keys_dir_has(const struct keys_dir *d, const char *name);
/* As key_file_make. */
int keys_dir_make(const struct keys_dir *d, const char *name, const void *bytes, size_t size,
		  struct error *err);
/* Durable.  Unless replace, ERROR_USAGE when to is there. */
int keys_dir_rename(const struct keys_dir *d, const char *from, const char *to, bool replace,
		    struct error *err);
void keys_dir_remove(const struct keys_dir *d, const char *name);

/* Names with this ending, in ascending order.  The caller frees each and the list. */
int keys_dir_list(const struct keys_dir *d, const char *prefix, const char *ending, char ***ret,
		  size_t *ret_count, struct error *err);
void names_free(char **names, size_t count);

int keys_dir_wrap_key(const struct keys_dir *d, const char *name, struct wrap_key *ret,
		      struct error *err);

#endif

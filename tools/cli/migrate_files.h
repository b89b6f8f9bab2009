/*
 * migrate_files.h - the files of schema/: numbered migrations with their checksums.
 *
 * Every function complains on stderr itself, naming the file and what to do.
 */
#ifndef TOOLS_CLI_MIGRATE_FILES_H
#define TOOLS_CLI_MIGRATE_FILES_H

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include <openssl/sha.h>

enum { HEX_SIZE = 2 * SHA256_DIGEST_LENGTH + 1 };

struct migration {
	int version;
	char name[NAME_MAX + 1]; /* the file's */
	char sha256[HEX_SIZE];
	char *sql;
	bool applied;
};

/* NNNN_name.sql of dir in order.  0, or -1; what was read so far is the caller's in both cases. */
int migrations_read(const char *dir, struct migration **ret, size_t *ret_count);

/* NUL-terminated, to be freed; NULL when it cannot be read. */
char *file_read(const char *path, size_t *ret_size);

/* An empty path when it does not fit: fopen() refuses that, with a message. */
void path_join(char out[PATH_MAX], const char *dir, const char *name);

/* For scandir(): files that end with .sql. */
int is_sql(const struct dirent *entry);

/* schema/ beside, or above, the folder of this program; else that of the source tree. */
void schema_dir_find(char out[PATH_MAX]);

#endif

/*
 * export_set.h - the files of one weekly export, written aside and published as a whole.
 *
 * Everything is written to DIR/.tmp-WEEK and flushed to disk; export_set_publish() moves it in
 * place, manifest.json last: a folder with a manifest is complete.  The bytes depend on the rows
 * only. Memory is constant.  One thread.
 */
#ifndef TOOLS_CLI_EXPORT_SET_H
#define TOOLS_CLI_EXPORT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/error.h"

enum { EXPORT_FILES_MAX = 3000, EXPORT_HASH_SIZE = 65 };

struct export_set;

/* Makes DIR and its folder for unfinished files; locks DIR.  ERROR_BUSY: another export writes
 * there. */
int export_set_open(const char *dir, const char *week, const char *first_day, const char *last_day,
		    struct export_set **ret, struct error *err);
/* Removes what was not published. */
void export_set_close(struct export_set *s);

/* Begins the file KIND-WEEK-DIVISION.csv; division: a code, or "outside". */
int export_set_begin(struct export_set *s, const char *kind, const char *division,
		     struct error *err);
/* A cell of the current line.  text NULL: empty.  is_number: written as it is. */
void export_set_cell(struct export_set *s, const char *text, bool is_number);
/* Ends the line; the first one of a file is its heading and not counted as a row. */
void export_set_line(struct export_set *s);
int export_set_end(struct export_set *s, struct error *err);

enum export_result { EXPORT_PUBLISHED, EXPORT_UNCHANGED };

/*
 * ERROR_FULL when files with other content are there and replace is false; nothing was moved then.
 * ret_manifest: SHA-256 of manifest.json in hexadecimal.
 */
int export_set_publish(struct export_set *s, bool replace, enum export_result *ret,
		       char ret_manifest[EXPORT_HASH_SIZE], struct error *err);

unsigned export_set_files(const struct export_set *s);
uint64_t export_set_rows(const struct export_set *s);

#endif

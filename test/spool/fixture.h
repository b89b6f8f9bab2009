/*
 * fixture.h - what the spool's tests share: a folder of their own, records that can be recognised,
 * and submitting as a plain call that waits.
 */
#ifndef TEST_SPOOL_FIXTURE_H
#define TEST_SPOOL_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/spool/spool.h"
#include "test/spool/record.h"

enum { FIXTURE_PATH = 256 };

/* A new empty folder in memory (/dev/shm) or in $TMPDIR; the name of one in it. */
void fixture_folder(char out[FIXTURE_PATH]);
void fixture_remove(const char *path);		     /* with everything in it */
void fixture_copy(const char *from, const char *to); /* a file */

/* Path of the only, or the newest, file in folder whose name ends so. */
void fixture_newest(const char *folder, const char *ending, char out[FIXTURE_PATH]);
unsigned fixture_count(const char *folder, const char *ending);

uint8_t *fixture_load(const char *path, size_t *ret_size);
void fixture_store(const char *path, const uint8_t *bytes, size_t size);

/* Small segments: tests that look at every byte stay fast. */
struct spool_options fixture_options(const char *dir);

struct spool *fixture_open(const struct spool_options *o, struct spool_recovery *ret);

/* Puts records first..first + count - 1 into one batch, submits it and waits; the status of done,
 * or of submit. */
int fixture_append(struct spool *s, uint64_t first, unsigned count, size_t size_max);

struct spool_reader *fixture_reader(const char *dir, uint64_t position);

/* Reads everything up to limit; the numbers must rise.  Returns how many, and how many errors came.
 */
struct read_all {
	uint64_t records;
	uint64_t first, last; /* numbers */
	unsigned errors;
	uint64_t wrong; /* payloads that are no record of ours: must be 0 */
	uint64_t position;
};
struct read_all fixture_read(const char *dir, uint64_t limit, size_t size_max);

#endif

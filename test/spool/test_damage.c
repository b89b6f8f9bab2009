/* The spool when the disk did not keep what it was given: flips, torn tails, stale and missing
 * files. */
#include "test/spool/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/base/log.h"
#include "gateway/spool/format.h"
#include "gateway/spool/segment.h"

enum { SMALL = 80, BATCHES = 5, BATCH_RECORDS = 3, RECORDS = BATCHES * BATCH_RECORDS };
enum { FILE_SIZE = 32 * 1024 }; /* fixture_options() */

struct place {
	char dir[FIXTURE_PATH];
	char segment[FIXTURE_PATH]; /* of the records, taken away from dir */
	uint8_t *bytes;
	size_t size;		/* of the data; the rest of the file was zeros */
	uint64_t ends[BATCHES]; /* positions behind the batches */
};

/* A log of five batches; closed in good order, or as a kill -9 leaves it. */
static void make(struct place *p, bool closed)
{
	struct spool_options o;
	struct spool *s;
	char path[FIXTURE_PATH];

	fixture_folder(p->dir);
	o = fixture_options(p->dir);
	s = fixture_open(&o, NULL);
	for (unsigned i = 0; i < BATCHES; i++) {
		assert_int_equal(fixture_append(s, 1 + i * BATCH_RECORDS, BATCH_RECORDS, SMALL), 0);
		p->ends[i] = spool_durable(s);
	}
	fixture_newest(p->dir, ".seg", path);
	if (!closed)
		p->bytes = fixture_load(path, &p->size);
	spool_close(s);
	if (closed)
		p->bytes = fixture_load(path, &p->size);
	snprintf(p->segment, sizeof(p->segment), "%s", path);
	p->size = p->ends[BATCHES - 1] + (closed ? SECTOR_SIZE : 0);
}

/* dir holds nothing but the segment with these bytes, and zeros to its full size. */
static void put(const struct place *p, const uint8_t *bytes)
{
	uint8_t *file = calloc(1, FILE_SIZE);

	memcpy(file, bytes, p->size);
	fixture_remove(p->dir);
	assert_int_equal(mkdir(p->dir, 0700), 0);
	fixture_store(p->segment, file, FILE_SIZE);
	free(file);
}

static void release(struct place *p)
{
	free(p->bytes);
	fixture_remove(p->dir);
}

/* Opens, writes one more record, closes, reads everything. */
static struct read_all reopen_and_read(const struct place *p, struct spool_recovery *found)
{
	const struct spool_options o = fixture_options(p->dir);
	struct spool *s = fixture_open(&o, found);

	assert_int_equal(fixture_append(s, 1000, 1, SMALL), 0);
	spool_close(s);
	return fixture_read(p->dir, UINT64_MAX, SMALL);
}

/*
 * Method: flip every bit of every byte of a closed log, one at a time.  Never more than one record
 * is refused, nothing wrong is read, opening never fails, and what is written afterwards is there.
 */
static void test_every_flip_after_a_clean_stop(void **state)
{
	struct place p;
	unsigned flips = 0, refused = 0;

	(void)state;
	make(&p, true);
	for (size_t at = 0; at < p.size; at++) {
		/* The headers' padding is covered by their checksum alone: every 16th byte will do.
		 */
		if (at % HEADER_COPY_SIZE >= 128 && at < HEADER_SIZE && at % 16 != 0)
			continue;
		for (unsigned bit = 0; bit < 8; bit += 7) {
			struct spool_recovery found;
			struct read_all before, all;

			p.bytes[at] ^= (uint8_t)(1u << bit);
			put(&p, p.bytes);
			before = fixture_read(p.dir, UINT64_MAX, SMALL);
			assert_int_equal(before.wrong, 0);
			assert_true(before.records >= RECORDS - 1);
			all = reopen_and_read(&p, &found);
			p.bytes[at] ^= (uint8_t)(1u << bit);
			assert_int_equal(all.wrong, 0);
			assert_int_equal(all.last, 1000);
			if (all.records < RECORDS) /* one lost, one new */
				fail_msg("flip at %zu: %u records", at, (unsigned)all.records);
			if (all.records == RECORDS && found.corrupt_regions == 0)
				fail_msg("flip at %zu: a record is lost without a word", at);
			refused += all.records == RECORDS;
			flips++;
		}
	}
	print_message("%u flips, %u of them cost a record\n", flips, refused);
	assert_true(refused > 0);
	release(&p);
}

/* Method: the same without a closing mark: the last batch may be cut as a torn one, but only as a
 * whole. */
static void test_every_flip_after_a_kill(void **state)
{
	struct place p;
	unsigned cut = 0;

	(void)state;
	make(&p, false);
	for (size_t at = HEADER_SIZE; at < p.size; at++) {
		struct spool_recovery found;
		struct read_all before, all;

		p.bytes[at] ^= 0x10;
		put(&p, p.bytes);
		before = fixture_read(p.dir, UINT64_MAX, SMALL);
		all = reopen_and_read(&p, &found);
		p.bytes[at] ^= 0x10;
		/* A reader without the lock judges as recovery does. */
		assert_int_equal(before.wrong, 0);
		assert_int_equal(before.records, all.records - 1);
		assert_int_equal(all.wrong, 0);
		assert_int_equal(all.last, 1000);
		if (at < p.ends[BATCHES - 2]) {
			assert_int_equal(found.torn_bytes, 0);
			assert_true(all.records >= RECORDS);
		} else if (found.torn_bytes > 0) {
			assert_int_equal(found.corrupt_regions, 0);
			assert_true(all.records == RECORDS - BATCH_RECORDS + 1 ||
				    all.records == RECORDS + 1 /* padding behind the mark */);
			cut++;
		}
	}
	assert_true(cut > 0);
	release(&p);
}

/* Method: of the last batch, only the first n bytes reached the disk, for every n. */
static void test_torn_at_every_length(void **state)
{
	const uint8_t fillers[] = { 0x00, 0xff, 0x5a };
	struct place p;
	uint8_t *torn;

	(void)state;
	make(&p, false);
	torn = malloc(p.size);
	for (size_t f = 0; f < sizeof(fillers); f++) {
		for (size_t n = p.ends[BATCHES - 2]; n < p.size; n++) {
			struct spool_recovery found;
			struct read_all before, all;
			const size_t mark_end = p.size - SECTOR_SIZE;

			memcpy(torn, p.bytes, p.size);
			memset(torn + n, fillers[f], p.size - n);
			put(&p, torn);
			before = fixture_read(p.dir, UINT64_MAX, SMALL);
			all = reopen_and_read(&p, &found);
			assert_int_equal(before.wrong + all.wrong, 0);
			assert_int_equal(found.corrupt_regions, 0);
			assert_int_equal(all.errors, 0);
			assert_int_equal(all.records, before.records + 1);
			if (memcmp(torn, p.bytes, p.size) == 0 || all.records == RECORDS + 1) {
				assert_true(n > mark_end); /* the mark had landed: it counts */
			} else {
				assert_int_equal(all.records, RECORDS - BATCH_RECORDS + 1);
				assert_true(n == p.ends[BATCHES - 2] || found.torn_bytes > 0);
			}
		}
	}
	free(torn);
	release(&p);
}

/* Method: of the last batch, every subset of its sectors reached the disk (the order is the
 * disk's). */
static void test_torn_in_any_order(void **state)
{
	struct place p;
	uint8_t *torn;
	size_t first, sectors;
	char quarantine[FIXTURE_PATH + 16];

	(void)state;
	make(&p, false);
	first = p.ends[BATCHES - 2];
	sectors = (p.size - first) / SECTOR_SIZE;
	torn = malloc(p.size);
	snprintf(quarantine, sizeof(quarantine), "%s/quarantine", p.dir);
	for (unsigned set = 0; set + 1 < 1u << sectors; set++) {
		struct spool_recovery found;
		struct read_all all;

		memcpy(torn, p.bytes, p.size);
		for (size_t i = 0; i < sectors; i++)
			if ((set & 1u << i) == 0)
				memset(torn + first + i * SECTOR_SIZE, 0, SECTOR_SIZE);
		put(&p, torn);
		all = reopen_and_read(&p, &found);
		assert_int_equal(all.wrong + all.errors, 0);
		assert_int_equal(all.records, RECORDS - BATCH_RECORDS + 1);
		assert_int_equal(fixture_count(quarantine, ".torn"), set != 0 ? 1 : 0);
	}
	free(torn);
	release(&p);
}

/* Method: the data of one segment under the header of another: none of it may be believed. */
static void test_stale_bytes_are_never_valid(void **state)
{
	struct place old, new;
	struct spool_recovery found;
	struct read_all all;

	(void)state;
	make(&old, false);
	make(&new, false);
	assert_int_equal(old.size, new.size);
	memcpy(new.bytes + HEADER_SIZE, old.bytes + HEADER_SIZE, old.size - HEADER_SIZE);
	put(&new, new.bytes);
	assert_int_equal(fixture_read(new.dir, UINT64_MAX, SMALL).records, 0);
	all = reopen_and_read(&new, &found);
	assert_int_equal(all.records, 1);
	assert_int_equal(all.wrong, 0);
	assert_int_equal(found.records, 0);
	release(&old);
	release(&new);
}

/* Method: several segments; take one in the middle away. */
static void test_missing_segment_is_reported(void **state)
{
	char dir[FIXTURE_PATH], path[SEGMENT_PATH_MAX];
	struct segment_list list;
	struct spool_recovery found;
	struct spool_options o;
	struct read_all all;
	struct folder folder;
	struct spool *s;

	(void)state;
	fixture_folder(dir);
	o = fixture_options(dir);
	s = fixture_open(&o, NULL);
	for (uint64_t n = 1; n < 200; n += 2)
		assert_int_equal(fixture_append(s, n, 2, 1500), 0);
	spool_close(s);
	assert_int_equal(folder_init(&folder, dir, NULL, NULL), 0);
	assert_int_equal(segment_list(&folder, true, &list, NULL), 0);
	assert_true(list.count >= 4);
	segment_path(&folder, list.names[1].base, false, path);
	assert_int_equal(unlink(path), 0);
	segment_list_release(&list);
	s = fixture_open(&o, &found);
	assert_int_equal(found.missing_segments, 1);
	assert_int_equal(fixture_append(s, 1000, 1, 1500), 0);
	spool_close(s);
	all = fixture_read(dir, UINT64_MAX, 1500);
	assert_int_equal(all.errors, 1);
	assert_int_equal(all.wrong, 0);
	assert_int_equal(all.first, 1);
	assert_int_equal(all.last, 1000);
	assert_true(all.records > 100);
	fixture_remove(dir);
}

/* Method: destroy both header copies, of the last segment and of an older one. */
static void test_lost_headers(void **state)
{
	struct place p;
	struct spool_recovery found;
	struct read_all all;

	(void)state;
	make(&p, true);
	memset(p.bytes, 0xee, HEADER_SIZE);
	put(&p, p.bytes);
	all = reopen_and_read(&p, &found);
	assert_int_equal(found.corrupt_regions, 1);
	assert_int_equal(all.errors, 1);
	assert_int_equal(all.records, 1);
	assert_int_equal(all.last, 1000);
	release(&p);
}

/* Method: a disk that lost an acknowledged batch without a trace.  Its positions must not come
 * back. */
static void test_positions_are_never_given_twice(void **state)
{
	struct place p;
	struct spool_recovery found;
	struct read_all all;
	struct spool_reader *r;
	struct spool_record record;
	struct error err;

	(void)state;
	make(&p, false);
	memset(p.bytes + p.ends[1], 0, p.size - p.ends[1]);
	put(&p, p.bytes);
	all = reopen_and_read(&p, &found);
	assert_int_equal(all.records, 2 * BATCH_RECORDS + 1);
	r = fixture_reader(p.dir, p.ends[BATCHES - 1]);
	assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), 1);
	assert_true(record.position >= FILE_SIZE);
	spool_reader_close(r);
	release(&p);
}

static void wait_for_archive(const char *archive)
{
	const struct timespec pause = { 0, 1000000 };

	while (fixture_count(archive, ".segz") < 1)
		nanosleep(&pause, NULL);
}

/* Method: flip bytes all over an archived segment: damage is named, nothing wrong is read. */
static void test_damaged_archive(void **state)
{
	char dir[FIXTURE_PATH], archive[FIXTURE_PATH + 16], path[FIXTURE_PATH];
	struct spool_options o;
	struct spool *s;
	uint8_t *bytes;
	size_t size;

	(void)state;
	fixture_folder(dir);
	snprintf(archive, sizeof(archive), "%s/archive", dir);
	o = fixture_options(dir);
	s = fixture_open(&o, NULL);
	for (uint64_t n = 1; n <= 60; n += 2)
		assert_int_equal(fixture_append(s, n, 2, 1500), 0);
	spool_release(s, 33 * 1024);
	wait_for_archive(archive);
	spool_close(s);
	fixture_newest(archive, ".segz", path);
	bytes = fixture_load(path, &size);
	assert_int_equal(fixture_read(dir, UINT64_MAX, 1500).records, 60);
	for (size_t at = 0; at < size; at += size / 150) {
		struct read_all all;

		bytes[at] ^= 0x20;
		fixture_store(path, bytes, size);
		bytes[at] ^= 0x20;
		all = fixture_read(dir, UINT64_MAX, 1500);
		assert_int_equal(all.wrong, 0);
		assert_int_equal(all.last, 60);
		assert_true(all.records == 60 || all.errors > 0);
		s = fixture_open(&o, NULL);
		spool_close(s);
	}
	free(bytes);
	fixture_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_flip_after_a_clean_stop),
		cmocka_unit_test(test_every_flip_after_a_kill),
		cmocka_unit_test(test_torn_at_every_length),
		cmocka_unit_test(test_torn_in_any_order),
		cmocka_unit_test(test_stale_bytes_are_never_valid),
		cmocka_unit_test(test_missing_segment_is_reported),
		cmocka_unit_test(test_lost_headers),
		cmocka_unit_test(test_positions_are_never_given_twice),
		cmocka_unit_test(test_damaged_archive),
	};

	log_set_level(LOG_ERROR); /* thousands of expected complaints */
	return cmocka_run_group_tests(tests, NULL, NULL);
}

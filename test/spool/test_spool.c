/* The spool when all goes well, and its bounds: order, reopening, following, full, archive. */
#include "test/spool/fixture.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "gateway/spool/writer.h"

static bool spool_has_waiter(struct spool *s)
{
	bool waiting;

	pthread_mutex_lock(&s->lock);
	waiting = s->waiters > 0;
	pthread_mutex_unlock(&s->lock);
	return waiting;
}

static int setup(void **state)
{
	char *dir = malloc(FIXTURE_PATH);

	fixture_folder(dir);
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* Method: batches of random shapes, closed and opened again now and then; all is read, in order. */
static void test_what_is_appended_is_read(void **state)
{
	const char *dir = *state;
	const struct spool_options o = fixture_options(dir);
	struct spool_recovery found;
	struct spool *s = fixture_open(&o, &found);
	struct read_all all;
	uint64_t n = 1;

	srandom(7);
	for (int round = 0; round < 400; round++) {
		const unsigned count = 1 + (unsigned)random() % 8;

		assert_int_equal(fixture_append(s, n, count, 1500), 0);
		n += count;
		if (random() % 40 == 0) {
			spool_close(s);
			s = fixture_open(&o, &found);
			assert_int_equal(found.torn_bytes, 0);
			assert_int_equal(found.corrupt_regions, 0);
			assert_int_equal(found.missing_segments, 0);
		}
	}
	all = fixture_read(dir, spool_durable(s), 1500);
	assert_int_equal(all.records, n - 1);
	assert_int_equal(all.position, spool_durable(s));
	spool_close(s);
	all = fixture_read(dir, UINT64_MAX, 1500);
	assert_int_equal(all.records, n - 1);
	assert_int_equal(all.last, n - 1);
	assert_int_equal(all.errors, 0);
	assert_int_equal(all.wrong, 0);
}

/* Method: the largest and the smallest record, alone in their batch, in segments that they just
 * fit. */
static void test_extreme_sizes(void **state)
{
	const char *dir = *state;
	const size_t batch_max = SPOOL_RECORD_MAX + 64;
	struct spool_options o = fixture_options(dir);
	struct spool_reader *r;
	struct spool_record record;
	struct spool_batch b;
	struct error err;
	struct spool *s;

	o.batch_max = batch_max;
	o.segment_size = batch_max + SPOOL_OVERHEAD;
	s = fixture_open(&o, NULL);
	assert_int_equal(spool_batch_init(&b, batch_max + 1024), 0);
	b.done = NULL;
	assert_null(spool_batch_add(&b, SPOOL_RECORD_MAX + 1));
	assert_non_null(spool_batch_add(&b, SPOOL_RECORD_MAX));
	assert_null(spool_batch_add(&b, SPOOL_RECORD_MAX));
	assert_int_equal(b.count, 1);
	spool_batch_release(&b);
	for (uint64_t n = 1; n <= 5; n++)
		assert_int_equal(fixture_append(s, n, 1, 8), 0);
	spool_close(s);
	r = fixture_reader(dir, 0);
	for (uint64_t n = 1; n <= 5; n++) {
		assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), 1);
		assert_int_equal(record.sequence, n);
		assert_int_equal(record.size, 8);
	}
	assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), 0);
	spool_reader_close(r);
}

/* Method: read on from every record's next, and fetch each by its position. */
static void test_positions_lead_back(void **state)
{
	const char *dir = *state;
	const struct spool_options o = fixture_options(dir);
	struct spool *s = fixture_open(&o, NULL);
	struct spool_reader *walker = fixture_reader(dir, 0);
	struct spool_record record, again;
	struct error err;
	uint64_t n;

	for (uint64_t i = 0; i < 30; i++)
		assert_int_equal(fixture_append(s, 1 + 3 * i, 3, 2000), 0);
	for (uint64_t expected = 1; expected <= 90; expected++) {
		struct spool_reader *r;

		assert_int_equal(spool_reader_next(walker, spool_durable(s), &record, &err), 1);
		assert_int_equal(record.sequence, expected);
		assert_int_equal(spool_reader_position(walker), record.next);
		r = fixture_reader(dir, record.next);
		assert_int_equal(spool_reader_next(r, spool_durable(s), &again, &err),
				 expected < 90 ? 1 : 0);
		if (expected < 90)
			assert_int_equal(again.sequence, expected + 1);
		assert_int_equal(spool_fetch(r, record.position, &again, &err), 0);
		assert_true(record_is(again.payload, again.size, 2000, &n));
		assert_int_equal(n, expected);
		assert_int_equal(spool_fetch(r, record.position + 8, &again, &err),
				 ERROR_NOT_FOUND);
		spool_reader_close(r);
	}
	assert_int_equal(record.next, spool_durable(s));
	assert_int_equal(spool_wait(s, record.next, 1), 0);
	assert_int_equal(spool_wait(s, record.next - 1, 0), 1);
	spool_reader_close(walker);
	spool_close(s);
}

static void test_second_writer_is_refused(void **state)
{
	const struct spool_options o = fixture_options(*state);
	struct spool *s = fixture_open(&o, NULL), *other = NULL;
	struct error err = { 0 };

	assert_int_equal(spool_open(&o, NULL, &other, &err), ERROR_BUSY);
	assert_non_null(strstr(err.text, "lock"));
	spool_close(s);
	s = fixture_open(&o, NULL);
	spool_close(s);
}

static void test_files_are_private(void **state)
{
	const char *dir = *state;
	char path[FIXTURE_PATH], missing[FIXTURE_PATH + 8];
	struct stat st;
	struct spool_options o;
	struct spool *s;

	snprintf(missing, sizeof(missing), "%s/new", dir);
	o = fixture_options(missing);
	s = fixture_open(&o, NULL);
	assert_int_equal(stat(missing, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	fixture_newest(missing, ".seg", path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	spool_close(s);
}

static void test_options_are_checked(void **state)
{
	struct spool_options o = fixture_options(*state);
	struct spool_batch b;
	struct spool *s = NULL;
	struct error err = { 0 };

	o.batch_max = 0;
	assert_int_equal(spool_open(&o, NULL, &s, &err), ERROR_USAGE);
	o = fixture_options(*state);
	s = fixture_open(&o, NULL);
	assert_int_equal(spool_batch_init(&b, 64 * 1024), 0);
	while (b.size <= o.batch_max)
		assert_non_null(spool_batch_add(&b, 4000));
	b.done = (void (*)(struct spool_batch *, int, void *))(uintptr_t)1; /* must not be called */
	assert_int_equal(spool_submit(s, &b), ERROR_USAGE);
	spool_batch_release(&b);
	spool_close(s);
}

/* Method: open and close many times without a record; the log must not grow. */
static void test_idle_restarts_take_no_room(void **state)
{
	const char *dir = *state;
	const struct spool_options o = fixture_options(dir);
	struct spool *s;

	for (int i = 0; i < 5; i++) {
		s = fixture_open(&o, NULL);
		spool_close(s);
		assert_int_equal(fixture_count(dir, ".seg"), 1);
		assert_int_equal(fixture_count(dir, ".tmp"), 0);
	}
}

struct feeder {
	struct spool *spool;
	uint64_t first;
	pthread_t thread;
};

static void *feed(void *arg)
{
	struct feeder *f = arg;
	int rc;

	for (uint64_t i = 0; i < 150; i++)
		while ((rc = fixture_append(f->spool, f->first + i, 1, 600)) != 0)
			assert_int_equal(rc, ERROR_FULL);
	return NULL;
}

/* Method: three threads submit, one follows live; each thread's records come once and in its order.
 */
static void test_many_threads(void **state)
{
	const char *dir = *state;
	const struct spool_options o = fixture_options(dir);
	struct spool *s = fixture_open(&o, NULL);
	struct spool_reader *r = fixture_reader(dir, 0);
	struct feeder feeders[3];
	uint64_t seen[3] = { 0 }, total = 0, n;
	struct spool_record record;
	struct error err;

	for (unsigned i = 0; i < 3; i++) {
		feeders[i] = (struct feeder){ .spool = s, .first = 1 + i * 1000 };
		assert_int_equal(pthread_create(&feeders[i].thread, NULL, feed, &feeders[i]), 0);
	}
	while (total < 450) {
		const int rc = spool_reader_next(r, spool_durable(s), &record, &err);

		assert_true(rc >= 0);
		if (rc == 0) {
			spool_wait(s, spool_reader_position(r), 1000);
			continue;
		}
		assert_true(record_is(record.payload, record.size, 600, &n));
		assert_int_equal(record.sequence, ++total);
		assert_int_equal(n % 1000, ++seen[n / 1000]);
		spool_release(s, record.next);
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(feeders[i].thread, NULL);
	spool_reader_close(r);
	spool_close(s);
}

static void *wait_long(void *arg)
{
	struct spool *s = arg;

	assert_int_equal(spool_wait(s, UINT64_MAX, 600000), 0);
	return NULL;
}

/* The test's timeout judges it. */
static void test_close_ends_waiting(void **state)
{
	const struct spool_options o = fixture_options(*state);
	struct spool *s = fixture_open(&o, NULL);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, wait_long, s), 0);
	while (!spool_has_waiter(s))
		sched_yield();
	spool_close(s);
	pthread_join(thread, NULL);
}

/* Until the helper has made a segment, or has found that it cannot. */
static void settle(struct spool *s)
{
	bool settled = false;

	while (!settled) {
		pthread_mutex_lock(&s->lock);
		settled = s->spare_fd >= 0 || s->full;
		pthread_mutex_unlock(&s->lock);
		sched_yield();
	}
}

/* Appends until the spool says that it is full; returns the next number. */
static uint64_t fill(struct spool *s, uint64_t n)
{
	int rc;

	while (settle(s), (rc = fixture_append(s, n, 4, 1500)) == 0)
		n += 4;
	assert_int_equal(rc, ERROR_FULL);
	return n;
}

/* Method: reach size_max; nothing is lost, reading works; more room is used by itself. */
static void test_size_max_is_silence(void **state)
{
	const char *dir = *state;
	struct spool_options o = fixture_options(dir);
	struct spool *s;
	struct read_all all;
	uint64_t n;

	o.size_max = 4 * o.segment_size;
	s = fixture_open(&o, NULL);
	n = fill(s, 1);
	assert_true(n > 20);
	all = fixture_read(dir, spool_durable(s), 1500);
	assert_int_equal(all.records, n - 1);
	spool_set_limits(s, 8 * o.segment_size, 0);
	while (fixture_append(s, n, 4, 1500) == ERROR_FULL)
		sched_yield();
	n += 4;
	n = fill(s, n);
	spool_close(s);
	all = fixture_read(dir, UINT64_MAX, 1500);
	assert_int_equal(all.records, n - 1);

	/* Opened while full: readable, silent. */
	o.size_max = 1;
	s = fixture_open(&o, NULL);
	assert_int_equal(fixture_append(s, n, 1, 1500), ERROR_FULL);
	assert_int_equal(fixture_read(dir, spool_durable(s), 1500).records, n - 1);
	spool_set_limits(s, UINT64_C(1) << 40, 0);
	while (fixture_append(s, n, 1, 1500) == ERROR_FULL)
		sched_yield();
	spool_close(s);
	assert_int_equal(fixture_read(dir, UINT64_MAX, 1500).records, n);
}

/* Method: a real full disk, a tmpfs of 256 KiB; then a file that filled it goes away. */
static void test_disk_full_then_room(void **state)
{
	const char *dir = *state;
	char ballast[FIXTURE_PATH + 16], inside[FIXTURE_PATH + 16];
	uint8_t bytes[96 * 1024] = { 1 };
	struct spool_options o;
	struct spool *s;
	uint64_t n;

	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("tmpfs", dir, "tmpfs", 0, "size=256k") != 0) {
		print_message("skipped: only root can mount a small tmpfs\n");
		skip();
	}
	snprintf(ballast, sizeof(ballast), "%s/ballast", dir);
	snprintf(inside, sizeof(inside), "%s/spool", dir);
	fixture_store(ballast, bytes, sizeof(bytes));
	o = fixture_options(inside);
	s = fixture_open(&o, NULL);
	n = fill(s, 1);
	assert_int_equal(fixture_read(inside, spool_durable(s), 1500).records, n - 1);
	assert_int_equal(unlink(ballast), 0);
	while (fixture_append(s, n, 4, 1500) == ERROR_FULL)
		sched_yield();
	n += 4;
	spool_close(s);
	assert_int_equal(fixture_read(inside, UINT64_MAX, 1500).records, n - 1);
	assert_int_equal(umount(dir), 0);
}

static void wait_for_archive(const char *archive, unsigned files)
{
	struct timespec pause = { 0, 1000000 };

	while (fixture_count(archive, ".segz") < files)
		nanosleep(&pause, NULL);
}

/* Method: release half of the log; the same records come from the archive, by reading and by
 * position. */
static void test_archive_round_trip(void **state)
{
	const char *dir = *state;
	char archive[FIXTURE_PATH + 16];
	const struct spool_options o = fixture_options(dir);
	struct spool *s = fixture_open(&o, NULL);
	struct spool_reader *r = fixture_reader(dir, 0);
	uint64_t positions[200];
	struct spool_record record;
	struct error err;
	uint64_t n;
	unsigned live;

	snprintf(archive, sizeof(archive), "%s/archive", dir);
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(fixture_append(s, 1 + 4 * i, 4, 2000), 0);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(spool_reader_next(r, spool_durable(s), &record, &err), 1);
		positions[i] = record.position;
	}
	live = fixture_count(dir, ".seg");
	assert_true(live > 4);
	spool_release(s, positions[199]);
	wait_for_archive(archive, live - 1);
	for (unsigned i = 0; i < 200; i++) {
		assert_int_equal(spool_fetch(r, positions[i], &record, &err), 0);
		assert_true(record_is(record.payload, record.size, 2000, &n));
		assert_int_equal(n, i + 1);
	}
	spool_reader_close(r);
	spool_close(s);
	assert_int_equal(fixture_count(dir, ".seg"), 1);
	assert_int_equal(fixture_read(dir, UINT64_MAX, 2000).records, 200);
	s = fixture_open(&o, NULL);
	assert_int_equal(fixture_append(s, 201, 1, 2000), 0);
	spool_close(s);
	assert_int_equal(fixture_read(dir, UINT64_MAX, 2000).records, 201);
}

/* Method: read in the archive while its folder is not there, and while it is an empty mount point.
 */
static void test_archive_that_is_away(void **state)
{
	const char *dir = *state;
	char archive[FIXTURE_PATH + 16], away[FIXTURE_PATH + 16];
	const struct spool_options o = fixture_options(dir);
	struct spool *s = fixture_open(&o, NULL);
	struct spool_reader *r;
	struct spool_record record;
	struct error err;

	snprintf(archive, sizeof(archive), "%s/archive", dir);
	snprintf(away, sizeof(away), "%s/away", dir);
	for (uint64_t i = 0; i < 50; i++)
		assert_int_equal(fixture_append(s, 1 + 4 * i, 4, 2000), 0);
	r = fixture_reader(dir, 0);
	assert_int_equal(spool_reader_next(r, spool_durable(s), &record, &err), 1);
	spool_reader_close(r);
	spool_release(s, spool_durable(s));
	wait_for_archive(archive, fixture_count(dir, ".seg") - 1);
	spool_close(s);
	r = fixture_reader(dir, record.next);
	assert_int_equal(rename(archive, away), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), ERROR_IO);
		assert_non_null(strstr(err.text, archive));
		assert_int_equal(spool_reader_position(r), record.next);
	}
	assert_int_equal(rename(away, archive), 0);
	assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), 1);
	assert_int_equal(record.sequence, 2);
	spool_reader_close(r);
	r = fixture_reader(dir, record.next);
	assert_int_equal(rename(archive, away), 0);
	assert_int_equal(mkdir(archive, 0700), 0);
	assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), ERROR_CORRUPT);
	assert_true(spool_reader_at_gap(r));
	assert_int_equal(spool_reader_next(r, UINT64_MAX, &record, &err), 1);
	assert_false(spool_reader_at_gap(r));
	spool_reader_close(r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_what_is_appended_is_read),   T(test_extreme_sizes),
		T(test_positions_lead_back),	    T(test_second_writer_is_refused),
		T(test_files_are_private),	    T(test_options_are_checked),
		T(test_idle_restarts_take_no_room), T(test_many_threads),
		T(test_close_ends_waiting),	    T(test_size_max_is_silence),
		T(test_archive_that_is_away),	    T(test_archive_round_trip),
		T(test_disk_full_then_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

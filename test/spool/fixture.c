#include "test/spool/fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

void fixture_folder(char out[FIXTURE_PATH])
{
	const char *parent = getenv("TMPDIR");

	if (parent == NULL)
		parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	snprintf(out, FIXTURE_PATH, "%s/haulgate-spool.XXXXXX", parent);
	assert_non_null(mkdtemp(out));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st;
	(void)type;
	(void)walk;
	return remove(path);
}

void fixture_remove(const char *path)
{
	assert_int_equal(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

uint8_t *fixture_load(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	struct stat st;
	uint8_t *bytes;

	assert_non_null(f);
	assert_int_equal(fstat(fileno(f), &st), 0);
	bytes = malloc((size_t)st.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)st.st_size, f), st.st_size);
	fclose(f);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

void fixture_store(const char *path, const uint8_t *bytes, size_t size)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

void fixture_copy(const char *from, const char *to)
{
	size_t size;
	uint8_t *bytes = fixture_load(from, &size);

	fixture_store(to, bytes, size);
	free(bytes);
}

static bool ends_with(const char *name, const char *ending)
{
	const size_t n = strlen(name), m = strlen(ending);

	return n >= m && strcmp(name + n - m, ending) == 0;
}

unsigned fixture_count(const char *folder, const char *ending)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	unsigned n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		n += ends_with(entry->d_name, ending);
	if (dir != NULL)
		closedir(dir);
	return n;
}

void fixture_newest(const char *folder, const char *ending, char out[FIXTURE_PATH])
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	char best[128] = "";

	assert_non_null(dir);
	while ((entry = readdir(dir)) != NULL)
		if (ends_with(entry->d_name, ending) && strcmp(entry->d_name, best) > 0)
			snprintf(best, sizeof(best), "%.100s", entry->d_name);
	closedir(dir);
	assert_string_not_equal(best, "");
	assert_true(snprintf(out, FIXTURE_PATH, "%s/%s", folder, best) < FIXTURE_PATH);
}

struct spool_options fixture_options(const char *dir)
{
	return (struct spool_options){
		.dir = dir,
		.segment_size = 32 * 1024,
		.batch_max = 16 * 1024,
		.size_max = UINT64_C(1) << 40,
	};
}

struct spool *fixture_open(const struct spool_options *o, struct spool_recovery *ret)
{
	struct spool_recovery found;
	struct spool *s = NULL;
	struct error err = { 0 };

	if (spool_open(o, ret != NULL ? ret : &found, &s, &err) != 0)
		fail_msg("spool_open: %s", err.text);
	return s;
}

struct waiting {
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool finished;
	int status;
};

static void on_done(struct spool_batch *b, int status, void *arg)
{
	struct waiting *w = arg;

	(void)b;
	pthread_mutex_lock(&w->lock);
	w->finished = true;
	w->status = status;
	pthread_cond_signal(&w->done);
	pthread_mutex_unlock(&w->lock);
}

int fixture_append(struct spool *s, uint64_t first, unsigned count, size_t size_max)
{
	struct waiting w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 };
	struct spool_batch b;
	uint8_t payload[SPOOL_RECORD_MAX];
	int rc;

	assert_int_equal(spool_batch_init(&b, 16 * 1024), 0);
	b.done = on_done;
	b.arg = &w;
	for (unsigned i = 0; i < count; i++) {
		const size_t size = record_make(first + i, size_max, payload);
		uint8_t *room = spool_batch_add(&b, size);

		assert_non_null(room);
		memcpy(room, payload, size);
	}
	rc = spool_submit(s, &b);
	if (rc == 0) {
		pthread_mutex_lock(&w.lock);
		while (!w.finished)
			pthread_cond_wait(&w.done, &w.lock);
		pthread_mutex_unlock(&w.lock);
		rc = w.status;
		if (rc == 0)
			assert_true(b.end <= spool_durable(s));
	}
	spool_batch_release(&b);
	return rc;
}

struct spool_reader *fixture_reader(const char *dir, uint64_t position)
{
	struct spool_reader *r = NULL;
	struct error err = { 0 };

	if (spool_reader_open(dir, NULL, position, &r, &err) != 0)
		fail_msg("spool_reader_open: %s", err.text);
	return r;
}

struct read_all fixture_read(const char *dir, uint64_t limit, size_t size_max)
{
	struct spool_reader *r = fixture_reader(dir, 0);
	struct read_all all = { 0 };
	struct spool_record record;
	struct error err;
	uint64_t n, sequence = 0;
	int rc;

	while ((rc = spool_reader_next(r, limit, &record, &err)) != 0) {
		if (rc < 0) {
			assert_int_equal(rc, ERROR_CORRUPT);
			assert_true(++all.errors < 1000);
			continue;
		}
		assert_true(record.sequence > sequence);
		sequence = record.sequence;
		if (!record_is(record.payload, record.size, size_max, &n)) {
			all.wrong++;
			continue;
		}
		assert_true(n > all.last);
		if (all.records++ == 0)
			all.first = n;
		all.last = n;
		all.position = record.next;
	}
	spool_reader_close(r);
	return all;
}

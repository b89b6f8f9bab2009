#include "gateway/spool/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/spool/archive.h"
#include "gateway/spool/file.h"

/* Zeros are written and synced in small steps, so that the writer's syncs do not wait for them: one
 * of 4 MiB takes the disk for 2.6 ms, ten times the writer's own. */
enum { ZERO_SIZE = 256 * 1024 };
enum { RETRY_S = 1, ARCHIVE_RETRY_S = 60 };

static bool stopping(struct spool *s)
{
	bool stop;

	pthread_mutex_lock(&s->lock);
	stop = s->helper_stop;
	pthread_mutex_unlock(&s->lock);
	return stop;
}

/* ERROR_FULL when one more segment would break a bound. */
static int check_room(struct spool *s, struct error *err)
{
	struct segment_list list;
	struct statvfs fs;
	uint64_t size_max, reserve, free_bytes, used;
	int rc = segment_list(&s->folder, true, &list, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&s->lock);
	size_max = s->size_max;
	reserve = s->reserve;
	pthread_mutex_unlock(&s->lock);
	used = list.bytes;
	segment_list_release(&list);
	if (used + s->segment_size > size_max)
		return error_set(err, ERROR_FULL,
				 "%s holds %" PRIu64 " bytes, and size_max is %" PRIu64,
				 s->folder.dir, used, size_max);
	if (statvfs(s->folder.dir, &fs) != 0)
		return error_errno(err, ERROR_IO, "cannot ask for free space in %s", s->folder.dir);
	free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (free_bytes < reserve || free_bytes - reserve < s->segment_size)
		return error_set(err, ERROR_FULL,
				 "the disk of %s has %" PRIu64 " bytes free, and %" PRIu64
				 " are reserved",
				 s->folder.dir, free_bytes, reserve);
	return 0;
}

static int full_or_broken(struct error *err, const char *path)
{
	const bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

	return error_errno(err, full ? ERROR_FULL : ERROR_IO, "cannot make %s", path);
}

/* Real zeros, not only reserved blocks: then a sync of data has no metadata to wait for. */
static int zero_fill(struct spool *s, int fd, const char *path, struct error *err)
{
	static const uint8_t zeros[ZERO_SIZE];
	const int reserved = posix_fallocate(fd, 0, (off_t)s->segment_size);

	if (reserved != 0 && reserved != EOPNOTSUPP && reserved != EINVAL) {
		errno = reserved;
		return full_or_broken(err, path);
	}
	for (size_t at = 0; at < s->segment_size; at += ZERO_SIZE) {
		const size_t rest = s->segment_size - at;

		if (file_write(fd, at, zeros, rest < ZERO_SIZE ? rest : ZERO_SIZE) != 0)
			return full_or_broken(err, path);
		if (fdatasync(fd) != 0)
			return full_or_broken(err, path);
		if (stopping(s))
			return error_set(err, ERROR_CLOSED, "stopping");
	}
	return fsync(fd) == 0 ? 0 : full_or_broken(err, path);
}

int spare_make(struct spool *s, int *ret_fd, struct error *err)
{
	char path[SEGMENT_PATH_MAX];
	int fd, rc = check_room(s, err);

	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "%s/" SPARE_NAME, s->folder.dir);
	fd = file_create(path);
	if (fd < 0)
		return full_or_broken(err, path);
	rc = zero_fill(s, fd, path, err);
	if (rc == 0 && folder_sync(s->folder.dir) != 0)
		rc = full_or_broken(err, path);
	if (rc != 0) {
		close(fd);
		unlink(path);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

/* Gives the writer a spare when it has none.  False when it could not be made. */
static bool provide_spare(struct spool *s)
{
	struct error err = { 0 };
	bool was_full;
	int fd = -1, rc = 0;

	pthread_mutex_lock(&s->lock);
	if (s->spare_fd >= 0 || s->failed || s->helper_stop) {
		pthread_mutex_unlock(&s->lock);
		return true;
	}
	pthread_mutex_unlock(&s->lock);
	rc = spare_make(s, &fd, &err);
	pthread_mutex_lock(&s->lock);
	was_full = s->full;
	s->full = rc != 0;
	if (rc == 0)
		s->spare_fd = fd;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
	if (rc != 0 && rc != ERROR_CLOSED && !was_full)
		log_line(LOG_WARNING, "spool cannot grow, terminals wait: %s", err.text);
	if (rc == 0 && was_full)
		log_line(LOG_NOTICE, "spool has room again");
	return rc == 0;
}

static bool between_blocks(void *arg)
{
	struct spool *s = arg;

	provide_spare(s);
	return stopping(s);
}

/* Archives the oldest live segment that the store has left behind.  1: one done, 0: none, or error.
 */
static int archive_oldest(struct spool *s, struct error *err)
{
	struct segment_list list;
	struct segment *oldest = NULL;
	struct follow follow;
	uint64_t end;
	int rc = segment_list(&s->folder, false, &list, err);

	if (rc != 0)
		return rc;
	if (list.count < 2)
		goto out;
	if ((rc = segment_open(&s->folder, list.names[0].base, false, &oldest, err)) != 0 ||
	    (rc = segment_follow(&s->folder, &list, oldest, &follow, err)) != 0)
		goto out;
	end = follow.end;
	if (end > oldest->base + oldest->size)
		end = oldest->base + oldest->size;
	if (end <= oldest->base || end > atomic_load(&s->released))
		goto out;
	rc = archive_segment(&s->folder, oldest->base, end - oldest->base, between_blocks, s, err);
	if (rc == 0) {
		log_line(LOG_INFO, "spool segment archived base=%016" PRIx64 " bytes=%" PRIu64,
			 oldest->base, end - oldest->base);
		rc = 1;
	}
out:
	segment_close(oldest);
	segment_list_release(&list);
	return rc;
}

/* False: it failed and should be tried again later. */
static bool archive_all(struct spool *s)
{
	struct error err = { 0 };
	int rc;

	while ((rc = archive_oldest(s, &err)) == 1)
		if (between_blocks(s))
			return true;
	if (rc < 0 && rc != ERROR_CLOSED)
		log_line(LOG_WARNING, "spool could not archive: %s", err.text);
	return rc >= 0 || rc == ERROR_CLOSED;
}

static void helper_sleep(struct spool *s, int seconds)
{
	struct timespec until;

	if (seconds == 0) {
		pthread_cond_wait(&s->helper_work, &s->lock);
		return;
	}
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_cond_timedwait(&s->helper_work, &s->lock, &until);
}

void *helper_main(void *arg)
{
	struct spool *s = arg;
	int64_t spare_after = 0, archive_after = 0; /* monotonic ns: not before */

	pthread_mutex_lock(&s->lock);
	while (!s->helper_stop) {
		const int64_t now = clock_mono_ns();
		const bool spare = s->spare_fd < 0 && !s->failed;
		const bool archive = s->archive_due;

		if (spare && now >= spare_after) {
			pthread_mutex_unlock(&s->lock);
			if (!provide_spare(s))
				spare_after = clock_mono_ns() + RETRY_S * INT64_C(1000000000);
			pthread_mutex_lock(&s->lock);
		} else if (archive && now >= archive_after) {
			s->archive_due = false;
			pthread_mutex_unlock(&s->lock);
			archive_after = 0;
			spare_after = 0; /* room may have been made */
			if (!archive_all(s))
				archive_after =
					clock_mono_ns() + ARCHIVE_RETRY_S * INT64_C(1000000000);
			pthread_mutex_lock(&s->lock);
			s->archive_due = s->archive_due || archive_after != 0;
		} else {
			helper_sleep(s, spare || archive ? RETRY_S : 0);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

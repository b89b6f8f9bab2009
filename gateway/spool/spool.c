#include "gateway/spool/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/spool/file.h"
#include "gateway/spool/recover.h"
#include "gateway/spool/writer.h"

/* What waits for the writer at most. */
enum { QUEUE_MAX = 4096 };
static const size_t queue_bytes_max = (size_t)4 * SPOOL_BATCH_MAX;

/* The lock goes with the process, so that a killed writer leaves nothing to clean up. */
static int take_lock(struct spool *s, struct error *err)
{
	char path[PATH_MAX + 8];

	snprintf(path, sizeof(path), "%s/lock", s->folder.dir);
	s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->lock_fd < 0)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return error_set(err, ERROR_BUSY,
				 "%s is locked: another gateway writes this spool; stop it, or "
				 "give this one another dir",
				 path);
	return error_errno(err, ERROR_IO, "cannot lock %s", path);
}

static int init_threads(struct spool *s, struct error *err)
{
	pthread_condattr_t monotonic;

	if (pthread_condattr_init(&monotonic) != 0 ||
	    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
	    pthread_mutex_init(&s->lock, NULL) != 0 || pthread_cond_init(&s->work, NULL) != 0 ||
	    pthread_cond_init(&s->helper_work, &monotonic) != 0 ||
	    pthread_cond_init(&s->changed, &monotonic) != 0)
		return error_set(err, ERROR_MEMORY, "no memory for the spool's threads");
	pthread_condattr_destroy(&monotonic);
	return 0;
}

static struct spool *spool_new(const struct spool_options *o, struct error *err)
{
	const size_t batch_max = o->batch_max != 0 ? o->batch_max : SPOOL_BATCH_MAX;
	struct spool *s;

	if (batch_max > SPOOL_BATCH_MAX || o->segment_size < batch_max + SPOOL_OVERHEAD ||
	    o->segment_size > SEGMENT_SIZE_MAX / 2) {
		error_set(err, ERROR_USAGE, "segment size %zu: at least %zu is needed",
			  o->segment_size, batch_max + SPOOL_OVERHEAD);
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (s == NULL || (s->md = EVP_MD_CTX_new()) == NULL) {
		free(s);
		error_set(err, ERROR_MEMORY, "no memory for a spool");
		return NULL;
	}
	s->fd = s->spare_fd = s->lock_fd = -1;
	s->tail = &s->head;
	s->segment_size = (o->segment_size + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
	s->batch_max = batch_max;
	s->double_sync = o->double_sync;
	s->metrics = o->metrics;
	s->size_max = o->size_max;
	s->reserve = o->reserve;
	if (init_threads(s, err) != 0) {
		EVP_MD_CTX_free(s->md);
		free(s);
		return NULL;
	}
	return s;
}

/* Threads have ended, or were never started. */
static void spool_free(struct spool *s)
{
	if (s->fd >= 0)
		close(s->fd);
	if (s->spare_fd >= 0) {
		char path[SEGMENT_PATH_MAX];

		snprintf(path, sizeof(path), "%s/" SPARE_NAME, s->folder.dir);
		unlink(path);
		close(s->spare_fd);
	}
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	EVP_MD_CTX_free(s->md);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->helper_work);
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int recover_and_resume(struct spool *s, struct spool_recovery *found, struct error *err)
{
	struct resume r;
	uint64_t lost;
	int rc = recover(&s->folder, &r, found, &lost, err);

	if (rc != 0)
		return rc;
	s->next_base = r.base;
	s->sequence = r.sequence;
	s->previous_base = r.previous_base;
	s->previous_end = r.previous_end;
	memcpy(s->chain, r.chain, CHAIN_SIZE);
	atomic_store(&s->durable, r.durable);
	if (s->metrics != NULL && lost > 0)
		metrics_add(s->metrics, METRIC_spool_quarantined_records_total, (int64_t)lost);
	return 0;
}

/* A new segment for what is written from now on; none yet when there is no room. */
static int open_segment(struct spool *s, struct error *err)
{
	int fd = -1;
	int rc = spare_make(s, &fd, err);

	if (rc == ERROR_FULL) {
		log_line(LOG_WARNING, "spool cannot grow, terminals wait: %s", err->text);
		s->full = true;
		return 0;
	}
	if (rc == 0)
		rc = writer_rotate(s, fd, err);
	if (rc == 0)
		s->room = s->base + s->segment_size - s->at;
	return rc;
}

static int start_threads(struct spool *s, struct error *err)
{
	s->archive_due = true;
	if (pthread_create(&s->helper, NULL, helper_main, s) != 0)
		return error_set(err, ERROR_MEMORY, "cannot start the spool's helper thread");
	if (pthread_create(&s->writer, NULL, writer_main, s) == 0)
		return 0;
	pthread_mutex_lock(&s->lock);
	s->helper_stop = true;
	pthread_cond_signal(&s->helper_work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->helper, NULL);
	return error_set(err, ERROR_MEMORY, "cannot start the spool's writer thread");
}

int spool_open(const struct spool_options *options, struct spool_recovery *ret_recovery,
	       struct spool **ret, struct error *err)
{
	struct spool_recovery found = { 0 };
	struct spool *s = spool_new(options, err);
	int rc;

	if (s == NULL)
		return err != NULL ? (int)err->code : ERROR_USAGE;
	if ((rc = folder_init(&s->folder, options->dir, options->archive_dir, err)) != 0 ||
	    (rc = folder_make(s->folder.dir, err)) != 0 ||
	    (rc = folder_make(s->folder.archive, err)) != 0 || (rc = take_lock(s, err)) != 0 ||
	    (rc = recover_and_resume(s, &found, err)) != 0 || (rc = open_segment(s, err)) != 0 ||
	    (rc = start_threads(s, err)) != 0) {
		spool_free(s);
		return rc;
	}
	if (ret_recovery != NULL)
		*ret_recovery = found;
	*ret = s;
	return 0;
}

void spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->closing = true;
	pthread_cond_broadcast(&s->work);
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	/* The helper must outlive the writer, which may still need a segment for what waits. */
	pthread_join(s->writer, NULL);
	pthread_mutex_lock(&s->lock);
	s->helper_stop = true;
	pthread_cond_signal(&s->helper_work);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->helper, NULL);
	pthread_mutex_lock(&s->lock);
	while (s->waiters > 0)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	spool_free(s);
}

/* lock is held. */
static int may_submit(const struct spool *s, const struct spool_batch *b)
{
	if (s->closing)
		return ERROR_CLOSED;
	if (s->failed)
		return ERROR_IO;
	if (s->queued >= QUEUE_MAX)
		return ERROR_FULL;
	if (s->queued > 0 && s->queued_bytes + batch_need(b) > queue_bytes_max)
		return ERROR_FULL;
	/* No segment can follow: only what the open one surely holds is taken. */
	if (s->full && s->spare_fd < 0 && s->queued_bytes + batch_need(b) > s->room)
		return ERROR_FULL;
	return 0;
}

int spool_submit(struct spool *s, struct spool_batch *b)
{
	int rc;

	assert(b->done != NULL);
	if (b->size > s->batch_max)
		return ERROR_USAGE;
	pthread_mutex_lock(&s->lock);
	rc = may_submit(s, b);
	if (rc == 0) {
		b->next = NULL;
		*s->tail = b;
		s->tail = &b->next;
		s->queued++;
		s->queued_bytes += batch_need(b);
		pthread_cond_signal(&s->work);
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}

uint64_t spool_durable(const struct spool *s)
{
	return atomic_load(&s->durable);
}

void spool_set_limits(struct spool *s, uint64_t size_max, uint64_t reserve)
{
	pthread_mutex_lock(&s->lock);
	s->size_max = size_max;
	s->reserve = reserve;
	pthread_cond_signal(&s->helper_work);
	pthread_mutex_unlock(&s->lock);
}

void spool_release(struct spool *s, uint64_t position)
{
	if (position <= atomic_load(&s->released))
		return;
	atomic_store(&s->released, position);
	writer_show_backlog(s);
	pthread_mutex_lock(&s->lock);
	s->archive_due = true;
	pthread_cond_signal(&s->helper_work);
	pthread_mutex_unlock(&s->lock);
}

int spool_wait(struct spool *s, uint64_t position, int timeout_ms)
{
	struct timespec until;
	bool longer;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&s->lock);
	s->waiters++;
	while (!(longer = atomic_load(&s->durable) > position) && !s->closing)
		if (pthread_cond_timedwait(&s->changed, &s->lock, &until) == ETIMEDOUT)
			break;
	longer = longer || atomic_load(&s->durable) > position;
	if (--s->waiters == 0 && s->closing)
		pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return longer ? 1 : 0;
}

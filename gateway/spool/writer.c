#include "gateway/spool/writer.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/spool/file.h"

enum { GROUP_BATCHES_MAX = 512 }; /* below IOV_MAX, with the mark */

/* Batches that become durable together. */
struct group {
	struct spool_batch *first;
	unsigned batches;
	uint64_t records;
	size_t bytes;
	size_t need; /* sum of batch_need() */
};

static void count(struct spool *s, enum metric metric, int64_t n)
{
	if (s->metrics != NULL)
		metrics_add(s->metrics, metric, n);
}

/* ---- segments ---- */

static int write_header(struct spool *s, int fd, struct error *err)
{
	uint8_t copies[HEADER_SIZE];
	struct segment_header h = {
		.base = s->next_base,
		.size = s->segment_size,
		.first_sequence = s->sequence,
		.previous_base = s->previous_base,
		.previous_end = s->previous_end,
		.created_ns = clock_wall_ns(),
	};

	if (RAND_bytes(h.salt, SALT_SIZE) != 1)
		return error_set(err, ERROR_IO, "no random bytes for a segment's salt");
	memcpy(h.previous_chain, s->chain, CHAIN_SIZE);
	header_write(&h, copies);
	memcpy(copies + HEADER_COPY_SIZE, copies, HEADER_COPY_SIZE);
	if (file_write(fd, 0, copies, sizeof(copies)) != 0 || fdatasync(fd) != 0)
		return error_errno(err, ERROR_IO, "cannot write the header of a segment");
	s->salt = salt_state(h.salt);
	return 0;
}

int writer_rotate(struct spool *s, int spare_fd, struct error *err)
{
	char spare[SEGMENT_PATH_MAX], path[SEGMENT_PATH_MAX];
	int rc;

	snprintf(spare, sizeof(spare), "%s/" SPARE_NAME, s->folder.dir);
	segment_path(&s->folder, s->next_base, false, path);
	if ((rc = write_header(s, spare_fd, err)) != 0)
		goto out;
	if (access(path, F_OK) == 0) {
		rc = error_set(err, ERROR_IO, "%s is there already: somebody else writes here",
			       path);
		goto out;
	}
	if (rename(spare, path) != 0 || folder_sync(s->folder.dir) != 0) {
		rc = error_errno(err, ERROR_IO, "cannot name %s", path);
		goto out;
	}
	if (s->fd >= 0)
		close(s->fd);
	s->fd = spare_fd;
	s->base = s->next_base;
	s->at = s->base + HEADER_SIZE;
	return 0;
out:
	close(spare_fd);
	return rc;
}

/* What the next segment's header will say of this one. */
static void segment_end(struct spool *s)
{
	if (s->fd < 0)
		return;
	s->previous_base = s->base;
	s->previous_end = s->at;
	s->next_base = s->at;
}

/* Only a sign of good order: the batches before it are durable without it. */
static void write_closing_mark(struct spool *s)
{
	struct mark m = { .first_sequence = s->sequence, .begin = s->at };
	uint8_t bytes[MARK_SIZE];

	if (s->fd < 0 || s->at + MARK_SIZE > s->base + s->segment_size)
		return;
	memcpy(m.chain, s->chain, CHAIN_SIZE);
	mark_write(&m, s->salt, bytes);
	if (file_write(s->fd, s->at - s->base, bytes, sizeof(bytes)) != 0 || fdatasync(s->fd) != 0)
		log_line(LOG_WARNING, "spool could not mark the segment as closed base=%016" PRIx64,
			 s->base);
}

/* ---- groups ---- */

/* Gives the records their place: sequence, checksums, and the chain over them. */
static bool group_seal(struct spool *s, const struct group *g, uint8_t chain[CHAIN_SIZE])
{
	uint64_t sequence = s->sequence, at = s->at;

	if (EVP_DigestInit_ex(s->md, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(s->md, s->chain, CHAIN_SIZE) != 1)
		return false;
	for (struct spool_batch *b = g->first; b != NULL; b = b->next) {
		size_t offset = 0;

		for (uint32_t i = 0; i < b->count; i++) {
			record_seal(b->bytes + offset, s->salt, sequence++, s->sequence);
			offset += record_length(b->bytes + offset);
		}
		assert(offset == b->size);
		if (EVP_DigestUpdate(s->md, b->bytes, b->size) != 1)
			return false;
		at += b->size;
		b->end = at;
	}
	return EVP_DigestFinal_ex(s->md, chain, NULL) == 1;
}

static int group_sync(struct spool *s)
{
	const int64_t begin = clock_mono_ns();
	int rc = fdatasync(s->fd);

	if (rc == 0 && s->double_sync)
		rc = fdatasync(s->fd);
	count(s, METRIC_spool_syncs_total, s->double_sync ? 2 : 1);
	count(s, METRIC_spool_sync_ns_total, clock_mono_ns() - begin);
	return rc;
}

/* One write, one sync.  Whatever fails here is final. */
static int group_write(struct spool *s, const struct group *g, struct error *err)
{
	struct iovec parts[GROUP_BATCHES_MAX + 1];
	uint8_t tail[MARK_SIZE + SECTOR_SIZE] = { 0 };
	struct mark m = { .count = (uint32_t)g->records,
			  .first_sequence = s->sequence,
			  .begin = s->at };
	const uint64_t mark_at = s->at + g->bytes;
	const uint64_t end = sector_up(mark_at + MARK_SIZE, s->base);
	int n = 0;

	assert(end <= s->base + s->segment_size && g->batches <= GROUP_BATCHES_MAX);
	if (!group_seal(s, g, m.chain))
		return error_set(err, ERROR_MEMORY, "SHA-256 failed");
	for (const struct spool_batch *b = g->first; b != NULL; b = b->next)
		parts[n++] = (struct iovec){ b->bytes, b->size };
	mark_write(&m, s->salt, tail);
	parts[n++] = (struct iovec){ tail, (size_t)(end - mark_at) };
	if (file_write_all(s->fd, s->at - s->base, parts, n) != 0)
		return error_errno(err, ERROR_IO, "cannot write segment %016" PRIx64, s->base);
	if (group_sync(s) != 0)
		return error_errno(err, ERROR_IO, "cannot sync segment %016" PRIx64, s->base);
	s->at = end;
	s->sequence += g->records;
	memcpy(s->chain, m.chain, CHAIN_SIZE);
	count(s, METRIC_spool_records_total, (int64_t)g->records);
	count(s, METRIC_spool_bytes_total, (int64_t)g->bytes);
	return 0;
}

/* Takes what waits and fits into the open segment.  lock is held.  False: nothing fits. */
static bool group_take(struct spool *s, struct group *g)
{
	const uint64_t left = s->fd >= 0 ? s->base + s->segment_size - s->at : 0;
	struct spool_batch **end = &s->head;

	*g = (struct group){ 0 };
	while (*end != NULL && g->batches < GROUP_BATCHES_MAX) {
		const struct spool_batch *b = *end;

		if (g->bytes + batch_need(b) > left)
			break;
		if (g->batches > 0 && g->bytes + b->size > SPOOL_BATCH_MAX)
			break;
		g->batches++;
		g->records += b->count;
		g->bytes += b->size;
		g->need += batch_need(b);
		end = &(*end)->next;
	}
	if (g->batches == 0)
		return false;
	g->first = s->head;
	s->head = *end;
	*end = NULL;
	if (s->head == NULL)
		s->tail = &s->head;
	return true;
}

static void group_done(struct group *g, int status)
{
	struct spool_batch *b = g->first;

	while (b != NULL) {
		struct spool_batch *next = b->next;

		b->next = NULL;
		b->done(b, status, b->arg); /* b is the caller's again */
		b = next;
	}
}

/* lock is held; it is left for the callbacks. */
static void group_finish(struct spool *s, struct group *g, int status)
{
	s->queued_bytes -= g->need;
	s->queued -= g->batches;
	s->room = s->fd >= 0 ? s->base + s->segment_size - s->at : 0;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	group_done(g, status);
	pthread_mutex_lock(&s->lock);
}

static void take_rest(struct spool *s, struct group *g)
{
	*g = (struct group){ .first = s->head };
	for (const struct spool_batch *b = s->head; b != NULL; b = b->next) {
		g->batches++;
		g->need += batch_need(b);
	}
	s->head = NULL;
	s->tail = &s->head;
}

static void fail(struct spool *s, const struct error *err)
{
	log_line(LOG_ERROR, "spool failed, nothing is accepted any more: %s", err->text);
	if (s->metrics != NULL)
		metrics_set(s->metrics, METRIC_spool_failed, 1);
}

void writer_show_backlog(struct spool *s)
{
	const uint64_t durable = atomic_load(&s->durable), released = atomic_load(&s->released);

	if (s->metrics != NULL)
		metrics_set(s->metrics, METRIC_spool_backlog_bytes,
			    durable > released ? (int64_t)(durable - released) : 0);
}

/* lock is held.  Makes the taken group durable, or fails for ever. */
static void group_commit(struct spool *s, struct group *g)
{
	struct error err = { 0 };
	int rc = 0;

	pthread_mutex_unlock(&s->lock);
	if (g->records > 0)
		rc = group_write(s, g, &err);
	if (rc == 0 && g->records > 0)
		atomic_store(&s->durable, s->at);
	if (rc != 0)
		fail(s, &err);
	writer_show_backlog(s);
	pthread_mutex_lock(&s->lock);
	s->failed = s->failed || rc != 0;
	group_finish(s, g, rc != 0 ? ERROR_IO : 0);
}

/* lock is held.  The open segment is at its end (or there is none): goes on in the spare. */
static void rotate(struct spool *s)
{
	struct error err = { 0 };
	const int fd = s->spare_fd;
	int rc;

	pthread_mutex_unlock(&s->lock);
	segment_end(s);
	rc = writer_rotate(s, fd, &err);
	if (rc != 0)
		fail(s, &err);
	pthread_mutex_lock(&s->lock);
	s->spare_fd = -1; /* only now: until it is renamed, its name must not be used for another */
	s->archive_due = true;
	s->failed = s->failed || rc != 0;
	s->room = rc == 0 ? s->base + s->segment_size - s->at : 0;
	pthread_cond_signal(&s->helper_work);
}

void *writer_main(void *arg)
{
	struct spool *s = arg;
	struct group g;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		if (s->head == NULL) {
			if (s->closing)
				break;
			pthread_cond_wait(&s->work, &s->lock);
		} else if (s->failed) {
			take_rest(s, &g);
			group_finish(s, &g, ERROR_IO);
		} else if (group_take(s, &g)) {
			group_commit(s, &g);
		} else if (s->spare_fd >= 0) {
			rotate(s);
		} else if (s->closing && s->full) {
			take_rest(s, &g);
			group_finish(s, &g, ERROR_FULL);
		} else {
			pthread_cond_signal(&s->helper_work);
			pthread_cond_wait(&s->work, &s->lock);
		}
	}
	pthread_mutex_unlock(&s->lock);
	if (!s->failed)
		write_closing_mark(s);
	return NULL;
}

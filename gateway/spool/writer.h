/*
 * writer.h - the inside of struct spool: shared by its callers, the writer and the helper thread.
 *
 * lock guards what is not marked otherwise.  Nothing is written, synced or called back under it.
 *
 *   callers --submit--> queue --> writer thread --> segment file --> done()
 *   helper thread --spare--> writer thread;  spool_release() --> helper thread --> archive
 */
#ifndef GATEWAY_SPOOL_WRITER_H
#define GATEWAY_SPOOL_WRITER_H

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/spool/format.h"
#include "gateway/spool/segment.h"
#include "gateway/spool/spool.h"

struct spool {
	struct folder folder;
	size_t segment_size; /* whole sectors */
	size_t batch_max;
	bool double_sync;
	struct metrics_thread *metrics; /* writer thread */
	int lock_fd;
	pthread_t writer, helper;

	pthread_mutex_t lock;
	pthread_cond_t work;	    /* for the writer: queue, spare or closing changed */
	pthread_cond_t helper_work; /* for the helper */
	pthread_cond_t changed;	    /* for spool_wait(): durable or closing changed */

	struct spool_batch *head, **tail;
	size_t queued_bytes; /* with what a group of their own would need; in flight too */
	unsigned queued;
	unsigned waiters; /* threads in spool_wait() */
	bool closing;
	bool failed; /* final */
	bool full;   /* the last try to make a segment found no room */
	bool helper_stop;
	bool archive_due; /* a segment may have become free to archive */
	int spare_fd;	  /* a zeroed and synced segment, or -1 */
	uint64_t room;	  /* bytes that the open segment has left */
	uint64_t size_max, reserve;

	_Atomic uint64_t durable;
	_Atomic uint64_t released;

	/* Writer thread only (and spool_open before it starts). */
	int fd; /* the open segment, or -1 */
	uint64_t base;
	uint64_t at; /* position of the next group */
	uint32_t salt;
	uint64_t sequence;
	uint8_t chain[CHAIN_SIZE];
	uint64_t next_base, previous_base, previous_end; /* for the next segment's header */
	EVP_MD_CTX *md;
};

/* What a batch takes in the segment when it is a group of its own. */
static inline size_t batch_need(const struct spool_batch *b)
{
	return b->size + MARK_SIZE + SECTOR_SIZE;
}

void *writer_main(void *arg);		   /* struct spool */
void writer_show_backlog(struct spool *s); /* any thread: the gauge has one value, the youngest */
void *helper_main(void *arg);

/*
 * Takes the spare as the next segment: header, sync, name, sync of the folder.
 * Writer thread.  0, or ERROR_IO, which is final.
 */
int writer_rotate(struct spool *s, int spare_fd, struct error *err);

/* Makes a spare.  ERROR_FULL: no room within the bounds; ERROR_CLOSED: stopping. */
int spare_make(struct spool *s, int *ret_fd, struct error *err);

#endif

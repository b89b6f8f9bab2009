/*
 * spool.h - the durable log between the sockets and the database.
 *
 * Promise: once a batch's done() is called with 0, its records survive kill -9 and power loss, and
 * every reader sees them exactly once and in order.  A batch is kept whole or not at all.
 *
 * Files: <dir>/<base>.seg (base: 16 hex digits).  A position is a byte offset in the endless log;
 * the segment with the largest base <= position holds it.  Segments are zero-filled, synced and
 * named before use, made one ahead.  A batch is written with one pwritev, ends with a commit mark
 * (sequence, count, SHA-256 chain over the batch), and is synced with one fdatasync; batches that
 * wait together are written as one.  Checksums are salted with the segment's id, so stale bytes
 * never look valid.  No side file is ever the truth.  docs/spool.md has the bytes and the
 * decisions.
 *
 * The first failed write or sync is final: the batch and all later ones fail, nothing is retried or
 * read back; the process should exit and let recovery decide by what the disk holds.
 *
 * A plain C library: no libuv, no sockets.
 */
#ifndef GATEWAY_SPOOL_SPOOL_H
#define GATEWAY_SPOOL_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "gateway/base/metrics.h"

enum { SPOOL_RECORD_MAX = 136 * 1024, SPOOL_BATCH_MAX = 4 * 1024 * 1024 };
enum { SPOOL_OVERHEAD = 16 * 1024 }; /* of a segment, at most: headers, a mark, alignment */

struct spool; /* the writer; one for each folder (flock) */

struct spool_options {
	const char *dir;
	const char *archive_dir; /* NULL or "": <dir>/archive */
	size_t segment_size;	 /* at least batch_max plus SPOOL_OVERHEAD */
	uint64_t size_max;	 /* live segments and archive */
	uint64_t reserve;	 /* bytes that stay free on the file system */
	bool double_sync;
	struct metrics_thread *metrics; /* of the writer thread; may be NULL */
	size_t batch_max; /* largest batch that will be submitted; 0: SPOOL_BATCH_MAX */
};

/*
 * What recovery found; all zero after a clean stop, but for records.  Only the last segment is
 * read: a start takes as long with a full spool as with an empty one.
 */
struct spool_recovery {
	uint64_t records;	  /* valid records in the last segment */
	uint64_t torn_bytes;	  /* cut off: an unfinished, never answered batch */
	uint64_t corrupt_regions; /* copied to <dir>/quarantine; later records were salvaged */
	uint64_t missing_segments;
};

/*
 * Locks, recovers, opens a new segment and starts the writer thread.
 * ERROR_BUSY: another process has the folder.  err says which file and what to do.
 * Damage never makes it fail.  A full disk does not either: it can be read, and spool_submit says
 * ERROR_FULL until there is room.
 */
int spool_open(const struct spool_options *options, struct spool_recovery *ret_recovery,
	       struct spool **ret, struct error *err);

/*
 * Finishes what was submitted (or gives it back with ERROR_FULL when the disk has no room), closes
 * the segment, stops the threads.  Nobody submits any more; spool_wait() in other threads returns.
 * NULL-safe.
 */
void spool_close(struct spool *s);

/*
 * A batch is built by one thread (an event loop) without locks, then handed over.
 * done runs on the writer thread, in the order of submission; it gets the batch back: 0 durable, or
 * a negative error_code.  end is the position behind the batch.
 */
struct spool_batch {
	uint8_t *bytes; /* records, framed; owned by the batch */
	size_t size, max;
	uint32_t count;
	uint64_t end;
	void (*done)(struct spool_batch *b, int status, void *arg);
	void *arg;
	struct spool_batch *next; /* while submitted: the spool's */
};

int spool_batch_init(struct spool_batch *b, size_t max);
void spool_batch_release(struct spool_batch *b);
void spool_batch_clear(struct spool_batch *b);

/* Room for a payload of size bytes inside the batch, to be written in place; NULL when full. */
uint8_t *spool_batch_add(struct spool_batch *b, size_t size);

/*
 * Hands the batch over; never blocks on the disk.  ERROR_FULL when the queue, the spool or the disk
 * is full: nothing was taken, do not answer, stop reading, try again.  ERROR_IO after a failure.
 * ERROR_USAGE: larger than batch_max.  Any thread.
 */
int spool_submit(struct spool *s, struct spool_batch *b);

uint64_t spool_durable(const struct spool *s); /* position behind the last durable batch */

/* New bounds after a reload of the configuration.  Any thread. */
void spool_set_limits(struct spool *s, uint64_t size_max, uint64_t reserve);

/* Tells that the store holds everything before position: those segments may be archived. */
void spool_release(struct spool *s, uint64_t position);

/* ---- reading; any thread, any process ---- */

struct spool_record {
	uint64_t position;	/* of this record */
	uint64_t next;		/* position to continue from */
	uint64_t sequence;	/* 1, 2, 3, ... over the whole log */
	const uint8_t *payload; /* valid until the next call on the reader */
	size_t size;
};

struct spool_reader;

/*
 * position 0 is the oldest that is kept.  Reads live and archived segments.  Where only the archive
 * can hold the position and its folder is not there, spool_reader_next() says ERROR_IO, and stays.
 */
int spool_reader_open(const char *dir, const char *archive_dir, uint64_t position,
		      struct spool_reader **ret, struct error *err);
void spool_reader_close(struct spool_reader *r);

/*
 * 1 and *ret: the next committed record before limit (spool_durable() of a live spool; UINT64_MAX
 * for a closed one).  0: none yet.  Negative: error; ERROR_CORRUPT names the place, and the next
 * call goes on behind the damage.
 */
int spool_reader_next(struct spool_reader *r, uint64_t limit, struct spool_record *ret,
		      struct error *err);

/* The last ERROR_CORRUPT was for segments that are not there: who opens again may find them. */
bool spool_reader_at_gap(const struct spool_reader *r);

/* Where the next call goes on; behind damage and gaps it is ahead of the last record's next. */
uint64_t spool_reader_position(const struct spool_reader *r);

/* Waits until the log is longer than position, the spool closes, or timeout_ms.  1: longer. */
int spool_wait(struct spool *s, uint64_t position, int timeout_ms);

/*
 * Fetches one record by position, live or archived (evidence).  The reader's place is unchanged.
 * 0 and *ret; ERROR_NOT_FOUND: no record begins there or its segment is gone; ERROR_CORRUPT.
 */
int spool_fetch(struct spool_reader *r, uint64_t position, struct spool_record *ret,
		struct error *err);

#endif

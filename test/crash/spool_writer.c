/*
 * spool_writer - the writer that crash tests kill, and the judge of what is left.
 *
 *   spool_writer write DIR ACK [--batches N] [--segment BYTES] [--release] [--ack-early]
 * [--forever] spool_writer check DIR ACK [--segment BYTES]
 *
 * write goes on behind what DIR holds: batches of 1 to 5 numbered records, some in flight at once.
 * When a batch is durable, the number of its last record is appended to the file ACK (8 bytes).
 * With --ack-early that is done before, which is the mistake that the tests must be able to see.
 * Exit 0: all was written; 3: the spool failed or was full, and said so.
 *
 * check opens DIR as a restart does.  Exit 0: every acknowledged record is there, once, in order,
 * unchanged, nothing else is, and the spool takes new records; 1: not, with a line that says what.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/spool/segment.h"
#include "gateway/spool/spool.h"
#include "test/spool/record.h"

enum { PAYLOAD_MAX = 3000, IN_FLIGHT = 3, FULL_WAIT_MS = 1600 };
enum { EXIT_REFUSED = 3 };

struct arguments {
	const char *mode, *dir, *ack;
	uint64_t batches;
	size_t segment;
	bool release, ack_early;
};

struct writer {
	const struct arguments *arguments;
	struct spool *spool;
	int ack_fd;
	pthread_mutex_t lock;
	pthread_cond_t idle;
	unsigned free;
	struct slot {
		struct spool_batch batch;
		struct writer *writer;
		uint64_t last; /* number of its last record */
		struct slot *next;
	} slots[IN_FLIGHT], *free_slots;
	int status; /* first bad one */
};

static struct spool_options options(const struct arguments *a)
{
	return (struct spool_options){ .dir = a->dir,
				       .segment_size = a->segment,
				       .batch_max = 16 * 1024,
				       .size_max = UINT64_C(1) << 40 };
}

static int complain(const char *what, const char *text)
{
	printf("%s: %s\n", what, text);
	return 1;
}

/* Reads everything with the reader alone.  Returns records, or -1 after saying what is wrong. */
static int64_t read_all(const struct arguments *a, uint64_t limit, uint64_t *ret_position)
{
	struct spool_reader *r = NULL;
	struct spool_record record;
	struct error err = { 0 };
	int64_t count = 0;
	uint64_t n;
	int rc = spool_reader_open(a->dir, NULL, 0, &r, &err);

	while (rc == 0 && (rc = spool_reader_next(r, limit, &record, &err)) == 1) {
		rc = 0;
		count++;
		if (!record_is(record.payload, record.size, PAYLOAD_MAX, &n))
			rc = error_set(&err, ERROR_CORRUPT, "garbage at %" PRIu64, record.position);
		else if (n != (uint64_t)count || record.sequence != (uint64_t)count)
			rc = error_set(&err, ERROR_CORRUPT,
				       "record %" PRId64 " is number %" PRIu64
				       ", sequence %" PRIu64,
				       count, n, record.sequence);
		*ret_position = record.next;
	}
	spool_reader_close(r);
	if (rc >= 0)
		return count;
	complain("reading", err.text);
	return -1;
}

/* ---- write ---- */

static int acknowledge(struct writer *w, uint64_t number)
{
	return write(w->ack_fd, &number, sizeof(number)) == sizeof(number) ? 0 : ERROR_IO;
}

static void on_done(struct spool_batch *b, int status, void *arg)
{
	struct slot *slot = arg;
	struct writer *w = slot->writer;
	const bool early = w->arguments->ack_early;

	if (status == 0 && !early)
		status = acknowledge(w, slot->last);
	if (status == 0 && w->arguments->release)
		spool_release(w->spool, b->end);
	pthread_mutex_lock(&w->lock);
	if (w->status == 0)
		w->status = status;
	slot->next = w->free_slots;
	w->free_slots = slot;
	w->free++;
	pthread_cond_signal(&w->idle);
	pthread_mutex_unlock(&w->lock);
}

static struct slot *take_slot(struct writer *w)
{
	struct slot *slot;

	pthread_mutex_lock(&w->lock);
	while (w->free_slots == NULL)
		pthread_cond_wait(&w->idle, &w->lock);
	slot = w->free_slots;
	w->free_slots = slot->next;
	w->free--;
	pthread_mutex_unlock(&w->lock);
	return slot;
}

static int submit(struct writer *w, struct slot *slot)
{
	const struct timespec pause = { 0, 5000000 };
	int rc;

	for (int waited = 0; (rc = spool_submit(w->spool, &slot->batch)) == ERROR_FULL;
	     waited += 5) {
		if (waited > FULL_WAIT_MS)
			return rc;
		nanosleep(&pause, NULL);
	}
	return rc;
}

static uint64_t fill_batch(struct slot *slot, uint64_t next)
{
	uint8_t payload[PAYLOAD_MAX];
	const unsigned count = 1 + (unsigned)(next % 5);

	spool_batch_clear(&slot->batch);
	for (unsigned i = 0; i < count; i++) {
		const size_t size = record_make(next, PAYLOAD_MAX, payload);
		uint8_t *room = spool_batch_add(&slot->batch, size);

		if (room == NULL)
			break;
		memcpy(room, payload, size);
		slot->last = next++;
	}
	return next;
}

static int write_batches(struct writer *w, uint64_t next)
{
	int rc = 0;

	for (uint64_t i = 0; i < w->arguments->batches && rc == 0; i++) {
		struct slot *slot = take_slot(w);
		uint64_t last;

		next = fill_batch(slot, next);
		last = slot->last;
		rc = submit(w, slot);
		if (rc == 0 && w->arguments->ack_early)
			rc = acknowledge(w, last);
		pthread_mutex_lock(&w->lock);
		if (rc == 0)
			rc = w->status;
		pthread_mutex_unlock(&w->lock);
	}
	return rc;
}

/* So that the archiving is part of every run, and not cut short by the end. */
static void wait_archived(const struct arguments *a)
{
	const struct timespec pause = { 0, 2000000 };
	struct segment_list list;
	struct folder folder;
	size_t live = 2;

	for (int i = 0; i < 500 && live > 1; i++) {
		if (folder_init(&folder, a->dir, NULL, NULL) != 0 ||
		    segment_list(&folder, false, &list, NULL) != 0)
			return;
		live = list.count;
		segment_list_release(&list);
		nanosleep(&pause, NULL);
	}
}

static int run_write(const struct arguments *a)
{
	struct writer w = { .arguments = a,
			    .lock = PTHREAD_MUTEX_INITIALIZER,
			    .idle = PTHREAD_COND_INITIALIZER };
	const struct spool_options o = options(a);
	struct error err = { 0 };
	uint64_t position;
	int64_t had;
	int rc;

	/* kill_at counts from here: what the loader did before is not ours. */
	(void)getppid();
	w.ack_fd = open(a->ack, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (w.ack_fd < 0)
		return complain("ack", strerror(errno));
	if (spool_open(&o, NULL, &w.spool, &err) != 0) {
		complain("open", err.text);
		return EXIT_REFUSED;
	}
	had = read_all(a, spool_durable(w.spool), &position);
	if (had < 0)
		return 1;
	for (int i = 0; i < IN_FLIGHT; i++) {
		struct slot *slot = &w.slots[i];

		if (spool_batch_init(&slot->batch, 16 * 1024) != 0)
			return 1;
		slot->batch.done = on_done;
		slot->batch.arg = slot;
		slot->writer = &w;
		slot->next = w.free_slots;
		w.free_slots = slot;
		w.free++;
	}
	rc = write_batches(&w, (uint64_t)had + 1);
	if (a->release && rc == 0)
		wait_archived(a);
	spool_close(w.spool);
	for (int i = 0; i < IN_FLIGHT; i++)
		spool_batch_release(&w.slots[i].batch);
	close(w.ack_fd);
	return rc == 0 && w.status == 0 ? 0 : EXIT_REFUSED;
}

/* ---- check ---- */

static uint64_t last_acknowledged(const char *path)
{
	uint64_t number = 0;
	struct stat st;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	if (fstat(fd, &st) == 0 && st.st_size >= (off_t)sizeof(number) &&
	    pread(fd, &number, sizeof(number), st.st_size / 8 * 8 - 8) != (ssize_t)sizeof(number))
		number = 0;
	close(fd);
	return number;
}

static int check_restart(const struct arguments *a, int64_t before, uint64_t acked)
{
	const struct spool_options o = options(a);
	struct spool_recovery found;
	struct spool *s = NULL;
	struct error err = { 0 };
	uint64_t position = 0;
	int64_t after;

	if (spool_open(&o, &found, &s, &err) != 0)
		return complain("restart", err.text);
	after = read_all(a, spool_durable(s), &position);
	spool_close(s);
	if (after < 0)
		return 1;
	if ((uint64_t)after < acked) {
		printf("lost: %" PRIu64 " acknowledged, %" PRId64 " there\n", acked, after);
		return 1;
	}
	if (after != before) {
		printf("%" PRId64 " records before the restart, %" PRId64 " after\n", before,
		       after);
		return 1;
	}
	if (found.corrupt_regions != 0 || found.missing_segments != 0)
		return complain("restart", "damage reported where none was done");
	return 0;
}

static int run_check(const struct arguments *a)
{
	const uint64_t acked = last_acknowledged(a->ack);
	struct arguments more = *a;
	uint64_t position = 0;
	int64_t before, after;
	int rc;

	before = read_all(a, UINT64_MAX, &position);
	if (before < 0)
		return 1;
	if ((rc = check_restart(a, before, acked)) != 0)
		return rc;
	more.batches = 1;
	if (run_write(&more) != 0)
		return complain("restart", "cannot write any more");
	after = read_all(a, UINT64_MAX, &position);
	if (after <= before)
		return complain("restart", "what was written afterwards is not there");
	return 0;
}

static bool parse(int argc, char **argv, struct arguments *a)
{
	*a = (struct arguments){ .batches = 12, .segment = 32 * 1024 };
	if (argc < 4)
		return false;
	a->mode = argv[1];
	a->dir = argv[2];
	a->ack = argv[3];
	for (int i = 4; i < argc; i++) {
		if (strcmp(argv[i], "--release") == 0)
			a->release = true;
		else if (strcmp(argv[i], "--ack-early") == 0)
			a->ack_early = true;
		else if (strcmp(argv[i], "--forever") == 0)
			a->batches = UINT64_MAX;
		else if (strcmp(argv[i], "--batches") == 0 && i + 1 < argc)
			a->batches = strtoull(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--segment") == 0 && i + 1 < argc)
			a->segment = strtoull(argv[++i], NULL, 10);
		else
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	struct arguments a;

	log_set_level(LOG_ERROR);
	if (parse(argc, argv, &a) && strcmp(a.mode, "write") == 0)
		return run_write(&a);
	if (parse(argc, argv, &a) && strcmp(a.mode, "check") == 0)
		return run_check(&a);
	fprintf(stderr, "usage: see the head of spool_writer.c\n");
	return 2;
}

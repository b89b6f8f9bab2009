/* forward.c - from the spool through the window to the socket. */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/link/link.h"

enum {
	RECORDS_A_TURN = 512,	  /* then the other links, and the sockets */
	UNSENT_MAX = 1024 * 1024, /* more does not go to a socket that does not take it */
	READER_RETRY_MS = 1000,
	STARVED_MS = 10000,
	NS_PER_S = 1000000000,
};

enum reading { READING_NONE, READING_ON };

/* ---- what is gone ---- */

static void count_missing(struct link *l, uint64_t records)
{
	l->progress.missing += (int64_t)records;
	metrics_add(l->host->metrics, METRIC_link_missing_total, (int64_t)records);
	log_line(LOG_ERROR,
		 "link: records are missing from the spool, they were never forwarded link=\"%s\" "
		 "records=%" PRIu64 " before=%" PRIu64,
		 l->row.name, records, l->read_position);
	link_say(l, "%" PRId64 " records were gone from the spool before they were forwarded",
		 l->progress.missing);
}

/* The reader has passed over something, and says what. */
static void passed_over(struct link *l, const struct error *err)
{
	const uint64_t position = spool_reader_position(l->reader);

	log_line(LOG_ERROR, "link: spool passed over link=\"%s\" bytes=%" PRIu64 " error=\"%s\"",
		 l->row.name, position - l->read_position, err->text);
	link_say(l, "spool passed over: %s", err->text);
	l->read_position = position;
	if (l->read_sequence == 0) /* how many there were is told by the next record else */
		count_missing(l, 1);
}

/* ---- one record ---- */

/* Whoever signed it: what a platform brought must not go back to it. */
static bool comes_from(const struct link *l, uint64_t platform)
{
	for (size_t i = 0; i < l->row.not_from_count; i++)
		if ((uint64_t)l->row.not_from[i] == platform)
			return true;
	return false;
}

/* The frame as it goes over the link, into host->out; 0: it is none of this link's. */
static size_t encode(struct link *l, const Haulgate__FrameRecord *r, int64_t received_at)
{
	struct link_host *h = l->host;
	struct frame f;

	if (!outgoing_read(r, &f) || comes_from(l, r->platform) ||
	    !selection_wants(&l->row.selection, &h->places, &f, (enum layout)r->layout, received_at,
			     h->scratch))
		return 0;
	if (!outgoing_sayable(&f, l->row.start)) {
		metrics_add(h->metrics, METRIC_link_withheld_total, 1);
		log_line(LOG_NOTICE,
			 "link: a tamper alarm cannot be said over ## link=\"%s\" vin=%s",
			 l->row.name, f.vin);
		return 0;
	}
	return outgoing_encode(&f, l->row.start, h->out, FRAME_SIZE_MAX);
}

/* False: no memory; the record is to be read again. */
static bool take_record(struct link *l, const struct spool_record *record)
{
	Haulgate__FrameRecord *r =
		haulgate__frame_record__unpack(NULL, record->size, record->payload);
	int64_t received_at;
	size_t size;
	bool ok = true;

	if (r == NULL) { /* its checksum was right: of a program that writes it otherwise */
		count_missing(l, 1);
		return true;
	}
	received_at = (int64_t)(r->received_at_ns / NS_PER_S);
	if ((size = encode(l, r, received_at)) > 0)
		ok = window_add(&l->window, record->position, record->sequence, received_at,
				l->host->out, size);
	haulgate__frame_record__free_unpacked(r, NULL);
	return ok;
}

static void reader_failed(struct link *l, const char *why)
{
	link_complain(l, READER_RETRY_MS, "spool %s cannot be read: %s", l->host->config->spool_dir,
		      why);
	spool_reader_close(l->reader);
	l->reader = NULL;
	l->reader_retry_ms = uv_now(l->host->loop) + READER_RETRY_MS;
}

static bool reader_ready(struct link *l)
{
	const struct config *c = l->host->config;
	struct error err;

	if (l->reader != NULL)
		return true;
	if (uv_now(l->host->loop) < l->reader_retry_ms)
		return false;
	if (spool_reader_open(c->spool_dir, c->spool_archive_dir, l->read_position, &l->reader,
			      &err) == 0)
		return true;
	reader_failed(l, err.text);
	return false;
}

/* What the store has passed stands in the spool: else this is another spool than the gateway's. */
static void starved(struct link *l)
{
	const uint64_t now = uv_now(l->host->loop);

	if (l->starved_ms == 0)
		l->starved_ms = now;
	if (now - l->starved_ms >= STARVED_MS)
		reader_failed(l, "it ends before the position of the store; is spool.dir right?");
}

/*
 * Segments that are not there may come back: a volume that was not mounted, an archive that is
 * being moved.  True: they were away for so long that what they hold is missing.
 */
static bool gap_is_final(struct link *l, const struct error *err)
{
	const uint64_t now = uv_now(l->host->loop);
	const int64_t patience_s = l->host->config->link_missing_s;
	char why[LINK_MESSAGE_SIZE];

	if (l->gap_ms == 0)
		l->gap_ms = now;
	if (now - l->gap_ms >= (uint64_t)patience_s * 1000)
		return true;
	snprintf(why, sizeof(why), "%s; counts as missing if it stays so for %" PRId64 " s",
		 err->text, patience_s);
	reader_failed(l, why);
	return false;
}

static void gap_closed(struct link *l)
{
	if (l->gap_ms == 0)
		return;
	l->gap_ms = 0;
	log_line(LOG_NOTICE, "link: the spool's segments are there again link=\"%s\"", l->row.name);
	link_say(l, "%s", "");
}

/* The reader has moved behind what it cannot read. */
static enum reading unreadable(struct link *l, const struct error *err)
{
	if (spool_reader_at_gap(l->reader) && !gap_is_final(l, err))
		return READING_NONE;
	l->gap_ms = 0;
	passed_over(l, err);
	return READING_ON;
}

static enum reading read_record(struct link *l)
{
	struct spool_record record;
	struct error err;
	int rc;

	if (l->read_position >= l->host->stored || !reader_ready(l))
		return READING_NONE;
	rc = spool_reader_next(l->reader, l->host->stored, &record, &err);
	if (rc == 0) {
		starved(l);
		return READING_NONE;
	}
	l->starved_ms = 0;
	if (rc == ERROR_CORRUPT && spool_reader_position(l->reader) > l->read_position)
		return unreadable(l, &err);
	if (rc < 0) {
		reader_failed(l, err.text);
		return READING_NONE;
	}
	gap_closed(l);
	if (l->read_sequence > 0 && record.sequence > l->read_sequence + 1)
		count_missing(l, record.sequence - l->read_sequence - 1);
	if (!take_record(l, &record)) {
		reader_failed(l, "no memory");
		return READING_NONE;
	}
	l->read_position = record.next;
	l->read_sequence = record.sequence;
	return READING_ON;
}

void forward_learn(struct link *l)
{
	if (l->read_sequence == 0 && l->window.count == 0)
		read_record(l);
}

/* ---- to the socket ---- */

static void turn_cb(uv_timer_t *timer)
{
	forward_pump(timer->data);
}

/* What may go out now, into host->out behind the room for one frame; its size. */
static size_t gather(struct link *l, bool *ret_more)
{
	uint8_t *const out = l->host->out + FRAME_SIZE_MAX;
	const size_t max = LINK_OUT_SIZE - FRAME_SIZE_MAX;
	const uint64_t now = uv_now(l->host->loop);
	const int64_t late = clock_wall_ns() / NS_PER_S - l->host->config->link_late_s;
	size_t size = 0;
	bool last = false; /* nothing more is read in this turn */

	*ret_more = true;
	for (int n = 0; n < RECORDS_A_TURN && size + FRAME_SIZE_MAX <= max; n++) {
		struct window_frame *f = window_send(&l->window, now, last);

		if (f != NULL) {
			if (f->received_at <= late)
				outgoing_supplement(f->bytes, f->size);
			memcpy(out + size, f->bytes, f->size);
			size += f->size;
			continue;
		}
		if (last) {
			*ret_more = false;
			break;
		}
		last = window_busy(&l->window) || window_full(&l->window, FRAME_SIZE_MAX) ||
		       read_record(l) == READING_NONE;
	}
	return size;
}

void forward_pump(struct link *l)
{
	bool more;
	size_t size;

	if (l->state != LINK_ACTIVE || peer_unsent(l->peer) > UNSENT_MAX)
		return;
	size = gather(l, &more);
	if (size > 0) {
		l->last_sent_ms = uv_now(l->host->loop);
		peer_send(l->peer, l->host->out + FRAME_SIZE_MAX, size); /* may lose the link */
	}
	if (more && l->state == LINK_ACTIVE)
		uv_timer_start(&l->turn, turn_cb, 0, 0);
}

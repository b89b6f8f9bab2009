/* connection_io.c - the bytes of a connection: reading, frames, writing, and what is held of them.
 */
#include "gateway/ingest/connection.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ingest/loop.h"

enum {
	IN_MIN = 512,
	ROOM_MIN = 512,
	/* What may still have been on its way when we said our last word.  Who sends more does not
	 * listen, and reading it would cost more than what he was put out for. */
	DISCARD_MAX = 16 * 1024,
};

static size_t held_max(const struct connection *c)
{
	return (size_t)c->loop->config->limit_connection_kib * 1024;
}

static size_t held(const struct connection *c)
{
	return (size_t)c->in_size + c->out_size + c->answers_size;
}

/* ---- reading ---- */

/* One buffer for all connections of the loop; an empty one makes libuv call read_cb with ENOBUFS.
 */
static void alloc_cb(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct connection *c = list_entry(handle, struct connection, tcp);
	struct loop *l = c->loop;
	const size_t max = held_max(c), used = held(c);
	size_t room = max > used + ROOM_MIN ? max - used : ROOM_MIN;

	(void)suggested;
	if (room > READ_BUFFER_SIZE)
		room = READ_BUFFER_SIZE;
	if (connection_open(c) && l->pauses != 0)
		room = 0;
	c->put_off = c->state == CONNECTION_HANDSHAKE && l->handshake_steps == 0;
	if (c->put_off)
		room = 0; /* in the next turn, with the others that are paused */
	*ret = uv_buf_init((char *)l->read_buffer, (unsigned)room);
}

static void read_cb(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *c = list_entry(stream, struct connection, tcp);

	if (n == UV_ENOBUFS) {
		connection_hush(c);
		list_move_last(&c->loop->paused, &c->paused);
	} else if (n == UV_EOF) {
		connection_input_ends(c);
	} else if (n < 0) {
		connection_close(c, END_PEER);
	} else if (n > 0 && c->state == CONNECTION_LINGERING) {
		c->discarded += (uint32_t)n;
		if (c->discarded > DISCARD_MAX)
			connection_close(c, (enum connection_end)c->end);
	} else if (n > 0) {
		c->stream->received(c, (const uint8_t *)buf->base, (size_t)n);
	}
}

void connection_hush(struct connection *c)
{
	if (!c->reading)
		return;
	uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = false;
}

/* What the peer owes us room for: too much of it, and we do not read until most has gone. */
static void check_backlog(struct connection *c)
{
	const size_t owed = (size_t)c->out_size + c->answers_size;

	if (!c->waits_for_peer && owed > 0 && held(c) >= held_max(c)) {
		c->waits_for_peer = true;
		metrics_add(c->loop->metrics, METRIC_reading_paused_total, 1);
	} else if (c->waits_for_peer && (owed == 0 || held(c) <= held_max(c) / 2)) {
		c->waits_for_peer = false;
	}
}

void connection_read(struct connection *c)
{
	if (connection_open(c)) {
		check_backlog(c);
		if (c->waits_for_peer || c->eof || c->held || !list_empty(&c->paused))
			return;
	}
	if (c->reading || c->state == CONNECTION_CLOSING)
		return;
	if (uv_read_start((uv_stream_t *)&c->tcp, alloc_cb, read_cb) != 0) {
		connection_close(c, END_PEER);
		return;
	}
	c->reading = true;
}

/* ---- frames ---- */

/*
 * Nothing of it is awaited, yet its sender is in the middle of a frame that cannot come: he has the
 * time of a frame to send a sound one.
 */
static void too_long(struct connection *c)
{
	c->astray = true;
	pipeline_too_long(&c->loop->pipeline, c);
}

/* False: in this turn of the loop c was heard often enough. */
static bool takes_turn(struct connection *c)
{
	struct loop *l = c->loop;

	if (c->turn != l->turn) {
		c->turn = l->turn;
		c->turn_frames = 0;
	}
	if (c->turn_frames >= TURN_FRAMES_EACH ||
	    (c->turn_frames >= TURN_FRAMES_FREE && l->turn_frames >= TURN_FRAMES_ALL))
		return false;
	c->turn_frames++;
	l->turn_frames++;
	return true;
}

static enum hold offer(struct connection *c, enum scan found, const struct frame *f)
{
	struct pipeline *p = &c->loop->pipeline;

	/* At a stop the frame that a worker has seen is the last one. */
	if ((c->loop->pauses & ~(PAUSE_MEMORY | (c->job != NULL ? (unsigned)PAUSE_STOP : 0))) != 0)
		return HOLD_PAUSE;
	if (!takes_turn(c))
		return HOLD_TURN;
	if (found == SCAN_FRAME)
		return pipeline_frame(p, c, f, VERDICT_ACCEPTED);
	if (found == SCAN_BAD_CHECKSUM)
		return pipeline_frame(p, c, f, VERDICT_BAD_CHECKSUM);
	if (found == SCAN_TOO_LONG)
		too_long(c);
	return HOLD_NONE;
}

/* Returns how many bytes are done with; stops at a frame that has to wait, with held set. */
static size_t scan(struct connection *c, const uint8_t *bytes, size_t size, bool *ret_framed)
{
	size_t used = 0, n;
	struct frame f;

	while (connection_open(c) && used < size) {
		const size_t left = size - used;
		const enum scan found = frame_scan(bytes + used, left, FRAME_UNIT_MAX, &f, &n);

		if (found == SCAN_MORE)
			break;
		c->held = (uint8_t)offer(c, found, &f);
		if (c->held)
			break;
		assert(n > 0 && n <= left);
		if (found == SCAN_FRAME) {
			*ret_framed = true;
			c->astray = false;
			connection_alive(c);
		} else {
			metrics_add(c->loop->metrics, METRIC_noise_bytes_total, (int64_t)n);
		}
		used += n;
	}
	return used;
}

/* Grows with what came, never with what a length field claims. */
static bool in_reserve(struct connection *c, size_t size)
{
	size_t max = c->in_max > 0 ? c->in_max : IN_MIN;
	uint8_t *in;

	if (size <= c->in_max)
		return true;
	while (max < size)
		max *= 2;
	if ((in = realloc(c->in, max)) == NULL)
		return false;
	loop_memory(c->loop, (ptrdiff_t)(max - c->in_max));
	c->in = in;
	c->in_max = (uint32_t)max;
	return true;
}

static bool in_append(struct connection *c, const uint8_t *bytes, size_t size)
{
	if (!in_reserve(c, c->in_size + size))
		return false;
	memcpy(c->in + c->in_size, bytes, size);
	c->in_size += (uint32_t)size;
	return true;
}

static void in_scan(struct connection *c, bool *ret_framed)
{
	const size_t used = scan(c, c->in, c->in_size, ret_framed);

	c->in_size -= (uint32_t)used;
	if (used > 0 && c->in_size > 0)
		memmove(c->in, c->in + used, c->in_size);
}

/* After each scan: an idle connection holds no buffer, and a partial frame runs against its time.
 */
static void in_settle(struct connection *c, bool framed)
{
	struct loop *l = c->loop;

	if (!connection_open(c))
		return;
	if (c->in_size == 0 && c->in_max > 0) {
		loop_memory(l, -(ptrdiff_t)c->in_max);
		free(c->in);
		c->in = NULL;
		c->in_max = 0;
	}
	if (c->in_size == 0 && !c->astray) {
		list_remove(&c->partial);
	} else if (framed || list_empty(&c->partial)) {
		/* Whole frames buy time; bytes do not, or one byte a second would hold a slot. */
		c->partial_ms = uv_now(&l->uv);
		list_move_last(&l->partial, &c->partial);
	}
	if (c->held)
		connection_hush(c);
	if (c->held == HOLD_PAUSE)
		list_move_last(&l->stalled, &c->paused);
	if (c->held == HOLD_TURN)
		loop_queue(l, c);
	check_backlog(c);
	if (c->waits_for_peer)
		connection_hush(c);
}

void connection_input(struct connection *c, const uint8_t *bytes, size_t size)
{
	bool framed = false, kept = true;
	size_t used;

	if (!connection_open(c))
		return;
	metrics_add(c->loop->metrics, METRIC_received_bytes_total, (int64_t)size);
	if (c->in_size == 0) {
		used = scan(c, bytes, size, &framed);
		if (connection_open(c) && used < size)
			kept = in_append(c, bytes + used, size - used);
	} else {
		kept = in_append(c, bytes, size);
		if (kept && !c->held)
			in_scan(c, &framed);
	}
	if (!kept)
		connection_close(c, END_MEMORY);
	in_settle(c, framed);
}

void connection_resume(struct connection *c)
{
	bool framed = false;

	list_remove(&c->paused);
	if (!connection_open(c))
		return;
	if (c->held) {
		c->held = HOLD_NONE;
		in_scan(c, &framed);
		in_settle(c, framed);
	}
	connection_written(c); /* the peer's end may have come while its frames waited */
}

/* ---- writing ---- */

/* Bytes that the socket did not take at once. */
struct chunk {
	uv_write_t request;
	struct connection *c;
	uint32_t size;
	uint8_t bytes[];
};

static void written_cb(uv_write_t *request, int status)
{
	struct chunk *chunk = list_entry(request, struct chunk, request);
	struct connection *c = chunk->c;

	assert(c->out_size >= chunk->size);
	c->out_size -= chunk->size;
	loop_memory(c->loop, -(ptrdiff_t)sizeof(*chunk) - (ptrdiff_t)chunk->size);
	free(chunk);
	if (status < 0 && status != UV_ECANCELED)
		connection_close(c, END_PEER);
	else
		connection_written(c);
}

static bool queue_write(struct connection *c, const uint8_t *bytes, size_t size)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + size);
	uv_buf_t buf;

	if (chunk == NULL)
		return false;
	chunk->c = c;
	chunk->size = (uint32_t)size;
	memcpy(chunk->bytes, bytes, size);
	buf = uv_buf_init((char *)chunk->bytes, (unsigned)size);
	if (uv_write(&chunk->request, (uv_stream_t *)&c->tcp, &buf, 1, written_cb) != 0) {
		free(chunk);
		return false;
	}
	c->out_size += chunk->size;
	loop_memory(c->loop, (ptrdiff_t)(sizeof(*chunk) + size));
	return true;
}

void connection_write(struct connection *c, const uint8_t *bytes, size_t size)
{
	uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes, (unsigned)size);
	int n = UV_EAGAIN;

	if (!connection_open(c))
		return;
	if (c->out_size == 0)
		n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
	if (n < 0 && n != UV_EAGAIN) {
		connection_close(c, END_PEER);
		return;
	}
	if (n < 0)
		n = 0;
	if ((size_t)n == size)
		return;
	/* What was on its way when reading stopped may still come; more than that is a fault. */
	if (c->out_size + size > 2 * held_max(c) + READ_BUFFER_SIZE)
		connection_close(c, END_SLOW);
	else if (!queue_write(c, bytes + n, size - (size_t)n))
		connection_close(c, END_MEMORY);
}

void connection_send(struct connection *c, const uint8_t *bytes, size_t size)
{
	if (connection_open(c))
		c->stream->send(c, bytes, size);
}

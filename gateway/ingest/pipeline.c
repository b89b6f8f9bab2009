#include "gateway/ingest/pipeline.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"
#include "record.pb-c.h"

enum {
	ANSWER_SIZE_MAX = 64,  /* a header, a time, a checksum */
	RECORD_OVERHEAD = 512, /* of a record, over frame and unit: ours and the spool's */
	ANSWERS_MIN = 4096,    /* first size of a turn's answers */
	ANSWER_ALIGN = 8,
};

/*
 *   FILLING --> FLYING --> DURABLE --> its answers are sent
 *      ^           |
 *      +-- full ---+---> FAILED: the process ends
 */
enum turn_state { TURN_FILLING, TURN_FLYING, TURN_DURABLE, TURN_FAILED };

/* What one turn of the loop brought: a batch of records, and the answers that wait for it. */
struct turn {
	struct list link;
	struct loop *loop;
	struct spool_batch *batch; /* NULL: no records, or given back */
	uint64_t end;		   /* position behind the batch; 0: nothing to wait for */
	atomic_int state;	   /* FLYING is left on the spool's thread */
	uint8_t *answers;	   /* struct waiting_answer and its bytes, again and again */
	size_t size, max;
};

struct waiting_answer {
	struct connection *c; /* pinned by c->answers */
	uint32_t size;
	uint32_t room; /* size rounded up */
};

/* ---- turns ---- */

static struct turn *turn_new(struct pipeline *p)
{
	struct turn *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->loop = p->loop;
	list_init(&t->link);
	return t;
}

static void turn_free(struct turn *t)
{
	if (t == NULL)
		return;
	list_remove(&t->link);
	loop_memory(t->loop, -(ptrdiff_t)t->max);
	free(t->answers);
	free(t);
}

static struct waiting_answer *turn_add(struct turn *t, size_t size)
{
	const size_t room = (size + ANSWER_ALIGN - 1) / ANSWER_ALIGN * ANSWER_ALIGN;
	const size_t need = t->size + sizeof(struct waiting_answer) + room;
	size_t max = t->max > 0 ? t->max : ANSWERS_MIN;
	struct waiting_answer *a;

	while (max < need)
		max *= 2;
	if (max > t->max) {
		uint8_t *answers = realloc(t->answers, max);

		if (answers == NULL)
			return NULL;
		loop_memory(t->loop, (ptrdiff_t)(max - t->max));
		t->answers = answers;
		t->max = max;
	}
	a = (struct waiting_answer *)(void *)(t->answers + t->size);
	a->size = (uint32_t)size;
	a->room = (uint32_t)room;
	t->size = need;
	return a;
}

/* ---- life ---- */

int pipeline_init(struct pipeline *p, struct loop *loop, struct error *err)
{
	memset(p, 0, sizeof(*p));
	p->loop = loop;
	list_init(&p->flying);
	for (unsigned i = 0; i < BATCH_COUNT; i++) {
		if (spool_batch_init(&p->batches[i], BATCH_SIZE) != 0)
			goto out;
		p->spare[p->spare_count++] = &p->batches[i];
	}
	p->report = malloc(sizeof(*p->report));
	p->filling = turn_new(p);
	if (p->report == NULL || p->filling == NULL)
		goto out;
	p->filling->batch = p->spare[--p->spare_count];
	return 0;
out:
	pipeline_release(p);
	return error_set(err, ERROR_MEMORY, "pipeline: out of memory");
}

void pipeline_release(struct pipeline *p)
{
	turn_free(p->filling);
	while (!list_empty(&p->flying))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it does not see list_remove() */
		turn_free(list_entry(p->flying.next, struct turn, link));
	for (unsigned i = 0; i < BATCH_COUNT; i++)
		spool_batch_release(&p->batches[i]);
	free(p->report);
	p->filling = NULL;
	p->report = NULL;
}

bool pipeline_idle(const struct pipeline *p)
{
	return list_empty(&p->flying) && p->filling->batch->count == 0 && p->filling->size == 0;
}

/* ---- out: batches to the spool ---- */

/* On the spool's thread. */
static void batch_done(struct spool_batch *b, int status, void *arg)
{
	struct turn *t = arg;
	struct loop *l = t->loop;

	t->end = b->end;
	/* From here on the turn is the loop's again, which may free it at once. */
	atomic_store_explicit(&t->state, status == 0 ? TURN_DURABLE : TURN_FAILED,
			      memory_order_release);
	loop_wake(l);
}

/* Makes next the turn that is filled, with batch. */
static void fill_next(struct pipeline *p, struct turn *next, struct spool_batch *batch)
{
	assert(batch->count == 0);
	next->batch = batch;
	p->filling = next;
}

/* The turn that was filled goes to the spool.  False: not now, it goes on being filled. */
static bool hand_over(struct pipeline *p)
{
	struct turn *t = p->filling, *next;
	int rc;

	assert(t->batch->count > 0 && atomic_load(&t->state) == TURN_FILLING);
	if (p->spare_count == 0 || (next = turn_new(p)) == NULL)
		return false;
	t->batch->done = batch_done;
	t->batch->arg = t;
	atomic_store(&t->state, TURN_FLYING);
	list_move_last(&p->flying, &t->link);
	rc = spool_submit(p->loop->server->spool, t->batch);
	if (rc == 0) {
		fill_next(p, next, p->spare[--p->spare_count]);
		loop_resume(p->loop, PAUSE_SPOOL);
		return true;
	}
	list_remove(&t->link);
	atomic_store(&t->state, TURN_FILLING);
	turn_free(next);
	if (rc == ERROR_FULL)
		loop_pause(p->loop, PAUSE_SPOOL); /* silence until it has room again */
	else
		server_fail(p->loop->server, "the spool took no batch");
	return false;
}

void pipeline_turn_end(struct pipeline *p)
{
	struct turn *t = p->filling, *next;

	if (t->batch->count > 0) {
		hand_over(p);
	} else if (t->size > 0 && (next = turn_new(p)) != NULL) {
		/* Answers that need no record, behind others that do: in their order. */
		fill_next(p, next, t->batch);
		t->batch = NULL;
		atomic_store(&t->state, TURN_DURABLE);
		list_move_last(&p->flying, &t->link);
		pipeline_progress(p);
	}
}

/* For the frame, and once more for its unit, which may have to be kept as opened. */
static bool has_room(const struct spool_batch *b, const struct frame *f)
{
	return b->max - b->size >= f->size + f->unit_size + RECORD_OVERHEAD;
}

/* ---- in: a frame becomes a record ---- */

static bool keep(struct pipeline *p, const struct connection *c, const struct frame *f,
		 const struct judgement *j)
{
	Haulgate__FrameRecord r = HAULGATE__FRAME_RECORD__INIT;
	uint8_t *room;

	r.received_at_ns = (uint64_t)clock_wall_ns();
	r.clock_status = p->loop->clock_status;
	r.connection = c->serial;
	r.peer.data = (uint8_t *)(uintptr_t)c->peer;
	r.peer.len = sizeof(c->peer);
	r.tls = c->ssl != NULL;
	r.verdict = j->verdict;
	r.quirks = j->quirks;
	r.layout = j->layout;
	r.protocol = j->protocol;
	r.raw.data = (uint8_t *)(uintptr_t)f->bytes;
	r.raw.len = f->size;
	if (j->opened) {
		r.unit.data = (uint8_t *)(uintptr_t)j->seen.unit;
		r.unit.len = j->seen.unit_size;
		r.cipher_key = j->cipher_key;
	}
	r.signature = j->signature;
	r.signature_key = j->signature_key;
	r.signature_user = j->signature_user;
	r.credential = j->credential;
	if (c->session.platform != NULL)
		r.platform = (uint64_t)c->session.platform->id;
	room = spool_batch_add(p->filling->batch, haulgate__frame_record__get_packed_size(&r));
	if (room == NULL)
		return false;
	haulgate__frame_record__pack(&r, room);
	return true;
}

/* ---- out: answers ---- */

static bool echoes(const struct loop *l, enum protocol protocol)
{
	if (protocol == PROTOCOL_GB17691)
		return l->config->session_answer_gb17691;
	return protocol != PROTOCOL_HJ1239 || l->config->session_answer_hj1239;
}

static void answer(struct pipeline *p, struct connection *c, const struct judgement *j)
{
	uint8_t bytes[ANSWER_SIZE_MAX];
	struct waiting_answer *a;
	const size_t size = frame_answer(&j->seen, j->answer, echoes(p->loop, j->protocol),
					 clock_wall_ns() / 1000000000, bytes, sizeof(bytes));

	if (size == 0)
		return;
	if (j->at_once && c->answers == 0) {
		connection_send(c, bytes, size);
		metrics_add(p->loop->metrics, METRIC_frames_answered_total, 1);
		return;
	}
	if ((a = turn_add(p->filling, size)) == NULL)
		return; /* silence is always allowed */
	a->c = c;
	memcpy(a + 1, bytes, size);
	c->answers++;
	c->answers_size += (uint32_t)size;
}

/* Answers of one connection that follow each other go out in one write. */
static size_t send_run(struct pipeline *p, const struct turn *t, size_t at)
{
	struct loop *l = p->loop;
	uint8_t *const out = l->read_buffer; /* free: nothing is being read */
	const bool one = l->config->session_one_write_per_answer;
	struct connection *c = NULL;
	size_t size = 0;
	uint32_t count = 0;

	while (at < t->size) {
		const struct waiting_answer *a = (const void *)(t->answers + at);

		if (c != NULL && (a->c != c || one || size + a->size > READ_BUFFER_SIZE))
			break;
		c = a->c;
		memcpy(out + size, a + 1, a->size);
		size += a->size;
		count++;
		at += sizeof(*a) + a->room;
	}
	assert(c != NULL);
	connection_send(c, out, size);
	connection_unpin(c, count, (uint32_t)size);
	metrics_add(l->metrics, METRIC_frames_answered_total, count);
	return at;
}

static bool may_answer(const struct pipeline *p, const struct turn *t)
{
	const struct server *s = p->loop->server;

	if (s->config->store_ack != ACK_STORE)
		return true;
	return t->end <= atomic_load_explicit(&s->committed, memory_order_acquire);
}

void pipeline_progress(struct pipeline *p)
{
	struct server *s = p->loop->server;

	for (struct list *at = p->flying.next; at != &p->flying; at = at->next) {
		struct turn *t = list_entry(at, struct turn, link);
		const int state = atomic_load_explicit(&t->state, memory_order_acquire);

		if (state == TURN_FAILED)
			server_fail(s, "a batch could not be made durable");
		if (state != TURN_DURABLE)
			break;
		if (t->batch == NULL)
			continue;
		spool_batch_clear(t->batch);
		p->spare[p->spare_count++] = t->batch;
		t->batch = NULL;
	}
	while (!list_empty(&p->flying) && !atomic_load(&s->spool_failed)) {
		struct turn *t = list_entry(p->flying.next, struct turn, link);

		/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see list_remove() */
		if (atomic_load_explicit(&t->state, memory_order_acquire) != TURN_DURABLE ||
		    t->batch != NULL || !may_answer(p, t))
			break;
		/* NOLINTEND(clang-analyzer-unix.Malloc) */
		for (size_t at = 0; at < t->size;)
			at = send_run(p, t, at);
		turn_free(t);
	}
	if (p->spare_count > 0)
		loop_resume(p->loop, PAUSE_BATCH);
}

void pipeline_report(struct pipeline *p)
{
	const bool full = (p->loop->pauses & PAUSE_SPOOL) != 0;

	/* A second of it is a burst; more is a matter for the operator. */
	if (full && ++p->full_s == 1)
		return;
	if (full && p->full_s == 2)
		log_line(LOG_WARNING, "spool is full: reading stopped, nothing is answered loop=%u",
			 p->loop->index);
	if (!full && p->full_s > 1)
		log_line(LOG_NOTICE, "spool has room again seconds=%u loop=%u", p->full_s,
			 p->loop->index);
	if (!full)
		p->full_s = 0;
}

/* ---- the whole way ---- */

static void log_refused(const struct connection *c, const struct frame *f, enum verdict verdict)
{
	char vin[4 * VIN_SIZE + 1], peer[PEER_TEXT_SIZE];

	if (loop_may_log(c->loop))
		log_line(LOG_INFO, "frame refused reason=%s command=0x%02X vin=\"%s\" peer=%s",
			 verdict_name(verdict), f->command,
			 log_text(f->vin, strlen(f->vin), vin, sizeof(vin)),
			 connection_peer_text(c, peer));
}

enum hold pipeline_frame(struct pipeline *p, struct connection *c, const struct frame *f,
			 enum verdict verdict)
{
	struct metrics_thread *m = p->loop->metrics;
	struct crypto_job *proof;
	struct judgement j;
	unsigned wait_ms;

	if (!has_room(p->filling->batch, f) && !hand_over(p)) {
		if ((p->loop->pauses & ~(unsigned)PAUSE_MEMORY) == 0)
			loop_pause(p->loop, PAUSE_BATCH);
		return HOLD_PAUSE;
	}
	if (c->job == NULL && (wait_ms = session_quota(c)) > 0) {
		connection_slow(c, wait_ms);
		return HOLD_QUOTA;
	}
	proof = connection_take_proof(c);
	j = session_judge(c, f, verdict, proof, p->report);
	if (j.held)
		return HOLD_JOB; /* with what was proved so far */
	metrics_add(m, METRIC_frames_received_total, 1);
	metrics_add_verdict(m, j.verdict);
	if (j.verdict != VERDICT_ACCEPTED)
		log_refused(c, f, j.verdict);

	/* What cannot be kept gets no answer, so that the terminal keeps it. */
	if (!j.keep || keep(p, c, f, &j))
		if (j.reply)
			answer(p, c, &j);
	connection_drop_proof(c, proof);
	if (j.ends)
		connection_logged_out(c);
	if (j.bad && !session_bad_frame(c))
		connection_finish(c, END_BAD_FRAMES);
	return HOLD_NONE;
}

void pipeline_too_long(struct pipeline *p, struct connection *c)
{
	metrics_add(p->loop->metrics, METRIC_frames_received_total, 1);
	metrics_add_verdict(p->loop->metrics, VERDICT_TOO_LONG);
	if (!session_bad_frame(c))
		connection_finish(c, END_BAD_FRAMES);
}

#include "gateway/ingest/loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/crypto.h"

enum { LOG_LINES_PER_SECOND = 20, SWEEPS_PER_SECOND = 1000 / SWEEP_MS };

/* ---- pauses ---- */

void loop_pause(struct loop *l, enum loop_pause why)
{
	if ((l->pauses & why) == 0)
		metrics_add(l->metrics, METRIC_reading_paused_total, 1);
	/* Each connection stops by itself when it has something to read: see alloc_cb. */
	l->pauses |= why;
}

void loop_resume(struct loop *l, enum loop_pause why)
{
	l->pauses &= ~(unsigned)why;
}

static size_t memory_max(const struct loop *l)
{
	return (size_t)l->config->limit_memory_mib * 1024 * 1024 / l->server->loop_count;
}

void loop_memory(struct loop *l, ptrdiff_t change)
{
	assert(change >= 0 || l->memory >= (size_t)-change);
	l->memory += (size_t)change;
	if (l->memory > memory_max(l))
		loop_pause(l, PAUSE_MEMORY);
}

/* splitmix64, by Sebastiano Vigna. */
uint32_t loop_random(struct loop *l)
{
	uint64_t z = l->random += 0x9E3779B97F4A7C15u;

	z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
	z = (z ^ z >> 27) * 0x94D049BB133111EBu;
	return (uint32_t)((z ^ z >> 31) >> 32);
}

bool loop_may_log(struct loop *l)
{
	if (l->log_budget == 0) {
		l->log_suppressed++;
		return false;
	}
	l->log_budget--;
	return true;
}

/* ---- events ---- */

static void drain_begin(struct loop *l)
{
	l->stopping = true;
	l->stop_ms = uv_now(&l->uv);
	listener_close(&l->tcp);
	listener_close(&l->tls);
	loop_pause(l, PAUSE_STOP);
}

static void close_all(struct loop *l)
{
	for (struct list *at = l->connections.next, *next; at != &l->connections; at = next) {
		next = at->next;
		connection_finish(list_entry(at, struct connection, all), END_STOP);
	}
}

static void close_handles(struct loop *l)
{
	uv_close((uv_handle_t *)&l->wake, NULL);
	uv_close((uv_handle_t *)&l->sweep, NULL);
	uv_close((uv_handle_t *)&l->turn_end, NULL);
}

/*
 * A stop goes step by step: workers finish, the spool gets what was judged, its answers leave, the
 * connections close, and with the last of them the thread ends.
 */
static void drain(struct loop *l)
{
	const bool late = uv_now(&l->uv) > l->stop_ms + DRAIN_MS;

	if (!late && (l->jobs > 0 || !pipeline_idle(&l->pipeline)))
		return;
	close_all(l);
	/* The handles stay open: the store and the spool may still wake the loop. */
	if (list_empty(&l->connections) || uv_now(&l->uv) > l->stop_ms + 2 * DRAIN_MS)
		uv_stop(&l->uv); /* connections pinned by answers that nobody can send */
}

static void read_mail(struct loop *l)
{
	for (;;) {
		struct connection *c = NULL;
		unsigned why = 0;

		pthread_mutex_lock(&l->mutex);
		if (!list_empty(&l->mail)) {
			c = list_entry(l->mail.next, struct connection, mail);
			list_remove(&c->mail);
			why = c->mail_why;
			c->mail_why = 0;
		}
		pthread_mutex_unlock(&l->mutex);
		if (c == NULL)
			return;
		connection_read_mail(c, why);
	}
}

static void take_jobs(struct loop *l)
{
	struct list done;

	pthread_mutex_lock(&l->mutex);
	list_take_all(&done, &l->crypto_done);
	pthread_mutex_unlock(&l->mutex);
	while (!list_empty(&done)) {
		struct crypto_job *job = list_entry(done.next, struct crypto_job, link);

		list_remove(&job->link);
		connection_job_done(job->c);
	}
}

static void reconsider_all(struct loop *l)
{
	for (struct list *at = l->connections.next, *next; at != &l->connections; at = next) {
		struct connection *c = list_entry(at, struct connection, all);

		next = at->next;
		if (connection_open(c))
			connection_reconsider(c);
	}
}

static void wake_cb(uv_async_t *wake)
{
	struct loop *l = list_entry(wake, struct loop, wake);
	const struct config *fresh = atomic_exchange(&l->new_config, NULL);

	if (fresh != NULL)
		l->config = fresh;
	pipeline_progress(&l->pipeline);
	if (atomic_exchange(&l->registry, false))
		reconsider_all(l);
	read_mail(l);
	take_jobs(l);
	if (atomic_load(&l->stop) && !l->stopping)
		drain_begin(l);
}

static void resume_all(struct loop *l, struct list *held, unsigned against)
{
	while ((l->pauses & against) == 0 && !list_empty(held))
		connection_resume(list_entry(held->next, struct connection, paused));
}

/* Those that a pause held go on, until all have or the pause comes back. */
static void resume_paused(struct loop *l)
{
	resume_all(l, &l->stalled, ~(unsigned)PAUSE_MEMORY);
	resume_all(l, &l->paused, ~0u);
}

void loop_queue(struct loop *l, struct connection *c)
{
	if (list_empty(&l->queued))
		loop_wake(l); /* or the next turn may be long in coming */
	list_move_last(&l->queued, &c->paused);
}

/* Begins the next turn with those who had more to say than the last one heard; each once. */
static void resume_queued(struct loop *l)
{
	l->turn++;
	l->turn_frames = 0;
	while (!list_empty(&l->queued) && l->turn_frames < TURN_FRAMES_ALL) {
		struct connection *c = list_entry(l->queued.next, struct connection, paused);

		if (c->turn == l->turn)
			break;
		connection_resume(c);
	}
	if (!list_empty(&l->queued))
		loop_wake(l);
}

static void turn_end_cb(uv_check_t *check)
{
	struct loop *l = list_entry(check, struct loop, turn_end);

	if (l->memory < memory_max(l) / 4 * 3)
		loop_resume(l, PAUSE_MEMORY);
	resume_paused(l);
	resume_queued(l);
	if (l->overdue)
		connection_close_overdue(l);
	pipeline_turn_end(&l->pipeline);
	l->handshake_steps = HANDSHAKE_STEPS;
	listener_turn_end(&l->tls);
	listener_turn_end(&l->tcp);
	if (l->stopping)
		drain(l);
}

static void sweep_cb(uv_timer_t *timer)
{
	struct loop *l = list_entry(timer, struct loop, sweep);

	connection_sweep(l);
	pipeline_turn_end(&l->pipeline); /* libuv may wait for long before the turn's own end */
	pipeline_progress(&l->pipeline);
	metrics_set(l->metrics, METRIC_memory_bytes, (int64_t)l->memory);
	atomic_store(&l->turned_ms, (uint64_t)(clock_mono_ns() / 1000000));
	if (++l->sweeps % SWEEPS_PER_SECOND != 0)
		return;
	l->clock_status = clock_status();
	l->log_budget = LOG_LINES_PER_SECOND;
	if (l->log_suppressed > 0)
		log_line(LOG_INFO, "more frames refused, not logged one by one count=%u loop=%u",
			 l->log_suppressed, l->index);
	l->log_suppressed = 0;
	pipeline_report(&l->pipeline);
}

/* ---- life ---- */

static void init_lists(struct loop *l)
{
	list_init(&l->connections);
	list_init(&l->partial);
	list_init(&l->paused);
	list_init(&l->stalled);
	list_init(&l->queued);
	list_init(&l->shaking);
	list_init(&l->silent);
	list_init(&l->slowed);
	list_init(&l->ordered);
	list_init(&l->mail);
	list_init(&l->crypto_done);
	for (unsigned i = 0; i < DEADLINE_COUNT; i++)
		list_init(&l->waiting[i]);
}

int loop_new(struct server *server, unsigned index, struct loop **ret, struct error *err)
{
	struct loop *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return error_set(err, ERROR_MEMORY, "loop: out of memory");
	l->index = index;
	l->server = server;
	l->config = server->config;
	l->metrics = metrics_thread(server->metrics, SLOT_LOOPS + index);
	l->clock_status = clock_status();
	l->log_budget = LOG_LINES_PER_SECOND;
	l->handshake_steps = HANDSHAKE_STEPS;
	init_lists(l);
	if (getrandom(&l->random, sizeof(l->random), 0) != (ssize_t)sizeof(l->random)) {
		free(l);
		return error_errno(err, ERROR_IO, "loop: no random numbers");
	}
	if ((rc = pipeline_init(&l->pipeline, l, err)) != 0) {
		free(l);
		return rc;
	}
	pthread_mutex_init(&l->mutex, NULL);
	if (uv_loop_init(&l->uv) != 0 || uv_async_init(&l->uv, &l->wake, wake_cb) != 0) {
		pthread_mutex_destroy(&l->mutex);
		pipeline_release(&l->pipeline);
		free(l);
		return error_set(err, ERROR_IO, "loop: cannot make an event loop");
	}
	uv_timer_init(&l->uv, &l->sweep);
	uv_check_init(&l->uv, &l->turn_end);
	atomic_store(&l->turned_ms, (uint64_t)(clock_mono_ns() / 1000000));
	*ret = l;
	return 0;
}

static void *thread_main(void *arg)
{
	struct loop *l = arg;

	uv_run(&l->uv, UV_RUN_DEFAULT);
	return NULL;
}

int loop_run(struct loop *l, struct error *err)
{
	sigset_t all, before;
	int rc;

	uv_timer_start(&l->sweep, sweep_cb, SWEEP_MS, SWEEP_MS);
	uv_check_start(&l->turn_end, turn_end_cb);
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&l->thread, NULL, thread_main, l);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return error_set(err, ERROR_MEMORY, "loop: cannot start a thread");
	l->running = true;
	return 0;
}

void loop_join(struct loop *l)
{
	if (l == NULL || !l->running)
		return;
	pthread_join(l->thread, NULL);
	l->running = false;
}

void loop_free(struct loop *l)
{
	if (l == NULL)
		return;
	assert(!l->running);
	/* A drain that ran out of time leaves connections behind; the process ends anyway. */
	if (!list_empty(&l->connections))
		return;
	listener_close(&l->tcp);
	listener_close(&l->tls);
	close_handles(l);
	uv_run(&l->uv, UV_RUN_DEFAULT);
	uv_loop_close(&l->uv);
	pipeline_release(&l->pipeline);
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

void loop_wake(struct loop *l)
{
	uv_async_send(&l->wake);
}

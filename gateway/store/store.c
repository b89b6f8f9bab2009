#include "gateway/store/store.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/store/thread.h"

enum {
	IDLE_MS = 200, /* how long the thread may sleep without a look at what it should do */
	PAUSE_MS = 50, /* first pause before another attempt; doubles */
	PAUSE_MAX_MS = 10000,
	BLAME_AFTER = 6, /* conflicts with others that cannot be chance any more */
	VEHICLES_S = 5,
	FULL_S = 60,
	RULES_S = 60,
	FOLD_BUDGET = 50000, /* a long working day of one truck: some 30 ms */
};

#define SECOND_NS INT64_C(1000000000)

/* ---- waiting ---- */

static bool time_is_over(const struct store *s)
{
	return clock_mono_ns() >= atomic_load(&s->deadline_ns);
}

/* Doubling, with jitter so that gateways do not come back all at once; short when we are to stop.
 */
static void pause_before_next(struct store *s)
{
	const int64_t start = clock_mono_ns();
	const struct timespec slice = { .tv_nsec = 20 * 1000000 };
	int64_t ms = PAUSE_MS << (s->attempts < 8 ? s->attempts : 8);

	s->attempts++;
	ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
	ms = ms / 2 + start / 1000 % (ms / 2 + 1);
	while (!time_is_over(s)) {
		const int64_t waited_ms = (clock_mono_ns() - start) / 1000000;

		if (waited_ms >= ms || (atomic_load(&s->stopping) && waited_ms >= 4 * PAUSE_MS))
			break;
		clock_nanosleep(CLOCK_MONOTONIC, 0, &slice, NULL);
	}
}

/* ---- the batch ---- */

static void backlog_tell(const struct store *s)
{
	if (s->options.metrics != NULL)
		metrics_set(s->options.metrics, METRIC_spool_backlog_bytes,
			    (int64_t)(spool_durable(s->options.spool) - s->loader.position));
}

static void batch_reset(struct store *s)
{
	batch_clear(&s->loader.batch);
	s->done = s->window = 0;
	s->reloaded = false;
}

/* Takes what the spool has, up to a batch.  Negative: the spool cannot be read. */
static int batch_read(struct store *s)
{
	struct batch *b = &s->loader.batch;
	const uint64_t durable = spool_durable(s->options.spool);
	const size_t frames = (size_t)atomic_load(&s->batch_frames);
	struct spool_record record;
	struct error err = { 0 };
	int rc = 0;

	while (!batch_full(b, frames)) {
		rc = spool_reader_next(s->reader, durable, &record, &err);
		if (rc == 1) {
			batch_add(b, &record);
			continue;
		}
		if (rc == 0)
			return 0;
		log_line(LOG_ERROR, "store: spool record cannot be read error=%s", err.text);
		if (err.code != ERROR_CORRUPT)
			return -1;
	}
	return 0;
}

/* Waits until there is a batch, the time for it has passed, or there is nothing to wait for. */
static int batch_fill(struct store *s)
{
	struct batch *b = &s->loader.batch;
	const int64_t start = clock_mono_ns();

	for (;;) {
		const uint64_t durable = spool_durable(s->options.spool);
		const int64_t limit_ms = b->count > 0 ? atomic_load(&s->batch_ms) : IDLE_MS;
		const int64_t left_ms = limit_ms - (clock_mono_ns() - start) / 1000000;

		if (batch_read(s) < 0)
			return -1;
		if (batch_full(b, (size_t)atomic_load(&s->batch_frames)) || left_ms <= 0 ||
		    atomic_load(&s->stopping))
			return 0;
		spool_wait(s->options.spool, durable, (int)(left_ms < IDLE_MS ? left_ms : IDLE_MS));
	}
}

/* ---- one transaction, and what its failure means ---- */

void store_committed(struct store *s)
{
	s->attempts = 0;
	s->loader.staged = false;
	spool_release(s->options.spool, s->loader.position);
	if (s->options.committed != NULL)
		s->options.committed(s->loader.position, s->options.arg);
	backlog_tell(s);
}

static void checkpoint_next(struct store *s)
{
	s->next_checkpoint_ns = clock_mono_ns() + atomic_load(&s->checkpoint_s) * SECOND_NS;
}

/* Halves the transaction until the record that the database refuses stands alone; that one is
 * set aside, in the transaction that moves the position over it. */
static int refused_data(struct store *s, size_t from, size_t to)
{
	struct loader *l = &s->loader;

	s->attempts = 0;
	l->staged = false;
	if (to == from) {
		store_complain(s, "checkpoint was refused, next try after the usual time");
		checkpoint_next(s);
		return 0;
	}
	if (!s->reloaded) {
		s->reloaded = true; /* a vehicle or a rule may have gone: look again before blaming
				       a record */
		return registry_refresh(l->registry, &l->pg, true) < 0 || loader_vehicles(l) < 0
			       ? -1
			       : 0;
	}
	if (to - from > 1) {
		s->window = (to - from) / 2;
		return 0;
	}
	store_complain(s, "record refused, goes to quarantine");
	if (l->batch.items[from].sqlstate != NULL)
		return pg_fail(&l->pg, PG_REFUSED, l->pg.sqlstate, "a quarantine row is refused");
	item_poison(&l->batch, &l->batch.items[from], l->pg.sqlstate, l->pg.message);
	return 0;
}

/* 0: try again, -1: the connection is to be given up. */
static int failed(struct store *s, size_t from, size_t to)
{
	struct loader *l = &s->loader;

	loader_failed(l);
	loader_count(l, METRIC_store_retries_total, 1);
	if (l->pg.conn == NULL)
		return -1;
	switch (l->pg.failure) {
	case PG_DUPLICATE:
		if (!l->staged) {
			l->staged = true; /* and the days are compared with the table, for they were
					     dropped */
			return 0;
		}
		/* fallthrough */
	case PG_AGAIN:
		if (s->attempts >= BLAME_AFTER && from < to && l->pg.sqlstate[0] == '2')
			return refused_data(s, from, to);
		pause_before_next(s);
		return 0;
	case PG_DATA:
		return refused_data(s, from, to);
	default:
		return -1;
	}
}

/* Stores the next items of the batch (or none, for a checkpoint alone). */
static int run(struct store *s, size_t from, size_t to, bool checkpoint)
{
	struct loader *l = &s->loader;
	bool unknown;

	if (loader_run(l, from, to, checkpoint, &unknown) == 0) {
		loader_committed(l, from, to, checkpoint);
		s->done = to;
		if (checkpoint)
			checkpoint_next(s);
		store_committed(s);
		return 0;
	}
	if (unknown) {
		s->unknown = true;
		s->unknown_checkpoint = checkpoint;
		s->unknown_from = from;
		s->unknown_to = to;
		return -1;
	}
	return failed(s, from, to);
}

static bool checkpoint_wanted(const struct store *s)
{
	const struct loader *l = &s->loader;

	if (l->days.dirty_count == 0 && l->days.forgotten_count == 0 &&
	    !registry_dirty(l->registry))
		return false;
	return clock_mono_ns() >= s->next_checkpoint_ns || l->days.count > l->days.max;
}

static int batch_store(struct store *s)
{
	struct loader *l = &s->loader;

	if (loader_vehicles(l) < 0 || store_days_for_batch(s) < 0) {
		if (l->pg.failure != PG_AGAIN)
			return -1;
		pause_before_next(s);
		return 0;
	}
	if (s->window == 0)
		s->window = l->batch.count;
	while (s->done < l->batch.count && !time_is_over(s)) {
		const size_t left = l->batch.count - s->done;
		const size_t n = s->window < left ? s->window : left;
		const size_t before = s->done;

		/* Never a checkpoint while a culprit is looked for: it might be blamed on a record.
		 */
		if (run(s, s->done, s->done + n, n == l->batch.count && checkpoint_wanted(s)) < 0)
			return -1;
		if (s->done > before)
			s->window = 2 * n;
	}
	if (s->done == l->batch.count)
		batch_reset(s);
	return 0;
}

/* ---- housekeeping ---- */

static bool is_due(int64_t *next_ns, int seconds)
{
	const int64_t now = clock_mono_ns();

	if (now < *next_ns)
		return false;
	*next_ns = now + seconds * SECOND_NS;
	return true;
}

static int rules_reload(struct store *s)
{
	struct loader *l = &s->loader;
	const uint64_t before = l->context.hash;

	if (context_load_rules(&l->context, &l->pg) < 0)
		return -1;
	if (l->context.hash != before) {
		log_line(
			LOG_NOTICE,
			"store: rules have changed, days are assessed again when they are touched");
		days_drop_all(&l->days);
	}
	return 0;
}

static int housekeep(struct store *s)
{
	struct loader *l = &s->loader;

	if (is_due(&s->next_full_ns, FULL_S) && registry_refresh(l->registry, &l->pg, true) < 0)
		return -1;
	if (is_due(&s->next_vehicles_ns, VEHICLES_S) &&
	    registry_refresh(l->registry, &l->pg, false) < 0)
		return -1;
	if (is_due(&s->next_rules_ns, RULES_S) && rules_reload(s) < 0)
		return -1;
	if (clock_mono_ns() >= s->next_days_ns && store_days_ahead(s) < 0)
		return -1;
	return 0;
}

/* ---- the thread ---- */

/* One turn while connected.  -1: the connection is to be given up. */
static int turn(struct store *s)
{
	struct loader *l = &s->loader;

	if (housekeep(s) < 0)
		return -1;
	if (l->batch.count == 0 && batch_fill(s) < 0) {
		pause_before_next(s);
		batch_reset(s);
		spool_reader_close(s->reader);
		s->reader = NULL; /* opened again where we stand */
		return pg_fail(&l->pg, PG_REFUSED, "", "spool cannot be read");
	}
	if (l->batch.count > 0)
		return batch_store(s);
	s->drained = atomic_load(&s->stopping);
	if (checkpoint_wanted(s))
		return run(s, 0, 0, true);
	return 0;
}

/* What the spool held when we were told to stop is stored, and the states are written. */
static bool finished(struct store *s, uint64_t target)
{
	struct loader *l = &s->loader;

	if (time_is_over(s) || s->replaced)
		return true;
	if (!s->attached || (l->position < target && !s->drained))
		return false;
	if (l->days.dirty_count > 0 || registry_dirty(l->registry)) {
		s->next_checkpoint_ns = 0;
		return false;
	}
	return true;
}

static void *thread_main(void *arg)
{
	struct store *s = arg;
	uint64_t target = 0;
	bool told = false;

	for (;;) {
		if (atomic_load(&s->stopping)) {
			if (!told)
				target = spool_durable(s->options.spool);
			told = true;
			if (finished(s, target))
				break;
		}
		if (!s->attached && (s->replaced || store_attach(s) < 0)) {
			store_complain(s, "database cannot be used");
			store_detach(s);
			pause_before_next(s);
			continue;
		}
		if (turn(s) < 0) {
			store_complain(s, "connection is given up");
			store_detach(s);
			pause_before_next(s);
		}
	}
	store_detach(s);
	return NULL;
}

/* ---- interface ---- */

void store_reload(struct store *s, const struct config *config)
{
	atomic_store(&s->batch_frames, config->store_batch_frames);
	atomic_store(&s->batch_ms, config->store_batch_ms);
	atomic_store(&s->checkpoint_s, config->store_checkpoint_s);
	atomic_store(&s->days_ahead, config->store_days_ahead);
}

int store_open(const struct store_options *options, struct store **ret, struct error *err)
{
	const struct config *c = options->config;
	struct store *s;

	assert(options->spool != NULL && options->spool_dir != NULL);
	if (c->store_conninfo[0] == '\0')
		return error_set(err, ERROR_USAGE,
				 "store.conninfo is empty: there is no database to store into");
	s = memory_alloc(sizeof(*s));
	*s = (struct store){ .options = *options };
	s->options.spool_dir = strdup(options->spool_dir);
	s->options.archive_dir = strdup(options->archive_dir != NULL ? options->archive_dir : "");
	s->conninfo = strdup(c->store_conninfo);
	atomic_store(&s->deadline_ns, INT64_MAX);
	store_reload(s, c);
	loader_init(&s->loader, (unsigned)c->gateway_id, (size_t)c->assess_vehicles);
	s->loader.metrics = options->metrics;
	s->loader.identities = options->identities;
	s->loader.fold_budget = options->fold_budget > 0 ? options->fold_budget : FOLD_BUDGET;
	s->loader.pg.deadline_ns = &s->deadline_ns;
	checkpoint_next(s);
	if (pthread_create(&s->thread, NULL, thread_main, s) != 0) {
		atomic_store(&s->deadline_ns, 0);
		return error_errno(err, ERROR_MEMORY, "cannot start the store thread");
	}
	*ret = s;
	return 0;
}

static void store_free(struct store *s)
{
	spool_reader_close(s->reader);
	spool_reader_close(s->loader.evidence);
	loader_release(&s->loader);
	free(s->day_bits);
	free((char *)(uintptr_t)s->options.spool_dir);
	free((char *)(uintptr_t)s->options.archive_dir);
	free(s->conninfo);
	free(s);
}

void store_close(struct store *s, int timeout_ms)
{
	if (s == NULL)
		return;
	atomic_store(&s->deadline_ns, clock_mono_ns() + timeout_ms * INT64_C(1000000));
	atomic_store(&s->stopping, true);
	pthread_join(s->thread, NULL);
	store_free(s);
}

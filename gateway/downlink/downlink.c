#include "gateway/downlink/downlink.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/text.h"
#include "gateway/downlink/hand.h"
#include "gateway/downlink/order.h"

enum {
	IN_HAND_MAX = 4096, /* orders taken and not yet written down: some 6 KiB each */
	WANTED_MAX = 1024,  /* VINs to look at; more are looked for among all orders */
	TAKE_MAX = 256,
	HOUSEKEEP_MS = 15000, /* also how long a lost word of the database may go unheard */
	PAUSE_MS = 100,	      /* first pause before the next try; doubles */
	PAUSE_MAX_MS = 5000,
	CLOSE_MS = 5000,
};

#define MS INT64_C(1000000)

struct downlink {
	struct downlink_options options;
	struct hand *hand;
	struct queue queue;
	pthread_t thread;
	int wake_fd;
	pthread_mutex_t mutex; /* of what follows */
	bool closing;
	char wanted[WANTED_MAX][VIN_SIZE + 1];
	size_t wanted_count;
	bool want_all;
	/* the thread's */
	int64_t housekeep_ns;
	unsigned failures;
	bool started; /* what an earlier process had in hand went back */
};

static void wake(struct downlink *d)
{
	const uint64_t one = 1;

	/* Full means that it is awake. */
	while (write(d->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* ---- for the owners of orders ---- */

void downlink_sent(struct downlink *d, struct downlink_order *order)
{
	hand_sent(d->hand, order);
	wake(d);
}

void downlink_end(struct downlink *d, struct downlink_order *order, enum downlink_end end,
		  const uint8_t *answer, size_t size)
{
	hand_end(d->hand, order, end, answer, size);
	wake(d);
}

/* ---- what to look at ---- */

static void want(struct downlink *d, const char *vin)
{
	pthread_mutex_lock(&d->mutex);
	if (d->wanted_count < WANTED_MAX)
		snprintf(d->wanted[d->wanted_count++], sizeof(d->wanted[0]), "%s", vin);
	else
		d->want_all = true;
	pthread_mutex_unlock(&d->mutex);
}

void downlink_logged_in(struct downlink *d, const char *vin)
{
	want(d, vin);
	wake(d);
}

static void notified_cb(const char *vin, void *arg)
{
	struct downlink *d = arg;

	if (d->options.ready(vin, d->options.arg))
		want(d, vin);
}

/* ---- the thread: writing ---- */

static void count(struct downlink *d, unsigned sends, const struct queue_result *result)
{
	struct metrics_thread *m = d->options.metrics;

	if (m == NULL)
		return;
	metrics_add(m, METRIC_commands_sent_total, sends);
	if (result->in_hand || result->end == DOWNLINK_BACK)
		return;
	metrics_add(m,
		    result->end == DOWNLINK_ANSWERED ? METRIC_commands_answered_total
						     : METRIC_commands_failed_total,
		    1);
}

/* One row that the database does not take must not hold the others. */
static void set_aside(struct downlink *d, const struct downlink_order *order)
{
	char text[300];

	log_line(LOG_ERROR,
		 "downlink: what became of a command cannot be written, tried again each %d s "
		 "id=%lld vin=%s sqlstate=%s error=\"%s\"",
		 HOUSEKEEP_MS / 1000, (long long)order->id, order->vin, d->queue.sqlstate,
		 log_text(d->queue.message, strlen(d->queue.message), text, sizeof(text)));
	hand_set_aside(d->hand, order);
}

/* Somebody changed the row under our hand: what we know of it must not be lost in silence. */
static void not_ours(const struct downlink_order *order, const struct queue_result *result)
{
	log_line(LOG_ERROR,
		 "downlink: a command is not in our hand in the table, what became of it is lost "
		 "id=%lld vin=%s state=%s attempts=%u",
		 (long long)result->id, order->vin, result->state, result->attempts);
}

static int write_news(struct downlink *d)
{
	struct queue_result result;
	struct downlink_order *order;

	while ((order = hand_news(d->hand, &result)) != NULL) {
		const int rc = queue_write(&d->queue, &result);

		if (rc < 0) {
			hand_not_written(d->hand, order);
			return -1;
		}
		if (rc == QUEUE_UNWRITABLE) {
			set_aside(d, order);
			continue;
		}
		if (rc == QUEUE_NOT_OURS) {
			not_ours(order, &result);
			hand_written(d->hand, order, &result);
			continue;
		}
		if (!result.in_hand) {
			log_line(LOG_INFO, "command ended id=%lld state=%s attempts=%u vin=%s",
				 (long long)result.id, result.state, result.attempts, order->vin);
			want(d, order->vin);
		}
		count(d, hand_written(d->hand, order, &result), &result);
	}
	return 0;
}

/* ---- the thread: taking ---- */

struct haul {
	struct downlink *d;
	int64_t ids[TAKE_MAX];
	size_t count, room;
	bool failed, full;
};

static void taken_cb(const struct queue_row *row, void *arg)
{
	struct downlink *d = arg;
	struct downlink_order *order = hand_add(d->hand, row);
	struct error err = { 0 };

	if (order == NULL)
		return; /* housekeeping gives back what stands in the table and not here */
	if (order_parse_text(row->kind, row->parameters, &order->command, &err) == 0) {
		d->options.deliver(order, d->options.arg);
		return;
	}
	snprintf(order->message, sizeof(order->message), "%.*s",
		 (int)text_whole(err.text, sizeof(order->message) - 1), err.text);
	downlink_end(d, order, DOWNLINK_IMPOSSIBLE, NULL, 0);
}

static void haul_take(struct haul *h)
{
	if (h->count > 0 && queue_take(&h->d->queue, h->ids, h->count, taken_cb, h->d) < 0)
		h->failed = true;
	h->count = 0;
}

/* What waits, and whose terminal is here and has nothing in hand. */
static void waiting_cb(int64_t id, const char *vin, void *arg)
{
	struct haul *h = arg;

	if (!h->d->options.ready(vin, h->d->options.arg))
		return;
	if (h->room == 0) {
		h->full = true;
		return;
	}
	assert(h->count < TAKE_MAX);
	h->room--;
	h->ids[h->count++] = id;
	if (h->count == TAKE_MAX)
		haul_take(h);
}

static int look_at(struct downlink *d, const char (*vins)[VIN_SIZE + 1], size_t n)
{
	struct haul h = { .d = d };
	int64_t vehicle_id = 0;

	do {
		const size_t held = hand_count(d->hand);

		h.room = held < IN_HAND_MAX ? IN_HAND_MAX - held : 0;
		if (queue_waiting(&d->queue, vins, n, &vehicle_id, waiting_cb, &h) < 0)
			return -1;
		haul_take(&h);
	} while (vehicle_id != 0 && !h.failed && !h.full);
	return h.failed ? -1 : 0;
}

static int look(struct downlink *d)
{
	char(*vins)[VIN_SIZE + 1];
	size_t n;
	bool all;
	int rc = 0;

	pthread_mutex_lock(&d->mutex);
	n = d->wanted_count;
	all = d->want_all;
	vins = n > 0 && !all ? malloc(n * sizeof(*vins)) : NULL;
	if (vins != NULL)
		memcpy(vins, d->wanted, n * sizeof(*vins));
	else
		all = all || n > 0;
	d->wanted_count = 0;
	d->want_all = false;
	pthread_mutex_unlock(&d->mutex);
	if (all)
		rc = look_at(d, NULL, 0);
	else if (n > 0)
		rc = look_at(d, (const char(*)[VIN_SIZE + 1]) vins, n);
	free(vins);
	if (rc != 0) {
		pthread_mutex_lock(&d->mutex);
		d->want_all = true;
		pthread_mutex_unlock(&d->mutex);
	}
	return rc;
}

static int reclaim(struct downlink *d)
{
	size_t n;
	int64_t *ids = hand_ids(d->hand, &n);
	int rc;

	if (ids == NULL)
		return 0; /* the next time */
	rc = queue_reclaim(&d->queue, ids, n, !d->started);
	free(ids);
	if (rc == 0)
		d->started = true;
	return rc;
}

static int housekeep(struct downlink *d)
{
	if (clock_mono_ns() < d->housekeep_ns)
		return 0;
	d->housekeep_ns = clock_mono_ns() + HOUSEKEEP_MS * MS;
	hand_again(d->hand);
	if (reclaim(d) < 0 || queue_expire(&d->queue) < 0)
		return -1;
	pthread_mutex_lock(&d->mutex);
	d->want_all = true;
	pthread_mutex_unlock(&d->mutex);
	return 0;
}

/* ---- the thread ---- */

static bool is_closing(struct downlink *d)
{
	bool closing;

	pthread_mutex_lock(&d->mutex);
	closing = d->closing;
	pthread_mutex_unlock(&d->mutex);
	return closing;
}

/* Until somebody wakes us, the database has word (fd >= 0), or the time is over. */
static void wait_for(struct downlink *d, int fd, int timeout_ms)
{
	struct pollfd fds[2] = { { .fd = d->wake_fd, .events = POLLIN },
				 { .fd = fd, .events = POLLIN } };
	uint64_t times;

	poll(fds, 2, timeout_ms);
	while (read(d->wake_fd, &times, sizeof(times)) < 0 && errno == EINTR)
		;
}

static void pause_before_next(struct downlink *d)
{
	const int64_t start = clock_mono_ns();
	int64_t ms = (int64_t)PAUSE_MS << (d->failures < 8 ? d->failures : 8), left;

	assert(d->failures > 0);
	ms = ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
	ms = ms / 2 + start / 1000 % (ms / 2 + 1); /* gateways do not come back all at once */
	while ((left = ms - (clock_mono_ns() - start) / MS) > 0 && !is_closing(d))
		wait_for(d, -1, (int)left);
}

static void lost(struct downlink *d)
{
	char text[300];

	if (d->failures++ == 0)
		log_line(
			LOG_WARNING,
			"downlink: database cannot be used, commands wait sqlstate=%s error=\"%s\"",
			d->queue.sqlstate,
			log_text(d->queue.message, strlen(d->queue.message), text, sizeof(text)));
	queue_disconnect(&d->queue);
}

static int turn(struct downlink *d)
{
	if (d->queue.conn == NULL) {
		if (queue_connect(&d->queue) < 0)
			return -1;
		d->housekeep_ns = 0;
	}
	if (write_news(d) < 0)
		return -1;
	if (is_closing(d))
		return 0;
	if (housekeep(d) < 0 || look(d) < 0 || write_news(d) < 0)
		return -1;
	if (d->failures > 0)
		log_line(LOG_NOTICE, "downlink: database answers again");
	d->failures = 0;
	return 0;
}

/* True when there is nothing to do before the next event. */
static bool idle(struct downlink *d)
{
	bool wanted;

	pthread_mutex_lock(&d->mutex);
	wanted = d->wanted_count > 0 || d->want_all;
	pthread_mutex_unlock(&d->mutex);
	return !wanted && !hand_has_news(d->hand);
}

static void *thread_main(void *arg)
{
	struct downlink *d = arg;

	while (!is_closing(d) ||
	       (hand_has_news(d->hand) && clock_mono_ns() < atomic_load(&d->queue.deadline_ns))) {
		int64_t left_ms;

		if (turn(d) < 0) {
			lost(d);
			if (is_closing(d))
				break; /* it does not come back within the seconds that are left */
			pause_before_next(d);
			continue;
		}
		if (is_closing(d) || !idle(d))
			continue;
		left_ms = (d->housekeep_ns - clock_mono_ns()) / MS + 1;
		wait_for(d, PQsocket(d->queue.conn), left_ms > 0 ? (int)left_ms : 0);
		if (queue_notified(&d->queue, notified_cb, d) < 0)
			lost(d);
	}
	queue_disconnect(&d->queue);
	return NULL;
}

/* ---- interface ---- */

static void downlink_free(struct downlink *d)
{
	hand_free(d->hand);
	if (d->wake_fd >= 0)
		close(d->wake_fd);
	pthread_mutex_destroy(&d->mutex);
	free(d->queue.conninfo);
	free(d);
}

int downlink_open(const struct downlink_options *options, struct downlink **ret, struct error *err)
{
	sigset_t all, before;
	struct downlink *d;
	int rc;

	assert(options->ready != NULL && options->deliver != NULL);
	if (options->config->store_conninfo[0] == '\0')
		return error_set(err, ERROR_USAGE,
				 "store.conninfo is empty: there is no queue of commands");
	if ((d = calloc(1, sizeof(*d))) == NULL)
		return error_set(err, ERROR_MEMORY, "downlink: out of memory");
	d->options = *options;
	d->options.config = NULL;
	pthread_mutex_init(&d->mutex, NULL);
	d->queue.gateway_id = (int)options->config->gateway_id;
	d->queue.conninfo = strdup(options->config->store_conninfo);
	atomic_store(&d->queue.deadline_ns, INT64_MAX);
	d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	d->hand = hand_new();
	if (d->wake_fd < 0 || d->queue.conninfo == NULL || d->hand == NULL) {
		downlink_free(d);
		return error_errno(err, ERROR_MEMORY, "downlink");
	}
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rc = pthread_create(&d->thread, NULL, thread_main, d);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0) {
		downlink_free(d);
		return error_set(err, ERROR_MEMORY, "downlink: cannot start a thread");
	}
	*ret = d;
	return 0;
}

void downlink_close(struct downlink *d)
{
	if (d == NULL)
		return;
	atomic_store(&d->queue.deadline_ns, clock_mono_ns() + CLOSE_MS * MS);
	pthread_mutex_lock(&d->mutex);
	d->closing = true;
	pthread_mutex_unlock(&d->mutex);
	wake(d);
	pthread_join(d->thread, NULL);
	downlink_free(d);
}

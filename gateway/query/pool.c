#include "gateway/query/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/query/link.h"

enum {
	TICK_MS = 100,
	WAITING_MAX = 512,
	WAIT_MS = 4000, /* in line, before a job is given up */
};

static void pool_free_when_idle(struct pool *p)
{
	if (!p->closing || !p->tick_closed || p->cancels_under_way != 0)
		return;
	free(p->conninfo);
	free(p);
}

/* ---- the end of a job ---- */

void job_end(struct job *j, enum job_outcome outcome, PGresult *result)
{
	job_cb done = j->spec.done;
	void *arg = j->spec.arg;

	free(j);
	done(outcome, result, arg);
}

/* first: it was in line before. */
static void job_wait(struct job *j, bool first)
{
	struct pool *p = j->pool;

	j->link = NULL;
	j->next = NULL;
	if (first) {
		j->next = p->first;
		p->first = j;
		if (j->next == NULL)
			p->last = &j->next;
	} else {
		*p->last = j;
		p->last = &j->next;
	}
	p->waiting++;
}

static struct job *job_take(struct pool *p)
{
	struct job *j = p->first;

	if (j == NULL)
		return NULL;
	if ((p->first = j->next) == NULL)
		p->last = &p->first;
	p->waiting--;
	return j;
}

static void job_unlink(struct job *j)
{
	struct pool *p = j->pool;

	for (struct job **at = &p->given_up; *at != NULL; at = &(*at)->next) {
		if (*at == j) {
			*at = j->next;
			return;
		}
	}
	for (struct job **at = &p->first; *at != NULL; at = &(*at)->next) {
		if (*at != j)
			continue;
		if ((*at = j->next) == NULL)
			p->last = at;
		p->waiting--;
		return;
	}
}

/* Not ended here: this may run inside of pool_submit(), whose caller waits for its job. */
void pool_again(struct job *j, bool ran)
{
	j->link = NULL;
	j->lost = ran && j->spec.writes;
	if (j->retried || j->lost) {
		j->next = j->pool->given_up;
		j->pool->given_up = j;
		return;
	}
	j->retried = true;
	j->deadline_ns = clock_mono_ns() + WAIT_MS * MS;
	job_wait(j, true);
}

void pool_cancel_ended(struct pool *p)
{
	p->cancels_under_way--;
	if (p->closing)
		pool_free_when_idle(p);
	else
		pool_serve(p);
}

void job_cancel(struct job *j)
{
	struct link *l = j->link;

	if (l == NULL) {
		job_unlink(j);
	} else {
		l->job = NULL;
		link_cancel(l);
	}
	free(j);
}

/* ---- the line ---- */

void pool_serve(struct pool *p)
{
	for (unsigned i = 0; i < p->link_count && p->first != NULL && !p->closing; i++) {
		struct link *l = &p->links[i];

		if (l->state != LINK_IDLE)
			continue;
		l->job = job_take(p);
		l->job->link = l;
		link_run(l);
	}
}

static void tick_link(struct link *l, int64_t now)
{
	if (l->state == LINK_DOWN && now >= l->retry_ns && !l->cancelling)
		link_connect(l);
	else if (l->deadline_ns != 0 && now >= l->deadline_ns)
		link_lost(l, "no answer in time");
}

static bool any_up(const struct pool *p)
{
	for (unsigned i = 0; i < p->link_count; i++)
		if (p->links[i].state >= LINK_IDLE)
			return true;
	return false;
}

static void tick(uv_timer_t *timer)
{
	struct pool *p = timer->data;
	int64_t now = clock_mono_ns();

	for (unsigned i = 0; i < p->link_count; i++)
		tick_link(&p->links[i], now);
	while (p->given_up != NULL) {
		struct job *j = p->given_up;

		p->given_up = j->next;
		job_end(j, j->lost ? JOB_UNKNOWN : JOB_UNAVAILABLE, NULL);
	}
	/* The line is in order of deadlines, but for jobs put back in front. */
	while (p->first != NULL && now >= p->first->deadline_ns)
		job_end(job_take(p), any_up(p) ? JOB_BUSY : JOB_UNAVAILABLE, NULL);
	pool_serve(p);
}

struct job *pool_submit(struct pool *p, const struct job_spec *spec)
{
	struct job *j;

	assert(spec->value_count <= JOB_VALUES_MAX && spec->done != NULL);
	assert(spec->timeout_ms > 0);
	if (p->closing || p->waiting >= WAITING_MAX || (j = calloc(1, sizeof(*j))) == NULL)
		return NULL;
	j->pool = p;
	j->spec = *spec;
	for (int i = 0; i < spec->value_count; i++)
		j->values[i] = spec->values[i];
	j->spec.values = j->values;
	j->deadline_ns = clock_mono_ns() + WAIT_MS * MS;
	job_wait(j, false);
	pool_serve(p);
	return j; /* at the worst it waits or is given up: nothing above ends it */
}

int pool_new(uv_loop_t *loop, const char *conninfo, unsigned connections, struct pool **ret,
	     struct error *err)
{
	struct pool *p = calloc(1, sizeof(*p) + connections * sizeof(p->links[0]));

	assert(connections > 0);
	if (p == NULL || (p->conninfo = strdup(conninfo)) == NULL) {
		free(p);
		return error_set(err, ERROR_MEMORY, "no memory for %u connections", connections);
	}
	p->loop = loop;
	p->last = &p->first;
	p->link_count = connections;
	for (unsigned i = 0; i < connections; i++)
		p->links[i].pool = p;
	uv_timer_init(loop, &p->tick);
	p->tick.data = p;
	uv_timer_start(&p->tick, tick, 0, TICK_MS);
	*ret = p;
	return 0;
}

static void tick_closed(uv_handle_t *h)
{
	struct pool *p = h->data;

	p->tick_closed = true;
	pool_free_when_idle(p);
}

void pool_close(struct pool *p)
{
	if (p == NULL)
		return;
	assert(p->first == NULL && p->given_up == NULL);
	p->closing = true;
	for (unsigned i = 0; i < p->link_count; i++) {
		assert(p->links[i].job == NULL);
		link_drop(&p->links[i]);
	}
	uv_close((uv_handle_t *)&p->tick, tick_closed);
}

void pool_state(const struct pool *p, struct pool_state *ret)
{
	*ret = (struct pool_state){ .connections = p->link_count,
				    .waiting = p->waiting,
				    .cancels = p->cancels,
				    .reconnects = p->reconnects };
	for (unsigned i = 0; i < p->link_count; i++) {
		ret->up += p->links[i].state >= LINK_IDLE;
		ret->busy += p->links[i].state > LINK_IDLE;
	}
}

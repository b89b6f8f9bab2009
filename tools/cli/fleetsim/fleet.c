#include "tools/cli/fleetsim/fleet.h"

#include <assert.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/base/clock.h"

enum {
	TICK_MS = 5,
	CONNECTS_PER_TICK = 10, /* 2,000 a second */
	STEP_MAX_US = 50 * 1000,
	GATHER_US = 10 * 1000000, /* at most, before the drive starts */
	OWED_MAX = 200 * 1000,	  /* parcels in memory; then the simulated clock waits */
	STRAGGLE_US = 3 * 1000000,
	LINE_US = 5 * 1000000,
	LINE_TTY_US = 200 * 1000,
};

static int64_t mono_us(void)
{
	return clock_mono_ns() / 1000;
}

/* ---- where to ---- */

static int resolve(const char *text, struct sockaddr_storage *ret, struct error *err)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(text, ':');
	struct addrinfo *list = NULL;
	char host[256];

	if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
		return error_set(err, ERROR_USAGE, "'%s': HOST:PORT is wanted", text);
	const bool brackets = text[0] == '[' && colon > text && colon[-1] == ']';
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text) - 2 * brackets, text + brackets);
	const int rc = getaddrinfo(host, colon + 1, &hints, &list);
	if (rc != 0)
		return error_set(err, ERROR_IO, "'%s': %s", text, gai_strerror(rc));
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return 0;
}

static int make_tls(struct fleet *f, struct error *err)
{
	const struct fleet_settings *s = f->settings;

	if (s->tls == NULL)
		return 0;
	if (resolve(s->tls, &f->shared.tls, err) != 0)
		return err->code;
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	if (context == NULL)
		return error_set(err, ERROR_MEMORY, "no TLS context");
	f->shared.tls_context = context;
	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
	if (s->tls_ca == NULL)
		return 0;
	if (SSL_CTX_load_verify_locations(context, s->tls_ca, NULL) != 1)
		return error_set(err, ERROR_USAGE, "%s: no certificate in it", s->tls_ca);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	return 0;
}

/* One descriptor a truck, and some for the rest. */
static int raise_descriptors(unsigned trucks, struct error *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return error_errno(err, ERROR_IO, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max < (rlim_t)trucks + 64)
		return error_set(err, ERROR_USAGE,
				 "%u trucks need %u open files; the system allows %lu", trucks,
				 trucks + 64, (unsigned long)limit.rlim_max);
	return 0;
}

/* ---- progress ---- */

static void show(struct fleet *f)
{
	static const char *const names[] = { "gathering", "driving", "ending", "over" };
	const struct fleet_plan *plan = &f->settings->plan;
	const int64_t now = f->shared.now_us;
	const int64_t every = f->drawing ? LINE_TTY_US : LINE_US;
	char counters[200], at[20], bar[25];

	if (f->settings->quiet || now - f->last_line_us < every)
		return;
	const double done = ((double)f->shared.drive_us / 1e6 - (double)plan->start) /
			    (double)(plan->drive_s + plan->spread_s);
	const double rate =
		(double)(f->tally.frames - f->line_frames) * 1e6 / (double)(now - f->last_line_us);
	const unsigned full = done < 0 ? 0 : done > 1 ? 24 : (unsigned)(done * 24);
	memset(bar, '.', 24);
	memset(bar, '#', full);
	bar[24] = '\0';
	tally_progress(&f->tally, counters, sizeof(counters));
	beijing_time_print(f->shared.drive_us / 1000000, at);
	if (f->drawing)
		printf("\r\033[K[%s] %s %s, %.0f/s, %s", bar, names[f->phase], at + 11, rate,
		       counters);
	else
		printf("%s, simulated %s, %.0f frames/s, %s\n", names[f->phase], at, rate,
		       counters);
	fflush(stdout);
	f->last_line_us = now;
	f->line_frames = f->tally.frames;
}

/* ---- the run ---- */

static unsigned gathered(const struct fleet *f)
{
	unsigned n = 0;

	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		n += f->terminals[i].was_online;
	return n;
}

static bool all_over(const struct fleet *f)
{
	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		if (!f->terminals[i].over)
			return false;
	return true;
}

static bool all_done(const struct fleet *f)
{
	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		if (f->terminals[i].state != TERMINAL_DONE)
			return false;
	return true;
}

static void finish(struct fleet *f)
{
	f->phase = FLEET_OVER;
	f->ended_us = f->shared.now_us;
	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		terminal_hang_up(&f->terminals[i]);
	if (f->shared.platform != NULL)
		platform_leave(f->shared.platform);
	uv_close((uv_handle_t *)&f->timer, NULL);
	for (unsigned i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&f->signals[i], NULL);
}

static void gather(struct fleet *f)
{
	const int64_t now = f->shared.now_us;

	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		terminal_early(&f->terminals[i]);
	if (gathered(f) == f->settings->plan.trucks || now - f->started_us > GATHER_US ||
	    f->shared.ending) {
		f->phase = FLEET_DRIVING;
		f->drive_started_us = now;
	}
}

static void advance(struct fleet *f, int64_t step)
{
	const double limit_us = f->settings->limit_s * 1e6;

	if (f->settings->live)
		f->shared.drive_us = clock_wall_ns() / 1000;
	else if (f->shared.owed > OWED_MAX)
		f->held_us += step;
	else
		f->shared.drive_us += (int64_t)((double)step * f->settings->speed);
	if ((double)(f->shared.now_us - f->drive_started_us) > limit_us)
		f->shared.ending = true;
}

static void on_tick(uv_timer_t *timer)
{
	struct fleet *f = timer->data;
	struct terminal_shared *s = &f->shared;
	const int64_t now = mono_us();
	const int64_t late = now - f->last_tick_us;

	s->now_us = now;
	/* Behind time: the drive slows down rather than coming in lumps. */
	const int64_t step = late > STEP_MAX_US ? STEP_MAX_US : late;
	f->held_us += late - step;
	f->last_tick_us = now;
	s->connects_allowed = CONNECTS_PER_TICK;
	show(f);
	if (s->platform != NULL) {
		platform_tick(s->platform);
		if (platform_failure(s->platform, NULL) != 0) {
			finish(f);
			return;
		}
	}
	if (f->phase == FLEET_GATHERING) {
		gather(f);
		return;
	}
	if (f->phase == FLEET_DRIVING)
		advance(f, step);
	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		terminal_tick(&f->terminals[i]);
	if (f->phase == FLEET_DRIVING && all_over(f)) {
		f->phase = FLEET_ENDING;
		f->drive_ended_us = now;
	}
	const int64_t wait_us =
		f->interrupted ? STRAGGLE_US : (int64_t)f->settings->end_wait_s * 1000000;
	if (f->phase == FLEET_ENDING && (all_done(f) || now - f->drive_ended_us > wait_us))
		finish(f);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct fleet *f = handle->data;

	(void)number;
	f->interrupted = true;
	f->shared.ending = true;
}

static int start(struct fleet *f, struct error *err)
{
	const struct fleet_plan *plan = &f->settings->plan;
	enum kind *kinds = calloc(plan->trucks, sizeof(*kinds));
	int rc = 0;

	f->terminals = calloc(plan->trucks, sizeof(*f->terminals));
	if (f->terminals == NULL || kinds == NULL) {
		rc = error_set(err, ERROR_MEMORY, "no memory for %u trucks", plan->trucks);
		goto out;
	}
	rc = resolve(f->settings->tcp, &f->shared.tcp, err);
	if (rc == 0)
		rc = make_tls(f, err);
	if (rc != 0)
		goto out;
	f->shared.keys = f->settings->keys;
	f->shared.certificates = f->settings->certificates;
	rc = trust_gateway_load(f->settings->gateway_keys, plan, &f->shared.gateway, err);
	if (rc != 0)
		goto out;
	plan_kinds(plan, kinds);
	for (unsigned i = 0; i < plan->trucks && rc == 0; i++) {
		rc = terminal_init(&f->terminals[i], &f->shared, i, kinds[i], err);
		if (rc == 0)
			rc = terminal_check_certificate(&f->terminals[i], err);
	}
	if (rc == 0 && f->settings->platform.login != NULL)
		rc = platform_make(&f->settings->platform, &f->shared, f->terminals,
				   &f->shared.platform, err);
	if (rc != 0)
		goto out;
	uv_timer_init(&f->loop, &f->timer);
	f->timer.data = f;
	uv_timer_start(&f->timer, on_tick, TICK_MS, TICK_MS);
	for (unsigned i = 0; i < 2; i++) {
		uv_signal_init(&f->loop, &f->signals[i]);
		f->signals[i].data = f;
		uv_signal_start(&f->signals[i], on_signal, i == 0 ? SIGINT : SIGTERM);
	}
out:
	free(kinds);
	return rc;
}

int fleet_run(const struct fleet_settings *settings, struct fleet **ret, struct error *err)
{
	struct fleet *f = calloc(1, sizeof(*f));
	int rc;

	if (f == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	*ret = f;
	uv_loop_init(&f->loop);
	f->settings = settings;
	f->shared.loop = &f->loop;
	f->shared.plan = &settings->plan;
	f->shared.tally = &f->tally;
	f->shared.cuts = settings->cuts;
	f->shared.window = settings->window;
	f->shared.speed = settings->speed;
	f->shared.drive_us = settings->plan.start * 1000000;
	f->drawing = isatty(STDOUT_FILENO) == 1;
	f->started_us = f->last_tick_us = f->last_line_us = f->shared.now_us = mono_us();
	signal(SIGPIPE, SIG_IGN);
	rc = raise_descriptors(settings->plan.trucks, err);
	if (rc == 0)
		rc = start(f, err);
	if (rc != 0)
		return rc;
	uv_run(&f->loop, UV_RUN_DEFAULT);
	if (f->drawing && !settings->quiet)
		printf("\r\033[K");
	for (unsigned i = 0; i < settings->plan.trucks; i++) {
		const struct outbox *o = &f->terminals[i].outbox;
		f->tally.supplements += o->supplements;
		f->tally.regrouped += o->regrouped;
		f->tally.resent += o->resent;
		f->tally.refused += o->refused;
	}
	return f->shared.platform != NULL ? platform_failure(f->shared.platform, err) : 0;
}

void fleet_free(struct fleet *f)
{
	if (f == NULL)
		return;
	for (unsigned i = 0; f->terminals != NULL && i < f->settings->plan.trucks; i++)
		if (f->terminals[i].shared != NULL)
			terminal_release(&f->terminals[i]);
	platform_free(f->shared.platform);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	uv_loop_close(&f->loop);
	SSL_CTX_free(f->shared.tls_context);
	trust_gateway_free(&f->shared.gateway);
	free(f->terminals);
	free(f);
}

uint64_t fleet_owed(const struct fleet *f)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < f->settings->plan.trucks; i++)
		n += outbox_owed(&f->terminals[i].outbox);
	return n;
}

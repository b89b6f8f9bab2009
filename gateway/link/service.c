#include "gateway/link/service.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/link/row.h"

enum {
	TICK_MS = 200,
	RELOAD_MS = 60000, /* should a notification be lost */
	MEMBERS_MS = 1000, /* an import changes many vehicles */
	RETRY_MS = 1000,
	STOP_MS = 5000,
};

struct service {
	struct link_host host;
	struct database *database;
	struct metrics *metrics;
	uv_timer_t tick;
	struct link *links;
	char gateway[8]; /* gateway.id as text */
	bool polling;
	uint64_t reload_ms, members_ms; /* when to read again; 0: not asked for */
	unsigned loading;		/* statements of a load that are under way */
	bool load_failed, load_again;
	PGresult *divisions, *routes; /* of a load, until both are there */
	uint64_t stop_ms;	      /* 0: not stopping */
	bool closed;
};

/* ---- the set of links ---- */

static struct link *find(const struct service *s, int32_t id)
{
	struct link *l = s->links;

	while (l != NULL && l->row.id != id)
		l = l->next;
	return l;
}

static void gone_cb(struct link *l, void *arg)
{
	struct service *s = arg;
	struct link **at = &s->links;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	link_drop(l);
	s->reload_ms = uv_now(s->host.loop); /* its row may still be there, as another one */
}

static void apply_row(struct service *s, const PGresult *r, int n)
{
	struct link_row row;
	struct error err;
	struct link *l;

	if (row_link(r, n, &row, &err) != 0) {
		log_line(LOG_ERROR, "link left out: %s", err.text);
		return;
	}
	l = find(s, row.id);
	if (l != NULL && l->row.version != row.version) {
		log_line(LOG_NOTICE, "link: changed link=\"%s\"", row.name);
		link_leave(l);
	}
	if (l == NULL && (l = link_new(&s->host, &row)) != NULL) {
		log_line(LOG_NOTICE, "link: begins link=\"%s\" position=%" PRIu64, l->row.name,
			 l->row.position);
		l->next = s->links;
		s->links = l;
	}
	link_row_release(&row);
}

static void leave_unlisted(struct service *s, const PGresult *r)
{
	for (struct link *l = s->links; l != NULL; l = l->next) {
		bool listed = false;

		for (int i = 0; i < PQntuples(r); i++)
			listed |= strtol(PQgetvalue(r, i, 0), NULL, 10) == l->row.id;
		if (!listed)
			link_leave(l);
	}
}

/* ---- loading ---- */

static void loaded(struct service *s, bool fine)
{
	s->load_failed |= !fine;
	if (--s->loading > 0)
		return;
	PQclear(s->divisions);
	PQclear(s->routes);
	s->divisions = s->routes = NULL;
	if (s->load_failed || s->load_again)
		s->reload_ms = uv_now(s->host.loop) + (s->load_failed ? RETRY_MS : 0);
}

static void positions_cb(PGresult *r, void *arg)
{
	loaded(arg, r != NULL);
}

static void members_cb(PGresult *r, void *arg)
{
	struct service *s = arg;

	loaded(s, r != NULL && row_members(r, &s->host.places) == 0);
}

static void divisions_cb(PGresult *r, void *arg)
{
	struct service *s = arg;

	s->divisions = r != NULL ? PQcopyResult(r, PG_COPYRES_TUPLES) : NULL;
	loaded(s, s->divisions != NULL);
}

static void routes_cb(PGresult *r, void *arg)
{
	struct service *s = arg;

	loaded(s, r != NULL && s->divisions != NULL &&
			  row_areas(s->divisions, r, &s->host.places) == 0);
}

/* The last: what the links ask for is there. */
static void links_cb(PGresult *r, void *arg)
{
	struct service *s = arg;

	if (r != NULL && !s->load_failed && s->stop_ms == 0) {
		leave_unlisted(s, r);
		for (int i = 0; i < PQntuples(r); i++)
			apply_row(s, r, i);
	}
	loaded(s, r != NULL);
}

static void ask(struct service *s, const char *sql, int n, bool binary, database_done *done)
{
	const char *const values[] = { s->gateway };

	s->loading++;
	if (!database_run(s->database, sql, n, values, binary, done, s))
		loaded(s, false);
}

/* In this order, on one connection: what the links need is there before them. */
static void load(struct service *s)
{
	s->reload_ms = uv_now(s->host.loop) + RELOAD_MS;
	s->members_ms = 0;
	if (s->loading > 0) {
		s->load_again = true;
		return;
	}
	s->load_failed = s->load_again = false;
	s->loading++;
	ask(s, row_positions_sql, 1, false, positions_cb);
	ask(s, row_members_sql, 0, false, members_cb);
	ask(s, row_divisions_sql, 0, true, divisions_cb);
	ask(s, row_routes_sql, 0, true, routes_cb);
	ask(s, row_links_sql, 1, false, links_cb);
	loaded(s, true);
}

static void load_members(struct service *s)
{
	s->members_ms = 0;
	if (s->loading > 0) {
		s->load_again = true;
		return;
	}
	s->load_failed = s->load_again = false;
	ask(s, row_members_sql, 0, false, members_cb);
}

/* ---- the gateway's store ---- */

static void stored_cb(PGresult *r, void *arg)
{
	struct service *s = arg;
	uint64_t stored;

	s->polling = false;
	if (r == NULL || PQntuples(r) == 0)
		return;
	stored = strtoull(PQgetvalue(r, 0, 0), NULL, 10);
	if (stored <= s->host.stored)
		return;
	s->host.stored = stored;
	for (struct link *l = s->links; l != NULL; l = l->next)
		link_stored(l);
}

static void poll_stored(struct service *s)
{
	const char *const values[] = { s->gateway };

	if (!s->polling)
		s->polling = database_run(
			s->database,
			"SELECT position FROM ingest_position WHERE gateway_id = $1::smallint", 1,
			values, false, stored_cb, s);
}

/* ---- events of the database ---- */

static void ready_cb(void *arg)
{
	struct service *s = arg;

	log_line(LOG_INFO, "database connected");
	s->polling = false;
	s->reload_ms = uv_now(s->host.loop);
}

static void notified_cb(const char *channel, void *arg)
{
	struct service *s = arg;

	if (strcmp(channel, "haulgate_link") == 0)
		s->reload_ms = uv_now(s->host.loop);
	else if (s->members_ms == 0)
		s->members_ms = uv_now(s->host.loop) + MEMBERS_MS;
}

/* ---- time ---- */

static void show_backlog(struct service *s)
{
	uint64_t most = 0;

	for (const struct link *l = s->links; l != NULL; l = l->next)
		if (s->host.stored > l->progress.position &&
		    s->host.stored - l->progress.position > most)
			most = s->host.stored - l->progress.position;
	metrics_set(s->host.metrics, METRIC_link_backlog_bytes, (int64_t)most);
}

static void close_all(struct service *s)
{
	if (s->closed)
		return;
	s->closed = true;
	while (s->links != NULL) {
		log_line(LOG_WARNING, "link: ended before its position was written link=\"%s\"",
			 s->links->row.name);
		gone_cb(s->links, s);
	}
	database_close(s->database);
	uv_close((uv_handle_t *)&s->tick, NULL);
}

static void tick_cb(uv_timer_t *timer)
{
	struct service *s = timer->data;
	const uint64_t now = uv_now(s->host.loop);

	if (database_ready(s->database) && s->stop_ms == 0) {
		if (s->reload_ms != 0 && now >= s->reload_ms)
			load(s);
		if (s->members_ms != 0 && now >= s->members_ms)
			load_members(s);
		poll_stored(s);
	}
	for (struct link *l = s->links, *next; l != NULL; l = next) {
		next = l->next;
		link_tick(l);
	}
	show_backlog(s);
	if (s->stop_ms != 0 && (s->links == NULL || now >= s->stop_ms))
		close_all(s);
}

/* ---- interface ---- */

static int metrics_start(struct service *s, struct error *err)
{
	const struct config *c = s->host.config;
	char path[4096];
	int rc;

	if (snprintf(path, sizeof(path), "%s/link-%" PRId64 ".metrics", c->gateway_run_dir,
		     c->gateway_id) >= (int)sizeof(path))
		return error_set(err, ERROR_USAGE, "gateway.run_dir is too long");
	if ((rc = metrics_open(path, (unsigned)c->gateway_id, &s->metrics, err)) != 0)
		return rc;
	s->host.metrics = metrics_thread(s->metrics, 0);
	return 0;
}

int service_new(uv_loop_t *loop, const struct config *config, struct service **ret,
		struct error *err)
{
	static const struct database_events events = { ready_cb, notified_cb };
	struct service *s = calloc(1, sizeof(*s));
	int rc = ERROR_MEMORY;

	if (s == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	s->host = (struct link_host){ .loop = loop, .config = config, .gone = gone_cb, .arg = s };
	s->host.scratch = malloc(sizeof(*s->host.scratch));
	s->host.out = malloc(LINK_OUT_SIZE);
	snprintf(s->gateway, sizeof(s->gateway), "%" PRId64, config->gateway_id);
	if (s->host.scratch == NULL || s->host.out == NULL) {
		error_set(err, ERROR_MEMORY, "no memory");
		goto out;
	}
	if ((rc = metrics_start(s, err)) != 0 ||
	    (rc = database_open(loop, config->link_conninfo, (unsigned)config->gateway_id, &events,
				s, &s->database, err)) != 0)
		goto out;
	s->host.database = s->database;
	uv_timer_init(loop, &s->tick);
	s->tick.data = s;
	uv_timer_start(&s->tick, tick_cb, 0, TICK_MS);
	*ret = s;
	return 0;
out:
	service_free(s);
	return rc;
}

void service_reload(struct service *s, const struct config *config)
{
	s->host.config = config;
	s->reload_ms = uv_now(s->host.loop);
	for (struct link *l = s->links; l != NULL; l = l->next)
		link_retry_now(l);
}

void service_stop(struct service *s)
{
	if (s->stop_ms != 0)
		return;
	s->stop_ms = uv_now(s->host.loop) + STOP_MS;
	for (struct link *l = s->links; l != NULL; l = l->next)
		link_leave(l);
}

void service_free(struct service *s)
{
	PQclear(s->divisions);
	PQclear(s->routes);
	metrics_close(s->metrics);
	places_release(&s->host.places);
	free(s->host.scratch);
	free(s->host.out);
	free(s);
}

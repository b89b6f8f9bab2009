#include "gateway/query/service.h"

#include <assert.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/query/request.h"
#include "gateway/query/stats.h"
#include "gateway/query/token.h"

enum {
	CONNECTIONS_MAX = 480,
	CONNECTION_MEMORY = 64 * 1024, /* head of the request, response headers, one chunk */
	CONNECTION_TIMEOUT_S = 30,     /* without progress */
	SWEEP_MS = 100,
};

struct service {
	uv_loop_t *loop;
	const struct config *config;
	struct MHD_Daemon *daemon;
	int listen_fd;
	char address[SERVICE_ADDRESS_SIZE];
	struct pool *pool;
	struct tokens *tokens;
	uv_poll_t watch;
	uv_timer_t run;	  /* when libmicrohttpd wants to be called */
	uv_timer_t sweep; /* looks for clients that left while they wait */
	unsigned open_handles;
	bool stopping;
	int64_t stop_ns;
	struct request *requests;
	unsigned request_count;
	uint64_t id_prefix, id_next;
	struct stats stats;
	struct unpacked scratch;
};

static char bad_uri; /* its address marks a request whose path holds a NUL */

const struct token *service_authorize(const struct service *s, const char *header)
{
	return tokens_authorize(s->tokens, header);
}

struct pool *service_pool(struct service *s)
{
	return s->pool;
}

const char *service_run_dir(const struct service *s)
{
	return s->config->gateway_run_dir;
}

struct unpacked *service_scratch(struct service *s)
{
	return &s->scratch;
}

const char *service_address(const struct service *s)
{
	return s->address;
}

/* ---- libmicrohttpd in the loop ---- */

/* After every run it must be asked when it wants the next one. */
static void run_daemon(struct service *s);
static void stop_step(struct service *s);

static void run_timer(uv_timer_t *timer)
{
	run_daemon(timer->data);
}

static void run_daemon(struct service *s)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	MHD_run(s->daemon);
	if (MHD_get_timeout(s->daemon, &timeout_ms) == MHD_YES)
		uv_timer_start(&s->run, run_timer, timeout_ms, 0);
	else
		uv_timer_stop(&s->run);
}

static void watch_ready(uv_poll_t *watch, int status, int events)
{
	(void)status;
	(void)events;
	run_daemon(watch->data);
}

void service_kick(struct service *s)
{
	if (!uv_is_closing((uv_handle_t *)&s->run))
		uv_timer_start(&s->run, run_timer, 0, 0);
}

/* ---- a request ---- */

/* Ours unless the proxy in front gave one that can be logged as it is. */
static void choose_id(struct request *r)
{
	const char *given =
		MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, "X-Request-Id");
	struct service *s = r->service;

	if (given != NULL && given[0] != '\0' && strlen(given) < sizeof(r->id) &&
	    strspn(given, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
		    strlen(given))
		snprintf(r->id, sizeof(r->id), "%s", given);
	else
		snprintf(r->id, sizeof(r->id), "%08llx-%llu",
			 (unsigned long long)(s->id_prefix & 0xFFFFFFFF),
			 (unsigned long long)++s->id_next);
}

static struct request *request_new(struct service *s, struct MHD_Connection *connection)
{
	struct request *r = calloc(1, sizeof(*r));

	if (r == NULL)
		return NULL;
	r->service = s;
	r->connection = connection;
	r->started_ns = clock_mono_ns();
	r->method = "other";
	r->at = &s->requests;
	if ((r->next = s->requests) != NULL)
		r->next->at = &r->next;
	s->requests = r;
	s->request_count++;
	choose_id(r);
	return r;
}

/* For the log, where nothing stands that a client can choose. */
static const char *method_name(const char *method)
{
	static const char *const known[] = { "GET", "HEAD", "POST", "DELETE" };

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i], method) == 0)
			return known[i];
	return "other";
}

static enum MHD_Result handle(void *cls, struct MHD_Connection *connection, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_size, void **con_cls)
{
	struct service *s = cls;
	struct request *r = *con_cls;

	(void)version;
	if (r == NULL || (void *)r == &bad_uri) {
		bool bad = r != NULL;

		/* One that began to wait now would be in the way of the end. */
		*con_cls = r = s->stopping ? NULL : request_new(s, connection);
		if (r == NULL)
			return MHD_NO;
		r->bad_uri = bad;
		r->method = method_name(method);
		return MHD_YES;
	}
	if (*upload_size > 0) {
		const bool goes_on = request_body(r, upload, *upload_size);

		*upload_size = 0;
		return goes_on ? MHD_YES : MHD_NO;
	}
	if (r->phase == REQUEST_NEW)
		request_start(r, url, method);
	if (r->gone)
		return MHD_NO;
	if (r->phase == REQUEST_READY) {
		enum MHD_Result queued = MHD_queue_response(connection, r->status, r->response);

		MHD_destroy_response(r->response); /* the queue holds it now */
		r->phase = REQUEST_QUEUED;
		return queued;
	}
	return MHD_YES;
}

/* A NUL would cut the path that handle() sees, so it is looked for before decoding. */
static void *look_at_uri(void *cls, const char *uri, struct MHD_Connection *connection)
{
	(void)cls;
	(void)connection;
	return memmem(uri, strcspn(uri, "?"), "%00", 3) != NULL ? &bad_uri : NULL;
}

/* The path and the query can name a person: only the template is logged. */
static void completed(void *cls, struct MHD_Connection *connection, void **con_cls,
		      enum MHD_RequestTerminationCode code)
{
	struct service *s = cls;
	struct request *r = *con_cls;
	int64_t ns;

	(void)connection;
	if (r == NULL || (void *)r == &bad_uri)
		return;
	*con_cls = NULL;
	ns = clock_mono_ns() - r->started_ns;
	if (code != MHD_REQUEST_TERMINATED_COMPLETED_OK &&
	    code != MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN)
		r->gone = true;
	stats_add(&s->stats, r->route, r->gone ? 0 : r->status, ns);
	log_line(LOG_INFO, "request method=%s route=%s status=%u%s ms=%lld id=%s", r->method,
		 r->route != NULL ? r->route->path : "-", r->status, r->gone ? " left=yes" : "",
		 (long long)(ns / 1000000), r->id);
	request_free(r);
	s->request_count--;
}

/* ---- clients that leave ---- */

/* A suspended connection is not watched by libmicrohttpd, so its socket is asked here. */
static void sweep(uv_timer_t *timer)
{
	struct service *s = timer->data;
	struct pollfd fds[CONNECTIONS_MAX];
	struct request *waiting[CONNECTIONS_MAX];
	nfds_t n = 0;

	for (struct request *r = s->requests; r != NULL && n < CONNECTIONS_MAX; r = r->next) {
		const union MHD_ConnectionInfo *info;

		if (!r->waiting)
			continue;
		info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
		if (info == NULL)
			continue;
		fds[n] = (struct pollfd){ .fd = info->connect_fd, .events = POLLRDHUP };
		waiting[n++] = r;
	}
	if (n > 0 && poll(fds, n, 0) > 0)
		for (nfds_t i = 0; i < n; i++)
			if ((fds[i].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0)
				request_leave(waiting[i]);
	if (s->stopping)
		stop_step(s);
	else
		/* libmicrohttpd takes its listening socket out of epoll when the last connection
		 * is taken, and back in only when it runs; nothing may call it after the last
		 * one closed. */
		run_daemon(s);
}

/* ---- start and end ---- */

static int listen_on(const char *address, int *ret, struct error *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	char host[SERVICE_ADDRESS_SIZE];
	const char *colon = strrchr(address, ':');
	int fd, rc, on = 1;

	if (colon == NULL || (size_t)(colon - address) >= sizeof(host))
		return error_set(err, ERROR_USAGE, "query.listen is '%s'; it must be HOST:PORT",
				 address);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - address), address);
	if (host[0] == '[' && colon > address + 1 && colon[-1] == ']')
		snprintf(host, sizeof(host), "%.*s", (int)(colon - address) - 2, address + 1);
	if ((rc = getaddrinfo(host[0] != '\0' ? host : NULL, colon + 1, &hints, &found)) != 0)
		return error_set(err, ERROR_USAGE, "query.listen %s: %s", address,
				 gai_strerror(rc));
	fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = 0;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 256) != 0)
		rc = error_errno(err, ERROR_IO, "cannot listen on %s", address);
	freeaddrinfo(found);
	if (rc == 0)
		*ret = fd;
	else if (fd >= 0)
		close(fd);
	return rc;
}

static int address_text(int fd, char *out, size_t size, struct error *err)
{
	struct sockaddr_storage a = { 0 };
	socklen_t n = sizeof(a);
	char host[64], port[8];

	if (getsockname(fd, (struct sockaddr *)&a, &n) != 0 ||
	    getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return error_errno(err, ERROR_IO, "the address of the listening socket");
	snprintf(out, size, a.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	return 0;
}

__attribute__((format(printf, 2, 0))) static void daemon_log(void *cls, const char *format,
							     va_list args)
{
	char message[400], text[400];

	(void)cls;
	vsnprintf(message, sizeof(message), format, args);
	message[strcspn(message, "\n")] = '\0';
	log_line(LOG_DEBUG, "http library says=\"%s\"",
		 log_text(message, strlen(message), text, sizeof(text)));
}

static int start_daemon(struct service *s, struct error *err)
{
	const union MHD_DaemonInfo *info;

	s->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL, handle,
		s, MHD_OPTION_EXTERNAL_LOGGER, daemon_log, s, MHD_OPTION_LISTEN_SOCKET,
		s->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, look_at_uri, s,
		MHD_OPTION_NOTIFY_COMPLETED, completed, s, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
		(unsigned)CONNECTION_TIMEOUT_S, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (s->daemon == NULL ||
	    (info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD)) == NULL)
		return error_set(err, ERROR_IO, "the HTTP server could not start");
	if (uv_poll_init(s->loop, &s->watch, info->epoll_fd) != 0)
		return error_set(err, ERROR_IO, "the loop refuses the epoll descriptor");
	s->watch.data = s;
	s->open_handles++;
	uv_poll_start(&s->watch, UV_READABLE, watch_ready);
	return 0;
}

static void handle_closed(uv_handle_t *h)
{
	struct service *s = h->data;

	if (--s->open_handles > 0)
		return;
	tokens_free(s->tokens);
	free(s);
}

static void service_close(struct service *s)
{
	/* The descriptor leaves the loop before the daemon closes it. */
	if (s->open_handles == 3)
		uv_close((uv_handle_t *)&s->watch, handle_closed);
	if (s->daemon != NULL)
		MHD_stop_daemon(s->daemon);
	if (s->listen_fd >= 0)
		close(s->listen_fd);
	pool_close(s->pool);
	uv_close((uv_handle_t *)&s->run, handle_closed);
	uv_close((uv_handle_t *)&s->sweep, handle_closed);
}

int service_new(uv_loop_t *loop, const struct config *config, struct service **ret,
		struct error *err)
{
	struct service *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for the service");
	s->loop = loop;
	s->config = config;
	s->listen_fd = -1;
	if (getrandom(&s->id_prefix, sizeof(s->id_prefix), 0) < 0)
		s->id_prefix = (uint64_t)clock_wall_ns();
	uv_timer_init(loop, &s->run);
	uv_timer_init(loop, &s->sweep);
	s->run.data = s->sweep.data = s;
	s->open_handles = 2;
	if ((rc = tokens_load(config->query_token_file, &s->tokens, err)) != 0 ||
	    (rc = pool_new(loop, config->query_conninfo, (unsigned)config->query_connections,
			   &s->pool, err)) != 0 ||
	    (rc = listen_on(config->query_listen, &s->listen_fd, err)) != 0 ||
	    (rc = address_text(s->listen_fd, s->address, sizeof(s->address), err)) != 0 ||
	    (rc = start_daemon(s, err)) != 0) {
		service_close(s);
		return rc;
	}
	uv_timer_start(&s->sweep, sweep, SWEEP_MS, SWEEP_MS);
	run_daemon(s);
	*ret = s;
	return 0;
}

/* One look at whether the end has come; from the sweep until it has. */
static void stop_step(struct service *s)
{
	bool late = clock_mono_ns() >= s->stop_ns;

	if (uv_is_closing((uv_handle_t *)&s->run) || (s->requests != NULL && !late))
		return;
	/* libmicrohttpd must not be stopped while connections are suspended. */
	for (struct request *r = s->requests; r != NULL; r = r->next)
		request_leave(r);
	MHD_run(s->daemon);
	service_close(s);
}

int service_reload(struct service *s, struct error *err)
{
	struct tokens *tokens;
	int rc = tokens_load(s->config->query_token_file, &tokens, err);

	if (rc != 0)
		return rc;
	tokens_free(s->tokens);
	s->tokens = tokens;
	return 0;
}

void service_stop(struct service *s, unsigned grace_ms)
{
	if (s->stopping)
		return;
	s->stopping = true;
	s->stop_ns = clock_mono_ns() + (int64_t)grace_ms * 1000000;
	MHD_quiesce_daemon(s->daemon);
	close(s->listen_fd);
	s->listen_fd = -1;
	stop_step(s);
}

/* ---- metrics of the service itself ---- */

static void put_gauge(struct output *out, const char *name, const char *type, const char *help,
		      uint64_t value)
{
	output_format(out, "# HELP haulgate_query_%s %s\n# TYPE haulgate_query_%s %s\n", name, help,
		      name, type);
	output_format(out, "haulgate_query_%s %llu\n", name, (unsigned long long)value);
}

void service_metrics(struct service *s, struct output *out)
{
	struct pool_state pool;

	pool_state(s->pool, &pool);
	stats_put(&s->stats, out);
	put_gauge(out, "requests_open", "gauge", "requests under way", s->request_count);
	put_gauge(out, "database_connections", "gauge", "connections that are up", pool.up);
	put_gauge(out, "database_busy", "gauge", "connections that run a statement", pool.busy);
	put_gauge(out, "database_waiting", "gauge", "statements that wait", pool.waiting);
	put_gauge(out, "database_cancels_total", "counter", "statements cancelled, client left",
		  pool.cancels);
	put_gauge(out, "database_connects_total", "counter", "connections made", pool.reconnects);
}

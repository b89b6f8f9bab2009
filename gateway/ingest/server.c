#include "gateway/ingest/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/ingest/command.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

enum {
	PATH_SIZE = 4096,
	ADDRESS_SIZE = CONFIG_HOST_SIZE + 10,
	REMEMBERED_VINS = 200000, /* about 16 MiB of layouts at most */
	REMEMBERED_SOURCES = 65536,
	STORE_STOP_MS = 10000,
};

static int make_dir(const char *path, mode_t mode, struct error *err)
{
	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return error_errno(err, ERROR_IO, "folder %s: cannot make", path);
	return 0;
}

static int run_path(const struct config *c, const char *suffix, char *out, struct error *err)
{
	const int n = snprintf(out, PATH_SIZE, "%s/gateway-%lld.%s", c->gateway_run_dir,
			       (long long)c->gateway_id, suffix);

	if (n < 0 || n >= PATH_SIZE)
		return error_set(err, ERROR_USAGE, "gateway.run_dir: path too long");
	return 0;
}

static int open_metrics(struct server *s, struct error *err)
{
	char path[PATH_SIZE];
	int rc;

	if ((rc = make_dir(s->config->gateway_run_dir, 0750, err)) != 0 ||
	    (rc = run_path(s->config, "metrics", path, err)) != 0)
		return rc;
	return metrics_open(path, (unsigned)s->config->gateway_id, &s->metrics, err);
}

static uint64_t size_max(const struct config *c)
{
	return (uint64_t)c->spool_size_gib << 30;
}

static uint64_t reserve(const struct config *c)
{
	return (uint64_t)c->spool_reserve_mib << 20;
}

static int open_spool(struct server *s, struct error *err)
{
	const struct config *c = s->config;
	const struct spool_options options = {
		.dir = c->spool_dir,
		.archive_dir = c->spool_archive_dir,
		.segment_size = (size_t)c->spool_segment_mib << 20,
		.size_max = size_max(c),
		.reserve = reserve(c),
		.double_sync = c->spool_double_sync,
		.metrics = metrics_thread(s->metrics, SLOT_SPOOL),
		.batch_max = BATCH_SIZE,
	};
	struct spool_recovery found = { 0 };
	int rc;

	if ((rc = make_dir(c->spool_dir, 0700, err)) != 0 ||
	    (rc = spool_open(&options, &found, &s->spool, err)) != 0)
		return rc;
	log_line(found.corrupt_regions > 0 || found.missing_segments > 0 ? LOG_ERROR : LOG_NOTICE,
		 "spool open records=%llu torn_bytes=%llu corrupt_regions=%llu "
		 "missing_segments=%llu",
		 (unsigned long long)found.records, (unsigned long long)found.torn_bytes,
		 (unsigned long long)found.corrupt_regions,
		 (unsigned long long)found.missing_segments);
	return 0;
}

/* On the store's thread. */
static void committed_cb(uint64_t position, void *arg)
{
	struct server *s = arg;

	atomic_store_explicit(&s->committed, position, memory_order_release);
	if (s->config->store_ack == ACK_STORE)
		for (unsigned i = 0; i < s->loop_count; i++)
			loop_wake(s->loops[i]);
}

static int open_store(struct server *s, struct error *err)
{
	const struct store_options options = {
		.config = s->config,
		.spool = s->spool,
		.spool_dir = s->config->spool_dir,
		.archive_dir = s->config->spool_archive_dir,
		.metrics = metrics_thread(s->metrics, SLOT_STORE),
		.committed = committed_cb,
		.arg = s,
		.identities = s->identities,
	};

	if (s->config->store_conninfo[0] == '\0') {
		log_line(LOG_NOTICE, "no database configured: the spool only grows");
		return 0;
	}
	return store_open(&options, &s->store, err);
}

/* On the identity thread. */
static void post_changed(struct vin_owner *owner, void *arg)
{
	(void)arg;
	connection_post(list_entry(owner, struct connection, session.owner), MAIL_CHANGED);
}

/* Any thread. */
static void reconsider_all(struct server *s)
{
	for (unsigned i = 0; i < s->loop_count; i++) {
		atomic_store(&s->loops[i]->registry, true);
		loop_wake(s->loops[i]);
	}
}

static void changed_cb(const char *vin, void *arg)
{
	struct server *s = arg;

	if (vin[0] != '\0')
		vin_table_visit(s->vins, vin, post_changed, NULL);
	else
		reconsider_all(s);
}

static int open_identities(struct server *s, struct error *err)
{
	const struct identities_options options = {
		.config = s->config,
		.metrics = metrics_thread(s->metrics, SLOT_IDENTITY),
		.changed = changed_cb,
		.arg = s,
	};

	return identities_open(&options, &s->identities, err);
}

bool server_has_registry(const struct server *s)
{
	return s->config->store_conninfo[0] != '\0';
}

enum identity_state server_identity(struct server *s, const char *vin, struct identity **ret)
{
	*ret = NULL;
	return server_has_registry(s) ? identity_get(s->identities, vin, ret) : IDENTITY_UNKNOWN;
}

static int open_downlink(struct server *s, struct error *err)
{
	const struct downlink_options options = {
		.config = s->config,
		.metrics = metrics_thread(s->metrics, SLOT_DOWNLINK),
		.ready = command_ready,
		.deliver = command_deliver,
		.arg = s,
	};

	if (s->config->store_conninfo[0] == '\0')
		return 0;
	return downlink_open(&options, &s->downlink, err);
}

/* Each loop listens on the address that the first one got, so that port 0 works too. */
static int open_listeners(struct server *s, char tcp[ADDRESS_SIZE], char tls[ADDRESS_SIZE],
			  struct error *err)
{
	int rc = 0;

	snprintf(tcp, ADDRESS_SIZE, "%s", s->config->listen_tcp);
	snprintf(tls, ADDRESS_SIZE, "%s", s->config->listen_tls);
	for (unsigned i = 0; i < s->loop_count && rc == 0; i++) {
		struct loop *l = s->loops[i];
		char got[ADDRESS_SIZE];

		if (tcp[0] != '\0') {
			rc = listener_open(&l->tcp, l, false, tcp, got, sizeof(got), err);
			if (rc == 0)
				memcpy(tcp, got, sizeof(got));
		}
		if (rc == 0 && tls[0] != '\0') {
			rc = listener_open(&l->tls, l, true, tls, got, sizeof(got), err);
			if (rc == 0)
				memcpy(tls, got, sizeof(got));
		}
	}
	return rc;
}

static int open_loops(struct server *s, struct error *err)
{
	const int64_t wanted = s->config->gateway_loops;
	long count = wanted > 0 ? (long)wanted : sysconf(_SC_NPROCESSORS_ONLN);
	int rc = 0;

	if (count < 1)
		count = 1;
	if (count > 32)
		count = 32;
	if ((s->loops = calloc((size_t)count, sizeof(*s->loops))) == NULL)
		return error_set(err, ERROR_MEMORY, "loops: out of memory");
	s->loop_count = (unsigned)count;
	for (unsigned i = 0; i < s->loop_count && rc == 0; i++)
		rc = loop_new(s, i, &s->loops[i], err);
	return rc;
}

/* Tells who asks (tests, tools/quickstart) where we listen; moved into place whole. */
static int write_ports(const struct server *s, const char *tcp, const char *tls, struct error *err)
{
	char path[PATH_SIZE], temp[PATH_SIZE + 4];
	FILE *f;
	int rc;

	if ((rc = run_path(s->config, "ports", path, err)) != 0)
		return rc;
	snprintf(temp, sizeof(temp), "%s.new", path);
	if ((f = fopen(temp, "we")) == NULL)
		return error_errno(err, ERROR_IO, "%s: cannot write", temp);
	if (tcp[0] != '\0')
		fprintf(f, "tcp %s\n", tcp);
	if (tls[0] != '\0')
		fprintf(f, "tls %s\n", tls);
	rc = ferror(f);
	if (fclose(f) != 0 || rc != 0 || rename(temp, path) != 0)
		return error_errno(err, ERROR_IO, "%s: cannot write", path);
	return 0;
}

static void remove_ports(const struct server *s)
{
	char path[PATH_SIZE];

	if (run_path(s->config, "ports", path, NULL) == 0)
		unlink(path);
}

static void join_loops(struct server *s)
{
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_free(s->loops[i]);
	free(s->loops);
	s->loops = NULL;
	s->loop_count = 0;
}

static void stop_loops(struct server *s)
{
	for (unsigned i = 0; i < s->loop_count; i++)
		if (s->loops[i] != NULL) {
			atomic_store(&s->loops[i]->stop, true);
			loop_wake(s->loops[i]);
		}
}

/*
 * The store goes between the loops' threads and their memory: its last commits wake loops, which
 * may still owe answers, but it reads the spool, which closes last.
 */
void server_stop(struct server *s)
{
	remove_ports(s);
	stop_loops(s);
	for (unsigned i = 0; i < s->loop_count; i++)
		loop_join(s->loops[i]);
	crypto_pool_free(s->crypto); /* gives back to loops, whose memory is still there */
	downlink_close(s->downlink); /* the sessions have ended, and with them the orders in hand */
	s->downlink = NULL;
	if (s->store != NULL)
		store_close(s->store, STORE_STOP_MS);
	s->store = NULL;
	identities_close(s->identities); /* the store has asked it for keys */
	spool_close(s->spool);
	join_loops(s);
	tls_free(s->tls);
	vin_table_free(s->vins);
	quota_free(s->quota);
	metrics_close(s->metrics);
}

int server_start(struct server *s, const struct config *config, struct error *err)
{
	char tcp[ADDRESS_SIZE], tls[ADDRESS_SIZE];
	int rc;

	s->config = config;
	if ((rc = open_metrics(s, err)) != 0)
		return rc;
	remove_ports(s); /* of a run that was killed */
	if (config->listen_tls[0] != '\0')
		rc = tls_new(config, metrics_thread(s->metrics, SLOT_MAIN), &s->tls, err);
	if (rc == 0)
		rc = vin_table_new(REMEMBERED_VINS, &s->vins, err);
	if (rc == 0)
		rc = quota_new(REMEMBERED_SOURCES, &s->quota, err);
	if (rc == 0)
		rc = open_spool(s, err);
	if (rc == 0)
		rc = open_loops(s, err);
	if (rc == 0)
		rc = open_identities(s, err);
	if (rc == 0)
		rc = crypto_pool_new((unsigned)config->crypto_workers,
				     metrics_thread(s->metrics, SLOT_CRYPTO), &s->crypto, err);
	if (rc == 0)
		rc = open_store(s, err);
	if (rc == 0)
		rc = open_downlink(s, err);
	if (rc == 0)
		rc = open_listeners(s, tcp, tls, err);
	for (unsigned i = 0; i < s->loop_count && rc == 0; i++)
		rc = loop_run(s->loops[i], err);
	if (rc == 0)
		rc = write_ports(s, tcp, tls, err);
	if (rc != 0) {
		server_stop(s);
		return rc;
	}
	log_line(LOG_NOTICE, "listening tcp=%s tls=%s loops=%u", tcp[0] != '\0' ? tcp : "-",
		 tls[0] != '\0' ? tls : "-", s->loop_count);
	return 0;
}

int server_reload(struct server *s, const struct config *config, struct error *err)
{
	int rc = identities_check(config, err); /* what cannot be taken whole changes nothing */

	if (rc != 0)
		return rc;
	if (s->tls != NULL) {
		rc = tls_reload(s->tls, config, err);
		if (rc != 0)
			return rc;
		reconsider_all(s);
	}
	if ((rc = identities_reload(s->identities, config, err)) != 0)
		return rc;
	for (unsigned i = 0; i < s->loop_count; i++) {
		atomic_store(&s->loops[i]->new_config, config);
		loop_wake(s->loops[i]);
	}
	spool_set_limits(s->spool, size_max(config), reserve(config));
	if (s->store != NULL)
		store_reload(s->store, config);
	return 0;
}

void server_watch(struct server *s)
{
	if (s->tls != NULL && tls_watch(s->tls))
		reconsider_all(s);
}

bool server_alive(const struct server *s, uint64_t limit_ms)
{
	const uint64_t now = (uint64_t)(clock_mono_ns() / 1000000);

	for (unsigned i = 0; i < s->loop_count; i++)
		if (atomic_load(&s->loops[i]->turned_ms) + limit_ms < now)
			return false;
	return true;
}

void server_fail(struct server *s, const char *what)
{
	if (atomic_exchange(&s->spool_failed, true))
		return;
	log_line(LOG_ERROR,
		 "spool failed: %s; nothing is answered any more, the process ends and its restart "
		 "decides by what the disk holds",
		 what);
	s->failed(s);
}

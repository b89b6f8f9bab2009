#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/store/thread.h"

enum { SCHEMA_NEEDED = 4 };

static const char settings[] =
	"SET synchronous_commit = on; SET client_encoding = 'UTF8'; SET client_min_messages = "
	"warning; "
	"SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; "
	"SET lock_timeout = '60s'; SET application_name = 'haulgate-store'; SET bytea_output = hex";

void store_complain(struct store *s, const char *what)
{
	const struct pg *pg = &s->loader.pg;
	const int64_t now = clock_mono_ns();

	if (strcmp(s->complaint, pg->message) == 0 &&
	    now < s->complained_ns + 60 * INT64_C(1000000000))
		return;
	snprintf(s->complaint, sizeof(s->complaint), "%s", pg->message);
	s->complained_ns = now;
	log_line(LOG_WARNING, "store: %s sqlstate=%s error=%s", what, pg->sqlstate, pg->message);
}

static bool flag(const PGresult *r, int column)
{
	return PQgetvalue(r, 0, column)[0] != 0;
}

/* A database that may lose what it committed is no store. */
static int settings_check(struct pg *pg)
{
	PGresult *r = pg_run(pg, SQL_SETTINGS, NULL);
	bool safe;

	if (r == NULL)
		return -1;
	safe = flag(r, 0) && flag(r, 1);
	if (!flag(r, 2))
		log_line(LOG_WARNING,
			 "store: data checksums of the database are off, a rotten page would go "
			 "unnoticed: pg_checksums --enable");
	PQclear(r);
	if (!safe)
		return pg_fail(pg, PG_REFUSED, "",
			       "fsync or full_page_writes is off in the database: set both "
			       "to on in postgresql.conf");
	return 0;
}

static int schema_check(struct pg *pg)
{
	PGresult *r = pg_run(pg, SQL_SCHEMA, NULL);
	int32_t version;

	if (r == NULL)
		return -1;
	version = result_i32(r, 0, 0);
	PQclear(r);
	return version >= SCHEMA_NEEDED
		       ? 0
		       : pg_fail(pg, PG_REFUSED, "", "the schema is too old: run tools/migrate");
}

/* Our own earlier connection may still be there, with an unfinished transaction: it is ended. */
static int lock_take(struct store *s)
{
	struct pg *pg = &s->loader.pg;
	struct params p = { 0 };
	char end[80];
	PGresult *r;
	bool got;

	param_i16(&p, (int16_t)s->loader.gateway_id);
	if ((r = pg_run(pg, SQL_LOCK, &p)) == NULL)
		return -1;
	got = flag(r, 0);
	PQclear(r);
	if (got) {
		s->backend = PQbackendPID(pg->conn);
		return 0;
	}
	if (s->backend != 0) {
		snprintf(end, sizeof(end), "SELECT pg_terminate_backend(%d)", s->backend);
		if (pg_command(pg, end) < 0)
			return -1;
	}
	return pg_fail(pg, PG_LOST, "55P03", "another store with this gateway.id is connected");
}

/* *ret_known: the database has a row for us. */
static int position_read(struct store *s, bool *ret_known, uint64_t *ret_position,
			 uint64_t *ret_snapshot)
{
	struct pg *pg = &s->loader.pg;
	struct params p = { 0 };
	PGresult *r;

	param_i16(&p, (int16_t)s->loader.gateway_id);
	if ((r = pg_run(pg, SQL_POSITION_READ, &p)) == NULL)
		return -1;
	*ret_known = PQntuples(r) == 1;
	*ret_position = *ret_known ? (uint64_t)result_i64(r, 0, 0) : 0;
	*ret_snapshot = *ret_known ? (uint64_t)result_i64(r, 0, 1) : 0;
	PQclear(r);
	return 0;
}

static int readers_open(struct store *s)
{
	const struct store_options *o = &s->options;
	struct error err = { 0 };

	if (s->reader == NULL && spool_reader_open(o->spool_dir, o->archive_dir, s->loader.position,
						   &s->reader, &err) < 0)
		return pg_fail(&s->loader.pg, PG_REFUSED, "", err.text);
	if (s->loader.evidence == NULL &&
	    spool_reader_open(o->spool_dir, o->archive_dir, s->loader.position, &s->loader.evidence,
			      &err) < 0)
		return pg_fail(&s->loader.pg, PG_REFUSED, "", err.text);
	return 0;
}

static int restore(struct store *s, uint64_t snapshot)
{
	struct spool_reader *reader = NULL;
	struct error err = { 0 };
	int rc;

	if (snapshot < s->loader.position &&
	    spool_reader_open(s->options.spool_dir, s->options.archive_dir, snapshot, &reader,
			      &err) < 0)
		log_line(LOG_ERROR,
			 "store: spool behind the snapshot is gone, roll-ups of its days may lag "
			 "snapshot_position=%llu error=%s",
			 (unsigned long long)snapshot, err.text);
	rc = loader_restore(&s->loader, snapshot, reader);
	spool_reader_close(reader);
	return rc;
}

/* First time in this process. */
static int position_adopt(struct store *s, bool known, uint64_t position, uint64_t snapshot)
{
	const uint64_t durable = spool_durable(s->options.spool);

	if (position > durable) {
		s->replaced = true;
		log_line(
			LOG_ERROR,
			"store: the database is ahead of the spool, so this is another spool: give "
			"this gateway a new gateway.id, or bring its old spool back position=%llu "
			"spool=%llu",
			(unsigned long long)position, (unsigned long long)durable);
		return pg_fail(&s->loader.pg, PG_REFUSED, "",
			       "spool and database do not belong together");
	}
	s->loader.position = position;
	s->loader.position_known = known;
	if (known && restore(s, snapshot) < 0) {
		days_release(&s->loader.days); /* half of them would be wrong */
		days_init(&s->loader.days, (size_t)s->options.config->assess_vehicles);
		return -1;
	}
	s->restored = true;
	return 0;
}

/* After a reconnect: what became of the transaction that was under way. */
static int position_compare(struct store *s, bool known, uint64_t position)
{
	struct loader *l = &s->loader;

	if (s->unknown) {
		const uint64_t next = s->unknown_to > s->unknown_from
					      ? l->batch.items[s->unknown_to - 1].next
					      : l->position;

		s->unknown = false;
		if (known && position == next && position != l->position) {
			loader_committed(l, s->unknown_from, s->unknown_to, s->unknown_checkpoint);
			s->done = s->unknown_to;
			store_committed(s);
			return 0;
		}
		loader_failed(l); /* also a checkpoint alone: writing it again does no harm */
	}
	if (known == l->position_known && position == l->position)
		return 0;
	s->replaced = true;
	log_line(LOG_ERROR,
		 "store: somebody else moved the position of this gateway.id expected=%llu "
		 "found=%llu",
		 (unsigned long long)l->position, (unsigned long long)position);
	return pg_fail(&l->pg, PG_REFUSED, "", "ingest_position was moved by somebody else");
}

static int context_read(struct store *s)
{
	struct loader *l = &s->loader;
	const uint64_t before = l->context.hash;

	if (registry_refresh(l->registry, &l->pg, true) < 0 ||
	    context_load(&l->context, &l->pg) < 0)
		return -1;
	if (before != 0 && before != l->context.hash && !s->unknown)
		days_drop_all(&l->days);
	return 0;
}

static int attach(struct store *s)
{
	struct pg *pg = &s->loader.pg;
	uint64_t position, snapshot;
	bool known;

	if (pg_connect(pg, s->conninfo) < 0 || pg_command(pg, settings) < 0 ||
	    settings_check(pg) < 0 || schema_check(pg) < 0 || lock_take(s) < 0 ||
	    pg_command(pg, sql_make_stage) < 0)
		return -1;
	if (context_read(s) < 0 || position_read(s, &known, &position, &snapshot) < 0)
		return -1;
	if (s->restored ? position_compare(s, known, position) < 0
			: position_adopt(s, known, position, snapshot) < 0)
		return -1;
	return readers_open(s);
}

int store_attach(struct store *s)
{
	if (attach(s) < 0)
		return -1;
	s->attached = true;
	if (s->options.metrics != NULL)
		metrics_set(s->options.metrics, METRIC_store_connected, 1);
	log_line(LOG_NOTICE, "store: connected position=%llu",
		 (unsigned long long)s->loader.position);
	return store_days_ahead(s);
}

void store_detach(struct store *s)
{
	pg_disconnect(&s->loader.pg);
	s->attached = false;
	if (s->options.metrics != NULL)
		metrics_set(s->options.metrics, METRIC_store_connected, 0);
}

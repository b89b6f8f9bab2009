#include "tools/cli/fleetsim/verify.h"

#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "gateway/base/clock.h"
#include "proto/record/pack.h"

enum { POLL_US = 1000000, WAITS_MAX = 5, MARGIN_S = 3600, FAR_S = 300 * 86400, FAULTS_SHOWN = 10 };

struct check {
	const struct fleet *fleet;
	const struct endpoints *endpoints;
	PGconn *db;
	char *vins;	     /* array literal of all VINs */
	int64_t patience_us; /* without a new sample in the store */
	struct unpacked *unpacked;
	struct sample *sent, *stored;
	size_t sent_room, stored_room;
	struct comparison comparison;
	struct {
		unsigned trucks, needed, found, missed, wrong;
	} kinds[KIND_COUNT];
	unsigned shown;
};

/* ---- the database, which may be away for a while ---- */

static bool connected(struct check *c)
{
	const struct endpoints *e = c->endpoints;
	const char *const keys[] = {
		"host", "port", "dbname", "user", "connect_timeout", "application_name", NULL
	};
	const char *values[] = { e->pg_host,	      e->pg_port, e->pg_database, e->pg_user, "5",
				 "haulgate-fleetsim", NULL };

	if (c->db != NULL && PQstatus(c->db) == CONNECTION_OK)
		return true;
	PQfinish(c->db);
	/* What endpoints.env does not say comes from the environment, as with every libpq program.
	 */
	for (unsigned i = 0; keys[i] != NULL; i++)
		values[i] = values[i][0] != '\0' ? values[i] : NULL;
	c->db = PQconnectdbParams(keys, values, 0);
	return PQstatus(c->db) == CONNECTION_OK;
}

/* NULL: failed, *err says why.  All parameters are text; binary results. */
static PGresult *ask(struct check *c, const char *sql, int n, const char *const *values,
		     struct error *err)
{
	if (!connected(c)) {
		error_set(err, ERROR_DATABASE, "%s", PQerrorMessage(c->db));
		return NULL;
	}
	PGresult *r = PQexecParams(c->db, sql, n, NULL, values, NULL, NULL, 1);
	if (PQresultStatus(r) == PGRES_TUPLES_OK)
		return r;
	error_set(err, ERROR_DATABASE, "%s", PQerrorMessage(c->db));
	PQclear(r);
	return NULL;
}

static int64_t get_int64(const PGresult *r, int row, int column)
{
	uint64_t raw;

	assert(PQgetlength(r, row, column) == 8);
	memcpy(&raw, PQgetvalue(r, row, column), sizeof(raw));
	return (int64_t)be64toh(raw);
}

static int list_vins(struct check *c, struct error *err)
{
	const unsigned n = c->fleet->settings->plan.trucks;
	char *p = c->vins = malloc((size_t)n * (VIN_SIZE + 1) + 2);

	if (p == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for %u VINs", n);
	*p++ = '{';
	for (unsigned i = 0; i < n; i++, p += VIN_SIZE + 1)
		snprintf(p, VIN_SIZE + 2, "%s,", c->fleet->terminals[i].plan.vin);
	/* In the place of the last comma; there is at least one truck. */
	p[-1] = '}';
	return 0;
}

/* ---- waiting ---- */

static int wait_for_store(struct check *c, struct error *err)
{
	static const char sql[] =
		"SELECT coalesce(sum(t.sample_count), 0)::bigint FROM vehicle v"
		" JOIN track t ON t.vehicle_id = v.id WHERE v.vin = ANY ($1::text[])"
		" AND t.at >= to_timestamp($2::float8) AND t.at <= to_timestamp($3::float8)";
	const struct fleet *f = c->fleet;
	uint64_t wanted = 0, seen = 0, most = 0;
	const int64_t started_us = clock_mono_ns() / 1000;
	int64_t last = 0, moved_us = started_us;
	char from[32], to[32];

	for (unsigned i = 0; i < f->settings->plan.trucks; i++) {
		wanted += f->terminals[i].seconds;
		last = f->terminals[i].last > last ? f->terminals[i].last : last;
	}
	snprintf(from, sizeof(from), "%" PRId64, f->settings->plan.start);
	snprintf(to, sizeof(to), "%" PRId64, last);
	const char *values[] = { c->vins, from, to };
	for (;;) {
		PGresult *r = ask(c, sql, 3, values, err);
		if (r != NULL)
			seen = (uint64_t)get_int64(r, 0, 0);
		const bool known = r != NULL;
		PQclear(r);
		/* More than wanted: seconds stored twice, or an earlier run; the comparison tells.
		 */
		if (known && seen >= wanted)
			return 0;
		const int64_t now_us = clock_mono_ns() / 1000;
		moved_us = known && seen > most ? now_us : moved_us;
		most = seen > most ? seen : most;
		if (now_us - moved_us > c->patience_us ||
		    now_us - started_us > WAITS_MAX * c->patience_us)
			return known ? 0 : ERROR_DATABASE;
		usleep(POLL_US);
	}
}

/* ---- samples ---- */

static struct sample *another(struct sample **list, size_t *n, size_t *room)
{
	if (*n == *room) {
		*room = *room == 0 ? 32768 : *room * 2;
		*list = realloc(*list, *room * sizeof(**list));
		assert(*list != NULL);
	}
	return &(*list)[(*n)++];
}

/* Makes again what the terminal sent: as many moments as it had made. */
static size_t make_sent(struct check *c, const struct terminal *t, uint64_t *ret_hash)
{
	struct source source;
	struct moment m;
	size_t n = 0;

	*ret_hash = SAMPLES_HASH_START;
	source_init(&source, &c->fleet->settings->plan, &t->plan);
	for (uint64_t i = 0; i < t->moments; i++) {
		const bool more = source_next(&source, &m);
		assert(more);
		for (unsigned k = 0; k < m.count; k++) {
			*another(&c->sent, &n, &c->sent_room) = m.samples[k];
			*ret_hash = samples_hash(*ret_hash, &m.samples[k]);
		}
	}
	sort_samples(c->sent, n);
	return n;
}

static void add_row(struct check *c, const struct terminal *t, const PGresult *r, int row,
		    size_t *n)
{
	const int64_t at = get_int64(r, row, 0);
	const uint8_t *packed = (const uint8_t *)PQgetvalue(r, row, 1);

	if (blocks_unpack(packed, (size_t)PQgetlength(r, row, 1), at, c->unpacked) != 0) {
		snprintf(c->comparison.first_fault, sizeof(c->comparison.first_fault),
			 "%s, row of unix %" PRId64 ": its samples cannot be unpacked", t->plan.vin,
			 at);
		c->comparison.differing++;
		return;
	}
	for (size_t i = 0; i < c->unpacked->block_count; i++) {
		const struct block *b = &c->unpacked->blocks[i];
		/* An earlier and longer run of the same fleet goes on behind our end. */
		if (b->at > t->last && b->at < t->last + FAR_S)
			continue;
		struct sample *s = another(&c->stored, n, &c->stored_room);
		s->at = b->at;
		s->type = b->type;
		s->size = (uint8_t)(b->size > SAMPLE_SIZE_MAX ? SAMPLE_SIZE_MAX : b->size);
		memcpy(s->body, b->body, s->size);
	}
}

static int compare_truck(struct check *c, const struct terminal *t, struct error *err)
{
	static const char sql[] = "SELECT extract(epoch FROM t.at)::bigint, t.samples FROM vehicle "
				  "v JOIN track t ON t.vehicle_id = v.id"
				  " WHERE v.vin = $1 AND (t.at BETWEEN to_timestamp($2::float8) "
				  "AND to_timestamp($3::float8)"
				  " OR $4::boolean AND (t.at < '2001-01-01' OR t.at > "
				  "to_timestamp($3::float8) + interval '300 days'))";
	char from[32], to[32];
	uint64_t hash;
	size_t stored = 0;

	snprintf(from, sizeof(from), "%" PRId64, t->plan.start - MARGIN_S);
	snprintf(to, sizeof(to), "%" PRId64, t->last);
	const char *values[] = { t->plan.vin, from, to, t->plan.clock_faults ? "t" : "f" };
	PGresult *r = ask(c, sql, 4, values, err);
	if (r == NULL)
		return ERROR_DATABASE;
	for (int row = 0; row < PQntuples(r); row++)
		add_row(c, t, r, row, &stored);
	PQclear(r);
	const size_t sent = make_sent(c, t, &hash);
	if (hash != t->hash)
		return error_set(err, ERROR_CORRUPT,
				 "%s: the simulator made other samples the second time",
				 t->plan.vin);
	sort_samples(c->stored, stored);
	compare_samples(t->plan.vin, c->sent, sent, c->stored, stored, &c->comparison);
	return 0;
}

/* ---- findings ---- */

static void judge_truck(struct check *c, const struct terminal *t, unsigned rules_found,
			unsigned rules_wrong, const char *rules)
{
	const enum kind kind = t->plan.kind;
	const bool judged = t->plan.dialect->layout != LAYOUT_EV; /* no rule reads its types */
	const bool needed =
		judged && kind != KIND_clean && t->last - t->first >= verify_needed_s(kind);
	const bool missed = needed && rules_found == 0, wrong = rules_wrong > 0;

	c->kinds[kind].trucks++;
	c->kinds[kind].needed += needed;
	c->kinds[kind].found += rules_found > 0;
	c->kinds[kind].missed += missed;
	c->kinds[kind].wrong += wrong;
	if ((missed || wrong) && c->shown++ < FAULTS_SHOWN)
		printf("  %s is %s, but the findings are: %s\n", t->plan.vin, kind_name(kind),
		       rules[0] != '\0' ? rules : "none");
}

static int compare_findings(struct check *c, struct error *err)
{
	/* A day that began before the drive, or ends after it, is one of the drive's days. */
	static const char sql[] =
		"SELECT coalesce(string_agg(DISTINCT f.rule_id, ' '), '')::text FROM vehicle v"
		" LEFT JOIN finding f ON f.vehicle_id = v.id AND f.state <> 'superseded' AND "
		"f.severity >= 2"
		" AND f.to_at >= to_timestamp($2::float8) AND f.from_at <= to_timestamp($3::float8)"
		" WHERE v.vin = $1";
	const struct fleet *f = c->fleet;

	for (unsigned i = 0; i < f->settings->plan.trucks; i++) {
		const struct terminal *t = &f->terminals[i];
		char from[32], to[32], rules[256] = "";
		snprintf(from, sizeof(from), "%" PRId64, t->first);
		snprintf(to, sizeof(to), "%" PRId64, t->last);
		const char *values[] = { t->plan.vin, from, to };
		PGresult *r = ask(c, sql, 3, values, err);
		if (r == NULL)
			return ERROR_DATABASE;
		if (PQntuples(r) == 1)
			snprintf(rules, sizeof(rules), "%.*s", PQgetlength(r, 0, 0),
				 PQgetvalue(r, 0, 0));
		PQclear(r);
		unsigned found = 0, wrong = 0;
		char list[256], *save = NULL;
		snprintf(list, sizeof(list), "%s", rules);
		for (char *rule = strtok_r(list, " ", &save); rule != NULL;
		     rule = strtok_r(NULL, " ", &save)) {
			if (strcmp(rule, kind_name(t->plan.kind)) == 0)
				found++;
			else
				wrong++;
		}
		judge_truck(c, t, found, wrong, rules);
	}
	return 0;
}

/* ---- the whole ---- */

static bool print_result(const struct check *c)
{
	const struct comparison *s = &c->comparison;
	bool good = s->missing + s->differing + s->twice + s->unexpected == 0;

	printf("store: %" PRIu64 " samples sent, %" PRIu64 " stored; %" PRIu64 " missing, %" PRIu64
	       " differing, %" PRIu64 " twice, %" PRIu64 " unexpected\n",
	       s->sent, s->stored, s->missing, s->differing, s->twice, s->unexpected);
	if (!good)
		printf("  first: %s\n", s->first_fault);
	printf("findings:\n  %-15s %7s %7s %7s %7s %7s\n", "kind", "trucks", "due", "found",
	       "missed", "others");
	for (unsigned k = 0; k < KIND_COUNT; k++) {
		if (c->kinds[k].trucks == 0)
			continue;
		printf("  %-15s %7u %7u %7u %7u %7u\n", kind_name((enum kind)k), c->kinds[k].trucks,
		       c->kinds[k].needed, c->kinds[k].found, c->kinds[k].missed,
		       c->kinds[k].wrong);
		good = good && c->kinds[k].missed == 0 && c->kinds[k].wrong == 0;
	}
	return good;
}

int verify_fleet(const struct fleet *f, const struct endpoints *e, unsigned wait_s,
		 struct error *err)
{
	struct check c = { .fleet = f, .endpoints = e };
	int rc;

	c.patience_us = (int64_t)wait_s * 1000000;
	c.unpacked = malloc(sizeof(*c.unpacked));
	rc = c.unpacked == NULL ? error_set(err, ERROR_MEMORY, "no memory") : list_vins(&c, err);
	if (rc == 0)
		rc = wait_for_store(&c, err);
	for (unsigned i = 0; i < f->settings->plan.trucks && rc == 0; i++)
		rc = compare_truck(&c, &f->terminals[i], err);
	if (rc == 0)
		rc = compare_findings(&c, err);
	if (rc == 0 && !print_result(&c))
		rc = error_set(err, ERROR_CORRUPT,
			       "the store does not hold what was sent, or the findings are not "
			       "those of the violators");
	PQfinish(c.db);
	free(c.vins);
	free(c.unpacked);
	free(c.sent);
	free(c.stored);
	return rc;
}

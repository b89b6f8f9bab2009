/*
 * checkpoint.c - what the days in memory amount to, into vehicle_day, passage and assess_snapshot.
 *
 * Several gateways may get data of one vehicle.  A vehicle_day row names the gateway that wrote it
 * last; when that is another one, our state lacks what it stored: the day is folded again from the
 * table, which has everything.  Each gateway checks this when it writes, so the last one to write
 * has seen all.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/store/loader.h"

enum { DAYS_AT_ONCE = 1000, SNAPSHOTS_AT_ONCE = 500 };

/* In the order of the key, so that two gateways never wait for each other in a circle. */
static int key_order(const void *a, const void *b)
{
	const struct day *const *x = a, *const *y = b;

	if ((*x)->vehicle_id != (*y)->vehicle_id)
		return (*x)->vehicle_id < (*y)->vehicle_id ? -1 : 1;
	return ((*x)->number > (*y)->number) - ((*x)->number < (*y)->number);
}

static int foreign_find(struct loader *l)
{
	struct days *d = &l->days;

	for (size_t i = 0; i < d->dirty_count;) {
		struct params p = { 0 };
		PGresult *r;

		rows_start(&l->rows, "iD");
		for (; i < d->dirty_count && l->rows.count < DAYS_AT_ONCE; i++) {
			d->dirty[i]->foreign = false;
			rows_int(&l->rows, d->dirty[i]->vehicle_id);
			rows_day(&l->rows, d->dirty[i]->number);
		}
		rows_params(&l->rows, &p);
		param_i16(&p, (int16_t)l->gateway_id);
		if ((r = pg_run(&l->pg, SQL_DAY_FOREIGN, &p)) == NULL)
			return -1;
		for (int row = 0; row < PQntuples(r); row++)
			days_find(d, result_i64(r, row, 0), result_i32(r, row, 1) + PG_EPOCH_DAY)
				->foreign = true;
		PQclear(r);
	}
	return 0;
}

int loader_checkpoint_prepare(struct loader *l)
{
	struct days *d = &l->days;
	struct day **list;
	size_t n = 0;

	if (d->dirty_count > 1)
		qsort(d->dirty, d->dirty_count, sizeof(*d->dirty), key_order);
	if (foreign_find(l) < 0)
		return -1;
	list = loader_list(l, d->dirty_count);
	for (size_t i = 0; i < d->dirty_count; i++) {
		struct day *day = d->dirty[i];

		if (day_current(day, &l->context) && !day->foreign)
			continue;
		days_touch(d, day, l->serial);
		day->segments = NULL; /* this batch's rows are in the table by now */
		day->late = day->corrected;
		list[n++] = day;
	}
	return loader_load(l, n);
}

/* A day that a refused frame alone has touched holds nothing, and gets no row. */
static bool is_empty(const struct day *day)
{
	return day->record.last_at == INT64_MIN;
}

static void id_column(struct rows *rows, int32_t id)
{
	if (id != 0)
		rows_int(rows, id);
	else
		rows_null(rows);
}

static void key_columns(struct rows *rows, const struct day *day)
{
	rows_int(rows, day->vehicle_id);
	rows_day(rows, day->number);
}

static void day_row(struct rows *rows, const struct day *day, const struct day_totals *t)
{
	key_columns(rows, day);
	rows_int(rows, 1 + day->corrected); /* SQL_DAY_UPSERT adds what is above 1 */
	id_column(rows, t->division);
	rows_int(rows, t->samples);
	rows_int(rows, t->engine_on_s);
	rows_int(rows, t->nox_valid_s);
	rows_int(rows, t->position_valid_s);
	rows_int(rows, t->gap_s);
	rows_double(rows, t->km);
	rows_double(rows, t->fuel_kg);
	rows_double(rows, t->nox_g);
	rows_double(rows, t->work_kwh);
}

static void passage_row(struct rows *rows, const struct day *day, const struct passage *g)
{
	key_columns(rows, day);
	rows_int(rows, g->route);
	rows_time(rows, g->from);
	rows_time(rows, g->to);
	rows_int(rows, g->open);
	id_column(rows, g->division);
	rows_double(rows, g->km);
	rows_double(rows, g->nox_g);
	rows_double(rows, g->fuel_kg);
	rows_int(rows, g->samples);
}

static uint64_t passages_digest(const struct assess_result *result)
{
	uint64_t h = HASH_START;

	for (size_t i = 0; i < result->passage_count; i++) {
		const struct passage *g = &result->passages[i];
		const int64_t whole[] = {
			g->route, g->division, g->from, g->to, g->samples, g->open
		};
		const double sums[] = { g->km, g->nox_g, g->fuel_kg };

		h = hash_bytes(hash_bytes(h, whole, sizeof(whole)), sums, sizeof(sums));
	}
	return h;
}

/* l->superseded: days whose passages are replaced; l->inserted: their passages. */
static void passages_take(struct loader *l, struct day *day, const struct assess_result *result)
{
	const uint64_t digest = passages_digest(result);

	if (day->record.passages == digest)
		return;
	day->record.passages = digest;
	key_columns(&l->superseded, day);
	for (size_t i = 0; i < result->passage_count; i++)
		passage_row(&l->inserted, day, &result->passages[i]);
}

static int rows_run(struct loader *l, enum sql sql, struct rows *rows)
{
	struct params p = { 0 };

	if (rows->count == 0)
		return 0;
	rows_params(rows, &p);
	return pg_rows(&l->pg, sql, &p) < 0 ? -1 : 0;
}

static int totals_run(struct loader *l, enum sql sql, struct rows *rows)
{
	struct params p = { 0 };
	long hit;

	if (rows->count == 0)
		return 0;
	rows_params(rows, &p);
	param_i16(&p, (int16_t)l->gateway_id);
	if ((hit = pg_rows(&l->pg, sql, &p)) < 0)
		return -1;
	if (hit != rows->count)
		return pg_fail(&l->pg, PG_AGAIN, "40001",
			       "another gateway assessed the same vehicle-day");
	return 0;
}

/* l->rows: days that are ours; l->updated: those that another gateway wrote last. */
static int days_write(struct loader *l)
{
	static const char columns[] = "iDdddddddffff";
	struct days *d = &l->days;

	for (size_t i = 0; i < d->dirty_count;) {
		const size_t end =
			d->dirty_count - i > DAYS_AT_ONCE ? i + DAYS_AT_ONCE : d->dirty_count;

		rows_start(&l->rows, columns);
		rows_start(&l->updated, columns);
		rows_start(&l->superseded, "iD");
		rows_start(&l->inserted, "iDdTTbdfffd");
		for (; i < end; i++) {
			struct day *day = d->dirty[i];
			struct assess_result result;

			if (is_empty(day))
				continue;
			assess_day_result(day_state(day), &l->context.rules, &result);
			day_row(day->foreign ? &l->updated : &l->rows, day, &result.totals);
			passages_take(l, day, &result);
		}
		if (totals_run(l, SQL_DAY_UPSERT, &l->rows) < 0 ||
		    totals_run(l, SQL_DAY_ADOPT, &l->updated) < 0 ||
		    rows_run(l, SQL_PASSAGE_DELETE, &l->superseded) < 0 ||
		    rows_run(l, SQL_PASSAGE_INSERT, &l->inserted) < 0)
			return -1;
	}
	return 0;
}

static int snapshots_write(struct loader *l)
{
	struct days *d = &l->days;
	uint8_t *bytes = arena_alloc(&l->scratch, day_snapshot_size());
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->dirty_count;) {
		struct params p = { 0 };

		rows_start(&l->rows, "iDy");
		for (; i < d->dirty_count && l->rows.count < SNAPSHOTS_AT_ONCE; i++) {
			if (is_empty(d->dirty[i]))
				continue;
			key_columns(&l->rows, d->dirty[i]);
			day_snapshot(d->dirty[i], bytes);
			rows_bytes(&l->rows, bytes, day_snapshot_size());
		}
		if (l->rows.count == 0)
			continue;
		param_i16(&p, (int16_t)l->gateway_id);
		param_i32(&p, ASSESS_STATE_VERSION);
		rows_params(&l->rows, &p);
		rc = pg_rows(&l->pg, SQL_SNAPSHOT_UPSERT, &p) < 0 ? -1 : 0;
	}
	arena_clear(&l->scratch);
	return rc;
}

static int snapshots_delete(struct loader *l)
{
	struct days *d = &l->days;
	struct params p = { 0 };

	if (d->forgotten_count == 0)
		return 0;
	rows_start(&l->rows, "iD");
	for (size_t i = 0; i < d->forgotten_count; i++) {
		rows_int(&l->rows, d->forgotten[i].vehicle_id);
		rows_day(&l->rows, d->forgotten[i].number);
	}
	param_i16(&p, (int16_t)l->gateway_id);
	rows_params(&l->rows, &p);
	return pg_rows(&l->pg, SQL_SNAPSHOT_DELETE, &p) < 0 ? -1 : 0;
}

int loader_checkpoint(struct loader *l)
{
	/* First what is forgotten: such a day may have come back since. */
	if (snapshots_delete(l) < 0 || days_write(l) < 0 || snapshots_write(l) < 0)
		return -1;
	return registry_write(l->registry, &l->pg);
}

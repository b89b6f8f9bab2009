#include "gateway/store/loader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "proto/record/pack.h"

void loader_init(struct loader *l, unsigned gateway_id, size_t vehicles)
{
	*l = (struct loader){ .gateway_id = gateway_id };
	l->registry = registry_new();
	l->unpacked = memory_alloc(sizeof(*l->unpacked));
	days_init(&l->days, vehicles);
}

void loader_release(struct loader *l)
{
	pg_disconnect(&l->pg);
	days_release(&l->days);
	batch_release(&l->batch);
	context_release(&l->context);
	registry_free(l->registry);
	buffer_release(&l->tuples);
	rows_release(&l->rows);
	rows_release(&l->superseded);
	rows_release(&l->updated);
	rows_release(&l->inserted);
	arena_release(&l->scratch);
	free(l->entries);
	free(l->unpacked);
	free(l->list);
}

void loader_count(struct loader *l, enum metric metric, int64_t n)
{
	if (l->metrics != NULL && n != 0)
		metrics_add(l->metrics, metric, n);
}

/* ---- vehicles ---- */

static void vehicles_find(struct loader *l, struct rows *missing)
{
	rows_start(missing, "t");
	for (size_t i = 0; i < l->batch.count; i++) {
		struct item *item = &l->batch.items[i];

		if (item->kind != ITEM_REPORT && item->kind != ITEM_EVENT)
			continue;
		item->vehicle = registry_find(l->registry, item->vin);
		if (item->vehicle == NULL)
			rows_text(missing, item->vin);
	}
}

/* A VIN that the database refuses: its records, and only those, go to quarantine. */
static int vehicles_add_singly(struct loader *l)
{
	for (size_t i = 0; i < l->batch.count; i++) {
		struct item *item = &l->batch.items[i];

		if (item->kind != ITEM_REPORT && item->kind != ITEM_EVENT)
			continue;
		item->vehicle = registry_find(l->registry, item->vin);
		if (item->vehicle != NULL)
			continue;
		rows_start(&l->rows, "t");
		rows_text(&l->rows, item->vin);
		if (registry_add(l->registry, &l->pg, &l->rows) < 0) {
			if (l->pg.failure != PG_DATA)
				return -1;
			item_poison(&l->batch, item, l->pg.sqlstate, l->pg.message);
		}
		item->vehicle = registry_find(l->registry, item->vin);
	}
	return 0;
}

int loader_vehicles(struct loader *l)
{
	vehicles_find(l, &l->rows);
	if (l->rows.count == 0)
		return 0;
	if (registry_add(l->registry, &l->pg, &l->rows) < 0 &&
	    (l->pg.failure != PG_DATA || vehicles_add_singly(l) < 0))
		return -1;
	vehicles_find(l, &l->rows);
	if (l->rows.count > 0)
		return pg_fail(&l->pg, PG_AGAIN, "40001",
			       "a vehicle was deleted while it was made");
	return 0;
}

/* ---- the transaction ---- */

/* The fence: the position moves from where we think it is, or nothing happens at all. */
static int position_move(struct loader *l, uint64_t position, bool checkpoint)
{
	struct params p = { 0 };
	long hit;

	param_i16(&p, (int16_t)l->gateway_id);
	param_i64(&p, (int64_t)position);
	if (!l->position_known) {
		/* Without a checkpoint a restart has to fold everything that we have stored so far.
		 */
		param_i64(&p, (int64_t)(checkpoint ? position : l->position));
		hit = pg_rows(&l->pg, SQL_POSITION_INSERT, &p);
	} else {
		if (checkpoint)
			param_i64(&p, (int64_t)position);
		else
			param_text(&p, NULL);
		param_i64(&p, (int64_t)l->position);
		hit = pg_rows(&l->pg, SQL_POSITION_MOVE, &p);
	}
	if (hit < 0)
		return -1;
	if (hit != 1)
		return pg_fail(&l->pg, PG_REFUSED, "",
			       "ingest_position was moved by somebody else");
	return 0;
}

static uint64_t position_after(const struct loader *l, size_t from, size_t to)
{
	return from < to ? l->batch.items[to - 1].next : l->position;
}

static int write_all(struct loader *l, size_t from, size_t to, bool checkpoint)
{
	if (loader_place(l, from, to) < 0 || loader_track(l, from, to) < 0 ||
	    loader_obd(l, from, to) < 0 || loader_activations(l, from, to) < 0 ||
	    loader_events(l, from, to) < 0 || loader_replays(l, from, to) < 0 ||
	    loader_platform_days(l, from, to) < 0 || loader_platform_serials(l, from, to) < 0 ||
	    loader_quarantine(l, from, to) < 0)
		return -1;
	loader_terminals(l, from, to);
	if (checkpoint && loader_checkpoint_prepare(l) < 0)
		return -1;
	if (loader_findings(l) < 0 || (checkpoint && loader_checkpoint(l) < 0))
		return -1;
	return position_move(l, position_after(l, from, to), checkpoint);
}

int loader_run(struct loader *l, size_t from, size_t to, bool checkpoint, bool *ret_unknown)
{
	assert(from <= to && to <= l->batch.count && l->days.touched_count == 0);
	*ret_unknown = false;
	l->serial++;
	l->tally = (struct tally){ 0 };
	if (pg_command(&l->pg, "BEGIN") < 0 || write_all(l, from, to, checkpoint) < 0)
		return -1;
	if (pg_command(&l->pg, "COMMIT") < 0) {
		*ret_unknown = l->pg.failure == PG_LOST;
		return -1;
	}
	return 0;
}

void loader_committed(struct loader *l, size_t from, size_t to, bool checkpoint)
{
	const struct tally *t = &l->tally;

	l->position = position_after(l, from, to);
	l->position_known = true;
	l->days.touched_count = 0;
	if (checkpoint) {
		l->days.forgotten_count = 0;
		days_checkpointed(&l->days);
		registry_written(l->registry);
	}
	loader_count(l, METRIC_store_batches_total, 1);
	loader_count(l, METRIC_store_frames_total, (int64_t)t->frames);
	loader_count(l, METRIC_store_samples_total, (int64_t)t->samples);
	loader_count(l, METRIC_store_duplicate_samples_total, (int64_t)t->duplicates);
	loader_count(l, METRIC_replays_total, (int64_t)t->replays);
	loader_count(l, METRIC_store_quarantined_total, (int64_t)t->quarantined);
	loader_count(l, METRIC_assess_days_reassessed_total, (int64_t)t->reassessed);
	loader_count(l, METRIC_assess_findings_total, (int64_t)t->findings);
}

void loader_failed(struct loader *l)
{
	days_drop_touched(&l->days);
	for (size_t i = 0; i < l->days.dirty_count; i++)
		l->days.dirty[i]->record.passages = 0; /* may not have been written after all */
	pg_rollback(&l->pg);
}

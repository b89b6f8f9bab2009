/*
 * restore.c - a restart: the states of the last checkpoint, and the fold of what was stored since.
 *
 * The records behind the snapshot are folded again but not stored again.  A day that they do not
 * simply continue (late data, a day that began after the checkpoint) is left for the next
 * checkpoint to fold from the table.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/loader.h"

enum { REPLAY_ITEMS = 2048 };

/* Columns: vehicle_id, day, version, state. */
static void snapshot_take(struct loader *l, const PGresult *r, size_t *used)
{
	struct vehicle *v = registry_by_id(l->registry, result_i64(r, 0, 0));
	struct day *day;
	size_t size;
	const uint8_t *bytes = result_bytes(r, 0, 3, &size);

	if (v == NULL)
		return;
	day = days_get(&l->days, v, result_i32(r, 0, 1) + PG_EPOCH_DAY);
	if (result_i32(r, 0, 2) == ASSESS_STATE_VERSION &&
	    day_restore(day, &l->context, bytes, size))
		++*used;
	else
		days_forget(&l->days, day);
}

static int snapshots_load(struct loader *l, size_t *used)
{
	struct params p = { 0 };
	PGresult *r;

	param_i16(&p, (int16_t)l->gateway_id);
	if (pg_stream(&l->pg, SQL_SNAPSHOTS, &p) < 0)
		return -1;
	while ((r = pg_next(&l->pg)) != NULL) {
		snapshot_take(l, r, used);
		PQclear(r);
	}
	return l->pg.failure == PG_FINE ? 0 : -1;
}

/* Positions of records that the database refused: they are in the spool and not in the table. */
static PGresult *poisoned_load(struct loader *l, uint64_t from)
{
	struct params p = { 0 };

	param_i16(&p, (int16_t)l->gateway_id);
	param_i64(&p, (int64_t)from);
	param_i64(&p, (int64_t)l->position);
	return pg_run(&l->pg, SQL_QUARANTINED, &p);
}

static bool is_poisoned(const PGresult *poisoned, uint64_t position)
{
	for (int i = 0; i < PQntuples(poisoned); i++)
		if ((uint64_t)result_i64(poisoned, i, 0) == position)
			return true;
	return false;
}

static void replay_batch(struct loader *l, const PGresult *poisoned)
{
	struct batch *b = &l->batch;

	for (size_t i = 0; i < b->count; i++) {
		struct item *item = &b->items[i];

		if (item->kind == ITEM_REPORT || item->kind == ITEM_EVENT)
			item->vehicle = registry_find(l->registry, item->vin);
		if (item->vehicle == NULL || is_poisoned(poisoned, item->position))
			item->kind = ITEM_NOTHING;
	}
	l->serial++;
	loader_replay(l, 0, b->count);
	loader_terminals(l, 0, b->count);
	batch_clear(b);
}

static void replay(struct loader *l, struct spool_reader *reader, const PGresult *poisoned)
{
	struct spool_record record;
	struct error err = { 0 };
	int rc;

	while ((rc = spool_reader_next(reader, l->position, &record, &err)) != 0) {
		if (rc < 0 && err.code != ERROR_CORRUPT) {
			log_line(LOG_ERROR, "spool cannot be read behind the snapshot error=%s",
				 err.text);
			break;
		}
		if (rc < 0)
			continue; /* logged when it was stored */
		batch_add(&l->batch, &record);
		if (batch_full(&l->batch, REPLAY_ITEMS))
			replay_batch(l, poisoned);
	}
	replay_batch(l, poisoned);
}

/* The findings of days that were folded on may be newer in the database than in the snapshot. */
static int findings_refresh(struct loader *l)
{
	struct day **list = loader_list(l, l->days.dirty_count);
	size_t n = 0;

	for (size_t i = 0; i < l->days.dirty_count; i++) {
		struct day *day = l->days.dirty[i];

		if (!day->resident)
			continue;
		memset(day->record.findings, 0, sizeof(day->record.findings));
		list[n++] = day;
	}
	return loader_load_findings(l, n);
}

int loader_restore(struct loader *l, uint64_t snapshot_position, struct spool_reader *reader)
{
	size_t used = 0;
	PGresult *poisoned;

	if (snapshots_load(l, &used) < 0)
		return -1;
	if (reader != NULL) {
		if ((poisoned = poisoned_load(l, snapshot_position)) == NULL)
			return -1;
		replay(l, reader, poisoned);
		PQclear(poisoned);
	}
	if (findings_refresh(l) < 0)
		return -1;
	log_line(LOG_INFO, "assessment restored vehicle_days=%zu changed_since=%zu", used,
		 l->days.dirty_count);
	return 0;
}

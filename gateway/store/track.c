/*
 * track.c - the rows of table track: one for each frame that has something new to tell.
 *
 * Straight into the table by COPY.  When that met a duplicate key, the run is repeated through a
 * staging table (loader.h: staged).  Rows of faulty clocks always go that way: their key says
 * little, and a resend of one must not stop the batch.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/store/loader.h"
#include "proto/record/pack.h"

enum { TRACK_COLUMNS = 19, COPY_CHUNK = 128 * 1024, CLOCK_PARTS = 32767 };

/* Sums over the samples of a row. */
struct measured {
	double lon, lat;
	double speed, nox, dp, nox_mg, reagent;
	unsigned speeds, noxes, dps, masses;
};

struct row {
	const struct item *item;
	const struct block *blocks;
	size_t count;
	unsigned seconds;
	int part;
};

static void stream_add(struct measured *m, const uint8_t *body)
{
	const struct field *f = info_stream.fields;
	double value, nox, air, fuel;
	const bool has_nox = field_value(&f[STREAM_nox_downstream_ppm], body, &nox);

	if (field_value(&f[STREAM_speed_kmh], body, &value)) {
		m->speed += value;
		m->speeds++;
	}
	if (field_value(&f[STREAM_dpf_dp_kpa], body, &value)) {
		m->dp += value;
		m->dps++;
	}
	if (field_value(&f[STREAM_reagent_pct], body, &value))
		m->reagent = value;
	if (has_nox) {
		m->nox += nox;
		m->noxes++;
	}
	if (has_nox && field_value(&f[STREAM_air_flow_kgph], body, &air) &&
	    field_value(&f[STREAM_fuel_flow_lph], body, &fuel)) {
		m->nox_mg += nox_mass_flow_gps(nox, air, fuel) * 1000;
		m->masses++;
	}
}

static struct measured measure(const struct row *row)
{
	struct measured m = { .lon = NAN, .lat = NAN, .reagent = NAN };

	for (size_t i = 0; i < row->count; i++) {
		const struct block *b = &row->blocks[i];
		const struct field *speed;
		double value;

		if (b->info == NULL || b->info == &info_obd)
			continue;
		info_position(b->info, b->body, &m.lon, &m.lat);
		if (b->info == &info_stream) {
			stream_add(&m, b->body);
		} else if ((speed = info_field(b->info, "speed_kmh")) != NULL &&
			   field_value(speed, b->body, &value)) {
			m.speed += value;
			m.speeds++;
		}
	}
	return m;
}

static void column_e6(struct buffer *out, double degrees)
{
	if (isnan(degrees))
		column_null(out);
	else
		column_i32(out, (int32_t)lround(degrees * 1e6));
}

static double mean(double sum, unsigned n)
{
	return n > 0 ? sum / n : (double)NAN;
}

static void sender_columns(struct buffer *out, const struct sender *sender)
{
	if (sender->credential != 0)
		column_i64(out, (int64_t)sender->credential);
	else
		column_null(out);
	if (sender->platform != 0)
		column_i32(out, sender->platform);
	else
		column_null(out);
}

static void row_tuple(struct buffer *out, unsigned gateway_id, const struct row *row,
		      const uint8_t *packed, size_t size)
{
	const int64_t at = row->blocks[0].at, last = row->blocks[row->count - 1].at;
	const struct measured m = measure(row);

	tuple_start(out, TRACK_COLUMNS);
	column_i64(out, row->item->vehicle->id);
	column_ns(out, at * 1000000000);
	column_i16(out, (int16_t)row->part);
	column_ns(out, row->item->received_ns);
	column_i64(out, (int64_t)row->item->position);
	column_i16(out, (int16_t)gateway_id);
	column_i16(out, (int16_t)row->seconds);
	column_i16(out, (int16_t)(last - at));
	column_i32(out, (int32_t)row->item->quirks);
	column_e6(out, m.lon);
	column_e6(out, m.lat);
	column_f32(out, mean(m.speed, m.speeds));
	column_f32(out, mean(m.nox, m.noxes));
	column_f32(out, m.masses > 0 ? m.nox_mg : (double)NAN);
	column_f32(out, mean(m.dp, m.dps));
	column_f32(out, m.reagent);
	column_bytes(out, packed, size);
	sender_columns(out, &row->item->sender);
}

static int row_write(struct loader *l, struct row *row)
{
	const size_t room = PACK_SIZE_MAX;
	uint8_t *packed = arena_alloc(&l->scratch, room);
	const size_t size = blocks_pack(row->blocks, row->count, row->blocks[0].at, packed, room);

	if (size == 0)
		return pg_fail(&l->pg, PG_DATA, "54000",
			       "samples of the frame are too many to pack");
	if ((row->item->quirks & QUIRK_CLOCK) != 0)
		row->part = -1 - (int)(hash_bytes(HASH_START, packed, size) % CLOCK_PARTS);
	row_tuple(&l->tuples, l->gateway_id, row, packed, size);
	arena_clear(&l->scratch);
	l->tally.frames++;
	l->tally.samples += row->seconds;
	if (l->tuples.size < COPY_CHUNK)
		return 0;
	if (pg_copy_bytes(&l->pg, l->tuples.bytes, l->tuples.size) < 0)
		return -1;
	l->tuples.size = 0;
	return 0;
}

/* The blocks that are kept, in rows that span at most SPAN_MAX_S. */
static int item_rows(struct loader *l, const struct item *item, long *ret_rows)
{
	struct block *kept = arena_alloc(&l->scratch, item->count * sizeof(*kept));
	struct row row = { .item = item, .blocks = kept };

	for (uint32_t i = 0; i < item->count; i++) {
		const struct block *b = &item->blocks[i];

		if (item->fates[i] != FATE_KEEP)
			continue;
		if (row.count > 0 && b->at - row.blocks[0].at > SPAN_MAX_S) {
			if (row_write(l, &row) < 0)
				return -1;
			++*ret_rows;
			/* row_write() gave the scratch back: what is left starts anew */
			kept = arena_alloc(&l->scratch, item->count * sizeof(*kept));
			row = (struct row){ .item = item, .blocks = kept };
		}
		if (row.count == 0)
			row.part = item->parts[i];
		row.seconds += row.count == 0 || kept[row.count - 1].at != b->at;
		kept[row.count++] = *b;
	}
	if (row.count == 0)
		return 0;
	++*ret_rows;
	return row_write(l, &row);
}

/* Returns the number of rows, or -1. */
static long copy_rows(struct loader *l, size_t from, size_t to, bool clock, const char *sql)
{
	bool started = false;
	long rows = 0;

	l->tuples.size = 0;
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		if (item->kind != ITEM_REPORT || item_assessed(item) == clock)
			continue;
		if (!started && pg_copy_start(&l->pg, sql) < 0)
			return -1;
		started = true;
		if (item_rows(l, item, &rows) < 0)
			return -1;
	}
	if (!started)
		return 0;
	if (pg_copy_bytes(&l->pg, l->tuples.bytes, l->tuples.size) < 0 || pg_copy_end(&l->pg) < 0)
		return -1;
	return rows;
}

static int position_order(const void *a, const void *b)
{
	const uint64_t *position = a;
	const struct item *item = b;

	return (*position > item->position) - (*position < item->position);
}

/* Of rows of faulty clocks only the table knows which are new: a resend meets its own key. */
static int clock_rows_move(struct loader *l, size_t from, size_t to)
{
	PGresult *r = pg_run(&l->pg, SQL_STAGE_MOVE_CLOCK, NULL);

	if (r == NULL)
		return -1;
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		if (item->kind == ITEM_REPORT && !item_assessed(item))
			memset(item->fates, FATE_DUPLICATE, item->count);
	}
	for (int i = 0; i < PQntuples(r); i++) {
		const uint64_t position = (uint64_t)result_i64(r, i, 0);
		const struct item *item = bsearch(&position, l->batch.items + from, to - from,
						  sizeof(*item), position_order);

		assert(item != NULL); /* it was staged */
		memset(item->fates, FATE_KEEP, item->count);
	}
	PQclear(r);
	return 0;
}

int loader_track(struct loader *l, size_t from, size_t to)
{
	long rows = copy_rows(l, from, to, false, l->staged ? sql_copy_stage : sql_copy_track);

	if (rows < 0)
		return -1;
	if (l->staged && rows > 0) {
		const long stored = pg_rows(&l->pg, SQL_STAGE_MOVE, NULL);

		if (stored < 0)
			return -1;
		/* All were compared with the table a moment ago: a key that is taken now was taken
		 * meanwhile. */
		if (stored != rows)
			return pg_fail(&l->pg, PG_AGAIN, "23505",
				       "another gateway stored the same seconds");
	}
	rows = copy_rows(l, from, to, true, sql_copy_stage);
	return rows > 0 ? clock_rows_move(l, from, to) : (int)rows;
}

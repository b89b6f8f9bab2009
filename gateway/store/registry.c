#include "gateway/store/registry.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/store/arena.h"
#include "gateway/store/context.h"

enum { SLOTS_FIRST = 1024, WRITE_ROWS = 2000 };

struct registry {
	struct vehicle **by_vin, **by_id; /* open addressing, at most half full */
	size_t slots, count;
	int64_t newest; /* largest id seen */
	uint32_t refresh;
	struct arena arena; /* holds the vehicles */

	struct vehicle **dirty;
	size_t dirty_count, dirty_max;
};

struct registry *registry_new(void)
{
	struct registry *g = memory_alloc(sizeof(*g));

	*g = (struct registry){ .slots = SLOTS_FIRST };
	g->by_vin = memory_alloc(g->slots * sizeof(struct vehicle *));
	g->by_id = memory_alloc(g->slots * sizeof(struct vehicle *));
	memset(g->by_vin, 0, g->slots * sizeof(struct vehicle *));
	memset(g->by_id, 0, g->slots * sizeof(struct vehicle *));
	return g;
}

void registry_free(struct registry *g)
{
	if (g == NULL)
		return;
	arena_release(&g->arena);
	free(g->by_vin);
	free(g->by_id);
	free(g->dirty);
	free(g);
}

static struct vehicle **slot_of_vin(const struct registry *g, const char *vin)
{
	size_t i = hash_bytes(HASH_START, vin, strlen(vin)) & (g->slots - 1);

	while (g->by_vin[i] != NULL && strcmp(g->by_vin[i]->vin, vin) != 0)
		i = (i + 1) & (g->slots - 1);
	return &g->by_vin[i];
}

static struct vehicle **slot_of_id(const struct registry *g, int64_t id)
{
	size_t i = hash_bytes(HASH_START, &id, sizeof(id)) & (g->slots - 1);

	while (g->by_id[i] != NULL && g->by_id[i]->id != id)
		i = (i + 1) & (g->slots - 1);
	return &g->by_id[i];
}

struct vehicle *registry_find(struct registry *g, const char *vin)
{
	struct vehicle *v = *slot_of_vin(g, vin);

	return v != NULL && v->id != 0 ? v : NULL;
}

struct vehicle *registry_by_id(struct registry *g, int64_t id)
{
	return *slot_of_id(g, id);
}

static void grow(struct registry *g)
{
	struct vehicle **old = g->by_vin;
	const size_t slots = g->slots, size = 2 * slots * sizeof(struct vehicle *);

	free(g->by_id);
	g->slots *= 2;
	g->by_vin = memory_alloc(size);
	g->by_id = memory_alloc(size);
	memset(g->by_vin, 0, size);
	memset(g->by_id, 0, size);
	for (size_t i = 0; i < slots; i++) {
		if (old[i] == NULL)
			continue;
		*slot_of_vin(g, old[i]->vin) = old[i];
		*slot_of_id(g, old[i]->id) = old[i];
	}
	free(old);
}

static struct vehicle *vehicle_get(struct registry *g, const char *vin)
{
	struct vehicle **slot = slot_of_vin(g, vin);

	if (*slot != NULL)
		return *slot;
	if (2 * (g->count + 1) > g->slots) {
		grow(g);
		slot = slot_of_vin(g, vin);
	}
	*slot = arena_alloc(&g->arena, sizeof(**slot));
	**slot = (struct vehicle){ .software_version = -1, .last_at = INT64_MIN };
	snprintf((*slot)->vin, sizeof((*slot)->vin), "%s", vin);
	g->count++;
	return *slot;
}

static char stage_digit(const PGresult *r, int row)
{
	size_t size;
	const char *stage = (const char *)result_bytes(r, row, 4, &size);
	static const struct {
		const char *name;
		char digit;
	} stages[] = {
		{ "III", '3' }, { "IV", '4' }, { "V", '5' }, { "VI-a", '6' }, { "VI-b", '6' }
	};

	for (size_t i = 0; i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strlen(stages[i].name) == size && memcmp(stages[i].name, stage, size) == 0)
			return stages[i].digit;
	return '\0';
}

/* Columns: id, vin, reference torque, rated power, stage, layout. */
static void vehicle_take(struct registry *g, const PGresult *r, int row)
{
	char vin[VIN_SIZE + 1] = "";
	size_t size;
	const uint8_t *text = result_bytes(r, row, 1, &size);
	struct vehicle *v;

	assert(size > 0 && size <= VIN_SIZE); /* the table checks it */
	memcpy(vin, text, size);
	v = vehicle_get(g, vin);
	if (v->id != result_i64(r, row, 0)) {
		v->id = result_i64(r, row, 0);
		*slot_of_id(g, v->id) = v;
	}
	memset(&v->facts, 0, sizeof(v->facts)); /* its padding too: facts are compared as bytes */
	v->facts.reference_torque_nm = (double)result_f32(r, row, 2);
	v->facts.rated_power_kw = (double)result_f32(r, row, 3);
	v->facts.stage = stage_digit(r, row);
	if (v->layout == LAYOUT_UNKNOWN && !result_null(r, row, 5))
		v->layout = (uint8_t)result_i16(r, row, 5);
	v->seen_in = g->refresh;
	if (v->id > g->newest)
		g->newest = v->id;
}

static void vehicles_take(struct registry *g, const PGresult *r)
{
	for (int i = 0; i < PQntuples(r); i++)
		vehicle_take(g, r, i);
}

/* Somebody deleted them; a frame of such a VIN makes a new, provisional one. */
static void drop_unseen(struct registry *g)
{
	for (size_t i = 0; i < g->slots; i++) {
		struct vehicle *v = g->by_vin[i];

		if (v == NULL || v->id == 0 || v->seen_in == g->refresh)
			continue;
		v->id = 0;
		v->dirty = false;
	}
}

int registry_refresh(struct registry *g, struct pg *pg, bool full)
{
	struct params p = { 0 };
	PGresult *r;

	param_i64(&p, full ? 0 : g->newest);
	if ((r = pg_run(pg, SQL_VEHICLES, &p)) == NULL)
		return -1;
	g->refresh += full;
	vehicles_take(g, r);
	PQclear(r);
	if (full)
		drop_unseen(g);
	return 0;
}

int registry_add(struct registry *g, struct pg *pg, struct rows *vins)
{
	struct params p = { 0 };
	PGresult *r;

	rows_params(vins, &p);
	if (pg_rows(pg, SQL_VEHICLE_INSERT, &p) < 0 ||
	    (r = pg_run(pg, SQL_VEHICLES_BY_VIN, &p)) == NULL)
		return -1;
	vehicles_take(g, r);
	PQclear(r);
	return 0;
}

/* ---- terminals ---- */

void registry_touch(struct registry *g, struct vehicle *v)
{
	if (v->dirty)
		return;
	if (g->dirty_count == g->dirty_max) {
		g->dirty_max = g->dirty_max * 2 + 256;
		g->dirty = memory_grow(g->dirty, g->dirty_max * sizeof(*g->dirty));
	}
	v->dirty = true;
	g->dirty[g->dirty_count++] = v;
}

/* In the order of the key, so that two gateways never wait for each other. */
static int by_id_order(const void *a, const void *b)
{
	const struct vehicle *const *x = a, *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static void terminal_row(struct rows *rows, const struct vehicle *v)
{
	rows_int(rows, v->id);
	rows_text(rows, v->iccid[0] != '\0' ? v->iccid : NULL);
	rows_int(rows, v->protocol);
	rows_int(rows, v->layout);
	if (v->software_version >= 0)
		rows_int(rows, v->software_version);
	else
		rows_null(rows);
	if (v->last_at != INT64_MIN)
		rows_time(rows, v->last_at);
	else
		rows_null(rows);
	rows_ns(rows, v->last_received_ns);
}

int registry_write(struct registry *g, struct pg *pg)
{
	struct rows rows = { 0 };
	int rc = 0;

	if (g->dirty_count > 1)
		qsort(g->dirty, g->dirty_count, sizeof(*g->dirty), by_id_order);
	for (size_t i = 0; rc == 0 && i < g->dirty_count;) {
		struct params p = { 0 };

		rows_start(&rows, "ithhhTT");
		for (; i < g->dirty_count && rows.count < WRITE_ROWS; i++)
			if (g->dirty[i]->dirty && (i == 0 || g->dirty[i] != g->dirty[i - 1]))
				terminal_row(&rows, g->dirty[i]);
		rows_params(&rows, &p);
		rc = rows.count == 0 || pg_rows(pg, SQL_TERMINAL, &p) >= 0 ? 0 : -1;
	}
	rows_release(&rows);
	return rc;
}

void registry_written(struct registry *g)
{
	for (size_t i = 0; i < g->dirty_count; i++)
		g->dirty[i]->dirty = false;
	g->dirty_count = 0;
}

bool registry_dirty(const struct registry *g)
{
	return g->dirty_count > 0;
}

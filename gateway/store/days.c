#include "gateway/store/days.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS_FIRST = 4096, IDLE_HOURS = 36, TRIM_PART = 10 };

static size_t slot_index(const struct days *d, int64_t vehicle_id, int32_t number)
{
	const uint64_t key = (uint64_t)vehicle_id * UINT64_C(0x9E3779B97F4A7C15) + (uint32_t)number;

	return (size_t)(key ^ key >> 29) & (d->slot_count - 1);
}

static struct day **slots_new(size_t count)
{
	struct day **slots = memory_alloc(count * sizeof(struct day *));

	memset(slots, 0, count * sizeof(struct day *));
	return slots;
}

void days_init(struct days *d, size_t max)
{
	*d = (struct days){ .max = max, .slot_count = SLOTS_FIRST };
	d->slots = slots_new(d->slot_count);
}

void days_release(struct days *d)
{
	for (struct day *day = d->newest, *next; day != NULL; day = next) {
		next = day->older;
		free(day);
	}
	free(d->slots);
	free(d->touched);
	free(d->dirty);
	free(d->forgotten);
	*d = (struct days){ 0 };
}

static void grow(struct days *d)
{
	free(d->slots);
	d->slot_count *= 2;
	d->slots = slots_new(d->slot_count);
	for (struct day *day = d->newest; day != NULL; day = day->older) {
		struct day **slot = &d->slots[slot_index(d, day->vehicle_id, day->number)];

		day->hash_next = *slot;
		*slot = day;
	}
}

static void unlink_age(struct days *d, struct day *day)
{
	*(day->newer != NULL ? &day->newer->older : &d->newest) = day->older;
	*(day->older != NULL ? &day->older->newer : &d->oldest) = day->newer;
}

static void link_newest(struct days *d, struct day *day)
{
	day->newer = NULL;
	day->older = d->newest;
	*(d->newest != NULL ? &d->newest->newer : &d->oldest) = day;
	d->newest = day;
}

struct day *days_find(struct days *d, int64_t vehicle_id, int32_t number)
{
	struct day *day = d->slots[slot_index(d, vehicle_id, number)];

	while (day != NULL && (day->vehicle_id != vehicle_id || day->number != number))
		day = day->hash_next;
	return day;
}

struct day *days_get(struct days *d, struct vehicle *v, int32_t number)
{
	struct day *day = days_find(d, v->id, number);
	struct day **slot;

	if (day != NULL) {
		unlink_age(d, day);
		link_newest(d, day);
		return day;
	}
	if (d->count >= d->slot_count)
		grow(d);
	day = memory_alloc(sizeof(*day) + assess_day_size());
	memset(day, 0, sizeof(*day));
	day->vehicle = v;
	day->vehicle_id = v->id;
	day->number = number;
	slot = &d->slots[slot_index(d, v->id, number)];
	day->hash_next = *slot;
	*slot = day;
	link_newest(d, day);
	d->count++;
	return day;
}

static void list_add(struct day ***list, size_t *count, size_t *max, struct day *day)
{
	if (*count == *max) {
		*max = *max * 2 + 256;
		*list = memory_grow(*list, *max * sizeof(struct day *));
	}
	(*list)[(*count)++] = day;
}

void days_touch(struct days *d, struct day *day, uint32_t serial)
{
	if (day->serial == serial)
		return;
	day->serial = serial;
	day->segments = NULL;
	day->segments_end = &day->segments;
	day->late = false;
	list_add(&d->touched, &d->touched_count, &d->touched_max, day);
}

void days_mark_dirty(struct days *d, struct day *day)
{
	if (day->dirty)
		return;
	day->dirty = true;
	list_add(&d->dirty, &d->dirty_count, &d->dirty_max, day);
}

void days_forget(struct days *d, struct day *day)
{
	struct day **slot = &d->slots[slot_index(d, day->vehicle_id, day->number)];

	assert(!day->dirty);
	if (d->forgotten_count == d->forgotten_max) {
		d->forgotten_max = d->forgotten_max * 2 + 256;
		d->forgotten = memory_grow(d->forgotten, d->forgotten_max * sizeof(*d->forgotten));
	}
	d->forgotten[d->forgotten_count++] =
		(struct day_key){ .vehicle_id = day->vehicle_id, .number = day->number };
	while (*slot != day)
		slot = &(*slot)->hash_next;
	*slot = day->hash_next;
	unlink_age(d, day);
	free(day);
	d->count--;
}

void days_drop_touched(struct days *d)
{
	for (size_t i = 0; i < d->touched_count; i++)
		d->touched[i]->resident = false;
	d->touched_count = 0;
}

void days_drop_all(struct days *d)
{
	for (struct day *day = d->newest, *next; day != NULL; day = next) {
		next = day->older;
		day->resident = false;
		if (!day->dirty)
			days_forget(d, day);
	}
}

void days_checkpointed(struct days *d)
{
	const size_t aim = d->count > d->max ? d->max - d->max / TRIM_PART : d->max;
	int64_t youngest = 0;

	for (size_t i = 0; i < d->dirty_count; i++)
		d->dirty[i]->dirty = d->dirty[i]->corrected = false;
	d->dirty_count = 0;
	if (d->newest != NULL)
		youngest = d->newest->record.received_ns;
	/* NOLINTBEGIN(clang-analyzer-unix.Malloc): it does not see unlink_age() move d->oldest */
	while (d->oldest != NULL &&
	       (d->count > aim ||
		d->oldest->record.received_ns < youngest - IDLE_HOURS * INT64_C(3600000000000)))
		days_forget(d, d->oldest);
	/* NOLINTEND(clang-analyzer-unix.Malloc) */
}

/* ---- one day ---- */

void day_start(struct day *day, const struct context *c)
{
	struct day_record *r = &day->record;
	const int64_t received_ns = r->received_ns;

	memset(r, 0, sizeof(*r));
	r->received_ns = received_ns;
	r->version = DAY_RECORD_VERSION;
	r->state_size = (uint32_t)assess_day_size();
	r->context = c->hash;
	r->facts = day->vehicle->facts;
	r->last_at = INT64_MIN;
	assess_day_init(day_state(day), day->number, &day->vehicle->facts);
	day->resident = true;
}

bool day_current(const struct day *day, const struct context *c)
{
	const struct vehicle_facts *a = &day->record.facts, *b = &day->vehicle->facts;

	return day->resident && day->record.context == c->hash &&
	       a->reference_torque_nm == b->reference_torque_nm &&
	       a->rated_power_kw == b->rated_power_kw && a->stage == b->stage;
}

static bool type_known(const struct day_record *r, uint8_t type)
{
	return memchr(r->last_types, type, r->last_type_count) != NULL;
}

/* The few types of one second; a second with more counts as a late one. */
void day_note(struct day *day, const struct block *b)
{
	struct day_record *r = &day->record;

	if (b->at > r->last_at) {
		r->last_at = b->at;
		r->last_type_count = 0;
		r->last_part = 0;
	}
	if (r->last_type_count < LAST_TYPES_MAX)
		r->last_types[r->last_type_count++] = b->type;
}

bool day_continues(const struct day *day, const struct block *blocks, size_t n)
{
	const struct day_record *r = &day->record;

	for (size_t i = 0; i < n && blocks[i].at <= r->last_at; i++) {
		if (blocks[i].at < r->last_at || type_known(r, blocks[i].type) ||
		    r->last_type_count + i >= LAST_TYPES_MAX)
			return false;
	}
	return true;
}

void day_fold(struct day *day, struct context *c, const struct block *b)
{
	day_note(day, b);
	day->record.folded++;
	assess_day_block(day_state(day), &c->rules, c->cursor, b);
}

void day_continue(struct day *day, struct context *c, const struct block *blocks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		day_fold(day, c, &blocks[i]);
}

/* ---- snapshots ---- */

size_t day_snapshot_size(void)
{
	return sizeof(struct day_record) + assess_day_size();
}

void day_snapshot(const struct day *day, uint8_t *out)
{
	memcpy(out, &day->record, sizeof(day->record));
	memcpy(out + sizeof(day->record), day->state, assess_day_size());
}

bool day_restore(struct day *day, const struct context *c, const uint8_t *bytes, size_t size)
{
	if (size != day_snapshot_size())
		return false;
	memcpy(&day->record, bytes, sizeof(day->record));
	memcpy(day->state, bytes + sizeof(day->record), assess_day_size());
	day->resident = day->record.version == DAY_RECORD_VERSION &&
			day->record.state_size == assess_day_size();
	day->resident = day_current(day, c);
	return day->resident;
}

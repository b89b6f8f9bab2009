/*
 * load.c - vehicle-days folded from the track table, with what a batch adds to them.
 *
 * All blocks of a day, those that are stored and those of the batch in the order received, are
 * sorted by second and type.  The first of each pair counts; a later one with the same bytes is a
 * duplicate, with other bytes a conflict.  One day is in memory at a time.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/loader.h"
#include "proto/record/pack.h"

enum { GROUP_MAX = 512 };

struct entry {
	int64_t at;
	uint32_t order; /* stored ones first, then as received */
	uint8_t type;
	uint8_t part; /* stored: that of the row that begins in this second, else 0 */
	const struct block *block;
	struct segment *segment; /* NULL: stored */
	struct sender sender;
	uint32_t index; /* in the segment's item */
};

struct merge {
	struct loader *l;
	struct day *day;
	bool fold; /* else only compare */
	size_t count;
};

static struct entry *entry_add(struct merge *m, const struct block *b)
{
	struct loader *l = m->l;
	struct entry *e;

	if (m->count == l->entries_max) {
		l->entries_max = l->entries_max * 2 + 4096;
		l->entries = memory_grow(l->entries, l->entries_max * sizeof(*l->entries));
	}
	e = &l->entries[m->count];
	*e = (struct entry){
		.at = b->at, .type = b->type, .order = (uint32_t)m->count, .block = b
	};
	m->count++;
	return e;
}

static int entry_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->type != y->type)
		return x->type < y->type ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

/* Mostly the rows do not overlap and nothing has to be done. */
static void sort(struct entry *entries, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (entry_order(&entries[i - 1], &entries[i]) > 0) {
			qsort(entries, n, sizeof(*entries), entry_order);
			return;
		}
}

/* Columns: ordinal, at, part, samples, credential, platform, quirks. */
static void row_add(struct merge *m, const PGresult *r)
{
	struct loader *l = m->l;
	const int64_t base = result_time_ns(r, 0, 1) / 1000000000;
	const struct sender sender = sender_of((uint64_t)result_i64(r, 0, 4), result_i32(r, 0, 5),
					       (unsigned)result_i32(r, 0, 6));
	size_t size, n = 0;
	const uint8_t *packed = result_bytes(r, 0, 3, &size);
	struct block *blocks;

	if (blocks_unpack(packed, size, base, l->unpacked) < 0) {
		log_line(LOG_ERROR, "track row cannot be read vehicle_id=%lld at=%lld",
			 (long long)m->day->vehicle_id, (long long)base);
		return;
	}
	blocks = arena_alloc(&l->scratch, l->unpacked->block_count * sizeof(*blocks));
	for (size_t i = 0; i < l->unpacked->block_count; i++) {
		const struct block *b = &l->unpacked->blocks[i];
		struct entry *e;

		if (assess_day_of(b->at) != m->day->number)
			continue;
		blocks[n] = *b;
		blocks[n].body = memcpy(arena_alloc(&l->scratch, b->size), b->body, b->size);
		e = entry_add(m, &blocks[n++]);
		e->part = b->at == base ? (uint8_t)result_i16(r, 0, 2) : 0;
		e->sender = sender;
	}
}

static void segments_add(struct merge *m)
{
	for (struct segment *s = m->day->segments; s != NULL; s = s->next)
		for (uint32_t i = s->first; i < s->first + s->count; i++) {
			struct entry *e = entry_add(m, &s->item->blocks[i]);

			e->segment = s;
			e->sender = s->item->sender;
			e->index = i;
		}
}

/*
 * Through another platform, whatever was proved: a good signature stays good when others send it.
 * The same way: from another credential, or with one where there was none or none where there was
 * one.  What is open proves no other: whether a frame is checked may be drawn, for each anew.
 */
static bool somebody_else(const struct sender *a, const struct sender *b)
{
	if (a->platform != b->platform)
		return true;
	return !a->open && !b->open && a->credential != b->credential;
}

static void replay_note(const struct entry *first, const struct entry *later)
{
	struct item *item = later->segment->item;

	if (!somebody_else(&first->sender, &later->sender))
		return;
	if (item->replayed++ == 0 || later->at < item->replayed_at) {
		item->replayed_at = later->at;
		item->replayed_sender = first->sender;
	}
}

static void fate_set(struct loader *l, const struct entry *first, const struct entry *later)
{
	const struct block *a = first->block, *b = later->block;
	struct item *item;

	if (later->segment == NULL)
		return; /* another gateway stored it too, at the same time */
	item = later->segment->item;
	if (a->size == b->size && memcmp(a->body, b->body, a->size) == 0) {
		item->fates[later->index] = FATE_DUPLICATE;
		replay_note(first, later);
	} else {
		item->fates[later->index] = FATE_CONFLICT;
		item->conflict = true;
	}
	l->tally.duplicates += b->info != &info_obd;
}

/*
 * The entries [from, to) of one second: the first of each type counts.  A row that begins in a
 * second which another frame has told of gets the next part number of that second.
 */
static void second_merge(struct merge *m, size_t from, size_t to)
{
	struct loader *l = m->l;
	const struct entry *winner = NULL;
	const struct segment *before = NULL;
	int part = -1;

	for (size_t i = from; i < to; i++)
		if (l->entries[i].segment == NULL && l->entries[i].part > part)
			part = l->entries[i].part;
	for (size_t i = from; i < to; i++) {
		const struct entry *e = &l->entries[i];

		if (winner != NULL && winner->type == e->type) {
			fate_set(l, winner, e);
			continue;
		}
		winner = e;
		if (e->segment != NULL) {
			part += e->segment != before;
			before = e->segment;
			e->segment->item->parts[e->index] = (uint8_t)part;
		}
		if (m->fold)
			day_fold(m->day, &l->context, e->block);
	}
	if (m->fold)
		m->day->record.last_part = (uint8_t)(part > 0 ? part : 0);
}

/* Says of each report whether it came late, now that it is known what of it is new. */
static void late_mark(struct merge *m, int64_t stored_last)
{
	int64_t last = stored_last;

	for (struct segment *s = m->day->segments; s != NULL; s = s->next) {
		const struct block *blocks = s->item->blocks;
		uint32_t i = s->first;

		while (i < s->first + s->count && s->item->fates[i] != FATE_KEEP)
			i++;
		if (i == s->first + s->count)
			continue;
		if (blocks[i].at < last)
			s->item->quirks |= QUIRK_LATE;
		m->day->late |= blocks[i].at < stored_last;
		if (blocks[s->first + s->count - 1].at > last)
			last = blocks[s->first + s->count - 1].at;
	}
	m->day->corrected |= m->day->late;
	m->l->tally.reassessed += m->day->late;
}

static void day_finish(struct merge *m)
{
	struct loader *l = m->l;
	int64_t stored_last = INT64_MIN;
	size_t from = 0;

	for (size_t i = 0; i < m->count; i++)
		if (l->entries[i].at > stored_last)
			stored_last = l->entries[i].at;
	/* Compared: only a part of what is stored was loaded, but the fold knew how far it went. */
	if (!m->fold && m->day->record.last_at > stored_last)
		stored_last = m->day->record.last_at;
	segments_add(m);
	sort(l->entries, m->count);
	for (size_t i = 1; i <= m->count; i++)
		if (i == m->count || l->entries[i].at != l->entries[from].at) {
			second_merge(m, from, i);
			from = i;
		}
	late_mark(m, stored_last);
	m->count = 0;
	arena_clear(&l->scratch);
}

/* ---- the database's side ---- */

struct range {
	int64_t from, to; /* seconds, both inside */
};

static struct range day_range(const struct day *day)
{
	const int64_t start = (int64_t)day->number * 86400 - 8 * 3600;

	return (struct range){ start, start + 86399 };
}

static struct range segments_range(const struct day *day)
{
	struct range r = { INT64_MAX, INT64_MIN };

	for (const struct segment *s = day->segments; s != NULL; s = s->next) {
		const struct block *blocks = s->item->blocks + s->first;

		r.from = blocks[0].at < r.from ? blocks[0].at : r.from;
		r.to = blocks[s->count - 1].at > r.to ? blocks[s->count - 1].at : r.to;
	}
	return r;
}

static int rows_ask(struct loader *l, struct day **days, size_t n, bool fold)
{
	struct range all = { INT64_MAX, INT64_MIN };
	struct params p = { 0 };

	rows_start(&l->rows, "iTT");
	for (size_t i = 0; i < n; i++) {
		const struct range r = fold ? day_range(days[i]) : segments_range(days[i]);

		rows_int(&l->rows, days[i]->vehicle_id);
		rows_time(&l->rows, r.from);
		rows_time(&l->rows, r.to);
		all.from = r.from < all.from ? r.from : all.from;
		all.to = r.to > all.to ? r.to : all.to;
	}
	rows_params(&l->rows, &p);
	param_time(&p, all.from - SPAN_MAX_S);
	param_time(&p, all.to);
	return pg_stream(&l->pg, SQL_DAY_ROWS, &p);
}

static int rows_load(struct loader *l, struct day **days, size_t n, bool fold)
{
	struct merge m = { .l = l, .day = days[0], .fold = fold };
	size_t at = 0;
	PGresult *r;

	if (rows_ask(l, days, n, fold) < 0)
		return -1;
	while ((r = pg_next(&l->pg)) != NULL) {
		const size_t ordinal = (size_t)result_i64(r, 0, 0) - 1;

		assert(ordinal >= at && ordinal < n); /* a nested loop: in the order of the array */
		while (at < ordinal) {
			day_finish(&m);
			m.day = days[++at];
		}
		row_add(&m, r);
		PQclear(r);
	}
	if (l->pg.failure != PG_FINE) {
		arena_clear(&l->scratch);
		return -1;
	}
	for (day_finish(&m); ++at < n; day_finish(&m))
		m.day = days[at];
	return 0;
}

static int rule_index(const uint8_t *id, size_t size)
{
	for (int i = 0; i < RULE_COUNT; i++)
		if (strlen(rule_definitions[i].id) == size &&
		    memcmp(rule_definitions[i].id, id, size) == 0)
			return i;
	return -1;
}

/* Columns: vehicle, rule, newest revision, and of the row in force: revision, digest, rule version.
 */
static int findings_load(struct loader *l, struct day **days, size_t n)
{
	struct params p = { 0 };
	PGresult *r;

	rows_start(&l->rows, "i");
	for (size_t i = 0; i < n; i++)
		rows_int(&l->rows, days[i]->vehicle_id);
	rows_params(&l->rows, &p);
	param_i32(&p, days[0]->number - PG_EPOCH_DAY);
	if ((r = pg_run(&l->pg, SQL_DAY_FINDINGS, &p)) == NULL)
		return -1;
	for (int i = 0; i < PQntuples(r); i++) {
		struct day *day = days_find(&l->days, result_i64(r, i, 0), days[0]->number);
		size_t size;
		const uint8_t *id = result_bytes(r, i, 1, &size);
		const int rule = rule_index(id, size);

		assert(day != NULL); /* it was asked for */
		if (rule < 0)
			continue;
		day->record.findings[rule].newest = result_i32(r, i, 2);
		day->record.findings[rule].revision = result_i32(r, i, 3);
		day->record.findings[rule].digest = (uint64_t)result_i64(r, i, 4);
		day->record.findings[rule].version = result_i32(r, i, 5);
	}
	PQclear(r);
	return 0;
}

static int day_order(const void *a, const void *b)
{
	const struct day *const *x = a, *const *y = b;

	if ((*x)->number != (*y)->number)
		return (*x)->number < (*y)->number ? -1 : 1;
	return ((*x)->vehicle_id > (*y)->vehicle_id) - ((*x)->vehicle_id < (*y)->vehicle_id);
}

/* One past the last of the days from i on that are of the same number, at most GROUP_MAX. */
static size_t group_end(const struct loader *l, size_t i, size_t n)
{
	size_t end = i + 1;

	while (end < n && end - i < GROUP_MAX && l->list[end]->number == l->list[i]->number)
		end++;
	return end;
}

static void list_sort(struct loader *l, size_t n)
{
	if (n > 1)
		qsort(l->list, n, sizeof(*l->list), day_order);
}

int loader_load_findings(struct loader *l, size_t n)
{
	list_sort(l, n);
	for (size_t i = 0, end; i < n; i = end) {
		end = group_end(l, i, n);
		if (findings_load(l, l->list + i, end - i) < 0)
			return -1;
	}
	return 0;
}

int loader_load(struct loader *l, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		day_start(l->list[i], &l->context);
		l->list[i]->deferred = false;
	}
	if (loader_load_findings(l, n) < 0)
		return -1;
	for (size_t i = 0, end; i < n; i = end) {
		end = group_end(l, i, n);
		if (rows_load(l, l->list + i, end - i, true) < 0)
			return -1;
	}
	return 0;
}

int loader_compare(struct loader *l, size_t n)
{
	list_sort(l, n);
	for (size_t i = 0; i < n; i++) {
		l->list[i]->resident = false;
		l->list[i]->deferred = true;
	}
	for (size_t i = 0, end; i < n; i = end) {
		end = group_end(l, i, n);
		if (rows_load(l, l->list + i, end - i, false) < 0)
			return -1;
	}
	return 0;
}

#include "gateway/identity/publish.h"

#include <string.h>

#include "gateway/identity/memory.h"

/* More changes than that are told as "look at all"; and readers wait for so many at most. */
enum { TOLD_EACH_MAX = 1000, LOCKED_MAX = 500 };

static void count(struct identities *t, size_t changes)
{
	if (t->metrics == NULL)
		return;
	metrics_add(t->metrics, METRIC_identity_refreshes_total, (int64_t)changes);
	metrics_set(t->metrics, METRIC_identity_vehicles, (int64_t)t->index.by_id.count);
}

static void tell(struct identities *t, const char *vin)
{
	if (t->changed != NULL)
		t->changed(vin, t->arg);
}

static void note_bound(struct identities *t, const struct snapshot *s)
{
	if (s->holds.to < t->next_bound)
		t->next_bound = s->holds.to;
}

/* ---- some ---- */

/* One vehicle that is not what it was.  Both counted; either may be NULL. */
struct change {
	struct snapshot *old, *new;
};

static void changes_apply(struct identities *t, struct change *list, size_t n)
{
	/* All out before any goes in: VINs and chips may have changed places. */
	pthread_rwlock_wrlock(&t->lock);
	for (size_t i = 0; i < n; i++)
		if (list[i].old != NULL)
			index_take(&t->index, list[i].old->facts.vehicle_id);
	for (size_t i = 0; i < n; i++)
		if (list[i].new != NULL)
			index_add(&t->index, list[i].new);
	pthread_rwlock_unlock(&t->lock);
	count(t, n);
}

static void change_tell(struct identities *t, const struct change *c)
{
	if (c->old != NULL)
		tell(t, c->old->facts.vin);
	if (c->new != NULL && (c->old == NULL || strcmp(c->old->facts.vin, c->new->facts.vin) != 0))
		tell(t, c->new->facts.vin);
}

void publish_some(struct identities *t, const int64_t *ids, size_t n, const struct loaded *l)
{
	struct change *list = memory_zero(n, sizeof(*list));
	size_t changes = 0, at = 0;

	for (size_t i = 0; i < n; i++) {
		struct change c = { .old = index_by_id(&t->index, ids[i]) };

		while (at < l->count && l->list[at]->facts.vehicle_id < ids[i])
			at++;
		if (at < l->count && l->list[at]->facts.vehicle_id == ids[i])
			c.new = l->list[at];
		if (c.old == c.new)
			continue;
		if (c.new != NULL) {
			identity_ref(&c.new->identity);
			note_bound(t, c.new);
		}
		list[changes++] = c;
	}
	changes_apply(t, list, changes);
	for (size_t i = 0; i < changes; i++) {
		change_tell(t, &list[i]);
		if (list[i].old != NULL)
			identity_put(&list[i].old->identity);
	}
	free(list);
}

/* ---- all ---- */

struct comparison {
	struct identities *t;
	const struct index *other;
	size_t changes;
	bool telling;
};

/* A vehicle of the old index that the new one has otherwise or not at all. */
static void compare_old(void *value, void *arg)
{
	const struct snapshot *old = value;
	struct comparison *c = arg;
	const struct change change = { .old = value,
				       .new = index_by_id(c->other, old->facts.vehicle_id) };

	if (change.new == old)
		return;
	c->changes++;
	if (c->telling)
		change_tell(c->t, &change);
}

/* A vehicle of the new index that the old one had not. */
static void compare_new(void *value, void *arg)
{
	struct snapshot *new = value;
	struct comparison *c = arg;
	const struct change change = { .new = new };

	if (index_by_id(c->other, new->facts.vehicle_id) != NULL)
		return;
	c->changes++;
	if (c->telling)
		change_tell(c->t, &change);
}

static size_t compare(struct identities *t, const struct index *old, bool telling)
{
	struct comparison c = { .t = t, .other = &t->index, .telling = telling };

	map_each(&old->by_id, compare_old, &c);
	c.other = old;
	map_each(&t->index.by_id, compare_new, &c);
	return c.changes;
}

void publish_all(struct identities *t, const struct loaded *l)
{
	struct index fresh = { 0 }, old;
	size_t changes;
	bool first;

	t->next_bound = INT64_MAX;
	for (size_t i = 0; i < l->count; i++) {
		identity_ref(&l->list[i]->identity);
		index_add(&fresh, l->list[i]);
		note_bound(t, l->list[i]);
	}
	pthread_rwlock_wrlock(&t->lock);
	old = t->index;
	t->index = fresh;
	first = !t->loaded;
	t->loaded = true;
	pthread_rwlock_unlock(&t->lock);
	changes = compare(t, &old, false);
	count(t, changes);
	if (first || changes > TOLD_EACH_MAX)
		tell(t, "");
	else if (changes > 0)
		compare(t, &old, true);
	index_clear(&old);
}

void publish_platforms(struct identities *t, struct map *platforms)
{
	struct map old;

	pthread_rwlock_wrlock(&t->lock);
	old = t->platforms;
	t->platforms = *platforms;
	pthread_rwlock_unlock(&t->lock);
	count(t, 1);
	tell(t, "");
	platforms_clear(&old);
}

/* ---- time ---- */

struct stale {
	struct identities *t;
	int64_t at;
	struct change *list;
	size_t count;
};

static void find_stale(void *value, void *arg)
{
	struct snapshot *s = value;
	struct stale *stale = arg;

	if (!snapshot_is_stale(s, stale->at)) {
		note_bound(stale->t, s);
		return;
	}
	stale->list[stale->count++] = (struct change){ s, snapshot_again(s, stale->at) };
}

void publish_time(struct identities *t, int64_t at)
{
	struct stale stale = { .t = t, .at = at };

	if (at < t->next_bound && at >= t->judged_at)
		return;
	t->judged_at = at;
	t->next_bound = INT64_MAX;
	stale.list = memory_zero(t->index.by_id.count, sizeof(*stale.list));
	map_each(&t->index.by_id, find_stale, &stale);
	for (size_t i = 0; i < stale.count; i += LOCKED_MAX) /* no VIN moves: portions do no harm */
		changes_apply(t, stale.list + i,
			      stale.count - i < LOCKED_MAX ? stale.count - i : LOCKED_MAX);
	for (size_t i = 0; i < stale.count; i++) {
		note_bound(t, stale.list[i].new);
		if (!snapshot_equal(stale.list[i].old, stale.list[i].new))
			change_tell(t, &stale.list[i]);
		identity_put(&stale.list[i].old->identity);
	}
	free(stale.list);
}

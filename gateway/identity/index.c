#include "gateway/identity/index.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "gateway/identity/memory.h"

enum { ID_SIZE = 24 };

static const char *id_text(int64_t id, char out[ID_SIZE])
{
	snprintf(out, ID_SIZE, "%" PRId64, id);
	return out;
}

struct snapshot *index_by_vin(const struct index *x, const char *vin)
{
	return map_get(&x->by_vin, vin);
}

struct snapshot *index_by_id(const struct index *x, int64_t vehicle_id)
{
	char id[ID_SIZE];

	return map_get(&x->by_id, id_text(vehicle_id, id));
}

const struct holder *index_holder(const struct index *x, const char *claim)
{
	return map_get(&x->holders, claim);
}

static void claim_make(struct index *x, const struct snapshot *s, const struct claim *c)
{
	struct holder *h = map_get(&x->holders, c->what);

	if (h == NULL) {
		h = memory_zero(1, sizeof(*h));
		map_set(&x->holders, c->what, h);
	}
	if (!c->active) {
		h->revoked++;
		return;
	}
	h->vehicle_id = s->facts.vehicle_id;
	memcpy(h->vin, s->facts.vin, sizeof(h->vin));
}

static void claim_end(struct index *x, const struct snapshot *s, const struct claim *c)
{
	struct holder *h = map_get(&x->holders, c->what);

	if (h == NULL)
		return;
	/* Another vehicle may have it already, when it moved. */
	if (c->active && h->vehicle_id == s->facts.vehicle_id)
		h->vehicle_id = 0;
	else if (!c->active && h->revoked > 0)
		h->revoked--;
	if (h->vehicle_id == 0 && h->revoked == 0)
		free(map_take(&x->holders, c->what));
}

void index_add(struct index *x, struct snapshot *s)
{
	char id[ID_SIZE];

	map_set(&x->by_id, id_text(s->facts.vehicle_id, id), s);
	map_set(&x->by_vin, s->facts.vin, s);
	for (size_t i = 0; i < s->keys->claim_count; i++)
		claim_make(x, s, &s->keys->claims[i]);
}

struct snapshot *index_take(struct index *x, int64_t vehicle_id)
{
	char id[ID_SIZE];
	struct snapshot *s = map_take(&x->by_id, id_text(vehicle_id, id));

	if (s == NULL)
		return NULL;
	/* Another vehicle may have taken its VIN before we heard of this one. */
	if (map_get(&x->by_vin, s->facts.vin) == s)
		map_take(&x->by_vin, s->facts.vin);
	for (size_t i = 0; i < s->keys->claim_count; i++)
		claim_end(x, s, &s->keys->claims[i]);
	return s;
}

static void put(void *value, void *arg)
{
	struct snapshot *s = value;

	(void)arg;
	identity_put(&s->identity);
}

static void free_holder(void *value, void *arg)
{
	(void)arg;
	free(value);
}

void index_clear(struct index *x)
{
	map_clear(&x->by_vin, NULL, NULL);
	map_clear(&x->by_id, put, NULL);
	map_clear(&x->holders, free_holder, NULL);
}

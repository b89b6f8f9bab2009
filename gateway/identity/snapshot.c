#include "gateway/identity/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "gateway/identity/memory.h"

/* True within p.  Draws holds in to the bounds of p that are nearest to at. */
static bool is_within(struct period *holds, const struct period *p, int64_t at)
{
	const int64_t bounds[] = { p->from, p->to };

	for (size_t i = 0; i < 2; i++) {
		if (bounds[i] > at && bounds[i] < holds->to)
			holds->to = bounds[i];
		if (bounds[i] <= at && bounds[i] > holds->from)
			holds->from = bounds[i];
	}
	return p->from <= at && at < p->to;
}

/* What of a snapshot depends on the clock. */
static void judge(struct snapshot *s, int64_t at)
{
	const struct facts *f = &s->facts;

	s->holds = (struct period){ INT64_MIN, INT64_MAX };
	s->identity.blocked = !is_within(&s->holds, &f->valid, at) || f->barred;
	snprintf(s->identity.iccid, sizeof(s->identity.iccid), "%s",
		 is_within(&s->holds, &f->box_valid, at) ? f->iccid : "");
	for (size_t i = 0; i < s->identity.certificate_count; i++) {
		s->identity.certificates[i] = s->certificates[i].certificate;
		s->identity.certificates[i].revoked |=
			!is_within(&s->holds, &s->certificates[i].valid, at);
	}
}

bool snapshot_is_stale(const struct snapshot *s, int64_t at)
{
	return at < s->holds.from || at >= s->holds.to;
}

struct snapshot *snapshot_new(const struct facts *facts, struct key_set *keys,
			      struct certificate_row *certificates, size_t certificate_count,
			      int32_t *platforms, size_t platform_count, int64_t at)
{
	struct snapshot *s = memory_zero(1, sizeof(*s));
	struct identity *i = &s->identity;

	atomic_init(&i->refs, 1);
	s->facts = *facts;
	s->keys = keys;
	s->certificates = certificates;
	memcpy(i->vin, facts->vin, sizeof(i->vin));
	i->vehicle_id = facts->vehicle_id;
	i->has_orders = facts->has_orders;
	i->activated = facts->activated;
	i->signature_required = facts->signature_required;
	i->encryption_required = facts->encryption_required;
	i->signature_share = facts->signature_share;
	i->transport = facts->transport;
	i->layout = facts->layout;
	i->key_count = keys->key_count;
	i->keys = keys->keys;
	i->past_count = keys->past_count;
	i->past = keys->past;
	i->certificate_count = certificate_count;
	i->certificates = memory_zero(certificate_count, sizeof(*i->certificates));
	i->platform_count = platform_count;
	i->platforms = platforms;
	judge(s, at);
	return s;
}

struct snapshot *snapshot_again(const struct snapshot *s, int64_t at)
{
	const struct identity *i = &s->identity;
	struct certificate_row *certificates =
		memory_zero(i->certificate_count, sizeof(*certificates));
	int32_t *platforms = memory_zero(i->platform_count, sizeof(*platforms));
	struct snapshot *copy;

	memcpy(certificates, s->certificates, i->certificate_count * sizeof(*certificates));
	memcpy(platforms, i->platforms, i->platform_count * sizeof(*platforms));
	copy = snapshot_new(&s->facts, key_set_ref(s->keys), certificates, i->certificate_count,
			    platforms, i->platform_count, at);
	copy->digest = s->digest;
	copy->keys_digest = s->keys_digest;
	return copy;
}

bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
	const struct identity *x = &a->identity, *y = &b->identity;

	if (x->blocked != y->blocked || strcmp(x->iccid, y->iccid) != 0)
		return false;
	for (size_t i = 0; i < x->certificate_count; i++)
		if (x->certificates[i].revoked != y->certificates[i].revoked)
			return false;
	return true;
}

struct identity *identity_ref(struct identity *i)
{
	atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
	return i;
}

void identity_put(struct identity *i)
{
	struct snapshot *s;

	if (i == NULL || atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) != 1)
		return;
	s = snapshot_of(i);
	key_set_put(s->keys);
	free(s->certificates);
	free(i->certificates);
	free(i->platforms);
	free(s);
}

bool identity_of_platform(const struct identity *i, int32_t platform_id)
{
	for (size_t n = 0; n < i->platform_count; n++)
		if (i->platforms[n] == platform_id)
			return true;
	return false;
}

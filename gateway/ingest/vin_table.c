#include "gateway/ingest/vin_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/identity/identity.h"
#include "gateway/ingest/list.h"

enum { SHARDS = 16, BUCKETS_MIN = 64 };

struct vin_entry {
	struct vin_entry *next; /* in the bucket */
	struct list unused;	/* member only while owner is NULL; oldest first */
	struct vin_owner *owner;
	int64_t newest; /* see vin_table_is_newest() */
	uint8_t layout;
	char vin[VIN_SIZE + 1];
};

struct shard {
	pthread_mutex_t mutex;
	struct vin_entry **buckets;
	size_t bucket_count, count; /* bucket_count is a power of two */
	struct list unused;
	size_t unused_count, unused_max;
};

struct vin_table {
	struct shard shards[SHARDS];
};

static uint64_t vin_hash(const char *vin)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (; *vin != '\0'; vin++)
		h = (h ^ (unsigned char)*vin) * 0x100000001b3u;
	return h ^ h >> 29;
}

static struct shard *shard_of(struct vin_table *t, const char *vin)
{
	return &t->shards[vin_hash(vin) % SHARDS];
}

static struct vin_entry **bucket_of(struct shard *s, const char *vin)
{
	return &s->buckets[(vin_hash(vin) / SHARDS) & (s->bucket_count - 1)];
}

static struct vin_entry *shard_find(struct shard *s, const char *vin)
{
	struct vin_entry *e = *bucket_of(s, vin);

	while (e != NULL && strcmp(e->vin, vin) != 0)
		e = e->next;
	return e;
}

/* Without memory the table stays as it is: slower, not wrong. */
static void shard_grow(struct shard *s)
{
	struct shard larger = { .bucket_count = s->bucket_count * 2 };

	larger.buckets = calloc(larger.bucket_count, sizeof(struct vin_entry *));
	if (larger.buckets == NULL)
		return;
	for (size_t i = 0; i < s->bucket_count; i++)
		while (s->buckets[i] != NULL) {
			struct vin_entry *e = s->buckets[i], **to = bucket_of(&larger, e->vin);

			s->buckets[i] = e->next;
			e->next = *to;
			*to = e;
		}
	free(s->buckets);
	s->buckets = larger.buckets;
	s->bucket_count = larger.bucket_count;
}

static struct vin_entry *shard_insert(struct shard *s, const char *vin)
{
	struct vin_entry *e = calloc(1, sizeof(*e)), **bucket;

	if (e == NULL)
		return NULL;
	if (s->count >= s->bucket_count)
		shard_grow(s);
	assert(strlen(vin) <= VIN_SIZE);
	snprintf(e->vin, sizeof(e->vin), "%s", vin);
	list_init(&e->unused);
	bucket = bucket_of(s, vin);
	e->next = *bucket;
	*bucket = e;
	s->count++;
	return e;
}

static void shard_forget_oldest(struct shard *s)
{
	struct vin_entry *e = list_entry(s->unused.next, struct vin_entry, unused), **at;

	assert(!list_empty(&s->unused) && e->owner == NULL);
	for (at = bucket_of(s, e->vin); *at != e; at = &(*at)->next)
		;
	*at = e->next;
	list_remove(&e->unused);
	s->unused_count--;
	s->count--;
	free(e);
}

int vin_table_new(size_t remembered_max, struct vin_table **ret, struct error *err)
{
	struct vin_table *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return error_set(err, ERROR_MEMORY, "VIN table: out of memory");
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];

		pthread_mutex_init(&s->mutex, NULL);
		list_init(&s->unused);
		s->unused_max = remembered_max / SHARDS;
		s->bucket_count = BUCKETS_MIN;
		s->buckets = calloc(s->bucket_count, sizeof(struct vin_entry *));
	}
	for (size_t i = 0; i < SHARDS; i++)
		if (t->shards[i].buckets == NULL) {
			vin_table_free(t);
			return error_set(err, ERROR_MEMORY, "VIN table: out of memory");
		}
	*ret = t;
	return 0;
}

void vin_table_free(struct vin_table *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < SHARDS; i++) {
		struct shard *s = &t->shards[i];

		for (size_t b = 0; s->buckets != NULL && b < s->bucket_count; b++)
			while (s->buckets[b] != NULL) {
				struct vin_entry *e = s->buckets[b];

				s->buckets[b] = e->next;
				free(e);
			}
		free(s->buckets);
		pthread_mutex_destroy(&s->mutex);
	}
	free(t);
}

static unsigned strength(uint64_t credential)
{
	static const unsigned strengths[] = {
		[CREDENTIAL_NONE] = 0,
		[CREDENTIAL_PLATFORM] = 1,
		[CREDENTIAL_KEY] = 2,
		[CREDENTIAL_CERTIFICATE] = 3,
	};

	return strengths[credential_kind_of(credential)];
}

/* May somebody with newcomer's credential take the VIN from one with holder's? */
static enum vin_claim dispute(uint64_t holder, uint64_t newcomer, bool takeover)
{
	if (holder == 0 && newcomer == 0)
		return takeover ? VIN_CLAIMED_FROM_OTHER : VIN_HELD_BY_OTHER;
	return holder == newcomer || strength(newcomer) > strength(holder) ? VIN_CLAIMED_FROM_OTHER
									   : VIN_HELD_BY_CREDENTIAL;
}

static enum vin_claim shard_claim(struct shard *s, const char *vin, struct vin_owner *o,
				  bool takeover, struct vin_found *ret)
{
	struct vin_entry *e = shard_find(s, vin);
	enum vin_claim claim = VIN_CLAIMED;

	if (e == NULL && (e = shard_insert(s, vin)) == NULL)
		return VIN_NO_MEMORY;
	*ret = (struct vin_found){ .layout = (enum layout)e->layout };
	if (e->owner != NULL && e->owner != o) {
		ret->holder = e->owner->credential;
		claim = dispute(ret->holder, o->credential, takeover);
		if (claim != VIN_CLAIMED_FROM_OTHER)
			return claim;
		e->owner->taken_over(e->owner);
	}
	if (!list_empty(&e->unused)) {
		list_remove(&e->unused);
		s->unused_count--;
	}
	e->owner = o;
	return claim;
}

enum vin_claim vin_table_claim(struct vin_table *t, const char *vin, struct vin_owner *o,
			       bool takeover, struct vin_found *ret)
{
	struct shard *s = shard_of(t, vin);
	enum vin_claim claim;

	pthread_mutex_lock(&s->mutex);
	claim = shard_claim(s, vin, o, takeover, ret);
	pthread_mutex_unlock(&s->mutex);
	return claim;
}

void vin_table_set_credential(struct vin_table *t, const char *vin, struct vin_owner *o,
			      uint64_t credential)
{
	struct shard *s = shard_of(t, vin);
	struct vin_entry *e;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	if (e != NULL && e->owner == o)
		o->credential = credential;
	pthread_mutex_unlock(&s->mutex);
}

bool vin_table_is_newest(struct vin_table *t, const char *vin, int64_t at)
{
	struct shard *s = shard_of(t, vin);
	struct vin_entry *e;
	bool is_newest;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	is_newest = e != NULL && at > e->newest;
	if (is_newest)
		e->newest = at;
	pthread_mutex_unlock(&s->mutex);
	return is_newest;
}

/* Nobody holds it now: forgotten when too many others came after it. */
static void shard_unuse(struct shard *s, struct vin_entry *e)
{
	e->owner = NULL;
	if (list_empty(&e->unused))
		s->unused_count++;
	list_move_last(&s->unused, &e->unused);
	if (s->unused_count > s->unused_max)
		shard_forget_oldest(s);
}

void vin_table_release(struct vin_table *t, const char *vin, struct vin_owner *o)
{
	struct shard *s = shard_of(t, vin);
	struct vin_entry *e;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	if (e != NULL && e->owner == o)
		shard_unuse(s, e);
	pthread_mutex_unlock(&s->mutex);
}

bool vin_table_visit(struct vin_table *t, const char *vin, vin_visit *visit, void *arg)
{
	struct shard *s = shard_of(t, vin);
	struct vin_entry *e;
	bool found;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	found = e != NULL && e->owner != NULL;
	if (found)
		visit(e->owner, arg);
	pthread_mutex_unlock(&s->mutex);
	return found;
}

enum layout vin_table_layout(struct vin_table *t, const char *vin)
{
	struct shard *s = shard_of(t, vin);
	const struct vin_entry *e;
	enum layout layout;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	layout = e != NULL ? (enum layout)e->layout : LAYOUT_UNKNOWN;
	pthread_mutex_unlock(&s->mutex);
	return layout;
}

void vin_table_set_layout(struct vin_table *t, const char *vin, enum layout layout)
{
	struct shard *s = shard_of(t, vin);
	struct vin_entry *e;

	pthread_mutex_lock(&s->mutex);
	e = shard_find(s, vin);
	if (e == NULL)
		e = shard_insert(s, vin);
	if (e != NULL) {
		e->layout = (uint8_t)layout;
		if (e->owner == NULL)
			shard_unuse(s, e);
	}
	pthread_mutex_unlock(&s->mutex);
}

#include "gateway/ingest/quota.h"

#include <assert.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/*
 * Two tables, of addresses and of VINs.  A table is an array of sets; a key lives in the one set
 * that its hash names, in any of its places, so memory is fixed, nothing is allocated while it is
 * used, and forgetting looks at the places of one set alone.  Neighbouring sets share a lock.
 */
enum { WAYS = 16, LOCKS = 64, KEY_WORDS = 5, BURST_S = 10 };

/*
 * Points for an offence.  Above ALLOWANCE points for itself, and as many for each good connection,
 * new connections of an address are refused, but for the few that its good ones vouch for.  One
 * offence a second comes to 87 times its points in the long run, with the half-life of a minute.
 */
static const double offence_points[OFFENCE_COUNT] = {
	/* 20 broken frames a minute: a sick modem gains nothing by coming back each few seconds. */
	[OFFENCE_BAD_FRAMES] = 20,
	/* A truck that nobody has registered yet tries again each minute, for days; 35 of them may
	 * stand behind one address alone. */
	[OFFENCE_LOGIN_REFUSED] = 2,
	/* A terminal with a wrong key sends a bad signature each 10 seconds and must stay visible;
	 * who tries signatures or ciphertexts does so more than once in 4 seconds. */
	[OFFENCE_FORGERY] = 5,
	/* Costs us as much as a forgery; but so does the certificate of a whole fleet that ran out.
	 */
	[OFFENCE_HANDSHAKE] = 2,
	/* Says nothing until the login deadline.  Rare with honest ones: a radio that went away. */
	[OFFENCE_DEADLINE] = 5,
	/* Does not read its answers and holds our memory. */
	[OFFENCE_SLOW] = 20,
};

enum {
	ALLOWANCE = 100,
	/* Points above this many allowances are not counted: three half-lives after the last
	 * offence everybody is let in again. */
	ALLOWANCES_MAX = 8,
	/* So many good connections vouch for one newcomer a second.  Between connecting and login
	 * nobody can tell him from whoever brought the points in; he may have to try more than
	 * once, and all that come in for it cost us little. */
	GOOD_PER_ADMISSION = 10,
};

struct key {
	uint64_t words[KEY_WORDS];
};

struct entry {
	struct key key; /* all zero: free */
	uint32_t open;	/* connections */
	uint32_t good;	/* of them logged in, without an offence */
	/* As of seen_ms.  credit: the most good connections at one time, forgotten like penalties;
	 * it speaks for a fleet that was cut off and comes back all at once. */
	double penalty, credit;
	uint64_t seen_ms;
	struct quota_bucket logins, admissions, kept;
};

struct set {
	struct entry ways[WAYS];
};

struct table {
	struct set *sets;
	size_t set_count;
	uint64_t seed; /* or somebody could aim at one set */
	pthread_mutex_t locks[LOCKS];
};

struct quota {
	struct table sources, vins;
	pthread_mutex_t kept_mutex;
	struct quota_bucket kept; /* of all addresses */
};

/* ---- tables ---- */

static int table_init(struct table *t, size_t remembered_max)
{
	t->set_count = (remembered_max + WAYS - 1) / WAYS;
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_init(&t->locks[i], NULL);
	t->sets = calloc(t->set_count, sizeof(*t->sets)); /* pages come when they are touched */
	if (t->sets == NULL || getrandom(&t->seed, sizeof(t->seed), 0) != (ssize_t)sizeof(t->seed))
		return ERROR_MEMORY;
	return 0;
}

static void table_release(struct table *t)
{
	for (size_t i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&t->locks[i]);
	free(t->sets);
}

/* The mixing step of MurmurHash3, by Austin Appleby, over each word. */
static size_t set_of(const struct table *t, const struct key *key)
{
	uint64_t h = t->seed;

	for (size_t i = 0; i < KEY_WORDS; i++) {
		h ^= key->words[i];
		h = (h ^ h >> 33) * 0xff51afd7ed558ccdu;
		h = (h ^ h >> 33) * 0xc4ceb9fe1a85ec53u;
		h ^= h >> 33;
	}
	return h % t->set_count;
}

/* What is left of 1 after ms. */
static double remainder_after(const struct config *c, uint64_t ms)
{
	const double half_life_ms = (double)c->limit_penalty_half_life_s * 1000;

	return half_life_ms > 0 ? exp2(-(double)ms / half_life_ms) : 0;
}

/* Changes nothing: a look at an entry is not a sight of its address. */
static double penalty_now(const struct entry *e, const struct config *c, uint64_t now_ms)
{
	if (e->penalty <= 0 || now_ms <= e->seen_ms)
		return e->penalty;
	return e->penalty * remainder_after(c, now_ms - e->seen_ms);
}

/* True when a is the better one to forget; a free one is the best. */
static bool matters_less(const struct entry *a, const struct entry *b, const struct config *c,
			 uint64_t now_ms)
{
	const double of_a = penalty_now(a, c, now_ms), of_b = penalty_now(b, c, now_ms);

	if ((a->open == 0) != (b->open == 0))
		return a->open == 0;
	if (of_a < of_b || of_a > of_b)
		return of_a < of_b;
	return a->seen_ms < b->seen_ms;
}

static void entry_decay(struct entry *e, const struct config *c, uint64_t now_ms)
{
	double factor;

	if (now_ms <= e->seen_ms) /* the clock of another loop is a little ahead */
		return;
	factor = remainder_after(c, now_ms - e->seen_ms);
	e->penalty *= factor;
	e->credit *= factor;
	e->seen_ms = now_ms;
}

/*
 * The entry of key as of now, with its set locked; give it back with entry_put().  make: a new one
 * when there is none.  NULL: there is none, or all places of the set belong to addresses with
 * connections; nothing is locked then.
 */
static struct entry *entry_get(struct table *t, const struct key *key, bool make,
			       const struct config *c, uint64_t now_ms)
{
	const size_t set = set_of(t, key);
	struct entry *ways = t->sets[set].ways, *found = NULL, *least = &ways[0];

	pthread_mutex_lock(&t->locks[set % LOCKS]);
	for (size_t i = 0; i < WAYS && found == NULL; i++)
		if (memcmp(&ways[i].key, key, sizeof(*key)) == 0)
			found = &ways[i];
	for (size_t i = 0; i < WAYS && found == NULL && make; i++)
		if (matters_less(&ways[i], least, c, now_ms))
			least = &ways[i];
	if (found == NULL && make && least->open == 0) {
		*least = (struct entry){ .key = *key, .seen_ms = now_ms };
		found = least;
	}
	if (found == NULL)
		pthread_mutex_unlock(&t->locks[set % LOCKS]);
	else
		entry_decay(found, c, now_ms);
	return found;
}

static void entry_put(struct table *t, const struct entry *e)
{
	pthread_mutex_unlock(&t->locks[set_of(t, &e->key) % LOCKS]);
}

static struct key source_key(const uint8_t peer[16])
{
	static const uint8_t mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	struct key key = { { 0 } };

	/* Whoever has one address of an IPv6 /64 has all of them. */
	memcpy(key.words, peer, memcmp(peer, mapped, sizeof(mapped)) == 0 ? 16 : 8);
	key.words[KEY_WORDS - 1] = 1; /* :: is a key too */
	return key;
}

static struct key vin_key(const uint8_t peer[16], const char *vin)
{
	struct key key = source_key(peer);
	char text[(KEY_WORDS - 2) * sizeof(uint64_t)] = { 0 };

	memcpy(text, vin, strnlen(vin, sizeof(text) - 1));
	memcpy(&key.words[2], text, sizeof(text));
	return key;
}

int quota_new(size_t remembered_max, struct quota **ret, struct error *err)
{
	struct quota *q = calloc(1, sizeof(*q));

	assert(remembered_max > 0);
	if (q == NULL)
		return error_set(err, ERROR_MEMORY, "quota: out of memory");
	pthread_mutex_init(&q->kept_mutex, NULL);
	if (table_init(&q->sources, remembered_max) != 0 ||
	    table_init(&q->vins, remembered_max) != 0) {
		quota_free(q);
		return error_set(err, ERROR_MEMORY, "quota: out of memory");
	}
	*ret = q;
	return 0;
}

void quota_free(struct quota *q)
{
	if (q == NULL)
		return;
	table_release(&q->sources);
	table_release(&q->vins);
	pthread_mutex_destroy(&q->kept_mutex);
	free(q);
}

/* ---- buckets ---- */

/* Takes so many; 0, or the milliseconds until they are there. */
static unsigned bucket_take(struct quota_bucket *b, double wanted, double per_s, double burst,
			    uint64_t now_ms)
{
	if (b->at_ms == 0)
		b->left = burst;
	else if (now_ms > b->at_ms)
		b->left += (double)(now_ms - b->at_ms) / 1000 * per_s;
	if (b->left > burst)
		b->left = burst;
	if (b->at_ms < now_ms)
		b->at_ms = now_ms;
	if (b->left < wanted)
		return (unsigned)ceil((wanted - b->left) / per_s * 1000);
	b->left -= wanted;
	return 0;
}

unsigned quota_take(struct quota_bucket *b, unsigned rate, uint64_t now_ms)
{
	assert(rate > 0);
	return bucket_take(b, 1, rate, (double)rate * BURST_S, now_ms);
}

/* A minute's worth may come at once: a fleet comes back from a tunnel together. */
static bool login_take(struct table *t, const struct key *key, int64_t per_minute,
		       const struct config *c, uint64_t now_ms)
{
	struct entry *e;
	bool ok;

	if (per_minute == 0 || (e = entry_get(t, key, true, c, now_ms)) == NULL)
		return true;
	ok = bucket_take(&e->logins, 1, (double)per_minute / 60, (double)per_minute, now_ms) == 0;
	entry_put(t, e);
	return ok;
}

bool quota_login(struct quota *q, const struct config *c, const uint8_t peer[16], const char *vin,
		 uint64_t now_ms)
{
	const struct key source = source_key(peer), one = vin_key(peer, vin);

	/* The VIN first: who repeats one VIN does not use up what his neighbours need. */
	return login_take(&q->vins, &one, c->limit_vin_logins, c, now_ms) &&
	       login_take(&q->sources, &source, c->limit_source_logins, c, now_ms);
}

/* ---- addresses ---- */

static double standing(const struct entry *e)
{
	return fmax(e->good, e->credit);
}

static double allowance(const struct entry *e)
{
	return ALLOWANCE * (1 + standing(e));
}

static bool is_welcome(struct entry *e, uint64_t now_ms)
{
	const double per_s = standing(e) / GOOD_PER_ADMISSION;

	if (e->penalty <= allowance(e))
		return true;
	return per_s >= 1 && bucket_take(&e->admissions, 1, per_s, per_s, now_ms) == 0;
}

bool quota_accept(struct quota *q, const struct config *c, const uint8_t peer[16],
		  struct quota_guest *guest, uint64_t now_ms)
{
	const struct key key = source_key(peer);
	struct entry *e = entry_get(&q->sources, &key, true, c, now_ms);

	assert(!guest->counted && !guest->good);
	if (e == NULL)
		return true; /* more addresses than we remember: the common bounds hold */
	if ((c->limit_source_connections == 0 || e->open < c->limit_source_connections) &&
	    is_welcome(e, now_ms)) {
		e->open++;
		guest->counted = true;
	}
	entry_put(&q->sources, e);
	return guest->counted;
}

void quota_welcome(struct quota *q, const struct config *c, const uint8_t peer[16],
		   struct quota_guest *guest, uint64_t now_ms)
{
	const struct key key = source_key(peer);
	struct entry *e;

	if (!guest->counted || guest->good)
		return;
	e = entry_get(&q->sources, &key, false, c, now_ms);
	assert(e != NULL); /* it has a connection */
	e->good++;
	e->credit = fmax(e->credit, e->good);
	guest->good = true;
	entry_put(&q->sources, e);
}

void quota_closed(struct quota *q, const struct config *c, const uint8_t peer[16],
		  struct quota_guest *guest, uint64_t now_ms)
{
	const struct key key = source_key(peer);
	struct entry *e;

	if (!guest->counted)
		return;
	e = entry_get(&q->sources, &key, false, c, now_ms);
	assert(e != NULL && e->open > 0 && e->good >= guest->good);
	e->open--;
	e->good -= guest->good;
	*guest = (struct quota_guest){ 0 };
	entry_put(&q->sources, e);
}

void quota_offence(struct quota *q, const struct config *c, const uint8_t peer[16],
		   struct quota_guest *guest, enum quota_offence offence, uint64_t now_ms)
{
	const struct key key = source_key(peer);
	struct entry *e = entry_get(&q->sources, &key, true, c, now_ms);

	assert(offence < OFFENCE_COUNT);
	if (e == NULL)
		return;
	e->good -= guest->good;
	guest->good = false;
	if (c->limit_penalty_half_life_s > 0)
		e->penalty =
			fmin(e->penalty + offence_points[offence], ALLOWANCES_MAX * allowance(e));
	entry_put(&q->sources, e);
}

bool quota_keep(struct quota *q, const struct config *c, const uint8_t peer[16], size_t size,
		uint64_t now_ms)
{
	const struct key key = source_key(peer);
	const double kib = fmax(1, (double)size / 1024);
	struct entry *e = entry_get(&q->sources, &key, true, c, now_ms);
	double per_minute = (double)c->session_bad_frames_max;
	bool ok = true;

	if (e !=
	    NULL) { /* else there are more addresses than we remember: the common bound holds */
		per_minute += standing(e);
		ok = bucket_take(&e->kept, kib, per_minute / 60, per_minute, now_ms) == 0;
		entry_put(&q->sources, e);
	}
	if (!ok)
		return false;
	pthread_mutex_lock(&q->kept_mutex);
	ok = bucket_take(&q->kept, kib, KEPT_KIB_S, 60 * KEPT_KIB_S, now_ms) == 0;
	pthread_mutex_unlock(&q->kept_mutex);
	return ok;
}

unsigned quota_early_drop(unsigned unauthenticated, unsigned limit, uint32_t chance)
{
	assert(limit > 0);
	if (unauthenticated <= limit)
		return 0;
	if (unauthenticated > 2 * limit)
		return unauthenticated - 2 * limit;
	return (uint64_t)chance * limit >> 32 < unauthenticated - limit;
}

#include "gateway/identity/identity.h"

#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/identity/load.h"
#include "gateway/identity/memory.h"
#include "gateway/identity/thread.h"

/* ---- life ---- */

static void lock_init(pthread_rwlock_t *lock)
{
	pthread_rwlockattr_t attributes;

	/* A herd of logins must not keep a revocation waiting. */
	pthread_rwlockattr_init(&attributes);
	pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(lock, &attributes);
	pthread_rwlockattr_destroy(&attributes);
}

static void release(struct identities *t)
{
	index_clear(&t->index);
	platforms_clear(&t->platforms);
	identity_ring_put(t->ring);
	pthread_rwlock_destroy(&t->lock);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	free(t->conninfo);
	free(t);
}

int identities_open(const struct identities_options *options, struct identities **ret,
		    struct error *err)
{
	const struct config *c = options->config;
	struct identities *t = memory_zero(1, sizeof(*t));
	int rc;

	t->metrics = options->metrics;
	t->changed = options->changed;
	t->arg = options->arg;
	t->db.stopping = &t->stopping;
	t->next_bound = INT64_MAX;
	atomic_init(&t->signature_required, c->session_signature == SIGNATURE_REQUIRED);
	lock_init(&t->lock);
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->conninfo = strdup(c->store_conninfo);
	if (t->wake_fd < 0 || t->conninfo == NULL)
		rc = error_errno(err, ERROR_MEMORY, "cannot start the identity thread");
	else
		rc = key_ring_load(c->keys_dir, &t->ring, err);
	if (rc < 0) {
		release(t);
		return rc;
	}
	*ret = t; /* changed() may want it at once */
	if (t->conninfo[0] == '\0')
		return 0;
	if (pthread_create(&t->thread, NULL, identities_thread, t) != 0) {
		*ret = NULL;
		release(t);
		return error_set(err, ERROR_MEMORY, "cannot start the identity thread");
	}
	t->has_thread = true;
	return 0;
}

static void wake(struct identities *t)
{
	const uint64_t one = 1;

	if (write(t->wake_fd, &one, sizeof(one)) < 0)
		return; /* full: it is awake */
}

void identities_close(struct identities *t)
{
	if (t == NULL)
		return;
	atomic_store(&t->stopping, true);
	wake(t);
	if (t->has_thread)
		pthread_join(t->thread, NULL);
	release(t);
}

void identities_set_ring(struct identities *t, const struct key_ring *old, struct key_ring *fresh)
{
	struct key_ring *unused = fresh;

	pthread_rwlock_wrlock(&t->lock);
	if (old == NULL || old == t->ring) {
		unused = t->ring;
		t->ring = fresh;
	}
	pthread_rwlock_unlock(&t->lock);
	identity_ring_put(unused);
}

int identities_check(const struct config *config, struct error *err)
{
	struct key_ring *ring = NULL;
	const int rc = key_ring_load(config->keys_dir, &ring, err);

	if (rc == 0)
		identity_ring_put(ring);
	return rc;
}

int identities_reload(struct identities *t, const struct config *config, struct error *err)
{
	struct key_ring *fresh;
	const int rc = key_ring_load(config->keys_dir, &fresh, err);

	if (rc < 0)
		return rc;
	identities_set_ring(t, NULL, fresh);
	atomic_store(&t->signature_required, config->session_signature == SIGNATURE_REQUIRED);
	atomic_store(&t->reloaded, true);
	wake(t);
	return 0;
}

/* ---- any thread ---- */

enum identity_state identity_get(struct identities *t, const char *vin, struct identity **ret)
{
	enum identity_state state = IDENTITY_NOT_LOADED;
	struct snapshot *s;

	pthread_rwlock_rdlock(&t->lock);
	if (t->loaded) {
		s = index_by_vin(&t->index, vin);
		state = s != NULL ? IDENTITY_KNOWN : IDENTITY_UNKNOWN;
		if (s != NULL)
			*ret = identity_ref(&s->identity);
	}
	pthread_rwlock_unlock(&t->lock);
	return state;
}

struct identity_platform *identity_platform(struct identities *t, const char *login)
{
	struct identity_platform *p;

	pthread_rwlock_rdlock(&t->lock);
	p = map_get(&t->platforms, login);
	if (p != NULL)
		identity_platform_ref(p);
	pthread_rwlock_unlock(&t->lock);
	return p;
}

bool identity_chip(struct identities *t, const char *chip_id, char ret_vin[VIN_SIZE + 1])
{
	const struct holder *h;
	char claim[CLAIM_SIZE];
	bool found;

	claim_of_chip(chip_id, claim);
	pthread_rwlock_rdlock(&t->lock);
	h = index_holder(&t->index, claim);
	found = h != NULL && h->vehicle_id != 0;
	if (found)
		memcpy(ret_vin, h->vin, sizeof(h->vin));
	pthread_rwlock_unlock(&t->lock);
	return found;
}

struct key_ring *identity_ring(struct identities *t)
{
	struct key_ring *r;

	pthread_rwlock_rdlock(&t->lock);
	r = key_ring_ref(t->ring);
	pthread_rwlock_unlock(&t->lock);
	return r;
}

/* ---- activation ---- */

/* s: NULL when the vehicle is not registered. */
static bool is_of_other(const struct holder *h, const struct snapshot *s)
{
	return h != NULL && h->vehicle_id != 0 &&
	       (s == NULL || h->vehicle_id != s->facts.vehicle_id);
}

static bool is_revoked(const struct holder *h)
{
	return h != NULL && h->revoked > 0;
}

/* The vehicle's own active key, in this chip or in one that was not registered. */
static bool is_known(const struct snapshot *s, const char *claim, const char *chip_id)
{
	for (size_t i = 0; i < s->keys->claim_count; i++) {
		const struct claim *c = &s->keys->claims[i];

		if (c->active && strcmp(c->what, claim) == 0)
			return c->chip_id[0] == '\0' || strcmp(c->chip_id, chip_id) == 0;
	}
	return false;
}

/* Lock held.  The order of the questions is that of activation_take(). */
static enum identity_activation judge(const struct identities *t, const char *vin,
				      const char *chip_id, const char *chip_claim,
				      const char *key_claim)
{
	const struct snapshot *s = index_by_vin(&t->index, vin);
	const struct holder *key = index_holder(&t->index, key_claim);
	const struct holder *chip = chip_id[0] != '\0' ? index_holder(&t->index, chip_claim) : NULL;

	if (!t->loaded)
		return IDENTITY_ACTIVATION_NOT_LOADED;
	if (s != NULL && s->identity.blocked)
		return IDENTITY_ACTIVATION_VIN_UNKNOWN;
	if (is_of_other(key, s) || is_of_other(chip, s))
		return IDENTITY_ACTIVATION_CHIP_TAKEN;
	if (s != NULL && is_known(s, key_claim, chip_id))
		return IDENTITY_ACTIVATION_KNOWN;
	if ((s != NULL && s->identity.activated) || is_revoked(key) || is_revoked(chip))
		return IDENTITY_ACTIVATION_PERSON;
	return s == NULL ? IDENTITY_ACTIVATION_VIN_UNKNOWN : IDENTITY_ACTIVATION_FIRST;
}

enum identity_activation identity_activation(struct identities *t, const char *vin,
					     const char *chip_id, const uint8_t *key, size_t size)
{
	char chip_claim[CLAIM_SIZE], key_claim[CLAIM_SIZE];
	enum identity_activation result;

	claim_of_chip(chip_id, chip_claim);
	claim_of_key(key, size, key_claim);
	pthread_rwlock_rdlock(&t->lock);
	result = judge(t, vin, chip_id, chip_claim, key_claim);
	pthread_rwlock_unlock(&t->lock);
	return result;
}

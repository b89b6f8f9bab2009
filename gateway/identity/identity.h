/*
 * identity.h - who may speak for a VIN, and with which keys: the registry as the running gateway
 * needs it, in memory, and never older than a second while the database answers.
 *
 * One thread holds a connection that LISTENs on haulgate_registry, reads what changed, and
 * publishes immutable, counted snapshots.  When the database is away, what was last known holds.
 *
 * Private and secret keys live here only: those of the gateway come from keys.dir (docs/keys.md),
 * those of terminals from the database, wrapped, and are unwrapped by keys.dir/wrapping.key.
 */
#ifndef GATEWAY_IDENTITY_IDENTITY_H
#define GATEWAY_IDENTITY_IDENTITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/metrics.h"
#include "proto/wire/guard.h"

/*
 * A credential is what somebody proved who he is with: a number in records and rows, id * 4 + kind.
 * 0: nothing was proved (a plain connection with an unsigned frame).
 */
enum credential_kind {
	CREDENTIAL_NONE,
	CREDENTIAL_KEY,
	CREDENTIAL_CERTIFICATE,
	CREDENTIAL_PLATFORM
};
static inline uint64_t credential(enum credential_kind kind, int64_t id)
{
	return (uint64_t)id * 4 + (uint64_t)kind;
}

static inline enum credential_kind credential_kind_of(uint64_t credential)
{
	return (enum credential_kind)(credential % 4);
}

enum transport { TRANSPORT_ANY, TRANSPORT_TLS, TRANSPORT_CERTIFICATE };

/* terminal_key; times are unix seconds, INT64_MIN and INT64_MAX without a bound. */
struct identity_key {
	int64_t id;
	int64_t valid_from, valid_to;
	char chip_id[17];
	uint8_t public_key[64];		 /* SM2 signers; else zero */
	struct signature_key *signer;	 /* NULL: a cipher */
	const struct cipher_key *cipher; /* NULL: a signer, or a mode for the gateway's own pair */
	enum algorithm algorithm;
	enum cipher_mode mode; /* of the gateway's own pair when cipher is NULL */
};

struct identity_certificate {
	int64_t id;
	uint8_t fingerprint[32]; /* SHA-256 of the DER */
	bool revoked;
};

/* One vehicle.  Immutable but for the count. */
struct identity {
	atomic_uint refs;
	char vin[VIN_SIZE + 1];
	int64_t vehicle_id;
	bool blocked;	 /* retired, blocked, or outside valid_from .. valid_to */
	bool has_orders; /* commands wait for it */
	bool activated;	 /* a key of it signs, or did once: no activation is automatic any more */
	bool signature_required;
	bool encryption_required;
	double signature_share; /* of signed frames to verify, 0 to 1 */
	enum transport transport;
	enum layout layout;
	char iccid[21]; /* as registered; "" = any */
	size_t key_count, past_count, certificate_count, platform_count;
	struct identity_key *keys; /* active ones only */
	/* Signers that were revoked since: nobody speaks by them any more, and what they signed
	 * until valid_to is evidence still. */
	struct identity_key *past;
	struct identity_certificate *certificates;
	int32_t *platforms; /* whose vehicle it is */
};

/* An enterprise platform's account.  Immutable but for the count. */
struct identity_platform {
	atomic_uint refs;
	int32_t id;
	char login[13];
	char password[256]; /* crypt(5) hash, yescrypt */
	bool blocked, require_tls;
	size_t source_count;
	struct identity_network {
		uint8_t address[16]; /* IPv6 or v4-mapped */
		unsigned bits;	     /* of 128 */
	} * sources;		     /* none: any */
};

struct identities;

struct identities_options {
	const struct config *config; /* store.conninfo, keys.dir, session.signature */
	struct metrics_thread *metrics;
	/* On the identity thread: vin's snapshot is another one now, "" = look at all. */
	void (*changed)(const char *vin, void *arg);
	void *arg;
};

/*
 * Starts the thread; does not wait for the database.  conninfo empty: nothing is ever loaded, only
 * the gateway's own keys.  ERROR_USAGE: keys.dir or a key in it is not as it should be.
 */
int identities_open(const struct identities_options *options, struct identities **ret,
		    struct error *err);
void identities_close(struct identities *t); /* NULL-safe; snapshots held elsewhere stay good */
/* What identities_reload() would say of the folder of keys; changes nothing. */
int identities_check(const struct config *config, struct error *err);
/* New policy defaults and keys; on failure the old keys stay.  Any thread. */
int identities_reload(struct identities *t, const struct config *config, struct error *err);

/* ---- any thread; never waits for the database ---- */

enum identity_state { IDENTITY_NOT_LOADED, IDENTITY_UNKNOWN, IDENTITY_KNOWN };
/* KNOWN: *ret is counted, give it back with identity_put(). */
enum identity_state identity_get(struct identities *t, const char *vin, struct identity **ret);
struct identity *identity_ref(struct identity *i);
void identity_put(struct identity *i); /* NULL-safe */

/* The account, counted, or NULL.  Names are compared exactly. */
struct identity_platform *identity_platform(struct identities *t, const char *login);
struct identity_platform *identity_platform_ref(struct identity_platform *p);
void identity_platform_put(struct identity_platform *p); /* NULL-safe */
/* From an address (as in struct connection: 16 bytes) the account may be used. */
bool identity_platform_source(const struct identity_platform *p, const uint8_t address[16]);
bool identity_of_platform(const struct identity *i, int32_t platform_id);

/* The VIN that an active signing key with this chip id belongs to.  False: none. */
bool identity_chip(struct identities *t, const char *chip_id, char ret_vin[VIN_SIZE + 1]);

/*
 * What the registry says to an activation: this key, made in this chip, for this VIN.  The database
 * decides by the same rules (activation_take() in schema/0004_identity.sql).
 */
enum identity_activation {
	IDENTITY_ACTIVATION_NOT_LOADED,
	IDENTITY_ACTIVATION_VIN_UNKNOWN, /* or blocked; nothing else speaks against it */
	IDENTITY_ACTIVATION_KNOWN,	 /* active already, with this chip */
	IDENTITY_ACTIVATION_CHIP_TAKEN,	 /* chip or key are another VIN's */
	IDENTITY_ACTIVATION_PERSON,	 /* another key was there, or this one was revoked */
	IDENTITY_ACTIVATION_FIRST,	 /* nothing stands in the way but the policy */
};
enum identity_activation identity_activation(struct identities *t, const char *vin,
					     const char *chip_id, const uint8_t *key, size_t size);

/*
 * The keys that may open and verify f at that time (unix seconds).  id may be NULL: then the
 * gateway's own keys alone.  Only pointers into *id and the key ring: hold both.  The ring is
 * counted; put it back when the job is done.
 */
struct key_ring;
struct key_ring *identity_ring(struct identities *t);
void identity_ring_put(struct key_ring *r);
void identity_guard_keys(const struct identity *id, const struct key_ring *ring,
			 const struct frame *f, enum protocol protocol, int64_t at,
			 struct guard_keys *ret);
/* Adds the signers that were good at that time and are revoked by now: for evidence alone. */
void identity_guard_past_keys(const struct identity *id, int64_t at, struct guard_keys *g);

#endif

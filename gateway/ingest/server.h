/*
 * server.h - the parts of the running gateway that all loops share, and its loops.
 *
 * Main thread only, except where said.
 */
#ifndef GATEWAY_INGEST_SERVER_H
#define GATEWAY_INGEST_SERVER_H

#include <stdatomic.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"
#include "gateway/base/metrics.h"
#include "gateway/downlink/downlink.h"
#include "gateway/identity/identity.h"
#include "gateway/ingest/crypto.h"
#include "gateway/ingest/quota.h"
#include "gateway/ingest/tls.h"
#include "gateway/ingest/vin_table.h"
#include "gateway/spool/spool.h"
#include "gateway/store/store.h"

struct loop;

/* Slots of the metrics file: one for each thread that counts. */
enum { SLOT_MAIN, SLOT_SPOOL, SLOT_STORE, SLOT_IDENTITY, SLOT_DOWNLINK, SLOT_CRYPTO, SLOT_LOOPS };

struct server {
	/* Set before the loops start, unchanged after; safe to use from every loop. */
	const struct config *config; /* as at start: for keys that need a restart */
	struct metrics *metrics;
	struct spool *spool;
	struct store *store; /* NULL without a database */
	struct vin_table *vins;
	struct quota *quota;
	struct identities *identities; /* without a database: our own keys alone */
	struct crypto_pool *crypto;
	struct downlink *downlink; /* NULL without a database */
	struct tls *tls;	   /* NULL without a TLS address */
	/* Called once, from any thread, when the spool failed. */
	void (*failed)(struct server *s);

	_Atomic int64_t connections; /* open, over all loops */
	_Atomic uint64_t committed;  /* position behind what the store holds */
	atomic_bool spool_failed;

	struct loop **loops;
	unsigned loop_count;
};

/* Opens metrics, TLS, spool, store and listeners, starts the loops.  On failure nothing is left. */
int server_start(struct server *s, const struct config *config, struct error *err);

/*
 * A reloaded configuration, which must live until server_stop.  The certificate is loaded first:
 * when that fails, nothing changes.
 */
int server_reload(struct server *s, const struct config *config, struct error *err);

/* ---- any thread ---- */

bool server_has_registry(const struct server *s);
/* As identity_get(); UNKNOWN without a registry. */
enum identity_state server_identity(struct server *s, const char *vin, struct identity **ret);

/* ---- main thread ---- */

/* Once a second: looks after what changes without a signal. */
void server_watch(struct server *s);

/* True while every loop turned within the last limit_ms. */
bool server_alive(const struct server *s, uint64_t limit_ms);

/* Drains: no new connections, no reading, answers for what is durable, then all is closed. */
void server_stop(struct server *s);

/* Any thread: the spool cannot be trusted any more; no answer leaves after this. */
void server_fail(struct server *s, const char *what);

#endif

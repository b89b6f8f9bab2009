/*
 * tls.h - certificate and settings of all TLS connections: TLS 1.2 and 1.3, session tickets,
 * no renegotiation, no early data, no compression; and certificates of terminals
 * (listen.tls_client), see docs/security.md, "Mutual TLS".
 *
 * A ticket never stands for a certificate: who showed one shows it again at each connection, so
 * that nobody resumes past a revocation.
 */
#ifndef GATEWAY_INGEST_TLS_H
#define GATEWAY_INGEST_TLS_H

#include <openssl/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"
#include "gateway/base/metrics.h"

struct tls;
struct connection;

enum {
	TLS_CHAIN_DEPTH_MAX = 4,	/* CAs between a terminal and the end of its chain */
	TLS_CHAIN_SIZE_MAX = 16 * 1024, /* bytes of certificates that a peer may send */
};

/* metrics: of the thread that calls tls_reload() and tls_watch(). */
int tls_new(const struct config *c, struct metrics_thread *metrics, struct tls **ret,
	    struct error *err);
void tls_free(struct tls *t); /* NULL-safe; after all connections */

/*
 * New connections get the new certificate, CAs and CRLs; tickets that were given out stay good.  On
 * failure the old ones stay in use.  CRLs that cannot be read are no failure: they are logged, and
 * nobody with a certificate is let in until they can.
 */
int tls_reload(struct tls *t, const struct config *c, struct error *err);

/*
 * Once a second: CRLs whose file changed are read again, and those that grew too old are said.
 * True: they were read, and tls_revoked() may say something else.
 */
bool tls_watch(struct tls *t);

/* ---- any thread ---- */

/* An accepting SSL whose BIO is the loop of c; NULL without memory. */
SSL *tls_accept(struct tls *t, struct connection *c);

/*
 * The handshake is done: may the peer go on, with the certificate that it showed or without one?
 * Keeps what is needed of the certificate in c->certificate.
 */
bool tls_admit(struct tls *t, struct connection *c);

/* True when the certificate of c was revoked since it was shown. */
bool tls_revoked(struct tls *t, const struct connection *c);

/* ---- the verified certificate that the terminal showed; loop thread ---- */

/* The VIN in its SAN; NULL: a plain connection, no certificate, or none with a VIN. */
const char *tls_certificate_vin(const struct connection *c);
/* SHA-256 of its DER.  False: there is none. */
bool tls_certificate_fingerprint(const struct connection *c, uint8_t out[32]);

#endif

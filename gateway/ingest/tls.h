/*
 * tls.h - certificate and settings of all TLS connections: TLS 1.2 and 1.3, session tickets,
 * no renegotiation, no early data, no compression.
 */
#ifndef GATEWAY_INGEST_TLS_H
#define GATEWAY_INGEST_TLS_H

#include <openssl/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/error.h"

struct tls;
struct connection;

int tls_new(const char *certificate, const char *key, struct tls **ret, struct error *err);
void tls_free(struct tls *t); /* NULL-safe; after all connections */

/*
 * New connections get the new certificate; tickets that were given out stay good.  On failure the
 * old one stays in use.  Any thread.
 */
int tls_reload(struct tls *t, const char *certificate, const char *key, struct error *err);

/* An accepting SSL whose BIO is the loop of c; NULL without memory.  Any thread. */
SSL *tls_accept(struct tls *t, struct connection *c);

/* ---- the verified certificate that the terminal showed; loop thread ---- */

/* The VIN in its SAN; NULL: a plain connection, no certificate, or none with a VIN. */
const char *tls_certificate_vin(const struct connection *c);
/* SHA-256 of its DER.  False: there is none. */
bool tls_certificate_fingerprint(const struct connection *c, uint8_t out[32]);

#endif

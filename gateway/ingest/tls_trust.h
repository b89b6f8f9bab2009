/*
 * tls_trust.h - whose certificates count: the CAs of terminals, and what they have revoked, as of
 * one reading of the files.  Immutable and counted; any thread.
 *
 * It fails closed: a CA without a CRL that is good now vouches for nobody.
 */
#ifndef GATEWAY_INGEST_TLS_TRUST_H
#define GATEWAY_INGEST_TLS_TRUST_H

#include <openssl/types.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "gateway/base/error.h"

struct trust;

/*
 * Both are PEM files, with one CA or CRL after the other.  CAs that cannot be read are an error;
 * CRLs that cannot be are a fault of the result: see trust_fault().
 */
int trust_load(const char *ca, const char *crl, struct trust **ret, struct error *err);
/* The same CAs with the CRLs as the file has them now; NULL without memory. */
struct trust *trust_renew(const struct trust *old);
struct trust *trust_ref(struct trust *t);
void trust_put(struct trust *t); /* NULL-safe */

/* True when the file of CRLs is not any more the one that was read. */
bool trust_is_stale(const struct trust *t);

/* True with a text: why not everybody can be judged at `now`. */
bool trust_fault(const struct trust *t, time_t now, char *out, size_t size);

/* What verifies a chain: CAs, CRLs, and that both are to be asked.  t keeps it. */
X509_STORE *trust_store(const struct trust *t);
/* For the list that a server shows to its clients. */
STACK_OF(X509) * trust_authorities(const struct trust *t);

/* A chain that was verified once and may have intermediates that only the peer has. */
bool trust_verifies(const struct trust *t, X509 *leaf, STACK_OF(X509) * untrusted);
/* True when one certificate of a verified chain is revoked; no CRL, nothing revoked. */
bool trust_revokes(const struct trust *t, STACK_OF(X509) * chain);

#endif

/* tls_certificate.h - what we keep of a terminal's certificate: whose it is, and which. */
#ifndef GATEWAY_INGEST_TLS_CERTIFICATE_H
#define GATEWAY_INGEST_TLS_CERTIFICATE_H

#include <openssl/types.h>
#include <stdint.h>

#include "proto/wire/frame.h"

struct certificate {
	/* From its SAN URI:urn:vin:VIN; empty: it has none, two, or one that is no VIN. */
	char vin[VIN_SIZE + 1];
	uint8_t fingerprint[32]; /* SHA-256 of its DER */
};

/* NULL without memory; free() it. */
struct certificate *certificate_read(const X509 *x);

#endif

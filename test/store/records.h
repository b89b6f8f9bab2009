/*
 * records.h - records as the gateway writes them of frames that were encrypted, signed or sent by
 * somebody who proved who he is.
 */
#ifndef TEST_STORE_RECORDS_H
#define TEST_STORE_RECORDS_H

#include <openssl/evp.h>

#include "gateway/identity/identity.h"
#include "record.pb-c.h"
#include "test/store/fixture.h"

/* What fixture_feed() makes of an accepted frame: to be changed, and fed.  Borrows the bytes. */
Haulgate__FrameRecord record_of(const struct bytes *frame, int64_t received_at);
void record_feed(struct fixture *f, const Haulgate__FrameRecord *r);

/* Address 192.0.2.host, port 1024. */
struct peer {
	uint8_t bytes[18];
};
struct peer peer_at(uint8_t host);
void record_from(Haulgate__FrameRecord *r, const struct peer *peer, uint64_t credential);
/* By a platform whose truck proved nothing itself. */
void record_by_platform(Haulgate__FrameRecord *r, uint64_t platform);

/* The same frame as a terminal with a key sends it, with bytes in the unit that nobody can read;
 * the clear unit stands in the record. */
struct bytes truck_encrypted(const struct bytes *frame);
void record_opened(Haulgate__FrameRecord *r, const struct bytes *clear);

/* A pair for SM2, its public half as X and Y.  EVP_PKEY_free(). */
EVP_PKEY *pair_new(uint8_t public_key[64]);
/* Layout C: HJ 1239, one serial a packet; signer NULL: unsigned. */
struct signer {
	EVP_PKEY *pair; /* NULL: bytes that only look like a signature */
};
struct bytes truck_packet(unsigned truck, uint8_t command, int64_t at, unsigned count,
			  uint16_t serial, const struct signer *signer);
/* HJ 1239 0x07; vin_truck: whose VIN stands in the unit. */
struct bytes truck_activation(unsigned truck, int64_t at, const char *chip,
			      const uint8_t public_key[64], unsigned vin_truck);

#endif

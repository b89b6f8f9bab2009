/*
 * signature_key.h - what a signature key is made of.  Inside proto/wire/signature*.c only.
 */
#ifndef PROTO_WIRE_SIGNATURE_KEY_H
#define PROTO_WIRE_SIGNATURE_KEY_H

#include <openssl/evp.h>
#include <stdatomic.h>

#include "proto/wire/signature.h"

enum { CURVE_NUMBER = 32 };

struct signature_key {
	atomic_uint refs;
	enum algorithm algorithm;
	EVP_PKEY *pair;
	char chip_id[]; /* "": only the default user */
};

#endif

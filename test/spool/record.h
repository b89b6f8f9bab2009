/*
 * record.h - records that can be recognised: size and bytes of number n (from 1) follow from n
 * alone.
 */
#ifndef TEST_SPOOL_RECORD_H
#define TEST_SPOOL_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The bytes of record n with this payload size at most; returns the size (8 or more). */
size_t record_make(uint64_t n, size_t size_max, uint8_t *out);

/* True when the payload is exactly record *ret_n. */
bool record_is(const uint8_t *payload, size_t size, size_t size_max, uint64_t *ret_n);

#endif

/*
 * fuzz.h - what the targets share.
 *
 * A target is one file: LLVMFuzzerTestOneInput(), which must hold its promises for any bytes at
 * all.  It is built twice: with replay.c, which runs the committed corpus in every build, and with
 * libFuzzer when clang and -Dfuzz=true are chosen; FUZZ_ENGINE is defined then.
 */
#ifndef TEST_FUZZ_FUZZ_H
#define TEST_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise.  Unlike assert() it may call what it checks, and cannot be compiled out. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

#ifdef FUZZ_ENGINE
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
#endif

/* The bytes in memory of exactly their size, so that a sanitizer sees a read of one too many. */
static inline uint8_t *exact_copy(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = calloc(1, size > 0 ? size : 1);

	CHECK(copy != NULL);
	if (size > 0)
		memcpy(copy, bytes, size);
	return copy;
}

/* A view must lie inside the bytes that it came from. */
static inline void assert_inside(const uint8_t *view, size_t view_size, const uint8_t *bytes,
				 size_t size)
{
	CHECK(view >= bytes && view_size <= size);
	CHECK((size_t)(view - bytes) <= size - view_size);
}

#endif

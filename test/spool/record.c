#include "test/spool/record.h"

#include <string.h>

#include "gateway/spool/spool.h"

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

size_t record_make(uint64_t n, size_t size_max, uint8_t *out)
{
	const size_t size = 8 + (size_t)(mix(n) % (size_max - 7));

	memcpy(out, &n, sizeof(n));
	for (size_t i = 8; i < size; i++)
		out[i] = (uint8_t)mix(n * UINT64_C(0x9e3779b97f4a7c15) + i / 8) ^ (uint8_t)i;
	return size;
}

bool record_is(const uint8_t *payload, size_t size, size_t size_max, uint64_t *ret_n)
{
	static _Thread_local uint8_t expected[SPOOL_RECORD_MAX];

	if (size < 8)
		return false;
	memcpy(ret_n, payload, sizeof(*ret_n));
	return *ret_n > 0 && record_make(*ret_n, size_max, expected) == size &&
	       memcmp(expected, payload, size) == 0;
}

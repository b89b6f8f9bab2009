/*
 * prng.h - the simulator's own chance: the same seed gives the same fleet on every machine.
 *
 * splitmix64 (Steele, Lea, Flood 2014) as a hash and to seed, xoshiro256** (Blackman, Vigna 2018)
 * as the stream.  Only + - * / and shifts, so no compiler or libm can change a value.
 */
#ifndef TOOLS_CLI_FLEETSIM_PRNG_H
#define TOOLS_CLI_FLEETSIM_PRNG_H

#include <stdint.h>

struct prng {
	uint64_t s[4];
};

/* A well mixed function of x: equal inputs, equal outputs. */
static inline uint64_t prng_hash(uint64_t x)
{
	x += 0x9E3779B97F4A7C15u;
	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
	return x ^ (x >> 31);
}

/* stream tells apart what is drawn from one seed: trucks, connections, ... */
static inline void prng_init(struct prng *p, uint64_t seed, uint64_t stream)
{
	uint64_t x = prng_hash(seed) ^ prng_hash(~stream);

	for (int i = 0; i < 4; i++)
		p->s[i] = x = prng_hash(x);
}

static inline uint64_t prng_next(struct prng *p)
{
	const uint64_t m = p->s[1] * 5, result = ((m << 7) | (m >> 57)) * 9, t = p->s[1] << 17;

	p->s[2] ^= p->s[0];
	p->s[3] ^= p->s[1];
	p->s[1] ^= p->s[2];
	p->s[0] ^= p->s[3];
	p->s[2] ^= t;
	p->s[3] = (p->s[3] << 45) | (p->s[3] >> 19);
	return result;
}

/* 0 <= x < 1, with 53 bits */
static inline double prng_unit(struct prng *p)
{
	return (double)(prng_next(p) >> 11) * 0x1p-53;
}

static inline double prng_range(struct prng *p, double low, double high)
{
	return low + (high - low) * prng_unit(p);
}

/* 0 .. n - 1; n > 0 (the bias of the modulo is below n / 2^64) */
static inline uint64_t prng_below(struct prng *p, uint64_t n)
{
	return prng_next(p) % n;
}

/* Close to a normal deviate of mean 0 and deviation 1: sum of twelve 16-bit pieces (bounded by 6).
 */
static inline double prng_noise(struct prng *p)
{
	double sum = -6;

	for (int i = 0; i < 3; i++) {
		uint64_t x = prng_next(p);
		for (int k = 0; k < 4; k++, x >>= 16)
			sum += ((double)(x & 0xFFFF) + 0.5) / 65536;
	}
	return sum;
}

#endif

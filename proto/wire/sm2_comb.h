/*
 * sm2_comb.h - s G + t P on the SM2 curve, about three times as fast as OpenSSL's own, for points P
 * that come again and again.  Inside proto/wire/signature*.c only.
 *
 * All arithmetic is OpenSSL's EC_POINT and BIGNUM.  Ours is the order of the additions: a comb
 * (Lim and Lee, 1994) with digits 1 and -1, so that 26 doublings and 78 additions of tabled points
 * do what takes 256 doublings and some 100 additions without tables.  Not in constant time: for
 * public numbers only, that is for verifying.
 */
#ifndef PROTO_WIRE_SM2_COMB_H
#define PROTO_WIRE_SM2_COMB_H

#include <openssl/bn.h>
#include <stdbool.h>
#include <stdint.h>

enum { SM2_NUMBER = 32 };

/* Multiples of one point; 2 kB.  Immutable: any number of threads may use it at a time. */
struct sm2_comb;

/*
 * point: X[32] Y[32].  Takes about as long as three verifications.  NULL: off the curve, no memory,
 * or the finished table did not give what OpenSSL's own multiplication gives.
 */
struct sm2_comb *sm2_comb_new(const uint8_t point[2 * SM2_NUMBER]);
void sm2_comb_free(struct sm2_comb *c); /* NULL-safe */

/* The x of s G + t P, both in 0 .. n - 1.  False: the point at infinity, or no memory. */
bool sm2_comb_x(const struct sm2_comb *c, const BIGNUM *s, const BIGNUM *t, BIGNUM *ret_x,
		BN_CTX *ctx);

/* The order n of the curve, and a b Gx Gy as GB/T 32918.2 5.5 hashes them.  NULL: no memory. */
const BIGNUM *sm2_order(void);
enum { SM2_PARAMETERS = 4 * SM2_NUMBER };
const uint8_t *sm2_parameters(void);

#endif

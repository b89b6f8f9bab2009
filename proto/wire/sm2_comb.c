#include "proto/wire/sm2_comb.h"

#include <assert.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

/*
 * A scalar is written with 260 digits of 1 and -1 (only odd numbers can be; n is odd, so n is added
 * to even ones).  The digits are laid out in rows, the teeth of the comb:
 *
 *   digit (tooth * BLOCKS + block) * COLUMNS + column, teeth x blocks x columns = 260
 *
 * For each column and block one table entry holds the sum of the teeth with their signs; the entry
 * of the opposite signs is its negative, so half of them are kept: those whose last tooth is +.
 */
enum {
	DIGITS = 260,
	COLUMNS = 26,
	BASES = DIGITS / COLUMNS,
	OCTETS = 1 + 2 * SM2_NUMBER, /* of a point: 04 x y */
	/* A key has two blocks of 16 entries; the base point one of 512. */
	KEY_TEETH = 5,
	KEY_ENTRIES = 2 << (KEY_TEETH - 1),
	BASE_TEETH = 10,
	BASE_ENTRIES = 1 << (BASE_TEETH - 1),
};

typedef uint8_t octets[OCTETS];

struct sm2_comb {
	octets entries[KEY_ENTRIES];
};

/* Made once and never changed. */
struct curve {
	EC_GROUP *group;
	BIGNUM *all_ones; /* 2^DIGITS - 1 */
	uint8_t parameters[SM2_PARAMETERS];
	EC_POINT **base; /* BASE_ENTRIES; all read, so that using them writes nothing */
};

/* One summand k P: its digits, and the entries of P, read from their octets when first needed. */
struct summand {
	unsigned teeth;
	const BIGNUM *digits;
	EC_POINT **entries;
	const octets *unread; /* NULL: all are read */
};

static size_t entries_a_block(unsigned teeth)
{
	return (size_t)1 << (teeth - 1);
}

/* digits: 1 for 1, 0 for -1.  k = 2 digits - all_ones. */
static bool to_digits(const struct curve *curve, const BIGNUM *k, BIGNUM *digits)
{
	return BN_copy(digits, k) != NULL &&
	       (BN_is_odd(k) || BN_add(digits, digits, EC_GROUP_get0_order(curve->group)) == 1) &&
	       BN_add(digits, digits, curve->all_ones) == 1 && BN_rshift1(digits, digits) == 1;
}

static bool add_entry(const struct curve *curve, const struct summand *k, unsigned block,
		      unsigned column, EC_POINT *sum, EC_POINT *spare, BN_CTX *ctx)
{
	const unsigned blocks = BASES / k->teeth;
	const size_t count = entries_a_block(k->teeth);
	size_t signs = 0, at;
	bool negative;

	for (unsigned tooth = 0; tooth < k->teeth; tooth++) {
		const int digit = (int)((tooth * blocks + block) * COLUMNS + column);

		signs |= (size_t)BN_is_bit_set(k->digits, digit) << tooth;
	}
	negative = signs < count;
	at = block * count + ((negative ? ~signs : signs) & (count - 1));
	if (k->entries[at] == NULL &&
	    ((k->entries[at] = EC_POINT_new(curve->group)) == NULL ||
	     EC_POINT_oct2point(curve->group, k->entries[at], k->unread[at], OCTETS, ctx) != 1))
		return false;
	if (!negative)
		return EC_POINT_add(curve->group, sum, sum, k->entries[at], ctx) == 1;
	return EC_POINT_copy(spare, k->entries[at]) == 1 &&
	       EC_POINT_invert(curve->group, spare, ctx) == 1 &&
	       EC_POINT_add(curve->group, sum, sum, spare, ctx) == 1;
}

/* The sum of all summands. */
static bool evaluate(const struct curve *curve, const struct summand *summands, size_t n,
		     EC_POINT *sum, BN_CTX *ctx)
{
	EC_POINT *spare = EC_POINT_new(curve->group);
	bool ok = spare != NULL && EC_POINT_set_to_infinity(curve->group, sum) == 1;

	for (unsigned column = COLUMNS; ok && column-- > 0;) {
		ok = EC_POINT_dbl(curve->group, sum, sum, ctx) == 1;
		for (size_t i = 0; i < n; i++)
			for (unsigned block = 0; ok && block < BASES / summands[i].teeth; block++)
				ok = add_entry(curve, &summands[i], block, column, sum, spare, ctx);
	}
	EC_POINT_free(spare);
	return ok;
}

/* bases[i] = 2^(COLUMNS i) P */
static bool make_bases(const EC_GROUP *group, const EC_POINT *p, EC_POINT *bases[BASES],
		       BN_CTX *ctx)
{
	for (unsigned i = 0; i < BASES; i++) {
		bases[i] = EC_POINT_dup(i == 0 ? p : bases[i - 1], group);
		if (bases[i] == NULL)
			return false;
		for (unsigned j = 0; i > 0 && j < COLUMNS; j++)
			if (EC_POINT_dbl(group, bases[i], bases[i], ctx) != 1)
				return false;
	}
	return true;
}

/*
 * The entries of one block, from the one with all signs + downwards: each differs from one that is
 * there by twice a tooth.  steps: minus twice the teeth.
 */
static bool fill_block(const EC_GROUP *group, EC_POINT *const steps[], unsigned teeth,
		       EC_POINT *entries[], BN_CTX *ctx)
{
	for (size_t at = entries_a_block(teeth) - 1; at-- > 0;) {
		const unsigned tooth = (unsigned)__builtin_ctzl(~at);

		entries[at] = EC_POINT_new(group);
		if (entries[at] == NULL ||
		    EC_POINT_add(group, entries[at], entries[at | (size_t)1 << tooth], steps[tooth],
				 ctx) != 1)
			return false;
	}
	return true;
}

static bool make_block(const EC_GROUP *group, EC_POINT *const bases[BASES], unsigned teeth,
		       unsigned block, EC_POINT *entries[], BN_CTX *ctx)
{
	EC_POINT *steps[BASES] = { NULL };
	EC_POINT *sum = EC_POINT_new(group);
	bool ok = sum != NULL && EC_POINT_set_to_infinity(group, sum) == 1;

	for (unsigned i = 0; ok && i < teeth; i++) {
		const EC_POINT *tooth = bases[i * (BASES / teeth) + block];

		steps[i] = EC_POINT_new(group);
		ok = steps[i] != NULL && EC_POINT_add(group, sum, sum, tooth, ctx) == 1 &&
		     EC_POINT_dbl(group, steps[i], tooth, ctx) == 1 &&
		     EC_POINT_invert(group, steps[i], ctx) == 1;
	}
	entries[entries_a_block(teeth) - 1] = sum;
	ok = ok && fill_block(group, steps, teeth, entries, ctx);
	for (unsigned i = 0; i < teeth; i++)
		EC_POINT_free(steps[i]);
	return ok;
}

/* Affine, as octets: adding such a point is cheaper, and its bytes are checked when read. */
static bool make_entries(const EC_GROUP *group, const EC_POINT *p, unsigned teeth, octets *ret,
			 BN_CTX *ctx)
{
	const size_t count = entries_a_block(teeth);
	EC_POINT *bases[BASES] = { NULL }, *entries[BASE_ENTRIES] = { NULL };
	bool ok = make_bases(group, p, bases, ctx);

	assert(count <= BASE_ENTRIES);
	for (unsigned block = 0; ok && block < BASES / teeth; block++) {
		ok = make_block(group, bases, teeth, block, entries, ctx);
		for (size_t i = 0; i < count; i++) {
			ok = ok &&
			     EC_POINT_point2oct(group, entries[i], POINT_CONVERSION_UNCOMPRESSED,
						ret[block * count + i], OCTETS, ctx) == OCTETS;
			EC_POINT_free(entries[i]);
			entries[i] = NULL;
		}
	}
	for (unsigned i = 0; i < BASES; i++)
		EC_POINT_free(bases[i]);
	return ok;
}

/* Digits whose columns name the entries from first on, in each block. */
static bool name_entries(const struct curve *curve, unsigned teeth, size_t first, BIGNUM *digits,
			 BIGNUM *k)
{
	BN_zero(digits);
	for (unsigned base = 0; base < BASES; base++)
		for (unsigned column = 0; column < COLUMNS; column++)
			if ((first + column) >> base / (BASES / teeth) & 1 &&
			    BN_set_bit(digits, (int)(base * COLUMNS + column)) != 1)
				return false;
	return BN_lshift1(k, digits) == 1 && BN_sub(k, k, curve->all_ones) == 1;
}

/* Every entry takes part in a sum, and the sums are what OpenSSL multiplies. */
static bool entries_right(const struct curve *curve, const EC_POINT *p, unsigned teeth,
			  EC_POINT **entries, const octets *unread, BN_CTX *ctx)
{
	EC_POINT *sum = EC_POINT_new(curve->group), *want = EC_POINT_new(curve->group);
	BIGNUM *digits = BN_new(), *k = BN_new();
	const struct summand summand = { teeth, digits, entries, unread };
	bool ok = sum != NULL && want != NULL && digits != NULL && k != NULL;

	for (size_t first = 0; ok && first < entries_a_block(teeth); first += COLUMNS)
		ok = name_entries(curve, teeth, first, digits, k) &&
		     evaluate(curve, &summand, 1, sum, ctx) &&
		     EC_POINT_mul(curve->group, want, NULL, p, k, ctx) == 1 &&
		     EC_POINT_cmp(curve->group, sum, want, ctx) == 0;
	EC_POINT_free(sum);
	EC_POINT_free(want);
	BN_free(digits);
	BN_free(k);
	return ok;
}

static bool read_parameters(struct curve *curve, BN_CTX *ctx)
{
	const EC_POINT *base = EC_GROUP_get0_generator(curve->group);
	BIGNUM *numbers[4];
	bool ok = true;

	for (int i = 0; i < 4; i++)
		ok = (numbers[i] = BN_CTX_get(ctx)) != NULL && ok;
	ok = ok && EC_GROUP_get_curve(curve->group, NULL, numbers[0], numbers[1], ctx) == 1 &&
	     EC_POINT_get_affine_coordinates(curve->group, base, numbers[2], numbers[3], ctx) == 1;
	for (int i = 0; ok && i < 4; i++)
		ok = BN_bn2binpad(numbers[i], curve->parameters + (size_t)i * SM2_NUMBER,
				  SM2_NUMBER) == SM2_NUMBER;
	return ok;
}

static bool make_base(struct curve *curve, BN_CTX *ctx)
{
	const EC_POINT *base = EC_GROUP_get0_generator(curve->group);
	octets *entries = OPENSSL_zalloc(BASE_ENTRIES * sizeof(*entries));
	bool ok;

	curve->base = OPENSSL_zalloc(BASE_ENTRIES * sizeof(EC_POINT *));
	ok = entries != NULL && curve->base != NULL &&
	     make_entries(curve->group, base, BASE_TEETH, entries, ctx) &&
	     entries_right(curve, base, BASE_TEETH, curve->base, entries, ctx);

	OPENSSL_free(entries);
	return ok;
}

static void curve_free(struct curve *curve)
{
	if (curve == NULL)
		return;
	for (size_t i = 0; curve->base != NULL && i < BASE_ENTRIES; i++)
		EC_POINT_free(curve->base[i]);
	OPENSSL_free(curve->base);
	EC_GROUP_free(curve->group);
	BN_free(curve->all_ones);
	OPENSSL_free(curve);
}

static CRYPTO_ONCE curve_once = CRYPTO_ONCE_STATIC_INIT;
static const struct curve *the_curve; /* a constant that is too long to write down */

static void make_curve(void)
{
	struct curve *curve = OPENSSL_zalloc(sizeof(*curve));
	BN_CTX *ctx = BN_CTX_new();

	if (curve != NULL && ctx != NULL) {
		BN_CTX_start(ctx);
		curve->group = EC_GROUP_new_by_curve_name(NID_sm2);
		curve->all_ones = BN_new();
		if (curve->group != NULL && curve->all_ones != NULL &&
		    BN_set_bit(curve->all_ones, DIGITS) == 1 &&
		    BN_sub_word(curve->all_ones, 1) == 1 && read_parameters(curve, ctx) &&
		    make_base(curve, ctx))
			the_curve = curve;
		BN_CTX_end(ctx);
	}
	BN_CTX_free(ctx);
	if (the_curve == NULL)
		curve_free(curve);
}

static const struct curve *get_curve(void)
{
	return CRYPTO_THREAD_run_once(&curve_once, make_curve) == 1 ? the_curve : NULL;
}

const BIGNUM *sm2_order(void)
{
	const struct curve *curve = get_curve();

	return curve != NULL ? EC_GROUP_get0_order(curve->group) : NULL;
}

const uint8_t *sm2_parameters(void)
{
	const struct curve *curve = get_curve();

	return curve != NULL ? curve->parameters : NULL;
}

static void free_entries(EC_POINT *entries[KEY_ENTRIES])
{
	for (size_t i = 0; i < KEY_ENTRIES; i++)
		EC_POINT_free(entries[i]);
}

struct sm2_comb *sm2_comb_new(const uint8_t point[2 * SM2_NUMBER])
{
	const struct curve *curve = get_curve();
	EC_POINT *entries[KEY_ENTRIES] = { NULL }, *p = NULL;
	octets marked = { 0x04 };
	struct sm2_comb *c;
	BN_CTX *ctx;
	bool ok = false;

	if (curve == NULL)
		return NULL;
	memcpy(marked + 1, point, OCTETS - 1);
	c = OPENSSL_zalloc(sizeof(*c));
	ctx = BN_CTX_new();
	p = EC_POINT_new(curve->group);
	if (c != NULL && ctx != NULL && p != NULL)
		ok = EC_POINT_oct2point(curve->group, p, marked, OCTETS, ctx) == 1 &&
		     make_entries(curve->group, p, KEY_TEETH, c->entries, ctx) &&
		     entries_right(curve, p, KEY_TEETH, entries, c->entries, ctx);
	free_entries(entries);
	EC_POINT_free(p);
	BN_CTX_free(ctx);
	if (ok)
		return c;
	sm2_comb_free(c);
	return NULL;
}

void sm2_comb_free(struct sm2_comb *c)
{
	OPENSSL_free(c);
}

bool sm2_comb_x(const struct sm2_comb *c, const BIGNUM *s, const BIGNUM *t, BIGNUM *ret_x,
		BN_CTX *ctx)
{
	const struct curve *curve = get_curve();
	EC_POINT *entries[KEY_ENTRIES] = { NULL }, *sum;
	BIGNUM *s_digits, *t_digits;
	bool ok;

	if (curve == NULL)
		return false;
	BN_CTX_start(ctx);
	s_digits = BN_CTX_get(ctx);
	t_digits = BN_CTX_get(ctx);
	sum = EC_POINT_new(curve->group);
	ok = t_digits != NULL && sum != NULL && to_digits(curve, s, s_digits) &&
	     to_digits(curve, t, t_digits);
	if (ok) {
		const struct summand summands[] = {
			{ BASE_TEETH, s_digits, curve->base, NULL },
			{ KEY_TEETH, t_digits, entries, c->entries },
		};

		ok = evaluate(curve, summands, 2, sum, ctx) &&
		     EC_POINT_get_affine_coordinates(curve->group, sum, ret_x, NULL, ctx) == 1;
	}
	free_entries(entries);
	EC_POINT_free(sum);
	BN_CTX_end(ctx);
	return ok;
}

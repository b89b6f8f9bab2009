/*
 * traffic.h - the same drives told in two ways: each second once and in order, or as a bad mobile
 * network delivers them.  What the store makes of both must be equal.  The trucks differ in what
 * the gateway found out about their frames: opened, signed, from a platform, or nothing.
 */
#ifndef TEST_STORE_TRAFFIC_H
#define TEST_STORE_TRAFFIC_H

#include "test/store/fixture.h"

struct random {
	uint64_t state;
};
unsigned random_below(struct random *r, unsigned n);

enum { TRAFFIC_TRUCKS = 6, TRAFFIC_S = 1500 };

/* In order, ten seconds a frame, with an OBD report every five minutes. */
void traffic_orderly(struct fixture *f);

/*
 * Frames lost and sent later, cut at other seconds; frames sent twice; all in an order of their
 * own: each up to disorder places from where it belongs.
 */
void traffic_disorderly(struct fixture *f, struct random *r, unsigned disorder);

/* What either must have stored. */
void assert_traffic_stored(struct fixture *f);

/* Who sent what, as the rows say it; the caller frees it. */
char *traffic_senders(struct fixture *f);

/* fixture_derived() of the orderly way, made once for the process; do not free. */
const char *traffic_derived(void);

#endif

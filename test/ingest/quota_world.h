/* quota_world.h - quotas with a clock of the test's own, and who comes to them. */
#ifndef TEST_INGEST_QUOTA_WORLD_H
#define TEST_INGEST_QUOTA_WORLD_H

#include "gateway/ingest/quota.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, REMEMBERED = 1600, START = 1000 * MINUTE };

struct world {
	struct quota *q;
	struct config c;
	uint64_t now;
};

/* For cmocka: setup and teardown of a test; state becomes a struct world. */
int make_world(void **state);
int free_world(void **state);

struct peer {
	uint8_t bytes[16];
};

/* A v4-mapped address. */
struct peer v4(uint32_t n);

bool come(struct world *w, struct peer p, struct quota_guest *g);
/* Comes and goes; true when it was let in. */
bool visit(struct world *w, struct peer p);
/* Comes, does it, goes.  False: it was not let in to do it. */
bool offend(struct world *w, struct peer p, enum quota_offence offence);
unsigned offend_until_refused(struct world *w, struct peer p, enum quota_offence offence);
void good_neighbours(struct world *w, struct peer p, struct quota_guest *g, size_t n);

#endif

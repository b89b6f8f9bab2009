#include "test/ingest/quota_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

int make_world(void **state)
{
	static struct world w;

	w = (struct world){ .now = START };
	w.c.limit_source_connections = 1000;
	w.c.limit_source_logins = 600;
	w.c.limit_vin_logins = 20;
	w.c.limit_penalty_half_life_s = 60;
	w.c.session_bad_frames_max = 20;
	*state = &w;
	return quota_new(REMEMBERED, &w.q, NULL);
}

int free_world(void **state)
{
	struct world *w = *state;

	quota_free(w->q);
	return 0;
}

struct peer v4(uint32_t n)
{
	return (struct peer){ { [10] = 0xFF,
				[11] = 0xFF,
				n >> 24 & 0xFF,
				n >> 16 & 0xFF,
				n >> 8 & 0xFF,
				n & 0xFF } };
}

bool come(struct world *w, struct peer p, struct quota_guest *g)
{
	*g = (struct quota_guest){ 0 };
	return quota_accept(w->q, &w->c, p.bytes, g, w->now);
}

bool visit(struct world *w, struct peer p)
{
	struct quota_guest g;
	const bool in = come(w, p, &g);

	quota_closed(w->q, &w->c, p.bytes, &g, w->now);
	return in;
}

bool offend(struct world *w, struct peer p, enum quota_offence offence)
{
	struct quota_guest g;
	const bool in = come(w, p, &g);

	if (in)
		quota_offence(w->q, &w->c, p.bytes, &g, offence, w->now);
	quota_closed(w->q, &w->c, p.bytes, &g, w->now);
	return in;
}

unsigned offend_until_refused(struct world *w, struct peer p, enum quota_offence offence)
{
	unsigned n = 0;

	while (offend(w, p, offence))
		assert_in_range(++n, 0, 1000000);
	return n;
}

void good_neighbours(struct world *w, struct peer p, struct quota_guest *g, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_true(come(w, p, &g[i]));
		quota_welcome(w->q, &w->c, p.bytes, &g[i], w->now);
	}
}

#include "test/store/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME_S = 10, OBD_EVERY_S = 300, MESSAGES_MAX = 8000, START_S = 23 * 3600 + 2500 };

/* The drives go on past midnight. */
#define START_AT    (BASE_AT + START_S)
#define RECEIVED_AT (BASE_AT + 2 * 86400)

struct message {
	unsigned truck;
	int64_t at;
	unsigned count; /* 0: an OBD report */
	uint8_t command;
	unsigned place; /* sort key */
};

unsigned random_below(struct random *r, unsigned n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(r->state >> 33) % n;
}

static void feed(struct fixture *f, const struct message *m)
{
	struct bytes frame;

	if (m->count == 0)
		frame = truck_obd(m->truck, m->at, m->truck % 3 == VIOLATOR);
	else
		frame = truck_report(m->truck, m->command, m->at, m->count);
	fixture_feed(f, &frame, RECEIVED_AT, VERDICT_ACCEPTED);
}

void traffic_orderly(struct fixture *f)
{
	for (unsigned t = 0; t < TRAFFIC_S; t += FRAME_S)
		for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++) {
			struct message m = { truck, START_AT + t, FRAME_S, COMMAND_REALTIME, 0 };

			feed(f, &m);
			m.count = 0;
			if (t % OBD_EVERY_S == 0)
				feed(f, &m);
		}
}

static size_t truck_messages(unsigned truck, struct random *r, struct message *list)
{
	size_t n = 0;

	for (unsigned t = 0; t < TRAFFIC_S; t += FRAME_S) {
		const struct message m = { truck, START_AT + t, FRAME_S, COMMAND_REALTIME, t };

		if (random_below(r, 8) != 0)
			list[n++] = m;
		if (random_below(r, 10) == 0)
			list[n++] = m; /* sent again: no answer came */
	}
	/* Everything again as supplement, cut elsewhere, except where that happens to be rare. */
	for (unsigned t = 0, size; t < TRAFFIC_S; t += size) {
		size = 1 + random_below(r, 50);
		if (size > TRAFFIC_S - t)
			size = TRAFFIC_S - t;
		list[n++] = (struct message){ truck, START_AT + t, size, COMMAND_SUPPLEMENT,
					      t + random_below(r, 400) };
	}
	for (unsigned t = 0; t < TRAFFIC_S; t += OBD_EVERY_S)
		for (unsigned times = 1 + random_below(r, 2); times > 0; times--)
			list[n++] = (struct message){ truck, START_AT + t, 0, COMMAND_REALTIME, t };
	return n;
}

static int place_order(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	return (x->place > y->place) - (x->place < y->place);
}

void traffic_disorderly(struct fixture *f, struct random *r, unsigned disorder)
{
	struct message *list = calloc(MESSAGES_MAX, sizeof(*list));
	size_t n = 0;

	for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++)
		n += truck_messages(truck, r, list + n);
	assert_true(n < MESSAGES_MAX);
	for (size_t i = 0; i < n; i++)
		list[i].place += random_below(r, disorder + 1);
	qsort(list, n, sizeof(*list), place_order);
	for (size_t i = 0; i < n; i++)
		feed(f, &list[i]);
	free(list);
}

void assert_traffic_stored(struct fixture *f)
{
	struct samples stored, expected = { 0 };

	for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++) {
		samples_expect(&expected, truck, START_AT, TRAFFIC_S);
		for (unsigned t = 0; t < TRAFFIC_S; t += OBD_EVERY_S)
			samples_expect_obd(&expected, truck, START_AT + t, truck % 3 == VIOLATOR);
	}
	fixture_samples(f, &stored);
	assert_samples(&stored, &expected);
}

const char *traffic_derived(void)
{
	static char *derived;
	struct fixture f;

	if (derived != NULL)
		return derived;
	fixture_open(&f);
	traffic_orderly(&f);
	fixture_store_all(&f);
	assert_traffic_stored(&f);
	derived = fixture_derived(&f);
	assert_true(fixture_number(&f, "SELECT count(*) FROM finding") >= 2);
	assert_true(fixture_number(&f, "SELECT count(*) FROM passage") >= TRAFFIC_TRUCKS);
	fixture_close(&f);
	return derived;
}

/* The window of a link: what is sent, what settles it, and that nothing is settled that is not. */
#include <stdlib.h>
#include <string.h>

#include "gateway/link/window.h"
#include "test/wire/cm.h"

static const char vin_a[] = "LTEST000000000001", vin_b[] = "LTEST000000000002";

/* A frame with that time, as the window keeps it. */
static size_t make(uint8_t *out, uint8_t command, const char *vin, uint8_t second, uint8_t answer)
{
	const uint8_t unit[10] = { 24, 1, 2, 3, 4, second, 0, 1, 2, 3 };
	struct frame f = {
		.start = 0x7E,
		.header = HEADER_P,
		.command = command,
		.answer = answer,
		.encryption = 1,
		.unit = unit,
		.unit_size = answer == ANSWER_COMMAND ? sizeof(unit) : WIRE_TIME_SIZE,
	};

	memcpy(f.vin, vin, VIN_SIZE + 1);
	return frame_encode(&f, out, 64);
}

static void add(struct window *w, uint64_t position, const char *vin, uint8_t second)
{
	uint8_t bytes[64];
	const size_t size = make(bytes, 2, vin, second, ANSWER_COMMAND);

	assert_true(window_add(w, position, position / 100, 0, bytes, size));
}

static enum window_answer answered(struct window *w, const char *vin, uint8_t second, uint8_t flag,
				   uint64_t now)
{
	uint8_t bytes[64];
	const size_t size = make(bytes, 2, vin, second, flag);
	struct frame f;
	size_t used;

	assert_int_equal(frame_scan(bytes, size, FRAME_UNIT_MAX, &f, &used), SCAN_FRAME);
	return window_answer(w, &f, now);
}

static uint64_t position_of(struct window *w)
{
	uint64_t position = 999999, sequence = 9999;

	window_settle(w, &position, &sequence);
	if (position != 999999)
		assert_int_equal(sequence, position / 100 - 1);
	return position;
}

static int setup(void **state)
{
	static struct window w;

	assert_true(window_init(&w, 3));
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	window_release(*state);
	return 0;
}

static void test_in_order_and_bounded(void **state)
{
	struct window *w = *state;

	for (unsigned i = 1; i <= 5; i++)
		add(w, i * 100, vin_a, (uint8_t)i);
	for (unsigned i = 1; i <= 3; i++)
		assert_int_equal(window_send(w, 0, false)->position, i * 100);
	assert_null(window_send(w, 0, false));
	assert_int_equal(answered(w, vin_a, 2, ANSWER_SUCCESS, 0), WINDOW_ANSWER_SUCCESS);
	assert_int_equal(position_of(w), 100); /* the first is still owed */
	assert_int_equal(window_send(w, 0, false)->position, 400);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_SUCCESS);
	assert_int_equal(position_of(w), 300);
	for (unsigned i = 3; i <= 5; i++) {
		window_send(w, 0, false);
		assert_int_equal(answered(w, vin_a, (uint8_t)i, ANSWER_SUCCESS, 0),
				 WINDOW_ANSWER_SUCCESS);
	}
	assert_int_equal(position_of(w), 999999); /* all that was read */
}

static void test_only_what_was_sent_is_answered(void **state)
{
	struct window *w = *state;
	uint8_t bytes[64];
	struct frame f;
	size_t used;

	add(w, 100, vin_a, 1);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_STRANGE);
	window_send(w, 0, false);
	assert_int_equal(answered(w, vin_b, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_STRANGE);
	assert_int_equal(answered(w, vin_a, 2, ANSWER_SUCCESS, 0), WINDOW_ANSWER_STRANGE);
	frame_scan(bytes, make(bytes, 3, vin_a, 1, ANSWER_SUCCESS), FRAME_UNIT_MAX, &f, &used);
	assert_int_equal(window_answer(w, &f, 0), WINDOW_ANSWER_STRANGE); /* another command */
	assert_int_equal(position_of(w), 100);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_SUCCESS);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_STRANGE);
}

static void test_the_oldest_of_equals_first(void **state)
{
	struct window *w = *state;

	add(w, 100, vin_a, 7);
	add(w, 200, vin_a, 7);
	window_send(w, 0, false);
	assert_int_equal(answered(w, vin_a, 7, ANSWER_ERROR, 0), WINDOW_ANSWER_AGAIN);
	assert_int_equal(window_send(w, 500, false)->position, 200);
	assert_int_equal(window_send(w, 1000, false)->position,
			 100); /* now it is the younger one */
	assert_int_equal(answered(w, vin_a, 7, ANSWER_SUCCESS, 1000), WINDOW_ANSWER_SUCCESS);
	assert_int_equal(position_of(w), 100);
	assert_int_equal(answered(w, vin_a, 7, ANSWER_SUCCESS, 1000), WINDOW_ANSWER_SUCCESS);
	assert_int_equal(position_of(w), 999999);
}

static void test_errors_twice_again_then_refused(void **state)
{
	struct window *w = *state;
	struct window_frame *f;
	size_t at = 0;

	add(w, 100, vin_a, 1);
	window_send(w, 0, false);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_ERROR, 10), WINDOW_ANSWER_AGAIN);
	assert_null(window_send(w, 1009, false));
	assert_non_null(window_send(w, 1010, false));
	assert_int_equal(answered(w, vin_a, 1, ANSWER_VIN_DUPLICATE, 1020), WINDOW_ANSWER_AGAIN);
	assert_null(window_send(w, 5019, false));
	assert_non_null(window_send(w, 5020, false));
	assert_int_equal(answered(w, vin_a, 1, ANSWER_ERROR, 5030), WINDOW_ANSWER_REFUSED);
	assert_null(window_send(w, 100000, false));
	assert_int_equal(position_of(w), 100); /* until it is written down */
	f = window_refused(w, &at);
	assert_int_equal(f->position, 100);
	assert_int_equal(f->flag, ANSWER_ERROR);
	f->told = true;
	window_told(w, false);
	assert_int_equal(position_of(w), 100);
	at = 0;
	f = window_refused(w, &at);
	f->told = true;
	assert_null(window_refused(w, &at));
	window_told(w, true);
	assert_int_equal(position_of(w), 999999);
}

static void test_a_lost_connection(void **state)
{
	struct window *w = *state;

	for (unsigned i = 1; i <= 3; i++)
		add(w, i * 100, vin_a, (uint8_t)i);
	for (int i = 0; i < 3; i++)
		window_send(w, 0, false);
	answered(w, vin_a, 2, ANSWER_SUCCESS, 0);
	assert_int_equal(window_disconnected(w), 0);
	assert_int_equal(answered(w, vin_a, 1, ANSWER_SUCCESS, 0), WINDOW_ANSWER_STRANGE);
	assert_int_equal(window_send(w, 0, false)->position, 100);
	assert_int_equal(window_send(w, 0, false)->position, 300);
	assert_null(window_send(w, 0, false));
}

static void test_overdue(void **state)
{
	struct window *w = *state;

	assert_false(window_overdue(w, 1000000, 10000));
	add(w, 100, vin_a, 1);
	add(w, 200, vin_a, 2);
	add(w, 300, vin_a, 3);
	window_send(w, 1000, false);
	assert_false(window_overdue(w, 10999, 10000));
	assert_true(window_overdue(w, 11000, 10000));
	window_send(w, 9000, false);
	answered(w, vin_a, 2, ANSWER_SUCCESS, 9500); /* somebody is there */
	assert_false(window_overdue(w, 19499, 10000));
	window_send(w, 19000, false);
	answered(w, vin_a, 3, ANSWER_SUCCESS, 19400);
	assert_false(window_overdue(w, 29000, 10000));
	assert_true(window_overdue(w, 31000, 10000)); /* three times as long for this one */
}

static void test_passed_over_on_three_connections(void **state)
{
	struct window *w = *state;
	size_t at = 0;

	add(w, 100, vin_a, 1);
	for (unsigned i = 1; i <= 3; i++) {
		window_send(w, 0, false);
		assert_int_equal(window_disconnected(w), 0); /* nobody was answered: no blame */
	}
	for (unsigned i = 2; i <= 4; i++) {
		add(w, i * 100, vin_a, (uint8_t)i);
		window_send(w, 0, false);
		window_send(w, 0, false);
		answered(w, vin_a, (uint8_t)i, ANSWER_SUCCESS, 0);
		assert_int_equal(window_disconnected(w), i == 4);
	}
	assert_int_equal(window_refused(w, &at)->flag, WINDOW_FLAG_SILENT);
}

/* ---- a peer that closes ---- */

/* One connection: the peer answers all but poison (0: none), on which it closes.  Returns how many
 * were refused. */
static size_t until_it_closes(struct window *w, uint64_t poison, unsigned *ret_answered)
{
	struct window_frame *f;
	size_t refused;

	*ret_answered = 0;
	for (;;) {
		if ((f = window_send(w, 0, false)) == NULL)
			f = window_send(w, 0, true);
		if (f == NULL)
			return 0; /* nothing is left to send, and the connection stands */
		if (f->position == poison || poison == 0)
			break;
		answered(w, vin_a, (uint8_t)(f->position / 100), ANSWER_SUCCESS, 0);
		++*ret_answered;
	}
	refused = window_closed(w);
	assert_int_equal(window_disconnected(w), 0);
	return refused;
}

static void test_one_that_the_peer_closes_on_stops_no_other(void **state)
{
	struct window *w = *state;
	unsigned others, connections = 0;
	size_t at = 0;

	for (unsigned i = 1; i <= 9; i++)
		add(w, i * 100, vin_a, (uint8_t)i);
	while (until_it_closes(w, 100, &others) == 0) {
		/* Twice as it came; then alone, behind one that is answered. */
		assert_int_equal(others, connections < 2 ? 0 : 1);
		assert_true(++connections < 10);
	}
	assert_int_equal(connections, 4);
	assert_int_equal(window_refused(w, &at)->position, 100);
	at = 0;
	assert_int_equal(window_refused(w, &at)->flag, WINDOW_FLAG_CLOSES);
	assert_int_equal(until_it_closes(w, 100, &others), 0);
	assert_int_equal(others, 5);
	assert_int_equal(position_of(w), 100); /* until it is written down */
}

static void test_a_peer_that_closes_on_all_refuses_nothing(void **state)
{
	struct window *w = *state;
	unsigned others;

	for (unsigned i = 1; i <= 9; i++)
		add(w, i * 100, vin_a, (uint8_t)i);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(until_it_closes(w, 0, &others), 0);
	assert_int_equal(position_of(w), 100);
	/* And when it is well again nothing is left of that. */
	assert_int_equal(until_it_closes(w, 1, &others), 0);
	assert_int_equal(others, 9);
	assert_int_equal(position_of(w), 999999);
}

/* Twice on the one although another was answered before it, then on another one, and so on. */
static void test_closes_by_turns_blame_nobody(void **state)
{
	struct window *w = *state;
	unsigned others;

	for (unsigned i = 1; i <= 20; i++)
		add(w, i * 100, vin_a, (uint8_t)i);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(until_it_closes(w, 100, &others), 0);
	for (unsigned next = 2; next + 2 <= 20; next += 3) {
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(until_it_closes(w, 100, &others), 0);
			assert_int_equal(others, 1);
		}
		assert_int_equal(until_it_closes(w, (next + 2) * 100, &others), 0);
		assert_int_equal(others, 0);
	}
}

static void test_bytes_are_bounded(void **state)
{
	struct window *w = *state;
	const size_t size = FRAME_SIZE_MAX;
	uint8_t *bytes = calloc(1, size);
	unsigned n = 0;

	assert_false(window_full(w, size));
	while (!window_full(w, size)) {
		n++;
		assert_true(window_add(w, n * 100, n, 0, bytes, size));
	}
	assert_int_equal(n, WINDOW_BYTES / FRAME_SIZE_MAX);
	free(bytes);
}

/* ---- a far side that answers, errs, passes over and breaks, by chance ---- */

enum { FRAMES = 2000, PENDING_MAX = 16 };

struct chance {
	struct window *w;
	bool settled[FRAMES + 1];
	uint64_t pending[PENDING_MAX]; /* sent on this connection, not looked at */
	unsigned added, count, seed;
	uint64_t now;
};

static unsigned dice(struct chance *c, unsigned sides)
{
	c->seed = c->seed * 1103515245 + 12345;
	return (c->seed >> 16) % sides;
}

static void far_side(struct chance *c)
{
	const unsigned luck = dice(c, 1000);
	enum window_answer a;
	uint64_t n;

	if (luck < 5)
		assert_int_equal(window_closed(c->w), 0); /* by chance: nobody is to blame */
	if (luck < 5 || window_overdue(c->w, c->now, 1000)) {
		window_disconnected(c->w);
		c->count = 0;
	}
	if (c->count == 0)
		return;
	n = c->pending[0];
	memmove(c->pending, c->pending + 1, --c->count * sizeof(c->pending[0]));
	if (luck < 50)
		return;
	a = answered(c->w, vin_a, (uint8_t)(n % 60), luck < 200 ? ANSWER_ERROR : ANSWER_SUCCESS,
		     c->now);
	c->settled[n] |= a == WINDOW_ANSWER_SUCCESS;
}

static void write_down_refused(struct chance *c)
{
	struct window_frame *f;
	size_t at = 0;

	while ((f = window_refused(c->w, &at)) != NULL)
		f->told = c->settled[f->position / 100] = true;
	window_told(c->w, true);
}

/* The position never passes a frame that was not settled, and in the end all are. */
static void test_by_chance(void **state)
{
	static struct chance c;

	memset(&c, 0, sizeof(c));
	c.w = *state;
	while (c.added < FRAMES || c.w->count > 0) {
		const struct window_frame *f;
		uint64_t position;

		c.now += 50;
		assert_true(c.now < 100000000);
		if (c.added < FRAMES && c.w->count < 20) {
			c.added++;
			add(c.w, c.added * 100, vin_a, (uint8_t)(c.added % 60));
		}
		while ((f = window_send(c.w, c.now, true)) != NULL)
			c.pending[c.count++] = f->position / 100;
		far_side(&c);
		write_down_refused(&c);
		position = position_of(c.w);
		for (uint64_t n = 1; n <= c.added && n * 100 < position; n++)
			assert_true(c.settled[n]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_in_order_and_bounded),
		TEST(test_only_what_was_sent_is_answered),
		TEST(test_the_oldest_of_equals_first),
		TEST(test_errors_twice_again_then_refused),
		TEST(test_a_lost_connection),
		TEST(test_overdue),
		TEST(test_passed_over_on_three_connections),
		TEST(test_one_that_the_peer_closes_on_stops_no_other),
		TEST(test_a_peer_that_closes_on_all_refuses_nothing),
		TEST(test_closes_by_turns_blame_nobody),
		TEST(test_bytes_are_bounded),
		TEST(test_by_chance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

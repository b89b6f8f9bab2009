/* What a terminal owes the platform: nothing may be forgotten that the platform might not have. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "tools/cli/fleetsim/outbox.h"

struct desk {
	struct truck_plan truck;
	struct outbox outbox;
	int64_t now_ms;
	uint16_t serial;
};

static void open_desk(struct desk *d, enum dialect_id dialect, unsigned window)
{
	memset(d, 0, sizeof(*d));
	d->truck.dialect = &dialects[dialect];
	d->now_ms = 1000000;
	outbox_init(&d->outbox, &d->truck, window, 500);
}

/* Ten seconds of stream, beginning at 10 * n. */
static void add(struct desk *d, int n, bool online)
{
	struct parcel *p = parcel_new(++d->serial);

	assert_non_null(p);
	for (int i = 0; i < FRAME_SECONDS; i++) {
		struct moment m = { .count = 1 };
		m.samples[0].at = 10 * n + i;
		m.samples[0].type = INFO_STREAM;
		m.samples[0].size = STREAM_SIZE;
		memset(m.samples[0].body, n, STREAM_SIZE);
		parcel_add(p, &m);
	}
	outbox_add(&d->outbox, p, online);
}

/* Sends what may be sent; returns the command, or 0, and the parcel's first second. */
static uint8_t send_one(struct desk *d, int64_t *ret_first)
{
	uint8_t command = 0;
	struct parcel *p = outbox_next(&d->outbox, d->now_ms, &command);

	if (p == NULL)
		return 0;
	*ret_first = p->first;
	outbox_sent(&d->outbox, p, command, p->last + 1, d->now_ms * 1000);
	return command;
}

static bool answer(struct desk *d, uint8_t command, int64_t at, bool success)
{
	return outbox_answer(&d->outbox, command, at, success, d->now_ms * 1000) >= 0;
}

static void sync_now(struct desk *d)
{
	outbox_sent_other(&d->outbox, COMMAND_SYNC, WIRE_TIME_NONE, d->now_ms * 1000);
}

static void test_real_time_before_supplements(void **state)
{
	struct desk d;
	int64_t first = 0;

	(void)state;
	open_desk(&d, DIALECT_HJ_V, 1);
	add(&d, 1, false);
	add(&d, 2, true);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_int_equal(first, 20);
	assert_int_equal(send_one(&d, &first), 0); /* one in flight */
	assert_true(answer(&d, COMMAND_REALTIME, WIRE_TIME_NONE, true));
	assert_int_equal(send_one(&d, &first), COMMAND_SUPPLEMENT);
	assert_int_equal(first, 10);
	assert_int_equal(outbox_owed(&d.outbox), 1);
	assert_true(answer(&d, COMMAND_SUPPLEMENT, WIRE_TIME_NONE, true));
	assert_int_equal(outbox_owed(&d.outbox), 0);
	outbox_release(&d.outbox);
}

static void test_supplements_are_paced(void **state)
{
	struct desk d;
	int64_t first;

	(void)state;
	open_desk(&d, DIALECT_HJ_P, 4);
	add(&d, 1, false);
	add(&d, 2, false);
	assert_int_equal(send_one(&d, &first), COMMAND_SUPPLEMENT);
	assert_int_equal(send_one(&d, &first), 0);
	d.now_ms += 499;
	assert_int_equal(send_one(&d, &first), 0);
	d.now_ms += 1;
	assert_int_equal(send_one(&d, &first), COMMAND_SUPPLEMENT);
	outbox_release(&d.outbox);
}

static void test_sent_again_three_times_then_reconnect(void **state)
{
	struct desk d;
	int64_t first = 0;

	(void)state;
	open_desk(&d, DIALECT_HJ_V, 1);
	add(&d, 1, true);
	for (int i = 0; i < TRIES; i++) {
		assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
		assert_int_equal(first, 10);
		d.now_ms += ANSWER_MS - 1;
		assert_int_equal(outbox_tick(&d.outbox, d.now_ms), OUTBOX_FINE);
		assert_int_equal(send_one(&d, &first), 0);
		d.now_ms += 1;
		assert_int_equal(outbox_tick(&d.outbox, d.now_ms),
				 i + 1 < TRIES ? OUTBOX_FINE : OUTBOX_RECONNECT);
	}
	outbox_lost(&d.outbox, d.now_ms);
	assert_int_equal(send_one(&d, &first), COMMAND_SUPPLEMENT);
	assert_int_equal(first, 10);
	outbox_release(&d.outbox);
}

/* The late answer of the first copy must not be taken for the answer of the next report. */
static void test_second_copy_is_accounted_for(void **state)
{
	struct desk d;
	int64_t first;

	(void)state;
	open_desk(&d, DIALECT_HJ_V, 1);
	add(&d, 1, true);
	add(&d, 2, true);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	d.now_ms += ANSWER_MS;
	assert_int_equal(outbox_tick(&d.outbox, d.now_ms), OUTBOX_FINE);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME); /* the copy */
	assert_true(answer(&d, COMMAND_REALTIME, WIRE_TIME_NONE, true));
	assert_int_equal(outbox_owed(&d.outbox), 1);
	assert_int_equal(send_one(&d, &first), 0); /* the copy's answer may still come */
	assert_true(answer(&d, COMMAND_REALTIME, WIRE_TIME_NONE, true));
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_int_equal(first, 20);
	outbox_release(&d.outbox);
}

static void test_answer_that_never_comes_ends_the_connection(void **state)
{
	struct desk d;
	int64_t first;

	(void)state;
	open_desk(&d, DIALECT_HJ_V, 1);
	add(&d, 1, true);
	send_one(&d, &first);
	d.now_ms += ANSWER_MS;
	assert_int_equal(outbox_tick(&d.outbox, d.now_ms), OUTBOX_FINE);
	send_one(&d, &first);
	assert_true(answer(&d, COMMAND_REALTIME, WIRE_TIME_NONE, true));
	d.now_ms += ANSWER_MS;
	assert_int_equal(outbox_tick(&d.outbox, d.now_ms), OUTBOX_RECONNECT);
	outbox_lost(&d.outbox, d.now_ms);
	assert_int_equal(outbox_owed(&d.outbox), 0);
	outbox_release(&d.outbox);
}

/* Header P names the frame: one that was passed over is sent again, the others are done. */
static void test_answer_by_time(void **state)
{
	struct desk d;
	int64_t first = 0;

	(void)state;
	open_desk(&d, DIALECT_HJ_P, 4);
	for (int i = 1; i <= 5; i++)
		add(&d, i, true);
	for (int i = 1; i <= 4; i++)
		assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_int_equal(send_one(&d, &first), 0);
	assert_false(answer(&d, COMMAND_REALTIME, 999, true));
	assert_true(answer(&d, COMMAND_REALTIME, 30, true)); /* of the second */
	assert_int_equal(outbox_owed(&d.outbox), 4);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_int_equal(first, 10);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_int_equal(first, 50);
	outbox_release(&d.outbox);
}

static void test_error_answers(void **state)
{
	struct desk d;
	int64_t first;
	uint8_t command = 0;

	(void)state;
	open_desk(&d, DIALECT_HJ_P, 1);
	add(&d, 1, true);
	for (int i = 0; i < REFUSALS; i++) {
		d.now_ms += 1000;
		command = send_one(&d, &first);
		assert_int_equal(command, i == 0 ? COMMAND_REALTIME : COMMAND_SUPPLEMENT);
		assert_true(answer(&d, command, 20, false));
	}
	assert_int_equal(outbox_owed(&d.outbox), 0);
	assert_int_equal(d.outbox.refused, 1);
	outbox_release(&d.outbox);
}

/* Without answers only a second synchronisation, SETTLE_MS after the first, lets a report be
 * forgotten. */
static void test_unanswered_kind_is_kept(void **state)
{
	struct desk d;
	int64_t first;

	(void)state;
	open_desk(&d, DIALECT_GB_A, 1);
	add(&d, 1, true);
	add(&d, 2, true);
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME);
	assert_true(outbox_wants_sync(&d.outbox, d.now_ms));
	sync_now(&d);
	assert_false(outbox_wants_sync(&d.outbox, d.now_ms));
	assert_int_equal(send_one(&d, &first), COMMAND_REALTIME); /* behind the synchronisation */
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	assert_int_equal(outbox_owed(&d.outbox), 2);
	assert_false(outbox_wants_sync(&d.outbox, d.now_ms + SETTLE_MS - 1));
	d.now_ms += SETTLE_MS;
	assert_true(outbox_wants_sync(&d.outbox, d.now_ms));
	sync_now(&d);
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	assert_int_equal(outbox_owed(&d.outbox), 1);
	d.now_ms += UNANSWERED_KEPT_MS + 1;
	assert_int_equal(outbox_tick(&d.outbox, d.now_ms), OUTBOX_FINE);
	assert_int_equal(outbox_owed(&d.outbox), 0);
	outbox_release(&d.outbox);
}

static void test_unanswered_kind_comes_again_after_a_loss(void **state)
{
	struct desk d;
	int64_t first = 0;

	(void)state;
	open_desk(&d, DIALECT_GB_B, 1);
	add(&d, 1, true);
	send_one(&d, &first);
	sync_now(&d);
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	d.now_ms += 100;
	outbox_lost(&d.outbox, d.now_ms); /* read, and perhaps not kept: the platform died */
	assert_int_equal(send_one(&d, &first), COMMAND_SUPPLEMENT);
	assert_int_equal(first, 10);
	/* What the old connection had shown says nothing about the new one. */
	d.now_ms += SETTLE_MS;
	sync_now(&d);
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	assert_int_equal(outbox_owed(&d.outbox), 1);
	outbox_release(&d.outbox);
}

/* A platform that slows a session down must not see the same backlog sent again and again. */
static void test_unanswered_kind_waits_for_its_proof(void **state)
{
	struct desk d;
	int64_t first;
	int sent = 0;

	(void)state;
	open_desk(&d, DIALECT_GB_A_PRIME, 1);
	for (int i = 0; i < 3 * UNPROVED_MAX; i++)
		add(&d, i, true);
	while (send_one(&d, &first) != 0)
		sent++;
	assert_int_equal(sent, UNPROVED_MAX);
	sync_now(&d);
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	assert_int_equal(send_one(&d, &first), 0); /* read, and perhaps not kept */
	d.now_ms += SETTLE_MS;
	sync_now(&d);
	assert_true(answer(&d, COMMAND_SYNC, WIRE_TIME_NONE, true));
	while (send_one(&d, &first) != 0)
		sent++;
	assert_int_equal(sent, 2 * UNPROVED_MAX);
	assert_int_equal(first, 10 * (2 * UNPROVED_MAX - 1));
	outbox_release(&d.outbox);
}

static void test_regrouping_loses_nothing(void **state)
{
	struct desk d;
	unsigned seconds = 0, frames = 0;
	uint8_t command;
	struct parcel *p;

	(void)state;
	open_desk(&d, DIALECT_HJ_V, 1);
	d.outbox.regroups = true;
	for (int i = 1; i <= 40; i++)
		add(&d, i, false);
	while ((p = outbox_next(&d.outbox, d.now_ms, &command)) != NULL) {
		seconds += p->seconds;
		frames++;
		outbox_sent(&d.outbox, p, command, p->last + 1, d.now_ms * 1000);
		assert_true(answer(&d, command, WIRE_TIME_NONE, true));
		d.now_ms += 500;
	}
	assert_int_equal(seconds, 400);
	assert_true(d.outbox.regrouped > 5 && frames > 20);
	assert_int_equal(outbox_owed(&d.outbox), 0);
	outbox_release(&d.outbox);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_real_time_before_supplements),
		cmocka_unit_test(test_supplements_are_paced),
		cmocka_unit_test(test_sent_again_three_times_then_reconnect),
		cmocka_unit_test(test_second_copy_is_accounted_for),
		cmocka_unit_test(test_answer_that_never_comes_ends_the_connection),
		cmocka_unit_test(test_answer_by_time),
		cmocka_unit_test(test_error_answers),
		cmocka_unit_test(test_unanswered_kind_is_kept),
		cmocka_unit_test(test_unanswered_kind_comes_again_after_a_loss),
		cmocka_unit_test(test_unanswered_kind_waits_for_its_proof),
		cmocka_unit_test(test_regrouping_loses_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The VIN table: one owner for each VIN, layouts remembered, memory bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "gateway/ingest/vin_table.h"

enum { REMEMBERED = 1600 };

struct person {
	struct vin_owner owner;
	int evicted;
};

static void evicted_cb(struct vin_owner *o)
{
	((struct person *)o)->evicted++;
}

static struct person person(void)
{
	return (struct person){ .owner = { evicted_cb } };
}

static int make_table(void **state)
{
	return vin_table_new(REMEMBERED, (struct vin_table **)state, NULL);
}

static int free_table(void **state)
{
	vin_table_free(*state);
	return 0;
}

static const char *vin_of(unsigned n)
{
	static char vin[VIN_SIZE + 1];

	snprintf(vin, sizeof(vin), "LTEST%012u", n);
	return vin;
}

static void test_the_newer_takes_over(void **state)
{
	struct person a = person(), b = person();
	enum layout layout;

	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, true, &layout), VIN_CLAIMED);
	assert_int_equal(layout, LAYOUT_UNKNOWN);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, true, &layout), VIN_CLAIMED);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, true, &layout),
			 VIN_CLAIMED_FROM_OTHER);
	assert_int_equal(a.evicted, 1);
	/* The loser's release must not set the winner's VIN free. */
	vin_table_release(*state, vin_of(1), &a.owner);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, false, &layout),
			 VIN_HELD_BY_OTHER);
	assert_int_equal(b.evicted, 0);
}

static void test_or_is_refused(void **state)
{
	struct person a = person(), b = person();
	enum layout layout;

	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, false, &layout), VIN_CLAIMED);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, false, &layout),
			 VIN_HELD_BY_OTHER);
	vin_table_release(*state, vin_of(1), &a.owner);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, false, &layout), VIN_CLAIMED);
	assert_int_equal(a.evicted, 0);
}

static void test_layouts_outlive_the_session(void **state)
{
	struct person a = person();
	enum layout layout;

	vin_table_set_layout(*state, vin_of(1), LAYOUT_C); /* unknown: nothing happens */
	vin_table_claim(*state, vin_of(1), &a.owner, true, &layout);
	assert_int_equal(layout, LAYOUT_UNKNOWN);
	vin_table_set_layout(*state, vin_of(1), LAYOUT_C);
	vin_table_release(*state, vin_of(1), &a.owner);
	vin_table_claim(*state, vin_of(1), &a.owner, true, &layout);
	assert_int_equal(layout, LAYOUT_C);
}

/* Method: ten times more VINs come and go than are remembered; those still held stay. */
static void test_memory_is_bounded(void **state)
{
	struct person a = person(), held = person();
	enum layout layout;
	unsigned remembered = 0;

	vin_table_claim(*state, vin_of(0), &held.owner, true, &layout);
	vin_table_set_layout(*state, vin_of(0), LAYOUT_B);
	for (unsigned i = 1; i <= 10 * REMEMBERED; i++) {
		vin_table_claim(*state, vin_of(i), &a.owner, true, &layout);
		vin_table_set_layout(*state, vin_of(i), LAYOUT_A);
		vin_table_release(*state, vin_of(i), &a.owner);
	}
	for (unsigned i = 10 * REMEMBERED; i > 0; i--) {
		vin_table_claim(*state, vin_of(i), &a.owner, true, &layout);
		remembered += layout == LAYOUT_A;
		vin_table_release(*state, vin_of(i), &a.owner);
	}
	assert_true(remembered > REMEMBERED / 2 && remembered <= REMEMBERED);
	vin_table_claim(*state, vin_of(0), &a.owner, true, &layout);
	assert_int_equal(layout, LAYOUT_B);
	assert_int_equal(held.evicted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_newer_takes_over, make_table, free_table),
		cmocka_unit_test_setup_teardown(test_or_is_refused, make_table, free_table),
		cmocka_unit_test_setup_teardown(test_layouts_outlive_the_session, make_table,
						free_table),
		cmocka_unit_test_setup_teardown(test_memory_is_bounded, make_table, free_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

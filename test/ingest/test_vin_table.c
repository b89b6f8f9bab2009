/* The VIN table: one owner for each VIN, layouts remembered, memory bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "gateway/identity/identity.h"
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
	return (struct person){ .owner = { .taken_over = evicted_cb } };
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
	struct vin_found found;

	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, true, &found), VIN_CLAIMED);
	assert_int_equal(found.layout, LAYOUT_UNKNOWN);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, true, &found), VIN_CLAIMED);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, true, &found),
			 VIN_CLAIMED_FROM_OTHER);
	assert_int_equal(a.evicted, 1);
	/* The loser's release must not set the winner's VIN free. */
	vin_table_release(*state, vin_of(1), &a.owner);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, false, &found),
			 VIN_HELD_BY_OTHER);
	assert_int_equal(b.evicted, 0);
}

static void test_or_is_refused(void **state)
{
	struct person a = person(), b = person();
	struct vin_found found;

	assert_int_equal(vin_table_claim(*state, vin_of(1), &a.owner, false, &found), VIN_CLAIMED);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, false, &found),
			 VIN_HELD_BY_OTHER);
	vin_table_release(*state, vin_of(1), &a.owner);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &b.owner, false, &found), VIN_CLAIMED);
	assert_int_equal(a.evicted, 0);
}

/* Method: every pair of credentials, the holder's in the row, the newcomer's in the column. */
static void test_a_credential_is_not_taken_over_by_less(void **state)
{
	const uint64_t shown[] = { 0, credential(CREDENTIAL_KEY, 1), credential(CREDENTIAL_KEY, 2),
				   credential(CREDENTIAL_CERTIFICATE, 1),
				   credential(CREDENTIAL_CERTIFICATE, 2) };
	static const bool wins[5][5] = {
		{ true, true, true, true, true },     { false, true, false, true, true },
		{ false, false, true, true, true },   { false, false, false, true, false },
		{ false, false, false, false, true },
	};
	struct vin_found found;

	for (int takeover = 0; takeover < 2; takeover++)
		for (int i = 0; i < 25; i++) {
			struct person holder = person(), newcomer = person();
			const bool expected = i == 0 ? takeover : wins[i / 5][i % 5];
			enum vin_claim claim;

			holder.owner.credential = shown[i / 5];
			newcomer.owner.credential = shown[i % 5];
			vin_table_claim(*state, vin_of(1), &holder.owner, true, &found);
			claim = vin_table_claim(*state, vin_of(1), &newcomer.owner, takeover,
						&found);
			assert_int_equal(claim, expected ? VIN_CLAIMED_FROM_OTHER
						: i == 0 ? VIN_HELD_BY_OTHER
							 : VIN_HELD_BY_CREDENTIAL);
			assert_int_equal(holder.evicted, expected);
			assert_int_equal(found.holder, shown[i / 5]);
			vin_table_release(*state, vin_of(1), &holder.owner);
			vin_table_release(*state, vin_of(1), &newcomer.owner);
		}
}

static void test_a_credential_may_be_shown_later(void **state)
{
	struct person holder = person(), newcomer = person();
	struct vin_found found;

	vin_table_claim(*state, vin_of(1), &holder.owner, true, &found);
	vin_table_set_credential(*state, vin_of(1), &newcomer.owner, 5); /* holds nothing */
	assert_int_equal(newcomer.owner.credential, 0);
	vin_table_set_credential(*state, vin_of(1), &holder.owner, 5);
	assert_int_equal(vin_table_claim(*state, vin_of(1), &newcomer.owner, true, &found),
			 VIN_HELD_BY_CREDENTIAL);
}

static void visit(struct vin_owner *o, void *arg)
{
	*(struct vin_owner **)arg = o;
}

static void test_an_owner_is_found_by_vin(void **state)
{
	struct person a = person();
	struct vin_owner *seen = NULL;
	struct vin_found found;

	assert_false(vin_table_visit(*state, vin_of(1), visit, &seen));
	vin_table_claim(*state, vin_of(1), &a.owner, true, &found);
	assert_true(vin_table_visit(*state, vin_of(1), visit, &seen));
	assert_ptr_equal(seen, &a.owner);
	vin_table_release(*state, vin_of(1), &a.owner);
	assert_false(vin_table_visit(*state, vin_of(1), visit, &seen));
}

static void test_layouts_outlive_the_session(void **state)
{
	struct person a = person();
	struct vin_found found;

	/* A platform's vehicle: nobody claims it. */
	assert_int_equal(vin_table_layout(*state, vin_of(2)), LAYOUT_UNKNOWN);
	vin_table_set_layout(*state, vin_of(2), LAYOUT_B);
	assert_int_equal(vin_table_layout(*state, vin_of(2)), LAYOUT_B);
	vin_table_claim(*state, vin_of(2), &a.owner, true, &found);
	assert_int_equal(found.layout, LAYOUT_B);
	vin_table_release(*state, vin_of(2), &a.owner);

	vin_table_claim(*state, vin_of(1), &a.owner, true, &found);
	assert_int_equal(found.layout, LAYOUT_UNKNOWN);
	vin_table_set_layout(*state, vin_of(1), LAYOUT_C);
	vin_table_release(*state, vin_of(1), &a.owner);
	vin_table_claim(*state, vin_of(1), &a.owner, true, &found);
	assert_int_equal(found.layout, LAYOUT_C);
}

/* Method: ten times more VINs come and go than are remembered; those still held stay. */
static void test_memory_is_bounded(void **state)
{
	struct person a = person(), held = person();
	struct vin_found found;
	unsigned remembered = 0;

	vin_table_claim(*state, vin_of(0), &held.owner, true, &found);
	vin_table_set_layout(*state, vin_of(0), LAYOUT_B);
	for (unsigned i = 1; i <= 10 * REMEMBERED; i++) {
		vin_table_claim(*state, vin_of(i), &a.owner, true, &found);
		vin_table_set_layout(*state, vin_of(i), LAYOUT_A);
		vin_table_release(*state, vin_of(i), &a.owner);
	}
	for (unsigned i = 10 * REMEMBERED; i > 0; i--) {
		vin_table_claim(*state, vin_of(i), &a.owner, true, &found);
		remembered += found.layout == LAYOUT_A;
		vin_table_release(*state, vin_of(i), &a.owner);
	}
	assert_true(remembered > REMEMBERED / 2 && remembered <= REMEMBERED);
	vin_table_claim(*state, vin_of(0), &a.owner, true, &found);
	assert_int_equal(found.layout, LAYOUT_B);
	assert_int_equal(held.evicted, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_newer_takes_over, make_table, free_table),
		cmocka_unit_test_setup_teardown(test_or_is_refused, make_table, free_table),
		cmocka_unit_test_setup_teardown(test_a_credential_is_not_taken_over_by_less,
						make_table, free_table),
		cmocka_unit_test_setup_teardown(test_a_credential_may_be_shown_later, make_table,
						free_table),
		cmocka_unit_test_setup_teardown(test_an_owner_is_found_by_vin, make_table,
						free_table),
		cmocka_unit_test_setup_teardown(test_layouts_outlive_the_session, make_table,
						free_table),
		cmocka_unit_test_setup_teardown(test_memory_is_bounded, make_table, free_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

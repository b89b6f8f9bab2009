/* The rules on the reagent level and on the OBD report: violators, clean trucks, near misses. */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* ---- reagent_unused ---- */

/* An hour at 100 L/h burns 100 L; one second less does not. */
enum { HUNDRED_LITRES_S = 3600 };

static void drive_reagent(struct drive *d, char stage, int seconds, double (*level)(int second))
{
	struct vehicle_facts facts = { .stage = stage };
	struct truck t = hot_truck();

	t.fuel_flow_lph = 100;
	drive_start(d, &facts);
	t.reagent_pct = level(0);
	drive(d, &t, HOT_AFTER_S);
	for (int i = 0; i < seconds; i++) {
		t.reagent_pct = level(i);
		drive(d, &t, 1);
	}
	t.fuel_flow_lph = t.reagent_pct = NAN;
	drive(d, &t, SETTLED_S);
}

static double level_constant(int second)
{
	(void)second;
	return 60;
}
static double level_absent(int second)
{
	(void)second;
	return NAN;
}
static double level_flickers(int second)
{
	return second % 2 == 0 ? 60 : 60.4;
}
static double level_sloshes(int second)
{
	return 60 + 1.6 * sin(second / 20.0);
}
static double level_falls_one_step(int second)
{
	return second < 1800 ? 60 : 59.6;
}
static double level_falls_two_steps(int second)
{
	return second < 1800 ? 60 : 59.2;
}
static double level_refilled(int second)
{
	return second < 1800 ? 60 : 63.2;
}
static double level_rises_a_little(int second)
{
	return second < 1800 ? 60 : 62.8;
}
static double level_falls_as_it_should(int second)
{
	return 60 - 4.0 * second / HUNDRED_LITRES_S;
}
static double level_falls_by_an_eighth(int second)
{
	return 60 - 0.5 * second / HUNDRED_LITRES_S; /* one step of 0.4 in an hour */
}

static void test_reagent_unused(void **state)
{
	static const struct {
		const char *what;
		double (*level)(int second);
		char stage;
		int seconds;
		bool fires;
	} cases[] = {
		{ "constant", level_constant, '6', HUNDRED_LITRES_S, true },
		{ "a second short", level_constant, '6', HUNDRED_LITRES_S - 1, false },
		{ "less expected", level_constant, '5', HUNDRED_LITRES_S, false },
		{ "as much expected", level_constant, '5', HUNDRED_LITRES_S * 4 / 3, true },
		{ "stage unknown", level_constant, 0, HUNDRED_LITRES_S * 4 / 3 - 1, false },
		{ "no reagent in stage III", level_constant, '3', 2 * HUNDRED_LITRES_S, false },
		{ "absent", level_absent, '6', 3 * HUNDRED_LITRES_S, false },
		{ "flickers", level_flickers, '6', HUNDRED_LITRES_S, true },
		{ "sloshes", level_sloshes, '6', HUNDRED_LITRES_S + 10, true },
		{ "one step", level_falls_one_step, '6', HUNDRED_LITRES_S, true },
		{ "two steps", level_falls_two_steps, '6', HUNDRED_LITRES_S, false },
		/* The mean has fallen by 0.5 after 2,683 s; fuel that was burnt before does not
		   count. */
		{ "constant again", level_falls_two_steps, '6', 2683 + 3500, false },
		{ "constant long enough", level_falls_two_steps, '6', 2683 + 3620, true },
		{ "refilled", level_refilled, '6', HUNDRED_LITRES_S, false },
		{ "refilled, then constant", level_refilled, '6', HUNDRED_LITRES_S + 1800, true },
		{ "rises a little", level_rises_a_little, '6', HUNDRED_LITRES_S, true },
		{ "as it should", level_falls_as_it_should, '6', 3 * HUNDRED_LITRES_S, false },
		{ "by an eighth", level_falls_by_an_eighth, '6', HUNDRED_LITRES_S + 10, true },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct drive d;

		drive_reagent(&d, cases[i].stage, cases[i].seconds, cases[i].level);
		if (cases[i].fires != (drive_finding(&d, RULE_reagent_unused) != NULL))
			fail_msg("%s", cases[i].what);
		if (cases[i].fires)
			assert_int_equal(drive_result(&d)->finding_count, 1);
	}
}

static void test_reagent_unused_measured(void **state)
{
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_reagent(&d, '6', 2 * HUNDRED_LITRES_S, level_falls_one_step);
	f = drive_finding(&d, RULE_reagent_unused);
	assert_non_null(f);
	assert_int_equal(f->severity, 3);
	assert_near(f->value, 0.4, 0.01);
	assert_near(f->limit, 0.5, 0);
	assert_near(measured(f, "fuel_l"), 200, 0.05);
	assert_near(measured(f, "expected_pct"), 8, 0.05);
	assert_near(measured(f, "fall_pct"), 0.4, 1e-9);
	assert_near(measured(f, "level_pct"), 59.6, 1e-9);
	assert_int_equal(f->from, d.at - SETTLED_S - 2 * HUNDRED_LITRES_S - HOT_AFTER_S);
}

/* What was found stays when the level falls later in the day. */
static void test_reagent_found_stays(void **state)
{
	struct truck t = hot_truck();
	struct drive d;

	(void)state;
	drive_reagent(&d, '6', HUNDRED_LITRES_S, level_constant);
	assert_non_null(drive_finding(&d, RULE_reagent_unused));
	for (int i = 0; i < 20; i++) {
		t.reagent_pct = 60 - i;
		drive(&d, &t, 600);
	}
	assert_true(drive_finding(&d, RULE_reagent_unused)->value < 0.5);
	assert_near(measured(drive_finding(&d, RULE_reagent_unused), "fuel_l"), 105, 5);
}

/* ---- mil_nox_dtc ---- */

/* SPN 4364 FMI 18 (SCR conversion efficiency), SPN 3251 FMI 1 (DPF), SPN 100 FMI 1 (oil pressure).
 */
static const uint8_t scr[4] = { 0x0C, 0x11, 0x12, 0x01 };
static const uint8_t scr_again[4] = { 0x0C, 0x11, 0x12, 0x07 }; /* another occurrence count */
static const uint8_t dpf[4] = { 0xB3, 0x0C, 0x01, 0x01 };
static const uint8_t oil[4] = { 0x64, 0x00, 0x01, 0x01 };

static void report(struct drive *d, uint8_t mil, const uint8_t *a, const uint8_t *b)
{
	uint8_t codes[2][4];
	uint8_t n = 0;

	if (a != NULL)
		memcpy(codes[n++], a, 4);
	if (b != NULL)
		memcpy(codes[n++], b, 4);
	drive_obd(d, mil, (const uint8_t(*)[4])codes, n);
}

static void test_mil_nox_dtc(void **state)
{
	const struct finding *f;
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	report(&d, 0, NULL, NULL);
	d.at += 10;
	report(&d, 1, scr, oil);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at += 59;
	report(&d, 1, scr_again, oil);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at += 1;
	report(&d, 1, dpf, scr_again);
	f = drive_finding(&d, RULE_mil_nox_dtc);
	assert_non_null(f);
	assert_int_equal(f->severity, 3);
	assert_near(f->value, 1, 0);
	assert_int_equal(f->from, d.at - 60);
	assert_int_equal(f->to, d.at);
	assert_non_null(strstr(f->measured, "\"codes\":[\"SPN 4364 FMI 18\"]}"));
	assert_near(measured(f, "reports"), 4, 0);
	assert_near(measured(f, "reports_with_mil"), 3, 0);
}

static void test_mil_only_report_of_the_day(void **state)
{
	struct drive d;

	(void)state;
	drive_start(&d, NULL);
	report(&d, 1, scr, dpf);
	assert_near(drive_finding(&d, RULE_mil_nox_dtc)->value, 2, 0);
	/* A report that tells nothing is no second one; one that denies is. */
	d.at++;
	report(&d, 0xFE, NULL, NULL);
	d.at++;
	drive_obd(&d, 1, NULL, 0xFE);
	assert_non_null(drive_finding(&d, RULE_mil_nox_dtc));
	d.at++;
	report(&d, 0, scr, dpf);
	assert_null(drive_finding(&d, RULE_mil_nox_dtc));
}

static void test_mil_needs_lamp_and_code(void **state)
{
	struct drive d;

	(void)state;
	for (int i = 0; i < 3; i++) {
		drive_start(&d, NULL);
		for (int n = 0; n < 100; n++) {
			report(&d, i != 0, i == 0 ? scr : i == 1 ? oil : NULL, NULL);
			d.at += 60;
		}
		assert_clean(&d);
	}
	/* Two different codes an hour apart confirm nothing. */
	drive_start(&d, NULL);
	report(&d, 0, NULL, NULL);
	d.at += 60;
	report(&d, 1, scr, NULL);
	d.at += 3600;
	report(&d, 1, dpf, NULL);
	assert_clean(&d);
}

static void test_mil_many_codes(void **state)
{
	uint8_t codes[200][4];
	const struct finding *f;
	struct drive d;
	size_t length;

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		memcpy(codes[i], (uint8_t[4]){ 0x0C, 0x11, (uint8_t)(i % 32), 0x01 }, 4);
	drive_start(&d, NULL);
	drive_obd(&d, 1, (const uint8_t(*)[4])codes, 200);
	f = drive_finding(&d, RULE_mil_nox_dtc);
	assert_non_null(f);
	assert_near(f->value, CODES_MAX, 0);
	length = strlen(f->measured);
	assert_string_equal(f->measured + length - 3, "\"]}");
	assert_non_null(strstr(f->measured, "\"SPN 4364 FMI 0\",\"SPN 4364 FMI 1\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reagent_unused),
		cmocka_unit_test(test_reagent_unused_measured),
		cmocka_unit_test(test_reagent_found_stays),
		cmocka_unit_test(test_mil_nox_dtc),
		cmocka_unit_test(test_mil_only_report_of_the_day),
		cmocka_unit_test(test_mil_needs_lamp_and_code),
		cmocka_unit_test(test_mil_many_codes),
	};

	return cmocka_run_group_tests_name("reagent_mil", tests, NULL, NULL);
}

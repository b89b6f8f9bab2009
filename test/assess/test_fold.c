/*
 * The fold as a whole: equal samples give equal days, however they came; any bytes at all do no
 * harm. Random, from fixed seeds.
 */
#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test/geo/wkb.h"

enum { BLOCKS_MAX = 12000, BODY_MAX = 128 };

struct tape {
	size_t count;
	struct block blocks[BLOCKS_MAX];
	uint8_t bodies[BLOCKS_MAX][BODY_MAX];
};

static struct tape tape, shuffled;
static struct geo *geo;

static int setup(void **state)
{
	struct wkb w = { .size = 0 };
	struct error err = { 0 };

	(void)state;
	assert_int_equal(geo_new(&geo, &err), 0);
	wkb_box(&w, 120, 41, 120.5, 42);
	assert_int_equal(geo_add_division(geo, 211302, w.bytes, w.size, &err), 0);
	assert_int_equal(geo_add_route(geo, 1, w.bytes, w.size, &err), 0);
	w.size = 0;
	wkb_box(&w, 120.4, 41, 121, 42);
	assert_int_equal(geo_add_route(geo, 2, w.bytes, w.size, &err), 0);
	return geo_build(geo, &err);
}

static int teardown(void **state)
{
	(void)state;
	geo_free(geo);
	return 0;
}

static double walk(unsigned *seed, double *value, double step, double min, double max)
{
	*value += (rand_r(seed) % 2001 / 1000.0 - 1) * step;
	*value = fmin(fmax(*value, min), max);
	return rand_r(seed) % 50 == 0 ? (double)NAN : *value;
}

static uint8_t *record(const struct info *info, int64_t at, size_t size)
{
	struct block *b = &tape.blocks[tape.count];
	uint8_t *body = tape.bodies[tape.count++];

	assert_true(tape.count <= BLOCKS_MAX && size <= BODY_MAX);
	*b = (struct block){ info, info != NULL ? info->type : 0x99, at, 0, body, size };
	return body;
}

static void record_obd(int64_t at, unsigned *seed)
{
	uint8_t *body = record(&info_obd, at, 100);

	memset(body, 0, 100);
	body[0] = 2;
	body[1] = rand_r(seed) % 3 == 0 ? 0xFE : 1;
	body[95] = 1;
	memcpy(body + 96, (uint8_t[4]){ 0x0C, 0x11, (uint8_t)(0x10 + rand_r(seed) % 4), 1 }, 4);
}

/* A truck that wanders through warm, hot, loaded, regeneration, gaps, other types and repeated
 * blocks. */
static void tape_random(unsigned seed)
{
	int64_t at = (int64_t)DRIVE_DAY * DAY_S - BEIJING_OFFSET_S + rand_r(&seed) % 3600;
	struct truck t = hot_truck();
	double scr = 330, nox = 500, fuel = 30, air = 700, dp = 1, coolant = 80, reagent = 60,
	       lon = 120.45;

	tape.count = 0;
	for (int i = 0; i < 9000; i++) {
		uint8_t *body = record(&info_stream, at, 37);

		t.scr_in_c = walk(&seed, &scr, 3, 200, 560);
		t.scr_out_c = t.scr_in_c - 20;
		t.nox_downstream_ppm = walk(&seed, &nox, 60, -200, 1500);
		t.fuel_flow_lph = walk(&seed, &fuel, 3, 0, 90);
		t.air_flow_kgph = walk(&seed, &air, 30, 0, 1500);
		t.dpf_dp_kpa = walk(&seed, &dp, 0.3, 0, 6);
		t.coolant_c = walk(&seed, &coolant, 0.3, 60, 100);
		t.reagent_pct = walk(&seed, &reagent, i % 3000 == 0 ? 5 : 0.01, 0, 100);
		t.lon = walk(&seed, &lon, 0.002, 119.9, 121.1);
		t.odometer_km = 1000 + i / 60.0;
		drive_body(&t, body);
		if (rand_r(&seed) % 20 == 0) {
			uint8_t *again = record(&info_stream, at, 37);

			t.nox_downstream_ppm = 3000;
			drive_body(&t, again);
		}
		if (rand_r(&seed) % 30 == 0)
			memset(record(&info_twc_nox, at, 32), 0x11, 32);
		if (rand_r(&seed) % 300 == 0)
			record_obd(at, &seed);
		if (rand_r(&seed) % 50 == 0)
			memset(record(NULL, at, 20), 0x77, 20);
		at += rand_r(&seed) % 200 == 0 ? rand_r(&seed) % 700 : 1;
	}
}

static void fold(struct assess_day *d, const struct tape *x, size_t from, size_t to)
{
	struct geo_cursor *c;
	struct rule_set rules;
	struct error err;

	rule_set_init(&rules);
	assert_int_equal(geo_cursor_new(geo, &c, &err), 0);
	for (size_t i = from; i < to; i++)
		assess_day_block(d, &rules, c, &x->blocks[i]);
	geo_cursor_free(c);
}

static void start(struct assess_day *d)
{
	static const struct vehicle_facts facts = { 1500, 250, '6' };

	memset(d, 0xA5, sizeof(*d));
	assess_day_init(d, DRIVE_DAY, &facts);
}

static struct assess_result result_of(const struct assess_day *d)
{
	struct assess_result r;
	struct rule_set rules;

	memset(&r, 0x5A, sizeof(r));
	rule_set_init(&rules);
	assess_day_result(d, &rules, &r);
	return r;
}

/* A copy at any place, continued, ends as the original; and asking for the result changes nothing.
 */
static void test_snapshot(void **state)
{
	struct assess_day whole, part, copy;

	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		tape_random(seed);
		start(&whole);
		fold(&whole, &tape, 0, tape.count);
		start(&part);
		for (size_t i = 0; i < tape.count;) {
			size_t next = i + 1 + i * 7919 % 997;

			if (next > tape.count)
				next = tape.count;
			fold(&part, &tape, i, next);
			(void)result_of(&part);
			memcpy(&copy, &part, assess_day_size());
			memset(&part, 0, sizeof(part));
			memcpy(&part, &copy, assess_day_size());
			i = next;
		}
		assert_memory_equal(&part, &whole, sizeof(whole));
	}
}

/* Within a second, blocks of different types may come in any order. */
static void test_order_within_a_second(void **state)
{
	struct assess_day a, b;
	struct assess_result x, y;

	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		tape_random(seed);
		shuffled = tape;
		for (size_t n = 0; n < 4; n++) {
			for (size_t i = 1; i < tape.count; i++) {
				struct block *p = &shuffled.blocks[i - 1], *q = p + 1, swap = *p;

				if (p->at != q->at || p->type == q->type || rand_r(&seed) % 2)
					continue;
				*p = *q;
				*q = swap;
			}
		}
		start(&a);
		fold(&a, &tape, 0, tape.count);
		start(&b);
		fold(&b, &shuffled, 0, tape.count);
		x = result_of(&a);
		y = result_of(&b);
		assert_memory_equal(&x, &y, sizeof(x));
	}
}

static void test_repeats_change_nothing(void **state)
{
	struct assess_day a, b;

	(void)state;
	tape_random(77);
	start(&a);
	start(&b);
	for (size_t i = 0; i < tape.count; i++) {
		fold(&a, &tape, i, i + 1);
		fold(&b, &tape, i, i + 1);
		fold(&b, &tape, i, i + 1);
		fold(&b, &tape, 0, i % 5); /* old ones */
	}
	assert_memory_equal(&a, &b, sizeof(a));
}

/* Once found, a finding stays while samples come in order; all but the sensor's, which is a share
 * of the day. */
static void test_findings_stay(void **state)
{
	unsigned found = 0;

	(void)state;
	for (unsigned seed = 1; seed <= 40; seed++) {
		bool was[RULE_COUNT] = { false };
		struct assess_day d;

		tape_random(seed);
		start(&d);
		for (size_t i = 0; i + 50 <= tape.count; i += 50) {
			bool now[RULE_COUNT] = { false };
			struct assess_result r;

			fold(&d, &tape, i, i + 50);
			r = result_of(&d);
			for (size_t k = 0; k < r.finding_count; k++)
				now[r.findings[k].rule] = true;
			for (unsigned k = 0; k < RULE_COUNT; k++) {
				if (k != RULE_sensor_invalid && k != RULE_mil_nox_dtc)
					assert_true(now[k] || !was[k]);
				found += now[k] && !was[k];
				was[k] = now[k];
			}
		}
	}
	/* The tapes must reach the rules, or this shows nothing. */
	assert_true(found > 40);
}

static void assert_sane(const struct assess_day *d)
{
	struct assess_result r = result_of(d);
	int64_t midnight = (int64_t)d->day * DAY_S - BEIJING_OFFSET_S;

	assert_true(isfinite(r.totals.km) && r.totals.km >= 0);
	assert_true(isfinite(r.totals.nox_g) && r.totals.nox_g >= 0);
	assert_true(isfinite(r.totals.fuel_kg) && r.totals.fuel_kg >= 0);
	assert_true(isnan(r.totals.work_kwh) ||
		    (isfinite(r.totals.work_kwh) && r.totals.work_kwh >= 0));
	assert_true(r.totals.samples <= DAY_S && r.totals.gap_s <= DAY_S);
	assert_true(r.totals.engine_on_s <= r.totals.samples);
	assert_true(r.totals.nox_valid_s <= r.totals.engine_on_s);
	assert_true(r.totals.position_valid_s <= r.totals.samples);
	assert_true(r.finding_count <= RULE_COUNT && r.passage_count <= PASSAGES_MAX);
	for (size_t i = 0; i < r.finding_count; i++) {
		const struct finding *f = &r.findings[i];
		size_t length = strnlen(f->measured, sizeof(f->measured));

		assert_true(length > 2 && length < sizeof(f->measured));
		assert_true(f->measured[0] == '{' && f->measured[length - 1] == '}');
		assert_null(strstr(f->measured, "nan"));
		assert_null(strstr(f->measured, "inf"));
		assert_true(isfinite(f->value) && isfinite(f->limit));
		assert_true(f->from >= midnight && f->from <= f->to && f->to < midnight + DAY_S);
	}
	for (size_t i = 0; i < r.passage_count; i++) {
		const struct passage *p = &r.passages[i];

		assert_true(p->from >= midnight && p->from < p->to && p->to < midnight + DAY_S);
		assert_true(isfinite(p->km) && p->km >= 0.5 && isfinite(p->nox_g));
		assert_true(p->route == 1 || p->route == 2);
		assert_true(i == 0 || p[-1].from <= p->from);
	}
}

static void random_bytes(unsigned *seed, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(rand_r(seed) >> 5);
}

/* Any bytes, any type, any size that the type allows, any time. */
static void test_any_bytes(void **state)
{
	const struct info *infos[] = { &info_obd,	   &info_stream,  &info_twc,
				       &info_hybrid,	   &info_twc_nox, NULL,
				       &info_supplementary };
	static uint8_t body[96 + 255 * 4];

	(void)state;
	for (unsigned run = 1; run <= 60; run++) {
		unsigned seed = run * 2654435761u;
		struct vehicle_facts facts = { run % 2 ? 3e4 : 0, run % 3 ? 2000 : 0, (char)run };
		struct rule_set rules;
		struct geo_cursor *c;
		struct assess_day d;
		int64_t at = (int64_t)DRIVE_DAY * DAY_S - BEIJING_OFFSET_S;

		rule_set_init(&rules);
		assert_int_equal(geo_cursor_new(geo, &c, &(struct error){ 0 }), 0);
		assess_day_init(&d, DRIVE_DAY, &facts);
		for (int i = 0; i < 5000; i++) {
			const struct info *info = infos[(unsigned)rand_r(&seed) % 7];
			size_t size = info != NULL ? info->fixed_size : 50;
			struct block b = { info, 0, at, 0, body, size };

			random_bytes(&seed, body, sizeof(body));
			if (info == &info_obd && rand_r(&seed) % 2)
				b.size += (size_t)body[95] * 4;
			if (info == &info_stream && rand_r(&seed) % 2)
				body[25] = 0x07; /* a longitude that exists */
			assess_day_block(&d, &rules, rand_r(&seed) % 9 ? c : NULL, &b);
			at += rand_r(&seed) % 100 == 0 ? rand_r(&seed) % 4000 - 1000
						       : rand_r(&seed) % 3;
			if (i % 500 == 0)
				assert_sane(&d);
		}
		assert_sane(&d);
		geo_cursor_free(c);
	}
}

static void test_random_drives_are_sane(void **state)
{
	struct assess_day d;

	(void)state;
	for (unsigned seed = 100; seed < 140; seed++) {
		tape_random(seed);
		start(&d);
		fold(&d, &tape, 0, tape.count);
		assert_sane(&d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_order_within_a_second),
		cmocka_unit_test(test_repeats_change_nothing),
		cmocka_unit_test(test_findings_stay),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_random_drives_are_sane),
	};

	return cmocka_run_group_tests_name("fold", tests, setup, teardown);
}

/* The simulated trucks: physics that hangs together, and the rules find exactly what was built in.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/assess/assess.h"
#include "tools/cli/fleetsim/body.h"
#include "tools/cli/fleetsim/body_ev.h"
#include "tools/cli/fleetsim/source.h"
#include "tools/cli/fleetsim/verify.h"

enum { START = 1795384800, DRIVE_S = 6 * 3600 }; /* 2026-11-23 06:00 in Beijing */

static struct route_list city;

static int load_city(void **state)
{
	struct error err;

	(void)state;
	return routes_load(HAULGATE_SCHEMA_DIR "/seed/city.sql", &city, &err);
}

static struct fleet_plan plan_of(unsigned trucks, uint64_t seed)
{
	struct fleet_plan plan = { .seed = seed,
				   .trucks = trucks,
				   .start = START,
				   .drive_s = DRIVE_S,
				   .spread_s = 60,
				   .routes = &city };
	struct error err;

	assert_int_equal(dialect_set_parse("mixed", NULL, &plan.dialects, &err), 0);
	return plan;
}

/* Folds what a truck reports in its first seconds; returns the rules that fire, a bit each. */
static unsigned rules_of(const struct fleet_plan *plan, unsigned index, enum kind kind,
			 int64_t seconds)
{
	static struct source source;
	static _Alignas(16) uint8_t state[ASSESS_DAY_SIZE_MAX];
	struct assess_day *day = (struct assess_day *)(void *)state;
	const struct vehicle_facts unknown = { .reference_torque_nm = 0 };
	static struct assess_result result;
	struct truck_plan truck;
	struct rule_set rules;
	struct moment m;
	unsigned fired = 0;

	rule_set_init(&rules);
	assess_day_init(day, assess_day_of(START), &unknown);
	plan_truck(plan, index, kind, &truck);
	source_init(&source, plan, &truck);
	while (source_next(&source, &m) && m.at < truck.start + seconds) {
		for (unsigned i = 0; i < m.count; i++) {
			const struct sample *s = &m.samples[i];
			const struct block b = { .info = info_find(INFO_EMISSION, s->type),
						 .type = s->type,
						 .at = s->at,
						 .body = s->body,
						 .size = s->size };
			assess_day_block(day, &rules, NULL, &b);
		}
	}
	assess_day_result(day, &rules, &result);
	for (size_t i = 0; i < result.finding_count; i++)
		fired |= 1u << result.findings[i].rule;
	return fired;
}

static unsigned rule_of(enum kind kind)
{
	for (unsigned r = 0; r < RULE_COUNT; r++)
		if (strcmp(rule_definitions[r].id, kind_name(kind)) == 0)
			return 1u << r;
	fail_msg("%s: no rule has this name", kind_name(kind));
	return 0;
}

static void test_clean_trucks_have_no_finding(void **state)
{
	const struct fleet_plan plan = plan_of(200, 1);

	(void)state;
	for (unsigned i = 0; i < plan.trucks; i++) {
		const unsigned fired = rules_of(&plan, i, KIND_clean, DRIVE_S);
		if (fired != 0)
			fail_msg("clean truck %u: rules %x", i, fired);
	}
}

static void test_violators_have_their_own_finding_only(void **state)
{
	const struct fleet_plan plan = plan_of(30, 2);

	(void)state;
	for (unsigned k = KIND_clean + 1; k < KIND_COUNT; k++) {
		for (unsigned i = 0; i < plan.trucks; i++) {
			const unsigned fired = rules_of(&plan, i, (enum kind)k, DRIVE_S);
			if (fired != rule_of((enum kind)k))
				fail_msg("%s, truck %u: rules %x", kind_name((enum kind)k), i,
					 fired);
		}
	}
}

/* --verify asks for a finding from this time on. */
static void test_violators_are_found_in_time(void **state)
{
	const struct fleet_plan plan = plan_of(40, 3);

	(void)state;
	for (unsigned k = KIND_clean + 1; k < KIND_COUNT; k++) {
		const int64_t needed = verify_needed_s((enum kind)k);
		assert_true(needed <= DRIVE_S);
		for (unsigned i = 0; i < plan.trucks; i++)
			if (rules_of(&plan, i, (enum kind)k, needed) != rule_of((enum kind)k))
				fail_msg("%s, truck %u: not found after %d s",
					 kind_name((enum kind)k), i, (int)needed);
	}
}

/* ---- physics ---- */

struct means {
	double fuel_kg, air_kg, work_kwh, hot_up, hot_down, dp_max, reagent_kg, km;
	unsigned running, moving, hot, nox_valid, no_fix;
};

static void weigh(const struct model *m, const struct reading *r, struct means *sum)
{
	const double fuel_kgph = r->fuel_flow_lph * 0.84;
	const double kw = r->net_torque_pct / 100 * m->reference_nm * r->engine_rpm / 9549.3;
	const double exhaust = r->air_flow_kgph + fuel_kgph;

	sum->running++;
	sum->moving += r->speed_kmh > 1;
	sum->no_fix += !r->fix;
	sum->nox_valid += !isnan(r->nox_downstream_ppm);
	sum->fuel_kg += fuel_kgph / 3600;
	sum->air_kg += r->air_flow_kgph / 3600;
	sum->reagent_kg += r->dosing_mlph / 1e6 * 1.09 / 3.6;
	sum->work_kwh += kw > 0 ? kw / 3600 : 0;
	sum->dp_max = fmax(sum->dp_max, r->dpf_dp_kpa);
	if (kw > 0.25 * m->rated_kw) {
		assert_in_range((int)(fuel_kgph / kw * 1000), 195, 232);
		assert_in_range((int)(exhaust / kw * 1000), 4000, 9000);
		assert_in_range((int)(r->air_flow_kgph / fuel_kgph / 14.5 * 1000), 1250, 3500);
		if (!isnan(r->nox_upstream_ppm))
			assert_in_range((int)r->nox_upstream_ppm, 300, 1500);
	}
	if (m->scr_in_c > 260 && m->scr_in_c < 450 && m->scr_out_c > 255 &&
	    !isnan(r->nox_downstream_ppm) && fuel_kgph > 0) {
		sum->hot++;
		sum->hot_up += r->nox_upstream_ppm * exhaust;
		sum->hot_down += r->nox_downstream_ppm * exhaust;
	}
	assert_true(r->speed_kmh >= 0 && r->speed_kmh < 95);
	assert_true(r->engine_rpm > 500 && r->engine_rpm < 2000);
	assert_true(r->net_torque_pct > -20 && r->net_torque_pct <= 100.01);
	assert_true(r->scr_in_c > -45 && r->scr_in_c < 650 && r->coolant_c < 105);
	assert_true(r->baro_kpa > 90 && r->baro_kpa < 101.5);
	assert_true(r->lon > 118 && r->lon < 122 && r->lat > 40 && r->lat < 43);
	assert_true(r->fuel_level_pct > 1 && r->reagent_pct > 1);
}

static void test_physics_of_a_clean_truck(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct means sum = { .km = 0 };
		struct model m;
		struct reading r;
		double start_km;
		model_init(&m, seed, KIND_clean, &city.routes[seed % city.count]);
		start_km = m.odometer_km;
		for (int i = 0; i < DRIVE_S; i++)
			if (model_step(&m, &r))
				weigh(&m, &r, &sum);
		sum.km = m.odometer_km - start_km;
		assert_in_range((int)sum.km, 200, 420);
		/* litres for 100 km of a laden truck in the hills */
		assert_in_range((int)(sum.fuel_kg / 0.84 / sum.km * 100), 25, 65);
		assert_in_range((int)(sum.fuel_kg / sum.work_kwh * 1000), 200, 260);
		assert_true(sum.reagent_kg / 1.09 > 0.035 * sum.fuel_kg / 0.84);
		assert_true(sum.reagent_kg / 1.09 < 0.065 * sum.fuel_kg / 0.84);
		assert_true(sum.hot > 3600 && sum.hot_down < 0.06 * sum.hot_up);
		assert_in_range((int)(sum.dp_max * 10), 50, 500);
		assert_true(sum.nox_valid > sum.running * 8 / 10 && sum.nox_valid < sum.running);
		assert_true(sum.no_fix < sum.running / 50 && sum.moving > sum.running / 2);
	}
}

/* The store must see "no value" from a cold sensor, never zero. */
static void test_cold_start_has_no_nox(void **state)
{
	struct model m;
	struct reading r;

	(void)state;
	model_init(&m, 5, KIND_clean, &city.routes[0]);
	for (int i = 0; i < 60; i++) {
		assert_true(model_step(&m, &r));
		assert_true(isnan(r.nox_downstream_ppm) && isnan(r.nox_upstream_ppm));
		assert_true(r.coolant_c < 40 && r.scr_in_c < 120);
	}
}

/* NAN: no value. */
static double value_of(const struct info *info, const char *name, const uint8_t *body)
{
	double value;

	return field_value(info_field(info, name), body, &value) ? value : (double)NAN;
}

/* Both with a value, or both without; within what the coarser of the two can say. */
static void expect_alike(const char *name, const uint8_t *stream, const struct info *info,
			 const uint8_t *body, double within)
{
	const double a = value_of(&info_stream, name, stream), b = value_of(info, name, body);

	if (isnan(a) != isnan(b) || fabs(a - b) > within)
		fail_msg("%s: %f in a stream, %f in %s", name, a, b, info->name);
}

/* A truck says the same in GB/T 32960 as in HJ 1239, as far as both can. */
static void test_a_hybrid_is_the_same_truck(void **state)
{
	uint8_t stream[STREAM_SIZE], vehicle[BODY_EV_SIZE_MAX], engine[BODY_EV_SIZE_MAX],
		position[BODY_EV_SIZE_MAX], alarm[BODY_EV_SIZE_MAX];
	static struct model model;
	struct reading r;
	unsigned driven = 0;

	(void)state;
	model_init(&model, 5, KIND_clean, &city.routes[0]);
	for (int64_t i = 0; i < DRIVE_S; i++) {
		if (!model_step(&model, &r))
			continue;
		body_stream(&r, false, stream);
		assert_int_equal(body_ev_vehicle(&r, vehicle), info_ev_vehicle.fixed_size);
		assert_int_equal(body_ev_engine(&r, engine), info_ev_engine.fixed_size);
		assert_int_equal(body_ev_position(&r, position), info_ev_position.fixed_size);
		const size_t alarm_size = body_ev_alarm(&r, alarm);
		assert_int_equal(alarm_size, info_ev_alarm.size(alarm, alarm_size));
		expect_alike("speed_kmh", stream, &info_ev_vehicle, vehicle, 0.06);
		expect_alike("odometer_km", stream, &info_ev_vehicle, vehicle, 0.001);
		expect_alike("engine_rpm", stream, &info_ev_engine, engine, 0.6);
		expect_alike("lon", stream, &info_ev_position, position, 0);
		expect_alike("lat", stream, &info_ev_position, position, 0);
		const double used = value_of(&info_ev_engine, "fuel_lp100km", engine);
		if (r.speed_kmh > 20) {
			driven++;
			assert_true(fabs(used - r.fuel_flow_lph / r.speed_kmh * 100) < 0.01);
		}
		assert_true(value_of(&info_ev_vehicle, "battery_v", vehicle) > 500);
	}
	assert_true(driven > 1000);
}

/* ---- identity and determinism ---- */

static uint64_t hash_of_fleet(const struct fleet_plan *plan)
{
	static struct source source;
	uint64_t hash = SAMPLES_HASH_START;

	for (unsigned i = 0; i < plan->trucks; i++) {
		struct truck_plan truck;
		struct moment m;
		plan_truck(plan, i, (enum kind)(i % KIND_COUNT), &truck);
		source_init(&source, plan, &truck);
		while (source_next(&source, &m))
			for (unsigned k = 0; k < m.count; k++)
				hash = samples_hash(hash, &m.samples[k]);
	}
	return hash;
}

static void test_a_seed_is_a_fleet(void **state)
{
	struct fleet_plan plan = plan_of(12, 7);
	struct route_list roads;
	const uint64_t first = hash_of_fleet(&plan);

	(void)state;
	assert_true(hash_of_fleet(&plan) == first);
	plan.seed = 8;
	assert_true(hash_of_fleet(&plan) != first);
	/* The same bytes with every compiler and every optimisation: the built-in road never
	 * changes. */
	assert_int_equal(routes_load(NULL, &roads, NULL), 0);
	plan.routes = &roads;
	plan.seed = 7;
	plan.drive_s = 7200;
	assert_true(hash_of_fleet(&plan) == 0xd958c2c6ad57fe71);
}

static void test_longer_drive_begins_the_same(void **state)
{
	struct fleet_plan plan = plan_of(3, 4);
	static struct source a, b;
	struct truck_plan truck;
	struct moment m, n;

	(void)state;
	plan_truck(&plan, 1, KIND_clean, &truck);
	plan.drive_s = 1000;
	source_init(&a, &plan, &truck);
	plan.drive_s = 2000;
	source_init(&b, &plan, &truck);
	while (source_next(&a, &m)) {
		assert_true(source_next(&b, &n));
		assert_int_equal(m.count, n.count);
		for (unsigned i = 0; i < m.count; i++) {
			assert_int_equal(m.samples[i].at, n.samples[i].at);
			assert_memory_equal(m.samples[i].body, n.samples[i].body,
					    m.samples[i].size);
		}
	}
}

static void test_vins(void **state)
{
	const struct fleet_plan plan = plan_of(2000, 3);
	static char seen[2000][VIN_SIZE + 1];

	(void)state;
	for (unsigned i = 0; i < plan.trucks; i++) {
		struct truck_plan truck, violator;
		plan_truck(&plan, i, KIND_clean, &truck);
		plan_truck(&plan, i, KIND_nox_high, &violator);
		assert_true(vin_plausible(truck.vin));
		assert_null(strpbrk(truck.vin, "IOQ"));
		assert_string_equal(truck.vin, violator.vin);
		memcpy(seen[i], truck.vin, sizeof(seen[i]));
	}
	qsort(seen, plan.trucks, sizeof(seen[0]), (int (*)(const void *, const void *))strcmp);
	for (unsigned i = 1; i < plan.trucks; i++)
		assert_string_not_equal(seen[i - 1], seen[i]);
}

static void test_kinds_are_spread(void **state)
{
	struct fleet_plan plan = plan_of(100, 3);
	enum kind kinds[100];
	unsigned counts[KIND_COUNT] = { 0 }, early = 0;

	(void)state;
	plan.violators[KIND_nox_high] = 20;
	plan.violators[KIND_sensor_invalid] = 5;
	plan_kinds(&plan, kinds);
	for (unsigned i = 0; i < 100; i++) {
		counts[kinds[i]]++;
		early += i < 25 && kinds[i] != KIND_clean;
	}
	assert_int_equal(counts[KIND_nox_high], 20);
	assert_int_equal(counts[KIND_sensor_invalid], 5);
	assert_int_equal(counts[KIND_clean], 75);
	assert_true(early < 20);
}

static void test_routes_of_the_city(void **state)
{
	struct route_list builtin;
	struct error err;

	(void)state;
	assert_true(city.count >= 6);
	for (size_t i = 0; i < city.count; i++) {
		const struct route *r = &city.routes[i];
		double lon, lat;
		assert_true(r->id > 0 && r->length_m > 5000 && strlen(r->commodity) >= 3);
		route_position(r, -5, &lon, &lat);
		assert_true(lon == r->lon[0] && lat == r->lat[0]);
		route_position(r, r->length_m, &lon, &lat);
		assert_true(fabs(lon - r->lon[r->point_count - 1]) < 1e-9);
	}
	assert_int_equal(routes_load(NULL, &builtin, &err), 0);
	assert_int_not_equal(routes_load("/nonexistent", &builtin, &err), 0);
	assert_int_not_equal(routes_load("/proc/self/cmdline", &builtin, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean_trucks_have_no_finding),
		cmocka_unit_test(test_violators_have_their_own_finding_only),
		cmocka_unit_test(test_violators_are_found_in_time),
		cmocka_unit_test(test_physics_of_a_clean_truck),
		cmocka_unit_test(test_cold_start_has_no_nox),
		cmocka_unit_test(test_a_hybrid_is_the_same_truck),
		cmocka_unit_test(test_a_seed_is_a_fleet),
		cmocka_unit_test(test_longer_drive_begins_the_same),
		cmocka_unit_test(test_vins),
		cmocka_unit_test(test_kinds_are_spread),
		cmocka_unit_test(test_routes_of_the_city),
	};
	return cmocka_run_group_tests(tests, load_city, NULL);
}

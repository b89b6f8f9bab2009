#include "test/assess/drive.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct truck hot_truck(void)
{
	return (struct truck){
		.speed_kmh = 60,
		.baro_kpa = 98,
		.net_torque_pct = 50,
		.friction_torque_pct = 8,
		.engine_rpm = 1300,
		.fuel_flow_lph = 25,
		.nox_upstream_ppm = 800,
		.nox_downstream_ppm = 60,
		.reagent_pct = 60,
		.air_flow_kgph = 700,
		.scr_in_c = 320,
		.scr_out_c = 310,
		.dpf_dp_kpa = 5,
		.coolant_c = 85,
		.fuel_level_pct = 50,
		.lon = 120.45,
		.lat = 41.57,
	};
}

void drive_start(struct drive *d, const struct vehicle_facts *facts)
{
	static const struct vehicle_facts unknown;

	memset(d, 0, sizeof(*d));
	rule_set_init(&d->rules);
	assess_day_init(&d->day, DRIVE_DAY, facts != NULL ? facts : &unknown);
	d->at = (int64_t)DRIVE_DAY * DAY_S - BEIJING_OFFSET_S;
	d->odometer_km = 123456;
}

void drive_body(const struct truck *t, uint8_t body[37])
{
#define PUT(name) field_put(&info_stream.fields[STREAM_##name], body, t->name);
	PUT(speed_kmh)
	PUT(baro_kpa)
	PUT(net_torque_pct)
	PUT(friction_torque_pct)
	PUT(engine_rpm)
	PUT(fuel_flow_lph)
	PUT(nox_upstream_ppm)
	PUT(nox_downstream_ppm)
	PUT(reagent_pct)
	PUT(air_flow_kgph)
	PUT(scr_in_c)
	PUT(scr_out_c)
	PUT(dpf_dp_kpa)
	PUT(coolant_c)
	PUT(fuel_level_pct)
	PUT(position_status)
	PUT(lon)
	PUT(lat)
	PUT(odometer_km)
#undef PUT
}

static void block(struct drive *d, const struct info *info, const uint8_t *body, size_t size)
{
	struct block b = { info, info->type, d->at, 0, body, size };

	assess_day_block(&d->day, &d->rules, d->cursor, &b);
}

void drive_block(struct drive *d, const struct truck *t)
{
	uint8_t body[37] = { 0 };

	drive_body(t, body);
	block(d, &info_stream, body, sizeof(body));
}

void drive(struct drive *d, const struct truck *t, int seconds)
{
	struct truck now = *t;

	for (int i = 0; i < seconds; i++) {
		if (!isnan(t->odometer_km))
			now.odometer_km = d->odometer_km;
		drive_block(d, &now);
		d->at++;
		if (!isnan(t->speed_kmh))
			d->odometer_km += t->speed_kmh / 3600;
	}
}

void drive_obd(struct drive *d, uint8_t mil, const uint8_t (*codes)[4], uint8_t count)
{
	uint8_t body[96 + 253 * 4] = { 2, mil };

	body[95] = count;
	if (codes != NULL)
		memcpy(body + 96, codes, (size_t)count * 4);
	block(d, &info_obd, body, 96 + (codes != NULL ? (size_t)count * 4 : 0));
}

const struct assess_result *drive_result(const struct drive *d)
{
	static struct assess_result result;

	assess_day_result(&d->day, &d->rules, &result);
	return &result;
}

const struct finding *drive_finding(const struct drive *d, enum rule rule)
{
	const struct assess_result *r = drive_result(d);

	for (size_t i = 0; i < r->finding_count; i++) {
		if (r->findings[i].rule == rule)
			return &r->findings[i];
	}
	return NULL;
}

double measured(const struct finding *f, const char *name)
{
	char key[64];
	const char *p;

	snprintf(key, sizeof(key), "\"%s\":", name);
	p = strstr(f->measured, key);
	if (p == NULL || strncmp(p + strlen(key), "null", 4) == 0)
		return NAN;
	return strtod(p + strlen(key), NULL);
}

void assert_near(double value, double expected, double tolerance)
{
	if (!(fabs(value - expected) <= tolerance))
		fail_msg("%.10g is not %.10g +- %g", value, expected, tolerance);
}

void assert_clean(const struct drive *d)
{
	const struct assess_result *r = drive_result(d);

	if (r->finding_count > 0)
		fail_msg("%s fired: %s", rule_definitions[r->findings[0].rule].id,
			 r->findings[0].measured);
}

void drive_settle(struct drive *d)
{
	struct truck t = hot_truck();

	t.nox_downstream_ppm = NAN;
	t.dpf_dp_kpa = NAN;
	drive(d, &t, SETTLED_S);
}

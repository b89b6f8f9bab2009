/*
 * drive.h - a truck that drives second by second through the fold, for tests.
 *
 * The caller sets what its engine and its sensors say; bodies are made with the wire's own tables.
 * NAN = the sensor gives no value.
 */
#ifndef TEST_ASSESS_DRIVE_H
#define TEST_ASSESS_DRIVE_H

#include "gateway/assess/assess.h"
#include "gateway/assess/state.h"

enum {
	DRIVE_DAY = 20780,   /* 2026-11-23 */
	HOT_AFTER_S = 300,   /* samples of hot_truck() until the first one that is judged */
	SETTLED_S = 480,     /* samples after which nothing waits in a bucket any more */
	WINDOW_FILLS_S = 29, /* judged seconds before the first 60 s mean counts */
};

struct truck {
	double speed_kmh, baro_kpa, net_torque_pct, friction_torque_pct, engine_rpm, fuel_flow_lph,
		nox_upstream_ppm, nox_downstream_ppm, reagent_pct, air_flow_kgph, scr_in_c,
		scr_out_c, dpf_dp_kpa, coolant_c, fuel_level_pct, position_status, lon, lat,
		odometer_km;
};

/* Cruises with a warm engine, a hot SCR and everything in order. */
struct truck hot_truck(void);

struct drive {
	struct assess_day day;
	struct rule_set rules;
	struct geo_cursor *cursor; /* may be NULL */
	int64_t at;		   /* of the next sample */
	double odometer_km;	   /* moves with the speed */
};

void drive_start(struct drive *d, const struct vehicle_facts *facts);

void drive_body(const struct truck *t, uint8_t body[37]);

/* n seconds of the same truck; its odometer follows the speed unless it is NAN. */
void drive(struct drive *d, const struct truck *t, int seconds);

/* One stream block at d->at, which stays. */
void drive_block(struct drive *d, const struct truck *t);

/* An OBD report at d->at, which stays.  codes: four bytes each. */
void drive_obd(struct drive *d, uint8_t mil, const uint8_t (*codes)[4], uint8_t count);

/* The result now; a finding of it, or NULL. */
const struct assess_result *drive_result(const struct drive *d);
const struct finding *drive_finding(const struct drive *d, enum rule rule);

void assert_near(double value, double expected, double tolerance);
void assert_clean(const struct drive *d); /* no finding */

/* Hot, but without NOx and DPF values: lets the buckets settle, and counts for neither. */
void drive_settle(struct drive *d);

/* "name": number of the measured object; NAN when it is null or not there. */
double measured(const struct finding *f, const char *name);

#endif

/*
 * state.h - the complete state of a vehicle-day.
 *
 * Plain memory without pointers: copying it is a snapshot, and equal folds give equal bytes
 * (assess_day_init clears the padding too).  Only gateway/assess looks inside; others copy it.
 *
 * A change of layout or meaning needs a new ASSESS_STATE_VERSION: old snapshots are then
 * ignored and the day is folded again from the store.
 *
 * Times inside are seconds since the Beijing midnight that starts the day, 0..86399; NO_SECOND =
 * never.
 */
#ifndef GATEWAY_ASSESS_STATE_H
#define GATEWAY_ASSESS_STATE_H

#include <assert.h>

#include "gateway/assess/assess.h"
#include "proto/wire/dtc.h"

enum {
	DAY_S = 86400,
	BEIJING_OFFSET_S = 8 * 3600,
	NO_SECOND = -1,

	NOX_WINDOW_S = 60,     /* running mean before the threshold of nox_high */
	NOX_WINDOW_MIN_S = 30, /* values that it needs, so that a spike after a pause is no mean */

	BUCKET_S = 30,
	BUCKET_COUNT = 16,

	ROUTES_OPEN_MAX = 8, /* on at most GEO_ROUTES_MAX, and just left some others */
	DIVISIONS_SEEN_MAX = 16,
	CODES_MAX = 16,
};

/* What one second holds; NAN = absent. */
struct second {
	int32_t at;
	uint8_t rank; /* of the block it was read from; 0 = no engine data (fold.c) */
	bool obd;     /* an OBD block of this second has been taken */
	bool obd_hit; /* ... with the MIL on and an after-treatment code */
	bool place_known;
	double speed_kmh, baro_kpa, net_torque_pct, friction_torque_pct, engine_rpm, fuel_flow_lph,
		nox_downstream_ppm, reagent_pct, air_flow_kgph, scr_in_c, scr_out_c, dpf_dp_kpa,
		coolant_c, odometer_km;
	double lon, lat;
	struct geo_place place;
};

/* A condition that has held since a second.  A hole up to GATE_HOLE_S does not end it. */
struct hold {
	int32_t since, last;
};

struct spot {
	int32_t division, route;
	double lon, lat; /* NAN = unknown */
};

/* Seconds of one kind within a bucket or a day: how many, the first and the last. */
struct span {
	int32_t seconds, from, to;
};

/*
 * What the rules need from up to BUCKET_S seconds.  Buckets wait here until nothing can show any
 * more that they belong to a DPF regeneration (gate.c); then they are added to the day.
 */
struct bucket {
	int32_t index; /* at / BUCKET_S; NO_SECOND = empty */
	int32_t hot_s, loaded_s, flow_s;
	struct span high, no_dp, no_nox;
	double mean_ppm_sum, mean_ppm_max; /* of the 60 s means over the seconds of high */
	double high_nox_g, high_fuel_kg;
	double dp_kpa_sum, dp_flow_kgph_sum; /* over the seconds of no_dp */
	double reagent_fuel_l;
	struct spot spot; /* last hot second */
};

/* The day's sum of buckets, and where each condition became complete. */
struct judged {
	struct bucket sum; /* index = the last one added */
	struct spot high_spot, no_dp_spot, no_nox_spot;
	bool high_complete, no_dp_complete, no_nox_complete;
};

/* Fuel burnt since the reagent level last fell or was refilled. */
struct reagent {
	int32_t from, to;   /* first and last second with a level */
	double level_pct;   /* its mean; NAN = no level yet */
	double highest_pct; /* of the mean, since from */
	double fall_pct;    /* largest fall of the mean from there */
	double fuel_l;	    /* judged */
	bool found;	    /* what follows is the first full window of the day */
	int32_t found_from, found_to;
	double found_fuel_l, found_fall_pct, found_level_pct, found_expected_pct;
	struct spot found_spot;
};

struct code {
	char text[DTC_TEXT_SIZE];
	int32_t first, last;
};

struct obd {
	uint32_t reports; /* that told both the lamp and the codes */
	uint32_t hits;	  /* of these: lamp on and an after-treatment code */
	int32_t from, to; /* first and last hit */
	struct spot spot; /* at the first hit */
	int32_t code_count;
	uint32_t codes_dropped; /* different ones above CODES_MAX */
	struct code codes[CODES_MAX];
};

struct distance {
	int64_t odometer;    /* anchor, 0.1 km */
	int32_t odometer_at; /* NO_SECOND = no anchor */
	int64_t odo_km10;    /* sum of plausible steps, 0.1 km */
	double bridge_km;    /* speed, over seconds without odometer since the anchor */
	double bridged_km;   /* bridges that no plausible step covered */
	double speed_km;     /* speed, over all seconds */
	uint32_t jumps;
};

struct stay {
	uint32_t samples;
	uint32_t odo_km10; /* 0.1 km */
	double speed_km, nox_g, fuel_kg;
};

struct run {
	int32_t route;	  /* 0 = free slot */
	int32_t division; /* where it began */
	int32_t from, to; /* first and last second inside */
	struct stay stay; /* from .. to */
};

/* A run that may go on. */
struct open_run {
	struct run run;
	struct stay tail; /* behind run.to: counts when the vehicle comes back in time */
};

/* Torque at warm idle tells whether the field is net or indicated torque (fold.c). */
struct work {
	uint32_t seconds, idle_s;
	double idle_torque_pct, idle_friction_pct; /* sums */
	double net_kwh, indicated_kwh;
};

struct assess_day {
	int32_t day;
	struct vehicle_facts facts;
	int64_t last; /* unix seconds */

	struct second now; /* still open: blocks of the same second may follow */
	int32_t previous;  /* the last second with engine data that was folded */
	bool previous_running;
	int32_t place_at; /* when spot was seen */
	struct spot spot; /* last known place */

	struct day_totals totals;
	struct distance distance;
	struct work work;

	struct hold warm, temperature, regeneration;
	int32_t regeneration_until; /* judged again after this second */

	int32_t nox_sum, nox_count;	     /* of the window, in 0.05 ppm */
	int32_t nox_window[NOX_WINDOW_S];    /* by at % NOX_WINDOW_S; negative = no value */
	struct bucket buckets[BUCKET_COUNT]; /* by index % BUCKET_COUNT */
	struct judged judged;
	struct reagent reagent;
	struct obd obd;

	struct {
		int32_t id;
		uint32_t samples;
	} divisions[DIVISIONS_SEEN_MAX]; /* id 0 counts as "outside"; samples 0 = free */

	struct open_run open[ROUTES_OPEN_MAX];
	int32_t passage_count;
	uint32_t passages_merged, passages_dropped;
	struct run passages[PASSAGES_MAX]; /* ended, in the order of their end */
};

static_assert(sizeof(struct assess_day) <= ASSESS_DAY_SIZE_MAX, "a vehicle-day has grown");

#endif

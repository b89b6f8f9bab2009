/*
 * assess.h - what a vehicle's day amounts to: NOx mass, findings, passages.
 *
 * The unit of assessment is the vehicle-day (Beijing calendar day).  Its state is a fold over the
 * day's samples in event-time order; the result is a pure function of the state.  So a live
 * day, a day rebuilt from the store, and a day assessed again after late data are the same by
 * construction.
 *
 * Pure: no clock, I/O or allocation.  struct assess_day is plain memory: copying it is a snapshot.
 */
#ifndef GATEWAY_ASSESS_ASSESS_H
#define GATEWAY_ASSESS_ASSESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/geo/geo.h"
#include "proto/wire/unit.h"

/* ---- rules: one list; thresholds are rows of the table "rule", versioned ---- */

enum { RULE_PARAMETERS_MAX = 8 };

struct rule_parameter {
	const char *name; /* unit is its suffix */
	double initial, min, max;
	const char *doc;
};

struct rule_definition {
	const char *id;	   /* "nox_high", ...; stable, in API and database */
	const char *label; /* zh */
	const char *doc;
	int severity; /* 1 info, 2 watch, 3 suspect, 4 high emitter or tampering */
	struct rule_parameter parameters[RULE_PARAMETERS_MAX]; /* ends with name NULL */
};

enum rule {
	RULE_nox_high,	     /* sustained downstream NOx under hot SCR conditions */
	RULE_dpf_missing,    /* no pressure drop at high exhaust flow */
	RULE_reagent_unused, /* fuel burnt, reagent level does not fall */
	RULE_mil_nox_dtc,    /* MIL on with after-treatment trouble codes */
	RULE_sensor_invalid, /* downstream NOx sensor gives no value for too long when it should */
	RULE_COUNT
};
extern const struct rule_definition rule_definitions[RULE_COUNT];

struct rule_set {
	struct {
		int version;
		bool enabled;
		double value[RULE_PARAMETERS_MAX];
	} rule[RULE_COUNT];
};
void rule_set_init(struct rule_set *set); /* version 1, the initial values */

/* What the registry knows; 0 or '\0' = unknown. */
struct vehicle_facts {
	double reference_torque_nm;
	double rated_power_kw;
	char stage; /* '3'..'6' */
};

/* ---- state ---- */

enum { PASSAGES_MAX = 24, ASSESS_STATE_VERSION = 1 };

struct assess_day; /* complete in state.h; at most ASSESS_DAY_SIZE_MAX bytes */
enum { ASSESS_DAY_SIZE_MAX = 6144 };
size_t assess_day_size(void);

/* Beijing day number of a unix time: days since 1970-01-01 at GMT+8. */
int32_t assess_day_of(int64_t at);

void assess_day_init(struct assess_day *d, int32_t day, const struct vehicle_facts *facts);

/* Unix second of the last sample folded; INT64_MIN before the first. */
int64_t assess_day_last(const struct assess_day *d);

/*
 * Folds one block (stream, TWC, OBD, ...) of the day.
 *   - Blocks come in ascending at.  Several blocks of one second are allowed in any order of type;
 *     the same type twice in a second is ignored.
 *   - A block of another day, or older than assess_day_last(), changes nothing.
 *   - cursor may be NULL: no places.
 *   - rules must be the same for all blocks and the result of a day; with others, fold it again.
 */
void assess_day_block(struct assess_day *d, const struct rule_set *rules, struct geo_cursor *cursor,
		      const struct block *b);

/* ---- result ---- */

struct finding {
	enum rule rule;
	int version;
	int severity;
	int64_t from, to;	 /* unix seconds, first and last sample of the condition */
	int32_t division, route; /* where the condition was first complete; 0 = none */
	double lon, lat;	 /* there; NAN when unknown */
	double value;		 /* the measured quantity that the rule judges */
	double limit;		 /* what it was judged against */
	char measured[256];	 /* JSON object: all measured values, names with units */
};

struct passage {
	int32_t route;
	int32_t division; /* where it began; 0 = outside */
	int64_t from, to;
	double km, nox_g, fuel_kg;
	uint32_t samples;
	bool open; /* the vehicle was on the route at the last sample */
};

struct day_totals {
	uint32_t samples; /* seconds with a stream block */
	uint32_t engine_on_s;
	uint32_t nox_valid_s; /* downstream NOx present, engine on */
	uint32_t position_valid_s;
	double km;	       /* odometer, else speed integrated */
	double fuel_kg, nox_g; /* over seconds where NOx, air and fuel are present */
	double work_kwh;       /* NAN without reference torque */
	uint32_t gap_s;	       /* engine-on seconds missing between samples */
	int32_t division;      /* where most samples were; 0 = outside or unknown */
};

struct assess_result {
	struct day_totals totals;
	size_t finding_count;
	struct finding findings[RULE_COUNT];
	size_t passage_count;
	struct passage passages[PASSAGES_MAX]; /* by from, then route */
	/*
	 * Passages above PASSAGES_MAX: merged into the youngest earlier one of the same route, or
	 * dropped when there is none.
	 */
	uint32_t passages_merged, passages_dropped;
};
void assess_day_result(const struct assess_day *d, const struct rule_set *rules,
		       struct assess_result *ret);

/*
 * NOx mass flow in g/s (NO2 equivalent): 0.001587 * ppm * (air kg/h + fuel L/h * 0.84) / 3600.
 * A negative ppm counts as 0.  Source and constants: docs/rules.md.
 */
double nox_mass_flow_gps(double nox_ppm, double air_flow_kgph, double fuel_flow_lph);

#endif

/*
 * trip.h - the emissions of one trip: sums, windows over work, CO2 and fuel, two bins.
 *
 * Pure but for one allocation at creation.  What cannot be computed is NAN or has no windows, never
 * 0; trip_lacks() tells why.
 *
 * Which seconds count is decided once, in this order; the first reason that holds is counted:
 *
 *   repeated       the second has been there: the first sample of it counts
 *   before_warm    before the first sample with coolant at 70 C
 *   engine_off     engine speed is known and below 400 rpm
 *   altitude       barometer is known and below baro_min_kpa
 *   nox_invalid, air_invalid, fuel_invalid    absent
 *   torque_invalid torque, friction (unless the field is net) or engine speed are absent
 *
 * A second without any of these is valid.  A torque_invalid one still counts for CO2 windows, fuel
 * windows and two bins, which need no torque.  Where all of them are, since the reference torque is
 * not known or the truck sends no torque, they are the valid seconds of a trip without work.
 */
#ifndef GATEWAY_ASSESS_TRIP_H
#define GATEWAY_ASSESS_TRIP_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/assess/physics.h"
#include "gateway/assess/two_bin.h"
#include "gateway/assess/window.h"

#define TRIP_EXCLUSIONS(X)                                                                         \
	X(repeated)                                                                                \
	X(before_warm)                                                                             \
	X(engine_off)                                                                              \
	X(altitude)                                                                                \
	X(nox_invalid)                                                                             \
	X(air_invalid)                                                                             \
	X(fuel_invalid)                                                                            \
	X(torque_invalid)

enum trip_exclusion {
#define EXCLUSION(name) EXCLUDED_##name,
	TRIP_EXCLUSIONS(EXCLUSION)
#undef EXCLUSION
		EXCLUSION_COUNT,
	TRIP_VALID = EXCLUSION_COUNT
};

struct trip_parameters {
	struct engine_facts engine;
	double rated_power_kw; /* 0 = unknown, also below */
	double whtc_work_kwh;
	double co2_g_per_kwh; /* of the engine over the WHTC; 0: CO2_G_PER_KWH, an estimate */
	double limit_mgpkwh;
	double baro_min_kpa; /* 0: no altitude is excluded */
};

/*
 * Initial values.  690 mg/kWh: PEMS limit of GB 17691-2018.  82.5 kPa: condition of (EU) 582/2011
 * annex II 4.2, about 1,700 m.
 */
static const double NOX_LIMIT_MGPKWH = 690, BARO_MIN_KPA = 82.5;

/*
 * Estimates for engines of which less is known, always marked as such.  WHTC work and power: the
 * ratio of 13 published pairs (0.089 to 0.097).  CO2: engine families lie at 620 to 680 g/kWh.
 * Fuel: 210 g/kWh.
 */
static const double WHTC_KWH_PER_KW = 0.0926, CO2_G_PER_KWH = 650, FUEL_KG_PER_KWH = 0.21,
		    FUEL_WINDOW_KG = 5;

struct trip;

/* Room for samples_max valid samples.  NULL: no memory.  p is copied. */
struct trip *trip_new(const struct trip_parameters *p, size_t samples_max);
void trip_free(struct trip *t); /* NULL is fine */

/* at: not below that of the sample before. */
void trip_add(struct trip *t, int64_t at, const struct engine_values *v);

struct trip_sums {
	size_t samples, valid;
	size_t excluded[EXCLUSION_COUNT];
	int64_t missing_s; /* seconds without a sample between the first and the last one */
	/* Over the valid seconds: */
	double work_kwh, nox_g, fuel_kg, co2_kg;
	double nox_mgpkwh, nox_gpkg; /* ratios of these sums; NAN where the divisor is 0 */
};
void trip_sums(const struct trip *t, struct trip_sums *ret);

enum trip_window { TRIP_WORK, TRIP_CO2, TRIP_FUEL, TRIP_WINDOW_COUNT };

struct trip_window_result {
	struct window_summary summary; /* min, max, p90: mg/kWh for work, else g/kg */
	double reference;	       /* kWh or kg */
	double duration_max_s;	       /* CO2; else NAN */
	double conformity_factor;      /* p90 / limit; NAN for fuel */
};

/* threshold_pct: of rated power, of work windows; other windows have none. */
void trip_window(struct trip *t, enum trip_window kind, double threshold_pct,
		 struct trip_window_result *ret);

void trip_two_bin(const struct trip *t, struct two_bin_result *ret);

enum trip_figure {
	FIGURE_mass, /* NOx, fuel, CO2 */
	FIGURE_work,
	FIGURE_work_window,
	FIGURE_co2_window,
	FIGURE_fuel_window,
	FIGURE_two_bin
};

/* What is missing for a figure, in words; NULL: nothing. */
const char *trip_lacks(const struct trip *t, enum trip_figure figure);

#endif

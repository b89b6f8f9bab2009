/*
 * model.h - one truck as physics: road, engine, after-treatment, tanks; a second a step.
 *
 * The quantities hang together as in a real truck (power from mass, speed and grade; fuel from
 * power; air from fuel; NOx, temperatures and pressure drop from load and flow), so that a clean
 * truck is clean for the reason that real ones are, and each violator is wrong in one place only.
 *
 * Arithmetic is + - * / and sqrt on doubles without contraction: IEEE 754 defines every bit of it,
 * so a seed gives the same bytes with every compiler and machine.
 */
#ifndef TOOLS_CLI_FLEETSIM_MODEL_H
#define TOOLS_CLI_FLEETSIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli/fleetsim/prng.h"
#include "tools/cli/fleetsim/route.h"

/* A violator is named after the rule (gateway/assess/assess.h) that must find it. */
#define KINDS(X)                                                                                   \
	X(clean, "everything works")                                                               \
	X(nox_high, "the catalyst is dead: what goes in comes out, reagent is still dosed")        \
	X(dpf_missing, "the filter is gone: no pressure drop at any flow")                         \
	X(reagent_unused, "an emulator: NOx looks clean, no reagent is used")                      \
	X(mil_nox_dtc, "driven on with the lamp on and after-treatment trouble codes")             \
	X(sensor_invalid, "the downstream NOx sensor is unplugged")

#define KIND_ENUM_(name, doc) KIND_##name,
enum kind { KINDS(KIND_ENUM_) KIND_COUNT };
#undef KIND_ENUM_

const char *kind_name(enum kind kind);

/* What one second looks like; NAN where the sensor has no value. */
struct reading {
	double speed_kmh, baro_kpa;
	double net_torque_pct, friction_torque_pct, engine_rpm, fuel_flow_lph;
	double nox_upstream_ppm, nox_downstream_ppm;
	double reagent_pct, air_flow_kgph, scr_in_c, scr_out_c, dpf_dp_kpa, coolant_c,
		fuel_level_pct;
	bool fix;
	double lon, lat, odometer_km;
	/* for the supplementary information */
	double accelerator_pct, total_fuel_l, reagent_tank_c, dosing_mlph, total_reagent_g,
		dpf_temp_c;
};

struct model {
	struct prng chance;
	enum kind kind;
	const struct route *route;
	/* the truck */
	double tare_kg, payload_kg, backhaul_kg, rated_kw, reference_nm, displacement_l;
	double fuel_tank_l, reagent_tank_l, dose_share, nox_scale, scr_top, dpf_scale;
	bool rests;
	/* the road */
	double s, direction, speed, load_kg, next_stop_m, since_stop_m, grade;
	int hold_s;  /* seconds to stand still */
	bool at_end; /* standing at an end of the route: load changes, tanks are filled */
	int trip_s;  /* since the last rest */
	int rest_s;  /* seconds of engine off left */
	/* the state of engine and after-treatment */
	double ambient_c, coolant_c, scr_in_c, scr_out_c, dew_s, soot, load;
	int regen_s;
	double nox_drift, nox_noise;
	double fuel_l, reagent_l, reagent_slosh, total_fuel_l, total_reagent_g, odometer_km;
	double gnss_x, gnss_y;
	int no_fix_s;
	bool running;
};

void model_init(struct model *m, uint64_t seed, enum kind kind, const struct route *route);

/*
 * One second on.  Returns true when the engine runs: *ret is filled.  False while it rests: a
 * terminal reports nothing then.
 */
bool model_step(struct model *m, struct reading *ret);

#endif

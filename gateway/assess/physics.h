/*
 * physics.h - what one second of an engine amounts to: exhaust, NOx, torque, power, work, fuel,
 * CO2.
 *
 * Each formula and constant once, for the vehicle-day (fold.c) and for windows (trip.h).  A sample
 * stands for one second.  NAN = absent: what an absent value would be needed for is absent, too.
 * Sources: docs/rules.md, "Quantities".
 */
#ifndef GATEWAY_ASSESS_PHYSICS_H
#define GATEWAY_ASSESS_PHYSICS_H

/* Used where nobody knows better: published evaluations of the same stream take 0.84 or 0.85. */
static const double FUEL_KG_PER_L = 0.84;

/* From here on an engine runs, and its coolant is warm: gates of the rules, start of the windows.
 */
static const double ENGINE_RUNS_RPM = 400, ENGINE_WARM_C = 70;

/* Names and units as in the field tables (proto/wire/info.h). */
#define ENGINE_VALUES(X)                                                                           \
	X(net_torque_pct)                                                                          \
	X(friction_torque_pct)                                                                     \
	X(engine_rpm)                                                                              \
	X(fuel_flow_lph)                                                                           \
	X(air_flow_kgph)                                                                           \
	X(nox_downstream_ppm)                                                                      \
	X(coolant_c)                                                                               \
	X(baro_kpa)

struct engine_values {
#define MEMBER(name) double name;
	ENGINE_VALUES(MEMBER)
#undef MEMBER
};

/* What the field net_torque_pct holds: SAE J1939 SPN 513 is indicated, some terminals send net. */
enum torque_field { TORQUE_INDICATED, TORQUE_NET };

struct engine_facts {
	double reference_torque_nm; /* 0 = unknown: then there is no power and no work */
	double fuel_kg_per_l;
	enum torque_field torque;
};

struct engine_second {
	double exhaust_kgph;
	double nox_g;	     /* a negative ppm counts as 0 */
	double nox_signed_g; /* a negative ppm counts as it is: 40 CFR 1036.530(d)(2)(ii) */
	double fuel_kg;
	double co2_kg;	   /* estimate: 3.16 kg for each kg of diesel */
	double torque_pct; /* net, of the reference torque, not below 0 */
	double power_kw;
	double work_kwh;
};

void engine_second(const struct engine_facts *facts, const struct engine_values *v,
		   struct engine_second *ret);

/* Torque below 0 is given as it is. */
double engine_power_kw(double torque_pct, double reference_torque_nm, double engine_rpm);

double fuel_mass_kgph(double fuel_flow_lph, double fuel_kg_per_l);

/* The reading, or NAN where it is a fault of the sensor or of the terminal, not a measurement. */
double nox_reading_ppm(double ppm);
double fuel_reading_lph(double lph);

#endif

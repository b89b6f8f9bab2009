/*
 * parameter.h - the thresholds of each rule: one list, from which rules.c makes the table and the
 * fold its indices.
 *
 * X(rule, name, initial, min, max, doc); the unit is the suffix of the name, "pct" of a level
 * means percentage points.  Sources and confidence: docs/rules.md.
 */
#ifndef GATEWAY_ASSESS_PARAMETER_H
#define GATEWAY_ASSESS_PARAMETER_H

#include "gateway/assess/assess.h"

#define NOX_HIGH_PARAMETERS(X)                                                                     \
	X(nox_high, nox_ppm, 500, 50, 3000, "60 s mean of downstream NOx that is too high")        \
	X(nox_high, duration_s, 600, 60, 86400, "how long in a day, in seconds that count")

#define DPF_MISSING_PARAMETERS(X)                                                                  \
	X(dpf_missing, dp_kpa, 0.3, 0, 5, "pressure drop that is no resistance")                   \
	X(dpf_missing, exhaust_flow_kgph, 600, 100, 3000, "exhaust mass flow from which to judge") \
	X(dpf_missing, duration_s, 300, 60, 86400, "how long in a day, in seconds that count")

#define REAGENT_UNUSED_PARAMETERS(X)                                                               \
	X(reagent_unused, fuel_l, 100, 20, 1000, "fuel burnt with a hot SCR")                      \
	X(reagent_unused, fall_pct, 0.5, 0.1, 10, "fall of the level that proves consumption")     \
	X(reagent_unused, expected_pct, 4, 1, 50,                                                  \
	  "least expected fall, so that fall_pct is clear")                                        \
	X(reagent_unused, refill_pct, 3, 0.5, 50, "rise of the level that is a refill")            \
	X(reagent_unused, tank_l, 100, 10, 300, "reagent tank, when nobody knows better: large")   \
	X(reagent_unused, stage_6_pct, 4, 0.5, 20, "reagent per fuel by volume, China VI")         \
	X(reagent_unused, stage_5_pct, 3, 0.5, 20, "reagent per fuel by volume, other stages")

#define MIL_NOX_DTC_PARAMETERS(X)                                                                  \
	X(mil_nox_dtc, confirm_s, 60, 0, 86400, "time between two reports of the same code")

#define SENSOR_INVALID_PARAMETERS(X)                                                               \
	X(sensor_invalid, share_pct, 50, 10, 100, "share of the hot seconds without a value")      \
	X(sensor_invalid, duration_s, 1200, 60, 86400, "least number of such seconds in a day")

#define PARAMETER_ENUM_(rule, name, ...) PARAMETER_##rule##_##name,
enum nox_high_parameter { NOX_HIGH_PARAMETERS(PARAMETER_ENUM_) };
enum dpf_missing_parameter { DPF_MISSING_PARAMETERS(PARAMETER_ENUM_) };
enum reagent_unused_parameter { REAGENT_UNUSED_PARAMETERS(PARAMETER_ENUM_) };
enum mil_nox_dtc_parameter { MIL_NOX_DTC_PARAMETERS(PARAMETER_ENUM_) };
enum sensor_invalid_parameter { SENSOR_INVALID_PARAMETERS(PARAMETER_ENUM_) };
#undef PARAMETER_ENUM_

/* parameter(rules, nox_high, duration_s): the value in force. */
#define parameter(rules, rule_, name_)                                                             \
	((rules)->rule[RULE_##rule_].value[PARAMETER_##rule_##_##name_])

#endif

/* rules.c - the rules and what their thresholds start with.  Reasons and sources: docs/rules.md. */
#include "gateway/assess/assess.h"

#include <assert.h>
#include <string.h>

#include "gateway/assess/parameter.h"

#define PARAMETER_ROW(rule, name_, initial_, min_, max_, doc_)                                     \
	[PARAMETER_##rule##_##name_] = { #name_, (initial_), (min_), (max_), (doc_) },

const struct rule_definition rule_definitions[RULE_COUNT] = {
	[RULE_nox_high] = {
		.id = "nox_high",
		.label = "NOx持续超标",
		.doc = "Under load with a hot SCR, the 60 s mean of the downstream NOx stays above "
		       "nox_ppm for at least duration_s of the day.",
		.severity = 4,
		.parameters = { NOX_HIGH_PARAMETERS(PARAMETER_ROW) },
	},
	[RULE_dpf_missing] = {
		.id = "dpf_missing",
		.label = "DPF疑似拆除",
		.doc = "With a hot exhaust and at least exhaust_flow_kgph through it, the particulate "
		       "filter shows no pressure drop above dp_kpa for at least duration_s of the "
		       "day.",
		.severity = 4,
		.parameters = { DPF_MISSING_PARAMETERS(PARAMETER_ROW) },
	},
	[RULE_reagent_unused] = {
		.id = "reagent_unused",
		.label = "反应剂未消耗",
		.doc = "At least fuel_l were burnt with a hot SCR since the reagent level last fell "
		       "by fall_pct or was refilled, where at least expected_pct should have gone.",
		.severity = 3,
		.parameters = { REAGENT_UNUSED_PARAMETERS(PARAMETER_ROW) },
	},
	[RULE_mil_nox_dtc] = {
		.id = "mil_nox_dtc",
		.label = "后处理故障灯亮且有故障码",
		.doc = "The malfunction lamp is on and the same after-treatment trouble code stands in "
		       "OBD reports at least confirm_s apart, or in every OBD report of the day.",
		.severity = 3,
		.parameters = { MIL_NOX_DTC_PARAMETERS(PARAMETER_ROW) },
	},
	[RULE_sensor_invalid] = {
		.id = "sensor_invalid",
		.label = "NOx传感器无有效值",
		.doc = "With a hot SCR the downstream NOx sensor gives no value for at least "
		       "share_pct of the time and at least duration_s of the day.",
		.severity = 2,
		.parameters = { SENSOR_INVALID_PARAMETERS(PARAMETER_ROW) },
	},
};

void rule_set_init(struct rule_set *set)
{
	assert(set != NULL);
	memset(set, 0, sizeof(*set));
	for (unsigned r = 0; r < RULE_COUNT; r++) {
		const struct rule_parameter *p = rule_definitions[r].parameters;

		set->rule[r].version = 1;
		set->rule[r].enabled = true;
		for (unsigned i = 0; i < RULE_PARAMETERS_MAX && p[i].name != NULL; i++) {
			assert(p[i].min <= p[i].initial && p[i].initial <= p[i].max);
			set->rule[r].value[i] = p[i].initial;
		}
	}
}

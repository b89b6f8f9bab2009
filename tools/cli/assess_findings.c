/* The gateway's rules over a trip: blocks as a terminal sends them, folded day by day. */
#include <stdlib.h>

#include "gateway/query/instant.h"
#include "tools/cli/assess.h"

static json_t *instant(int64_t at)
{
	char text[INSTANT_TEXT_SIZE];

	instant_format(at, text);
	return json_string(text);
}

static json_t *finding_json(const struct finding *f)
{
	return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o, s:o, s:o}", "rule",
			 rule_definitions[f->rule].id, "version", f->version, "severity",
			 f->severity, "from", instant(f->from), "to", instant(f->to), "value",
			 assess_number(f->value), "limit", assess_number(f->limit), "measured",
			 json_loads(f->measured, 0, NULL));
}

static void day_end(const struct assess_day *d, const struct rule_set *rules, json_t *findings)
{
	struct assess_result result;

	assess_day_result(d, rules, &result);
	for (size_t i = 0; i < result.finding_count; i++)
		json_array_append_new(findings, finding_json(&result.findings[i]));
}

json_t *assess_findings(const struct trip_file *f, const struct assess_options *o)
{
	const struct vehicle_facts facts = { o->trip.engine.reference_torque_nm,
					     o->trip.rated_power_kw, o->stage };
	struct assess_day *d = malloc(assess_day_size());
	json_t *findings = json_array();
	struct rule_set rules;

	if (d == NULL || findings == NULL) {
		free(d);
		json_decref(findings);
		return NULL;
	}
	rule_set_init(&rules);
	for (size_t i = 0; i < f->count; i++) {
		const struct trip_row *row = &f->rows[i];
		const int32_t day = assess_day_of(row->at);

		if (i == 0 || day != assess_day_of(row[-1].at)) {
			if (i > 0)
				day_end(d, &rules, findings);
			assess_day_init(d, day, &facts);
		}
		assess_day_block(d, &rules, NULL,
				 &(struct block){ &info_stream, INFO_STREAM, row->at, 0, row->body,
						  sizeof(row->body) });
	}
	day_end(d, &rules, findings);
	free(d);
	return findings;
}

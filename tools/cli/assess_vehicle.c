/* What the registry knows about a vehicle, for what the command line leaves open. */
#include <stdlib.h>
#include <string.h>

#include "tools/cli/assess.h"
#include "tools/cli/session.h"

static const char vehicle_sql[] =
	"SELECT reference_torque_nm, rated_power_kw, whtc_work_kwh, stage FROM vehicle "
	"WHERE vin = $1";

static void fill(double *fact, const char *value)
{
	if (!(*fact > 0) && value != NULL)
		*fact = strtod(value, NULL);
}

/* "III".."VI-b" as the rules know it. */
static char stage_of(const char *text)
{
	static const struct {
		const char *text;
		char stage;
	} stages[] = {
		{ "III", '3' }, { "IV", '4' }, { "V", '5' }, { "VI-a", '6' }, { "VI-b", '6' },
	};

	for (size_t i = 0; text != NULL && i < sizeof(stages) / sizeof(stages[0]); i++)
		if (strcmp(text, stages[i].text) == 0)
			return stages[i].stage;
	return '\0';
}

int assess_vehicle(struct assess_options *o, struct error *err)
{
	struct trip_parameters *p = &o->trip;
	struct session session;
	PGresult *result = NULL;
	int rc;

	if ((rc = session_open(&session, "haulgate-assess", o->conninfo, NULL, err)) == 0)
		rc = session_run(&session, "the vehicle", vehicle_sql, 1,
				 (const char *const[]){ o->vin }, NULL, &result, err);
	if (rc == 0 && PQntuples(result) == 0)
		rc = error_set(err, ERROR_NOT_FOUND,
			       "%s is not registered: tools/registry import, or give "
			       "--reference-torque, --rated-power and --whtc-work",
			       o->vin);
	if (rc == 0) {
		fill(&p->engine.reference_torque_nm, session_value(result, 0, 0));
		fill(&p->rated_power_kw, session_value(result, 0, 1));
		fill(&p->whtc_work_kwh, session_value(result, 0, 2));
		if (o->stage == '\0')
			o->stage = stage_of(session_value(result, 0, 3));
	}
	PQclear(result);
	session_close(&session);
	return rc;
}

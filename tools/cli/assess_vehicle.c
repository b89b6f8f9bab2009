/* What the registry knows about a vehicle, for what the command line leaves open. */
#include <string.h>

#include "tools/cli/assess.h"
#include "tools/cli/session.h"

static const char vehicle_sql[] =
	"SELECT reference_torque_nm, rated_power_kw, whtc_work_kwh, stage FROM vehicle "
	"WHERE vin = $1";

/* The registry's own bounds are wider than what can be reckoned with. */
static int fill(struct assess_options *o, double fact, const char *option, const char *value,
		struct error *err)
{
	if (fact > 0 || value == NULL || assess_options_number(o, option, value))
		return 0;
	return error_set(err, ERROR_CORRUPT, "the registry has %s for --%s of %s: give it here",
			 value, option, o->vin);
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

static int take(struct assess_options *o, const PGresult *row, struct error *err)
{
	const struct trip_parameters *p = &o->trip;
	int rc;

	if (o->stage == '\0')
		o->stage = stage_of(session_value(row, 0, 3));
	if ((rc = fill(o, p->engine.reference_torque_nm, "reference-torque",
		       session_value(row, 0, 0), err)) != 0 ||
	    (rc = fill(o, p->rated_power_kw, "rated-power", session_value(row, 0, 1), err)) != 0)
		return rc;
	return fill(o, p->whtc_work_kwh, "whtc-work", session_value(row, 0, 2), err);
}

int assess_vehicle(struct assess_options *o, struct error *err)
{
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
	if (rc == 0)
		rc = take(o, result, err);
	PQclear(result);
	session_close(&session);
	return rc;
}

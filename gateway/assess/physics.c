/* physics.c - one second of an engine, out of what its sensors say. */
#include "gateway/assess/physics.h"

#include <math.h>

#include "gateway/assess/assess.h"

/*
 * g NOx (as NO2) in a kg of wet exhaust at 1 ppm: the ratio of molar masses 46 / 28.98 / 1000,
 * as in Directive 2005/55/EC and its successors.
 */
static const double NOX_G_PER_KG_PPM = 0.001587;

/* Diesel: 0.862 kg carbon in a kg of fuel, all of it to CO2 (44.01 / 12.011).  An estimate. */
static const double CO2_KG_PER_KG_FUEL = 3.16;

/*
 * A NOx sensor ends at 3012.75 ppm and rests there when it fails; -200 ppm (raw 0) is sent while
 * it is not ready.  No truck engine takes 200 L/h.
 */
static const double NOX_MAX_PPM = 3000, NOX_NOT_READY_PPM = -199.99, FUEL_MAX_LPH = 200;

double nox_reading_ppm(double ppm)
{
	return ppm > NOX_MAX_PPM || ppm < NOX_NOT_READY_PPM ? NAN : ppm;
}

double fuel_reading_lph(double lph)
{
	return lph > FUEL_MAX_LPH ? NAN : lph;
}

double fuel_mass_kgph(double fuel_flow_lph, double fuel_kg_per_l)
{
	return fuel_flow_lph * fuel_kg_per_l;
}

static double nox_flow_gps(double nox_ppm, double exhaust_kgph)
{
	return NOX_G_PER_KG_PPM * nox_ppm * exhaust_kgph / 3600;
}

double nox_mass_flow_gps(double nox_ppm, double air_flow_kgph, double fuel_flow_lph)
{
	return nox_flow_gps(nox_ppm > 0 ? nox_ppm : 0,
			    air_flow_kgph + fuel_mass_kgph(fuel_flow_lph, FUEL_KG_PER_L));
}

double engine_power_kw(double torque_pct, double reference_torque_nm, double engine_rpm)
{
	return torque_pct / 100 * reference_torque_nm * engine_rpm * M_PI / 30000;
}

/* fmax() would take an absent torque for 0. */
static double not_negative(double x)
{
	return x < 0 ? 0 : x;
}

void engine_second(const struct engine_facts *facts, const struct engine_values *v,
		   struct engine_second *ret)
{
	const double fuel_kgph = fuel_mass_kgph(v->fuel_flow_lph, facts->fuel_kg_per_l);
	const double friction_pct = facts->torque == TORQUE_NET ? 0 : v->friction_torque_pct;

	ret->exhaust_kgph = v->air_flow_kgph + fuel_kgph;
	ret->nox_signed_g = nox_flow_gps(v->nox_downstream_ppm, ret->exhaust_kgph);
	ret->nox_g = not_negative(ret->nox_signed_g);
	ret->fuel_kg = fuel_kgph / 3600;
	ret->co2_kg = CO2_KG_PER_KG_FUEL * ret->fuel_kg;
	ret->torque_pct = not_negative(v->net_torque_pct - friction_pct);
	ret->power_kw = facts->reference_torque_nm > 0
				? engine_power_kw(ret->torque_pct, facts->reference_torque_nm,
						  v->engine_rpm)
				: NAN;
	ret->work_kwh = ret->power_kw / 3600;
}

/* mass.c - NOx mass flow out of concentration and exhaust mass flow. */
#include "gateway/assess/assess.h"

#include "gateway/assess/fold.h"

/*
 * g NOx (as NO2) in a kg of wet exhaust at 1 ppm: the ratio of molar masses 46 / 28.98 / 1000,
 * as in Directive 2005/55/EC and its successors.
 */
static const double NOX_G_PER_KG_PPM = 0.001587;

double nox_mass_flow_gps(double nox_ppm, double air_flow_kgph, double fuel_flow_lph)
{
	double exhaust_kgph = air_flow_kgph + fuel_flow_lph * FUEL_KG_PER_L;

	return NOX_G_PER_KG_PPM * (nox_ppm > 0 ? nox_ppm : 0) * exhaust_kgph / 3600;
}

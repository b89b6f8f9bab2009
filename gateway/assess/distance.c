/*
 * distance.c - kilometres of the day: steps of the odometer, else speed times time.
 *
 * The odometer also bridges gaps between frames.  A step backwards, or one that no truck can drive
 * in the time since the last, is a jump: counted, and the odometer starts again from there.
 */
#include "gateway/assess/fold.h"

#include <math.h>

static const double ODO_STEPS_PER_KM = 10, SPEED_MAX_KMH = 150;

static bool plausible(int64_t km10, int32_t seconds)
{
	/* One step may come at once: the odometer stood just below it. */
	return km10 >= 0 && (double)km10 <= 1 + SPEED_MAX_KMH * ODO_STEPS_PER_KM / 3600 * seconds;
}

void distance_step(struct distance *x, const struct second *s, struct step_distance *ret)
{
	int64_t odometer, km10;

	*ret = (struct step_distance){ 0 };
	if (present(s->speed_kmh))
		ret->speed_km = s->speed_kmh / 3600;
	x->speed_km += ret->speed_km;
	if (!present(s->odometer_km)) {
		x->bridge_km += ret->speed_km;
		return;
	}
	odometer = llround(s->odometer_km * ODO_STEPS_PER_KM);
	km10 = odometer - x->odometer;
	if (x->odometer_at == NO_SECOND || !plausible(km10, s->at - x->odometer_at)) {
		x->jumps += x->odometer_at != NO_SECOND;
		x->bridged_km += x->bridge_km;
	} else {
		x->odo_km10 += km10;
		ret->odo_km10 = (uint32_t)km10;
	}
	x->bridge_km = 0;
	if (x->odometer_at == NO_SECOND || km10 != 0) {
		x->odometer = odometer;
		x->odometer_at = s->at;
	}
}

double distance_km(const struct distance *x)
{
	/* An odometer that stands still while the truck drives is worth less than the speed. */
	if (x->odo_km10 < ODO_STEPS_PER_KM)
		return x->speed_km;
	return (double)x->odo_km10 / ODO_STEPS_PER_KM + x->bridged_km + x->bridge_km;
}

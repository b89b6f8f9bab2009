#include "tools/cli/fleetsim/body_ev.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define EV_FIELD_ENUM_(set, name, ...) set##_##name,
enum ev_vehicle_field { EV_VEHICLE_FIELDS(EV_FIELD_ENUM_, EV_VEHICLE) EV_VEHICLE_FIELD_COUNT };
enum ev_engine_field { EV_ENGINE_FIELDS(EV_FIELD_ENUM_, EV_ENGINE) EV_ENGINE_FIELD_COUNT };
enum ev_position_field { EV_POSITION_FIELDS(EV_FIELD_ENUM_, EV_POSITION) EV_POSITION_FIELD_COUNT };
#undef EV_FIELD_ENUM_

/* Codes of GB/T 32960.3-2016, tables 9 and 12. */
enum {
	ON = 1,
	CHARGES_DRIVING = 2,
	CHARGES_NOT = 3,
	HYBRID = 2,
	GEAR_DRIVE = 0x20 | 14,
	GEAR_N = 0
};

/* The motor helps under load and brakes without; the battery is held around its middle. */
uint8_t body_ev_vehicle(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX])
{
	const struct field *f = info_ev_vehicle.fields;
	const double current = r->speed_kmh > 0 ? r->accelerator_pct - 40 : 0;

	assert(info_ev_vehicle.fixed_size == BODY_EV_SIZE_MAX);
	field_put_raw(&f[EV_VEHICLE_run_state], body, ON);
	field_put_raw(&f[EV_VEHICLE_charge_state], body,
		      current < 0 ? CHARGES_DRIVING : CHARGES_NOT);
	field_put_raw(&f[EV_VEHICLE_drive_mode], body, HYBRID);
	field_put(&f[EV_VEHICLE_speed_kmh], body, r->speed_kmh);
	field_put(&f[EV_VEHICLE_odometer_km], body, r->odometer_km);
	field_put(&f[EV_VEHICLE_battery_v], body, 580 - 0.2 * current);
	field_put(&f[EV_VEHICLE_battery_a], body, current);
	field_put(&f[EV_VEHICLE_soc_pct], body, 60);
	field_put_raw(&f[EV_VEHICLE_dc_dc], body, ON);
	field_put_raw(&f[EV_VEHICLE_gear], body, r->speed_kmh > 0 ? GEAR_DRIVE : GEAR_N);
	field_put(&f[EV_VEHICLE_insulation_kohm], body, 5000);
	field_put(&f[EV_VEHICLE_accelerator_pct], body, r->accelerator_pct);
	field_put(&f[EV_VEHICLE_brake_pct], body, 0);
	return BODY_EV_SIZE_MAX;
}

/* No consumption for a distance where there is none. */
uint8_t body_ev_engine(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX])
{
	const struct field *f = info_ev_engine.fields;
	const double most = 600;
	const double used = r->fuel_flow_lph / r->speed_kmh * 100;

	field_put_raw(&f[EV_ENGINE_engine_state], body, ON);
	field_put(&f[EV_ENGINE_engine_rpm], body, r->engine_rpm);
	field_put(&f[EV_ENGINE_fuel_lp100km], body,
		  r->speed_kmh >= 1 && used <= most ? used : (double)NAN);
	return (uint8_t)info_ev_engine.fixed_size;
}

uint8_t body_ev_position(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX])
{
	const struct field *f = info_ev_position.fields;

	field_put_raw(&f[EV_POSITION_position_status], body, r->fix ? 0 : 1);
	field_put(&f[EV_POSITION_lon], body, r->fix ? r->lon : (double)NAN);
	field_put(&f[EV_POSITION_lat], body, r->fix ? r->lat : (double)NAN);
	return (uint8_t)info_ev_position.fixed_size;
}

/* Nothing is wrong with what this table knows: no level, no flag, four empty lists of codes. */
uint8_t body_ev_alarm(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX])
{
	enum { LISTS = 4 };
	const uint8_t size = (uint8_t)(info_ev_alarm.fixed_size + LISTS);

	(void)r;
	memset(body, 0, size);
	return size;
}

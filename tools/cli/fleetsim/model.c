#include "tools/cli/fleetsim/model.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define KIND_NAME_(name, doc) [KIND_##name] = #name,
static const char *const kind_names[KIND_COUNT] = { KINDS(KIND_NAME_) };

const char *kind_name(enum kind kind)
{
	assert(kind < KIND_COUNT);
	return kind_names[kind];
}

static double clamp(double x, double low, double high)
{
	return x < low ? low : x > high ? high : x;
}

/* Straight lines between (x, y) points, x ascending; flat outside. */
static double between(const double (*points)[2], int n, double x)
{
	if (x <= points[0][0])
		return points[0][1];
	for (int i = 1; i < n; i++) {
		if (x < points[i][0]) {
			const double part =
				(x - points[i - 1][0]) / (points[i][0] - points[i - 1][0]);
			return points[i - 1][1] + (points[i][1] - points[i - 1][1]) * part;
		}
	}
	return points[n - 1][1];
}

/* ---- the truck as it leaves the yard ---- */

static void draw_truck(struct model *m)
{
	struct prng *p = &m->chance;

	m->tare_kg = prng_range(p, 14000, 16500);
	m->payload_kg = prng_range(p, 35000, 41000);
	m->backhaul_kg = prng_range(p, 0.65, 0.95) * m->payload_kg;
	m->rests = true;
	m->rated_kw = prng_range(p, 310, 420);
	m->reference_nm = m->rated_kw * 7.2;
	m->displacement_l = m->rated_kw / 28;
	m->fuel_tank_l = prng_range(p, 380, 600);
	m->reagent_tank_l = prng_range(p, 55, 75);
	m->dose_share = prng_range(p, 0.045, 0.060);
	m->nox_scale = prng_range(p, 0.88, 1.12);
	m->scr_top = prng_range(p, 0.960, 0.984);
	m->dpf_scale = prng_range(p, 0.9, 1.3);
	m->ambient_c = prng_range(p, -12, 4); /* a November morning */
}

void model_init(struct model *m, uint64_t seed, enum kind kind, const struct route *route)
{
	struct prng *p = &m->chance;

	assert(kind < KIND_COUNT && route->point_count >= 2);
	memset(m, 0, sizeof(*m));
	prng_init(p, seed, 1);
	m->kind = kind;
	m->route = route;
	draw_truck(m);
	if (kind == KIND_reagent_unused) {
		/* Emulators are fitted where reagent costs most: heavily laden both ways, hardly a
		 * rest. */
		m->payload_kg = m->backhaul_kg = prng_range(p, 43000, 47000);
		m->rests = false;
	}
	m->s = prng_range(p, 0.02, 0.98) * route->length_m;
	m->direction = prng_below(p, 2) == 0 ? 1 : -1;
	m->load_kg = m->direction > 0 ? m->payload_kg : m->backhaul_kg;
	m->hold_s = 90 + (int)prng_below(p, 180);
	m->next_stop_m = prng_range(p, 2000, 9000);
	m->coolant_c = m->scr_in_c = m->scr_out_c = m->ambient_c;
	m->soot = prng_range(p, 0.1, kind == KIND_reagent_unused ? 0.2 : 0.9);
	m->fuel_l = m->fuel_tank_l * prng_range(p, 0.45, 0.95);
	m->reagent_l = m->reagent_tank_l * prng_range(p, 0.45, 0.95);
	m->total_fuel_l = prng_range(p, 20000, 120000);
	m->total_reagent_g = m->total_fuel_l * m->dose_share * 1090;
	m->odometer_km = m->total_fuel_l * prng_range(p, 2.9, 3.3);
	m->no_fix_s = 15 + (int)prng_below(p, 40);
	m->running = true;
}

/* ---- the road and the driver ---- */

static const double gravity = 9.81, rolling = 0.0072, drag_area = 7.0, air_density = 1.25;
/* Rotating parts count as 5 % more mass; the driveline keeps 93 % of the power. */
static const double inertia = 1.05, driveline = 0.93;

static double mass_of(const struct model *m)
{
	return m->tare_kg + m->load_kg;
}

static double resistance_n(const struct model *m)
{
	return mass_of(m) * gravity * (rolling + m->grade) +
	       0.5 * air_density * drag_area * m->speed * m->speed;
}

static void fill_tanks(struct model *m)
{
	if (m->fuel_l < 0.3 * m->fuel_tank_l)
		m->fuel_l = m->fuel_tank_l * prng_range(&m->chance, 0.90, 0.97);
	if (m->reagent_l < 0.25 * m->reagent_tank_l)
		m->reagent_l = m->reagent_tank_l * prng_range(&m->chance, 0.90, 0.97);
}

/* At an end of the route: loading or unloading with the engine idling, then rest if due. */
static void arrive(struct model *m)
{
	m->at_end = true;
	m->hold_s = 180 + (int)prng_below(&m->chance, 240);
}

static void depart(struct model *m)
{
	if (m->at_end) {
		m->at_end = false;
		m->direction = -m->direction;
		m->load_kg = m->direction > 0 ? m->payload_kg : m->backhaul_kg;
		fill_tanks(m);
		if (m->rests && m->trip_s > 10800) {
			m->trip_s = 0;
			m->rest_s = 1200 + (int)prng_below(&m->chance, 200);
		}
	}
	m->next_stop_m = prng_range(&m->chance, 4000, 25000);
}

/* Returns the power that the wheels ask of the engine, kW; negative downhill and when braking. */
static double drive(struct model *m)
{
	const double to_end = m->direction > 0 ? m->route->length_m - m->s : m->s;
	const double to_stop = to_end < m->next_stop_m ? to_end : m->next_stop_m;
	const double ahead = route_height(m->route, m->s + 15 * m->direction);
	const double behind = route_height(m->route, m->s - 15 * m->direction);
	const double braking = sqrt(2 * 0.55 * (to_stop > 0 ? to_stop : 0));
	const double limit = route_limit(m->route, m->s);
	double wanted, a;

	m->grade = clamp((ahead - behind) / 30, -0.06, 0.06);
	wanted = limit < braking ? limit : braking;
	a = clamp((wanted - m->speed) * 0.25, -0.9, 0.45);
	const double force = resistance_n(m);
	const double v = m->speed > 2 ? m->speed : 2;
	const double strongest =
		(m->rated_kw * 1000 * driveline / v - force) / (mass_of(m) * inertia);
	if (a > strongest)
		a = strongest;
	const double power_kw =
		m->speed * (force + mass_of(m) * inertia * a) / 1000 / (a > -0.2 ? driveline : 1);
	m->speed = clamp(m->speed + a, to_stop > 3 ? 1.0 : 0, 25);
	m->s += m->speed * m->direction;
	m->odometer_km += m->speed / 1000;
	m->next_stop_m -= m->speed;
	if (to_stop <= 3 || m->speed <= 0) {
		m->speed = 0;
		if (to_end <= to_stop)
			arrive(m);
		else
			m->hold_s = 15 + (int)prng_below(&m->chance, 60);
	}
	return power_kw;
}

/* ---- the engine ---- */

struct engine {
	double rpm, brake_kw, fuel_kgph, air_kgph;
	bool overrun;
};

/* Twelve gears with steps of 1.28, kept above 1,050 rpm. */
static double gear_rpm(double speed_ms)
{
	double rpm = speed_ms * 57.2;

	for (int gear = 12; gear > 1 && rpm < 1050; gear--)
		rpm *= 1.28;
	return clamp(rpm, 620, 1900);
}

static void run_engine(struct model *m, double wheel_kw, struct engine *e)
{
	const bool standing = m->speed < 0.5;

	e->rpm = (standing ? 600 : gear_rpm(m->speed)) + 4 * prng_noise(&m->chance);
	e->overrun = !standing && wheel_kw < -4 && e->rpm > 900;
	e->brake_kw = clamp((wheel_kw > 0 ? wheel_kw : 0) + (standing ? 4 : 6), 0, m->rated_kw);
	/* The driver shifts down where the torque does not suffice. */
	const double slowest_rpm = e->brake_kw * 9549.3 / m->reference_nm;
	e->rpm = e->rpm > slowest_rpm ? e->rpm : slowest_rpm;
	m->load = e->overrun ? 0 : e->brake_kw / m->rated_kw;
	const double slack = 1 - m->load;
	const double idle_kgph = 0.13 * m->displacement_l * e->rpm / 600;
	const double burnt = e->brake_kw * (0.200 + 0.030 * slack * slack);
	e->fuel_kgph = e->overrun ? 0 : burnt > idle_kgph ? burnt : idle_kgph;
	const double lambda = 1.42 + 0.85 * slack * slack;
	const double pumped = e->rpm * 0.03 * m->displacement_l * 0.72;
	const double needed = e->fuel_kgph * 14.5 * lambda;
	e->air_kgph = (needed > pumped ? needed : pumped) * (1 + 0.006 * prng_noise(&m->chance));
}

/* ---- after-treatment ---- */

static void heat(struct model *m, const struct engine *e, double exhaust_kgph)
{
	const double fuel_lph = e->fuel_kgph / 0.84;
	double gas_c = 150 + 300 * m->load / (m->load + 0.18);

	if (e->overrun)
		gas_c = 150;
	if (m->regen_s > 0)
		gas_c = 570; /* late injection burns in the oxidation catalyst before the filter */
	m->scr_in_c += (gas_c - m->scr_in_c) / (80000 / (exhaust_kgph + 90) + 10);
	m->scr_out_c += (m->scr_in_c - 6 - m->scr_out_c) / (60000 / (exhaust_kgph + 90) + 10);
	m->coolant_c += (84 + 6 * m->load - m->coolant_c) / (900 / (1 + fuel_lph / 10));
	m->dew_s = m->scr_in_c > 120 ? m->dew_s + 1 : m->dew_s;
}

static void load_filter(struct model *m, const struct engine *e)
{
	m->soot += e->fuel_kgph / 3600 / 210;
	if (m->regen_s > 0) {
		m->regen_s--;
		m->soot -= m->soot / 500;
	} else if (m->soot > 1 && m->speed > 14 && m->scr_in_c > 240) {
		m->regen_s = 900 + (int)prng_below(&m->chance, 400);
	}
}

static double scr_efficiency(const struct model *m)
{
	const double points[][2] = { { 175, 0 },	  { 205, 0.55 },       { 235, 0.92 },
				     { 255, m->scr_top }, { 450, m->scr_top }, { 520, 0.93 },
				     { 600, 0.85 } };

	if (m->kind == KIND_nox_high)
		return 0.04;
	return between(points, sizeof(points) / sizeof(points[0]),
		       (m->scr_in_c + m->scr_out_c) / 2);
}

static void after_treatment(struct model *m, const struct engine *e, struct reading *r)
{
	const double exhaust_kgph = e->air_kgph + e->fuel_kgph;
	const double fuel_lph = e->fuel_kgph / 0.84;
	double target = e->overrun ? 30 : (m->speed < 0.5 ? 320 : 440 + 640 * m->load);

	heat(m, e, exhaust_kgph);
	load_filter(m, e);
	/* Slow drift of the sensor plus its own flutter; both bounded. */
	m->nox_drift += (0.012 * prng_noise(&m->chance) - 0.02 * m->nox_drift);
	m->nox_noise += (target * m->nox_scale * (1 + m->nox_drift) - m->nox_noise) * 0.5;
	const double up = clamp(m->nox_noise + 3 * prng_noise(&m->chance), 0, 2500);
	const double down = up * (1 - scr_efficiency(m)) + 2 * prng_noise(&m->chance);

	r->nox_upstream_ppm = m->dew_s > 60 && m->coolant_c > 45 ? up : (double)NAN;
	r->nox_downstream_ppm =
		m->dew_s > 150 && m->coolant_c > 65 ? clamp(down, -3, 2500) : (double)NAN;
	if (m->kind == KIND_sensor_invalid)
		r->nox_downstream_ppm = (double)NAN;

	const double q = exhaust_kgph * (m->scr_in_c + 273) / 573;
	double dp = m->dpf_scale * (0.0034 * q + 2.2e-6 * q * q) * (1 + 0.5 * m->soot);
	if (m->kind == KIND_dpf_missing)
		dp = 0.00006 * q;
	r->dpf_dp_kpa = clamp(dp + 0.02 * prng_noise(&m->chance), 0, 60);

	double dosed_lph = m->scr_in_c > 190 ? fuel_lph * m->dose_share : 0;
	if (m->kind == KIND_reagent_unused)
		dosed_lph = 0;
	r->dosing_mlph = dosed_lph * 1000;
	m->reagent_l = clamp(m->reagent_l - dosed_lph / 3600, 0, m->reagent_tank_l);
	m->total_reagent_g += dosed_lph / 3600 * 1090;
}

/* ---- what the terminal reads ---- */

static void read_place(struct model *m, struct reading *r)
{
	struct prng *p = &m->chance;

	if (m->no_fix_s > 0)
		m->no_fix_s--;
	else if (prng_below(p, 5000) == 0)
		m->no_fix_s =
			5 + (int)prng_below(p, 20); /* a tunnel, or the pit under the excavator */
	m->gnss_x += 0.6 * prng_noise(p) - 0.05 * m->gnss_x;
	m->gnss_y += 0.6 * prng_noise(p) - 0.05 * m->gnss_y;
	route_position(m->route, m->s, &r->lon, &r->lat);
	r->lon += m->gnss_x / 83300;
	r->lat += m->gnss_y / 111200;
	r->fix = m->no_fix_s == 0;
	r->odometer_km = m->odometer_km;
	/* 0.0117 kPa a metre holds to 1 % below 1,000 m. */
	r->baro_kpa = 101.3 - 0.0117 * route_height(m->route, m->s);
}

static void read_engine(struct model *m, const struct engine *e, struct reading *r)
{
	r->speed_kmh = m->speed * 3.6;
	r->engine_rpm = e->rpm;
	r->friction_torque_pct = 7 + 2.5 * e->rpm / 1500;
	r->net_torque_pct = e->overrun ? -r->friction_torque_pct
				       : e->brake_kw * 9549.3 / e->rpm / m->reference_nm * 100;
	r->fuel_flow_lph = e->fuel_kgph / 0.84;
	r->air_flow_kgph = e->air_kgph;
	r->scr_in_c = m->scr_in_c;
	r->scr_out_c = m->scr_out_c;
	r->coolant_c = m->coolant_c;
	r->fuel_level_pct = m->fuel_l / m->fuel_tank_l * 100;
	if (m->kind != KIND_reagent_unused)
		m->reagent_slosh += 0.1 * prng_noise(&m->chance) - 0.1 * m->reagent_slosh;
	r->reagent_pct = clamp(m->reagent_l / m->reagent_tank_l * 100 + m->reagent_slosh, 0, 100);
	r->accelerator_pct = e->overrun ? 0 : clamp(m->load * 100, 0, 100);
	r->total_fuel_l = m->total_fuel_l;
	r->reagent_tank_c = clamp(m->ambient_c + m->coolant_c / 4, -40, 60);
	r->total_reagent_g = m->total_reagent_g;
	r->dpf_temp_c = m->scr_in_c + 12;
}

/* Engine off: everything falls towards the air's temperature, sensors wait for the dew point again.
 */
static bool rest(struct model *m)
{
	m->rest_s--;
	m->running = false;
	m->dew_s = 0;
	m->coolant_c += (m->ambient_c - m->coolant_c) / 7200;
	m->scr_in_c += (m->ambient_c - m->scr_in_c) / 2400;
	m->scr_out_c += (m->ambient_c - m->scr_out_c) / 3000;
	return false;
}

bool model_step(struct model *m, struct reading *ret)
{
	struct engine e;
	double wheel_kw = 0;

	m->trip_s++;
	if (m->rest_s > 0)
		return rest(m);
	if (!m->running) {
		m->running = true;
		m->no_fix_s = 3 + (int)prng_below(&m->chance, 8);
		m->hold_s = 45; /* a short idle after the start */
	}
	memset(ret, 0, sizeof(*ret));
	if (m->hold_s > 0) {
		if (--m->hold_s == 0)
			depart(m);
	} else {
		wheel_kw = drive(m);
	}
	run_engine(m, wheel_kw, &e);
	m->fuel_l = clamp(m->fuel_l - e.fuel_kgph / 0.84 / 3600, 0, m->fuel_tank_l);
	m->total_fuel_l += e.fuel_kgph / 0.84 / 3600;
	after_treatment(m, &e, ret);
	read_engine(m, &e, ret);
	read_place(m, ret);
	return true;
}

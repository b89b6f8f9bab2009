#include "tools/cli/fleetsim/body.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/dtc.h"

void body_stream(const struct reading *r, bool nox_abnormal, uint8_t body[STREAM_SIZE])
{
	const struct field *f = info_stream.fields;
	const struct {
		enum stream_field field;
		double value;
	} values[] = {
		{ STREAM_speed_kmh, r->speed_kmh },
		{ STREAM_baro_kpa, r->baro_kpa },
		{ STREAM_net_torque_pct, r->net_torque_pct },
		{ STREAM_friction_torque_pct, r->friction_torque_pct },
		{ STREAM_engine_rpm, r->engine_rpm },
		{ STREAM_fuel_flow_lph, r->fuel_flow_lph },
		{ STREAM_nox_upstream_ppm, r->nox_upstream_ppm },
		{ STREAM_nox_downstream_ppm, r->nox_downstream_ppm },
		{ STREAM_reagent_pct, r->reagent_pct },
		{ STREAM_air_flow_kgph, r->air_flow_kgph },
		{ STREAM_scr_in_c, r->scr_in_c },
		{ STREAM_scr_out_c, r->scr_out_c },
		{ STREAM_dpf_dp_kpa, r->dpf_dp_kpa },
		{ STREAM_coolant_c, r->coolant_c },
		{ STREAM_fuel_level_pct, r->fuel_level_pct },
		{ STREAM_lon, r->fix ? r->lon : (double)NAN },
		{ STREAM_lat, r->fix ? r->lat : (double)NAN },
		{ STREAM_odometer_km, r->odometer_km },
	};

	assert(info_stream.fixed_size == STREAM_SIZE);
	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		field_put(&f[values[i].field], body, values[i].value);
	field_put_raw(&f[STREAM_position_status], body, r->fix ? 0 : 1);
	if (isnan(r->nox_downstream_ppm) && nox_abnormal)
		field_put_raw(&f[STREAM_nox_downstream_ppm], body, 0xFEFF);
}

void body_supplementary(const struct reading *r, uint8_t body[SUPPLEMENTARY_SIZE])
{
	const struct field *f = info_supplementary.fields;

	field_put(&f[SUPPLEMENTARY_torque_mode], body, 9); /* normal */
	field_put(&f[SUPPLEMENTARY_accelerator_pct], body, r->accelerator_pct);
	field_put(&f[SUPPLEMENTARY_fuel_used_l], body, r->total_fuel_l);
	field_put(&f[SUPPLEMENTARY_reagent_tank_c], body, r->reagent_tank_c);
	field_put(&f[SUPPLEMENTARY_reagent_flow_mlph], body, r->dosing_mlph);
	field_put(&f[SUPPLEMENTARY_reagent_used_g], body, r->total_reagent_g);
	field_put(&f[SUPPLEMENTARY_dpf_c], body, r->dpf_temp_c);
}

/* ---- OBD information: GB 17691-2018 table Q.7 ---- */

enum { PROTOCOL_ISO_27145 = 1, PROTOCOL_J1939 = 2, IUPR_WORDS = 18 };

struct code {
	uint32_t spn;
	uint8_t fmi;
	uint8_t iso[3]; /* the same fault in ISO 15031 coding, and failure type */
};

static const struct code after_treatment_codes[] = {
	{ 4364, 18, { 0x20, 0xEE, 0x00 } }, /* SCR conversion efficiency too low */
	{ 4094, 31, { 0x20, 0x7F, 0x00 } }, /* NOx limits exceeded, reagent quality */
	{ 4792, 14, { 0x20, 0xEE, 0x00 } }, /* SCR system */
	{ 3936, 14, { 0x20, 0x02, 0x00 } }, /* DPF efficiency */
};

static const struct code other_codes[] = {
	{ 110, 3, { 0x01, 0x18, 0x00 } },  /* coolant sensor, voltage high */
	{ 168, 18, { 0x05, 0x62, 0x00 } }, /* battery voltage low */
	{ 84, 2, { 0x05, 0x00, 0x00 } },   /* vehicle speed erratic */
};

static void put_code(uint8_t *p, const struct code *c, bool j1939)
{
	if (j1939) {
		p[0] = (uint8_t)c->spn;
		p[1] = (uint8_t)(c->spn >> 8);
		p[2] = (uint8_t)((c->spn >> 16) << 5 | c->fmi);
		p[3] = 1; /* occurred once */
	} else {
		memcpy(p, c->iso, 3);
		p[3] = 0x09; /* test failed, confirmed */
	}
}

static void put_text(enum obd_field field, uint8_t *body, const char *text)
{
	const struct field *f = &info_obd.fields[field];

	memcpy(body + f->offset, text, f->size);
}

uint8_t body_obd(enum kind kind, const char *vin, struct prng *chance, uint8_t *body, unsigned max)
{
	const struct field *f = info_obd.fields;
	const bool j1939 = prng_below(chance, 3) != 0;
	const unsigned minor = (unsigned)prng_below(chance, 100);
	uint8_t *list = body + OBD_SIZE, *iupr = body + f[OBD_iupr].offset;
	uint8_t codes = 0;
	char text[19];

	assert(max >= OBD_SIZE + 2 * DTC_SIZE && strlen(vin) == 17);
	memset(body, 0, OBD_SIZE);
	field_put_raw(&f[OBD_obd_protocol], body, j1939 ? PROTOCOL_J1939 : PROTOCOL_ISO_27145);
	field_put_raw(&f[OBD_support], body, 0xDEA1);
	put_text(OBD_vin, body, vin);
	/* One draw a statement: the order of arguments is the compiler's choice. */
	const uint64_t calibration = prng_below(chance, 10000000000u);
	snprintf(text, sizeof(text), "CY%010llu000000", (unsigned long long)calibration);
	put_text(OBD_calibration_id, body, text);
	snprintf(text, sizeof(text), "%08X0000000000", (unsigned)(uint32_t)prng_next(chance));
	put_text(OBD_cvn, body, text);
	for (unsigned i = 0; i < IUPR_WORDS; i++) {
		const unsigned count = 100 + (unsigned)prng_below(chance, 900);
		iupr[2 * i] = (uint8_t)(count >> 8);
		iupr[2 * i + 1] = (uint8_t)count;
	}
	if (kind == KIND_mil_nox_dtc)
		put_code(list + DTC_SIZE * codes++, &after_treatment_codes[prng_below(chance, 4)],
			 j1939);
	/* A few trucks have something else: a code without the lamp, or the lamp for another
	 * reason. */
	if (minor < 18)
		put_code(list + DTC_SIZE * codes++, &other_codes[prng_below(chance, 3)], j1939);
	field_put_raw(&f[OBD_mil], body, kind == KIND_mil_nox_dtc || minor < 4);
	field_put_raw(&f[OBD_dtc_count], body, codes);
	return (uint8_t)(OBD_SIZE + DTC_SIZE * codes);
}

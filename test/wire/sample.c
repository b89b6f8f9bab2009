#include "test/wire/sample.h"

#include <assert.h>
#include <math.h>
#include <string.h>

uint32_t sample_random(struct sample_random *r)
{
	/* xorshift64* */
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)(r->state * 2685821657736338717u >> 32);
}

uint32_t sample_below(struct sample_random *r, uint32_t n)
{
	return sample_random(r) % n;
}

static bool is_number(const struct field *f)
{
	return f->kind == FIELD_NUMBER || f->kind == FIELD_CODE || f->kind == FIELD_BITS;
}

static void plausible_field(const struct field *f, struct sample_random *r, uint8_t *body)
{
	static const char characters[] = "ABCDEFGHJKLMNPRSTUVWXYZ0123456789";

	if (is_number(f))
		field_put_raw(f, body,
			      f->max == UINT32_MAX ? sample_random(r)
						   : sample_below(r, f->max + 1));
	else
		for (size_t i = 0; i < f->size; i++)
			body[f->offset + i] =
				(uint8_t)characters[sample_below(r, sizeof(characters) - 1)];
}

size_t sample_body(const struct info *info, struct sample_random *r, bool plausible,
		   uint8_t body[SAMPLE_BODY_MAX])
{
	size_t size = info->fixed_size;

	for (;;) {
		for (size_t i = 0; i < SAMPLE_BODY_MAX; i++)
			body[i] = (uint8_t)sample_random(r);
		/* Small counts, so that the lists of any table fit. */
		if (info->size != NULL && info->fixed_size < 90)
			for (size_t i = 0; i < 64; i++)
				body[i] = (uint8_t)(i % 2 == 0 ? 0 : sample_below(r, 3));
		for (size_t i = 0; plausible && i < info->field_count; i++)
			plausible_field(&info->fields[i], r, body);
		if (info == &info_obd)
			body[OBD_SIZE - 1] = (uint8_t)sample_below(r, 12);
		else if (info->size != NULL && info->fixed_size == 1)
			body[0] = (uint8_t)sample_below(r, 4);
		else if (info->size != NULL && plausible)
			memset(body + info->fixed_size - 2, 0, 2);
		if (info->size == NULL)
			return size;
		size = info->size(body, SAMPLE_BODY_MAX);
		if (size > 0)
			return size;
	}
}

static double noise(struct sample_random *r, double width)
{
	return width * ((double)sample_random(r) / UINT32_MAX - 0.5);
}

void sample_drive_start(struct sample_drive *d, uint64_t seed)
{
	*d = (struct sample_drive){ .random = { seed * 2 + 1 },
				    .lon = 120.45,
				    .lat = 41.57,
				    .odometer_km = 81234.5,
				    .reagent_pct = 62,
				    .fuel_pct = 71,
				    .scr_c = 260,
				    .coolant_c = 82 };
}

void sample_drive_second(struct sample_drive *d, uint8_t body[STREAM_SIZE])
{
	struct sample_random *r = &d->random;
	double load, rpm, fuel, upstream;

	if (sample_below(r, 30) == 0)
		d->target_kmh = sample_below(r, 5) == 0 ? 0 : 30 + sample_below(r, 60);
	d->speed_kmh += fmax(-3, fmin(1.2, d->target_kmh - d->speed_kmh)) + noise(r, 0.4);
	d->speed_kmh = fmax(0, d->speed_kmh);
	load = fmax(5, fmin(95, 40 + 30 * (d->target_kmh > d->speed_kmh) + noise(r, 10)));
	rpm = d->speed_kmh < 2 ? 620 + noise(r, 12) : 950 + d->speed_kmh * 6 + noise(r, 30);
	fuel = 2 + load * rpm / 5000;
	upstream = 250 + load * 8 + noise(r, 60);
	d->scr_c += (220 + load * 1.5 - d->scr_c) * 0.02 + noise(r, 0.4);
	d->coolant_c += noise(r, 0.3);
	d->lon += d->speed_kmh / 3600 / 83 * 0.8;
	d->lat += d->speed_kmh / 3600 / 111 * 0.6;
	d->odometer_km += d->speed_kmh / 3600;
	d->reagent_pct -= 0.0004;
	d->fuel_pct -= 0.001;
	{
		const double values[STREAM_FIELD_COUNT] = {
			[STREAM_speed_kmh] = d->speed_kmh,
			[STREAM_baro_kpa] = 98.5,
			[STREAM_net_torque_pct] = load,
			[STREAM_friction_torque_pct] = 8 + rpm / 400,
			[STREAM_engine_rpm] = rpm,
			[STREAM_fuel_flow_lph] = fuel,
			[STREAM_nox_upstream_ppm] = upstream,
			[STREAM_nox_downstream_ppm] = upstream * 0.06 + noise(r, 6),
			[STREAM_reagent_pct] = d->reagent_pct,
			[STREAM_air_flow_kgph] = 120 + rpm / 4 + noise(r, 12),
			[STREAM_scr_in_c] = d->scr_c,
			[STREAM_scr_out_c] = d->scr_c - 8 + noise(r, 1),
			[STREAM_dpf_dp_kpa] = 1 + rpm / 500 + noise(r, 0.4),
			[STREAM_coolant_c] = d->coolant_c,
			[STREAM_fuel_level_pct] = d->fuel_pct,
			[STREAM_lon] = d->lon + noise(r, 4e-6),
			[STREAM_lat] = d->lat + noise(r, 4e-6),
			[STREAM_odometer_km] = d->odometer_km,
		};

		for (size_t i = 0; i < STREAM_FIELD_COUNT; i++)
			field_put(&info_stream.fields[i], body, values[i]);
	}
}

struct frame sample_frame(uint8_t start, enum header header, uint8_t command)
{
	return (struct frame){ .start = start,
			       .header = header,
			       .protocol = start == 0x24	? PROTOCOL_GBT32960_2025
					   : start == 0x7E	? PROTOCOL_HJ1239
					   : header == HEADER_P ? PROTOCOL_GBT32960_2016
								: PROTOCOL_GB17691,
			       .command = command,
			       .answer = ANSWER_COMMAND,
			       .vin = SAMPLE_VIN,
			       .software_version = header == HEADER_V ? 1 : 0,
			       .encryption = 0x01 };
}

struct frame sample_frame_of(enum layout layout, uint8_t command)
{
	switch (layout) {
	case LAYOUT_EV:
		return sample_frame(0x23, HEADER_P, command);
	case LAYOUT_EV_2025:
		return sample_frame(0x24, HEADER_P, command);
	default:
		return sample_frame(0x23, HEADER_V, command);
	}
}

size_t sample_report(enum layout layout, struct sample_drive *d, int64_t at, unsigned n,
		     uint8_t *buf, size_t size)
{
	struct frame f = sample_frame_of(layout, COMMAND_REALTIME);
	uint8_t unit[FRAME_UNIT_MAX], body[STREAM_SIZE];
	struct unit_writer w;

	assert(layout != LAYOUT_EV && layout != LAYOUT_EV_2025);
	unit_start(&w, layout, at, 7, unit, sizeof(unit));
	for (unsigned i = 0; i < n; i++) {
		sample_drive_second(d, body);
		unit_block(&w, INFO_STREAM, at + i, 7, body, sizeof(body));
	}
	assert(!w.failed);
	f.unit = unit;
	f.unit_size = w.size;
	return frame_encode(&f, buf, size);
}

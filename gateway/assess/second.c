/* second.c - the values of one second, read out of its blocks. */
#include "gateway/assess/fold.h"

#include <math.h>
#include <string.h>

/* Names as in the field tables, so that each is one row. */
#define SECOND_VALUES(X)                                                                           \
	X(speed_kmh)                                                                               \
	X(baro_kpa)                                                                                \
	X(net_torque_pct)                                                                          \
	X(friction_torque_pct)                                                                     \
	X(engine_rpm)                                                                              \
	X(fuel_flow_lph)                                                                           \
	X(nox_downstream_ppm)                                                                      \
	X(reagent_pct)                                                                             \
	X(air_flow_kgph)                                                                           \
	X(scr_in_c)                                                                                \
	X(scr_out_c)                                                                               \
	X(dpf_dp_kpa)                                                                              \
	X(coolant_c)                                                                               \
	X(odometer_km)

enum rank { RANK_NONE, RANK_TWC, RANK_TWC_NOX, RANK_STREAM };

bool present(double value)
{
	return !isnan(value);
}

static void values_clear(struct second *s)
{
#define CLEAR(name) s->name = NAN;
	SECOND_VALUES(CLEAR)
#undef CLEAR
	s->lon = s->lat = NAN;
	s->place_known = false;
	memset(&s->place, 0, sizeof(s->place));
}

void second_clear(struct second *s, int32_t at)
{
	memset(s, 0, sizeof(*s));
	s->at = at;
	values_clear(s);
}

static enum rank rank_of(const struct block *b)
{
	if (b->info == NULL || b->size < b->info->fixed_size)
		return RANK_NONE;
	if (b->info == &info_stream)
		return RANK_STREAM;
	if (b->info == &info_twc_nox)
		return RANK_TWC_NOX;
	return b->info == &info_twc ? RANK_TWC : RANK_NONE;
}

static void value_read(const struct field *f, const uint8_t *body, double *value)
{
	if (f != NULL)
		(void)field_value(f, body, value);
}

static void values_read(struct second *s, const struct block *b, enum rank rank)
{
	if (rank == RANK_STREAM) {
#define READ(name) value_read(&info_stream.fields[STREAM_##name], b->body, &s->name);
		SECOND_VALUES(READ)
#undef READ
	} else {
#define READ(name) value_read(info_field(b->info, #name), b->body, &s->name);
		SECOND_VALUES(READ)
#undef READ
	}
}

void second_take(struct second *s, const struct block *b, struct geo_cursor *cursor)
{
	enum rank rank = rank_of(b);

	if (rank <= s->rank)
		return;
	s->rank = (uint8_t)rank;
	values_clear(s);
	values_read(s, b, rank);
	s->nox_downstream_ppm = nox_reading_ppm(s->nox_downstream_ppm);
	s->fuel_flow_lph = fuel_reading_lph(s->fuel_flow_lph);

	s->place_known = info_position(b->info, b->body, &s->lon, &s->lat);
	if (!s->place_known)
		s->lon = s->lat = NAN;
	else if (cursor != NULL)
		geo_locate(cursor, s->lon, s->lat, &s->place);
}

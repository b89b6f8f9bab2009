#include "proto/wire/info_ev.h"

#include <assert.h>

#include "proto/wire/bytes.h"

/* A count of FE or FF (abnormal, invalid) has no list behind it. */
static size_t list8(struct reader *r, size_t each)
{
	const uint8_t n = reader_u8(r);

	return n >= 0xFE ? 0 : n * each;
}

static size_t list16(struct reader *r, size_t each)
{
	const uint16_t n = reader_u16(r);

	return n >= 0xFFFE ? 0 : n * each;
}

static size_t used(const struct reader *r, size_t left)
{
	return r->failed ? 0 : left - r->left;
}

static size_t ev_motors_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, list8(&r, 12));
	return used(&r, left);
}

static size_t ev_fuel_cell_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, 6);
	reader_bytes(&r, list16(&r, 1));
	reader_bytes(&r, 10);
	return used(&r, left);
}

static size_t ev_alarm_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, 5);
	for (int list = 0; list < 4; list++)
		reader_bytes(&r, list8(&r, 4));
	return used(&r, left);
}

static size_t ev_cells_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	for (size_t n = list8(&r, 1); n > 0 && !r.failed; n--) {
		reader_bytes(&r, 9);
		reader_bytes(&r, list8(&r, 2));
	}
	return used(&r, left);
}

static size_t ev_probes_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	for (size_t n = list8(&r, 1); n > 0 && !r.failed; n--) {
		reader_bytes(&r, 1);
		reader_bytes(&r, list16(&r, 1));
	}
	return used(&r, left);
}

static size_t ev25_motors_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, list8(&r, 10));
	return used(&r, left);
}

static size_t ev25_alarm_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, 5);
	for (int list = 0; list < 4; list++)
		reader_bytes(&r, list8(&r, 4));
	reader_bytes(&r, list8(&r, 2));
	return used(&r, left);
}

static size_t ev25_cells_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	for (size_t n = list8(&r, 1); n > 0 && !r.failed; n--) {
		reader_bytes(&r, 5);
		reader_bytes(&r, list16(&r, 2));
	}
	return used(&r, left);
}

static size_t ev25_stacks_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	for (size_t n = list8(&r, 1); n > 0 && !r.failed; n--) {
		reader_bytes(&r, 10);
		reader_bytes(&r, list16(&r, 1));
	}
	return used(&r, left);
}

static size_t ev25_capacitor_size(const uint8_t *p, size_t left)
{
	struct reader r = { p, left, false };

	reader_bytes(&r, 5);
	reader_bytes(&r, list16(&r, 2));
	reader_bytes(&r, list16(&r, 1));
	return used(&r, left);
}

#define ev25_probes_size ev_probes_size

/* NULL for bodies that are all fixed part. */
#define ev_vehicle_size		     NULL
#define ev_engine_size		     NULL
#define ev_position_size	     NULL
#define ev_extremes_size	     NULL
#define ev25_vehicle_size	     NULL
#define ev25_fuel_cell_size	     NULL
#define ev25_engine_size	     NULL
#define ev25_position_size	     NULL
#define ev25_capacitor_extremes_size NULL

#define ROW(name_, NAME, family_, type_, size_, label_, doc_)                                      \
	static_assert(0 NAME##_FIELDS(FIELD_SIZE_SUM, ) == (size_), "fields fill the fixed part"); \
	static const struct field name_##_fields[] = { NAME##_FIELDS(FIELD_ROW, ) };               \
	const struct info info_##name_ = {                                                         \
		.family = INFO_##family_,                                                          \
		.type = type_,                                                                     \
		.name = #name_,                                                                    \
		.label = label_,                                                                   \
		.doc = doc_,                                                                       \
		.fields = name_##_fields,                                                          \
		.field_count = sizeof(name_##_fields) / sizeof(name_##_fields[0]),                 \
		.fixed_size = size_,                                                               \
		.size = name_##_size,                                                              \
	};
EV_INFOS(ROW)
#undef ROW

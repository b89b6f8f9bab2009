#include "proto/wire/info.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/dtc.h"
#include "proto/wire/info_ev.h"
#include "proto/wire/text.h"

/* A row forgotten or of the wrong size shows here: the fields fill the fixed part. */
static_assert(0 OBD_FIELDS(FIELD_SIZE_SUM, ) == OBD_SIZE, "table Q.7");
static_assert(0 STREAM_FIELDS(FIELD_SIZE_SUM, ) == STREAM_SIZE, "table Q.8");
static_assert(0 TWC_FIELDS(FIELD_SIZE_SUM, ) == TWC_SIZE, "HJ 1239.3 table 6");
static_assert(0 TWC_NOX_FIELDS(FIELD_SIZE_SUM, ) == TWC_NOX_SIZE, "HJ 1239.3 table 7");
static_assert(0 HYBRID_FIELDS(FIELD_SIZE_SUM, ) == HYBRID_SIZE, "HJ 1239.3 table 8");
static_assert(0 SUPPLEMENTARY_FIELDS(FIELD_SIZE_SUM, ) == SUPPLEMENTARY_SIZE, "annex A");

static const struct field obd_fields[] = { OBD_FIELDS(FIELD_ROW, ) };
static const struct field stream_fields[] = { STREAM_FIELDS(FIELD_ROW, ) };
static const struct field twc_fields[] = { TWC_FIELDS(FIELD_ROW, ) };
static const struct field twc_nox_fields[] = { TWC_NOX_FIELDS(FIELD_ROW, ) };
static const struct field hybrid_fields[] = { HYBRID_FIELDS(FIELD_ROW, ) };
static const struct field supplementary_fields[] = { SUPPLEMENTARY_FIELDS(FIELD_ROW, ) };

/* The count byte may be FE or FF: then no list follows. */
static size_t dtc_list_size(const uint8_t *body)
{
	const uint8_t n = body[OBD_SIZE - 1];

	return n >= 0xFE ? 0 : (size_t)n * DTC_SIZE;
}

static size_t obd_size(const uint8_t *p, size_t left)
{
	size_t size;

	if (left < OBD_SIZE)
		return 0;
	size = OBD_SIZE + dtc_list_size(p);
	return size <= left ? size : 0;
}

size_t info_dtcs(const uint8_t *body, size_t size, const uint8_t **ret_first)
{
	if (size < OBD_SIZE || size < OBD_SIZE + dtc_list_size(body))
		return 0;
	*ret_first = body + OBD_SIZE;
	return dtc_list_size(body) / DTC_SIZE;
}

static size_t obd_json_tail(const uint8_t *body, size_t size, char *out, size_t out_size)
{
	const uint8_t *list = NULL;
	const size_t n = info_dtcs(body, size, &list);
	struct text t;
	struct dtc dtc;

	text_start(&t, out, out_size);
	text_put(&t, ",\"dtcs\":[");
	for (size_t i = 0; i < n; i++) {
		dtc_decode(list + i * DTC_SIZE, body[0], &dtc);
		text_put(&t, i > 0 ? ",{\"raw\":\"" : "{\"raw\":\"");
		text_hex(&t, dtc.raw, DTC_SIZE);
		text_format(&t, "\",\"text\":\"%s\"}", dtc.text);
	}
	text_put(&t, "]");
	return t.used;
}

#define INFO(set_, type_, size_, ...)                                                              \
	{                                                                                          \
		.family = INFO_EMISSION, .type = type_, .name = #set_, .fields = set_##_fields,    \
		.field_count = sizeof(set_##_fields) / sizeof(set_##_fields[0]),                   \
		.fixed_size = size_, __VA_ARGS__                                                   \
	}

const struct info info_obd = INFO(obd, INFO_OBD, OBD_SIZE, .label = "OBD信息",
				  .doc = "state of the on-board diagnosis and its fault codes",
				  .size = obd_size, .json_tail = obd_json_tail);
const struct info info_stream = INFO(stream, INFO_STREAM, STREAM_SIZE, .label = "数据流信息",
				     .doc = "one second of an engine with DPF and/or SCR");
const struct info info_twc = INFO(twc, INFO_TWC, TWC_SIZE, .label = "三元催化器，无NOx传感器",
				  .doc = "one second of an engine with three-way catalyst");
const struct info info_hybrid = INFO(hybrid, INFO_HYBRID, HYBRID_SIZE, .label = "混动车附加",
				     .doc = "what a hybrid adds to each second");
const struct info info_twc_nox =
	INFO(twc_nox, INFO_TWC_NOX, TWC_NOX_SIZE, .label = "三元催化器，有NOx传感器",
	     .doc = "one second of an engine with three-way catalyst and NOx sensor");
const struct info info_supplementary =
	INFO(supplementary, INFO_SUPPLEMENTARY, SUPPLEMENTARY_SIZE, .label = "补充数据",
	     .doc = "fuel and reagent totals, dosing, DPF temperature");

const struct info *const info_all[] = {
	&info_obd,
	&info_stream,
	&info_twc,
	&info_hybrid,
	&info_twc_nox,
	&info_supplementary,
#define ROW(name, ...) &info_##name,
	EV_INFOS(ROW)
#undef ROW
		NULL,
};

static const struct info *emission_find(uint8_t type)
{
	switch (type) {
	case INFO_OBD:
		return &info_obd;
	case INFO_STREAM:
		return &info_stream;
	case INFO_TWC:
		return &info_twc;
	case INFO_HYBRID:
		return &info_hybrid;
	case INFO_TWC_NOX:
		return &info_twc_nox;
	case INFO_SUPPLEMENTARY:
		return &info_supplementary;
	default:
		return NULL;
	}
}

const struct info *info_find(enum info_family family, uint8_t type)
{
	if (family == INFO_EMISSION)
		return emission_find(type);
	for (size_t i = 0; info_all[i] != NULL; i++)
		if (info_all[i]->family == family && info_all[i]->type == type)
			return info_all[i];
	return NULL;
}

const struct field *info_field(const struct info *info, const char *name)
{
	for (size_t i = 0; i < info->field_count; i++)
		if (strcmp(info->fields[i].name, name) == 0)
			return &info->fields[i];
	return NULL;
}

/* Position fields stand side by side in every table that has them: status, (system,) lon, lat. */
static bool position_fields(const struct info *info, const struct field **ret_status,
			    const struct field **ret_lon)
{
	switch (info->family == INFO_EMISSION ? info->type : 0) {
	case INFO_STREAM:
		*ret_status = &stream_fields[STREAM_position_status];
		*ret_lon = &stream_fields[STREAM_lon];
		return true;
	case INFO_TWC:
		*ret_status = &twc_fields[TWC_position_status];
		*ret_lon = &twc_fields[TWC_lon];
		return true;
	case INFO_TWC_NOX:
		*ret_status = &twc_nox_fields[TWC_NOX_position_status];
		*ret_lon = &twc_nox_fields[TWC_NOX_lon];
		return true;
	default:
		*ret_status = info_field(info, "position_status");
		*ret_lon = info_field(info, "lon");
		return *ret_status != NULL && *ret_lon != NULL;
	}
}

/* The 2025 edition lets a terminal send shifted coordinates; only WGS-84 is a position to us. */
static bool shifted_coordinates(const struct info *info, const uint8_t *body)
{
	const struct field *f;

	if (info->family != INFO_EV_2025)
		return false;
	f = info_field(info, "coordinate_system");
	return f != NULL && field_raw(f, body) != 1;
}

bool info_position(const struct info *info, const uint8_t *body, double *ret_lon, double *ret_lat)
{
	enum { NO_FIX = 1, SOUTH = 2, WEST = 4 };
	const struct field *status, *lon;
	double x, y;
	uint32_t bits;

	if (info == NULL || !position_fields(info, &status, &lon))
		return false;
	bits = field_raw(status, body);
	if ((bits & NO_FIX) != 0 || bits > status->max || shifted_coordinates(info, body))
		return false;
	if (!field_value(lon, body, &x) || !field_value(lon + 1, body, &y))
		return false;
	*ret_lon = (bits & WEST) != 0 ? -x : x;
	*ret_lat = (bits & SOUTH) != 0 ? -y : y;
	return true;
}

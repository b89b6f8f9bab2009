/*
 * info.h - the information types of the report unit: the tables.
 *
 * Sources: GB 17691-2018 Annex Q tables Q.6-Q.8, HJ 1239.3-2021 tables 4-9 and annex A,
 * GB/T 32960.3-2016 clause 7.  An enumerator NAME_field indexes info_NAME.fields.
 */
#ifndef PROTO_WIRE_INFO_H
#define PROTO_WIRE_INFO_H

#include "proto/wire/field.h"

enum info_family { INFO_EMISSION, INFO_EV_2016, INFO_EV_2025 };

struct info {
	enum info_family family;
	uint8_t type;      /* information type flag */
	const char *name;  /* "stream", "obd", "twc", ... */
	const char *label; /* zh */
	const char *doc;
	const struct field *fields; /* of the fixed part, sorted by offset */
	size_t field_count;
	size_t fixed_size; /* bytes that every body has */
	/*
	 * Size of the body at p (left bytes there), or 0 when it does not fit.
	 * NULL: the body is fixed_size.
	 */
	size_t (*size)(const uint8_t *p, size_t left);
	/* Appends JSON of what follows the fixed part, starting with ','; NULL: nothing. */
	size_t (*json_tail)(const uint8_t *body, size_t size, char *out, size_t out_size);
};

/*
 * X(set, name, offset, size, kind, scale, bias, max, unit, label, doc)
 *
 * Engine data stream 0x02 (DPF and/or SCR), 37 bytes: GB 17691 table Q.8, HJ 1239.3 table 5.
 * Limits follow J1939: BYTE 0..FA, WORD 0..FAFF, DWORD 0..FAFFFFFF.
 */
#define STREAM_FIELDS(X, S)                                                                        \
	X(S, speed_kmh, 0, 2, NUMBER, 1.0 / 256, 0, 0xFAFF, "km/h", "车速", "vehicle speed")       \
	X(S, baro_kpa, 2, 1, NUMBER, 0.5, 0, 0xFA, "kPa", "大气压力", "barometric pressure")       \
	X(S, net_torque_pct, 3, 1, NUMBER, 1, -125, 0xFA, "%", "发动机净输出扭矩",                 \
	  "net engine torque, of the reference torque")                                            \
	X(S, friction_torque_pct, 4, 1, NUMBER, 1, -125, 0xFA, "%", "摩擦扭矩",                    \
	  "friction torque, of the reference torque")                                              \
	X(S, engine_rpm, 5, 2, NUMBER, 0.125, 0, 0xFAFF, "rpm", "发动机转速", "engine speed")      \
	X(S, fuel_flow_lph, 7, 2, NUMBER, 0.05, 0, 0xFAFF, "L/h", "发动机燃料流量", "fuel rate")   \
	X(S, nox_upstream_ppm, 9, 2, NUMBER, 0.05, -200, 0xFAFF, "ppm",                            \
	  "SCR上游NOx传感器输出值", "NOx upstream of the SCR")                                     \
	X(S, nox_downstream_ppm, 11, 2, NUMBER, 0.05, -200, 0xFAFF, "ppm",                         \
	  "SCR下游NOx传感器输出值", "NOx downstream of the SCR")                                   \
	X(S, reagent_pct, 13, 1, NUMBER, 0.4, 0, 0xFA, "%", "反应剂余量", "reagent level")         \
	X(S, air_flow_kgph, 14, 2, NUMBER, 0.05, 0, 0xFAFF, "kg/h", "进气量", "intake air flow")   \
	X(S, scr_in_c, 16, 2, NUMBER, 0.03125, -273, 0xFAFF, "C", "SCR入口温度",                   \
	  "SCR inlet temperature")                                                                 \
	X(S, scr_out_c, 18, 2, NUMBER, 0.03125, -273, 0xFAFF, "C", "SCR出口温度",                  \
	  "SCR outlet temperature")                                                                \
	X(S, dpf_dp_kpa, 20, 2, NUMBER, 0.1, 0, 0xFAFF, "kPa", "DPF压差",                          \
	  "DPF differential pressure")                                                             \
	X(S, coolant_c, 22, 1, NUMBER, 1, -40, 0xFA, "C", "发动机冷却液温度",                      \
	  "coolant temperature")                                                                   \
	X(S, fuel_level_pct, 23, 1, NUMBER, 0.4, 0, 0xFA, "%", "油箱液位", "fuel tank level")      \
	X(S, position_status, 24, 1, BITS, 1, 0, 0xFF, "", "定位状态",                             \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	X(S, lon, 25, 4, NUMBER, 1e-6, 0, 180000000, "deg", "经度", "longitude, WGS-84")           \
	X(S, lat, 29, 4, NUMBER, 1e-6, 0, 90000000, "deg", "纬度", "latitude, WGS-84")             \
	X(S, odometer_km, 33, 4, NUMBER, 0.1, 0, 0xFAFFFFFF, "km", "累计里程",                     \
	  "total distance")

#define FIELD_ENUM_(set, name, ...) set##_##name,

enum stream_field { STREAM_FIELDS(FIELD_ENUM_, STREAM) STREAM_FIELD_COUNT };

enum { INFO_OBD = 0x01, INFO_STREAM = 0x02, INFO_TWC = 0x03, INFO_HYBRID = 0x04,
       INFO_TWC_NOX = 0x05, INFO_SUPPLEMENTARY = 0x80 };

extern const struct info info_obd, info_stream, info_twc, info_hybrid, info_twc_nox,
	info_supplementary;

/* NULL when the type has no table: such a body is kept raw. */
const struct info *info_find(enum info_family family, uint8_t type);

/* All tables, for docs and CSV headings; ends with NULL. */
extern const struct info *const info_all[];

/* The field of that name, or NULL. */
const struct field *info_field(const struct info *info, const char *name);

/*
 * Longitude and latitude with sign, in degrees WGS-84.  False when the body has no position, the
 * status says "no fix", or a value is absent or out of range.
 */
bool info_position(const struct info *info, const uint8_t *body, double *ret_lon, double *ret_lat);

#endif

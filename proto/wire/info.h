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
	uint8_t type;	   /* information type flag */
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
	X(S, nox_upstream_ppm, 9, 2, NUMBER, 0.05, -200, 0xFAFF, "ppm", "SCR上游NOx传感器输出值",  \
	  "NOx upstream of the SCR")                                                               \
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
	X(S, position_status, 24, 1, BITS, 1, 0, 0x0F, "", "定位状态",                             \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	X(S, lon, 25, 4, NUMBER, 1e-6, 0, 180000000, "deg", "经度", "longitude, WGS-84")           \
	X(S, lat, 29, 4, NUMBER, 1e-6, 0, 90000000, "deg", "纬度", "latitude, WGS-84")             \
	X(S, odometer_km, 33, 4, NUMBER, 0.1, 0, 0xFAFFFFFF, "km", "累计里程", "total distance")

/* OBD information 0x01, 96 bytes + 4 for each fault code: GB 17691 table Q.7, HJ 1239.3 table 9. */
#define OBD_FIELDS(X, S)                                                                           \
	X(S, obd_protocol, 0, 1, CODE, 1, 0, 2, "", "OBD诊断协议",                                 \
	  "0: ISO 15765; 1: ISO 27145; 2: SAE J1939")                                              \
	X(S, mil, 1, 1, CODE, 1, 0, 1, "", "MIL状态", "malfunction indicator lamp; 1: on")         \
	X(S, support, 2, 2, BITS, 1, 0, 0xFFFF, "", "诊断支持状态",                                \
	  "monitors; bit set: supported")                                                          \
	X(S, readiness, 4, 2, BITS, 1, 0, 0xFFFF, "", "诊断就绪状态",                              \
	  "monitors; bit set: not complete")                                                       \
	X(S, vin, 6, 17, TEXT, 1, 0, 0, "", "车辆识别码", "VIN as the engine control unit has it") \
	X(S, calibration_id, 23, 18, PADDED, 1, 0, 0, "", "软件标定识别号",                        \
	  "software calibration identification")                                                   \
	X(S, cvn, 41, 18, PADDED, 1, 0, 4, "", "标定验证码", "calibration verification number")    \
	X(S, iupr, 59, 36, BYTES, 1, 0, 0, "", "IUPR值",                                           \
	  "in-use performance ratios: 18 words, SAE J1979-DA table G11")                           \
	X(S, dtc_count, 95, 1, NUMBER, 1, 0, 0xFD, "", "故障码总数", "fault codes that follow")

/* Three-way catalyst without NOx sensor 0x03, 30 bytes: HJ 1239.3 table 6. */
#define TWC_FIELDS(X, S)                                                                           \
	X(S, speed_kmh, 0, 2, NUMBER, 1.0 / 256, 0, 0xFAFF, "km/h", "车速", "vehicle speed")       \
	X(S, baro_kpa, 2, 1, NUMBER, 0.5, 0, 0xFA, "kPa", "大气压力", "barometric pressure")       \
	X(S, net_torque_pct, 3, 1, NUMBER, 1, -125, 0xFA, "%", "发动机净输出扭矩",                 \
	  "net engine torque, of the reference torque")                                            \
	X(S, friction_torque_pct, 4, 1, NUMBER, 1, -125, 0xFA, "%", "摩擦扭矩",                    \
	  "friction torque, of the reference torque")                                              \
	X(S, engine_rpm, 5, 2, NUMBER, 0.125, 0, 0xFAFF, "rpm", "发动机转速", "engine speed")      \
	X(S, fuel_flow_lph, 7, 2, NUMBER, 0.05, 0, 0xFAFF, "L/h", "发动机燃料流量",                \
	  "fuel rate; gas engines send kg/h")                                                      \
	X(S, lambda_upstream, 9, 2, NUMBER, 1.0 / 32768, 0, 0xFFFE, "",                            \
	  "三元催化器上游氧传感器输出值", "lambda upstream of the catalyst")                       \
	X(S, o2_downstream_v, 11, 1, NUMBER, 0.01, 0, 0xFE, "V", "三元催化器下游氧传感器输出值",   \
	  "oxygen sensor downstream of the catalyst")                                              \
	X(S, air_flow_kgph, 12, 2, NUMBER, 0.05, 0, 0xFAFF, "kg/h", "进气量", "intake air flow")   \
	X(S, coolant_c, 14, 1, NUMBER, 1, -40, 0xFA, "C", "发动机冷却液温度",                      \
	  "coolant temperature")                                                                   \
	X(S, twc_c, 15, 2, NUMBER, 0.03125, -273, 0xFAFF, "C", "三元催化器温度传感器",             \
	  "catalyst temperature")                                                                  \
	X(S, position_status, 17, 1, BITS, 1, 0, 0x0F, "", "定位状态",                             \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	X(S, lon, 18, 4, NUMBER, 1e-6, 0, 180000000, "deg", "经度", "longitude, WGS-84")           \
	X(S, lat, 22, 4, NUMBER, 1e-6, 0, 90000000, "deg", "纬度", "latitude, WGS-84")             \
	X(S, odometer_km, 26, 4, NUMBER, 0.1, 0, 0xFAFFFFFF, "km", "累计里程", "total distance")

/* Three-way catalyst with NOx sensor 0x05, 32 bytes: HJ 1239.3 table 7. */
#define TWC_NOX_FIELDS(X, S)                                                                       \
	X(S, speed_kmh, 0, 2, NUMBER, 1.0 / 256, 0, 0xFAFF, "km/h", "车速", "vehicle speed")       \
	X(S, baro_kpa, 2, 1, NUMBER, 0.5, 0, 0xFA, "kPa", "大气压力", "barometric pressure")       \
	X(S, net_torque_pct, 3, 1, NUMBER, 1, -125, 0xFA, "%", "发动机净输出扭矩",                 \
	  "net engine torque, of the reference torque")                                            \
	X(S, friction_torque_pct, 4, 1, NUMBER, 1, -125, 0xFA, "%", "摩擦扭矩",                    \
	  "friction torque, of the reference torque")                                              \
	X(S, engine_rpm, 5, 2, NUMBER, 0.125, 0, 0xFAFF, "rpm", "发动机转速", "engine speed")      \
	X(S, fuel_flow_lph, 7, 2, NUMBER, 0.05, 0, 0xFAFF, "L/h", "发动机燃料流量",                \
	  "fuel rate; gas engines send kg/h")                                                      \
	X(S, lambda_upstream, 9, 2, NUMBER, 1.0 / 32768, 0, 0xFFFE, "",                            \
	  "三元催化器上游氧传感器输出值", "lambda upstream of the catalyst")                       \
	X(S, o2_downstream_v, 11, 1, NUMBER, 0.01, 0, 0xFE, "V", "三元催化器下游氧传感器输出值",   \
	  "oxygen sensor downstream of the catalyst")                                              \
	X(S, nox_downstream_ppm, 12, 2, NUMBER, 0.05, -200, 0xFAFF, "ppm",                         \
	  "三元催化器下游NOx传感器输出值", "NOx downstream of the catalyst")                       \
	X(S, air_flow_kgph, 14, 2, NUMBER, 0.05, 0, 0xFAFF, "kg/h", "进气量", "intake air flow")   \
	X(S, coolant_c, 16, 1, NUMBER, 1, -40, 0xFA, "C", "发动机冷却液温度",                      \
	  "coolant temperature")                                                                   \
	X(S, twc_c, 17, 2, NUMBER, 0.03125, -273, 0xFAFF, "C", "三元催化器温度传感器",             \
	  "catalyst temperature")                                                                  \
	X(S, position_status, 19, 1, BITS, 1, 0, 0x0F, "", "定位状态",                             \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	X(S, lon, 20, 4, NUMBER, 1e-6, 0, 180000000, "deg", "经度", "longitude, WGS-84")           \
	X(S, lat, 24, 4, NUMBER, 1e-6, 0, 90000000, "deg", "纬度", "latitude, WGS-84")             \
	X(S, odometer_km, 28, 4, NUMBER, 0.1, 0, 0xFAFFFFFF, "km", "累计里程", "total distance")

/* Hybrid add-on 0x04, 8 bytes: HJ 1239.3 table 8. */
#define HYBRID_FIELDS(X, S)                                                                        \
	X(S, motor_rpm, 0, 2, NUMBER, 1, 0, 0xFFFE, "rpm", "电机转速", "electric motor speed")     \
	X(S, motor_load_pct, 2, 1, NUMBER, 1, 0, 100, "%", "电机负荷百分比",                       \
	  "electric motor load")                                                                   \
	X(S, battery_v, 3, 2, NUMBER, 0.1, 0, 0xFFFE, "V", "电池电压", "battery voltage")          \
	X(S, battery_a, 5, 2, NUMBER, 0.1, -1000, 0xFFFE, "A", "电池电流", "battery current")      \
	X(S, soc_pct, 7, 1, NUMBER, 1, 0, 100, "%", "电池电量百分比", "state of charge")

/* Supplementary data 0x80, 17 bytes: HJ 1239.3 annex A (informative). */
#define SUPPLEMENTARY_FIELDS(X, S)                                                                 \
	X(S, torque_mode, 0, 1, CODE, 1, 0, 0xFA, "", "发动机扭矩模式",                            \
	  "0: overspeed fail; 1: speed; 2: torque; 3: speed and torque control; 9: normal")        \
	X(S, accelerator_pct, 1, 1, NUMBER, 0.4, 0, 0xFA, "%", "油门踏板", "accelerator pedal")    \
	X(S, fuel_used_l, 2, 4, NUMBER, 0.5, 0, 0xFAFFFFFF, "L", "累计油耗", "total fuel used")    \
	X(S, reagent_tank_c, 6, 1, NUMBER, 1, -40, 0xFA, "C", "尿素箱温度",                        \
	  "reagent tank temperature")                                                              \
	X(S, reagent_flow_mlph, 7, 4, NUMBER, 0.01, 0, 0xFAFFFFFF, "mL/h", "实际尿素喷射量",       \
	  "actual reagent dosing")                                                                 \
	X(S, reagent_used_g, 11, 4, NUMBER, 1, 0, 0xFAFFFFFF, "g", "累计尿素消耗",                 \
	  "total reagent used")                                                                    \
	X(S, dpf_c, 15, 2, NUMBER, 0.03125, -273, 0xFAFF, "C", "DPF排气温度",                      \
	  "exhaust temperature at the DPF")

#define FIELD_ENUM_(set, name, ...) set##_##name,

enum stream_field { STREAM_FIELDS(FIELD_ENUM_, STREAM) STREAM_FIELD_COUNT };
enum obd_field { OBD_FIELDS(FIELD_ENUM_, OBD) OBD_FIELD_COUNT };
enum twc_field { TWC_FIELDS(FIELD_ENUM_, TWC) TWC_FIELD_COUNT };
enum twc_nox_field { TWC_NOX_FIELDS(FIELD_ENUM_, TWC_NOX) TWC_NOX_FIELD_COUNT };
enum hybrid_field { HYBRID_FIELDS(FIELD_ENUM_, HYBRID) HYBRID_FIELD_COUNT };
enum supplementary_field {
	SUPPLEMENTARY_FIELDS(FIELD_ENUM_, SUPPLEMENTARY) SUPPLEMENTARY_FIELD_COUNT
};

/* Bytes of the fixed parts; an OBD body is OBD_SIZE + 4 for each fault code. */
enum {
	OBD_SIZE = 96,
	STREAM_SIZE = 37,
	TWC_SIZE = 30,
	HYBRID_SIZE = 8,
	TWC_NOX_SIZE = 32,
	SUPPLEMENTARY_SIZE = 17
};

enum {
	INFO_OBD = 0x01,
	INFO_STREAM = 0x02,
	INFO_TWC = 0x03,
	INFO_HYBRID = 0x04,
	INFO_TWC_NOX = 0x05,
	INFO_SUPPLEMENTARY = 0x80
};

extern const struct info info_obd, info_stream, info_twc, info_hybrid, info_twc_nox,
	info_supplementary;

/* Fault codes of an OBD body of size bytes: their number, and the first of them (DTC_SIZE each). */
size_t info_dtcs(const uint8_t *body, size_t size, const uint8_t **ret_first);

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

/*
 * info_ev.h - information types of GB/T 32960.3, editions 2016 (clause 7.2) and 2025.
 *
 * The tables hold the fixed part that every body starts with; lists behind it (motors, cells,
 * probes, fault codes) are sized exactly and shown as bytes.  Electric trucks are not what this
 * system judges; their reports must be walked, kept and placed on the map.
 */
#ifndef PROTO_WIRE_INFO_EV_H
#define PROTO_WIRE_INFO_EV_H

#include "proto/wire/info.h"

/* X(name, NAME of its field list, family, type, fixed size, label, doc) */
#define EV_INFOS(X)                                                                                \
	X(ev_vehicle, EV_VEHICLE, EV_2016, 0x01, 20, "整车数据", "whole vehicle")                  \
	X(ev_motors, EV_MOTORS, EV_2016, 0x02, 1, "驱动电机数据", "drive motors: 12 bytes each")   \
	X(ev_fuel_cell, EV_FUEL_CELL, EV_2016, 0x03, 8, "燃料电池数据",                            \
	  "fuel cell and its probes")                                                              \
	X(ev_engine, EV_ENGINE, EV_2016, 0x04, 5, "发动机数据", "combustion engine")               \
	X(ev_position, EV_POSITION, EV_2016, 0x05, 9, "车辆位置数据", "position")                  \
	X(ev_extremes, EV_EXTREMES, EV_2016, 0x06, 14, "极值数据",                                 \
	  "highest and lowest cell and probe")                                                     \
	X(ev_alarm, EV_ALARM, EV_2016, 0x07, 5, "报警数据",                                        \
	  "alarm level, flags and fault code lists")                                               \
	X(ev_cells, EV_CELLS, EV_2016, 0x08, 1, "可充电储能装置电压数据", "cell voltages")         \
	X(ev_probes, EV_PROBES, EV_2016, 0x09, 1, "可充电储能装置温度数据", "probe temperatures")  \
	X(ev25_vehicle, EV25_VEHICLE, EV_2025, 0x01, 18, "整车数据", "whole vehicle")              \
	X(ev25_motors, EV25_MOTORS, EV_2025, 0x02, 1, "驱动电机数据",                              \
	  "drive motors: 10 bytes each")                                                           \
	X(ev25_fuel_cell, EV25_FUEL_CELL, EV_2025, 0x03, 12, "燃料电池发动机数据",                 \
	  "fuel cell system")                                                                      \
	X(ev25_engine, EV25_ENGINE, EV_2025, 0x04, 2, "发动机数据", "combustion engine")           \
	X(ev25_position, EV25_POSITION, EV_2025, 0x05, 10, "车辆位置数据", "position")             \
	X(ev25_alarm, EV25_ALARM, EV_2025, 0x06, 5, "报警数据",                                    \
	  "alarm level, flags and fault code lists")                                               \
	X(ev25_cells, EV25_CELLS, EV_2025, 0x07, 1, "动力蓄电池最小并联单元电压数据",              \
	  "cell voltages")                                                                         \
	X(ev25_probes, EV25_PROBES, EV_2025, 0x08, 1, "动力蓄电池温度数据", "probe temperatures")  \
	X(ev25_stacks, EV25_STACKS, EV_2025, 0x30, 1, "燃料电池电堆数据", "fuel cell stacks")      \
	X(ev25_capacitor, EV25_CAPACITOR, EV_2025, 0x31, 7, "超级电容器数据", "supercapacitor")    \
	X(ev25_capacitor_extremes, EV25_CAPACITOR_EXTREMES, EV_2025, 0x32, 18,                     \
	  "超级电容器极值数据", "highest and lowest capacitor cell and probe")

#define ROW(name, ...) extern const struct info info_##name;
EV_INFOS(ROW)
#undef ROW

#define EV_POSITION_FIELDS_AT(X, S, at)                                                            \
	X(S, lon, (at), 4, NUMBER, 1e-6, 0, 180000000, "deg", "经度", "longitude")                 \
	X(S, lat, (at) + 4, 4, NUMBER, 1e-6, 0, 90000000, "deg", "纬度", "latitude")

#define EV_VEHICLE_FIELDS(X, S)                                                                    \
	X(S, run_state, 0, 1, CODE, 1, 0, 3, "", "车辆状态", "1: on; 2: off; 3: other")            \
	X(S, charge_state, 1, 1, CODE, 1, 0, 4, "", "充电状态",                                    \
	  "1: parked; 2: driving; 3: none; 4: finished")                                           \
	X(S, drive_mode, 2, 1, CODE, 1, 0, 3, "", "运行模式", "1: electric; 2: hybrid; 3: fuel")   \
	X(S, speed_kmh, 3, 2, NUMBER, 0.1, 0, 2200, "km/h", "车速", "vehicle speed")               \
	X(S, odometer_km, 5, 4, NUMBER, 0.1, 0, 9999999, "km", "累计里程", "total distance")       \
	X(S, battery_v, 9, 2, NUMBER, 0.1, 0, 10000, "V", "总电压", "total voltage")               \
	X(S, battery_a, 11, 2, NUMBER, 0.1, -1000, 20000, "A", "总电流", "total current")          \
	X(S, soc_pct, 13, 1, NUMBER, 1, 0, 100, "%", "SOC", "state of charge")                     \
	X(S, dc_dc, 14, 1, CODE, 1, 0, 2, "", "DC-DC状态", "1: working; 2: open")                  \
	X(S, gear, 15, 1, BITS, 1, 0, 0x3F, "", "挡位",                                            \
	  "bit 5: drive; bit 4: brake; 0: N, 13: R, 14: D, 15: P")                                 \
	X(S, insulation_kohm, 16, 2, NUMBER, 1, 0, 60000, "kOhm", "绝缘电阻", "insulation")        \
	X(S, accelerator_pct, 18, 1, NUMBER, 1, 0, 100, "%", "加速踏板行程值",                     \
	  "accelerator pedal")                                                                     \
	X(S, brake_pct, 19, 1, NUMBER, 1, 0, 101, "%", "制动踏板状态",                             \
	  "brake pedal; 101: pressed, travel unknown")

#define EV_MOTORS_FIELDS(X, S)                                                                     \
	X(S, motor_count, 0, 1, NUMBER, 1, 0, 253, "", "驱动电机个数", "motors that follow")

#define EV_FUEL_CELL_FIELDS(X, S)                                                                  \
	X(S, stack_v, 0, 2, NUMBER, 0.1, 0, 20000, "V", "燃料电池电压", "fuel cell voltage")       \
	X(S, stack_a, 2, 2, NUMBER, 0.1, 0, 20000, "A", "燃料电池电流", "fuel cell current")       \
	X(S, hydrogen_kgp100km, 4, 2, NUMBER, 0.01, 0, 60000, "kg/100km", "燃料消耗率",            \
	  "hydrogen consumption")                                                                  \
	X(S, probe_count, 6, 2, NUMBER, 1, 0, 65531, "", "燃料电池温度探针总数",                   \
	  "probes that follow")

#define EV_ENGINE_FIELDS(X, S)                                                                     \
	X(S, engine_state, 0, 1, CODE, 1, 0, 2, "", "发动机状态", "1: on; 2: off")                 \
	X(S, engine_rpm, 1, 2, NUMBER, 1, 0, 60000, "rpm", "曲轴转速", "crankshaft speed")         \
	X(S, fuel_lp100km, 3, 2, NUMBER, 0.01, 0, 60000, "L/100km", "燃料消耗率",                  \
	  "fuel consumption")

#define EV_POSITION_FIELDS(X, S)                                                                   \
	X(S, position_status, 0, 1, BITS, 1, 0, 0x0F, "", "定位状态",                              \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	EV_POSITION_FIELDS_AT(X, S, 1)

#define EV_EXTREMES_FIELDS(X, S)                                                                   \
	X(S, cell_max_pack, 0, 1, NUMBER, 1, 0, 250, "", "最高电压电池子系统号", "pack")           \
	X(S, cell_max_number, 1, 1, NUMBER, 1, 0, 250, "", "最高电压电池单体代号", "cell")         \
	X(S, cell_max_v, 2, 2, NUMBER, 0.001, 0, 15000, "V", "电池单体电压最高值",                 \
	  "highest cell voltage")                                                                  \
	X(S, cell_min_pack, 4, 1, NUMBER, 1, 0, 250, "", "最低电压电池子系统号", "pack")           \
	X(S, cell_min_number, 5, 1, NUMBER, 1, 0, 250, "", "最低电压电池单体代号", "cell")         \
	X(S, cell_min_v, 6, 2, NUMBER, 0.001, 0, 15000, "V", "电池单体电压最低值",                 \
	  "lowest cell voltage")                                                                   \
	X(S, probe_max_pack, 8, 1, NUMBER, 1, 0, 250, "", "最高温度子系统号", "pack")              \
	X(S, probe_max_number, 9, 1, NUMBER, 1, 0, 250, "", "最高温度探针序号", "probe")           \
	X(S, probe_max_c, 10, 1, NUMBER, 1, -40, 250, "C", "最高温度值", "highest temperature")    \
	X(S, probe_min_pack, 11, 1, NUMBER, 1, 0, 250, "", "最低温度子系统号", "pack")             \
	X(S, probe_min_number, 12, 1, NUMBER, 1, 0, 250, "", "最低温度探针序号", "probe")          \
	X(S, probe_min_c, 13, 1, NUMBER, 1, -40, 250, "C", "最低温度值", "lowest temperature")

#define EV_ALARM_FIELDS(X, S)                                                                      \
	X(S, alarm_level, 0, 1, CODE, 1, 0, 3, "", "最高报警等级", "0: none .. 3: highest")        \
	X(S, alarm_flags, 1, 4, BITS, 1, 0, UINT32_MAX, "", "通用报警标志", "bits of table 18")

#define EV_CELLS_FIELDS(X, S)                                                                      \
	X(S, pack_count, 0, 1, NUMBER, 1, 0, 250, "", "可充电储能子系统个数", "packs that follow")
#define EV_PROBES_FIELDS(X, S) EV_CELLS_FIELDS(X, S)

#define EV25_VEHICLE_FIELDS(X, S)                                                                  \
	X(S, run_state, 0, 1, CODE, 1, 0, 3, "", "车辆状态", "1: on; 2: off; 3: other")            \
	X(S, charge_state, 1, 1, CODE, 1, 0, 4, "", "充电状态",                                    \
	  "1: parked; 2: driving; 3: none; 4: finished")                                           \
	X(S, drive_mode, 2, 1, CODE, 1, 0, 3, "", "运行模式", "1: electric; 2: hybrid; 3: fuel")   \
	X(S, speed_kmh, 3, 2, NUMBER, 0.1, 0, 5000, "km/h", "车速", "vehicle speed")               \
	X(S, odometer_km, 5, 4, NUMBER, 0.1, 0, 9999999, "km", "累计里程", "total distance")       \
	X(S, battery_v, 9, 2, NUMBER, 0.1, 0, 60000, "V", "总电压", "total voltage")               \
	X(S, battery_a, 11, 2, NUMBER, 0.1, -3000, 60000, "A", "总电流", "total current")          \
	X(S, soc_pct, 13, 1, NUMBER, 1, 0, 100, "%", "SOC", "state of charge")                     \
	X(S, dc_dc, 14, 1, CODE, 1, 0, 2, "", "DC-DC状态", "1: working; 2: open")                  \
	X(S, gear, 15, 1, BITS, 1, 0, 0xBF, "", "挡位", "as 2016; bit 7: invalid")                 \
	X(S, insulation_kohm, 16, 2, NUMBER, 1, 0, 60000, "kOhm", "绝缘电阻", "insulation")

#define EV25_MOTORS_FIELDS(X, S) EV_MOTORS_FIELDS(X, S)

#define EV25_FUEL_CELL_FIELDS(X, S)                                                                \
	X(S, hydrogen_max_c, 0, 2, NUMBER, 1, -40, 60000, "C", "氢系统中最高温度",                 \
	  "highest temperature of the hydrogen system")                                            \
	X(S, hydrogen_probe, 2, 1, NUMBER, 1, 0, 252, "", "氢系统中最高温度探针代号", "its probe") \
	X(S, hydrogen_max_pct, 3, 2, NUMBER, 0.0001, 0, 60000, "%", "氢气最高浓度",                \
	  "highest hydrogen concentration")                                                        \
	X(S, hydrogen_sensor, 5, 1, NUMBER, 1, 0, 252, "", "氢气最高浓度传感器代号", "its sensor") \
	X(S, hydrogen_max_mpa, 6, 2, NUMBER, 0.1, 0, 60000, "MPa", "氢气最高压力",                 \
	  "highest hydrogen pressure")                                                             \
	X(S, pressure_sensor, 8, 1, NUMBER, 1, 0, 252, "", "氢气最高压力传感器代号", "its sensor") \
	X(S, dc_dc, 9, 1, CODE, 1, 0, 2, "", "高压DC/DC状态", "1: working; 2: open")               \
	X(S, hydrogen_left_pct, 10, 1, NUMBER, 1, 0, 100, "%", "剩余氢量百分比", "hydrogen left")  \
	X(S, dc_dc_c, 11, 1, NUMBER, 1, -40, 250, "C", "高压DC/DC控制器温度",                      \
	  "temperature of the DC-DC converter")

#define EV25_ENGINE_FIELDS(X, S)                                                                   \
	X(S, engine_rpm, 0, 2, NUMBER, 1, 0, 60000, "rpm", "曲轴转速", "crankshaft speed")

#define EV25_POSITION_FIELDS(X, S)                                                                 \
	X(S, position_status, 0, 1, BITS, 1, 0, 0x0F, "", "定位状态",                              \
	  "bit 0: no fix; bit 1: south; bit 2: west")                                              \
	X(S, coordinate_system, 1, 1, CODE, 1, 0, 3, "", "坐标系",                                 \
	  "1: WGS-84; 2: GCJ-02; 3: other")                                                        \
	EV_POSITION_FIELDS_AT(X, S, 2)

#define EV25_ALARM_FIELDS(X, S)                                                                    \
	X(S, alarm_level, 0, 1, CODE, 1, 0, 4, "", "最高报警等级", "0: none .. 4: thermal event")  \
	X(S, alarm_flags, 1, 4, BITS, 1, 0, UINT32_MAX, "", "通用报警标志", "28 bits")

#define EV25_CELLS_FIELDS(X, S)                                                                    \
	X(S, pack_count, 0, 1, NUMBER, 1, 0, 50, "", "动力蓄电池包个数", "packs that follow")
#define EV25_PROBES_FIELDS(X, S) EV25_CELLS_FIELDS(X, S)

#define EV25_STACKS_FIELDS(X, S)                                                                   \
	X(S, stack_count, 0, 1, NUMBER, 1, 0, 253, "", "燃料电池电堆个数", "stacks that follow")

#define EV25_CAPACITOR_FIELDS(X, S)                                                                \
	X(S, capacitor, 0, 1, NUMBER, 1, 0, 253, "", "超级电容管理系统号", "number")               \
	X(S, capacitor_v, 1, 2, NUMBER, 0.1, 0, 60000, "V", "总电压", "voltage")                   \
	X(S, capacitor_a, 3, 2, NUMBER, 0.1, -3000, 60000, "A", "总电流", "current")               \
	X(S, cell_count, 5, 2, NUMBER, 1, 0, 65531, "", "单体总数", "cells that follow")

#define EV25_CAPACITOR_EXTREMES_FIELDS(X, S)                                                       \
	X(S, cell_max_pack, 0, 1, NUMBER, 1, 0, 253, "", "最高电压系统号", "capacitor")            \
	X(S, cell_max_number, 1, 2, NUMBER, 1, 0, 65531, "", "最高电压单体代号", "cell")           \
	X(S, cell_max_v, 3, 2, NUMBER, 0.001, 0, 60000, "V", "单体电压最高值", "highest voltage")  \
	X(S, cell_min_pack, 5, 1, NUMBER, 1, 0, 253, "", "最低电压系统号", "capacitor")            \
	X(S, cell_min_number, 6, 2, NUMBER, 1, 0, 65531, "", "最低电压单体代号", "cell")           \
	X(S, cell_min_v, 8, 2, NUMBER, 0.001, 0, 60000, "V", "单体电压最低值", "lowest voltage")   \
	X(S, probe_max_pack, 10, 1, NUMBER, 1, 0, 253, "", "最高温度系统号", "capacitor")          \
	X(S, probe_max_number, 11, 2, NUMBER, 1, 0, 65531, "", "最高温度探针代号", "probe")        \
	X(S, probe_max_c, 13, 1, NUMBER, 1, -40, 250, "C", "最高温度值", "highest temperature")    \
	X(S, probe_min_pack, 14, 1, NUMBER, 1, 0, 253, "", "最低温度系统号", "capacitor")          \
	X(S, probe_min_number, 15, 2, NUMBER, 1, 0, 65531, "", "最低温度探针代号", "probe")        \
	X(S, probe_min_c, 17, 1, NUMBER, 1, -40, 250, "C", "最低温度值", "lowest temperature")

#endif

/*
 * registry_columns.h - the columns of a vehicle list: their headings, what a cell may hold, and
 * where it is stored.  Import, dry run, export and docs/registry.md come from this one table.
 */
#ifndef TOOLS_CLI_REGISTRY_COLUMNS_H
#define TOOLS_CLI_REGISTRY_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/cli/registry_sheet.h"

/*
 * X(name, headings, place, kind, type, low, high, values, doc)
 *   name      heading in English and column of the table
 *   headings  other headings, separated by |; the first is the Chinese one of the export
 *   place     VEHICLE, FLEET (its name), TERMINAL (terminal_identity)
 *   kind      VIN, TEXT (low to high characters), CODE (ASCII without blanks), CHOICE, NUMBER, TIME
 *   values    of CHOICE: stored=written|written ...
 */
/* clang-format off */
#define REGISTRY_COLUMNS(X)                                                                        \
	X(vin, "车架号|车辆识别代号|车辆识别代号(VIN)|车辆识别码|VIN码", VEHICLE, VIN, "text", 17, 17, "", "which vehicle; needed") \
	X(plate, "车牌号|号牌号码|车牌|车牌号码", VEHICLE, TEXT, "text", 1, 20, "", "number plate") \
	X(fleet, "车队|所属企业|企业名称", FLEET, TEXT, "text", 1, 200, "", "fleet or company, by its name") \
	X(category, "类别|车辆类别", VEHICLE, CHOICE, "text", 0, 0, "truck=货车|载货汽车 tractor=牵引车|半挂牵引车 non_road=非道路|非道路移动机械", "a new vehicle without it is a truck") \
	X(stage, "排放阶段|排放标准", VEHICLE, CHOICE, "text", 0, 0, "III=国三|国III|国3 IV=国四|国IV|国4 V=国五|国V|国5 VI-a=国六a|国VIa|国6a|VIa VI-b=国六b|国VIb|国6b|VIb", "emission stage; rules depend on it") \
	X(reference_torque_nm, "参考扭矩|最大基准扭矩", VEHICLE, NUMBER, "real", 10, 20000, "", "reference torque of the engine, Nm") \
	X(rated_power_kw, "额定功率", VEHICLE, NUMBER, "real", 1, 5000, "", "rated power, kW") \
	X(whtc_work_kwh, "WHTC循环功|循环功", VEHICLE, NUMBER, "real", 0.1, 1000, "", "work of the WHTC cycle, kWh") \
	X(state, "状态|车辆状态", VEHICLE, CHOICE, "text", 0, 0, "registered=已登记|正常|在用 provisional=临时 blocked=停用|封禁 retired=注销|报废", "a provisional vehicle that a list names without it becomes registered") \
	X(valid_from, "有效期起|启用日期", VEHICLE, TIME, "timestamptz", 0, 0, "", "reports before are not its own") \
	X(valid_to, "有效期止|停用日期", VEHICLE, TIME, "timestamptz", 0, 0, "", "a date means the end of that day") \
	X(maker, "终端厂家|终端制造商", TERMINAL, TEXT, "text", 1, 100, "", "maker of the terminal") \
	X(model, "终端型号", TERMINAL, TEXT, "text", 1, 100, "", "model of the terminal") \
	X(serial, "终端编号|终端序列号", TERMINAL, TEXT, "text", 1, 100, "", "serial number; another one is another box") \
	X(iccid, "ICCID|SIM卡号|ICCID号", TERMINAL, CODE, "text", 20, 20, "", "of the SIM card") \
	X(chip_id, "芯片|芯片ID|芯片标识|安全芯片标识ID", TERMINAL, CODE, "text", 1, 16, "", "security chip; another one is another box")
/* clang-format on */

#define REGISTRY_COLUMN_ENUM_(name, ...) COLUMN_##name,
enum { REGISTRY_COLUMNS(REGISTRY_COLUMN_ENUM_) COLUMN_COUNT };
#undef REGISTRY_COLUMN_ENUM_

enum column_place { PLACE_VEHICLE, PLACE_FLEET, PLACE_TERMINAL };
enum column_kind { KIND_VIN, KIND_TEXT, KIND_CODE, KIND_CHOICE, KIND_NUMBER, KIND_TIME };

struct registry_column {
	const char *name, *headings;
	enum column_place place;
	enum column_kind kind;
	const char *type; /* SQL */
	double low, high;
	const char *values, *doc;
};
extern const struct registry_column registry_columns[COLUMN_COUNT];

/* The column of a heading, whatever the case of its letters; -1: none. */
int registry_column_find(const char *heading);
/* The first of the headings. */
const char *registry_column_chinese(int column, char *out, size_t size);

enum { VALUE_SIZE = 1024 };
/*
 * What a cell stands for, as PostgreSQL reads it; "" when it is empty.  False: it may not stand
 * there, and complaint says what is allowed.  epoch_1904: of the workbook.
 */
bool registry_value(int column, const struct sheet_cell *cell, bool epoch_1904,
		    char out[VALUE_SIZE], char complaint[VALUE_SIZE]);

/* Position 9 of a VIN proves the others (GB 16735).  Many plates carry one that is wrong. */
bool vin_check_digit(const char *vin);

/* The rows of docs/registry.md. */
void registry_columns_markdown(FILE *out);

#endif

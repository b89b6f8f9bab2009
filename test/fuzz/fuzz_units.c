/*
 * fuzz_units: any bytes as login, logout, tamper alarm, activation or platform login.
 *
 * Input: start and header 1, encryption 1, then the unit.  Promises: no read outside the unit;
 * texts end and can be printed; views stay inside; what is built is read back.
 */
#include "proto/wire/unit.h"
#include "proto/wire/dtc.h"
#include "test/fuzz/fuzz.h"

enum { NOW = 1784865600 };

static void assert_printable(const char *text, size_t size)
{
	const size_t n = strnlen(text, size);

	CHECK(n < size);
	for (size_t i = 0; i < n; i++)
		CHECK(text[i] >= 0x20 && text[i] <= 0x7E);
}

static void check_login(const struct frame *f)
{
	uint8_t built[64];
	struct frame g = *f;
	struct login login, again;

	if (login_decode(f, NOW, &login) != VERDICT_ACCEPTED)
		return;
	assert_printable(login.iccid, sizeof(login.iccid));
	g.start = 0x23;
	g.unit = built;
	g.unit_size =
		unit_login(login.at, login.serial, login.iccid, f->header, built, sizeof(built));
	CHECK(login_decode(&g, NOW, &again) == VERDICT_ACCEPTED);
	CHECK(memcmp(&login, &again, sizeof(login)) == 0);
}

static void check_logout(const struct frame *f)
{
	uint8_t built[8];
	struct logout logout;

	if (logout_decode(f, NOW, &logout) != VERDICT_ACCEPTED)
		return;
	CHECK(unit_logout(logout.at, logout.serial, built, sizeof(built)) == sizeof(built));
	CHECK(memcmp(built + 6, f->unit + 6, 2) == 0);
}

static void check_alarm(const struct frame *f)
{
	struct tamper_alarm alarm;

	if (tamper_alarm_decode(f, NOW, &alarm) == VERDICT_ACCEPTED && alarm.position_valid)
		CHECK(alarm.lon >= -180 && alarm.lon <= 180 && alarm.lat >= -90 && alarm.lat <= 90);
}

static void check_activation(const struct frame *f)
{
	struct activation a;

	if (activation_decode(f, NOW, &a) != VERDICT_ACCEPTED)
		return;
	assert_printable(a.chip_id, sizeof(a.chip_id));
	assert_printable(a.vin, sizeof(a.vin));
	assert_inside(a.signature.bytes, a.signature.size, f->unit, f->unit_size);
	assert_inside(a.public_key, a.public_key_size, f->unit, f->unit_size);
	CHECK((a.signature.r == NULL) == (a.signature.s == NULL));
	if (a.signature.r != NULL) {
		assert_inside(a.signature.r, a.signature.r_size, f->unit, f->unit_size);
		assert_inside(a.signature.s, a.signature.s_size, f->unit, f->unit_size);
	}
}

static void check_platform_login(const struct frame *f)
{
	struct platform_login login;

	if (platform_login_decode(f, NOW, &login) != VERDICT_ACCEPTED)
		return;
	assert_printable(login.user, sizeof(login.user));
	assert_printable(login.password, sizeof(login.password));
}

static void check_fault_codes(const uint8_t *unit, size_t size)
{
	struct dtc d;

	for (size_t i = 0; i + DTC_SIZE <= size; i += DTC_SIZE) {
		dtc_decode(unit + i, (uint8_t)(i % 3), &d);
		assert_printable(d.text, sizeof(d.text));
		dtc_after_treatment(&d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t starts[4] = { 0x23, 0x7E, 0x24, 0x23 };
	static char json[4096];
	struct frame f = { .answer = ANSWER_COMMAND };
	uint8_t *unit;

	if (size < 2 || size - 2 > FRAME_UNIT_MAX)
		return 0;
	f.start = starts[data[0] % 4];
	f.header = data[0] & 4 ? HEADER_P : HEADER_V;
	f.encryption = data[1];
	unit = exact_copy(data + 2, size - 2);
	f.unit = unit;
	f.unit_size = size - 2;
	check_login(&f);
	check_logout(&f);
	check_alarm(&f);
	check_activation(&f);
	check_platform_login(&f);
	check_fault_codes(f.unit, f.unit_size);
	f.command = data[0] >> 3 & 15;
	CHECK(frame_json(&f, LAYOUT_UNKNOWN, NOW, json, sizeof(json)) >= strlen(json));
	free(unit);
	return 0;
}

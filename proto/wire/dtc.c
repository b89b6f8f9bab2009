#include "proto/wire/dtc.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { OBD_PROTOCOL_J1939 = 2 };

/*
 * J1939 DM1 order: SPN low, SPN middle, SPN high 3 bits and FMI, conversion method and count.
 * Only conversion method 0 (version 4) is in use since 1996; the others read the same here.
 */
static void j1939_decode(struct dtc *d)
{
	const uint8_t *b = d->raw;

	d->spn = b[0] | (uint32_t)b[1] << 8 | (uint32_t)(b[2] >> 5) << 16;
	d->fmi = b[2] & 0x1F;
	snprintf(d->text, sizeof(d->text), "SPN %u FMI %u", (unsigned)d->spn, d->fmi);
}

/* ISO 15031-6 text of the first two bytes, then the failure type byte; the fourth is the status. */
static void iso_decode(struct dtc *d)
{
	const uint8_t *b = d->raw;

	snprintf(d->text, sizeof(d->text), "%c%u%X%02X-%02X", "PCBU"[b[0] >> 6], (b[0] >> 4) & 3u,
		 b[0] & 15u, b[1], b[2]);
}

void dtc_decode(const uint8_t raw[DTC_SIZE], uint8_t obd_protocol, struct dtc *ret)
{
	*ret = (struct dtc){ .spn = 0 };
	memcpy(ret->raw, raw, DTC_SIZE);
	if (obd_protocol == OBD_PROTOCOL_J1939)
		j1939_decode(ret);
	else
		iso_decode(ret);
}

/* SAE J1939-71 parameters of the NOx sensors, the reagent system, the SCR and the DPF. */
static bool spn_after_treatment(uint32_t spn)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {
		{ 1761, 1761 }, /* reagent tank level */
		{ 3031, 3031 }, /* reagent tank temperature */
		{ 3064, 3064 }, /* DPF system monitor */
		{ 3216, 3236 }, /* NOx and oxygen sensors before and behind the after-treatment */
		{ 3242, 3251 }, /* DPF temperatures and differential pressure */
		{ 3360, 3364 }, /* reagent dosing unit, tank heater, quality */
		{ 3515, 3522 }, /* reagent temperature, quality, concentration */
		{ 3719, 3721 }, /* DPF soot, ash, time since regeneration */
		{ 3936, 3936 }, /* DPF system */
		{ 4090, 4096 }, /* NOx limit exceeded: cause unknown, quality, dosing, tank empty */
		{ 4331, 4348 }, /* reagent dosing: quantity, pressure, temperature */
		{ 4360, 4364 }, /* SCR temperatures, conversion efficiency */
		{ 4374, 4376 }, /* reagent pump */
		{ 4792, 4796 }, /* SCR, DPF system or substrate missing */
		{ 5246, 5246 }, /* operator inducement for SCR faults */
		{ 5392, 5394 }, /* reagent dosing valve and loss of prime */
		{ 5435, 5435 }, /* reagent pump state */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (spn >= ranges[i].from && spn <= ranges[i].to)
			return true;
	return false;
}

/* Powertrain codes of SAE J2012 for the same systems; the first two bytes as on the wire. */
static bool code_after_treatment(unsigned code)
{
	static const struct {
		uint16_t from, to;
	} ranges[] = {
		{ 0x2000, 0x2003 }, /* NOx trap and DPF efficiency */
		{ 0x2031, 0x2036 }, /* exhaust gas temperature */
		{ 0x203A, 0x206F }, /* reagent tank: level, temperature, injection, heater */
		{ 0x207F, 0x2087 }, /* reagent quality, exhaust gas temperature */
		{ 0x208A, 0x208F }, /* reagent pump */
		{ 0x20A0, 0x20FF }, /* reagent valve and quality, SCR efficiency, inducement */
		{ 0x2200, 0x2229 }, /* NOx sensors */
		{ 0x229E, 0x22A7 }, /* NOx sensors, second */
		{ 0x22FA, 0x22FF }, /* NOx sensors, performance */
		{ 0x2428, 0x242F }, /* exhaust gas temperature */
		{ 0x2452, 0x246F }, /* DPF differential pressure, soot, temperature */
		{ 0x24AE, 0x24B1 }, /* particulate sensor */
		{ 0x2BA7, 0x2BAF }, /* NOx limit exceeded */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (code >= ranges[i].from && code <= ranges[i].to)
			return true;
	return false;
}

int dtc_after_treatment(const struct dtc *d)
{
	if (strncmp(d->text, "SPN", 3) == 0)
		return spn_after_treatment(d->spn);
	return code_after_treatment((unsigned)d->raw[0] << 8 | d->raw[1]);
}

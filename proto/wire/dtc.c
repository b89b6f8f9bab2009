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

struct code_range {
	uint32_t from, to;
};

static bool in_ranges(const struct code_range *ranges, size_t n, uint32_t code)
{
	for (size_t i = 0; i < n; i++)
		if (code >= ranges[i].from && code <= ranges[i].to)
			return true;
	return false;
}

/*
 * What follows accuses: only codes that say that the control of NOx or particulates itself failed,
 * is missing or is evaded.  A low reagent tank, a cold one, or a temperature sensor does not.
 */

/* Names of the SPNs as in SAE J1939DA, October 2020. */
static bool spn_after_treatment(uint32_t spn)
{
	static const struct code_range ranges[] = {
		{ 3226, 3226 }, /* outlet NOx */
		{ 3234, 3234 }, /* outlet NOx sensor's own failure */
		{ 3251, 3251 }, /* DPF differential pressure */
		{ 3361, 3362 }, /* reagent dosing unit, its lines */
		{ 3364, 3364 }, /* reagent quality */
		{ 3516, 3516 }, /* reagent concentration */
		{ 3521, 3521 }, /* reagent property */
		{ 3936, 3936 }, /* DPF system */
		{ 4090, 4096 }, /* NOx limits exceeded: cause unknown, EGR, reagent */
		{ 4225, 4225 }, /* NOx limits exceeded: error in the NOx control system */
		{ 4364, 4364 }, /* SCR conversion efficiency */
		{ 4792, 4796 }, /* SCR system; DOC, SCR, DPF missing */
		{ 5246, 5246 }, /* inducement by SCR faults */
		{ 5392, 5392 }, /* reagent dosing unit, loss of prime */
		{ 5394, 5394 }, /* reagent doser valve */
		{ 5463, 5463 }, /* distance driven under inducement */
		{ 5485, 5485 }, /* reagent pump flow */
		{ 5826, 5826 }, /* inducement by emission control */
		{ 5838, 5842 }, /* EGR; reagent consumption, dosing, quality; SCR monitoring */
		{ 9812, 9812 }, /* NOx sensor power supply */
	};

	return in_ranges(ranges, sizeof(ranges) / sizeof(ranges[0]), spn);
}

/*
 * Powertrain codes of SAE J2012, the first two bytes as on the wire.  P20EE, P207F, P204F, P20E8,
 * P20E9, P249D, P249E and P2BAD were found in workshop texts; the others are from general
 * knowledge of the list and want a look into it.
 */
static bool code_after_treatment(unsigned code)
{
	static const struct code_range ranges[] = {
		{ 0x2002, 0x2002 }, /* DPF efficiency */
		{ 0x2047, 0x204A }, /* reagent injector */
		{ 0x204F, 0x204F }, /* reagent system performance */
		{ 0x207F, 0x207F }, /* reagent quality */
		{ 0x20E8, 0x20E9 }, /* reagent pressure */
		{ 0x20EE, 0x20EE }, /* NOx catalyst efficiency */
		{ 0x20F4, 0x20F5 }, /* reagent consumption */
		{ 0x2200, 0x2203 }, /* NOx sensor */
		{ 0x226D, 0x226D }, /* DPF deteriorated or missing */
		{ 0x229E, 0x229F }, /* NOx sensor, second */
		{ 0x22FA, 0x22FF }, /* NOx sensors, performance */
		{ 0x244A, 0x244B }, /* DPF differential pressure too low, too high */
		{ 0x2452, 0x2455 }, /* DPF pressure sensor */
		{ 0x249D, 0x249E }, /* reagent control at its limit */
		{ 0x2BA7, 0x2BAE }, /* NOx exceedance */
	};

	return in_ranges(ranges, sizeof(ranges) / sizeof(ranges[0]), code);
}

int dtc_after_treatment(const struct dtc *d)
{
	if (strncmp(d->text, "SPN", 3) == 0)
		return spn_after_treatment(d->spn);
	return code_after_treatment((unsigned)d->raw[0] << 8 | d->raw[1]);
}

/*
 * dtc.h - the four-byte fault code of the OBD information (GB 17691-2018 table Q.7).
 *
 * The standard leaves the coding open; the OBD protocol byte of the same body selects it.
 */
#ifndef PROTO_WIRE_DTC_H
#define PROTO_WIRE_DTC_H

#include <stddef.h>
#include <stdint.h>

enum { DTC_SIZE = 4, DTC_TEXT_SIZE = 24 };

struct dtc {
	uint8_t raw[DTC_SIZE];
	uint32_t spn; /* SAE J1939; 0 in ISO codings */
	uint8_t fmi;
	char text[DTC_TEXT_SIZE]; /* "SPN 4364 FMI 18" or "P20EE-00" */
};

/* obd_protocol: 0 ISO 15765, 1 ISO 27145, 2 SAE J1939; others read as ISO. */
void dtc_decode(const uint8_t raw[DTC_SIZE], uint8_t obd_protocol, struct dtc *ret);

/*
 * True for codes that say: the control of NOx or particulates itself failed, is missing or is
 * evaded.  Not for what only may lead there (reagent level, tank heater, temperatures).
 */
int dtc_after_treatment(const struct dtc *d);

#endif

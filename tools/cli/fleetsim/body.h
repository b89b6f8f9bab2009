/* body.h - readings as the bodies of information types 0x01, 0x02 and 0x80. */
#ifndef TOOLS_CLI_FLEETSIM_BODY_H
#define TOOLS_CLI_FLEETSIM_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire/info.h"
#include "tools/cli/fleetsim/model.h"

/* nox_abnormal: a missing downstream value is marked FEFF (sensor error) in place of FFFF. */
void body_stream(const struct reading *r, bool nox_abnormal, uint8_t body[STREAM_SIZE]);
void body_supplementary(const struct reading *r, uint8_t body[SUPPLEMENTARY_SIZE]);

/*
 * The truck's OBD information of the day; chance decides what does not matter to a rule.  Returns
 * the size (96 + 4 for each trouble code).
 */
uint8_t body_obd(enum kind kind, const char *vin, struct prng *chance, uint8_t *body, unsigned max);

#endif

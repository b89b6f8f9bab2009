/*
 * chip.h - a terminal's security chip: its SM2 pair, with which HJ 1239 units are signed, and the
 * activation that brings the public half to the platform (HJ 1239.3, command 07).
 *
 * Without a key of an officer the pair is derived from the truck's seed: the same fleet has the
 * same chips in every run, so that a second run in the same store is no stranger.  Signatures
 * differ from run to run: SM2 draws a number for each.
 */
#ifndef TOOLS_CLI_FLEETSIM_CHIP_H
#define TOOLS_CLI_FLEETSIM_CHIP_H

#include "gateway/base/error.h"
#include "tools/cli/fleetsim/source.h"

struct chip;

enum { CHIP_ID_SIZE = 16, CHIP_ACTIVATION_SIZE = 169 };

/* variant 0 is the truck's own chip; another number is another chip with another id. */
int chip_derive(const struct truck_plan *truck, unsigned variant, struct chip **ret,
		struct error *err);
/* The pair of PEM file path: its public half is registered already, so nothing is activated. */
int chip_load(const char *path, const char *user, struct chip **ret, struct error *err);
void chip_free(struct chip *c); /* NULL-safe */

/* True when the platform has to learn of the key by an activation. */
bool chip_activates(const struct chip *c);

/* Puts R and S behind what stands in w. */
void chip_sign(const struct chip *c, struct unit_writer *w);

/* The unit of an activation for vin.  Returns its size. */
size_t chip_activation(const struct chip *c, const char *vin, int64_t at, uint8_t *buf, size_t max);

#endif

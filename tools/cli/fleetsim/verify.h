/*
 * verify.h - is in the store what was sent: every value of every second, once, and the findings
 * that belong to it?
 *
 * The samples are made again from the plan and compared with the track rows, unpacked.
 */
#ifndef TOOLS_CLI_FLEETSIM_VERIFY_H
#define TOOLS_CLI_FLEETSIM_VERIFY_H

#include "tools/cli/fleetsim/fleet.h"
#include "tools/cli/fleetsim/options.h"

struct comparison {
	uint64_t sent, stored; /* samples: (vehicle, second, type) */
	uint64_t missing, differing, twice, unexpected;
	char first_fault[200]; /* which truck and second */
};

/* One truck: both lists sorted by (at, type).  Adds to *c. */
void compare_samples(const char *vin, const struct sample *sent, size_t sent_count,
		     const struct sample *stored, size_t stored_count, struct comparison *c);

/* Sorts by (at, type), as compare_samples() wants it. */
void sort_samples(struct sample *samples, size_t n);

/* Seconds of driving from which a violator of that kind must have been found. */
int64_t verify_needed_s(enum kind kind);

/*
 * Waits for the store as long as it moves (wait_s without a new sample at most, five times that in
 * all), compares, prints.  Returns 0 when everything is as it must be, else ERROR_CORRUPT;
 * ERROR_DATABASE when the store could not be read.
 */
int verify_fleet(const struct fleet *f, const struct endpoints *e, unsigned wait_s,
		 struct error *err);

#endif

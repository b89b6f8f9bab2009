/*
 * assess.h - the parts of haulgate-assess: read a trip, assess it, show what came out.
 * docs/assess.md
 */
#ifndef TOOLS_CLI_ASSESS_H
#define TOOLS_CLI_ASSESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "gateway/assess/assess.h"
#include "gateway/assess/trip.h"
#include "gateway/base/error.h"

enum { THRESHOLDS_MAX = 20 };

struct assess_options {
	const char *path, *vin, *conninfo;
	struct trip_parameters trip;
	char stage; /* of the engine, for the rules: '3'..'6', or '\0' */
	size_t threshold_count;
	double thresholds_pct[THRESHOLDS_MAX];
	bool json;
};

/* ---- assess_options.c ---- */

enum { ASSESS_DONE = 0, ASSESS_FAILED = 1, ASSESS_USAGE = 2, ASSESS_GO_ON = -1 };

/* ASSESS_GO_ON, or the exit code: help was printed, or the error is told. */
int assess_options(int argc, char **argv, struct assess_options *ret);

/* Takes the value of an option that is a number; false: it is none, or out of the bounds. */
bool assess_options_number(struct assess_options *o, const char *name, const char *text);

/* ---- assess_vehicle.c ---- */

/* Fills in from the registry what the command line left open. */
int assess_vehicle(struct assess_options *o, struct error *err);

/* ---- assess_file.c ---- */

struct trip_row {
	int64_t at;
	struct engine_values
		engine;		   /* as written, so that nothing is rounded to the wire's steps */
	uint8_t body[STREAM_SIZE]; /* all of it, as a terminal would have sent it */
};

struct trip_file {
	struct trip_row *rows;
	size_t count, size;
};

/* Reads the file; what is worth knowing goes to stderr. */
int trip_file_read(const char *path, struct trip_file *ret, struct error *err);
void trip_file_free(struct trip_file *f);

/* ---- assess_findings.c ---- */

/* The rules of the gateway with their initial parameters over each Beijing day of the trip. */
json_t *assess_findings(const struct trip_file *f, const struct assess_options *o);

/* ---- assess_print.c ---- */

json_t *assess_number(double value); /* null when it is absent */
json_t *assess_json(struct trip *t, const struct assess_options *o, json_t *findings);
void assess_text(const json_t *result, const struct trip *t, const struct assess_options *o);

#endif

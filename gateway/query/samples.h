/*
 * samples.h - frames of the track table, in time order, to rows of 1 Hz samples as JSON or CSV.
 *
 * Rows of track come in ascending time of their first sample, but frames may overlap (a
 * supplement fills holes of another one): a second is written only once no later frame can
 * touch it.  All blocks of one second (stream, supplementary, hybrid, ...) become one row.  Columns
 * are the fields of proto/wire/info.h by name; a name that several tables have is one column.
 *
 * Pure but for memory; one thread.  Holds the seconds of overlapping frames only.
 */
#ifndef GATEWAY_QUERY_SAMPLES_H
#define GATEWAY_QUERY_SAMPLES_H

#include <stdint.h>

#include "gateway/query/output.h"
#include "proto/record/pack.h"

enum samples_format { SAMPLES_JSON, SAMPLES_CSV };

struct samples;

/* Rows of [from, to), unix seconds; to 0: there is no data, no period.  NULL: no memory. */
struct samples *samples_new(enum samples_format format, int64_t from, int64_t to);
void samples_free(struct samples *s);

/* What stands before the first row: the opening of the JSON object, or the CSV heading. */
void samples_begin(struct samples *s, const char *vin, struct output *out);

/*
 * One row of track: at must not fall below the one before.  Appends every second that is complete.
 * scratch: overwritten; shared by all samples of a thread, since it is large.
 * Returns 0, or -1 when the packed bytes are not ours or memory is short.
 */
int samples_add(struct samples *s, int64_t at, const uint8_t *packed, size_t size,
		struct unpacked *scratch, struct output *out);

/* The seconds that are left, and the end of the JSON object. */
void samples_end(struct samples *s, struct output *out);

#endif

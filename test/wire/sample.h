/*
 * sample.h - frames and bodies made from the tables: for tests, the fuzz corpus and the bench.
 */
#ifndef TEST_WIRE_SAMPLE_H
#define TEST_WIRE_SAMPLE_H

#include "proto/wire/unit.h"

/* 2026-07-24 12:00:00 +08:00 */
#define SAMPLE_TIME ((int64_t)1784865600)
#define SAMPLE_VIN  "LGAG4DY33N3000001"

struct sample_random {
	uint64_t state; /* the seed; not 0 */
};
uint32_t sample_random(struct sample_random *r);
uint32_t sample_below(struct sample_random *r, uint32_t n);

/*
 * A body of info with random bytes, counts and lists that agree with its size.  Plausible: every
 * number within its range.  Returns the size, at most SAMPLE_BODY_MAX.
 */
enum { SAMPLE_BODY_MAX = 2048 };
size_t sample_body(const struct info *info, struct sample_random *r, bool plausible,
		   uint8_t body[SAMPLE_BODY_MAX]);

/* A truck that drives: one call = one second of the stream body. */
struct sample_drive {
	struct sample_random random;
	double speed_kmh, target_kmh, lon, lat, odometer_km, reagent_pct, fuel_pct, scr_c,
		coolant_c;
};
void sample_drive_start(struct sample_drive *d, uint64_t seed);
void sample_drive_second(struct sample_drive *d, uint8_t body[STREAM_SIZE]);

/* Header fields of a frame without unit.  header P gets ANSWER_COMMAND. */
struct frame sample_frame(uint8_t start, enum header header, uint8_t command);

/* A report of n seconds of driving in a layout; returns the frame's size. */
size_t sample_report(enum layout layout, struct sample_drive *d, int64_t at, unsigned n,
		     uint8_t *buf, size_t size);

/* Header and start that a layout is usually sent with. */
struct frame sample_frame_of(enum layout layout, uint8_t command);

#endif

/*
 * source.h - what one truck reports, second by second: a pure function of the fleet's plan and its
 * index.
 *
 * The sender and the verifier run the same source: what must be in the store is made again, not
 * remembered.
 */
#ifndef TOOLS_CLI_FLEETSIM_SOURCE_H
#define TOOLS_CLI_FLEETSIM_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "tools/cli/fleetsim/dialect.h"
#include "tools/cli/fleetsim/model.h"

enum {
	SAMPLE_SIZE_MAX = 128,
	MOMENT_SAMPLES_MAX = 4,
	FRAME_SECONDS = 10, /* one-second records in a frame */
	OBD_PERIOD_S = 3600,
	FLEET_CIPHERS_MAX = 4,
};

/* One block to send, and to find in the store. */
struct sample {
	int64_t at; /* unix seconds, as the terminal claims */
	uint8_t type;
	uint8_t size;
	uint8_t body[SAMPLE_SIZE_MAX];
};

struct moment {
	int64_t at;	/* the true second */
	unsigned count; /* 0: the engine is off, nothing is reported */
	bool new_frame; /* these samples must begin a frame: the time of OBD blocks depends on it */
	bool clock_fault; /* the samples claim another time: a frame of their own */
	struct sample samples[MOMENT_SAMPLES_MAX];
};

/* What is common to the fleet. */
struct fleet_plan {
	uint64_t seed;
	unsigned trucks;
	unsigned violators[KIND_COUNT]; /* how many of each kind; [KIND_clean] is the rest */
	int64_t start;			/* unix seconds: the first truck's first second */
	int64_t drive_s;		/* each truck's length, engine off included */
	unsigned spread_s;		/* trucks start within this time; at least 1 */
	double clock_faults;		/* share of trucks */
	double tls_share;
	double signed_share; /* of those whose layout has a signature */
	double encrypted_share;
	unsigned cipher_count;
	enum algorithm ciphers[FLEET_CIPHERS_MAX]; /* in turn */
	double platform_share;			   /* of those that speak header P */
	bool dead_zones;
	struct dialect_set dialects;
	const struct route_list *routes;
};

/* Who a truck is. */
struct truck_plan {
	unsigned index;
	char vin[VIN_SIZE + 1];
	char iccid[21];
	enum kind kind;
	const struct dialect *dialect;
	const struct route *route;
	bool tls, regroups, clock_faults, supplementary;
	bool signs;
	bool platform;	       /* reports over the platform's connection */
	enum algorithm cipher; /* NONE: its units are plain */
	int64_t start;	       /* its first second */
	uint64_t seed;
};

/* kinds[i] for every truck: violators spread by chance of the seed.  kinds has plan->trucks places.
 */
void plan_kinds(const struct fleet_plan *plan, enum kind *kinds);
void plan_truck(const struct fleet_plan *plan, unsigned index, enum kind kind,
		struct truck_plan *ret);

struct source {
	const struct truck_plan *truck;
	struct model model;
	struct prng chance;
	int64_t at, end;
	int64_t next_obd, next_fault;
	int in_frame;	    /* seconds in the frame so far; 0 = the next second begins one */
	struct sample last; /* of the stream, for a clock fault */
	uint8_t obd[SAMPLE_SIZE_MAX];
	uint8_t obd_size;
};

void source_init(struct source *s, const struct fleet_plan *plan, const struct truck_plan *truck);

/* The next moment in order of sending; false when the drive is over. */
bool source_next(struct source *s, struct moment *ret);

/* FNV-1a over type, at (8 bytes, big-endian) and body of samples; begins with SAMPLES_HASH_START.
 */
#define SAMPLES_HASH_START 0xCBF29CE484222325u
uint64_t samples_hash(uint64_t hash, const struct sample *sample);

#endif

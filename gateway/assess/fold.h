/*
 * fold.h - the steps of the fold, in the order in which fold.c takes them for each finished second.
 *
 * Inside gateway/assess only.
 */
#ifndef GATEWAY_ASSESS_FOLD_H
#define GATEWAY_ASSESS_FOLD_H

#include "gateway/assess/parameter.h"
#include "gateway/assess/physics.h"
#include "gateway/assess/state.h"

/* ---- second.c: what a second holds ---- */

/* Empty: every value absent. */
void second_clear(struct second *s, int32_t at);

/*
 * Takes engine data from b unless a block of the same or a better type has been taken: stream
 * before TWC with NOx before TWC.  So the order of the blocks within a second does not matter.
 */
void second_take(struct second *s, const struct block *b, struct geo_cursor *cursor);

bool present(double value);

/* ---- gate.c: when a second may be judged (docs/rules.md, "gates") ---- */

struct gates {
	bool running; /* G-RUN */
	bool warm;    /* G-WARM */
	bool judged;  /* G-HOT, G-ALT, not near a DPF regeneration */
	bool loaded;  /* judged and G-LOAD */
};

void gate_step(struct assess_day *d, struct gates *ret);

/* ---- judge.c: NOx, DPF and sensor, by buckets ---- */

/* Adds the buckets to the day that no regeneration at second at or later can reach any more. */
void judge_settle(struct assess_day *d, const struct rule_set *rules, int32_t at);
void judge_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g);
/* A regeneration is seen: forgets what waits. */
void judge_discard(struct assess_day *d);
/* The bucket of second at; made when there is none. */
struct bucket *judge_bucket(struct assess_day *d, int32_t at);

/* ---- reagent.c ---- */

void reagent_step(struct assess_day *d, const struct rule_set *rules, const struct gates *g);
void reagent_settle(struct assess_day *d, const struct rule_set *rules, const struct bucket *b);

/* ---- obd.c ---- */

void obd_take(struct assess_day *d, const struct block *b);
void obd_step(struct assess_day *d);
/* The codes that the rule counts, as indices into codes; returns how many (0 = no finding). */
int obd_confirmed(const struct obd *o, int32_t confirm_s, int32_t ret[CODES_MAX]);

/* ---- distance.c ---- */

struct step_distance {
	uint32_t odo_km10;
	double speed_km;
};

void distance_step(struct distance *x, const struct second *s, struct step_distance *ret);
double distance_km(const struct distance *x);

/* ---- passage.c ---- */

void passage_step(struct assess_day *d, const struct step_distance *km, double nox_g,
		  double fuel_kg);
void passage_result(const struct assess_day *d, struct assess_result *ret);

/* ---- fold.c ---- */

/* Folds the second that is still open, as if the next one had begun. */
void fold_finish(struct assess_day *d, const struct rule_set *rules);

#endif

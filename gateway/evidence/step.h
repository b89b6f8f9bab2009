/*
 * step.h - what a check says as it goes: each step in a sentence, and whether it holds.
 */
#ifndef GATEWAY_EVIDENCE_STEP_H
#define GATEWAY_EVIDENCE_STEP_H

#include "gateway/evidence/checkpoint.h"

struct steps {
	void (*say)(bool sound, const char *text, void *arg);
	void *arg;
	uint64_t bad; /* steps that did not hold */
};

void step_tell(struct steps *s, bool sound, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Whether the key signed it; what: "checkpoint". */
void step_checkpoint(struct steps *s, const char *what, const struct checkpoint *c,
		     const struct log_key *key);

/* 0, or ERROR_CORRUPT when a step did not hold. */
int step_result(const struct steps *s, struct error *err);

#endif

/* compare.c - the part of verify.h that needs no database. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/fleetsim/verify.h"

/* A finding before this time of driving would be luck; after it, each seed that was tried has one.
 */
int64_t verify_needed_s(enum kind kind)
{
	static const int64_t needed_s[KIND_COUNT] = {
		[KIND_nox_high] = 7200,	       [KIND_dpf_missing] = 10800,
		[KIND_reagent_unused] = 21300, [KIND_mil_nox_dtc] = 900,
		[KIND_sensor_invalid] = 7200,
	};
	return needed_s[kind];
}

static int by_time_and_type(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (int)x->type - (int)y->type;
}

void sort_samples(struct sample *samples, size_t n)
{
	qsort(samples, n, sizeof(*samples), by_time_and_type);
}

static void fault(struct comparison *c, uint64_t *counter, const char *vin, const char *what,
		  const struct sample *s)
{
	char at[20];

	if (c->missing + c->differing + c->twice + c->unexpected == 0) {
		beijing_time_print(s->at, at);
		snprintf(c->first_fault, sizeof(c->first_fault),
			 "%s, %s (unix %" PRId64 "), type %02X: %s", vin, at, s->at, s->type, what);
	}
	++*counter;
}

void compare_samples(const char *vin, const struct sample *sent, size_t sent_count,
		     const struct sample *stored, size_t stored_count, struct comparison *c)
{
	size_t i = 0, k = 0;

	c->sent += sent_count;
	c->stored += stored_count;
	while (i < sent_count || k < stored_count) {
		const int order = i == sent_count     ? 1
				  : k == stored_count ? -1
						      : by_time_and_type(&sent[i], &stored[k]);
		if (order < 0) {
			fault(c, &c->missing, vin, "sent, and not stored", &sent[i++]);
			continue;
		}
		if (order > 0) {
			const bool again =
				k > 0 && by_time_and_type(&stored[k - 1], &stored[k]) == 0;
			fault(c, again ? &c->twice : &c->unexpected, vin,
			      again ? "stored twice" : "stored, and never sent", &stored[k]);
			k++;
			continue;
		}
		if (sent[i].size != stored[k].size ||
		    memcmp(sent[i].body, stored[k].body, sent[i].size) != 0)
			fault(c, &c->differing, vin, "stored with another value", &sent[i]);
		i++;
		k++;
	}
}

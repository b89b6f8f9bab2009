#include "tools/cli/fleetsim/tally.h"

#include <assert.h>
#include <inttypes.h>

static unsigned bucket_of(uint64_t us)
{
	if (us < 16)
		return (unsigned)us;
	const unsigned octave = 63 - (unsigned)__builtin_clzll(us); /* at least 4 */
	const unsigned part = (unsigned)(us >> (octave - 4)) & 15;
	const unsigned bucket = (octave - 3) * 16 + part;

	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

static uint64_t upper_edge(unsigned bucket)
{
	if (bucket < 16)
		return bucket;
	return (16 + (uint64_t)bucket % 16 + 1) << (bucket / 16 - 1);
}

void tally_latency(struct tally *t, int64_t us)
{
	const uint64_t waited = us > 0 ? (uint64_t)us : 0;

	t->latency[bucket_of(waited)]++;
	t->latency_count++;
	if (waited > t->latency_max_us)
		t->latency_max_us = waited;
}

uint64_t tally_quantile(const struct tally *t, double quantile)
{
	const double wanted = quantile * (double)t->latency_count;
	uint64_t seen = 0;

	assert(quantile >= 0 && quantile <= 1);
	for (unsigned i = 0; i < LATENCY_BUCKETS && t->latency_count > 0; i++) {
		seen += t->latency[i];
		if ((double)seen >= wanted && seen > 0)
			return upper_edge(i) < t->latency_max_us ? upper_edge(i)
								 : t->latency_max_us;
	}
	return t->latency_max_us;
}

void tally_progress(const struct tally *t, char *out, size_t size)
{
	snprintf(out, size,
		 "%" PRIu64 " frames, %" PRIu64 " answers p50 %.1f p99 %.1f max %.0f ms, %" PRIu64
		 " reconnects, %" PRIu64 " resent",
		 t->frames, t->answers, (double)tally_quantile(t, 0.5) / 1000,
		 (double)tally_quantile(t, 0.99) / 1000, (double)t->latency_max_us / 1000,
		 t->reconnects, t->resent);
}

void tally_print(const struct tally *t, FILE *out)
{
#define COUNTER_LINE_(name, doc)                                                                   \
	if (t->name > 0)                                                                           \
		fprintf(out, "  %-18s %12" PRIu64 "  %s\n", #name, t->name, doc);
	COUNTERS(COUNTER_LINE_)
#undef COUNTER_LINE_
	fprintf(out, "  %-18s %12.1f  p50 of the time to an answer (p99 %.1f, max %.1f)\n",
		"answer_ms", (double)tally_quantile(t, 0.5) / 1000,
		(double)tally_quantile(t, 0.99) / 1000, (double)t->latency_max_us / 1000);
}

#include "gateway/ingest/quota.h"

#include <stdlib.h>

/* Placeholder until the table of sources is written: everything is allowed. */
struct quota {
	size_t sources_max;
};

int quota_new(size_t sources_max, struct quota **ret, struct error *err)
{
	struct quota *q = calloc(1, sizeof(*q));

	if (q == NULL)
		return error_set(err, ERROR_MEMORY, "quota: out of memory");
	q->sources_max = sources_max;
	*ret = q;
	return 0;
}

void quota_free(struct quota *q)
{
	free(q);
}

bool quota_accept(struct quota *q, const struct config *c, const uint8_t peer[16], uint64_t now_ms)
{
	(void)q;
	(void)c;
	(void)peer;
	(void)now_ms;
	return true;
}

void quota_closed(struct quota *q, const uint8_t peer[16])
{
	(void)q;
	(void)peer;
}

bool quota_login(struct quota *q, const struct config *c, const uint8_t peer[16], const char *vin,
		 uint64_t now_ms)
{
	(void)q;
	(void)c;
	(void)peer;
	(void)vin;
	(void)now_ms;
	return true;
}

void quota_offence(struct quota *q, const struct config *c, const uint8_t peer[16],
		   enum quota_offence offence, uint64_t now_ms)
{
	(void)q;
	(void)c;
	(void)peer;
	(void)offence;
	(void)now_ms;
}

unsigned quota_take(struct quota_bucket *b, unsigned rate, uint64_t now_ms)
{
	(void)b;
	(void)rate;
	(void)now_ms;
	return 0;
}

unsigned quota_early_drop(unsigned unauthenticated, unsigned limit, uint32_t chance)
{
	(void)unauthenticated;
	(void)limit;
	(void)chance;
	return 0;
}

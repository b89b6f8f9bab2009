/*
 * finding.c - findings that a batch opened, changed or took back.
 *
 * A finding that grows while data come in order is updated in place.  One that late data change is
 * superseded: the old row stays, and the next revision is inserted.
 */
#include <math.h>
#include <string.h>

#include "gateway/store/loader.h"

static uint64_t finding_digest(const struct finding *f)
{
	uint64_t h = HASH_START;

	h = hash_bytes(h, &f->version, sizeof(f->version));
	h = hash_bytes(h, &f->severity, sizeof(f->severity));
	h = hash_bytes(h, &f->from, sizeof(f->from));
	h = hash_bytes(h, &f->to, sizeof(f->to));
	h = hash_bytes(h, &f->division, sizeof(f->division));
	h = hash_bytes(h, &f->route, sizeof(f->route));
	h = hash_bytes(h, &f->lon, sizeof(f->lon));
	h = hash_bytes(h, &f->lat, sizeof(f->lat));
	h = hash_bytes(h, &f->value, sizeof(f->value));
	h = hash_bytes(h, &f->limit, sizeof(f->limit));
	return hash_bytes(h, f->measured, strlen(f->measured));
}

static void key_columns(struct rows *rows, const struct day *day, enum rule rule, int32_t revision)
{
	rows_int(rows, day->vehicle_id);
	rows_day(rows, day->number);
	rows_text(rows, rule_definitions[rule].id);
	rows_int(rows, revision);
}

static void id_column(struct rows *rows, int32_t id)
{
	if (id != 0)
		rows_int(rows, id);
	else
		rows_null(rows);
}

static void finding_row(struct rows *rows, const struct day *day, const struct finding *f,
			int32_t revision, uint64_t digest)
{
	const bool placed = !isnan(f->lon) && !isnan(f->lat);

	key_columns(rows, day, f->rule, revision);
	rows_int(rows, f->version);
	rows_int(rows, f->severity);
	rows_time(rows, f->from);
	rows_time(rows, f->to);
	id_column(rows, f->division);
	id_column(rows, f->route);
	rows_double(rows, placed ? f->lon : (double)NAN);
	rows_double(rows, placed ? f->lat : (double)NAN);
	rows_double(rows, f->value);
	rows_double(rows, f->limit);
	rows_text(rows, f->measured);
	rows_int(rows, (int64_t)digest);
}

static void supersede(struct loader *l, struct day *day, enum rule rule)
{
	key_columns(&l->superseded, day, rule, day->record.findings[rule].revision);
	day->record.findings[rule].revision = 0;
	day->record.findings[rule].digest = 0;
}

/* True when evidence is to be looked for. */
static bool finding_change(struct loader *l, struct day *day, const struct finding *f,
			   bool *ret_fresh)
{
	const uint64_t digest = finding_digest(f);
	const bool stored = day->record.findings[f->rule].revision != 0;
	int32_t revision = day->record.findings[f->rule].revision;

	if (stored && day->record.findings[f->rule].digest == digest)
		return false;
	*ret_fresh = !stored || day->late || day->record.findings[f->rule].version != f->version;
	if (stored && *ret_fresh)
		supersede(l, day, f->rule);
	if (*ret_fresh)
		revision = ++day->record.findings[f->rule].newest;
	finding_row(*ret_fresh ? &l->inserted : &l->updated, day, f, revision, digest);
	l->tally.findings += *ret_fresh && !stored;
	day->record.findings[f->rule].revision = revision;
	day->record.findings[f->rule].digest = digest;
	day->record.findings[f->rule].version = f->version;
	return true;
}

static size_t day_changes(struct loader *l, struct day *day, struct proof *proofs)
{
	struct assess_result result;
	bool found[RULE_COUNT] = { false };
	size_t n = 0;

	assess_day_result(day_state(day), &l->context.rules, &result);
	for (size_t i = 0; i < result.finding_count; i++) {
		const struct finding *f = &result.findings[i];
		bool fresh;

		found[f->rule] = true;
		if (finding_change(l, day, f, &fresh))
			proofs[n++] = (struct proof){ .day = day,
						      .rule = f->rule,
						      .from = f->from,
						      .to = f->to,
						      .fresh = fresh };
	}
	for (int rule = 0; rule < RULE_COUNT; rule++)
		if (!found[rule] && day->record.findings[rule].revision != 0)
			supersede(l, day, (enum rule)rule);
	return n;
}

static int rows_run(struct loader *l, enum sql sql, struct rows *rows)
{
	struct params p = { 0 };

	if (rows->count == 0)
		return 0;
	rows_params(rows, &p);
	return pg_rows(&l->pg, sql, &p) < 0 ? -1 : 0;
}

int loader_findings(struct loader *l)
{
	static const char columns[] = "iDtddhTTddffffti";
	const size_t days = l->days.touched_count;
	struct proof *proofs = arena_alloc(&l->batch.arena, days * RULE_COUNT * sizeof(*proofs));
	size_t n = 0;

	rows_start(&l->superseded, "iDtd");
	rows_start(&l->updated, columns);
	rows_start(&l->inserted, columns);
	for (size_t i = 0; i < days; i++)
		if (l->days.touched[i]->resident)
			n += day_changes(l, l->days.touched[i], proofs + n);
	if (rows_run(l, SQL_FINDING_SUPERSEDE, &l->superseded) < 0 ||
	    rows_run(l, SQL_FINDING_UPDATE, &l->updated) < 0 ||
	    rows_run(l, SQL_FINDING_INSERT, &l->inserted) < 0)
		return -1;
	return loader_evidence(l, proofs, n);
}

/*
 * terminal_make.c - a terminal's beginning and end, what it has to report by now, where it is out
 * of reach, and what it shows to the gateway.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/cli/fleetsim/terminal.h"

int terminal_init(struct terminal *t, struct terminal_shared *shared, unsigned index,
		  enum kind kind, struct error *err)
{
	const struct fleet_plan *plan = shared->plan;
	const double frame_ms = FRAME_SECONDS / shared->speed * 1000;
	const double pace_ms = frame_ms / 20;

	memset(t, 0, sizeof(*t));
	t->shared = shared;
	plan_truck(plan, index, kind, &t->plan);
	source_init(&t->source, plan, &t->plan);
	prng_init(&t->chance, t->plan.seed, 7);
	/* Header P's answers name their frame, so several may be in flight; header V's do not. */
	const unsigned window = shared->window > 0		      ? shared->window
				: t->plan.dialect->header == HEADER_P ? 4
								      : 1;
	outbox_init(&t->outbox, &t->plan, window, (int64_t)(pace_ms > 500 ? 500 : pace_ms));
	/*
	 * The platform's connection outlives the truck's reach: a late answer for one of two
	 * supplements must not pass for that of both.
	 */
	t->outbox.regroups = t->plan.regroups && !t->plan.platform;
	t->hash = SAMPLES_HASH_START;
	t->dead_until = t->plan.start;
	terminal_plan_dead_zone(t, t->dead_until);
	return trust_make(&t->plan, &shared->gateway, shared->keys, &t->trust, err);
}

void terminal_release(struct terminal *t)
{
	terminal_hang_up(t);
	free(t->filling);
	outbox_release(&t->outbox);
	trust_free(&t->trust);
	obedience_free(t->obedience);
}

/* ---- dead zones ---- */

void terminal_plan_dead_zone(struct terminal *t, int64_t after)
{
	const double drive = (double)t->shared->plan->drive_s;
	const double length = prng_range(&t->chance, 0.01, 0.04) * drive;

	t->dead_from = after + (int64_t)(prng_range(&t->chance, 0.25, 1.1) * drive);
	t->dead_until = t->dead_from + (int64_t)(length > 900 ? 900 : length);
}

bool terminal_in_dead_zone(struct terminal *t)
{
	const int64_t now = t->shared->drive_us / 1000000;

	if (!t->shared->plan->dead_zones || t->shared->ending || t->over)
		return false;
	if (now >= t->dead_until)
		terminal_plan_dead_zone(t, t->dead_until);
	return now >= t->dead_from;
}

/* ---- making parcels ---- */

static void finish_parcel(struct terminal *t)
{
	const bool online = t->state == TERMINAL_ONLINE || !t->was_online;

	if (t->filling == NULL)
		return;
	t->shared->tally->parcels++;
	outbox_add(&t->outbox, parcel_trim(t->filling), online);
	t->filling = NULL;
}

static void take(struct terminal *t, const struct moment *m)
{
	if (m->new_frame || m->clock_fault)
		finish_parcel(t);
	if (t->filling == NULL) {
		t->serial = t->serial % 65531 + 1;
		t->filling = parcel_new(t->serial);
		assert(t->filling != NULL);
	}
	parcel_add(t->filling, m);
	for (unsigned i = 0; i < m->count; i++)
		t->hash = samples_hash(t->hash, &m->samples[i]);
	t->blocks += m->count;
	t->shared->tally->samples++;
	if (m->clock_fault) {
		t->shared->tally->clock_faults++;
		finish_parcel(t);
		return;
	}
	t->first = t->seconds == 0 ? m->at : t->first;
	t->last = m->at;
	t->seconds++;
	if (t->filling->seconds == FRAME_SECONDS)
		finish_parcel(t);
}

void terminal_make(struct terminal *t)
{
	const int64_t now = t->shared->drive_us / 1000000;

	while (!t->over) {
		if (!t->moment_made) {
			t->over = t->shared->ending || !source_next(&t->source, &t->moment);
			t->moment_made = !t->over;
			continue;
		}
		if (t->moment.at >= now && !t->shared->ending)
			return; /* a second is reported when it is over */
		if (t->shared->ending)
			break;
		t->moment_made = false;
		t->moments++;
		t->off_seconds = t->moment.count == 0 ? t->off_seconds + 1 : 0;
		if (t->moment.count == 0)
			finish_parcel(t);
		else
			take(t, &t->moment);
	}
	t->over = true;
	finish_parcel(t);
}

/* ---- its certificate ---- */

enum { PATH_SIZE = 4096 };

static void certificate_paths(const struct terminal *t, char certificate[PATH_SIZE],
			      char key[PATH_SIZE])
{
	snprintf(certificate, PATH_SIZE, "%s/%s.crt", t->shared->certificates, t->plan.vin);
	snprintf(key, PATH_SIZE, "%s/%s.key", t->shared->certificates, t->plan.vin);
}

int terminal_check_certificate(const struct terminal *t, struct error *err)
{
	char certificate[PATH_SIZE], key[PATH_SIZE];

	if (t->shared->certificates == NULL || !t->plan.tls)
		return 0;
	certificate_paths(t, certificate, key);
	if (access(certificate, R_OK) != 0)
		return error_errno(err, ERROR_NOT_FOUND, "%s", certificate);
	return access(key, R_OK) == 0 ? 0 : error_errno(err, ERROR_NOT_FOUND, "%s", key);
}

void terminal_certify(struct terminal *t)
{
	char certificate[PATH_SIZE], key[PATH_SIZE];

	if (t->shared->certificates == NULL)
		return;
	certificate_paths(t, certificate, key);
	/* A broken file shows as a connection that the gateway does not let in. */
	link_certify(t->link, certificate, key);
}

/* report.c - what was sent: totals for people, JSON for tests. */
#include <inttypes.h>

#include <jansson.h>

#include "tools/cli/fleetsim/fleet.h"

void fleet_print(const struct fleet *f)
{
	const struct fleet_plan *plan = &f->settings->plan;
	const double drive_s = (double)(f->drive_ended_us - f->drive_started_us) / 1e6;
	char from[20], to[20];

	beijing_time_print(plan->start, from);
	beijing_time_print(f->shared.drive_us / 1000000, to);
	printf("%u trucks drove from %s to %s (Beijing) in %.1f s: %.0f frames/s, %.0f samples/s\n",
	       plan->trucks, from, to + 11, drive_s,
	       drive_s > 0 ? (double)f->tally.frames / drive_s : 0,
	       drive_s > 0 ? (double)f->tally.samples / drive_s : 0);
	if (f->held_us > 1000000)
		printf("  the drive was held up for %.1f s in all: this machine, or the gateway, "
		       "did not keep up\n",
		       (double)f->held_us / 1e6);
	tally_print(&f->tally, stdout);
}

void fleet_print_owed(const struct fleet *f)
{
	static const char *const states[TERMINAL_STATE_COUNT] = {
		[TERMINAL_OFFLINE] = "offline",
		[TERMINAL_CONNECTING] = "connecting",
		[TERMINAL_ACTIVATING] = "activating",
		[TERMINAL_GREETING] = "logging in",
		[TERMINAL_ONLINE] = "online",
		[TERMINAL_LEAVING] = "logging out",
		[TERMINAL_DONE] = "done",
	};
	unsigned lines = 5;

	for (unsigned i = 0; i < f->settings->plan.trucks && lines > 0; i++) {
		const struct terminal *t = &f->terminals[i];
		const uint32_t owed = outbox_owed(&t->outbox);

		if (owed == 0)
			continue;
		printf("  %s (%s%s%s%s%s): %u; %s for %.1f s, %u sent and not proved, %u answers "
		       "awaited\n",
		       t->plan.vin, t->plan.dialect->name, t->plan.tls ? ", TLS" : "",
		       t->plan.platform ? ", over the platform" : "",
		       t->plan.signs ? ", signs" : "",
		       t->plan.cipher != ALGORITHM_NONE ? ", encrypts" : "", owed, states[t->state],
		       (double)(f->ended_us - t->since_us) / 1e6, t->outbox.kept.count,
		       t->outbox.count);
		lines--;
	}
}

static json_t *truck_json(const struct terminal *t)
{
	char hash[17];

	snprintf(hash, sizeof(hash), "%016" PRIx64, t->hash);
	return json_pack(
		"{s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:s, s:i, s:I, s:I, s:I, s:I, s:s, s:I}",
		"vin", t->plan.vin, "kind", kind_name(t->plan.kind), "dialect",
		t->plan.dialect->name, "protocol", protocol_name(t->plan.dialect->protocol), "tls",
		t->plan.tls, "platform", t->plan.platform, "signs", t->plan.signs, "encryption",
		algorithm_text(t->plan.cipher), "route", t->plan.route->id, "seconds",
		(json_int_t)t->seconds, "blocks", (json_int_t)t->blocks, "first",
		(json_int_t)t->first, "last", (json_int_t)t->last, "hash", hash, "owed",
		(json_int_t)outbox_owed(&t->outbox));
}

int fleet_report(const struct fleet *f, const char *path, struct error *err)
{
	const struct fleet_plan *plan = &f->settings->plan;
	json_t *trucks = json_array(), *totals = json_object();
	int rc = 0;

#define COUNTER_JSON_(name, doc)                                                                   \
	json_object_set_new(totals, #name, json_integer((json_int_t)f->tally.name));
	COUNTERS(COUNTER_JSON_)
#undef COUNTER_JSON_
	for (unsigned i = 0; i < plan->trucks; i++)
		json_array_append_new(trucks, truck_json(&f->terminals[i]));
	json_t *all =
		json_pack("{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:o, s:o}", "seed",
			  (json_int_t)plan->seed, "start", (json_int_t)plan->start, "drive_s",
			  (json_int_t)plan->drive_s, "speed", f->settings->speed, "wall_s",
			  (double)(f->ended_us - f->started_us) / 1e6, "answer_p50_us",
			  (json_int_t)tally_quantile(&f->tally, 0.5), "answer_p99_us",
			  (json_int_t)tally_quantile(&f->tally, 0.99), "answer_max_us",
			  (json_int_t)f->tally.latency_max_us, "totals", totals, "trucks", trucks);
	if (all == NULL || json_dump_file(all, path, JSON_INDENT(1)) != 0)
		rc = error_errno(err, ERROR_IO, "%s: the report could not be written", path);
	json_decref(all);
	return rc;
}

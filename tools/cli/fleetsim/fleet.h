/*
 * fleet.h - all terminals of a run on one event loop, from the first connect to the last good-bye.
 */
#ifndef TOOLS_CLI_FLEETSIM_FLEET_H
#define TOOLS_CLI_FLEETSIM_FLEET_H

#include "tools/cli/fleetsim/options.h"
#include "tools/cli/fleetsim/platform.h"
#include "tools/cli/fleetsim/terminal.h"

/* What main() worked out of the options. */
struct fleet_settings {
	struct fleet_plan plan;
	double speed;			/* simulated seconds in one second */
	double limit_s;			/* wall seconds after which the drive is cut short */
	bool live;			/* the simulated clock is the real one */
	const char *tcp, *tls, *tls_ca; /* host:port; tls and tls_ca may be NULL */
	const char *keys, *gateway_keys, *certificates; /* folders, or NULL */
	struct platform_account platform;
	bool cuts, quiet;
	unsigned window;
	int end_wait_s;
};

struct fleet {
	const struct fleet_settings *settings;
	struct terminal_shared shared;
	struct tally tally;
	struct terminal *terminals; /* plan.trucks */
	uv_loop_t loop;
	uv_timer_t timer;
	uv_signal_t signals[2];
	enum fleet_phase { FLEET_GATHERING, FLEET_DRIVING, FLEET_ENDING, FLEET_OVER } phase;
	int64_t started_us, drive_started_us, drive_ended_us, ended_us; /* monotonic */
	int64_t last_tick_us, last_line_us, held_us;
	uint64_t line_frames;
	bool interrupted, drawing;
};

/* Runs to the end.  Returns 0 also when something stayed unanswered: see fleet_owed(). */
int fleet_run(const struct fleet_settings *settings, struct fleet **ret, struct error *err);
void fleet_free(struct fleet *f);

/* Frames that the gateway did not answer (or, where it need not, may not have). */
uint64_t fleet_owed(const struct fleet *f);
/* Whose they are, and how far their terminals had come: to stdout, the first few. */
void fleet_print_owed(const struct fleet *f);

/* Totals to stdout; report: path of the JSON, or NULL. */
void fleet_print(const struct fleet *f);
int fleet_report(const struct fleet *f, const char *path, struct error *err);

#endif

/* haulgate-fleetsim: simulated trucks; see options.h for the command line, docs/fleetsim.md for
 * more. */
#include <stdio.h>

#include "gateway/base/clock.h"
#include "tools/cli/fleetsim/attack.h"
#include "tools/cli/fleetsim/replay.h"
#include "tools/cli/fleetsim/settings.h"
#include "tools/cli/fleetsim/verify.h"

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static int complain(const struct error *err)
{
	fflush(stdout);
	fprintf(stderr, "fleetsim: %s\n", err->text);
	return err->code == ERROR_USAGE || err->code == ERROR_NOT_FOUND ? EXIT_USAGE : EXIT_FAILED;
}

static int drive(const struct options *o, const struct settings *s)
{
	struct fleet *fleet = NULL;
	struct error err;
	int result = EXIT_FINE;

	if (fleet_run(&s->fleet, &fleet, &err) != 0) {
		result = complain(&err);
		goto out;
	}
	fleet_print(fleet);
	if (s->report[0] != '\0' && fleet_report(fleet, s->report, &err) != 0)
		result = complain(&err);
	if (fleet->interrupted) {
		printf("interrupted\n");
		goto out;
	}
	if (fleet_owed(fleet) > 0 || fleet->tally.refused > 0) {
		printf("NOT DELIVERED: %llu frames without an answer, %llu refused\n",
		       (unsigned long long)fleet_owed(fleet),
		       (unsigned long long)fleet->tally.refused);
		fleet_print_owed(fleet);
		result = EXIT_FAILED;
	}
	if (o->verify) {
		if (verify_fleet(fleet, &s->endpoints, (unsigned)o->verify_wait, &err) != 0)
			result = complain(&err);
		else
			printf("verified: the store holds what was sent, value by value, and every "
			       "due violator was found\n");
	}
out:
	fleet_free(fleet);
	return result;
}

/* For a batch of tools/keys and tools/registry. */
static int print_vins(const struct fleet_plan *plan, const char *platform)
{
	struct truck_plan truck;

	printf("vin,dialect,signs,encryption,platform\n");
	for (unsigned i = 0; i < plan->trucks; i++) {
		plan_truck(plan, i, KIND_clean, &truck);
		printf("%s,%s,%s,%s,%s\n", truck.vin, truck.dialect->name, truck.signs ? "sm2" : "",
		       truck.cipher != ALGORITHM_NONE ? algorithm_text(truck.cipher) : "",
		       truck.platform ? platform : "");
	}
	return EXIT_FINE;
}

/* Trucks that no other run has: their keys and seconds are told to nobody else. */
static int attack(const struct options *o, const struct settings *s, struct error *err)
{
	struct attack_settings a = {
		.kinds = o->attack,
		.tcp = s->fleet.tcp,
		.keys = o->gateway_keys,
		.attackers = (unsigned)o->attackers,
		.seconds = (unsigned)o->seconds,
		.plan = s->fleet.plan,
	};
	const int64_t now_ns = clock_wall_ns();

	a.plan.seed = prng_hash(o->seed ^ (uint64_t)now_ns);
	a.plan.trucks = 2 * a.attackers + ATTACK_COUNT * 16;
	a.plan.start = now_ns / 1000000000 - 12 * 3600;
	a.plan.drive_s = 10 * 3600;
	a.plan.spread_s = 3600;
	a.plan.clock_faults = 0;
	a.plan.dialects = (struct dialect_set){ .count = 1, .ids = { DIALECT_HJ_P } };
	return attack_run(&a, err);
}

int main(int argc, char **argv)
{
	static struct settings settings;
	struct options options;
	struct error err;

	if (options_parse(argc, argv, &options, &err) != 0)
		return complain(&err);
	if (options.help) {
		options_help();
		return EXIT_FINE;
	}
	if (settings_make(&options, &settings, &err) != 0)
		return complain(&err);
	if (options.has_frames)
		return replay_file(options.frames, settings.fleet.tcp, options.login, &err) == 0
			       ? EXIT_FINE
			       : complain(&err);
	if (options.print_vins)
		return print_vins(&settings.fleet.plan, options.platform);
	if (options.has_attack)
		return attack(&options, &settings, &err) == 0 ? EXIT_FINE : complain(&err);
	return drive(&options, &settings);
}

/* settings.h - what the options mean: who drives, when, how fast, and where to. */
#ifndef TOOLS_CLI_FLEETSIM_SETTINGS_H
#define TOOLS_CLI_FLEETSIM_SETTINGS_H

#include "tools/cli/fleetsim/fleet.h"
#include "tools/cli/fleetsim/options.h"

struct settings {
	struct fleet_settings fleet; /* points into this struct and the options */
	struct endpoints endpoints;
	struct route_list routes;
	char report[4200]; /* path, or empty */
};

/* ret is large: not for the stack.  It must not be moved. */
int settings_make(const struct options *o, struct settings *ret, struct error *err);

#endif

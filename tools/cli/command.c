/*
 * command.c - haulgate-command: orders commands to terminals, and shows what became of them.  See
 * docs/downlink.md.
 */
#include <stdio.h>

#include "tools/cli/command.h"

static const struct argument_option options[] = {
	{ "conninfo", "TEXT", "libpq connection string; without it: PGHOST, PGDATABASE, ..." },
	{ "actor", "NAME", "who does this, for the order and audit_log; default: the login name" },
	{ "reason", "TEXT", "why; it stays with the order and in audit_log; needed" },
	{ "expires", "TIME",
	  "not sent after this: seconds, or 15m, 2h, 3d; default 1d, at most 30d" },
	{ "wait", NULL, "tell what happens until it ends" },
	{ "timeout", "TIME", "wait no longer than this; the order stays" },
	{ "json", NULL, "print JSON" },
	{ "state", "STATE",
	  "open, or queued, sent, answered, refused, silent, expired, impossible, "
	  "cancelled" },
	{ "limit", "N", "how many of the newest; default 20" },
	{ 0 },
};

static const struct argument_command commands[] = {
	{ "order query", "VIN NAME ...", "reason expires wait timeout json", 2, 20, command_order,
	  "asks the terminal for parameters" },
	{ "order set", "VIN NAME=VALUE ...", "reason expires wait timeout json", 2, 20,
	  command_order,
	  "sets parameters: all of them or none; NAME=@FILE reads the value from a file" },
	{ "order control", "VIN ACTION [FIELD=VALUE ...]", "reason expires wait timeout json", 2,
	  20, command_order,
	  "upgrade, power_off, reset, factory_reset, disconnect, alarm, sampling" },
	{ "list", "VIN", "state limit json", 1, 1, command_list,
	  "the newest orders for a vehicle" },
	{ "show", "ID", "json", 1, 1, command_show, "all about one" },
	{ "watch", "ID", "timeout json", 1, 1, command_watch,
	  "tells what happens to it until it ends" },
	{ "cancel", "ID", "reason json", 1, 1, command_cancel,
	  "takes back one that is not on its way" },
	{ "names", "", "", 0, 0, command_names,
	  "the parameters and controls, and what they allow" },
	{ 0 },
};

static const struct argument_program program = {
	.name = "haulgate-command",
	.intro = "Commands to the terminals of vehicles: query and set parameters, control.\n"
		 "An order waits in the database until the terminal is logged in, and is a line of "
		 "audit_log.\n",
	.outro = "\nRun it with a login that is a member of haulgate_operator.  docs/downlink.md "
		 "has examples.\n"
		 "Exit: 0 done (with --wait and watch: answered), 1 failed, 2 wrong arguments,\n"
		 "3 it ended without the terminal's consent, 4 --timeout is over and it has not "
		 "ended.\n",
	.options = options,
	.common = "conninfo actor",
	.commands = commands,
};

int main(int argc, char **argv)
{
	struct command_tool t = { 0 };
	const int rc = arguments_run(&program, argc, argv, &t);

	if (rc != ARGUMENT_USAGE && t.err.code != 0)
		fprintf(stderr, "haulgate-command: %s\n", t.err.text);
	session_close(&t.session);
	return rc;
}

/*
 * registry.c - haulgate-registry: takes lists of vehicles in, gives them out, tells what changed
 * and when, and keeps the policies of fleets.  See docs/registry.md.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "tools/cli/registry.h"

static const struct argument_option options[] = {
	{ "conninfo", "TEXT", "libpq connection string; without it: PGHOST, PGDATABASE, ..." },
	{ "actor", "NAME", "who does this, for audit_log; default: the login name" },
	{ "dry-run", NULL, "change nothing: tell every problem and what would be changed" },
	{ "all", NULL, "show every line, not the first 20 of a kind" },
	{ "clear-empty", NULL, "an empty cell clears what is stored; otherwise it leaves it" },
	{ "create-fleets", NULL, "fleets that are not there are made" },
	{ "ignore-unknown", NULL, "columns with unknown headings are passed over" },
	{ "quiet", NULL, "no progress" },
	{ "format", "FORMAT", "csv or xlsx; default: as the name of --out ends, else csv" },
	{ "out", "FILE", "write to this file; never overwrites; default: stdout (csv)" },
	{ "chinese", NULL, "headings in Chinese" },
	{ "create", NULL, "the fleet is made if it is not there" },
	{ "grade", "GRADE", "A, B, B-, C, D or leading" },
	{ "signature", "POLICY", "inherit, optional or required" },
	{ "signature-share", "SHARE", "0 to 1: how many of the signed frames are verified" },
	{ "transport", "POLICY", "any, tls or certificate" },
	{ "encryption", "POLICY", "optional or required" },
	{ "activation", "POLICY", "automatic, approval or off" },
	{ "reason", "TEXT", "why; it stands in audit_log" },
	{ 0 },
};

static const struct argument_command commands[] = {
	{ "import", "FILE", "dry-run all clear-empty create-fleets ignore-unknown quiet", 1, 1,
	  registry_import,
	  "takes a CSV (UTF-8, GB 18030) or XLSX: all lines or none; vehicles are found by VIN" },
	{ "export", "", "format out chinese quiet", 0, 0, registry_export,
	  "all vehicles, with the columns that import takes" },
	{ "history", "VIN", "", 1, 1, registry_history, "who changed what of a vehicle, and when" },
	{ "fleet list", "", "", 0, 0, registry_fleet_list, "fleets and their policies" },
	{ "fleet set", "NAME", "create grade signature signature-share transport encryption reason",
	  1, 1, registry_fleet_set, "the policies of a fleet; what is not named stays" },
	{ "policy", "", "activation reason", 0, 0, registry_policy,
	  "how far terminals may bring keys of their own, whatever a gateway is configured to" },
	{ "block", "VIN", "reason", 1, 1, registry_block,
	  "its frames are refused and its sessions end" },
	{ "unblock", "VIN", "reason", 1, 1, registry_unblock, "it may report again" },
	{ "retire", "VIN", "reason", 1, 1, registry_retire, "it is off the road for good" },
	{ "columns", "", "", 0, 0, registry_columns_print,
	  "the columns of a list, as docs/registry.md has them" },
	{ 0 },
};

static const struct argument_program program = {
	.name = "haulgate-registry",
	.intro = "The registry of vehicles: lists in and out, history, policies of fleets.\n"
		 "Every change is a line of audit_log, and reaches running gateways within a "
		 "second.\n",
	.outro = "\nExit: 0 done (dry run: no problem), 1 failed or refused, 2 wrong arguments.\n",
	.options = options,
	.common = "conninfo actor",
	.commands = commands,
};

int registry_database(struct registry *r, const struct arguments *a)
{
	return session_open(&r->session, program.name, argument(a, "conninfo"),
			    argument(a, "actor"), &r->err);
}

int registry_columns_print(const struct arguments *a, void *context)
{
	(void)a;
	(void)context;
	registry_columns_markdown(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	struct registry r = { 0 };
	int code;

	umask(027); /* a list of vehicles and their owners is not for everybody */
	code = arguments_run(&program, argc, argv, &r);
	fflush(stdout);
	if (code < 0) {
		fprintf(stderr, "haulgate-registry: %s\n", r.err.text);
		code = ARGUMENT_FAILED;
	}
	session_close(&r.session);
	if (ferror(stdout)) {
		fputs("haulgate-registry: cannot write to stdout\n", stderr);
		return ARGUMENT_FAILED;
	}
	return code;
}

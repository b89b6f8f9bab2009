/* The command line of haulgate-assess. */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/assess.h"

/* Bounds catch a slip of the unit; no engine of a truck comes near them. */
struct number_option {
	const char *name, *unit, *doc;
	size_t offset; /* of a double in struct trip_parameters */
	double least, most;
};

#define AT(member) offsetof(struct trip_parameters, member)

static const struct number_option numbers[] = {
	{ "reference-torque", "NM", "of the engine; without it there is no work",
	  AT(engine.reference_torque_nm), 1, 10000 },
	{ "rated-power", "KW", "of the engine; without it no window over work or CO2 is valid",
	  AT(rated_power_kw), 1, 2000 },
	{ "whtc-work", "KWH", "of the engine over the WHTC: reference of the work windows",
	  AT(whtc_work_kwh), 0.01, 1000 },
	{ "fuel-density", "KG_PER_L", "default 0.84", AT(engine.fuel_kg_per_l), 0.1, 2 },
	{ "limit", "MG_PER_KWH", "NOx, for conformity factors; default 690, GB 17691 on the road",
	  AT(limit_mgpkwh), 0.1, 100000 },
	{ "co2", "G_PER_KWH", "of the engine over the WHTC; default 650, an estimate",
	  AT(co2_g_per_kwh), 100, 5000 },
	{ "baro-min", "KPA", "seconds below are excluded; default 82.5, 0: none are",
	  AT(baro_min_kpa), 0, 120 },
	{ 0 },
};

#undef AT

static const struct {
	const char *name, *value, *doc;
} others[] = {
	{ "torque", "indicated|net", "what net_torque_pct holds; default indicated" },
	{ "thresholds", "PCT,...", "of rated power, for work windows; default 20,15,10" },
	{ "stage", "3|4|5|6", "China III to VI, for the rules; default unknown" },
	{ "vehicle", "VIN", "takes from the registry what is not given here" },
	{ "conninfo", "TEXT", "libpq connection string for --vehicle; default: PGHOST, ..." },
	{ "json", NULL, "the result as JSON" },
	{ "help", NULL, "this text" },
	{ "version", NULL, "the version" },
	{ 0 },
};

enum { FIRST_NUMBER = 256, FIRST_OTHER = 512, COLUMN = 30, OPTIONS_MAX = 32 };

static void print_option(const char *name, const char *value, const char *doc)
{
	char left[COLUMN + 8];

	snprintf(left, sizeof(left), "  --%s%s%s", name, value != NULL ? " " : "",
		 value != NULL ? value : "");
	printf("%-*s %s\n", COLUMN - 1, left, doc);
}

static void print_help(void)
{
	puts("usage: haulgate-assess TRIP.csv [--option ...]\n\n"
	     "Assesses one trip: sums, moving averaging windows over work, CO2 and fuel, two bins, "
	     "findings.\n"
	     "The columns of the CSV are the names of the API; see docs/assess.md.\n");
	for (size_t i = 0; numbers[i].name != NULL; i++)
		print_option(numbers[i].name, numbers[i].unit, numbers[i].doc);
	for (size_t i = 0; others[i].name != NULL; i++)
		print_option(others[i].name, others[i].value, others[i].doc);
	puts("\nExit: 0 assessed, 1 the file or the registry cannot be used, 2 wrong arguments.");
}

static int __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	va_list args;

	fputs("haulgate-assess: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; see --help\n", stderr);
	return ASSESS_USAGE;
}

/* A plain decimal number, all of text; *ret_end: behind it. */
static bool read_number(const char *text, double *ret, const char **ret_end)
{
	const size_t n = strspn(text, "0123456789.eE+-");
	char *end;

	*ret = strtod(text, &end);
	*ret_end = end;
	return n > 0 && end == text + n;
}

bool assess_options_number(struct assess_options *o, const char *name, const char *text)
{
	const struct number_option *n = numbers;
	const char *end;
	double value;

	while (strcmp(n->name, name) != 0)
		n++;
	if (!read_number(text, &value, &end) || *end != '\0' ||
	    !(value >= n->least && value <= n->most))
		return false;
	memcpy((char *)&o->trip + n->offset, &value, sizeof(value));
	return true;
}

static int number_take(const struct number_option *n, const char *text, struct assess_options *o)
{
	if (!assess_options_number(o, n->name, text))
		return wrong("--%s wants %g to %g %s, not '%s'", n->name, n->least, n->most,
			     n->unit, text);
	return ASSESS_GO_ON;
}

static int thresholds_take(const char *text, struct assess_options *o)
{
	o->threshold_count = 0;
	for (const char *p = text;; p++) {
		double value;

		if (!read_number(p, &value, &p) || !(value >= 0 && value <= 100) ||
		    o->threshold_count == THRESHOLDS_MAX || (*p != ',' && *p != '\0'))
			return wrong(
				"--thresholds wants up to 20 shares of 0 to 100 %% with commas "
				"between, not '%s'",
				text);
		o->thresholds_pct[o->threshold_count++] = value;
		if (*p == '\0')
			return ASSESS_GO_ON;
	}
}

static int other_take(const char *name, const char *value, struct assess_options *o)
{
	if (strcmp(name, "help") == 0) {
		print_help();
		return ASSESS_DONE;
	}
	if (strcmp(name, "version") == 0) {
		puts("haulgate-assess " HAULGATE_VERSION);
		return ASSESS_DONE;
	}
	if (strcmp(name, "json") == 0)
		o->json = true;
	else if (strcmp(name, "vehicle") == 0)
		o->vin = value;
	else if (strcmp(name, "conninfo") == 0)
		o->conninfo = value;
	else if (strcmp(name, "thresholds") == 0)
		return thresholds_take(value, o);
	else if (strcmp(name, "stage") == 0 && strlen(value) == 1 && strchr("3456", *value) != NULL)
		o->stage = *value;
	else if (strcmp(name, "torque") == 0 && strcmp(value, "net") == 0)
		o->trip.engine.torque = TORQUE_NET;
	else if (strcmp(name, "torque") == 0 && strcmp(value, "indicated") == 0)
		o->trip.engine.torque = TORQUE_INDICATED;
	else
		return wrong("--%s cannot be '%s'", name, value);
	return ASSESS_GO_ON;
}

static void option_table(struct option ret[OPTIONS_MAX])
{
	size_t count = 0;

	memset(ret, 0, OPTIONS_MAX * sizeof(*ret));
	for (int i = 0; numbers[i].name != NULL; i++)
		ret[count++] = (struct option){ numbers[i].name, required_argument, NULL,
						FIRST_NUMBER + i };
	for (int i = 0; others[i].name != NULL; i++)
		ret[count++] =
			(struct option){ others[i].name,
					 others[i].value != NULL ? required_argument : no_argument,
					 NULL, FIRST_OTHER + i };
}

int assess_options(int argc, char **argv, struct assess_options *ret)
{
	struct option options[OPTIONS_MAX];
	int option, code = ASSESS_GO_ON;

	*ret = (struct assess_options){
		.trip = { .engine = { .fuel_kg_per_l = FUEL_KG_PER_L },
			  .limit_mgpkwh = NOX_LIMIT_MGPKWH,
			  .baro_min_kpa = BARO_MIN_KPA },
		.threshold_count = 3,
		.thresholds_pct = { 20, 15, 10 },
	};
	option_table(options);
	while (code == ASSESS_GO_ON &&
	       (option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?')
			return wrong("an argument is wrong");
		code = option >= FIRST_OTHER
			       ? other_take(others[option - FIRST_OTHER].name, optarg, ret)
			       : number_take(&numbers[option - FIRST_NUMBER], optarg, ret);
	}
	if (code != ASSESS_GO_ON)
		return code;
	if (argc - optind != 1)
		return wrong("one file is wanted: TRIP.csv");
	ret->path = argv[optind];
	return ASSESS_GO_ON;
}

/* What came out of a trip, as JSON and for people. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/cli/assess.h"

json_t *assess_number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

/* ---- JSON ---- */

static json_t *count(size_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *trip_json(const struct trip *t)
{
	static const char *const names[] = {
#define NAME(name) #name,
		TRIP_EXCLUSIONS(NAME)
#undef NAME
	};
	json_t *excluded = json_object();
	struct trip_sums s;

	trip_sums(t, &s);
	for (size_t i = 0; i < EXCLUSION_COUNT; i++)
		json_object_set_new(excluded, names[i], count(s.excluded[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:o}", "work_kwh",
			 assess_number(s.work_kwh), "nox_g", assess_number(s.nox_g), "fuel_kg",
			 assess_number(s.fuel_kg), "co2_kg", assess_number(s.co2_kg), "nox_mgpkwh",
			 assess_number(s.nox_mgpkwh), "nox_gpkg", assess_number(s.nox_gpkg),
			 "samples", count(s.samples), "valid", count(s.valid), "missing_s",
			 (json_int_t)s.missing_s, "excluded", excluded);
}

static json_t *work_window_json(struct trip *t, const struct assess_options *o)
{
	json_t *list;

	if (trip_lacks(t, FIGURE_work_window) != NULL)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < o->threshold_count; i++) {
		struct trip_window_result r;

		trip_window(t, TRIP_WORK, o->thresholds_pct[i], &r);
		json_array_append_new(
			list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "threshold_pct",
					assess_number(o->thresholds_pct[i]), "windows",
					count(r.summary.windows), "valid", count(r.summary.valid),
					"min_mgpkwh", assess_number(r.summary.min), "max_mgpkwh",
					assess_number(r.summary.max), "p90_mgpkwh",
					assess_number(r.summary.p90), "conformity_factor",
					assess_number(r.conformity_factor)));
	}
	return list;
}

/* The windows whose result is g NOx for each kg of CO2 or fuel. */
static json_t *mass_window_json(struct trip *t, enum trip_window kind, enum trip_figure figure)
{
	struct trip_window_result r;
	json_t *window;

	if (trip_lacks(t, figure) != NULL)
		return json_null();
	trip_window(t, kind, 0, &r);
	window = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "reference_kg",
			   assess_number(r.reference), "windows", count(r.summary.windows), "valid",
			   count(r.summary.valid), "min_gpkg", assess_number(r.summary.min),
			   "max_gpkg", assess_number(r.summary.max), "p90_gpkg",
			   assess_number(r.summary.p90));
	if (kind == TRIP_CO2) {
		json_object_set_new(window, "duration_max_s", assess_number(r.duration_max_s));
		json_object_set_new(window, "conformity_factor",
				    assess_number(r.conformity_factor));
	}
	return window;
}

static json_t *two_bin_json(const struct trip *t)
{
	struct two_bin_result r;

	if (trip_lacks(t, FIGURE_two_bin) != NULL)
		return json_null();
	trip_two_bin(t, &r);
	return json_pack("{s:o, s:o, s:o, s:o}", "bin1_windows", count(r.bin1_intervals),
			 "bin1_nox_gph", assess_number(r.bin1_nox_gph), "bin2_windows",
			 count(r.bin2_intervals), "bin2_nox_mgpkwh",
			 assess_number(r.bin2_nox_mgpkwh));
}

json_t *assess_json(struct trip *t, const struct assess_options *o, json_t *findings)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "trip", trip_json(t), "work_window",
			 work_window_json(t, o), "co2_window",
			 mass_window_json(t, TRIP_CO2, FIGURE_co2_window), "fuel_window",
			 mass_window_json(t, TRIP_FUEL, FIGURE_fuel_window), "two_bin",
			 two_bin_json(t), "findings", findings);
}

/* ---- for people ---- */

static void put_value(const json_t *value)
{
	if (json_is_null(value))
		fputs("-", stdout);
	else if (json_is_string(value))
		fputs(json_string_value(value), stdout);
	else
		printf("%.6g", json_number_value(value));
}

/* name value, name value, ... of the plain members */
static void put_members(json_t *object)
{
	const char *key, *between = "  ";
	json_t *value;

	json_object_foreach(object, key, value)
	{
		if (json_is_object(value))
			continue;
		printf("%s%s ", between, key);
		put_value(value);
		between = ", ";
	}
	putchar('\n');
}

/* A figure may lean on what nobody told. */
static void put_estimate(enum trip_figure figure, const struct assess_options *o)
{
	if (figure != FIGURE_co2_window && figure != FIGURE_two_bin)
		return;
	printf(" (estimate: CO2 out of fuel%s%s)",
	       o->trip.co2_g_per_kwh > 0 ? "" : "; an assumed 650 g/kWh",
	       figure == FIGURE_two_bin || o->trip.whtc_work_kwh > 0
		       ? ""
		       : "; the work of the WHTC out of the rated power");
}

static void put_figure(const struct trip *t, const struct assess_options *o,
		       enum trip_figure figure, const char *name, json_t *value)
{
	const char *lacks = trip_lacks(t, figure);

	if (lacks != NULL) {
		printf("%s: cannot be computed: %s\n", name, lacks);
		return;
	}
	fputs(name, stdout);
	put_estimate(figure, o);
	putchar('\n');
	if (!json_is_array(value))
		put_members(value);
	for (size_t i = 0; i < json_array_size(value); i++)
		put_members(json_array_get(value, i));
}

static void put_excluded(json_t *excluded)
{
	const char *key, *between = "  excluded seconds: ";
	json_t *value;

	json_object_foreach(excluded, key, value)
	{
		if (json_integer_value(value) == 0)
			continue;
		printf("%s%s %" JSON_INTEGER_FORMAT, between, key, json_integer_value(value));
		between = ", ";
	}
	if (strcmp(between, ", ") == 0)
		putchar('\n');
}

void assess_text(const json_t *result, const struct trip *t, const struct assess_options *o)
{
	json_t *trip = json_object_get(result, "trip"),
	       *findings = json_object_get(result, "findings");

	puts("trip");
	put_members(trip);
	put_excluded(json_object_get(trip, "excluded"));
	if (trip_lacks(t, FIGURE_work) != NULL)
		printf("  no work: %s\n", trip_lacks(t, FIGURE_work));
	put_figure(t, o, FIGURE_work_window, "work windows",
		   json_object_get(result, "work_window"));
	put_figure(t, o, FIGURE_co2_window, "CO2 windows", json_object_get(result, "co2_window"));
	put_figure(t, o, FIGURE_fuel_window, "fuel windows",
		   json_object_get(result, "fuel_window"));
	put_figure(t, o, FIGURE_two_bin, "two bins of 300 s", json_object_get(result, "two_bin"));
	printf("findings: %zu\n", json_array_size(findings));
	for (size_t i = 0; i < json_array_size(findings); i++)
		put_members(json_array_get(findings, i));
}

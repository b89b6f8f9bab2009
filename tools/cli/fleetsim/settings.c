/* settings.c - what the options mean: who drives, when, how fast, and where to. */
#include "tools/cli/fleetsim/settings.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"

enum { DAY_S = 86400, BEIJING_S = 8 * 3600, MORNING_S = 6 * 3600, SPREAD_S = 60 };

/* Share of --seconds in which the drive lies; the rest is for connecting, late answers and
 * supplements. */
static const double drive_share = 0.7, default_drive_s = 6 * 3600;

static int64_t day_start(int64_t at)
{
	return (at + BEIJING_S) / DAY_S * DAY_S - BEIJING_S;
}

/* ---- violators ---- */

static int find_kind(const char *name, size_t size)
{
	for (int k = 0; k < KIND_COUNT; k++)
		if (strlen(kind_name((enum kind)k)) == size &&
		    strncmp(kind_name((enum kind)k), name, size) == 0)
			return k;
	return -1;
}

static unsigned count_of(double number, unsigned trucks)
{
	const double n = number < 1 ? number * trucks + 0.5 : number;

	return n > trucks ? trucks : (unsigned)n;
}

static void spread_violators(double share, struct fleet_plan *plan)
{
	unsigned n = count_of(share >= 1 ? plan->trucks : share, plan->trucks);
	const unsigned kinds = KIND_COUNT - 1;

	/* One of each kind in any fleet that is large enough to have mostly clean trucks. */
	if (share > 0 && n < kinds && plan->trucks >= 4 * kinds)
		n = kinds;
	for (unsigned i = 0; i < n; i++)
		plan->violators[1 + i % kinds]++;
}

static int parse_violators(const char *text, struct fleet_plan *plan, struct error *err)
{
	char *end;
	const double share = strtod(text, &end);

	if (end != text && *end == '\0' && share >= 0) {
		spread_violators(share, plan);
		return 0;
	}
	for (const char *p = text; *p != '\0';) {
		const size_t size = strcspn(p, "=,");
		const int kind = find_kind(p, size);
		const double number = p[size] == '=' ? strtod(p + size + 1, &end) : -1;
		if (kind <= KIND_clean || !(number >= 0) || (*end != ',' && *end != '\0'))
			return error_set(err, ERROR_USAGE,
					 "--violators %s: a share, or a list like "
					 "nox_high=2,dpf_missing=0.05 is wanted",
					 text);
		plan->violators[kind] = count_of(number, plan->trucks);
		p = end + (*end == ',');
	}
	return 0;
}

/* ---- time ---- */

static int plan_past_start(const struct options *o, int64_t now, struct fleet_plan *plan,
			   struct error *err)
{
	const int64_t span = plan->drive_s + plan->spread_s;
	int rc;

	if (span > DAY_S)
		return error_set(err, ERROR_USAGE,
				 "a drive of %.1f hours does not fit into one day",
				 (double)plan->drive_s / 3600);
	if (o->has_start) {
		rc = beijing_time_parse(o->start, &plan->start, err);
		if (rc != 0)
			return rc;
		if (plan->start + span > now)
			return error_set(err, ERROR_USAGE,
					 "--start %s: the drive would end in the future", o->start);
		if (day_start(plan->start) != day_start(plan->start + span - 1))
			return error_set(err, ERROR_USAGE,
					 "--start %s: the drive would end on another day",
					 o->start);
		return 0;
	}
	const int64_t clock = span > DAY_S - MORNING_S ? DAY_S - span : MORNING_S;
	plan->start = day_start(now) + clock;
	if (plan->start + span > now)
		plan->start -= DAY_S;
	return 0;
}

static int plan_time(const struct options *o, struct fleet_settings *s, struct error *err)
{
	const int64_t now = clock_wall_ns() / 1000000000;
	const double seconds = o->seconds > 0 ? (double)o->seconds : 1,
		     active = seconds * drive_share;
	struct fleet_plan *plan = &s->plan;
	double drive_s = default_drive_s;

	s->live = o->has_speed && o->speed == 1 && !o->has_start;
	if (o->has_speed && o->speed <= 0)
		return error_set(err, ERROR_USAGE, "--speed: more than 0 is wanted");
	if (o->has_drive)
		drive_s = o->drive * 3600;
	else if (o->has_speed)
		drive_s = s->live ? seconds : active * o->speed;
	const double asked = drive_s / active * plan->trucks / FRAME_SECONDS;
	if (!o->has_drive && !o->has_speed && o->rate > 0 && asked > (double)o->rate) {
		drive_s *= (double)o->rate / asked;
		if (!s->quiet)
			printf("the drive is %.1f h, so that %u trucks make no more than %u "
			       "frames/s (--rate)\n",
			       drive_s / 3600, plan->trucks, (unsigned)o->rate);
	}
	if (drive_s < 1)
		return error_set(err, ERROR_USAGE, "the drive is shorter than a second");
	plan->drive_s = (int64_t)drive_s;
	plan->spread_s = s->live ? FRAME_SECONDS : SPREAD_S;
	s->speed = o->has_speed ? o->speed : (double)(plan->drive_s + plan->spread_s) / active;
	s->limit_s = (double)(plan->drive_s + plan->spread_s) / s->speed * (s->live ? 1 : 3) + 30;
	plan->start = now;
	return s->live ? 0 : plan_past_start(o, now, plan, err);
}

/* ---- where to ---- */

static int plan_addresses(const struct options *o, struct settings *ret, struct error *err)
{
	struct endpoints *e = &ret->endpoints;
	struct fleet_settings *s = &ret->fleet;
	struct error missing;
	const bool given = o->has_tcp || o->has_tls;
	const int rc = endpoints_load(o->state, e, &missing);

	if (rc != 0 && !given)
		return error_set(err, ERROR_NOT_FOUND,
				 "%s\nStart the system first (tools/quickstart --no-fleet), name "
				 "its folder with --state, or give --tcp HOST:PORT.",
				 missing.text);
	s->tcp = o->has_tcp ? o->tcp : given ? NULL : e->tcp;
	s->tls = o->has_tls ? o->tls : given || e->tls[0] == '\0' ? NULL : e->tls;
	s->tls_ca = o->has_tls_ca			      ? o->tls_ca
		    : !given && e->tls_certificate[0] != '\0' ? e->tls_certificate
							      : NULL;
	if (s->tcp == NULL || s->tcp[0] == '\0') {
		s->tcp = s->tls;
		s->plan.tls_share = 1;
	}
	if (s->tls == NULL)
		s->plan.tls_share = 0;
	return 0;
}

/* The seed lies in the source tree; an installed simulator still has its own road. */
static int plan_routes(const struct options *o, struct route_list *routes, struct error *err)
{
	static const char city[] = HAULGATE_SCHEMA_DIR "/seed/city.sql";

	if (o->has_routes)
		return routes_load(o->routes, routes, err);
	return routes_load(access(city, R_OK) == 0 ? city : NULL, routes, err);
}

int settings_make(const struct options *o, struct settings *ret, struct error *err)
{
	struct fleet_settings *s = &ret->fleet;
	struct fleet_plan *plan = &s->plan;
	int rc;

	memset(ret, 0, sizeof(*ret));
	if (o->trucks < 1 || o->trucks > 100000)
		return error_set(err, ERROR_USAGE, "--trucks: 1 to 100000 is wanted");
	if (o->tls_share > 1 || o->platform_share > 1 || o->clock_faults > 1 ||
	    o->signed_share > 1 || o->encrypted_share > 1)
		return error_set(err, ERROR_USAGE,
				 "--tls-share, --clock-faults, --signed-share, --encrypted-share, "
				 "--platform-share: 0 to 1 is wanted");
	if (o->window > WINDOW_MAX)
		return error_set(err, ERROR_USAGE, "--window: at most %d", WINDOW_MAX);
	plan->seed = o->seed;
	plan->trucks = (unsigned)o->trucks;
	plan->tls_share = o->tls_share;
	plan->clock_faults = o->clock_faults;
	plan->signed_share = o->signed_share;
	plan->encrypted_share = o->has_encrypted ? o->encrypted_share : 0;
	plan->platform_share = o->has_platform ? o->platform_share : 0;
	s->keys = o->keys;
	s->gateway_keys = o->gateway_keys;
	s->certificates = o->client_certificates;
	plan->dead_zones = !o->no_dead_zones;
	plan->routes = &ret->routes;
	s->cuts = !o->no_cuts;
	s->quiet = o->quiet;
	s->window = (unsigned)o->window;
	s->end_wait_s = (int)o->end_wait;
	rc = dialect_set_parse(o->protocol, o->has_dialect ? o->dialect : NULL, &plan->dialects,
			       err);
	if (rc == 0 && o->has_platform && !o->print_vins)
		rc = platform_account_load(o->platform, o->platform_password_file, &s->platform,
					   err);
	if (rc == 0 && o->has_encrypted)
		rc = trust_parse(o->encrypted, plan, err);
	if (rc == 0)
		rc = parse_violators(o->violators, plan, err);
	if (rc == 0)
		rc = plan_routes(o, &ret->routes, err);
	if (rc == 0)
		rc = plan_addresses(o, ret, err);
	if (rc == 0 && !o->has_frames)
		rc = plan_time(o, s, err);
	if (o->has_report)
		snprintf(ret->report, sizeof(ret->report), "%s", o->report);
	else if (access(o->state, W_OK) == 0)
		snprintf(ret->report, sizeof(ret->report), "%s/fleet.json", o->state);
	return rc;
}

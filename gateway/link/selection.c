#include "gateway/link/selection.h"

#include <stdlib.h>
#include <string.h>

void places_release(struct places *p)
{
	free(p->members);
	geo_cursor_free(p->cursor);
	geo_free(p->geo);
	*p = (struct places){ 0 };
}

bool selection_kind_read(const char *name, enum selection_kind *ret)
{
	static const char *const names[] = {
		[SELECTION_ALL] = "all",
		[SELECTION_FLEET] = "fleet",
		[SELECTION_DIVISION] = "division",
		[SELECTION_ROUTE] = "route",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], name) == 0) {
			*ret = (enum selection_kind)i;
			return true;
		}
	return false;
}

static bool listed(const struct selection *s, int64_t id)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->ids[i] == id)
			return true;
	return false;
}

static int member_order(const void *vin, const void *member)
{
	return strcmp(vin, ((const struct fleet_member *)member)->vin);
}

static bool fleet_listed(const struct selection *s, const struct places *p, const char *vin)
{
	const struct fleet_member *m = NULL;

	if (p->count > 0)
		m = bsearch(vin, p->members, p->count, sizeof(*m), member_order);
	return m != NULL && listed(s, m->fleet);
}

static bool place_listed(const struct selection *s, const struct places *p, double lon, double lat)
{
	struct geo_place place;

	geo_locate(p->cursor, lon, lat, &place);
	if (s->kind == SELECTION_DIVISION)
		return place.division != 0 && listed(s, place.division);
	for (size_t i = 0; i < GEO_ROUTES_MAX && place.routes[i] != 0; i++)
		if (listed(s, place.routes[i]))
			return true;
	return false;
}

static bool placed_inside(const struct selection *s, const struct places *p, const struct frame *f,
			  enum layout layout, int64_t received_at, struct report *scratch)
{
	const enum meaning meaning = frame_meaning(f);
	struct tamper_alarm alarm;
	double lon, lat;

	if (p->cursor == NULL)
		return false;
	if (meaning == MEANING_TAMPER_ALARM)
		return tamper_alarm_decode(f, received_at, &alarm) == VERDICT_ACCEPTED &&
		       alarm.position_valid && place_listed(s, p, alarm.lon, alarm.lat);
	if (meaning != MEANING_REPORT ||
	    report_decode(f, layout, received_at, scratch) != VERDICT_ACCEPTED)
		return false;
	for (size_t i = 0; i < scratch->block_count; i++) {
		const struct block *b = &scratch->blocks[i];

		if (b->info != NULL && info_position(b->info, b->body, &lon, &lat) &&
		    place_listed(s, p, lon, lat))
			return true;
	}
	return false;
}

bool selection_wants(const struct selection *s, const struct places *p, const struct frame *f,
		     enum layout layout, int64_t received_at, struct report *scratch)
{
	switch (s->kind) {
	case SELECTION_ALL:
		return true;
	case SELECTION_FLEET:
		return fleet_listed(s, p, f->vin);
	default:
		return placed_inside(s, p, f, layout, received_at, scratch);
	}
}

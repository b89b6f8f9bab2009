/*
 * obd.c - the OBD information of the day: lamp and after-treatment codes.
 *
 * A report counts when it tells both the lamp and the codes; with either absent it tells nothing
 * and is as if it had not come.
 */
#include "gateway/assess/fold.h"

#include <assert.h>
#include <string.h>

/* A place older than this is not where the report was made. */
enum { SPOT_AGE_MAX_S = 600 };

static void code_seen(struct obd *o, const struct dtc *dtc, int32_t at)
{
	struct code *c = NULL;

	for (int32_t i = 0; i < o->code_count && c == NULL; i++) {
		if (strcmp(o->codes[i].text, dtc->text) == 0)
			c = &o->codes[i];
	}
	if (c == NULL) {
		if (o->code_count == CODES_MAX) {
			o->codes_dropped++;
			return;
		}
		c = &o->codes[o->code_count++];
		/* The bytes behind the end of the text, too, are the same in equal states. */
		memset(c, 0, sizeof(*c));
		memcpy(c->text, dtc->text, strnlen(dtc->text, sizeof(c->text) - 1));
		c->first = at;
	}
	c->last = at;
}

/* Returns how many after-treatment codes the body lists. */
static unsigned codes_take(struct assess_day *d, const uint8_t *body, unsigned count)
{
	uint32_t protocol = field_raw(&info_obd.fields[OBD_obd_protocol], body);
	unsigned found = 0;

	for (unsigned i = 0; i < count; i++) {
		struct dtc dtc;

		dtc_decode(body + info_obd.fixed_size + (size_t)i * DTC_SIZE, (uint8_t)protocol,
			   &dtc);
		if (!dtc_after_treatment(&dtc))
			continue;
		found++;
		code_seen(&d->obd, &dtc, d->now.at);
	}
	return found;
}

void obd_take(struct assess_day *d, const struct block *b)
{
	double mil, count;

	if (d->now.obd || b->size < info_obd.fixed_size)
		return;
	d->now.obd = true;
	if (!field_value(&info_obd.fields[OBD_mil], b->body, &mil) ||
	    !field_value(&info_obd.fields[OBD_dtc_count], b->body, &count) ||
	    b->size < info_obd.fixed_size + (size_t)count * DTC_SIZE)
		return;
	d->obd.reports++;
	if (mil > 0 && codes_take(d, b->body, (unsigned)count) > 0)
		d->now.obd_hit = true;
}

void obd_step(struct assess_day *d)
{
	struct obd *o = &d->obd;

	if (!d->now.obd_hit)
		return;
	o->hits++;
	assert(o->hits <= o->reports);
	o->to = d->now.at;
	if (o->hits > 1)
		return;
	o->from = d->now.at;
	if (d->place_at != NO_SECOND && d->now.at - d->place_at <= SPOT_AGE_MAX_S)
		o->spot = d->spot;
}

int obd_confirmed(const struct obd *o, int32_t confirm_s, int32_t ret[CODES_MAX])
{
	int n = 0;

	for (int32_t i = 0; i < o->code_count; i++) {
		const struct code *c = &o->codes[i];

		if (o->hits == o->reports ||
		    (c->last > c->first && c->last - c->first >= confirm_s))
			ret[n++] = i;
	}
	return n;
}

/*
 * sender.c - what comes of knowing who sent a record: keys that terminals bring, samples that come
 * again from somebody else, and how well a platform delivers.
 */
#include <arpa/inet.h>
#include <string.h>

#include "gateway/store/loader.h"

/* ---- activations ---- */

static void offer_row(struct rows *rows, const struct item *item)
{
	const struct key_offer *offer = item->offer;

	rows_int(rows, item->vehicle->id);
	rows_text(rows, offer->chip_id);
	rows_bytes(rows, offer->public_key, offer->public_key_size);
	rows_text(rows, offer->algorithm);
	rows_ns(rows, item->received_ns); /* not the terminal's clock */
	rows_text(rows, offer->state);
}

static bool offers(const struct item *item)
{
	return item->kind == ITEM_EVENT && item->offer != NULL && item->offer->proved;
}

/* The outcomes come back in the order of the items. */
static void outcomes_take(struct loader *l, size_t from, size_t to, const PGresult *r)
{
	int row = 0;

	for (size_t i = from; i < to; i++) {
		struct item *item = &l->batch.items[i];
		char outcome[40];
		const uint8_t *text;
		size_t size;

		if (!offers(item))
			continue;
		text = result_bytes(r, row++, 0, &size);
		size = size < sizeof(outcome) ? size : sizeof(outcome) - 1;
		memcpy(outcome, text, size);
		outcome[size] = '\0';
		item_outcome(&l->batch, item, outcome);
	}
}

int loader_activations(struct loader *l, size_t from, size_t to)
{
	struct params p = { 0 };
	PGresult *r;

	rows_start(&l->rows, "itytTt");
	for (size_t i = from; i < to; i++)
		if (offers(&l->batch.items[i]))
			offer_row(&l->rows, &l->batch.items[i]);
	if (l->rows.count == 0)
		return 0;
	rows_params(&l->rows, &p);
	if ((r = pg_run(&l->pg, SQL_ACTIVATION, &p)) == NULL)
		return -1;
	outcomes_take(l, from, to, r);
	PQclear(r);
	return 0;
}

/* ---- replays ---- */

static void optional_column(struct rows *rows, bool known, int64_t value)
{
	if (known)
		rows_int(rows, value);
	else
		rows_null(rows);
}

static void sender_columns(struct rows *rows, const struct sender *sender)
{
	optional_column(rows, sender->credential != 0, (int64_t)sender->credential);
	optional_column(rows, sender->platform != 0, sender->platform);
}

static void peer_column(struct rows *rows, const uint8_t *peer)
{
	static const uint8_t v4_mapped[12] = { [10] = 0xFF, [11] = 0xFF };
	char text[INET6_ADDRSTRLEN];

	if (peer == NULL)
		rows_null(rows);
	else if (memcmp(peer, v4_mapped, sizeof(v4_mapped)) == 0)
		rows_text(rows, inet_ntop(AF_INET, peer + sizeof(v4_mapped), text, sizeof(text)));
	else
		rows_text(rows, inet_ntop(AF_INET6, peer, text, sizeof(text)));
}

int loader_replays(struct loader *l, size_t from, size_t to)
{
	struct params p = { 0 };

	rows_start(&l->rows, "iTiTdididt");
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		if (item->kind != ITEM_REPORT || item->replayed == 0)
			continue;
		rows_int(&l->rows, item->vehicle->id);
		rows_time(&l->rows, item->replayed_at);
		rows_int(&l->rows, (int64_t)item->position);
		rows_ns(&l->rows, item->received_ns);
		rows_int(&l->rows, item->replayed);
		sender_columns(&l->rows, &item->sender);
		sender_columns(&l->rows, &item->replayed_sender);
		peer_column(&l->rows, item->peer);
		l->tally.replays += item->replayed;
	}
	if (l->rows.count == 0)
		return 0;
	param_i16(&p, (int16_t)l->gateway_id);
	rows_params(&l->rows, &p);
	return pg_rows(&l->pg, SQL_REPLAY, &p) < 0 ? -1 : 0;
}

/* ---- platforms ---- */

/* What one record adds to its platform_day. */
struct delivery {
	int32_t day;
	bool stored, supplement, duplicate, refused;
	uint16_t first_serial, last_serial; /* smallest, largest; 0: it has none */
	int64_t delay_ms;		    /* -1: says nothing about it */
};

static void serials_span(const struct item *item, struct delivery *d)
{
	for (uint32_t i = 0; i < item->serial_count; i++) {
		const uint16_t serial = item->serials[i];

		if (i == 0 || serial < d->first_serial)
			d->first_serial = serial;
		if (serial > d->last_serial)
			d->last_serial = serial;
	}
}

static bool anything_new(const struct item *item)
{
	return memchr(item->fates, FATE_KEEP, item->count) != NULL;
}

/* What came first came another way: this is no resend, though we had it. */
static bool told_by_others(const struct item *item)
{
	return item->replayed > 0 && item->replayed_sender.platform != item->sender.platform;
}

/* The day of the samples; that of reception where there are none or their clock is wrong. */
static int32_t delivery_day(const struct item *item)
{
	return assess_day_of(item_assessed(item) ? item->blocks[0].at
						 : item->received_ns / 1000000000);
}

static struct delivery delivery_of(const struct item *item)
{
	struct delivery d = { .day = delivery_day(item), .delay_ms = -1 };

	if (item->kind == ITEM_REFUSED) {
		d.refused = true;
		return d;
	}
	serials_span(item, &d);
	d.stored = anything_new(item);
	d.duplicate = !d.stored;
	d.supplement = d.stored && item->supplement;
	if ((d.stored || told_by_others(item)) && !item->supplement && item_assessed(item)) {
		d.delay_ms = item->received_ns / 1000000 - item->sent_at * 1000;
		d.delay_ms = d.delay_ms > 0 ? d.delay_ms : 0;
	}
	return d;
}

static void delivery_row(struct rows *rows, const struct item *item, const struct vehicle *v)
{
	const struct delivery d = delivery_of(item);

	rows_int(rows, item->sender.platform);
	rows_int(rows, v->id);
	rows_day(rows, d.day);
	rows_int(rows, d.stored);
	rows_int(rows, d.supplement);
	rows_int(rows, d.duplicate);
	rows_int(rows, d.refused);
	optional_column(rows, d.first_serial != 0, d.first_serial);
	optional_column(rows, d.last_serial != 0, d.last_serial);
	optional_column(rows, d.delay_ms >= 0, d.delay_ms);
}

/* All that came, not only what was new to us: others may have told of the same before. */
static void serial_rows(struct rows *rows, const struct item *item)
{
	for (uint32_t i = 0; i < item->serial_count; i++) {
		rows_int(rows, item->sender.platform);
		rows_int(rows, item->vehicle->id);
		rows_day(rows, delivery_day(item));
		rows_int(rows, item->serials[i]);
	}
}

static int rows_run(struct loader *l, enum sql sql)
{
	struct params p = { 0 };

	if (l->rows.count == 0)
		return 0;
	rows_params(&l->rows, &p);
	return pg_rows(&l->pg, sql, &p) < 0 ? -1 : 0;
}

int loader_platform_days(struct loader *l, size_t from, size_t to)
{
	rows_start(&l->rows, "diDddddddi");
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];
		const struct vehicle *v;

		if (item->sender.platform == 0 ||
		    (item->kind != ITEM_REPORT && item->kind != ITEM_REFUSED))
			continue;
		v = item->vehicle != NULL ? item->vehicle : registry_find(l->registry, item->vin);
		if (v != NULL)
			delivery_row(&l->rows, item, v);
	}
	return rows_run(l, SQL_PLATFORM_DAY);
}

int loader_platform_serials(struct loader *l, size_t from, size_t to)
{
	rows_start(&l->rows, "diDd");
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		if (item->sender.platform != 0 && item->kind == ITEM_REPORT)
			serial_rows(&l->rows, item);
	}
	return rows_run(l, SQL_PLATFORM_SERIAL);
}

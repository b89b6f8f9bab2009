/* write.c - what records carry besides samples: OBD state, terminal, events, refused frames. */
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/store/loader.h"
#include "proto/wire/dtc.h"

enum { ROWS_AT_ONCE = 2000, RAW_AT_ONCE = 4 << 20, DTC_TEXT_MAX = 256 * (DTC_TEXT_SIZE + 1) };

/* ---- OBD ---- */

/* A distinct OBD information of a vehicle-day in this batch. */
struct obd {
	int64_t vehicle_id;
	int32_t day;
	uint8_t digest[SHA256_DIGEST_LENGTH];
	int64_t first, last;
	const struct block *block;
};

static int obd_key_order(const struct obd *x, const struct obd *y)
{
	if (x->vehicle_id != y->vehicle_id)
		return x->vehicle_id < y->vehicle_id ? -1 : 1;
	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

static int obd_order(const void *a, const void *b)
{
	return obd_key_order(a, b);
}

/* Sorted by key, each once, with the extremes of its times. */
static size_t obd_gather(struct loader *l, size_t from, size_t to, struct obd *list)
{
	size_t n = 0, kept = 0;

	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		for (uint32_t j = 0; item_assessed(item) && j < item->count; j++) {
			const struct block *b = &item->blocks[j];

			if (b->info != &info_obd || item->fates[j] != FATE_KEEP)
				continue;
			list[n] = (struct obd){ .vehicle_id = item->vehicle->id,
						.day = assess_day_of(b->at),
						.first = b->at,
						.last = b->at,
						.block = b };
			SHA256(b->body, b->size, list[n++].digest);
		}
	}
	qsort(list, n, sizeof(*list), obd_order);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || obd_key_order(&list[kept - 1], &list[i]) != 0) {
			list[kept++] = list[i];
			continue;
		}
		if (list[i].first < list[kept - 1].first)
			list[kept - 1].first = list[i].first;
		if (list[i].last > list[kept - 1].last)
			list[kept - 1].last = list[i].last;
	}
	return kept;
}

static size_t obd_count(const struct loader *l, size_t from, size_t to)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];

		for (uint32_t j = 0; item_assessed(item) && j < item->count; j++)
			n += item->blocks[j].info == &info_obd;
	}
	return n;
}

static void number_column(struct rows *rows, const struct block *b, enum obd_field field)
{
	double value;

	if (field_value(&info_obd.fields[field], b->body, &value))
		rows_int(rows, (int64_t)value);
	else
		rows_null(rows);
}

static void bits_column(struct rows *rows, const struct block *b, enum obd_field field)
{
	rows_int(rows, field_raw(&info_obd.fields[field], b->body));
}

static void text_column(struct rows *rows, const struct block *b, enum obd_field field)
{
	char text[FIELD_STRING_SIZE];

	rows_text(rows, field_string(&info_obd.fields[field], b->body, text) > 0 ? text : NULL);
}

/* "SPN 4364 FMI 18|P20EE-00"; SQL_OBD makes an array of it. */
static void dtc_column(struct rows *rows, const struct block *b)
{
	char text[DTC_TEXT_MAX];
	const uint8_t *list = NULL;
	const size_t n = info_dtcs(b->body, b->size, &list);
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		struct dtc dtc;
		size_t size;

		dtc_decode(list + i * DTC_SIZE, b->body[0], &dtc);
		size = strlen(dtc.text);
		if (used > 0)
			text[used++] = '|';
		memcpy(text + used, dtc.text, size);
		used += size;
	}
	text[used] = '\0';
	rows_text(rows, text);
}

static void obd_row(struct rows *rows, const struct obd *o)
{
	rows_int(rows, o->vehicle_id);
	rows_day(rows, o->day);
	rows_bytes(rows, o->digest, sizeof(o->digest));
	rows_time(rows, o->first);
	rows_time(rows, o->last);
	number_column(rows, o->block, OBD_obd_protocol);
	number_column(rows, o->block, OBD_mil);
	bits_column(rows, o->block, OBD_support);
	bits_column(rows, o->block, OBD_readiness);
	text_column(rows, o->block, OBD_vin);
	text_column(rows, o->block, OBD_calibration_id);
	text_column(rows, o->block, OBD_cvn);
	dtc_column(rows, o->block);
	rows_bytes(rows, o->block->body, o->block->size);
}

int loader_obd(struct loader *l, size_t from, size_t to)
{
	const size_t most = obd_count(l, from, to);
	struct obd *list = arena_alloc(&l->batch.arena, most * sizeof(*list));
	const size_t n = obd_gather(l, from, to, list);

	for (size_t i = 0; i < n;) {
		struct params p = { 0 };

		rows_start(&l->rows, "iDyTThbddtttty");
		for (; i < n && l->rows.count < ROWS_AT_ONCE; i++)
			obd_row(&l->rows, &list[i]);
		rows_params(&l->rows, &p);
		if (pg_rows(&l->pg, SQL_OBD, &p) < 0)
			return -1;
	}
	return 0;
}

/* ---- events and refused frames ---- */

static void event_row(struct rows *rows, const struct item *item)
{
	rows_int(rows, item->vehicle->id);
	rows_time(rows, item->at);
	rows_text(rows, item->event);
	rows_int(rows, item->serial);
	rows_text(rows, item->detail);
	rows_ns(rows, item->received_ns);
	rows_int(rows, (int64_t)item->position);
}

int loader_events(struct loader *l, size_t from, size_t to)
{
	struct params p = { 0 };

	rows_start(&l->rows, "iTtdtTi");
	for (size_t i = from; i < to; i++)
		if (l->batch.items[i].kind == ITEM_EVENT)
			event_row(&l->rows, &l->batch.items[i]);
	if (l->rows.count == 0)
		return 0;
	param_i16(&p, (int16_t)l->gateway_id);
	rows_params(&l->rows, &p);
	return pg_rows(&l->pg, SQL_EVENT, &p) < 0 ? -1 : 0;
}

static void quarantine_row(struct rows *rows, const struct item *item)
{
	rows_int(rows, (int64_t)item->position);
	rows_text(rows, item->kind == ITEM_REFUSED ? item->reason : "conflict");
	rows_text(rows, item->vin[0] != '\0' ? item->vin : NULL);
	rows_ns(rows, item->received_ns);
	rows_text(rows, item->sqlstate);
	rows_text(rows, item->message);
	rows_bytes(rows, item->raw, item->raw_size);
}

int loader_quarantine(struct loader *l, size_t from, size_t to)
{
	for (size_t i = from; i < to;) {
		struct params p = { 0 };
		size_t bytes = 0;

		rows_start(&l->rows, "ittTtty");
		for (; i < to && bytes < RAW_AT_ONCE; i++) {
			const struct item *item = &l->batch.items[i];

			if (item->kind != ITEM_REFUSED &&
			    !(item->kind == ITEM_REPORT && item->conflict))
				continue;
			quarantine_row(&l->rows, item);
			bytes += item->raw_size;
		}
		if (l->rows.count == 0)
			continue;
		l->tally.quarantined += (size_t)l->rows.count;
		param_i16(&p, (int16_t)l->gateway_id);
		rows_params(&l->rows, &p);
		if (pg_rows(&l->pg, SQL_QUARANTINE, &p) < 0)
			return -1;
	}
	return 0;
}

/* ---- terminals ---- */

void loader_terminals(struct loader *l, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		const struct item *item = &l->batch.items[i];
		struct vehicle *v = item->vehicle;

		if (v == NULL || (item->kind != ITEM_REPORT && item->kind != ITEM_EVENT))
			continue;
		registry_touch(l->registry, v);
		if (item->received_ns > v->last_received_ns)
			v->last_received_ns = item->received_ns;
		if (item->protocol != PROTOCOL_UNKNOWN)
			v->protocol = item->protocol;
		if (item->software_version >= 0)
			v->software_version = item->software_version;
		if (item->iccid[0] != '\0')
			memcpy(v->iccid, item->iccid, sizeof(v->iccid));
		if (item->layout != LAYOUT_UNKNOWN)
			v->layout = item->layout;
		if (item_assessed(item) && item->blocks[item->count - 1].at > v->last_at)
			v->last_at = item->blocks[item->count - 1].at;
	}
}

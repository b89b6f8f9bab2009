#include "gateway/store/batch.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/record/pack.h"
#include "proto/record/record.h"
#include "proto/wire/signature.h"

enum { PEER_SIZE = 18 }; /* address and port */

static void *record_alloc(void *arena, size_t size)
{
	return arena_alloc(arena, size);
}

static void record_free(void *arena, void *p)
{
	(void)arena;
	(void)p;
}

static char *text_copy(struct batch *b, const char *text)
{
	const size_t size = strlen(text) + 1;

	return memcpy(arena_alloc(&b->arena, size), text, size);
}

static void refuse(struct item *item, const char *reason)
{
	item->kind = ITEM_REFUSED;
	item->reason = reason;
}

void item_poison(struct batch *b, struct item *item, const char *sqlstate, const char *message)
{
	refuse(item, "database");
	item->sqlstate = text_copy(b, sqlstate);
	item->message = text_copy(b, message);
}

/* ---- reports ---- */

static bool block_before(const struct block *a, const struct block *b)
{
	return a->at != b->at ? a->at < b->at : a->type < b->type;
}

static bool block_same(const struct block *a, const struct block *b)
{
	return a->size == b->size && memcmp(a->body, b->body, a->size) == 0;
}

/*
 * Copies the report's blocks to the item, sorted; the first of a (second, type) stays.  Insertion:
 * they come nearly sorted, type by type.
 */
static void blocks_take(struct batch *b, struct item *item)
{
	const size_t n = b->report.block_count;
	size_t count = 0;

	item->blocks = arena_alloc(&b->arena, n * sizeof(*item->blocks));
	for (size_t i = 0; i < n; i++) {
		const struct block *block = &b->report.blocks[i];
		size_t place = count;

		while (place > 0 && block_before(block, &item->blocks[place - 1]))
			place--;
		if (place > 0 && !block_before(&item->blocks[place - 1], block)) {
			item->conflict |= !block_same(&item->blocks[place - 1], block);
			continue;
		}
		memmove(&item->blocks[place + 1], &item->blocks[place],
			(count - place) * sizeof(*block));
		item->blocks[place] = *block;
		count++;
	}
	item->count = (uint32_t)count;
	item->fates = arena_alloc(&b->arena, count);
	item->parts = arena_alloc(&b->arena, count);
}

/* Of all blocks: blocks_take() may leave some out. */
static void serials_take(struct batch *b, struct item *item)
{
	const size_t n = b->report.block_count;
	uint32_t count = 0;

	item->serials = arena_alloc(&b->arena, n * sizeof(*item->serials));
	for (size_t i = 0; i < n; i++) {
		const uint16_t serial = b->report.blocks[i].serial;

		if (serial >= SERIAL_MIN && serial <= SERIAL_MAX &&
		    (count == 0 || serial != item->serials[count - 1]))
			item->serials[count++] = serial;
	}
	item->serial_count = count;
}

/* What decoding says of a signature is what can be said without a key; the gateway had one. */
static unsigned signature_quirks(unsigned quirks, unsigned check)
{
	switch (check) {
	case SIGNATURE_VALID:
		return quirks & ~(unsigned)(QUIRK_UNSIGNED | QUIRK_SIGNATURE_UNCHECKED);
	case SIGNATURE_SKIPPED:
		return (quirks & ~(unsigned)QUIRK_SIGNATURE_UNCHECKED) | QUIRK_SIGNATURE_SKIPPED;
	case SIGNATURE_NO_KEY:
	case SIGNATURE_UNDEFINED:
		return quirks | QUIRK_SIGNATURE_UNCHECKED;
	default:
		return quirks;
	}
}

static void report_take(struct batch *b, struct item *item, const struct frame *f,
			const Haulgate__FrameRecord *record, int64_t now)
{
	const enum verdict verdict =
		report_decode(f, record->layout < LAYOUT_COUNT ? record->layout : LAYOUT_UNKNOWN,
			      now, &b->report);

	if (verdict != VERDICT_ACCEPTED) {
		refuse(item, verdict_name(verdict));
		return;
	}
	item->quirks = signature_quirks(
		(record->quirks & ~(unsigned)QUIRK_CLOCK) | b->report.quirks, record->signature);
	item->sender = sender_of(record->credential, (int32_t)record->platform, item->quirks);
	item->supplement = f->command == COMMAND_SUPPLEMENT;
	item->sent_at = b->report.at;
	item->layout = (uint8_t)b->report.layout;
	item->protocol = (uint8_t)b->report.protocol;
	blocks_take(b, item);
	serials_take(b, item);
	if (item->count > 0)
		item->kind = ITEM_REPORT;
}

/* ---- events ---- */

static void event_take(struct item *item, const char *kind, int64_t at, int32_t serial)
{
	item->kind = ITEM_EVENT;
	item->event = kind;
	item->at = at;
	item->serial = serial;
}

/* Only what can stand in a JSON string without escapes; foreign bytes become '?'. */
static void plain_text(char *out, size_t size, const char *text)
{
	size_t i;

	for (i = 0; i + 1 < size && text[i] != '\0'; i++)
		out[i] = isprint((unsigned char)text[i]) && text[i] != '"' && text[i] != '\\'
				 ? text[i]
				 : '?';
	out[i] = '\0';
}

static enum verdict login_take(struct item *item, const struct frame *f, int64_t now)
{
	struct login login;
	const enum verdict verdict = login_decode(f, now, &login);

	if (verdict == VERDICT_ACCEPTED) {
		event_take(item, "login", login.at, login.serial);
		plain_text(item->iccid, sizeof(item->iccid), login.iccid);
	}
	return verdict;
}

static enum verdict logout_take(struct item *item, const struct frame *f, int64_t now)
{
	struct logout logout;
	const enum verdict verdict = logout_decode(f, now, &logout);

	if (verdict == VERDICT_ACCEPTED)
		event_take(item, "logout", logout.at, logout.serial);
	return verdict;
}

static enum verdict tamper_alarm_take(struct batch *b, struct item *item, const struct frame *f,
				      int64_t now)
{
	struct tamper_alarm alarm;
	const enum verdict verdict = tamper_alarm_decode(f, now, &alarm);
	char detail[80];

	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	event_take(item, "tamper_alarm", alarm.at, alarm.serial);
	if (alarm.position_valid) {
		snprintf(detail, sizeof(detail), "{\"lon\":%.6f,\"lat\":%.6f}", alarm.lon,
			 alarm.lat);
		item->detail = text_copy(b, detail);
	}
	return verdict;
}

void item_outcome(struct batch *b, struct item *item, const char *outcome)
{
	char chip[sizeof(item->offer->chip_id)], text[40], detail[120];

	plain_text(chip, sizeof(chip), item->offer->chip_id);
	plain_text(text, sizeof(text), outcome);
	snprintf(detail, sizeof(detail), "{\"chip_id\":\"%s\",\"outcome\":\"%s\"}", chip, text);
	item->detail = text_copy(b, detail);
}

static enum verdict activation_take(struct batch *b, struct item *item, const struct frame *f,
				    const Haulgate__FrameRecord *record, int64_t now)
{
	struct activation activation;
	const enum verdict verdict = activation_decode(f, now, &activation);
	struct key_offer *offer;
	uint8_t *key;
	size_t size;

	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (strcmp(activation.vin, f->vin) != 0)
		return VERDICT_VIN_MISMATCH;
	event_take(item, "activation", activation.at, 0);
	item->offer = offer = arena_alloc(&b->arena, sizeof(*offer));
	/* One key is one row, in whatever form it came. */
	key = arena_alloc(&b->arena, PUBLIC_KEY_MAX);
	size = public_key_encode(activation.signature.algorithm, activation.public_key,
				 activation.public_key_size, key);
	*offer = (struct key_offer){
		.proved = record->signature == SIGNATURE_VALID && size > 0,
		.public_key = key,
		.public_key_size = size,
		.algorithm = algorithm_text(activation.signature.algorithm),
		.state = (record->quirks & QUIRK_ACTIVATION_PENDING) != 0 ? "pending" : "active",
	};
	memcpy(offer->chip_id, activation.chip_id, sizeof(offer->chip_id));
	item_outcome(b, item, "unverified");
	return verdict;
}

static void accepted_take(struct batch *b, struct item *item, const struct frame *f,
			  const Haulgate__FrameRecord *record)
{
	const int64_t now = item->received_ns / 1000000000;
	enum verdict verdict = VERDICT_ACCEPTED;

	switch (frame_meaning(f)) {
	case MEANING_REPORT:
		report_take(b, item, f, record, now);
		break;
	case MEANING_LOGIN:
		verdict = login_take(item, f, now);
		break;
	case MEANING_LOGOUT:
		verdict = logout_take(item, f, now);
		break;
	case MEANING_TAMPER_ALARM:
		verdict = tamper_alarm_take(b, item, f, now);
		break;
	case MEANING_ACTIVATION:
		verdict = activation_take(b, item, f, record, now);
		break;
	default:
		break; /* leaves no trace in the database; the spool has it */
	}
	if (verdict != VERDICT_ACCEPTED)
		refuse(item, verdict_name(verdict));
}

/* ---- records ---- */

static struct item *item_new(struct batch *b, const struct spool_record *record)
{
	struct item *item;

	if (b->count == b->max) {
		b->max = b->max == 0 ? 1024 : 2 * b->max;
		b->items = memory_grow(b->items, b->max * sizeof(*b->items));
	}
	item = &b->items[b->count++];
	*item = (struct item){ .position = record->position,
			       .next = record->next,
			       .software_version = -1 };
	return item;
}

static bool vin_storable(const char *vin)
{
	size_t n = 0;

	while (isalnum((unsigned char)vin[n]))
		n++;
	return vin[n] == '\0' && n > 0;
}

void batch_add(struct batch *b, const struct spool_record *record)
{
	ProtobufCAllocator allocator = { record_alloc, record_free, &b->arena };
	struct item *item = item_new(b, record);
	const Haulgate__FrameRecord *r =
		haulgate__frame_record__unpack(&allocator, record->size, record->payload);
	struct frame f = { 0 };
	enum scan scan;

	if (r == NULL) {
		uint8_t *copy = arena_alloc(&b->arena, record->size);

		item->raw = memcpy(copy, record->payload, record->size);
		item->raw_size = record->size;
		refuse(item, "bad_record");
		return;
	}
	item->received_ns = (int64_t)r->received_at_ns;
	item->raw = r->raw.data != NULL ? r->raw.data : (const uint8_t *)"";
	item->raw_size = r->raw.len;
	item->sender = sender_of(r->credential, (int32_t)r->platform, 0);
	if (r->peer.len == PEER_SIZE)
		item->peer = r->peer.data;
	scan = record_frame(r, &f);
	plain_text(item->vin, sizeof(item->vin), f.vin);
	if (r->verdict != VERDICT_ACCEPTED) {
		refuse(item, verdict_name(r->verdict));
	} else if (scan != SCAN_FRAME) {
		refuse(item, "bad_record");
	} else if (!vin_storable(item->vin)) {
		refuse(item, verdict_name(VERDICT_VIN_MALFORMED));
	} else {
		item->protocol = (uint8_t)(r->protocol < PROTOCOL_COUNT ? r->protocol : 0);
		if (f.header == HEADER_V)
			item->software_version = f.software_version;
		accepted_take(b, item, &f, r);
	}
}

bool batch_full(const struct batch *b, size_t frames)
{
	return b->count >= frames || b->count >= BATCH_ITEMS_MAX ||
	       b->arena.used >= BATCH_BYTES_MAX;
}

void batch_clear(struct batch *b)
{
	b->count = 0;
	arena_clear(&b->arena);
}

void batch_release(struct batch *b)
{
	free(b->items);
	arena_release(&b->arena);
	*b = (struct batch){ 0 };
}

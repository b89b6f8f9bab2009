#include <assert.h>

#include "proto/wire/text.h"
#include "proto/wire/unit.h"

static void put_fields(struct text *t, const struct block *b)
{
	for (size_t i = 0; i < b->info->field_count; i++) {
		size_t room;
		char *at;

		text_format(t, ",\"%s\":", b->info->fields[i].name);
		at = text_room(t, &room);
		t->used += field_json(&b->info->fields[i], b->body, at, room);
	}
}

static void put_tail(struct text *t, const struct block *b)
{
	size_t room;
	char *at = text_room(t, &room);

	if (b->info->json_tail != NULL) {
		t->used += b->info->json_tail(b->body, b->size, at, room);
	} else if (b->size > b->info->fixed_size) {
		text_put(t, ",\"rest\":\"");
		text_hex(t, b->body + b->info->fixed_size, b->size - b->info->fixed_size);
		text_put(t, "\"");
	}
}

size_t block_json(const struct block *b, char *out, size_t size)
{
	struct text t;

	text_start(&t, out, size);
	text_format(&t, "{\"type\":%u,\"name\":\"%s\",\"serial\":%u,\"at\":", b->type,
		    b->info != NULL ? b->info->name : "unknown", b->serial);
	text_json_time(&t, b->at);
	if (b->info != NULL) {
		put_fields(&t, b);
		put_tail(&t, b);
	} else {
		text_put(&t, ",\"body\":\"");
		text_hex(&t, b->body, b->size);
		text_put(&t, "\"");
	}
	text_put(&t, "}");
	return t.used;
}

static void put_quirks(struct text *t, unsigned quirks)
{
	const char *comma = "";

	text_put(t, ",\"quirks\":[");
	for (unsigned bit = 0; bit < 32; bit++) {
		if ((quirks >> bit & 1) == 0)
			continue;
		text_format(t, "%s\"%s\"", comma, quirk_name(bit));
		comma = ",";
	}
	text_put(t, "]");
}

static void put_signature(struct text *t, const struct unit_signature *s)
{
	const bool is_signed = s->algorithm != ALGORITHM_NONE;

	text_format(t, ",\"signed\":%s", is_signed ? "true" : "false");
	if (is_signed)
		text_format(t, ",\"signature\":\"%s\"", algorithm_text(s->algorithm));
}

static void put_report(struct text *t, const struct frame *f, enum layout known, int64_t now)
{
	struct report report;
	const enum verdict verdict = report_decode(f, known, now, &report);

	text_format(t, ",\"verdict\":\"%s\"", verdict_name(verdict));
	if (verdict != VERDICT_ACCEPTED)
		return;
	text_format(t, ",\"layout\":\"%s\",\"at\":", layout_name(report.layout));
	text_json_time(t, report.at);
	text_format(t, ",\"serial\":%u", report.serial);
	put_signature(t, &report.signature);
	put_quirks(t, report.quirks);
	text_put(t, ",\"blocks\":[");
	for (size_t i = 0; i < report.block_count; i++) {
		size_t room;
		char *at;

		if (i > 0)
			text_put(t, ",");
		at = text_room(t, &room);
		t->used += block_json(&report.blocks[i], at, room);
	}
	text_put(t, "]");
}

static void put_start(struct text *t, enum verdict verdict, int64_t at, uint16_t serial)
{
	text_format(t, ",\"verdict\":\"%s\"", verdict_name(verdict));
	if (verdict != VERDICT_ACCEPTED)
		return;
	text_put(t, ",\"at\":");
	text_json_time(t, at);
	text_format(t, ",\"serial\":%u", serial);
}

static void put_login(struct text *t, const struct frame *f, int64_t now)
{
	struct login login = { 0 };
	const enum verdict verdict = login_decode(f, now, &login);

	put_start(t, verdict, login.at, login.serial);
	if (verdict == VERDICT_ACCEPTED) {
		text_put(t, ",\"iccid\":");
		text_json_string(t, login.iccid);
	}
}

static void put_alarm(struct text *t, const struct frame *f, int64_t now)
{
	struct tamper_alarm alarm = { 0 };
	const enum verdict verdict = tamper_alarm_decode(f, now, &alarm);

	put_start(t, verdict, alarm.at, alarm.serial);
	if (verdict == VERDICT_ACCEPTED && alarm.position_valid)
		text_format(t, ",\"lon\":%.6f,\"lat\":%.6f", alarm.lon, alarm.lat);
}

static void put_activation(struct text *t, const struct frame *f, int64_t now)
{
	struct activation a = { 0 };
	const enum verdict verdict = activation_decode(f, now, &a);

	put_start(t, verdict, a.at, 0);
	if (verdict == VERDICT_ACCEPTED) {
		text_put(t, ",\"chip_id\":");
		text_json_string(t, a.chip_id);
		text_put(t, ",\"activated_vin\":");
		text_json_string(t, a.vin);
		put_signature(t, &a.signature);
	}
}

/* The password stays where it is. */
static void put_platform_login(struct text *t, const struct frame *f, int64_t now)
{
	struct platform_login login = { 0 };
	const enum verdict verdict = platform_login_decode(f, now, &login);

	put_start(t, verdict, login.at, login.serial);
	if (verdict == VERDICT_ACCEPTED) {
		text_put(t, ",\"user\":");
		text_json_string(t, login.user);
	}
}

static void put_unit(struct text *t, const struct frame *f, enum layout known, int64_t now)
{
	struct logout logout = { 0 };
	enum verdict verdict;

	if (f->answer != ANSWER_COMMAND || f->unit == NULL)
		return;
	switch (frame_meaning(f)) {
	case MEANING_REPORT:
		put_report(t, f, known, now);
		break;
	case MEANING_LOGIN:
		put_login(t, f, now);
		break;
	case MEANING_LOGOUT:
	case MEANING_PLATFORM_LOGOUT: /* the same eight bytes */
		verdict = logout_decode(f, now, &logout);
		put_start(t, verdict, logout.at, logout.serial);
		break;
	case MEANING_TAMPER_ALARM:
		put_alarm(t, f, now);
		break;
	case MEANING_ACTIVATION:
		put_activation(t, f, now);
		break;
	case MEANING_PLATFORM_LOGIN:
		put_platform_login(t, f, now);
		break;
	default:
		break;
	}
}

/* The meaning where the length decides it, else the name in the list of commands. */
static const char *frame_command_name(const struct frame *f)
{
	const enum meaning meaning = frame_meaning(f);

	return meaning == MEANING_UNKNOWN || meaning == MEANING_REPORT
		       ? command_name(f->protocol, f->header, f->command)
		       : meaning_name(meaning);
}

size_t frame_json(const struct frame *f, enum layout known, int64_t now, char *out, size_t size)
{
	struct text t;

	text_start(&t, out, size);
	text_format(&t, "{\"start\":\"%c%c\",\"header\":\"%c\",\"protocol\":\"%s\"", f->start,
		    f->start, f->header == HEADER_V ? 'V' : 'P', protocol_name(f->protocol));
	text_format(&t, ",\"command\":%u,\"command_name\":\"%s\"", f->command,
		    frame_command_name(f));
	if (f->header == HEADER_P)
		text_format(&t, ",\"answer\":%u", f->answer);
	else
		text_format(&t, ",\"software_version\":%u", f->software_version);
	text_put(&t, ",\"vin\":");
	text_json_string(&t, f->vin);
	text_format(&t, ",\"encryption\":%u,\"unit_size\":%zu", f->encryption, f->unit_size);
	put_unit(&t, f, known, now);
	text_put(&t, "}");
	return t.used;
}

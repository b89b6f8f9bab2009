/* What a terminal answered, as JSON. */
#include "proto/wire/downlink.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/text.h"

static void put_hex_string(struct text *t, const uint8_t *bytes, size_t n)
{
	text_put(t, "\"");
	text_hex(t, bytes, n);
	text_put(t, "\"");
}

/* Without its padding; what is not printable is shown as its bytes. */
static void put_string(struct text *t, const uint8_t *bytes, size_t n)
{
	char string[256];

	while (n > 0 && (bytes[n - 1] == '\0' || bytes[n - 1] == ' '))
		n--;
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] < 0x20 || bytes[i] > 0x7E) {
			text_put(t, "\"0x");
			text_hex(t, bytes, n);
			text_put(t, "\"");
			return;
		}
	}
	assert(n < sizeof(string));
	if (n > 0)
		memcpy(string, bytes, n);
	string[n] = '\0';
	text_json_string(t, string);
}

/* All ones: invalid; one less: abnormal.  Neither is a value. */
static void put_number_read(struct text *t, const struct downlink_field *f, enum downlink_edition e,
			    const uint8_t *p)
{
	const size_t size = f->edition[e].size;
	const uint32_t raw = size == 1 ? p[0] : get_u16(p);
	const uint32_t absent = size == 1 ? 0xFE : 0xFFFE;

	if (raw >= absent)
		text_put(t, "null");
	else if (f->type == DOWNLINK_YES_NO && (raw == 1 || raw == 2))
		text_put(t, raw == 1 ? "true" : "false");
	else
		text_format(t, "%u", (unsigned)(raw * f->edition[e].scale));
}

static const struct downlink_field *parameter_by_id(uint8_t id, bool *ret_is_size)
{
	for (const struct downlink_field *f = downlink_parameters; f->name != NULL; f++) {
		*ret_is_size = f->size_id == id;
		if (f->id == id || f->size_id == id)
			return f;
	}
	return NULL;
}

/* What an answer has told so far. */
struct told {
	uint32_t seen;	   /* bit n: parameter n */
	int text_size[32]; /* by the id of the text; -1: not told */
	bool first;
};

/* One { id, value }.  False: it is not understood, and r stands where it was. */
static bool put_parameter(struct text *t, struct reader *r, enum downlink_edition e, struct told *k)
{
	struct reader at = *r;
	bool is_size;
	const uint8_t id = reader_u8(&at);
	const struct downlink_field *f = parameter_by_id(id, &is_size);
	const uint8_t *p;
	size_t size;

	if (id == 0 || f == NULL || (k->seen >> id & 1) != 0)
		return false;
	size = is_size ? 1 : f->size_id != 0 ? (size_t)k->text_size[id] : f->edition[e].size;
	if ((!is_size && f->size_id != 0 && k->text_size[id] < 0) ||
	    (p = reader_bytes(&at, size)) == NULL)
		return false;
	*r = at;
	k->seen |= UINT32_C(1) << id;
	if (is_size) {
		k->text_size[f->id] = p[0];
		return true;
	}
	text_format(t, "%s\"%s\":", k->first ? "" : ",", f->name);
	k->first = false;
	if (f->type == DOWNLINK_ASCII)
		put_string(t, p, size);
	else
		put_number_read(t, f, e, p);
	return true;
}

static void put_query_answer(struct text *t, struct reader *r, enum downlink_edition e)
{
	struct told told = { .first = true };
	const uint8_t count = reader_u8(r);
	unsigned left = count;

	if (r->failed) {
		r->failed = false;
		return;
	}
	for (size_t i = 0; i < sizeof(told.text_size) / sizeof(told.text_size[0]); i++)
		told.text_size[i] = -1;
	text_format(t, ",\"count\":%u,\"parameters\":{", count);
	while (left > 0 && put_parameter(t, r, e, &told))
		left--;
	text_put(t, "}");
	if (left > 0)
		text_format(t, ",\"missing\":%u", left);
}

size_t downlink_answer_json(enum downlink_kind kind, uint8_t flag, enum downlink_edition edition,
			    const uint8_t *unit, size_t unit_size, char *out, size_t size)
{
	struct reader r = { .p = unit, .left = unit_size };
	struct text t;
	const uint8_t *time = reader_bytes(&r, WIRE_TIME_SIZE);

	assert(edition < DOWNLINK_EDITIONS);
	text_start(&t, out, size);
	text_format(&t, "{\"flag\":%u", flag);
	if (time != NULL) {
		text_put(&t, ",\"at\":");
		text_json_time(&t, wire_time_decode(time));
		if (kind == DOWNLINK_QUERY && flag == ANSWER_SUCCESS)
			put_query_answer(&t, &r, edition);
	}
	if (r.left > 0) {
		text_put(&t, ",\"rest\":");
		put_hex_string(&t, r.p, r.left);
	}
	text_put(&t, "}");
	return t.used;
}

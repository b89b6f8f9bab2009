#include "gateway/query/samples.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/query/instant.h"

enum {
	TABLES_MAX = 32,
	COLUMNS_MAX = 160,
	SOURCES_MAX = 8,
	BODY_MAX = 64,
	KEY_SIZE = 48,
	DAY_S = 86400,
	BEIJING_S = 8 * 3600,
	/* A frame spans at most 3600 s (track.span_s) and a second holds few types. */
	PENDING_MAX = 16 * 4096,
};

enum column_kind { COLUMN_FIELD, COLUMN_LON, COLUMN_LAT };

/* A name in the answer, and the tables that can fill it, best first. */
struct column {
	const char *name;
	enum column_kind kind;
	bool always;	    /* in every row of JSON: a field of the stream */
	bool csv;	    /* in the CSV heading: a field of the emission types */
	uint32_t tables;    /* bit set of the sources' tables */
	char key[KEY_SIZE]; /* ,"name": */
	size_t key_size;
	size_t source_count;
	struct {
		unsigned table;
		const struct field *field;
	} sources[SOURCES_MAX];
};

/* The fixed part of one block.  Entries are sorted by (at, table) without repeats. */
struct entry {
	int64_t at;
	unsigned table;
	uint8_t body[BODY_MAX];
};

struct samples {
	enum samples_format format;
	int64_t from, to;
	int64_t done; /* every second below it has been written */
	bool any;
	size_t table_count, column_count;
	const struct info *tables[TABLES_MAX];
	struct column columns[COLUMNS_MAX];
	struct entry *pending;
	size_t pending_count, pending_size;
	int64_t day; /* Beijing day of which at_text holds a moment */
	char at_text[INSTANT_TEXT_SIZE];
};

static_assert(TABLES_MAX <= 32, "a set of tables is 32 bits");

static struct column *column_of(struct samples *s, const char *name)
{
	struct column *c;

	for (size_t i = 0; i < s->column_count; i++)
		if (strcmp(s->columns[i].name, name) == 0)
			return &s->columns[i];
	assert(s->column_count < COLUMNS_MAX);
	c = &s->columns[s->column_count++];
	*c = (struct column){ .name = name };
	c->key_size = (size_t)snprintf(c->key, sizeof(c->key), ",\"%s\":", name);
	assert(c->key_size < sizeof(c->key));
	return c;
}

/* The sign of a position stands in the status bits, so those are folded into lon and lat. */
static void add_field(struct samples *s, unsigned table, const struct field *f)
{
	const struct info *info = s->tables[table];
	struct column *c;

	if ((f->kind != FIELD_NUMBER && f->kind != FIELD_CODE && f->kind != FIELD_BITS) ||
	    strcmp(f->name, "position_status") == 0)
		return;
	c = column_of(s, f->name);
	if (strcmp(f->name, "lon") == 0)
		c->kind = COLUMN_LON;
	if (strcmp(f->name, "lat") == 0)
		c->kind = COLUMN_LAT;
	c->always |= info == &info_stream;
	c->csv |= info->family == INFO_EMISSION;
	c->tables |= UINT32_C(1) << table;
	assert(c->source_count < SOURCES_MAX);
	c->sources[c->source_count].table = table;
	c->sources[c->source_count++].field = f;
}

/*
 * The order says whose value wins where two types of one second have the field: the stream, then
 * TWC with NOx, as in the assessment (docs/rules.md).  OBD information is no sample.
 */
static void build_columns(struct samples *s)
{
	s->tables[s->table_count++] = &info_stream;
	s->tables[s->table_count++] = &info_twc_nox;
	for (size_t i = 0; info_all[i] != NULL; i++) {
		if (info_all[i] == &info_stream || info_all[i] == &info_twc_nox ||
		    info_all[i] == &info_obd || info_all[i]->fixed_size > BODY_MAX)
			continue;
		assert(s->table_count < TABLES_MAX);
		s->tables[s->table_count++] = info_all[i];
	}
	for (unsigned t = 0; t < s->table_count; t++)
		for (size_t i = 0; i < s->tables[t]->field_count; i++)
			add_field(s, t, &s->tables[t]->fields[i]);
}

struct samples *samples_new(enum samples_format format, int64_t from, int64_t to)
{
	struct samples *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->format = format;
	s->from = s->done = from;
	s->to = to;
	s->day = INT64_MIN;
	build_columns(s);
	return s;
}

void samples_free(struct samples *s)
{
	if (s == NULL)
		return;
	free(s->pending);
	free(s);
}

void samples_begin(struct samples *s, const char *vin, struct output *out)
{
	char from[INSTANT_TEXT_SIZE], to[INSTANT_TEXT_SIZE];

	if (s->format == SAMPLES_JSON) {
		instant_format(s->from, from);
		instant_format(s->to, to);
		output_text(out, "{\"vin\":");
		output_json(out, vin);
		if (s->to == 0)
			output_text(out, ",\"from\":null,\"to\":null,\"samples\":[");
		else
			output_format(out, ",\"from\":\"%s\",\"to\":\"%s\",\"samples\":[", from,
				      to);
		return;
	}
	output_text(out, "at");
	for (size_t i = 0; i < s->column_count; i++)
		if (s->columns[i].csv)
			output_format(out, ",%s", s->columns[i].name);
	output_text(out, "\n");
}

/* The bodies of one second by table, and the set of those that are there. */
struct second {
	int64_t at;
	uint32_t tables;
	const uint8_t *bodies[TABLES_MAX];
};

/* A day of a truck has 86,400 of these: only the clock is written anew, not the date. */
static const char *at_text(struct samples *s, int64_t at)
{
	int64_t wall = at + BEIJING_S;
	const int second = (int)(wall % DAY_S);
	const int parts[3] = { second / 3600, second / 60 % 60, second % 60 };

	assert(wall >= 0);
	if (wall / DAY_S != s->day) {
		instant_format(at, s->at_text);
		s->day = wall / DAY_S;
	}
	for (int i = 0; i < 3; i++) {
		s->at_text[11 + 3 * i] = (char)('0' + parts[i] / 10);
		s->at_text[12 + 3 * i] = (char)('0' + parts[i] % 10);
	}
	return s->at_text;
}

/* Six decimals, which is the step of the wire. */
static void put_degrees(struct output *out, double degrees)
{
	int64_t micro = llround(fabs(degrees) * 1e6);
	char text[24], *p = text + sizeof(text);

	assert(micro < INT64_C(1000000000));
	for (int i = 0; i < 6; i++, micro /= 10)
		*--p = (char)('0' + micro % 10);
	*--p = '.';
	do
		*--p = (char)('0' + micro % 10);
	while ((micro /= 10) > 0);
	if (degrees < 0)
		*--p = '-';
	output_bytes(out, p, (size_t)(text + sizeof(text) - p));
}

/* The first valid value among the tables that have the field; false when there is none. */
static bool put_value(const struct samples *s, const struct column *c, const struct second *now,
		      struct output *out)
{
	double lon, lat, value;
	char *room;

	if ((c->tables & now->tables) == 0)
		return false;
	for (size_t i = 0; i < c->source_count; i++) {
		const struct field *field = c->sources[i].field;
		const uint8_t *body = now->bodies[c->sources[i].table];

		if (body == NULL)
			continue;
		if (c->kind == COLUMN_FIELD) {
			if (!field_value(field, body, &value) ||
			    (room = output_room(out, 32)) == NULL)
				continue;
			out->used += field_json(field, body, room, 32);
			return true;
		}
		if (info_position(s->tables[c->sources[i].table], body, &lon, &lat)) {
			put_degrees(out, c->kind == COLUMN_LON ? lon : lat);
			return true;
		}
	}
	return false;
}

static void put_json(struct samples *s, const struct second *now, struct output *out)
{
	output_text(out, s->any ? ",\n{\"at\":\"" : "\n{\"at\":\"");
	output_text(out, at_text(s, now->at));
	output_text(out, "\"");
	for (size_t i = 0; i < s->column_count; i++) {
		const struct column *c = &s->columns[i];

		if (!c->always && (c->tables & now->tables) == 0)
			continue;
		output_bytes(out, c->key, c->key_size);
		if (!put_value(s, c, now, out))
			output_text(out, "null");
	}
	output_text(out, "}");
}

static void put_csv(struct samples *s, const struct second *now, struct output *out)
{
	output_text(out, at_text(s, now->at));
	for (size_t i = 0; i < s->column_count; i++) {
		if (!s->columns[i].csv)
			continue;
		output_bytes(out, ",", 1);
		put_value(s, &s->columns[i], now, out);
	}
	output_text(out, "\n");
}

static void put_body(struct second *now, const struct entry *e)
{
	now->bodies[e->table] = e->body;
	now->tables |= UINT32_C(1) << e->table;
}

/* Writes the pending seconds below end. */
static void flush(struct samples *s, int64_t end, struct output *out)
{
	size_t n = 0;

	while (n < s->pending_count && s->pending[n].at < end) {
		struct second now = { .at = s->pending[n].at };

		for (; n < s->pending_count && s->pending[n].at == now.at; n++)
			put_body(&now, &s->pending[n]);
		if (s->format == SAMPLES_JSON)
			put_json(s, &now, out);
		else
			put_csv(s, &now, out);
		s->any = true;
		s->done = now.at + 1;
	}
	if (n > 0)
		memmove(s->pending, s->pending + n, (s->pending_count - n) * sizeof(*s->pending));
	s->pending_count -= n;
	if (s->done < end)
		s->done = end;
}

static int pending_grow(struct samples *s)
{
	size_t size = s->pending_size != 0 ? s->pending_size * 2 : 64;
	struct entry *pending;

	if (s->pending_count < s->pending_size)
		return 0;
	if (size > PENDING_MAX || (pending = realloc(s->pending, size * sizeof(*pending))) == NULL)
		return -1;
	s->pending = pending;
	s->pending_size = size;
	return 0;
}

/* Keeps the order; the same type twice in one second is ignored, as everywhere in haulgate. */
static int insert(struct samples *s, unsigned table, const struct block *b)
{
	size_t i = s->pending_count;
	struct entry *e;

	if (pending_grow(s) != 0)
		return -1;
	while (i > 0 && (s->pending[i - 1].at > b->at ||
			 (s->pending[i - 1].at == b->at && s->pending[i - 1].table > table)))
		i--;
	if (i > 0 && s->pending[i - 1].at == b->at && s->pending[i - 1].table == table)
		return 0;
	e = &s->pending[i];
	memmove(e + 1, e, (s->pending_count - i) * sizeof(*e));
	e->at = b->at;
	e->table = table;
	memcpy(e->body, b->body, s->tables[table]->fixed_size);
	s->pending_count++;
	return 0;
}

int samples_add(struct samples *s, int64_t at, const uint8_t *packed, size_t size,
		struct unpacked *scratch, struct output *out)
{
	if (blocks_unpack(packed, size, at, scratch) != 0)
		return -1;
	flush(s, at < s->to ? at : s->to, out);
	for (size_t i = 0; i < scratch->block_count; i++) {
		const struct block *b = &scratch->blocks[i];

		if (b->at < s->done || b->at >= s->to)
			continue;
		for (unsigned t = 0; t < s->table_count; t++)
			if (s->tables[t] == b->info && b->size >= b->info->fixed_size &&
			    insert(s, t, b) != 0)
				return -1;
	}
	return out->failed ? -1 : 0;
}

void samples_end(struct samples *s, struct output *out)
{
	flush(s, s->to, out);
	if (s->format == SAMPLES_JSON)
		output_text(out, s->any ? "\n]}\n" : "]}\n");
}

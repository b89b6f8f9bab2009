#include "tools/cli/fleetsim/parcel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_HEAD = 6 };

struct parcel *parcel_new(uint16_t serial)
{
	struct parcel *p = calloc(1, sizeof(*p) + PARCEL_SIZE_MAX);

	if (p != NULL)
		p->serial = serial;
	return p;
}

void parcel_free(struct parcel *p)
{
	free(p);
}

static void add_sample(struct parcel *p, const struct sample *s)
{
	const int32_t offset = (int32_t)(s->at - p->first);
	uint8_t *entry = p->bytes + p->size;

	assert(p->size + ENTRY_HEAD + (size_t)s->size <= PARCEL_SIZE_MAX);
	entry[0] = s->type;
	entry[1] = s->size;
	memcpy(entry + 2, &offset, sizeof(offset));
	memcpy(entry + ENTRY_HEAD, s->body, s->size);
	p->size = (uint16_t)(p->size + ENTRY_HEAD + s->size);
	p->mixed = p->mixed || s->type != INFO_STREAM;
}

/* Reads the entry at *at and moves on; false at the end. */
static bool next_sample(const struct parcel *p, size_t *at, struct sample *ret)
{
	const uint8_t *entry = p->bytes + *at;
	int32_t offset;

	if (*at >= p->size)
		return false;
	memcpy(&offset, entry + 2, sizeof(offset));
	ret->type = entry[0];
	ret->size = entry[1];
	ret->at = p->first + offset;
	memcpy(ret->body, entry + ENTRY_HEAD, ret->size);
	*at += ENTRY_HEAD + (size_t)ret->size;
	return true;
}

void parcel_add(struct parcel *p, const struct moment *m)
{
	assert(m->count > 0 && p->seconds < PARCEL_SECONDS_MAX);
	if (p->seconds == 0)
		p->first = m->samples[0].at;
	for (unsigned i = 0; i < m->count; i++)
		add_sample(p, &m->samples[i]);
	p->last = m->samples[m->count - 1].at;
	p->seconds++;
}

struct parcel *parcel_trim(struct parcel *p)
{
	struct parcel *smaller = realloc(p, sizeof(*p) + p->size);

	return smaller != NULL ? smaller : p;
}

bool parcel_can_merge(const struct parcel *a, const struct parcel *b, enum layout layout)
{
	if (a->seconds + b->seconds > PARCEL_SECONDS_MAX || a->size + b->size > PARCEL_SIZE_MAX)
		return false;
	if (b->first - a->first > 86400 || b->first <= a->last)
		return false;
	/* Without a time of its own a block has the time of its place: no gaps, and nothing but the
	 * stream behind. */
	return layout == LAYOUT_C || (b->first == a->last + 1 && !b->mixed);
}

struct parcel *parcel_merge(const struct parcel *a, const struct parcel *b)
{
	struct parcel *p = parcel_new(a->serial);
	struct sample s;

	if (p == NULL)
		return NULL;
	p->first = a->first;
	for (size_t at = 0; next_sample(a, &at, &s);)
		add_sample(p, &s);
	for (size_t at = 0; next_sample(b, &at, &s);)
		add_sample(p, &s);
	p->last = b->last;
	p->seconds = (uint8_t)(a->seconds + b->seconds);
	return parcel_trim(p);
}

struct parcel *parcel_split(struct parcel *p)
{
	struct parcel *second = parcel_new(p->serial);
	const int64_t cut = p->first + p->seconds / 2;
	size_t at = 0, kept = 0;
	struct sample s;

	assert(p->seconds >= 2 && p->last - p->first == p->seconds - 1);
	if (second == NULL)
		return NULL;
	second->first = cut;
	second->last = p->last;
	second->seconds = (uint8_t)(p->seconds - p->seconds / 2);
	while (next_sample(p, &at, &s)) {
		if (s.at < cut)
			kept = at; /* samples stand in order of time */
		else
			add_sample(second, &s);
	}
	p->size = (uint16_t)kept;
	p->seconds = (uint8_t)(p->seconds / 2);
	p->last = cut - 1;
	return parcel_trim(second);
}

static size_t write_frame(const struct truck_plan *truck, uint8_t command, uint8_t encryption,
			  size_t unit_size, uint8_t *buf, size_t size)
{
	const struct dialect *d = truck->dialect;
	struct frame f = {
		.start = d->start,
		.header = d->header,
		.protocol = d->protocol,
		.command = command,
		.answer = ANSWER_COMMAND,
		.software_version = d->version,
		.encryption = encryption,
		.unit = buf + FRAME_HEAD_SIZE,
		.unit_size = unit_size,
	};

	memcpy(f.vin, truck->vin, sizeof(f.vin));
	const size_t n = frame_encode(&f, buf, size);
	assert(n > 0);
	return n;
}

size_t truck_frame(const struct truck_plan *truck, uint8_t command, size_t unit_size, uint8_t *buf,
		   size_t size)
{
	return write_frame(truck, command, 1, unit_size, buf, size);
}

int64_t parcel_time(const struct parcel *p, const struct dialect *dialect, uint8_t command,
		    int64_t now)
{
	if (dialect->layout == LAYOUT_EV)
		return p->first; /* the only time that it has */
	return command == COMMAND_REALTIME || dialect->header == HEADER_P ? p->last + 1 : now;
}

size_t parcel_frame(const struct parcel *p, const struct truck_plan *truck,
		    const struct trust *trust, uint8_t command, int64_t sent_at, uint8_t *buf,
		    size_t size)
{
	const enum layout layout = truck->dialect->layout;
	struct unit_writer w;
	struct sample s;

	assert(size > FRAME_HEAD_SIZE);
	unit_start(&w, layout, layout == LAYOUT_C ? sent_at : p->first, p->serial,
		   buf + FRAME_HEAD_SIZE, size - FRAME_HEAD_SIZE - 1);
	for (size_t at = 0; next_sample(p, &at, &s);)
		unit_block(&w, s.type, s.at, p->serial, s.body, s.size);
	const uint8_t encryption = trust_protect(trust, truck->dialect->protocol, &w);
	assert(!w.failed);
	return write_frame(truck, command, encryption, w.size, buf, size);
}

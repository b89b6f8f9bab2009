#include "tools/cli/fleetsim/obey.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { IDS = 0x11, VALUE_MAX = DOWNLINK_TEXT_MAX, CONTROL_POWER_OFF = 2, CONTROL_DISCONNECT = 5 };

struct obedience {
	uint8_t size[IDS];
	uint8_t bytes[IDS][VALUE_MAX];
};

static const struct downlink_field *find(uint8_t id)
{
	for (const struct downlink_field *f = downlink_parameters; f->name != NULL; f++)
		if (f->id == id)
			return f;
	return NULL;
}

/* Of the parameter that says the size of a text; NULL: id is not one of those. */
static const struct downlink_field *find_sized(uint8_t id)
{
	for (const struct downlink_field *f = downlink_parameters; f->name != NULL; f++)
		if (f->size_id != 0 && f->size_id == id)
			return f;
	return NULL;
}

static void put(struct obedience *o, uint8_t id, const uint8_t *bytes, size_t size)
{
	assert(id < IDS && size <= VALUE_MAX);
	memcpy(o->bytes[id], bytes, size);
	o->size[id] = (uint8_t)size;
}

/* As it left the factory. */
static struct obedience *make(void)
{
	static const char domain[] = "platform.example", version[] = "SIM01";
	struct obedience *o = calloc(1, sizeof(*o));

	for (const struct downlink_field *f = downlink_parameters; o != NULL && f->name != NULL;
	     f++) {
		const uint32_t raw =
			f->edition[DOWNLINK_2016].min > 0 ? f->edition[DOWNLINK_2016].min : 1;
		const uint8_t number[2] = { (uint8_t)(raw >> 8), (uint8_t)raw };
		const size_t size = f->edition[DOWNLINK_2016].size;
		if (f->size_id != 0)
			put(o, f->id, (const uint8_t *)domain, sizeof(domain) - 1);
		else if (f->type == DOWNLINK_ASCII)
			put(o, f->id, (const uint8_t *)version, sizeof(version) - 1);
		else
			put(o, f->id, number + sizeof(number) - size, size);
	}
	return o;
}

/* Unit: time 6 | count 1 | id 1 ... */
static bool query(const struct obedience *o, const struct frame *f, struct order_answer *ret)
{
	const uint8_t *ids = f->unit + WIRE_TIME_SIZE + 1;
	const size_t count = f->unit[WIRE_TIME_SIZE];

	if (f->unit_size != WIRE_TIME_SIZE + 1 + count)
		return false;
	ret->unit[ret->unit_size++] = (uint8_t)count;
	for (size_t i = 0; i < count; i++) {
		const struct downlink_field *sized = find_sized(ids[i]);
		if (ret->unit_size + 1 + VALUE_MAX > sizeof(ret->unit) ||
		    (sized == NULL && find(ids[i]) == NULL))
			return false;
		ret->unit[ret->unit_size++] = ids[i];
		if (sized != NULL) {
			ret->unit[ret->unit_size++] = o->size[sized->id];
			continue;
		}
		memcpy(ret->unit + ret->unit_size, o->bytes[ids[i]], o->size[ids[i]]);
		ret->unit_size += o->size[ids[i]];
	}
	return true;
}

/* Unit: time 6 | count 1 | { id 1, value } ... */
static bool set(struct obedience *o, const struct frame *f)
{
	const uint8_t *p = f->unit + WIRE_TIME_SIZE + 1, *end = f->unit + f->unit_size;
	struct obedience fresh = *o;

	for (unsigned i = 0; i < f->unit[WIRE_TIME_SIZE]; i++) {
		if (end - p < 2)
			return false;
		const uint8_t id = *p++;
		const struct downlink_field *sized = find_sized(id), *field = find(id);
		if (sized != NULL) {
			fresh.size[sized->id] = *p++;
			continue;
		}
		if (field == NULL || field->read_only)
			return false;
		const size_t size =
			field->size_id != 0 ? fresh.size[id] : field->edition[DOWNLINK_2016].size;
		if ((size_t)(end - p) < size || size > VALUE_MAX)
			return false;
		put(&fresh, id, p, size);
		p += size;
	}
	if (p != end)
		return false;
	*o = fresh;
	return true;
}

bool is_order(const struct frame *f)
{
	return f->header == HEADER_P && f->answer == ANSWER_COMMAND &&
	       f->command >= DOWNLINK_QUERY && f->command <= DOWNLINK_CONTROL;
}

bool obey(struct obedience **o, const struct frame *f, struct order_answer *ret)
{
	bool done = true;

	if (f->unit_size <= WIRE_TIME_SIZE || (*o == NULL && (*o = make()) == NULL))
		return false;
	memcpy(ret->unit, f->unit, WIRE_TIME_SIZE);
	ret->unit_size = WIRE_TIME_SIZE;
	ret->leaves = false;
	if (f->command == DOWNLINK_QUERY)
		done = query(*o, f, ret);
	else if (f->command == DOWNLINK_SET)
		done = set(*o, f);
	else
		ret->leaves = f->unit[WIRE_TIME_SIZE] >= CONTROL_POWER_OFF &&
			      f->unit[WIRE_TIME_SIZE] <= CONTROL_DISCONNECT;
	ret->flag = done ? ANSWER_SUCCESS : ANSWER_ERROR;
	if (!done)
		ret->unit_size = WIRE_TIME_SIZE;
	return true;
}

void obedience_free(struct obedience *o)
{
	free(o);
}

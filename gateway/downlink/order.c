#include "gateway/downlink/order.h"

#include <arpa/inet.h>
#include <iconv.h>
#include <string.h>

#include "gateway/base/text.h"

enum { NAMES_SIZE = 400, NAME_SHOWN = 40 };

/* ---- values ---- */

static int value_wrong(const struct downlink_field *f, const char *what, struct error *err)
{
	char allowed[200];

	downlink_allowed(f, allowed, sizeof(allowed));
	return error_set(err, ERROR_USAGE, "%s is %s; it must be %s", f->name, what, allowed);
}

/* Chinese reaches the terminal as GB 18030. */
static bool convert(const char *utf8, size_t size, struct downlink_value *v)
{
	iconv_t to = iconv_open("GB18030", "UTF-8");
	char *in = (char *)(uintptr_t)utf8, *out = (char *)v->text;
	size_t left = sizeof(v->text);
	bool done;

	if (to == (iconv_t)-1)
		return false;
	done = iconv(to, &in, &size, &out, &left) != (size_t)-1;
	iconv_close(to);
	v->size = (uint8_t)(sizeof(v->text) - left);
	return done;
}

static int take_text(const json_t *json, struct downlink_value *v, struct error *err)
{
	const char *text = json_string_value(json);
	const size_t size = json_string_length(json);

	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
			return value_wrong(v->field, "a text with control characters", err);
	if (v->field->type == DOWNLINK_TEXT)
		return convert(text, size, v)
			       ? 0
			       : value_wrong(v->field, "too long, or no text in GB 18030", err);
	if (size > sizeof(v->text))
		return value_wrong(v->field, "too long", err);
	if (size > 0)
		memcpy(v->text, text, size);
	v->size = (uint8_t)size;
	return 0;
}

static int take_address(const json_t *json, struct downlink_value *v, struct error *err)
{
	struct in_addr address;

	if (inet_pton(AF_INET, json_string_value(json), &address) != 1)
		return value_wrong(v->field, "no address", err);
	v->number = ntohl(address.s_addr);
	return 0;
}

static int take_value(const json_t *json, struct downlink_value *v, struct error *err)
{
	const struct downlink_field *f = v->field;

	switch (f->type) {
	case DOWNLINK_NUMBER:
		if (!json_is_integer(json))
			return value_wrong(f, "not a whole number", err);
		if (json_integer_value(json) < 0 || json_integer_value(json) > UINT32_MAX)
			return value_wrong(f, "out of range", err);
		v->number = (uint32_t)json_integer_value(json);
		return 0;
	case DOWNLINK_YES_NO:
	case DOWNLINK_FLAG:
		if (!json_is_boolean(json))
			return value_wrong(f, "neither true nor false", err);
		v->number = json_is_true(json) ? 1 : f->edition[0].max == 1 ? 0 : 2;
		return 0;
	case DOWNLINK_ADDRESS:
		return json_is_string(json) ? take_address(json, v, err)
					    : value_wrong(f, "not a text", err);
	case DOWNLINK_ASCII:
	case DOWNLINK_TEXT:
		return json_is_string(json) ? take_text(json, v, err)
					    : value_wrong(f, "not a text", err);
	}
	return value_wrong(f, "of an unknown kind", err);
}

/* ---- commands ---- */

static int unknown(const struct downlink_command *c, const char *what, const char *name,
		   struct error *err)
{
	char names[NAMES_SIZE];

	downlink_names(c->kind, c->control, names, sizeof(names));
	return error_set(err, ERROR_USAGE, "%s '%.*s' is unknown; allowed: %s", what,
			 (int)text_whole(name, NAME_SHOWN), name,
			 names[0] != '\0' ? names : "none");
}

static int add(struct downlink_command *c, const char *name, const json_t *value, struct error *err)
{
	struct downlink_value *v = &c->values[c->count];
	const struct downlink_field *f = downlink_field_find(c->control, name);

	if (f == NULL)
		return unknown(c, "parameter", name, err);
	if (c->count == DOWNLINK_VALUES_MAX)
		return error_set(err, ERROR_USAGE, "more than %d parameters", DOWNLINK_VALUES_MAX);
	v->field = f;
	c->count++;
	return value != NULL ? take_value(value, v, err) : 0;
}

static int take_query(struct downlink_command *c, const json_t *parameters, struct error *err)
{
	const json_t *name;
	size_t i;
	int rc = 0;

	if (!json_is_array(parameters))
		return error_set(err, ERROR_USAGE,
				 "parameters of a query must be a list of names: "
				 "[\"heartbeat_s\"]");
	json_array_foreach(parameters, i, name)
	{
		if (!json_is_string(name))
			return error_set(err, ERROR_USAGE,
					 "parameters of a query must be names: [\"heartbeat_s\"]");
		if ((rc = add(c, json_string_value(name), NULL, err)) != 0)
			return rc;
	}
	return 0;
}

static int take_values(struct downlink_command *c, const json_t *parameters, struct error *err)
{
	json_t *all = (json_t *)(uintptr_t)parameters; /* the macro wants it so, and only reads */
	const char *name;
	json_t *value;
	int rc;

	json_object_foreach(all, name, value)
	{
		if (c->control != NULL && strcmp(name, "action") == 0)
			continue;
		if ((rc = add(c, name, value, err)) != 0)
			return rc;
	}
	return 0;
}

static int take_control(struct downlink_command *c, const json_t *parameters, struct error *err)
{
	const char *action = json_string_value(json_object_get(parameters, "action"));
	char names[NAMES_SIZE];

	if (action == NULL) {
		downlink_names(c->kind, NULL, names, sizeof(names));
		return error_set(err, ERROR_USAGE,
				 "parameters of a control need \"action\"; allowed: %s", names);
	}
	c->control = downlink_control_find(action);
	if (c->control == NULL)
		return unknown(c, "action", action, err);
	return take_values(c, parameters, err);
}

int order_parse(const char *kind, const json_t *parameters, struct downlink_command *ret,
		struct error *err)
{
	char message[DOWNLINK_MESSAGE_SIZE];
	int rc;

	*ret = (struct downlink_command){ .count = 0 };
	if (kind == NULL)
		kind = "";
	if (!downlink_kind_find(kind, &ret->kind))
		return error_set(err, ERROR_USAGE,
				 "kind '%.*s' is unknown; allowed: query, set, control",
				 (int)text_whole(kind, NAME_SHOWN), kind);
	if (ret->kind == DOWNLINK_QUERY)
		rc = take_query(ret, parameters, err);
	else if (!json_is_object(parameters))
		rc = error_set(err, ERROR_USAGE, "parameters of a %s must be an object", kind);
	else if (ret->kind == DOWNLINK_CONTROL)
		rc = take_control(ret, parameters, err);
	else
		rc = take_values(ret, parameters, err);
	if (rc == 0 && !downlink_check(ret, DOWNLINK_EDITIONS, message))
		rc = error_set(err, ERROR_USAGE, "%s", message);
	return rc;
}

int order_parse_text(const char *kind, const char *parameters, struct downlink_command *ret,
		     struct error *err)
{
	json_error_t where;
	json_t *json = json_loads(parameters, JSON_REJECT_DUPLICATES, &where);
	int rc;

	if (json == NULL)
		return error_set(err, ERROR_USAGE, "parameters are not JSON: %s, at byte %d",
				 where.text, where.position);
	rc = order_parse(kind, json, ret, err);
	json_decref(json);
	return rc;
}

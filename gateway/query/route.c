#include "gateway/query/route.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/query/instant.h"

void route_values_release(struct route_values *v)
{
	for (size_t i = 0; i < ROUTE_PARAMETERS_MAX; i++)
		free(v->raw[i]);
	*v = (struct route_values){ 0 };
}

size_t route_parameter_count(const struct route *route)
{
	size_t n = 0;

	while (route->parameters[n].name != NULL)
		n++;
	assert(n <= ROUTE_PARAMETERS_MAX);
	return n;
}

/* Compares segment by segment; {name} takes any segment that is not empty. */
static bool path_matches(const struct route *route, const char *path, struct route_values *values)
{
	const char *t = route->path;
	size_t n = 0, t_size, p_size;

	while (*t == '/' && *path == '/') {
		t_size = strcspn(++t, "/");
		p_size = strcspn(++path, "/");
		if (*t == '{') {
			if (p_size == 0 || (values->raw[n++] = strndup(path, p_size)) == NULL)
				return false;
		} else if (t_size != p_size || memcmp(t, path, t_size) != 0) {
			return false;
		}
		t += t_size;
		path += p_size;
	}
	return *t == '\0' && *path == '\0';
}

bool route_takes(const struct route *route, const char *method)
{
	if (route->method != NULL)
		return strcmp(route->method, method) == 0;
	return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

const struct route *route_find(const char *path, const char *method, struct route_values *ret)
{
	struct route_values other = { 0 };
	const struct route *found = NULL;

	for (size_t i = 0; i < route_count; i++) {
		if (path_matches(&routes[i], path, ret)) {
			if (route_takes(&routes[i], method)) {
				route_values_release(&other);
				return &routes[i];
			}
			if (found == NULL) {
				found = &routes[i];
				other = *ret;
				*ret = (struct route_values){ 0 };
			}
		}
		route_values_release(ret);
	}
	*ret = other;
	return found;
}

void route_methods(const struct route *route, struct output *out)
{
	const char *between = "";

	for (size_t i = 0; i < route_count; i++) {
		if (strcmp(routes[i].path, route->path) != 0)
			continue;
		output_format(out, "%s%s", between,
			      routes[i].method != NULL ? routes[i].method : "GET, HEAD");
		between = ", ";
	}
	output_bytes(out, "", 1);
}

enum token_right route_right(const struct route *route)
{
	return route->right != 0 ? route->right : TOKEN_READ;
}

static void names_allowed(const struct route *route, char *detail, size_t size)
{
	size_t used = strlen(detail);
	const char *between = "; allowed: ";

	for (const struct parameter *p = route->parameters; p->name != NULL; p++) {
		if (p->in_path || used >= size)
			continue;
		used += (size_t)snprintf(detail + used, size - used, "%s%s", between, p->name);
		between = ", ";
	}
}

int route_take(const struct route *route, const char *name, const char *value, size_t size,
	       struct route_values *values, char *detail, size_t detail_size)
{
	for (size_t i = 0; route->parameters[i].name != NULL; i++) {
		if (route->parameters[i].in_path || strcmp(route->parameters[i].name, name) != 0)
			continue;
		if (values->raw[i] != NULL) {
			snprintf(detail, detail_size, "%s is given twice", name);
			return -1;
		}
		if (value != NULL && !text_is_plain(value, size)) {
			snprintf(detail, detail_size, "%s is not printable UTF-8", name);
			return -1;
		}
		if (value == NULL || size == 0)
			return 0;
		if ((values->raw[i] = strndup(value, size)) == NULL) {
			snprintf(detail, detail_size, "no memory");
			return -1;
		}
		return 0;
	}
	snprintf(detail, detail_size, "unknown parameter '%.40s'",
		 text_is_plain(name, strlen(name)) ? name : "?");
	names_allowed(route, detail, detail_size);
	return -1;
}

/* ---- kinds ---- */

static bool is_vin(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isascii(s[i]) || !isalnum((unsigned char)s[i]))
			return false;
	return n >= 1 && n <= 17;
}

static bool is_rule(const char *s, size_t n)
{
	return n >= 1 && n <= 40 && strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_") >= n;
}

static bool is_number(const char *s, size_t n, int64_t min, int64_t max)
{
	int64_t value;

	if (n < 1 || n > 10 || strspn(s, "0123456789") < n)
		return false;
	value = strtoll(s, NULL, 10);
	return value >= min && value <= max;
}

static bool is_finding(const char *s)
{
	const char *day = strchr(s, '.');
	const char *rule = day != NULL ? strchr(++day, '.') : NULL;
	const char *revision = rule != NULL ? strchr(++rule, '.') : NULL;
	int y, m, d;
	int64_t number;

	if (revision == NULL)
		return false;
	revision++;
	if (rule - day != 9 || strspn(day, "0123456789") != 8 ||
	    sscanf(day, "%4d%2d%2d", &y, &m, &d) != 3 || !civil_day(y, m, d, &number))
		return false;
	return is_vin(s, (size_t)(day - s) - 1) && is_rule(rule, (size_t)(revision - rule) - 1) &&
	       is_number(revision, strlen(revision), 1, INT32_MAX);
}

static bool is_choice(const char *s, const char *choices)
{
	size_t n = strlen(s);

	for (; *choices != '\0'; choices += *choices == '|') {
		size_t m = strcspn(choices, "|");

		if (m == n && memcmp(choices, s, n) == 0)
			return true;
		choices += m;
	}
	return false;
}

static bool is_cursor(const char *s)
{
	size_t n = strlen(s);

	return n <= 200 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789-_") == n;
}

/* What a value of the kind looks like, for a complaint. */
static void kind_text(const struct parameter *p, char *out, size_t size)
{
	switch (p->kind) {
	case KIND_VIN:
		snprintf(out, size, "1 to 17 letters and digits");
		break;
	case KIND_FINDING:
		snprintf(out, size, "VIN.YYYYMMDD.RULE.REVISION");
		break;
	case KIND_RULE:
		snprintf(out, size, "1 to 40 of a-z, 0-9 and _");
		break;
	case KIND_INTEGER:
		snprintf(out, size, "a whole number from %" PRId64 " to %" PRId64, p->min, p->max);
		break;
	case KIND_FROM:
	case KIND_TO:
		snprintf(out, size,
			 "a time with offset such as 2026-11-16T08:00:00+08:00 (in a URL the "
			 "+ is %%2B) or a day such as 2026-11-16");
		break;
	case KIND_PLATE:
		snprintf(out, size, "1 to 32 bytes of UTF-8");
		break;
	case KIND_TEXT:
		snprintf(out, size, "1 to %" PRId64 " bytes of UTF-8", p->max);
		break;
	case KIND_CHOICE:
		snprintf(out, size, "one of %s", p->choices);
		break;
	case KIND_CURSOR:
		snprintf(out, size, "next_cursor of an answer of this service");
		break;
	}
}

static bool convert(const struct parameter *p, struct route_values *v, size_t i)
{
	const char *s = v->raw[i];
	int64_t at;

	switch (p->kind) {
	case KIND_VIN:
		return is_vin(s, strlen(s));
	case KIND_FINDING:
		return is_finding(s);
	case KIND_RULE:
		return is_rule(s, strlen(s));
	case KIND_INTEGER:
		return is_number(s, strlen(s), p->min, p->max);
	case KIND_FROM:
	case KIND_TO:
		if (!instant_parse(s, p->kind == KIND_TO, &at))
			return false;
		snprintf(v->converted[i], sizeof(v->converted[i]), "%" PRId64, at);
		v->value[i] = v->converted[i];
		return true;
	case KIND_PLATE:
		return strlen(s) <= 32;
	case KIND_TEXT:
		return strlen(s) <= (size_t)p->max;
	case KIND_CHOICE:
		return is_choice(s, p->choices);
	case KIND_CURSOR:
		return is_cursor(s);
	}
	return false;
}

int route_check(const struct route *route, struct route_values *values, char *detail,
		size_t detail_size)
{
	char allowed[200];

	for (size_t i = 0; route->parameters[i].name != NULL; i++) {
		const struct parameter *p = &route->parameters[i];

		values->value[i] = values->raw[i];
		if (values->raw[i] == NULL ? !p->required : convert(p, values, i))
			continue;
		kind_text(p, allowed, sizeof(allowed));
		snprintf(detail, detail_size, "%s is %s; it must be %s", p->name,
			 values->raw[i] == NULL ? "needed" : "not understood", allowed);
		return -1;
	}
	return 0;
}

static void percent_encode(const char *text, struct output *out)
{
	for (const char *c = text; *c != '\0'; c++) {
		if (isascii(*c) && (isalnum((unsigned char)*c) || strchr("-._~", *c) != NULL))
			output_bytes(out, c, 1);
		else
			output_format(out, "%%%02X", (unsigned char)*c);
	}
}

void route_link(const struct route *route, const struct route_values *values, struct output *out)
{
	const char *between = "?";

	output_text(out, route->path);
	for (size_t i = 0; route->parameters[i].name != NULL; i++) {
		const struct parameter *p = &route->parameters[i];

		assert(!p->in_path);
		if (values->raw[i] == NULL || p->kind == KIND_CURSOR)
			continue;
		output_format(out, "%s%s=", between, p->name);
		percent_encode(values->raw[i], out);
		between = "&";
	}
	output_bytes(out, "", 1);
}

void route_statuses(const struct route *route, unsigned ret[ROUTE_STATUSES_MAX])
{
	const bool commands = route->right == TOKEN_COMMAND;
	const struct {
		unsigned status;
		bool given;
	} all[] = {
		{ 200, route->body_max == 0 },
		{ 201, route->body_max > 0 },
		{ 400, !route->open },
		{ 401, !route->open },
		{ 403, !route->open },
		{ 404, route->missing != NULL || commands },
		{ 406, route->types[1] != NULL },
		{ 409, commands },
		{ 413, route->body_max > 0 },
		{ 415, route->body_max > 0 },
		{ 503, route->sql != NULL },
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].given)
			ret[n++] = all[i].status;
	assert(n < ROUTE_STATUSES_MAX);
	ret[n] = 0;
}

static void print_parameter(const struct parameter *p, struct output *out)
{
	output_format(out, "{\"name\":\"%s\",\"in\":\"%s\",\"required\":%s", p->name,
		      p->in_path ? "path" : "query", p->in_path || p->required ? "true" : "false");
	if (p->kind == KIND_INTEGER)
		output_format(out, ",\"minimum\":%" PRId64 ",\"maximum\":%" PRId64, p->min, p->max);
	if (p->kind == KIND_CHOICE)
		output_format(out, ",\"choices\":\"%s\"", p->choices);
	output_text(out, ",\"doc\":");
	output_json(out, p->doc);
	output_text(out, "}");
}

static void print_route(const struct route *route, struct output *out)
{
	unsigned statuses[ROUTE_STATUSES_MAX];

	output_format(out, "{\"path\":\"%s\",\"method\":\"%s\",\"open\":%s,\"body\":%s,\"doc\":",
		      route->path, route->method != NULL ? route->method : "GET",
		      route->open ? "true" : "false", route->body_max > 0 ? "true" : "false");
	output_json(out, route->doc);
	output_text(out, ",\"types\":[");
	for (size_t i = 0; i < ROUTE_TYPES_MAX && route->types[i] != NULL; i++)
		output_format(out, "%s\"%s\"", i > 0 ? "," : "", route->types[i]);
	output_text(out, "],\"statuses\":[");
	route_statuses(route, statuses);
	for (size_t i = 0; statuses[i] != 0; i++)
		output_format(out, "%s%u", i > 0 ? "," : "", statuses[i]);
	output_text(out, "],\"parameters\":[");
	for (size_t i = 0; route->parameters[i].name != NULL; i++) {
		output_text(out, i > 0 ? "," : "");
		print_parameter(&route->parameters[i], out);
	}
	output_text(out, "]}");
}

void route_print(struct output *out)
{
	output_text(out, "[");
	for (size_t i = 0; i < route_count; i++) {
		output_text(out, i > 0 ? ",\n" : "\n");
		print_route(&routes[i], out);
	}
	output_text(out, "\n]\n");
}

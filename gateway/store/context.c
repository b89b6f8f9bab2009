#include "gateway/store/context.h"

#include <string.h>

#include "gateway/base/log.h"

uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ p[i]) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
	return hash_bytes(hash, text, strlen(text) + 1);
}

static void hash_update(struct context *c)
{
	c->hash = hash_bytes(hash_bytes(HASH_START, &c->rules_hash, 8), &c->geo_hash, 8);
}

static void text_copy(char *out, size_t size, const PGresult *r, int row, int column)
{
	size_t length;
	const uint8_t *p = result_bytes(r, row, column, &length);

	length = length < size ? length : size - 1;
	memcpy(out, p, length);
	out[length] = '\0';
}

static int rule_index(const char *id)
{
	for (int i = 0; i < RULE_COUNT; i++)
		if (strcmp(rule_definitions[i].id, id) == 0)
			return i;
	return -1;
}

/* A value outside of the definition's bounds keeps the initial one: a typing error is no new law.
 */
static void parameter_set(struct rule_set *set, int rule, const char *name, double value)
{
	const struct rule_parameter *p = rule_definitions[rule].parameters;

	for (int i = 0; i < RULE_PARAMETERS_MAX && p[i].name != NULL; i++) {
		if (strcmp(p[i].name, name) != 0)
			continue;
		if (value >= p[i].min && value <= p[i].max)
			set->rule[rule].value[i] = value;
		else
			log_line(LOG_WARNING,
				 "rule parameter out of range, initial value used rule=%s "
				 "parameter=%s value=%g min=%g max=%g",
				 rule_definitions[rule].id, name, value, p[i].min, p[i].max);
	}
}

static double result_f64(const PGresult *r, int row, int column)
{
	const int64_t bits = result_i64(r, row, column);
	double value;

	memcpy(&value, &bits, sizeof(value));
	return value;
}

int context_load_rules(struct context *c, struct pg *pg)
{
	struct rule_set set;
	uint64_t hash = HASH_START;
	PGresult *r = pg_run(pg, SQL_RULES, NULL);

	if (r == NULL)
		return -1;
	memset(&set, 0, sizeof(set));
	rule_set_init(&set);
	for (int i = 0; i < RULE_COUNT; i++)
		set.rule[i].enabled = false; /* until the table has an enabled version */
	for (int i = 0; i < PQntuples(r); i++) {
		char id[64], name[64];
		int rule;

		text_copy(id, sizeof(id), r, i, 0);
		if ((rule = rule_index(id)) < 0)
			continue; /* of a newer or older program */
		set.rule[rule].enabled = true;
		set.rule[rule].version = result_i32(r, i, 1);
		hash = hash_text(hash_bytes(hash, &set.rule[rule].version, sizeof(int)), id);
		if (result_null(r, i, 2))
			continue;
		text_copy(name, sizeof(name), r, i, 2);
		parameter_set(&set, rule, name, result_f64(r, i, 3));
	}
	PQclear(r);
	for (int i = 0; i < RULE_COUNT; i++)
		hash = hash_bytes(hash, set.rule[i].value, sizeof(set.rule[i].value));
	c->rules = set;
	c->rules_hash = hash;
	hash_update(c);
	return 0;
}

typedef int add_area_fn(struct geo *g, int32_t id, const uint8_t *wkb, size_t size,
			struct error *err);

/* A broken area is left out, with a message: the others still count. */
static int areas_load(struct pg *pg, enum sql sql, add_area_fn *add, struct geo *geo,
		      uint64_t *hash)
{
	PGresult *r = pg_run(pg, sql, NULL);

	if (r == NULL)
		return -1;
	for (int i = 0; i < PQntuples(r); i++) {
		const int32_t id = result_i32(r, i, 0);
		struct error err = { 0 };
		size_t size;
		const uint8_t *wkb = result_bytes(r, i, 1, &size);

		*hash = hash_bytes(hash_bytes(*hash, &id, sizeof(id)), wkb, size);
		if (add(geo, id, wkb, size, &err) < 0)
			log_line(LOG_ERROR, "area left out id=%d error=%s", id, err.text);
	}
	PQclear(r);
	return 0;
}

static int geo_load(struct context *c, struct pg *pg)
{
	uint64_t hash = HASH_START;
	struct geo *geo = NULL;
	struct geo_cursor *cursor = NULL;
	struct error err = { 0 };
	int rc = -1;

	if (geo_new(&geo, &err) < 0)
		goto out;
	if (areas_load(pg, SQL_DIVISIONS, geo_add_division, geo, &hash) < 0 ||
	    areas_load(pg, SQL_ROUTES, geo_add_route, geo, &hash) < 0)
		goto out;
	if (c->geo != NULL && hash == c->geo_hash) {
		rc = 0;
		goto out;
	}
	if (geo_build(geo, &err) < 0 || geo_cursor_new(geo, &cursor, &err) < 0)
		goto out;
	geo_cursor_free(c->cursor);
	geo_free(c->geo);
	c->geo = geo;
	c->cursor = cursor;
	c->geo_hash = hash;
	geo = NULL;
	rc = 0;
out:
	if (rc < 0 && err.text[0] != '\0')
		pg_fail(pg, PG_REFUSED, "", err.text);
	geo_free(geo);
	return rc;
}

int context_load(struct context *c, struct pg *pg)
{
	if (geo_load(c, pg) < 0)
		return -1;
	return context_load_rules(c, pg);
}

void context_release(struct context *c)
{
	geo_cursor_free(c->cursor);
	geo_free(c->geo);
	*c = (struct context){ 0 };
}

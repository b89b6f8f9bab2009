#include "proto/wire/downlink.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/text.h"

/* ---- names ---- */

static const struct {
	enum downlink_kind kind;
	const char *name;
} kinds[] = {
	{ DOWNLINK_QUERY, "query" },
	{ DOWNLINK_SET, "set" },
	{ DOWNLINK_CONTROL, "control" },
};

const char *downlink_kind_name(enum downlink_kind kind)
{
	assert(kind >= DOWNLINK_QUERY && kind <= DOWNLINK_CONTROL);
	return kinds[kind - DOWNLINK_QUERY].name;
}

bool downlink_kind_find(const char *name, enum downlink_kind *ret)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, name) == 0) {
			*ret = kinds[i].kind;
			return true;
		}
	}
	return false;
}

const struct downlink_control *downlink_control_find(const char *name)
{
	for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

static const struct downlink_field *fields_of(const struct downlink_control *control)
{
	static const struct downlink_field none = { .name = NULL };

	if (control == NULL)
		return downlink_parameters;
	return control->fields != NULL ? control->fields : &none;
}

const struct downlink_field *downlink_field_find(const struct downlink_control *control,
						 const char *name)
{
	for (const struct downlink_field *f = fields_of(control); f->name != NULL; f++)
		if (strcmp(f->name, name) == 0)
			return f;
	return NULL;
}

size_t downlink_names(enum downlink_kind kind, const struct downlink_control *control, char *out,
		      size_t size)
{
	struct text t;
	const char *between = "";

	text_start(&t, out, size);
	if (kind == DOWNLINK_CONTROL && control == NULL) {
		for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++) {
			text_format(&t, "%s%s", between, c->name);
			between = ", ";
		}
		return t.used;
	}
	for (const struct downlink_field *f = fields_of(control); f->name != NULL; f++) {
		if (kind == DOWNLINK_SET && f->read_only)
			continue;
		text_format(&t, "%s%s", between, f->name);
		between = ", ";
	}
	return t.used;
}

/* ---- checks ---- */

static bool is_text(const struct downlink_field *f)
{
	return f->type == DOWNLINK_ASCII || f->type == DOWNLINK_TEXT;
}

/* A ';' would end a field of an upgrade; nothing else needs one. */
static bool ascii_sound(const struct downlink_value *v)
{
	for (size_t i = 0; i < v->size; i++)
		if (v->text[i] < 0x20 || v->text[i] > 0x7E || v->text[i] == ';')
			return false;
	return true;
}

static bool value_fits(const struct downlink_value *v, enum downlink_edition e)
{
	const struct downlink_field *f = v->field;
	const uint32_t min = f->edition[e].min, max = f->edition[e].max;

	if (is_text(f))
		return v->size >= min && v->size <= max &&
		       (f->type != DOWNLINK_ASCII || ascii_sound(v));
	return v->number >= min && v->number <= max && v->number % f->edition[e].scale == 0;
}

static void put_range(struct text *t, const struct downlink_field *f, enum downlink_edition e)
{
	const unsigned min = f->edition[e].min, max = f->edition[e].max;

	if (f->type == DOWNLINK_YES_NO || f->type == DOWNLINK_FLAG)
		text_put(t, "true or false");
	else if (f->type == DOWNLINK_ADDRESS)
		text_put(t, "an IPv4 address");
	else if (f->type == DOWNLINK_ASCII && min == max)
		text_format(t, "%u printable ASCII characters without ;", max);
	else if (f->type == DOWNLINK_ASCII)
		text_format(t, "%u to %u printable ASCII characters without ;", min, max);
	else if (f->type == DOWNLINK_TEXT)
		text_format(t, "%u to %u bytes in GB 18030", min, max);
	else if (f->edition[e].scale > 1)
		text_format(t, "%u to %u in steps of %u", min, max, f->edition[e].scale);
	else
		text_format(t, "%u to %u", min, max);
}

static bool editions_agree(const struct downlink_field *f)
{
	return f->edition[DOWNLINK_2016].max == f->edition[DOWNLINK_2025].max &&
	       f->edition[DOWNLINK_2016].scale == f->edition[DOWNLINK_2025].scale;
}

static void put_allowed(struct text *t, const struct downlink_field *f,
			enum downlink_edition edition)
{
	if (editions_agree(f) || edition == DOWNLINK_EDITIONS)
		put_range(t, f, DOWNLINK_2016);
	else
		put_range(t, f, edition);
	if (editions_agree(f))
		return;
	if (edition == DOWNLINK_EDITIONS) {
		text_put(t, " (GB/T 32960.3-2016), or ");
		put_range(t, f, DOWNLINK_2025);
		text_put(t, " (2025)");
	} else {
		text_format(t, " in the %s edition of GB/T 32960.3, which this terminal speaks",
			    edition == DOWNLINK_2016 ? "2016" : "2025");
	}
}

size_t downlink_allowed(const struct downlink_field *field, char *out, size_t size)
{
	struct text t;

	text_start(&t, out, size);
	put_allowed(&t, field, DOWNLINK_EDITIONS);
	return t.used;
}

static void complain_value(struct text *t, const struct downlink_value *v,
			   enum downlink_edition edition)
{
	const struct downlink_field *f = v->field;

	if (is_text(f))
		text_format(t, "%s has %u bytes", f->name, v->size);
	else
		text_format(t, "%s is %u", f->name, (unsigned)v->number);
	text_put(t, "; it must be ");
	put_allowed(t, f, edition);
}

static const struct downlink_value *value_find(const struct downlink_command *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (strcmp(c->values[i].field->name, name) == 0)
			return &c->values[i];
	return NULL;
}

static void check_fields(const struct downlink_command *c, struct text *t)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct downlink_field *f = c->values[i].field;

		if (value_find(c, f->name) != &c->values[i])
			text_format(t, "%s is given twice", f->name);
		else if (c->kind == DOWNLINK_SET && f->read_only)
			text_format(t, "%s can be queried only, not set", f->name);
		if (t->used > 0)
			return;
	}
	if (c->count == 0 && c->kind != DOWNLINK_CONTROL) {
		text_format(t, "a %s names at least one parameter", downlink_kind_name(c->kind));
		return;
	}
	if (c->control == NULL)
		return;
	for (const struct downlink_field *f = fields_of(c->control); f->name != NULL; f++) {
		if (f->required && value_find(c, f->name) == NULL) {
			text_format(t, "%s needs %s: ", c->control->name, f->name);
			put_range(t, f, DOWNLINK_2016);
			return;
		}
	}
}

static void check_values(const struct downlink_command *c, enum downlink_edition edition,
			 struct text *t)
{
	bool fits[DOWNLINK_EDITIONS] = { true, true };

	for (size_t i = 0; i < c->count && t->used == 0; i++) {
		const struct downlink_value *v = &c->values[i];
		const bool old = value_fits(v, DOWNLINK_2016), fresh = value_fits(v, DOWNLINK_2025);

		if (edition == DOWNLINK_EDITIONS ? !old && !fresh
						 : !(edition == DOWNLINK_2016 ? old : fresh))
			complain_value(t, v, edition);
		fits[DOWNLINK_2016] &= old;
		fits[DOWNLINK_2025] &= fresh;
	}
	if (t->used == 0 && edition == DOWNLINK_EDITIONS && !fits[0] && !fits[1])
		text_put(t, "no edition of GB/T 32960.3 allows all of these values together");
}

bool downlink_check(const struct downlink_command *c, enum downlink_edition edition,
		    char message[DOWNLINK_MESSAGE_SIZE])
{
	struct text t;

	assert((c->kind == DOWNLINK_CONTROL) == (c->control != NULL));
	assert(c->count <= DOWNLINK_VALUES_MAX);
	text_start(&t, message, DOWNLINK_MESSAGE_SIZE);
	check_fields(c, &t);
	if (t.used == 0 && c->kind != DOWNLINK_QUERY)
		check_values(c, edition, &t);
	return t.used == 0;
}

/* ---- encode ---- */

/* The largest command fits, so that no write can fail: static_assert in put_command(). */
struct writer {
	uint8_t *p;
	size_t size;
};

static void put_number(struct writer *w, uint32_t value, size_t size)
{
	assert(w->size + size <= DOWNLINK_UNIT_MAX);
	for (size_t i = 0; i < size; i++)
		w->p[w->size++] = (uint8_t)(value >> 8 * (size - 1 - i));
}

static void put_value(struct writer *w, const struct downlink_value *v, enum downlink_edition e)
{
	const struct downlink_field *f = v->field;

	assert(w->size + v->size <= DOWNLINK_UNIT_MAX);
	if (is_text(f)) {
		memcpy(w->p + w->size, v->text, v->size);
		w->size += v->size;
	} else if (f->type == DOWNLINK_ADDRESS) {
		put_number(w, 0, 2);
		put_number(w, v->number, 4);
	} else {
		put_number(w, v->number / f->edition[e].scale, f->edition[e].size);
	}
}

/* A text has its size in a parameter of its own, in front of it. */
static void put_parameters(struct writer *w, const struct downlink_command *c,
			   enum downlink_edition e)
{
	const bool values = c->kind == DOWNLINK_SET;

	put_number(w, 0, 1);
	for (size_t i = 0; i < c->count; i++) {
		const struct downlink_value *v = &c->values[i];

		if (v->field->size_id != 0) {
			put_number(w, v->field->size_id, 1);
			if (values)
				put_number(w, v->size, 1);
			w->p[0]++;
		}
		put_number(w, v->field->id, 1);
		if (values)
			put_value(w, v, e);
		w->p[0]++;
	}
}

/* Table B.15: fields between semicolons, empty when there is no value. */
static void put_upgrade(struct writer *w, const struct downlink_command *c, enum downlink_edition e)
{
	const struct downlink_value *flag = value_find(c, "url_first");
	const bool url_first = flag != NULL && flag->number != 0;
	const struct downlink_value *url = value_find(c, "url");
	bool first = true;

	if (url_first) {
		put_value(w, url, e);
		first = false;
	}
	for (const struct downlink_field *f = c->control->fields; f->name != NULL; f++) {
		const struct downlink_value *v = value_find(c, f->name);

		if (f->type == DOWNLINK_FLAG || (v == url && url_first))
			continue;
		if (!first)
			put_number(w, ';', 1);
		if (v != NULL)
			put_value(w, v, e);
		first = false;
	}
}

size_t downlink_encode(const struct downlink_command *c, enum downlink_edition edition,
		       uint8_t unit[DOWNLINK_UNIT_MAX], char message[DOWNLINK_MESSAGE_SIZE])
{
	struct writer w = { .p = unit };

	assert(edition < DOWNLINK_EDITIONS);
	if (!downlink_check(c, edition, message))
		return 0;
	if (c->kind != DOWNLINK_CONTROL) {
		put_parameters(&w, c, edition);
		return w.size;
	}
	put_number(&w, c->control->id, 1);
	if (downlink_field_find(c->control, "url") != NULL) {
		put_upgrade(&w, c, edition);
		return w.size;
	}
	for (const struct downlink_field *f = fields_of(c->control); f->name != NULL; f++) {
		const struct downlink_value *v = value_find(c, f->name);

		if (v != NULL)
			put_value(&w, v, edition);
	}
	return w.size;
}

/* ---- for the page ---- */

static void print_range(const struct downlink_field *f, enum downlink_edition e, FILE *out)
{
	char words[80];
	struct text t;

	text_start(&t, words, sizeof(words));
	put_range(&t, f, e);
	fputs(words, out);
}

static void print_fields(const struct downlink_field *f, const char *first, FILE *out)
{
	fprintf(out,
		"| %s | name | allowed | 2025 edition, where it differs | meaning |\n"
		"|---|---|---|---|---|\n",
		first);
	for (; f->name != NULL; f++) {
		if (f->size_id != 0)
			fprintf(out, "| %02X, %02X", f->size_id, f->id);
		else if (f->id != 0)
			fprintf(out, "| %02X", f->id);
		else
			fprintf(out, "| %s", f->required ? "needed" : "");
		fprintf(out, " | `%s` | ", f->name);
		if (f->read_only)
			fputs("read only", out);
		else
			print_range(f, DOWNLINK_2016, out);
		fputs(" | ", out);
		if (!editions_agree(f))
			print_range(f, DOWNLINK_2025, out);
		fprintf(out, " | %s%s%s |\n", f->label, f->label[0] != '\0' ? "; " : "", f->doc);
	}
	fputs("\n", out);
}

void downlink_markdown(FILE *out)
{
	fputs("### Parameters\n\n", out);
	print_fields(downlink_parameters, "id", out);
	fputs("### Controls\n\n| id | action | sent again after a lost connection | meaning |\n"
	      "|---|---|---|---|\n",
	      out);
	for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++)
		fprintf(out, "| %02X | `%s` | %s | %s; %s |\n", c->id, c->name,
			c->once ? "no" : "yes", c->label, c->doc);
	for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++) {
		if (c->fields == NULL)
			continue;
		fprintf(out, "\nWith `%s`:\n\n", c->name);
		print_fields(c->fields, "", out);
	}
}

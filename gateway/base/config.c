#include "gateway/base/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_INT, KIND_TEXT, KIND_PATH, KIND_ADDRESS, KIND_CHOICE, KIND_BOOL };

enum { LINE_SIZE = 4096, LIST_SIZE = 512 };

struct key {
	const char *section, *name;
	enum kind kind;
	size_t offset;	     /* in struct config */
	const char *initial; /* parsed by the same code as the file */
	int64_t min, max;    /* of an INT */
	const char *choices; /* of a CHOICE: "a|b|c", the value is the index */
	bool reload;
	const char *doc;
};

/* The fifth argument is a number or the list of choices, so each kind picks its own columns. */
#define RANGE_INT(low, high)	  .min = (low), .max = (high)
#define RANGE_CHOICE(zero, texts) .choices = (texts)
#define RANGE_TEXT(low, high)	  .max = (high)
#define RANGE_PATH(low, high)	  .max = (high)
#define RANGE_ADDRESS(low, high)  .max = (high)
#define RANGE_BOOL(low, high)	  .max = (high)

static const struct key keys[] = {
#define ROW(section_, key_, kind_, initial_, low, high, flags, doc_)                               \
	{ .section = #section_,                                                                    \
	  .name = #key_,                                                                           \
	  .kind = KIND_##kind_,                                                                    \
	  .offset = offsetof(struct config, section_##_##key_),                                    \
	  .initial = (initial_),                                                                   \
	  RANGE_##kind_(low, high),                                                                \
	  .reload = #flags[0] == 'R',                                                              \
	  .doc = (doc_) },
	CONFIG_KEYS(ROW)
#undef ROW
};

enum { KEY_COUNT = sizeof(keys) / sizeof(keys[0]) };

/* One reading of one file: where we are, what was set, and what is wrong so far. */
struct reading {
	const char *path;
	FILE *file;
	struct config *config;
	int line;
	int set_at[KEY_COUNT]; /* line, 0 = not in the file */
	char *complaints;
	size_t size, used;
	unsigned count;
};

__attribute__((format(printf, 2, 3))) static void complain(struct reading *r, const char *format,
							   ...)
{
	va_list args;
	int n;

	r->count++;
	if (r->used + 2 >= r->size)
		return;
	if (r->used > 0)
		r->complaints[r->used++] = '\n';
	va_start(args, format);
	n = vsnprintf(r->complaints + r->used, r->size - r->used, format, args);
	va_end(args);
	if (n > 0)
		r->used += (size_t)n < r->size - r->used ? (size_t)n : r->size - r->used - 1;
}

static void *key_place(struct config *c, const struct key *k)
{
	return (char *)c + k->offset;
}

static const void *key_value(const struct config *c, const struct key *k)
{
	return (const char *)c + k->offset;
}

/* Index of text in "a|b|c", or -1. */
static int choice_index(const char *choices, const char *text)
{
	const size_t n = strlen(text);
	int index = 0;

	for (const char *p = choices; p != NULL; index++) {
		const char *end = strchr(p, '|');
		const size_t size = end != NULL ? (size_t)(end - p) : strlen(p);

		if (size == n && memcmp(p, text, n) == 0)
			return index;
		p = end != NULL ? end + 1 : NULL;
	}
	return -1;
}

static void choice_text(const char *choices, int index, char *out, size_t size)
{
	const char *p = choices;

	while (index-- > 0)
		p = strchr(p, '|') + 1;
	snprintf(out, size, "%.*s", (int)strcspn(p, "|"), p);
}

static bool parse_int(const char *text, int64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoll(text, &end, 10);
	return errno == 0 && end != text && *end == '\0';
}

static bool parse_bool(const char *text, bool *ret)
{
	*ret = strcmp(text, "yes") == 0;
	return *ret || strcmp(text, "no") == 0;
}

bool config_address(const char *text, char host[CONFIG_HOST_SIZE], uint16_t *ret_port)
{
	const char *colon = strrchr(text, ':');
	unsigned char binary[16];
	size_t size;
	int64_t port;
	int family = AF_INET;

	if (colon == NULL || !parse_int(colon + 1, &port) || port < 0 || port > 65535)
		return false;
	size = (size_t)(colon - text);
	if (size >= 2 && text[0] == '[' && colon[-1] == ']') {
		family = AF_INET6;
		text++;
		size -= 2;
	}
	if (size == 0 || size >= CONFIG_HOST_SIZE)
		return false;
	memcpy(host, text, size);
	host[size] = '\0';
	if (inet_pton(family, host, binary) != 1)
		return false;
	*ret_port = (uint16_t)port;
	return true;
}

/* What may stand there, for messages and the documentation. */
static const char *key_allowed(const struct key *k, char out[LIST_SIZE])
{
	switch (k->kind) {
	case KIND_INT:
		snprintf(out, LIST_SIZE, "%" PRId64 " to %" PRId64, k->min, k->max);
		break;
	case KIND_CHOICE: {
		size_t n = 0;

		for (const char *p = k->choices; *p != '\0' && n + 3 < LIST_SIZE; p++) {
			if (*p == '|') {
				out[n++] = ',';
				out[n++] = ' ';
			} else {
				out[n++] = *p;
			}
		}
		out[n] = '\0';
		break;
	}
	case KIND_BOOL:
		snprintf(out, LIST_SIZE, "yes, no");
		break;
	case KIND_ADDRESS:
		snprintf(out, LIST_SIZE, "IPv4:port, [IPv6]:port, or empty");
		break;
	case KIND_PATH:
		snprintf(out, LIST_SIZE, "a path");
		break;
	case KIND_TEXT:
		snprintf(out, LIST_SIZE, "text");
		break;
	}
	return out;
}

/* Puts the value in its place, or returns false.  A text that stood there is freed. */
static bool key_set(struct config *c, const struct key *k, const char *text)
{
	void *place = key_place(c, k);
	char host[CONFIG_HOST_SIZE], *copy;
	uint16_t port;
	int64_t number;
	int index;

	switch (k->kind) {
	case KIND_INT:
		if (!parse_int(text, &number) || number < k->min || number > k->max)
			return false;
		*(int64_t *)place = number;
		return true;
	case KIND_BOOL:
		return parse_bool(text, (bool *)place);
	case KIND_CHOICE:
		if ((index = choice_index(k->choices, text)) < 0)
			return false;
		*(int *)place = index;
		return true;
	case KIND_ADDRESS:
		if (text[0] != '\0' && !config_address(text, host, &port))
			return false;
		break;
	case KIND_TEXT:
	case KIND_PATH:
		break;
	}
	if ((copy = strdup(text)) == NULL)
		return false;
	free(*(char **)place);
	*(char **)place = copy;
	return true;
}

static bool section_known(const char *section)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0)
			return true;
	return false;
}

/* The sections (section NULL) or the keys of one, separated by ", ". */
static const char *known_names(const char *section, char out[LIST_SIZE])
{
	const char *last = "";
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < KEY_COUNT && n < LIST_SIZE; i++) {
		const char *name = section == NULL ? keys[i].section : keys[i].name;

		if (section == NULL ? strcmp(last, name) == 0
				    : strcmp(keys[i].section, section) != 0)
			continue;
		last = name;
		n += (size_t)snprintf(out + n, LIST_SIZE - n, "%s%s", n > 0 ? ", " : "", name);
	}
	return out;
}

static void on_key(struct reading *r, const char *section, const char *name, const char *value)
{
	char list[LIST_SIZE];
	size_t i = 0;

	while (i < KEY_COUNT &&
	       (strcmp(keys[i].section, section) != 0 || strcmp(keys[i].name, name) != 0))
		i++;
	if (i == KEY_COUNT && !section_known(section)) {
		complain(r, "%s:%d: section [%.60s] is not known; sections are %s", r->path,
			 r->line, section, known_names(NULL, list));
		return;
	}
	if (i == KEY_COUNT) {
		complain(r, "%s:%d: key \"%.60s\" is not known in [%s]; keys are %s", r->path,
			 r->line, name, section, known_names(section, list));
		return;
	}
	if (r->set_at[i] != 0) {
		complain(r, "%s:%d: %s.%s stands here for the second time, first in line %d",
			 r->path, r->line, section, name, r->set_at[i]);
		return;
	}
	r->set_at[i] = r->line;
	if (!key_set(r->config, &keys[i], value))
		complain(r, "%s:%d: %s.%s = \"%.80s\" is not allowed; allowed: %s", r->path,
			 r->line, section, name, value, key_allowed(&keys[i], list));
}

static int ini_cb(void *arg, const char *section, const char *name, const char *value)
{
	on_key(arg, section, name, value);
	return 1;
}

/* inih does not tell line numbers, so the lines are counted while it reads them. */
static char *read_line(char *out, int size, void *arg)
{
	struct reading *r = arg;
	char *p = fgets(out, size, r->file);
	size_t n;

	if (p == NULL)
		return NULL;
	r->line++;
	n = strlen(p);
	if (n + 1 == (size_t)size && p[n - 1] != '\n') {
		int c;

		complain(r, "%s:%d: line is longer than %d characters", r->path, r->line, size - 2);
		while ((c = fgetc(r->file)) != EOF && c != '\n')
			;
		snprintf(out, (size_t)size, ";\n");
	}
	return p;
}

/* Line of a key in the file, for complaints about two keys together; 0 when it is a default. */
static int line_of(const struct reading *r, const char *section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return r->set_at[i];
	assert(!"a key of the table");
	return 0;
}

static void check_together(struct reading *r)
{
	const struct config *c = r->config;

	if (c->listen_tls[0] != '\0' && c->listen_tls_certificate[0] == '\0')
		complain(r, "%s:%d: listen.tls = \"%s\" needs listen.tls_certificate", r->path,
			 line_of(r, "listen", "tls"), c->listen_tls);
	if (c->listen_tls[0] != '\0' && c->listen_tls_key[0] == '\0')
		complain(r, "%s:%d: listen.tls = \"%s\" needs listen.tls_key", r->path,
			 line_of(r, "listen", "tls"), c->listen_tls);
	if (c->listen_tcp[0] == '\0' && c->listen_tls[0] == '\0')
		complain(r,
			 "%s:%d: listen.tcp and listen.tls are both empty; one address is needed",
			 r->path, line_of(r, "listen", "tcp"));
	if (c->store_ack == ACK_STORE && c->store_conninfo[0] == '\0')
		complain(r, "%s:%d: store.ack = \"store\" needs store.conninfo", r->path,
			 line_of(r, "store", "ack"));
	if (c->limit_memory_mib * 1024 < c->limit_connection_kib)
		complain(r,
			 "%s:%d: limit.connection_kib = %" PRId64
			 " is more than limit.memory_mib = %" PRId64 " allows",
			 r->path, line_of(r, "limit", "connection_kib"), c->limit_connection_kib,
			 c->limit_memory_mib);
	if (c->spool_size_gib * 1024 < 4 * c->spool_segment_mib)
		complain(r,
			 "%s:%d: spool.size_gib = %" PRId64
			 " has no room for 4 segments of spool.segment_mib = %" PRId64,
			 r->path, line_of(r, "spool", "size_gib"), c->spool_size_gib,
			 c->spool_segment_mib);
}

static int set_defaults(struct config *c, struct error *err)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (!key_set(c, &keys[i], keys[i].initial))
			return error_set(err, ERROR_MEMORY, "configuration: out of memory");
	return 0;
}

int config_load(const char *path, struct config **ret, struct error *err)
{
	struct error scratch;
	struct reading r = { .path = path };
	int bad_line, rc;

	if (err == NULL)
		err = &scratch;
	r.complaints = err->text;
	r.size = sizeof(err->text);
	if ((r.config = calloc(1, sizeof(*r.config))) == NULL)
		return error_set(err, ERROR_MEMORY, "configuration: out of memory");
	if ((rc = set_defaults(r.config, err)) != 0)
		goto out;
	if ((r.file = fopen(path, "re")) == NULL) {
		rc = error_errno(err, ERROR_USAGE, "%s: cannot open the configuration", path);
		goto out;
	}
	err->text[0] = '\0';
	ini_use_stack = false; /* lines longer than inih's 200, for libpq strings */
	ini_max_line = LINE_SIZE;
	ini_initial_alloc = LINE_SIZE;
	ini_allow_multiline = false; /* an indented line is a line */
	bad_line = ini_parse_stream(read_line, &r, ini_cb, &r);
	if (bad_line > 0)
		complain(&r, "%s:%d: neither [section] nor key = value", path, bad_line);
	else if (bad_line < 0)
		complain(&r, "%s: out of memory", path);
	check_together(&r);
	if (r.count > 0) {
		err->code = ERROR_USAGE;
		rc = ERROR_USAGE;
		goto out;
	}
	*ret = r.config;
	r.config = NULL;
out:
	if (r.file != NULL)
		fclose(r.file);
	config_free(r.config);
	return rc;
}

static bool key_is_text(const struct key *k)
{
	return k->kind == KIND_TEXT || k->kind == KIND_PATH || k->kind == KIND_ADDRESS;
}

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (key_is_text(&keys[i]))
			free(*(char **)key_place(c, &keys[i]));
	free(c);
}

/* The value as it would stand in a file. */
static const char *key_text(const struct config *c, const struct key *k, char out[LIST_SIZE])
{
	const void *value = key_value(c, k);

	switch (k->kind) {
	case KIND_INT:
		snprintf(out, LIST_SIZE, "%" PRId64, *(const int64_t *)value);
		return out;
	case KIND_BOOL:
		return *(const bool *)value ? "yes" : "no";
	case KIND_CHOICE:
		choice_text(k->choices, *(const int *)value, out, LIST_SIZE);
		return out;
	case KIND_TEXT:
	case KIND_PATH:
	case KIND_ADDRESS:
		break;
	}
	return *(char *const *)value;
}

size_t config_keep_fixed(struct config *fresh, const struct config *old, char *names, size_t size)
{
	char before[LIST_SIZE], after[LIST_SIZE];
	size_t differ = 0, used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &keys[i];

		if (k->reload || strcmp(key_text(old, k, before), key_text(fresh, k, after)) == 0)
			continue;
		differ++;
		if (used < size)
			used += (size_t)snprintf(names + used, size - used, "%s%s.%s",
						 used > 0 ? " " : "", k->section, k->name);
		key_set(fresh, k, key_text(old, k, before));
	}
	return differ;
}

void config_print(const struct config *c)
{
	const char *section = "";
	char text[LIST_SIZE];

	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &keys[i];
		const char *value = key_text(c, k, text);

		if (strcmp(section, k->section) != 0)
			printf("%s[%s]\n", i > 0 ? "\n" : "", k->section);
		section = k->section;
		/* A libpq string may carry a password: better in ~/.pgpass, never on a screen. */
		if (k->kind == KIND_TEXT && strstr(value, "password") != NULL)
			printf(";%s = (hidden: holds a password)  ; %s\n", k->name, k->doc);
		else
			printf("%s = %s  ; %s\n", k->name, value, k->doc);
	}
}

void config_print_markdown(void)
{
	const char *section = "";
	char list[LIST_SIZE];

	printf("# Configuration\n\n"
	       "One INI file for the gateway, the query service and the tools. "
	       "This page is written by `haulgate --print-config-docs`; a test compares it.\n\n"
	       "`haulgate --config FILE --check-config` names everything that is wrong with a "
	       "file, "
	       "with line, key, value and what is allowed. `--print-config` shows the values in "
	       "force. A key marked *reload* is taken over on SIGHUP; a bad file keeps the old "
	       "values and says why. `;` after a blank begins a comment.\n");
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &keys[i];

		if (strcmp(section, k->section) != 0)
			printf("\n## [%s]\n\n| key | default | allowed | | meaning |\n"
			       "|---|---|---|---|---|\n",
			       k->section);
		section = k->section;
		printf("| `%s` | %s%s%s | %s | %s | %s |\n", k->name, k->initial[0] ? "`" : "",
		       k->initial[0] ? k->initial : "empty", k->initial[0] ? "`" : "",
		       key_allowed(k, list), k->reload ? "reload" : "", k->doc);
	}
}

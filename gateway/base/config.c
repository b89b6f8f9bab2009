#include "gateway/base/config.h"

#include <assert.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/config_table.h"

enum { LINE_SIZE = 4096 };

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

static bool section_known(const char *section)
{
	for (size_t i = 0; i < KEY_COUNT; i++)
		if (strcmp(config_keys[i].section, section) == 0)
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
		const char *name = section == NULL ? config_keys[i].section : config_keys[i].name;

		if (section == NULL ? strcmp(last, name) == 0
				    : strcmp(config_keys[i].section, section) != 0)
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

	while (i < KEY_COUNT && (strcmp(config_keys[i].section, section) != 0 ||
				 strcmp(config_keys[i].name, name) != 0))
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
	if (!key_set(r->config, &config_keys[i], value))
		complain(r, "%s:%d: %s.%s = \"%.80s\" is not allowed; allowed: %s", r->path,
			 r->line, section, name, value, key_allowed(&config_keys[i], list));
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
		if (strcmp(config_keys[i].section, section) == 0 &&
		    strcmp(config_keys[i].name, name) == 0)
			return r->set_at[i];
	assert(!"a key of the table");
	return 0;
}

static void check_tls_client(struct reading *r)
{
	const struct config *c = r->config;
	const int line = line_of(r, "listen", "tls_client");
	static const char *const modes[] = { "none", "optional", "required" };
	const struct {
		const char *value, *name;
	} needed[] = {
		{ c->listen_tls, "tls" },
		{ c->listen_tls_client_ca, "tls_client_ca" },
		{ c->listen_tls_crl, "tls_crl" },
	};

	for (size_t i = 0; i < 3 && c->listen_tls_client != TLS_CLIENT_NONE; i++)
		if (needed[i].value[0] == '\0')
			complain(r, "%s:%d: listen.tls_client = \"%s\" needs listen.%s", r->path,
				 line, modes[c->listen_tls_client], needed[i].name);
}

static void check_together(struct reading *r)
{
	const struct config *c = r->config;

	check_tls_client(r);
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
		if (!key_set(c, &config_keys[i], config_keys[i].initial))
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

void config_free(struct config *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < KEY_COUNT; i++)
		key_release(c, &config_keys[i]);
	free(c);
}

size_t config_keep_fixed(struct config *fresh, const struct config *old, char *names, size_t size)
{
	char before[LIST_SIZE], after[LIST_SIZE];
	size_t differ = 0, used = 0;

	names[0] = '\0';
	for (size_t i = 0; i < KEY_COUNT; i++) {
		const struct key *k = &config_keys[i];

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

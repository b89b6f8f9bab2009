#include "tools/cli/fleetsim/options.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/cli/fleetsim/attack.h"
#include "tools/cli/fleetsim/dialect.h"
#include "tools/cli/fleetsim/model.h"

enum option_kind { OPTION_COUNT, OPTION_NUMBER, OPTION_TEXT, OPTION_FLAG };

struct option_row {
	const char *name;
	enum option_kind kind;
	const char *initial, *unit, *doc;
	size_t value, has, given; /* offsets */
};

#define OPTION_ROW_(name, kind, initial, unit, doc)                                                \
	{ #name,                                                                                   \
	  OPTION_##kind,                                                                           \
	  initial,                                                                                 \
	  unit,                                                                                    \
	  doc,                                                                                     \
	  offsetof(struct options, name),                                                          \
	  offsetof(struct options, has_##name),                                                    \
	  offsetof(struct options, given_##name) },

static const struct option_row rows[] = { OPTIONS(OPTION_ROW_) };
enum { ROW_COUNT = sizeof(rows) / sizeof(rows[0]) };

static int set(struct options *o, const struct option_row *row, const char *text, struct error *err)
{
	char *place = (char *)o + row->value, *end = NULL;

	*((bool *)((char *)o + row->has)) = true;
	errno = 0;
	switch (row->kind) {
	case OPTION_COUNT: {
		const unsigned long long n = strtoull(text, &end, 10);
		if (end == text || *end != '\0' || errno != 0 || *text == '-' || n > 1u << 30)
			return error_set(err, ERROR_USAGE, "--%s %s: a whole number is wanted",
					 row->name, text);
		*(uint64_t *)(void *)place = n;
		return 0;
	}
	case OPTION_NUMBER: {
		const double x = strtod(text, &end);
		if (end == text || *end != '\0' || !(x >= 0 && x <= 1e6))
			return error_set(err, ERROR_USAGE,
					 "--%s %s: a number of 0 or more is wanted", row->name,
					 text);
		*(double *)(void *)place = x;
		return 0;
	}
	case OPTION_TEXT:
		*(const char **)(void *)place = text;
		return 0;
	default:
		*(bool *)place = true;
		return 0;
	}
}

/* "--tls-share" names the row "tls_share". */
static const struct option_row *find(const char *argument)
{
	if (strncmp(argument, "--", 2) != 0)
		return NULL;
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		const char *a = argument + 2, *b = rows[i].name;
		while (*a != '\0' && (*a == *b || (*a == '-' && *b == '_')))
			a++, b++;
		if (*a == '\0' && *b == '\0')
			return &rows[i];
	}
	return NULL;
}

int options_parse(int argc, char **argv, struct options *ret, struct error *err)
{
	int rc = 0;

	memset(ret, 0, sizeof(*ret));
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		if (rows[i].initial != NULL)
			rc = set(ret, &rows[i], rows[i].initial, err);
		assert(rc == 0);
	}
	for (int i = 1; i < argc && rc == 0; i++) {
		const struct option_row *row = find(argv[i]);
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			ret->help = true;
			return 0;
		}
		if (row == NULL)
			return error_set(err, ERROR_USAGE, "unknown argument '%s'; see --help",
					 argv[i]);
		if (row->kind != OPTION_FLAG && i + 1 == argc)
			return error_set(err, ERROR_USAGE, "%s needs a value; see --help", argv[i]);
		rc = set(ret, row, row->kind == OPTION_FLAG ? "" : argv[++i], err);
		*((bool *)((char *)ret + row->given)) = true;
	}
	return rc;
}

void options_help(void)
{
	printf("usage: tools/fleetsim [OPTION]...\n\n"
	       "Drives simulated trucks along the city's haul routes and reports as their OBD "
	       "terminals would.\n"
	       "Clean trucks are clean by physics; each kind of violator is wrong in its own "
	       "way.\n\n");
	for (unsigned i = 0; i < ROW_COUNT; i++) {
		char left[64];
		int n = snprintf(left, sizeof(left), "--%s %s", rows[i].name,
				 rows[i].unit != NULL ? rows[i].unit : "");
		for (int k = 2; k < n && left[k] != ' '; k++)
			left[k] = left[k] == '_' ? '-' : left[k];
		printf("  %-22s %s", left, rows[i].doc);
		if (rows[i].initial != NULL)
			printf(" (default %s)", rows[i].initial);
		printf("\n");
	}
	printf("\nDialects:\n");
	for (unsigned i = 0; i < DIALECT_COUNT; i++)
		printf("  %-12s %s%s\n", dialects[i].name, dialects[i].doc,
		       dialects[i].answered ? "; answered" : "");
#define KIND_LINE_(name, doc) printf("  %-15s %s\n", #name, doc);
	printf("\nKinds of trucks:\n");
	KINDS(KIND_LINE_)
#undef KIND_LINE_
#define ATTACK_LINE_(name, crowd, in_all, doc)                                                     \
	printf("  %-16s %s%s\n", #name, doc, (in_all) ? "" : "; not in \"all\"");
	printf("\nKinds of attacks, on gateways of this machine only:\n");
	ATTACKS(ATTACK_LINE_)
#undef ATTACK_LINE_
	printf("\nExit: 0 all sent (and verified; no attack had success), 1 not, 2 wrong "
	       "arguments.  docs/fleetsim.md "
	       "says more.\n");
}

/* ---- endpoints.env ---- */

static void take_line(const char *line, struct endpoints *ret)
{
	static const struct {
		const char *key;
		size_t offset;
	} keys[] = {
#define ENDPOINT_ROW_(member, key) { #key, offsetof(struct endpoints, member) },
		ENDPOINTS(ENDPOINT_ROW_)
	};
	const size_t key_size = strcspn(line, "=");

	for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (line[key_size] != '=' || strlen(keys[i].key) != key_size ||
		    strncmp(line, keys[i].key, key_size) != 0)
			continue;
		snprintf((char *)ret + keys[i].offset, sizeof(ret->tcp), "%.*s",
			 (int)strcspn(line + key_size + 1, "\r\n"), line + key_size + 1);
	}
}

int endpoints_load(const char *dir, struct endpoints *ret, struct error *err)
{
	char path[4096], line[1024];

	memset(ret, 0, sizeof(*ret));
	snprintf(path, sizeof(path), "%s/endpoints.env", dir);
	FILE *f = fopen(path, "re");
	if (f == NULL)
		return error_errno(err, ERROR_NOT_FOUND, "%s", path);
	while (fgets(line, sizeof(line), f) != NULL)
		take_line(line, ret);
	fclose(f);
	return 0;
}

/* ---- Beijing time ---- */

int beijing_time_parse(const char *text, int64_t *ret, struct error *err)
{
	struct tm tm = { .tm_isdst = 0 };
	int used = 0, second = 0, more = 0;

	if (sscanf(text, "%4d-%2d-%2d%*1[ T]%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		   &tm.tm_hour, &tm.tm_min, &used) != 5 ||
	    (text[used] != '\0' &&
	     (sscanf(text + used, ":%2d%n", &second, &more) != 1 || text[used + more] != '\0')))
		return error_set(err, ERROR_USAGE, "--start %s: YYYY-MM-DD HH:MM[:SS] is wanted",
				 text);
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	tm.tm_sec = second;
	*ret = (int64_t)timegm(&tm) - 8 * 3600;
	return 0;
}

void beijing_time_print(int64_t at, char out[20])
{
	const time_t local = (time_t)(at + 8 * 3600);
	struct tm tm;

	gmtime_r(&local, &tm);
	strftime(out, 20, "%Y-%m-%d %H:%M:%S", &tm);
}

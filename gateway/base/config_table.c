#include "gateway/base/config_table.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The fifth argument is a number or the list of choices, so each kind picks its own columns. */
#define RANGE_INT(low, high)	  .min = (low), .max = (high)
#define RANGE_CHOICE(zero, texts) .choices = (texts)
#define RANGE_TEXT(low, high)	  .max = (high)
#define RANGE_PATH(low, high)	  .max = (high)
#define RANGE_ADDRESS(low, high)  .max = (high)
#define RANGE_BOOL(low, high)	  .max = (high)

const struct key config_keys[KEY_COUNT] = {
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

const char *key_allowed(const struct key *k, char out[LIST_SIZE])
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

bool key_set(struct config *c, const struct key *k, const char *text)
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

const char *key_text(const struct config *c, const struct key *k, char out[LIST_SIZE])
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

void key_release(struct config *c, const struct key *k)
{
	if (k->kind == KIND_TEXT || k->kind == KIND_PATH || k->kind == KIND_ADDRESS)
		free(*(char **)key_place(c, k));
}

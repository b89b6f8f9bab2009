/* config_table.h - the rows of CONFIG_KEYS and their values; for the config*.c files only. */
#ifndef GATEWAY_BASE_CONFIG_TABLE_H
#define GATEWAY_BASE_CONFIG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/config.h"

enum kind { KIND_INT, KIND_TEXT, KIND_PATH, KIND_ADDRESS, KIND_CHOICE, KIND_BOOL };

enum { LIST_SIZE = 512 };

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

#define CONFIG_COUNT_(...) +1
enum { KEY_COUNT = 0 CONFIG_KEYS(CONFIG_COUNT_) };
extern const struct key config_keys[KEY_COUNT];

/* What may stand there, for messages and the documentation; returns out. */
const char *key_allowed(const struct key *k, char out[LIST_SIZE]);

/* Puts the value in its place; a text that stood there is freed.  False: not allowed. */
bool key_set(struct config *c, const struct key *k, const char *text);

/* The value as it would stand in a file; in out, or c's own text. */
const char *key_text(const struct config *c, const struct key *k, char out[LIST_SIZE]);

void key_release(struct config *c, const struct key *k);

#endif

/*
 * command.h - what the files of haulgate-command share.
 */
#ifndef TOOLS_CLI_COMMAND_H
#define TOOLS_CLI_COMMAND_H

#include "tools/cli/arguments.h"
#include "tools/cli/session.h"

struct command_tool {
	struct session session;
	struct error err;
};

/* Beyond those of arguments.h. */
enum { COMMAND_NOT_OBEYED = 3, COMMAND_STILL_OPEN = 4 };

/* command_order.c */
int command_order(const struct arguments *a, void *context);
int command_names(const struct arguments *a, void *context);
/* "90", "90s", "15m", "2h", "3d": seconds.  False: it is none of these. */
bool command_seconds(const char *text, int64_t *ret);

/* command_look.c */
int command_list(const struct arguments *a, void *context);
int command_show(const struct arguments *a, void *context);
int command_watch(const struct arguments *a, void *context);
int command_cancel(const struct arguments *a, void *context);
/* Tells on stderr what happens to it, until it ends; then shows it.  limit_s 0: no limit. */
int command_follow(struct command_tool *t, const char *id, int64_t limit_s, bool json);
/* The value that the statement gives, parsed; NULL with t->err set. */
json_t *command_ask(struct command_tool *t, const char *what, const char *sql, int n,
		    const char *const *values);
void command_print(const json_t *command, bool json);

#endif

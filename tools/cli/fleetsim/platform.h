/*
 * platform.h - an enterprise platform: one connection that carries the frames of many trucks.
 *
 *   OFFLINE -> CONNECTING -> GREETING -> ONLINE
 *      ^____________|___________|__________|
 *
 * It logs in by password and says nothing else of its own.  A truck's session goes on over it as
 * over a connection of the truck: the truck keeps what is owed and sends it again.  So when a truck
 * waits for an answer in vain, the connection is given up for all of them.  Loop thread only.
 */
#ifndef TOOLS_CLI_FLEETSIM_PLATFORM_H
#define TOOLS_CLI_FLEETSIM_PLATFORM_H

#include "tools/cli/fleetsim/terminal.h"

enum { PLATFORM_LOGIN_MAX = 12, PLATFORM_PASSWORD_MAX = 20 };

struct platform_account {
	const char *login; /* NULL: there is no platform */
	char password[PLATFORM_PASSWORD_MAX + 1];
};

/* Reads the password: a file of its owner alone, one line. */
int platform_account_load(const char *login, const char *password_file,
			  struct platform_account *ret, struct error *err);

struct platform;

/* terminals: all of the run, of which it serves those whose plan says so.  Both are borrowed. */
int platform_make(const struct platform_account *account, struct terminal_shared *shared,
		  struct terminal *terminals, struct platform **ret, struct error *err);
void platform_free(struct platform *p);

/* Every few milliseconds, before the terminals: connects, logs in, sends what was held back. */
void platform_tick(struct platform *p);

/* What a truck's frames go to; NULL: it is not logged in. */
struct link *platform_link(struct platform *p);

/* A truck's answers stay out: the connection ends, and all trucks on it are told. */
void platform_give_up(struct platform *p);

/* Says good-bye when nothing is owed any more. */
void platform_leave(struct platform *p);

/* 0, or why the account is of no use: it was refused again and again. */
int platform_failure(const struct platform *p, struct error *err);

#endif

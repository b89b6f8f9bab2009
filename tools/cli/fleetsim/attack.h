/*
 * attack.h - the attackers: strangers who forge, replay, probe, flood and hang on, from this
 * machine against a gateway of this machine only, for a bounded time.
 *
 * Each kind says afterwards what it did and what it got.  A forgery that was answered with success
 * is a breach.
 */
#ifndef TOOLS_CLI_FLEETSIM_ATTACK_H
#define TOOLS_CLI_FLEETSIM_ATTACK_H

#include "gateway/base/error.h"
#include "tools/cli/fleetsim/source.h"

/*
 * X(name, crowd, in_all, doc)
 *   crowd: many connections at a time, that burden; else scripts, that forge.
 *   in_all: "all" means it.
 */
#define ATTACKS(X)                                                                                 \
	X(replay, 0, 1, "a truck's recorded frames again, from elsewhere; the truck goes on")      \
	X(wrong_vin, 0, 1, "a logged-in truck reports, and logs in, for another VIN")              \
	X(wrong_key, 0, 1, "another chip's signature and activation for a truck's VIN")            \
	X(bit_flips, 0, 1, "signed units with one bit turned over and a right checksum")           \
	X(padding_probes, 0, 1, "ciphertext with padding of all kinds; one kind of answer is due") \
	X(unsigned_forgery, 0, 0,                                                                  \
	  "a report without signature while the truck is away; policy `optional` allows it")       \
	X(flood, 1, 1, "requests as fast as they are taken")                                       \
	X(slow_reader, 1, 1, "requests, and no answer is ever read")                               \
	X(drip_feeder, 1, 1, "a login, a byte a second")                                           \
	X(half_open, 1, 1, "connects and says nothing")                                            \
	X(herd, 1, 1, "all log in at once, again and again")                                       \
	X(mass_disconnect, 1, 1, "all log in, then all connections are reset at once")

#define ATTACK_ENUM_(name, ...) ATTACK_##name,
enum attack_kind { ATTACKS(ATTACK_ENUM_) ATTACK_COUNT };
#undef ATTACK_ENUM_

enum { ATTACKERS_MAX = 20000, ATTACK_SECONDS_MAX = 3600 };

struct attack_settings {
	const char *kinds; /* "all", or names by comma */
	const char *tcp;   /* HOST:PORT; only 127.0.0.0/8 is attacked */
	const char *keys;  /* folder with the gateway's rsa*.pem, for padding_probes; may be NULL */
	unsigned attackers, seconds;
	struct fleet_plan plan; /* the trucks that attackers are, or pretend to be */
};

/*
 * Runs all kinds side by side and prints a line for each.  Returns 0, ERROR_USAGE when it was not
 * begun, or ERROR_CORRUPT when an attack was answered with success.
 */
int attack_run(const struct attack_settings *s, struct error *err);

#endif

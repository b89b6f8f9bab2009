/* attacker.h - inside of the attackers: what each kind is given, and what it counts. */
#ifndef TOOLS_CLI_FLEETSIM_ATTACKER_H
#define TOOLS_CLI_FLEETSIM_ATTACKER_H

#include <netinet/in.h>

#include "tools/cli/fleetsim/attack.h"
#include "tools/cli/fleetsim/parcel.h"

/* X(name, what it counts) */
#define HEARINGS(X)                                                                                \
	X(success, "answered with success")                                                        \
	X(error, "answered with an error")                                                         \
	X(closed, "closed by the gateway")                                                         \
	X(silent, "not answered")

#define HEARING_ENUM_(name, doc) HEARD_##name,
enum heard { HEARINGS(HEARING_ENUM_) HEARD_COUNT };
#undef HEARING_ENUM_

struct attack_result {
	uint64_t attempts, heard[HEARD_COUNT];
	uint64_t breaches, unprepared; /* the honest part before it did not come about */
	char first_breach[160];
};

/* One thread of one kind. */
struct attack {
	const struct attack_settings *settings;
	struct sockaddr_in to;
	enum attack_kind kind;
	unsigned first, count; /* trucks of the plan that are its own */
	int64_t ends_us;
	struct attack_result result;
};

bool attack_over(const struct attack *a);
void attack_breach(struct attack *a, const char *vin, const char *what);

/* ---- attack_client.c: a connection that waits for its answers ---- */

struct client {
	int fd; /* -1: none */
	uint8_t bytes[1024];
	size_t size;
};

/* Nonblocking connect from an address of its own; -1: no socket. */
int attack_socket(const struct attack *a, unsigned index);
bool client_open(struct client *c, const struct attack *a, unsigned index);
void client_close(struct client *c);
/* Sends a frame and waits for the answer of its command. */
enum heard client_ask(struct client *c, const uint8_t *bytes, size_t size);

/* ---- a truck that an attacker is, or pretends to be ---- */

struct victim {
	struct truck_plan plan;
	struct source source;
	struct chip *chip, *other; /* its own, and a stranger's */
	struct client client;
	unsigned index;
};

bool victim_init(struct victim *v, const struct attack *a, unsigned index);
void victim_release(struct victim *v);
size_t victim_login(const struct victim *v, uint8_t *buf, size_t max);
/* The next ten seconds as a report of vin, sent age_s ago. chip NULL: unsigned. */
size_t victim_report(struct victim *v, struct chip *chip, const char *vin, int64_t age_s,
		     uint8_t *buf, size_t max);
size_t victim_activation(const struct victim *v, const struct chip *chip, uint8_t *buf, size_t max);
/* Turns over one bit of the unit in frame and makes the checksum right. */
void frame_flip(uint8_t *frame, size_t size, size_t bit);
/*
 * Activates, logs in, and reports until the gateway knows the key: a good report is taken and a
 * changed one refused.
 */
bool victim_begin(struct victim *v, struct attack *a);

/* ---- the kinds ---- */

void attack_forge(struct attack *a); /* attack_forge.c */
void attack_crowd(struct attack *a); /* attack_crowd.c */

#endif

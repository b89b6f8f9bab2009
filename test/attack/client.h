/*
 * client.h - one terminal of the attack run, honest or hostile, as seen by its own process.
 *
 * The process is one thread with an epoll; a client is a socket and what is to be done with it
 * next.  What it says comes from the table of roles.
 */
#ifndef TEST_ATTACK_CLIENT_H
#define TEST_ATTACK_CLIENT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "tools/cli/bench/load.h"

enum { IN_SIZE = 1024, LATENCIES_MAX = 1 << 20 };

struct crowd;
struct client;

struct role {
	const char *name;
	bool logs_in;
	bool counts; /* its disconnects and latencies are figures of the run */
	/* Time has come: it is connected (and logged in, where it does that). */
	void (*act)(struct crowd *w, struct client *c);
	/* The socket takes bytes, and it has nothing better to do; NULL: never asked. */
	void (*flood)(struct crowd *w, struct client *c);
	bool deaf;	       /* never reads after its login */
	unsigned interval_ms;  /* between two acts */
	unsigned reconnect_ms; /* after its connection ended */
};

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_LOGGING_IN, CLIENT_IN };

struct client {
	const struct role *role;
	struct load_peer peer;
	struct in_addr source;
	unsigned interval_ms; /* of its role, unless the run says otherwise */
	int fd;
	enum client_state state;
	int64_t next_ns;  /* when to act, to connect again, or to give up */
	int64_t began_ns; /* of the connection or the request that is waited for; 0: of none */
	uint8_t in[IN_SIZE];
	size_t in_size;
};

/* All clients of the process, and what was counted since the last report. */
struct crowd {
	int epoll;
	struct sockaddr_in server;
	struct client *clients;
	unsigned count;
	unsigned connecting, connected, in; /* now */
	uint64_t connects, disconnects, late, answered, sent_bytes;
	uint32_t *latency_us, *login_us;
	size_t latencies, logins;
};

int64_t now_ns(void);
/* NULL: there is no such role. */
const struct role *role_named(const char *name);
/* Sends what the socket takes; false: not all of it, and the frame is broken off there. */
bool client_send(struct crowd *w, struct client *c, const uint8_t *bytes, size_t size);

void client_connect(struct crowd *w, struct client *c);
/* again_ns: when to connect the next time. */
void client_leave(struct crowd *w, struct client *c, int64_t again_ns);
void client_event(struct crowd *w, struct client *c, uint32_t events);
/* Does what is due. */
void client_tick(struct crowd *w, struct client *c, int64_t now);

#endif

/*
 * service.h - HTTP on the loop: libmicrohttpd's epoll descriptor watched by libuv, no threads.
 *
 * Bounded: connections, header size, request bodies (none), waiting requests, time of a statement.
 * A client that leaves while its statement runs has it cancelled.
 */
#ifndef GATEWAY_QUERY_SERVICE_H
#define GATEWAY_QUERY_SERVICE_H

#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"

enum { SERVICE_ADDRESS_SIZE = 80 };

struct service;

/* config must outlive the service.  Listens; does not wait for the database. */
int service_new(uv_loop_t *loop, const struct config *config, struct service **ret,
		struct error *err);

/* "127.0.0.1:43211", also when the configured port is 0. */
const char *service_address(const struct service *s);

/* Reads the token file again; on failure the tokens stay as they were. */
int service_reload(struct service *s, struct error *err);

/*
 * Stops listening, lets running requests end (at most grace_ms), closes everything; then the loop
 * has nothing left to do and s is released.
 */
void service_stop(struct service *s, unsigned grace_ms);

#endif

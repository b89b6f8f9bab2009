/*
 * service.h - all links of one gateway, kept as the rows of platform_link say.
 *
 * Rows are read when the database becomes ready, at a NOTIFY haulgate_link, on a reload and each
 * minute; the position of the gateway's store five times a second.  When the database is away the
 * links go on up to the last position that is known.
 *
 * One thread, the loop's.
 */
#ifndef GATEWAY_LINK_SERVICE_H
#define GATEWAY_LINK_SERVICE_H

#include <uv.h>

#include "gateway/base/config.h"
#include "gateway/base/error.h"

struct service;

/* config: stays the caller's, until service_reload() gave another one or the loop has ended. */
int service_new(uv_loop_t *loop, const struct config *config, struct service **ret,
		struct error *err);
/* New times; every link tries at once. */
void service_reload(struct service *s, const struct config *config);
/* Logs out, writes the positions down, five seconds at most; then the loop has nothing left. */
void service_stop(struct service *s);
/* After the loop has ended. */
void service_free(struct service *s);

#endif

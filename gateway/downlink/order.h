/*
 * order.h - a command as JSON, which is how it is ordered and how the table command keeps it, to
 * its typed values.
 *
 *   query    ["heartbeat_s", "platform_domain"]
 *   set      {"heartbeat_s": 60}
 *   control  {"action": "alarm", "level": 2, "text": "..."}
 *
 * Names and what they allow are those of proto/wire/downlink.h.
 */
#ifndef GATEWAY_DOWNLINK_ORDER_H
#define GATEWAY_DOWNLINK_ORDER_H

#include <jansson.h>

#include "gateway/base/error.h"
#include "proto/wire/downlink.h"

/*
 * Checks everything that can be checked without the terminal's edition.  ERROR_USAGE: the text
 * names the field and says what is allowed.
 */
int order_parse(const char *kind, const json_t *parameters, struct downlink_command *ret,
		struct error *err);

/* The same from a text. */
int order_parse_text(const char *kind, const char *parameters, struct downlink_command *ret,
		     struct error *err);

#endif

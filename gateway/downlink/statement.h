/*
 * statement.h - one statement on the connection of a struct queue, waited for with a limit.
 *
 * Functions return 0, or -1 or NULL: what was wrong stands in q->sqlstate and q->message.
 */
#ifndef GATEWAY_DOWNLINK_STATEMENT_H
#define GATEWAY_DOWNLINK_STATEMENT_H

#include "gateway/downlink/queue.h"

enum { VALUES_MAX = 16, NUMBER_SIZE = 24 };

/* Parameters of one statement: texts, but for bytes. */
struct values {
	int n;
	const char *value[VALUES_MAX];
	int size[VALUES_MAX], format[VALUES_MAX];
	char number[VALUES_MAX][NUMBER_SIZE];
};
void values_text(struct values *v, const char *text); /* not copied; NULL is NULL */
void values_number(struct values *v, int64_t number);
void values_bytes(struct values *v, const uint8_t *bytes, size_t size); /* not copied */

/* v: may be NULL. */
PGresult *statement_run(struct queue *q, const char *sql, const struct values *v);
int statement_only(struct queue *q, const char *sql, const struct values *v); /* no rows wanted */

/* Both return -1. */
int statement_fail(struct queue *q, const char *sqlstate, const char *message);
int statement_lost(struct queue *q); /* with the connection's own reason */

/* Waits for the socket, no longer than until the limit or q->deadline_ns. */
int statement_wait(struct queue *q, short events, int64_t limit_ns);
int64_t statement_limit(int seconds); /* from now */

#endif

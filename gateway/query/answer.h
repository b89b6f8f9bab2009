/*
 * answer.h - the functions behind the routes: struct route.start.
 */
#ifndef GATEWAY_QUERY_ANSWER_H
#define GATEWAY_QUERY_ANSWER_H

struct request;
struct stream;

void answer_health(struct request *r);
void answer_ready(struct request *r);
void answer_metrics(struct request *r);
/* The route's statement gives one JSON value, which is the body. */
void answer_json(struct request *r);
/* The body is the order; the route's statement gives the command and its number. */
void answer_command_order(struct request *r);
/* The route's statement gives the vehicle and period; their samples are streamed. */
void answer_samples(struct request *r);

/* The client left / the request is over and will be freed: the stream must not use it any more. */
void stream_client_left(struct stream *t);
void stream_request_ended(struct stream *t);

#endif

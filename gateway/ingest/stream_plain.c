#include "gateway/ingest/stream.h"

#include "gateway/ingest/connection.h"

static void plain_finish(struct connection *c)
{
	(void)c; /* TCP's own end is enough */
}

static void plain_release(struct connection *c)
{
	(void)c;
}

const struct stream stream_plain = {
	.received = connection_input,
	.send = connection_write,
	.finish = plain_finish,
	.release = plain_release,
};

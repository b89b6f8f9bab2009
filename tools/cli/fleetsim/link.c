#include "tools/cli/fleetsim/link.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>

enum { READ_SIZE = 16 * 1024, MERGE_SIZE = 1200, MERGE_TICKS = 8, BYTE_SIZE_MAX = 600 };

struct buffer {
	uint8_t *bytes;
	size_t size, room;
};

struct link {
	uv_tcp_t tcp;
	uv_connect_t connect;
	uv_write_t write;
	const struct link_handler *handler;
	void *arg;
	SSL *ssl; /* NULL: plain */
	bool connected, open, closing, writing;
	enum segments segments;
	struct prng *chance;
	struct buffer out, flying; /* to be sent; being written by uv_write */
	unsigned held_ticks;
	bool cut; /* the first part of a cut is sent */
};

static void append(struct buffer *b, const uint8_t *bytes, size_t size)
{
	if (b->size + size > b->room) {
		const size_t room = (b->size + size) * 2;
		uint8_t *grown = realloc(b->bytes, room);
		assert(grown != NULL); /* the caller bounds the backlog */
		b->bytes = grown;
		b->room = room;
	}
	memcpy(b->bytes + b->size, bytes, size);
	b->size += size;
}

static void drop_front(struct buffer *b, size_t n)
{
	assert(n <= b->size);
	memmove(b->bytes, b->bytes + n, b->size - n);
	b->size -= n;
	if (b->size == 0 && b->room > 64 * 1024) {
		free(b->bytes);
		*b = (struct buffer){ .bytes = NULL };
	}
}

static void on_closed(uv_handle_t *handle)
{
	struct link *l = handle->data;

	SSL_free(l->ssl);
	free(l->out.bytes);
	free(l->flying.bytes);
	free(l);
}

void link_close(struct link *l)
{
	if (l->closing)
		return;
	l->closing = true;
	uv_close((uv_handle_t *)&l->tcp, on_closed);
}

static void fail(struct link *l)
{
	if (l->closing)
		return;
	link_close(l);
	l->handler->closed(l->arg, l->open);
}

/* ---- sending ---- */

static void on_written(uv_write_t *request, int status)
{
	struct link *l = request->data;

	l->writing = false;
	l->flying.size = 0;
	if (status < 0)
		fail(l);
	else if (!l->closing)
		link_flush(l);
}

/* Gives the first n bytes to the kernel, waiting for room if it must. */
static void push_out(struct link *l, size_t n)
{
	uv_buf_t piece = uv_buf_init((char *)l->out.bytes, (unsigned)n);
	int taken;

	if (n == 0 || l->writing || l->closing)
		return;
	taken = uv_try_write((uv_stream_t *)&l->tcp, &piece, 1);
	if (taken == UV_EAGAIN)
		taken = 0;
	if (taken < 0) {
		fail(l);
		return;
	}
	drop_front(&l->out, (size_t)taken);
	if ((size_t)taken == n)
		return;
	append(&l->flying, l->out.bytes, l->out.size);
	l->out.size = 0;
	piece = uv_buf_init((char *)l->flying.bytes, (unsigned)l->flying.size);
	l->write.data = l;
	l->writing = true;
	if (uv_write(&l->write, (uv_stream_t *)&l->tcp, &piece, 1, on_written) != 0) {
		l->writing = false;
		fail(l);
	}
}

static void push_bytes(struct link *l)
{
	if (l->out.size > BYTE_SIZE_MAX || l->writing) {
		push_out(l, l->out.size); /* behind already: single bytes would never catch up */
		return;
	}
	for (size_t n = l->out.size; n > 0 && !l->closing && !l->writing; n--)
		push_out(l, 1);
}

void link_flush(struct link *l)
{
	if (!l->connected || l->out.size == 0)
		return;
	switch (l->open ? l->segments : SEGMENT_whole) {
	case SEGMENT_random:
		/* The rest of a cut goes with the next tick, together with what came meanwhile. */
		if (!l->cut)
			push_out(l, 1 + (size_t)prng_below(l->chance, l->out.size));
		l->cut = l->out.size > 0;
		break;
	case SEGMENT_byte:
		push_bytes(l);
		break;
	case SEGMENT_merged:
		if (l->out.size >= MERGE_SIZE)
			push_out(l, l->out.size);
		break;
	default:
		push_out(l, l->out.size);
	}
}

void link_tick(struct link *l)
{
	if (!l->connected || l->out.size == 0) {
		l->held_ticks = 0;
		return;
	}
	if (l->segments == SEGMENT_merged && ++l->held_ticks < MERGE_TICKS)
		return;
	l->held_ticks = 0;
	l->cut = false;
	push_out(l, l->out.size);
}

static void drain_tls(struct link *l)
{
	BIO *out = SSL_get_wbio(l->ssl);
	uint8_t piece[4096];
	int n;

	while ((n = BIO_read(out, piece, sizeof(piece))) > 0)
		append(&l->out, piece, (size_t)n);
}

void link_send(struct link *l, const uint8_t *bytes, size_t size)
{
	assert(l->open && !l->closing && size > 0);
	if (l->ssl == NULL) {
		append(&l->out, bytes, size);
		return;
	}
	/* A memory BIO takes everything. */
	if (SSL_write(l->ssl, bytes, (int)size) != (int)size)
		fail(l);
	else
		drain_tls(l);
}

size_t link_backlog(const struct link *l)
{
	return l->out.size + l->flying.size;
}

bool link_certify(struct link *l, const char *certificate, const char *key)
{
	assert(l->ssl != NULL && !l->open);
	return SSL_use_certificate_file(l->ssl, certificate, SSL_FILETYPE_PEM) == 1 &&
	       SSL_use_PrivateKey_file(l->ssl, key, SSL_FILETYPE_PEM) == 1;
}

void link_cut(struct link *l, enum segments segments, struct prng *chance)
{
	l->segments = segments;
	l->chance = chance;
}

/* ---- receiving ---- */

static void now_open(struct link *l)
{
	l->open = true;
	l->handler->opened(l->arg);
}

static void tls_step(struct link *l, const uint8_t *bytes, size_t size)
{
	uint8_t plain[READ_SIZE];
	int n = 1;

	if (size > 0)
		BIO_write(SSL_get_rbio(l->ssl), bytes, (int)size);
	if (!l->open) {
		n = SSL_do_handshake(l->ssl);
		drain_tls(l);
		link_flush(l);
		if (n == 1 && !l->closing)
			now_open(l);
	}
	while (n > 0 && l->open && !l->closing) {
		n = SSL_read(l->ssl, plain, sizeof(plain));
		if (n > 0)
			l->handler->received(l->arg, plain, (size_t)n);
	}
	if (l->closing)
		return;
	if (n <= 0 && SSL_get_error(l->ssl, n) != SSL_ERROR_WANT_READ)
		fail(l);
	ERR_clear_error();
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *ret)
{
	static _Thread_local char buffer[READ_SIZE];

	(void)handle;
	(void)hint;
	*ret = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct link *l = stream->data;

	if (l->closing || n == 0)
		return;
	if (n < 0)
		fail(l);
	else if (l->ssl != NULL)
		tls_step(l, (const uint8_t *)buf->base, (size_t)n);
	else
		l->handler->received(l->arg, (const uint8_t *)buf->base, (size_t)n);
}

static void on_connected(uv_connect_t *request, int status)
{
	struct link *l = request->data;

	if (l->closing)
		return;
	if (status < 0 || uv_read_start((uv_stream_t *)&l->tcp, on_alloc, on_read) != 0) {
		fail(l);
		return;
	}
	uv_tcp_nodelay(&l->tcp, 1);
	l->connected = true;
	if (l->ssl != NULL)
		tls_step(l, NULL, 0);
	else
		now_open(l);
}

int link_open(uv_loop_t *loop, const struct sockaddr *address, SSL_CTX *tls,
	      const struct link_handler *handler, void *arg, struct link **ret)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (l == NULL)
		return UV_ENOMEM;
	l->handler = handler;
	l->arg = arg;
	rc = uv_tcp_init(loop, &l->tcp);
	if (rc != 0) {
		free(l);
		return rc;
	}
	l->tcp.data = l->connect.data = l;
	if (tls != NULL) {
		l->ssl = SSL_new(tls);
		BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
		if (l->ssl == NULL || in == NULL || out == NULL) {
			BIO_free(in);
			BIO_free(out);
			link_close(l);
			return UV_ENOMEM;
		}
		SSL_set_bio(l->ssl, in, out);
		SSL_set_connect_state(l->ssl);
	}
	rc = uv_tcp_connect(&l->connect, &l->tcp, address, on_connected);
	if (rc != 0) {
		link_close(l);
		return rc;
	}
	*ret = l;
	return 0;
}

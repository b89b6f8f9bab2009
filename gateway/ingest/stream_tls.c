/*
 * stream_tls.c - TLS between socket and frames.
 *
 * OpenSSL reads straight out of the loop's read buffer and writes into the loop's out buffer
 * (see the BIO in tls.c), so an idle connection holds no buffer of ours, and with
 * SSL_MODE_RELEASE_BUFFERS none of OpenSSL's.  Invariant: both windows are empty between events.
 */
#include "gateway/ingest/stream.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>

#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

static void flush(struct connection *c)
{
	struct loop *l = c->loop;
	const size_t size = l->out_size;

	l->out_size = 0;
	if (size > 0)
		connection_write(c, l->out_buffer, size);
}

/* Why a certificate was not good; other handshakes fail all the time, for nothing. */
static void log_refused(struct connection *c)
{
	const long why = SSL_get_verify_result(c->ssl);
	char peer[PEER_TEXT_SIZE];

	if (why == X509_V_OK)
		return;
	metrics_add(c->loop->metrics, METRIC_tls_certificates_refused_total, 1);
	if (loop_may_log(c->loop))
		log_line(LOG_INFO, "certificate refused reason=\"%s\" peer=%s",
			 X509_verify_cert_error_string(why), connection_peer_text(c, peer));
}

/* True once the handshake is done. */
static bool shake_hands(struct connection *c)
{
	const int done = SSL_do_handshake(c->ssl);

	assert(c->loop->handshake_steps > 0);
	c->loop->handshake_steps--;

	flush(c); /* an alert too */
	if (done != 1 && SSL_get_error(c->ssl, done) == SSL_ERROR_WANT_READ)
		return false;
	if (!connection_open(c))
		return false;
	if (done != 1 || !tls_admit(c->loop->server->tls, c)) {
		metrics_add(c->loop->metrics, METRIC_tls_handshakes_failed_total, 1);
		log_refused(c);
		connection_close(c, END_TLS);
		return false;
	}
	metrics_add(c->loop->metrics, METRIC_tls_handshakes_total, 1);
	connection_ready(c);
	return true;
}

static void tls_received(struct connection *c, const uint8_t *bytes, size_t size)
{
	struct loop *l = c->loop;
	int n, why = SSL_ERROR_WANT_READ;

	assert(l->cipher_size == 0 && l->out_size == 0);
	ERR_clear_error();
	l->cipher = bytes;
	l->cipher_size = size;
	if (c->state != CONNECTION_HANDSHAKE || shake_hands(c))
		while (connection_open(c)) {
			n = SSL_read(c->ssl, l->plain_buffer, sizeof(l->plain_buffer));
			if (n <= 0)
				why = SSL_get_error(c->ssl, n);
			flush(c); /* key updates and alerts */
			if (n <= 0)
				break;
			connection_input(c, l->plain_buffer, (size_t)n);
		}
	l->cipher = NULL;
	l->cipher_size = 0;
	if (!connection_open(c) || why == SSL_ERROR_WANT_READ)
		return;
	if (why == SSL_ERROR_ZERO_RETURN)
		connection_input_ends(c);
	else
		connection_close(c, END_TLS);
}

static void tls_send(struct connection *c, const uint8_t *bytes, size_t size)
{
	int n;

	assert(c->loop->out_size == 0);
	ERR_clear_error();
	n = SSL_write(c->ssl, bytes, (int)size);
	flush(c);
	/* Our BIO takes everything, so a short write is a broken session. */
	if (n != (int)size)
		connection_close(c, END_TLS);
}

static void tls_finish(struct connection *c)
{
	if (c->state == CONNECTION_HANDSHAKE)
		return;
	ERR_clear_error();
	SSL_shutdown(c->ssl);
	flush(c);
}

static void tls_release(struct connection *c)
{
	SSL_free(c->ssl); /* NULL when it was shed */
	free(c->certificate);
	c->ssl = NULL;
	c->certificate = NULL;
}

const struct stream stream_tls = {
	.received = tls_received,
	.send = tls_send,
	.finish = tls_finish,
	.release = tls_release,
};

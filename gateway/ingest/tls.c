#include "gateway/ingest/tls.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

enum { TICKET_KEYS_MAX = 256, TICKET_S = 24 * 3600 };

struct tls {
	pthread_mutex_t mutex; /* of context */
	SSL_CTX *context;
	BIO_METHOD *bio;
};

/* ---- the BIO: a window on the loop's buffers, nothing of its own ---- */

static int bio_read(BIO *bio, char *out, int size)
{
	struct loop *l = ((struct connection *)BIO_get_data(bio))->loop;
	size_t n = (size_t)size < l->cipher_size ? (size_t)size : l->cipher_size;

	BIO_clear_retry_flags(bio);
	if (n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	memcpy(out, l->cipher, n);
	l->cipher += n;
	l->cipher_size -= n;
	return (int)n;
}

static int bio_write(BIO *bio, const char *bytes, int size)
{
	struct connection *c = BIO_get_data(bio);
	struct loop *l = c->loop;

	BIO_clear_retry_flags(bio);
	if (l->out_size + (size_t)size > sizeof(l->out_buffer)) {
		connection_write(c, l->out_buffer, l->out_size);
		l->out_size = 0;
	}
	if ((size_t)size > sizeof(l->out_buffer)) {
		connection_write(c, (const uint8_t *)bytes, (size_t)size);
		return size;
	}
	memcpy(l->out_buffer + l->out_size, bytes, (size_t)size);
	l->out_size += (size_t)size;
	return size;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
	(void)bio;
	(void)number;
	(void)pointer;
	return command == BIO_CTRL_FLUSH;
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

static BIO_METHOD *bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loop");

	if (m == NULL || !BIO_meth_set_read(m, bio_read) || !BIO_meth_set_write(m, bio_write) ||
	    !BIO_meth_set_ctrl(m, bio_ctrl) || !BIO_meth_set_create(m, bio_create)) {
		BIO_meth_free(m);
		return NULL;
	}
	return m;
}

/* ---- the context ---- */

static int tls_error(struct error *err, const char *what, const char *file)
{
	const unsigned long code = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(code);

	error_set(err, ERROR_USAGE, "%s %s: %s", what, file,
		  reason != NULL ? reason : "not usable");
	ERR_clear_error();
	return ERROR_USAGE;
}

/* A key that everybody can read is no key. */
static int check_key_mode(const char *key, struct error *err)
{
	struct stat st;

	if (stat(key, &st) != 0)
		return error_errno(err, ERROR_USAGE, "listen.tls_key %s", key);
	if ((st.st_mode & S_IRWXO) != 0)
		return error_set(err, ERROR_USAGE,
				 "listen.tls_key %s: mode %04o lets everybody in; chmod 0600 it",
				 key, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int context_load(const char *certificate, const char *key, SSL_CTX **ret, struct error *err)
{
	SSL_CTX *x = NULL;
	int rc;

	ERR_clear_error();
	if ((rc = check_key_mode(key, err)) != 0)
		return rc;
	if ((x = SSL_CTX_new(TLS_server_method())) == NULL)
		return error_set(err, ERROR_MEMORY, "TLS: out of memory");
	SSL_CTX_set_min_proto_version(x, TLS1_2_VERSION);
	SSL_CTX_set_mode(x, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(x, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
				       SSL_OP_CIPHER_SERVER_PREFERENCE |
				       SSL_OP_IGNORE_UNEXPECTED_EOF);
	SSL_CTX_set_max_early_data(x, 0);
	/* Sessions live in tickets alone: no cache to bound, and any process of the port can
	 * resume. */
	SSL_CTX_set_session_cache_mode(x, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(x, (const unsigned char *)"haulgate", 8);
	SSL_CTX_set_num_tickets(x, 1);
	SSL_CTX_set_timeout(x, TICKET_S);
	if (SSL_CTX_use_certificate_chain_file(x, certificate) != 1)
		rc = tls_error(err, "listen.tls_certificate", certificate);
	else if (SSL_CTX_use_PrivateKey_file(x, key, SSL_FILETYPE_PEM) != 1)
		rc = tls_error(err, "listen.tls_key", key);
	else if (SSL_CTX_check_private_key(x) != 1)
		rc = tls_error(err, "listen.tls_key does not belong to the certificate:", key);
	if (rc != 0) {
		SSL_CTX_free(x);
		return rc;
	}
	*ret = x;
	return 0;
}

int tls_new(const char *certificate, const char *key, struct tls **ret, struct error *err)
{
	struct tls *t = calloc(1, sizeof(*t));
	int rc;

	if (t == NULL || (t->bio = bio_method()) == NULL) {
		free(t);
		return error_set(err, ERROR_MEMORY, "TLS: out of memory");
	}
	pthread_mutex_init(&t->mutex, NULL);
	if ((rc = context_load(certificate, key, &t->context, err)) != 0) {
		tls_free(t);
		return rc;
	}
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->context);
	BIO_meth_free(t->bio);
	pthread_mutex_destroy(&t->mutex);
	free(t);
}

/* The storm after a reload would else be one of full handshakes. */
static void keep_ticket_keys(SSL_CTX *fresh, SSL_CTX *old)
{
	unsigned char keys[TICKET_KEYS_MAX];
	const long size = SSL_CTX_get_tlsext_ticket_keys(old, NULL, 0);

	if (size > 0 && size <= (long)sizeof(keys) &&
	    SSL_CTX_get_tlsext_ticket_keys(old, keys, size) == 1)
		SSL_CTX_set_tlsext_ticket_keys(fresh, keys, size);
	OPENSSL_cleanse(keys, sizeof(keys));
}

int tls_reload(struct tls *t, const char *certificate, const char *key, struct error *err)
{
	SSL_CTX *fresh = NULL, *old;
	const int rc = context_load(certificate, key, &fresh, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&t->mutex);
	old = t->context;
	keep_ticket_keys(fresh, old);
	t->context = fresh;
	pthread_mutex_unlock(&t->mutex);
	SSL_CTX_free(old); /* connections that use it keep it */
	return 0;
}

SSL *tls_accept(struct tls *t, struct connection *c)
{
	BIO *bio = BIO_new(t->bio);
	SSL *ssl;

	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, c);
	pthread_mutex_lock(&t->mutex);
	ssl = SSL_new(t->context);
	pthread_mutex_unlock(&t->mutex);
	if (ssl == NULL) {
		BIO_free(bio);
		return NULL;
	}
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	return ssl;
}

/* Terminals show no certificates yet. */

const char *tls_certificate_vin(const struct connection *c)
{
	(void)c;
	return NULL;
}

bool tls_certificate_fingerprint(const struct connection *c, uint8_t out[32])
{
	(void)c;
	(void)out;
	return false;
}

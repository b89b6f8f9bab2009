#include "gateway/ingest/tls.h"

#include <assert.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "gateway/base/log.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"
#include "gateway/ingest/tls_certificate.h"
#include "gateway/ingest/tls_trust.h"

enum { TICKET_KEYS_MAX = 256, TICKET_S = 24 * 3600, FAULT_SIZE = 256 };

struct tls {
	pthread_mutex_t mutex; /* of context and trust */
	SSL_CTX *context;
	struct trust *trust; /* NULL: nobody is asked for a certificate */
	BIO_METHOD *bio;
	/* Of the thread that reloads and watches. */
	struct metrics_thread *metrics;
	char fault[FAULT_SIZE]; /* as it was said last; empty: none */
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

static int load_own(SSL_CTX *x, const struct config *c, struct error *err)
{
	if (SSL_CTX_use_certificate_chain_file(x, c->listen_tls_certificate) != 1)
		return tls_error(err, "listen.tls_certificate", c->listen_tls_certificate);
	if (SSL_CTX_use_PrivateKey_file(x, c->listen_tls_key, SSL_FILETYPE_PEM) != 1)
		return tls_error(err, "listen.tls_key", c->listen_tls_key);
	if (SSL_CTX_check_private_key(x) != 1)
		return tls_error(err, "listen.tls_key does not belong to the certificate:",
				 c->listen_tls_key);
	return 0;
}

/* A resumed session shows no certificate, and nobody looks at the old one again. */
static SSL_TICKET_RETURN take_ticket(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
				     size_t name_size, SSL_TICKET_STATUS status, void *arg)
{
	(void)ssl;
	(void)name;
	(void)name_size;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (SSL_SESSION_get0_peer(session) != NULL)
		return SSL_TICKET_RETURN_IGNORE;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

/* Asked for each certificate of a chain: this peer gets no ticket, it would be of no use. */
static int on_verify(int ok, X509_STORE_CTX *x)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(x, SSL_get_ex_data_X509_STORE_CTX_idx());

	SSL_set_num_tickets(ssl, 0);
	return ok;
}

static int ask_for_certificates(SSL_CTX *x, const struct config *c, const struct trust *trust,
				struct error *err)
{
	STACK_OF(X509) *authorities = trust_authorities(trust);
	int mode = SSL_VERIFY_PEER;

	if (c->listen_tls_client == TLS_CLIENT_REQUIRED) {
		mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
		/* Not even one of a session from before certificates were required. */
		SSL_CTX_set_options(x, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(x, 0);
	}
	SSL_CTX_set_verify(x, mode, on_verify);
	SSL_CTX_set_verify_depth(x, TLS_CHAIN_DEPTH_MAX);
	SSL_CTX_set_max_cert_list(x, TLS_CHAIN_SIZE_MAX);
	for (int i = 0; i < sk_X509_num(authorities); i++)
		if (SSL_CTX_add_client_CA(x, sk_X509_value(authorities, i)) != 1)
			return error_set(err, ERROR_MEMORY, "TLS: out of memory");
	return 0;
}

/* trust: NULL when nobody is to be asked. */
static int context_new(const struct config *c, const struct trust *trust, SSL_CTX **ret,
		       struct error *err)
{
	SSL_CTX *x = NULL;
	int rc;

	ERR_clear_error();
	if ((rc = check_key_mode(c->listen_tls_key, err)) != 0)
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
	SSL_CTX_set_session_ticket_cb(x, NULL, take_ticket, NULL);
	rc = load_own(x, c, err);
	if (rc == 0 && trust != NULL)
		rc = ask_for_certificates(x, c, trust, err);
	if (rc != 0) {
		SSL_CTX_free(x);
		return rc;
	}
	*ret = x;
	return 0;
}

/* ---- CRLs ---- */

/* Said once for each change, and counted; the gauge stands for the time between. */
static void say_fault(struct tls *t)
{
	char fault[FAULT_SIZE] = "";

	if (t->trust != NULL)
		trust_fault(t->trust, time(NULL), fault, sizeof(fault));
	metrics_set(t->metrics, METRIC_tls_crl_failed, fault[0] != '\0');
	if (strcmp(fault, t->fault) == 0)
		return;
	if (fault[0] == '\0') {
		log_line(LOG_NOTICE, "listen.tls_crl: all CRLs are good again");
	} else {
		metrics_add(t->metrics, METRIC_tls_crl_failures_total, 1);
		log_line(
			LOG_ERROR,
			"listen.tls_crl: %s; until that is mended no terminal that this CRL stands "
			"for is let in with a certificate, sessions that are open stay",
			fault);
	}
	memcpy(t->fault, fault, sizeof(fault));
}

/* Takes over trust; NULL is none. */
static void use_trust(struct tls *t, struct trust *trust)
{
	struct trust *old;

	pthread_mutex_lock(&t->mutex);
	old = t->trust;
	t->trust = trust;
	pthread_mutex_unlock(&t->mutex);
	trust_put(old); /* handshakes that use its store keep that */
	say_fault(t);
}

/* Counted, or NULL. */
static struct trust *trust_now(struct tls *t)
{
	struct trust *trust;

	pthread_mutex_lock(&t->mutex);
	trust = t->trust != NULL ? trust_ref(t->trust) : NULL;
	pthread_mutex_unlock(&t->mutex);
	return trust;
}

bool tls_watch(struct tls *t)
{
	struct trust *fresh;

	if (t->trust != NULL && trust_is_stale(t->trust) &&
	    (fresh = trust_renew(t->trust)) != NULL) {
		log_line(LOG_NOTICE, "listen.tls_crl has changed and was read again");
		use_trust(t, fresh);
		return true;
	}
	say_fault(t);
	return false;
}

/* ---- life ---- */

static int load(const struct config *c, SSL_CTX **ret_context, struct trust **ret_trust,
		struct error *err)
{
	struct trust *trust = NULL;
	int rc = 0;

	if (c->listen_tls_client != TLS_CLIENT_NONE)
		rc = trust_load(c->listen_tls_client_ca, c->listen_tls_crl, &trust, err);
	if (rc == 0)
		rc = context_new(c, trust, ret_context, err);
	if (rc != 0)
		trust_put(trust);
	else
		*ret_trust = trust;
	return rc;
}

int tls_new(const struct config *c, struct metrics_thread *metrics, struct tls **ret,
	    struct error *err)
{
	struct tls *t = calloc(1, sizeof(*t));
	struct trust *trust;
	int rc;

	if (t == NULL || (t->bio = bio_method()) == NULL) {
		free(t);
		return error_set(err, ERROR_MEMORY, "TLS: out of memory");
	}
	pthread_mutex_init(&t->mutex, NULL);
	t->metrics = metrics;
	if ((rc = load(c, &t->context, &trust, err)) != 0) {
		tls_free(t);
		return rc;
	}
	use_trust(t, trust);
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (t == NULL)
		return;
	SSL_CTX_free(t->context);
	trust_put(t->trust);
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

int tls_reload(struct tls *t, const struct config *c, struct error *err)
{
	SSL_CTX *fresh = NULL, *old;
	struct trust *trust;
	const int rc = load(c, &fresh, &trust, err);

	if (rc != 0)
		return rc;
	pthread_mutex_lock(&t->mutex);
	old = t->context;
	keep_ticket_keys(fresh, old);
	t->context = fresh;
	pthread_mutex_unlock(&t->mutex);
	SSL_CTX_free(old); /* connections that use it keep it */
	use_trust(t, trust);
	return 0;
}

/* ---- connections ---- */

SSL *tls_accept(struct tls *t, struct connection *c)
{
	BIO *bio = BIO_new(t->bio);
	SSL *ssl;

	if (bio == NULL)
		return NULL;
	BIO_set_data(bio, c);
	pthread_mutex_lock(&t->mutex);
	ssl = SSL_new(t->context);
	if (ssl != NULL && t->trust != NULL)
		SSL_set1_verify_cert_store(ssl, trust_store(t->trust));
	pthread_mutex_unlock(&t->mutex);
	if (ssl == NULL) {
		BIO_free(bio);
		return NULL;
	}
	SSL_set_bio(ssl, bio, bio);
	SSL_set_accept_state(ssl);
	return ssl;
}

/* CRLs may have been read between the first byte of a handshake and its last. */
static bool still_verifies(struct tls *t, SSL *ssl, X509 *leaf)
{
	struct trust *trust = trust_now(t);
	X509_STORE *used = NULL;
	bool ok = true;

	SSL_get0_verify_cert_store(ssl, &used);
	if (trust == NULL || trust_store(trust) != used || SSL_session_reused(ssl))
		ok = trust != NULL && trust_verifies(trust, leaf, SSL_get_peer_cert_chain(ssl));
	trust_put(trust);
	return ok;
}

bool tls_admit(struct tls *t, struct connection *c)
{
	X509 *leaf = SSL_get0_peer_certificate(c->ssl);

	assert(c->certificate == NULL);
	if (leaf == NULL)
		return (SSL_get_verify_mode(c->ssl) & SSL_VERIFY_FAIL_IF_NO_PEER_CERT) == 0;
	if (!still_verifies(t, c->ssl, leaf))
		return false;
	c->certificate = certificate_read(leaf);
	return c->certificate != NULL;
}

bool tls_revoked(struct tls *t, const struct connection *c)
{
	struct trust *trust;
	bool revoked;

	if (c->certificate == NULL || (trust = trust_now(t)) == NULL)
		return false;
	revoked = trust_revokes(trust, SSL_get0_verified_chain(c->ssl));
	trust_put(trust);
	return revoked;
}

const char *tls_certificate_vin(const struct connection *c)
{
	return c->certificate != NULL && c->certificate->vin[0] != '\0' ? c->certificate->vin
									: NULL;
}

bool tls_certificate_fingerprint(const struct connection *c, uint8_t out[32])
{
	if (c->certificate == NULL)
		return false;
	memcpy(out, c->certificate->fingerprint, sizeof(c->certificate->fingerprint));
	return true;
}

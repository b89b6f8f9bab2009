#include "gateway/link/peer_tls.h"

#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct peer_tls {
	SSL_CTX *context;
	SSL *ssl;
	BIO *in, *out; /* memory; the session's */
};

static int refused(struct error *err, enum error_code code, const char *what)
{
	const unsigned long number = ERR_peek_last_error();
	const char *reason = ERR_reason_error_string(number);

	error_set(err, code, "%s%s%s", what, reason != NULL ? ": " : "",
		  reason != NULL ? reason : "");
	ERR_clear_error();
	return code;
}

static int trust(SSL_CTX *x, const char *ca, struct error *err)
{
	char what[PATH_MAX + 32];

	if (ca[0] == '\0')
		return SSL_CTX_set_default_verify_paths(x) == 1
			       ? 0
			       : refused(err, ERROR_USAGE, "TLS: no certificates of the system");
	if (SSL_CTX_load_verify_file(x, ca) == 1)
		return 0;
	snprintf(what, sizeof(what), "TLS: tls_ca %s cannot be used", ca);
	return refused(err, ERROR_USAGE, what);
}

/* A certificate for an address names it as an address. */
static bool expect_host(SSL *ssl, const char *host)
{
	struct in6_addr binary;

	if (inet_pton(AF_INET, host, &binary) == 1 || inet_pton(AF_INET6, host, &binary) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* What SSL_set_tlsext_host_name() is; the macro casts const away. */
	return SSL_set1_host(ssl, host) == 1 &&
	       SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
			(void *)(uintptr_t)host) == 1;
}

int peer_tls_new(const char *ca, const char *host, struct peer_tls **ret, struct error *err)
{
	struct peer_tls *t = calloc(1, sizeof(*t));
	int rc;

	ERR_clear_error();
	if (t == NULL || (t->context = SSL_CTX_new(TLS_client_method())) == NULL)
		goto memory;
	SSL_CTX_set_min_proto_version(t->context, TLS1_2_VERSION);
	SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_mode(t->context, SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_options(t->context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
						SSL_OP_IGNORE_UNEXPECTED_EOF);
	if ((rc = trust(t->context, ca, err)) != 0) {
		peer_tls_free(t);
		return rc;
	}
	if ((t->ssl = SSL_new(t->context)) == NULL || !expect_host(t->ssl, host))
		goto memory;
	t->in = BIO_new(BIO_s_mem());
	t->out = BIO_new(BIO_s_mem());
	if (t->in == NULL || t->out == NULL) {
		BIO_free(t->in);
		BIO_free(t->out);
		goto memory;
	}
	SSL_set_bio(t->ssl, t->in, t->out);
	SSL_set_connect_state(t->ssl);
	*ret = t;
	return 0;
memory:
	peer_tls_free(t);
	return refused(err, ERROR_MEMORY, "TLS cannot be set up");
}

void peer_tls_free(struct peer_tls *t)
{
	if (t == NULL)
		return;
	SSL_free(t->ssl);
	SSL_CTX_free(t->context);
	free(t);
}

int peer_tls_take(struct peer_tls *t, const uint8_t *bytes, size_t size)
{
	return BIO_write(t->in, bytes, (int)size) == (int)size ? 0 : -1;
}

int peer_tls_handshake(struct peer_tls *t, struct error *err)
{
	int rc;
	long verdict;

	ERR_clear_error();
	if ((rc = SSL_do_handshake(t->ssl)) == 1)
		return 1;
	if (SSL_get_error(t->ssl, rc) == SSL_ERROR_WANT_READ)
		return 0;
	if ((verdict = SSL_get_verify_result(t->ssl)) != X509_V_OK) {
		error_set(err, ERROR_CLOSED, "TLS: the certificate is refused: %s",
			  X509_verify_cert_error_string(verdict));
		ERR_clear_error();
		return -1;
	}
	refused(err, ERROR_CLOSED, "TLS handshake failed");
	return -1;
}

int peer_tls_read(struct peer_tls *t, uint8_t *out, size_t size, struct error *err)
{
	int n, why;

	ERR_clear_error();
	if ((n = SSL_read(t->ssl, out, (int)size)) > 0)
		return n;
	why = SSL_get_error(t->ssl, n);
	if (why == SSL_ERROR_WANT_READ)
		return 0;
	if (why == SSL_ERROR_ZERO_RETURN)
		error_set(err, ERROR_CLOSED, "closed by the other side");
	else
		refused(err, ERROR_CLOSED, "TLS broken");
	return -1;
}

int peer_tls_write(struct peer_tls *t, const uint8_t *bytes, size_t size)
{
	ERR_clear_error();
	return SSL_write(t->ssl, bytes, (int)size) == (int)size ? 0 : -1;
}

size_t peer_tls_give(struct peer_tls *t, uint8_t *out, size_t size)
{
	const int n = BIO_read(t->out, out, (int)size);

	return n > 0 ? (size_t)n : 0;
}

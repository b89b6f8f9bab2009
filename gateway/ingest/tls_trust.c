#include "gateway/ingest/tls_trust.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "gateway/ingest/tls.h"

struct trust {
	atomic_uint refs;
	char *crl_path;
	STACK_OF(X509) * authorities;
	STACK_OF(X509_CRL) * lists; /* signed by one of them */
	X509_STORE *store;
	bool read;	  /* the file of CRLs could be read to its end */
	char fault[256];  /* why not, or what is left out of it */
	struct stat seen; /* zero: there was none */
};

static const char *openssl_reason(void)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason != NULL ? reason : "not usable";
}

/* ---- CAs ---- */

static int load_authorities(struct trust *t, const char *path, struct error *err)
{
	BIO *file = BIO_new_file(path, "r");
	X509 *x;
	int rc = 0;

	if (file == NULL || (t->authorities = sk_X509_new_null()) == NULL) {
		rc = error_set(err, ERROR_USAGE, "listen.tls_client_ca %s: %s", path,
			       openssl_reason());
		goto out;
	}
	while ((x = PEM_read_bio_X509(file, NULL, NULL, NULL)) != NULL) {
		if (X509_check_ca(x) == 0 || sk_X509_push(t->authorities, x) == 0) {
			X509_free(x);
			rc = error_set(err, ERROR_USAGE,
				       "listen.tls_client_ca %s: certificate %d is not one of a CA",
				       path, sk_X509_num(t->authorities) + 1);
			goto out;
		}
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE ||
	    sk_X509_num(t->authorities) == 0)
		rc = error_set(err, ERROR_USAGE,
			       "listen.tls_client_ca %s: after %d certificates: %s", path,
			       sk_X509_num(t->authorities), openssl_reason());
out:
	ERR_clear_error();
	BIO_free(file);
	return rc;
}

static X509 *authority_of(const struct trust *t, const X509_CRL *list)
{
	for (int i = 0; i < sk_X509_num(t->authorities); i++) {
		X509 *ca = sk_X509_value(t->authorities, i);

		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(list)) == 0)
			return ca;
	}
	return NULL;
}

/* ---- CRLs ---- */

static void name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *text = BIO_new(BIO_s_mem());
	int n = 0;

	if (text != NULL && X509_NAME_print_ex(text, name, 0, XN_FLAG_RFC2253) >= 0)
		n = BIO_read(text, out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(text);
}

/* A list that none of the CAs signed is nobody's word: it is left out. */
static bool is_signed(struct trust *t, X509_CRL *list)
{
	X509 *ca = authority_of(t, list);
	char name[128];

	/* Of an intermediate CA that only terminals have; the chain will vouch for it, or not. */
	if (ca == NULL || X509_CRL_verify(list, X509_get0_pubkey(ca)) == 1)
		return true;
	name_text(X509_CRL_get_issuer(list), name, sizeof(name));
	snprintf(t->fault, sizeof(t->fault), "the CRL of %s is not signed by it", name);
	ERR_clear_error();
	return false;
}

static bool add_lists(struct trust *t, BIO *file)
{
	X509_CRL *list;

	while ((list = PEM_read_bio_X509_CRL(file, NULL, NULL, NULL)) != NULL)
		if (!is_signed(t, list)) {
			X509_CRL_free(list);
		} else if (sk_X509_CRL_push(t->lists, list) == 0) {
			X509_CRL_free(list);
			return false;
		}
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

/* All or nothing: half a file may lack the very list that matters. */
static void load_lists(struct trust *t)
{
	BIO *file = NULL;

	/* Before it is read: a file that changes meanwhile is read again. */
	if (stat(t->crl_path, &t->seen) != 0)
		memset(&t->seen, 0, sizeof(t->seen));
	ERR_clear_error();
	if ((file = BIO_new_file(t->crl_path, "r")) != NULL)
		t->read = add_lists(t, file);
	if (!t->read) {
		snprintf(t->fault, sizeof(t->fault), "cannot be read: %s", openssl_reason());
		while (sk_X509_CRL_num(t->lists) > 0)
			X509_CRL_free(sk_X509_CRL_pop(t->lists));
	}
	ERR_clear_error();
	BIO_free(file);
}

static bool is_current(const X509_CRL *list, time_t now)
{
	const ASN1_TIME *next = X509_CRL_get0_nextUpdate(list);

	return X509_cmp_time(X509_CRL_get0_lastUpdate(list), &now) < 0 &&
	       (next == NULL || X509_cmp_time(next, &now) > 0);
}

static bool has_current_list(const struct trust *t, const X509 *ca, time_t now)
{
	for (int i = 0; i < sk_X509_CRL_num(t->lists); i++) {
		const X509_CRL *list = sk_X509_CRL_value(t->lists, i);

		if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(list)) == 0 &&
		    is_current(list, now))
			return true;
	}
	return false;
}

bool trust_fault(const struct trust *t, time_t now, char *out, size_t size)
{
	char name[128];

	if (t->fault[0] != '\0') {
		snprintf(out, size, "%s", t->fault);
		return true;
	}
	for (int i = 0; i < sk_X509_num(t->authorities); i++) {
		const X509 *ca = sk_X509_value(t->authorities, i);

		if (has_current_list(t, ca, now))
			continue;
		name_text(X509_get_subject_name(ca), name, sizeof(name));
		snprintf(out, size, "no CRL of %s in it is valid today", name);
		return true;
	}
	return false;
}

bool trust_is_stale(const struct trust *t)
{
	struct stat now;

	if (stat(t->crl_path, &now) != 0)
		memset(&now, 0, sizeof(now));
	return now.st_ino != t->seen.st_ino || now.st_size != t->seen.st_size ||
	       now.st_mtim.tv_sec != t->seen.st_mtim.tv_sec ||
	       now.st_mtim.tv_nsec != t->seen.st_mtim.tv_nsec;
}

/* ---- life ---- */

static bool fill_store(struct trust *t)
{
	if ((t->store = X509_STORE_new()) == NULL)
		return false;
	X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	for (int i = 0; i < sk_X509_num(t->authorities); i++)
		if (X509_STORE_add_cert(t->store, sk_X509_value(t->authorities, i)) != 1)
			return false;
	for (int i = 0; i < sk_X509_CRL_num(t->lists); i++)
		if (X509_STORE_add_crl(t->store, sk_X509_CRL_value(t->lists, i)) != 1)
			return false;
	return true;
}

static struct trust *trust_new(const char *crl)
{
	struct trust *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	atomic_init(&t->refs, 1);
	if ((t->crl_path = strdup(crl)) == NULL || (t->lists = sk_X509_CRL_new_null()) == NULL) {
		trust_put(t);
		return NULL;
	}
	return t;
}

int trust_load(const char *ca, const char *crl, struct trust **ret, struct error *err)
{
	struct trust *t = trust_new(crl);
	int rc;

	if (t == NULL)
		return error_set(err, ERROR_MEMORY, "TLS: out of memory");
	if ((rc = load_authorities(t, ca, err)) == 0) {
		load_lists(t);
		if (!fill_store(t))
			rc = error_set(err, ERROR_MEMORY, "TLS: out of memory");
	}
	if (rc != 0) {
		trust_put(t);
		return rc;
	}
	*ret = t;
	return 0;
}

struct trust *trust_renew(const struct trust *old)
{
	struct trust *t = trust_new(old->crl_path);

	if (t == NULL)
		return NULL;
	t->authorities = X509_chain_up_ref(old->authorities);
	if (t->authorities != NULL) {
		load_lists(t);
		if (fill_store(t))
			return t;
	}
	trust_put(t);
	return NULL;
}

struct trust *trust_ref(struct trust *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void trust_put(struct trust *t)
{
	if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
		return;
	X509_STORE_free(t->store);
	sk_X509_pop_free(t->authorities, X509_free);
	sk_X509_CRL_pop_free(t->lists, X509_CRL_free);
	free(t->crl_path);
	free(t);
}

/* ---- judging ---- */

X509_STORE *trust_store(const struct trust *t)
{
	return t->store;
}

STACK_OF(X509) * trust_authorities(const struct trust *t)
{
	return t->authorities;
}

bool trust_verifies(const struct trust *t, X509 *leaf, STACK_OF(X509) * untrusted)
{
	X509_STORE_CTX *x = X509_STORE_CTX_new();
	bool ok = false;

	if (x != NULL && X509_STORE_CTX_init(x, t->store, leaf, untrusted) == 1 &&
	    X509_STORE_CTX_set_default(x, "ssl_client") == 1) {
		X509_STORE_CTX_set_depth(x, TLS_CHAIN_DEPTH_MAX);
		ok = X509_verify_cert(x) == 1;
	}
	X509_STORE_CTX_free(x);
	ERR_clear_error();
	return ok;
}

static bool is_revoked(const struct trust *t, X509 *x)
{
	X509_REVOKED *entry;

	for (int i = 0; i < sk_X509_CRL_num(t->lists); i++) {
		X509_CRL *list = sk_X509_CRL_value(t->lists, i);

		if (X509_NAME_cmp(X509_get_issuer_name(x), X509_CRL_get_issuer(list)) == 0 &&
		    X509_CRL_get0_by_cert(list, &entry, x) == 1)
			return true;
	}
	return false;
}

bool trust_revokes(const struct trust *t, STACK_OF(X509) * chain)
{
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (is_revoked(t, sk_X509_value(chain, i)))
			return true;
	return false;
}

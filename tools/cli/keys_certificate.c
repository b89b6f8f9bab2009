/* Certificates of terminals: which ones speak for a VIN. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "tools/cli/keys.h"

static const char urn[] = "urn:vin:";

struct certificate {
	uint8_t fingerprint[32];
	char vin[18], subject[600], issuer[600], valid_from[40], valid_to[40];
};

static void name_text(const X509_NAME *name, char *out, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int n = 0;

	/* Characters beyond ASCII as UTF-8, control characters escaped. */
	if (bio != NULL &&
	    X509_NAME_print_ex(bio, name, 0,
			       XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB) >= 0)
		n = BIO_read(bio, out, (int)size - 1);
	out[n > 0 ? n : 0] = '\0';
	BIO_free(bio);
}

static bool time_text(const ASN1_TIME *at, char out[40])
{
	struct tm tm;

	return ASN1_TIME_to_tm(at, &tm) == 1 && strftime(out, 40, "%Y-%m-%d %H:%M:%S+00", &tm) > 0;
}

/* The VIN of the one URI urn:vin:VIN; two would let one box speak for two trucks. */
static int find_vin(const X509 *x, char vin[18], struct error *err)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int found = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *uri = name->d.uniformResourceIdentifier;
		const char *text;
		size_t size;

		if (name->type != GEN_URI)
			continue;
		text = (const char *)ASN1_STRING_get0_data(uri);
		size = (size_t)ASN1_STRING_length(uri);
		if (size <= sizeof(urn) - 1 || memcmp(text, urn, sizeof(urn) - 1) != 0)
			continue;
		found++;
		size -= sizeof(urn) - 1;
		if (size <= 17 && memchr(text, '\0', size + sizeof(urn) - 1) == NULL)
			snprintf(vin, 18, "%.*s", (int)size, text + sizeof(urn) - 1);
	}
	GENERAL_NAMES_free(names);
	if (found != 1)
		return error_set(
			err, ERROR_USAGE,
			"the certificate has %d subject alternative names URI:urn:vin:VIN, "
			"and must have one",
			found);
	return 0;
}

static int read_certificate(const struct secret *text, const char *name, struct certificate *c,
			    struct error *err)
{
	BIO *bio = BIO_new_mem_buf(text->bytes, (int)text->size);
	X509 *x = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	int rc = 0;

	*c = (struct certificate){ 0 };
	BIO_free(bio);
	if (x == NULL)
		return error_set(err, ERROR_USAGE, "%s is no certificate in PEM", name);
	if (!X509_digest(x, EVP_sha256(), c->fingerprint, NULL) ||
	    !time_text(X509_get0_notBefore(x), c->valid_from) ||
	    !time_text(X509_get0_notAfter(x), c->valid_to))
		rc = error_set(err, ERROR_USAGE, "%s: the certificate cannot be read", name);
	else
		rc = find_vin(x, c->vin, err);
	name_text(X509_get_subject_name(x), c->subject, sizeof(c->subject));
	name_text(X509_get_issuer_name(x), c->issuer, sizeof(c->issuer));
	X509_free(x);
	return rc;
}

static int insert(struct keys *k, const struct certificate *c)
{
	char vehicle[24], hex[65];
	const char *values[] = { vehicle,	  (const char *)c->fingerprint,
				 c->subject,	  c->issuer,
				 c->valid_from,	  c->valid_to,
				 k->session.actor };
	const int sizes[7] = { [1] = sizeof(c->fingerprint) };
	int64_t id;
	int rc = session_vehicle(&k->session, c->vin, &id, &k->err);

	if (rc != 0)
		return rc;
	snprintf(vehicle, sizeof(vehicle), "%" PRId64, id);
	bytes_hex(c->fingerprint, sizeof(c->fingerprint), hex);
	if ((rc = session_run(&k->session, "certificate",
			      "INSERT INTO certificate (vehicle_id, fingerprint, subject, issuer,"
			      " valid_from, valid_to, changed_by) VALUES ($1::bigint, $2::bytea,"
			      " $3, $4, $5::timestamptz, $6::timestamptz, $7)",
			      7, values, sizes, NULL, &k->err)) != 0 ||
	    (rc = session_audit(&k->session, "certificate.add", c->vin,
				json_pack("{s:s, s:s, s:s, s:s}", "fingerprint", hex, "subject",
					  c->subject, "issuer", c->issuer, "valid_to", c->valid_to),
				&k->err)) != 0 ||
	    (rc = session_commit(&k->session, &k->err)) != 0)
		return rc;
	printf("certificate of %s, SHA-256 %s, good until %s\n", c->vin, hex, c->valid_to);
	return 0;
}

int keys_certificate_add(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *file = argument_given(a, "file") ? argument(a, "file") : "-";
	const char *vin = argument_operand(a, 0);
	struct certificate c;
	struct secret text;
	int rc;

	if ((rc = secret_read(&text, file, &k->err)) == 0)
		rc = read_certificate(&text, strcmp(file, "-") == 0 ? "stdin" : file, &c, &k->err);
	secret_wipe(&text); /* the file may have the private key in it, too */
	if (rc != 0)
		return rc;
	if (strcmp(c.vin, vin) != 0)
		return error_set(&k->err, ERROR_USAGE, "the certificate is for '%s', not for %s",
				 c.vin, vin);
	if ((rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0)
		return rc;
	return insert(k, &c);
}

int keys_certificate_revoke(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *reason = argument(a, "reason"), *id = argument_operand(a, 0);
	const char *values[] = { id, k->session.actor, reason };
	PGresult *result;
	int rc;

	if (reason == NULL || reason[0] == '\0')
		return argument_wrong(a, "--reason TEXT is needed: somebody will ask");
	if (strspn(id, "0123456789") != strlen(id) || strlen(id) > 18)
		return argument_wrong(a,
				      "'%s' is no number of a certificate: certificate list "
				      "shows them",
				      id);
	if ((rc = keys_database(k, a)) != 0 || (rc = session_begin(&k->session, &k->err)) != 0 ||
	    (rc = session_run(&k->session, "certificate",
			      "UPDATE certificate c SET state = 'revoked', changed_by = $2,"
			      " reason = $3 FROM vehicle v WHERE c.id = $1::bigint"
			      " AND v.id = c.vehicle_id AND c.state = 'active' RETURNING v.vin",
			      3, values, NULL, &result, &k->err)) != 0)
		return rc;
	if (PQntuples(result) == 0)
		rc = error_set(&k->err, ERROR_NOT_FOUND, "there is no active certificate %s", id);
	else if ((rc = session_audit(&k->session, "certificate.revoke", PQgetvalue(result, 0, 0),
				     json_pack("{s:s, s:s}", "certificate", id, "reason", reason),
				     &k->err)) == 0 &&
		 (rc = session_commit(&k->session, &k->err)) == 0)
		printf("certificate %s of %s is revoked; its sessions end\n", id,
		       PQgetvalue(result, 0, 0));
	PQclear(result);
	return rc;
}

int keys_certificate_list(const struct arguments *a, void *context)
{
	struct keys *k = context;
	const char *values[] = { argument_operand(a, 0) };
	PGresult *result;
	int rc;

	if ((rc = keys_database(k, a)) != 0 ||
	    (rc = session_run(
		     &k->session, "certificate",
		     "SELECT c.id, v.vin, c.state, encode(c.fingerprint, 'hex') AS sha256,"
		     " c.subject, c.issuer, to_char(c.valid_from, 'YYYY-MM-DD') AS valid_from,"
		     " to_char(c.valid_to, 'YYYY-MM-DD') AS valid_to, c.changed_by, c.reason"
		     " FROM certificate c JOIN vehicle v ON v.id = c.vehicle_id"
		     " WHERE $1::text IS NULL OR v.vin = $1 ORDER BY v.vin, c.id",
		     1, values, NULL, &result, &k->err)) != 0)
		return rc;
	table_print(result);
	PQclear(result);
	return 0;
}

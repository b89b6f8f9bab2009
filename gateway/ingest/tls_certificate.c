#include "gateway/ingest/tls_certificate.h"

#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The VIN in a URI, or false.  "urn" and the name of the space have no case (RFC 8141, 3.1). */
static bool uri_vin(const ASN1_IA5STRING *uri, char vin[VIN_SIZE + 1])
{
	static const char prefix[] = "urn:vin:";
	const size_t size = (size_t)ASN1_STRING_length(uri), skip = sizeof(prefix) - 1;
	const char *text = (const char *)ASN1_STRING_get0_data(uri);

	if (size != skip + VIN_SIZE || strncasecmp(text, prefix, skip) != 0)
		return false;
	memcpy(vin, text + skip, VIN_SIZE);
	vin[VIN_SIZE] = '\0';
	return vin_plausible(vin);
}

/* Something of the space, whatever follows: two of them, and we do not choose. */
static bool is_vin_uri(const ASN1_IA5STRING *uri)
{
	return ASN1_STRING_length(uri) >= 8 &&
	       strncasecmp((const char *)ASN1_STRING_get0_data(uri), "urn:vin:", 8) == 0;
}

static void read_vin(const X509 *x, char vin[VIN_SIZE + 1])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	unsigned count = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_URI || !is_vin_uri(name->d.uniformResourceIdentifier))
			continue;
		if (++count > 1 || !uri_vin(name->d.uniformResourceIdentifier, vin))
			vin[0] = '\0';
	}
	GENERAL_NAMES_free(names);
}

struct certificate *certificate_read(const X509 *x)
{
	struct certificate *c = calloc(1, sizeof(*c));
	unsigned size = sizeof(c->fingerprint);

	if (c == NULL)
		return NULL;
	if (X509_digest(x, EVP_sha256(), c->fingerprint, &size) != 1) {
		free(c);
		return NULL;
	}
	read_vin(x, c->vin);
	return c;
}

/*
 * Private keys that stay in a device.  OpenSSL finds them by URI through a provider (OSSL_STORE);
 * Debian 12 has none for PKCS#11, only an engine (libengine-pkcs11-openssl), whose interface
 * OpenSSL 3 calls deprecated and still has.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <string.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/store.h>

#include "gateway/identity/ring.h"

/* A PIN comes with the URI (pin-value, pin-source) or from OpenSSL's configuration: nobody sits
 * here to type one. */
static EVP_PKEY *from_engine(const char *uri)
{
	ENGINE *engine;
	EVP_PKEY *key = NULL;

	ENGINE_load_builtin_engines();
	engine = ENGINE_by_id("pkcs11");
	if (engine == NULL)
		return NULL;
	/* Its end would be the end of the keys that came from it: it is kept until the process
	 * ends.
	 */
	if (ENGINE_init(engine) == 1)
		key = ENGINE_load_private_key(engine, uri, NULL, NULL);
	ENGINE_free(engine);
	return key;
}

static EVP_PKEY *from_store(const char *uri)
{
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, NULL, NULL, NULL, NULL);
	EVP_PKEY *key = NULL;

	if (store == NULL)
		return NULL;
	while (key == NULL && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info != NULL)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		else if (OSSL_STORE_error(store))
			break;
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	return key;
}

EVP_PKEY *key_from_uri(const char *path, const char *uri, struct error *err)
{
	const bool is_device = strncmp(uri, "pkcs11:", strlen("pkcs11:")) == 0;
	EVP_PKEY *key = NULL;
	char reason[200];

	/* A file is better named NAME.pem, where its mode is checked. */
	if (!is_device) {
		error_set(err, ERROR_USAGE,
			  "key file %s has no URI that begins with pkcs11:", path);
		return NULL;
	}
	ERR_clear_error();
	if ((key = from_store(uri)) == NULL)
		key = from_engine(uri);
	if (key == NULL) {
		/* The text of OpenSSL has no PIN; the URI may, so it is not shown. */
		ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
		error_set(err, ERROR_USAGE,
			  "key file %s: the device has no such private key, or OpenSSL cannot "
			  "reach it (%s): see docs/keys.md for the engine and the PIN",
			  path, reason);
	}
	ERR_clear_error();
	return key;
}

/*
 * Private keys that stay in a device.  OpenSSL finds them by URI through a provider (OSSL_STORE);
 * Debian 12 has none for PKCS#11, only an engine (libengine-pkcs11-openssl), whose interface
 * OpenSSL 3 calls deprecated and still has.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include <stdio.h>
#include <string.h>

#include <openssl/engine.h>
#include <openssl/err.h>
#include <openssl/store.h>
#include <openssl/ui.h>

#include "gateway/identity/ring.h"

static EVP_PKEY *from_engine(const char *uri, const char *pin)
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
	if (ENGINE_init(engine) == 1 && ENGINE_ctrl_cmd_string(engine, "PIN", pin, 0) == 1)
		key = ENGINE_load_private_key(engine, uri, NULL, NULL);
	ENGINE_free(engine);
	return key;
}

static int give_pin(char *buf, int size, int is_writing, void *pin)
{
	const int n = snprintf(buf, (size_t)size, "%s", (const char *)pin);

	(void)is_writing;
	return n < size ? n : -1;
}

static EVP_PKEY *from_store(const char *uri, char *pin)
{
	UI_METHOD *ask = UI_UTIL_wrap_read_pem_callback(give_pin, 0);
	OSSL_STORE_CTX *store = OSSL_STORE_open(uri, ask, pin, NULL, NULL);
	EVP_PKEY *key = NULL;

	while (store != NULL && key == NULL && !OSSL_STORE_eof(store)) {
		OSSL_STORE_INFO *info = OSSL_STORE_load(store);

		if (info != NULL)
			key = OSSL_STORE_INFO_get1_PKEY(info);
		else if (OSSL_STORE_error(store))
			break;
		OSSL_STORE_INFO_free(info);
	}
	OSSL_STORE_close(store);
	UI_destroy_method(ask);
	return key;
}

EVP_PKEY *key_from_uri(const char *path, const char *uri, char *pin, struct error *err)
{
	EVP_PKEY *key;
	char reason[200];

	/* A file is better named NAME.pem, where its mode is checked. */
	if (strncmp(uri, "pkcs11:", strlen("pkcs11:")) != 0) {
		error_set(err, ERROR_USAGE,
			  "key file %s has no URI that begins with pkcs11:", path);
		return NULL;
	}
	/* The engine prints a URI that leads nowhere. */
	if (strstr(uri, "pin-value") != NULL) {
		error_set(err, ERROR_USAGE,
			  "key file %s has a PIN in its URI, where it can get into logs: put it "
			  "into a file beside it that ends in .pin, mode 0600",
			  path);
		return NULL;
	}
	ERR_clear_error();
	if ((key = from_store(uri, pin)) == NULL)
		key = from_engine(uri, pin);
	if (key == NULL) {
		ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
		error_set(err, ERROR_USAGE,
			  "key file %s: the device has no such private key, or OpenSSL cannot "
			  "reach it (%s): see docs/keys.md for the engine and the PIN",
			  path, reason);
	}
	ERR_clear_error();
	return key;
}

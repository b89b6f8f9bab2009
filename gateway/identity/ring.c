#include "gateway/identity/ring.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "gateway/identity/file.h"
#include "gateway/identity/memory.h"

enum { FILE_MAX = 65536, PATH_SIZE = 4096 };

static const char pem_ending[] = ".pem", uri_ending[] = ".uri", wrapping_name[] = "wrapping.key";

static bool ends_with(const char *name, const char *ending)
{
	const size_t size = strlen(name), end = strlen(ending);

	return size > end && strcmp(name + size - end, ending) == 0;
}

/* OpenSSL would ask at the terminal. */
static int no_pass_phrase(char *buf, int size, int is_writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static EVP_PKEY *key_from_pem(const char *path, const char *text, size_t size, struct error *err)
{
	BIO *bio = BIO_new_mem_buf(text, (int)size);
	EVP_PKEY *key =
		bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;

	if (key == NULL)
		error_set(err, ERROR_USAGE,
			  "key file %s has no private key in PEM that can be read without a pass "
			  "phrase: make it with tools/keys",
			  path);
	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static int pair_set(struct ring_pair *pair, const char *path, EVP_PKEY *key, struct error *err)
{
	if (EVP_PKEY_is_a(key, "SM2") == 1)
		pair->algorithm = ALGORITHM_SM2;
	else if (EVP_PKEY_is_a(key, "RSA") == 1)
		pair->algorithm = ALGORITHM_RSA;
	else
		return error_set(err, ERROR_USAGE,
				 "key file %s is neither SM2 nor RSA: no terminal can use it",
				 path);
	for (unsigned mode = 0; mode < CIPHER_MODE_COUNT; mode++)
		if (cipher_mode_fits(pair->algorithm, (enum cipher_mode)mode))
			pair->ciphers[mode] = cipher_key_pair(key, (enum cipher_mode)mode);
	if (pair->ciphers[CIPHER_MODE_DEFAULT] == NULL)
		return error_set(err, ERROR_USAGE,
				 "key file %s cannot be used: RSA has 1024 to 4096 bits", path);
	return 0;
}

static char *first_line(char *text)
{
	text[strcspn(text, "\r\n")] = '\0';
	return text;
}

/* NAME.uri, and NAME.pin when the device asks for one. */
static EVP_PKEY *key_from_device(const char *path, char *uri, struct error *err)
{
	char pin_path[PATH_SIZE], none[] = "", *pin = NULL;
	size_t size = 0;
	EVP_PKEY *key;
	int rc;

	snprintf(pin_path, sizeof(pin_path), "%.*s.pin", (int)(strlen(path) - strlen(uri_ending)),
		 path);
	rc = private_file_read(pin_path, FILE_MAX, &pin, &size, err);
	if (rc < 0 && rc != ERROR_NOT_FOUND)
		return NULL;
	key = key_from_uri(path, first_line(uri), rc == 0 ? first_line(pin) : none, err);
	private_free(pin, size);
	return key;
}

static int pair_load(struct ring_pair *pair, const char *path, struct error *err)
{
	const char *slash = strrchr(path, '/');
	EVP_PKEY *key;
	char *text;
	size_t size;
	int rc = private_file_read(path, FILE_MAX, &text, &size, err);

	if (rc < 0)
		return rc;
	snprintf(pair->name, sizeof(pair->name), "%.*s",
		 (int)(strlen(slash + 1) - strlen(pem_ending)), slash + 1);
	key = ends_with(path, uri_ending) ? key_from_device(path, text, err)
					  : key_from_pem(path, text, size, err);
	private_free(text, size);
	if (key == NULL)
		return ERROR_USAGE;
	rc = pair_set(pair, path, key, err);
	EVP_PKEY_free(key);
	return rc;
}

static int is_key_file(const struct dirent *e)
{
	return e->d_name[0] != '.' &&
	       (ends_with(e->d_name, pem_ending) || ends_with(e->d_name, uri_ending));
}

static int newest_first(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*b)->d_name, (*a)->d_name);
}

static int path_join(char out[PATH_SIZE], const char *dir, const char *name, struct error *err)
{
	if (snprintf(out, PATH_SIZE, "%s/%s", dir, name) < PATH_SIZE)
		return 0;
	return error_set(err, ERROR_USAGE, "keys.dir %s is too long a path", dir);
}

static int pairs_load(struct key_ring *r, const char *dir, struct error *err)
{
	char path[PATH_SIZE];
	struct dirent **names = NULL;
	const int n = scandir(dir, &names, is_key_file, newest_first);
	int rc = 0;

	if (n < 0)
		return error_errno(err, ERROR_USAGE, "keys.dir %s cannot be read", dir);
	if (n > RING_PAIRS_MAX)
		rc = error_set(err, ERROR_USAGE,
			       "keys.dir %s has %d pairs, at most %d: move the oldest ones away",
			       dir, n, RING_PAIRS_MAX);
	for (int i = 0; rc == 0 && i < n; i++)
		if ((rc = path_join(path, dir, names[i]->d_name, err)) == 0 &&
		    (rc = pair_load(&r->pairs[r->count++], path, err)) == ERROR_NOT_FOUND)
			rc = ERROR_USAGE; /* gone since the folder was read: look again */
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return rc;
}

/* Differs from file to file; an inode alone may come again. */
static uint64_t wrapping_stamp(const char *dir)
{
	char path[PATH_SIZE];
	struct stat st;

	if (path_join(path, dir, wrapping_name, NULL) < 0 || stat(path, &st) != 0)
		return 0;
	return (uint64_t)st.st_ino * 1000003 + (uint64_t)st.st_mtim.tv_sec * 1000000007 +
	       (uint64_t)st.st_mtim.tv_nsec;
}

/* ERROR_NOT_FOUND: there is none of that name. */
static int wrapping_add(struct key_ring *r, const char *dir, const char *name, struct error *err)
{
	char path[PATH_SIZE];
	int rc = path_join(path, dir, name, err);

	if (rc == 0 && r->wrapping_count == RING_WRAPPING_MAX)
		return error_set(err, ERROR_USAGE,
				 "keys.dir %s has more than %d wrapping keys: tools/keys finish "
				 "removes those that are not needed any more",
				 dir, RING_WRAPPING_MAX);
	if (rc == 0)
		rc = wrap_key_read(path, &r->wrapping[r->wrapping_count], err);
	r->wrapping_count += rc == 0;
	return rc;
}

static int is_kept_key(const struct dirent *e)
{
	return strncmp(e->d_name, "wrapping-", 9) == 0 && ends_with(e->d_name, ".key");
}

static int wrapping_load(struct key_ring *r, const char *dir, struct error *err)
{
	struct dirent **names = NULL;
	int n, rc;

	/* Looked at first: a file that comes between makes the ring stale, not wrong. */
	r->wrapping_stamp = wrapping_stamp(dir);
	rc = wrapping_add(r, dir, wrapping_name, err);
	n = scandir(dir, &names, is_kept_key, newest_first);
	for (int i = 0; i < n; i++) {
		if (rc == 0 || rc == ERROR_NOT_FOUND) /* gone since the folder was read */
			rc = wrapping_add(r, dir, names[i]->d_name, err);
		free(names[i]);
	}
	free(names);
	return rc == ERROR_NOT_FOUND ? 0 : rc;
}

bool key_ring_is_stale(const struct key_ring *r)
{
	return r->dir != NULL && wrapping_stamp(r->dir) != r->wrapping_stamp;
}

int key_ring_unwrap(const struct key_ring *r, const char *vin, const uint8_t *in, size_t size,
		    uint8_t *out, size_t *ret_size, struct error *err)
{
	int rc = error_set(err, ERROR_NOT_FOUND,
			   "its secret is wrapped and keys.dir has no wrapping.key: put the one "
			   "there that tools/keys used");

	for (size_t i = 0; rc == ERROR_NOT_FOUND && i < r->wrapping_count; i++)
		rc = wrap_open(&r->wrapping[i], vin, in, size, out, ret_size, err);
	return rc;
}

int key_ring_load(const char *dir, struct key_ring **ret, struct error *err)
{
	struct key_ring *r = memory_zero(1, sizeof(*r));
	int rc = 0;

	atomic_init(&r->refs, 1);
	if (dir[0] != '\0') {
		r->dir = strdup(dir);
		rc = r->dir != NULL ? private_dir_check(dir, err)
				    : error_set(err, ERROR_MEMORY, "no memory for the keys");
		if (rc == 0)
			rc = wrapping_load(r, dir, err);
		if (rc == 0)
			rc = pairs_load(r, dir, err);
	}
	if (rc == 0)
		*ret = r;
	else
		identity_ring_put(r);
	return rc;
}

struct key_ring *key_ring_ref(struct key_ring *r)
{
	atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
	return r;
}

void identity_ring_put(struct key_ring *r)
{
	if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < r->count; i++)
		for (unsigned mode = 0; mode < CIPHER_MODE_COUNT; mode++)
			cipher_key_free(r->pairs[i].ciphers[mode]);
	for (size_t i = 0; i < RING_WRAPPING_MAX; i++)
		wrap_key_wipe(&r->wrapping[i]);
	free(r->dir);
	free(r);
}

#include "gateway/identity/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

static bool is_ours(const struct stat *st)
{
	return st->st_uid == geteuid() || st->st_uid == 0;
}

static bool is_closed_to_others(const struct stat *st)
{
	return (st->st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

int private_dir_check(const char *path, struct error *err)
{
	struct stat st;

	if (stat(path, &st) != 0)
		return error_errno(err, ERROR_USAGE, "keys.dir %s cannot be used", path);
	if (!S_ISDIR(st.st_mode))
		return error_set(err, ERROR_USAGE, "keys.dir %s is not a folder", path);
	if (!is_ours(&st))
		return error_set(err, ERROR_USAGE,
				 "keys.dir %s belongs to user %ld, not to this service: chown it",
				 path, (long)st.st_uid);
	if (!is_closed_to_others(&st))
		return error_set(err, ERROR_USAGE,
				 "keys.dir %s is open to other users (mode %04o): chmod 0700 it, "
				 "and replace its keys if others may have read them",
				 path, (unsigned)(st.st_mode & 07777));
	return 0;
}

static int file_check(const char *path, int fd, size_t max, size_t *ret_size, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return error_errno(err, ERROR_USAGE, "key file %s cannot be examined", path);
	if (!S_ISREG(st.st_mode))
		return error_set(err, ERROR_USAGE, "key file %s is not a regular file", path);
	if (!is_ours(&st))
		return error_set(err, ERROR_USAGE,
				 "key file %s belongs to user %ld, not to this service: chown it",
				 path, (long)st.st_uid);
	if (!is_closed_to_others(&st))
		return error_set(err, ERROR_USAGE,
				 "key file %s is open to other users (mode %04o): chmod 0600 it, "
				 "and replace the key if others may have read it",
				 path, (unsigned)(st.st_mode & 07777));
	if (st.st_size < 0 || (size_t)st.st_size > max)
		return error_set(err, ERROR_USAGE, "key file %s has %lld bytes, at most %zu", path,
				 (long long)st.st_size, max);
	*ret_size = (size_t)st.st_size;
	return 0;
}

int private_file_read(const char *path, size_t max, char **ret, size_t *ret_size, struct error *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);
	char *text = NULL;
	size_t size = 0, n = 0;
	int rc;

	if (fd < 0 && errno == ENOENT)
		return error_set(err, ERROR_NOT_FOUND, "key file %s does not exist", path);
	if (fd < 0)
		return error_errno(err, ERROR_USAGE, "key file %s cannot be opened", path);
	if ((rc = file_check(path, fd, max, &size, err)) < 0)
		goto out;
	if ((text = malloc(size + 1)) == NULL) {
		rc = error_set(err, ERROR_MEMORY, "no memory for key file %s", path);
		goto out;
	}
	while (n < size) {
		const ssize_t got = read(fd, text + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			rc = error_errno(err, ERROR_USAGE, "key file %s cannot be read", path);
			private_free(text, size);
			goto out;
		}
		if (got == 0)
			break; /* it became shorter: who parses it will say so */
		n += (size_t)got;
	}
	text[n] = '\0';
	*ret = text;
	*ret_size = n;
out:
	close(fd);
	return rc;
}

void private_free(char *text, size_t size)
{
	if (text == NULL)
		return;
	OPENSSL_cleanse(text, size);
	free(text);
}

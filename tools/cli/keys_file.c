#include "tools/cli/keys_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "gateway/identity/file.h"

void secret_wipe(struct secret *s)
{
	OPENSSL_cleanse(s, sizeof(*s));
}

/* ---- reading ---- */

static int read_all(struct secret *s, int fd, const char *path, struct error *err)
{
	ssize_t n;

	s->size = 0;
	while ((n = read(fd, s->bytes + s->size, SECRET_MAX + 1 - s->size)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_errno(err, ERROR_IO, "cannot read %s", path);
		s->size += (size_t)n;
		if (s->size > SECRET_MAX)
			return error_set(err, ERROR_USAGE,
					 "%s has more than %d bytes: it is no key or password",
					 path, SECRET_MAX);
	}
	s->bytes[s->size] = '\0';
	return 0;
}

/* One line from a person's keyboard, unseen. */
static int read_terminal(struct secret *s, struct error *err)
{
	struct termios old, quiet;
	ssize_t n;

	if (tcgetattr(STDIN_FILENO, &old) != 0)
		return error_errno(err, ERROR_IO, "cannot silence the terminal");
	quiet = old;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet) != 0)
		return error_errno(err, ERROR_IO, "cannot silence the terminal");
	fputs("not shown while you type: ", stderr);
	n = read(STDIN_FILENO, s->bytes, SECRET_MAX);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
	fputc('\n', stderr);
	if (n < 0)
		return error_errno(err, ERROR_IO, "cannot read from the terminal");
	s->size = (size_t)n;
	s->bytes[s->size] = '\0';
	return 0;
}

int secret_read(struct secret *s, const char *path, struct error *err)
{
	int fd, rc;

	if (strcmp(path, "-") == 0)
		return isatty(STDIN_FILENO) ? read_terminal(s, err)
					    : read_all(s, STDIN_FILENO, "stdin", err);
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		return error_errno(err, ERROR_IO, "cannot read %s", path);
	rc = read_all(s, fd, path, err);
	close(fd);
	return rc;
}

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

void secret_trim(struct secret *s)
{
	size_t from = 0;

	while (s->size > 0 && is_blank(s->bytes[s->size - 1]))
		s->size--;
	while (from < s->size && is_blank(s->bytes[from]))
		from++;
	s->size -= from;
	memmove(s->bytes, s->bytes + from, s->size);
	OPENSSL_cleanse(s->bytes + s->size, sizeof(s->bytes) - s->size);
}

/* 0 to 15, or above; without branches or tables that depend on the digit. */
static unsigned hex_digit(unsigned c)
{
	unsigned digit = c - '0', letter = (c | 0x20) - 'a';
	unsigned is_digit = ((digit - 10) & ~digit) >> 31,
		 is_letter = ((letter - 6) & ~letter) >> 31;

	return (digit & -is_digit) | ((letter + 10) & -is_letter) |
	       (0x100 & -(1u ^ (is_digit | is_letter)));
}

bool hex_bytes(const char *text, size_t size, uint8_t *out, size_t n)
{
	unsigned bad = 0;

	if (size != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		unsigned high = hex_digit((uint8_t)text[2 * i]);
		unsigned low = hex_digit((uint8_t)text[2 * i + 1]);

		bad |= high | low;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return bad < 16;
}

void bytes_hex(const uint8_t *bytes, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		for (unsigned shift = 0; shift < 2; shift++) {
			unsigned d = bytes[i] >> (4 - 4 * shift) & 15;

			out[2 * i + shift] = (char)('0' + d + (-((9 - d) >> 31) & ('a' - '9' - 1)));
		}
	}
	out[2 * n] = '\0';
}

/* ---- writing ---- */

/* Aside, then in place: who reads the folder sees the whole file or none. */
static int make_file(int dir, const char *name, const void *bytes, size_t size, struct error *err)
{
	char aside[KEY_NAME_SIZE + 300];
	int fd, rc = 0;

	snprintf(aside, sizeof(aside), ".%.*s.%ld", 240, name, (long)getpid());
	fd = openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return error_errno(err, ERROR_IO, "cannot write %s", name);
	if (fchmod(fd, 0600) != 0 || write(fd, bytes, size) != (ssize_t)size || fsync(fd) != 0)
		rc = error_errno(err, ERROR_IO, "cannot write %s", name);
	close(fd);
	if (rc == 0 && linkat(dir, aside, dir, name, 0) != 0)
		rc = errno == EEXIST
			     ? error_set(err, ERROR_USAGE,
					 "%s is there already, and is never overwritten", name)
			     : error_errno(err, ERROR_IO, "cannot write %s", name);
	unlinkat(dir, aside, 0);
	if (rc == 0 && fsync(dir) != 0)
		rc = error_errno(err, ERROR_IO, "cannot flush the folder of %s", name);
	return rc;
}

int key_file_make(const char *path, const void *bytes, size_t size, struct error *err)
{
	char *folder = strdup(path), *file = strdup(path);
	int dir = -1, rc;

	if (folder == NULL || file == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory");
	else if ((dir = open(dirname(folder), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		rc = error_errno(err, ERROR_IO, "cannot open the folder of %s", path);
	else
		rc = make_file(dir, basename(file), bytes, size, err);
	if (dir >= 0)
		close(dir);
	free(folder);
	free(file);
	return rc;
}

/* ---- keys.dir ---- */

int keys_dir_open(struct keys_dir *d, const char *path, bool make, struct error *err)
{
	int rc;

	*d = (struct keys_dir){ .fd = -1 };
	if (path == NULL || path[0] == '\0')
		return error_set(err, ERROR_USAGE,
				 "which folder?  --dir DIR, or --config FILE with [keys] dir");
	if ((size_t)snprintf(d->path, sizeof(d->path), "%s", path) >= sizeof(d->path))
		return error_set(err, ERROR_USAGE, "the name of the folder is too long");
	if (make && mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_errno(err, ERROR_IO, "cannot make %s", path);
	if ((rc = private_dir_check(path, err)) != 0)
		return rc;
	if ((d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	return 0;
}

void keys_dir_close(struct keys_dir *d)
{
	if (d->fd > 0)
		close(d->fd);
	d->fd = -1;
}

bool keys_dir_has(const struct keys_dir *d, const char *name)
{
	return faccessat(d->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int keys_dir_make(const struct keys_dir *d, const char *name, const void *bytes, size_t size,
		  struct error *err)
{
	return make_file(d->fd, name, bytes, size, err);
}

int keys_dir_rename(const struct keys_dir *d, const char *from, const char *to, bool replace,
		    struct error *err)
{
	if (renameat2(d->fd, from, d->fd, to, replace ? 0 : RENAME_NOREPLACE) != 0)
		return error_errno(err, errno == EEXIST ? ERROR_USAGE : ERROR_IO,
				   "cannot rename %s to %s in %s", from, to, d->path);
	if (fsync(d->fd) != 0)
		return error_errno(err, ERROR_IO, "cannot flush %s", d->path);
	return 0;
}

void keys_dir_remove(const struct keys_dir *d, const char *name)
{
	unlinkat(d->fd, name, 0);
	fsync(d->fd);
}

void names_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool name_fits(const char *name, const char *prefix, const char *ending)
{
	size_t n = strlen(name), e = strlen(ending);

	return name[0] != '.' && n > e && strcmp(name + n - e, ending) == 0 &&
	       strncmp(name, prefix, strlen(prefix)) == 0;
}

int keys_dir_list(const struct keys_dir *d, const char *prefix, const char *ending, char ***ret,
		  size_t *ret_count, struct error *err)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	char **names = NULL, **more;
	size_t count = 0;
	struct dirent *e;

	if (dir == NULL) {
		if (fd >= 0)
			close(fd);
		return error_errno(err, ERROR_IO, "cannot read %s", d->path);
	}
	while (rc == 0 && (e = readdir(dir)) != NULL) {
		if (!name_fits(e->d_name, prefix, ending))
			continue;
		more = realloc(names, (count + 1) * sizeof(*names));
		names = more != NULL ? more : names;
		if (more == NULL || (names[count] = strdup(e->d_name)) == NULL)
			rc = error_set(err, ERROR_MEMORY, "no memory");
		else
			count++;
	}
	closedir(dir);
	if (rc != 0) {
		names_free(names, count);
		return rc;
	}
	if (count > 1)
		qsort(names, count, sizeof(*names), by_name);
	*ret = names;
	*ret_count = count;
	return 0;
}

int keys_dir_wrap_key(const struct keys_dir *d, const char *name, struct wrap_key *ret,
		      struct error *err)
{
	char path[sizeof(d->path) + 300];

	snprintf(path, sizeof(path), "%s/%s", d->path, name);
	return wrap_key_read(path, ret, err);
}

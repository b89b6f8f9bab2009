#include "tools/cli/export_set.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "tools/cli/csv.h"

enum { NAME_SIZE = 80, HASH_BYTES = 32 };

struct file {
	char name[NAME_SIZE], kind[24], division[16];
	char sha256[EXPORT_HASH_SIZE];
	uint64_t rows, bytes;
};

struct export_set {
	char week[16], first_day[16], last_day[16];
	int dir, aside; /* DIR, and .tmp-WEEK in it */
	char aside_name[32];
	FILE *out;
	EVP_MD_CTX *digest;
	unsigned lines, cells;
	bool failed; /* sticky for the current file */
	unsigned file_count;
	struct file files[EXPORT_FILES_MAX];
};

static const char manifest_name[] = "manifest.json", sums_name[] = "SHA256SUMS";

/* ---- writing, with the hash beside it ---- */

static void put(struct export_set *s, const char *bytes, size_t n)
{
	if (fwrite(bytes, 1, n, s->out) != n || EVP_DigestUpdate(s->digest, bytes, n) != 1)
		s->failed = true;
	s->files[s->file_count].bytes += n;
}

static void put_text(struct export_set *s, const char *text)
{
	put(s, text, strlen(text));
}

static int start_file(struct export_set *s, const char *name, struct error *err)
{
	struct file *f = &s->files[s->file_count];
	int fd;

	assert(s->out == NULL);
	if (s->file_count == EXPORT_FILES_MAX - 2)
		return error_set(err, ERROR_FULL, "more than %d files", EXPORT_FILES_MAX - 2);
	*f = (struct file){ 0 };
	snprintf(f->name, sizeof(f->name), "%s", name);
	s->lines = s->cells = 0;
	s->failed = false;
	fd = openat(s->aside, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0 || (s->out = fdopen(fd, "w")) == NULL) {
		int rc = error_errno(err, ERROR_IO, "cannot write %s/%s", s->aside_name, name);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (EVP_DigestInit_ex(s->digest, EVP_sha256(), NULL) != 1)
		return error_set(err, ERROR_MEMORY, "SHA-256 is not available");
	return 0;
}

/* Durable when it returns 0; the file counts from then on. */
static int finish_file(struct export_set *s, struct error *err)
{
	struct file *f = &s->files[s->file_count];
	unsigned char hash[HASH_BYTES];
	FILE *out = s->out;

	s->out = NULL;
	s->failed |= EVP_DigestFinal_ex(s->digest, hash, NULL) != 1;
	s->failed |= fflush(out) != 0;
	s->failed |= !s->failed && fsync(fileno(out)) != 0;
	if (fclose(out) != 0 || s->failed)
		return error_errno(err, ERROR_IO, "cannot write %s/%s", s->aside_name, f->name);
	for (size_t i = 0; i < HASH_BYTES; i++)
		snprintf(f->sha256 + 2 * i, 3, "%02x", hash[i]);
	s->file_count++;
	return 0;
}

int export_set_begin(struct export_set *s, const char *kind, const char *division,
		     struct error *err)
{
	char name[NAME_SIZE];
	int rc;

	snprintf(name, sizeof(name), "%s-%s-%s.csv", kind, s->week, division);
	if ((rc = start_file(s, name, err)) != 0)
		return rc;
	snprintf(s->files[s->file_count].kind, sizeof(s->files[0].kind), "%s", kind);
	snprintf(s->files[s->file_count].division, sizeof(s->files[0].division), "%s", division);
	put_text(s,
		 "\xEF\xBB\xBF"); /* without it, spreadsheets read UTF-8 as the local code page */
	return 0;
}

void export_set_cell(struct export_set *s, const char *text, bool is_number)
{
	if (s->cells++ > 0)
		put_text(s, ",");
	if (text == NULL)
		return;
	if (is_number) {
		/* NaN and infinity are no figures: absent. */
		if (strpbrk(text, "NI") == NULL)
			put_text(s, text);
		return;
	}
	if (!csv_is_formula(text) && strpbrk(text, ",\"\r\n") == NULL) {
		put_text(s, text);
		return;
	}
	put_text(s, csv_is_formula(text) ? "\"'" : "\"");
	for (; *text != '\0'; text++)
		put(s, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	put_text(s, "\"");
}

void export_set_line(struct export_set *s)
{
	put_text(s, "\r\n");
	s->cells = 0;
	if (s->lines++ > 0)
		s->files[s->file_count].rows++;
}

int export_set_end(struct export_set *s, struct error *err)
{
	return finish_file(s, err);
}

static int write_manifest(struct export_set *s, struct error *err)
{
	unsigned n = s->file_count;
	char line[400];
	int rc = start_file(s, manifest_name, err);

	if (rc != 0)
		return rc;
	snprintf(line, sizeof(line),
		 "{\n\"kind\": \"weekly\",\n\"week\": \"%s\",\n\"from\": \"%s\",\n\"to\": \"%s\",\n"
		 "\"files\": [\n",
		 s->week, s->first_day, s->last_day);
	put_text(s, line);
	for (unsigned i = 0; i < n; i++) {
		const struct file *f = &s->files[i];

		snprintf(line, sizeof(line),
			 "{\"name\": \"%s\", \"kind\": \"%s\", \"division\": \"%s\", \"rows\": "
			 "%llu, "
			 "\"bytes\": %llu, \"sha256\": \"%s\"}%s\n",
			 f->name, f->kind, f->division, (unsigned long long)f->rows,
			 (unsigned long long)f->bytes, f->sha256, i + 1 < n ? "," : "");
		put_text(s, line);
	}
	put_text(s, "]\n}\n");
	return finish_file(s, err);
}

/* For sha256sum -c; the manifest is in it too. */
static int write_sums(struct export_set *s, struct error *err)
{
	unsigned n = s->file_count;
	char line[200];
	int rc = start_file(s, sums_name, err);

	if (rc != 0)
		return rc;
	for (unsigned i = 0; i < n; i++) {
		snprintf(line, sizeof(line), "%s  %s\n", s->files[i].sha256, s->files[i].name);
		put_text(s, line);
	}
	return finish_file(s, err);
}

/* ---- publishing ---- */

enum presence { ABSENT, SAME, DIFFERENT };

static int compare(const struct export_set *s, const char *name, enum presence *ret,
		   struct error *err)
{
	char a[16384], b[sizeof(a)];
	int rc = 0, fds[2];
	FILE *old = NULL, *new = NULL;
	size_t n, m;

	fds[0] = openat(s->dir, name, O_RDONLY | O_CLOEXEC);
	if (fds[0] < 0 && errno == ENOENT) {
		*ret = ABSENT;
		return 0;
	}
	fds[1] = openat(s->aside, name, O_RDONLY | O_CLOEXEC);
	old = fds[0] >= 0 ? fdopen(fds[0], "r") : NULL;
	new = fds[1] >= 0 ? fdopen(fds[1], "r") : NULL;
	*ret = SAME;
	if (old == NULL || new == NULL) {
		rc = error_errno(err, ERROR_IO, "cannot compare %s", name);
	} else {
		do {
			n = fread(a, 1, sizeof(a), old);
			m = fread(b, 1, sizeof(b), new);
			if (n != m || memcmp(a, b, n) != 0)
				*ret = DIFFERENT;
		} while (n > 0 && *ret == SAME);
		if (ferror(old) || ferror(new))
			rc = error_errno(err, ERROR_IO, "cannot compare %s", name);
	}
	if (old != NULL)
		fclose(old);
	if (new != NULL)
		fclose(new);
	return rc;
}

/* What an earlier export left under names that this one does not use. */
static void remove_stale(const struct export_set *s)
{
	int fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL) {
		const char *week = strstr(e->d_name, "-2");
		size_t n = strlen(e->d_name);
		bool ours = false;

		if (week == NULL || n < 4 || strcmp(e->d_name + n - 4, ".csv") != 0)
			continue;
		for (unsigned i = 0; i < s->file_count && !ours; i++)
			ours = strcmp(s->files[i].name, e->d_name) == 0;
		for (unsigned i = 0; i < s->file_count && !ours; i++)
			if (strlen(s->files[i].kind) == (size_t)(week - e->d_name) &&
			    strncmp(e->d_name, s->files[i].kind, (size_t)(week - e->d_name)) == 0) {
				unlinkat(s->dir, e->d_name, 0);
				break;
			}
	}
	if (d != NULL)
		closedir(d);
}

static int move_all(const struct export_set *s, bool replace, struct error *err)
{
	/* No manifest while the folder is neither the old export nor the new one. */
	if (replace) {
		if (unlinkat(s->dir, manifest_name, 0) != 0 && errno != ENOENT)
			return error_errno(err, ERROR_IO, "cannot remove the old %s",
					   manifest_name);
		if (fsync(s->dir) != 0)
			return error_errno(err, ERROR_IO, "cannot flush the folder");
		remove_stale(s);
	}
	for (int pass = 0; pass < 2; pass++) {
		for (unsigned i = 0; i < s->file_count; i++) {
			const char *name = s->files[i].name;

			if ((strcmp(name, manifest_name) == 0) != (pass == 1))
				continue;
			if (renameat(s->aside, name, s->dir, name) != 0)
				return error_errno(err, ERROR_IO, "cannot move %s in place", name);
		}
		if (fsync(s->dir) != 0)
			return error_errno(err, ERROR_IO, "cannot flush the folder");
	}
	return 0;
}

int export_set_publish(struct export_set *s, bool replace, enum export_result *ret,
		       char ret_manifest[EXPORT_HASH_SIZE], struct error *err)
{
	enum presence presence;
	bool all_same = true;
	int rc;

	if ((rc = write_manifest(s, err)) != 0)
		return rc;
	memcpy(ret_manifest, s->files[s->file_count - 1].sha256, EXPORT_HASH_SIZE);
	if ((rc = write_sums(s, err)) != 0)
		return rc;
	for (unsigned i = 0; i < s->file_count; i++) {
		if ((rc = compare(s, s->files[i].name, &presence, err)) != 0)
			return rc;
		all_same &= presence == SAME;
		if (presence == DIFFERENT && !replace)
			return error_set(err, ERROR_FULL,
					 "%s is there with other content; nothing was changed.  "
					 "Choose another folder, or replace it with --replace",
					 s->files[i].name);
	}
	*ret = all_same ? EXPORT_UNCHANGED : EXPORT_PUBLISHED;
	return all_same ? 0 : move_all(s, replace, err);
}

/* ---- life ---- */

static void empty_aside(const struct export_set *s)
{
	int fd = openat(s->dir, s->aside_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d != NULL)
		closedir(d);
	unlinkat(s->dir, s->aside_name, AT_REMOVEDIR);
}

static int open_folders(struct export_set *s, const char *dir, struct error *err)
{
	if (mkdir(dir, 0750) != 0 && errno != EEXIST)
		return error_errno(err, ERROR_IO, "cannot make %s", dir);
	if ((s->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return error_errno(err, ERROR_IO, "cannot open %s", dir);
	if (flock(s->dir, LOCK_EX | LOCK_NB) != 0)
		return error_errno(err, ERROR_BUSY, "another export writes to %s", dir);
	snprintf(s->aside_name, sizeof(s->aside_name), ".tmp-%s", s->week);
	empty_aside(s); /* of a run that was killed */
	if (mkdirat(s->dir, s->aside_name, 0750) != 0 ||
	    (s->aside = openat(s->dir, s->aside_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return error_errno(err, ERROR_IO, "cannot make %s/%s", dir, s->aside_name);
	return 0;
}

int export_set_open(const char *dir, const char *week, const char *first_day, const char *last_day,
		    struct export_set **ret, struct error *err)
{
	struct export_set *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL || (s->digest = EVP_MD_CTX_new()) == NULL) {
		free(s);
		return error_set(err, ERROR_MEMORY, "no memory");
	}
	s->dir = s->aside = -1;
	snprintf(s->week, sizeof(s->week), "%s", week);
	snprintf(s->first_day, sizeof(s->first_day), "%s", first_day);
	snprintf(s->last_day, sizeof(s->last_day), "%s", last_day);
	if ((rc = open_folders(s, dir, err)) != 0) {
		export_set_close(s);
		return rc;
	}
	*ret = s;
	return 0;
}

void export_set_close(struct export_set *s)
{
	if (s == NULL)
		return;
	if (s->out != NULL)
		fclose(s->out);
	if (s->aside >= 0) {
		empty_aside(s);
		close(s->aside);
	}
	if (s->dir >= 0)
		close(s->dir);
	EVP_MD_CTX_free(s->digest);
	free(s);
}

unsigned export_set_files(const struct export_set *s)
{
	return s->file_count;
}

uint64_t export_set_rows(const struct export_set *s)
{
	uint64_t rows = 0;

	for (unsigned i = 0; i <= s->file_count && i < EXPORT_FILES_MAX; i++)
		rows += s->files[i].kind[0] != '\0' ? s->files[i].rows : 0;
	return rows;
}

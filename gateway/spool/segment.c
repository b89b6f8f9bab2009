#include "gateway/spool/segment.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/spool/archive.h"

enum { BASE_DIGITS = 16, LIST_MAX = 1 << 20 };

int folder_init(struct folder *f, const char *dir, const char *archive, struct error *err)
{
	int n = snprintf(f->dir, sizeof(f->dir), "%s", dir);
	int m;

	if (archive != NULL && archive[0] != '\0')
		m = snprintf(f->archive, sizeof(f->archive), "%s", archive);
	else
		m = snprintf(f->archive, sizeof(f->archive), "%s/archive", dir);
	if (n <= 0 || (size_t)n >= sizeof(f->dir) || (size_t)m >= sizeof(f->archive))
		return error_set(err, ERROR_USAGE, "spool folder '%s': empty or too long", dir);
	return 0;
}

void segment_path(const struct folder *f, uint64_t base, bool archived, char out[SEGMENT_PATH_MAX])
{
	snprintf(out, SEGMENT_PATH_MAX, "%s/%016" PRIx64 ".seg%s", archived ? f->archive : f->dir,
		 base, archived ? "z" : "");
}

/* "0123456789abcdef" and the ending, nothing else: names that we did not make are not ours. */
static bool name_read(const char *name, const char *ending, uint64_t *ret_base)
{
	uint64_t base = 0;

	for (int i = 0; i < BASE_DIGITS; i++) {
		const char c = name[i];

		if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
			return false;
		base = base << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	*ret_base = base;
	return strcmp(name + BASE_DIGITS, ending) == 0 && base <= POSITION_MAX &&
	       base % SECTOR_SIZE == 0;
}

static int list_folder(const char *path, bool archived, struct segment_list *list,
		       struct error *err)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int rc = 0;

	if (dir == NULL && errno == ENOENT) {
		list->archive_absent |= archived;
		return 0;
	}
	if (dir == NULL)
		return error_errno(err, ERROR_IO, "cannot list %s", path);
	while (errno = 0, (entry = readdir(dir)) != NULL) {
		struct segment_name name = { .archived = archived };
		struct stat st;

		if (!name_read(entry->d_name, archived ? ".segz" : ".seg", &name.base))
			continue;
		/* Gone between the two calls: the helper has just archived it. */
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
			continue;
		name.file_size = (uint64_t)st.st_size;
		if (list->count % 64 == 0) {
			struct segment_name *more =
				reallocarray(list->names, list->count + 64, sizeof(*more));

			if (more == NULL || list->count >= LIST_MAX) {
				list->names = more != NULL ? more : list->names;
				rc = error_set(err, ERROR_MEMORY, "too many segments in %s", path);
				break;
			}
			list->names = more;
		}
		list->bytes += name.file_size;
		list->names[list->count++] = name;
	}
	if (rc == 0 && entry == NULL && errno != 0)
		rc = error_errno(err, ERROR_IO, "cannot list %s", path);
	closedir(dir);
	return rc;
}

static int name_order(const void *a, const void *b)
{
	const struct segment_name *x = a, *y = b;

	if (x->base != y->base)
		return x->base < y->base ? -1 : 1;
	return (int)x->archived - (int)y->archived;
}

int segment_list(const struct folder *f, bool with_archive, struct segment_list *ret,
		 struct error *err)
{
	struct segment_list list = { 0 };
	size_t kept = 0;
	int rc;

	/* The live ones first: a file that is archived meanwhile is then seen twice, not never. */
	rc = list_folder(f->dir, false, &list, err);
	if (rc == 0 && with_archive)
		rc = list_folder(f->archive, true, &list, err);
	if (rc != 0) {
		segment_list_release(&list);
		return rc;
	}
	if (list.count > 0)
		qsort(list.names, list.count, sizeof(list.names[0]), name_order);
	for (size_t i = 0; i < list.count; i++)
		if (kept == 0 || list.names[kept - 1].base != list.names[i].base)
			list.names[kept++] = list.names[i];
	list.count = kept;
	*ret = list;
	return 0;
}

void segment_list_release(struct segment_list *list)
{
	free(list->names);
	*list = (struct segment_list){ 0 };
}

/* A failing disk: what of the range can be read is read, the rest is zeros. */
static void read_by_sector(int fd, uint64_t offset, uint8_t *out, size_t size)
{
	for (size_t at = 0; at < size; at += SECTOR_SIZE) {
		const size_t n = size - at < SECTOR_SIZE ? size - at : SECTOR_SIZE;

		if (pread(fd, out + at, n, (off_t)(offset + at)) != (ssize_t)n)
			memset(out + at, 0, n);
	}
}

static int64_t live_read(struct segment *s, uint64_t offset, uint8_t *out, size_t size,
			 struct error *err)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n = pread(s->fd, out + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EIO) {
			read_by_sector(s->fd, offset + done, out + done, size - done);
			return (int64_t)size;
		}
		if (n < 0)
			return error_errno(err, ERROR_IO, "cannot read segment %016" PRIx64,
					   s->base);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int64_t segment_read(struct segment *s, uint64_t offset, uint8_t *out, size_t size,
		     struct error *err)
{
	if (offset >= s->size)
		return 0;
	if (size > s->size - offset)
		size = (size_t)(s->size - offset);
	if (s->archived)
		return archive_read(s->archive, offset, out, size, err);
	return live_read(s, offset, out, size, err);
}

static int read_header(struct segment *s, struct error *err)
{
	uint8_t bytes[HEADER_COPY_SIZE];

	for (unsigned copy = 0; copy < HEADER_COPIES; copy++) {
		struct segment_header h;
		const int64_t n =
			segment_read(s, copy * HEADER_COPY_SIZE, bytes, sizeof(bytes), err);

		if (n < 0)
			return (int)n;
		if ((size_t)n < sizeof(bytes) || !header_read(bytes, &h) || h.base != s->base)
			continue;
		if (s->copies == 0)
			s->header = h;
		s->copies |= 1u << copy;
	}
	s->salt = salt_state(s->header.salt);
	return 0;
}

int segment_open(const struct folder *f, uint64_t base, bool archived, struct segment **ret,
		 struct error *err)
{
	char path[SEGMENT_PATH_MAX];
	struct segment *s = calloc(1, sizeof(*s));
	struct stat st;
	int rc;

	if (s == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for a segment");
	s->base = base;
	s->archived = archived;
	segment_path(f, base, archived, path);
	s->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (s->fd < 0 || fstat(s->fd, &st) != 0) {
		rc = error_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO,
				 "cannot open %s", path);
		goto out;
	}
	s->size = (uint64_t)st.st_size;
	if (archived && (rc = archive_open(s->fd, path, &s->archive, &s->size, err)) != 0)
		goto out;
	if ((rc = read_header(s, err)) != 0)
		goto out;
	*ret = s;
	s = NULL;
out:
	segment_close(s);
	return rc;
}

void segment_close(struct segment *s)
{
	if (s == NULL)
		return;
	archive_close(s->archive);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

int segment_follow(const struct folder *f, const struct segment_list *list, const struct segment *s,
		   struct follow *ret, struct error *err)
{
	struct follow follow = { UINT64_MAX, BASE_NONE, UINT64_MAX, false };
	const struct segment_name *next = NULL;
	struct segment *after = NULL;
	int rc;

	*ret = follow;
	for (size_t i = 0; i < list->count && next == NULL; i++)
		if (list->names[i].base > s->base)
			next = &list->names[i];
	if (next == NULL)
		return 0;
	rc = segment_open(f, next->base, next->archived, &after, err);
	if (rc == ERROR_NOT_FOUND && !next->archived)
		rc = segment_open(f, next->base, true, &after, err);
	if (rc != 0 && rc != ERROR_CORRUPT)
		return rc;
	follow.base = next->base;
	follow.end = s->base + s->size < next->base ? s->base + s->size : next->base;
	if (rc == 0 && after->copies != 0 && after->header.previous_base == s->base) {
		follow.end = after->header.previous_end;
		follow.sequence = after->header.first_sequence;
		follow.linked = true;
	}
	segment_close(after);
	*ret = follow;
	return 0;
}

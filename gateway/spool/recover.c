#include "gateway/spool/recover.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/spool/file.h"
#include "gateway/spool/walk.h"

enum { COPY_SIZE = 64 * 1024 };

/* Half-made files of the helper; they were never part of the log. */
static int remove_temporary(const char *path, struct error *err)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL)
		return errno == ENOENT ? 0 : error_errno(err, ERROR_IO, "cannot list %s", path);
	while ((entry = readdir(dir)) != NULL) {
		const size_t n = strlen(entry->d_name);

		if (strcmp(entry->d_name, SPARE_NAME) == 0 ||
		    (n > 9 && strcmp(entry->d_name + n - 9, ".segz.tmp") == 0))
			unlinkat(dirfd(dir), entry->d_name, 0);
	}
	closedir(dir);
	return 0;
}

/*
 * The last run may have left bytes in the page cache that never reached the disk.  Whoever reads
 * them must know that they stay.
 */
static int sync_all(const struct folder *f, const struct segment_list *list, struct error *err)
{
	char path[SEGMENT_PATH_MAX];

	for (size_t i = 0; i < list->count; i++) {
		if (list->names[i].archived)
			continue;
		segment_path(f, list->names[i].base, false, path);
		if (file_sync(path) != 0)
			return error_errno(err, ERROR_IO, "cannot sync %s: check the disk", path);
	}
	if (folder_sync(f->dir) != 0)
		return error_errno(err, ERROR_IO, "cannot sync %s: check the disk", f->dir);
	if (folder_sync(f->archive) != 0 && errno != ENOENT)
		return error_errno(err, ERROR_IO, "cannot sync %s: check the disk", f->archive);
	return 0;
}

/* Copies positions from..to of the segment to <dir>/quarantine.  False when the disk is full. */
static bool quarantine(const struct folder *f, struct segment *s, uint64_t from, uint64_t to,
		       const char *kind)
{
	char folder[PATH_MAX + 16], path[PATH_MAX + 80];
	uint8_t bytes[COPY_SIZE];
	struct error err = { 0 };
	bool good = false;
	int fd = -1;

	snprintf(folder, sizeof(folder), "%s/quarantine", f->dir);
	snprintf(path, sizeof(path), "%s/%016" PRIx64 "-%016" PRIx64 ".%s", folder, s->base, from,
		 kind);
	if (folder_make(folder, &err) != 0 || (fd = file_create(path)) < 0)
		goto out;
	for (uint64_t at = from; at < to;) {
		const size_t want = to - at < COPY_SIZE ? (size_t)(to - at) : COPY_SIZE;
		const int64_t n = segment_read(s, at - s->base, bytes, want, &err);

		if (n <= 0)
			break;
		if (file_write(fd, at - from, bytes, (size_t)n) != 0)
			goto out;
		at += (uint64_t)n;
	}
	good = fsync(fd) == 0 && folder_sync(folder) == 0 && folder_sync(f->dir) == 0;
out:
	if (fd >= 0)
		close(fd);
	if (!good) {
		log_line(LOG_WARNING, "spool could not quarantine damage file=%s", path);
		if (fd >= 0)
			unlink(path);
	}
	return good;
}

struct judge {
	const struct folder *folder;
	struct segment *segment;
};

static void on_damage(uint64_t from, uint64_t to, const char *reason, void *arg)
{
	const struct judge *j = arg;

	log_line(LOG_WARNING,
		 "spool damaged segment=%016" PRIx64 " from=%" PRIu64 " to=%" PRIu64
		 " reason=\"%s\"",
		 j->segment->base, from, to, reason);
	quarantine(j->folder, j->segment, from, to, "damaged");
}

/* Each segment names the one before; the oldest ones may have been taken away on purpose. */
static int count_missing(const struct folder *f, const struct segment_list *list,
			 uint64_t *ret_missing, struct error *err)
{
	size_t first = 0;

	/* Archived ones were checked when they were live; the newest of them is still a neighbour.
	 */
	while (first + 1 < list->count && list->names[first + 1].archived)
		first++;
	for (size_t i = first + 1; i < list->count; i++) {
		const struct segment_name *name = &list->names[i];
		struct segment *s = NULL;
		int rc = segment_open(f, name->base, name->archived, &s, err);

		if (rc != 0 && rc != ERROR_CORRUPT)
			return rc;
		if (rc == 0 && s->copies != 0 &&
		    s->header.previous_base != list->names[i - 1].base) {
			log_line(LOG_WARNING,
				 "spool segment missing between=%016" PRIx64 " and=%016" PRIx64,
				 list->names[i - 1].base, name->base);
			++*ret_missing;
		}
		segment_close(s);
	}
	return 0;
}

/*
 * Nothing in the last segment can be checked.  It stays as it is; the log goes on behind it.  A
 * record takes at least 32 bytes, so that this sequence is above all that were given.
 */
static void resume_behind(const struct folder *f, struct segment *s, struct resume *r,
			  struct spool_recovery *found)
{
	log_line(LOG_WARNING, "spool segment without a valid header segment=%016" PRIx64, s->base);
	if (s->fd >= 0)
		quarantine(f, s, s->base, s->base + HEADER_SIZE, "damaged");
	found->corrupt_regions++;
	r->previous_base = s->base;
	r->previous_end = sector_up(s->base + (s->size > 0 ? s->size : 1), s->base);
	r->base = r->previous_end;
	r->sequence = r->base / RECORD_HEADER_SIZE + 1;
	r->durable = r->previous_end;
	memset(r->chain, 0, CHAIN_SIZE);
}

/* Frees what was never used.  The torn bytes go only when there is a copy of them. */
static int cut_tail(const struct folder *f, struct segment *s, const struct walk_end *w,
		    struct error *err)
{
	char path[SEGMENT_PATH_MAX];
	int fd, rc = 0;

	if (w->torn_end > w->end && !quarantine(f, s, w->end, w->torn_end, "torn"))
		return 0;
	segment_path(f, s->base, false, path);
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || ftruncate(fd, (off_t)(w->end - s->base)) != 0 || fsync(fd) != 0)
		rc = error_errno(err, ERROR_IO, "cannot cut the tail of %s", path);
	if (fd >= 0)
		close(fd);
	return rc;
}

/* Closed in good order without one record: its place in the log is free again. */
static int remove_empty(const struct folder *f, const struct segment *s, struct error *err)
{
	char path[SEGMENT_PATH_MAX];

	segment_path(f, s->base, false, path);
	if (unlink(path) != 0 || folder_sync(f->dir) != 0)
		return error_errno(err, ERROR_IO, "cannot remove %s", path);
	return 0;
}

static int resume_last(const struct folder *f, struct segment *s, struct resume *r,
		       struct spool_recovery *found, uint64_t *ret_lost, struct error *err)
{
	struct judge judge = { .folder = f, .segment = s };
	const struct walk_events events = { .damage = on_damage, .arg = &judge };
	struct walk_end w;
	int rc = walk_segment(s, s->base + s->size, false, &events, &w, err);

	if (rc != 0)
		return rc;
	found->records = w.records;
	found->corrupt_regions += w.regions;
	found->torn_bytes = w.torn_end - w.end;
	*ret_lost = w.lost;
	r->sequence = w.sequence;
	memcpy(r->chain, w.chain, CHAIN_SIZE);
	r->durable = w.end;
	if (w.closed && w.end == s->base + HEADER_SIZE && !s->archived) {
		r->base = s->base;
		r->previous_base = s->header.previous_base;
		r->previous_end = s->header.previous_end;
		return remove_empty(f, s, err);
	}
	r->previous_base = s->base;
	r->previous_end = w.end;
	/*
	 * Not closed in good order: a disk that lied may have lost batches whose positions are
	 * known elsewhere.  No position is given twice.
	 */
	r->base = w.closed ? w.end : sector_up(s->base + s->header.size, s->base);
	if (r->base < w.end)
		r->base = w.end;
	return s->archived ? 0 : cut_tail(f, s, &w, err);
}

int recover(const struct folder *f, struct resume *ret, struct spool_recovery *ret_found,
	    uint64_t *ret_lost, struct error *err)
{
	struct resume r = { .previous_base = BASE_NONE, .sequence = 1 };
	struct segment_list list = { 0 };
	struct segment *last = NULL;
	int rc;

	*ret_found = (struct spool_recovery){ 0 };
	*ret_lost = 0;
	if ((rc = remove_temporary(f->dir, err)) != 0 ||
	    (rc = remove_temporary(f->archive, err)) != 0 ||
	    (rc = segment_list(f, true, &list, err)) != 0 || (rc = sync_all(f, &list, err)) != 0 ||
	    (rc = count_missing(f, &list, &ret_found->missing_segments, err)) != 0)
		goto out;
	if (list.count > 0) {
		const struct segment_name *name = &list.names[list.count - 1];

		rc = segment_open(f, name->base, name->archived, &last, err);
		if (rc == ERROR_CORRUPT) {
			struct segment lost = { .base = name->base,
						.size = SEGMENT_SIZE_MAX,
						.fd = -1 };

			resume_behind(f, &lost, &r, ret_found);
			rc = 0;
		} else if (rc == 0 && last->copies == 0) {
			resume_behind(f, last, &r, ret_found);
		} else if (rc == 0) {
			rc = resume_last(f, last, &r, ret_found, ret_lost, err);
		}
	}
out:
	segment_close(last);
	segment_list_release(&list);
	if (rc == 0)
		*ret = r;
	return rc;
}

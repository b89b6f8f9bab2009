/*
 * segment.h - the files of a spool for reading: which there are, and their bytes.
 *
 * A segment is read the same way whether it is live (<dir>/<base>.seg) or archived
 * (<archive>/<base>.segz).  Any bytes in the files are safe.  One thread for each struct segment.
 */
#ifndef GATEWAY_SPOOL_SEGMENT_H
#define GATEWAY_SPOOL_SEGMENT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"
#include "gateway/spool/format.h"

#define SPARE_NAME "spare.tmp" /* the segment made ahead, before it has a place in the log */

struct folder {
	char dir[PATH_MAX];
	char archive[PATH_MAX];
};

/* archive NULL or "": <dir>/archive. */
int folder_init(struct folder *f, const char *dir, const char *archive, struct error *err);

enum { SEGMENT_PATH_MAX = PATH_MAX + 32 };
void segment_path(const struct folder *f, uint64_t base, bool archived, char out[SEGMENT_PATH_MAX]);

struct segment_name {
	uint64_t base;
	bool archived;
	uint64_t file_size;
};

struct segment_list {
	struct segment_name *names; /* by rising base; a live one hides its archived copy */
	size_t count;
	uint64_t bytes;	     /* of all files, hidden ones too */
	bool archive_absent; /* asked for, and there is no such folder */
};

/* A folder that does not exist is empty; whoever misses something looks at archive_absent. */
int segment_list(const struct folder *f, bool with_archive, struct segment_list *ret,
		 struct error *err);
void segment_list_release(struct segment_list *list);

struct archive_file;

struct segment {
	uint64_t base;
	uint64_t size; /* bytes that can be read, header included */
	bool archived;
	unsigned copies; /* bit mask of good header copies; 0: nothing can be checked */
	struct segment_header header;
	uint32_t salt;
	int fd;
	struct archive_file *archive;
};

/*
 * Succeeds with copies == 0 when the header is damaged.  ERROR_NOT_FOUND: no such file.
 * ERROR_CORRUPT: an archive whose index is damaged.
 */
int segment_open(const struct folder *f, uint64_t base, bool archived, struct segment **ret,
		 struct error *err);
void segment_close(struct segment *s); /* NULL-safe */

/*
 * Reads up to size bytes at the offset; returns how many, fewer only at the end of the file.
 * Sectors that the disk cannot read, and damaged archive blocks, come as zeros: no checksum takes
 * them.
 */
int64_t segment_read(struct segment *s, uint64_t offset, uint8_t *out, size_t size,
		     struct error *err);

/* What the next segment tells of one. */
struct follow {
	uint64_t end;	   /* where its data ends; UINT64_MAX: no segment follows yet */
	uint64_t base;	   /* of the next one, or BASE_NONE */
	uint64_t sequence; /* all of its records are before this one; UINT64_MAX: not known */
	bool linked;	   /* the next one names it as its predecessor: none is missing between */
};

int segment_follow(const struct folder *f, const struct segment_list *list, const struct segment *s,
		   struct follow *ret, struct error *err);

#endif

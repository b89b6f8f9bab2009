/*
 * archive.h - closed segments, compressed and still seekable: <archive>/<base>.segz.
 *
 *   zlib block | zlib block | ... | index: u32 compressed size of each block | footer 128
 *
 * Each block inflates to BLOCK_SIZE bytes of the segment (the last to the rest), which are its
 * bytes from the header to the end of its data, unchanged: records keep their positions and
 * checksums. The footer has the sizes, the SHA-256 of the uncompressed bytes, and a CRC-32 of index
 * and footer.
 */
#ifndef GATEWAY_SPOOL_ARCHIVE_H
#define GATEWAY_SPOOL_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

enum { ARCHIVE_BLOCK_SIZE = 256 * 1024, ARCHIVE_FOOTER_SIZE = 128 };

struct archive_file;
struct folder;

/* fd stays the caller's.  *ret_size: bytes of the segment. */
int archive_open(int fd, const char *path, struct archive_file **ret, uint64_t *ret_size,
		 struct error *err);
void archive_close(struct archive_file *a); /* NULL-safe */

/* As segment_read().  A damaged block comes as zeros. */
int64_t archive_read(struct archive_file *a, uint64_t offset, uint8_t *out, size_t size,
		     struct error *err);

/* Checks every block and the SHA-256 over all of them. */
int archive_check(struct archive_file *a, struct error *err);

/*
 * Compresses the first size bytes of the live segment base, reads the result back, syncs and names
 * it, and only then removes the live file.  between is called after each block; true gives up. 0,
 * or ERROR_CLOSED when given up, or the error; the live file then stays.
 */
int archive_segment(const struct folder *f, uint64_t base, uint64_t size,
		    bool (*between)(void *arg), void *arg, struct error *err);

#endif

#include "gateway/spool/archive.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "gateway/spool/file.h"
#include "gateway/spool/segment.h"

/* Level 1: 6 costs three times the CPU, which the event loops need, for a few bytes. */
enum { ARCHIVE_VERSION = 1, COMPRESSION_LEVEL = 1 };
enum { COMPRESSED_MAX = ARCHIVE_BLOCK_SIZE + ARCHIVE_BLOCK_SIZE / 1000 + 1024, SHA_SIZE = 32 };

static const char footer_magic[8] = "HAULARC1";

/* The footer as it lies in the file, little-endian. */
struct footer {
	char magic[8];
	uint32_t version;
	uint32_t block_size;
	uint64_t size; /* of the segment */
	uint64_t index_offset;
	uint64_t block_count;
	uint8_t sha256[SHA_SIZE];
	uint8_t zero[52];
	uint32_t checksum; /* over the index and the footer before it */
};
static_assert(sizeof(struct footer) == ARCHIVE_FOOTER_SIZE, "the footer has holes");

struct archive_file {
	int fd;
	uint64_t size;
	uint64_t block_count;
	uint64_t *offsets; /* block_count + 1 */
	uint8_t sha256[SHA_SIZE];
	uint64_t cached; /* number of the block in raw, or UINT64_MAX */
	uint8_t *raw;
	uint8_t *compressed;
};

static size_t block_length(const struct archive_file *a, uint64_t block)
{
	const uint64_t rest = a->size - block * ARCHIVE_BLOCK_SIZE;

	return rest < ARCHIVE_BLOCK_SIZE ? (size_t)rest : ARCHIVE_BLOCK_SIZE;
}

static uint32_t footer_checksum(const uint32_t *index, size_t count, const struct footer *f)
{
	uint32_t state = (uint32_t)crc32(0, (const Bytef *)index, (uInt)(count * sizeof(*index)));

	return (uint32_t)crc32(state, (const Bytef *)f, offsetof(struct footer, checksum));
}

/* Every size is checked against the file before anything is allocated for it. */
static bool footer_plausible(const struct footer *f, uint64_t file_size)
{
	const uint64_t size = le64toh(f->size), count = le64toh(f->block_count);
	const uint64_t index = le64toh(f->index_offset);

	return memcmp(f->magic, footer_magic, sizeof(footer_magic)) == 0 &&
	       le32toh(f->version) == ARCHIVE_VERSION &&
	       le32toh(f->block_size) == ARCHIVE_BLOCK_SIZE && size > 0 &&
	       size <= SEGMENT_SIZE_MAX &&
	       count == (size + ARCHIVE_BLOCK_SIZE - 1) / ARCHIVE_BLOCK_SIZE &&
	       index <= file_size && file_size - index == count * 4 + sizeof(*f);
}

static bool read_index(struct archive_file *a, const struct footer *f)
{
	const size_t count = (size_t)le64toh(f->block_count);
	const uint64_t index_offset = le64toh(f->index_offset);
	uint32_t *index = malloc(count * sizeof(*index));
	uint64_t at = 0;
	bool good = false;

	a->offsets = calloc(count + 1, sizeof(*a->offsets));
	a->raw = malloc(ARCHIVE_BLOCK_SIZE);
	a->compressed = malloc(COMPRESSED_MAX);
	if (index == NULL || a->offsets == NULL || a->raw == NULL || a->compressed == NULL)
		goto out;
	if (file_read(a->fd, index_offset, index, count * sizeof(*index)) !=
		    (int64_t)(count * sizeof(*index)) ||
	    footer_checksum(index, count, f) != le32toh(f->checksum))
		goto out;
	for (size_t i = 0; i < count; i++) {
		a->offsets[i] = at;
		if (le32toh(index[i]) > COMPRESSED_MAX)
			goto out;
		at += le32toh(index[i]);
	}
	a->offsets[count] = at;
	good = at == index_offset;
out:
	free(index);
	return good;
}

int archive_open(int fd, const char *path, struct archive_file **ret, uint64_t *ret_size,
		 struct error *err)
{
	struct archive_file *a = calloc(1, sizeof(*a));
	struct footer f;
	struct stat st;

	if (a == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for an archive");
	a->fd = fd;
	a->cached = UINT64_MAX;
	if (fstat(fd, &st) != 0 || st.st_size < (off_t)sizeof(f) ||
	    file_read(fd, (uint64_t)st.st_size - sizeof(f), &f, sizeof(f)) != sizeof(f) ||
	    !footer_plausible(&f, (uint64_t)st.st_size))
		goto corrupt;
	a->size = le64toh(f.size);
	a->block_count = le64toh(f.block_count);
	memcpy(a->sha256, f.sha256, SHA_SIZE);
	if (!read_index(a, &f))
		goto corrupt;
	*ret = a;
	*ret_size = a->size;
	return 0;
corrupt:
	archive_close(a);
	return error_set(err, ERROR_CORRUPT, "%s: the archive's index is damaged", path);
}

void archive_close(struct archive_file *a)
{
	if (a == NULL)
		return;
	free(a->offsets);
	free(a->raw);
	free(a->compressed);
	free(a);
}

/* Inflates never more than one block's bytes, whatever the file says. */
static bool block_load(struct archive_file *a, uint64_t block)
{
	const size_t length = block_length(a, block);
	const size_t size = (size_t)(a->offsets[block + 1] - a->offsets[block]);
	uLongf got = length;

	if (a->cached == block)
		return true;
	a->cached = UINT64_MAX;
	if (file_read(a->fd, a->offsets[block], a->compressed, size) != (int64_t)size ||
	    uncompress(a->raw, &got, a->compressed, size) != Z_OK || got != length)
		return false;
	a->cached = block;
	return true;
}

int64_t archive_read(struct archive_file *a, uint64_t offset, uint8_t *out, size_t size,
		     struct error *err)
{
	size_t done = 0;

	(void)err;
	assert(offset <= a->size && size <= a->size - offset);
	while (done < size) {
		const uint64_t block = (offset + done) / ARCHIVE_BLOCK_SIZE;
		const size_t at = (size_t)((offset + done) % ARCHIVE_BLOCK_SIZE);
		size_t n = block_length(a, block) - at;

		if (n > size - done)
			n = size - done;
		if (block_load(a, block))
			memcpy(out + done, a->raw + at, n);
		else
			memset(out + done, 0, n);
		done += n;
	}
	return (int64_t)done;
}

int archive_check(struct archive_file *a, struct error *err)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t sha[SHA_SIZE];
	int rc = 0;

	if (md == NULL || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		rc = error_set(err, ERROR_MEMORY, "no memory for SHA-256");
	for (uint64_t i = 0; rc == 0 && i < a->block_count; i++) {
		if (!block_load(a, i))
			rc = error_set(err, ERROR_CORRUPT, "archive block %" PRIu64 " is damaged",
				       i);
		else
			EVP_DigestUpdate(md, a->raw, block_length(a, i));
	}
	if (rc == 0 &&
	    (EVP_DigestFinal_ex(md, sha, NULL) != 1 || memcmp(sha, a->sha256, SHA_SIZE) != 0))
		rc = error_set(err, ERROR_CORRUPT, "archive bytes do not match their SHA-256");
	EVP_MD_CTX_free(md);
	return rc;
}

/* ---- writing ---- */

struct packer {
	const struct folder *folder;
	uint64_t base;
	struct segment *live;
	int fd;
	char temporary[SEGMENT_PATH_MAX + 8];
	uint32_t *index;
	uint8_t *raw, *compressed;
	EVP_MD_CTX *md;
};

static int pack_blocks(struct packer *p, uint64_t size, struct footer *f,
		       bool (*between)(void *arg), void *arg, struct error *err)
{
	uint64_t at = 0;

	for (uint64_t offset = 0, i = 0; offset < size; offset += ARCHIVE_BLOCK_SIZE, i++) {
		const size_t want = size - offset < ARCHIVE_BLOCK_SIZE ? (size_t)(size - offset)
								       : ARCHIVE_BLOCK_SIZE;
		const int64_t n = segment_read(p->live, offset, p->raw, want, err);
		uLongf packed = COMPRESSED_MAX;

		if (n != (int64_t)want)
			return n < 0 ? (int)n : error_set(err, ERROR_IO, "a segment shrank");
		if (compress2(p->compressed, &packed, p->raw, want, COMPRESSION_LEVEL) != Z_OK)
			return error_set(err, ERROR_MEMORY, "zlib could not compress");
		EVP_DigestUpdate(p->md, p->raw, want);
		if (file_write(p->fd, at, p->compressed, packed) != 0)
			return error_errno(err, ERROR_IO, "cannot write %s", p->temporary);
		p->index[i] = htole32((uint32_t)packed);
		at += packed;
		if (between(arg))
			return error_set(err, ERROR_CLOSED, "given up");
	}
	f->index_offset = htole64(at);
	return EVP_DigestFinal_ex(p->md, f->sha256, NULL) == 1 ? 0 : ERROR_MEMORY;
}

static int pack_footer(struct packer *p, struct footer *f, struct error *err)
{
	const size_t count = (size_t)le64toh(f->block_count);
	const uint64_t at = le64toh(f->index_offset);

	memcpy(f->magic, footer_magic, sizeof(footer_magic));
	f->version = htole32(ARCHIVE_VERSION);
	f->block_size = htole32(ARCHIVE_BLOCK_SIZE);
	f->checksum = htole32(footer_checksum(p->index, count, f));
	if (file_write(p->fd, at, p->index, count * sizeof(*p->index)) != 0 ||
	    file_write(p->fd, at + count * sizeof(*p->index), f, sizeof(*f)) != 0 ||
	    fsync(p->fd) != 0)
		return error_errno(err, ERROR_IO, "cannot write %s", p->temporary);
	return 0;
}

/* Evidence is deleted only after the copy was seen to inflate to the same bytes. */
static int pack_verify(struct packer *p, struct error *err)
{
	struct archive_file *a = NULL;
	uint64_t size;
	int rc = archive_open(p->fd, p->temporary, &a, &size, err);

	if (rc == 0)
		rc = archive_check(a, err);
	archive_close(a);
	return rc;
}

static int pack_finish(struct packer *p, struct error *err)
{
	char path[SEGMENT_PATH_MAX];

	segment_path(p->folder, p->base, true, path);
	if (rename(p->temporary, path) != 0 || folder_sync(p->folder->archive) != 0)
		return error_errno(err, ERROR_IO, "cannot name %s", path);
	segment_path(p->folder, p->base, false, path);
	if (unlink(path) != 0 || folder_sync(p->folder->dir) != 0)
		return error_errno(err, ERROR_IO, "cannot remove %s", path);
	return 0;
}

static int pack_prepare(struct packer *p, uint64_t blocks, struct error *err)
{
	char path[SEGMENT_PATH_MAX];
	int rc = segment_open(p->folder, p->base, false, &p->live, err);

	if (rc != 0)
		return rc;
	p->index = calloc(blocks, sizeof(*p->index));
	p->raw = malloc(ARCHIVE_BLOCK_SIZE);
	p->compressed = malloc(COMPRESSED_MAX);
	p->md = EVP_MD_CTX_new();
	if (p->index == NULL || p->raw == NULL || p->compressed == NULL || p->md == NULL ||
	    EVP_DigestInit_ex(p->md, EVP_sha256(), NULL) != 1)
		return error_set(err, ERROR_MEMORY, "no memory to archive a segment");
	if (folder_make(p->folder->archive, err) != 0)
		return ERROR_IO;
	segment_path(p->folder, p->base, true, path);
	snprintf(p->temporary, sizeof(p->temporary), "%s.tmp", path);
	p->fd = file_create(p->temporary);
	return p->fd >= 0 ? 0 : error_errno(err, ERROR_IO, "cannot make %s", p->temporary);
}

int archive_segment(const struct folder *f, uint64_t base, uint64_t size,
		    bool (*between)(void *arg), void *arg, struct error *err)
{
	const uint64_t blocks = (size + ARCHIVE_BLOCK_SIZE - 1) / ARCHIVE_BLOCK_SIZE;
	struct footer footer = { .size = htole64(size), .block_count = htole64(blocks) };
	struct packer p = { .folder = f, .base = base, .fd = -1 };
	int rc;

	assert(size > 0 && size <= SEGMENT_SIZE_MAX);
	if ((rc = pack_prepare(&p, blocks, err)) == 0 &&
	    (rc = pack_blocks(&p, size, &footer, between, arg, err)) == 0 &&
	    (rc = pack_footer(&p, &footer, err)) == 0 && (rc = pack_verify(&p, err)) == 0)
		rc = pack_finish(&p, err);
	if (p.fd >= 0) {
		close(p.fd);
		if (rc != 0)
			unlink(p.temporary);
	}
	EVP_MD_CTX_free(p.md);
	free(p.index);
	free(p.raw);
	free(p.compressed);
	segment_close(p.live);
	return rc;
}

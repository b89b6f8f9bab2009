/*
 * fuzz_spool_recovery: any bytes as what a disk gives back for a segment, or for an archived one.
 *
 * Promises: opening never fails for damage and ends; what is read stands in the bytes with the
 * right checksums, once and in order; what is written afterwards is read back; the log's end stays
 * where recovery put it.
 *
 * Input: a byte of choices, then the data of the segment (or the whole archive).  With REPAIR the
 * checksums of everything that looks like an item are made right, or nothing would get past them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "gateway/base/log.h"
#include "gateway/spool/format.h"
#include "gateway/spool/spool.h"
#include "test/fuzz/fuzz.h"

enum { REPAIR = 1, ARCHIVE = 2, HURT_FIRST_COPY = 4, HURT_BOTH = 8, EARLY_READER = 16 };
enum { IMAGE_MAX = 64 * 1024, ROUNDS_MAX = 20000 };

static uint8_t image[IMAGE_MAX];
static char folder[64];

/* ---- the segment ---- */

static const struct segment_header header = {
	.salt = "fuzz_spool_salt",
	.size = IMAGE_MAX,
	.first_sequence = 1,
	.previous_base = BASE_NONE,
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* On purpose not with format.c: its own arithmetic is judged too. */
static uint32_t checksum(const uint8_t *bytes, size_t size)
{
	return (uint32_t)crc32(crc32(0, header.salt, SALT_SIZE), bytes, (uInt)size);
}

static uint32_t payload_checksum(const uint8_t *record, size_t payload)
{
	const uint32_t state = checksum(record + 8, 8);
	const size_t padded = (payload + 7) / 8 * 8;

	return padded == 0 ? state
			   : (uint32_t)crc32(state, record + RECORD_HEADER_SIZE, (uInt)padded);
}

static void repair(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + MARK_SIZE <= size;) {
		uint8_t *p = data + at;
		const size_t length = get32(p + 4);

		at += 8;
		if (!item_magic(p))
			continue;
		if (p[2] == 'M') {
			put32(p + 60, checksum(p, 60));
		} else if (length <= SPOOL_RECORD_MAX && record_size(length) <= size - (at - 8)) {
			put32(p + 24, payload_checksum(p, length));
			put32(p + 28, checksum(p, 28));
			at += record_size(length) - 8;
		}
	}
}

static size_t make_image(unsigned choices, const uint8_t *data, size_t size)
{
	memset(image, 0, sizeof(image));
	if (choices & ARCHIVE) {
		memcpy(image, data, size);
		return size;
	}
	header_write(&header, image);
	header_write(&header, image + HEADER_COPY_SIZE);
	if (choices & (HURT_FIRST_COPY | HURT_BOTH))
		image[100] ^= 1;
	if (choices & HURT_BOTH)
		image[HEADER_COPY_SIZE + 100] ^= 1;
	memcpy(image + HEADER_SIZE, data, size);
	if (choices & REPAIR)
		repair(image + HEADER_SIZE, size);
	return sizeof(image);
}

/* ---- the folder ---- */

static void empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	while (dir != NULL && (entry = readdir(dir)) != NULL)
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir != NULL)
		closedir(dir);
}

static void remove_folder(void)
{
	static const char *const parts[] = { "/archive", "/quarantine", "" };
	char path[96];

	for (size_t i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s%s", folder, parts[i]);
		empty(path);
		rmdir(path);
	}
}

static void make_folder(unsigned choices, size_t size)
{
	char path[128];
	int fd;

	if (folder[0] == '\0') {
		snprintf(folder, sizeof(folder), "%s/haulgate-fuzz.%d",
			 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
		log_set_level(LOG_ERROR);
		atexit(remove_folder);
	}
	remove_folder();
	CHECK(mkdir(folder, 0700) == 0);
	snprintf(path, sizeof(path), "%s/archive", folder);
	CHECK(mkdir(path, 0700) == 0);
	snprintf(path, sizeof(path), "%s/%s0000000000000000.seg%s", folder,
		 choices & ARCHIVE ? "archive/" : "", choices & ARCHIVE ? "z" : "");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(fd >= 0 && write(fd, image, size) == (ssize_t)size && close(fd) == 0);
}

/* ---- the judgement ---- */

/* The record stands in the image, and its checksums are right by our own arithmetic. */
static void check_record(const struct spool_record *r)
{
	const uint8_t *p = image + r->position;

	CHECK(r->position >= HEADER_SIZE &&
	      r->position + RECORD_HEADER_SIZE + r->size <= IMAGE_MAX);
	CHECK(get32(p + 4) == r->size && memcmp(p + RECORD_HEADER_SIZE, r->payload, r->size) == 0);
	CHECK(get32(p + 24) == payload_checksum(p, r->size));
	CHECK(get32(p + 28) == checksum(p, 28));
}

struct seen {
	uint64_t records, sequence, position;
	size_t last_size;
};

static struct seen read_all(bool in_image)
{
	struct spool_reader *r;
	struct spool_record record;
	struct error err;
	struct seen seen = { 0 };
	unsigned rounds = 0;
	int rc;

	CHECK(spool_reader_open(folder, NULL, 0, &r, &err) == 0);
	while ((rc = spool_reader_next(r, UINT64_MAX, &record, &err)) != 0) {
		CHECK(++rounds < ROUNDS_MAX);
		CHECK(rc == 1 || rc == ERROR_CORRUPT);
		if (rc != 1)
			continue;
		CHECK(record.sequence > seen.sequence && record.position >= seen.position);
		CHECK(record.next > record.position);
		if (in_image)
			check_record(&record);
		seen = (struct seen){ seen.records + 1, record.sequence, record.next, record.size };
	}
	spool_reader_close(r);
	return seen;
}

static void on_done(struct spool_batch *b, int status, void *arg)
{
	(void)b;
	(void)arg;
	CHECK(status == 0);
}

static struct spool_recovery open_write_close(void)
{
	const struct spool_options o = { .dir = folder,
					 .segment_size = 20 * 1024,
					 .batch_max = 4 * 1024,
					 .size_max = UINT64_C(1) << 50 };
	struct spool_recovery found;
	struct spool_batch b;
	struct spool *s;
	struct error err;

	CHECK(spool_open(&o, &found, &s, &err) == 0);
	CHECK(spool_batch_init(&b, 1024) == 0);
	b.done = on_done;
	memset(spool_batch_add(&b, 77), 0x77, 77);
	CHECK(spool_submit(s, &b) == 0);
	spool_close(s);
	spool_batch_release(&b);
	return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spool_recovery found;
	struct seen seen, again;
	unsigned choices;
	bool live;

	if (size < 1 || size > IMAGE_MAX - HEADER_SIZE)
		return 0;
	choices = data[0];
	live = (choices & ARCHIVE) == 0;
	make_folder(choices, make_image(choices, data + 1, size - 1));
	if (choices & EARLY_READER)
		read_all(live);
	found = open_write_close();
	seen = read_all(false);
	CHECK(seen.records >= 1 && seen.last_size == 77);
	if (live)
		CHECK(seen.records >= found.records);
	/* A second restart finds nothing that the first one left. */
	found = open_write_close();
	CHECK(found.corrupt_regions == 0 && found.torn_bytes == 0 && found.records == 1);
	again = read_all(false);
	CHECK(again.records == seen.records + 1 && again.position > seen.position);
	return 0;
}

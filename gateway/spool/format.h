/*
 * format.h - the bytes of a segment: header, records, commit marks.  docs/spool.md draws them.
 *
 *   header copy 4096 | header copy 4096 | group | group | ... | zeros
 *   group: record ... record | mark | zeros up to the next sector
 *
 * All numbers are little-endian.  A record and a mark begin on 8 bytes, a group on a sector of 512,
 * so that no write touches a sector whose bytes were promised.  Every checksum is a CRC-32 (zlib)
 * that starts from the segment's salt, 16 random bytes: bytes of another segment never look valid.
 *
 * Pure code: no I/O, clock or allocation.  Reading functions take any bytes at all.
 */
#ifndef GATEWAY_SPOOL_FORMAT_H
#define GATEWAY_SPOOL_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	FORMAT_VERSION = 1,
	SECTOR_SIZE = 512,
	HEADER_COPY_SIZE = 4096,
	HEADER_COPIES = 2,
	HEADER_SIZE = HEADER_COPIES * HEADER_COPY_SIZE,
	RECORD_HEADER_SIZE = 32,
	MARK_SIZE = 64,
	CHAIN_SIZE = 32,
	SALT_SIZE = 16,
};

#define BASE_NONE	 UINT64_MAX /* previous_base of the first segment of a log */
#define POSITION_MAX	 (UINT64_C(1) << 62)
#define SEGMENT_SIZE_MAX (UINT64_C(1) << 40)

struct segment_header {
	uint8_t salt[SALT_SIZE];
	uint64_t base;		 /* position of the file's first byte */
	uint64_t size;		 /* of the file when it was made */
	uint64_t first_sequence; /* of its first record */
	uint64_t previous_base;	 /* of the segment before, or BASE_NONE */
	uint64_t previous_end;	 /* position where the data of the segment before ends */
	int64_t created_ns;	 /* wall clock */
	uint8_t previous_chain[CHAIN_SIZE];
};

/* Says that everything from begin to here was written as one, and is whole. */
struct mark {
	uint32_t count;		   /* records; 0: the segment was closed in good order */
	uint64_t first_sequence;   /* of the group; with count 0, of the next one */
	uint64_t begin;		   /* position of the group's first byte */
	uint8_t chain[CHAIN_SIZE]; /* SHA-256 of (chain of the group before, bytes of the records)
				    */
};

enum item_kind {
	ITEM_NONE, /* nothing valid begins here */
	ITEM_RECORD,
	ITEM_DAMAGED_RECORD, /* the header is good, so the place of the next item is known */
	ITEM_MARK,
};

struct item {
	enum item_kind kind;
	uint64_t position;
	uint64_t end;	      /* where the next item begins */
	uint64_t sequence;    /* of a record */
	uint64_t group;	      /* first sequence of its group */
	const uint8_t *bytes; /* of the whole record */
	const uint8_t *payload;
	size_t size; /* of the payload */
	struct mark mark;
};

void header_write(const struct segment_header *h, uint8_t out[HEADER_COPY_SIZE]);
bool header_read(const uint8_t in[HEADER_COPY_SIZE], struct segment_header *ret);

/* The state that every checksum of a segment starts from. */
uint32_t salt_state(const uint8_t salt[SALT_SIZE]);

/* Bytes that a payload takes as a record. */
size_t record_size(size_t payload);

/* Prepares a record in place: length and padding; sequence and checksums come with record_seal().
 */
void record_begin(uint8_t *record, size_t payload);
size_t record_length(const uint8_t *record); /* of a record that record_begin() made */
void record_seal(uint8_t *record, uint32_t salt, uint64_t sequence, uint64_t group);

void mark_write(const struct mark *m, uint32_t salt, uint8_t out[MARK_SIZE]);

/* What begins at bytes, of which size are there.  Never reads behind them. */
void item_read(const uint8_t *bytes, size_t size, uint32_t salt, uint64_t position, uint64_t base,
	       struct item *ret);

/* True when the four bytes could begin an item: a cheap test for a search. */
bool item_magic(const uint8_t *bytes);

/* Rounds up to a sector of the segment that begins at base. */
uint64_t sector_up(uint64_t position, uint64_t base);

#endif

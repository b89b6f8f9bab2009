#include "gateway/spool/format.h"

#include <assert.h>
#include <endian.h>
#include <string.h>
#include <zlib.h>

#include "gateway/spool/spool.h"

enum { RECORD_MAGIC = 0x31524748, MARK_MAGIC = 0x314d4748 }; /* "HGR1", "HGM1" */

static const char header_magic[8] = "HAULSEG1";

static void put32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof(v));
}

static void put64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof(v));
}

static uint32_t get32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

static uint64_t get64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return le64toh(v);
}

static uint32_t crc(uint32_t state, const uint8_t *bytes, size_t size)
{
	return (uint32_t)crc32(state, bytes, (uInt)size);
}

/* Offsets in a header copy. */
enum {
	HEADER_VERSION = 8,
	HEADER_DATA = 12, /* offset of the first group: HEADER_SIZE */
	HEADER_SALT = 16,
	HEADER_BASE = 32,
	HEADER_FILE = 40,
	HEADER_FIRST = 48,
	HEADER_PREVIOUS_BASE = 56,
	HEADER_PREVIOUS_END = 64,
	HEADER_CREATED = 72,
	HEADER_CHAIN = 80,
	HEADER_CHECKSUM = HEADER_COPY_SIZE - 4, /* over everything before it */
};

void header_write(const struct segment_header *h, uint8_t out[HEADER_COPY_SIZE])
{
	memset(out, 0, HEADER_COPY_SIZE);
	memcpy(out, header_magic, sizeof(header_magic));
	put32(out + HEADER_VERSION, FORMAT_VERSION);
	put32(out + HEADER_DATA, HEADER_SIZE);
	memcpy(out + HEADER_SALT, h->salt, SALT_SIZE);
	put64(out + HEADER_BASE, h->base);
	put64(out + HEADER_FILE, h->size);
	put64(out + HEADER_FIRST, h->first_sequence);
	put64(out + HEADER_PREVIOUS_BASE, h->previous_base);
	put64(out + HEADER_PREVIOUS_END, h->previous_end);
	put64(out + HEADER_CREATED, (uint64_t)h->created_ns);
	memcpy(out + HEADER_CHAIN, h->previous_chain, CHAIN_SIZE);
	put32(out + HEADER_CHECKSUM, crc(0, out, HEADER_CHECKSUM));
}

/* Bounds that keep every later sum of positions and sequences far from overflow. */
static bool header_plausible(const struct segment_header *h)
{
	const bool first = h->previous_base == BASE_NONE;

	return h->base <= POSITION_MAX && h->base % SECTOR_SIZE == 0 && h->size >= HEADER_SIZE &&
	       h->size <= SEGMENT_SIZE_MAX && h->first_sequence >= 1 &&
	       h->first_sequence <= POSITION_MAX &&
	       (first || (h->previous_base < h->base && h->previous_base < h->previous_end &&
			  h->previous_end <= h->base));
}

bool header_read(const uint8_t in[HEADER_COPY_SIZE], struct segment_header *ret)
{
	if (memcmp(in, header_magic, sizeof(header_magic)) != 0 ||
	    get32(in + HEADER_CHECKSUM) != crc(0, in, HEADER_CHECKSUM) ||
	    get32(in + HEADER_VERSION) != FORMAT_VERSION || get32(in + HEADER_DATA) != HEADER_SIZE)
		return false;
	memcpy(ret->salt, in + HEADER_SALT, SALT_SIZE);
	ret->base = get64(in + HEADER_BASE);
	ret->size = get64(in + HEADER_FILE);
	ret->first_sequence = get64(in + HEADER_FIRST);
	ret->previous_base = get64(in + HEADER_PREVIOUS_BASE);
	ret->previous_end = get64(in + HEADER_PREVIOUS_END);
	ret->created_ns = (int64_t)get64(in + HEADER_CREATED);
	memcpy(ret->previous_chain, in + HEADER_CHAIN, CHAIN_SIZE);
	return header_plausible(ret);
}

uint32_t salt_state(const uint8_t salt[SALT_SIZE])
{
	return crc(0, salt, SALT_SIZE);
}

/* Offsets in a record. */
enum {
	RECORD_LENGTH = 4,
	RECORD_SEQUENCE = 8,
	RECORD_GROUP = 16,
	RECORD_PAYLOAD_CHECKSUM = 24, /* over sequence, payload and padding */
	RECORD_HEADER_CHECKSUM = 28,  /* over the 28 bytes before it */
};

size_t record_size(size_t payload)
{
	return RECORD_HEADER_SIZE + (payload + 7) / 8 * 8;
}

void record_begin(uint8_t *record, size_t payload)
{
	const size_t size = record_size(payload);

	assert(payload <= SPOOL_RECORD_MAX);
	memset(record, 0, RECORD_HEADER_SIZE);
	if (size > RECORD_HEADER_SIZE)
		memset(record + size - 8, 0, 8);
	put32(record, RECORD_MAGIC);
	put32(record + RECORD_LENGTH, (uint32_t)payload);
}

size_t record_length(const uint8_t *record)
{
	const size_t payload = get32(record + RECORD_LENGTH);

	assert(get32(record) == RECORD_MAGIC && payload <= SPOOL_RECORD_MAX);
	return record_size(payload);
}

static uint32_t payload_checksum(const uint8_t *record, size_t size, uint32_t salt)
{
	uint32_t state = crc(salt, record + RECORD_SEQUENCE, 8);

	/* zlib takes a NULL or empty buffer as a wish for the start value. */
	if (size > RECORD_HEADER_SIZE)
		state = crc(state, record + RECORD_HEADER_SIZE, size - RECORD_HEADER_SIZE);
	return state;
}

void record_seal(uint8_t *record, uint32_t salt, uint64_t sequence, uint64_t group)
{
	const size_t size = record_length(record);

	put64(record + RECORD_SEQUENCE, sequence);
	put64(record + RECORD_GROUP, group);
	put32(record + RECORD_PAYLOAD_CHECKSUM, payload_checksum(record, size, salt));
	put32(record + RECORD_HEADER_CHECKSUM, crc(salt, record, RECORD_HEADER_CHECKSUM));
}

/* Offsets in a mark. */
enum {
	MARK_COUNT = 4,
	MARK_FIRST = 8,
	MARK_BEGIN = 16,
	MARK_CHAIN = 24,
	MARK_CHECKSUM = MARK_SIZE - 4, /* over everything before it */
};

void mark_write(const struct mark *m, uint32_t salt, uint8_t out[MARK_SIZE])
{
	memset(out, 0, MARK_SIZE);
	put32(out, MARK_MAGIC);
	put32(out + MARK_COUNT, m->count);
	put64(out + MARK_FIRST, m->first_sequence);
	put64(out + MARK_BEGIN, m->begin);
	memcpy(out + MARK_CHAIN, m->chain, CHAIN_SIZE);
	put32(out + MARK_CHECKSUM, crc(salt, out, MARK_CHECKSUM));
}

static void mark_read(const uint8_t *in, size_t size, uint32_t salt, uint64_t base, struct item *it)
{
	if (size < MARK_SIZE || get32(in + MARK_CHECKSUM) != crc(salt, in, MARK_CHECKSUM))
		return;
	it->mark.count = get32(in + MARK_COUNT);
	it->mark.first_sequence = get64(in + MARK_FIRST);
	it->mark.begin = get64(in + MARK_BEGIN);
	memcpy(it->mark.chain, in + MARK_CHAIN, CHAIN_SIZE);
	it->group = it->mark.first_sequence;
	it->kind = ITEM_MARK;
	it->end = sector_up(it->position + MARK_SIZE, base);
}

static void record_read(const uint8_t *in, size_t size, uint32_t salt, struct item *it)
{
	size_t payload, whole;

	if (size < RECORD_HEADER_SIZE ||
	    get32(in + RECORD_HEADER_CHECKSUM) != crc(salt, in, RECORD_HEADER_CHECKSUM))
		return;
	payload = get32(in + RECORD_LENGTH);
	if (payload > SPOOL_RECORD_MAX || (whole = record_size(payload)) > size)
		return;
	it->bytes = in;
	it->payload = in + RECORD_HEADER_SIZE;
	it->size = payload;
	it->sequence = get64(in + RECORD_SEQUENCE);
	it->group = get64(in + RECORD_GROUP);
	it->end = it->position + whole;
	it->kind = get32(in + RECORD_PAYLOAD_CHECKSUM) == payload_checksum(in, whole, salt)
			   ? ITEM_RECORD
			   : ITEM_DAMAGED_RECORD;
}

bool item_magic(const uint8_t *bytes)
{
	const uint32_t magic = get32(bytes);

	return magic == RECORD_MAGIC || magic == MARK_MAGIC;
}

void item_read(const uint8_t *bytes, size_t size, uint32_t salt, uint64_t position, uint64_t base,
	       struct item *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->position = position;
	if (size < 4)
		return;
	if (get32(bytes) == RECORD_MAGIC)
		record_read(bytes, size, salt, ret);
	else if (get32(bytes) == MARK_MAGIC)
		mark_read(bytes, size, salt, base, ret);
}

uint64_t sector_up(uint64_t position, uint64_t base)
{
	return base + (position - base + SECTOR_SIZE - 1) / SECTOR_SIZE * SECTOR_SIZE;
}

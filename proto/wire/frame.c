#include "proto/wire/frame.h"

#include <assert.h>
#include <string.h>

#include "proto/wire/bytes.h"
#include "proto/wire/unit.h"

enum {
	OFFSET_COMMAND = 2,
	OFFSET_ANSWER = 3, /* header P */
	OFFSET_VIN_V = 3,
	OFFSET_VIN_P = 4,
	OFFSET_VERSION = 20, /* header V */
	OFFSET_ENCRYPTION = 21,
	OFFSET_LENGTH = 22,
	BCC_SIZE = 1,
	ANSWER_MAX = 0x07, /* of the 2025 edition */
};

uint8_t frame_checksum(const uint8_t *bytes, size_t size)
{
	uint64_t wide = 0, word;
	uint8_t sum = 0;
	size_t i = 0;

	for (; i + sizeof(word) <= size; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		wide ^= word;
	}
	wide ^= wide >> 32;
	wide ^= wide >> 16;
	sum = (uint8_t)(wide ^ wide >> 8);
	for (; i < size; i++)
		sum ^= bytes[i];
	return sum;
}

static bool is_start(uint8_t byte)
{
	return byte == 0x23 || byte == 0x7E || byte == 0x24;
}

static bool is_alphanumeric(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool vin_plausible(const char *vin)
{
	size_t n = 0;

	while (n < VIN_SIZE && is_alphanumeric((uint8_t)vin[n]))
		n++;
	return n == VIN_SIZE && vin[n] == '\0';
}

static enum header header_of(uint8_t byte3)
{
	return byte3 == ANSWER_COMMAND || (byte3 >= 0x01 && byte3 <= ANSWER_MAX) ? HEADER_P
										 : HEADER_V;
}

/*
 * A wider gate than vin_plausible(): a terminal that has not read its VIN sends '?' or blanks, a
 * platform its own code.  Such a frame is framed, and refused with a verdict, not lost as noise.
 */
static bool vin_framed(const uint8_t *vin, size_t n)
{
	bool ended = false;

	for (size_t i = 0; i < n; i++) {
		if (vin[i] == '\0' && i > 0)
			ended = true;
		else if (vin[i] < 0x20 || vin[i] > 0x7E || (ended && vin[i] != ' '))
			return false;
	}
	return true;
}

/*
 * Can these bytes be the start of a frame?  Judges as many header bytes as are there.
 * A start mark is no command: so a stray '#' in front of "##" is passed over at once, instead of
 * reading the VIN one byte off and waiting for a length that is none.
 */
static bool header_plausible(const uint8_t *b, size_t size)
{
	size_t vin_at, vin_end;

	if (size >= 1 && !is_start(b[0]))
		return false;
	if (size >= 2 && b[1] != b[0])
		return false;
	if (size >= 3 && (b[2] == 0x00 || b[2] == 0xFF || is_start(b[2])))
		return false;
	if (size < 4)
		return true;
	if (header_of(b[3]) == HEADER_V && b[0] == 0x24)
		return false; /* the 2025 edition has no header V */
	vin_at = header_of(b[3]) == HEADER_V ? OFFSET_VIN_V : OFFSET_VIN_P;
	vin_end = vin_at + VIN_SIZE < size ? vin_at + VIN_SIZE : size;
	if (vin_end > vin_at && !vin_framed(b + vin_at, vin_end - vin_at))
		return false;
	if (size <= OFFSET_ENCRYPTION)
		return true;
	return b[OFFSET_ENCRYPTION] <= 0x05 || b[OFFSET_ENCRYPTION] >= 0xFE;
}

/* The next place behind the first byte where a frame may start; size when there is none. */
static size_t next_start(const uint8_t *b, size_t size)
{
	size_t i = 1;

	while (i < size && !(is_start(b[i]) && header_plausible(b + i, size - i)))
		i++;
	return i;
}

static enum protocol protocol_of(const struct frame *f)
{
	if (f->start == 0x24)
		return PROTOCOL_GBT32960_2025;
	if (f->start == 0x7E)
		return PROTOCOL_HJ1239;
	if (f->header == HEADER_P)
		return PROTOCOL_GBT32960_2016;
	/* HJ 1239 keeps the header of GB 17691 and adds commands 06 to 08. */
	return f->command >= 0x06 && f->command <= 0x08 ? PROTOCOL_HJ1239 : PROTOCOL_GB17691;
}

static void read_header(const uint8_t *b, struct frame *f)
{
	size_t n = VIN_SIZE;

	f->start = b[0];
	f->command = b[OFFSET_COMMAND];
	f->header = header_of(b[3]);
	f->answer = f->header == HEADER_P ? b[OFFSET_ANSWER] : ANSWER_COMMAND;
	memcpy(f->vin, b + (f->header == HEADER_P ? OFFSET_VIN_P : OFFSET_VIN_V), VIN_SIZE);
	while (n > 0 && (f->vin[n - 1] == '\0' || f->vin[n - 1] == ' '))
		n--;
	memset(f->vin + n, '\0', sizeof(f->vin) - n);
	f->software_version = f->header == HEADER_V ? b[OFFSET_VERSION] : 0;
	f->encryption = b[OFFSET_ENCRYPTION];
	f->protocol = protocol_of(f);
	f->unit_size = get_u16(b + OFFSET_LENGTH);
	f->unit = NULL;
	f->bytes = b;
	f->size = FRAME_HEAD_SIZE;
}

enum scan frame_scan(const uint8_t *buf, size_t size, size_t unit_max, struct frame *ret_frame,
		     size_t *ret_used)
{
	size_t limit, total;

	*ret_used = 0;
	if (!header_plausible(buf, size)) {
		*ret_used = next_start(buf, size);
		return SCAN_NOISE;
	}
	if (size < FRAME_HEAD_SIZE)
		return SCAN_MORE;

	limit = frame_unit_limit(buf[OFFSET_COMMAND]);
	total = FRAME_HEAD_SIZE + (size_t)get_u16(buf + OFFSET_LENGTH) + BCC_SIZE;
	if (total > FRAME_HEAD_SIZE + (limit < unit_max ? limit : unit_max) + BCC_SIZE) {
		read_header(buf, ret_frame);
		*ret_used = 1;
		return SCAN_TOO_LONG;
	}
	if (size < total)
		return SCAN_MORE;

	read_header(buf, ret_frame);
	ret_frame->unit = buf + FRAME_HEAD_SIZE;
	ret_frame->size = total;
	if (frame_checksum(buf + OFFSET_COMMAND, total - OFFSET_COMMAND) != 0) {
		*ret_used = 1;
		return SCAN_BAD_CHECKSUM;
	}
	*ret_used = total;
	return SCAN_FRAME;
}

/* Length and BCC of a frame whose header and unit stand in buf. */
static size_t seal(uint8_t *buf, size_t unit_size)
{
	const size_t end = FRAME_HEAD_SIZE + unit_size;

	put_u16(buf + OFFSET_LENGTH, (uint16_t)unit_size);
	buf[end] = frame_checksum(buf + OFFSET_COMMAND, end - OFFSET_COMMAND);
	return end + BCC_SIZE;
}

size_t frame_encode(const struct frame *f, uint8_t *buf, size_t size)
{
	const size_t vin_size = strnlen(f->vin, VIN_SIZE);
	uint8_t *vin;

	if (f->unit_size > FRAME_UNIT_MAX || size < FRAME_HEAD_SIZE + f->unit_size + BCC_SIZE)
		return 0;
	assert(is_start(f->start));
	if (f->unit_size > 0)
		memmove(buf + FRAME_HEAD_SIZE, f->unit, f->unit_size);
	buf[0] = buf[1] = f->start;
	buf[OFFSET_COMMAND] = f->command;
	if (f->header == HEADER_P)
		buf[OFFSET_ANSWER] = f->answer;
	else
		buf[OFFSET_VERSION] = f->software_version;
	vin = buf + (f->header == HEADER_P ? OFFSET_VIN_P : OFFSET_VIN_V);
	memset(vin, 0, VIN_SIZE);
	memcpy(vin, f->vin, vin_size);
	buf[OFFSET_ENCRYPTION] = f->encryption;
	return seal(buf, f->unit_size);
}

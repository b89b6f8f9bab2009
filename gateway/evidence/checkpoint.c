#include "gateway/evidence/checkpoint.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "gateway/evidence/text.h"

enum { HEX_SIZE = 2 * HASH_SIZE + 1 };

static const char *const clocks[] = { "unknown", "synchronised", "unsynchronised" };
enum { CLOCKS = sizeof(clocks) / sizeof(clocks[0]) };

bool origin_valid(const char *origin)
{
	struct cursor c = cursor_of(origin, strlen(origin));
	char name[ORIGIN_SIZE];

	cursor_name(&c, name, sizeof(name));
	return cursor_done(&c);
}

const char *checkpoint_clock(const struct checkpoint *c)
{
	return c->clock < CLOCKS ? clocks[c->clock] : clocks[0];
}

void checkpoint_time(const struct checkpoint *c, char out[CHECKPOINT_TIME_SIZE])
{
	const time_t at = (time_t)c->time;
	struct tm tm;

	out[0] = '\0';
	if (gmtime_r(&at, &tm) != NULL)
		strftime(out, CHECKPOINT_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* What is signed: everything but the last line. */
static size_t write_signed_part(const struct checkpoint *c, char out[CHECKPOINT_TEXT_SIZE])
{
	char root[HASH_KINDS][HEX_SIZE], id[HEX_SIZE], time[CHECKPOINT_TIME_SIZE];
	int n;

	for (int kind = 0; kind < HASH_KINDS; kind++)
		hex_write(c->root[kind].bytes, HASH_SIZE, root[kind]);
	hex_write(c->key_id.bytes, HASH_SIZE, id);
	checkpoint_time(c, time);
	n = snprintf(out, CHECKPOINT_TEXT_SIZE,
		     "haulgate checkpoint 1\norigin %s\nsize %" PRIu64
		     "\nsha256 %s\nsm3 %s\ntime %s\nclock %s\nkey %s %s\n",
		     c->origin, c->size, root[HASH_SHA256], root[HASH_SM3], time,
		     checkpoint_clock(c), c->sm2 ? "sm2" : "ed25519", id);
	assert(n > 0 && n < CHECKPOINT_TEXT_SIZE);
	return (size_t)n;
}

size_t checkpoint_write(const struct checkpoint *c, char out[CHECKPOINT_TEXT_SIZE])
{
	char signature[2 * KEY_SIGNATURE_SIZE + 1];
	const size_t size = write_signed_part(c, out);
	int n;

	hex_write(c->signature, KEY_SIGNATURE_SIZE, signature);
	n = snprintf(out + size, CHECKPOINT_TEXT_SIZE - size, "signature %s\n", signature);
	assert(n > 0 && size + (size_t)n < CHECKPOINT_TEXT_SIZE);
	return size + (size_t)n;
}

int checkpoint_sign(struct checkpoint *c, const struct log_key *k, struct error *err)
{
	char text[CHECKPOINT_TEXT_SIZE];
	size_t size;

	c->sm2 = strcmp(log_key_algorithm(k), "sm2") == 0;
	c->key_id = *log_key_id(k);
	size = write_signed_part(c, text);
	return log_key_sign(k, text, size, c->signature, err);
}

bool checkpoint_signed(const struct checkpoint *c, const struct log_key *k)
{
	char text[CHECKPOINT_TEXT_SIZE];
	const size_t size = write_signed_part(c, text);

	return hash_same(&c->key_id, log_key_id(k)) && log_key_signed(k, text, size, c->signature);
}

/* Two or four digits. */
static int digits(struct cursor *c, int count)
{
	int n = 0;

	for (int i = 0; i < count; i++, c->at++) {
		if (c->bad || c->at == c->end || *c->at < '0' || *c->at > '9') {
			c->bad = true;
			return 0;
		}
		n = 10 * n + (*c->at - '0');
	}
	return n;
}

/* The 31st of February comes out as another day: the text that is made of it is not the same. */
static int64_t read_time(struct cursor *c)
{
	struct tm tm = { 0 };

	tm.tm_year = digits(c, 4) - 1900;
	cursor_word(c, "-");
	tm.tm_mon = digits(c, 2) - 1;
	cursor_word(c, "-");
	tm.tm_mday = digits(c, 2);
	cursor_word(c, "T");
	tm.tm_hour = digits(c, 2);
	cursor_word(c, ":");
	tm.tm_min = digits(c, 2);
	cursor_word(c, ":");
	tm.tm_sec = digits(c, 2);
	cursor_word(c, "Z\n");
	return c->bad ? 0 : (int64_t)timegm(&tm);
}

static unsigned read_clock(struct cursor *c)
{
	for (unsigned i = 0; i < CLOCKS; i++)
		if (cursor_takes(c, clocks[i]))
			return i;
	c->bad = true;
	return 0;
}

size_t checkpoint_read(const char *text, size_t size, struct checkpoint *ret)
{
	struct cursor c = cursor_of(text, size);
	char again[CHECKPOINT_TEXT_SIZE];
	size_t taken;

	*ret = (struct checkpoint){ 0 };
	cursor_word(&c, "haulgate checkpoint 1\norigin ");
	cursor_name(&c, ret->origin, sizeof(ret->origin));
	cursor_word(&c, "\nsize ");
	ret->size = cursor_number(&c);
	cursor_word(&c, "\nsha256 ");
	cursor_hex(&c, ret->root[HASH_SHA256].bytes, HASH_SIZE);
	cursor_word(&c, "\nsm3 ");
	cursor_hex(&c, ret->root[HASH_SM3].bytes, HASH_SIZE);
	cursor_word(&c, "\ntime ");
	ret->time = read_time(&c);
	cursor_word(&c, "clock ");
	ret->clock = read_clock(&c);
	cursor_word(&c, "\nkey ");
	ret->sm2 = cursor_takes(&c, "sm2 ");
	if (!ret->sm2)
		cursor_word(&c, "ed25519 ");
	cursor_hex(&c, ret->key_id.bytes, HASH_SIZE);
	cursor_word(&c, "\nsignature ");
	cursor_hex(&c, ret->signature, KEY_SIGNATURE_SIZE);
	cursor_word(&c, "\n");
	if (c.bad)
		return 0;
	taken = (size_t)(c.at - text);
	return checkpoint_write(ret, again) == taken && memcmp(again, text, taken) == 0 ? taken : 0;
}

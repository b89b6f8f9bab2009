#include "gateway/evidence/text.h"

#include <string.h>

struct cursor cursor_of(const char *text, size_t size)
{
	return (struct cursor){ .at = text, .end = text + size };
}

bool cursor_done(const struct cursor *c)
{
	return !c->bad && c->at == c->end;
}

bool cursor_takes(struct cursor *c, const char *word)
{
	const size_t size = strlen(word);

	if (c->bad || (size_t)(c->end - c->at) < size || memcmp(c->at, word, size) != 0)
		return false;
	c->at += size;
	return true;
}

void cursor_word(struct cursor *c, const char *word)
{
	if (!cursor_takes(c, word))
		c->bad = true;
}

uint64_t cursor_number(struct cursor *c)
{
	const char *first = c->at;
	uint64_t n = 0;

	while (c->at < c->end && *c->at >= '0' && *c->at <= '9') {
		const unsigned digit = (unsigned)(*c->at++ - '0');

		if (n > (UINT64_MAX - digit) / 10) {
			c->bad = true;
			return 0;
		}
		n = 10 * n + digit;
	}
	if (c->at == first || (*first == '0' && c->at - first > 1))
		c->bad = true;
	return n;
}

static int hex_value(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	if (digit >= 'a' && digit <= 'f')
		return digit - 'a' + 10;
	return -1;
}

void cursor_hex(struct cursor *c, void *out, size_t size)
{
	uint8_t *bytes = out;

	memset(out, 0, size);
	if (c->bad || (size_t)(c->end - c->at) / 2 < size) {
		c->bad = true;
		return;
	}
	for (size_t i = 0; i < size; i++, c->at += 2) {
		const int high = hex_value(c->at[0]), low = hex_value(c->at[1]);

		if (high < 0 || low < 0) {
			c->bad = true;
			return;
		}
		bytes[i] = (uint8_t)(high << 4 | low);
	}
}

static bool name_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("._/-", c) != NULL);
}

void cursor_name(struct cursor *c, char *out, size_t size)
{
	size_t n = 0;

	while (c->at < c->end && n + 1 < size && name_letter(*c->at))
		out[n++] = *c->at++;
	out[n] = '\0';
	if (n == 0)
		c->bad = true;
}

struct bytes cursor_digits(struct cursor *c)
{
	const char *first = c->at;

	while (c->at < c->end && hex_value(*c->at) >= 0)
		c->at++;
	if ((c->at - first) % 2 != 0)
		c->bad = true;
	return (struct bytes){ first, (size_t)(c->at - first) };
}

void hex_write(const void *bytes, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = bytes;

	for (size_t i = 0; i < size; i++) {
		*out++ = digits[in[i] >> 4];
		*out++ = digits[in[i] & 15];
	}
	*out = '\0';
}

#include "proto/wire/text.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/frame.h"

void text_start(struct text *t, char *out, size_t size)
{
	assert(out != NULL || size == 0);
	*t = (struct text){ .out = out, .size = size };
	if (size > 0)
		out[0] = '\0';
}

char *text_room(const struct text *t, size_t *ret_size)
{
	if (t->used >= t->size) {
		*ret_size = 0;
		return NULL;
	}
	*ret_size = t->size - t->used;
	return t->out + t->used;
}

void text_bytes(struct text *t, const char *bytes, size_t n)
{
	size_t room;
	char *at = text_room(t, &room);

	if (room > 0) {
		const size_t fits = n < room ? n : room - 1;

		memcpy(at, bytes, fits);
		at[fits] = '\0';
	}
	t->used += n;
}

void text_put(struct text *t, const char *string)
{
	text_bytes(t, string, strlen(string));
}

void text_format(struct text *t, const char *format, ...)
{
	size_t room;
	char *at = text_room(t, &room);
	va_list args;
	int n;

	va_start(args, format);
	/* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): clang 14 loses va_start */
	n = vsnprintf(at, room, format, args);
	va_end(args);
	assert(n >= 0);
	t->used += (size_t)n;
}

void text_hex(struct text *t, const uint8_t *bytes, size_t n)
{
	static const char digits[] = "0123456789ABCDEF";

	for (size_t i = 0; i < n; i++) {
		const char pair[2] = { digits[bytes[i] >> 4], digits[bytes[i] & 15] };

		text_bytes(t, pair, 2);
	}
}

void text_json_string(struct text *t, const char *string)
{
	text_put(t, "\"");
	for (const char *p = string; *p != '\0'; p++) {
		const unsigned char c = (unsigned char)*p;

		if (c == '"' || c == '\\')
			text_format(t, "\\%c", c);
		else if (c < 0x20 || c > 0x7E)
			text_format(t, "\\u%04x", (unsigned)c);
		else
			text_bytes(t, p, 1);
	}
	text_put(t, "\"");
}

void text_json_time(struct text *t, int64_t at)
{
	uint8_t b[WIRE_TIME_SIZE];

	wire_time_encode(at, b);
	if (wire_time_decode(b) != at) { /* not of the century that the wire can say */
		text_put(t, "null");
		return;
	}
	text_format(t, "\"20%02u-%02u-%02uT%02u:%02u:%02u+08:00\"", b[0], b[1], b[2], b[3], b[4],
		    b[5]);
}

#include "gateway/query/output.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void output_init(struct output *o, size_t max)
{
	*o = (struct output){ .max = max };
}

void output_release(struct output *o)
{
	free(o->data);
	*o = (struct output){ .max = o->max };
}

char *output_room(struct output *o, size_t n)
{
	size_t size = o->size != 0 ? o->size : 1024;
	char *data;

	assert(o->used <= o->size);
	if (o->failed || n > o->max - o->used) {
		o->failed = true;
		return NULL;
	}
	if (o->size - o->used >= n && o->data != NULL)
		return o->data + o->used;
	while (size - o->used < n)
		size *= 2;
	if ((data = realloc(o->data, size)) == NULL) {
		o->failed = true;
		return NULL;
	}
	o->data = data;
	o->size = size;
	return o->data + o->used;
}

void output_bytes(struct output *o, const void *bytes, size_t n)
{
	char *room = output_room(o, n);

	if (room == NULL)
		return;
	memcpy(room, bytes, n);
	o->used += n;
}

void output_text(struct output *o, const char *text)
{
	output_bytes(o, text, strlen(text));
}

void output_format(struct output *o, const char *format, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		o->failed = true;
	else
		output_bytes(o, text, (size_t)n);
}

/* Length of the well-formed UTF-8 sequence at s, 0 when there is none (RFC 3629 section 4). */
static size_t utf8_length(const uint8_t *s, size_t left)
{
	uint8_t low = 0x80, high = 0xBF;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xC2 || s[0] > 0xF4)
		return 0;
	n = s[0] < 0xE0 ? 2 : s[0] < 0xF0 ? 3 : 4;
	if (s[0] == 0xE0)
		low = 0xA0;
	if (s[0] == 0xED)
		high = 0x9F;
	if (s[0] == 0xF0)
		low = 0x90;
	if (s[0] == 0xF4)
		high = 0x8F;
	if (left < n || s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if ((s[i] & 0xC0) != 0x80)
			return 0;
	return n;
}

bool text_is_plain(const char *text, size_t size)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t n;

	for (size_t i = 0; i < size; i += n) {
		n = utf8_length(s + i, size - i);
		if (n == 0 || s[i] < 0x20 || s[i] == 0x7F)
			return false;
	}
	return true;
}

void output_json(struct output *o, const char *text)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t left = strlen(text), n;

	output_bytes(o, "\"", 1);
	for (; left > 0; s += n, left -= n) {
		if ((n = utf8_length(s, left)) == 0) {
			output_text(o, "\xEF\xBF\xBD");
			n = 1;
		} else if (s[0] == '"' || s[0] == '\\') {
			output_format(o, "\\%c", s[0]);
		} else if (s[0] < 0x20 || s[0] == 0x7F) {
			output_format(o, "\\u%04x", s[0]);
		} else {
			output_bytes(o, s, n);
		}
	}
	output_bytes(o, "\"", 1);
}

void output_csv(struct output *o, const char *text)
{
	if (text == NULL)
		return;
	if (strpbrk(text, ",\"\r\n") == NULL) {
		output_text(o, text);
		return;
	}
	output_bytes(o, "\"", 1);
	for (; *text != '\0'; text++)
		output_bytes(o, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	output_bytes(o, "\"", 1);
}

void output_drop(struct output *o, size_t n)
{
	assert(n <= o->used);
	if (n == 0)
		return;
	memmove(o->data, o->data + n, o->used - n);
	o->used -= n;
}

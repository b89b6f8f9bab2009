#include "gateway/base/text.h"

#include <stdbool.h>
#include <string.h>

enum { CHARACTER_MAX = 4 };

static bool is_inside(char c)
{
	return ((unsigned char)c & 0xC0) == 0x80;
}

/* By its first byte. */
static size_t character_size(char first)
{
	const unsigned char c = (unsigned char)first;

	return c < 0x80 ? 1 : c < 0xE0 ? 2 : c < 0xF0 ? 3 : CHARACTER_MAX;
}

size_t text_whole(const char *text, size_t max)
{
	const size_t size = strnlen(text, max);
	size_t last = size; /* where the last character begins */

	while (last > 0 && size - last < CHARACTER_MAX) {
		last--;
		if (!is_inside(text[last]))
			return last + character_size(text[last]) > size ? last : size;
	}
	return size; /* no text at all, or empty */
}

/*
 * text.h - UTF-8 that has to be cut.
 */
#ifndef GATEWAY_BASE_TEXT_H
#define GATEWAY_BASE_TEXT_H

#include <stddef.h>

/*
 * How many of the first max bytes of text to keep so that no character is cut in two: none here,
 * and none that was cut before.  For "%.*s".
 */
size_t text_whole(const char *text, size_t max);

#endif

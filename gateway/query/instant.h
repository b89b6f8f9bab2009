/*
 * instant.h - points in time as people write them, and unix seconds.
 *
 * Read: RFC 3339 with an offset ("2026-11-16T08:00:00+08:00", "...Z"), or a date, which is a
 * Beijing calendar day.  Written: RFC 3339 at +08:00.
 */
#ifndef GATEWAY_QUERY_INSTANT_H
#define GATEWAY_QUERY_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

enum { INSTANT_TEXT_SIZE = 32 };

/*
 * Years 1970 to 2100.  end: the bound of a half-open interval, so a date means the end of that day.
 * A fraction of a second is rounded up, because samples stand at whole seconds.  A blank
 * in front of the offset is read as the '+' that it was before URL decoding.
 * False when the text is not such a time; *ret untouched then.
 */
bool instant_parse(const char *text, bool end, int64_t *ret);

/* "2026-11-16T08:00:00+08:00".  Returns the length; at is clamped to years 1970 to 9999. */
int instant_format(int64_t at, char out[INSTANT_TEXT_SIZE]);

/* Days since 1970-01-01 of a civil date; false for a date that no calendar has. */
bool civil_day(int year, int month, int day, int64_t *ret);

#endif

#include <assert.h>

#include "proto/wire/claimed_time.h"
#include "proto/wire/verdict.h"

enum { GMT_PLUS_8 = 8 * 3600, DAY = 86400 };

/* Days from 1970-01-01 to a day of the years 2000 to 2099, where every fourth year is a leap year.
 */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
	static const uint16_t before[12] = {
		0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334
	};
	const unsigned y = year - 2000;
	const unsigned leap_days = (y + 3) / 4 + (y % 4 == 0 && month > 2 ? 1 : 0);

	return 10957 + 365 * (int64_t)y + leap_days + before[month - 1] + day - 1;
}

static unsigned month_size(unsigned year, unsigned month)
{
	static const uint8_t size[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return month == 2 && year % 4 == 0 ? 29 : size[month - 1];
}

int64_t wire_time_decode(const uint8_t b[WIRE_TIME_SIZE])
{
	const unsigned year = 2000u + b[0];

	if (b[0] > 99 || b[1] < 1 || b[1] > 12 || b[2] < 1 || b[2] > month_size(year, b[1]) ||
	    b[3] > 23 || b[4] > 59 || b[5] > 59)
		return WIRE_TIME_NONE;
	return days_of(year, b[1], b[2]) * DAY + b[3] * 3600 + b[4] * 60 + b[5] - GMT_PLUS_8;
}

void wire_time_encode(int64_t at, uint8_t b[WIRE_TIME_SIZE])
{
	const int64_t first = 10957 * (int64_t)DAY - GMT_PLUS_8;
	const int64_t last = first + 36525 * (int64_t)DAY - 1;
	unsigned year = 2000, month = 1;
	int64_t day, second;

	/* Outside the century that six bytes can say: the nearest second of it. */
	second = (at < first ? first : at > last ? last : at) - first;
	day = second / DAY;
	second %= DAY;
	for (; day >= (year % 4 == 0 ? 366 : 365); year++)
		day -= year % 4 == 0 ? 366 : 365;
	for (; day >= month_size(year, month); month++)
		day -= month_size(year, month);
	assert(year <= 2099 && month <= 12);
	b[0] = (uint8_t)(year - 2000);
	b[1] = (uint8_t)month;
	b[2] = (uint8_t)(day + 1);
	b[3] = (uint8_t)(second / 3600);
	b[4] = (uint8_t)(second / 60 % 60);
	b[5] = (uint8_t)(second % 60);
}

/* The same six bytes read as digits: 26 07 24 12 00 00 hexadecimal for 2026-07-24 12:00:00. */
static int64_t bcd_time_decode(const uint8_t b[WIRE_TIME_SIZE])
{
	uint8_t plain[WIRE_TIME_SIZE];

	for (size_t i = 0; i < WIRE_TIME_SIZE; i++) {
		if (b[i] >> 4 > 9 || (b[i] & 15) > 9)
			return WIRE_TIME_NONE;
		plain[i] = (uint8_t)((b[i] >> 4) * 10 + (b[i] & 15));
	}
	return wire_time_decode(plain);
}

int64_t claimed_time(const uint8_t b[WIRE_TIME_SIZE], int64_t now, unsigned *quirks)
{
	static const int64_t year_2015 = 1420041600, bcd_age_max = 8 * (int64_t)DAY;
	int64_t at = wire_time_decode(b);

	if (at == WIRE_TIME_NONE || at > now + DAY) {
		const int64_t bcd = bcd_time_decode(b);

		if (bcd != WIRE_TIME_NONE && bcd <= now + DAY && bcd >= now - bcd_age_max) {
			*quirks |= QUIRK_BCD_TIME;
			return bcd;
		}
	}
	if (at != WIRE_TIME_NONE && (at > now + DAY || at < year_2015))
		*quirks |= QUIRK_CLOCK;
	return at;
}

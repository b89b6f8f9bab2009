#include "gateway/query/instant.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, BEIJING_S = 8 * 3600 };

bool civil_day(int year, int month, int day, int64_t *ret)
{
	static const int days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };

	if (year < 1970 || year > 2100 || month < 1 || month > 12 || day < 1 ||
	    day > days[month - 1] + (month == 2 && leap ? 1 : 0))
		return false;
	*ret = timegm(&tm) / DAY_S;
	return true;
}

/* Reads exactly n digits and moves on. */
static bool digits(const char **p, int n, int *ret)
{
	int value = 0;

	for (int i = 0; i < n; i++) {
		if ((*p)[i] < '0' || (*p)[i] > '9')
			return false;
		value = value * 10 + ((*p)[i] - '0');
	}
	*p += n;
	*ret = value;
	return true;
}

static bool literal(const char **p, const char *allowed)
{
	if (**p == '\0' || strchr(allowed, **p) == NULL)
		return false;
	(*p)++;
	return true;
}

/* "Z", "+08:00", "-05:30" at the end of the text. */
static bool offset_parse(const char *p, int64_t *ret)
{
	char sign = *p;
	int hour, minute;

	if (literal(&p, "Zz")) {
		*ret = 0;
		return *p == '\0';
	}
	if (!literal(&p, "+- ") || !digits(&p, 2, &hour) || !literal(&p, ":") ||
	    !digits(&p, 2, &minute) || *p != '\0' || hour > 23 || minute > 59)
		return false;
	*ret = (sign == '-' ? -1 : 1) * (hour * 3600 + minute * 60);
	return true;
}

bool instant_parse(const char *text, bool end, int64_t *ret)
{
	const char *p = text;
	int year, month, date, hour, minute, second;
	int64_t day, offset;
	bool fraction = false;

	if (!digits(&p, 4, &year) || !literal(&p, "-") || !digits(&p, 2, &month) ||
	    !literal(&p, "-") || !digits(&p, 2, &date) || !civil_day(year, month, date, &day))
		return false;
	if (*p == '\0') {
		*ret = (end ? day + 1 : day) * DAY_S - BEIJING_S;
		return true;
	}
	if (!literal(&p, "Tt ") || !digits(&p, 2, &hour) || !literal(&p, ":") ||
	    !digits(&p, 2, &minute) || !literal(&p, ":") || !digits(&p, 2, &second) || hour > 23 ||
	    minute > 59 || second > 60)
		return false;
	if (*p == '.') {
		size_t n = strspn(p + 1, "0123456789");

		if (n == 0 || n > 9)
			return false;
		fraction = strspn(p + 1, "0") < n;
		p += 1 + n;
	}
	if (!offset_parse(p, &offset))
		return false;
	*ret = day * DAY_S + hour * 3600 + minute * 60 + second + (fraction ? 1 : 0) - offset;
	return true;
}

int instant_format(int64_t at, char out[INSTANT_TEXT_SIZE])
{
	const int64_t last = 253402271999; /* 9999-12-31T23:59:59+08:00 */
	time_t wall = (time_t)((at < 0 ? 0 : at > last ? last : at) + BEIJING_S);
	struct tm tm;

	gmtime_r(&wall, &tm);
	return (int)strftime(out, INSTANT_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S+08:00", &tm);
}

#include "gateway/base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int(error_set)(struct error *err, enum error_code code, const char *format, ...)
{
	va_list args;

	if (err != NULL) {
		err->code = code;
		va_start(args, format);
		vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
	}
	return code;
}

int(error_errno)(struct error *err, enum error_code code, const char *format, ...)
{
	const int saved = errno;
	char reason[128];
	va_list args;
	int n;

	if (err != NULL) {
		err->code = code;
		va_start(args, format);
		n = vsnprintf(err->text, sizeof(err->text), format, args);
		va_end(args);
		if (n >= 0 && (size_t)n < sizeof(err->text))
			snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s",
				 strerror_r(saved, reason, sizeof(reason)));
	}
	errno = saved;
	return code;
}

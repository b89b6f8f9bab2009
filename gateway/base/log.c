#include "gateway/base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 1024 };

/* The one process-wide setting: read by every thread on every line, changed by reload only. */
static atomic_int least_important = LOG_INFO;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&least_important, (int)level, memory_order_relaxed);
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LINE_MAX_SIZE];
	va_list args;
	int head, n;
	size_t size;

	if ((int)level > atomic_load_explicit(&least_important, memory_order_relaxed))
		return;
	head = snprintf(line, sizeof(line), "<%d>", (int)level);
	va_start(args, format);
	n = vsnprintf(line + head, sizeof(line) - (size_t)head - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	size = (size_t)head + (size_t)n;
	if (size > sizeof(line) - 2)
		size = sizeof(line) - 2;
	/* One event stays one line, whatever a value brought along. */
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7F)
			line[i] = '?';
	line[size++] = '\n';
	/* A log that cannot be written must not stop the service. */
	if (write(STDERR_FILENO, line, size) < 0)
		return;
}

const char *log_text(const char *text, size_t size, char *out, size_t out_size)
{
	size_t n = 0;

	if (out_size == 0)
		return "";
	for (size_t i = 0; i < size; i++) {
		const unsigned char c = (unsigned char)text[i];

		if (c == '"' || c == '\\') {
			if (n + 2 >= out_size)
				break;
			out[n++] = '\\';
			out[n++] = (char)c;
		} else if (c >= 0x20 && c < 0x7F) {
			if (n + 1 >= out_size)
				break;
			out[n++] = (char)c;
		} else {
			if (n + 4 >= out_size)
				break;
			n += (size_t)snprintf(out + n, out_size - n, "\\x%02X", c);
		}
	}
	out[n] = '\0';
	return out;
}

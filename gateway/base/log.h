/*
 * log.h - one line an event on stderr, for journald: "<6>spool segment closed base=4096 ...".
 *
 * key=value behind a short sentence; values that came from outside go through log_text().
 * Never log secrets, and never plate and position together.
 * Any thread; one write(2) a line.
 */
#ifndef GATEWAY_BASE_LOG_H
#define GATEWAY_BASE_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR = 3, LOG_WARNING = 4, LOG_NOTICE = 5, LOG_INFO = 6, LOG_DEBUG = 7 };

void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Copies with every non-printable byte as \xHH and quotes escaped, cut to fit; returns out. */
const char *log_text(const char *text, size_t size, char *out, size_t out_size);

#endif

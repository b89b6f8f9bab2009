/*
 * error.h - a failure as a value: what was wrong, where, and what to do.
 *
 * Fallible functions return 0, or a negative code and a filled *err.  They do not log: the caller
 * that can act on it does, once.
 */
#ifndef GATEWAY_BASE_ERROR_H
#define GATEWAY_BASE_ERROR_H

enum error_code {
	ERROR_NONE = 0,
	ERROR_USAGE = -1,    /* configuration or arguments */
	ERROR_IO = -2,	     /* a file or the disk */
	ERROR_FULL = -3,     /* a bound was reached: try again later */
	ERROR_CORRUPT = -4,  /* stored bytes are not what was written */
	ERROR_BUSY = -5,     /* somebody else holds the lock */
	ERROR_DATABASE = -6, /* PostgreSQL refused or went away */
	ERROR_NOT_FOUND = -7,
	ERROR_MEMORY = -8,
	ERROR_CLOSED = -9, /* the other side is gone, or we are stopping */
};

struct error {
	enum error_code code;
	char text[1600]; /* room for the complaints about a whole configuration file */
};

/* Fills *err (may be NULL) and returns code, so that `return error_set(...)` reads well. */
int error_set(struct error *err, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
/* The analyzer does not look into error.c: tell it that the code comes back. */
#define error_set(err, code, ...) ((void)(error_set)((err), (code), __VA_ARGS__), (code))
#endif

/* As error_set, with ": " and strerror(errno) behind it. */
int error_errno(struct error *err, enum error_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef __clang_analyzer__
#define error_errno(err, code, ...) ((void)(error_errno)((err), (code), __VA_ARGS__), (code))
#endif

#endif

/*
 * file.h - the system calls of the spool, with their loops done right.
 *
 * Short writes and EINTR are carried on with; an error ends the call and stays in errno.
 * All files are made with mode 0600, all folders with 0700.
 */
#ifndef GATEWAY_SPOOL_FILE_H
#define GATEWAY_SPOOL_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "gateway/base/error.h"

/* Returns the bytes read, fewer only at the end of the file, or -1. */
int64_t file_read(int fd, uint64_t offset, void *out, size_t size);

/* 0, or -1. */
int file_write(int fd, uint64_t offset, const void *bytes, size_t size);
int file_write_all(int fd, uint64_t offset, struct iovec *parts, int count); /* changes parts */

int file_create(const char *path); /* new or emptied, for reading and writing; fd or -1 */
int file_sync(const char *path);   /* fsync by name; 0 or -1 */

int folder_make(const char *path, struct error *err); /* no error when it is there */
int folder_sync(const char *path);

#endif

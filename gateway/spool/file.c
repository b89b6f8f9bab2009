#include "gateway/spool/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int64_t file_read(int fd, uint64_t offset, void *out, size_t size)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n =
			pread(fd, (char *)out + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int file_write(int fd, uint64_t offset, const void *bytes, size_t size)
{
	size_t done = 0;

	while (done < size) {
		const ssize_t n =
			pwrite(fd, (const char *)bytes + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		done += (size_t)n;
	}
	return 0;
}

int file_write_all(int fd, uint64_t offset, struct iovec *parts, int count)
{
	while (count > 0) {
		ssize_t n = pwritev(fd, parts, count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		offset += (uint64_t)n;
		while (count > 0 && (size_t)n >= parts->iov_len) {
			n -= (ssize_t)parts->iov_len;
			parts++;
			count--;
		}
		if (count > 0) {
			parts->iov_base = (char *)parts->iov_base + n;
			parts->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int file_create(const char *path)
{
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int sync_path(const char *path, int flags)
{
	const int fd = open(path, flags | O_CLOEXEC);
	int rc, saved;

	if (fd < 0)
		return -1;
	rc = fsync(fd);
	saved = errno;
	close(fd);
	errno = saved;
	return rc;
}

int file_sync(const char *path)
{
	return sync_path(path, O_RDWR | O_NOFOLLOW);
}

int folder_make(const char *path, struct error *err)
{
	struct stat st;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return error_errno(err, ERROR_IO, "cannot make folder %s", path);
	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return error_set(err, ERROR_IO, "%s is not a folder", path);
	return 0;
}

int folder_sync(const char *path)
{
	return sync_path(path, O_RDONLY | O_DIRECTORY);
}

#include "tools/cli/registry_sheet.h"

#include <errno.h>
#include <fcntl.h>
#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "tools/cli/table.h"

const char *sheet_column_name(size_t column, char out[8])
{
	char text[8];
	size_t n = 0, size;

	for (size_t c = column + 1; c > 0 && n < 7; c = (c - 1) / 26)
		text[n++] = (char)('A' + (c - 1) % 26);
	for (size = n; n > 0; n--)
		out[size - n] = text[n - 1];
	out[size] = '\0';
	return out;
}

/* Bytes of the blank that text begins with; 0: none. */
static size_t blank_size(const char *text)
{
	static const char *const wide[] = { "\xC2\xA0", "\xE3\x80\x80", "\xE2\x80\x8B",
					    "\xEF\xBB\xBF" };

	if (text[0] == ' ' || text[0] == '\t' || text[0] == '\r' || text[0] == '\n')
		return 1;
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		if (strncmp(text, wide[i], strlen(wide[i])) == 0)
			return strlen(wide[i]);
	return 0;
}

char *sheet_trim(char *text)
{
	char *end;

	while (blank_size(text) > 0)
		text += blank_size(text);
	end = text;
	for (char *p = text; *p != '\0'; p++)
		if (blank_size(p) > 0)
			p += blank_size(p) - 1;
		else
			end = p + 1;
	*end = '\0';
	return text;
}

/* ---- the bytes ---- */

static int read_file(const char *path, struct sheet *s, struct error *err)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t n = 1;

	if (fd < 0 || fstat(fd, &st) != 0) {
		int rc = error_errno(err, ERROR_IO, "cannot read %s", path);

		if (fd >= 0)
			close(fd);
		return rc;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > SHEET_FILE_MAX) {
		close(fd);
		return error_set(err, ERROR_USAGE, "%s is no file of at most %d MiB", path,
				 SHEET_FILE_MAX >> 20);
	}
	s->bytes = malloc((size_t)st.st_size + 1);
	while (s->bytes != NULL && s->size < (size_t)st.st_size &&
	       (n = read(fd, s->bytes + s->size, (size_t)st.st_size - s->size)) > 0)
		s->size += (size_t)n;
	close(fd);
	if (s->bytes == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for %s", path);
	if (n < 0)
		return error_errno(err, ERROR_IO, "cannot read %s", path);
	s->bytes[s->size] = '\0';
	return 0;
}

static int hash_file(struct sheet *s, struct error *err)
{
	uint8_t digest[32];

	if (EVP_Digest(s->bytes, s->size, digest, NULL, EVP_sha256(), NULL) != 1)
		return error_set(err, ERROR_MEMORY, "SHA-256 is not available");
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(s->sha256 + 2 * i, 3, "%02x", digest[i]);
	return 0;
}

/* ---- which characters ---- */

struct utf8_scan {
	size_t good, bad;  /* characters beyond ASCII, and bytes that are none */
	unsigned bad_line; /* of the first */
};

static struct utf8_scan scan_utf8(const struct sheet *s)
{
	struct utf8_scan scan = { 0 };
	unsigned line = 1;

	for (size_t i = 0; i < s->size;) {
		size_t n = utf8_size((const char *)s->bytes + i);

		line += s->bytes[i] == '\n';
		if (n == 0 && scan.bad++ == 0)
			scan.bad_line = line;
		scan.good += n > 1;
		i += n > 0 ? n : 1;
	}
	return scan;
}

static int from_gb18030(struct sheet *s, struct error *err)
{
	iconv_t convert = iconv_open("UTF-8", "GB18030");
	size_t in_left = s->size, out_left = 2 * s->size + 16;
	char *in = (char *)s->bytes, *text = malloc(out_left), *out = text;
	unsigned line = 1;

	if (convert == (iconv_t)-1 || text == NULL) {
		if (convert != (iconv_t)-1)
			iconv_close(convert);
		free(text);
		return error_set(err, ERROR_MEMORY, "GB 18030 cannot be read here");
	}
	out_left--;
	if (iconv(convert, &in, &in_left, &out, &out_left) == (size_t)-1) {
		for (const char *p = (char *)s->bytes; p < in; p++)
			line += *p == '\n';
		iconv_close(convert);
		free(text);
		return error_set(err, ERROR_CORRUPT,
				 "line %u is neither UTF-8 nor GB 18030 (byte %02x): save the "
				 "sheet as CSV UTF-8 or as XLSX",
				 line, (unsigned)(uint8_t)*in);
	}
	iconv_close(convert);
	free(s->bytes);
	s->bytes = (uint8_t *)text;
	s->size = (size_t)(out - text);
	s->bytes[s->size] = '\0';
	s->format = "CSV, GB 18030";
	return 0;
}

static int find_encoding(struct sheet *s, struct error *err)
{
	const bool marked = s->size >= 3 && memcmp(s->bytes, "\xEF\xBB\xBF", 3) == 0;
	struct utf8_scan scan;

	s->format = "CSV, UTF-8";
	if (memchr(s->bytes, '\0', s->size) != NULL ||
	    (s->size >= 2 &&
	     (memcmp(s->bytes, "\xFF\xFE", 2) == 0 || memcmp(s->bytes, "\xFE\xFF", 2) == 0)))
		return error_set(
			err, ERROR_USAGE,
			"the file is no CSV in UTF-8 or GB 18030 (UTF-16?): save the sheet "
			"as CSV UTF-8 or as XLSX");
	scan = scan_utf8(s);
	if (scan.bad == 0)
		return 0;
	/* Chinese text of GB 18030 almost never looks like UTF-8: then it is UTF-8, and broken. */
	if (marked || scan.good > 2 * scan.bad)
		return error_set(err, ERROR_CORRUPT,
				 "line %u has bytes that are not UTF-8, in a file that is UTF-8 "
				 "otherwise (%zu such bytes): save the sheet again",
				 scan.bad_line, scan.bad);
	return from_gb18030(s, err);
}

/* ---- life ---- */

int sheet_open(const char *path, struct sheet *ret, struct error *err)
{
	int rc;

	*ret = (struct sheet){ 0 };
	if ((rc = read_file(path, ret, err)) != 0 || (rc = hash_file(ret, err)) != 0)
		return rc;
	if (ret->size >= 4 && memcmp(ret->bytes, "PK\x03\x04", 4) == 0) {
		ret->format = "XLSX";
		return 0;
	}
	if (ret->size >= 4 && memcmp(ret->bytes, "\xD0\xCF\x11\xE0", 4) == 0)
		return error_set(err, ERROR_USAGE,
				 "%s is an old XLS, or an XLSX with a password: save it as XLSX",
				 path);
	return find_encoding(ret, err);
}

int sheet_rows(struct sheet *s, sheet_row_fn *row, void *arg, struct error *err)
{
	return strcmp(s->format, "XLSX") == 0 ? xlsx_rows(s, row, arg, err)
					      : csv_rows(s, row, arg, err);
}

void sheet_close(struct sheet *s)
{
	free(s->bytes);
	*s = (struct sheet){ 0 };
}

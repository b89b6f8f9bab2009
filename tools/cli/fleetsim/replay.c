#include "tools/cli/fleetsim/replay.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "proto/wire/unit.h"

enum {
	LINE_MAX_SIZE = 2 * FRAME_SIZE_MAX + 4096,
	ANSWER_WAIT_MS = 1000, /* GB 17691 reports have no answer: do not wait long */
	JSON_SIZE = 512 * 1024,
};

struct replay {
	struct addrinfo *address;
	int fd;
	char vin[VIN_SIZE + 1]; /* of the open connection */
	bool login;
	int64_t now;
	unsigned sent, answered, refused;
	char *line, *json;
	uint8_t *bytes;
};

/* ---- the connection ---- */

static int open_connection(struct replay *r, struct error *err)
{
	const int one = 1;

	if (r->fd >= 0)
		close(r->fd);
	r->fd = socket(r->address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r->fd < 0 || connect(r->fd, r->address->ai_addr, r->address->ai_addrlen) != 0)
		return error_errno(err, ERROR_IO, "connect");
	setsockopt(r->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

static bool send_all(int fd, const uint8_t *bytes, size_t size)
{
	while (size > 0) {
		const ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		size -= (size_t)n;
	}
	return true;
}

static const char *meaning_of(const struct frame *f)
{
	if (f->header == HEADER_V)
		return "taken (this header knows no other answer)";
	switch (f->answer) {
	case ANSWER_SUCCESS:
		return "success";
	case ANSWER_ERROR:
		return "error";
	case ANSWER_VIN_DUPLICATE:
		return "VIN duplicate";
	case ANSWER_VIN_UNKNOWN:
		return "VIN unknown";
	case ANSWER_COMMAND:
		return "a command of the platform";
	default:
		return "unknown answer flag";
	}
}

/* Shows the first frame that comes back, or that none does; counted unless it answers our own
 * login. */
static void await_answer(struct replay *r, bool counted)
{
	const int64_t deadline = clock_mono_ns() / 1000000 + ANSWER_WAIT_MS;
	uint8_t buf[512];
	size_t size = 0, used = 0;
	struct frame f;

	for (;;) {
		struct pollfd p = { .fd = r->fd, .events = POLLIN };
		const int64_t left = deadline - clock_mono_ns() / 1000000;
		if (left <= 0 || size == sizeof(buf) || poll(&p, 1, (int)left) <= 0) {
			printf("  answer  none within %d ms\n", ANSWER_WAIT_MS);
			return;
		}
		const ssize_t n = recv(r->fd, buf + size, sizeof(buf) - size, 0);
		if (n <= 0) {
			printf("  answer  none: the gateway closed the connection\n");
			r->vin[0] = '\0';
			return;
		}
		size += (size_t)n;
		if (frame_scan(buf, size, sizeof(buf), &f, &used) == SCAN_FRAME)
			break;
	}
	r->answered += counted;
	r->refused += counted && f.header == HEADER_P && f.answer != ANSWER_SUCCESS;
	printf("  answer  ");
	for (size_t i = 0; i < f.size; i++)
		printf("%02X", f.bytes[i]);
	printf("\n          %s, %s: %s\n", protocol_name(f.protocol),
	       command_name(f.protocol, f.header, f.command), meaning_of(&f));
}

static int log_in(struct replay *r, const struct frame *like, struct error *err)
{
	uint8_t buf[128];
	struct frame f = *like;

	f.command = COMMAND_LOGIN;
	f.answer = ANSWER_COMMAND;
	f.encryption = 1;
	f.unit = buf + FRAME_HEAD_SIZE;
	f.unit_size = unit_login(r->now, 1, "89860000000000000000", f.header, buf + FRAME_HEAD_SIZE,
				 sizeof(buf) - FRAME_HEAD_SIZE - 1);
	const size_t n = frame_encode(&f, buf, sizeof(buf));
	assert(n > 0);
	printf("  login   as %s\n", f.vin);
	if (!send_all(r->fd, buf, n))
		return error_errno(err, ERROR_IO, "send");
	await_answer(r, false);
	return 0;
}

/* ---- one frame ---- */

/* Returns the number of bytes, or 0 when the text is not hexadecimal. */
static size_t from_hex(const char *text, uint8_t *out, size_t max)
{
	size_t n = 0;

	for (; *text != '\0' && *text != '#'; text++) {
		if (isspace((unsigned char)*text))
			continue;
		unsigned value;
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) ||
		    n == max || sscanf(text, "%2x", &value) != 1)
			return 0;
		out[n++] = (uint8_t)value;
		text++;
	}
	return n;
}

static int send_frame(struct replay *r, unsigned number, size_t size, struct error *err)
{
	struct frame f = { .size = 0 };
	size_t used;
	const enum scan scan = frame_scan(r->bytes, size, FRAME_UNIT_MAX, &f, &used);
	const bool readable = scan == SCAN_FRAME || scan == SCAN_BAD_CHECKSUM;

	printf("line %u, %zu bytes\n", number, size);
	if (readable) {
		frame_json(&f, LAYOUT_UNKNOWN, r->now, r->json, JSON_SIZE);
		printf("  frame   %s%s\n", r->json,
		       scan == SCAN_BAD_CHECKSUM ? "  (wrong checksum)" : "");
	} else {
		printf("  frame   not a whole frame; sent as it is\n");
	}
	const bool same = readable && r->vin[0] != '\0' && strcmp(r->vin, f.vin) == 0;
	if (!same) {
		/* A connection is bound to one vehicle. */
		if (open_connection(r, err) != 0)
			return err->code;
		snprintf(r->vin, sizeof(r->vin), "%s", readable ? f.vin : "");
		if (r->login && readable && f.command != COMMAND_LOGIN && log_in(r, &f, err) != 0)
			return err->code;
	}
	r->sent++;
	if (!send_all(r->fd, r->bytes, size)) {
		printf("  answer  none: the gateway closed the connection\n");
		r->vin[0] = '\0';
		return 0;
	}
	await_answer(r, true);
	return 0;
}

/* Cuts the line to its column-th field; NULL when it has fewer. */
static char *field_of(char *line, int column)
{
	for (; column > 0; column--) {
		line = strchr(line, '\t');
		if (line == NULL)
			return NULL;
		line++;
	}
	line[strcspn(line, "\t\r\n")] = '\0';
	return line;
}

static int hex_column(const char *line)
{
	int column = 0;

	for (const char *p = line; p != NULL; p = strchr(p, '\t'), column++) {
		p += *p == '\t';
		if (strncmp(p, "hex", 3) == 0 && strchr("\t\r\n", p[3]) != NULL)
			return column;
	}
	return -1;
}

static int replay_lines(struct replay *r, FILE *in, const char *file, struct error *err)
{
	int column = 0, rc = 0;

	for (unsigned number = 1; rc == 0 && fgets(r->line, LINE_MAX_SIZE, in) != NULL; number++) {
		if (number == 1 && strchr(r->line, '\t') != NULL) {
			column = hex_column(r->line);
			if (column < 0)
				return error_set(err, ERROR_USAGE,
						 "%s: its first line names no column hex", file);
			continue;
		}
		char *text = r->line[0] == '#' ? NULL : field_of(r->line, column);
		if (text == NULL || text[strspn(text, " \t\r\n")] == '\0' || text[0] == '#')
			continue;
		const size_t size = from_hex(text, r->bytes, FRAME_SIZE_MAX);
		if (size == 0)
			rc = error_set(err, ERROR_USAGE, "%s, line %u: not hexadecimal", file,
				       number);
		else
			rc = send_frame(r, number, size, err);
	}
	return rc;
}

int replay_file(const char *file, const char *address, bool login, struct error *err)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct replay r = { .fd = -1, .login = login, .now = clock_wall_ns() / 1000000000 };
	const char *colon = strrchr(address, ':');
	char host[256];
	FILE *in = fopen(file, "re");
	int rc = 0;

	if (in == NULL)
		return error_errno(err, ERROR_IO, "%s", file);
	snprintf(host, sizeof(host), "%.*s", colon != NULL ? (int)(colon - address) : 0, address);
	if (colon == NULL || getaddrinfo(host, colon + 1, &hints, &r.address) != 0) {
		rc = error_set(err, ERROR_USAGE, "'%s': HOST:PORT is wanted", address);
		goto out;
	}
	r.line = malloc(LINE_MAX_SIZE);
	r.json = malloc(JSON_SIZE);
	r.bytes = malloc(FRAME_SIZE_MAX);
	if (r.line == NULL || r.json == NULL || r.bytes == NULL) {
		rc = error_set(err, ERROR_MEMORY, "no memory");
		goto out;
	}
	rc = replay_lines(&r, in, file, err);
	printf("%u frames sent, %u answers, %u of them not success\n", r.sent, r.answered,
	       r.refused);
out:
	fclose(in);
	if (r.address != NULL)
		freeaddrinfo(r.address);
	if (r.fd >= 0)
		close(r.fd);
	free(r.line);
	free(r.json);
	free(r.bytes);
	return rc;
}

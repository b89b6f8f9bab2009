/* talk.c - what is said over a connection: login, answers, and what is no frame. */
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/link/link.h"

enum {
	NOISE_MAX = 64 * 1024,	/* bytes that are no frame, since the last one that was */
	ANSWER_UNIT_MAX = 4096, /* an answer has six bytes, a command to us a few more */
	NS_PER_S = 1000000000,
};

/* ---- login ---- */

struct outgoing_login talk_identity(const struct link *l)
{
	return (struct outgoing_login){
		.start = l->row.start,
		.platform_code = l->row.platform_code,
		.user = l->row.login,
		.serial = (uint16_t)l->progress.login_serial,
	};
}

/* The first line of a file that nobody else may read. */
static int password_read(const char *path, char password[21], struct error *err)
{
	char line[64] = { 0 };
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t length;
	int rc = 0;

	if (fd < 0 || fstat(fd, &st) != 0 || read(fd, line, sizeof(line) - 1) < 0)
		rc = error_errno(err, ERROR_IO, "password file %s", path);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		rc = error_set(err, ERROR_USAGE, "password file %s has mode %04o: chmod 0600 it",
			       path, (unsigned)(st.st_mode & 07777));
	if (fd >= 0)
		close(fd);
	length = strcspn(line, "\r\n");
	if (rc == 0 && (length == 0 || length > 20))
		rc = error_set(err, ERROR_USAGE,
			       "password file %s: its first line has to have 1 to 20 bytes", path);
	if (rc == 0)
		snprintf(password, 21, "%.*s", (int)length, line);
	explicit_bzero(line, sizeof(line));
	return rc;
}

static void ready_cb(void *arg)
{
	struct link *l = arg;
	const int64_t now = clock_wall_ns() / NS_PER_S;
	struct outgoing_login login;
	uint8_t bytes[OUTGOING_SMALL_MAX];
	char password[21] = { 0 };
	struct error err;
	size_t size;

	if (password_read(l->row.password_file, password, &err) != 0) {
		link_lost(l, err.text);
		return;
	}
	progress_login_serial(l, now);
	login = talk_identity(l);
	login.password = password;
	size = outgoing_platform_login(&login, now, bytes);
	link_logging_in(l);
	peer_send(l->peer, bytes, size); /* may lose the link */
	explicit_bzero(bytes, sizeof(bytes));
	explicit_bzero(password, sizeof(password));
}

/* ---- answers ---- */

static void login_answered(struct link *l, const struct frame *f)
{
	char why[64];

	if (f->command != outgoing_login_command(l->row.start))
		return;
	if (f->answer == ANSWER_SUCCESS) {
		link_logged_in(l);
		return;
	}
	snprintf(why, sizeof(why), "answered with %02X", f->answer);
	link_login_refused(l, why);
}

static void frame_answered(struct link *l, const struct frame *f)
{
	struct metrics_thread *m = l->host->metrics;
	const enum window_answer answer = window_answer(&l->window, f, uv_now(l->host->loop));

	if (answer != WINDOW_ANSWER_STRANGE)
		link_frame_answered(l);
	switch (answer) {
	case WINDOW_ANSWER_SUCCESS:
		l->failures = 0;
		l->progress.forwarded++;
		metrics_add(m, METRIC_link_forwarded_total, 1);
		break;
	case WINDOW_ANSWER_REFUSED:
		l->progress.refused++;
		metrics_add(m, METRIC_link_refused_total, 1);
		log_line(LOG_INFO, "link: frame refused for good link=\"%s\" flag=%02X",
			 l->row.name, f->answer);
		break;
	case WINDOW_ANSWER_AGAIN:
	case WINDOW_ANSWER_STRANGE:
		break;
	}
}

/* Answers to our own frames carry our code; nothing depends on them but the end of a logout. */
static void take_frame(struct link *l, const struct frame *f)
{
	if (f->answer == ANSWER_COMMAND)
		return; /* platforms do not command platforms; no promise was made to answer */
	if (l->state == LINK_LOGIN)
		login_answered(l, f);
	else if (strcmp(f->vin, l->row.platform_code) != 0)
		frame_answered(l, f);
	else if (l->state == LINK_LEAVING && f->command == outgoing_logout_command(l->row.start))
		link_close(l);
}

/* Cuts what came into frames.  False: the link was lost meanwhile. */
static bool take_input(struct link *l)
{
	size_t at = 0, used;
	struct frame f;

	while (at < l->in_used) {
		const enum scan scan =
			frame_scan(l->in + at, l->in_used - at, ANSWER_UNIT_MAX, &f, &used);

		if (scan == SCAN_MORE)
			break;
		if (scan == SCAN_FRAME && f.header == HEADER_P) {
			l->noise = 0;
			take_frame(l, &f);
			if (l->peer == NULL)
				return false;
		} else {
			l->noise += used;
		}
		at += used;
	}
	l->in_used -= at;
	memmove(l->in, l->in + at, l->in_used);
	return true;
}

static void received_cb(const uint8_t *bytes, size_t size, void *arg)
{
	struct link *l = arg;

	while (size > 0) {
		const size_t room = sizeof(l->in) - l->in_used;
		const size_t n = size < room ? size : room;

		/* A frame of at most ANSWER_UNIT_MAX always fits, so there is room again. */
		assert(n > 0);
		memcpy(l->in + l->in_used, bytes, n);
		l->in_used += n;
		bytes += n;
		size -= n;
		if (!take_input(l))
			return;
		if (l->noise > NOISE_MAX) {
			link_lost(l, "the other side sends what is no frame");
			return;
		}
	}
	forward_pump(l);
}

static void sent_cb(void *arg)
{
	forward_pump(arg);
}

static void failed_cb(const char *reason, void *arg)
{
	link_closed_by_peer(arg, reason);
}

const struct peer_events talk_events = { ready_cb, received_cb, sent_cb, failed_cb };

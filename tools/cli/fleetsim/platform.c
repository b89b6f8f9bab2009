#include "tools/cli/fleetsim/platform.h"

#include <assert.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/link/outgoing.h"
#include "tools/cli/fleetsim/inbox.h"

enum {
	START = 0x23,
	CONNECT_US = 10 * 1000000, /* for TCP, TLS and the answer of the login */
	BACKOFF_US = 200 * 1000,   /* for each failure in a row, up to BACKOFF_MAX_US */
	BACKOFF_MAX_US = 5 * 1000000,
};

struct platform {
	const struct platform_account *account;
	struct terminal_shared *shared;
	struct terminal **riders; /* in order of VIN */
	unsigned count;
	struct link *link;
	enum { OFFLINE, CONNECTING, GREETING, ONLINE } state;
	int64_t since_us; /* of the state */
	int64_t next_connect_us;
	unsigned failures, refusals; /* in a row */
	bool was_online;
	uint16_t login_serial;
	struct prng chance;
	struct inbox inbox;
};

/* ---- the account ---- */

static int read_password(int fd, const char *path, struct platform_account *ret, struct error *err)
{
	char text[PLATFORM_PASSWORD_MAX + 3]; /* a line end more, and a byte that shows too much */
	struct stat about;

	if (fstat(fd, &about) != 0)
		return error_errno(err, ERROR_USAGE, "cannot read %s", path);
	if ((about.st_mode & 077) != 0)
		return error_set(err, ERROR_USAGE,
				 "%s: others may read this password; chmod 600 it", path);
	const ssize_t got = read(fd, text, sizeof(text));
	if (got < 0)
		return error_errno(err, ERROR_USAGE, "cannot read %s", path);
	size_t size = (size_t)got;
	while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
		size--;
	const bool fits = size >= 1 && size <= PLATFORM_PASSWORD_MAX;
	if (fits)
		memcpy(ret->password, text, size);
	explicit_bzero(text, sizeof(text));
	return fits ? 0
		    : error_set(err, ERROR_USAGE, "%s: a line of 1 to %d bytes is wanted", path,
				PLATFORM_PASSWORD_MAX);
}

int platform_account_load(const char *login, const char *password_file,
			  struct platform_account *ret, struct error *err)
{
	if (login[0] == '\0' || strlen(login) > PLATFORM_LOGIN_MAX)
		return error_set(err, ERROR_USAGE, "--platform %s: 1 to %d bytes are wanted", login,
				 PLATFORM_LOGIN_MAX);
	if (password_file == NULL)
		return error_set(err, ERROR_USAGE,
				 "--platform wants its password, in --platform-password-file FILE");
	const int fd = open(password_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return error_errno(err, ERROR_USAGE, "cannot read %s", password_file);
	const int rc = read_password(fd, password_file, ret, err);
	close(fd);
	ret->login = login;
	return rc;
}

/* ---- the connection ---- */

static void move(struct platform *p, int next)
{
	p->state = next;
	p->since_us = p->shared->now_us;
}

/* The link is closed, or is being closed: all who rode on it learn that. */
static void go_offline(struct platform *p)
{
	const int64_t wait = (int64_t)BACKOFF_US * ++p->failures;

	p->link = NULL;
	inbox_clear(&p->inbox);
	move(p, OFFLINE);
	p->next_connect_us = p->shared->now_us + (wait < BACKOFF_MAX_US ? wait : BACKOFF_MAX_US);
	for (unsigned i = 0; i < p->count; i++)
		if (p->riders[i]->link != NULL)
			terminal_cut_off(p->riders[i]);
}

void platform_give_up(struct platform *p)
{
	assert(p->link != NULL);
	p->shared->tally->given_up++;
	link_close(p->link);
	go_offline(p);
}

/* What the platform itself has to say. */
static void say(struct platform *p,
		size_t (*write)(const struct outgoing_login *, int64_t, uint8_t *))
{
	const struct outgoing_login login = {
		.start = START,
		.platform_code = "FLEETSIM",
		.user = p->account->login,
		.password = p->account->password,
		.serial = p->login_serial,
	};
	uint8_t buf[OUTGOING_SMALL_MAX];
	const size_t size = write(&login, p->shared->drive_us / 1000000, buf);

	assert(size > 0);
	p->shared->tally->sent_bytes += size;
	link_send(p->link, buf, size);
	explicit_bzero(buf, sizeof(buf));
	if (p->link != NULL)
		link_flush(p->link);
}

static void on_opened(void *arg)
{
	struct platform *p = arg;

	p->shared->tally->connects++;
	p->shared->tally->reconnects += p->was_online;
	p->shared->tally->platform_logins++;
	if (p->shared->cuts)
		link_cut(p->link, SEGMENT_random, &p->chance);
	p->login_serial = (uint16_t)(p->login_serial % SERIAL_MAX + 1);
	move(p, GREETING);
	say(p, outgoing_platform_login);
}

static void on_closed(void *arg, bool was_open)
{
	struct platform *p = arg;

	if (was_open)
		p->shared->tally->lost++;
	else
		p->shared->tally->connect_failures++;
	go_offline(p);
}

/* ---- what comes back ---- */

static void on_login_answer(struct platform *p, const struct frame *f)
{
	p->shared->tally->answers++;
	if (p->state != GREETING)
		return;
	if (f->answer == ANSWER_SUCCESS) {
		move(p, ONLINE);
		p->was_online = true;
		p->failures = p->refusals = 0;
		return;
	}
	p->shared->tally->errors++;
	p->refusals++;
	link_close(p->link);
	go_offline(p);
}

static int by_vin(const void *vin, const void *rider)
{
	return strcmp(vin, (*(struct terminal *const *)rider)->plan.vin);
}

/* An answer for a truck that is out of reach meanwhile is lost on it, as it would be on the road.
 */
static void on_frame(struct platform *p, const struct frame *f)
{
	struct terminal **rider;

	if (f->command == outgoing_login_command(START)) {
		on_login_answer(p, f);
		return;
	}
	rider = bsearch(f->vin, p->riders, p->count, sizeof(struct terminal *), by_vin);
	if (rider != NULL && (*rider)->link != NULL)
		terminal_hear(*rider, f);
}

static void on_received(void *arg, const uint8_t *bytes, size_t size)
{
	struct platform *p = arg;
	const struct link *link = p->link;
	struct frame f;

	p->shared->now_us = (int64_t)(uv_hrtime() / 1000);
	p->shared->tally->received_bytes += size;
	while (p->link == link && inbox_next(&p->inbox, &bytes, &size, &f))
		on_frame(p, &f);
}

static const struct link_handler handler = { on_opened, on_received, on_closed };

static void connect_now(struct platform *p)
{
	const struct terminal_shared *s = p->shared;
	const bool tls = s->tls_context != NULL;

	move(p, CONNECTING);
	if (link_open(s->loop, (const struct sockaddr *)(tls ? &s->tls : &s->tcp), s->tls_context,
		      &handler, p, &p->link) != 0)
		on_closed(p, false);
}

void platform_tick(struct platform *p)
{
	const int64_t now = p->shared->now_us;

	if (p->state == OFFLINE && now >= p->next_connect_us && p->refusals < REFUSALS)
		connect_now(p);
	else if (p->state != OFFLINE && p->state != ONLINE && now - p->since_us > CONNECT_US)
		platform_give_up(p);
	if (p->link != NULL)
		link_tick(p->link);
}

struct link *platform_link(struct platform *p)
{
	return p->state == ONLINE ? p->link : NULL;
}

void platform_leave(struct platform *p)
{
	if (p->state == ONLINE)
		say(p, outgoing_platform_logout);
	if (p->link == NULL)
		return;
	link_tick(p->link); /* nothing is held back */
	if (p->link != NULL)
		link_close(p->link);
	p->link = NULL;
	move(p, OFFLINE);
}

int platform_failure(const struct platform *p, struct error *err)
{
	if (p->refusals < REFUSALS)
		return 0;
	return error_set(err, ERROR_CLOSED,
			 "the gateway refuses the platform login '%s': its name, password, source "
			 "address, block, or TLS that the account demands",
			 p->account->login);
}

/* ---- making ---- */

static int compare_riders(const void *a, const void *b)
{
	return by_vin((*(struct terminal *const *)a)->plan.vin, b);
}

int platform_make(const struct platform_account *account, struct terminal_shared *shared,
		  struct terminal *terminals, struct platform **ret, struct error *err)
{
	const unsigned trucks = shared->plan->trucks;
	struct platform *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return error_set(err, ERROR_MEMORY, "no memory");
	*ret = p;
	p->account = account;
	p->shared = shared;
	prng_init(&p->chance, shared->plan->seed, 8);
	p->riders = calloc(trucks, sizeof(struct terminal *));
	if (p->riders == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for %u trucks", trucks);
	for (unsigned i = 0; i < trucks; i++)
		if (terminals[i].plan.platform)
			p->riders[p->count++] = &terminals[i];
	if (p->count == 0)
		return error_set(
			err, ERROR_USAGE,
			"--platform: no truck of this fleet reports over it; it takes "
			"trucks with header P, a larger --platform-share or more --trucks");
	qsort(p->riders, p->count, sizeof(struct terminal *), compare_riders);
	return 0;
}

void platform_free(struct platform *p)
{
	if (p == NULL)
		return;
	if (p->link != NULL)
		link_close(p->link);
	free(p->riders);
	free(p);
}

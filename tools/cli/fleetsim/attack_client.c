/* attack_client.c - an attacker's connection, and the truck behind it. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "tools/cli/fleetsim/attacker.h"
#include "tools/cli/fleetsim/outbox.h"

enum { ANSWER_WAIT_MS = 2000, BEGIN_US = 15 * 1000000, PAUSE_MS = 100 };

static int64_t now_us(void)
{
	return clock_mono_ns() / 1000;
}

bool attack_over(const struct attack *a)
{
	return now_us() >= a->ends_us;
}

void attack_breach(struct attack *a, const char *vin, const char *what)
{
	if (a->result.breaches++ == 0)
		snprintf(a->result.first_breach, sizeof(a->result.first_breach), "%s: %s", vin,
			 what);
}

/*
 * Each kind, and each forger, comes from a loopback address of its own: what they do wrong is not
 * put down to the honest trucks of 127.0.0.1.
 */
int attack_socket(const struct attack *a, unsigned index)
{
	const uint32_t net = 0x7F000000u | (uint32_t)(10 + a->kind) << 16;
	struct sockaddr_in from = { .sin_family = AF_INET };
	const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	from.sin_addr.s_addr = htonl(net | (1 + index / 250 % 250) << 8 | (1 + index % 250));
	if (fd < 0)
		return -1;
	if (bind(fd, (struct sockaddr *)&from, sizeof(from)) != 0 ||
	    (connect(fd, (const struct sockaddr *)&a->to, sizeof(a->to)) != 0 &&
	     errno != EINPROGRESS)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool ready(int fd, short events, int64_t until_us)
{
	struct pollfd p = { .fd = fd, .events = events };
	const int64_t left = (until_us - now_us()) / 1000;

	return poll(&p, 1, left > 0 ? (int)left : 0) == 1 && (p.revents & events) != 0;
}

bool client_open(struct client *c, const struct attack *a, unsigned index)
{
	client_close(c);
	c->size = 0;
	c->fd = attack_socket(a, index);
	return c->fd >= 0 && ready(c->fd, POLLOUT, now_us() + ANSWER_WAIT_MS * 1000);
}

void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static bool succeeded(const struct frame *f)
{
	if (f->command == COMMAND_ACTIVATION_ANSWER)
		return f->unit_size == 2 && f->unit[0] == 1;
	return f->answer == ANSWER_SUCCESS;
}

/* Takes answers out of what was received until one is for the command. */
static bool find_answer(struct client *c, uint8_t command, enum heard *ret)
{
	size_t used = 0, step;
	struct frame f;
	bool found = false;

	while (!found) {
		const enum scan scan =
			frame_scan(c->bytes + used, c->size - used, sizeof(c->bytes), &f, &step);
		if (scan == SCAN_MORE)
			break;
		used += step;
		found = scan == SCAN_FRAME &&
			(f.command == command ||
			 (command == COMMAND_ACTIVATION && f.command == COMMAND_ACTIVATION_ANSWER));
		if (found)
			*ret = succeeded(&f) ? HEARD_success : HEARD_error;
	}
	c->size -= used;
	memmove(c->bytes, c->bytes + used, c->size);
	if (c->size == sizeof(c->bytes))
		c->size = 0; /* no answer is that long */
	return found;
}

enum heard client_ask(struct client *c, const uint8_t *bytes, size_t size)
{
	const int64_t until = now_us() + ANSWER_WAIT_MS * 1000;
	enum heard heard;

	for (size_t sent = 0; sent < size;) {
		if (!ready(c->fd, POLLOUT, until))
			return HEARD_closed;
		const ssize_t n = send(c->fd, bytes + sent, size - sent, MSG_NOSIGNAL);
		if (n <= 0)
			return HEARD_closed;
		sent += (size_t)n;
	}
	while (ready(c->fd, POLLIN, until)) {
		const ssize_t n = recv(c->fd, c->bytes + c->size, sizeof(c->bytes) - c->size, 0);
		if (n <= 0)
			return HEARD_closed;
		c->size += (size_t)n;
		if (find_answer(c, bytes[2], &heard))
			return heard;
	}
	return HEARD_silent;
}

/* ---- the truck ---- */

bool victim_init(struct victim *v, const struct attack *a, unsigned index)
{
	struct error err;

	memset(v, 0, sizeof(*v));
	v->client.fd = -1;
	v->index = index;
	plan_truck(&a->settings->plan, index, KIND_clean, &v->plan);
	source_init(&v->source, &a->settings->plan, &v->plan);
	return chip_derive(&v->plan, 0, &v->chip, &err) == 0 &&
	       chip_derive(&v->plan, 1, &v->other, &err) == 0;
}

void victim_release(struct victim *v)
{
	client_close(&v->client);
	chip_free(v->chip);
	chip_free(v->other);
}

static int64_t wall(void)
{
	return clock_wall_ns() / 1000000000;
}

size_t victim_login(const struct victim *v, uint8_t *buf, size_t max)
{
	const size_t n = unit_login(wall(), 1, v->plan.iccid, HEADER_P, buf + FRAME_HEAD_SIZE,
				    max - FRAME_HEAD_SIZE - 1);

	return truck_frame(&v->plan, COMMAND_LOGIN, n, buf, max);
}

size_t victim_report(struct victim *v, struct chip *chip, const char *vin, int64_t age_s,
		     uint8_t *buf, size_t max)
{
	const struct trust trust = { .chip = chip };
	struct truck_plan sender = v->plan;
	struct parcel *p = parcel_new(1);
	struct moment m;

	if (p == NULL)
		return 0;
	snprintf(sender.vin, sizeof(sender.vin), "%s", vin);
	while (p->seconds < FRAME_SECONDS && source_next(&v->source, &m))
		if (m.count > 0)
			parcel_add(p, &m);
	const size_t n = p->seconds == 0 ? 0
					 : parcel_frame(p, &sender, &trust, COMMAND_REALTIME,
							wall() - age_s, buf, max);
	parcel_free(p);
	return n;
}

size_t victim_activation(const struct victim *v, const struct chip *chip, uint8_t *buf, size_t max)
{
	const size_t n = chip_activation(chip, v->plan.vin, wall(), buf + FRAME_HEAD_SIZE,
					 max - FRAME_HEAD_SIZE - 1);

	return truck_frame(&v->plan, COMMAND_ACTIVATION, n, buf, max);
}

void frame_flip(uint8_t *frame, size_t size, size_t bit)
{
	frame[FRAME_HEAD_SIZE + bit / 8] ^= (uint8_t)(1u << bit % 8);
	frame[size - 1] = frame_checksum(frame + 2, size - 3);
}

bool victim_begin(struct victim *v, struct attack *a)
{
	const int64_t until = now_us() + BEGIN_US;
	uint8_t buf[PARCEL_FRAME_MAX];
	size_t n = victim_activation(v, v->chip, buf, sizeof(buf));

	if (!client_open(&v->client, a, v->index) ||
	    client_ask(&v->client, buf, n) != HEARD_success)
		return false;
	n = victim_login(v, buf, sizeof(buf));
	if (client_ask(&v->client, buf, n) != HEARD_success)
		return false;
	/* The key has reached every part of the gateway when a changed unit is refused. */
	while (now_us() < until && !attack_over(a)) {
		n = victim_report(v, v->chip, v->plan.vin, 0, buf, sizeof(buf));
		const enum heard good = client_ask(&v->client, buf, n);
		frame_flip(buf, n, 8 * (n - FRAME_HEAD_SIZE - 1) - 1); /* in S */
		const enum heard bad = client_ask(&v->client, buf, n);
		/* Only a report after that is a proof: the one before may have come too early. */
		if (good == HEARD_success && bad == HEARD_error) {
			n = victim_report(v, v->chip, v->plan.vin, 0, buf, sizeof(buf));
			return client_ask(&v->client, buf, n) == HEARD_success;
		}
		if (good == HEARD_closed || bad == HEARD_closed)
			return false;
		poll(NULL, 0, PAUSE_MS);
	}
	if (!attack_over(a))
		attack_breach(a, v->plan.vin, "changed units of an activated truck are taken");
	return false;
}

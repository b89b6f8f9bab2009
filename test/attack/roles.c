/* roles.c - what each kind of client does, once it is in. */
#include <string.h>

#include "proto/wire/frame.h"
#include "test/attack/client.h"

enum {
	REPORT_MS = 10000,
	DRIP_MS = 1000,
	NEVER_MS = 3600 * 1000,
	TRUCK_BACK_MS = 1000,
	STRANGER_BACK_MS = 10000, /* a flood of connections, not of connects */
	HOSTILE_BACK_MS = 100,
	FRAMES_AT_ONCE = 16,
};

static void nothing(struct crowd *w, struct client *c)
{
	(void)w;
	(void)c;
}

/* ---- honest ---- */

static void report(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];
	const size_t size = load_frames.request(&c->peer, frame, sizeof(frame));

	if (c->began_ns != 0)
		w->late++; /* the last one is not answered yet */
	c->began_ns = now_ns();
	client_send(w, c, frame, size);
}

/* ---- strangers ---- */

/* A login, a byte each second. */
static void drip(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];
	const size_t size = load_frames.open(&c->peer, frame, sizeof(frame));

	client_send(w, c, frame + c->peer.requests++ % size, 1);
}

/* ---- hostile, but registered ---- */

static size_t next_report(struct client *c, uint8_t frame[LOAD_REQUEST_MAX])
{
	return load_frames.request(&c->peer, frame, LOAD_REQUEST_MAX);
}

/* Ends when the socket is full, in the middle of a frame as it comes. */
static void flood_reports(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];

	for (int i = 0; i < FRAMES_AT_ONCE; i++)
		if (!client_send(w, c, frame, next_report(c, frame)))
			return;
}

static void flood_bad_checksums(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];
	size_t size;

	for (int i = 0; i < FRAMES_AT_ONCE; i++) {
		size = next_report(c, frame);
		frame[size - 1] ^= 0x55;
		if (!client_send(w, c, frame, size))
			return;
	}
}

/* Somebody else's VIN, with a checksum that is right. */
static void flood_wrong_vins(struct crowd *w, struct client *c)
{
	enum { VIN_AT = 3 }; /* of header V */
	uint8_t frame[LOAD_REQUEST_MAX];
	size_t size;

	for (int i = 0; i < FRAMES_AT_ONCE; i++) {
		size = next_report(c, frame);
		frame[VIN_AT] ^= 1;
		frame[size - 1] ^= 1;
		if (!client_send(w, c, frame, size))
			return;
	}
}

static void flood_replays(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];

	for (int i = 0; i < FRAMES_AT_ONCE; i++) {
		c->peer.requests = 0;
		if (!client_send(w, c, frame, next_report(c, frame)))
			return;
	}
}

static void send_half(struct crowd *w, struct client *c)
{
	uint8_t frame[LOAD_REQUEST_MAX];

	client_send(w, c, frame, next_report(c, frame) / 2);
}

static const struct role roles[] = {
	{ "honest", true, true, report, NULL, false, REPORT_MS, TRUCK_BACK_MS },
	{ "herd", true, true, nothing, NULL, false, NEVER_MS, TRUCK_BACK_MS },
	{ "silent", false, false, nothing, NULL, false, NEVER_MS, STRANGER_BACK_MS },
	{ "drip", false, false, drip, NULL, false, DRIP_MS, STRANGER_BACK_MS },
	{ "fast", true, false, nothing, flood_reports, false, NEVER_MS, HOSTILE_BACK_MS },
	{ "checksum", true, false, nothing, flood_bad_checksums, false, NEVER_MS, HOSTILE_BACK_MS },
	{ "vin", true, false, nothing, flood_wrong_vins, false, NEVER_MS, HOSTILE_BACK_MS },
	{ "replay", true, false, nothing, flood_replays, false, NEVER_MS, HOSTILE_BACK_MS },
	{ "deaf", true, false, nothing, flood_reports, true, NEVER_MS, HOSTILE_BACK_MS },
	{ "half", true, false, send_half, NULL, false, NEVER_MS, HOSTILE_BACK_MS },
};

const struct role *role_named(const char *name)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strcmp(roles[i].name, name) == 0)
			return &roles[i];
	return NULL;
}

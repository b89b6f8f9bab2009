#include "test/store/records.h"
#include "test/store/traffic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME_S = 10, OBD_EVERY_S = 300, MESSAGES_MAX = 8000, START_S = 23 * 3600 + 2500 };

/* The drives go on past midnight. */
#define START_AT    (BASE_AT + START_S)
#define RECEIVED_AT (BASE_AT + 2 * 86400)

struct message {
	unsigned truck;
	int64_t at;
	unsigned count; /* 0: an OBD report */
	uint8_t command;
	unsigned place; /* sort key */
};

unsigned random_below(struct random *r, unsigned n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (unsigned)(r->state >> 33) % n;
}

/* How each truck's frames come: a little of everything that the gateway may have found out. */
enum { OPENED = 1, SIGNED = 2, BY_PLATFORM = 3, SHARED = 4, BOTH_WAYS = 5 };

static const uint64_t key_7 = 7 * 4 + CREDENTIAL_KEY,
		      certificate_8 = 8 * 4 + CREDENTIAL_CERTIFICATE;

static struct bytes frame_of(const struct message *m)
{
	static const struct signer signer = { NULL };

	if (m->count == 0)
		return truck_obd(m->truck, m->at, m->truck % 3 == VIOLATOR);
	if (m->truck == SIGNED || m->truck == BY_PLATFORM || m->truck == SHARED)
		return truck_packet(m->truck, m->command, m->at, m->count,
				    (uint16_t)(m->at - START_AT + 1), &signer);
	return truck_report(m->truck, m->command, m->at, m->count);
}

/* A share is drawn for each frame that comes, so a resend may be checked where the first was not.
 */
static void sign(Haulgate__FrameRecord *r, const struct message *m)
{
	const bool skipped = m->truck != SIGNED && (m->at / FRAME_S + m->command) % 3 != 0;

	if (m->count == 0)
		return;
	r->signature = skipped ? SIGNATURE_SKIPPED : SIGNATURE_VALID;
	r->signature_key = skipped ? 0 : 7;
	r->credential = skipped ? 0 : key_7;
}

/* What the truck signed, and was checked, stays its own. */
static void by_platform(Haulgate__FrameRecord *r)
{
	const uint64_t key = r->credential;

	record_by_platform(r, 9);
	if (key != 0)
		r->credential = key;
}

static void feed(struct fixture *f, const struct message *m)
{
	const struct bytes frame = frame_of(m), closed = truck_encrypted(&frame);
	const struct peer peer = peer_at((uint8_t)m->truck);
	Haulgate__FrameRecord r = record_of(&frame, RECEIVED_AT);

	record_from(&r, &peer, 0);
	switch (m->truck) {
	case OPENED:
		r = record_of(&closed, RECEIVED_AT);
		record_opened(&r, &frame);
		break;
	case SIGNED:
	case SHARED:
		sign(&r, m);
		break;
	case BY_PLATFORM:
		sign(&r, m);
		by_platform(&r);
		break;
	case BOTH_WAYS:
		if (m->command == COMMAND_REALTIME)
			r.credential = certificate_8;
		else
			by_platform(&r);
		break;
	default:
		break;
	}
	record_feed(f, &r);
}

/* Both trucks that sign have one chip, and each sends its activation twice. */
static void feed_activations(struct fixture *f)
{
	for (unsigned i = 0; i < 4; i++) {
		const unsigned truck = i % 2 == 0 ? SIGNED : SHARED;
		const uint8_t key[64] = { (uint8_t)truck };
		const struct bytes frame = truck_activation(truck, START_AT, "CHIP", key, truck);
		Haulgate__FrameRecord r = record_of(&frame, RECEIVED_AT - 60 + i);

		r.signature = SIGNATURE_VALID;
		record_feed(f, &r);
	}
}

void traffic_orderly(struct fixture *f)
{
	feed_activations(f);
	for (unsigned t = 0; t < TRAFFIC_S; t += FRAME_S)
		for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++) {
			struct message m = { truck, START_AT + t, FRAME_S, COMMAND_REALTIME, 0 };

			feed(f, &m);
			m.count = 0;
			if (t % OBD_EVERY_S == 0)
				feed(f, &m);
		}
}

static size_t truck_messages(unsigned truck, struct random *r, struct message *list)
{
	size_t n = 0;

	for (unsigned t = 0; t < TRAFFIC_S; t += FRAME_S) {
		const struct message m = { truck, START_AT + t, FRAME_S, COMMAND_REALTIME, t };

		if (random_below(r, 8) != 0)
			list[n++] = m;
		if (random_below(r, 10) == 0)
			list[n++] = m; /* sent again: no answer came */
	}
	/* Everything again as supplement, cut elsewhere, except where that happens to be rare. */
	for (unsigned t = 0, size; t < TRAFFIC_S; t += size) {
		size = 1 + random_below(r, 50);
		if (size > TRAFFIC_S - t)
			size = TRAFFIC_S - t;
		list[n++] = (struct message){ truck, START_AT + t, size, COMMAND_SUPPLEMENT,
					      t + random_below(r, 400) };
	}
	for (unsigned t = 0; t < TRAFFIC_S; t += OBD_EVERY_S)
		for (unsigned times = 1 + random_below(r, 2); times > 0; times--)
			list[n++] = (struct message){ truck, START_AT + t, 0, COMMAND_REALTIME, t };
	return n;
}

static int place_order(const void *a, const void *b)
{
	const struct message *x = a, *y = b;

	return (x->place > y->place) - (x->place < y->place);
}

void traffic_disorderly(struct fixture *f, struct random *r, unsigned disorder)
{
	struct message *list = calloc(MESSAGES_MAX, sizeof(*list));
	size_t n = 0;

	for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++)
		n += truck_messages(truck, r, list + n);
	assert_true(n < MESSAGES_MAX);
	for (size_t i = 0; i < n; i++)
		list[i].place += random_below(r, disorder + 1);
	qsort(list, n, sizeof(*list), place_order);
	feed_activations(f);
	for (size_t i = 0; i < n; i++)
		feed(f, &list[i]);
	free(list);
}

void assert_traffic_stored(struct fixture *f)
{
	struct samples stored, expected = { 0 };

	for (unsigned truck = 1; truck <= TRAFFIC_TRUCKS; truck++) {
		samples_expect(&expected, truck, START_AT, TRAFFIC_S);
		for (unsigned t = 0; t < TRAFFIC_S; t += OBD_EVERY_S)
			samples_expect_obd(&expected, truck, START_AT + t, truck % 3 == VIOLATOR);
	}
	fixture_samples(f, &stored);
	assert_samples(&stored, &expected);
}

/*
 * Not compared: part, since it is left to chance which of two frames of one second gets which
 * number, and the quirk late, which a day that waits for its fold cannot always tell.
 */
char *traffic_senders(struct fixture *f)
{
	return fixture_text(
		f,
		"SELECT 'track', vin, t.at::text, NULL, credential::text, (quirks & ~256)::text, "
		"position::text FROM track t JOIN vehicle v ON v.id = vehicle_id UNION ALL "
		"SELECT 'replay', vin, r.at::text, samples::text, credential::text, "
		"first_credential::text || peer, position::text FROM replay r JOIN vehicle v ON "
		"v.id = vehicle_id UNION ALL "
		"SELECT 'platform', vin, day::text, (to_jsonb(p) - 'vehicle_id')::text, NULL, "
		"NULL, "
		"NULL FROM platform_day p JOIN vehicle v ON v.id = vehicle_id UNION ALL "
		"SELECT 'serials', vin, day::text, platform_id::text, page::text, seen::text, NULL "
		"FROM platform_serial JOIN vehicle v ON v.id = vehicle_id UNION ALL "
		"SELECT 'key', vin, state, NULL, chip_id, encode(public_key, 'hex'), NULL FROM "
		"registry.keys JOIN terminal_key USING (id, state, chip_id) UNION ALL "
		"SELECT 'event', vin, e.at::text, kind, detail::text, NULL, position::text FROM "
		"terminal_event e JOIN vehicle v ON v.id = vehicle_id ORDER BY 1, 2, 3, 4, 5, "
		"6, 7");
}

const char *traffic_derived(void)
{
	static char *derived;
	struct fixture f;

	if (derived != NULL)
		return derived;
	fixture_open(&f);
	traffic_orderly(&f);
	fixture_store_all(&f);
	assert_traffic_stored(&f);
	derived = fixture_derived(&f);
	assert_true(fixture_number(&f, "SELECT count(*) FROM finding") >= 2);
	assert_true(fixture_number(&f, "SELECT count(*) FROM passage") >= TRAFFIC_TRUCKS);
	fixture_close(&f);
	return derived;
}

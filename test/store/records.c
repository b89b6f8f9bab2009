#include "test/store/records.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>

/* ---- into the spool ---- */

struct waiter {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool done;
	int status;
};

static void batch_done(struct spool_batch *b, int status, void *arg)
{
	struct waiter *w = arg;

	(void)b;
	pthread_mutex_lock(&w->lock);
	w->done = true;
	w->status = status;
	pthread_cond_signal(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

Haulgate__FrameRecord record_of(const struct bytes *frame, int64_t received_at)
{
	Haulgate__FrameRecord r = HAULGATE__FRAME_RECORD__INIT;

	r.received_at_ns = (uint64_t)received_at * 1000000000;
	r.verdict = VERDICT_ACCEPTED;
	r.layout = LAYOUT_A;
	r.protocol = PROTOCOL_GB17691;
	r.raw.len = frame->size;
	r.raw.data = (uint8_t *)(uintptr_t)frame->bytes;
	return r;
}

void record_feed(struct fixture *f, const Haulgate__FrameRecord *r)
{
	struct waiter w = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0 };
	struct spool_batch b;
	uint8_t *p;

	assert_int_equal(spool_batch_init(&b, 64 * 1024), 0);
	b.done = batch_done;
	b.arg = &w;
	p = spool_batch_add(&b, haulgate__frame_record__get_packed_size(r));
	assert_non_null(p);
	haulgate__frame_record__pack(r, p);
	assert_int_equal(spool_submit(f->spool, &b), 0);
	pthread_mutex_lock(&w.lock);
	while (!w.done)
		pthread_cond_wait(&w.changed, &w.lock);
	pthread_mutex_unlock(&w.lock);
	assert_int_equal(w.status, 0);
	spool_batch_release(&b);
}

void fixture_feed(struct fixture *f, const struct bytes *frame, int64_t received_at,
		  enum verdict verdict)
{
	Haulgate__FrameRecord r = record_of(frame, received_at);

	r.verdict = verdict;
	record_feed(f, &r);
}

/* ---- who, and with what ---- */

struct peer peer_at(uint8_t host)
{
	return (struct peer){
		{ [10] = 0xFF, [11] = 0xFF, [12] = 192, [14] = 2, [15] = host, [16] = 4 }
	};
}

void record_from(Haulgate__FrameRecord *r, const struct peer *peer, uint64_t credential)
{
	r->peer.data = (uint8_t *)(uintptr_t)peer->bytes;
	r->peer.len = sizeof(peer->bytes);
	r->credential = credential;
}

void record_by_platform(Haulgate__FrameRecord *r, uint64_t platform)
{
	r->platform = platform;
	r->credential = credential(CREDENTIAL_PLATFORM, (int64_t)platform);
}

static struct frame frame_in(const struct bytes *bytes)
{
	struct frame f;
	size_t used;

	assert_int_equal(frame_scan(bytes->bytes, bytes->size, FRAME_UNIT_MAX, &f, &used),
			 SCAN_FRAME);
	return f;
}

struct bytes truck_encrypted(const struct bytes *frame)
{
	struct frame f = frame_in(frame);
	uint8_t unit[sizeof(frame->bytes)];
	struct bytes out;

	for (size_t i = 0; i < f.unit_size; i++)
		unit[i] = (uint8_t)(f.unit[i] ^ (0xA5 + 13 * i));
	memset(unit + f.unit_size, 0x5A, 16);
	f.unit = unit;
	f.unit_size += 16;
	f.encryption = 0x03;
	out.size = frame_encode(&f, out.bytes, sizeof(out.bytes));
	assert_true(out.size > 0);
	return out;
}

void record_opened(Haulgate__FrameRecord *r, const struct bytes *clear)
{
	const struct frame f = frame_in(clear);

	r->unit.data = (uint8_t *)(uintptr_t)f.unit;
	r->unit.len = f.unit_size;
}

EVP_PKEY *pair_new(uint8_t public_key[64])
{
	EVP_PKEY *pair = EVP_PKEY_Q_keygen(NULL, NULL, "SM2");
	uint8_t point[65];
	size_t size;

	assert_non_null(pair);
	assert_int_equal(EVP_PKEY_get_octet_string_param(pair, OSSL_PKEY_PARAM_PUB_KEY, point,
							 sizeof(point), &size),
			 1);
	assert_int_equal(size, sizeof(point));
	memcpy(public_key, point + 1, 64);
	return pair;
}

struct bytes truck_packet(unsigned truck, uint8_t command, int64_t at, unsigned count,
			  uint16_t serial, const struct signer *signer)
{
	uint8_t unit[3000], body[STREAM_SIZE], r[32] = { 1 }, s[32] = { 2 };
	struct unit_writer w;

	unit_start(&w, LAYOUT_C, at + count, serial, unit, sizeof(unit));
	for (unsigned i = 0; i < count; i++) {
		truck_body(truck, at + i, body);
		unit_block(&w, INFO_STREAM, at + i, 0, body, sizeof(body));
	}
	if (signer != NULL && signer->pair != NULL)
		assert_true(signature_sign_sm2(signer->pair, SIGNATURE_DEFAULT_USER, unit, w.size,
					       r, s));
	if (signer != NULL)
		unit_sign(&w, r, s);
	assert_false(w.failed);
	return truck_unit(truck, command, unit, w.size);
}

struct bytes truck_activation(unsigned truck, int64_t at, const char *chip,
			      const uint8_t public_key[64], unsigned vin_truck)
{
	enum { CHIP = 6, KEY = 22, VIN = 86, SIGNATURE = 103, SIZE = 169 };
	uint8_t unit[SIZE] = { 0 };
	char vin[VIN_SIZE + 1];

	wire_time_encode(at, unit);
	memcpy(unit + CHIP, chip, strlen(chip));
	memcpy(unit + KEY, public_key, 64);
	truck_vin(vin_truck, vin);
	memcpy(unit + VIN, vin, VIN_SIZE);
	unit[SIGNATURE] = unit[SIGNATURE + 33] = 32; /* the gateway has checked it */
	return truck_unit(truck, 0x07, unit, SIZE);
}

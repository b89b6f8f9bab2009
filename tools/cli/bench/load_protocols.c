#include "tools/cli/bench/load.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "proto/wire/frame.h"
#include "proto/wire/info.h"

const int64_t load_start = 1767225600; /* 2026-01-01T00:00:00Z */

void load_vin(const struct load_peer *peer, char vin[VIN_SIZE + 1])
{
	snprintf(vin, VIN_SIZE + 1, "LBENCH%011u", peer->number);
}

static size_t peer_frame(const struct load_peer *peer, uint8_t command, const uint8_t *unit,
			 size_t unit_size, uint8_t *buf, size_t size)
{
	struct frame f = { .start = 0x7E, /* tells HJ 1239 from GB 17691, which is not answered */
			   .header = HEADER_V,
			   .protocol = PROTOCOL_HJ1239,
			   .command = command,
			   .answer = ANSWER_COMMAND,
			   .software_version = 6,
			   .encryption = 1,
			   .unit = unit,
			   .unit_size = unit_size };

	load_vin(peer, f.vin);
	return frame_encode(&f, buf, size);
}

static size_t frames_open(const struct load_peer *peer, uint8_t *buf, size_t size)
{
	uint8_t unit[64];
	size_t n = unit_login(load_start, 1, "89860000000000000000", HEADER_V, unit, sizeof(unit));

	return peer_frame(peer, COMMAND_LOGIN, unit, n, buf, size);
}

void load_sample(uint32_t t, uint8_t body[STREAM_SIZE])
{
	const double value[STREAM_FIELD_COUNT] = {
		[STREAM_speed_kmh] = 62 + t % 7,
		[STREAM_baro_kpa] = 98.5,
		[STREAM_net_torque_pct] = 41 + t % 11,
		[STREAM_friction_torque_pct] = 9,
		[STREAM_engine_rpm] = 1180 + t % 40,
		[STREAM_fuel_flow_lph] = 21 + t % 5 * 0.35,
		[STREAM_nox_upstream_ppm] = 640 + t % 60,
		[STREAM_nox_downstream_ppm] = 18 + t % 9,
		[STREAM_reagent_pct] = 70,
		[STREAM_air_flow_kgph] = 520 + t % 31,
		[STREAM_scr_in_c] = 318 + t % 5,
		[STREAM_scr_out_c] = 311 + t % 4,
		[STREAM_dpf_dp_kpa] = 3.1 + t % 3 * 0.1,
		[STREAM_coolant_c] = 84,
		[STREAM_fuel_level_pct] = 66,
		[STREAM_lon] = 120.45 + t * 1e-5,
		[STREAM_lat] = 41.57 + t * 1e-5,
		[STREAM_odometer_km] = 182000 + t * 0.02,
	};

	for (size_t i = 0; i < STREAM_FIELD_COUNT; i++)
		field_put(&info_stream.fields[i], body, value[i]);
}

static size_t frames_request(struct load_peer *peer, uint8_t *buf, size_t size)
{
	uint8_t unit[LOAD_REQUEST_MAX], body[STREAM_SIZE];
	struct unit_writer w;
	const uint32_t first = peer->requests++ * LOAD_SAMPLES;
	const uint16_t serial = (uint16_t)(peer->requests % 65531 + 1);

	unit_start(&w, LAYOUT_C, load_start + first + LOAD_SAMPLES, serial, unit, sizeof(unit));
	for (uint32_t i = 0; i < LOAD_SAMPLES; i++) {
		load_sample(peer->number + first + i, body);
		unit_block(&w, INFO_STREAM, load_start + first + i, serial, body, sizeof(body));
	}
	assert(!w.failed);
	return peer_frame(peer, COMMAND_REALTIME, unit, w.size, buf, size);
}

static size_t frames_answer(const uint8_t *buf, size_t size)
{
	size_t total;

	if (size < FRAME_HEAD_SIZE)
		return 0;
	total = FRAME_HEAD_SIZE + ((size_t)buf[22] << 8 | buf[23]) + 1;
	return size >= total ? total : 0;
}

const struct load_protocol load_frames = { "frames", frames_open, frames_request, frames_answer };

/* ---- MQTT 3.1.1, as far as CONNECT and PUBLISH at QoS 1 go (OASIS 3.1, 3.3, 3.4) ---- */

enum { MQTT_PAYLOAD = 473 }; /* the size of a report frame of ten samples */

static size_t mqtt_open(const struct load_peer *peer, uint8_t *buf, size_t size)
{
	char id[16];
	const int n = snprintf(id, sizeof(id), "b%u", peer->number);
	const uint8_t head[] = { 0x10, (uint8_t)(12 + n), 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0,
				 0,    (uint8_t)n };

	assert(sizeof(head) + (size_t)n <= size);
	memcpy(buf, head, sizeof(head));
	memcpy(buf + sizeof(head), id, (size_t)n);
	return sizeof(head) + (size_t)n;
}

static size_t mqtt_request(struct load_peer *peer, uint8_t *buf, size_t size)
{
	char topic[16];
	const size_t n = (size_t)snprintf(topic, sizeof(topic), "t/%u", peer->number);
	const size_t rest = 2 + n + 2 + MQTT_PAYLOAD;
	const uint16_t id = (uint16_t)(peer->requests++ % 65535 + 1);
	size_t at = 0;

	assert(rest + 3 <= size && rest < 16384);
	buf[at++] = 0x32;
	buf[at++] = (uint8_t)(rest % 128 | 128);
	buf[at++] = (uint8_t)(rest / 128);
	buf[at++] = 0;
	buf[at++] = (uint8_t)n;
	memcpy(buf + at, topic, n);
	at += n;
	buf[at++] = (uint8_t)(id >> 8);
	buf[at++] = (uint8_t)id;
	memset(buf + at, 0x5A, MQTT_PAYLOAD);
	return at + MQTT_PAYLOAD;
}

/* CONNACK and PUBACK both have four bytes. */
static size_t mqtt_answer(const uint8_t *buf, size_t size)
{
	(void)buf;
	return size >= 4 ? 4 : 0;
}

const struct load_protocol load_mqtt = { "mqtt", mqtt_open, mqtt_request, mqtt_answer };

#include "tools/cli/spool_print.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/identity/identity.h"
#include "proto/record/record.h"

enum { PEER_SIZE = 18, JSON_MAX = 4 * 1024 * 1024, PEER_TEXT = INET6_ADDRSTRLEN + 16 };

static void print_hex(const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		putchar(digits[bytes[i] >> 4]);
		putchar(digits[bytes[i] & 15]);
	}
}

static void received_text(uint64_t ns, char out[40])
{
	const time_t at = (time_t)(ns / 1000000000);
	char seconds[24];
	struct tm tm;

	if (gmtime_r(&at, &tm) == NULL ||
	    strftime(seconds, sizeof(seconds), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(seconds, sizeof(seconds), "?");
	snprintf(out, 40, "%s.%03uZ", seconds, (unsigned)(ns / 1000000 % 1000));
}

static void peer_text(const ProtobufCBinaryData *peer, char out[PEER_TEXT])
{
	char address[INET6_ADDRSTRLEN];

	if (peer->len != PEER_SIZE ||
	    inet_ntop(AF_INET6, peer->data, address, sizeof(address)) == NULL)
		snprintf(out, PEER_TEXT, "unknown");
	else
		snprintf(out, PEER_TEXT, "[%s]:%u", address, peer->data[16] << 8 | peer->data[17]);
}

/* The frame that was kept, its unit in clear; false when the bytes do not even look like one (kept
 * for their verdict). */
static bool find_frame(const Haulgate__FrameRecord *m, struct frame *ret)
{
	switch (record_frame(m, ret)) {
	case SCAN_FRAME:
	case SCAN_BAD_CHECKSUM:
		return true;
	default:
		return false;
	}
}

static void print_frame_json(const Haulgate__FrameRecord *m)
{
	const int64_t received = (int64_t)(m->received_at_ns / 1000000000);
	char *text = malloc(JSON_MAX);
	struct frame f;

	if (text != NULL && find_frame(m, &f) &&
	    frame_json(&f, m->layout < LAYOUT_COUNT ? (enum layout)m->layout : LAYOUT_UNKNOWN,
		       received, text, JSON_MAX) < JSON_MAX)
		printf(",\"frame\":%s", text);
	free(text);
}

/* What the gateway found out with its keys; a unit that was plain is in raw. */
static void print_proof_json(const Haulgate__FrameRecord *m)
{
	static const char *const kinds[] = { "none", "key", "certificate", "platform" };
	static const char *const users[] = { "none", "chip", "default" };

	if (m->unit.len > 0) {
		printf(",\"unit\":\"");
		print_hex(m->unit.data, m->unit.len);
		printf("\",\"cipher_key\":%" PRIu64, m->cipher_key);
	}
	printf(",\"signature\":\"%s\"", signature_text(m->signature));
	if (m->signature_key != 0)
		printf(",\"signature_key\":%" PRIu64, m->signature_key);
	if (m->signature_user != SIGNATURE_USER_NONE &&
	    m->signature_user < sizeof(users) / sizeof(users[0]))
		printf(",\"signature_user\":\"%s\"", users[m->signature_user]);
	if (m->platform != 0)
		printf(",\"platform\":%" PRIu64, m->platform);
	if (m->credential != 0)
		printf(",\"credential\":{\"kind\":\"%s\",\"id\":%" PRIu64 "}",
		       kinds[m->credential % 4], m->credential / 4);
}

static void print_json(const struct spool_record *r, const Haulgate__FrameRecord *m)
{
	char received[40], peer[PEER_TEXT];

	printf("{\"position\":%" PRIu64 ",\"sequence\":%" PRIu64, r->position, r->sequence);
	if (m == NULL) {
		printf(",\"payload\":\"");
		print_hex(r->payload, r->size);
		puts("\"}");
		return;
	}
	received_text(m->received_at_ns, received);
	peer_text(&m->peer, peer);
	printf(",\"received_at\":\"%s\",\"clock_status\":%u,\"connection\":%" PRIu64
	       ",\"peer\":\"%s\",\"tls\":%s,\"verdict\":\"%s\",\"quirks\":%u,\"layout\":\"%s\""
	       ",\"protocol\":\"%s\",\"raw\":\"",
	       received, m->clock_status, m->connection, peer, m->tls ? "true" : "false",
	       verdict_name(m->verdict), m->quirks, layout_name(m->layout),
	       protocol_name((enum protocol)m->protocol));
	print_hex(m->raw.data, m->raw.len);
	putchar('"');
	print_proof_json(m);
	print_frame_json(m);
	puts("}");
}

static void print_line(const struct spool_record *r, const Haulgate__FrameRecord *m)
{
	char received[40], peer[PEER_TEXT];

	printf("%" PRIu64 " #%" PRIu64 " ", r->position, r->sequence);
	if (m == NULL) {
		printf("payload ");
		print_hex(r->payload, r->size);
	} else {
		received_text(m->received_at_ns, received);
		peer_text(&m->peer, peer);
		printf("%s %s%s %s %s ", received, peer, m->tls ? " tls" : "",
		       verdict_name(m->verdict), layout_name(m->layout));
		print_hex(m->raw.data, m->raw.len);
	}
	putchar('\n');
}

void spool_print_record(const struct spool_record *record, bool json)
{
	Haulgate__FrameRecord *m =
		haulgate__frame_record__unpack(NULL, record->size, record->payload);

	if (json)
		print_json(record, m);
	else
		print_line(record, m);
	if (m != NULL)
		haulgate__frame_record__free_unpacked(m, NULL);
}

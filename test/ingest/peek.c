/*
 * peek - what a test wants to know of a gateway: its spool's records and its metrics, as lines.
 *
 * peek spool DIR: verdict, quirks, layout, protocol, tls, raw in hex, signature, its key, its user,
 * credential, key of the cipher, opened unit in hex or "-"; of a stopped gateway.
 * peek metrics RUN_DIR: Prometheus text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/metrics.h"
#include "gateway/spool/spool.h"
#include "proto/wire/signature.h"
#include "proto/wire/verdict.h"
#include "record.pb-c.h"

static void print_hex(const ProtobufCBinaryData *bytes)
{
	for (size_t i = 0; i < bytes->len; i++)
		printf("%02x", bytes->data[i]);
	if (bytes->len == 0)
		putchar('-');
}

static int print_record(const struct spool_record *record)
{
	Haulgate__FrameRecord *r =
		haulgate__frame_record__unpack(NULL, record->size, record->payload);

	if (r == NULL)
		return -1;
	printf("%s %u %u %u %d ", verdict_name(r->verdict), r->quirks, r->layout, r->protocol,
	       r->tls);
	print_hex(&r->raw);
	printf(" %s %" PRIu64 " %u %" PRIu64 " %" PRIu64 " ", signature_text(r->signature),
	       r->signature_key, r->signature_user, r->credential, r->cipher_key);
	print_hex(&r->unit);
	puts("");
	haulgate__frame_record__free_unpacked(r, NULL);
	return 0;
}

static int peek_spool(const char *dir)
{
	struct spool_reader *reader = NULL;
	struct spool_record record;
	struct error err = { 0 };
	int rc = spool_reader_open(dir, NULL, 0, &reader, &err);

	while (rc == 0 && (rc = spool_reader_next(reader, UINT64_MAX, &record, &err)) == 1)
		rc = print_record(&record);
	spool_reader_close(reader);
	if (rc != 0)
		fprintf(stderr, "peek: %s\n", err.text);
	return rc != 0;
}

static int peek_metrics(const char *dir)
{
	static char text[1 << 20];

	metrics_prometheus(dir, text, sizeof(text));
	fputs(text, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "spool") == 0)
		return peek_spool(argv[2]);
	if (argc == 3 && strcmp(argv[1], "metrics") == 0)
		return peek_metrics(argv[2]);
	fputs("usage: peek spool|metrics DIR\n", stderr);
	return 2;
}

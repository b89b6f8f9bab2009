/*
 * haulgate-bench-decode: how fast one core walks frames and reads 19 fields of each sample, and
 * packs them.
 *
 *   haulgate-bench-decode [SECONDS [SAMPLES_PER_FRAME]]
 *
 * Prints key=value lines.  Not a test: figures depend on the machine.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "proto/record/pack.h"
#include "test/wire/sample.h"

enum { FRAMES = 512, FRAME_ROOM = 8192 };

static uint8_t bytes[FRAMES][FRAME_ROOM];
static size_t sizes[FRAMES];
static struct report report;
static struct unpacked unpacked;
static volatile double sink; /* so that no reading is optimised away */

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t decode(size_t i, enum layout known)
{
	struct frame f;
	size_t used;

	if (frame_scan(bytes[i], sizes[i], FRAME_UNIT_MAX, &f, &used) != SCAN_FRAME ||
	    report_decode(&f, known, SAMPLE_TIME + 86400, &report) != VERDICT_ACCEPTED)
		abort();
	return report.block_count;
}

static void read_fields(void)
{
	double sum = 0, value;

	for (size_t b = 0; b < report.block_count; b++)
		for (size_t j = 0; j < STREAM_FIELD_COUNT; j++)
			if (field_value(&info_stream.fields[j], report.blocks[b].body, &value))
				sum += value;
	sink = sum;
}

enum work { WALK, READ, DETECT, PACK, UNPACK };

static double samples_per_s(enum work work, double seconds, size_t *ret_packed, size_t *ret_samples)
{
	static uint8_t packed[PACK_SIZE_MAX];
	const double start = now_s();
	size_t samples = 0, packed_size = 0;
	double spent;

	do {
		for (size_t i = 0; i < FRAMES; i++) {
			samples += decode(i, work == DETECT ? LAYOUT_UNKNOWN : LAYOUT_A);
			if (work == READ)
				read_fields();
			if (work < PACK)
				continue;
			const size_t n = blocks_pack(report.blocks, report.block_count, report.at,
						     packed, sizeof(packed));

			packed_size += n;
			if (work == UNPACK && blocks_unpack(packed, n, report.at, &unpacked) != 0)
				abort();
		}
		spent = now_s() - start;
	} while (spent < seconds);
	*ret_packed = packed_size;
	*ret_samples = samples;
	return (double)samples / spent;
}

int main(int argc, char **argv)
{
	static const char *const names[] = { "walk", "walk_and_read_19_fields", "detect_layout",
					     "walk_and_pack", "walk_pack_and_unpack" };
	const double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
	const unsigned n = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 10;
	size_t packed = 0, samples = 0, frame_bytes = 0;
	struct sample_drive drive;

	if (n < 1 || n > 100) {
		fprintf(stderr, "samples per frame: 1 to 100\n");
		return 2;
	}
	sample_drive_start(&drive, 1);
	for (size_t i = 0; i < FRAMES; i++) {
		sizes[i] = sample_report(LAYOUT_A, &drive, SAMPLE_TIME + (int64_t)(i * n), n,
					 bytes[i], FRAME_ROOM);
		frame_bytes += sizes[i];
	}
	printf("samples_per_frame=%u\nframe_bytes_per_sample=%.1f\n", n,
	       (double)frame_bytes / (double)(FRAMES * n));
	for (int work = WALK; work <= UNPACK; work++)
		printf("%s_samples_per_s=%.0f\n", names[work],
		       samples_per_s((enum work)work, seconds, &packed, &samples));
	printf("packed_bytes_per_sample=%.2f\n", (double)packed / (double)samples);
	return 0;
}

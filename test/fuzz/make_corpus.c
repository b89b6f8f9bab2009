/*
 * make_corpus: writes the seed inputs of the wire targets, from the tables.
 *
 *   make_corpus FOLDER      files FOLDER/<target>/seed_NN
 *
 * Deterministic: run again, it writes the same bytes.  What a fuzzer found is added by hand, with
 * another name.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/record/pack.h"
#include "test/wire/sample.h"

static const char *top;
static struct sample_random random_state = { 20260724 };

static void make_folder(const char *path)
{
	if (mkdir(path, 0777) != 0 && errno != EEXIST) {
		perror(path);
		exit(1);
	}
}

static void save(const char *target, int number, const void *head, size_t head_size,
		 const void *bytes, size_t size)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", top, target);
	make_folder(path);
	snprintf(path, sizeof(path), "%s/%s/seed_%02d", top, target, number);
	file = fopen(path, "wb");
	if (file == NULL || fwrite(head, 1, head_size, file) != head_size ||
	    fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
		perror(path);
		exit(1);
	}
}

static const struct info *random_info(enum info_family family)
{
	size_t n = 0, pick;

	while (info_all[n] != NULL)
		n++;
	do
		pick = sample_below(&random_state, (uint32_t)n);
	while (info_all[pick]->family != family);
	return info_all[pick];
}

static enum info_family family_of(enum layout layout)
{
	return layout == LAYOUT_EV	  ? INFO_EV_2016
	       : layout == LAYOUT_EV_2025 ? INFO_EV_2025
					  : INFO_EMISSION;
}

/* A report of a few random blocks; some end in a signature or an unknown type. */
static size_t random_unit(enum layout layout, int variant, uint8_t *unit, size_t max)
{
	static const uint8_t signature_2025[] = { 0xFF, 1, 0, 2, 'R', 'R', 0, 2, 'S', 'S' };
	static const uint8_t rest[] = { 0x81, 0, 4, 'r', 'e', 's', 't' };
	uint8_t body[SAMPLE_BODY_MAX], sm2[32];
	struct unit_writer w;

	unit_start(&w, layout, SAMPLE_TIME, 7, unit, max);
	for (int i = 0; i < 1 + variant; i++) {
		const struct info *info = random_info(family_of(layout));
		const size_t size = sample_body(info, &random_state, true, body);

		unit_block(&w, info->type, SAMPLE_TIME + i, 7, body, size);
	}
	memset(sm2, 0x5A, sizeof(sm2));
	if (variant == 2 && layout == LAYOUT_EV_2025) {
		memcpy(unit + w.size, signature_2025, sizeof(signature_2025));
		w.size += sizeof(signature_2025);
	} else if (variant == 2 && layout == LAYOUT_C) {
		unit_sign(&w, sm2, sm2);
	} else if (variant == 3) {
		memcpy(unit + w.size, rest, sizeof(rest));
		w.size += sizeof(rest);
	}
	assert(!w.failed);
	return w.size;
}

static uint8_t header_choice(enum layout layout)
{
	return layout == LAYOUT_EV ? 4 : layout == LAYOUT_EV_2025 ? 2 : 0;
}

static void make_reports(void)
{
	static uint8_t unit[16384];
	int number = 0;

	for (int layout = LAYOUT_A; layout < LAYOUT_COUNT; layout++) {
		for (int variant = 0; variant < 4; variant++) {
			const uint8_t choice = header_choice((enum layout)layout);
			const uint8_t head[2] = { (uint8_t)(variant % 2 ? layout : 0),
						  (uint8_t)(choice | (variant == 1 ? 0x80 : 0)) };
			const size_t n =
				random_unit((enum layout)layout, variant, unit, sizeof(unit) - 64);

			save("report", number++, head, 2, unit, n);
		}
	}
}

static size_t put_frame(struct frame f, const uint8_t *unit, size_t size, uint8_t *out, size_t max)
{
	f.unit = unit;
	f.unit_size = size;
	return frame_encode(&f, out, max);
}

static void make_streams(void)
{
	static uint8_t stream[65536], unit[16384];
	static const uint8_t starts[] = { 0x23, 0x7E, 0x24 };
	int number = 0;

	for (int layout = LAYOUT_A; layout < LAYOUT_COUNT; layout++) {
		const uint8_t piece = (uint8_t)(layout * 9);
		size_t n = 0, size;

		size = unit_login(SAMPLE_TIME, 1, "89860012345678901234", HEADER_V, unit, 64);
		n += put_frame(sample_frame(0x23, HEADER_V, COMMAND_LOGIN), unit, size, stream + n,
			       4096);
		stream[n++] = '#'; /* a stray mark */
		size = random_unit((enum layout)layout, 1, unit, sizeof(unit));
		n += put_frame(sample_frame_of((enum layout)layout, COMMAND_REALTIME), unit, size,
			       stream + n, sizeof(stream) - n);
		stream[n - 1] ^= layout == LAYOUT_B ? 0xFF : 0; /* one wrong BCC */
		size = unit_logout(SAMPLE_TIME, 1, unit, sizeof(unit));
		n += put_frame(sample_frame(0x23, HEADER_P, COMMAND_LOGOUT), unit, size, stream + n,
			       4096);
		save("frame_stream", number++, &piece, 1, stream, n);
	}
	for (size_t i = 0; i < sizeof(starts); i++) {
		for (uint8_t command = 0x05; command <= 0x08; command++) {
			const uint8_t piece = 255;
			const enum header header = starts[i] == 0x23 ? HEADER_V : HEADER_P;
			const size_t n = put_frame(sample_frame(starts[i], header, command), unit,
						   command == 0x06 ? 17 : 0, stream, 4096);

			save("frame_stream", number++, &piece, 1, stream, n);
		}
	}
}

static void make_units(void)
{
	uint8_t unit[256] = { 26, 7, 24, 12, 0, 0, 0, 9 };
	static const size_t sizes[] = { 8, 17, 28, 30, 41, 169, 126 };
	static const uint8_t commands[] = { 4, 6, 1, 1, 5, 7, 9 };
	int number = 0;

	memset(unit + 8, 'A', sizeof(unit) - 8);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t copy[256];

		memcpy(copy, unit, sizeof(copy));
		if (sizes[i] == 30)
			memcpy(copy + 28, "\1\0", 2);
		if (sizes[i] == 169)
			copy[103] = copy[136] = 32;
		if (sizes[i] == 126) /* 2025: key of 16 bytes, then VIN, then type, R, S */
			memcpy(copy + 22, "\0\x10", 2), memcpy(copy + 57, "\1\0\x20", 3),
				memcpy(copy + 92, "\0\x20", 2);
		for (int header = 0; header < 8; header += 4) {
			const uint8_t head[2] = { (uint8_t)(header | (sizes[i] == 126 ? 2 : 0) |
							    commands[i] << 3),
						  (uint8_t)(header ? 3 : 1) };

			save("units", number++, head, 2, copy, sizes[i]);
		}
	}
}

/* In clear: the target seals them, each with another key. */
static void make_guards(void)
{
	static uint8_t unit[16384];
	static const uint8_t commands[] = { 1, 4, 6, 7 };
	static const size_t sizes[] = { 28, 8, 17, 169 };
	int number = 0;

	for (int layout = LAYOUT_A; layout < LAYOUT_COUNT; layout++) {
		for (int variant = 0; variant < 3; variant += 2) {
			const uint8_t head[4] = { header_choice((enum layout)layout), 0x03, 0x02,
						  (uint8_t)(0x80 | (number & 3) << 4 | layout) };
			const size_t n = random_unit((enum layout)layout, variant, unit, 2048);

			save("guard", number++, head, 4, unit, n);
		}
	}
	memset(unit, 'A', 256);
	wire_time_encode(SAMPLE_TIME, unit);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		const uint8_t head[4] = { 0, 0x02, commands[i],
					  (uint8_t)(0x80 | (number & 3) << 4) };

		unit[103] = unit[136] = 32;
		save("guard", number++, head, 4, unit, sizes[i]);
	}
}

static void make_columns(void)
{
	static uint8_t unit[16384], packed[PACK_SIZE_MAX];
	static struct report report;
	int number = 0;

	for (int layout = LAYOUT_A; layout < LAYOUT_COUNT; layout++) {
		for (int variant = 0; variant < 4; variant += 3) {
			struct frame f = sample_frame_of((enum layout)layout, COMMAND_REALTIME);

			f.unit = unit;
			f.unit_size =
				random_unit((enum layout)layout, variant, unit, sizeof(unit) - 64);
			if (report_decode(&f, (enum layout)layout, SAMPLE_TIME, &report) !=
			    VERDICT_ACCEPTED)
				continue;
			save("pack", number++, NULL, 0, packed,
			     blocks_pack(report.blocks, report.block_count, SAMPLE_TIME, packed,
					 sizeof(packed)));
		}
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus FOLDER\n");
		return 2;
	}
	top = argv[1];
	make_folder(top);
	make_reports();
	make_streams();
	make_units();
	make_columns();
	make_guards();
	return 0;
}

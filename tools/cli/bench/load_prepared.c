/* Frames that were made before the clock started: a file of haulgate-bench-frames. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/bench/load.h"

enum { FRAMES_EACH = 1 + LOAD_PREPARED, FILE_MAX = 1 << 28, ANSWER_FLAG = 3 };

struct frames_file {
	uint8_t *bytes;
	size_t *starts; /* of each frame; one more, for the end */
};

static void give_up(const char *path, const char *what)
{
	fprintf(stderr, "bench-load: %s: %s\n", path, what);
	exit(1);
}

struct frames_file *frames_file_read(const char *path, unsigned connections)
{
	struct frames_file *p = calloc(1, sizeof(*p));
	const size_t count = (size_t)connections * FRAMES_EACH;
	FILE *f = fopen(path, "re");
	size_t size = 0, at = 0, n;
	struct frame frame;

	if (p == NULL || f == NULL || (p->bytes = malloc(FILE_MAX)) == NULL ||
	    (p->starts = calloc(count + 1, sizeof(*p->starts))) == NULL)
		give_up(path, "cannot be read");
	size = fread(p->bytes, 1, FILE_MAX, f);
	fclose(f);
	for (size_t i = 0; i < count; i++, at += n) {
		p->starts[i] = at;
		if (frame_scan(p->bytes + at, size - at, FRAME_UNIT_MAX, &frame, &n) !=
			    SCAN_FRAME ||
		    n > LOAD_REQUEST_MAX)
			give_up(path, "too few frames for so many connections, or damaged");
	}
	p->starts[count] = at;
	return p;
}

void frames_file_free(struct frames_file *p)
{
	if (p == NULL)
		return;
	free(p->bytes);
	free(p->starts);
	free(p);
}

static size_t copy(const struct load_peer *peer, size_t which, uint8_t *buf)
{
	const struct frames_file *p = peer->prepared;
	const size_t i = (size_t)peer->number * FRAMES_EACH + which;
	const size_t size = p->starts[i + 1] - p->starts[i];

	memcpy(buf, p->bytes + p->starts[i], size);
	return size;
}

static size_t prepared_open(const struct load_peer *peer, uint8_t *buf, size_t size)
{
	(void)size;
	return copy(peer, 0, buf);
}

static size_t prepared_request(struct load_peer *peer, uint8_t *buf, size_t size)
{
	(void)size;
	return copy(peer, 1 + peer->requests++ % LOAD_PREPARED, buf);
}

/* A refused frame costs less than an accepted one: a figure with one among them is none. */
static size_t prepared_answer(const uint8_t *buf, size_t size)
{
	const size_t total = load_frames.answer(buf, size);

	if (total > 0 && buf[ANSWER_FLAG] != ANSWER_SUCCESS) {
		fprintf(stderr, "bench-load: a frame (command %02X) was answered with %02X\n",
			buf[2], buf[ANSWER_FLAG]);
		exit(1);
	}
	return total;
}

const struct load_protocol load_prepared = { "prepared", prepared_open, prepared_request,
					     prepared_answer };

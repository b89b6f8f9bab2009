/*
 * haulgate-bench-spool - durable records a second and the latency of a sync, as key=value.
 *
 *   haulgate-bench-spool [--seconds N] [--dir DIR] [--batch RECORDS]
 *
 * Records of 400 bytes.  Each of 1, then 2 threads keeps four batches in flight; the latency is
 * from submit to done. A run with one record a batch shows the price of a single answer.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/spool/spool.h"

enum { RECORD = 400, IN_FLIGHT = 4, SAMPLES_MAX = 1 << 22, THREADS_MAX = 2 };

struct feeder;

struct slot {
	struct spool_batch batch;
	struct feeder *feeder;
	int64_t submitted;
	atomic_bool busy;
};

struct samples {
	uint32_t *ns; /* filled by the writer thread alone */
	size_t count;
	uint64_t records;
};

struct feeder {
	struct spool *spool;
	struct samples *samples;
	unsigned records;
	int64_t until;
	pthread_mutex_t lock;
	pthread_cond_t freed;
	struct slot slots[IN_FLIGHT];
	pthread_t thread;
};

static void on_done(struct spool_batch *b, int status, void *arg)
{
	struct slot *slot = arg;
	struct feeder *f = slot->feeder;
	const int64_t ns = clock_mono_ns() - slot->submitted;

	if (status != 0) {
		fprintf(stderr, "the spool failed: %d\n", status);
		exit(1);
	}
	if (f->samples->count < SAMPLES_MAX)
		f->samples->ns[f->samples->count++] = ns < UINT32_MAX ? (uint32_t)ns : UINT32_MAX;
	f->samples->records += b->count;
	spool_release(f->spool, b->end);
	pthread_mutex_lock(&f->lock);
	atomic_store(&slot->busy, false);
	pthread_cond_signal(&f->freed);
	pthread_mutex_unlock(&f->lock);
}

static struct slot *free_slot(struct feeder *f)
{
	struct slot *found = NULL;

	pthread_mutex_lock(&f->lock);
	while (found == NULL) {
		for (int i = 0; i < IN_FLIGHT && found == NULL; i++)
			if (!atomic_load(&f->slots[i].busy))
				found = &f->slots[i];
		if (found == NULL)
			pthread_cond_wait(&f->freed, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
	return found;
}

static void *feed(void *arg)
{
	struct feeder *f = arg;
	uint8_t payload[RECORD];

	for (size_t i = 0; i < RECORD; i++)
		payload[i] = (uint8_t)(i * i >> 3);
	while (clock_mono_ns() < f->until) {
		struct slot *slot = free_slot(f);

		spool_batch_clear(&slot->batch);
		for (unsigned i = 0; i < f->records; i++)
			memcpy(spool_batch_add(&slot->batch, RECORD), payload, RECORD);
		atomic_store(&slot->busy, true);
		slot->submitted = clock_mono_ns();
		while (spool_submit(f->spool, &slot->batch) != 0)
			usleep(500);
	}
	return NULL;
}

static int by_size(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double percentile(const struct samples *s, double p)
{
	return s->count == 0 ? 0 : s->ns[(size_t)((double)(s->count - 1) * p)] / 1e6;
}

static void run(struct spool *spool, struct samples *samples, unsigned threads, unsigned records,
		double seconds)
{
	struct feeder feeders[THREADS_MAX] = { 0 };
	const int64_t begin = clock_mono_ns();
	double took;

	samples->count = 0;
	samples->records = 0;
	for (unsigned t = 0; t < threads; t++) {
		struct feeder *f = &feeders[t];

		*f = (struct feeder){ .spool = spool,
				      .samples = samples,
				      .records = records,
				      .until = begin + (int64_t)(seconds * 1e9),
				      .lock = PTHREAD_MUTEX_INITIALIZER,
				      .freed = PTHREAD_COND_INITIALIZER };
		for (int i = 0; i < IN_FLIGHT; i++) {
			if (spool_batch_init(&f->slots[i].batch, records * 512) != 0)
				exit(1);
			f->slots[i].batch.done = on_done;
			f->slots[i].batch.arg = &f->slots[i];
			f->slots[i].feeder = f;
		}
		if (pthread_create(&f->thread, NULL, feed, f) != 0)
			exit(1);
	}
	for (unsigned t = 0; t < threads; t++) {
		pthread_join(feeders[t].thread, NULL);
		for (int i = 0; i < IN_FLIGHT; i++) {
			pthread_mutex_lock(&feeders[t].lock);
			while (atomic_load(&feeders[t].slots[i].busy))
				pthread_cond_wait(&feeders[t].freed, &feeders[t].lock);
			pthread_mutex_unlock(&feeders[t].lock);
			spool_batch_release(&feeders[t].slots[i].batch);
		}
	}
	took = (double)(clock_mono_ns() - begin) / 1e9;
	qsort(samples->ns, samples->count, sizeof(*samples->ns), by_size);
	printf("threads=%u records_a_batch=%u seconds=%.1f records_per_s=%.0f batches_per_s=%.0f "
	       "durable_ms_p50=%.3f p99=%.3f p999=%.3f\n",
	       threads, records, took, (double)samples->records / took,
	       (double)samples->count / took, percentile(samples, 0.5), percentile(samples, 0.99),
	       percentile(samples, 0.999));
	fflush(stdout);
}

/* Only files that the spool made; the folder is ours. */
static void remove_spool(const char *dir)
{
	char command[512];

	snprintf(command, sizeof(command), "rm -rf -- '%s'", dir);
	if (system(command) != 0)
		fprintf(stderr, "cannot remove %s\n", dir);
}

int main(int argc, char **argv)
{
	static const struct option names[] = { { "seconds", required_argument, NULL, 's' },
					       { "dir", required_argument, NULL, 'd' },
					       { "batch", required_argument, NULL, 'b' },
					       { 0 } };
	struct samples samples = { 0 };
	struct spool_options o = { .segment_size = 64 << 20, .size_max = UINT64_C(8) << 30 };
	const char *parent = "/tmp";
	unsigned records = 64;
	double seconds = 5;
	char dir[256];
	struct error err = { 0 };
	struct spool *spool;
	int c;

	while ((c = getopt_long(argc, argv, "", names, NULL)) != -1) {
		if (c == 's')
			seconds = strtod(optarg, NULL);
		else if (c == 'd')
			parent = optarg;
		else if (c == 'b')
			records = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 2;
	}
	samples.ns = malloc(SAMPLES_MAX * sizeof(uint32_t));
	snprintf(dir, sizeof(dir), "%s/haulgate-bench.XXXXXX", parent);
	if (samples.ns == NULL || records < 1 || records > 4096 || mkdtemp(dir) == NULL) {
		fprintf(stderr, "cannot make a folder in %s, or wrong arguments\n", parent);
		free(samples.ns);
		return 2;
	}
	log_set_level(LOG_WARNING);
	o.dir = dir;
	if (spool_open(&o, NULL, &spool, &err) != 0) {
		fprintf(stderr, "%s\n", err.text);
		remove_spool(dir);
		free(samples.ns);
		return 1;
	}
	run(spool, &samples, 1, 1, seconds);
	for (unsigned threads = 1; threads <= THREADS_MAX; threads++)
		run(spool, &samples, threads, records, seconds);
	spool_close(spool);
	remove_spool(dir);
	free(samples.ns);
	return 0;
}

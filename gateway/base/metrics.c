#include "gateway/base/metrics.h"

#include <assert.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/wire/verdict.h"

enum { CACHE_LINE = 64, FILES_MAX = 64 };

static_assert((int)VERDICT_COUNT <= (int)METRICS_VERDICTS, "a verdict has no counter");

/* One writer each; on cache lines of their own, so that loops do not slow each other. */
struct metrics_thread {
	_Alignas(CACHE_LINE) _Atomic int64_t values[METRIC_COUNT];
	_Atomic int64_t verdicts[METRICS_VERDICTS];
};

/* The file: read by other processes, so a reader checks the layout before it believes a number. */
struct metrics_file {
	char magic[8];
	uint64_t layout; /* hash of the names and sizes below */
	uint32_t gateway_id;
	_Alignas(CACHE_LINE) struct metrics_thread threads[METRICS_THREADS_MAX];
};

struct metrics {
	struct metrics_file *file;
};

static const char magic[8] = "HGMETRIC";

static const struct {
	const char *name, *type, *help;
} rows[METRIC_COUNT] = {
#define ROW(name, type, help) { #name, #type, help },
	METRICS(ROW)
#undef ROW
};

/* FNV-1a over the names: a file of another version of the program is skipped, not misread. */
static uint64_t metrics_layout(void)
{
	uint64_t h = 0xcbf29ce484222325u ^ sizeof(struct metrics_file);

	for (size_t i = 0; i < METRIC_COUNT; i++)
		for (const char *p = rows[i].name;; p++) {
			h = (h ^ (unsigned char)*p) * 0x100000001b3u;
			if (*p == '\0')
				break;
		}
	return h;
}

/* Makes the file beside its place and moves it in, so that a reader never sees it half made. */
static int metrics_map(const char *path, struct metrics_file **ret, struct error *err)
{
	char temp[4096];
	void *p = MAP_FAILED;
	int rc = 0, fd = -1;

	if ((size_t)snprintf(temp, sizeof(temp), "%s.new", path) >= sizeof(temp))
		return error_set(err, ERROR_USAGE, "metrics file %s: path too long", path);
	fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (fd < 0)
		return error_errno(err, ERROR_IO, "metrics file %s: cannot create", temp);
	if (ftruncate(fd, sizeof(**ret)) != 0) {
		rc = error_errno(err, ERROR_IO, "metrics file %s: cannot grow", temp);
		goto out;
	}
	p = mmap(NULL, sizeof(**ret), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED) {
		rc = error_errno(err, ERROR_IO, "metrics file %s: cannot map", temp);
		goto out;
	}
	if (rename(temp, path) != 0) {
		rc = error_errno(err, ERROR_IO, "metrics file %s: cannot move into place", path);
		munmap(p, sizeof(**ret));
		goto out;
	}
	*ret = p;
out:
	if (rc != 0)
		unlink(temp);
	close(fd);
	return rc;
}

int metrics_open(const char *path, unsigned gateway_id, struct metrics **ret, struct error *err)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int rc = 0;

	if (m == NULL)
		return error_set(err, ERROR_MEMORY, "metrics: out of memory");
	if (path != NULL) {
		rc = metrics_map(path, &m->file, err);
	} else {
		m->file = mmap(NULL, sizeof(*m->file), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (m->file == MAP_FAILED)
			rc = error_errno(err, ERROR_MEMORY, "metrics: cannot map");
	}
	if (rc != 0) {
		free(m);
		return rc;
	}
	m->file->gateway_id = gateway_id;
	m->file->layout = metrics_layout();
	atomic_thread_fence(memory_order_release);
	memcpy(m->file->magic, magic, sizeof(magic));
	*ret = m;
	return 0;
}

/* The file stays: the last figures of a stopped gateway are worth reading. */
void metrics_close(struct metrics *m)
{
	if (m == NULL)
		return;
	munmap(m->file, sizeof(*m->file));
	free(m);
}

struct metrics_thread *metrics_thread(struct metrics *m, unsigned slot)
{
	assert(slot < METRICS_THREADS_MAX);
	return &m->file->threads[slot];
}

/* One writer a slot: a plain add on relaxed loads and stores, without a locked instruction. */
static void slot_add(_Atomic int64_t *slot, int64_t n)
{
	atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

void metrics_add(struct metrics_thread *t, enum metric metric, int64_t n)
{
	assert(metric < METRIC_COUNT);
	slot_add(&t->values[metric], n);
}

void metrics_set(struct metrics_thread *t, enum metric metric, int64_t value)
{
	assert(metric < METRIC_COUNT);
	atomic_store_explicit(&t->values[metric], value, memory_order_relaxed);
}

void metrics_add_verdict(struct metrics_thread *t, unsigned verdict)
{
	assert(verdict < METRICS_VERDICTS);
	slot_add(&t->verdicts[verdict], 1);
}

static int64_t file_sum(const struct metrics_file *f, enum metric metric)
{
	int64_t sum = 0;

	for (size_t i = 0; i < METRICS_THREADS_MAX; i++)
		sum += atomic_load_explicit(&f->threads[i].values[metric], memory_order_relaxed);
	return sum;
}

static int64_t file_verdicts(const struct metrics_file *f, unsigned verdict)
{
	int64_t sum = 0;

	for (size_t i = 0; i < METRICS_THREADS_MAX; i++)
		sum += atomic_load_explicit(&f->threads[i].verdicts[verdict], memory_order_relaxed);
	return sum;
}

int64_t metrics_read(const struct metrics *m, enum metric metric)
{
	assert(metric < METRIC_COUNT);
	return file_sum(m->file, metric);
}

/* ---- the reading side: copies, never maps, so that a file cut short cannot kill the reader ----
 */

static int is_metrics_name(const struct dirent *d)
{
	const size_t n = strlen(d->d_name);

	return n > 8 && strcmp(d->d_name + n - 8, ".metrics") == 0;
}

static bool file_load(const char *dir, const char *name, struct metrics_file *ret)
{
	char path[4096];
	bool whole;
	int fd;

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	whole = read(fd, ret, sizeof(*ret)) == (ssize_t)sizeof(*ret);
	close(fd);
	return whole && memcmp(ret->magic, magic, sizeof(magic)) == 0 &&
	       ret->layout == metrics_layout();
}

/* All readable files of dir, by name; *ret_files is to be freed. */
static size_t files_load(const char *dir, struct metrics_file **ret_files)
{
	struct dirent **names = NULL;
	struct metrics_file *files = NULL;
	size_t n = 0;
	const int found = scandir(dir, &names, is_metrics_name, alphasort);

	if (found > 0)
		files = aligned_alloc(CACHE_LINE, FILES_MAX * sizeof(*files));
	for (int i = 0; i < found; i++) {
		if (files != NULL && n < FILES_MAX && file_load(dir, names[i]->d_name, &files[n]))
			n++;
		free(names[i]);
	}
	free(names);
	*ret_files = files;
	return n;
}

struct text {
	char *out;
	size_t size, length; /* length: as if there were room, like snprintf */
};

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->length < t->size ? t->out + t->length : NULL,
		      t->length < t->size ? t->size - t->length : 0, format, args);
	va_end(args);
	if (n > 0)
		t->length += (size_t)n;
}

/* A gateway and its link service have a file each: one series for both. */
static bool first_of_gateway(const struct metrics_file *files, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (files[j].gateway_id == files[i].gateway_id)
			return false;
	return true;
}

/* Over the files of gateway i's number; verdict or metric. */
static int64_t gateway_sum(const struct metrics_file *files, size_t n, size_t i, bool verdict,
			   unsigned what)
{
	int64_t sum = 0;

	for (size_t j = i; j < n; j++)
		if (files[j].gateway_id == files[i].gateway_id)
			sum += verdict ? file_verdicts(&files[j], what)
				       : file_sum(&files[j], (enum metric)what);
	return sum;
}

static void print_verdicts(struct text *t, const struct metrics_file *files, size_t n)
{
	text_add(t, "# HELP haulgate_frames_total frames by verdict\n"
		    "# TYPE haulgate_frames_total counter\n");
	for (size_t i = 0; i < n; i++)
		for (unsigned v = 0; v < VERDICT_COUNT && first_of_gateway(files, i); v++)
			text_add(t,
				 "haulgate_frames_total{gateway=\"%u\",verdict=\"%s\"} %" PRId64
				 "\n",
				 files[i].gateway_id, verdict_name(v),
				 gateway_sum(files, n, i, true, v));
}

size_t metrics_prometheus(const char *dir, char *out, size_t size)
{
	struct metrics_file *files;
	struct text t = { out, size, 0 };
	const size_t n = files_load(dir, &files);

	for (unsigned m = 0; m < METRIC_COUNT; m++) {
		text_add(&t, "# HELP haulgate_%s %s\n# TYPE haulgate_%s %s\n", rows[m].name,
			 rows[m].help, rows[m].name, rows[m].type);
		for (size_t i = 0; i < n; i++)
			if (first_of_gateway(files, i))
				text_add(&t, "haulgate_%s{gateway=\"%u\"} %" PRId64 "\n",
					 rows[m].name, files[i].gateway_id,
					 gateway_sum(files, n, i, false, m));
	}
	print_verdicts(&t, files, n);
	free(files);
	return t.length;
}

int64_t metrics_heartbeat(const char *dir)
{
	struct metrics_file *files;
	const size_t n = files_load(dir, &files);
	int64_t youngest = 0;

	for (size_t i = 0; i < n; i++) {
		const int64_t at = file_sum(&files[i], METRIC_heartbeat_ns);

		if (at > youngest)
			youngest = at;
	}
	free(files);
	return youngest;
}

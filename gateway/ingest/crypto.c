#include "gateway/ingest/crypto.h"

#include <assert.h>
#include <crypt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/loop.h"

enum {
	WORKERS_MAX = 64,
	NICE = 5, /* loops and spool come first: a worker's delay is one connection's, theirs is
		     everybody's */
};

/* What an unknown name's password is compared with: nobody's, of the usual cost. */
static const char nobody[] =
	"$y$j9T$MFUH0D2i7IdlnkSpq1Onz1$wdlJoYIjs3adbjXjDCjt7qlMFGkxU0D1Pme4sUB23I1";

struct crypto_pool {
	pthread_mutex_t mutex;
	pthread_cond_t ready;
	struct list queue; /* oldest first */
	bool stop;
	/* A slot is one thread's; here it is that of whoever holds the mutex. */
	struct metrics_thread *metrics;
	unsigned count;
	pthread_t threads[WORKERS_MAX];
};

/* ---- work ---- */

static void work_frame(struct crypto_job *job, struct report *scratch)
{
	guard_check(&job->frame, &job->keys, job->known, job->now, job->unit, scratch,
		    &job->result);
	job->guarded = true;
}

static void work_password(struct crypto_job *job, struct report *scratch)
{
	const char *right = job->platform != NULL ? job->platform->password : nobody;
	struct crypt_data *data = calloc(1, sizeof(*data));
	const char *found =
		data != NULL ? crypt_rn(job->password, right, data, sizeof(*data)) : NULL;
	const size_t size = strlen(right);

	(void)scratch;
	job->password_right = job->platform != NULL && found != NULL && strlen(found) == size &&
			      CRYPTO_memcmp(found, right, size) == 0;
	job->judged = true;
	OPENSSL_cleanse(job->password, sizeof(job->password));
	if (data != NULL)
		OPENSSL_cleanse(data, sizeof(*data));
	free(data);
}

/* ---- workers ---- */

static void give_back(struct crypto_job *job)
{
	struct loop *l = job->loop;

	pthread_mutex_lock(&l->mutex);
	list_move_last(&l->crypto_done, &job->link);
	pthread_mutex_unlock(&l->mutex);
	/* From here on the job is the loop's. */
	loop_wake(l);
}

static struct crypto_job *next_job(struct crypto_pool *p)
{
	struct crypto_job *job = NULL;

	while (list_empty(&p->queue) && !p->stop)
		pthread_cond_wait(&p->ready, &p->mutex);
	if (!list_empty(&p->queue)) {
		job = list_entry(p->queue.next, struct crypto_job, link);
		list_remove(&job->link);
		metrics_add(p->metrics, METRIC_crypto_jobs_waiting, -1);
	}
	return job;
}

static void *worker_main(void *arg)
{
	struct crypto_pool *p = arg;
	struct report *scratch = malloc(sizeof(*scratch));
	struct crypto_job *job;

	if (scratch == NULL)
		abort(); /* before the first job; a worker less would not be noticed */
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	pthread_mutex_lock(&p->mutex);
	while ((job = next_job(p)) != NULL) {
		const int64_t start = clock_mono_ns();

		pthread_mutex_unlock(&p->mutex);
		job->work(job, scratch);
		give_back(job);
		pthread_mutex_lock(&p->mutex);
		metrics_add(p->metrics, METRIC_crypto_busy_ns_total, clock_mono_ns() - start);
	}
	pthread_mutex_unlock(&p->mutex);
	free(scratch);
	return NULL;
}

static unsigned worker_count(unsigned wanted)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (wanted == 0 && cores > 0)
		wanted = (unsigned)cores;
	return wanted == 0 ? 1 : wanted > WORKERS_MAX ? WORKERS_MAX : wanted;
}

int crypto_pool_new(unsigned workers, struct metrics_thread *metrics, struct crypto_pool **ret,
		    struct error *err)
{
	struct crypto_pool *p = calloc(1, sizeof(*p));
	sigset_t all, before;

	if (p == NULL)
		return error_set(err, ERROR_MEMORY, "crypto: out of memory");
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->ready, NULL);
	list_init(&p->queue);
	p->metrics = metrics;
	/* Signals are the main thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (workers = worker_count(workers); p->count < workers; p->count++)
		if (pthread_create(&p->threads[p->count], NULL, worker_main, p) != 0)
			break;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (p->count < workers) {
		crypto_pool_free(p);
		return error_set(err, ERROR_MEMORY, "crypto: cannot start a thread");
	}
	*ret = p;
	return 0;
}

void crypto_pool_free(struct crypto_pool *p)
{
	if (p == NULL)
		return;
	pthread_mutex_lock(&p->mutex);
	p->stop = true;
	pthread_cond_broadcast(&p->ready);
	pthread_mutex_unlock(&p->mutex);
	for (unsigned i = 0; i < p->count; i++)
		pthread_join(p->threads[i], NULL);
	assert(list_empty(&p->queue));
	pthread_cond_destroy(&p->ready);
	pthread_mutex_destroy(&p->mutex);
	free(p);
}

void crypto_submit(struct crypto_pool *p, struct crypto_job *job)
{
	job->done = false;
	pthread_mutex_lock(&p->mutex);
	list_move_last(&p->queue, &job->link);
	metrics_add(p->metrics, METRIC_crypto_jobs_waiting, 1);
	pthread_cond_signal(&p->ready);
	pthread_mutex_unlock(&p->mutex);
}

/* ---- jobs ---- */

/* One allocation: the job, the frame, and room for what is inside it. */
struct crypto_job *crypto_frame_job(struct identities *t, struct identity *id,
				    const struct frame *f, enum protocol protocol,
				    enum layout known, bool verify, int64_t now)
{
	const size_t size = sizeof(struct crypto_job) + f->size + f->unit_size;
	struct crypto_job *job = malloc(size);
	uint8_t *bytes;

	if (job == NULL)
		return NULL;
	bytes = (uint8_t *)(job + 1);
	memcpy(bytes, f->bytes, f->size);
	*job = (struct crypto_job){
		.work = work_frame,
		.size = size,
		.frame = *f,
		.known = known,
		.now = now,
		.unit = bytes + f->size,
	};
	list_init(&job->link);
	job->frame.bytes = bytes;
	job->frame.unit = bytes + (f->unit - f->bytes);
	if (t != NULL) {
		job->identity = id != NULL ? identity_ref(id) : NULL;
		job->ring = identity_ring(t);
		identity_guard_keys(id, job->ring, f, protocol, now, &job->keys);
	}
	job->keys.verify = verify;
	return job;
}

void crypto_ask_password(struct crypto_job *job, struct identity_platform *platform,
			 const char *password)
{
	assert(job->platform == NULL && strlen(password) < sizeof(job->password));
	job->work = work_password;
	job->platform = platform;
	memcpy(job->password, password, strlen(password) + 1);
}

void crypto_job_free(struct crypto_job *job)
{
	if (job == NULL)
		return;
	identity_put(job->identity);
	if (job->ring != NULL)
		identity_ring_put(job->ring);
	identity_platform_put(job->platform);
	OPENSSL_cleanse(job, job->size);
	free(job);
}

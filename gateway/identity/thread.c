/*
 * The identity thread.  Connected, it waits for notifications and loads what they name; otherwise
 * it tries to connect, and everything is loaded anew.  The clock is looked at in both.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/identity/memory.h"
#include "gateway/identity/publish.h"

enum {
	SCHEMA_NEEDED = 4,
	IDS_MAX = 500, /* named vehicles loaded at once; more are a full load */
	ID_DIGITS = 21,
	TURN_MS = 1000,
	PAUSE_MS = 100, /* doubled with each failure, to PAUSE_MAX_MS */
	PAUSE_MAX_MS = 3200,
	PING_S = 10,  /* of silence */
	FULL_S = 600, /* in case a change was told by nobody: triggers were off */
};

static const int64_t second_ns = INT64_C(1000000000);

/* What notifications have named. */
struct news {
	bool all, platforms;
	size_t count;
	int64_t ids[IDS_MAX];
};

static void gauge_connected(struct identities *t, bool connected)
{
	if (t->metrics != NULL)
		metrics_set(t->metrics, METRIC_identity_connected, connected);
}

/* ---- loading ---- */

/*
 * A new wrapping key is in the folder before the secrets that it wraps are in the database, so who
 * looks before each load never meets a secret that it cannot open.
 */
static struct key_ring *ring_now(struct identities *t)
{
	struct key_ring *ring = identity_ring(t), *fresh;
	struct error err;

	if (!key_ring_is_stale(ring))
		return ring;
	if (key_ring_load(ring->dir, &fresh, &err) < 0) {
		log_line(LOG_WARNING, "identity: new keys are not taken error=%s", err.text);
		return ring;
	}
	log_line(LOG_NOTICE, "identity: the wrapping key was changed, keys.dir is read again");
	identities_set_ring(t, ring, fresh);
	identity_ring_put(ring);
	return identity_ring(t);
}

static struct load_policy policy_now(struct identities *t)
{
	struct load_policy policy = { .signature_required = atomic_load(&t->signature_required),
				      .at = clock_wall_ns() / second_ns };

	policy.ring = ring_now(t);
	return policy;
}

static void policy_end(const struct load_policy *policy)
{
	identity_ring_put((struct key_ring *)(uintptr_t)policy->ring);
}

static int load_all(struct identities *t, struct error *err)
{
	const struct load_policy policy = policy_now(t);
	const int64_t start_ns = clock_mono_ns();
	struct loaded loaded;
	const int rc = load_vehicles(&t->db, NULL, &policy, &t->index, &loaded, err);

	policy_end(&policy);
	if (rc < 0)
		return rc;
	publish_all(t, &loaded);
	t->full_ns = clock_mono_ns();
	log_line(LOG_INFO, "identity: registry loaded vehicles=%zu ms=%lld", loaded.count,
		 (long long)((t->full_ns - start_ns) / 1000000));
	loaded_release(&loaded);
	return 0;
}

static int by_value(const void *a, const void *b)
{
	const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static int load_some(struct identities *t, struct news *news, struct error *err)
{
	const struct load_policy policy = policy_now(t);
	char text[IDS_MAX * ID_DIGITS + 2];
	struct loaded loaded;
	int n = 0, rc;

	qsort(news->ids, news->count, sizeof(news->ids[0]), by_value);
	for (size_t i = 0; i < news->count; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%c%lld", i == 0 ? '{' : ',',
			      (long long)news->ids[i]);
	snprintf(text + n, sizeof(text) - (size_t)n, "}");
	rc = load_vehicles(&t->db, text, &policy, &t->index, &loaded, err);
	policy_end(&policy);
	if (rc < 0)
		return rc;
	publish_some(t, news->ids, news->count, &loaded);
	loaded_release(&loaded);
	return 0;
}

static int load_accounts(struct identities *t, struct error *err)
{
	struct map platforms = { 0 };
	uint64_t digest;
	const int rc = load_platforms(&t->db, &platforms, &digest, err);

	if (rc < 0)
		return rc;
	if (digest == t->platforms_digest) {
		platforms_clear(&platforms);
		return 0;
	}
	t->platforms_digest = digest;
	publish_platforms(t, &platforms);
	return 0;
}

/* The named ones first: a revocation does not wait for the end of an import. */
static int load_news(struct identities *t, struct news *news, struct error *err)
{
	int rc = 0;

	if (news->count > 0)
		rc = load_some(t, news, err);
	if (rc == 0 && news->platforms)
		rc = load_accounts(t, err);
	if (rc == 0 && news->all)
		rc = load_all(t, err);
	return rc;
}

/* ---- hearing ---- */

static void news_add(struct news *news, const char *payload)
{
	static const char vehicle[] = "vehicle:";
	const size_t head = sizeof(vehicle) - 1;
	char *end = NULL;
	long long id;

	if (strcmp(payload, "platform") == 0) {
		news->platforms = true;
		return;
	}
	errno = 0;
	id = strncmp(payload, vehicle, head) == 0 ? strtoll(payload + head, &end, 10) : 0;
	if (end == NULL || end == payload + head || *end != '\0' || errno != 0 ||
	    news->count == IDS_MAX) {
		news->all = true; /* too many, or words that we do not know: look at all */
		return;
	}
	for (size_t i = 0; i < news->count; i++)
		if (news->ids[i] == id)
			return;
	news->ids[news->count++] = id;
}

/* Fills news with what libpq has at hand.  False: nothing. */
static bool gather(struct identities *t, struct news *news)
{
	PGnotify *n;

	while ((n = PQnotifies(t->db.conn)) != NULL) {
		news_add(news, n->extra);
		PQfreemem(n);
	}
	return news->all || news->platforms || news->count > 0;
}

/*
 * What has come, and what is due.  More may come in with the answers of a load, where no poll()
 * would find it: so it is looked for until there is none.
 */
static int hear(struct identities *t, struct error *err)
{
	struct news news = { .all = atomic_exchange(&t->reloaded, false) };
	int rc;

	if ((rc = database_listen(&t->db, err)) < 0)
		return rc;
	if (clock_mono_ns() - t->full_ns > FULL_S * second_ns)
		news.all = news.platforms = true;
	while (gather(t, &news) && !atomic_load(&t->stopping)) {
		if ((rc = load_news(t, &news, err)) < 0)
			return rc;
		t->heard_ns = clock_mono_ns();
		news = (struct news){ 0 };
	}
	if (clock_mono_ns() - t->heard_ns > PING_S * second_ns) {
		rc = database_command(&t->db, "SELECT 1", err);
		t->heard_ns = clock_mono_ns();
	}
	return rc;
}

/* ---- the connection ---- */

static int schema_check(struct identities *t, struct error *err)
{
	PGresult *r = database_query(&t->db, "SELECT max(version) FROM schema_version", NULL, err);
	int64_t version;

	if (r == NULL)
		return err->code;
	version = value_int(r, 0, 0);
	PQclear(r);
	return version >= SCHEMA_NEEDED
		       ? 0
		       : error_set(err, ERROR_DATABASE, "the schema is too old: run tools/migrate");
}

/* Listening begins before the load, so that nothing falls between them. */
static int attach(struct identities *t, struct error *err)
{
	int rc = database_connect(&t->db, t->conninfo, err);

	atomic_store(&t->reloaded, false);
	if (rc == 0)
		rc = schema_check(t, err);
	if (rc == 0)
		rc = database_command(&t->db, "LISTEN haulgate_registry", err);
	if (rc == 0)
		rc = load_accounts(t, err);
	if (rc == 0)
		rc = load_all(t, err);
	if (rc < 0)
		return rc;
	t->heard_ns = clock_mono_ns();
	t->failures = 0;
	gauge_connected(t, true);
	return 0;
}

static void detach(struct identities *t, const struct error *err)
{
	const int64_t now = clock_mono_ns();

	database_disconnect(&t->db);
	gauge_connected(t, false);
	t->failures++;
	if (err->code == ERROR_CLOSED ||
	    (strncmp(t->complaint, err->text, sizeof(t->complaint) - 1) == 0 &&
	     now < t->complained_ns + 60 * second_ns))
		return;
	snprintf(t->complaint, sizeof(t->complaint), "%.*s", (int)sizeof(t->complaint) - 1,
		 err->text);
	t->complained_ns = now;
	log_line(LOG_WARNING,
		 "identity: changes of the registry are not heard, what was known holds error=%s",
		 t->complaint);
}

/* ---- the thread ---- */

static int pause_ms(const struct identities *t)
{
	int ms = PAUSE_MS;

	for (unsigned i = 1; i < t->failures && ms < PAUSE_MAX_MS; i++)
		ms *= 2;
	return ms;
}

/* Until something was heard, or it is time to look around. */
static void wait_event(struct identities *t)
{
	const bool connected = t->db.conn != NULL;
	struct pollfd fds[] = { { .fd = t->wake_fd, .events = POLLIN },
				{ .fd = connected ? PQsocket(t->db.conn) : -1, .events = POLLIN } };
	uint64_t wakes;

	if (poll(fds, 2, connected ? TURN_MS : pause_ms(t)) > 0 && fds[0].revents != 0 &&
	    read(t->wake_fd, &wakes, sizeof(wakes)) < 0)
		return; /* it is not blocking: nothing was there */
}

void *identities_thread(void *arg)
{
	struct identities *t = arg;
	struct error err;

	while (!atomic_load(&t->stopping)) {
		if (t->db.conn == NULL ? attach(t, &err) < 0 : hear(t, &err) < 0)
			detach(t, &err);
		publish_time(t, clock_wall_ns() / second_ns);
		wait_event(t);
	}
	database_disconnect(&t->db);
	gauge_connected(t, false);
	return NULL;
}

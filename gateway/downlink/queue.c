#include "gateway/downlink/queue.h"

#include <ctype.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/text.h"
#include "gateway/downlink/statement.h"

enum { CONNECT_S = 10, PAGE = 1000 };
enum { MESSAGE_MAX = 2 * DOWNLINK_MESSAGE_SIZE };

/* ---- the connection ---- */

void queue_disconnect(struct queue *q)
{
	PQfinish(q->conn);
	q->conn = NULL;
}

static void ignore_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

/* Two gateways of one number would give back and end each other's orders.  The first number only
 * has to be the same everywhere, and another one than the store's and the link's. */
static int lock(struct queue *q)
{
	struct values v = { .n = 0 };
	PGresult *r;
	bool locked;

	values_number(&v, q->gateway_id);
	if ((r = statement_run(q, "SELECT pg_try_advisory_lock(3276807, $1::integer)", &v)) == NULL)
		return -1;
	locked = PQgetvalue(r, 0, 0)[0] == 't';
	PQclear(r);
	return locked ? 0
		      : statement_fail(q, "55006",
				       "another haulgate with this gateway.id is connected");
}

int queue_connect(struct queue *q)
{
	static const char *const keys[] = { "dbname", "client_encoding",
					    "fallback_application_name", NULL };
	const char *const values[] = { q->conninfo, "UTF8", "haulgate downlink", NULL };
	PostgresPollingStatusType state = PGRES_POLLING_WRITING;
	const int64_t limit = statement_limit(CONNECT_S);

	q->conn = PQconnectStartParams(keys, values, 1);
	if (q->conn == NULL || PQstatus(q->conn) == CONNECTION_BAD)
		return statement_lost(q);
	while (state != PGRES_POLLING_OK) {
		if (statement_wait(q, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, limit) < 0)
			return -1;
		if ((state = PQconnectPoll(q->conn)) == PGRES_POLLING_FAILED)
			return statement_lost(q);
	}
	PQsetNoticeProcessor(q->conn, ignore_notice, NULL); /* else libpq writes to stderr */
	if (PQsetnonblocking(q->conn, 1) != 0)
		return statement_lost(q);
	if (lock(q) < 0)
		return -1;
	return statement_only(q, "LISTEN haulgate_command", NULL);
}

int queue_notified(struct queue *q, void (*vin)(const char *vin, void *arg), void *arg)
{
	PGnotify *n;

	if (PQconsumeInput(q->conn) != 1)
		return statement_lost(q);
	while ((n = PQnotifies(q->conn)) != NULL) {
		vin(n->extra, arg);
		PQfreemem(n);
	}
	return 0;
}

/* ---- statements ---- */

/* "{1,2,3}"; NULL without memory. */
static char *id_array(const int64_t *ids, size_t count)
{
	char *text = malloc(count * NUMBER_SIZE + 3);
	size_t used = 1;

	if (text == NULL)
		return NULL;
	text[0] = '{';
	for (size_t i = 0; i < count; i++)
		used += (size_t)snprintf(text + used, NUMBER_SIZE, "%s%" PRId64, i > 0 ? "," : "",
					 ids[i]);
	memcpy(text + used, "}", 2);
	return text;
}

/* A VIN of a session is letters and digits; another text would not be found, and is left out. */
static char *vin_array(const char (*vins)[VIN_SIZE + 1], size_t count)
{
	char *text = malloc(count * (VIN_SIZE + 1) + 3);
	size_t used = 1;

	if (text == NULL)
		return NULL;
	text[0] = '{';
	for (size_t i = 0; i < count; i++) {
		const char *c = vins[i];

		while (isascii(*c) && isalnum((unsigned char)*c))
			c++;
		if (*c != '\0' || c == vins[i])
			continue;
		if (used > 1)
			text[used++] = ',';
		memcpy(text + used, vins[i], (size_t)(c - vins[i]));
		used += (size_t)(c - vins[i]);
	}
	memcpy(text + used, "}", 2);
	return text;
}

int queue_reclaim(struct queue *q, const int64_t *ids, size_t count, bool started)
{
	struct values v = { .n = 0 };
	char *array = id_array(ids, count);
	int rc;

	if (array == NULL)
		return statement_fail(q, "53200", "no memory");
	values_number(&v, q->gateway_id);
	values_text(&v, array);
	values_text(&v, started ? "true" : "false");
	rc = statement_only(
		q,
		"UPDATE command SET state = 'queued', taken_at = NULL, attempts = attempts +"
		" CASE WHEN $3::boolean AND state = 'queued' THEN 1 ELSE 0 END"
		" WHERE gateway_id = $1 AND taken_at IS NOT NULL"
		" AND state IN ('queued', 'sent') AND id <> ALL ($2::bigint[])",
		&v);
	free(array);
	return rc;
}

/* Taken and never heard of again: it may have been sent, and obeyed, before that was written down.
 */
int queue_expire(struct queue *q)
{
	return statement_only(
		q,
		"UPDATE command SET taken_at = NULL, ended_at = now(),"
		" state = CASE WHEN attempts > 0 OR taken_at IS NOT NULL THEN 'silent'"
		"  ELSE 'expired' END,"
		" message = CASE WHEN taken_at IS NOT NULL"
		"   THEN format('gateway %s never said what became of it', gateway_id)"
		"  WHEN attempts > 0 THEN 'sent, but the session ended before an answer came,"
		" and the order expired before the next session'"
		"  ELSE 'the terminal was not logged in, or busy with earlier orders, until it"
		" expired' END"
		" WHERE id IN (SELECT id FROM command WHERE state IN ('queued', 'sent')"
		"  AND expires_at <= now()"
		"  AND (taken_at IS NULL OR taken_at < now() - interval '4 hours')"
		"  FOR UPDATE SKIP LOCKED)",
		NULL);
}

/* Along the index of what waits. */
static const char sql_waiting_page[] =
	"SELECT o.id, v.vin, v.id, o.taken_at IS NOT NULL FROM ("
	" SELECT DISTINCT ON (c.vehicle_id) c.vehicle_id, c.id, c.taken_at FROM command c"
	" WHERE c.state IN ('queued', 'sent') AND (c.taken_at IS NOT NULL OR c.expires_at > now())"
	" AND c.vehicle_id > $1 ORDER BY c.vehicle_id, c.id LIMIT $2) o"
	" JOIN vehicle v ON v.id = o.vehicle_id ORDER BY v.id";

/* Into it for each vehicle: however much waits for others. */
static const char sql_waiting_vins[] =
	"SELECT o.id, v.vin, v.id, o.taken_at IS NOT NULL FROM vehicle v CROSS JOIN LATERAL ("
	" SELECT c.id, c.taken_at FROM command c WHERE c.vehicle_id = v.id"
	" AND c.state IN ('queued', 'sent') AND (c.taken_at IS NOT NULL OR c.expires_at > now())"
	" ORDER BY c.id LIMIT 1) o WHERE v.vin = ANY ($1::text[])";

static PGresult *run_waiting(struct queue *q, const char (*vins)[VIN_SIZE + 1], size_t count,
			     int64_t vehicle_id)
{
	struct values v = { .n = 0 };
	char *array;
	PGresult *r;

	if (vins == NULL) {
		values_number(&v, vehicle_id);
		values_number(&v, PAGE);
		return statement_run(q, sql_waiting_page, &v);
	}
	if ((array = vin_array(vins, count)) == NULL) {
		statement_fail(q, "53200", "no memory");
		return NULL;
	}
	values_text(&v, array);
	r = statement_run(q, sql_waiting_vins, &v);
	free(array);
	return r;
}

int queue_waiting(struct queue *q, const char (*vins)[VIN_SIZE + 1], size_t count,
		  int64_t *vehicle_id, void (*tell)(int64_t id, const char *vin, void *arg),
		  void *arg)
{
	PGresult *r = run_waiting(q, vins, count, *vehicle_id);
	int rows;

	if (r == NULL)
		return -1;
	rows = PQntuples(r);
	for (int i = 0; i < rows; i++)
		if (PQgetvalue(r, i, 3)[0] == 'f') /* nobody has it in hand */
			tell(strtoll(PQgetvalue(r, i, 0), NULL, 10), PQgetvalue(r, i, 1), arg);
	*vehicle_id =
		vins == NULL && rows == PAGE ? strtoll(PQgetvalue(r, rows - 1, 2), NULL, 10) : 0;
	PQclear(r);
	return 0;
}

static const char sql_take[] =
	"UPDATE command c SET gateway_id = $1, taken_at = now() FROM ("
	" SELECT w.id, v.vin FROM command w JOIN vehicle v ON v.id = w.vehicle_id"
	" WHERE w.id = ANY ($2::bigint[]) AND w.state IN ('queued', 'sent')"
	" AND w.taken_at IS NULL AND w.expires_at > now() FOR UPDATE OF w SKIP LOCKED) t"
	" WHERE c.id = t.id"
	" RETURNING c.id, t.vin, c.kind, c.parameters::text,"
	" floor(extract(epoch FROM c.expires_at))::bigint, c.attempts";

int queue_take(struct queue *q, const int64_t *ids, size_t count,
	       void (*taken)(const struct queue_row *row, void *arg), void *arg)
{
	struct values v = { .n = 0 };
	char *array = id_array(ids, count);
	PGresult *r;

	if (array == NULL)
		return statement_fail(q, "53200", "no memory");
	values_number(&v, q->gateway_id);
	values_text(&v, array);
	r = statement_run(q, sql_take, &v);
	free(array);
	if (r == NULL)
		/* Another gateway took another order of one of them: they are looked for again. */
		return strcmp(q->sqlstate, "23505") == 0 ? 0 : -1;
	for (int i = 0; i < PQntuples(r); i++) {
		const struct queue_row row = {
			.id = strtoll(PQgetvalue(r, i, 0), NULL, 10),
			.vin = PQgetvalue(r, i, 1),
			.kind = PQgetvalue(r, i, 2),
			.parameters = PQgetvalue(r, i, 3),
			.expires_at = strtoll(PQgetvalue(r, i, 4), NULL, 10),
			.attempts = (unsigned)strtoul(PQgetvalue(r, i, 5), NULL, 10),
		};

		taken(&row, arg);
	}
	PQclear(r);
	return 0;
}

/* ---- results ---- */

static void value_time(struct values *v, int64_t at)
{
	if (at != 0)
		values_number(v, at);
	else
		values_text(v, NULL);
}

/* True too when an earlier try wrote the row and we did not hear of it. */
static const char sql_write[] =
	"WITH written AS (UPDATE command SET state = $3,"
	" taken_at = CASE WHEN $4::boolean THEN taken_at END, attempts = $5,"
	" sent_at = coalesce(to_timestamp($6::bigint), sent_at),"
	" unit = coalesce($7, unit), ended_at = to_timestamp($8::bigint),"
	" answer = $9, answered = $10::jsonb, message = $11"
	" WHERE id = $1 AND gateway_id = $2 AND taken_at IS NOT NULL"
	" AND state IN ('queued', 'sent') RETURNING id) "
	"SELECT EXISTS (SELECT FROM written) OR EXISTS (SELECT FROM command WHERE id = $1"
	" AND gateway_id = $2 AND state = $3 AND attempts = $5 AND taken_at IS NULL)";

/* message: of any length, maybe cut in the middle of a character. */
static int write_row(struct queue *q, const struct queue_result *result, const char *answered,
		     const char *message)
{
	struct values v = { .n = 0 };
	char whole[MESSAGE_MAX];
	PGresult *r;
	int rc;

	values_number(&v, result->id);
	values_number(&v, q->gateway_id);
	values_text(&v, result->state);
	values_text(&v, result->in_hand ? "true" : "false");
	values_number(&v, result->attempts);
	value_time(&v, result->sent_at);
	values_bytes(&v, result->unit_size > 0 ? result->unit : NULL, result->unit_size);
	value_time(&v, result->ended_at);
	values_bytes(&v, result->answer, result->answer_size);
	values_text(&v, answered);
	snprintf(whole, sizeof(whole), "%.*s", (int)text_whole(message, sizeof(whole) - 1),
		 message);
	values_text(&v, whole[0] != '\0' ? whole : NULL);
	if ((r = statement_run(q, sql_write, &v)) == NULL)
		return -1;
	rc = PQgetvalue(r, 0, 0)[0] == 't' ? QUEUE_WRITTEN : QUEUE_NOT_OURS;
	PQclear(r);
	return rc;
}

/* NULL without memory. */
static char *answer_json(const struct queue_result *result)
{
	const struct downlink_order *o = result->order;
	const size_t size = downlink_answer_json(o->command.kind, o->flag, o->edition,
						 result->answer, result->answer_size, NULL, 0) +
			    1;
	char *text = malloc(size);

	if (text != NULL)
		downlink_answer_json(o->command.kind, o->flag, o->edition, result->answer,
				     result->answer_size, text, size);
	return text;
}

/* Class 22: a value that the database cannot hold.  It would be refused again and again. */
static bool is_bad_value(const struct queue *q)
{
	return strncmp(q->sqlstate, "22", 2) == 0;
}

/* Without what may be the reason: better a row that says little than one that says "sent". */
static int write_bare(struct queue *q, const struct queue_result *result)
{
	struct queue_result bare = *result;
	char message[100];
	int rc;

	bare.answer = NULL;
	bare.answer_size = 0;
	snprintf(message, sizeof(message),
		 "the database kept neither its message nor an answer (SQLSTATE %s)", q->sqlstate);
	rc = write_row(q, &bare, NULL, result->in_hand ? "" : message);
	return rc < 0 && is_bad_value(q) ? QUEUE_UNWRITABLE : rc;
}

int queue_write(struct queue *q, const struct queue_result *result)
{
	const char *message = result->in_hand ? "" : result->order->message;
	char longer[MESSAGE_MAX];
	char *answered = NULL;
	int rc;

	if (!result->in_hand && result->order->flag != 0 &&
	    (answered = answer_json(result)) == NULL)
		return statement_fail(q, "53200", "no memory");
	rc = write_row(q, result, answered, message);
	if (rc < 0 && answered != NULL && is_bad_value(q)) {
		snprintf(longer, sizeof(longer), "%s%sthe answer could not be kept decoded: %s",
			 message, message[0] != '\0' ? "; " : "", q->message);
		rc = write_row(q, result, NULL, longer);
	}
	free(answered);
	return rc < 0 && is_bad_value(q) ? write_bare(q, result) : rc;
}

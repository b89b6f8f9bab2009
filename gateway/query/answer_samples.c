/*
 * The samples of a vehicle, streamed: a page of frames is fetched, turned into rows as fast as the
 * client reads, then the next page.  So a slow client holds no database connection, and whatever
 * the period, memory is one page of packed frames and one frame's rows.
 */
#include "gateway/query/answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <endian.h>

#include "gateway/base/log.h"
#include "gateway/query/instant.h"
#include "gateway/query/request.h"
#include "gateway/query/samples.h"

enum {
	SPAN_MAX_S = 31 * 86400,
	OUTPUT_MAX = 8 * 1024 * 1024,
	BLOCK_SIZE = 32 * 1024,
	PAGE_VALUES = 5
};

struct stream {
	struct request *request;
	struct samples *samples;
	struct output out;
	size_t sent; /* of out */
	PGresult *page;
	int row;
	struct job *job; /* fetches the next page while the client waits */
	char vehicle[24], from[24], to[24], after[24], part[24];
	const char *values[PAGE_VALUES];
	bool ended, failed;
	bool in_response; /* the response owns it, else the request */
};

static const char page_sql[] =
	"SELECT at_s, frame_part::bigint, packed FROM api.samples_page($1::bigint, $2::bigint, "
	"$3::bigint, $4::bigint, $5::smallint)";

static void stream_free(void *arg)
{
	struct stream *t = arg;

	if (t == NULL)
		return;
	if (t->job != NULL)
		job_cancel(t->job);
	if (t->request != NULL)
		t->request->stream = NULL;
	PQclear(t->page);
	samples_free(t->samples);
	output_release(&t->out);
	free(t);
}

static int64_t binary_int64(const PGresult *result, int row, int column)
{
	uint64_t value;

	memcpy(&value, PQgetvalue(result, row, column), sizeof(value));
	return (int64_t)be64toh(value);
}

/* Turns one frame of the page into rows. */
static void stream_row(struct stream *t)
{
	int64_t at = binary_int64(t->page, t->row, 0);
	size_t size = (size_t)PQgetlength(t->page, t->row, 2);

	if (samples_add(t->samples, at, (const uint8_t *)PQgetvalue(t->page, t->row, 2), size,
			service_scratch(t->request->service), &t->out) != 0) {
		log_line(LOG_ERROR, "track row cannot be unpacked vehicle=%s at=%" PRId64 " id=%s",
			 t->vehicle, at, t->request->id);
		t->failed = true;
	}
	snprintf(t->after, sizeof(t->after), "%" PRId64, at);
	snprintf(t->part, sizeof(t->part), "%" PRId64, binary_int64(t->page, t->row, 1));
	t->row++;
}

static void stream_take_page(struct stream *t, PGresult *page)
{
	PQclear(t->page);
	t->page = page;
	t->row = 0;
	if (PQntuples(page) == 0 && !t->ended) {
		samples_end(t->samples, &t->out);
		t->ended = true;
	}
	if (t->out.failed)
		t->failed = true;
}

static void page_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	struct stream *t = arg;

	t->job = NULL;
	if (outcome == JOB_DONE) {
		stream_take_page(t, result);
	} else {
		log_line(LOG_WARNING, "stream cut: the next page could not be read id=%s",
			 t->request->id);
		PQclear(result);
		t->failed = true;
	}
	request_wake(t->request);
}

void stream_client_left(struct stream *t)
{
	if (t->job != NULL)
		job_cancel(t->job);
	t->job = NULL;
	t->failed = true;
}

void stream_request_ended(struct stream *t)
{
	if (t->in_response)
		t->request = NULL;
	else
		stream_free(t);
}

static void stream_fetch(struct stream *t)
{
	t->values[3] = t->after;
	t->values[4] = t->part;
	t->job = pool_submit(service_pool(t->request->service),
			     &(struct job_spec){ .sql = page_sql,
						 .value_count = PAGE_VALUES,
						 .values = t->values,
						 .binary = true,
						 .timeout_ms = t->request->route->timeout_ms,
						 .done = page_done,
						 .arg = t });
	if (t->job == NULL)
		t->failed = true;
	else
		request_wait(t->request);
}

/* Content reader: gives what is there, makes more from the page, or waits for the next page. */
static ssize_t stream_read(void *arg, uint64_t position, char *buffer, size_t max)
{
	struct stream *t = arg;
	size_t n;

	(void)position;
	if (t->sent == t->out.used) {
		t->out.used = t->sent = 0;
		while (!t->failed && t->row < PQntuples(t->page) && t->out.used < max)
			stream_row(t);
	}
	if (t->sent == t->out.used && !t->failed && !t->ended)
		stream_fetch(t);
	/* Chunks already sent cannot be taken back: the client sees an incomplete body. */
	if (t->failed)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	n = t->out.used - t->sent;
	if (n == 0)
		return t->ended ? MHD_CONTENT_READER_END_OF_STREAM : 0;
	n = n < max ? n : max;
	memcpy(buffer, t->out.data + t->sent, n);
	t->sent += n;
	t->request->body_bytes += n;
	return (ssize_t)n;
}

/* "attachment; filename=VIN-20261116T080000.csv": the VIN and digits only, so nothing to escape. */
static void add_disposition(struct MHD_Response *response, const char *vin, int64_t from)
{
	char at[INSTANT_TEXT_SIZE], name[24], text[80];
	size_t n = 0;

	instant_format(from, at);
	for (const char *c = at; *c != '\0' && *c != '+' && n + 1 < sizeof(name); c++)
		if (*c != '-' && *c != ':')
			name[n++] = *c;
	name[n] = '\0';
	snprintf(text, sizeof(text), "attachment; filename=\"%s-%s.csv\"", vin, name);
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_DISPOSITION, text);
}

static void first_page_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	struct request *r = arg;
	struct stream *t = r->stream;
	struct MHD_Response *response;

	r->job = NULL;
	if (outcome != JOB_DONE) {
		stream_free(t);
		request_database_problem(r, outcome, result);
		return;
	}
	stream_take_page(t, result);
	response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, stream_read, t,
						     stream_free);
	if (response == NULL) {
		stream_free(t);
		request_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory");
		return;
	}
	t->in_response = true;
	if (strcmp(r->type, "text/csv") == 0)
		add_disposition(response, r->values.raw[0], strtoll(t->from, NULL, 10));
	request_reply(r, MHD_HTTP_OK, response, r->type);
}

static struct stream *stream_new(struct request *r, int64_t vehicle, int64_t from, int64_t to)
{
	struct stream *t = calloc(1, sizeof(*t));
	bool csv = strcmp(r->type, "text/csv") == 0;

	if (t == NULL)
		return NULL;
	t->request = r;
	output_init(&t->out, OUTPUT_MAX);
	if ((t->samples = samples_new(csv ? SAMPLES_CSV : SAMPLES_JSON, from, to)) == NULL) {
		stream_free(t);
		return NULL;
	}
	samples_begin(t->samples, r->values.raw[0], &t->out);
	snprintf(t->vehicle, sizeof(t->vehicle), "%" PRId64, vehicle);
	snprintf(t->from, sizeof(t->from), "%" PRId64, from);
	snprintf(t->to, sizeof(t->to), "%" PRId64, to);
	t->values[0] = t->vehicle;
	t->values[1] = t->from;
	t->values[2] = t->to;
	r->stream = t;
	return t;
}

static void range_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	struct request *r = arg;
	int64_t vehicle, from = 0, to = 0;
	struct stream *t;

	r->job = NULL;
	if (outcome != JOB_DONE) {
		request_database_problem(r, outcome, result);
		return;
	}
	if (PQntuples(result) != 1) {
		PQclear(result);
		request_problem(r, MHD_HTTP_NOT_FOUND, "%s", r->route->missing);
		return;
	}
	vehicle = binary_int64(result, 0, 0);
	if (!PQgetisnull(result, 0, 1)) {
		from = binary_int64(result, 0, 1);
		to = binary_int64(result, 0, 2);
	}
	PQclear(result);
	if (from > to || to - from > SPAN_MAX_S)
		request_problem(r, MHD_HTTP_BAD_REQUEST, "%s",
				from > to ? "from must not be later than to"
					  : "the period is longer than 31 days; ask in parts");
	else if ((t = stream_new(r, vehicle, from, to)) == NULL)
		request_problem(r, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory");
	else
		request_query(r, page_sql, t->values, PAGE_VALUES, true, first_page_done);
}

void answer_samples(struct request *r)
{
	request_query(r, r->route->sql, r->values.value, 3, true, range_done);
}

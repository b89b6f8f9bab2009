#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/base/clock.h"
#include "gateway/link/link.h"

enum { SAVE_MS = 1000, ALIVE_MS = 30000, REFUSED_ROWS_MAX = 1000, BEIJING_S = 8 * 3600 };

static const char save_sql[] =
	"WITH kept AS (INSERT INTO platform_link_refused (link_id, gateway_id, position, vin, flag)"
	" SELECT $1::integer, $2::smallint, r.position, r.vin, r.flag"
	" FROM unnest($12::bigint[], $13::text[], $14::smallint[]) r (position, vin, flag)"
	" ON CONFLICT DO NOTHING) "
	"UPDATE platform_link_position SET position = $3::bigint, sequence = $4::bigint,"
	" forwarded = $5::bigint, refused = $6::bigint, missing = $7::bigint,"
	" connected_since = to_timestamp($8::double precision), message = $9,"
	" login_day = $10::date, login_serial = $11::integer, updated_at = now() "
	"WHERE link_id = $1::integer AND gateway_id = $2::smallint";

void progress_update(struct link *l)
{
	struct link_progress *p = &l->progress;

	p->position = l->read_position;
	p->sequence = l->read_sequence;
	window_settle(&l->window, &p->position, &p->sequence);
}

uint16_t progress_login_serial(struct link *l, int64_t now)
{
	const time_t beijing = (time_t)(now + BEIJING_S);
	char day[sizeof(l->row.login_day)];
	struct tm tm;

	gmtime_r(&beijing, &tm);
	if (strftime(day, sizeof(day), "%Y-%m-%d", &tm) == 0 ||
	    strcmp(day, l->row.login_day) != 0) {
		memcpy(l->row.login_day, day, sizeof(day));
		l->progress.login_serial = 0;
	}
	l->progress.login_serial = l->progress.login_serial % 65531 + 1;
	return (uint16_t)l->progress.login_serial;
}

static bool same(const struct link_progress *a, const struct link_progress *b)
{
	return a->position == b->position && a->sequence == b->sequence &&
	       a->forwarded == b->forwarded && a->refused == b->refused &&
	       a->missing == b->missing && a->connected_since == b->connected_since &&
	       a->login_serial == b->login_serial && strcmp(a->message, b->message) == 0;
}

/* ---- array literals ---- */

struct text {
	char *bytes; /* NULL: no memory was left */
	size_t size, max;
};

static void text_start(struct text *t, size_t max)
{
	*t = (struct text){ malloc(max), 0, max };
	if (t->bytes != NULL)
		t->size = (size_t)snprintf(t->bytes, max, "{");
}

__attribute__((format(printf, 2, 3))) static void text_add(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	if (t->bytes == NULL)
		return;
	if (t->bytes[t->size - 1] != '{')
		t->bytes[t->size++] = ',';
	va_start(args, format);
	n = vsnprintf(t->bytes + t->size, t->max - t->size, format, args);
	va_end(args);
	t->size += (size_t)n; /* ROW_MAX has room for the longest */
}

static void text_end(struct text *t)
{
	if (t->bytes != NULL)
		snprintf(t->bytes + t->size, t->max - t->size, "}");
}

/* A frame was accepted with it, so it is a VIN; but nothing else may get into the literal. */
static void add_vin(struct text *t, const struct window_frame *frame)
{
	struct frame f;
	size_t used;
	const bool sound =
		frame_scan(frame->bytes, frame->size, FRAME_UNIT_MAX, &f, &used) == SCAN_FRAME &&
		vin_plausible(f.vin);

	text_add(t, "%s", sound ? f.vin : "unknown");
}

struct refused_rows {
	struct text positions, vins, flags;
};

static bool collect_refused(struct link *l, struct refused_rows *rows)
{
	enum { ROW_MAX = 24 };
	struct window_frame *f;
	size_t at = 0, n = 0;

	text_start(&rows->positions, REFUSED_ROWS_MAX * ROW_MAX + 2);
	text_start(&rows->vins, REFUSED_ROWS_MAX * ROW_MAX + 2);
	text_start(&rows->flags, REFUSED_ROWS_MAX * ROW_MAX + 2);
	while (n < REFUSED_ROWS_MAX && (f = window_refused(&l->window, &at)) != NULL) {
		text_add(&rows->positions, "%" PRIu64, f->position);
		add_vin(&rows->vins, f);
		text_add(&rows->flags, "%u", f->flag);
		f->told = true;
		n++;
	}
	text_end(&rows->positions);
	text_end(&rows->vins);
	text_end(&rows->flags);
	return rows->positions.bytes != NULL && rows->vins.bytes != NULL &&
	       rows->flags.bytes != NULL;
}

static void refused_release(struct refused_rows *rows)
{
	free(rows->positions.bytes);
	free(rows->vins.bytes);
	free(rows->flags.bytes);
}

/* ---- the statement ---- */

static void saved_cb(PGresult *result, void *arg)
{
	struct link *l = arg;

	l->saving = false;
	window_told(&l->window, result != NULL);
	if (result != NULL)
		l->saved = l->in_save;
	l->saving_failed = result == NULL;
	progress_update(l);
}

static void save(struct link *l)
{
	const struct link_progress *p = &l->progress;
	char numbers[9][32];
	struct refused_rows rows;

	snprintf(numbers[0], 32, "%" PRId32, l->row.id);
	snprintf(numbers[1], 32, "%" PRId64, l->host->config->gateway_id);
	snprintf(numbers[2], 32, "%" PRIu64, p->position);
	snprintf(numbers[3], 32, "%" PRIu64, p->sequence);
	snprintf(numbers[4], 32, "%" PRId64, p->forwarded);
	snprintf(numbers[5], 32, "%" PRId64, p->refused);
	snprintf(numbers[6], 32, "%" PRId64, p->missing);
	snprintf(numbers[7], 32, "%" PRId64, p->connected_since);
	snprintf(numbers[8], 32, "%d", p->login_serial);
	if (collect_refused(l, &rows)) {
		const char *const values[] = {
			numbers[0],
			numbers[1],
			numbers[2],
			numbers[3],
			numbers[4],
			numbers[5],
			numbers[6],
			p->connected_since != 0 ? numbers[7] : NULL,
			p->message[0] != '\0' ? p->message : NULL,
			l->row.login_day[0] != '\0' ? l->row.login_day : NULL,
			numbers[8],
			rows.positions.bytes,
			rows.vins.bytes,
			rows.flags.bytes,
		};

		l->in_save = *p;
		l->saving = database_run(l->host->database, save_sql,
					 (int)(sizeof(values) / sizeof(values[0])), values, false,
					 saved_cb, l);
	}
	if (!l->saving)
		window_told(&l->window, false);
	refused_release(&rows);
}

bool progress_save(struct link *l, bool at_once)
{
	const uint64_t now = uv_now(l->host->loop);
	size_t at = 0;
	bool clean;

	if (l->saving)
		return false;
	progress_update(l);
	clean = same(&l->progress, &l->saved) && window_refused(&l->window, &at) == NULL;
	if (clean && (at_once || now < l->next_save_ms + ALIVE_MS - SAVE_MS))
		return true;
	if ((!at_once || l->saving_failed) && now < l->next_save_ms)
		return false;
	l->next_save_ms = now + SAVE_MS;
	save(l);
	return false;
}

#include "gateway/link/window.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { SILENT_FACTOR = 3 };
static const uint64_t pauses_ms[WINDOW_TRIES - 1] = { 1000, 4000 };

bool window_init(struct window *w, size_t in_flight)
{
	*w = (struct window){ .in_flight = in_flight, .again_ms = UINT64_MAX };
	w->frames = calloc(WINDOW_FRAMES, sizeof(*w->frames));
	return w->frames != NULL;
}

static struct window_frame *at(const struct window *w, size_t i)
{
	return &w->frames[(w->first + i) % WINDOW_FRAMES];
}

static void drop_first(struct window *w)
{
	struct window_frame *f = at(w, 0);

	w->bytes -= f->size;
	free(f->bytes);
	f->bytes = NULL;
	w->first = (w->first + 1) % WINDOW_FRAMES;
	w->count--;
}

void window_release(struct window *w)
{
	while (w->count > 0)
		drop_first(w);
	free(w->frames);
	w->frames = NULL;
}

/* The counts are kept here alone. */
static void move(struct window *w, struct window_frame *f, enum window_state state)
{
	w->unanswered += (size_t)(state == WINDOW_SENT) - (size_t)(f->state == WINDOW_SENT);
	w->ready += (size_t)(state == WINDOW_READY) - (size_t)(f->state == WINDOW_READY);
	f->state = (uint8_t)state;
}

bool window_full(const struct window *w, size_t size)
{
	return w->count == WINDOW_FRAMES || (w->count > 0 && w->bytes + size > WINDOW_BYTES);
}

bool window_add(struct window *w, uint64_t position, uint64_t sequence, int64_t received_at,
		const uint8_t *bytes, size_t size)
{
	struct window_frame *f = at(w, w->count);
	uint8_t *copy;

	assert(!window_full(w, size) && size > FRAME_HEAD_SIZE);
	assert(w->count == 0 || at(w, w->count - 1)->position < position);
	if ((copy = malloc(size)) == NULL)
		return false;
	memcpy(copy, bytes, size);
	*f = (struct window_frame){
		.position = position,
		.sequence = sequence,
		.received_at = received_at,
		.bytes = copy,
		.size = size,
		.state = WINDOW_READY,
	};
	w->count++;
	w->ready++;
	w->bytes += size;
	return true;
}

bool window_busy(const struct window *w)
{
	return w->unanswered >= (w->one_by_one > 0 ? 1 : w->in_flight);
}

/* It shows nothing to send a suspect before the peer has proved that it takes others. */
static bool held_back(const struct window *w, const struct window_frame *f, bool last)
{
	return w->one_by_one > 0 && f->suspect && w->answered == 0 && !last;
}

/* The first that may go; *ret_again: when the next WAITING one may. */
static struct window_frame *find_due(const struct window *w, uint64_t now_ms, bool last,
				     uint64_t *ret_again)
{
	*ret_again = UINT64_MAX;
	for (size_t i = 0; i < w->count; i++) {
		struct window_frame *f = at(w, i);

		if (held_back(w, f, last))
			continue;
		if (f->state == WINDOW_READY || (f->state == WINDOW_WAITING && f->due_ms <= now_ms))
			return f;
		if (f->state == WINDOW_WAITING && f->due_ms < *ret_again)
			*ret_again = f->due_ms;
	}
	return NULL;
}

struct window_frame *window_send(struct window *w, uint64_t now_ms, bool last)
{
	struct window_frame *f;
	uint64_t again_ms;

	if (window_busy(w) || (w->ready == 0 && now_ms < w->again_ms))
		return NULL;
	if ((f = find_due(w, now_ms, last, &again_ms)) == NULL) {
		w->again_ms = again_ms;
		return NULL;
	}
	if (w->unanswered == 0)
		w->answer_ms = now_ms;
	move(w, f, WINDOW_SENT);
	f->order = ++w->order;
	f->due_ms = now_ms;
	return f;
}

/* ---- answers ---- */

enum { COMMAND_AT = 2, VIN_AT = 4 }; /* header P: all that is forwarded has it */

static bool fits(const struct window_frame *f, const struct frame *answer)
{
	const uint8_t *sent = f->bytes, *got = answer->bytes;

	if (f->state != WINDOW_SENT || sent[COMMAND_AT] != got[COMMAND_AT] ||
	    memcmp(sent + VIN_AT, got + VIN_AT, VIN_SIZE) != 0)
		return false;
	if (answer->unit_size < WIRE_TIME_SIZE)
		return true;
	return f->size > FRAME_HEAD_SIZE + WIRE_TIME_SIZE &&
	       memcmp(sent + FRAME_HEAD_SIZE, answer->unit, WIRE_TIME_SIZE) == 0;
}

static struct window_frame *find(struct window *w, const struct frame *answer)
{
	struct window_frame *found = NULL;

	if (w->unanswered == 0)
		return NULL;
	for (size_t i = 0; i < w->count; i++) {
		struct window_frame *f = at(w, i);

		if (fits(f, answer) && (found == NULL || f->order < found->order))
			found = f;
		/* Behind a frame that was sent in its turn all others were sent later. */
		if (found != NULL && found->errors == 0)
			break;
	}
	return found;
}

enum window_answer window_answer(struct window *w, const struct frame *answer, uint64_t now_ms)
{
	struct window_frame *f = find(w, answer);

	if (f == NULL)
		return WINDOW_ANSWER_STRANGE;
	w->answer_ms = now_ms;
	if (f->order > w->answered)
		w->answered = f->order;
	w->one_by_one -= w->one_by_one > 0;
	f->suspect = false;
	f->closes = 0;
	if (answer->answer == ANSWER_SUCCESS) {
		move(w, f, WINDOW_DONE);
		return WINDOW_ANSWER_SUCCESS;
	}
	f->flag = answer->answer;
	if (++f->errors == WINDOW_TRIES) {
		move(w, f, WINDOW_REFUSED);
		return WINDOW_ANSWER_REFUSED;
	}
	f->due_ms = now_ms + pauses_ms[f->errors - 1];
	if (f->due_ms < w->again_ms)
		w->again_ms = f->due_ms;
	move(w, f, WINDOW_WAITING);
	return WINDOW_ANSWER_AGAIN;
}

bool window_overdue(const struct window *w, uint64_t now_ms, uint64_t answer_ms)
{
	uint64_t oldest = now_ms;

	if (w->unanswered == 0)
		return false;
	if (now_ms - w->answer_ms >= answer_ms)
		return true;
	for (size_t i = 0; i < w->count; i++)
		if (at(w, i)->state == WINDOW_SENT && at(w, i)->due_ms < oldest)
			oldest = at(w, i)->due_ms;
	return now_ms - oldest >= SILENT_FACTOR * answer_ms;
}

/* The one under way for longest; NULL: none is. */
static struct window_frame *oldest_sent(const struct window *w)
{
	struct window_frame *oldest = NULL;

	for (size_t i = 0; i < w->count; i++) {
		struct window_frame *f = at(w, i);

		if (f->state == WINDOW_SENT && (oldest == NULL || f->order < oldest->order))
			oldest = f;
	}
	return oldest;
}

/* f was under way alone.  True: it is refused. */
static bool blame(struct window *w, struct window_frame *f)
{
	w->one_by_one = WINDOW_ONE_BY_ONE;
	if (!f->suspect)
		for (size_t i = 0; i < w->count; i++)
			at(w, i)->closes = 0;
	f->suspect = true;
	if (w->answered == 0 || ++f->closes < WINDOW_TRIES)
		return false;
	f->flag = WINDOW_FLAG_CLOSES;
	move(w, f, WINDOW_REFUSED);
	return true;
}

size_t window_closed(struct window *w)
{
	struct window_frame *f = oldest_sent(w);

	if (f == NULL)
		return 0;
	if (w->one_by_one > 0)
		return blame(w, f);
	if (w->answered > 0) {
		w->stuck = 0;
		return 0;
	}
	if (f->position == w->stuck) {
		f->suspect = true;
		w->one_by_one = WINDOW_ONE_BY_ONE;
	}
	w->stuck = f->position;
	return 0;
}

size_t window_disconnected(struct window *w)
{
	size_t refused = 0;

	for (size_t i = 0; i < w->count; i++) {
		struct window_frame *f = at(w, i);

		if (f->state != WINDOW_SENT)
			continue;
		/* Younger ones were answered: it is this frame that the other side passes over. */
		if (f->order < w->answered && ++f->silences == WINDOW_TRIES) {
			f->flag = WINDOW_FLAG_SILENT;
			move(w, f, WINDOW_REFUSED);
			refused++;
		} else {
			move(w, f, WINDOW_READY);
		}
	}
	w->answered = 0;
	return refused;
}

/* ---- settled ---- */

void window_settle(struct window *w, uint64_t *position, uint64_t *sequence)
{
	while (w->count > 0 && at(w, 0)->state == WINDOW_DONE)
		drop_first(w);
	if (w->count > 0) {
		*position = at(w, 0)->position;
		*sequence = at(w, 0)->sequence - 1;
	}
}

struct window_frame *window_refused(struct window *w, size_t *index)
{
	while (*index < w->count) {
		struct window_frame *f = at(w, (*index)++);

		if (f->state == WINDOW_REFUSED && !f->told)
			return f;
	}
	return NULL;
}

void window_told(struct window *w, bool written)
{
	for (size_t i = 0; i < w->count; i++) {
		struct window_frame *f = at(w, i);

		if (!f->told)
			continue;
		f->told = false;
		if (written)
			move(w, f, WINDOW_DONE);
	}
}

#include "gateway/ingest/session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/connection.h"
#include "gateway/ingest/loop.h"

/* What a rule has at hand. */
struct hearing {
	struct connection *c;
	const struct frame *f;
	int64_t now; /* unix seconds */
	struct report *scratch;
	struct judgement *j;
};

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
}

/*
 * While the registry is not loaded (the database is away at our start) nobody can be called
 * unknown: the frames are kept, and the store looks again.
 */
static enum vehicle_known vehicle(const struct loop *l, const char *vin)
{
	return l->server->store != NULL ? store_vehicle(l->server->store, vin) : VEHICLE_UNKNOWN;
}

static bool vehicle_allowed(const struct loop *l, const char *vin)
{
	return l->config->session_unknown_vehicle == UNKNOWN_VEHICLE_PROVISIONAL ||
	       vehicle(l, vin) != VEHICLE_UNKNOWN;
}

/*
 * A "##" login of header V reads the same in GB 17691 and HJ 1239, and only the second wants an
 * answer.  What tells them apart: the layout of earlier reports, or the version byte 06, by which
 * a widespread terminal software marks HJ 1239.
 */
static bool speaks_hj1239(const struct frame *f, enum layout layout)
{
	enum { VERSION_HJ1239 = 6 };

	return layout == LAYOUT_C || f->protocol == PROTOCOL_HJ1239 ||
	       (f->header == HEADER_V && f->software_version == VERSION_HJ1239);
}

/* Binds the VIN to the connection. */
static enum verdict session_bind(struct hearing *h)
{
	struct connection *c = h->c;
	struct loop *l = c->loop;
	struct session *s = &c->session;
	const bool takeover = l->config->session_duplicate_vin == DUPLICATE_VIN_TAKEOVER;
	enum layout layout = LAYOUT_UNKNOWN;
	enum vin_claim claim;

	if (s->logged_in)
		return VERDICT_ACCEPTED; /* a login again, of the same VIN */
	claim = vin_table_claim(l->server->vins, h->f->vin, &s->owner, takeover, &layout);
	if (claim == VIN_HELD_BY_OTHER)
		return VERDICT_VIN_TAKEN;
	if (claim == VIN_NO_MEMORY) {
		h->j->keep = h->j->reply = false; /* silence: the terminal tries again */
		return VERDICT_NOT_LOGGED_IN;
	}
	if (claim == VIN_CLAIMED_FROM_OTHER)
		metrics_add(l->metrics, METRIC_sessions_taken_over_total, 1);
	if (layout == LAYOUT_UNKNOWN && l->server->store != NULL)
		layout = store_layout(l->server->store, h->f->vin);
	snprintf(s->vin, sizeof(s->vin), "%s", h->f->vin);
	s->layout = (uint8_t)layout;
	s->hj1239 = speaks_hj1239(h->f, layout);
	s->logged_in = true;
	metrics_add(l->metrics, METRIC_sessions_open, 1);
	connection_logged_in(c);
	command_logged_in(c);
	return VERDICT_ACCEPTED;
}

void session_end(struct connection *c)
{
	struct session *s = &c->session;

	if (!s->logged_in)
		return;
	vin_table_release(c->loop->server->vins, s->vin, &s->owner);
	s->logged_in = false;
	command_ended(c);
	connection_ordered(c);
	metrics_add(c->loop->metrics, METRIC_sessions_open, -1);
}

/* ---- the rules, one for each meaning ---- */

static enum verdict judge_login(struct hearing *h)
{
	struct login login;
	const enum verdict verdict = login_decode(h->f, h->now, &login);

	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (!vin_plausible(h->f->vin))
		return VERDICT_VIN_MALFORMED;
	if (!vehicle_allowed(h->c->loop, h->f->vin))
		return VERDICT_VIN_UNKNOWN;
	return session_bind(h);
}

static enum verdict judge_report(struct hearing *h)
{
	struct loop *l = h->c->loop;
	struct session *s = &h->c->session;
	enum verdict verdict;

	if (!s->logged_in) {
		if (l->config->session_report_before_login != REPORT_BEFORE_LOGIN_REGISTERED ||
		    vehicle(l, h->f->vin) != VEHICLE_KNOWN)
			return VERDICT_NOT_LOGGED_IN;
		verdict = session_bind(h);
		if (verdict != VERDICT_ACCEPTED)
			return verdict;
	}
	verdict = report_decode(h->f, (enum layout)s->layout, h->now, h->scratch);
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	h->j->quirks = h->scratch->quirks;
	h->j->layout = h->scratch->layout;
	h->j->protocol = h->scratch->protocol;
	if (h->scratch->protocol == PROTOCOL_HJ1239)
		s->hj1239 = true;
	/* A guess is not remembered: the next report may decide it. */
	if (h->scratch->layout != (enum layout)s->layout &&
	    (h->scratch->quirks & QUIRK_LAYOUT_GUESSED) == 0) {
		s->layout = (uint8_t)h->scratch->layout;
		vin_table_set_layout(l->server->vins, s->vin, h->scratch->layout);
	}
	return VERDICT_ACCEPTED;
}

static enum verdict judge_logout(struct hearing *h)
{
	struct logout logout;
	enum verdict verdict;

	if (!h->c->session.logged_in)
		return VERDICT_NOT_LOGGED_IN;
	verdict = logout_decode(h->f, h->now, &logout);
	h->j->ends = verdict == VERDICT_ACCEPTED;
	return verdict;
}

static enum verdict judge_tamper_alarm(struct hearing *h)
{
	struct tamper_alarm alarm;

	h->c->session.hj1239 = true; /* no other protocol has this command */
	if (!h->c->session.logged_in)
		return VERDICT_NOT_LOGGED_IN;
	return tamper_alarm_decode(h->f, h->now, &alarm);
}

/* Comes before the first login: some terminals do not log in until they are activated. */
static enum verdict judge_activation(struct hearing *h)
{
	struct activation activation;
	const enum verdict verdict = activation_decode(h->f, h->now, &activation);

	if (h->f->header == HEADER_V)
		h->c->session.hj1239 = true;
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (strcmp(activation.vin, h->f->vin) != 0)
		return VERDICT_VIN_MISMATCH;
	return vehicle_allowed(h->c->loop, h->f->vin) ? VERDICT_ACCEPTED : VERDICT_VIN_UNKNOWN;
}

/* Time and heartbeat promise nothing about data: answered at once, kept nowhere. */
static enum verdict judge_courtesy(struct hearing *h)
{
	h->j->keep = false;
	h->j->at_once = true;
	return VERDICT_ACCEPTED;
}

/* There are no platform accounts yet. */
static enum verdict judge_platform_login(struct hearing *h)
{
	(void)h;
	return VERDICT_LOGIN_REFUSED;
}

static enum verdict judge_platform_logout(struct hearing *h)
{
	(void)h;
	return VERDICT_NOT_LOGGED_IN;
}

static enum verdict judge_answer(struct hearing *h)
{
	h->j->reply = false;
	return VERDICT_NOT_A_COMMAND;
}

static enum verdict judge_unknown(struct hearing *h)
{
	(void)h;
	return VERDICT_UNKNOWN_COMMAND;
}

typedef enum verdict rule(struct hearing *h);

static rule *const rules[] = {
	[MEANING_UNKNOWN] = judge_unknown,
	[MEANING_LOGIN] = judge_login,
	[MEANING_REPORT] = judge_report,
	[MEANING_LOGOUT] = judge_logout,
	[MEANING_TIME] = judge_courtesy,
	[MEANING_HEARTBEAT] = judge_courtesy,
	[MEANING_TAMPER_ALARM] = judge_tamper_alarm,
	[MEANING_ACTIVATION] = judge_activation,
	[MEANING_ACTIVATION_ANSWER] = judge_answer,
	[MEANING_PLATFORM_LOGIN] = judge_platform_login,
	[MEANING_PLATFORM_LOGOUT] = judge_platform_logout,
	[MEANING_KEY_EXCHANGE] = judge_unknown,
	[MEANING_DOWNLINK_ANSWER] = judge_answer,
};

static enum verdict judge(struct hearing *h, enum verdict so_far)
{
	const struct frame *f = h->f;
	const struct session *s = &h->c->session;
	const enum meaning meaning = frame_meaning(f);

	assert((size_t)meaning < sizeof(rules) / sizeof(rules[0]));
	if (f->answer != ANSWER_COMMAND)
		h->j->reply = false; /* else two gateways would talk for ever */
	/* Secrets never reach the disk, however broken their frame is. */
	if (meaning == MEANING_PLATFORM_LOGIN || meaning == MEANING_KEY_EXCHANGE)
		h->j->keep = false;
	if (so_far != VERDICT_ACCEPTED)
		return so_far;
	if (f->answer != ANSWER_COMMAND)
		return judge_answer(h);
	if (s->logged_in && strcmp(s->vin, f->vin) != 0)
		return VERDICT_VIN_MISMATCH;
	return rules[meaning](h);
}

static enum answer answer_to(const struct frame *f, enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_ACCEPTED:
		return ANSWER_SUCCESS;
	case VERDICT_VIN_TAKEN:
		return ANSWER_VIN_DUPLICATE;
	case VERDICT_VIN_UNKNOWN:
		return f->protocol == PROTOCOL_GBT32960_2025 ? ANSWER_VIN_UNKNOWN : ANSWER_ERROR;
	default:
		return ANSWER_ERROR;
	}
}

/*
 * What a logged-in terminal sends about itself is evidence and always kept.  What anybody could
 * send is kept at a bounded rate, or strangers could fill the disk.
 */
static bool within_rate(struct connection *c, enum verdict verdict)
{
	struct session *s = &c->session;
	const bool own = s->logged_in &&
			 (verdict == VERDICT_BAD_UNIT || verdict == VERDICT_BAD_TIME ||
			  verdict == VERDICT_ENCRYPTED || verdict == VERDICT_UNKNOWN_COMMAND);

	if (verdict == VERDICT_ACCEPTED || own)
		return true;
	if (s->refused >= c->loop->config->session_bad_frames_max)
		return false;
	s->refused++;
	return true;
}

static void count_minute(struct session *s, uint64_t now_ms)
{
	const uint32_t minute = (uint32_t)(now_ms / 60000);

	if (s->minute == minute)
		return;
	s->minute = minute;
	s->bad = s->refused = 0;
}

bool session_bad_frame(struct connection *c)
{
	struct session *s = &c->session;

	count_minute(s, uv_now(&c->loop->uv));
	return ++s->bad < c->loop->config->session_bad_frames_max;
}

unsigned session_quota(struct connection *c)
{
	const unsigned rate = (unsigned)c->loop->config->limit_vin_frames;

	return rate == 0 ? 0 : quota_take(&c->quota, rate, uv_now(&c->loop->uv));
}

struct judgement session_judge(struct connection *c, const struct frame *f, enum verdict so_far,
			       struct report *scratch)
{
	struct judgement j = {
		.layout = (enum layout)c->session.layout,
		.protocol = f->protocol,
		.keep = true,
		.reply = true,
	};
	struct hearing h = { c, f, clock_wall_ns() / 1000000000, scratch, &j };

	count_minute(&c->session, uv_now(&c->loop->uv));
	j.verdict = judge(&h, so_far);
	j.answer = answer_to(f, j.verdict);
	j.keep = j.keep && within_rate(c, j.verdict);
	/* What is not kept makes no promise, so its answer waits for nothing. */
	j.at_once = j.at_once || !j.keep;
	if (f->header == HEADER_V && c->session.hj1239)
		j.protocol = PROTOCOL_HJ1239;
	assert(j.at_once || j.keep);
	return j;
}

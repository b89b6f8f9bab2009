/* judge.c - a frame before the rules: which of them, in which order, and what follows. */
#include <assert.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "gateway/ingest/hearing.h"

/* ---- the rules, one for each meaning ---- */

/* Time and heartbeat promise nothing about data: answered at once, kept nowhere. */
static enum verdict rule_courtesy(struct hearing *h)
{
	h->j->keep = false;
	h->j->at_once = true;
	return VERDICT_ACCEPTED;
}

static enum verdict rule_answer(struct hearing *h)
{
	const bool ours = h->c->session.logged_in && command_answer(h->c, &h->j->seen);

	connection_ordered(h->c);
	return ours ? VERDICT_ACCEPTED : VERDICT_NOT_A_COMMAND;
}

static enum verdict rule_unknown(struct hearing *h)
{
	(void)h;
	return VERDICT_UNKNOWN_COMMAND;
}

static rule *const rules[] = {
	[MEANING_UNKNOWN] = rule_unknown,
	[MEANING_LOGIN] = rule_login,
	[MEANING_REPORT] = rule_report,
	[MEANING_LOGOUT] = rule_logout,
	[MEANING_TIME] = rule_courtesy,
	[MEANING_HEARTBEAT] = rule_courtesy,
	[MEANING_TAMPER_ALARM] = rule_tamper_alarm,
	[MEANING_ACTIVATION] = rule_activation,
	[MEANING_ACTIVATION_ANSWER] = rule_answer,
	[MEANING_PLATFORM_LOGIN] = rule_platform_login,
	[MEANING_PLATFORM_LOGOUT] = rule_platform_logout,
	[MEANING_KEY_EXCHANGE] = rule_unknown,
	[MEANING_DOWNLINK_ANSWER] = rule_answer,
};

static bool is_of_vehicle(enum meaning meaning)
{
	return meaning == MEANING_LOGIN || meaning == MEANING_REPORT || meaning == MEANING_LOGOUT ||
	       meaning == MEANING_TAMPER_ALARM || meaning == MEANING_ACTIVATION;
}

/* By the quota of logins; a platform's login is counted by its own rule. */
static bool is_counted(enum meaning meaning)
{
	return meaning == MEANING_LOGIN || meaning == MEANING_ACTIVATION;
}

/* Secrets never reach the disk, however broken their frame is. */
static void keep_secrets(struct hearing *h, enum meaning meaning)
{
	if (meaning == MEANING_PLATFORM_LOGIN || meaning == MEANING_KEY_EXCHANGE)
		h->j->keep = false;
}

/* Cheap questions first: what a worker is asked has passed them. */
static enum verdict judge_sender(struct hearing *h, enum meaning meaning)
{
	const struct session *s = &h->c->session;

	if ((s->logged_in || s->contends) && strcmp(s->vin, h->f->vin) != 0)
		return VERDICT_VIN_MISMATCH;
	if (s->platform != NULL)
		return is_of_vehicle(meaning) ? platform_speaks_for(h) : VERDICT_ACCEPTED;
	if (h->proof == NULL && is_counted(meaning) && !hearing_may_log_in(h, h->f->vin))
		return VERDICT_THROTTLED;
	return VERDICT_ACCEPTED;
}

static enum verdict judge(struct hearing *h, enum verdict so_far)
{
	const enum meaning outside = frame_meaning(h->f);
	enum meaning meaning = outside;
	enum verdict verdict;

	assert((size_t)meaning < sizeof(rules) / sizeof(rules[0]));
	if (h->f->answer != ANSWER_COMMAND)
		h->j->reply = false; /* else two gateways would talk for ever */
	keep_secrets(h, meaning);
	if (so_far != VERDICT_ACCEPTED)
		return so_far;
	if (h->f->answer != ANSWER_COMMAND &&
	    (meaning != MEANING_DOWNLINK_ANSWER || !h->c->session.logged_in))
		return VERDICT_NOT_A_COMMAND;
	if ((verdict = judge_sender(h, meaning)) != VERDICT_ACCEPTED ||
	    (verdict = hearing_open(h)) != VERDICT_ACCEPTED || h->j->held)
		return verdict;
	if (h->j->opened) { /* where the length tells the meaning, it is known now */
		meaning = frame_meaning(&h->j->seen);
		h->j->keep = true;
		keep_secrets(h, meaning);
		if (is_counted(meaning) && !is_counted(outside) &&
		    !hearing_may_log_in(h, h->f->vin))
			return VERDICT_THROTTLED;
		if (h->c->session.platform != NULL && is_of_vehicle(meaning) &&
		    (verdict = platform_speaks_for(h)) != VERDICT_ACCEPTED)
			return verdict;
	}
	return rules[meaning](h);
}

/* ---- what follows from a verdict ---- */

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

/* An activation's own answer says what is wrong in any protocol. */
static enum answer answer_to_activation(enum verdict verdict)
{
	const bool vin = verdict == VERDICT_VIN_UNKNOWN || verdict == VERDICT_VIN_MISMATCH ||
			 verdict == VERDICT_REVOKED;

	return verdict == VERDICT_ACCEPTED ? ANSWER_SUCCESS
	       : vin			   ? ANSWER_VIN_UNKNOWN
					   : ANSWER_ERROR;
}

/* How its address is remembered. */
static enum quota_offence offence_of(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_VIN_UNKNOWN:
	case VERDICT_VIN_MALFORMED:
	case VERDICT_VIN_TAKEN:
	case VERDICT_LOGIN_REFUSED:
	case VERDICT_TRANSPORT_REFUSED:
	case VERDICT_REVOKED:
		return OFFENCE_LOGIN_REFUSED;
	case VERDICT_DECRYPT_FAILED:
	case VERDICT_SIGNATURE_BAD:
	case VERDICT_CERTIFICATE_VIN:
	case VERDICT_CHIP_TAKEN:
		return OFFENCE_FORGERY;
	default:
		return OFFENCE_COUNT;
	}
}

/*
 * What a logged-in terminal sends about itself is evidence and always kept.  What anybody could
 * send is kept at a bounded rate, or strangers could fill the disk.
 */
static bool within_rate(struct connection *c, const struct frame *f, enum verdict verdict)
{
	static const bool own[VERDICT_COUNT] = {
		[VERDICT_BAD_UNIT] = true,	    [VERDICT_BAD_TIME] = true,
		[VERDICT_ENCRYPTED] = true,	    [VERDICT_UNKNOWN_COMMAND] = true,
		[VERDICT_DECRYPT_FAILED] = true,    [VERDICT_SIGNATURE_BAD] = true,
		[VERDICT_SIGNATURE_MISSING] = true, [VERDICT_SIGNATURE_KEY] = true,
		[VERDICT_PLAIN_REFUSED] = true,
	};
	struct session *s = &c->session;
	struct loop *l = c->loop;

	if (verdict == VERDICT_ACCEPTED || ((s->logged_in || s->platform != NULL) && own[verdict]))
		return true;
	if (s->refused < l->config->session_bad_frames_max &&
	    quota_keep(l->server->quota, l->config, c->peer, f->size, uv_now(&l->uv))) {
		s->refused++;
		return true;
	}
	metrics_add(l->metrics, METRIC_frames_not_kept_total, 1);
	return false;
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
	const struct config *config = c->loop->config;
	const unsigned rate = (unsigned)(c->session.platform != NULL ? config->limit_platform_frames
								     : config->limit_vin_frames);

	return rate == 0 ? 0 : quota_take(&c->quota, rate, uv_now(&c->loop->uv));
}

/* Who spoke this frame: the connection's certificate, else what the frame itself shows. */
static uint64_t credential_of(const struct session *s, const struct judgement *j)
{
	if (s->certificate != 0)
		return credential(CREDENTIAL_CERTIFICATE, s->certificate);
	if (j->signature == SIGNATURE_VALID && j->signature_key != 0)
		return credential(CREDENTIAL_KEY, (int64_t)j->signature_key);
	if (j->signature == SIGNATURE_SKIPPED && s->key != 0)
		return credential(CREDENTIAL_KEY, s->key);
	return s->platform != NULL ? credential(CREDENTIAL_PLATFORM, s->platform->id) : 0;
}

static void count_proof(struct metrics_thread *m, const struct judgement *j,
			const struct crypto_job *proof)
{
	static const enum metric checks[SIGNATURE_COUNT] = {
		[SIGNATURE_NONE] = METRIC_COUNT,
		[SIGNATURE_VALID] = METRIC_signatures_valid_total,
		[SIGNATURE_INVALID] = METRIC_signatures_invalid_total,
		[SIGNATURE_NO_KEY] = METRIC_signatures_no_key_total,
		[SIGNATURE_SKIPPED] = METRIC_signatures_skipped_total,
		[SIGNATURE_UNDEFINED] = METRIC_COUNT,
	};

	if (checks[j->signature] != METRIC_COUNT)
		metrics_add(m, checks[j->signature], 1);
	if (j->opened)
		metrics_add(m, METRIC_units_opened_total, 1);
	if (j->verdict != VERDICT_DECRYPT_FAILED || proof == NULL)
		return;
	metrics_add(m,
		    proof->result.content_bad		      ? METRIC_open_failed_content_total
		    : proof->result.cipher == CIPHER_BAD_SIZE ? METRIC_open_failed_size_total
							      : METRIC_open_failed_padding_total,
		    1);
}

/* Forgeries cost a worker's time.  A platform is not ended for what one of its trucks signs. */
static bool is_bad(const struct session *s, enum verdict verdict)
{
	return verdict == VERDICT_BAD_CHECKSUM ||
	       (s->platform == NULL &&
		(verdict == VERDICT_SIGNATURE_BAD || verdict == VERDICT_DECRYPT_FAILED));
}

/* All that a verdict brings with it, once the frame is judged for good. */
static void conclude(struct hearing *h)
{
	struct connection *c = h->c;
	struct judgement *j = h->j;
	const enum quota_offence offence = offence_of(j->verdict);

	if (j->answer == 0)
		j->answer = frame_meaning(&j->seen) == MEANING_ACTIVATION
				    ? answer_to_activation(j->verdict)
				    : answer_to(h->f, j->verdict);
	j->keep = j->keep && within_rate(c, h->f, j->verdict);
	/* What is not kept makes no promise, so its answer waits for nothing. */
	j->at_once = j->at_once || !j->keep;
	if (h->f->header == HEADER_V && c->session.hj1239)
		j->protocol = PROTOCOL_HJ1239;
	j->bad = is_bad(&c->session, j->verdict);
	j->credential = credential_of(&c->session, j);
	count_proof(c->loop->metrics, j, h->proof);
	if (offence != OFFENCE_COUNT)
		connection_offence(c, offence);
	assert(j->at_once || j->keep);
}

struct judgement session_judge(struct connection *c, const struct frame *f, enum verdict so_far,
			       struct crypto_job *proof, struct report *scratch)
{
	struct judgement j = {
		.seen = *f,
		.layout = c->session.platform == NULL ? (enum layout)c->session.layout
						      : LAYOUT_UNKNOWN,
		.protocol = f->protocol,
		.keep = true,
		.reply = true,
	};
	struct hearing h = { .c = c,
			     .f = f,
			     .now = clock_wall_ns() / 1000000000,
			     .scratch = scratch,
			     .proof = proof,
			     .j = &j };

	count_minute(&c->session, uv_now(&c->loop->uv));
	j.verdict = judge(&h, so_far);
	if (!j.held)
		conclude(&h);
	if (h.owned)
		identity_put(h.identity);
	return j;
}

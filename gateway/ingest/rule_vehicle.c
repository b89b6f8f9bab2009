/* rule_vehicle.c - login, report, logout and alarm of a vehicle, alone or through its platform. */
#include <string.h>

#include "gateway/ingest/hearing.h"

static bool has_session(const struct hearing *h)
{
	return h->c->session.logged_in || h->c->session.platform != NULL;
}

enum verdict rule_login(struct hearing *h)
{
	struct session *s = &h->c->session;
	struct login login;
	enum verdict verdict = login_decode(&h->j->seen, h->now, &login);

	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (!vin_plausible(h->f->vin))
		return VERDICT_VIN_MALFORMED;
	hearing_identify(h);
	if (s->platform == NULL) {
		verdict = connection_admits(h->c, h->f->vin, h->known, h->identity);
		if (verdict == VERDICT_ACCEPTED)
			verdict = session_bind(h);
	}
	if (h->identity != NULL && h->identity->iccid[0] != '\0' &&
	    strcmp(h->identity->iccid, login.iccid) != 0)
		h->j->quirks |= QUIRK_ICCID_DIFFERS;
	return verdict;
}

/* Some terminals never log in. */
static enum verdict begin_by_report(struct hearing *h)
{
	enum verdict verdict;

	if (h->c->loop->config->session_report_before_login != REPORT_BEFORE_LOGIN_REGISTERED)
		return VERDICT_NOT_LOGGED_IN;
	hearing_identify(h);
	if (h->known != IDENTITY_KNOWN)
		return VERDICT_NOT_LOGGED_IN;
	verdict = connection_admits(h->c, h->f->vin, h->known, h->identity);
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (h->proof == NULL && !hearing_may_log_in(h, h->f->vin))
		return VERDICT_THROTTLED;
	return session_bind(h);
}

/* A guess is not remembered: the next report may decide it. */
static void remember_layout(struct hearing *h, enum layout known)
{
	struct session *s = &h->c->session;
	const struct report *r = h->scratch;

	if (s->platform == NULL && r->protocol == PROTOCOL_HJ1239)
		s->hj1239 = true;
	if (r->layout == known || (r->quirks & QUIRK_LAYOUT_GUESSED) != 0)
		return;
	if (s->platform == NULL)
		s->layout = (uint8_t)r->layout;
	vin_table_set_layout(h->c->loop->server->vins, h->f->vin, r->layout);
}

/* What tells where somebody was; a login and a logout tell nothing that a bystander does not see.
 */
static enum verdict demand_encryption(struct hearing *h)
{
	hearing_identify(h);
	return h->identity != NULL && h->identity->encryption_required && !h->j->opened
		       ? VERDICT_PLAIN_REFUSED
		       : VERDICT_ACCEPTED;
}

enum verdict rule_report(struct hearing *h)
{
	const enum layout known = hearing_layout(h);
	struct session *s = &h->c->session;
	enum verdict verdict;

	if (hearing_of_stranger(h) && (verdict = begin_by_report(h)) != VERDICT_ACCEPTED)
		return verdict;
	verdict = report_decode(&h->j->seen, known, h->now, h->scratch);
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	h->j->quirks |= h->scratch->quirks;
	h->j->layout = h->scratch->layout;
	h->j->protocol = h->scratch->protocol;
	if ((verdict = demand_encryption(h)) != VERDICT_ACCEPTED ||
	    (verdict = hearing_verify(h)) != VERDICT_ACCEPTED || h->j->held)
		return verdict;
	if (s->contends && (verdict = session_bind(h)) != VERDICT_ACCEPTED)
		return verdict;
	remember_layout(h, known);
	return VERDICT_ACCEPTED;
}

enum verdict rule_logout(struct hearing *h)
{
	struct logout logout;
	enum verdict verdict;

	if (!has_session(h))
		return VERDICT_NOT_LOGGED_IN;
	verdict = logout_decode(&h->j->seen, h->now, &logout);
	/* A platform's own session goes on when one of its vehicles leaves. */
	h->j->ends = verdict == VERDICT_ACCEPTED && h->c->session.logged_in;
	return verdict;
}

enum verdict rule_tamper_alarm(struct hearing *h)
{
	struct tamper_alarm alarm;
	enum verdict verdict;

	if (h->f->header == HEADER_V)
		h->c->session.hj1239 = true; /* no other protocol has this command */
	if (!has_session(h))
		return VERDICT_NOT_LOGGED_IN;
	verdict = tamper_alarm_decode(&h->j->seen, h->now, &alarm);
	return verdict == VERDICT_ACCEPTED ? demand_encryption(h) : verdict;
}

#include "gateway/ingest/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/ingest/hearing.h"

void session_init(struct session *s)
{
	memset(s, 0, sizeof(*s));
}

/* ---- who holds a VIN ---- */

/* What the whole session is known by, whatever its frames show. */
static uint64_t session_credential(const struct session *s)
{
	if (s->certificate != 0 || s->certified)
		return credential(CREDENTIAL_CERTIFICATE, s->certificate);
	return s->shown != 0 ? credential(CREDENTIAL_KEY, s->shown) : 0;
}

static void alarm_taken(const struct connection *c, const char *vin, uint64_t holder)
{
	static const char *const kinds[] = { "nothing", "a key", "a certificate", "a platform" };
	const uint64_t mine = session_credential(&c->session);
	char peer[PEER_TEXT_SIZE];

	if (loop_may_log(c->loop))
		log_line(
			LOG_WARNING,
			"alarm: somebody with %s wants a VIN whose holder has shown %s; the holder "
			"keeps it vin=%s peer=%s",
			kinds[credential_kind_of(mine)], kinds[credential_kind_of(holder)], vin,
			connection_peer_text(c, peer));
}

/* His next report is awaited, unless so many contend that they would keep others out. */
static void set_contends(struct connection *c, bool contends)
{
	struct loop *l = c->loop;
	const unsigned awaited =
		(unsigned)l->config->limit_unauthenticated / l->server->loop_count / 4;

	if (c->session.contends == contends)
		return;
	l->contenders += contends ? 1 : -1u;
	c->session.contends = contends;
	connection_silent(c, !contends || l->contenders > awaited);
}

/*
 * The holder has shown what the newcomer has not, yet: reports are signed, logins are not, and a
 * terminal that lost its connection must get in again while the old one still seems to live.  So a
 * login that could be the holder's is let in as far as its first report; and where no login is
 * wanted, that report is looked at.
 */
static enum verdict session_contend(struct hearing *h, const struct vin_found *found)
{
	struct session *s = &h->c->session;

	if (s->contends || credential_kind_of(found->holder) != CREDENTIAL_KEY ||
	    h->identity == NULL) {
		alarm_taken(h->c, h->f->vin, found->holder);
		return VERDICT_VIN_TAKEN;
	}
	set_contends(h->c, true);
	s->layout = (uint8_t)found->layout;
	snprintf(s->vin, sizeof(s->vin), "%s", h->f->vin);
	return VERDICT_ACCEPTED;
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

/* The VIN is ours now. */
static enum verdict session_begin(struct hearing *h, enum layout layout)
{
	struct connection *c = h->c;
	struct session *s = &c->session;
	enum verdict verdict;

	snprintf(s->vin, sizeof(s->vin), "%s", h->f->vin);
	s->logged_in = true;
	set_contends(c, false);
	metrics_add(c->loop->metrics, METRIC_sessions_open, 1);
	/* Changes of the registry find us from now on; one that came before is seen here. */
	s->known = server_identity(c->loop->server, s->vin, &s->identity);
	verdict = connection_admits(c, s->vin, s->known, s->identity);
	if (verdict != VERDICT_ACCEPTED) {
		session_end(c);
		return verdict;
	}
	if (layout == LAYOUT_UNKNOWN && s->identity != NULL)
		layout = s->identity->layout;
	s->layout = (uint8_t)layout;
	s->hj1239 = s->hj1239 || speaks_hj1239(h->f, layout);
	s->start = h->f->start;
	s->header = h->f->header;
	s->software_version = h->f->software_version;
	connection_logged_in(c);
	command_logged_in(c);
	connection_ordered(c);
	return VERDICT_ACCEPTED;
}

enum verdict session_bind(struct hearing *h)
{
	struct loop *l = h->c->loop;
	struct session *s = &h->c->session;
	const bool takeover = l->config->session_duplicate_vin == DUPLICATE_VIN_TAKEOVER;
	const struct identity_certificate *certificate;
	const char *shown = tls_certificate_vin(h->c);
	struct vin_found found;

	if (s->logged_in)
		return VERDICT_ACCEPTED; /* a login again, of the same VIN */
	s->certified = shown != NULL && strcmp(shown, h->f->vin) == 0;
	certificate = connection_certificate(h->c, h->identity);
	s->certificate = certificate != NULL ? certificate->id : 0;
	s->owner.credential = session_credential(s);
	switch (vin_table_claim(l->server->vins, h->f->vin, &s->owner, takeover, &found)) {
	case VIN_HELD_BY_OTHER:
		return VERDICT_VIN_TAKEN;
	case VIN_HELD_BY_CREDENTIAL:
		return session_contend(h, &found);
	case VIN_NO_MEMORY:
		return hearing_silence(h);
	case VIN_CLAIMED_FROM_OTHER:
		metrics_add(l->metrics, METRIC_sessions_taken_over_total, 1);
		break;
	case VIN_CLAIMED:
		break;
	}
	return session_begin(h, found.layout);
}

/*
 * A signed report that somebody recorded is signed for ever.  So an old one proves nothing about
 * who is speaking now, and one that is not the newest takes nothing from anybody.
 */
void session_spoke(struct hearing *h, int64_t key)
{
	enum { FRESH_S = 600 };
	struct session *s = &h->c->session;
	struct vin_table *vins = h->c->loop->server->vins;

	if (s->platform != NULL || llabs(h->scratch->at - h->now) > FRESH_S)
		return;
	if (vin_table_is_newest(vins, h->f->vin, h->scratch->at))
		s->key = key;
	else if (!s->logged_in)
		return;
	if (s->shown == key || key == 0)
		return;
	s->shown = key;
	if (s->logged_in)
		vin_table_set_credential(vins, s->vin, &s->owner, session_credential(s));
}

void session_end(struct connection *c)
{
	struct session *s = &c->session;

	identity_platform_put(s->platform);
	s->platform = NULL;
	set_contends(c, false);
	s->certificate = s->shown = s->key = 0;
	s->certified = false;
	if (!s->logged_in)
		return;
	vin_table_release(c->loop->server->vins, s->vin, &s->owner);
	s->logged_in = false;
	identity_put(s->identity);
	s->identity = NULL;
	command_ended(c);
	connection_ordered(c);
	metrics_add(c->loop->metrics, METRIC_sessions_open, -1);
}

/* ---- changes of the registry ---- */

static bool has_key(const struct identity *identity, int64_t key)
{
	for (size_t i = 0; identity != NULL && i < identity->key_count; i++)
		if (identity->keys[i].id == key)
			return true;
	return false;
}

static bool vehicle_goes_on(struct connection *c)
{
	struct session *s = &c->session;
	const struct identity_certificate *certificate;
	const int64_t shown = s->certificate;

	identity_put(s->identity);
	s->known = server_identity(c->loop->server, s->vin, &s->identity);
	certificate = connection_certificate(c, s->identity);
	s->certificate = certificate != NULL ? certificate->id : 0;
	if (s->certificate != shown)
		vin_table_set_credential(c->loop->server->vins, s->vin, &s->owner,
					 session_credential(s));
	return connection_admits(c, s->vin, s->known, s->identity) == VERDICT_ACCEPTED &&
	       (shown == 0 || s->certificate == shown) &&
	       (s->shown == 0 || has_key(s->identity, s->shown)) &&
	       (s->key == 0 || has_key(s->identity, s->key));
}

bool session_reconsider(struct connection *c)
{
	struct session *s = &c->session;
	struct identity_platform *fresh;
	bool goes_on;

	if (s->logged_in)
		return vehicle_goes_on(c);
	if (s->platform == NULL)
		return true;
	fresh = identity_platform(c->loop->server->identities, s->platform->login);
	if ((goes_on = platform_goes_on(c, fresh))) {
		identity_platform_put(s->platform);
		s->platform = fresh;
	} else {
		identity_platform_put(fresh);
	}
	return goes_on;
}

/* rule_platform.c - enterprise platforms: they log in by password and speak for their vehicles. */
#include <assert.h>
#include <openssl/crypto.h>
#include <string.h>

#include "gateway/ingest/hearing.h"

/* Asked after the password: without one nobody learns what an account may do. */
static enum verdict account_admits(const struct connection *c, const struct identity_platform *p)
{
	if (p->blocked)
		return VERDICT_REVOKED;
	if (!identity_platform_source(p, c->peer))
		return VERDICT_LOGIN_REFUSED;
	return p->require_tls && c->ssl == NULL ? VERDICT_TRANSPORT_REFUSED : VERDICT_ACCEPTED;
}

enum verdict rule_platform_login(struct hearing *h)
{
	struct session *s = &h->c->session;
	struct platform_login login;
	enum verdict verdict = platform_login_decode(&h->j->seen, h->now, &login);

	if (verdict == VERDICT_ACCEPTED &&
	    (s->logged_in || s->contends || !server_has_registry(h->c->loop->server)))
		verdict = VERDICT_LOGIN_REFUSED;
	if (verdict == VERDICT_ACCEPTED && (h->proof == NULL || !h->proof->judged)) {
		if (hearing_may_log_in(h, login.user))
			verdict = hearing_ask_password(h, login.user, login.password);
		else
			verdict = VERDICT_THROTTLED;
		OPENSSL_cleanse(&login, sizeof(login));
		return verdict;
	}
	OPENSSL_cleanse(&login, sizeof(login));
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (!h->proof->password_right)
		return VERDICT_LOGIN_REFUSED;
	if ((verdict = account_admits(h->c, h->proof->platform)) != VERDICT_ACCEPTED)
		return verdict;
	session_end(h->c); /* of the same platform, once more */
	s->platform = identity_platform_ref(h->proof->platform);
	h->c->quota = (struct quota_bucket){ 0 };
	connection_logged_in(h->c);
	return VERDICT_ACCEPTED;
}

enum verdict rule_platform_logout(struct hearing *h)
{
	if (h->c->session.platform == NULL)
		return VERDICT_NOT_LOGGED_IN;
	h->j->ends = true;
	return VERDICT_ACCEPTED;
}

enum verdict platform_speaks_for(struct hearing *h)
{
	const struct identity_platform *p = h->c->session.platform;

	assert(p != NULL);
	hearing_identify(h);
	if (h->identity == NULL || !identity_of_platform(h->identity, p->id))
		return VERDICT_NOT_THEIRS;
	return connection_admits(h->c, h->f->vin, h->known, h->identity);
}

bool platform_goes_on(const struct connection *c, const struct identity_platform *fresh)
{
	/* Another password is a revocation too. */
	return fresh != NULL && strcmp(fresh->password, c->session.platform->password) == 0 &&
	       account_admits(c, fresh) == VERDICT_ACCEPTED;
}

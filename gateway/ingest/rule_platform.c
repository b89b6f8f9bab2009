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

/* The account may have changed while a worker compared the password. */
static enum verdict account_of(const struct hearing *h, const char *login,
			       struct identity_platform **ret)
{
	struct identity_platform *asked = h->proof->platform;
	struct identity_platform *now = identity_platform(h->c->loop->server->identities, login);
	enum verdict verdict = VERDICT_LOGIN_REFUSED;

	if (h->proof->password_right && now != NULL && asked->id == now->id &&
	    strcmp(asked->password, now->password) == 0)
		verdict = account_admits(h->c, now);
	if (verdict == VERDICT_ACCEPTED)
		*ret = now;
	else
		identity_platform_put(now);
	return verdict;
}

static enum verdict platform_begin(struct hearing *h, const char *login)
{
	struct session *s = &h->c->session;
	struct identity_platform *account = NULL;
	const enum verdict verdict = account_of(h, login, &account);

	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	session_end(h->c); /* of the same platform, once more */
	s->platform = account;
	h->c->quota = (struct quota_bucket){ 0 };
	connection_logged_in(h->c);
	return VERDICT_ACCEPTED;
}

enum verdict rule_platform_login(struct hearing *h)
{
	const struct session *s = &h->c->session;
	struct platform_login login;
	enum verdict verdict = platform_login_decode(&h->j->seen, h->now, &login);

	hearing_identify(h);
	if (verdict == VERDICT_ACCEPTED &&
	    (s->logged_in || s->contends || !server_has_registry(h->c->loop->server)))
		verdict = VERDICT_LOGIN_REFUSED;
	else if (verdict == VERDICT_ACCEPTED && h->known == IDENTITY_NOT_LOADED)
		verdict = hearing_silence(h); /* nor are the accounts */
	else if (verdict == VERDICT_ACCEPTED && h->proof != NULL && h->proof->judged)
		verdict = platform_begin(h, login.user);
	else if (verdict == VERDICT_ACCEPTED && !hearing_may_log_in(h, login.user))
		verdict = VERDICT_THROTTLED;
	else if (verdict == VERDICT_ACCEPTED)
		verdict = hearing_ask_password(h, login.user, login.password);
	OPENSSL_cleanse(&login, sizeof(login));
	return verdict;
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
	if (h->known == IDENTITY_NOT_LOADED)
		return hearing_silence(h);
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

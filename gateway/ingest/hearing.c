#include "gateway/ingest/hearing.h"

#include <assert.h>
#include <string.h>

enum { PLAIN = 0x01 };

/* ---- who ---- */

void hearing_identify(struct hearing *h)
{
	const struct session *s = &h->c->session;

	if (h->identified)
		return;
	h->identified = true;
	if (s->logged_in) {
		h->known = s->known;
		h->identity = s->identity;
		return;
	}
	h->known = server_identity(h->c->loop->server, h->f->vin, &h->identity);
	h->owned = true;
}

const struct identity_certificate *connection_certificate(const struct connection *c,
							  const struct identity *identity)
{
	uint8_t fingerprint[32];

	if (identity == NULL || !tls_certificate_fingerprint(c, fingerprint))
		return NULL;
	for (size_t i = 0; i < identity->certificate_count; i++)
		if (memcmp(identity->certificates[i].fingerprint, fingerprint,
			   sizeof(fingerprint)) == 0)
			return &identity->certificates[i];
	return NULL;
}

enum verdict connection_admits(const struct connection *c, const char *vin,
			       enum identity_state known, const struct identity *identity)
{
	const char *shown = tls_certificate_vin(c);
	const struct identity_certificate *certificate;

	if (shown != NULL && strcmp(shown, vin) != 0)
		return VERDICT_CERTIFICATE_VIN;
	if (known == IDENTITY_UNKNOWN)
		return c->loop->config->session_unknown_vehicle == UNKNOWN_VEHICLE_PROVISIONAL
			       ? VERDICT_ACCEPTED
			       : VERDICT_VIN_UNKNOWN;
	if (known == IDENTITY_NOT_LOADED)
		return VERDICT_ACCEPTED;
	if (identity->blocked)
		return VERDICT_REVOKED;
	certificate = connection_certificate(c, identity);
	if (certificate != NULL && certificate->revoked)
		return VERDICT_CERTIFICATE_VIN;
	if ((identity->transport == TRANSPORT_TLS && c->ssl == NULL) ||
	    (identity->transport == TRANSPORT_CERTIFICATE && shown == NULL))
		return VERDICT_TRANSPORT_REFUSED;
	return VERDICT_ACCEPTED;
}

bool hearing_of_stranger(const struct hearing *h)
{
	const struct session *s = &h->c->session;

	return !s->logged_in && !s->contends && s->platform == NULL;
}

bool hearing_may_log_in(const struct hearing *h, const char *name)
{
	struct loop *l = h->c->loop;

	return quota_login(l->server->quota, l->config, h->c->peer, name, uv_now(&l->uv));
}

enum layout hearing_layout(const struct hearing *h)
{
	const struct session *s = &h->c->session;
	enum layout layout;

	if (h->proof != NULL)
		return h->proof->known; /* the worker and we must read the same */
	if (s->platform == NULL)
		return (enum layout)s->layout;
	layout = vin_table_layout(h->c->loop->server->vins, h->f->vin);
	return layout == LAYOUT_UNKNOWN && h->identity != NULL ? h->identity->layout : layout;
}

/* As far as it is known before the unit is read. */
static enum protocol protocol(const struct hearing *h)
{
	const struct session *s = &h->c->session;

	if (h->f->header == HEADER_V ? s->hj1239 : hearing_layout(h) == LAYOUT_C)
		return PROTOCOL_HJ1239;
	return h->f->protocol;
}

/* ---- workers ---- */

enum verdict hearing_silence(struct hearing *h)
{
	h->j->keep = h->j->reply = false;
	return VERDICT_THROTTLED;
}

enum verdict hearing_ask(struct hearing *h, bool verify)
{
	struct identities *t = h->c->loop->server->identities;
	struct crypto_job *job;

	assert(h->proof == NULL);
	job = crypto_frame_job(t, h->identity, h->f, protocol(h), hearing_layout(h), verify,
			       h->now);
	if (job == NULL)
		return hearing_silence(h);
	h->j->held = true;
	connection_ask(h->c, job);
	return VERDICT_ACCEPTED;
}

enum verdict hearing_ask_password(struct hearing *h, const char *login, const char *password)
{
	struct identities *t = h->c->loop->server->identities;
	struct crypto_job *job = h->proof;

	if (job == NULL)
		job = crypto_frame_job(NULL, NULL, h->f, protocol(h), LAYOUT_UNKNOWN, false,
				       h->now);
	if (job == NULL)
		return hearing_silence(h);
	crypto_ask_password(job, identity_platform(t, login), password);
	h->j->held = true;
	connection_ask(h->c, job);
	return VERDICT_ACCEPTED;
}

/* ---- encryption ---- */

static bool has_cipher(const struct hearing *h)
{
	if (h->c->loop->config->keys_dir[0] != '\0')
		return true;
	for (size_t i = 0; h->identity != NULL && i < h->identity->key_count; i++)
		if (h->identity->keys[i].cipher != NULL)
			return true;
	return false;
}

static const struct identity_key *key_now(const struct hearing *h, int64_t id)
{
	for (size_t i = 0; h->identity != NULL && i < h->identity->key_count; i++)
		if (h->identity->keys[i].id == id)
			return &h->identity->keys[i];
	return NULL;
}

static bool is_in_force(const struct hearing *h, int64_t id)
{
	const struct identity_key *key = key_now(h, id);

	return key != NULL && key->valid_from <= h->now && h->now < key->valid_to;
}

/* A report is checked at random, so that nobody knows which; all else always. */
static bool draw(const struct hearing *h)
{
	const struct session *s = &h->c->session;
	const double share = h->identity != NULL ? h->identity->signature_share : 1;

	/* One that has shown nothing yet, or a key that is good no more, is not spared. */
	if (s->contends || (share > 0 && s->platform == NULL && !is_in_force(h, s->key)))
		return true;
	return loop_random(h->c->loop) < share * 4294967296.0;
}

/* A stranger's unit is opened when it may be a login, and he may log in. */
static enum verdict stranger_asks(struct hearing *h, enum meaning meaning)
{
	const struct config *config = h->c->loop->config;
	enum verdict verdict;

	if (meaning == MEANING_REPORT &&
	    (config->session_report_before_login != REPORT_BEFORE_LOGIN_REGISTERED ||
	     h->known != IDENTITY_KNOWN))
		return VERDICT_NOT_LOGGED_IN;
	if (meaning == MEANING_LOGIN || meaning == MEANING_REPORT) {
		verdict = connection_admits(h->c, h->f->vin, h->known, h->identity);
		if (verdict != VERDICT_ACCEPTED)
			return verdict;
	}
	/* Other logins were counted before. */
	if (meaning != MEANING_LOGIN && meaning != MEANING_ACTIVATION &&
	    !hearing_may_log_in(h, h->f->vin))
		return VERDICT_THROTTLED;
	return VERDICT_ACCEPTED;
}

enum verdict hearing_open(struct hearing *h)
{
	const enum meaning meaning = frame_meaning(h->f);
	const struct guard_result *r;
	struct judgement *j = h->j;
	enum verdict verdict;

	if (h->f->encryption == PLAIN || h->f->unit_size == 0)
		return VERDICT_ACCEPTED;
	if (h->proof == NULL) {
		hearing_identify(h);
		if (!has_cipher(h))
			return VERDICT_ACCEPTED;
		if (hearing_of_stranger(h) &&
		    (verdict = stranger_asks(h, meaning)) != VERDICT_ACCEPTED)
			return verdict;
		return hearing_ask(h, meaning != MEANING_REPORT || draw(h));
	}
	if (!h->proof->guarded)
		return VERDICT_ACCEPTED;
	r = &h->proof->result;
	hearing_identify(h);
	if (r->verdict == VERDICT_ENCRYPTED || r->verdict == VERDICT_DECRYPT_FAILED)
		return h->known == IDENTITY_NOT_LOADED ? hearing_silence(h) : r->verdict;
	if (r->opened) {
		j->seen.unit = h->proof->unit;
		j->seen.unit_size = r->unit_size;
		j->seen.encryption = PLAIN;
		j->opened = true;
		j->cipher_key = r->cipher_key;
		j->quirks |= r->padding_wrong ? QUIRK_PADDING_WRONG : 0;
	}
	return VERDICT_ACCEPTED;
}

/* ---- signatures ---- */

/* Annex Q of GB 17691 has no signature, so nobody can be asked for one there. */
static bool signs(enum layout layout)
{
	return layout == LAYOUT_C || layout == LAYOUT_EV_2025;
}

/* Who is known to speak a protocol with signatures cannot evade them by another one. */
static bool must_sign(const struct hearing *h)
{
	const bool able =
		signs(h->scratch->layout) || (h->identity != NULL && signs(h->identity->layout));

	switch (h->known) {
	case IDENTITY_KNOWN:
		return able && h->identity->signature_required;
	case IDENTITY_UNKNOWN:
		return able && h->c->loop->config->session_signature == SIGNATURE_REQUIRED;
	default:
		return false;
	}
}

static bool has_signer(const struct identity *identity)
{
	for (size_t i = 0; identity != NULL && i < identity->key_count; i++)
		if (identity->keys[i].signer != NULL)
			return true;
	return false;
}

static enum verdict judge_check(struct hearing *h, bool required)
{
	struct judgement *j = h->j;

	switch (j->signature) {
	case SIGNATURE_VALID:
		j->quirks &= ~(unsigned)QUIRK_SIGNATURE_UNCHECKED;
		session_spoke(h, (int64_t)j->signature_key);
		return VERDICT_ACCEPTED;
	case SIGNATURE_SKIPPED:
		session_spoke(h, h->c->session.key);
		j->quirks &= ~(unsigned)QUIRK_SIGNATURE_UNCHECKED;
		j->quirks |= QUIRK_SIGNATURE_SKIPPED;
		return VERDICT_ACCEPTED;
	case SIGNATURE_NO_KEY:
		return required ? VERDICT_SIGNATURE_KEY : VERDICT_ACCEPTED;
	case SIGNATURE_UNDEFINED:
		return required ? VERDICT_SIGNATURE_MISSING : VERDICT_ACCEPTED;
	default:
		return VERDICT_SIGNATURE_BAD;
	}
}

enum verdict hearing_verify(struct hearing *h)
{
	const struct unit_signature *signature = &h->scratch->signature;
	struct judgement *j = h->j;
	bool required;

	hearing_identify(h);
	required = must_sign(h);
	if (signature->algorithm == ALGORITHM_NONE)
		return required ? VERDICT_SIGNATURE_MISSING : VERDICT_ACCEPTED;
	if (signature->bytes == NULL) {
		j->signature = SIGNATURE_UNDEFINED;
	} else if (!has_signer(h->identity)) {
		j->signature = SIGNATURE_NO_KEY;
	} else if (h->proof != NULL && h->proof->guarded) {
		j->signature = h->proof->result.signature;
		j->signature_key = h->proof->result.signature_key;
		j->signature_user = h->proof->result.signature_user;
		/* Revoked while the worker had the frame. */
		if (j->signature == SIGNATURE_VALID &&
		    key_now(h, (int64_t)j->signature_key) == NULL) {
			j->signature = SIGNATURE_INVALID;
			j->signature_key = 0;
		}
	} else if (draw(h)) {
		return hearing_ask(h, true);
	} else {
		j->signature = SIGNATURE_SKIPPED;
	}
	return judge_check(h, required);
}

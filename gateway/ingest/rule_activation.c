/*
 * rule_activation.c - a terminal says which key its security chip has.  Comes before the first
 * login: some do not log in until they are activated.
 *
 * The loop judges by what the registry told last; the store, which makes the key's row, by the same
 * rules (activation_take() in schema/0004_identity.sql).
 */
#include <string.h>

#include "gateway/ingest/hearing.h"

/* A person decides; what the terminal hears meanwhile is up to the caller. */
static enum verdict pend(struct hearing *h)
{
	h->j->quirks |= QUIRK_ACTIVATION_PENDING;
	return VERDICT_ACCEPTED;
}

static enum verdict first(struct hearing *h)
{
	switch (h->c->loop->config->session_activation) {
	case ACTIVATION_AUTOMATIC:
		return VERDICT_ACCEPTED;
	case ACTIVATION_APPROVAL:
		h->j->reply = false; /* it asks again until somebody has decided */
		return pend(h);
	default:
		return VERDICT_NOT_ACTIVATED;
	}
}

static enum verdict decide(struct hearing *h, const struct activation *a)
{
	struct server *s = h->c->loop->server;
	uint8_t key[PUBLIC_KEY_MAX];
	size_t size;

	if (!server_has_registry(s))
		return VERDICT_ACCEPTED;
	size = public_key_encode(a->signature.algorithm, a->public_key, a->public_key_size, key);
	if (size == 0)
		return hearing_silence(h); /* no memory: its signature has been verified with it */
	switch (identity_activation(s->identities, a->vin, a->chip_id, key, size)) {
	case IDENTITY_ACTIVATION_KNOWN:
		return VERDICT_ACCEPTED;
	case IDENTITY_ACTIVATION_FIRST:
	case IDENTITY_ACTIVATION_VIN_UNKNOWN: /* provisional, or it had not been admitted */
		return first(h);
	case IDENTITY_ACTIVATION_CHIP_TAKEN:
		h->j->answer = ANSWER_CHIP_TAKEN;
		return VERDICT_CHIP_TAKEN;
	case IDENTITY_ACTIVATION_PERSON:
		/* Never by itself: who can activate a second key speaks for the truck. */
		h->j->answer = ANSWER_VIN_UNKNOWN;
		return pend(h);
	case IDENTITY_ACTIVATION_NOT_LOADED:
		break;
	}
	return hearing_silence(h);
}

enum verdict rule_activation(struct hearing *h)
{
	struct session *s = &h->c->session;
	struct activation a;
	enum verdict verdict = activation_decode(&h->j->seen, h->now, &a);

	if (h->f->header == HEADER_V)
		s->hj1239 = true;
	if (verdict != VERDICT_ACCEPTED)
		return verdict;
	if (strcmp(a.vin, h->f->vin) != 0)
		return VERDICT_VIN_MISMATCH;
	hearing_identify(h);
	if (s->platform == NULL) {
		verdict = connection_admits(h->c, h->f->vin, h->known, h->identity);
		if (verdict != VERDICT_ACCEPTED)
			return verdict;
	}
	if (h->proof == NULL)
		return hearing_ask(h, true);
	h->j->signature = h->proof->result.signature;
	h->j->signature_user = h->proof->result.signature_user;
	if (h->j->signature != SIGNATURE_VALID)
		return VERDICT_SIGNATURE_BAD;
	return decide(h, &a);
}

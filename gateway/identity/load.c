#include "gateway/identity/load.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "gateway/identity/memory.h"
#include "gateway/identity/platform.h"

/* Results of one load, each in the order of the vehicles' ids. */
enum part { VEHICLES, KEYS, CERTIFICATES, PLATFORMS, PARTS };

/* A part in front of and behind the condition that names the vehicles. */
static const struct {
	const char *all, *some, *order;
} queries[PARTS] = {
	[VEHICLES] = { "SELECT v.id, v.vin, v.state IN ('blocked', 'retired'), v.valid_from, "
		       "v.valid_to, f.signature, f.signature_share, f.transport, f.encryption, "
		       "v.signature_doubted_at IS NOT NULL, t.layout, b.iccid, b.valid_from, "
		       "b.valid_to, EXISTS (SELECT FROM command c WHERE c.vehicle_id = v.id AND "
		       "c.state IN ('queued', 'sent')) "
		       "FROM vehicle v LEFT JOIN fleet f ON f.id = v.fleet_id "
		       "LEFT JOIN terminal t ON t.vehicle_id = v.id "
		       "LEFT JOIN terminal_identity b ON b.vehicle_id = v.id AND b.state = "
		       "'active'",
		       " WHERE v.id = ANY($1::bigint[])", " ORDER BY v.id" },
	[KEYS] = { "SELECT vehicle_id, id, purpose = 'sign', state = 'revoked', algorithm, mode, "
		   "chip_id, public_key, secret, iv, valid_from, valid_to FROM terminal_key "
		   "WHERE (state = 'active' OR state = 'revoked' AND purpose = 'sign')",
		   " AND vehicle_id = ANY($1::bigint[])",
		   " ORDER BY vehicle_id, valid_from DESC, id DESC" },
	[CERTIFICATES] = { "SELECT vehicle_id, id, fingerprint, state = 'revoked', valid_from, "
			   "valid_to FROM certificate",
			   " WHERE vehicle_id = ANY($1::bigint[])", " ORDER BY vehicle_id, id" },
	[PLATFORMS] = { "SELECT vehicle_id, platform_id FROM platform_vehicle",
			" WHERE vehicle_id = ANY($1::bigint[])",
			" ORDER BY vehicle_id, platform_id" },
};

struct load {
	const struct load_policy *policy;
	uint64_t policy_digest, ring_digest;
	PGresult *parts[PARTS];
	int next[PARTS]; /* first row that no vehicle has had */
	unsigned unusable;
	char complaint[400]; /* about the first unusable key */
};

/* ---- digests: FNV-1a ---- */

#define DIGEST_START UINT64_C(14695981039346656037)

static uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t size)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < size; i++)
		digest = (digest ^ p[i]) * UINT64_C(1099511628211);
	return digest;
}

static uint64_t digest_rows(uint64_t digest, const PGresult *r, int from, int to)
{
	for (int row = from; row < to; row++)
		for (int column = 0; column < PQnfields(r); column++) {
			const int size =
				PQgetisnull(r, row, column) ? -1 : PQgetlength(r, row, column);

			digest = digest_bytes(digest, &size, sizeof(size));
			if (size > 0)
				digest = digest_bytes(digest, PQgetvalue(r, row, column),
						      (size_t)size);
		}
	return digest;
}

static uint64_t digest_ring(const struct key_ring *ring)
{
	uint64_t digest = DIGEST_START;

	for (size_t i = 0; i < ring->wrapping_count; i++)
		digest = digest_bytes(digest, ring->wrapping[i].name, WRAP_NAME_SIZE);
	return digest;
}

/* ---- one vehicle ---- */

/* The rows [*from, return) of a part belong to the vehicle.  Part VEHICLES is the caller's. */
static int rows_of(struct load *l, enum part part, int64_t vehicle_id, int *from)
{
	const PGresult *r = l->parts[part];
	int *next = &l->next[part];

	while (*next < PQntuples(r) && value_int(r, *next, 0) < vehicle_id)
		(*next)++;
	*from = *next;
	while (*next < PQntuples(r) && value_int(r, *next, 0) == vehicle_id)
		(*next)++;
	return *next;
}

static struct period period_of(const PGresult *r, int row, int from, int to)
{
	return (struct period){ value_time(r, row, from, INT64_MIN),
				value_time(r, row, to, INT64_MAX) };
}

static enum transport transport_parse(const char *text)
{
	return strcmp(text, "certificate") == 0 ? TRANSPORT_CERTIFICATE
	       : strcmp(text, "tls") == 0	? TRANSPORT_TLS
						: TRANSPORT_ANY;
}

static void facts_take(const struct load *l, int row, struct facts *f)
{
	const PGresult *r = l->parts[VEHICLES];
	const char *signature = value_word(r, row, 5);
	const int64_t layout = value_int(r, row, 10);

	*f = (struct facts){
		.vehicle_id = value_int(r, row, 0),
		.barred = value_bool(r, row, 2),
		.valid = period_of(r, row, 3, 4),
		.signature_required =
			strcmp(signature, "required") == 0 ||
			(strcmp(signature, "optional") != 0 && l->policy->signature_required),
		.signature_share = PQgetisnull(r, row, 6) ? 1 : value_real(r, row, 6),
		.transport = transport_parse(value_word(r, row, 7)),
		.encryption_required = strcmp(value_word(r, row, 8), "required") == 0,
		.layout =
			layout > 0 && layout < LAYOUT_COUNT ? (enum layout)layout : LAYOUT_UNKNOWN,
		.box_valid = period_of(r, row, 12, 13),
		.has_orders = value_bool(r, row, 14),
	};
	if (value_bool(r, row, 9))
		f->signature_share = 1; /* its proof was bad once */
	value_text(r, row, 1, f->vin, sizeof(f->vin));
	value_text(r, row, 11, f->iccid, sizeof(f->iccid));
}

static void complain(struct load *l, const char *vin, int64_t key_id, const struct error *err)
{
	if (l->unusable++ == 0)
		snprintf(l->complaint, sizeof(l->complaint), "key %lld of %s: %.300s",
			 (long long)key_id, vin, err->text);
}

static struct key_set *keys_take(struct load *l, const char *vin, int from, int to)
{
	const PGresult *r = l->parts[KEYS];
	struct key_set *keys = key_set_new((size_t)(to - from));
	struct error err;

	for (int row = from; row < to; row++) {
		struct key_row k = { .id = value_int(r, row, 1),
				     .signs = value_bool(r, row, 2),
				     .revoked = value_bool(r, row, 3),
				     .algorithm = value_word(r, row, 4),
				     .mode = value_word(r, row, 5),
				     .chip_id = value_word(r, row, 6),
				     .valid = period_of(r, row, 10, 11) };

		k.public_key = value_bytes(r, row, 7, &k.public_key_size);
		k.secret = value_bytes(r, row, 8, &k.secret_size);
		k.iv = value_bytes(r, row, 9, &k.iv_size);
		if (key_set_add(keys, vin, &k, l->policy->ring, &err) < 0)
			complain(l, vin, k.id, &err);
	}
	return keys;
}

static struct certificate_row *certificates_take(const PGresult *r, int from, int to)
{
	struct certificate_row *list = memory_zero((size_t)(to - from), sizeof(*list));

	for (int row = from; row < to; row++) {
		struct certificate_row *c = &list[row - from];
		size_t size;
		const uint8_t *fingerprint = value_bytes(r, row, 2, &size);

		assert(size == sizeof(c->certificate.fingerprint)); /* the table checks it */
		memcpy(c->certificate.fingerprint, fingerprint, size);
		c->certificate.id = value_int(r, row, 1);
		c->certificate.revoked = value_bool(r, row, 3);
		c->valid = period_of(r, row, 4, 5);
	}
	return list;
}

static int32_t *platforms_take(const PGresult *r, int from, int to)
{
	int32_t *list = memory_zero((size_t)(to - from), sizeof(*list));

	for (int row = from; row < to; row++)
		list[row - from] = (int32_t)value_int(r, row, 1);
	return list;
}

/* Keys cost most: they are made again only when a row of theirs is another one. */
static struct key_set *keys_get(struct load *l, const char *vin, int from, int to,
				const struct snapshot *known, uint64_t digest)
{
	if (known != NULL && known->keys_digest == digest)
		return key_set_ref(known->keys);
	return keys_take(l, vin, from, to);
}

/* The one known when its rows are as they were; else a new one. */
static struct snapshot *vehicle_take(struct load *l, int row, const struct index *known)
{
	const int64_t id = value_int(l->parts[VEHICLES], row, 0);
	struct snapshot *const old = index_by_id(known, id), *s;
	uint64_t digest = digest_rows(l->policy_digest, l->parts[VEHICLES], row, row + 1);
	uint64_t keys_digest = l->ring_digest;
	int from[PARTS], to[PARTS];
	struct key_set *keys;
	struct facts facts;

	for (int part = KEYS; part < PARTS; part++) {
		to[part] = rows_of(l, part, id, &from[part]);
		digest = digest_bytes(digest, &part, sizeof(part));
		digest = digest_rows(digest, l->parts[part], from[part], to[part]);
	}
	keys_digest = digest_rows(keys_digest, l->parts[KEYS], from[KEYS], to[KEYS]);
	facts_take(l, row, &facts);
	keys_digest = digest_bytes(keys_digest, facts.vin, sizeof(facts.vin));
	if (old != NULL && old->digest == digest && old->keys_digest == keys_digest &&
	    !snapshot_is_stale(old, l->policy->at)) {
		identity_ref(&old->identity);
		return old;
	}
	keys = keys_get(l, facts.vin, from[KEYS], to[KEYS], old, keys_digest);
	facts.activated = keys->claim_count > 0;
	s = snapshot_new(
		&facts, keys,
		certificates_take(l->parts[CERTIFICATES], from[CERTIFICATES], to[CERTIFICATES]),
		(size_t)(to[CERTIFICATES] - from[CERTIFICATES]),
		platforms_take(l->parts[PLATFORMS], from[PLATFORMS], to[PLATFORMS]),
		(size_t)(to[PLATFORMS] - from[PLATFORMS]), l->policy->at);
	s->digest = digest;
	s->keys_digest = keys_digest;
	return s;
}

/* ---- all of them ---- */

static int ask(struct database *d, const char *ids, struct load *l, struct error *err)
{
	char sql[1200];
	int rc = database_command(d, "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY", err);

	for (int part = 0; rc == 0 && part < PARTS; part++) {
		snprintf(sql, sizeof(sql), "%s%s%s", queries[part].all,
			 ids != NULL ? queries[part].some : "", queries[part].order);
		if ((l->parts[part] = database_query(d, sql, ids, err)) == NULL)
			rc = err->code;
	}
	return rc == 0 ? database_command(d, "COMMIT", err) : rc;
}

int load_vehicles(struct database *d, const char *ids, const struct load_policy *policy,
		  const struct index *known, struct loaded *ret, struct error *err)
{
	struct load l = { .policy = policy, .ring_digest = digest_ring(policy->ring) };
	const int rc = ask(d, ids, &l, err);

	l.policy_digest = digest_bytes(DIGEST_START, &policy->signature_required, sizeof(bool));
	*ret = (struct loaded){ 0 };
	if (rc == 0) {
		const int n = PQntuples(l.parts[VEHICLES]);

		ret->list = memory_zero((size_t)n, sizeof(struct snapshot *));
		for (int row = 0; row < n; row++)
			ret->list[ret->count++] = vehicle_take(&l, row, known);
	}
	for (int part = 0; part < PARTS; part++)
		PQclear(l.parts[part]);
	if (l.unusable > 0)
		log_line(LOG_WARNING,
			 "identity: keys cannot be used and are left out count=%u first=\"%s\"",
			 l.unusable, l.complaint);
	return rc;
}

void loaded_release(struct loaded *l)
{
	for (size_t i = 0; i < l->count; i++)
		identity_put(&l->list[i]->identity);
	free(l->list);
	*l = (struct loaded){ 0 };
}

/* ---- platforms ---- */

static const char platforms_sql[] = "SELECT id, login, password, state <> 'active', require_tls, "
				    "array_to_string(sources, ' ') FROM platform ORDER BY id";

int load_platforms(struct database *d, struct map *ret, uint64_t *ret_digest, struct error *err)
{
	PGresult *r = database_query(d, platforms_sql, NULL, err);

	if (r == NULL)
		return err->code;
	for (int row = 0; row < PQntuples(r); row++) {
		struct identity_platform *p = memory_zero(1, sizeof(*p));

		atomic_init(&p->refs, 1);
		p->id = (int32_t)value_int(r, row, 0);
		value_text(r, row, 1, p->login, sizeof(p->login));
		value_text(r, row, 2, p->password, sizeof(p->password));
		p->blocked = value_bool(r, row, 3);
		p->require_tls = value_bool(r, row, 4);
		platform_sources_set(p, value_word(r, row, 5));
		map_set(ret, p->login, p);
	}
	*ret_digest = digest_rows(0, r, 0, PQntuples(r));
	PQclear(r);
	return 0;
}

static void platform_release(void *value, void *arg)
{
	(void)arg;
	identity_platform_put(value);
}

void platforms_clear(struct map *m)
{
	map_clear(m, platform_release, NULL);
}

#include "tools/cli/fleetsim/source.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/fleetsim/body.h"
#include "tools/cli/fleetsim/body_ev.h"

/* ---- who a truck is ---- */

/* Streams of chance of a truck's seed; model_init() takes its own. */
enum {
	CHANCE_IDENTITY = 100,
	CHANCE_SOURCE = 101,
	CHANCE_OBD = 102,
	CHANCE_KINDS = 103,
	CHANCE_TRUST = 105,
	CHANCE_PLATFORM = 106
};

/*
 * Trucks of another composition are other trucks: so a second run with other violators does not
 * send other values under the same VIN and second.
 */
static uint64_t composition(const struct fleet_plan *plan)
{
	uint64_t hash = prng_hash(plan->seed + 1) ^
			prng_hash(plan->trucks + (uint64_t)plan->spread_s * 1000003);

	for (unsigned k = 0; k < KIND_COUNT; k++)
		hash = prng_hash(hash + plan->violators[k]);
	return plan->clock_faults > 0 ? prng_hash(hash + (uint64_t)(plan->clock_faults * 1e6))
				      : hash;
}

void plan_kinds(const struct fleet_plan *plan, enum kind *kinds)
{
	struct prng chance;
	unsigned n = 0;

	for (unsigned k = KIND_clean + 1; k < KIND_COUNT; k++)
		for (unsigned i = 0; i < plan->violators[k] && n < plan->trucks; i++)
			kinds[n++] = (enum kind)k;
	while (n < plan->trucks)
		kinds[n++] = KIND_clean;
	prng_init(&chance, plan->seed, CHANCE_KINDS);
	for (; n > 1; n--) {
		const unsigned other = (unsigned)prng_below(&chance, n);
		const enum kind kind = kinds[n - 1];
		kinds[n - 1] = kinds[other];
		kinds[other] = kind;
	}
}

/* GB 16735: the ninth character checks the others.  Letters count as the standard's table says. */
static char vin_check(const char *vin)
{
	static const char letters[] = "ABCDEFGH.JKLMN.P.R.STUVWXYZ";
	static const uint8_t values[] = { 1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5,
					  0, 7, 0, 9, 0, 2, 3, 4, 5, 6, 7, 8, 9 };
	static const uint8_t weights[VIN_SIZE] = { 8, 7, 6, 5, 4, 3, 2, 10, 0,
						   9, 8, 7, 6, 5, 4, 3, 2 };
	unsigned sum = 0;

	static_assert(sizeof(letters) - 1 == sizeof(values), "one value for each letter");
	for (unsigned i = 0; i < VIN_SIZE; i++) {
		const char *letter = strchr(letters, vin[i]);
		sum += weights[i] *
		       (letter != NULL ? values[letter - letters] : (unsigned)(vin[i] - '0'));
	}
	return sum % 11 == 10 ? 'X' : (char)('0' + sum % 11);
}

static void make_vin(uint64_t fleet, unsigned index, struct prng *chance, char vin[VIN_SIZE + 1])
{
	static const char makers[][4] = { "LZG", "LFW", "LZZ", "LGA", "LRD" };
	static const char letters[] = "ABCDEFGHJKLMNPRSTUVWXYZ";
	char middle[6];

	for (unsigned i = 0; i < sizeof(middle); i++)
		middle[i] = letters[prng_below(chance, sizeof(letters) - 1)];
	const char *maker = makers[prng_below(chance, 5)];
	const char year = "LMNPRST"[prng_below(chance, 7)];
	/* The last six digits count the fleet's trucks, so that no VIN comes twice. */
	snprintf(vin, VIN_SIZE + 1, "%s%.5s0%c%c%06u", maker, middle, year, middle[5],
		 (unsigned)((fleet + index) % 1000000));
	vin[8] = vin_check(vin);
}

/*
 * "##" with HJ 1239 inside: whose table the encryption byte is of, a gateway knows only when the
 * registry has a key of the vehicle.
 */
static bool can_encrypt(const struct dialect *d, enum algorithm algorithm)
{
	const bool own_key = algorithm == ALGORITHM_SM4 || algorithm == ALGORITHM_AES128;

	return encryption_byte(d->protocol, algorithm) != 0 &&
	       (own_key || d->protocol == PROTOCOL_GB17691 || d->start == 0x7E);
}

void plan_truck(const struct fleet_plan *plan, unsigned index, enum kind kind,
		struct truck_plan *ret)
{
	const uint64_t fleet = composition(plan);
	struct prng chance;

	assert(plan->trucks <= 1000000 && index < plan->trucks && plan->dialects.count > 0);
	memset(ret, 0, sizeof(*ret));
	ret->index = index;
	ret->kind = kind;
	ret->seed = prng_hash(fleet + index);
	prng_init(&chance, ret->seed, CHANCE_IDENTITY);
	make_vin(fleet, index, &chance, ret->vin);
	snprintf(ret->iccid, sizeof(ret->iccid), "898604%014llu",
		 (unsigned long long)prng_below(&chance, 100000000000000u));
	ret->route = &plan->routes->routes[prng_below(&chance, plan->routes->count)];
	ret->start = plan->start + (int64_t)prng_below(&chance, plan->spread_s);
	ret->regroups = prng_below(&chance, 3) == 0;
	ret->supplementary = prng_below(&chance, 3) == 0;
	ret->tls = prng_unit(&chance) < plan->tls_share;
	ret->clock_faults = prng_unit(&chance) < plan->clock_faults;
	/* In turn, so that a small fleet speaks every dialect too. */
	ret->dialect = &dialects[plan->dialects.ids[index % plan->dialects.count]];
	/* Drawn apart: who signs reports the same seconds as without. */
	prng_init(&chance, ret->seed, CHANCE_TRUST);
	ret->signs = prng_unit(&chance) < plan->signed_share && ret->dialect->layout == LAYOUT_C;
	if (prng_unit(&chance) < plan->encrypted_share && plan->cipher_count > 0)
		ret->cipher = plan->ciphers[prng_below(&chance, plan->cipher_count)];
	prng_init(&chance, ret->seed, CHANCE_PLATFORM);
	ret->platform =
		ret->dialect->header == HEADER_P && prng_unit(&chance) < plan->platform_share;
	ret->tls = ret->tls && !ret->platform; /* its own connection would be */
	/* A platform passes a unit on in clear, with its signature. */
	if (ret->platform || !can_encrypt(ret->dialect, ret->cipher))
		ret->cipher = ALGORITHM_NONE;
}

/* ---- what it reports ---- */

void source_init(struct source *s, const struct fleet_plan *plan, const struct truck_plan *truck)
{
	struct prng obd;

	memset(s, 0, sizeof(*s));
	s->truck = truck;
	model_init(&s->model, truck->seed, truck->kind, truck->route);
	prng_init(&s->chance, truck->seed, CHANCE_SOURCE);
	prng_init(&obd, truck->seed, CHANCE_OBD);
	s->obd_size = body_obd(truck->kind, truck->vin, &obd, s->obd, sizeof(s->obd));
	s->at = truck->start;
	s->end = truck->start + plan->drive_s;
	s->next_obd = s->at;
	s->next_fault = s->at + 300 + (int64_t)prng_below(&s->chance, 1800);
}

static struct sample *add(struct moment *m, uint8_t type, uint8_t size)
{
	assert(m->count < MOMENT_SAMPLES_MAX && size <= SAMPLE_SIZE_MAX);
	struct sample *sample = &m->samples[m->count++];
	sample->at = m->at;
	sample->type = type;
	sample->size = size;
	return sample;
}

/* A unit of GB/T 32960 is one moment: each frame's first second, and nothing in between. */
static void fill_ev(struct source *s, const struct reading *r, struct moment *m)
{
	static const struct {
		const struct info *info;
		uint8_t (*write)(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX]);
	} blocks[] = {
		{ &info_ev_vehicle, body_ev_vehicle },
		{ &info_ev_engine, body_ev_engine },
		{ &info_ev_position, body_ev_position },
		{ &info_ev_alarm, body_ev_alarm },
	};

	for (unsigned i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct sample *sample = add(m, blocks[i].info->type, 0);
		sample->size = blocks[i].write(r, sample->body);
	}
	s->last = m->samples[0];
}

static void fill(struct source *s, const struct reading *r, struct moment *m)
{
	m->new_frame = s->in_frame == 0;
	s->in_frame = (s->in_frame + 1) % FRAME_SECONDS;
	if (s->truck->dialect->layout == LAYOUT_EV) {
		if (m->new_frame)
			fill_ev(s, r, m);
		return;
	}
	if (m->new_frame && m->at >= s->next_obd) {
		memcpy(add(m, INFO_OBD, s->obd_size)->body, s->obd, s->obd_size);
		s->next_obd = m->at + OBD_PERIOD_S - (int64_t)prng_below(&s->chance, 120);
	}
	/* Odd ones say "sensor error", even ones "no value": both are met. */
	const bool abnormal = s->truck->kind == KIND_sensor_invalid && s->truck->index % 2 == 1;
	struct sample *stream = add(m, INFO_STREAM, STREAM_SIZE);
	body_stream(r, abnormal, stream->body);
	s->last = *stream;
	if (m->new_frame && s->truck->supplementary)
		body_supplementary(r, add(m, INFO_SUPPLEMENTARY, SUPPLEMENTARY_SIZE)->body);
}

/* A clock that fell back to the year 2000 (the wire knows no earlier one), or jumped a year ahead.
 */
static void fill_fault(struct source *s, struct moment *m)
{
	const int64_t year_2000 = 946656000; /* 2000-01-01 00:00 at GMT+8 */
	const int64_t when = prng_below(&s->chance, 2) == 0 ? year_2000 : s->at + 365 * 86400;

	s->last.at = when + (int64_t)prng_below(&s->chance, 86400);
	m->at = s->at;
	m->new_frame = m->clock_fault = true;
	m->samples[0] = s->last;
	m->count = 1;
	s->next_fault = s->at + 1800 + (int64_t)prng_below(&s->chance, 3600);
}

bool source_next(struct source *s, struct moment *ret)
{
	struct reading r;

	ret->count = 0;
	ret->new_frame = ret->clock_fault = false;
	if (s->truck->clock_faults && s->in_frame == 0 && s->last.size > 0 &&
	    s->at >= s->next_fault) {
		fill_fault(s, ret);
		return true;
	}
	if (s->at >= s->end)
		return false;
	ret->at = s->at++;
	if (model_step(&s->model, &r))
		fill(s, &r, ret);
	else
		s->in_frame = 0;
	return true;
}

uint64_t samples_hash(uint64_t hash, const struct sample *sample)
{
	uint8_t head[9] = { sample->type };

	for (int i = 0; i < 8; i++)
		head[1 + i] = (uint8_t)((uint64_t)sample->at >> (8 * (7 - i)));
	for (unsigned i = 0; i < sizeof(head); i++)
		hash = (hash ^ head[i]) * 0x100000001B3u;
	for (unsigned i = 0; i < sample->size; i++)
		hash = (hash ^ sample->body[i]) * 0x100000001B3u;
	return hash;
}

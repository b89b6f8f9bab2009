/* samples.c - what was sent and what is stored, second by second, as hashes that compare. */
#include "test/store/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gateway/store/context.h"
#include "proto/record/pack.h"

void samples_add(struct samples *s, const char *vin, int64_t at, uint8_t type, const uint8_t *body,
		 size_t size)
{
	if (s->count == s->max) {
		s->max = s->max * 2 + 1024;
		s->list = realloc(s->list, s->max * sizeof(*s->list));
	}
	s->list[s->count] = (struct sample){ .at = at, .type = type };
	snprintf(s->list[s->count].vin, sizeof(s->list[s->count].vin), "%s", vin);
	s->list[s->count++].body = hash_bytes(HASH_START, body, size);
}

void samples_expect(struct samples *s, unsigned truck, int64_t at, unsigned count)
{
	char vin[VIN_SIZE + 1];
	uint8_t body[STREAM_SIZE];

	truck_vin(truck, vin);
	for (unsigned i = 0; i < count; i++) {
		truck_body(truck, at + i, body);
		samples_add(s, vin, at + i, INFO_STREAM, body, sizeof(body));
	}
}

void fixture_samples(struct fixture *f, struct samples *ret)
{
	static struct unpacked u;
	PGresult *r = PQexecParams(
		f->conn,
		"SELECT vin, extract(epoch FROM at)::bigint, samples, sample_count::integer "
		"FROM track JOIN vehicle ON id = vehicle_id",
		0, NULL, NULL, NULL, NULL, 1);

	*ret = (struct samples){ 0 };
	if (PQresultStatus(r) != PGRES_TUPLES_OK)
		fail_msg("%s", PQerrorMessage(f->conn));
	for (int i = 0; i < PQntuples(r); i++) {
		char vin[VIN_SIZE + 1] = "";
		int64_t at;

		memcpy(vin, PQgetvalue(r, i, 0), (size_t)PQgetlength(r, i, 0));
		memcpy(&at, PQgetvalue(r, i, 1), 8);
		at = (int64_t)be64toh((uint64_t)at);
		assert_int_equal(blocks_unpack((const uint8_t *)PQgetvalue(r, i, 2),
					       (size_t)PQgetlength(r, i, 2), at, &u),
				 0);
		assert_int_equal(u.blocks[0].at, at);
		for (size_t j = 0; j < u.block_count; j++)
			samples_add(ret, vin, u.blocks[j].at, u.blocks[j].type, u.blocks[j].body,
				    u.blocks[j].size);
	}
	PQclear(r);
}

static int sample_order(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	const int vin = strcmp(x->vin, y->vin);

	if (vin != 0)
		return vin;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (int)x->type - (int)y->type;
}

void samples_unique(struct samples *s)
{
	size_t kept = 0;

	qsort(s->list, s->count, sizeof(*s->list), sample_order);
	for (size_t i = 0; i < s->count; i++)
		if (kept == 0 || sample_order(&s->list[kept - 1], &s->list[i]) != 0)
			s->list[kept++] = s->list[i];
	s->count = kept;
}

void assert_samples(struct samples *stored, struct samples *expected)
{
	qsort(stored->list, stored->count, sizeof(*stored->list), sample_order);
	samples_unique(expected);
	for (size_t i = 0; i < stored->count && i < expected->count; i++) {
		const struct sample *a = &stored->list[i], *b = &expected->list[i];

		if (sample_order(a, b) != 0 || a->body != b->body)
			fail_msg("sample %zu: stored %s %lld type %u, expected %s %lld type %u%s",
				 i, a->vin, (long long)a->at, a->type, b->vin, (long long)b->at,
				 b->type, a->body != b->body ? " (other bytes)" : "");
	}
	assert_int_equal(stored->count, expected->count);
	free(stored->list);
	free(expected->list);
}

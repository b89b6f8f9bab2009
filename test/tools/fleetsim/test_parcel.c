/* Parcels become frames that the decoder reads back, in every dialect, whole, merged and cut; and
 * the comparison. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tools/cli/fleetsim/parcel.h"
#include "tools/cli/fleetsim/verify.h"

enum { START = 1795384800, SAMPLES_MAX = 128 };

static struct route_list road;

struct cargo {
	struct truck_plan truck;
	struct sample samples[SAMPLES_MAX]; /* what the parcels hold, in order of sending */
	size_t count;
};

/* The first n parcels of a truck. */
static void load(struct cargo *c, enum dialect_id dialect, struct parcel **parcels, unsigned n)
{
	struct fleet_plan plan = { .seed = 11,
				   .trucks = 50,
				   .start = START,
				   .drive_s = 3600,
				   .spread_s = 60,
				   .routes = &road };
	static struct source source;
	struct moment m;
	unsigned index = 0;
	const unsigned seconds = dialects[dialect].layout == LAYOUT_EV ? 1 : FRAME_SECONDS;

	plan.dialects.count = 1;
	plan.dialects.ids[0] = dialect;
	memset(c, 0, sizeof(*c));
	do
		plan_truck(&plan, index++, KIND_clean, &c->truck);
	while (!c->truck.supplementary);
	source_init(&source, &plan, &c->truck);
	for (unsigned i = 0; i < n; i++) {
		parcels[i] = parcel_new((uint16_t)(i + 1));
		while (parcels[i]->seconds < seconds && source_next(&source, &m)) {
			if (m.count == 0)
				continue; /* between two moments of GB/T 32960 */
			assert_int_equal(m.new_frame, parcels[i]->seconds == 0);
			parcel_add(parcels[i], &m);
			for (unsigned k = 0; k < m.count; k++)
				c->samples[c->count++] = m.samples[k];
		}
		parcels[i] = parcel_trim(parcels[i]);
	}
}

/* Encodes, decodes, and adds what came out to got. */
static void carry(const struct cargo *c, const struct parcel *p, struct sample *got,
		  size_t *got_count)
{
	uint8_t buf[PARCEL_FRAME_MAX];
	static const struct trust plain = { .cipher = NULL };
	static struct report report;
	struct frame f;
	size_t used;
	const size_t size = parcel_frame(p, &c->truck, &plain, COMMAND_SUPPLEMENT, START + 1000,
					 buf, sizeof(buf));

	assert_int_equal(frame_scan(buf, size, FRAME_UNIT_MAX, &f, &used), SCAN_FRAME);
	assert_int_equal(used, size);
	assert_string_equal(f.vin, c->truck.vin);
	assert_int_equal(report_decode(&f, LAYOUT_UNKNOWN, START + 86400, &report),
			 VERDICT_ACCEPTED);
	/* A' with serial 1 and B with serial 256 are the same bytes before an OBD block; the
	 * samples are, too. */
	if (c->truck.dialect->layout != LAYOUT_A_PRIME)
		assert_int_equal(report.layout, c->truck.dialect->layout);
	for (size_t i = 0; i < report.block_count; i++) {
		struct sample *s = &got[(*got_count)++];
		s->at = report.blocks[i].at;
		s->type = report.blocks[i].type;
		s->size = (uint8_t)report.blocks[i].size;
		memcpy(s->body, report.blocks[i].body, s->size);
	}
}

static void expect_same(struct cargo *c, struct sample *got, size_t got_count)
{
	struct comparison comparison = { .sent = 0 };

	sort_samples(c->samples, c->count);
	sort_samples(got, got_count);
	compare_samples(c->truck.vin, c->samples, c->count, got, got_count, &comparison);
	if (comparison.missing + comparison.differing + comparison.twice + comparison.unexpected >
	    0)
		fail_msg("%s: %s", c->truck.dialect->name, comparison.first_fault);
	assert_int_equal(comparison.sent, c->count);
}

static void test_every_dialect_is_read_back(void **state)
{
	(void)state;
	for (unsigned d = 0; d < DIALECT_COUNT; d++) {
		static struct cargo c;
		struct sample got[SAMPLES_MAX];
		struct parcel *p[2];
		size_t n = 0;
		load(&c, (enum dialect_id)d, p, 2);
		carry(&c, p[0], got, &n);
		carry(&c, p[1], got, &n);
		expect_same(&c, got, n);
		free(p[0]);
		free(p[1]);
	}
}

static void test_merged_and_cut_parcels_are_read_back(void **state)
{
	(void)state;
	for (unsigned d = 0; d < DIALECT_COUNT; d++) {
		static struct cargo c;
		struct sample got[SAMPLES_MAX];
		struct parcel *p[3], *merged, *cut;
		size_t n = 0;
		if (dialects[d].layout == LAYOUT_EV)
			continue; /* a frame is one moment: nothing to cut, and not to be merged */
		load(&c, (enum dialect_id)d, p, 3);
		cut = parcel_split(p[2]);
		assert_int_equal(p[2]->seconds + cut->seconds, FRAME_SECONDS);
		if (parcel_can_merge(p[0], p[1], c.truck.dialect->layout)) {
			merged = parcel_merge(p[0], p[1]);
			carry(&c, merged, got, &n);
			free(merged);
		} else {
			/* A supplementary block has no time of its own there. */
			assert_int_not_equal(c.truck.dialect->layout, LAYOUT_C);
			carry(&c, p[0], got, &n);
			carry(&c, p[1], got, &n);
		}
		carry(&c, p[2], got, &n);
		carry(&c, cut, got, &n);
		expect_same(&c, got, n);
		for (unsigned i = 0; i < 3; i++)
			free(p[i]);
		free(cut);
	}
}

static void test_comparison_sees_every_fault(void **state)
{
	static struct cargo c;
	struct sample stored[SAMPLES_MAX];
	struct parcel *p[2];
	struct comparison r;

	(void)state;
	load(&c, DIALECT_HJ_V, p, 2);
	sort_samples(c.samples, c.count);
	const size_t n = c.count;

	memcpy(stored, c.samples, n * sizeof(stored[0]));
	memset(&r, 0, sizeof(r));
	compare_samples("V", c.samples, n, stored, n, &r);
	assert_int_equal(r.missing + r.differing + r.twice + r.unexpected, 0);

	memset(&r, 0, sizeof(r));
	compare_samples("V", c.samples, n, stored + 1, n - 1, &r);
	assert_true(r.missing == 1 && r.differing + r.twice + r.unexpected == 0);

	memset(&r, 0, sizeof(r));
	compare_samples("V", c.samples, n - 1, stored, n, &r);
	assert_true(r.unexpected == 1 && r.missing + r.differing + r.twice == 0);

	memset(&r, 0, sizeof(r));
	stored[4].body[2] ^= 1;
	compare_samples("V", c.samples, n, stored, n, &r);
	assert_true(r.differing == 1 && r.missing + r.unexpected + r.twice == 0);
	assert_non_null(strstr(r.first_fault, "V, 2026-"));

	memset(&r, 0, sizeof(r));
	memcpy(stored, c.samples, n * sizeof(stored[0]));
	stored[n] = stored[3];
	sort_samples(stored, n + 1);
	compare_samples("V", c.samples, n, stored, n + 1, &r);
	assert_true(r.twice == 1 && r.missing + r.unexpected + r.differing == 0);
	free(p[0]);
	free(p[1]);
}

static int load_road(void **state)
{
	(void)state;
	return routes_load(NULL, &road, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_dialect_is_read_back),
		cmocka_unit_test(test_merged_and_cut_parcels_are_read_back),
		cmocka_unit_test(test_comparison_sees_every_fault),
	};
	return cmocka_run_group_tests(tests, load_road, NULL);
}

/* What is known holds while the database is away, the clock goes on, and all of it comes back;
 * and a city's registry is loaded in a time that one can wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "gateway/base/clock.h"
#include "test/identity/fixture.h"

#define VIN "LTEST000000000001"

static bool is_blocked(struct fixture *f, const void *vin)
{
	struct identity *i = fixture_identity(f, vin);
	const bool blocked = i->blocked;

	identity_put(i);
	return blocked;
}

static bool is_free(struct fixture *f, const void *vin)
{
	return !is_blocked(f, vin);
}

static int64_t connected(struct fixture *f)
{
	return metrics_read(f->metrics, METRIC_identity_connected);
}

static void wait_connected(struct fixture *f, int64_t wanted)
{
	const struct timespec slice = { .tv_nsec = 5 * 1000000 };

	while (connected(f) != wanted)
		nanosleep(&slice, NULL);
}

static void insert_vehicle(struct fixture *f, const char *vin, const char *columns,
			   const char *values)
{
	fixture_execute(f, "INSERT INTO vehicle (vin%s) VALUES ('%s'%s)", columns, vin, values);
}

/* Method: the session ends by force while nothing else happens; the next change is heard. */
static void test_session_is_ended(void **state)
{
	struct fixture f;

	(void)state;
	fixture_open(&f);
	insert_vehicle(&f, VIN, "", "");
	fixture_start(&f);
	for (int i = 0; i < 3; i++) {
		wait_connected(&f, 1);
		fixture_number(&f, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity "
				   "WHERE application_name = 'haulgate-identity'");
		fixture_execute(&f, "UPDATE vehicle SET state = '%s'",
				i % 2 == 0 ? "blocked" : "registered");
		fixture_wait(&f, i % 2 == 0 ? is_blocked : is_free, VIN);
	}
	fixture_stop(&f);
	fixture_close(&f);
}

/* Method: the server stops; meanwhile a vehicle's time is over, and another one's begins. */
static void test_server_is_stopped(void **state)
{
	static const char ends[] = "LTEST000000000002", begins[] = "LTEST000000000003";
	struct fixture f;

	(void)state;
	if (getenv("HAULGATE_TEST_PGDATA") == NULL) {
		print_message("skipped: the server is not ours\n");
		skip();
	}
	fixture_open(&f);
	insert_vehicle(&f, VIN, "", "");
	insert_vehicle(&f, ends, ", valid_to", ", now() + interval '4 s'");
	insert_vehicle(&f, begins, ", valid_from", ", now() + interval '4 s'");
	fixture_start(&f);
	assert_true(is_free(&f, ends) && is_blocked(&f, begins));
	server_control("-m immediate stop");
	wait_connected(&f, 0);
	assert_true(is_free(&f, VIN));
	fixture_wait(&f, is_blocked, ends);
	fixture_wait(&f, is_free, begins);
	assert_int_equal(connected(&f), 0);
	server_control("-t 60 start");
	PQreset(f.conn);
	fixture_execute(&f, "UPDATE vehicle SET state = 'blocked' WHERE vin = '" VIN "'");
	fixture_wait(&f, is_blocked, VIN);
	assert_true(is_free(&f, begins));
	fixture_stop(&f);
	fixture_close(&f);
}

/* Method: the end of the process does not wait for a server that is not there. */
static void test_end_without_a_server(void **state)
{
	static char nowhere[] = "host=/nowhere dbname=x";
	struct identities_options options = { 0 };
	struct identity *i;
	struct fixture f;
	struct error err;

	(void)state;
	fixture_keys_open(&f);
	f.config.store_conninfo = nowhere;
	options.config = &f.config;
	assert_int_equal(identities_open(&options, &f.identities, &err), 0);
	assert_int_equal(identity_get(f.identities, VIN, &i), IDENTITY_NOT_LOADED);
	assert_int_equal(identities_reload(f.identities, &f.config, &err), 0);
	fixture_stop(&f);
	fixture_keys_close(&f);
}

static void test_old_schema_is_not_used(void **state)
{
	struct identities_options options = { 0 };
	struct identity *i;
	struct fixture f;
	struct error err;

	(void)state;
	fixture_open(&f);
	fixture_execute(&f, "UPDATE schema_version SET version = -version");
	options.config = &f.config;
	options.metrics = metrics_thread(f.metrics, 0);
	assert_int_equal(identities_open(&options, &f.identities, &err), 0);
	while (fixture_number(&f, "SELECT count(*) FROM pg_stat_activity WHERE application_name = "
				  "'haulgate-identity'") == 0)
		; /* it has tried once */
	assert_int_equal(identity_get(f.identities, VIN, &i), IDENTITY_NOT_LOADED);
	fixture_execute(&f, "UPDATE schema_version SET version = -version");
	wait_connected(&f, 1);
	assert_int_equal(identity_get(f.identities, VIN, &i), IDENTITY_UNKNOWN);
	fixture_stop(&f);
	fixture_close(&f);
}

/* ---- size ---- */

static int64_t ms_since(int64_t start_ns)
{
	return (clock_mono_ns() - start_ns) / 1000000;
}

static long memory_kib(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long size, resident = 0;

	assert_non_null(file);
	assert_int_equal(fscanf(file, "%ld %ld", &size, &resident), 2);
	fclose(file);
	return resident * 4;
}

/* Executes, and waits until it holds for the vehicle. */
static void known_within(struct fixture *f, const char *what, const char *sql,
			 bool (*holds)(struct fixture *f, const void *vin), const char *vin)
{
	int64_t start;

	fixture_execute(f, "%s", sql);
	start = clock_mono_ns();
	fixture_wait(f, holds, vin);
	print_message("%s: known %lld ms after the commit\n", what, (long long)ms_since(start));
}

static bool is_keyless(struct fixture *f, const void *vin)
{
	struct identity *i = fixture_identity(f, vin);
	const bool keyless = i->key_count == 0;

	identity_put(i);
	return keyless;
}

static bool must_sign(struct fixture *f, const void *vin)
{
	struct identity *i = fixture_identity(f, vin);
	const bool must = i->signature_required;

	identity_put(i);
	return must;
}

static void test_many_vehicles(void **state)
{
	const char *text = getenv("HAULGATE_TEST_VEHICLES");
	const long vehicles = text != NULL ? strtol(text, NULL, 10) : 20000;
	char key[129], secret[129];
	struct fixture f;
	int64_t start;
	long kib;

	(void)state;
	fixture_open(&f);
	public_key_new(key);
	secret_wrap(&f.wrapping, "V1", "0123456789abcdef", secret);
	fixture_execute(&f,
			"INSERT INTO fleet (name) VALUES ('f');"
			"INSERT INTO vehicle (vin, fleet_id) SELECT 'V' || i, 1 FROM "
			"generate_series(1, %ld) i;"
			"INSERT INTO terminal_identity (vehicle_id, iccid) SELECT id, "
			"lpad(id::text, 20, '0') FROM vehicle;"
			/* each its own digest, so that claims are as many as in life */
			"INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, "
			"public_key) SELECT id, 'sign', 'sm2', 'c' || id, '\\x%s' FROM vehicle;"
			"INSERT INTO certificate (vehicle_id, fingerprint, valid_from, valid_to) "
			"SELECT id, sha256(vin::bytea), now() - interval '1 day', 'infinity' FROM "
			"vehicle; ANALYZE",
			vehicles, key);
	kib = memory_kib();
	start = clock_mono_ns();
	fixture_start(&f);
	print_message("%ld vehicles with key and certificate: first load %lld ms, %ld KiB\n",
		      vehicles, (long long)ms_since(start), memory_kib() - kib);
	assert_int_equal(metrics_read(f.metrics, METRIC_identity_vehicles), vehicles);
	known_within(&f, "one revocation",
		     "UPDATE terminal_key SET state = 'revoked' WHERE vehicle_id = 5", is_keyless,
		     "V5");
	known_within(&f, "200 blocked (full load)",
		     "UPDATE vehicle SET state = 'blocked' WHERE id BETWEEN 100 AND 299",
		     is_blocked, "V299");
	known_within(&f, "policy of all changed (full load)",
		     "UPDATE fleet SET signature = 'required'", must_sign, "V7");
	known_within(&f, "another revocation",
		     "UPDATE terminal_key SET state = 'revoked' WHERE vehicle_id = 6", is_keyless,
		     "V6");
	fixture_stop(&f);
	fixture_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_is_ended),
		cmocka_unit_test(test_server_is_stopped),
		cmocka_unit_test(test_end_without_a_server),
		cmocka_unit_test(test_old_schema_is_not_used),
		cmocka_unit_test(test_many_vehicles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

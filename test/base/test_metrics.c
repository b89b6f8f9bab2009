/* Metrics: what threads count is what /metrics shows, and a foreign file is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gateway/base/metrics.h"
#include "proto/wire/verdict.h"

static char dir[] = "/tmp/haulgate-metrics-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int make_dir(void **state)
{
	(void)state;
	return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	(void)state;
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlink(path_of(e->d_name));
	closedir(d);
	return rmdir(dir);
}

static bool shows(const char *line)
{
	static char text[65536];
	const size_t n = metrics_prometheus(dir, text, sizeof(text));

	assert_true(n < sizeof(text));
	assert_int_equal(strlen(text), n);
	return strstr(text, line) != NULL;
}

static void *count(void *arg)
{
	for (int i = 0; i < 100000; i++)
		metrics_add(arg, METRIC_frames_received_total, 1);
	return NULL;
}

static void test_threads_add_up(void **state)
{
	struct metrics *m = NULL;
	pthread_t threads[4];

	(void)state;
	assert_int_equal(metrics_open(path_of("gateway-7.metrics"), 7, &m, NULL), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, metrics_thread(m, i)), 0);
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(metrics_read(m, METRIC_frames_received_total), 400000);
	metrics_set(metrics_thread(m, 0), METRIC_sessions_open, 5);
	metrics_add(metrics_thread(m, 1), METRIC_sessions_open, -2);
	metrics_add_verdict(metrics_thread(m, 2), VERDICT_BAD_TIME);
	assert_true(shows("# TYPE haulgate_frames_received_total counter\n"
			  "haulgate_frames_received_total{gateway=\"7\"} 400000\n"));
	assert_true(shows("haulgate_sessions_open{gateway=\"7\"} 3\n"));
	assert_true(shows("haulgate_frames_total{gateway=\"7\",verdict=\"bad_time\"} 1\n"));
	metrics_close(m);
	/* The figures outlive the process that wrote them. */
	assert_true(shows("haulgate_frames_received_total{gateway=\"7\"} 400000\n"));
}

static void test_the_youngest_heartbeat_counts(void **state)
{
	struct metrics *a = NULL, *b = NULL;

	(void)state;
	assert_int_equal(metrics_heartbeat("/nowhere"), 0);
	assert_int_equal(metrics_open(path_of("gateway-1.metrics"), 1, &a, NULL), 0);
	assert_int_equal(metrics_open(path_of("gateway-2.metrics"), 2, &b, NULL), 0);
	assert_int_equal(metrics_heartbeat(dir), 0);
	metrics_set(metrics_thread(a, 0), METRIC_heartbeat_ns, 1000);
	metrics_set(metrics_thread(b, 0), METRIC_heartbeat_ns, 2000);
	assert_int_equal(metrics_heartbeat(dir), 2000);
	metrics_close(a);
	metrics_close(b);
}

/* Method: files that are short, empty or of another layout lie beside a good one. */
static void test_foreign_files_are_skipped(void **state)
{
	struct metrics *m = NULL;
	struct stat st;
	uint64_t wrong = 1;
	FILE *f;

	(void)state;
	assert_int_equal(metrics_open(path_of("gateway-3.metrics"), 3, &m, NULL), 0);
	metrics_close(m);
	assert_int_equal(stat(path_of("gateway-3.metrics"), &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	assert_true(shows("{gateway=\"3\"}"));
	f = fopen(path_of("gateway-3.metrics"), "r+");
	assert_int_equal(fseek(f, 8, SEEK_SET), 0);
	assert_int_equal(fwrite(&wrong, sizeof(wrong), 1, f), 1);
	fclose(f);
	assert_false(shows("{gateway=\"3\"}"));
	assert_int_equal(truncate(path_of("gateway-3.metrics"), 100), 0);
	assert_false(shows("{gateway=\"3\"}"));
	assert_int_equal(truncate(path_of("gateway-3.metrics"), 0), 0);
	assert_true(shows("# HELP haulgate_heartbeat_ns"));
}

static void test_a_gateway_and_its_link_are_one_series(void **state)
{
	struct metrics *gateway = NULL, *link = NULL;

	(void)state;
	assert_int_equal(metrics_open(path_of("gateway-9.metrics"), 9, &gateway, NULL), 0);
	assert_int_equal(metrics_open(path_of("link-9.metrics"), 9, &link, NULL), 0);
	metrics_add(metrics_thread(gateway, 0), METRIC_frames_received_total, 5);
	metrics_add(metrics_thread(link, 0), METRIC_link_forwarded_total, 3);
	assert_true(shows("haulgate_frames_received_total{gateway=\"9\"} 5\n"));
	assert_true(shows("haulgate_link_forwarded_total{gateway=\"9\"} 3\n"));
	assert_false(shows("haulgate_link_forwarded_total{gateway=\"9\"} 0\n"));
	metrics_close(gateway);
	metrics_close(link);
}

static void test_length_is_told_without_room(void **state)
{
	char small[10];
	const size_t n = metrics_prometheus(dir, NULL, 0);

	(void)state;
	assert_true(n > 1000);
	assert_int_equal(metrics_prometheus(dir, small, sizeof(small)), n);
	assert_int_equal(strlen(small), sizeof(small) - 1);
}

static void test_private_memory(void **state)
{
	struct metrics *m = NULL;

	(void)state;
	assert_int_equal(metrics_open(NULL, 1, &m, NULL), 0);
	metrics_add(metrics_thread(m, METRICS_THREADS_MAX - 1), METRIC_spool_syncs_total, 3);
	assert_int_equal(metrics_read(m, METRIC_spool_syncs_total), 3);
	metrics_close(m);
	metrics_close(NULL);
}

static void test_a_file_that_cannot_be_made(void **state)
{
	struct metrics *m = NULL;
	struct error err;

	(void)state;
	assert_int_equal(metrics_open("/nowhere/x.metrics", 1, &m, &err), ERROR_IO);
	assert_non_null(strstr(err.text, "/nowhere/x.metrics"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_threads_add_up),
		cmocka_unit_test(test_the_youngest_heartbeat_counts),
		cmocka_unit_test(test_foreign_files_are_skipped),
		cmocka_unit_test(test_a_gateway_and_its_link_are_one_series),
		cmocka_unit_test(test_length_is_told_without_room),
		cmocka_unit_test(test_private_memory),
		cmocka_unit_test(test_a_file_that_cannot_be_made),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}

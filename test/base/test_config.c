/* The configuration file: what is sound is read, and every fault is named where it stands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/config.h"

static struct error err;

static int load(const char *text, struct config **ret)
{
	char path[] = "/tmp/haulgate-config-XXXXXX";
	const int fd = mkstemp(path);
	int rc;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	memset(&err, 0, sizeof(err));
	rc = config_load(path, ret, &err);
	unlink(path);
	return rc;
}

static void refused(const char *text, const char *complaint)
{
	struct config *c = NULL;

	assert_int_equal(load(text, &c), ERROR_USAGE);
	assert_null(c);
	if (strstr(err.text, complaint) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, complaint);
}

static void test_defaults_are_sound(void **state)
{
	struct config *c = NULL;

	(void)state;
	assert_int_equal(load("", &c), 0);
	assert_int_equal(c->gateway_id, 1);
	assert_string_equal(c->listen_tcp, "0.0.0.0:32960");
	assert_string_equal(c->store_conninfo, "");
	assert_int_equal(c->session_unknown_vehicle, UNKNOWN_VEHICLE_REJECT);
	assert_true(c->session_answer_hj1239);
	assert_false(c->session_answer_gb17691);
	config_free(c);
}

static void test_values_are_taken(void **state)
{
	struct config *c = NULL;

	(void)state;
	assert_int_equal(load("; a comment\n[listen]\n  tcp = [::1]:1234   ; behind it\n"
			      "[session]\nunknown_vehicle=provisional\nanswer_gb17691 = yes\n"
			      "idle_s = 86400\n[store]\nconninfo = host=/run dbname=x user=y\n",
			      &c),
			 0);
	assert_string_equal(c->listen_tcp, "[::1]:1234");
	assert_int_equal(c->session_unknown_vehicle, UNKNOWN_VEHICLE_PROVISIONAL);
	assert_true(c->session_answer_gb17691);
	assert_int_equal(c->session_idle_s, 86400);
	assert_string_equal(c->store_conninfo, "host=/run dbname=x user=y");
	config_free(c);
}

static void test_each_fault_is_named(void **state)
{
	(void)state;
	refused("[gateway]\nid = 0\n",
		":2: gateway.id = \"0\" is not allowed; allowed: 1 to 32767");
	refused("[gateway]\nid = 32768\n", "gateway.id");
	refused("[gateway]\nid = 1x\n", "gateway.id = \"1x\"");
	refused("[gateway]\nid =\n", "gateway.id = \"\"");
	refused("[gateway]\nid = 99999999999999999999\n", "gateway.id");
	refused("[gateway]\nloops = -1\n", "gateway.loops");
	refused("[gateway]\n\nlog_level = loud\n", ":3: gateway.log_level = \"loud\"");
	refused("[gateway]\nlog_level = err\n", "allowed: error, warning, notice, info, debug");
	refused("[session]\nanswer_hj1239 = true\n", "allowed: yes, no");
	refused("[listen]\ntcp = localhost:1\n", "IPv4:port");
	refused("[listen]\ntcp = 127.0.0.1\n", "listen.tcp");
	refused("[listen]\ntcp = 127.0.0.1:65536\n", "listen.tcp");
	refused("[listen]\ntcp = ::1:80\n", "listen.tcp");
	refused("[gateway]\nname = x\n", ":2: key \"name\" is not known in [gateway]; keys are id");
	refused("[gatway]\nid = 1\n", ":2: section [gatway] is not known; sections are gateway");
	refused("[gateway]\nid = 1\nid = 1\n", ":3: gateway.id stands here for the second time, "
					       "first in line 2");
	refused("[gateway]\nwhat is this\n", ":2: neither [section] nor key = value");
}

static void test_keys_must_fit_together(void **state)
{
	(void)state;
	refused("[listen]\ntls = 0.0.0.0:1\ntls_key = /k\n", ":2: listen.tls = \"0.0.0.0:1\" needs "
							     "listen.tls_certificate");
	refused("[listen]\ntls = 0.0.0.0:1\ntls_certificate = /c\n", "needs listen.tls_key");
	refused("[listen]\ntls_client = optional\n",
		":2: listen.tls_client = \"optional\" needs listen.tls");
	refused("[listen]\ntls_client = required\n", "needs listen.tls_client_ca");
	refused("[listen]\ntls_client = required\ntls_client_ca = /a\n", "needs listen.tls_crl");
	refused("[listen]\ntcp =\n", "one address is needed");
	refused("[store]\nack = store\n", ":2: store.ack = \"store\" needs store.conninfo");
	refused("[limit]\nmemory_mib = 16\nconnection_kib = 65536\n", "limit.memory_mib = 16");
	refused("[spool]\nsize_gib = 1\nsegment_mib = 1024\n", "no room for 4 segments");
}

static void test_all_faults_come_at_once(void **state)
{
	(void)state;
	refused("[gateway]\nid = 0\nloops = 99\n[limit]\nconnections = no\n", "gateway.id");
	assert_non_null(strstr(err.text, "gateway.loops"));
	assert_non_null(strstr(err.text, "limit.connections"));
	assert_int_equal(err.code, ERROR_USAGE);
}

static void test_more_faults_than_room_are_cut(void **state)
{
	char text[8192];
	size_t n = (size_t)snprintf(text, sizeof(text), "[gateway]\n");

	(void)state;
	for (int i = 0; i < 200; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "unknown_key_number = 1\n");
	refused(text, ":2: key");
	assert_true(strlen(err.text) < sizeof(err.text));
}

/* Method: a value as long as a line may be is taken, a longer line is a fault and hides no other.
 */
static void test_long_lines(void **state)
{
	char text[8192];
	struct config *c = NULL;

	(void)state;
	snprintf(text, sizeof(text), "[store]\nconninfo = %0*d\n", 3000, 7);
	assert_int_equal(load(text, &c), 0);
	assert_int_equal(strlen(c->store_conninfo), 3000);
	config_free(c);
	snprintf(text, sizeof(text), "[store]\nconninfo = %0*d\n[gateway]\nid = 0\n", 5000, 7);
	refused(text, ":2: line is longer");
	assert_non_null(strstr(err.text, ":4: gateway.id"));
}

static void test_missing_file(void **state)
{
	struct config *c = NULL;

	(void)state;
	assert_int_equal(config_load("/nowhere/x.conf", &c, &err), ERROR_USAGE);
	assert_non_null(strstr(err.text, "/nowhere/x.conf"));
}

static void test_reload_keeps_what_needs_a_restart(void **state)
{
	struct config *old = NULL, *fresh = NULL;
	char names[100];

	(void)state;
	assert_int_equal(load("[gateway]\nid = 3\n[session]\nlogin_s = 5\n", &old), 0);
	assert_int_equal(load("[gateway]\nid = 4\n[session]\nlogin_s = 6\n"
			      "[listen]\ntcp = 1.2.3.4:5\n",
			      &fresh),
			 0);
	assert_int_equal(config_keep_fixed(fresh, old, names, sizeof(names)), 2);
	assert_string_equal(names, "gateway.id listen.tcp");
	assert_int_equal(fresh->gateway_id, 3);
	assert_string_equal(fresh->listen_tcp, "0.0.0.0:32960");
	assert_int_equal(fresh->session_login_s, 6);
	assert_int_equal(config_keep_fixed(fresh, old, names, sizeof(names)), 0);
	config_free(old);
	config_free(fresh);
}

static void test_addresses(void **state)
{
	char host[CONFIG_HOST_SIZE];
	uint16_t port;

	(void)state;
	assert_true(config_address("127.0.0.1:0", host, &port));
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(port, 0);
	assert_true(config_address("[fe80::1]:65535", host, &port));
	assert_string_equal(host, "fe80::1");
	assert_int_equal(port, 65535);
	assert_false(config_address("", host, &port));
	assert_false(config_address(":80", host, &port));
	assert_false(config_address("[]:80", host, &port));
	assert_false(config_address("1.2.3.4:", host, &port));
	assert_false(config_address("1.2.3.4:-1", host, &port));
	assert_false(config_address("256.0.0.1:1", host, &port));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults_are_sound),
		cmocka_unit_test(test_values_are_taken),
		cmocka_unit_test(test_each_fault_is_named),
		cmocka_unit_test(test_keys_must_fit_together),
		cmocka_unit_test(test_all_faults_come_at_once),
		cmocka_unit_test(test_more_faults_than_room_are_cut),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_reload_keeps_what_needs_a_restart),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

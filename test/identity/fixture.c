#include "test/identity/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

enum { PATIENCE_S = 30 };

static unsigned databases; /* made by this process */

/* ---- database ---- */

static PGconn *connect_to(const char *conninfo)
{
	PGconn *conn = PQconnectdb(conninfo);

	if (PQstatus(conn) != CONNECTION_OK)
		fail_msg("%s", PQerrorMessage(conn));
	return conn;
}

static long execute(PGconn *conn, const char *sql)
{
	PGresult *r = PQexec(conn, sql);
	const ExecStatusType status = PQresultStatus(r);
	long n = 0;

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		fail_msg("%s: %s", sql, PQerrorMessage(conn));
	if (status == PGRES_TUPLES_OK && PQntuples(r) > 0)
		n = strtol(PQgetvalue(r, 0, 0), NULL, 10);
	PQclear(r);
	return n;
}

static const char *server(void)
{
	const char *text = getenv("HAULGATE_TEST_PG");

	if (text == NULL)
		fail_msg("%s", "run this through test/lib/with_postgres");
	return text;
}

/* Migrated once; every test copies it. */
static const char *template_make(PGconn *conn)
{
	static char name[64];
	char sql[256];

	if (name[0] != '\0')
		return name;
	snprintf(name, sizeof(name), "identity_template_%d", (int)getpid());
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s", name);
	execute(conn, sql);
	snprintf(sql, sizeof(sql), "'%s' --conninfo '%s dbname=%s' >/dev/null",
		 getenv("HAULGATE_MIGRATE"), server(), name);
	assert_int_equal(system(sql), 0);
	return name;
}

void fixture_execute(struct fixture *f, const char *format, ...)
{
	char *sql;
	va_list args;

	va_start(args, format);
	assert_true(vasprintf(&sql, format, args) > 0);
	va_end(args);
	execute(f->conn, sql);
	free(sql);
}

long fixture_number(struct fixture *f, const char *format, ...)
{
	char *sql;
	va_list args;
	long n;

	va_start(args, format);
	assert_true(vasprintf(&sql, format, args) > 0);
	va_end(args);
	n = execute(f->conn, sql);
	free(sql);
	return n;
}

long vehicle_new(struct fixture *f, const char *vin)
{
	return fixture_number(f, "INSERT INTO vehicle (vin) VALUES ('%s') RETURNING id", vin);
}

long signer_new(struct fixture *f, long vehicle, const char *chip, const char *hex)
{
	return fixture_number(f,
			      "INSERT INTO terminal_key (vehicle_id, purpose, algorithm, chip_id, "
			      "public_key) VALUES (%ld, 'sign', 'sm2', '%s', '\\x%s') RETURNING id",
			      vehicle, chip, hex);
}

/* ---- keys ---- */

void fixture_file(struct fixture *f, const char *name, const char *text, mode_t mode)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	unlink(path);
	assert_non_null(file = fopen(path, "w"));
	assert_true(fputs(text, file) >= 0);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

void fixture_wrapping(struct fixture *f, uint8_t first)
{
	uint8_t bytes[WRAP_KEY_SIZE] = { first };
	char hex[2 * WRAP_KEY_SIZE + 2];

	for (size_t i = 0; i < sizeof(bytes); i++)
		snprintf(hex + 2 * i, 4, "%02x\n", bytes[i]);
	fixture_file(f, "wrapping.key", hex, 0600);
	wrap_key_set(&f->wrapping, bytes);
}

static EVP_PKEY *pair_new(const char *algorithm, unsigned bits)
{
	EVP_PKEY *key =
		strcmp(algorithm, "RSA") == 0	? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)bits)
		: strcmp(algorithm, "SM2") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, "SM2")
						: EVP_PKEY_Q_keygen(NULL, NULL, "EC", algorithm);

	assert_non_null(key);
	return key;
}

void fixture_pair(struct fixture *f, const char *name, const char *algorithm, unsigned bits)
{
	EVP_PKEY *key = pair_new(algorithm, bits);
	char text[8192], file[64];
	BIO *bio = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	assert_true((n = BIO_read(bio, text, sizeof(text) - 1)) > 0);
	text[n] = '\0';
	snprintf(file, sizeof(file), "%s.pem", name);
	fixture_file(f, file, text, 0600);
	BIO_free(bio);
	EVP_PKEY_free(key);
}

void public_key_new(char hex[129])
{
	EVP_PKEY *key = pair_new("SM2", 0);
	uint8_t point[65];
	size_t n;

	assert_int_equal(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
							 sizeof(point), &n),
			 1);
	assert_int_equal(n, sizeof(point));
	for (size_t i = 0; i < 64; i++)
		snprintf(hex + 2 * i, 3, "%02x", point[1 + i]);
	EVP_PKEY_free(key);
}

void secret_wrap(const struct wrap_key *k, const char *vin, const char *secret, char hex[129])
{
	uint8_t sealed[16 + WRAP_OVERHEAD];
	struct error err;

	assert_int_equal(wrap_seal(k, vin, (const uint8_t *)secret, 16, sealed, &err), 0);
	for (size_t i = 0; i < sizeof(sealed); i++)
		snprintf(hex + 2 * i, 3, "%02x", sealed[i]);
}

/* ---- life ---- */

void fixture_keys_open(struct fixture *f)
{
	static char none[] = "";

	*f = (struct fixture){ .config = { .store_conninfo = none } };
	snprintf(f->dir, sizeof(f->dir), "/tmp/haulgate-identity.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->config.keys_dir = f->dir;
	pthread_mutex_init(&f->mutex, NULL);
	pthread_cond_init(&f->told, NULL);
}

void fixture_keys_close(struct fixture *f)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	pthread_cond_destroy(&f->told);
	pthread_mutex_destroy(&f->mutex);
}

void fixture_open(struct fixture *f)
{
	PGconn *conn = connect_to(server());
	struct error err;
	char sql[256];

	fixture_keys_open(f);
	fixture_wrapping(f, 1);
	snprintf(f->name, sizeof(f->name), "identity_%d_%u", (int)getpid(), ++databases);
	snprintf(sql, sizeof(sql), "CREATE DATABASE %s TEMPLATE %s", f->name, template_make(conn));
	execute(conn, sql);
	PQfinish(conn);
	snprintf(f->owner, sizeof(f->owner), "%s dbname=%s", server(), f->name);
	snprintf(f->gateway, sizeof(f->gateway), "%s dbname=%s user=haulgate_gateway", server(),
		 f->name);
	f->config.store_conninfo = f->gateway;
	f->conn = connect_to(f->owner);
	assert_int_equal(metrics_open(NULL, 1, &f->metrics, &err), 0);
}

void fixture_close(struct fixture *f)
{
	PGconn *conn;
	char sql[128];

	assert_null(f->identities);
	PQfinish(f->conn);
	conn = connect_to(server());
	snprintf(sql, sizeof(sql), "DROP DATABASE %s WITH (FORCE)", f->name);
	execute(conn, sql);
	PQfinish(conn);
	metrics_close(f->metrics);
	fixture_keys_close(f);
}

static void changed(const char *vin, void *arg)
{
	struct fixture *f = arg;

	pthread_mutex_lock(&f->mutex);
	f->tellings++;
	f->all += vin[0] == '\0';
	snprintf(f->last, sizeof(f->last), "%s", vin);
	pthread_cond_broadcast(&f->told);
	pthread_mutex_unlock(&f->mutex);
}

static bool is_loaded(struct fixture *f, const void *arg)
{
	struct identity *i;

	(void)arg;
	return identity_get(f->identities, "", &i) == IDENTITY_UNKNOWN;
}

/* Nobody is told of that. */
static void wait_connected(struct fixture *f)
{
	const struct timespec slice = { .tv_nsec = 1000000 };

	while (metrics_read(f->metrics, METRIC_identity_connected) == 0)
		nanosleep(&slice, NULL);
}

void fixture_start(struct fixture *f)
{
	const struct identities_options options = { .config = &f->config,
						    .metrics = metrics_thread(f->metrics, 0),
						    .changed = changed,
						    .arg = f };
	struct error err;

	if (identities_open(&options, &f->identities, &err) < 0)
		fail_msg("%s", err.text);
	fixture_wait(f, is_loaded, NULL);
	wait_connected(f);
}

void fixture_stop(struct fixture *f)
{
	identities_close(f->identities);
	f->identities = NULL;
}

/* ---- waiting ---- */

void fixture_wait(struct fixture *f, bool (*holds)(struct fixture *f, const void *arg),
		  const void *arg)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	for (;;) {
		const unsigned before = fixture_tellings(f);
		bool in_time = true;

		if (holds(f, arg))
			return;
		pthread_mutex_lock(&f->mutex);
		while (in_time && f->tellings == before)
			in_time = pthread_cond_timedwait(&f->told, &f->mutex, &end) == 0;
		pthread_mutex_unlock(&f->mutex);
		if (!in_time)
			fail_msg("%s", "what was waited for did not come");
	}
}

unsigned fixture_tellings(struct fixture *f)
{
	unsigned n;

	pthread_mutex_lock(&f->mutex);
	n = f->tellings;
	pthread_mutex_unlock(&f->mutex);
	return n;
}

static bool more_was_told(struct fixture *f, const void *arg)
{
	return fixture_tellings(f) > *(const unsigned *)arg;
}

void fixture_wait_told(struct fixture *f, unsigned before)
{
	fixture_wait(f, more_was_told, &before);
}

struct identity *fixture_identity(struct fixture *f, const char *vin)
{
	struct identity *i = NULL;

	if (identity_get(f->identities, vin, &i) != IDENTITY_KNOWN)
		fail_msg("%s is not known", vin);
	return i;
}

void server_control(const char *command)
{
	char line[512];

	/* PostgreSQL's own programs refuse to run as root. */
	snprintf(line, sizeof(line),
		 "cd / && %s $(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)/pg_ctl -D "
		 "'%s' -s -w %s >/dev/null 2>&1",
		 geteuid() == 0 ? "setpriv --reuid=postgres --regid=postgres --clear-groups" : "",
		 getenv("HAULGATE_TEST_PGDATA"), command);
	assert_int_equal(system(line), 0);
}

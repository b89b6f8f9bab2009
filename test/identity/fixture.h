/*
 * fixture.h - what the identity's tests share: a database of their own, a folder of keys, and a
 * wait for what the identity thread tells.
 */
#ifndef TEST_IDENTITY_FIXTURE_H
#define TEST_IDENTITY_FIXTURE_H

#include <libpq-fe.h>
#include <pthread.h>
#include <sys/types.h>

#include "gateway/identity/identity.h"
#include "gateway/identity/wrap.h"

struct fixture {
	char name[64];		       /* of the database */
	char owner[256], gateway[256]; /* connection strings */
	char dir[64];		       /* of keys */
	PGconn *conn;		       /* as owner */
	struct wrap_key wrapping;      /* as in the folder */
	struct config config;
	struct metrics *metrics;
	struct identities *identities;

	pthread_mutex_t mutex;
	pthread_cond_t told;
	unsigned tellings, all; /* how often something, and how often "" was told */
	char last[VIN_SIZE + 1];
};

/* Without a database: only the folder of keys, empty. */
void fixture_keys_open(struct fixture *f);
void fixture_keys_close(struct fixture *f);
/* A migrated database, a folder with a wrapping key. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

void fixture_start(struct fixture *f); /* and waits for the first load */
void fixture_stop(struct fixture *f);

void fixture_execute(struct fixture *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* First column of the first row. */
long fixture_number(struct fixture *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Waits until it holds; looks again whenever something was told.  Fails after half a minute. */
void fixture_wait(struct fixture *f, bool (*holds)(struct fixture *f, const void *arg),
		  const void *arg);
/* What was told so far; fixture_wait_told() waits for more than that. */
unsigned fixture_tellings(struct fixture *f);
void fixture_wait_told(struct fixture *f, unsigned before);

/* The identity, counted; fails when there is none. */
struct identity *fixture_identity(struct fixture *f, const char *vin);

/* Rows; the id of the new one. */
long vehicle_new(struct fixture *f, const char *vin);
long signer_new(struct fixture *f, long vehicle, const char *chip, const char *hex);

/* Executes, and waits until something of it was told. */
#define TELLS(f, ...)                                                                              \
	do {                                                                                       \
		const unsigned before_ = fixture_tellings(f);                                      \
		fixture_execute(f, __VA_ARGS__);                                                   \
		fixture_wait_told(f, before_);                                                     \
	} while (0)

#define IDENTITY_IS(f, vin, condition)                                                             \
	do {                                                                                       \
		struct identity *i = fixture_identity(f, vin);                                     \
		assert_true(condition);                                                            \
		identity_put(i);                                                                   \
	} while (0)

/* A file in the folder of keys. */
void fixture_file(struct fixture *f, const char *name, const char *text, mode_t mode);
void fixture_wrapping(struct fixture *f, uint8_t first); /* writes and sets f->wrapping */
/* A new pair as NAME.pem.  algorithm: "SM2", "RSA", "P-256". */
void fixture_pair(struct fixture *f, const char *name, const char *algorithm, unsigned bits);

/* A new SM2 key's X || Y as hex digits. */
void public_key_new(char hex[129]);
/* A secret of 16 bytes, wrapped for vin, as hex digits. */
void secret_wrap(const struct wrap_key *k, const char *vin, const char *secret, char hex[129]);

void server_control(const char *command);

#endif

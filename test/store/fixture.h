/*
 * fixture.h - what the store's tests share: a database and a spool of their own, trucks whose
 * frames are known, and what the database holds afterwards, to compare.
 */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include <libpq-fe.h>

#include "gateway/spool/spool.h"
#include "gateway/store/store.h"
#include "proto/wire/unit.h"

enum { BASE_DAY = 20777 };			       /* 2026-11-20, Beijing */
#define BASE_AT (INT64_C(86400) * BASE_DAY - 8 * 3600) /* its midnight */

/* Trucks whose number is 1 modulo 3 emit too much NOx. */
enum { VIOLATOR = 1 };

struct fixture {
	char name[64];		       /* of the database */
	char owner[256], gateway[256]; /* connection strings */
	char dir[64];		       /* the spool's */
	PGconn *conn;		       /* as owner */
	struct spool *spool;
	struct config config;
	struct metrics *metrics;
	struct store *store;
	size_t fold_budget;
	struct identities *identities; /* given to the stores opened next; the test's own */
};

/* A migrated database with one division, one route and an empty spool. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
/* Another, empty database beside the same spool. */
void fixture_new_database(struct fixture *f);

void fixture_spool_open(struct fixture *f);
void fixture_spool_close(struct fixture *f);

void fixture_store_open(struct fixture *f);
void fixture_store_close(struct fixture *f);
/* Opens, stores all that the spool holds, closes. */
void fixture_store_all(struct fixture *f);
/* Waits until the database has everything that the spool holds now. */
void fixture_wait_stored(struct fixture *f);

/* ---- frames ---- */

struct bytes {
	size_t size;
	uint8_t bytes[4096];
};

void truck_vin(unsigned truck, char vin[VIN_SIZE + 1]);
/* What the truck's engine says in that second. */
void truck_body(unsigned truck, int64_t at, uint8_t body[STREAM_SIZE]);
/* count seconds from at, as real-time (02) or supplementary (03) report. */
struct bytes truck_report(unsigned truck, uint8_t command, int64_t at, unsigned count);
/* A report with one OBD block: lamp, and a fault code of the NOx control when it is on. */
struct bytes truck_obd(unsigned truck, int64_t at, bool mil);
struct bytes truck_login(unsigned truck, int64_t at, uint16_t serial);
struct bytes truck_unit(unsigned truck, uint8_t command, const uint8_t *unit, size_t size);

/* Makes the frame durable in the spool, received at that unix second; test/store/records.h has
 * more. */
void fixture_feed(struct fixture *f, const struct bytes *frame, int64_t received_at,
		  enum verdict verdict);

/* A drive: ten seconds a frame, received as they come. */
void fixture_drive(struct fixture *f, unsigned truck, int64_t at, unsigned seconds);

/* ---- what the database holds ---- */

/* First column of the first row. */
long fixture_number(struct fixture *f, const char *sql);
void fixture_execute(struct fixture *f, const char *sql);
/* All rows, columns by '|', lines by '\n'.  The caller frees it. */
char *fixture_text(struct fixture *f, const char *sql);
void assert_rows(struct fixture *f, const char *sql, const char *expected);
/* Findings in force, vehicle_day, passages, OBD states: everything derived, without revisions and
 * without what depends on which frames became evidence. */
char *fixture_derived(struct fixture *f);

struct sample {
	char vin[VIN_SIZE + 1];
	int64_t at;
	uint8_t type;
	uint64_t body; /* hash */
};
struct samples {
	struct sample *list;
	size_t count, max;
};
void samples_add(struct samples *s, const char *vin, int64_t at, uint8_t type, const uint8_t *body,
		 size_t size);
/* The seconds of truck_report(). */
void samples_expect(struct samples *s, unsigned truck, int64_t at, unsigned count);
void samples_expect_obd(struct samples *s, unsigned truck, int64_t at, bool mil);
/* Every block of every track row. */
void fixture_samples(struct fixture *f, struct samples *ret);
/* Same set, each once; fails with the first difference.  Both are freed. */
void assert_samples(struct samples *stored, struct samples *expected);
/* As above, when expected may hold a second more than once. */
void samples_unique(struct samples *s);

#endif

/* attack.c - which attacks, how many, and what came of them. */
#include "tools/cli/fleetsim/attack.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "gateway/base/clock.h"
#include "tools/cli/fleetsim/attacker.h"

/* Forgers work one step after another: more than these at a time tell nothing more. */
enum { FORGERS = 8, THREADS_MAX = ATTACK_COUNT * FORGERS, SPARE_FILES = 64 };

static const struct attack_row {
	const char *name;
	bool crowd, in_all;
} rows[ATTACK_COUNT] = {
#define ATTACK_ROW_(name, crowd, in_all, doc) { #name, crowd, in_all },
	ATTACKS(ATTACK_ROW_)
#undef ATTACK_ROW_
};

struct attacks {
	struct attack attacks[THREADS_MAX];
	pthread_t threads[THREADS_MAX];
	unsigned count;
};

/* ---- what is asked for ---- */

static int parse_kinds(const char *text, bool chosen[ATTACK_COUNT], struct error *err)
{
	for (const char *p = text; *p != '\0';) {
		const size_t size = strcspn(p, ",");
		const bool all = size == 3 && strncmp(p, "all", 3) == 0;
		bool found = all;
		for (unsigned k = 0; k < ATTACK_COUNT; k++) {
			const bool it =
				strlen(rows[k].name) == size && strncmp(rows[k].name, p, size) == 0;
			chosen[k] = chosen[k] || it || (all && rows[k].in_all);
			found = found || it;
		}
		if (!found)
			return error_set(err, ERROR_USAGE,
					 "--attack %s: all, or names by comma are wanted; see "
					 "--help",
					 text);
		p += size + (p[size] == ',');
	}
	return 0;
}

static int parse_address(const char *text, struct sockaddr_in *ret, struct error *err)
{
	const char *colon = strrchr(text, ':');
	char host[64] = "";

	ret->sin_family = AF_INET;
	if (colon != NULL)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	const unsigned long port = colon != NULL ? strtoul(colon + 1, NULL, 10) : 0;
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
		      &ret->sin_addr) != 1 ||
	    port == 0 || port > 65535)
		return error_set(err, ERROR_USAGE, "'%s': 127.0.0.1:PORT is wanted", text);
	if (ntohl(ret->sin_addr.s_addr) >> 24 != 127)
		return error_set(err, ERROR_USAGE,
				 "%s is not on this machine: only 127.0.0.0/8 is attacked", text);
	ret->sin_port = htons((uint16_t)port);
	return 0;
}

static int check_bounds(const struct attack_settings *s, struct error *err)
{
	struct rlimit limit;

	if (s->attackers < 1 || s->attackers > ATTACKERS_MAX)
		return error_set(err, ERROR_USAGE, "--attackers: 1 to %d is wanted", ATTACKERS_MAX);
	if (s->seconds < 1 || s->seconds > ATTACK_SECONDS_MAX)
		return error_set(err, ERROR_USAGE, "--seconds: 1 to %d is wanted for an attack",
				 ATTACK_SECONDS_MAX);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return error_errno(err, ERROR_IO, "getrlimit");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	/* A forger has two connections. */
	if (limit.rlim_max < s->attackers + 2 * THREADS_MAX + SPARE_FILES)
		return error_set(err, ERROR_USAGE,
				 "%u attackers need %u open files; the system allows %lu",
				 s->attackers, s->attackers + 2 * THREADS_MAX + SPARE_FILES,
				 (unsigned long)limit.rlim_max);
	return 0;
}

/* ---- doing it ---- */

static void *run(void *arg)
{
	struct attack *a = arg;

	if (rows[a->kind].crowd)
		attack_crowd(a);
	else
		attack_forge(a);
	return NULL;
}

static void deal(struct attacks *t, const struct attack_settings *s, const struct sockaddr_in *to,
		 const bool chosen[ATTACK_COUNT])
{
	const int64_t ends_us = clock_mono_ns() / 1000 + (int64_t)s->seconds * 1000000;
	unsigned kinds = 0, next = 0;

	for (unsigned k = 0; k < ATTACK_COUNT; k++)
		kinds += chosen[k];
	const unsigned share = s->attackers / kinds > 0 ? s->attackers / kinds : 1;
	for (unsigned k = 0; k < ATTACK_COUNT; k++) {
		const unsigned parts = rows[k].crowd ? 1 : share < FORGERS ? share : FORGERS;
		for (unsigned i = 0; chosen[k] && i < parts; i++) {
			const unsigned count = share / parts + (i < share % parts);
			t->attacks[t->count++] = (struct attack){ .settings = s,
								  .to = *to,
								  .kind = (enum attack_kind)k,
								  .first = next,
								  .count = count,
								  .ends_us = ends_us };
			next += count;
		}
	}
}

static void add(struct attack_result *all, const struct attack_result *r)
{
	all->attempts += r->attempts;
	all->unprepared += r->unprepared;
	for (unsigned h = 0; h < HEARD_COUNT; h++)
		all->heard[h] += r->heard[h];
	if (all->breaches == 0)
		memcpy(all->first_breach, r->first_breach, sizeof(all->first_breach));
	all->breaches += r->breaches;
}

/* Returns the breaches of the kind. */
static uint64_t print_kind(const struct attacks *t, enum attack_kind kind)
{
	struct attack_result all = { 0 };

	for (unsigned i = 0; i < t->count; i++)
		if (t->attacks[i].kind == kind)
			add(&all, &t->attacks[i].result);
	printf("%-16s %9" PRIu64 " attempts; answers: %" PRIu64 " success, %" PRIu64
	       " error; %" PRIu64 " closed by the gateway, %" PRIu64 " silent",
	       rows[kind].name, all.attempts, all.heard[HEARD_success], all.heard[HEARD_error],
	       all.heard[HEARD_closed], all.heard[HEARD_silent]);
	if (kind == ATTACK_padding_probes)
		printf("; %d kinds of answers", (all.heard[HEARD_success] > 0) +
							(all.heard[HEARD_error] > 0) +
							(all.heard[HEARD_silent] > 0));
	if (all.unprepared > 0)
		printf("; %" PRIu64 " could not begin", all.unprepared);
	printf("\n");
	if (all.breaches > 0)
		printf("  BREACH, %" PRIu64 " times; first: %s\n", all.breaches, all.first_breach);
	else if (!rows[kind].crowd && all.attempts == 0)
		printf("  NOT TRIED: no truck of its own was let in\n");
	return all.breaches + (!rows[kind].crowd && all.attempts == 0);
}

int attack_run(const struct attack_settings *s, struct error *err)
{
	bool chosen[ATTACK_COUNT] = { false };
	struct sockaddr_in to = { 0 };
	struct attacks *t = NULL;
	uint64_t breaches = 0;
	unsigned started = 0;
	int rc = parse_kinds(s->kinds, chosen, err);

	if (rc == 0)
		rc = parse_address(s->tcp, &to, err);
	if (rc == 0)
		rc = check_bounds(s, err);
	if (rc == 0 && (t = calloc(1, sizeof(*t))) == NULL)
		rc = error_set(err, ERROR_MEMORY, "no memory");
	if (rc != 0)
		return rc;
	deal(t, s, &to, chosen);
	for (; started < t->count; started++)
		if (pthread_create(&t->threads[started], NULL, run, &t->attacks[started]) != 0)
			break;
	if (started < t->count)
		rc = error_set(err, ERROR_MEMORY, "no thread for an attacker");
	for (unsigned i = 0; i < started; i++)
		pthread_join(t->threads[i], NULL);
	for (unsigned k = 0; k < ATTACK_COUNT && rc == 0; k++)
		if (chosen[k])
			breaches += print_kind(t, (enum attack_kind)k);
	free(t);
	if (rc == 0 && breaches > 0)
		rc = error_set(err, ERROR_CORRUPT,
			       "an attack had success, or could not be tried: see above");
	return rc;
}

/*
 * publish.h - puts what was loaded or judged again in its place, and says what became other.
 * Identity thread only.
 */
#ifndef GATEWAY_IDENTITY_PUBLISH_H
#define GATEWAY_IDENTITY_PUBLISH_H

#include "gateway/identity/load.h"
#include "gateway/identity/thread.h"

/* All vehicles: those that are not in l are gone. */
void publish_all(struct identities *t, const struct loaded *l);
/* The n vehicles of ids: those that are not in l are gone.  Ids ascend. */
void publish_some(struct identities *t, const int64_t *ids, size_t n, const struct loaded *l);
/* Takes the accounts over. */
void publish_platforms(struct identities *t, struct map *platforms);
/* Judges again what the clock has made stale. */
void publish_time(struct identities *t, int64_t at);

#endif

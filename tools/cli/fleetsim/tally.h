/* tally.h - what the run did: counters and how long answers took. */
#ifndef TOOLS_CLI_FLEETSIM_TALLY_H
#define TOOLS_CLI_FLEETSIM_TALLY_H

#include <stdint.h>
#include <stdio.h>

/* X(name, what it counts) */
#define COUNTERS(X)                                                                                \
	X(frames, "report frames sent, all copies")                                                \
	X(samples, "one-second samples made")                                                      \
	X(parcels, "frames made")                                                                  \
	X(supplements, "frames sent as supplements")                                               \
	X(regrouped, "supplements merged or cut")                                                  \
	X(resent, "frames sent more than once")                                                    \
	X(answers, "answers received")                                                             \
	X(errors, "answers that say error")                                                        \
	X(unasked, "answers that nothing waited for")                                              \
	X(refused, "frames given up after error answers")                                          \
	X(connects, "connections opened")                                                          \
	X(reconnects, "of these, not the truck's first")                                           \
	X(connect_failures, "connections refused or broken before they stood")                     \
	X(lost, "connections that the other side ended")                                           \
	X(given_up, "connections given up because answers stayed out")                             \
	X(dead_zones, "connections cut by a dead zone")                                            \
	X(logins, "logins sent")                                                                   \
	X(platform_logins, "logins of the platform sent")                                          \
	X(platform_frames, "report frames over the platform's connection")                         \
	X(activations, "activations sent")                                                         \
	X(activations_refused, "activations refused, or left to a person")                         \
	X(signed_frames, "report frames with a signature")                                         \
	X(encrypted_frames, "report frames with a sealed unit")                                    \
	X(orders, "commands of the platform answered")                                             \
	X(orders_refused, "of these, refused")                                                     \
	X(clock_faults, "frames with a false clock")                                               \
	X(sent_bytes, "bytes sent, before TLS")                                                    \
	X(received_bytes, "bytes received, after TLS")

#define COUNTER_MEMBER_(name, doc) uint64_t name;

/* Buckets of 1/16 of an octave, from 1 us to over an hour. */
enum { LATENCY_BUCKETS = 33 * 16 };

struct tally {
	COUNTERS(COUNTER_MEMBER_)
	uint64_t latency[LATENCY_BUCKETS];
	uint64_t latency_count, latency_max_us;
};

void tally_latency(struct tally *t, int64_t us);

/* Upper edge of the bucket that holds the quantile (0..1), us; 0 without answers. */
uint64_t tally_quantile(const struct tally *t, double quantile);

/* One line for a progress display, without a newline. */
void tally_progress(const struct tally *t, char *out, size_t size);

/* The counters that are not zero, a line each. */
void tally_print(const struct tally *t, FILE *out);

#endif

/*
 * metrics.h - counters and gauges of a process, in a small mapped file.
 *
 * The gateway and its link service write, the query service reads the files of all gateways of a
 * run folder and answers /metrics and /readyz from them; so the frame path needs no HTTP server,
 * and a counter is one relaxed add on memory that only its own thread writes.
 *
 * METRICS is the one list: names, help and types in /metrics and docs come from it.
 * Refused frames have a counter for each verdict beside it.
 */
#ifndef GATEWAY_BASE_METRICS_H
#define GATEWAY_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

/*        name (haulgate_ is put before it)      type     help */
#define METRICS(X)                                                                                 \
	X(connections_open, gauge, "connections open now")                                         \
	X(connections_accepted_total, counter, "connections accepted")                             \
	X(connections_shed_total, counter, "connections closed because a bound was reached")       \
	X(connections_closed_deadline_total, counter, "closed by login, frame or idle deadline")   \
	X(connections_closed_bad_frames_total, counter, "closed after too many bad frames")        \
	X(sessions_open, gauge, "vehicles logged in now")                                          \
	X(sessions_taken_over_total, counter, "sessions ended by a newer login of the same VIN")   \
	X(tls_handshakes_total, counter, "TLS handshakes finished")                                \
	X(tls_handshakes_failed_total, counter, "TLS handshakes failed")                           \
	X(tls_certificates_refused_total, counter,                                                 \
	  "handshakes refused for a terminal's certificate")                                       \
	X(tls_crl_failed, gauge,                                                                   \
	  "1 while a CRL cannot be used: no new session with a certificate")                       \
	X(tls_crl_failures_total, counter, "times that a CRL could not be used")                   \
	X(received_bytes_total, counter, "bytes read from terminals, after TLS")                   \
	X(frames_received_total, counter, "frames with a plausible header")                        \
	X(frames_not_kept_total, counter,                                                          \
	  "refused frames of which only the count is kept: there were too many")                   \
	X(noise_bytes_total, counter, "bytes skipped in search of a frame")                        \
	X(frames_answered_total, counter, "answers sent")                                          \
	X(reading_paused_total, counter, "times reading stopped because a bound was reached")      \
	X(memory_bytes, gauge, "bytes held for connections and queued frames")                     \
	X(spool_records_total, counter, "records made durable")                                    \
	X(spool_bytes_total, counter, "bytes made durable")                                        \
	X(spool_syncs_total, counter, "fdatasync calls")                                           \
	X(spool_sync_ns_total, counter, "nanoseconds spent in fdatasync")                          \
	X(spool_failed, gauge, "1 after a write or sync failed: nothing is accepted any more")     \
	X(spool_backlog_bytes, gauge, "bytes durable in the spool and not yet in the store")       \
	X(spool_quarantined_records_total, counter, "records that recovery found corrupt")         \
	X(store_batches_total, counter, "transactions committed")                                  \
	X(store_frames_total, counter, "frames stored")                                            \
	X(store_samples_total, counter, "samples stored")                                          \
	X(store_duplicate_samples_total, counter, "samples that were stored already")              \
	X(store_quarantined_total, counter, "records that the database refused")                   \
	X(store_retries_total, counter, "transactions tried again")                                \
	X(store_connected, gauge, "1 while the database answers")                                  \
	X(assess_days_reassessed_total, counter, "vehicle-days assessed again after late data")    \
	X(assess_findings_total, counter, "findings opened")                                       \
	X(signatures_valid_total, counter, "signatures verified and valid")                        \
	X(signatures_invalid_total, counter, "signatures verified and not valid")                  \
	X(signatures_skipped_total, counter,                                                       \
	  "signatures outside the share that the policy checks")                                   \
	X(signatures_no_key_total, counter, "signatures without a known key")                      \
	X(units_opened_total, counter, "encrypted units opened")                                   \
	X(open_failed_size_total, counter, "units not opened: no ciphertext has this size")        \
	X(open_failed_padding_total, counter, "units not opened: digest is wrong (SM2, OAEP)")     \
	X(open_failed_content_total, counter, "units opened to something that is no unit")         \
	X(crypto_jobs_waiting, gauge, "frames that wait for a worker")                             \
	X(crypto_busy_ns_total, counter, "nanoseconds that workers spent on frames")               \
	X(identity_connected, gauge, "1 while changes of the registry are heard")                  \
	X(identity_vehicles, gauge, "vehicles known")                                              \
	X(identity_refreshes_total, counter, "changes of the registry taken over")                 \
	X(sessions_revoked_total, counter,                                                         \
	  "sessions ended by a change of the registry, or by a CRL")                               \
	X(sources_throttled_total, counter,                                                        \
	  "connections refused: their source has a penalty or too many")                           \
	X(unauthenticated_dropped_total, counter,                                                  \
	  "connections without login dropped under pressure")                                      \
	X(sessions_throttled_total, counter, "times that reading a session waited for its quota")  \
	X(replays_total, counter, "samples that came again from another credential")               \
	X(commands_sent_total, counter, "commands sent down, repeats included")                    \
	X(commands_answered_total, counter, "commands answered by the terminal")                   \
	X(commands_failed_total, counter, "commands given up")                                     \
	X(link_connected, gauge, "links of haulgate-link that are logged in")                      \
	X(link_forwarded_total, counter, "frames that the other side has taken")                   \
	X(link_refused_total, counter, "frames that the other side has refused for good")          \
	X(link_missing_total, counter, "records gone from the spool before a link had read them")  \
	X(link_withheld_total, counter, "tamper alarms that a ## link has no command for")         \
	X(link_reconnects_total, counter, "connections to other platforms that were tried")        \
	X(link_backlog_bytes, gauge, "bytes stored and not yet passed by the slowest link")        \
	X(heartbeat_ns, gauge, "wall clock of the last sign of life, unix nanoseconds")

#define METRIC_ENUM_(name, type, help) METRIC_##name,
enum metric { METRICS(METRIC_ENUM_) METRIC_COUNT };
#undef METRIC_ENUM_

enum { METRICS_THREADS_MAX = 64, METRICS_VERDICTS = 32 };

struct metrics;	       /* the mapped file */
struct metrics_thread; /* one thread's slots in it */

/* Creates and maps the file (mode 0640).  path NULL: private memory, for tests. */
int metrics_open(const char *path, unsigned gateway_id, struct metrics **ret, struct error *err);
void metrics_close(struct metrics *m);

/* slot: 0 .. METRICS_THREADS_MAX - 1, one for each thread. */
struct metrics_thread *metrics_thread(struct metrics *m, unsigned slot);
void metrics_add(struct metrics_thread *t, enum metric metric, int64_t n);
void metrics_set(struct metrics_thread *t, enum metric metric, int64_t value);
void metrics_add_verdict(struct metrics_thread *t, unsigned verdict);

/* Sum over the threads. */
int64_t metrics_read(const struct metrics *m, enum metric metric);

/*
 * Reading side: appends Prometheus text (0.0.4) of every *.metrics file in dir to out; files of
 * the same gateway are summed.  Returns the length, like snprintf.
 */
size_t metrics_prometheus(const char *dir, char *out, size_t size);

/* Youngest heartbeat over all files of dir in unix ns; 0 when there is none. */
int64_t metrics_heartbeat(const char *dir);

#endif

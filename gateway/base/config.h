/*
 * config.h - the one configuration file (INI), for the gateway, the query service and the tools.
 *
 * CONFIG_KEYS is the one list: parser, defaults, checks, --print-config and docs/configuration.md
 * come from it.  A file is checked completely before anything uses it; every complaint names
 * line, key, value and what is allowed.
 */
#ifndef GATEWAY_BASE_CONFIG_H
#define GATEWAY_BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/error.h"

/* Kinds: INT (min..max), TEXT, PATH, ADDRESS (host:port or empty), CHOICE ("a|b|c" -> index), BOOL.
 * Flags: R = taken over on SIGHUP, - = needs a restart.
 *
 * X(section, key, kind, default, min, max or choices, flags, doc)
 */
/* clang-format off */
#define CONFIG_KEYS(X)                                                                             \
	X(gateway, id, INT, "1", 1, 32767, -, "Number of this gateway: one spool, one row in ingest_position.") \
	X(gateway, loops, INT, "0", 0, 32, -, "Event loops; 0 is one for each core.")             \
	X(gateway, run_dir, PATH, "/run/haulgate", 0, 0, -, "Folder of the metrics files, shared with the query service.") \
	X(gateway, log_level, CHOICE, "info", 0, "error|warning|notice|info|debug", R, "Least important level that is logged.") \
	X(listen, tcp, ADDRESS, "0.0.0.0:32960", 0, 0, -, "Address for plain TCP; empty for none.") \
	X(listen, tls, ADDRESS, "", 0, 0, -, "Address for TLS 1.2 and 1.3; empty for none.")       \
	X(listen, tls_certificate, PATH, "", 0, 0, R, "PEM file with the certificate chain.")      \
	X(listen, tls_key, PATH, "", 0, 0, R, "PEM file with the private key, mode 0600.")         \
	X(listen, tls_client, CHOICE, "none", 0, "none|optional|required", R, "Whether terminals show a certificate (SAN URI:urn:vin:VIN).") \
	X(listen, tls_client_ca, PATH, "", 0, 0, R, "PEM file with the certificates of the CAs of terminals.") \
	X(listen, tls_crl, PATH, "", 0, 0, R, "PEM file with a CRL of each CA; one that is missing or too old lets no new session in.") \
	X(session, login_s, INT, "30", 1, 3600, R, "Seconds from connect to login.")               \
	X(session, frame_s, INT, "10", 1, 600, R, "Seconds from the first to the last byte of a frame.") \
	X(session, idle_s, INT, "300", 1, 86400, R, "Seconds without a frame until a connection is closed.") \
	X(session, unknown_vehicle, CHOICE, "reject", 0, "reject|provisional", R, "What to do with a VIN that is not registered.") \
	X(session, report_before_login, CHOICE, "refuse", 0, "refuse|registered", R, "Whether a registered VIN may report without login.") \
	X(session, duplicate_vin, CHOICE, "takeover", 0, "takeover|refuse", R, "A second login of a VIN: the newer connection wins, or is refused.") \
	X(session, answer_gb17691, BOOL, "no", 0, 0, R, "Answer GB 17691 frames (echoed header) although the standard defines no answer.") \
	X(session, answer_hj1239, BOOL, "yes", 0, 0, R, "Answer HJ 1239 vehicle frames with an echoed header.") \
	X(session, one_write_per_answer, BOOL, "no", 0, 0, R, "Send each answer in a segment of its own, for terminals that take one recv() for one frame.") \
	X(session, bad_frames_max, INT, "20", 1, 100000, R, "Bad frames a minute until a connection is closed.") \
	X(session, signature, CHOICE, "optional", 0, "optional|required", R, "Whether an HJ 1239 or 2025 report must be signed; a fleet may say otherwise.") \
	X(session, activation, CHOICE, "automatic", 0, "automatic|approval|off", R, "First activation of a VIN: taken at once, when a person approves, or refused.") \
	X(limit, connections, INT, "10000", 1, 1000000, R, "Connections open at once; the newest are shed above it.") \
	X(limit, memory_mib, INT, "512", 16, 1048576, R, "MiB for connection buffers and queued frames; reading pauses above it.") \
	X(limit, connection_kib, INT, "128", 66, 65536, R, "KiB of frames and answers one connection may hold.") \
	X(limit, handshakes, INT, "1000", 1, 100000, R, "TLS handshakes in flight on a loop.")       \
	X(limit, source_connections, INT, "5000", 0, 1000000, R, "Connections from one address (IPv6: /64); 0 is no limit.") \
	X(limit, source_logins, INT, "60000", 0, 10000000, R, "Logins a minute from one address; 0 is no limit.") \
	X(limit, vin_logins, INT, "20", 0, 100000, R, "Logins a minute of one VIN from one address; 0 is no limit.") \
	X(limit, vin_frames, INT, "100", 0, 1000000, R, "Frames a second that one session may send for long; reading waits above it; 0 is no limit.") \
	X(limit, platform_frames, INT, "5000", 0, 1000000, R, "The same for a platform's session.") \
	X(limit, unauthenticated, INT, "2000", 1, 1000000, R, "Connections without a login; above it the oldest are dropped at random, above twice it always.") \
	X(limit, penalty_half_life_s, INT, "60", 0, 86400, R, "Time in which half of a source's penalty for bad behaviour is forgiven; 0 is no penalties.") \
	X(crypto, workers, INT, "0", 0, 64, -, "Threads that decrypt and verify; 0 is one for each core.") \
	X(keys, dir, PATH, "", 0, 0, R, "Folder of the gateway's own keys, mode 0700, made by tools/keys; empty for none.") \
	X(spool, dir, PATH, "/var/lib/haulgate/spool", 0, 0, -, "Folder of the durable log; mode 0700.") \
	X(spool, segment_mib, INT, "64", 2, 1024, -, "Size of a segment file.")                    \
	X(spool, size_gib, INT, "100", 1, 1048576, R, "GiB that the spool may take; silence above it.") \
	X(spool, reserve_mib, INT, "256", 1, 1048576, R, "MiB that stay free on the disk; silence below it.") \
	X(spool, archive_dir, PATH, "", 0, 0, -, "Folder of compressed closed segments; empty: archive/ in the spool.") \
	X(spool, double_sync, BOOL, "no", 0, 0, -, "Call fdatasync twice for each batch.")          \
	X(store, conninfo, TEXT, "", 0, 0, -, "libpq connection string of the gateway's role; empty: no store, the spool only grows.") \
	X(store, ack, CHOICE, "spool", 0, "spool|store", -, "When a frame counts as durable: in the spool, or committed in PostgreSQL.") \
	X(store, batch_frames, INT, "4096", 1, 65536, R, "Frames in one transaction at most.")      \
	X(store, batch_ms, INT, "200", 1, 10000, R, "Milliseconds that a transaction waits for more frames.") \
	X(store, checkpoint_s, INT, "10", 1, 3600, R, "Seconds between snapshots of the assessment state.") \
	X(store, days_ahead, INT, "7", 1, 60, R, "Day partitions made ahead.")                      \
	X(assess, vehicles, INT, "50000", 100, 10000000, -, "Vehicle-days held in memory.")         \
	X(downlink, answer_s, INT, "10", 1, 600, R, "Seconds until a command without an answer is sent again.") \
	X(downlink, attempts, INT, "3", 1, 20, R, "How often a command is sent.")                  \
	X(link, conninfo, TEXT, "", 0, 0, -, "libpq connection string of the link role, for haulgate-link.") \
	X(link, answer_s, INT, "10", 1, 600, R, "Seconds without an answer of the other platform until the connection is made anew.") \
	X(link, retry_max_s, INT, "60", 1, 3600, R, "Longest pause, in seconds, before it is tried to reach a platform again.") \
	X(link, login_retry_s, INT, "60", 1, 3600, R, "Seconds until a refused or unanswered login is tried again (GB/T 32960: a minute).") \
	X(link, login_pause_s, INT, "1800", 1, 86400, R, "The same after three such logins (GB/T 32960: 30 minutes).") \
	X(link, heartbeat_s, INT, "60", 1, 3600, R, "Seconds without a frame until a heartbeat is sent.") \
	X(link, missing_s, INT, "600", 1, 604800, R, "Seconds that segments of the spool may be away, archive and all, before what they hold counts as missing.") \
	X(link, late_s, INT, "60", 10, 604800, R, "Seconds after reception from which a real-time report is forwarded as supplement.") \
	X(query, listen, ADDRESS, "127.0.0.1:8080", 0, 0, -, "Address of the HTTP service.")        \
	X(query, conninfo, TEXT, "", 0, 0, -, "libpq connection string of the query role.")         \
	X(query, token_file, PATH, "", 0, 0, R, "File with one API token a line (TOKEN, or TOKEN NAME read,command), mode 0600.") \
	X(query, connections, INT, "8", 1, 200, -, "Database connections of the query service.")   \
	X(export, conninfo, TEXT, "", 0, 0, -, "libpq connection string of the export role.")
/* clang-format on */

#define CONFIG_TYPE_INT				int64_t
#define CONFIG_TYPE_BOOL			bool
#define CONFIG_TYPE_CHOICE			int
#define CONFIG_TYPE_TEXT			char *
#define CONFIG_TYPE_PATH			char *
#define CONFIG_TYPE_ADDRESS			char *
#define CONFIG_MEMBER_(section, key, kind, ...) CONFIG_TYPE_##kind section##_##key;

/* config->listen_tcp, config->session_login_s, ...  Texts are never NULL. */
struct config {
	CONFIG_KEYS(CONFIG_MEMBER_)
};

enum { UNKNOWN_VEHICLE_REJECT, UNKNOWN_VEHICLE_PROVISIONAL };
enum { REPORT_BEFORE_LOGIN_REFUSE, REPORT_BEFORE_LOGIN_REGISTERED };
enum { DUPLICATE_VIN_TAKEOVER, DUPLICATE_VIN_REFUSE };
enum { TLS_CLIENT_NONE, TLS_CLIENT_OPTIONAL, TLS_CLIENT_REQUIRED };
enum { SIGNATURE_OPTIONAL, SIGNATURE_REQUIRED };
enum { ACTIVATION_AUTOMATIC, ACTIVATION_APPROVAL, ACTIVATION_OFF };
enum { ACK_SPOOL, ACK_STORE };

/*
 * All complaints of a file are joined in err->text with newlines, first ones first.
 * One thread at a time (inih keeps its limits in variables of the process).
 */
int config_load(const char *path, struct config **ret, struct error *err);
void config_free(struct config *c); /* NULL-safe */

/*
 * For a reload: the keys that need a restart keep old's value in fresh.  Returns how many of them
 * differed, and their names, separated by blanks and cut to fit, in names.
 */
size_t config_keep_fixed(struct config *fresh, const struct config *old, char *names, size_t size);

/* Splits "1.2.3.4:80" or "[::1]:80".  False when it is neither; numbers only, no names. */
enum { CONFIG_HOST_SIZE = 64 };
bool config_address(const char *text, char host[CONFIG_HOST_SIZE], uint16_t *ret_port);

/* Markdown for docs/configuration.md and "key = value  ; doc" for --print-config, to stdout. */
void config_print_markdown(void);
void config_print(const struct config *c);

#endif

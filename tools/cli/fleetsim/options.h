/* options.h - the command line, and where the gateway and its store are. */
#ifndef TOOLS_CLI_FLEETSIM_OPTIONS_H
#define TOOLS_CLI_FLEETSIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/error.h"

/*
 * X(name, kind, default, unit of the value, doc)
 *   kind: COUNT whole number, NUMBER decimal, TEXT, FLAG.  Defaults are text, NULL is "not given".
 */
#define OPTIONS(X)                                                                                 \
	X(trucks, COUNT, "50", "N", "simulated trucks")                                            \
	X(seconds, COUNT, "60", "S", "wall seconds that the run should take, its end phase aside") \
	X(state, TEXT, ".quickstart", "DIR",                                                       \
	  "folder with endpoints.env, as tools/quickstart writes it")                              \
	X(tcp, TEXT, NULL, "HOST:PORT",                                                            \
	  "gateway for plain TCP (default: HAULGATE_TCP of endpoints.env)")                        \
	X(tls, TEXT, NULL, "HOST:PORT", "gateway for TLS (default: HAULGATE_TLS)")                 \
	X(tls_share, NUMBER, "0.25", "SHARE",                                                      \
	  "trucks that use TLS, 0 to 1, where there is an address")                                \
	X(tls_ca, TEXT, NULL, "FILE",                                                              \
	  "certificate to check the gateway's by (default: HAULGATE_TLS_CERTIFICATE, else "        \
	  "unchecked)")                                                                            \
	X(protocol, TEXT, "mixed", "NAME", "gb17691, hj1239, both (mixed) or gbt32960")            \
	X(dialect, TEXT, NULL, "LIST", "only these dialects, by comma; names below")               \
	X(signed_share, NUMBER, "0", "SHARE",                                                      \
	  "HJ 1239 trucks that sign their units and activate their chip first, 0 to 1")            \
	X(encrypted, TEXT, NULL, "LIST",                                                           \
	  "trucks encrypt, in turn with sm2, rsa (--gateway-keys), sm4, aes128 (--keys)")          \
	X(encrypted_share, NUMBER, "0.3", "SHARE", "of the trucks, 0 to 1, with --encrypted")      \
	X(keys, TEXT, NULL, "DIR",                                                                 \
	  "the trucks' keys as tools/keys writes them: VIN.pem signs, VIN.key encrypts (default: " \
	  "derived from the seed, and activated)")                                                 \
	X(client_certificates, TEXT, NULL, "DIR",                                                  \
	  "trucks on TLS show a certificate: VIN.crt, VIN.key")                                    \
	X(platform, TEXT, NULL, "LOGIN",                                                           \
	  "trucks with header P report over one connection of this platform account")              \
	X(platform_password_file, TEXT, NULL, "FILE",                                              \
	  "with --platform: its password, in a file of mode 0600")                                 \
	X(platform_share, NUMBER, "0.2", "SHARE",                                                  \
	  "of the trucks with header P, 0 to 1, with --platform")                                  \
	X(print_vins, FLAG, NULL, NULL,                                                            \
	  "only say which trucks the fleet has, and what keys they need, as CSV")                  \
	X(seed, COUNT, "1", "N", "the same seed gives the same fleet, second for second")          \
	X(drive, NUMBER, NULL, "HOURS",                                                            \
	  "simulated length (default 6, less where --rate does not allow it)")                     \
	X(speed, NUMBER, NULL, "X",                                                                \
	  "simulated seconds in one second; 1 is live (default: the drive in 0.7 of --seconds)")   \
	X(start, TEXT, NULL, "TIME",                                                               \
	  "first second, \"YYYY-MM-DD HH:MM\" in Beijing (default: 06:00 of the last day that is " \
	  "over by then; live: now)")                                                              \
	X(violators, TEXT, "0.1", "SHARE",                                                         \
	  "share of trucks that violate, or a list as nox_high=2,dpf_missing=0.05 (whole: "        \
	  "trucks; else share)")                                                                   \
	X(rate, COUNT, "5000", "N",                                                                \
	  "frames a second at most that the drive is planned for; 0 is no limit")                  \
	X(window, COUNT, "0", "N",                                                                 \
	  "reports in flight a truck (default: as its dialect; above 1 without header P only for " \
	  "speed tests)")                                                                          \
	X(no_dead_zones, FLAG, NULL, NULL, "keep every truck in reach")                            \
	X(no_cuts, FLAG, NULL, NULL, "one frame in one segment, never cut or merged")              \
	X(clock_faults, NUMBER, "0", "SHARE", "trucks whose clock is wrong now and then")          \
	X(verify, FLAG, NULL, NULL,                                                                \
	  "compare the store with what was sent, value by value, and its findings with the "       \
	  "violators")                                                                             \
	X(verify_wait, COUNT, "120", "S",                                                          \
	  "seconds to wait for a store that does not move (five times that in all)")               \
	X(end_wait, COUNT, "90", "S", "seconds to wait for the last answers")                      \
	X(frames, TEXT, NULL, "FILE",                                                              \
	  "send the frames of a file instead: hex lines, or a table with a column hex")            \
	X(login, FLAG, NULL, NULL, "with --frames: log in before the first frame of each VIN")     \
	X(report, TEXT, NULL, "FILE", "what was sent, as JSON (default: fleet.json in --state)")   \
	X(routes, TEXT, NULL, "FILE",                                                              \
	  "SQL file with the roads to drive on (default: schema/seed/city.sql of the source)")     \
	X(attack, TEXT, NULL, "LIST",                                                              \
	  "attack the gateway instead, for --seconds: all, or kinds by comma; names below")        \
	X(attackers, COUNT, "50", "N", "with --attack: how many, up to 20000, in all")             \
	X(gateway_keys, TEXT, NULL, "DIR", "folder of the gateway's keys (keys.dir)")              \
	X(quiet, FLAG, NULL, NULL, "no progress, only the result")

#define OPTION_TYPE_COUNT  uint64_t
#define OPTION_TYPE_NUMBER double
#define OPTION_TYPE_TEXT   const char *
#define OPTION_TYPE_FLAG   bool
/* name and has_name: given, or has a default. */
#define OPTION_MEMBER_(name, kind, ...)                                                            \
	OPTION_TYPE_##kind name;                                                                   \
	bool has_##name, given_##name;

struct options {
	OPTIONS(OPTION_MEMBER_)
	bool help;
};

/* The texts point into argv. */
int options_parse(int argc, char **argv, struct options *ret, struct error *err);
void options_help(void);

/* X(member, key in endpoints.env) */
#define ENDPOINTS(X)                                                                               \
	X(tcp, HAULGATE_TCP)                                                                       \
	X(tls, HAULGATE_TLS)                                                                       \
	X(tls_certificate, HAULGATE_TLS_CERTIFICATE)                                               \
	X(pg_host, PGHOST)                                                                         \
	X(pg_port, PGPORT)                                                                         \
	X(pg_database, PGDATABASE)                                                                 \
	X(pg_user, PGUSER)

#define ENDPOINT_MEMBER_(member, key) char member[256];

struct endpoints {
	ENDPOINTS(ENDPOINT_MEMBER_) /* empty where not said */
};

/* Reads DIR/endpoints.env.  ERROR_NOT_FOUND when there is none. */
int endpoints_load(const char *dir, struct endpoints *ret, struct error *err);

/* Unix seconds of "YYYY-MM-DD HH:MM[:SS]" at GMT+8. */
int beijing_time_parse(const char *text, int64_t *ret, struct error *err);
void beijing_time_print(int64_t at, char out[20]);

#endif

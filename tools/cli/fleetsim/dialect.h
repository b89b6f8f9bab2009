/*
 * dialect.h - how a terminal speaks: one row for each way that is seen in the field.
 *
 * Sources: GB 17691-2018 Annex Q, HJ 1239.3-2021, docs/protocol.md.
 */
#ifndef TOOLS_CLI_FLEETSIM_DIALECT_H
#define TOOLS_CLI_FLEETSIM_DIALECT_H

#include <stdbool.h>

#include "gateway/base/error.h"
#include "proto/wire/frame.h"
#include "proto/wire/unit.h"

/*
 * X(id, name, protocol, start, header, layout, version, answered, login_answered, doc)
 *   answered: reports are answered, and so sent again when no answer comes.
 *   login_answered: the terminal waits for the answer of its login.  A "##" login of header V says
 * nothing of the protocol, so that an HJ 1239 terminal cannot count on it.
 */
#define DIALECTS(X)                                                                                \
	X(GB_A, "gb-a", GB17691, 0x23, V, A, 1, 0, 0,                                              \
	  "GB 17691, type and serial before each body")                                            \
	X(GB_A_PRIME, "gb-a-prime", GB17691, 0x23, V, A_PRIME, 2, 0, 0, "GB 17691, serial once")   \
	X(GB_B, "gb-b", GB17691, 0x23, V, B, 3, 0, 0, "GB 17691, serial behind the time")          \
	X(HJ_V, "hj-v", HJ1239, 0x23, V, C, 17, 1, 0, "HJ 1239, vehicle header")                   \
	X(HJ_V_TILDE, "hj-v-tilde", HJ1239, 0x7E, V, C, 6, 1, 1, "HJ 1239, vehicle header, ~~")    \
	X(HJ_P, "hj-p", HJ1239, 0x23, P, C, 0, 1, 1, "HJ 1239 with the header of GB/T 32960")      \
	X(HJ_P_TILDE, "hj-p-tilde", HJ1239, 0x7E, P, C, 0, 1, 1, "the same with ~~")               \
	X(GBT_P, "gbt-p", GBT32960_2016, 0x23, P, EV, 0, 1, 1,                                     \
	  "GB/T 32960-2016, a hybrid truck; with --protocol gbt32960")

#define DIALECT_ENUM_(id, ...) DIALECT_##id,
enum dialect_id { DIALECTS(DIALECT_ENUM_) DIALECT_COUNT };
#undef DIALECT_ENUM_

struct dialect {
	const char *name;
	enum protocol protocol;
	uint8_t start;
	enum header header;
	enum layout layout;
	uint8_t version;
	bool answered, login_answered;
	const char *doc;
};

extern const struct dialect dialects[DIALECT_COUNT];

/* A set of dialects that a fleet is drawn from. */
struct dialect_set {
	unsigned count;
	enum dialect_id ids[DIALECT_COUNT];
};

/* protocol: "gb17691", "hj1239", "gbt32960" or "mixed" (of the first two); names: NULL, or a comma
 * list of dialects that restricts it. */
int dialect_set_parse(const char *protocol, const char *names, struct dialect_set *ret,
		      struct error *err);

#endif

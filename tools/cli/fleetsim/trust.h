/*
 * trust.h - how a truck's units are protected: signed by its chip, sealed for the gateway or with
 * a key that both have.
 */
#ifndef TOOLS_CLI_FLEETSIM_TRUST_H
#define TOOLS_CLI_FLEETSIM_TRUST_H

#include "proto/wire/cipher.h"
#include "tools/cli/fleetsim/chip.h"

/* The gateway's public halves, of which a terminal knows one; NULL: not wanted. */
struct trust_gateway {
	struct cipher_key *pairs[ALGORITHM_COUNT];
};

/*
 * folder: NAME.pem files, public or private halves, as keys.dir has them.  Takes of each algorithm
 * in the plan's list the newest.
 */
int trust_gateway_load(const char *folder, const struct fleet_plan *plan, struct trust_gateway *ret,
		       struct error *err);
void trust_gateway_free(struct trust_gateway *g);

/* Both NULL: plain and unsigned. */
struct trust {
	struct chip *chip;
	struct cipher_key *own;		 /* its symmetric key, or NULL */
	const struct cipher_key *cipher; /* what seals: own, or the gateway's; NULL: plain */
};

/*
 * keys: folder with VIN.pem (the private key that signs, known to the registry) and VIN.key (32 hex
 * digits), as tools/keys writes them; NULL: chips are derived, and activated.
 */
int trust_make(const struct truck_plan *truck, const struct trust_gateway *gateway,
	       const char *keys, struct trust *ret, struct error *err);
void trust_free(struct trust *t);

/*
 * Signs and seals the unit in w, which has room behind it.  Returns the encryption byte of its
 * frame.
 */
uint8_t trust_protect(const struct trust *t, enum protocol protocol, struct unit_writer *w);

/* "sm2,rsa": into the plan. */
int trust_parse(const char *names, struct fleet_plan *plan, struct error *err);

#endif

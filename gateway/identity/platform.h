/* platform.h - accounts of enterprise platforms: from which addresses they may be used. */
#ifndef GATEWAY_IDENTITY_PLATFORM_H
#define GATEWAY_IDENTITY_PLATFORM_H

#include "gateway/identity/identity.h"

/*
 * networks: "10.0.0.0/8 2001:db8::/32", as PostgreSQL writes them; "": any address.  One that is
 * not understood matches no address, so that a mistake never opens an account to all.
 */
void platform_sources_set(struct identity_platform *p, const char *networks);

#endif

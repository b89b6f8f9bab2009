/*
 * negotiate.h - which of the content types an Accept header wants; RFC 9110 section 12.5.1.
 */
#ifndef GATEWAY_QUERY_NEGOTIATE_H
#define GATEWAY_QUERY_NEGOTIATE_H

#include <stddef.h>

/*
 * types: n of them, the default first; NULL ones are left out.  accept NULL: the default.
 * Returns one of types, or NULL when none is acceptable.
 */
const char *negotiate_type(const char *accept, const char *const types[], size_t n);

#endif

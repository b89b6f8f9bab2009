#include "gateway/query/negotiate.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Quality that the header gives to a type, 0 to 1000; the most specific range decides. */
static int accept_quality(const char *accept, const char *type)
{
	size_t group = strcspn(type, "/") + 1;
	int best = 0, best_rank = 0;

	while (*accept != '\0') {
		size_t n, name;
		const char *q;
		int rank = 0, quality = 1000;

		accept += strspn(accept, " \t");
		n = strcspn(accept, ",");
		name = strcspn(accept, " \t;,");
		if (name == strlen(type) && strncasecmp(accept, type, name) == 0)
			rank = 3;
		else if (name == group + 1 && strncasecmp(accept, type, group) == 0 &&
			 accept[group] == '*')
			rank = 2;
		else if (name == 3 && strncmp(accept, "*/*", 3) == 0)
			rank = 1;
		if ((q = memmem(accept, n, "q=", 2)) != NULL)
			quality = (int)(strtod(q + 2, NULL) * 1000);
		if (rank > best_rank) {
			best_rank = rank;
			best = quality;
		}
		accept += n + (accept[n] == ',');
	}
	return best;
}

const char *negotiate_type(const char *accept, const char *const types[], size_t n)
{
	const char *type = NULL;
	int best = 0;

	if (accept == NULL)
		return types[0];
	for (size_t i = 0; i < n && types[i] != NULL; i++) {
		int quality = accept_quality(accept, types[i]);

		if (quality > best) {
			best = quality;
			type = types[i];
		}
	}
	return type;
}

#include "tools/cli/fleetsim/dialect.h"

#include <stdio.h>
#include <string.h>

#define DIALECT_ROW_(id, name_, protocol_, start_, header_, layout_, version_, answered_, login_,  \
		     doc_)                                                                         \
	[DIALECT_##id] = { name_,                                                                  \
			   PROTOCOL_##protocol_,                                                   \
			   start_,                                                                 \
			   HEADER_##header_,                                                       \
			   LAYOUT_##layout_,                                                       \
			   version_,                                                               \
			   (answered_) == 1,                                                       \
			   (login_) == 1,                                                          \
			   doc_ },
const struct dialect dialects[DIALECT_COUNT] = { DIALECTS(DIALECT_ROW_) };

static bool in_protocol(const struct dialect *d, const char *protocol)
{
	/* Apart: no rule judges what such a truck reports, so a mixed fleet would look half clean.
	 */
	if (d->protocol == PROTOCOL_GBT32960_2016)
		return strcmp(protocol, "gbt32960") == 0;
	return strcmp(protocol, "mixed") == 0 ||
	       strcmp(protocol, d->protocol == PROTOCOL_GB17691 ? "gb17691" : "hj1239") == 0;
}

static bool in_list(const char *name, const char *names)
{
	const size_t size = strlen(name);

	for (const char *p = names; p != NULL; p = strchr(p, ',')) {
		p += *p == ',';
		if (strncmp(p, name, size) == 0 && (p[size] == '\0' || p[size] == ','))
			return true;
	}
	return false;
}

static unsigned list_length(const char *names)
{
	unsigned n = 1;

	for (const char *p = names; (p = strchr(p, ',')) != NULL; p++)
		n++;
	return n;
}

int dialect_set_parse(const char *protocol, const char *names, struct dialect_set *ret,
		      struct error *err)
{
	char all[200] = "";
	unsigned known = 0;

	ret->count = 0;
	for (unsigned i = 0; i < DIALECT_COUNT; i++) {
		const size_t used = strlen(all);
		snprintf(all + used, sizeof(all) - used, "%s%s", i > 0 ? ", " : "",
			 dialects[i].name);
		const bool listed = names == NULL || in_list(dialects[i].name, names);
		known += listed;
		if (listed && in_protocol(&dialects[i], protocol))
			ret->ids[ret->count++] = (enum dialect_id)i;
	}
	if (names != NULL && known != list_length(names))
		return error_set(err, ERROR_USAGE, "--dialect %s: a comma list of %s is wanted",
				 names, all);
	if (ret->count == 0)
		return error_set(err, ERROR_USAGE,
				 "--protocol %s%s%s: gb17691, hj1239, gbt32960 or mixed is wanted, "
				 "and a dialect of it",
				 protocol, names != NULL ? " --dialect " : "",
				 names != NULL ? names : "");
	return 0;
}

#include "gateway/identity/platform.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "gateway/identity/memory.h"

enum { NETWORK_SIZE = 64, BITS_NONE = 129 };

/* One network; nobody's when it is not one. */
static struct identity_network network_parse(const char *text)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct identity_network n = { .bits = BITS_NONE };
	char address[NETWORK_SIZE];
	char *slash, *end = NULL;
	unsigned long bits;
	bool is_v4;

	snprintf(address, sizeof(address), "%s", text);
	if ((slash = strchr(address, '/')) != NULL)
		*slash++ = '\0';
	is_v4 = inet_pton(AF_INET, address, n.address + sizeof(mapped)) == 1;
	if (is_v4)
		memcpy(n.address, mapped, sizeof(mapped));
	else if (inet_pton(AF_INET6, address, n.address) != 1)
		return n;
	bits = slash != NULL ? strtoul(slash, &end, 10) : is_v4 ? 32 : 128;
	if ((slash != NULL && (end == slash || *end != '\0')) || bits > (is_v4 ? 32 : 128))
		return n;
	n.bits = (unsigned)bits + (is_v4 ? 96 : 0);
	return n;
}

void platform_sources_set(struct identity_platform *p, const char *networks)
{
	size_t count = 0;

	for (const char *s = networks; *s != '\0'; s += strspn(s, " ")) {
		s += strcspn(s, " ");
		count++;
	}
	p->sources = memory_zero(count, sizeof(*p->sources));
	for (const char *s = networks; *s != '\0'; s += strspn(s, " ")) {
		const size_t size = strcspn(s, " ");
		char one[NETWORK_SIZE];

		snprintf(one, sizeof(one), "%.*s", (int)size, s);
		p->sources[p->source_count++] = network_parse(one);
		s += size;
	}
}

static bool is_in(const struct identity_network *n, const uint8_t address[16])
{
	const unsigned whole = n->bits / 8, rest = n->bits % 8;
	const uint8_t mask = (uint8_t)(0xff00 >> rest);

	if (n->bits > 128 || memcmp(n->address, address, whole) != 0)
		return false;
	return rest == 0 || ((n->address[whole] ^ address[whole]) & mask) == 0;
}

bool identity_platform_source(const struct identity_platform *p, const uint8_t address[16])
{
	for (size_t i = 0; i < p->source_count; i++)
		if (is_in(&p->sources[i], address))
			return true;
	return p->source_count == 0;
}

struct identity_platform *identity_platform_ref(struct identity_platform *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void identity_platform_put(struct identity_platform *p)
{
	if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(p->sources);
	free(p);
}

#include "proto/wire/verdict.h"

#include <stddef.h>

static const struct {
	const char *name, *doc;
} verdicts[] = {
#define ROW(number, name, text, doc) [number] = { text, doc },
	VERDICTS(ROW)
#undef ROW
};

static const struct {
	const char *name, *doc;
} quirks[] = {
#define ROW(bit, name, text, doc) [bit] = { text, doc },
	QUIRKS(ROW)
#undef ROW
};

const char *verdict_name(unsigned verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].name : "unknown";
}

const char *verdict_doc(unsigned verdict)
{
	return verdict < VERDICT_COUNT ? verdicts[verdict].doc : "not in the list";
}

const char *quirk_name(unsigned bit)
{
	return bit < sizeof(quirks) / sizeof(quirks[0]) ? quirks[bit].name : "unknown";
}

const char *quirk_doc(unsigned bit)
{
	return bit < sizeof(quirks) / sizeof(quirks[0]) ? quirks[bit].doc : NULL;
}

#include "proto/wire/markdown.h"

#include "proto/wire/signature.h"

static const char *const mode_docs[CIPHER_MODE_COUNT] = {
#define ROW(number, name, text, algorithm, doc) [number] = doc,
	CIPHER_MODES(ROW)
#undef ROW
};

static void put_bytes(FILE *out)
{
	fputs("| protocol | 01 | 02 | 03 | 04 | 05 |\n|---|---|---|---|---|---|\n", out);
	for (int p = PROTOCOL_GB17691; p < PROTOCOL_COUNT; p++) {
		fprintf(out, "| %s |", protocol_name((enum protocol)p));
		for (uint8_t byte = 1; byte <= 5; byte++) {
			const enum algorithm a = encryption_algorithm((enum protocol)p, byte);

			fprintf(out, " %s |",
				byte == 1	      ? "plain"
				: a == ALGORITHM_NONE ? ""
						      : algorithm_text(a));
		}
		fputs("\n", out);
	}
	fputs("\n", out);
}

void cipher_markdown(FILE *out)
{
	put_bytes(out);
	fputs("| number | mode | algorithms | what it is |\n|---|---|---|---|\n", out);
	for (unsigned i = 0; i < CIPHER_MODE_COUNT; i++) {
		const char *comma = "";

		fprintf(out, "| %u | `%s` | ", i, cipher_mode_text(i));
		for (unsigned a = 0; a < ALGORITHM_COUNT; a++) {
			if (!cipher_mode_fits((enum algorithm)a, (enum cipher_mode)i))
				continue;
			fprintf(out, "%s%s", comma, algorithm_text(a));
			comma = ", ";
		}
		fprintf(out, " | %s |\n", mode_docs[i]);
	}
	fputs("\n", out);
}

void signature_markdown(FILE *out)
{
	fputs("| number | signature | meaning |\n|---|---|---|\n", out);
#define ROW(number, name, text, doc) fprintf(out, "| %d | `%s` | %s |\n", number, text, doc);
	SIGNATURE_CHECKS(ROW)
#undef ROW
	fputs("\n", out);
}

/* markdown.c - the rules as they stand in the table, for people. */
#include "gateway/assess/markdown.h"

#include "gateway/assess/assess.h"

void rules_markdown(FILE *out)
{
	for (unsigned r = 0; r < RULE_COUNT; r++) {
		const struct rule_definition *d = &rule_definitions[r];

		fprintf(out, "### `%s` (%s), severity %d\n\n%s\n\n", d->id, d->label, d->severity,
			d->doc);
		fputs("| parameter | initial | least | most | meaning |\n|---|---|---|---|---|\n",
		      out);
		for (const struct rule_parameter *p = d->parameters;
		     p < d->parameters + RULE_PARAMETERS_MAX && p->name != NULL; p++)
			fprintf(out, "| `%s` | %g | %g | %g | %s |\n", p->name, p->initial, p->min,
				p->max, p->doc);
		fputs(r + 1 < RULE_COUNT ? "\n" : "", out);
	}
}

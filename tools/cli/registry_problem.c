#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry.h"

void problem_add(struct problems *p, unsigned line, size_t column, const char *format, ...)
{
	char text[2 * VALUE_SIZE + 400];
	va_list args;

	if (p->count == p->room) {
		const size_t room = p->room > 0 ? 2 * p->room : 64;
		struct problem *list = realloc(p->list, room * sizeof(*list));

		if (list == NULL) {
			p->lost = true;
			return;
		}
		p->list = list;
		p->room = room;
	}
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	p->list[p->count] = (struct problem){ line, column, strdup(text) };
	if (p->list[p->count].text != NULL)
		p->count++;
	else
		p->lost = true;
}

static int by_place(const void *a, const void *b)
{
	const struct problem *one = a, *two = b;

	if (one->line != two->line)
		return one->line < two->line ? -1 : 1;
	/* NO_COLUMN goes first. */
	if (one->column + 1 != two->column + 1)
		return one->column + 1 < two->column + 1 ? -1 : 1;
	return strcmp(one->text, two->text);
}

void problems_print(struct problems *p, const char *kind, size_t max)
{
	char letters[8];

	if (p->count > 1)
		qsort(p->list, p->count, sizeof(*p->list), by_place);
	for (size_t i = 0; i < p->count && i < max; i++) {
		const struct problem *x = &p->list[i];

		fputs(kind, stdout);
		if (x->line > 0)
			printf("line %u", x->line);
		if (x->column != NO_COLUMN)
			printf(", column %s", sheet_column_name(x->column, letters));
		printf("%s%s\n", x->line > 0 || x->column != NO_COLUMN ? ": " : "", x->text);
	}
	if (p->count > max)
		printf("%s... and %zu more; --all shows them\n", kind, p->count - max);
	if (p->lost)
		printf("%s... and more that memory did not hold\n", kind);
}

void problems_free(struct problems *p)
{
	for (size_t i = 0; i < p->count; i++)
		free(p->list[i].text);
	free(p->list);
	*p = (struct problems){ 0 };
}

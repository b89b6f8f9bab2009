#include "tools/cli/arguments.h"

#include <assert.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { OPTIONS_MAX = 62, FIRST_OPTION = 256, COLUMN = 28, WIDTH = 96 };

struct arguments {
	const struct argument_program *program;
	const struct argument_command *command;
	const char *values[OPTIONS_MAX];
	char **operands;
	size_t operand_count;
};

int argument_wrong(const struct arguments *a, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", a->program->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputs("; see --help\n", stderr);
	return ARGUMENT_USAGE;
}

/* ---- the table ---- */

/* Whether word is one of the words of list. */
static bool has_word(const char *list, const char *word)
{
	const size_t n = strlen(word);

	for (const char *p = list; *p != '\0'; p += strspn(p, " ")) {
		size_t size = strcspn(p, " ");

		if (size == n && memcmp(p, word, n) == 0)
			return true;
		p += size;
	}
	return false;
}

static size_t option_index(const struct argument_program *program, const char *name)
{
	for (size_t i = 0; program->options[i].name != NULL; i++)
		if (strcmp(program->options[i].name, name) == 0)
			return i;
	assert(!"an option that the table does not have");
	return 0;
}

/* How many of the operands are the words of c; 0: it is another command. */
static size_t words_match(const struct argument_command *c, char **operands, size_t count)
{
	size_t used = 0;

	for (const char *p = c->words; *p != '\0'; used++) {
		size_t n = strcspn(p, " ");

		if (used == count || strlen(operands[used]) != n ||
		    memcmp(operands[used], p, n) != 0)
			return 0;
		p += n;
		p += strspn(p, " ");
	}
	return used;
}

const char *argument(const struct arguments *a, const char *option)
{
	assert(has_word(a->command->options, option) || has_word(a->program->common, option));
	return a->values[option_index(a->program, option)];
}

bool argument_given(const struct arguments *a, const char *option)
{
	return argument(a, option) != NULL;
}

size_t argument_operands(const struct arguments *a)
{
	return a->operand_count;
}

const char *argument_operand(const struct arguments *a, size_t i)
{
	return i < a->operand_count ? a->operands[i] : NULL;
}

const struct argument_command *argument_command(const struct arguments *a)
{
	return a->command;
}

/* ---- the help ---- */

/* Text behind COLUMN blanks, broken at blanks; used: how much of the line stands already. */
static void put_doc(const char *doc, int used)
{
	const char *blank = "";

	if (used >= COLUMN)
		used = (putchar('\n'), 0);
	printf("%*s", COLUMN - used, "");
	used = COLUMN;
	for (const char *p = doc; *p != '\0'; p += strspn(p, " ")) {
		int n = (int)strcspn(p, " ");

		if (used + n >= WIDTH) {
			printf("\n%*s", COLUMN, "");
			used = COLUMN;
			blank = "";
		}
		used += printf("%s%.*s", blank, n, p);
		p += n;
		blank = " ";
	}
	putchar('\n');
}

static void put_option(const struct argument_option *o)
{
	int used = printf("  --%s%s%s", o->name, o->value != NULL ? " " : "",
			  o->value != NULL ? o->value : "");

	put_doc(o->doc, used);
}

static void put_command(const struct argument_program *program, const struct argument_command *c)
{
	int used = printf("  %s%s%s", c->words, c->operands[0] != '\0' ? " " : "", c->operands);

	put_doc(c->doc, used);
	if (c->options[0] == '\0')
		return;
	printf("%*s", COLUMN - 1, "");
	for (size_t i = 0; program->options[i].name != NULL; i++) {
		const struct argument_option *o = &program->options[i];

		if (has_word(c->options, o->name))
			printf(" [--%s%s%s]", o->name, o->value != NULL ? " " : "",
			       o->value != NULL ? o->value : "");
	}
	putchar('\n');
}

static void print_help(const struct argument_program *program)
{
	printf("usage: %s COMMAND [OPERAND ...] [--option ...]\n\n%s\n", program->name,
	       program->intro);
	for (const struct argument_command *c = program->commands; c->words != NULL; c++)
		put_command(program, c);
	putchar('\n');
	for (size_t i = 0; program->options[i].name != NULL; i++)
		put_option(&program->options[i]);
	printf("  --version, --help\n\n%s", program->outro);
}

/* ---- what came ---- */

static int find_command(struct arguments *a)
{
	size_t best = 0;

	for (const struct argument_command *c = a->program->commands; c->words != NULL; c++) {
		size_t words = words_match(c, a->operands, a->operand_count);

		if (words > best) {
			best = words;
			a->command = c;
		}
	}
	if (a->command == NULL && a->operand_count == 0)
		return argument_wrong(a, "a command is needed");
	if (a->command == NULL)
		return argument_wrong(a, "'%s' is no command", a->operands[0]);
	a->operands += best;
	a->operand_count -= best;
	if (a->operand_count < a->command->least || a->operand_count > a->command->most)
		return argument_wrong(a, "%s wants: %s", a->command->words,
				      a->command->operands[0] != '\0' ? a->command->operands
								      : "no operands");
	for (size_t i = 0; a->program->options[i].name != NULL; i++) {
		const char *name = a->program->options[i].name;

		if (a->values[i] != NULL && !has_word(a->command->options, name) &&
		    !has_word(a->program->common, name))
			return argument_wrong(a, "%s does not take --%s", a->command->words, name);
	}
	return -1;
}

int arguments_run(const struct argument_program *program, int argc, char **argv, void *context)
{
	struct option options[OPTIONS_MAX + 3] = { 0 };
	struct arguments a = { .program = program };
	size_t n = 0;
	int option, code;

	for (; program->options[n].name != NULL; n++) {
		assert(n < OPTIONS_MAX);
		options[n].name = program->options[n].name;
		options[n].has_arg = program->options[n].value != NULL;
		options[n].val = FIRST_OPTION + (int)n;
	}
	options[n] = (struct option){ .name = "help", .val = 'h' };
	options[n + 1] = (struct option){ .name = "version", .val = 'v' };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'h':
			print_help(program);
			return ARGUMENT_DONE;
		case 'v':
			printf("%s " HAULGATE_VERSION "\n", program->name);
			return ARGUMENT_DONE;
		case '?':
			return argument_wrong(&a, "an argument is wrong");
		default:
			a.values[option - FIRST_OPTION] = optarg != NULL ? optarg : "";
		}
	}
	a.operands = argv + optind;
	a.operand_count = (size_t)(argc - optind);
	if ((code = find_command(&a)) >= 0)
		return code;
	assert(a.command != NULL);
	return a.command->run(&a, context);
}

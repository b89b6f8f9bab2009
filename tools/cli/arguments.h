/*
 * arguments.h - the arguments of a program with several commands: one table says what each takes,
 * checks what came, and is printed as the help.
 */
#ifndef TOOLS_CLI_ARGUMENTS_H
#define TOOLS_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

/* An option of the program; several commands may take it. */
struct argument_option {
	const char *name;
	const char *value; /* what stands behind it in the help; NULL: nothing does */
	const char *doc;
};

struct arguments;

struct argument_command {
	const char *words;    /* "platform add" */
	const char *operands; /* for the help: "LOGIN [VIN ...]" */
	const char *options;  /* names, separated by blanks */
	unsigned least, most; /* operands */
	int (*run)(const struct arguments *a, void *context);
	const char *doc;
};

struct argument_program {
	const char *name;
	const char *intro, *outro;		 /* of the help */
	const struct argument_option *options;	 /* ended by a NULL name; at most 60 */
	const char *common;			 /* those that every command takes */
	const struct argument_command *commands; /* ended by NULL words */
};

enum { ARGUMENT_DONE = 0, ARGUMENT_FAILED = 1, ARGUMENT_USAGE = 2 };

/*
 * Finds the command, checks options and operands, calls run and returns what it returned.  Wrong
 * usage is told on stderr; --help and --version are answered here.
 */
int arguments_run(const struct argument_program *program, int argc, char **argv, void *context);

/* The value of an option, "" for a flag; NULL: it was not given. */
const char *argument(const struct arguments *a, const char *option);
bool argument_given(const struct arguments *a, const char *option);
size_t argument_operands(const struct arguments *a);
const char *argument_operand(const struct arguments *a, size_t i); /* NULL behind the last */
const struct argument_command *argument_command(const struct arguments *a);

/* Says what is wrong and where help is; returns ARGUMENT_USAGE. */
int argument_wrong(const struct arguments *a, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif

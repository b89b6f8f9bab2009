/* command_order.c - words of the command line become an order. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/downlink/order.h"
#include "tools/cli/command.h"

bool command_seconds(const char *text, int64_t *ret)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 }, { "d", 86400 } };
	char *end;
	int64_t n;

	if (text[0] < '0' || text[0] > '9' || strspn(text, "0123456789") > 9)
		return false;
	n = strtoll(text, &end, 10);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(units[i].unit, end) == 0) {
			*ret = n * units[i].seconds;
			return true;
		}
	}
	return false;
}

/* ---- values ---- */

static json_t *number(const char *text)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(text, &end, 10);
	return text[0] != '\0' && *end == '\0' && errno == 0 ? json_integer(n) : NULL;
}

/* As its type is written in JSON; what does not fit stays a text, which the check complains of. */
static json_t *value_of(const struct downlink_field *f, const char *text)
{
	json_t *value = NULL;

	if (f == NULL)
		return json_string(text);
	if (f->type == DOWNLINK_NUMBER)
		value = number(text);
	else if ((f->type == DOWNLINK_YES_NO || f->type == DOWNLINK_FLAG) &&
		 (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0))
		value = json_true();
	else if ((f->type == DOWNLINK_YES_NO || f->type == DOWNLINK_FLAG) &&
		 (strcmp(text, "false") == 0 || strcmp(text, "no") == 0))
		value = json_false();
	return value != NULL ? value : json_string(text);
}

/* The first line of a file: others can read arguments, so no secret may stand there. */
static int read_file(const char *path, char *line, int size, struct error *err)
{
	FILE *f = fopen(path, "re");
	bool read;

	if (f == NULL)
		return error_errno(err, ERROR_IO, "%s", path);
	read = fgets(line, size, f) != NULL;
	fclose(f);
	if (!read)
		return error_set(err, ERROR_IO, "%s: nothing in it", path);
	line[strcspn(line, "\r\n")] = '\0';
	return 0;
}

/* NAME=VALUE, or NAME=@FILE */
static int add_value(json_t *object, const struct downlink_control *control, const char *word,
		     struct error *err)
{
	const char *equals = strchr(word, '='), *value;
	const struct downlink_field *field;
	char name[64], line[400];
	int rc;

	if (equals == NULL || equals == word || (size_t)(equals - word) >= sizeof(name))
		return error_set(err, ERROR_USAGE, "'%.60s': NAME=VALUE is wanted", word);
	snprintf(name, sizeof(name), "%.*s", (int)(equals - word), word);
	if (json_object_get(object, name) != NULL)
		return error_set(err, ERROR_USAGE, "%s is given twice", name);
	value = equals + 1;
	field = downlink_field_find(control, name);
	if (field != NULL && field->secret && value[0] != '@')
		return error_set(err, ERROR_USAGE,
				 "%s: arguments can be seen by others; write it into a file, and "
				 "%s=@FILE here",
				 name, name);
	if (value[0] == '@') {
		if ((rc = read_file(value + 1, line, sizeof(line), err)) != 0)
			return rc;
		value = line;
	}
	if (json_object_set_new(object, name, value_of(field, value)) != 0)
		return error_set(err, ERROR_USAGE, "'%s' is not UTF-8", name);
	return 0;
}

/* The operands behind the VIN. */
static int read_parameters(const struct arguments *a, enum downlink_kind kind, json_t **ret,
			   struct error *err)
{
	const struct downlink_control *control = NULL;
	json_t *all = kind == DOWNLINK_QUERY ? json_array() : json_object();
	size_t i = 1;
	int rc = 0;

	if (kind == DOWNLINK_CONTROL) {
		control = downlink_control_find(argument_operand(a, i));
		json_object_set_new(all, "action", json_string(argument_operand(a, i++)));
	}
	for (; rc == 0 && i < argument_operands(a); i++) {
		if (kind == DOWNLINK_QUERY)
			json_array_append_new(all, json_string(argument_operand(a, i)));
		else
			rc = add_value(all, control, argument_operand(a, i), err);
	}
	*ret = all;
	return rc;
}

/* ---- orders ---- */

static enum downlink_kind kind_of(const struct arguments *a)
{
	enum downlink_kind kind = DOWNLINK_QUERY;

	/* The command is "order KIND". */
	downlink_kind_find(strchr(argument_command(a)->words, ' ') + 1, &kind);
	return kind;
}

static int give_order(struct command_tool *t, const struct arguments *a, const char *parameters,
		      int64_t expires_s, json_t **ret)
{
	char expires[24];
	const char *values[] = { argument_operand(a, 0),
				 downlink_kind_name(kind_of(a)),
				 parameters,
				 argument(a, "reason"),
				 NULL,
				 expires_s > 0 ? expires : NULL };

	snprintf(expires, sizeof(expires), "%" PRId64, expires_s);
	if (session_open(&t->session, "haulgate-command", argument(a, "conninfo"),
			 argument(a, "actor"), &t->err) != 0)
		return t->err.code;
	values[4] = t->session.actor;
	*ret = command_ask(t, "order",
			   "SELECT api.command_order($1, $2, $3::jsonb, $4, $5, $6::bigint)", 6,
			   values);
	return *ret != NULL ? 0 : t->err.code;
}

static int finish(struct command_tool *t, const struct arguments *a, const json_t *command,
		  int64_t timeout_s)
{
	const bool json = argument_given(a, "json");
	char id[24];

	snprintf(id, sizeof(id), "%" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(command, "id")));
	if (argument_given(a, "wait"))
		return command_follow(t, id, timeout_s, json);
	if (json)
		command_print(command, true);
	else
		printf("command %s is queued; haulgate-command watch %s\n", id, id);
	return ARGUMENT_DONE;
}

int command_order(const struct arguments *a, void *context)
{
	struct command_tool *t = context;
	const char *expires = argument(a, "expires"), *timeout = argument(a, "timeout");
	int64_t expires_s = 0, timeout_s = 0;
	json_t *parameters = NULL, *command = NULL;
	struct downlink_command checked;
	char *text;
	int rc;

	if (argument(a, "reason") == NULL)
		return argument_wrong(
			a, "--reason is needed: an order without one cannot be judged later");
	if (expires != NULL && !command_seconds(expires, &expires_s))
		return argument_wrong(a, "--expires %s: seconds, or such as 15m, 2h, 3d", expires);
	if (timeout != NULL && !command_seconds(timeout, &timeout_s))
		return argument_wrong(a, "--timeout %s: seconds, or such as 15m, 2h, 3d", timeout);
	rc = read_parameters(a, kind_of(a), &parameters, &t->err);
	if (rc == 0)
		rc = order_parse(downlink_kind_name(kind_of(a)), parameters, &checked, &t->err);
	if (rc != 0) {
		json_decref(parameters);
		return argument_wrong(a, "%s", t->err.text);
	}
	text = json_dumps(parameters, JSON_COMPACT);
	json_decref(parameters);
	rc = text != NULL ? give_order(t, a, text, expires_s, &command) : ERROR_MEMORY;
	free(text);
	rc = rc == 0 ? finish(t, a, command, timeout_s) : ARGUMENT_FAILED;
	json_decref(command);
	return rc;
}

/* ---- names ---- */

static void print_field(const struct downlink_field *f)
{
	char allowed[200];

	downlink_allowed(f, allowed, sizeof(allowed));
	printf("  %-26s %s%s\n", f->name, f->required ? "needed: " : "",
	       f->read_only ? "query only" : allowed);
	if (f->doc[0] != '\0')
		printf("  %-26s %s\n", "", f->doc);
}

int command_names(const struct arguments *a, void *context)
{
	(void)a;
	(void)context;
	puts("parameters (order query, order set)");
	for (const struct downlink_field *f = downlink_parameters; f->name != NULL; f++)
		print_field(f);
	for (const struct downlink_control *c = downlink_controls; c->name != NULL; c++) {
		printf("control %s: %s%s\n", c->name, c->doc,
		       c->once ? " (never sent to a second session)" : "");
		for (const struct downlink_field *f = c->fields; f != NULL && f->name != NULL; f++)
			print_field(f);
	}
	return ARGUMENT_DONE;
}

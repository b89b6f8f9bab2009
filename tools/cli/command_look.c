/* command_look.c - what became of orders. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "tools/cli/command.h"
#include "tools/cli/table.h"

json_t *command_ask(struct command_tool *t, const char *what, const char *sql, int n,
		    const char *const *values)
{
	PGresult *result = NULL;
	json_t *json = NULL;

	if (session_run(&t->session, what, sql, n, values, NULL, &result, &t->err) != 0)
		return NULL;
	if (PQntuples(result) == 1 && !PQgetisnull(result, 0, 0))
		json = json_loads(PQgetvalue(result, 0, 0), 0, NULL);
	if (json == NULL)
		error_set(&t->err, ERROR_NOT_FOUND, "%s: there is none", what);
	PQclear(result);
	return json;
}

static int open_session(struct command_tool *t, const struct arguments *a)
{
	return session_open(&t->session, "haulgate-command", argument(a, "conninfo"),
			    argument(a, "actor"), &t->err);
}

static bool is_number(const char *text)
{
	const size_t n = strlen(text);

	return n > 0 && n <= 18 && strspn(text, "0123456789") == n;
}

/* ---- print ---- */

/* One line; texts as they are, other values as JSON. */
static void print_line(const char *name, const json_t *value)
{
	char shown[2000];
	char *text;

	if (value == NULL || json_is_null(value))
		return;
	text = json_is_string(value) ? strdup(json_string_value(value))
				     : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	if (text != NULL)
		printf("%-12s %s\n", name, text_shown(text, shown, sizeof(shown)));
	free(text);
}

/* A parameter as the terminal has it. */
static void print_answered(const char *name, const json_t *value)
{
	char indented[40];

	snprintf(indented, sizeof(indented), "  %-25s", name);
	if (json_is_null(value))
		printf("%s (the terminal says: invalid)\n", indented);
	else
		print_line(indented, value);
}

void command_print(const json_t *command, bool json)
{
	static const char *const names[] = {
		"id",	      "vin",	    "kind",    "parameters", "state",
		"message",    "ordered_by", "reason",  "ordered_at", "expires_at",
		"gateway_id", "attempts",   "sent_at", "ended_at",
	};
	const json_t *answered = json_object_get(command, "answered");
	const char *key;
	json_t *value;

	if (json) {
		json_dumpf(command, stdout, JSON_INDENT(2));
		putchar('\n');
		return;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		print_line(names[i], json_object_get(command, names[i]));
	json_object_foreach(json_object_get(answered, "parameters"), key, value)
		print_answered(key, value);
	print_line("answer", json_object_get(command, "answer"));
}

/* ---- look ---- */

int command_show(const struct arguments *a, void *context)
{
	struct command_tool *t = context;
	const char *id = argument_operand(a, 0);
	json_t *command;

	if (!is_number(id))
		return argument_wrong(a, "'%s': the number of a command is wanted", id);
	if (open_session(t, a) != 0 ||
	    (command = command_ask(t, "command", "SELECT api.command(NULL, $1::bigint)", 1, &id)) ==
		    NULL)
		return ARGUMENT_FAILED;
	command_print(command, argument_given(a, "json"));
	json_decref(command);
	return ARGUMENT_DONE;
}

static bool is_state(const char *state)
{
	static const char *const all[] = { "open",   "queued",	"sent",	      "answered", "refused",
					   "silent", "expired", "impossible", "cancelled" };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i], state) == 0)
			return true;
	return false;
}

/* A vehicle that is not there gives no table at all. */
static int list_page(struct command_tool *t, const char *const *values, bool json)
{
	json_t *page =
		command_ask(t, "commands", "SELECT api.commands($1, $2, NULL, $3::int)", 3, values);

	if (page == NULL && t->err.code == ERROR_NOT_FOUND)
		error_set(&t->err, ERROR_NOT_FOUND, "%.40s is not registered", values[0]);
	if (page == NULL)
		return ARGUMENT_FAILED;
	if (json)
		command_print(json_object_get(page, "commands"), true);
	json_decref(page);
	return ARGUMENT_DONE;
}

int command_list(const struct arguments *a, void *context)
{
	struct command_tool *t = context;
	const char *limit = argument_given(a, "limit") ? argument(a, "limit") : "20";
	const char *values[] = { argument_operand(a, 0), argument(a, "state"), limit };
	const bool json = argument_given(a, "json");
	PGresult *result;
	int rc;

	if (values[1] != NULL && !is_state(values[1]))
		return argument_wrong(a, "--state %s: there is no such state", values[1]);
	if (!is_number(limit) || strlen(limit) > 6)
		return argument_wrong(a, "--limit %s: a whole number is wanted", limit);
	if (open_session(t, a) != 0)
		return ARGUMENT_FAILED;
	if ((rc = list_page(t, values, json)) != ARGUMENT_DONE || json)
		return rc;
	if (session_run(&t->session, "commands",
			"SELECT c->>'id' AS id, c->>'state' AS state, c->>'kind' AS kind,"
			" c->>'parameters' AS parameters, c->>'ordered_by' AS \"by\","
			" left(c->>'ordered_at', 19) AS ordered_at, c->>'attempts' AS sends,"
			" coalesce(c->'answered'->>'parameters', c->>'message', '') AS outcome"
			" FROM jsonb_array_elements(api.commands($1, $2, NULL, $3::int)"
			"->'commands') c",
			3, values, NULL, &result, &t->err) != 0)
		return ARGUMENT_FAILED;
	table_print(result);
	PQclear(result);
	return ARGUMENT_DONE;
}

int command_cancel(const struct arguments *a, void *context)
{
	struct command_tool *t = context;
	const char *values[] = { argument_operand(a, 0), NULL, argument(a, "reason") };
	json_t *command;

	if (!is_number(values[0]))
		return argument_wrong(a, "'%s': the number of a command is wanted", values[0]);
	if (values[2] == NULL)
		return argument_wrong(a, "--reason is needed");
	if (open_session(t, a) != 0)
		return ARGUMENT_FAILED;
	values[1] = t->session.actor;
	command = command_ask(t, "cancel", "SELECT api.command_cancel(NULL, $1::bigint, $2, $3)", 3,
			      values);
	if (command == NULL)
		return ARGUMENT_FAILED;
	command_print(command, argument_given(a, "json"));
	json_decref(command);
	return ARGUMENT_DONE;
}

/* ---- watch ---- */

static const char *text_of(const json_t *command, const char *name)
{
	const char *text = json_string_value(json_object_get(command, name));

	return text != NULL ? text : "";
}

static bool is_open(const json_t *command)
{
	const char *state = text_of(command, "state");

	return strcmp(state, "queued") == 0 || strcmp(state, "sent") == 0;
}

/* A line on stderr when something has changed. */
static void tell(const json_t *command, char *last, size_t size)
{
	char line[200];

	snprintf(line, sizeof(line),
		 "command %" JSON_INTEGER_FORMAT " to %s: %s, attempts %" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(command, "id")), text_of(command, "vin"),
		 text_of(command, "state"),
		 json_integer_value(json_object_get(command, "attempts")));
	if (strcmp(line, last) == 0)
		return;
	fprintf(stderr, "%s\n", line);
	snprintf(last, size, "%s", line);
}

/* Until the database has word of any command, or a second is over: then the row is read again. */
static int wait_for_word(struct command_tool *t)
{
	struct pollfd fd = { .fd = PQsocket(t->session.conn), .events = POLLIN };
	PGnotify *n;

	poll(&fd, 1, 1000);
	if (PQconsumeInput(t->session.conn) != 1)
		return error_set(&t->err, ERROR_DATABASE, "connection lost: %s",
				 PQerrorMessage(t->session.conn));
	while ((n = PQnotifies(t->session.conn)) != NULL)
		PQfreemem(n);
	return 0;
}

int command_follow(struct command_tool *t, const char *id, int64_t limit_s, bool json)
{
	const int64_t limit_ns = clock_mono_ns() + limit_s * INT64_C(1000000000);
	char last[200] = "";
	json_t *command;
	int rc;

	if (session_run(&t->session, "listen", "LISTEN haulgate_command_state", 0, NULL, NULL, NULL,
			&t->err) != 0)
		return ARGUMENT_FAILED;
	for (;;) {
		command = command_ask(t, "command", "SELECT api.command(NULL, $1::bigint)", 1, &id);
		if (command == NULL)
			return ARGUMENT_FAILED;
		tell(command, last, sizeof(last));
		if (!is_open(command) || (limit_s > 0 && clock_mono_ns() > limit_ns))
			break;
		json_decref(command);
		if (wait_for_word(t) != 0)
			return ARGUMENT_FAILED;
	}
	command_print(command, json);
	rc = is_open(command)					  ? COMMAND_STILL_OPEN
	     : strcmp(text_of(command, "state"), "answered") == 0 ? ARGUMENT_DONE
								  : COMMAND_NOT_OBEYED;
	json_decref(command);
	return rc;
}

int command_watch(const struct arguments *a, void *context)
{
	struct command_tool *t = context;
	const char *timeout = argument(a, "timeout");
	int64_t timeout_s = 0;

	if (!is_number(argument_operand(a, 0)))
		return argument_wrong(a, "'%s': the number of a command is wanted",
				      argument_operand(a, 0));
	if (timeout != NULL && !command_seconds(timeout, &timeout_s))
		return argument_wrong(a, "--timeout %s: seconds, or such as 15m, 2h, 3d", timeout);
	if (open_session(t, a) != 0)
		return ARGUMENT_FAILED;
	return command_follow(t, argument_operand(a, 0), timeout_s, argument_given(a, "json"));
}

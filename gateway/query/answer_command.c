/* answer_command.c - an order comes in as JSON, is checked, and becomes a row of the queue. */
#include "gateway/query/answer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/downlink/order.h"
#include "gateway/query/request.h"

/* What is allowed beside each other in the body. */
static int check_keys(const json_t *body, struct error *err)
{
	static const char *const allowed[] = { "kind", "parameters", "reason", "expires_s", NULL };
	json_t *all = (json_t *)(uintptr_t)body; /* the macro wants it so, and only reads */
	const char *key;
	json_t *value;

	if (!json_is_object(body))
		return error_set(err, ERROR_USAGE, "the body must be a JSON object");
	json_object_foreach(all, key, value)
	{
		size_t i = 0;

		while (allowed[i] != NULL && strcmp(allowed[i], key) != 0)
			i++;
		if (allowed[i] == NULL)
			return error_set(err, ERROR_USAGE,
					 "'%.40s' is unknown; allowed: kind, parameters, reason, "
					 "expires_s",
					 key);
	}
	return 0;
}

/* Texts that the statement uses: they live as long as the request. */
static int keep(struct request *r, const json_t *body, struct error *err)
{
	const json_t *reason = json_object_get(body, "reason");
	const json_t *expires = json_object_get(body, "expires_s");

	if (!json_is_string(reason) ||
	    !text_is_plain(json_string_value(reason), json_string_length(reason)))
		return error_set(err, ERROR_USAGE,
				 "reason is needed: a text of 1 to 500 characters");
	if (expires != NULL && !json_is_integer(expires))
		return error_set(err, ERROR_USAGE,
				 "expires_s is not a whole number; it must be 10 to 2592000, which "
				 "is 30 days");
	r->kept[0] = strdup(json_string_value(json_object_get(body, "kind")));
	r->kept[1] = json_dumps(json_object_get(body, "parameters"), JSON_COMPACT);
	r->kept[2] = strdup(json_string_value(reason));
	if (expires != NULL)
		r->kept[3] = json_dumps(expires, JSON_ENCODE_ANY);
	if (r->kept[0] == NULL || r->kept[1] == NULL || r->kept[2] == NULL ||
	    (expires != NULL && r->kept[3] == NULL))
		return error_set(err, ERROR_MEMORY, "no memory");
	return 0;
}

static int read_order(struct request *r, struct error *err)
{
	struct downlink_command command;
	json_error_t where;
	json_t *body = json_loadb(r->body.data != NULL ? r->body.data : "", r->body.used,
				  JSON_REJECT_DUPLICATES, &where);
	int rc;

	if (body == NULL)
		return error_set(err, ERROR_USAGE, "the body is not JSON: %s, at byte %d",
				 where.text, where.position);
	if ((rc = check_keys(body, err)) == 0)
		rc = order_parse(json_string_value(json_object_get(body, "kind")),
				 json_object_get(body, "parameters"), &command, err);
	if (rc == 0)
		rc = keep(r, body, err);
	json_decref(body);
	return rc;
}

static void clear_result(void *result)
{
	PQclear(result);
}

static void order_done(enum job_outcome outcome, PGresult *result, void *arg)
{
	struct request *r = arg;
	struct MHD_Response *response;
	char location[120];

	r->job = NULL;
	if (outcome != JOB_DONE) {
		request_database_problem(r, outcome, result);
		return;
	}
	snprintf(location, sizeof(location), "/api/v1/vehicles/%s/commands/%s", r->values.value[0],
		 PQgetvalue(result, 0, 1));
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		(size_t)PQgetlength(result, 0, 0), PQgetvalue(result, 0, 0), clear_result, result);
	if (response != NULL)
		MHD_add_response_header(response, MHD_HTTP_HEADER_LOCATION, location);
	request_reply(r, MHD_HTTP_CREATED, response, r->route->types[0]);
}

void answer_command_order(struct request *r)
{
	struct error err = { 0 };
	const char *values[] = { r->values.value[0], NULL, NULL, NULL, NULL, r->token.name };

	if (read_order(r, &err) != 0) {
		request_problem(r,
				err.code == ERROR_MEMORY ? MHD_HTTP_INTERNAL_SERVER_ERROR
							 : MHD_HTTP_BAD_REQUEST,
				"%s", err.text);
		return;
	}
	for (size_t i = 0; i < 4; i++)
		values[1 + i] = r->kept[i];
	request_query(r, r->route->sql, values, 6, false, order_done);
}

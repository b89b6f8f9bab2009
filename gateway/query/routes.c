/* The table itself; see route.h.  SQL: schema/0003_api.sql. */
#include "gateway/query/route.h"

#include "gateway/query/answer.h"

#define VIN_IN_PATH                                                                                \
	{                                                                                          \
		.name = "vin", .in_path = true, .kind = KIND_VIN,                                  \
		.doc = "Vehicle identification number."                                            \
	}
#define COMMAND_IN_PATH                                                                            \
	{                                                                                          \
		.name = "id", .in_path = true, .kind = KIND_INTEGER, .min = 1, .max = 9999999999,  \
		.doc = "Number of the command."                                                    \
	}
#define PERIOD(what)                                                                               \
	{ .name = "from",                                                                          \
	  .kind = KIND_FROM,                                                                       \
	  .doc = "Begin, included: RFC 3339 with offset, or a Beijing day." what },                \
	{                                                                                          \
		.name = "to", .kind = KIND_TO,                                                     \
		.doc = "End, not included: RFC 3339 with offset; a Beijing day is included." what  \
	}
#define JSON                                                                                       \
	{                                                                                          \
		"application/json"                                                                 \
	}

/* clang-format off */
const struct route routes[] = {
	{
		.path = "/healthz", .open = true, .start = answer_health, .types = JSON,
		.doc = "The process runs.",
	}, {
		.path = "/readyz", .open = true, .start = answer_ready, .timeout_ms = 2000, .types = JSON,
		.sql = "SELECT api.ready()",
		.doc = "The database answers, and a gateway showed a sign of life within 10 s.",
	}, {
		.path = "/metrics", .open = true, .start = answer_metrics,
		.types = { "text/plain; version=0.0.4" },
		.doc = "Metrics of the gateways of this machine and of this service, Prometheus text.",
	}, {
		.path = "/api/v1/vehicles/{vin}", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.vehicle($1)",
		.missing = "no vehicle with this VIN is registered",
		.doc = "Registry, terminal, last position, latest OBD state, number of open findings.",
		.parameters = { VIN_IN_PATH },
	}, {
		.path = "/api/v1/vehicles/{vin}/samples", .start = answer_samples, .timeout_ms = 5000,
		.types = { "application/json", "text/csv" },
		.sql = "SELECT vehicle_id, from_s, to_s FROM api.samples_range($1, $2::bigint, $3::bigint)",
		.missing = "no vehicle with this VIN is registered",
		.doc = "Samples at 1 Hz in physical values, ascending; JSON or CSV by Accept.",
		.parameters = {
			VIN_IN_PATH,
			PERIOD("  Neither: the last 24 hours of the vehicle's data.  At most 31 days."),
		},
	}, {
		.path = "/api/v1/vehicles/{vin}/commands", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.commands($1, $2, $3::bigint, $4::int)",
		.missing = "no vehicle with this VIN is registered",
		.doc = "Commands to the vehicle's terminal, newest first, in pages.",
		.parameters = {
			VIN_IN_PATH,
			{ .name = "state", .kind = KIND_CHOICE,
			  .choices = "open|queued|sent|answered|refused|silent|expired|impossible|cancelled",
			  .doc = "open is queued or sent; without it: all." },
			{ .name = "before", .kind = KIND_INTEGER, .min = 1, .max = 9999999999,
			  .doc = "next_before of the page before." },
			{ .name = "limit", .kind = KIND_INTEGER, .min = 1, .max = 500,
			  .doc = "Commands on a page; 50 without it." },
		},
	}, {
		.path = "/api/v1/vehicles/{vin}/commands", .method = "POST", .start = answer_command_order,
		.timeout_ms = 5000, .types = JSON, .right = TOKEN_COMMAND, .body_max = 8192, .signed_by = true,
		.sql = "SELECT o, o ->> 'id' FROM api.command_order($1, $2, $3::jsonb, $4, $6, $5::bigint) o",
		.doc = "Orders a command to the vehicle's terminal.",
		.parameters = { VIN_IN_PATH },
	}, {
		.path = "/api/v1/vehicles/{vin}/commands/{id}", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.command($1, $2::bigint)",
		.missing = "the vehicle has no command with this number",
		.doc = "A command: what was ordered, by whom, and what became of it.",
		.parameters = { VIN_IN_PATH, COMMAND_IN_PATH },
	}, {
		.path = "/api/v1/vehicles/{vin}/commands/{id}", .method = "DELETE", .start = answer_json,
		.timeout_ms = 5000, .types = JSON, .right = TOKEN_COMMAND, .signed_by = true,
		.sql = "SELECT api.command_cancel($1, $2::bigint, $4, $3)",
		.doc = "Cancels a command that no gateway has in hand.",
		.parameters = {
			VIN_IN_PATH, COMMAND_IN_PATH,
			{ .name = "reason", .required = true, .kind = KIND_TEXT, .max = 500,
			  .doc = "Why; kept in the audit log." },
		},
	}, {
		.path = "/api/v1/findings", .start = answer_json, .timeout_ms = 5000, .types = JSON,
		.sql = "SELECT api.findings($1::int, $2::int, $3, $4::bigint, $5::bigint, $6, $7, $8::int, $9, "
		       "$10::int, $11, $12)",
		.paged = true,
		.doc = "Findings, newest first, in pages.",
		.parameters = {
			{ .name = "route", .kind = KIND_INTEGER, .min = 1, .max = INT32_MAX,
			  .doc = "Haul route: where it was found, or the vehicle passed it meanwhile." },
			{ .name = "division", .kind = KIND_INTEGER, .min = 0, .max = 999999,
			  .doc = "GB/T 2260 code; 0 is outside of all divisions." },
			{ .name = "rule", .kind = KIND_RULE, .doc = "Rule identifier, as in /api/v1/rules." },
			PERIOD("  Findings that overlap the period."),
			{ .name = "plate", .kind = KIND_PLATE, .doc = "Number plate, exact." },
			{ .name = "vin", .kind = KIND_VIN, .doc = "Vehicle identification number, exact." },
			{ .name = "severity", .kind = KIND_INTEGER, .min = 1, .max = 4,
			  .doc = "1 info, 2 watch, 3 suspect, 4 high emitter or tampering." },
			{ .name = "state", .kind = KIND_CHOICE,
			  .choices = "open|closed|confirmed|dismissed|superseded|all",
			  .doc = "Without it: all that are not superseded." },
			{ .name = "limit", .kind = KIND_INTEGER, .min = 1, .max = 500,
			  .doc = "Findings on a page; 50 without it." },
			{ .name = "cursor", .kind = KIND_CURSOR, .doc = "next_cursor of the page before." },
		},
	}, {
		.path = "/api/v1/findings/{id}", .start = answer_json, .timeout_ms = 5000, .types = JSON,
		.sql = "SELECT api.finding($1)",
		.missing = "no finding with this identifier; it has the form VIN.YYYYMMDD.RULE.REVISION",
		.doc = "A finding with its rule, evidence, track and passages.",
		.parameters = {
			{ .name = "id", .in_path = true, .kind = KIND_FINDING,
			  .doc = "VIN.YYYYMMDD.RULE.REVISION, as in the list." },
		},
	}, {
		.path = "/api/v1/routes", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.routes()", .doc = "Haul routes with their lines.",
	}, {
		.path = "/api/v1/divisions", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.divisions()", .doc = "Divisions of the city with their areas.",
	}, {
		.path = "/api/v1/rules", .start = answer_json, .timeout_ms = 3000, .types = JSON,
		.sql = "SELECT api.rules()", .doc = "Rules in their newest version.",
	},
};
/* clang-format on */
const size_t route_count = sizeof(routes) / sizeof(routes[0]);

/*
 * fuzz_downlink: any bytes as the answer to a command, and any text as an order.
 *
 * Input: kind and edition 1, flag 1, then the unit of an answer, or (flag FE) the JSON of an order.
 * Promises: no read outside the bytes; what an answer says is one JSON object without NUL, cut
 * cleanly where room ends; an order that is taken can be encoded for one edition at least.
 */
#include "gateway/downlink/order.h"
#include "test/fuzz/fuzz.h"

static enum downlink_kind kind_of(uint8_t byte)
{
	return (enum downlink_kind)(DOWNLINK_QUERY + byte % 3);
}

static void check_answer(enum downlink_kind kind, uint8_t flag, enum downlink_edition edition,
			 const uint8_t *unit, size_t size)
{
	const size_t n = downlink_answer_json(kind, flag, edition, unit, size, NULL, 0);
	char *json = malloc(n + 1);
	json_t *parsed;

	CHECK(json != NULL);
	CHECK(downlink_answer_json(kind, flag, edition, unit, size, json, n + 1) == n);
	CHECK(strlen(json) == n);
	for (size_t i = 0; i < n; i++)
		CHECK(json[i] >= 0x20 && json[i] <= 0x7E);
	/* jansson refuses an escaped NUL, as PostgreSQL does. */
	parsed = json_loadb(json, n, JSON_REJECT_DUPLICATES, NULL);
	CHECK(json_is_object(parsed));
	json_decref(parsed);
	CHECK(downlink_answer_json(kind, flag, edition, unit, size, json, n / 2 + 1) == n);
	CHECK(strlen(json) <= n / 2);
	free(json);
}

static void check_order(enum downlink_kind kind, const uint8_t *bytes, size_t size)
{
	static struct downlink_command command;
	char message[DOWNLINK_MESSAGE_SIZE];
	uint8_t unit[DOWNLINK_UNIT_MAX];
	char *text = malloc(size + 1);
	struct error err;
	size_t old, fresh;

	CHECK(text != NULL);
	memcpy(text, bytes, size);
	text[size] = '\0';
	if (order_parse_text(downlink_kind_name(kind), text, &command, &err) == 0) {
		old = downlink_encode(&command, DOWNLINK_2016, unit, message);
		fresh = downlink_encode(&command, DOWNLINK_2025, unit, message);
		CHECK(old > 0 || fresh > 0);
		CHECK(old <= sizeof(unit) && fresh <= sizeof(unit));
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *unit;

	if (size < 2 || size - 2 > FRAME_UNIT_MAX)
		return 0;
	unit = exact_copy(data + 2, size - 2);
	if (data[1] == ANSWER_COMMAND)
		check_order(kind_of(data[0] & 0x7F), unit, size - 2);
	else
		check_answer(kind_of(data[0] & 0x7F), data[1],
			     data[0] & 0x80 ? DOWNLINK_2025 : DOWNLINK_2016, unit, size - 2);
	free(unit);
	return 0;
}

#include "proto/wire/frame.h"
#include "proto/wire/unit.h"

const char *protocol_name(enum protocol protocol)
{
	static const char *const names[PROTOCOL_COUNT] = {
		[PROTOCOL_UNKNOWN] = "unknown",
		[PROTOCOL_GB17691] = "GB 17691-2018",
		[PROTOCOL_HJ1239] = "HJ 1239.3-2021",
		[PROTOCOL_GBT32960_2016] = "GB/T 32960.3-2016",
		[PROTOCOL_GBT32960_2025] = "GB/T 32960.3-2025",
	};

	return (unsigned)protocol < PROTOCOL_COUNT ? names[protocol] : names[PROTOCOL_UNKNOWN];
}

const char *meaning_name(enum meaning meaning)
{
	static const char *const names[] = {
		[MEANING_UNKNOWN] = "unknown",
		[MEANING_LOGIN] = "login",
		[MEANING_REPORT] = "report",
		[MEANING_LOGOUT] = "logout",
		[MEANING_TIME] = "time",
		[MEANING_HEARTBEAT] = "heartbeat",
		[MEANING_TAMPER_ALARM] = "tamper_alarm",
		[MEANING_ACTIVATION] = "activation",
		[MEANING_ACTIVATION_ANSWER] = "activation_answer",
		[MEANING_PLATFORM_LOGIN] = "platform_login",
		[MEANING_PLATFORM_LOGOUT] = "platform_logout",
		[MEANING_KEY_EXCHANGE] = "key_exchange",
		[MEANING_DOWNLINK_ANSWER] = "downlink_answer",
	};

	return (size_t)meaning < sizeof(names) / sizeof(names[0]) ? names[meaning] : names[0];
}

/* Commands whose meaning depends on the length as well are named for the usual length. */
const char *command_name(enum protocol protocol, enum header header, uint8_t command)
{
	const struct frame f = {
		.start = protocol == PROTOCOL_GBT32960_2025 ? 0x24
			 : protocol == PROTOCOL_HJ1239	    ? 0x7E
							    : 0x23,
		.header = header,
		.command = command,
		.answer = ANSWER_COMMAND,
		.unit_size = command == 0x05 || command == 0x06 ? 41 : 0,
	};

	if (command == COMMAND_REALTIME)
		return "realtime";
	if (command == COMMAND_SUPPLEMENT)
		return "supplement";
	if (header == HEADER_P && command >= 0x80 && command <= 0x82)
		return command == 0x80 ? "query" : command == 0x81 ? "set" : "control";
	return meaning_name(frame_meaning(&f));
}

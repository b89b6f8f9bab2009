#include <assert.h>
#include <string.h>

#include "proto/wire/frame.h"
#include "proto/wire/unit.h"

/* What an answer carries; the frame around it is the header of the question. */
struct content {
	uint8_t command, flag;
	uint8_t unit[WIRE_TIME_SIZE];
	size_t unit_size;
};

/*
 * GB/T 32960.3-2016 6.3.2: change the flag, keep the time, delete the rest.  Ciphertext has no
 * time to keep: the current one then.
 */
static void keep_time(const struct frame *f, int64_t now, struct content *c)
{
	if (f->unit == NULL || f->unit_size < WIRE_TIME_SIZE)
		return;
	memcpy(c->unit, f->unit, WIRE_TIME_SIZE);
	c->unit_size = WIRE_TIME_SIZE;
	if (f->encryption != 0x01 && wire_time_decode(c->unit) == WIRE_TIME_NONE)
		wire_time_encode(now, c->unit);
}

static void current_time(int64_t now, struct content *c)
{
	wire_time_encode(now, c->unit);
	c->unit_size = WIRE_TIME_SIZE;
}

/* HJ 1239.3 table of the activation answer: state, information. */
static void activation_result(enum answer answer, struct content *c)
{
	enum { ACTIVATED = 1, FAILED = 2, OK = 0, CHIP_USED = 1, VIN_WRONG = 2, OTHER = 0xFF };
	uint8_t state = FAILED, info = OTHER;

	if (answer == ANSWER_SUCCESS) {
		state = ACTIVATED;
		info = OK;
	} else if (answer == ANSWER_CHIP_TAKEN) {
		info = CHIP_USED;
	} else if (answer == ANSWER_VIN_DUPLICATE || answer == ANSWER_VIN_UNKNOWN) {
		info = VIN_WRONG;
	}
	c->unit_size = activation_answer_encode(state, info, c->unit, sizeof(c->unit));
}

static bool answer_v(const struct frame *f, enum answer answer, bool echo, int64_t now,
		     struct content *c)
{
	switch (frame_meaning(f)) {
	case MEANING_TIME:
		current_time(now, c);
		return answer == ANSWER_SUCCESS;
	case MEANING_ACTIVATION:
		c->command = 0x08;
		activation_result(answer, c);
		return true;
	case MEANING_LOGIN:
	case MEANING_REPORT:
	case MEANING_LOGOUT:
	case MEANING_TAMPER_ALARM:
		return echo && answer == ANSWER_SUCCESS;
	default:
		return false;
	}
}

static bool answer_p(const struct frame *f, enum answer answer, int64_t now, struct content *c)
{
	c->flag = (uint8_t)answer;
	if (answer == ANSWER_VIN_UNKNOWN && f->start != 0x24)
		c->flag = ANSWER_ERROR;
	switch (frame_meaning(f)) {
	case MEANING_TIME:
		current_time(now, c);
		return true;
	case MEANING_HEARTBEAT:
	case MEANING_KEY_EXCHANGE: /* its unit does not start with a time */
		return true;
	case MEANING_ACTIVATION:
		c->command = f->start == 0x24 ? 0x0A : 0x08;
		c->flag = ANSWER_COMMAND; /* a command of its own, not an answer */
		activation_result(answer, c);
		return true;
	case MEANING_LOGIN:
	case MEANING_REPORT:
	case MEANING_LOGOUT:
	case MEANING_TAMPER_ALARM:
	case MEANING_PLATFORM_LOGIN:
	case MEANING_PLATFORM_LOGOUT:
		keep_time(f, now, c);
		return true;
	case MEANING_UNKNOWN:
		/* An error, or the peer waits and repeats; never a success for what nobody read. */
		keep_time(f, now, c);
		return answer != ANSWER_SUCCESS;
	default:
		return false;
	}
}

size_t frame_answer(const struct frame *f, enum answer answer, bool echo, int64_t now, uint8_t *buf,
		    size_t size)
{
	struct content c = { .command = f->command, .flag = ANSWER_COMMAND };
	struct frame reply = *f;
	size_t n;

	assert(answer != ANSWER_COMMAND);
	if (f->answer != ANSWER_COMMAND)
		return 0; /* an answer to an answer is a loop */
	if (!(f->header == HEADER_V ? answer_v(f, answer, echo, now, &c)
				    : answer_p(f, answer, now, &c)))
		return 0;
	reply.command = c.command;
	reply.answer = c.flag;
	reply.encryption = 0x01;
	reply.unit = c.unit;
	reply.unit_size = c.unit_size;
	n = frame_encode(&reply, buf, size);
	if (n > 0 && f->bytes != NULL) {
		/* The identity byte for byte, its padding too: some terminals compare. */
		const size_t vin_at = f->header == HEADER_P ? 4 : 3;

		memcpy(buf + vin_at, f->bytes + vin_at, VIN_SIZE);
		buf[n - 1] = frame_checksum(buf + 2, n - 3);
	}
	return n;
}

/*
 * downlink.h - commands to a terminal: the parameters and controls of GB/T 32960.3, as typed
 * values.
 *
 *   80 query    time 6 | count 1 | id 1 ...              answer: time | count | { id, value } ...
 *   81 set      time 6 | count 1 | { id 1, value } ...   answer: time
 *   82 control  time 6 | control 1 | parameters          answer: time
 *
 * One table says what there is: names, sizes in both editions, ranges, and words for people.  GB
 * 17691 and the vehicle link of HJ 1239 define no commands: only header P can carry one.
 *
 * Pure code: no I/O, clock, allocation or log.
 */
#ifndef PROTO_WIRE_DOWNLINK_H
#define PROTO_WIRE_DOWNLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proto/wire/frame.h"

enum downlink_kind { DOWNLINK_QUERY = 0x80, DOWNLINK_SET = 0x81, DOWNLINK_CONTROL = 0x82 };

enum downlink_edition { DOWNLINK_2016, DOWNLINK_2025, DOWNLINK_EDITIONS };

enum downlink_type {
	DOWNLINK_NUMBER,
	DOWNLINK_YES_NO,  /* 1 yes, 2 no */
	DOWNLINK_FLAG,	  /* says how the others are written; has no bytes of its own */
	DOWNLINK_ADDRESS, /* IPv4, in six bytes of which the first two are 0 */
	DOWNLINK_ASCII,	  /* printable; min to max bytes */
	DOWNLINK_TEXT,	  /* GB 18030; min to max bytes */
};

/* A parameter of the terminal, or a field of a control. */
struct downlink_field {
	const char *name; /* the unit is its suffix */
	enum downlink_type type;
	uint8_t id;	 /* 0: of a control */
	uint8_t size_id; /* of a text: the parameter that says its size and comes before it */
	bool read_only;
	bool required; /* of a control */
	bool secret;   /* shown to nobody, and not to be given as an argument */
	struct {
		uint8_t size;	   /* of a number */
		uint16_t scale;	   /* how much one of the wire's units is */
		uint32_t min, max; /* of the value, in the unit of the name; of a text, its bytes */
	} edition[DOWNLINK_EDITIONS];
	const char *label; /* the standard's name */
	const char *doc;
};

struct downlink_control {
	uint8_t id;
	/* Obeying it ends the session, so that an answer may never come: not sent again in another
	 * session. */
	bool once;
	const char *name;
	const struct downlink_field *fields; /* ends with name NULL; may be NULL */
	const char *label;
	const char *doc;
};

extern const struct downlink_field downlink_parameters[]; /* ends with name NULL */
extern const struct downlink_control downlink_controls[]; /* ends with name NULL */

const char *downlink_kind_name(enum downlink_kind kind); /* "query", "set", "control" */
bool downlink_kind_find(const char *name, enum downlink_kind *ret);
const struct downlink_control *downlink_control_find(const char *name);
/* control NULL: a parameter. */
const struct downlink_field *downlink_field_find(const struct downlink_control *control,
						 const char *name);
/* Writes the names that there are, for a complaint: "a, b, c". */
size_t downlink_names(enum downlink_kind kind, const struct downlink_control *control, char *out,
		      size_t size);

/* Writes what a value of it must be, for a complaint. */
size_t downlink_allowed(const struct downlink_field *field, char *out, size_t size);

enum { DOWNLINK_VALUES_MAX = 16, DOWNLINK_TEXT_MAX = 253, DOWNLINK_UNIT_MAX = 1024 };

struct downlink_value {
	const struct downlink_field *field;
	uint32_t number; /* of a text: unused */
	uint8_t size;	 /* of a text */
	uint8_t text[DOWNLINK_TEXT_MAX];
};

struct downlink_command {
	enum downlink_kind kind;
	const struct downlink_control *control; /* of DOWNLINK_CONTROL, else NULL */
	size_t count;
	struct downlink_value values[DOWNLINK_VALUES_MAX]; /* of a query: fields alone */
};

/* Room for a complaint: which field, which value, what is allowed. */
enum { DOWNLINK_MESSAGE_SIZE = 400 };

/*
 * Whether the command can be sent to a terminal of that edition; DOWNLINK_EDITIONS: of any of them.
 * False: message says why not.
 */
bool downlink_check(const struct downlink_command *c, enum downlink_edition edition,
		    char message[DOWNLINK_MESSAGE_SIZE]);

/*
 * What stands behind the time.  Returns its size; 0 when downlink_check() fails, with its message.
 */
size_t downlink_encode(const struct downlink_command *c, enum downlink_edition edition,
		       uint8_t unit[DOWNLINK_UNIT_MAX], char message[DOWNLINK_MESSAGE_SIZE]);

/*
 * The unit of an answer, time included, as a JSON object; cut to size, returns its length as
 * snprintf does.  What is not understood, or comes twice, stands in "rest" as hexadecimal digits.
 * No value holds a NUL.
 */
size_t downlink_answer_json(enum downlink_kind kind, uint8_t flag, enum downlink_edition edition,
			    const uint8_t *unit, size_t unit_size, char *out, size_t size);

/* The tables as Markdown, for docs/downlink.md. */
void downlink_markdown(FILE *out);

#endif

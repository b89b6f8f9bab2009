#include "gateway/evidence/step.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

enum { SENTENCE_MAX = 1800 }; /* with the whole text of an error */

void step_tell(struct steps *s, bool sound, const char *format, ...)
{
	char text[SENTENCE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (!sound)
		s->bad++;
	s->say(sound, text, s->arg);
}

void step_checkpoint(struct steps *s, const char *what, const struct checkpoint *c,
		     const struct log_key *key)
{
	char when[CHECKPOINT_TIME_SIZE];

	checkpoint_time(c, when);
	if (checkpoint_signed(c, key))
		step_tell(s, true,
			  "%s: %s says at %s (clock %s) that its log has %" PRIu64
			  " segments; signed with your key (%s)",
			  what, c->origin, when, checkpoint_clock(c), c->size,
			  log_key_algorithm(key));
	else if (!hash_same(&c->key_id, log_key_id(key)))
		step_tell(s, false, "%s: it was not signed with this key, it names another one",
			  what);
	else
		step_tell(s, false,
			  "%s: its signature is wrong: its text or the signature was changed",
			  what);
}

int step_result(const struct steps *s, struct error *err)
{
	if (s->bad == 0)
		return 0;
	return error_set(err, ERROR_CORRUPT, "%" PRIu64 " %s not hold", s->bad,
			 s->bad == 1 ? "step does" : "steps do");
}

/*
 * assess.c - haulgate-assess: the emissions of one trip out of a CSV file, by the code that the
 * gateway runs.  See docs/assess.md.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tools/cli/assess.h"

static json_t *assess(const struct trip_file *f, const struct assess_options *o, struct trip *t)
{
	for (size_t i = 0; i < f->count; i++)
		trip_add(t, f->rows[i].at, &f->rows[i].engine);
	return assess_json(t, o, assess_findings(f, o));
}

static int run(struct assess_options *o, struct error *err)
{
	struct trip_file file = { 0 };
	struct trip *trip = NULL;
	json_t *result = NULL;
	int rc;

	if (o->vin != NULL && (rc = assess_vehicle(o, err)) != 0)
		return rc;
	if ((rc = trip_file_read(o->path, &file, err)) != 0)
		goto out;
	if ((trip = trip_new(&o->trip, file.count)) == NULL ||
	    (result = assess(&file, o, trip)) == NULL) {
		rc = error_set(err, ERROR_MEMORY, "no memory for %zu samples", file.count);
		goto out;
	}
	if (o->json) {
		json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
		putchar('\n');
	} else {
		assess_text(result, trip, o);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		rc = error_set(err, ERROR_IO, "cannot write to stdout");
out:
	json_decref(result);
	trip_free(trip);
	trip_file_free(&file);
	return rc;
}

int main(int argc, char **argv)
{
	struct assess_options options;
	struct error err = { 0 };
	int code = assess_options(argc, argv, &options);

	if (code != ASSESS_GO_ON)
		return code;
	if (run(&options, &err) == 0)
		return ASSESS_DONE;
	fprintf(stderr, "haulgate-assess: %s\n", err.text);
	return ASSESS_FAILED;
}

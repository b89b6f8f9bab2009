/* import FILE: one transaction, all lines or none; --dry-run does everything but commit. */
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry.h"

enum { SHOWN = 20 };

/* The last part of the path: where it lay on somebody's disk is nobody's business. */
static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

static int audit(struct stage *s, const char *path, const struct plan_counts *n)
{
	return session_audit(&s->registry->session, "registry.import", NULL,
			     json_pack("{s:s, s:s, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}",
				       "file", base_name(path), "sha256", s->sheet->sha256, "lines",
				       (int)s->rows, "inserted", (json_int_t)n->inserted, "updated",
				       (json_int_t)n->updated, "unchanged",
				       (json_int_t)n->unchanged, "fleets", (json_int_t)n->fleets,
				       "terminals_new", (json_int_t)n->terminals_new,
				       "terminals_corrected", (json_int_t)n->terminals_corrected,
				       "terminals_exchanged", (json_int_t)n->terminals_exchanged,
				       "terminals_removed", (json_int_t)n->terminals_removed),
			     &s->registry->err);
}

static void print_counts(const struct plan_counts *n, bool done)
{
	printf("%s%ld inserted, %ld updated, %ld unchanged\n",
	       done ? "" : "would be: ", n->inserted, n->updated, n->unchanged);
	if (n->terminals_new + n->terminals_corrected + n->terminals_exchanged +
		    n->terminals_removed >
	    0)
		printf("terminals: %ld new, %ld corrected, %ld exchanged, %ld removed\n",
		       n->terminals_new, n->terminals_corrected, n->terminals_exchanged,
		       n->terminals_removed);
	if (n->fleets > 0)
		printf("fleets: %ld new\n", n->fleets);
}

static int work(const struct arguments *a, struct stage *s, const char *path)
{
	const bool dry = argument_given(a, "dry-run"), all = argument_given(a, "all"),
		   clear = argument_given(a, "clear-empty");
	struct plan_counts n;
	int rc;

	if ((rc = stage_load(s)) != 0 ||
	    (rc = stage_check(s, argument_given(a, "create-fleets"))) != 0 ||
	    (!dry && (rc = plan_lock(s)) != 0))
		return rc;
	/* With a VIN twice there is no plan. */
	if ((rc = plan_make(s, clear)) != 0 || (rc = plan_count(s, &n)) != 0)
		return rc;
	printf("%s: %s, %u lines, SHA-256 %s\n", base_name(path), s->sheet->format, s->rows,
	       s->sheet->sha256);
	problems_print(&s->warnings, "warning: ", all ? SIZE_MAX : SHOWN);
	problems_print(&s->problems, "", SIZE_MAX);
	if (s->empty_cells > 0 && !clear)
		printf("%zu empty cells leave what is stored; --clear-empty would clear it\n",
		       s->empty_cells);
	if (dry && (rc = plan_print(s, all ? 100000000 : SHOWN)) != 0)
		return rc;
	if (s->problems.count > 0 || s->problems.lost) {
		if (dry)
			print_counts(&n, false);
		return error_set(&s->registry->err, ERROR_USAGE,
				 "%zu problem%s, nothing was changed", s->problems.count,
				 s->problems.count == 1 ? "" : "s");
	}
	if (!dry && ((rc = plan_apply(s)) != 0 || (rc = audit(s, path, &n)) != 0 ||
		     (rc = session_commit(&s->registry->session, &s->registry->err)) != 0))
		return rc;
	print_counts(&n, !dry);
	return 0;
}

int registry_import(const struct arguments *a, void *context)
{
	struct registry *r = context;
	const char *path = argument_operand(a, 0);
	struct sheet sheet;
	struct stage *s = calloc(1, sizeof(*s));
	int rc;

	if (s == NULL)
		return error_set(&r->err, ERROR_MEMORY, "no memory");
	s->registry = r;
	s->sheet = &sheet;
	s->ignore_unknown = argument_given(a, "ignore-unknown");
	s->quiet = argument_given(a, "quiet");
	if ((rc = sheet_open(path, &sheet, &r->err)) == 0 && (rc = registry_database(r, a)) == 0 &&
	    (rc = session_begin(&r->session, &r->err)) == 0 &&
	    /* One import at a time: each plans with what it sees. */
	    (rc = session_run(&r->session, "lock",
			      "SELECT pg_advisory_xact_lock(hashtext('haulgate-registry'))", 0,
			      NULL, NULL, NULL, &r->err)) == 0)
		rc = work(a, s, path);
	sheet_close(&sheet);
	problems_free(&s->problems);
	problems_free(&s->warnings);
	free(s);
	return rc;
}

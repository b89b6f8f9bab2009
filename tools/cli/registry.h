/*
 * registry.h - what the commands of haulgate-registry share.
 *
 * A command returns 0, an exit code of arguments.h, or a negative error code with err filled.
 */
#ifndef TOOLS_CLI_REGISTRY_H
#define TOOLS_CLI_REGISTRY_H

#include "tools/cli/arguments.h"
#include "tools/cli/registry_columns.h"
#include "tools/cli/session.h"
#include "tools/cli/table.h"

struct registry {
	struct session session;
	struct error err;
};

int registry_database(struct registry *r, const struct arguments *a);

int registry_import(const struct arguments *a, void *context);	/* registry_import.c */
int registry_export(const struct arguments *a, void *context);	/* registry_export.c */
int registry_history(const struct arguments *a, void *context); /* registry_vehicle.c */
int registry_block(const struct arguments *a, void *context);
int registry_unblock(const struct arguments *a, void *context);
int registry_retire(const struct arguments *a, void *context);
int registry_policy(const struct arguments *a, void *context);	   /* registry_policy.c */
int registry_fleet_list(const struct arguments *a, void *context); /* registry_fleet.c */
int registry_fleet_set(const struct arguments *a, void *context);
int registry_columns_print(const struct arguments *a, void *context); /* registry.c */

/* ---- problems of a list (registry_problem.c) ---- */

/* Column of a problem that is about the whole line. */
#define NO_COLUMN ((size_t)-1)

struct problem {
	unsigned line; /* 0: about the whole file */
	size_t column; /* of the sheet */
	char *text;
};
struct problems {
	struct problem *list;
	size_t count, room;
	bool lost; /* out of memory: some are not in the list */
};
void problem_add(struct problems *p, unsigned line, size_t column, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* In the order of lines and columns; at most max.  kind: "" or "warning: ". */
void problems_print(struct problems *p, const char *kind, size_t max);
void problems_free(struct problems *p);

/* ---- the lines of a list, in the database (registry_stage.c) ---- */

struct stage {
	struct registry *registry;
	struct sheet *sheet;
	int columns[SHEET_COLUMNS_MAX]; /* of the sheet: registry_columns, or -1 */
	bool present[COLUMN_COUNT];
	size_t place[COLUMN_COUNT]; /* in the sheet */
	bool has_heading;
	bool ignore_unknown, quiet;
	unsigned rows;
	size_t empty_cells; /* in columns that the list has */
	struct problems problems, warnings;
	char *copy; /* lines for COPY */
	size_t copy_used;
};
/*
 * Reads the sheet into the temporary table registry_stage, inside a transaction.  What cannot be
 * taken is a problem and stays NULL there.  A failure is only what ends the reading.
 */
int stage_load(struct stage *s);
/* What only the whole list tells: a VIN twice, a chip of two vehicles, fleets that are not there.
 */
int stage_check(struct stage *s, bool create_fleets);

/* ---- what the list changes (registry_plan.c) ---- */

struct plan_counts {
	long inserted, updated, unchanged;
	long terminals_new, terminals_corrected, terminals_exchanged, terminals_removed;
	long fleets;
};
/*
 * From here to the commit nobody else changes a vehicle of the list: a block that is set meanwhile
 * comes behind it, instead of being overwritten with the state that the plan has read.
 */
int plan_lock(struct stage *s);
/* Makes the temporary table registry_plan from registry_stage and what is stored. */
int plan_make(struct stage *s, bool clear_empty);
int plan_count(struct stage *s, struct plan_counts *ret);
/* What becomes of each vehicle, a line each; at most max of each kind. */
int plan_print(struct stage *s, long max);
int plan_apply(struct stage *s);

#endif

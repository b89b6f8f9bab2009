/*
 * haulgate-spool - lists, checks and prints a spool, while its gateway runs or long after.
 *
 * Reads only, takes no lock, needs nothing but the folder.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "gateway/spool/archive.h"
#include "gateway/spool/segment.h"
#include "gateway/spool/spool.h"
#include "gateway/spool/walk.h"
#include "tools/cli/spool_print.h"

enum { EXIT_GOOD = 0, EXIT_DAMAGED = 1, EXIT_USAGE = 2 };

static const char usage_text[] =
	"usage: haulgate-spool list DIR\n"
	"       haulgate-spool check DIR\n"
	"       haulgate-spool print DIR [--from POSITION] [--count N] [--json]\n"
	"\n"
	"  list    the segments: base, state, bytes, first sequence, when made\n"
	"  check   every checksum, the order, the hash chain, the links between segments\n"
	"  print   the records, a line each; --json: with the frame decoded\n"
	"\n"
	"  --archive-dir DIR  where the compressed segments are (default: DIR/archive)\n"
	"  --from POSITION    first position (default: the oldest)\n"
	"  --count N          records at most (default: all)\n"
	"  --json             one JSON object a line\n"
	"  --help             this text\n"
	"\n"
	"Exit: 0 good, 1 damage was found (each place is named), 2 wrong arguments or "
	"unreadable.\n";

struct arguments {
	const char *verb, *dir, *archive;
	uint64_t from, count;
	bool json;
};

static int cannot(const struct error *err)
{
	fprintf(stderr, "haulgate-spool: %s\n", err->text);
	return EXIT_USAGE;
}

static int run_list(const struct folder *f)
{
	struct segment_list list;
	struct error err = { 0 };
	int code = EXIT_GOOD;

	if (segment_list(f, true, &list, &err) != 0)
		return cannot(&err);
	printf("%-16s  %-8s  %12s  %14s  %s\n", "base", "state", "file bytes", "first sequence",
	       "made");
	for (size_t i = 0; i < list.count; i++) {
		const struct segment_name *n = &list.names[i];
		struct segment *s = NULL;
		struct tm tm;
		char made[32] = "";
		time_t at;

		if (segment_open(f, n->base, n->archived, &s, &err) != 0 || s->copies == 0) {
			printf("%016" PRIx64 "  %-8s  %12" PRIu64 "  %14s\n", n->base, "damaged",
			       n->file_size, "?");
			code = EXIT_DAMAGED;
		} else {
			at = (time_t)(s->header.created_ns / 1000000000);
			strftime(made, sizeof(made), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&at, &tm));
			printf("%016" PRIx64 "  %-8s  %12" PRIu64 "  %14" PRIu64 "  %s\n", n->base,
			       n->archived ? "archived" : "live", n->file_size,
			       s->header.first_sequence, made);
		}
		segment_close(s);
	}
	segment_list_release(&list);
	return code;
}

/* ---- check ---- */

struct check {
	const struct folder *folder;
	const struct segment_list *list;
	uint64_t base; /* of the segment that is read */
	uint64_t records, lost, groups, damages;
	struct walk_end before; /* of the segment before */
	uint64_t before_base;
	bool before_known;
	bool tty;
};

static void found_damage(uint64_t from, uint64_t to, const char *reason, void *arg)
{
	struct check *c = arg;

	c->damages++;
	printf("damaged: segment %016" PRIx64 ", positions %" PRIu64 " to %" PRIu64 ": %s\n",
	       c->base, from, to, reason);
}

static void show_progress(uint64_t position, void *arg)
{
	const struct check *c = arg;

	if (c->tty)
		fprintf(stderr, "\r%" PRIu64 " records, position %" PRIu64 " ", c->records,
			position);
}

static void complain(struct check *c, const char *what)
{
	c->damages++;
	printf("damaged: segment %016" PRIx64 ": %s\n", c->base, what);
}

/* The header names the segment before, its last sequence and its chain: a forged or lost one shows.
 */
static void check_link(struct check *c, const struct segment *s)
{
	const struct segment_header *h = &s->header;

	if (!c->before_known)
		return;
	if (h->previous_base != c->before_base)
		complain(c, "the segment before it is missing");
	else if (h->previous_end != c->before.end)
		complain(c, "the segment before it ends elsewhere");
	else if (h->first_sequence != c->before.sequence)
		complain(c, "records are missing between it and the segment before");
	else if (c->before.chain_known &&
		 memcmp(h->previous_chain, c->before.chain, CHAIN_SIZE) != 0)
		complain(c, "its chain does not continue the segment before");
}

static int check_segment(struct check *c, struct segment *s, struct error *err)
{
	const struct walk_events events = { found_damage, show_progress, c };
	struct walk_end end;
	struct follow follow;
	int rc = segment_follow(c->folder, c->list, s, &follow, err);

	if (rc != 0)
		return rc;
	if (s->copies != (1u << HEADER_COPIES) - 1)
		complain(c, "one of the two header copies is damaged");
	if (s->archived && archive_check(s->archive, err) != 0)
		complain(c, err->text);
	check_link(c, s);
	if (follow.end == UINT64_MAX)
		follow.end = s->base + s->size;
	rc = walk_segment(s, follow.end, follow.linked, &events, &end, err);
	if (rc != 0)
		return rc;
	if (!follow.linked && end.torn_end > end.end)
		printf("note: segment %016" PRIx64 " ends with %" PRIu64
		       " bytes of a batch that was not finished, or is being written\n",
		       s->base, end.torn_end - end.end);
	c->records += end.records;
	c->groups += end.groups;
	c->lost += end.lost;
	c->before = end;
	c->before_base = s->base;
	c->before_known = true;
	return 0;
}

static int run_check(const struct folder *f)
{
	struct segment_list list;
	struct check c = { .folder = f, .list = &list, .tty = isatty(STDERR_FILENO) == 1 };
	struct error err = { 0 };
	int rc = segment_list(f, true, &list, &err);

	if (rc != 0)
		return cannot(&err);
	for (size_t i = 0; i < list.count && rc == 0; i++) {
		struct segment *s = NULL;

		c.base = list.names[i].base;
		rc = segment_open(f, c.base, list.names[i].archived, &s, &err);
		if (rc == 0 && s->copies != 0) {
			rc = check_segment(&c, s, &err);
		} else if (rc == 0 || rc == ERROR_CORRUPT) {
			complain(&c, "both header copies, or the archive's index, are damaged");
			c.before_known = false;
			rc = 0;
		}
		segment_close(s);
	}
	if (c.tty)
		fprintf(stderr, "\r\033[K");
	if (rc != 0) {
		segment_list_release(&list);
		return cannot(&err);
	}
	printf("%zu segments, %" PRIu64 " records in %" PRIu64 " batches, %" PRIu64
	       " damaged places, %" PRIu64 " records lost\n",
	       list.count, c.records, c.groups, c.damages, c.lost);
	segment_list_release(&list);
	return c.damages == 0 ? EXIT_GOOD : EXIT_DAMAGED;
}

/* ---- print ---- */

static int run_print(const struct arguments *a)
{
	struct spool_reader *r = NULL;
	struct spool_record record;
	struct error err = { 0 };
	uint64_t left = a->count;
	int rc, code = EXIT_GOOD;

	if (spool_reader_open(a->dir, a->archive, a->from, &r, &err) != 0)
		return cannot(&err);
	while (left > 0 && (rc = spool_reader_next(r, UINT64_MAX, &record, &err)) != 0) {
		if (rc == 1) {
			spool_print_record(&record, a->json);
			left--;
			continue;
		}
		code = cannot(&err);
		if (rc != ERROR_CORRUPT)
			break;
		code = EXIT_DAMAGED;
	}
	spool_reader_close(r);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		fprintf(stderr, "haulgate-spool: cannot write: %s\n", strerror(errno));
		return EXIT_USAGE;
	}
	return code;
}

/* ---- arguments ---- */

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "archive-dir", required_argument, NULL, 'a' },
		{ "from", required_argument, NULL, 'f' },
		{ "count", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	*a = (struct arguments){ .count = UINT64_MAX };
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			exit(EXIT_GOOD);
		} else if (c == 'a') {
			a->archive = optarg;
		} else if (c == 'j') {
			a->json = true;
		} else if ((c != 'f' || !parse_number(optarg, &a->from)) &&
			   (c != 'c' || !parse_number(optarg, &a->count))) {
			return false;
		}
	}
	if (argc - optind != 2)
		return false;
	a->verb = argv[optind];
	a->dir = argv[optind + 1];
	return true;
}

int main(int argc, char **argv)
{
	struct arguments a;
	struct folder folder;
	struct error err = { 0 };
	struct stat st;

	if (!parse(argc, argv, &a)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if (folder_init(&folder, a.dir, a.archive, &err) != 0)
		return cannot(&err);
	if (stat(a.dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
		fprintf(stderr, "haulgate-spool: %s is not a folder\n", a.dir);
		return EXIT_USAGE;
	}
	if (strcmp(a.verb, "list") == 0)
		return run_list(&folder);
	if (strcmp(a.verb, "check") == 0)
		return run_check(&folder);
	if (strcmp(a.verb, "print") == 0)
		return run_print(&a);
	fprintf(stderr, "haulgate-spool: unknown command '%s'\n%s", a.verb, usage_text);
	return EXIT_USAGE;
}

/*
 * haulgate-verify - checks what the evidence log proved, with files alone: no server, no database.
 */
#include "tools/cli/verify.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/evidence/growth.h"
#include "gateway/evidence/package.h"

enum { EXIT_SOUND = 0, EXIT_UNSOUND = 1, EXIT_USAGE = 2 };
enum { CHECKPOINTS_MAX = 256 };

#define PACKAGE_MAX (UINT64_C(1) << 30)

static const char usage_text[] =
	"usage: haulgate-verify PACKAGE --key PUBLIC.pem\n"
	"       haulgate-verify --log FOLDER [--key PUBLIC.pem] [--spool DIR] [--checkpoint OLD "
	"...]\n"
	"\n"
	"  Checks an evidence package, a proof of growth, or an evidence log, and says of each "
	"step whether it "
	"holds.\n"
	"\n"
	"  --key PUBLIC.pem    the public key, from somebody you trust: not from the package\n"
	"  --log FOLDER        the log: its lines against its checkpoint\n"
	"  --spool DIR         each sealed segment in DIR/archive against its line\n"
	"  --archive-dir DIR   where the segments are (default: archive in the spool)\n"
	"  --from POSITION     segments before it were moved away on purpose (default: none)\n"
	"  --checkpoint OLD    a checkpoint that was exported before: did the log only grow?\n"
	"  --help              this text\n"
	"\n"
	"Exit: 0 sound, 1 not (each BAD line says what), 2 wrong arguments or unreadable.\n";

struct arguments {
	const char *package, *key;
	struct verify_log log;
	char *checkpoints[CHECKPOINTS_MAX];
};

static void print_step(bool sound, const char *text, void *arg)
{
	(void)arg;
	printf("%s %s\n", sound ? "ok " : "BAD", text);
}

int verify_read(const char *path, size_t max, char **ret, size_t *ret_size, struct error *err)
{
	FILE *f = fopen(path, "re");
	size_t room = 0, size = 0;
	char *text = NULL;
	int rc = 0;

	if (f == NULL)
		return error_errno(err, ERROR_IO, "cannot open %s", path);
	do {
		char *more = realloc(text, room = room == 0 ? 64 * 1024 : 2 * room);

		if (more == NULL) {
			rc = error_set(err, ERROR_MEMORY, "no memory for %s", path);
			break;
		}
		text = more;
		size += fread(text + size, 1, room - size, f);
	} while (size == room && size <= max);
	if (rc == 0 && ferror(f))
		rc = error_set(err, ERROR_IO, "cannot read %s", path);
	else if (rc == 0 && size > max)
		rc = error_set(err, ERROR_CORRUPT, "%s is too long to be what is expected", path);
	fclose(f);
	if (rc != 0) {
		free(text);
		return rc;
	}
	*ret = text;
	*ret_size = size;
	return 0;
}

int verify_key(const char *path, struct log_key **ret, struct error *err)
{
	char *pem = NULL;
	size_t size = 0;
	int rc = verify_read(path, KEY_PEM_MAX, &pem, &size, err);

	if (rc == 0)
		rc = log_key_read_public(pem, size, path, ret, err);
	else if (rc == ERROR_CORRUPT)
		rc = error_set(err, ERROR_USAGE, "%s is too long for a public key", path);
	free(pem);
	return rc;
}

/* A package or a growth: its first line says which. */
static int verify_file(const struct arguments *a, const struct log_key *key, struct hasher *h,
		       struct steps *steps, struct error *err)
{
	char *text = NULL;
	size_t size = 0;
	int rc = verify_read(a->package, PACKAGE_MAX, &text, &size, err);

	if (rc == 0)
		rc = growth_begins(text, size) ? growth_check(text, size, key, h, steps, err)
					       : package_check(text, size, key, h, steps, err);
	free(text);
	return rc;
}

/* ---- arguments ---- */

static bool parse_number(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 0);
	return errno == 0 && end != text && *end == '\0' && text[0] != '-';
}

static bool parse_option(struct arguments *a, int c)
{
	struct verify_log *log = &a->log;

	switch (c) {
	case 'k':
		a->key = optarg;
		return true;
	case 'l':
		log->folder = optarg;
		return true;
	case 's':
		log->spool = optarg;
		return true;
	case 'a':
		log->archive = optarg;
		return true;
	case 'f':
		return parse_number(optarg, &log->from);
	case 'c':
		if (log->checkpoint_count == CHECKPOINTS_MAX)
			return false;
		log->checkpoints[log->checkpoint_count++] = optarg;
		return true;
	default:
		return false;
	}
}

static bool parse(int argc, char **argv, struct arguments *a)
{
	static const struct option options[] = {
		{ "key", required_argument, NULL, 'k' },
		{ "log", required_argument, NULL, 'l' },
		{ "spool", required_argument, NULL, 's' },
		{ "archive-dir", required_argument, NULL, 'a' },
		{ "from", required_argument, NULL, 'f' },
		{ "checkpoint", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int c;

	a->log.checkpoints = a->checkpoints;
	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h') {
			fputs(usage_text, stdout);
			exit(EXIT_SOUND);
		}
		if (!parse_option(a, c))
			return false;
	}
	if (a->log.folder != NULL)
		return argc == optind;
	a->package = argv[optind];
	return argc - optind == 1 && a->key != NULL && a->log.spool == NULL &&
	       a->log.checkpoint_count == 0;
}

int main(int argc, char **argv)
{
	struct arguments a = { 0 };
	struct log_key *key = NULL;
	struct hasher *h = NULL;
	struct steps steps = { .say = print_step };
	struct error err = { 0 };
	int rc;

	if (!parse(argc, argv, &a)) {
		fputs(usage_text, stderr);
		return EXIT_USAGE;
	}
	if ((rc = hasher_new(&h, &err)) != 0 ||
	    (a.key != NULL && (rc = verify_key(a.key, &key, &err)) != 0))
		goto out;
	rc = a.package != NULL ? verify_file(&a, key, h, &steps, &err)
			       : verify_log(&a.log, key, h, &steps, &err);
out:
	log_key_free(key);
	hasher_free(h);
	if (rc == 0) {
		printf("sound\n");
	} else if (rc == ERROR_CORRUPT) {
		printf("NOT SOUND: %s\n", err.text);
	} else {
		fprintf(stderr, "haulgate-verify: %s\n", err.text);
	}
	if (fflush(stdout) != 0 || ferror(stdout))
		return EXIT_USAGE;
	return rc == 0 ? EXIT_SOUND : rc == ERROR_CORRUPT ? EXIT_UNSOUND : EXIT_USAGE;
}

/*
 * fuzz_evidence: any bytes as a package, a proof of growth, a checkpoint and a line of the log.
 *
 * Promises: no read outside them; what is read as a checkpoint or line is written the same again; a
 * check ends with a verdict and a sentence for each fault.
 */
#include "gateway/evidence/growth.h"
#include "gateway/evidence/package.h"
#include "test/fuzz/fuzz.h"

/* Of the corpus; nobody has the private half any more. */
static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
			  "MCowBQYDK2VwAyEAnMWyxONnrCjhf6ONy5JzpFJb+hsDFEOs9QSLgmyPT3k=\n"
			  "-----END PUBLIC KEY-----\n";

static void count(bool sound, const char *text, void *arg)
{
	unsigned *said = arg;

	CHECK(text[0] != '\0');
	*said += !sound;
}

static void check_lines(const char *text, size_t size)
{
	char again[CHECKPOINT_TEXT_SIZE];
	struct segment_leaf leaf;
	struct checkpoint c;
	const size_t taken = checkpoint_read(text, size, &c);

	CHECK(taken <= size);
	if (taken > 0)
		CHECK(checkpoint_write(&c, again) == taken && memcmp(again, text, taken) == 0);
	if (leaf_read(text, size, &leaf))
		CHECK(leaf_write(&leaf, again) == size && memcmp(again, text, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct log_key *key;
	static struct hasher *hasher;
	uint8_t *copy = exact_copy(data, size);
	const char *text = (const char *)copy;
	unsigned bad = 0;
	struct steps steps = { .say = count, .arg = &bad };
	struct error err;
	int rc;

	if (key == NULL)
		CHECK(log_key_read_public(pem, strlen(pem), "corpus", &key, &err) == 0 &&
		      hasher_new(&hasher, &err) == 0);
	check_lines(text, size);
	if (growth_begins(text, size))
		rc = growth_check(text, size, key, hasher, &steps, &err);
	else
		rc = package_check(text, size, key, hasher, &steps, &err);
	CHECK(rc == 0 || rc == ERROR_CORRUPT);
	CHECK((rc == 0) == (bad == 0) && steps.bad == bad);
	free(copy);
	return 0;
}

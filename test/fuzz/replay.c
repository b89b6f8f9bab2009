/*
 * replay: runs a fuzz target over every file of the folders named.  An empty corpus is a failure:
 * a test that tests nothing must not pass.
 */
#include <dirent.h>
#include <stdio.h>

#include "test/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20 };

static int replay_file(const char *path)
{
	static uint8_t input[INPUT_MAX];
	FILE *file = fopen(path, "rb");
	uint8_t *copy;
	size_t size;

	if (file == NULL) {
		perror(path);
		return -1;
	}
	size = fread(input, 1, sizeof(input), file);
	fclose(file);
	copy = exact_copy(input, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
	return 0;
}

static int replay_folder(const char *path, size_t *count)
{
	DIR *folder = opendir(path);
	struct dirent *entry;
	char name[4096];
	int rc = 0;

	if (folder == NULL) {
		perror(path);
		return -1;
	}
	while (rc == 0 && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		rc = replay_file(name);
		++*count;
	}
	closedir(folder);
	return rc;
}

int main(int argc, char **argv)
{
	size_t count = 0;

	for (int i = 1; i < argc; i++)
		if (replay_folder(argv[i], &count) != 0)
			return 1;
	printf("%zu inputs\n", count);
	if (count == 0)
		fprintf(stderr, "empty corpus\n");
	return count == 0;
}

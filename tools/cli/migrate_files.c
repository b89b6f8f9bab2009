#include "tools/cli/migrate_files.h"

#include <ctype.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MIGRATIONS_MAX = 1000 };

char *file_read(const char *path, size_t *ret_size)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;
	long size;

	if (f == NULL)
		goto out;
	if (fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) != 0)
		goto out;
	if ((text = malloc((size_t)size + 1)) == NULL)
		goto out;
	if (fread(text, 1, (size_t)size, f) != (size_t)size) {
		free(text);
		text = NULL;
		goto out;
	}
	text[size] = '\0';
	*ret_size = (size_t)size;
out:
	if (text == NULL)
		fprintf(stderr, "haulgate-migrate: cannot read %s: %m\n", path);
	if (f != NULL)
		fclose(f);
	return text;
}

static void sha256_hex(const char *bytes, size_t size, char out[HEX_SIZE])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];

	SHA256((const unsigned char *)bytes, size, digest);
	for (size_t i = 0; i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* NNNN_name.sql */
static int is_migration(const struct dirent *entry)
{
	const char *name = entry->d_name;
	const size_t size = strlen(name);

	if (size < 10 || strcmp(name + size - 4, ".sql") != 0)
		return 0;
	for (int i = 0; i < 4; i++)
		if (!isdigit((unsigned char)name[i]))
			return 0;
	return name[4] == '_';
}

int is_sql(const struct dirent *entry)
{
	const size_t size = strlen(entry->d_name);

	return size > 4 && entry->d_name[0] != '.' && strcmp(entry->d_name + size - 4, ".sql") == 0;
}

void path_join(char out[PATH_MAX], const char *dir, const char *name)
{
	if (snprintf(out, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		out[0] = '\0';
}

int migrations_read(const char *dir, struct migration **ret, size_t *ret_count)
{
	struct dirent **entries = NULL;
	const int n = scandir(dir, &entries, is_migration, alphasort);
	int rc = -1;

	*ret_count = 0;
	if (n <= 0 || n > MIGRATIONS_MAX) {
		fprintf(stderr,
			"haulgate-migrate: no NNNN_name.sql found in %s: name the dir with "
			"--schema-dir\n",
			dir);
		goto out;
	}
	if ((*ret = calloc((size_t)n, sizeof(**ret))) == NULL)
		goto out;
	for (int i = 0; i < n; i++) {
		struct migration *g = &(*ret)[i];
		char path[PATH_MAX];
		size_t size;

		path_join(path, dir, entries[i]->d_name);
		g->version = (int)strtol(entries[i]->d_name, NULL, 10);
		snprintf(g->name, sizeof(g->name), "%s", entries[i]->d_name);
		if (i > 0 && g[-1].version == g->version) {
			fprintf(stderr, "haulgate-migrate: %s and %s have the same number\n",
				g[-1].name, g->name);
			goto out;
		}
		if ((g->sql = file_read(path, &size)) == NULL)
			goto out;
		sha256_hex(g->sql, size, g->sha256);
		++*ret_count;
	}
	rc = 0;
out:
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return rc;
}

void schema_dir_find(char out[PATH_MAX])
{
	char dir[PATH_MAX], probe[PATH_MAX + 32];
	const ssize_t size = readlink("/proc/self/exe", dir, sizeof(dir) - 1);

	for (dir[size > 0 ? size : 0] = '\0'; strlen(dir) > 1; dirname(dir)) {
		snprintf(probe, sizeof(probe), "%s/schema/0001_base.sql", dir);
		if (access(probe, R_OK) == 0) {
			path_join(out, dir, "schema");
			return;
		}
	}
	snprintf(out, PATH_MAX, "%s", HAULGATE_SCHEMA_DIR);
}

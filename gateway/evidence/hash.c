#include "gateway/evidence/hash.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "gateway/spool/file.h"

enum { LEAF_PREFIX = 0x00, NODE_PREFIX = 0x01 };
enum { FILE_PIECE = 64 * 1024 };

struct hasher {
	EVP_MD *md[HASH_KINDS];
	EVP_MD_CTX *ctx[HASH_KINDS];
};

const char *hash_name(enum hash_kind kind)
{
	return kind == HASH_SHA256 ? "SHA-256" : "SM3";
}

bool hash_same(const struct hash *a, const struct hash *b)
{
	return memcmp(a->bytes, b->bytes, HASH_SIZE) == 0; /* nothing here is secret */
}

int hasher_new(struct hasher **ret, struct error *err)
{
	struct hasher *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return error_set(err, ERROR_MEMORY, "no memory for hashes");
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		h->md[kind] = EVP_MD_fetch(NULL, kind == HASH_SHA256 ? "SHA256" : "SM3", NULL);
		h->ctx[kind] = EVP_MD_CTX_new();
		if (h->md[kind] == NULL || h->ctx[kind] == NULL) {
			hasher_free(h);
			return error_set(err, ERROR_MEMORY, "OpenSSL does not give %s",
					 hash_name((enum hash_kind)kind));
		}
	}
	*ret = h;
	return 0;
}

void hasher_free(struct hasher *h)
{
	if (h == NULL)
		return;
	for (int kind = 0; kind < HASH_KINDS; kind++) {
		EVP_MD_CTX_free(h->ctx[kind]);
		EVP_MD_free(h->md[kind]);
	}
	free(h);
}

/* With a function that was fetched and a context that is there, OpenSSL's digests do not fail. */
static void begin(struct hasher *h, enum hash_kind kind)
{
	const int ok = EVP_DigestInit_ex2(h->ctx[kind], h->md[kind], NULL);

	assert(ok == 1);
}

static void add(struct hasher *h, enum hash_kind kind, const void *at, size_t size)
{
	const int ok = EVP_DigestUpdate(h->ctx[kind], at, size);

	assert(ok == 1);
}

static void finish(struct hasher *h, enum hash_kind kind, struct hash *ret)
{
	unsigned size = 0;
	const int ok = EVP_DigestFinal_ex(h->ctx[kind], ret->bytes, &size);

	assert(ok == 1 && size == HASH_SIZE);
}

void hasher_leaf(struct hasher *h, enum hash_kind kind, const struct bytes *parts, size_t count,
		 struct hash *ret)
{
	const uint8_t prefix = LEAF_PREFIX;

	begin(h, kind);
	add(h, kind, &prefix, 1);
	for (size_t i = 0; i < count; i++)
		add(h, kind, parts[i].at, parts[i].size);
	finish(h, kind, ret);
}

void hasher_node(struct hasher *h, enum hash_kind kind, const struct hash *left,
		 const struct hash *right, struct hash *ret)
{
	const uint8_t prefix = NODE_PREFIX;

	begin(h, kind);
	add(h, kind, &prefix, 1);
	add(h, kind, left->bytes, HASH_SIZE);
	add(h, kind, right->bytes, HASH_SIZE);
	finish(h, kind, ret);
}

void hasher_empty(struct hasher *h, enum hash_kind kind, struct hash *ret)
{
	begin(h, kind);
	finish(h, kind, ret);
}

int hasher_file(struct hasher *h, const char *path, struct hash ret[HASH_KINDS], struct error *err)
{
	uint8_t piece[FILE_PIECE];
	uint64_t offset = 0;
	int64_t n;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return error_errno(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO,
				   "cannot open %s", path);
	begin(h, HASH_SHA256);
	begin(h, HASH_SM3);
	while ((n = file_read(fd, offset, piece, sizeof(piece))) > 0) {
		add(h, HASH_SHA256, piece, (size_t)n);
		add(h, HASH_SM3, piece, (size_t)n);
		offset += (uint64_t)n;
	}
	if (n < 0)
		n = error_errno(err, ERROR_IO, "cannot read %s", path);
	close(fd);
	finish(h, HASH_SHA256, &ret[HASH_SHA256]);
	finish(h, HASH_SM3, &ret[HASH_SM3]);
	return (int)n;
}

#include "gateway/spool/spool.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/spool/format.h"

int spool_batch_init(struct spool_batch *b, size_t max)
{
	assert(max > 0 && max <= SPOOL_BATCH_MAX);
	memset(b, 0, sizeof(*b));
	b->bytes = malloc(max);
	if (b->bytes == NULL)
		return ERROR_MEMORY;
	b->max = max;
	return 0;
}

void spool_batch_release(struct spool_batch *b)
{
	free(b->bytes);
	memset(b, 0, sizeof(*b));
}

void spool_batch_clear(struct spool_batch *b)
{
	b->size = 0;
	b->count = 0;
	b->end = 0;
}

uint8_t *spool_batch_add(struct spool_batch *b, size_t size)
{
	uint8_t *record = b->bytes + b->size;

	if (size > SPOOL_RECORD_MAX || record_size(size) > b->max - b->size)
		return NULL;
	record_begin(record, size);
	b->size += record_size(size);
	b->count++;
	return record + RECORD_HEADER_SIZE;
}

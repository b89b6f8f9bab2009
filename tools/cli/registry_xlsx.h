/*
 * registry_xlsx.h - the parts of an XLSX file: unpacked in pieces, parsed as they come, bounded.
 *
 * No part may have a DOCTYPE, so there are no entities to expand; nesting is bounded.
 */
#ifndef TOOLS_CLI_REGISTRY_XLSX_H
#define TOOLS_CLI_REGISTRY_XLSX_H

#include <stdbool.h>

#include <expat.h>
#include <zip.h>

#include "gateway/base/error.h"

/* Element names come without their namespace. */
struct xml_part {
	void (*start)(struct xml_part *p, const char *name, const char **attributes);
	void (*end)(struct xml_part *p, const char *name);
	void (*text)(struct xml_part *p, const char *text, int size);
	void *arg;
	int rc; /* set it, with err, to end the parsing */
	struct error *err;
	/* inside */
	XML_Parser parser;
	unsigned depth;
};

/* ERROR_NOT_FOUND: the file has no such part. */
int xml_part_read(zip_t *zip, const char *name, size_t unpack_max, struct xml_part *p);
/* The value of an attribute, without regard to its namespace; NULL: it is not there. */
const char *xml_attribute(const char **attributes, const char *name);

/* Texts that cells share. */
struct strings {
	char *bytes;
	size_t size, room;
	size_t *starts;
	size_t count, starts_room;
};
int strings_read(zip_t *zip, struct strings *ret, struct error *err); /* none: 0 of them */
const char *strings_get(const struct strings *s, const char *index);  /* NULL: there is none */
void strings_free(struct strings *s);

/* Name of the part with the first visible sheet. */
enum { PART_NAME_SIZE = 256 };
int workbook_read(zip_t *zip, char sheet[PART_NAME_SIZE], bool *ret_epoch_1904, struct error *err);

#endif

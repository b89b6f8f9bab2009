#include "tools/cli/registry_xlsx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cli/registry_sheet.h"

enum { PIECE = 65536, DEPTH_MAX = 64, SMALL_PART = 4 * 1024 * 1024 };

/* ---- a part ---- */

static const char *local_name(const char *name)
{
	const char *bar = strrchr(name, '|');

	return bar != NULL ? bar + 1 : name;
}

const char *xml_attribute(const char **attributes, const char *name)
{
	for (; attributes[0] != NULL; attributes += 2)
		if (strcmp(local_name(attributes[0]), name) == 0)
			return attributes[1];
	return NULL;
}

static void stop(struct xml_part *p, int rc)
{
	p->rc = rc;
	XML_StopParser(p->parser, XML_FALSE);
}

static void on_start(void *arg, const char *name, const char **attributes)
{
	struct xml_part *p = arg;

	if (++p->depth > DEPTH_MAX)
		stop(p, error_set(p->err, ERROR_CORRUPT, "the file nests too deep"));
	else if (p->start != NULL)
		p->start(p, local_name(name), attributes);
	if (p->rc != 0)
		XML_StopParser(p->parser, XML_FALSE);
}

static void on_end(void *arg, const char *name)
{
	struct xml_part *p = arg;

	p->depth--;
	if (p->end != NULL && p->rc == 0)
		p->end(p, local_name(name));
	if (p->rc != 0)
		XML_StopParser(p->parser, XML_FALSE);
}

static void on_text(void *arg, const char *text, int size)
{
	struct xml_part *p = arg;

	if (p->text != NULL && p->rc == 0)
		p->text(p, text, size);
}

static void on_doctype(void *arg, const char *name, const char *system, const char *public,
		       int has_subset)
{
	struct xml_part *p = arg;

	(void)name, (void)system, (void)public, (void)has_subset;
	stop(p, error_set(p->err, ERROR_CORRUPT,
			  "the file has a DOCTYPE, which no spreadsheet writes; it is refused"));
}

static int parse(struct xml_part *p, const char *name, const char *bytes, zip_int64_t n)
{
	if (XML_Parse(p->parser, bytes, (int)n, n == 0) == XML_STATUS_OK || p->rc != 0)
		return p->rc;
	return error_set(p->err, ERROR_CORRUPT, "%s: %s in line %lu; save the sheet again", name,
			 XML_ErrorString(XML_GetErrorCode(p->parser)),
			 (unsigned long)XML_GetCurrentLineNumber(p->parser));
}

static int unpack(zip_file_t *file, const char *name, size_t unpack_max, struct xml_part *p)
{
	char *piece = malloc(PIECE);
	size_t total = 0;
	zip_int64_t n = 0;
	int rc = 0;

	if (piece == NULL)
		return error_set(p->err, ERROR_MEMORY, "no memory");
	do {
		n = zip_fread(file, piece, PIECE);
		if (n < 0)
			rc = error_set(p->err, ERROR_CORRUPT,
				       "%s cannot be unpacked (%s): the file is damaged or cut off",
				       name, zip_error_strerror(zip_file_get_error(file)));
		else if ((total += (size_t)n) > unpack_max)
			rc = error_set(p->err, ERROR_FULL,
				       "%s unpacks to more than %zu MiB: that is no list of "
				       "vehicles",
				       name, unpack_max >> 20);
		else
			rc = parse(p, name, piece, n);
	} while (rc == 0 && n > 0);
	free(piece);
	return rc;
}

int xml_part_read(zip_t *zip, const char *name, size_t unpack_max, struct xml_part *p)
{
	zip_int64_t index = zip_name_locate(zip, name, ZIP_FL_NOCASE);
	zip_file_t *file = index >= 0 ? zip_fopen_index(zip, (zip_uint64_t)index, 0) : NULL;
	int rc;

	if (index < 0)
		return error_set(p->err, ERROR_NOT_FOUND, "the file has no %s: is it an XLSX?",
				 name);
	if (file == NULL)
		return error_set(p->err, ERROR_CORRUPT, "%s cannot be unpacked (%s)", name,
				 zip_error_strerror(zip_get_error(zip)));
	p->rc = 0;
	p->depth = 0;
	p->parser = XML_ParserCreateNS(NULL, '|');
	if (p->parser == NULL) {
		zip_fclose(file);
		return error_set(p->err, ERROR_MEMORY, "no memory");
	}
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, on_start, on_end);
	XML_SetCharacterDataHandler(p->parser, on_text);
	XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
	rc = unpack(file, name, unpack_max, p);
	XML_ParserFree(p->parser);
	p->parser = NULL;
	zip_fclose(file);
	return rc;
}

/* ---- shared strings ---- */

struct strings_reader {
	struct strings *strings;
	bool in_text;
	unsigned phonetic; /* readings of Japanese text are no part of it */
};

static bool grow(void **list, size_t *room, size_t wanted, size_t size)
{
	size_t more = *room > 0 ? *room : 1024;
	void *grown;

	while (more < wanted)
		more *= 2;
	if (more == *room)
		return true;
	if ((grown = realloc(*list, more * size)) == NULL)
		return false;
	*list = grown;
	*room = more;
	return true;
}

static void append(struct xml_part *p, const char *text, size_t size)
{
	struct strings *s = ((struct strings_reader *)p->arg)->strings;

	if (!grow((void **)&s->bytes, &s->room, s->size + size, 1)) {
		p->rc = error_set(p->err, ERROR_MEMORY, "no memory for the texts of the sheet");
		return;
	}
	memcpy(s->bytes + s->size, text, size);
	s->size += size;
}

static void strings_start(struct xml_part *p, const char *name, const char **attributes)
{
	struct strings_reader *r = p->arg;
	struct strings *s = r->strings;

	(void)attributes;
	if (strcmp(name, "si") == 0) {
		if (!grow((void **)&s->starts, &s->starts_room, s->count + 1, sizeof(size_t)))
			p->rc = error_set(p->err, ERROR_MEMORY, "no memory");
		else
			s->starts[s->count++] = s->size;
	}
	r->phonetic += strcmp(name, "rPh") == 0;
	r->in_text = strcmp(name, "t") == 0 && r->phonetic == 0 && s->count > 0;
}

static void strings_end(struct xml_part *p, const char *name)
{
	struct strings_reader *r = p->arg;

	r->in_text = false;
	r->phonetic -= strcmp(name, "rPh") == 0;
	if (strcmp(name, "si") == 0)
		append(p, "", 1);
}

static void strings_text(struct xml_part *p, const char *text, int size)
{
	if (((struct strings_reader *)p->arg)->in_text)
		append(p, text, (size_t)size);
}

int strings_read(zip_t *zip, struct strings *ret, struct error *err)
{
	struct strings_reader r = { .strings = ret };
	struct xml_part p = { .start = strings_start,
			      .end = strings_end,
			      .text = strings_text,
			      .arg = &r,
			      .err = err };
	int rc;

	*ret = (struct strings){ 0 };
	rc = xml_part_read(zip, "xl/sharedStrings.xml", SHEET_STRINGS_MAX, &p);
	return rc == ERROR_NOT_FOUND ? 0 : rc;
}

const char *strings_get(const struct strings *s, const char *index)
{
	char *end;
	unsigned long i = strtoul(index, &end, 10);

	return end != index && *end == '\0' && i < s->count ? s->bytes + s->starts[i] : NULL;
}

void strings_free(struct strings *s)
{
	free(s->bytes);
	free(s->starts);
	*s = (struct strings){ 0 };
}

/* ---- the workbook ---- */

struct workbook {
	char id[PART_NAME_SIZE], target[PART_NAME_SIZE];
	bool epoch_1904;
};

static void workbook_start(struct xml_part *p, const char *name, const char **attributes)
{
	struct workbook *w = p->arg;
	const char *epoch = xml_attribute(attributes, "date1904"),
		   *state = xml_attribute(attributes, "state"),
		   *id = xml_attribute(attributes, "id");

	if (strcmp(name, "workbookPr") == 0 && epoch != NULL)
		w->epoch_1904 = strcmp(epoch, "1") == 0 || strcmp(epoch, "true") == 0;
	if (strcmp(name, "sheet") == 0 && w->id[0] == '\0' && id != NULL &&
	    (state == NULL || strcmp(state, "visible") == 0))
		snprintf(w->id, sizeof(w->id), "%s", id);
}

static void relations_start(struct xml_part *p, const char *name, const char **attributes)
{
	struct workbook *w = p->arg;
	const char *id = xml_attribute(attributes, "Id"),
		   *target = xml_attribute(attributes, "Target");

	if (strcmp(name, "Relationship") == 0 && id != NULL && target != NULL &&
	    strcmp(id, w->id) == 0)
		snprintf(w->target, sizeof(w->target), "%s", target);
}

int workbook_read(zip_t *zip, char sheet[PART_NAME_SIZE], bool *ret_epoch_1904, struct error *err)
{
	struct workbook w = { 0 };
	struct xml_part p = { .start = workbook_start, .arg = &w, .err = err };
	int rc = xml_part_read(zip, "xl/workbook.xml", SMALL_PART, &p);

	if (rc != 0)
		return rc;
	if (w.id[0] == '\0')
		return error_set(err, ERROR_USAGE, "the file has no visible sheet");
	p.start = relations_start;
	if ((rc = xml_part_read(zip, "xl/_rels/workbook.xml.rels", SMALL_PART, &p)) != 0)
		return rc;
	if (w.target[0] == '\0')
		return error_set(err, ERROR_CORRUPT, "the first sheet is not in the file");
	if (w.target[0] == '/')
		snprintf(sheet, PART_NAME_SIZE, "%s", w.target + 1);
	else
		snprintf(sheet, PART_NAME_SIZE, "xl/%.*s", PART_NAME_SIZE - 4, w.target);
	*ret_epoch_1904 = w.epoch_1904;
	return 0;
}

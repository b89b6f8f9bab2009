/* import list FILE: the public keys of a maker's delivery, in one transaction, all or none. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "tools/cli/keys.h"
#include "tools/cli/registry_columns.h"

enum { VIN, CHIP, KEY, ALGORITHM, HEADING_COUNT };

struct list {
	struct keys *keys;
	const struct arguments *arguments;
	bool has_heading;
	size_t places[HEADING_COUNT]; /* in the sheet; SHEET_COLUMNS_MAX: none */
	unsigned lines, problems;
};

/* HEADING_COUNT: a column of a vehicle list, which is for tools/registry; -1: not known. */
static int heading_of(const char *text)
{
	const int column = registry_column_find(text);

	if (strcasecmp(text, "public_key") == 0 || strcmp(text, "公钥") == 0)
		return KEY;
	if (strcasecmp(text, "algorithm") == 0 || strcmp(text, "算法") == 0)
		return ALGORITHM;
	return column == COLUMN_vin	  ? VIN
	       : column == COLUMN_chip_id ? CHIP
	       : column >= 0		  ? HEADING_COUNT
					  : -1;
}

static int take_heading(struct list *l, const struct sheet_row *row, struct error *err)
{
	char shown[100];

	l->has_heading = true;
	for (size_t i = 0; i < HEADING_COUNT; i++)
		l->places[i] = SHEET_COLUMNS_MAX;
	for (size_t i = 0; i < row->count; i++) {
		const int heading = heading_of(row->cells[i].text);

		if (heading >= 0 && heading < HEADING_COUNT)
			l->places[heading] = i;
		else if (heading < 0 && row->cells[i].kind != SHEET_EMPTY)
			return error_set(err, ERROR_USAGE, "the heading '%s' is not known",
					 text_shown(row->cells[i].text, shown, sizeof(shown)));
	}
	if (l->places[VIN] == SHEET_COLUMNS_MAX || l->places[KEY] == SHEET_COLUMNS_MAX)
		return error_set(
			err, ERROR_USAGE,
			"line %u, the heading, must have vin (车架号) and public_key (公钥)",
			row->line);
	return 0;
}

static const char *text_at(const struct list *l, const struct sheet_row *row, int heading)
{
	const size_t place = l->places[heading];

	/* A number has lost digits, a formula has none. */
	if (place >= row->count || row->cells[place].kind != SHEET_TEXT)
		return NULL;
	return row->cells[place].text;
}

static int read_line(struct list *l, const struct sheet_row *row, struct key_row *k,
		     struct public_key *public, struct error *err)
{
	const char *key = text_at(l, row, KEY), *algorithm = text_at(l, row, ALGORITHM);
	struct secret text = { 0 };
	int wanted = algorithm != NULL ? algorithm_parse(algorithm) : ALGORITHM_SM2;

	k->vin = text_at(l, row, VIN);
	k->chip = text_at(l, row, CHIP);
	if (k->vin == NULL || key == NULL)
		return error_set(err, ERROR_USAGE, "VIN and public key must stand there, as text");
	if (wanted != ALGORITHM_SM2 && wanted != ALGORITHM_P256)
		return error_set(err, ERROR_USAGE,
				 "the algorithm of a list is sm2 or p256; import RSA keys one by "
				 "one");
	text.size = strlen(key);
	memcpy(text.bytes, key, text.size);
	if (public_key_read(&text, "the public key", (enum algorithm)wanted, public, err) != 0)
		return err->code;
	k->algorithm = public->algorithm;
	k->public_key = public;
	return 0;
}

static int take_line(const struct sheet *sheet, const struct sheet_row *row, void *arg,
		     struct error *err)
{
	struct list *l = arg;
	struct keys *k = l->keys;
	struct key_row key = { .valid_from = argument(l->arguments, "valid-from"),
			       .valid_to = argument(l->arguments, "valid-to") };
	struct public_key public;
	char shown[1400]; /* a complaint may repeat what the list says, a stranger's text */
	int rc;

	if (!l->has_heading)
		return take_heading(l, row, err);
	l->lines++;
	if ((rc = read_line(l, row, &key, &public, &k->err)) == 0 &&
	    (rc = session_vehicle(&k->session, key.vin, &key.vehicle_id, &k->err)) == 0 &&
	    (rc = key_row_insert(k, &key)) == 0)
		rc = key_row_audit(k, "key.import", &key,
				   json_pack("{s:s}", "list", sheet->sha256));
	if (rc == 0)
		return 0;
	text_shown(k->err.text, shown, sizeof(shown));
	if (rc == ERROR_DATABASE) /* the transaction is over */
		return error_set(err, rc, "line %u: %s", row->line, shown);
	printf("line %u: %s\n", row->line, shown);
	l->problems++;
	return 0;
}

int keys_import_list(const struct arguments *a, void *context)
{
	struct keys *k = context;
	struct list l = { .keys = k, .arguments = a };
	struct sheet sheet;
	struct error err = { 0 };
	int rc;

	if ((rc = sheet_open(argument_operand(a, 0), &sheet, &k->err)) == 0 &&
	    (rc = keys_database(k, a)) == 0 && (rc = session_begin(&k->session, &k->err)) == 0 &&
	    (rc = sheet_rows(&sheet, take_line, &l, &err)) != 0)
		k->err = err;
	sheet_close(&sheet);
	if (rc != 0)
		return rc;
	if (l.problems > 0)
		return error_set(&k->err, ERROR_USAGE,
				 "%u of %u lines have problems; none was taken", l.problems,
				 l.lines);
	if ((rc = session_commit(&k->session, &k->err)) == 0)
		printf("%u keys are taken\n", l.lines);
	return rc;
}

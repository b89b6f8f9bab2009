#include "gateway/link/row.h"

#include <assert.h>
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/log.h"

const char row_positions_sql[] =
	"INSERT INTO platform_link_position (link_id, gateway_id, position) "
	"SELECT id, $1::smallint, 0 FROM platform_link WHERE state = 'active' "
	"ON CONFLICT DO NOTHING";

#define ASKED_FOR(selection)                                                                       \
	"(SELECT unnest(selected) FROM platform_link "                                             \
	"WHERE state = 'active' AND selection = '" selection "')"

const char row_members_sql[] = "SELECT vin, fleet_id FROM vehicle WHERE fleet_id IN " ASKED_FOR(
	"fleet") " ORDER BY vin COLLATE \"C\"";
const char row_divisions_sql[] = "SELECT id, ST_AsBinary(area) FROM division "
				 "WHERE id IN " ASKED_FOR("division") " ORDER BY id";
const char row_routes_sql[] = "SELECT id, ST_AsBinary(corridor) FROM haul_route "
			      "WHERE id IN " ASKED_FOR("route") " ORDER BY id";

enum column {
	COLUMN_ID,
	COLUMN_VERSION,
	COLUMN_NAME,
	COLUMN_ADDRESS,
	COLUMN_TLS,
	COLUMN_TLS_CA,
	COLUMN_START,
	COLUMN_PLATFORM_CODE,
	COLUMN_LOGIN,
	COLUMN_PASSWORD_FILE,
	COLUMN_SELECTION,
	COLUMN_SELECTED,
	COLUMN_NOT_FROM,
	COLUMN_IN_FLIGHT,
	COLUMN_POSITION,
	COLUMN_SEQUENCE,
	COLUMN_FORWARDED,
	COLUMN_REFUSED,
	COLUMN_MISSING,
	COLUMN_LOGIN_DAY,
	COLUMN_LOGIN_SERIAL,
};

const char row_links_sql[] =
	"SELECT l.id, l.xmin, l.name, l.address, l.tls, coalesce(l.tls_ca, ''), l.start,"
	" l.platform_code, l.login, l.password_file, l.selection,"
	" array_to_string(l.selected, ','), array_to_string(l.not_from, ','), l.in_flight,"
	" p.position, p.sequence, p.forwarded, p.refused, p.missing,"
	" coalesce(p.login_day::text, ''), p.login_serial "
	"FROM platform_link l JOIN platform_link_position p ON p.link_id = l.id "
	"WHERE l.state = 'active' AND p.gateway_id = $1::smallint ORDER BY l.id";

static int64_t number(const PGresult *r, int n, enum column column)
{
	return strtoll(PQgetvalue(r, n, (int)column), NULL, 10);
}

static bool text(const PGresult *r, int n, enum column column, char *out, size_t size)
{
	return snprintf(out, size, "%s", PQgetvalue(r, n, (int)column)) < (int)size;
}

/* "3,17": made by array_to_string(). */
static int64_t *numbers(const char *list, size_t *ret_count)
{
	size_t count = list[0] != '\0';
	int64_t *ids;

	for (const char *p = list; *p != '\0'; p++)
		count += *p == ',';
	if ((ids = calloc(count + 1, sizeof(*ids))) == NULL)
		return NULL;
	for (size_t i = 0; i < count; i++) {
		char *end;

		ids[i] = strtoll(list, &end, 10);
		list = end + (*end == ',');
	}
	*ret_count = count;
	return ids;
}

static void read_numbers(const PGresult *r, int n, struct link_row *row)
{
	row->id = (int32_t)number(r, n, COLUMN_ID);
	row->version = (uint32_t)number(r, n, COLUMN_VERSION);
	row->tls = PQgetvalue(r, n, COLUMN_TLS)[0] == 't';
	row->start = (uint8_t)PQgetvalue(r, n, COLUMN_START)[0];
	row->in_flight = (size_t)number(r, n, COLUMN_IN_FLIGHT);
	row->position = (uint64_t)number(r, n, COLUMN_POSITION);
	row->sequence = (uint64_t)number(r, n, COLUMN_SEQUENCE);
	row->forwarded = number(r, n, COLUMN_FORWARDED);
	row->refused = number(r, n, COLUMN_REFUSED);
	row->missing = number(r, n, COLUMN_MISSING);
	row->login_serial = (int)number(r, n, COLUMN_LOGIN_SERIAL);
}

int row_link(const PGresult *r, int n, struct link_row *ret, struct error *err)
{
	struct link_row row = { 0 };
	const char *selection = PQgetvalue(r, n, COLUMN_SELECTION);

	read_numbers(r, n, &row);
	if (!text(r, n, COLUMN_NAME, row.name, sizeof(row.name)) ||
	    !text(r, n, COLUMN_ADDRESS, row.address, sizeof(row.address)) ||
	    !text(r, n, COLUMN_TLS_CA, row.tls_ca, sizeof(row.tls_ca)) ||
	    !text(r, n, COLUMN_PLATFORM_CODE, row.platform_code, sizeof(row.platform_code)) ||
	    !text(r, n, COLUMN_LOGIN, row.login, sizeof(row.login)) ||
	    !text(r, n, COLUMN_PASSWORD_FILE, row.password_file, sizeof(row.password_file)) ||
	    !text(r, n, COLUMN_LOGIN_DAY, row.login_day, sizeof(row.login_day)))
		return error_set(err, ERROR_USAGE, "platform_link %d: a text is too long", row.id);
	if (!selection_kind_read(selection, &row.selection.kind))
		return error_set(err, ERROR_USAGE, "platform_link %d: selection '%s' is not known",
				 row.id, selection);
	row.selection.ids = numbers(PQgetvalue(r, n, COLUMN_SELECTED), &row.selection.count);
	row.not_from = numbers(PQgetvalue(r, n, COLUMN_NOT_FROM), &row.not_from_count);
	if (row.selection.ids == NULL || row.not_from == NULL) {
		link_row_release(&row);
		return error_set(err, ERROR_MEMORY, "no memory");
	}
	*ret = row;
	return 0;
}

int row_members(const PGresult *r, struct places *p)
{
	const int n = PQntuples(r);
	struct fleet_member *members = calloc((size_t)n + 1, sizeof(*members));

	if (members == NULL)
		return ERROR_MEMORY;
	for (int i = 0; i < n; i++) {
		snprintf(members[i].vin, sizeof(members[i].vin), "%s", PQgetvalue(r, i, 0));
		members[i].fleet = strtoll(PQgetvalue(r, i, 1), NULL, 10);
	}
	free(p->members);
	p->members = members;
	p->count = (size_t)n;
	return 0;
}

typedef int add_area_fn(struct geo *g, int32_t id, const uint8_t *wkb, size_t size,
			struct error *err);

/* A broken area is left out, as the store does it; the log says so. */
static void add_areas(const PGresult *r, add_area_fn *add, struct geo *geo)
{
	for (int i = 0; i < PQntuples(r); i++) {
		uint32_t id;
		struct error err;

		assert(PQgetlength(r, i, 0) == (int)sizeof(id));
		memcpy(&id, PQgetvalue(r, i, 0), sizeof(id));
		if (add(geo, (int32_t)be32toh(id), (const uint8_t *)PQgetvalue(r, i, 1),
			(size_t)PQgetlength(r, i, 1), &err) != 0)
			log_line(LOG_ERROR, "area left out id=%" PRIu32 " error=%s", be32toh(id),
				 err.text);
	}
}

int row_areas(const PGresult *divisions, const PGresult *routes, struct places *p)
{
	struct geo_cursor *cursor = NULL;
	struct geo *geo = NULL;
	struct error err = { 0 };
	int rc = geo_new(&geo, &err);

	if (rc != 0)
		goto out;
	add_areas(divisions, geo_add_division, geo);
	add_areas(routes, geo_add_route, geo);
	if ((rc = geo_build(geo, &err)) != 0 || (rc = geo_cursor_new(geo, &cursor, &err)) != 0)
		goto out;
	geo_cursor_free(p->cursor);
	geo_free(p->geo);
	p->geo = geo;
	p->cursor = cursor;
	geo = NULL;
out:
	if (rc != 0)
		log_line(LOG_ERROR, "areas cannot be loaded error=%s", err.text);
	geo_free(geo);
	return rc;
}

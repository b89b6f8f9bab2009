/* store_absent.c - stands in for gateway/store until it is linked; never reached without conninfo.
 */
#include "gateway/store/store.h"

int store_open(const struct store_options *options, struct store **ret, struct error *err)
{
	(void)options;
	(void)ret;
	return error_set(err, ERROR_USAGE, "store.conninfo: this build has no store");
}

void store_close(struct store *s, int timeout_ms)
{
	(void)s;
	(void)timeout_ms;
}

void store_reload(struct store *s, const struct config *config)
{
	(void)s;
	(void)config;
}

enum vehicle_known store_vehicle(struct store *s, const char *vin)
{
	(void)s;
	(void)vin;
	return VEHICLE_UNKNOWN;
}

enum layout store_layout(struct store *s, const char *vin)
{
	(void)s;
	(void)vin;
	return LAYOUT_UNKNOWN;
}

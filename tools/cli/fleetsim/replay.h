/* replay.h - sends the frames of a file one by one and shows what comes back. */
#ifndef TOOLS_CLI_FLEETSIM_REPLAY_H
#define TOOLS_CLI_FLEETSIM_REPLAY_H

#include <stdbool.h>

#include "gateway/base/error.h"

/*
 * file: one frame a line in hexadecimal, '#' begins a comment; or a table with tabs whose first
 * line names a column "hex".  login: log in before the first frame of each VIN.  address: host:port
 * of plain TCP. Frames are sent as they are, also broken ones.
 */
int replay_file(const char *file, const char *address, bool login, struct error *err);

#endif

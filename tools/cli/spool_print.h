/* spool_print.h - one spool record as a line of text or JSON on stdout. */
#ifndef TOOLS_CLI_SPOOL_PRINT_H
#define TOOLS_CLI_SPOOL_PRINT_H

#include <stdbool.h>

#include "gateway/spool/spool.h"

/* A payload that is no FrameRecord is shown as bytes. */
void spool_print_record(const struct spool_record *record, bool json);

#endif

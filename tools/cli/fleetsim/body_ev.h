/*
 * body_ev.h - readings as the bodies of GB/T 32960.3-2016: a hybrid truck with the same engine.
 *
 * What every such truck reports and the model knows; the lists of motors, cells and probes are left
 * out.  Each returns the body's size, at most BODY_EV_SIZE_MAX.
 */
#ifndef TOOLS_CLI_FLEETSIM_BODY_EV_H
#define TOOLS_CLI_FLEETSIM_BODY_EV_H

#include "proto/wire/info_ev.h"
#include "tools/cli/fleetsim/model.h"

enum { BODY_EV_SIZE_MAX = 20 };

uint8_t body_ev_vehicle(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX]);
uint8_t body_ev_engine(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX]);
uint8_t body_ev_position(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX]);
uint8_t body_ev_alarm(const struct reading *r, uint8_t body[BODY_EV_SIZE_MAX]);

#endif

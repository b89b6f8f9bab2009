/* cm.h - cmocka with the headers it wants in front of it. */
#ifndef TEST_WIRE_CM_H
#define TEST_WIRE_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif

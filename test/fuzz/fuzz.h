/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What every fuzz target needs. */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                              \
        do {                                                                          \
                if (!(condition)) {                                                   \
                        fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
                        abort();                                                      \
                }                                                                     \
        } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

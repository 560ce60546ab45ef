/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The Range field, RFC 9110 14. Pure functions over bytes. */

#include <stdint.h>

#include "base/str.h"

#define RANGES_MAX 16 /* of one request; who wants more gets the whole */

struct range {
        uint64_t first;
        uint64_t n; /* bytes; > 0 */
};

enum range_result {
        RANGE_IGNORE, /* not valid, another unit, or more than is good for us: as if the field were not there
                       */
        RANGE_OK,     /* *ret_n ranges, 1 or more */
        RANGE_UNSATISFIABLE, /* 416 */
};

/*
 * What a Range field asks of a representation of `size` bytes. Ranges that overlap or touch become one; when
 * together they are the whole, or overlap more than twice, the answer is RANGE_IGNORE (RFC 9110 14.2).
 */
enum range_result range_parse(struct str value, uint64_t size, struct range ret[RANGES_MAX], unsigned *ret_n);

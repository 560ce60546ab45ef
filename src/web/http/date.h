/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Dates as HTTP writes them, RFC 9110 5.6.7. Seconds since 1970-01-01 00:00 UTC. */

#include <stdint.h>

#include "base/str.h"

enum {
        HTTP_DATE_SIZE = 29,
};

/* "Sun, 06 Nov 1994 08:49:37 GMT", not terminated. Years 1 to 9999; what is outside is brought to the nearer end. */
void http_date_format(char out[HTTP_DATE_SIZE], int64_t seconds);
/*
 * Any of the three forms: IMF-fixdate, RFC 850 ("Sunday, 06-Nov-94 08:49:37 GMT"), asctime ("Sun Nov  6 08:49:37 1994"). Names are
 * case-sensitive, the day of the week must be a name but is not compared with the date. `now` tells which century two
 * digits mean: not more than 50 years ahead. 0, or -EINVAL.
 */
int http_date_parse(struct str text, int64_t now, int64_t *ret);

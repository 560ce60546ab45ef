/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* One line of the access log, and the escaping of what clients sent. Pure functions into memory of the
 * caller. */

#include <stdint.h>

#include "base/clock.h"
#include "base/str.h"

struct exchange;

/* Bytes that a text of n bytes can need at most. */
#define ACCESS_ESCAPED_MAX(n) ((n) * 6)
/* Bytes of the longest line: what clients send is cut to the lengths below. */
#define ACCESS_LINE_MAX (96 * 1024)
#define ACCESS_PATH_MAX 4096
#define ACCESS_QUERY_MAX 4096
#define ACCESS_AGENT_MAX 1024
#define ACCESS_REFERER_MAX 2048
#define ACCESS_NAME_MAX 512 /* host, method, names of ours, why */

/*
 * Writes s as the inside of a JSON string; returns the end. Quote, backslash and control characters (C0, DEL,
 * C1) are escaped, so that a terminal is safe from a log, and every byte that does not belong to valid UTF-8
 * becomes U+FFFD. `out` has room for ACCESS_ESCAPED_MAX(s.n) and 8 bytes more.
 */
char *access_escape(char *out, struct str s);

struct access_clock { /* one per lane: the text of the current second */
        uint64_t second;
        char text[20]; /* "2026-11-22T14:40:03." */
};

/*
 * The whole line, with its line feed; returns its length. `now` is monotonic, `wall` the same moment since
 * 1970; the line says when the request began. `out` has room for ACCESS_LINE_MAX.
 */
size_t access_line_format(char *out, struct access_clock *clock, struct str node, const struct exchange *x,
                          nsec_t now, nsec_t wall);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Finds where a run of allowed bytes ends. Each function returns the first byte in [p, end) that does not belong to the class
 * (http/chars.h), or end. Never reads outside [p, end).
 *
 * All implementations give the same answers: scan-portable.c works on words, scan-x86.c on vectors. http1_scan is the best one this
 * processor runs, chosen before main().
 */

typedef const char *(*http1_scan_fn)(const char *p, const char *end);

struct http1_scan {
        const char *name;
        http1_scan_fn token;  /* HTTP_CHAR_TOKEN */
        http1_scan_fn target; /* HTTP_CHAR_TARGET */
        http1_scan_fn value;  /* HTTP_CHAR_VALUE */
};

extern const struct http1_scan *http1_scan;
extern const struct http1_scan http1_scan_portable;

/* All that this processor runs, ended by NULL. For tests. */
const struct http1_scan *const *http1_scans(void);

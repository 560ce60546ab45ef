/* SPDX-License-Identifier: Apache-2.0 */

/* Processors for which nothing better was written. */

#include "web/http1/scan.h"

#include <stddef.h>

const struct http1_scan *http1_scan = &http1_scan_portable;

const struct http1_scan *const *http1_scans(void) {
        static const struct http1_scan *const scans[] = {&http1_scan_portable, NULL};

        return scans;
}

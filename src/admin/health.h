/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Health endpoints: a list of named checks and how they are written, for machines (one word), people (?verbose) and
 * application/health+json. Which checks there are is decided in daemon/.
 */

#include <stdbool.h>

#include "base/str.h"

struct health_check {
        const char *name;
        bool ok;
        struct str detail; /* "0 of 2 up"; may be empty */
        bool only_detail;  /* shown, but does not make the whole fail */
};

enum health_format {
        HEALTH_WORD,
        HEALTH_VERBOSE,
        HEALTH_JSON,
};

bool health_ok(const struct health_check *v, unsigned n);
/* The body; for HEALTH_JSON without a newline at the end. */
void health_write(struct strbuf *out, enum health_format format, const struct health_check *v, unsigned n);
const char *health_content_type(enum health_format format);

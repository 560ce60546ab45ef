/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server log: one line a fact on stderr, as
 *     <4>level=warn component=farm msg="server is down" key=value …
 * The <N> prefix is for the journal and is left out on a terminal.
 * A line is written by one write(), so threads and processes do not mix within it.
 *
 * A function either logs or returns an error, never both. Code in base, net,
 * config and any core does not log.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/macro.h"

enum log_level {
        LOG_LEVEL_ERROR,
        LOG_LEVEL_WARN,
        LOG_LEVEL_NOTICE, /* default: what an operator wants to see once */
        LOG_LEVEL_INFO,
        LOG_LEVEL_DEBUG,
};

void log_set_level(enum log_level level);
enum log_level log_level(void);

/*
 * Writes msg and the key=value fields that fmt makes (may be NULL); values that may hold spaces are
 * written as key=\"%s\" by the caller. Control characters become '?'.
 */
void log_write(enum log_level level, const char *component, const char *msg, const char *fmt, ...)
        PRINTF_LIKE(4, 5);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_notice(...) log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * At most one line a second per cause. Returns true when the line may be written and then sets
 * *ret_suppressed to how many were held back since the last one. One writer thread per object.
 */
struct log_rate {
        uint64_t last; /* nsec_t, 0 = never */
        uint64_t suppressed;
};

bool log_rate_allow(struct log_rate *r, uint64_t now, uint64_t *ret_suppressed);

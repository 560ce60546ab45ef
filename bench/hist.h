/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A histogram of durations with a fixed relative error, after HdrHistogram: each power of two is cut into
 * equal parts, so a value is off by at most 1/HIST_PARTS whatever its size. Adding is a few instructions.
 */

#include <stdint.h>

#define HIST_PARTS_LOG2 7
#define HIST_PARTS (1u << HIST_PARTS_LOG2)

struct hist {
        uint64_t n;
        uint64_t sum;
        uint64_t max;
        uint32_t counts[64 - HIST_PARTS_LOG2 + 1][HIST_PARTS];
};

void hist_add(struct hist *h, uint64_t v);
void hist_merge(struct hist *to, const struct hist *from);
/* The smallest value that at least p percent of the values do not exceed; 0 when it is empty. */
uint64_t hist_percentile(const struct hist *h, double p);

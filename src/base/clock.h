/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Time inside tenon is nsec_t of the monotonic clock; wall-clock time appears
 * only where a person or a protocol reads it. Code that decides is given the time.
 */

#include <stdint.h>
#include <time.h>

typedef uint64_t nsec_t;

#define NSEC_PER_USEC ((nsec_t)1000)
#define NSEC_PER_MSEC ((nsec_t)1000 * 1000)
#define NSEC_PER_SEC ((nsec_t)1000 * 1000 * 1000)
#define NSEC_INFINITY UINT64_MAX

static inline nsec_t time_of(clockid_t clock) {
        struct timespec ts;

        (void)clock_gettime(clock, &ts); /* cannot fail for the clocks we use */
        return (nsec_t)ts.tv_sec * NSEC_PER_SEC + (nsec_t)ts.tv_nsec;
}

static inline nsec_t time_monotonic(void) {
        return time_of(CLOCK_MONOTONIC);
}

static inline nsec_t time_wall(void) {
        return time_of(CLOCK_REALTIME);
}

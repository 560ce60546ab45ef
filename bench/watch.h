/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The processor time of other processes, read by the load generator itself at both ends of its window, so
 * that the time and the requests that it is divided by belong together.
 */

#include <stdint.h>

#define WATCH_MAX 64

struct watch {
        int pids[WATCH_MAX];
        unsigned n_pids;
};

struct cpu {
        uint64_t run_ns; /* exact, all threads that live: /proc/PID/task/TID/schedstat */
        uint64_t user, system; /* in clock ticks, sampled by the kernel: good for the proportion only */
};

/* "12,13,14" */
void watch_parse(struct watch *w, const char *list);
/* The sums so far; a process that is gone counts nothing. */
struct cpu watch_read(const struct watch *w);

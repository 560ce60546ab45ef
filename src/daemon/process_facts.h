/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the kernel says about one of our processes, from /proc. */

#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"
#include "base/macro.h"

struct process_facts {
        nsec_t cpu; /* user and system */
        uint64_t resident;
        uint64_t virtual;
        uint64_t open_fds;
        uint64_t max_fds;
        uint64_t threads;
        nsec_t started; /* wall clock */
};

/* Negative errno when there is no such process, or we may not look. */
int process_facts_read(struct process_facts *ret, pid_t pid);

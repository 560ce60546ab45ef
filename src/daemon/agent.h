/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The agent: what `tenon run` is. It owns the listening sockets, the counters, the control socket and the admin address, holds the
 * generation that is live, and keeps a worker running that serves it. It reads no byte of any client of a site.
 *
 * One thread, one loop. Everything that takes time (a worker that loads, a drain) is a state, never a wait.
 */

#include <stdbool.h>
#include <stdint.h>

#include "admin/protocol.h"
#include "base/counters.h"
#include "cli/run.h"
#include "daemon/admin_http.h"
#include "daemon/control.h"
#include "daemon/generation.h"
#include "daemon/rates.h"
#include "daemon/worker.h"
#include "net/loop.h"

struct apply;

struct agent {
        struct loop *loop;
        const struct run_options *options;
        struct strbuf text;      /* of --to; empty with a file */
        struct strbuf overrides; /* YAML of what the command line says */
        int signal_fd;
        struct watch signals;
        struct counters *counters;
        struct rates rates;
        struct worker worker;
        struct control control;
        struct admin_http admin;
        struct generation *current; /* live, or being loaded for the first time */
        struct apply *apply;        /* under way; NULL */
        uint64_t next_number;
        int access_log_fd;
        nsec_t started; /* wall clock */
        /* of applies, since the start */
        uint64_t n_applied;
        uint64_t n_failed;
        char *last_failure; /* NULL: the last apply worked */
        nsec_t last_failure_at;
        char *start_warning; /* NULL: none */
        struct timer tick;        /* once a second */
        struct timer drain_limit;
        bool draining;
        bool finishing; /* closing what is left, then the loop ends */
        int exit;
        bool live;      /* the first generation was applied */
};

/* Runs until it is told to end; an exit status (enum cli_exit). Says on stderr why when it could not start. */
int agent_run(const struct run_options *options);

/* Stops accepting, lets requests finish, then ends. A second call ends at once. */
void agent_drain(struct agent *a);
/* For /readyz and the like: serves its generation and is not about to end. */
bool agent_serving(const struct agent *a);

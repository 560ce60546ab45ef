/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The agent's view of the worker process: starting it, feeding it a generation, seeing it die.
 *
 *      state     | meaning                                         | next
 *      ----------+-------------------------------------------------+---------------------------------------------------
 *      none      | no process; before the first start, or waiting  | starting (worker_start(), or the restart timer)
 *      starting  | process runs, has not said READY                | idle, none (died)
 *      idle      | ready, serves nothing                           | loading, none
 *      loading   | a generation was sent, no answer yet            | serving (APPLIED), idle or serving (REFUSED), none
 *      serving   | serves the generation that was applied last     | loading, draining, none
 *      draining  | accepts nothing, ends what is under way         | none
 *
 * A process that dies is started again by itself: at once, and with pauses that double up to WORKER_PAUSE_MAX while it keeps dying
 * within WORKER_QUICK_DEATH of its start. The owner then gives it the generation again (on_ready).
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/str.h"
#include "daemon/channel.h"
#include "net/loop.h"

#define WORKER_PAUSE_MAX (5 * NSEC_PER_SEC)
#define WORKER_PAUSE_MIN (50 * NSEC_PER_MSEC)
#define WORKER_QUICK_DEATH (10 * NSEC_PER_SEC)
#define WORKER_START_LIMIT (30 * NSEC_PER_SEC) /* for READY, and for the answer to a generation */
#define WORKER_END_LIMIT (2 * NSEC_PER_SEC)    /* from closing the channel to the end of the process */

struct listener_set;
struct worker;
struct worker_process;

enum worker_state {
        WORKER_NONE,
        WORKER_STARTING,
        WORKER_IDLE,
        WORKER_LOADING,
        WORKER_SERVING,
        WORKER_DRAINING,
};

/* None of these may call back into the loop's owner before they return; all may call worker functions. */
struct worker_ops {
        void (*on_ready)(struct worker *w);
        void (*on_applied)(struct worker *w, uint64_t generation);
        void (*on_refused)(struct worker *w, uint64_t generation, struct str why);
        void (*on_drained)(struct worker *w);
        /* It is dead; `expected`: because worker_kill() was called or it had drained. */
        void (*on_death)(struct worker *w, bool expected);
};

struct worker_options {
        unsigned n_threads;
        enum loop_backend io;
        char user[64];     /* "" = stay who we are */
        int counters_fd;   /* borrowed */
        int access_log_fd; /* borrowed; -1: none */
};

struct worker {
        struct loop *loop;
        const struct worker_ops *ops;
        void *arg;
        struct worker_options options;
        enum worker_state state;
        struct worker_process *process; /* NULL: none runs */
        uint64_t applied;               /* generation that this process serves; 0: none yet */
        uint64_t restarts;
        nsec_t since;                   /* wall clock, of the state */
        nsec_t started;                 /* monotonic */
        nsec_t pause;                   /* before the next start */
        struct timer restart;
        bool restart_wanted;
        char last_death[96];            /* "was killed by signal 11 (Segmentation fault)"; "": none */
        nsec_t last_death_at;           /* wall clock */
        /* what it said when it was ready */
        bool io_known;
        enum loop_backend io;
        char io_reason[160];
        char sandbox_missing[160];
        unsigned n_leftovers;           /* processes whose watches the loop still holds */
};

void worker_init(struct worker *w, struct loop *l, const struct worker_ops *ops, void *arg);
/* Starts a process; options are set by the caller before. Restarts follow by themselves. Negative errno: could not fork. */
int worker_start(struct worker *w);
pid_t worker_pid(const struct worker *w); /* 0: none */
const char *worker_state_name(const struct worker *w);
/* Sends listeners and texts. -ENOTCONN when there is no worker that could take them. */
int worker_load(struct worker *w, uint64_t generation, const struct listener_set *listeners, int bundle_fd);
int worker_set_access_log(struct worker *w, int fd);
int worker_drain(struct worker *w, nsec_t limit);
/* Ends it; another is started after a pause. */
void worker_restart(struct worker *w);
/* Ends it; it is not started again. */
void worker_kill(struct worker *w);
/* Nothing of it is left in the loop. */
bool worker_gone(const struct worker *w);

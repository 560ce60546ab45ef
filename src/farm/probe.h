/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One health check: connect, and for HTTP ask and read the status line. Internal to the farm library; on the control thread.
 *
 *      idle ── probe_start() ──► connecting ──► asking ──► draining ──► closing ──► idle
 *                                    │ TCP: connected         ▲            ▲
 *                                    └────────────────────────┼────────────┤  on_result() once, on the way there
 *                                          status line read ──┘            │
 *                                          failure, time-out, cancel ──────┘  on_over() when idle again
 *
 * After the status line the rest of the response is read and thrown away, up to a limit and not beyond the time-out, because
 * closing on unread bytes would look like a broken client to the server.
 */

#include <stdbool.h>

#include "farm/counters.h"
#include "farm/farm.h"
#include "net/loop.h"

enum status_line_state {
        STATUS_LINE,   /* in the status line */
        STATUS_SKIP,   /* in the fields of an interim (1xx) response */
        STATUS_DONE,
        STATUS_BAD,
};

/* Reads the status line of the final response, byte by byte. */
struct status_line {
        enum status_line_state state;
        unsigned n;      /* bytes of this line so far */
        unsigned total;  /* bytes so far */
        unsigned status; /* valid when DONE */
        char last;
};

/* Zeroed memory is the beginning. Stops at DONE or BAD. */
enum status_line_state status_line_feed(struct status_line *l, const char *p, size_t n);

enum probe_state {
        PROBE_IDLE,
        PROBE_CONNECTING,
        PROBE_ASKING,
        PROBE_DRAINING,
        PROBE_CLOSING,
};

struct probe {
        struct sock sock;
        struct timer deadline;
        struct task failed; /* when there was no socket to begin with */
        struct loop *loop;
        enum probe_state state;
        enum farm_check_kind kind;
        uint64_t expect[FARM_STATUS_WORDS];
        struct strbuf request; /* owned */
        struct iovec iov;
        struct status_line line;
        size_t drained;
        nsec_t started;
        int error;
        bool told; /* on_result() was called, or is not wanted any more */
        void (*on_result)(struct probe *p, enum check_result result, unsigned detail, nsec_t took);
        void (*on_over)(struct probe *p);
};

void probe_init(struct probe *p, struct loop *l);
void probe_deinit(struct probe *p); /* idle ones only */
/* -ENOMEM when it did not start. host: for the Host field. check and host are not needed any more afterwards. */
int probe_start(struct probe *p, const struct addr *to, const struct farm_check *check, struct str host);
/* No on_result() any more; on_over() still comes unless it is idle. */
void probe_cancel(struct probe *p);

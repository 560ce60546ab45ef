/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the loop's files share: the common part of a loop, and what a backend gives. */

#include "net/loop.h"
#include "net/pool.h"
#include "net/wheel.h"

/* Flags of a sock. The first group is common, the others belong to a backend. */
enum {
        SOCK_RECV_ON = 1u << 0,    /* the caller wants on_data() */
        SOCK_ENDED = 1u << 1,      /* recv_result says how the receiving side ended */
        SOCK_END_TOLD = 1u << 2,
        SOCK_CONNECTING = 1u << 3,
        SOCK_CONNECTED = 1u << 4,  /* connecting is over, send_result is to be told */
        SOCK_SENDING = 1u << 5,    /* an operation of the sending side is under way */
        SOCK_SENT = 1u << 6,       /* it is over, send_result is to be told */
        SOCK_FILE = 1u << 7,       /* it is a sock_send_file() */
        SOCK_SPLICE = 1u << 8,     /* it is a sock_splice() */
        SOCK_MORE = 1u << 9,
        SOCK_CLOSING = 1u << 10,
        SOCK_CLOSED = 1u << 11,    /* on_closed() is the next thing to do */
        SOCK_READABLE = 1u << 12,  /* reading may give something: the level, remembered */
        SOCK_WRITABLE = 1u << 13,
        SOCK_HANGUP = 1u << 14,    /* an end or an error was announced: a short read is not the last one */
        SOCK_REGISTERED = 1u << 15, /* epoll */

        SOCK_TRIED = 1u << 22,     /* epoll: a first receive was tried, or would be useless */
        URING_WARM = 1u << 23,     /* the last receive took all that was there: the next one is multishot */

        URING_RECV = 1u << 16,     /* a receive is in the kernel */
        URING_STOPPING = 1u << 17, /* and it was asked to end */
        URING_SEND = 1u << 18,     /* a send is in the kernel */
        URING_OUT = 1u << 19,      /* a poll for writing is in the kernel */
        URING_IN = 1u << 20,       /* a poll for reading is in the kernel */
        URING_CLOSE = 1u << 21,    /* the descriptor still has to be closed */
};

/* Bytes one sock may move in one go before others get their turn. */
#define ROUND_BUDGET ((size_t)256 * 1024)
#define ACCEPT_PAUSE (100 * NSEC_PER_MSEC)

struct backend {
        enum loop_backend kind;
        void (*free)(struct loop *l);
        /* Waits at most so long for events and handles them. */
        int (*wait)(struct loop *l, nsec_t timeout);

        void (*connect_start)(struct sock *s); /* connect(2) said EINPROGRESS */
        void (*recv_start)(struct sock *s);
        void (*recv_stop)(struct sock *s);
        void (*send_start)(struct sock *s); /* of any of the three kinds */
        void (*close)(struct sock *s);
        void (*run)(struct sock *s); /* does what is to be done; the sock was in the work list */

        int (*acceptor_start)(struct acceptor *a);
        void (*acceptor_stop)(struct acceptor *a);
        int (*watch_start)(struct watch *w);
        int (*watch_set_events)(struct watch *w);
        void (*watch_stop)(struct watch *w);
};

struct loop {
        const struct backend *backend;
        nsec_t now;
        bool stopped;
        bool forks;
        int wake_fd;
        struct task *posted; /* newest first; atomic */
        struct task *tasks;  /* oldest first */
        struct task **tasks_end;
        struct list work;   /* socks to run in this round */
        struct list later;  /* socks to run in the next */
        struct list closed; /* socks with SOCK_CLOSED */
        struct list starved; /* socks that wait for a buffer */
        struct wheel wheel;
        struct buf_pool pool;
        struct bulk_pipe *pipes;
        unsigned n_pipes;
        nsec_t trim_at; /* when the pool is trimmed next */
        struct loop_stats stats;
        const char *fallback_reason;
};

/* Sets up and tears down the common part. */
int loop_init(struct loop *l, const struct backend *backend, const struct loop_options *options);
void loop_deinit(struct loop *l);
/* accept() failed because of the connection that was to be accepted: the next one may do. (accept(2), "Error handling") */
bool accept_may_go_on(int error);
/* Runs the socks that are in the work list now. */
void loop_run_work(struct loop *l);
/* The wake descriptor is readable. */
void loop_woken(struct loop *l);

int epoll_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why);
int uring_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why);

/* ── for the backends ──────────────────────────────────────────────────── */

static inline void sock_queue(struct sock *s) {
        if (list_empty(&s->priv.work_link))
                list_add_tail(&s->loop->work, &s->priv.work_link);
}

/* In the next round: s had its share of this one. */
static inline void sock_queue_later(struct sock *s) {
        if (list_empty(&s->priv.work_link))
                list_add_tail(&s->loop->later, &s->priv.work_link);
}

/* The receiving side is over. */
static inline void sock_ended(struct sock *s, int result) {
        if (s->priv.flags & SOCK_ENDED)
                return;
        s->priv.flags |= SOCK_ENDED;
        s->priv.recv_result = result;
}

/* The present sending operation is over. */
void sock_sent(struct sock *s, int result);
/* Keeps received bytes, with the reference, until receiving is started again. */
void sock_pend(struct sock *s, struct buf *b, const char *p, size_t n);
/* Drops the first n kept bytes. */
void sock_pending_take(struct sock *s, uint64_t n);
/* Counts n bytes of the iovecs as sent; true: that was all. */
bool sock_advance(struct sock *s, size_t n);
/* Calls back for what is over: connecting, sending. False: the sock was closed meanwhile. */
bool sock_tell(struct sock *s);
/* Calls on_end() when it is due. False as above. */
bool sock_tell_end(struct sock *s);
/* Everything is off: on_closed() may come. */
void sock_set_closed(struct sock *s);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The event loop: one per thread, a completion interface. The caller says what it wants done and is
 * called when it is done. Two implementations stand behind it, io_uring and epoll, with the same behaviour.
 *
 * Rules that hold for both:
 *  - A loop and all that hangs on it belong to the thread that runs it. Only loop_post() may be called
 *    from elsewhere.
 *  - No callback runs from inside a call into the loop: a submission never calls back before it returns.
 *  - Objects (socks, timers, watches, tasks) are embedded in the caller's own; the loop allocates nothing
 *    per operation.
 *  - The process ignores SIGPIPE (sendfile() and splice() cannot be told to).
 *  - After sock_close() the only callback is on_closed(); until it came, the memory must stay.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/list.h"
#include "base/clock.h"
#include "net/addr.h"
#include "net/buf.h"

struct loop;
struct bulk_pipe;

enum loop_backend {
        LOOP_AUTO, /* io_uring where the kernel allows it, else epoll */
        LOOP_URING,
        LOOP_EPOLL,
};

struct loop_options {
        enum loop_backend backend;
        unsigned n_bufs;   /* receive buffers kept at hand; 0: default. More are made when they are all in use */
        unsigned max_bufs; /* never more than this at once; 0: as many as can be named. Receiving waits when all are out */
        unsigned n_completions; /* io_uring: of its completion queue, a power of two; 0: default */
        unsigned buf_size; /* bytes of each, bookkeeping included; 0: default */
        bool forks;        /* this process starts others, so what it closes may stay open for a moment in one of them */
};

/* -ENOSYS, -EPERM, … when LOOP_URING was asked for and the kernel refuses; *ret_why (may be NULL) is then a
 * constant sentence. With LOOP_AUTO the fallback is silent here; loop_backend() and loop_fallback_reason() tell. */
int loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why);
struct loop *loop_free(struct loop *l);
/* Runs until loop_stop(). */
int loop_run(struct loop *l);
/* One round: waits at most max_wait (NSEC_INFINITY: for ever) for an event, runs what is due. */
int loop_run_once(struct loop *l, nsec_t max_wait);
void loop_stop(struct loop *l);
/* Monotonic time, read once a round. */
nsec_t loop_now(const struct loop *l);
enum loop_backend loop_backend(const struct loop *l); /* LOOP_URING or LOOP_EPOLL */
/* Why LOOP_AUTO chose epoll; NULL when it did not. Constant text. */
const char *loop_fallback_reason(const struct loop *l);

struct loop_stats {
        uint64_t rounds;
        uint64_t events;      /* completions or readiness events handled */
        uint64_t bufs_empty;  /* times a receive had to wait for a free buffer */
};
void loop_get_stats(const struct loop *l, struct loop_stats *ret);

/* ── tasks ─────────────────────────────────────────────────────────────── */

struct task {
        struct task *next;
        void (*run)(struct task *t);
        bool queued;
};

/* Runs t once, after the callbacks of this round, in order of calls. Own thread only. */
void loop_defer(struct loop *l, struct task *t);
/* The same from any thread; wakes the loop. t must not be queued already. */
void loop_post(struct loop *l, struct task *t);

/* ── timers ────────────────────────────────────────────────────────────── */

/* A zeroed timer is stopped. Resolution about 4 ms, never early; starting and stopping is O(1), without a system call. */
struct timer {
        struct list link;
        nsec_t at; /* 0: stopped */
        void (*fire)(struct timer *t);
};

/* Starts or restarts; `at` is in loop_now()'s clock. */
void timer_start(struct loop *l, struct timer *t, nsec_t at);
void timer_stop(struct loop *l, struct timer *t);

/* ── listeners ─────────────────────────────────────────────────────────── */

struct acceptor {
        struct loop *loop;
        int fd; /* borrowed: a listening, non-blocking socket */
        /* fd is the caller's from here on: non-blocking, CLOEXEC. peer may be NULL: getpeername() tells. */
        void (*on_accept)(struct acceptor *a, int fd, const struct addr *peer); /* until on_stopped() */
        /* -EMFILE, -ENFILE, -ENOBUFS, -ENOMEM …: accepting pauses for 100 ms and tries again by itself. Errors that
         * concern one connection only are not told. */
        void (*on_error)(struct acceptor *a, int error);
        void (*on_stopped)(struct acceptor *a); /* after acceptor_stop(): the memory is the caller's again */
        struct { /* the backend's */
                struct task task;
                struct timer pause;
                uint32_t flags;
                uint32_t burst;
                uint64_t last_round;
                nsec_t look;
        } priv;
};

int acceptor_start(struct loop *l, struct acceptor *a);
void acceptor_stop(struct acceptor *a);

/* ── stream sockets ────────────────────────────────────────────────────── */

struct sock;

struct sock_ops {
        /* connect: 0 or negative errno (then only sock_close() may follow) */
        void (*on_connected)(struct sock *s, int result);
        /* n > 0 bytes at p inside b; the reference to b is the callee's. Not after sock_recv_stop(). */
        void (*on_data)(struct sock *s, struct buf *b, const char *p, size_t n);
        /* The peer will send nothing more: 0 = orderly end, else negative errno. Once, and last on the receiving side. */
        void (*on_end)(struct sock *s, int result);
        /* The send, send_file or splice is over: all bytes went (0) or negative errno (the sending side is dead). */
        void (*on_sent)(struct sock *s, int result);
        void (*on_closed)(struct sock *s);
};

struct sock {
        struct loop *loop;
        const struct sock_ops *ops;
        int fd; /* owned; -1 after close */
        struct { /* the backend's */
                struct list work_link;   /* something to do or to tell in user space */
                uint32_t flags;
                uint32_t n_cancels;      /* uring: cancels the kernel still holds */
                int recv_result;
                int send_result;
                const struct iovec *iov; /* what is not sent yet; the first may be half sent */
                int n_iov;
                size_t iov_done;         /* bytes of the first one that went */
                int file_fd;
                uint64_t file_offset;
                uint64_t left;           /* of the file or the splice */
                uint64_t spliced;
                struct sock *splice_from;
                struct sock *splice_to;
                struct bulk_pipe *pipe;
                struct buf *pending;      /* uring: data that came between stop and start, oldest first */
                struct buf *pending_last;
                struct list starved_link; /* uring: waits for a buffer */
                struct msghdr msg;
        } priv;
};

/* Takes fd (non-blocking, and no copy of it elsewhere: closing must be the end of it). The sock starts idle: nothing is received until sock_recv_start(). */
void sock_init(struct sock *s, struct loop *l, int fd, const struct sock_ops *ops);
/* Makes a non-blocking socket and connects; fails at once only for want of resources. */
int sock_connect(struct sock *s, struct loop *l, const struct addr *to, const struct sock_ops *ops);
/* on_data() for all that comes, until sock_recv_stop(). Nothing is lost between stop and start. Both may be called
 * at any time and repeatedly. */
void sock_recv_start(struct sock *s);
void sock_recv_stop(struct sock *s);
/*
 * Sends all of iov; one on_sent() at the end. One sending operation at a time. The bytes and the iovec array stay the
 * caller's and must live until on_sent(). more: other bytes follow at once (MSG_MORE).
 */
void sock_send(struct sock *s, const struct iovec *iov, int n, bool more);
/* The same for n bytes of a regular file from offset on, without copying them to user space. -EIO in on_sent() when
 * the file turns out to be shorter. file_fd is borrowed until on_sent(). */
void sock_send_file(struct sock *s, int file_fd, uint64_t offset, size_t n);
/*
 * Moves up to n bytes of what `from` receives to `to` without copying them to user space: a sending operation of
 * `to`, over with its on_sent(). `from` must not be receiving (sock_recv_stop()); what it received and has not handed
 * out yet goes first.
 *
 *   on_sent(to, 0)  and sock_spliced(to) == n   all went
 *   on_sent(to, 0)  and sock_spliced(to) <  n   `from` ended or failed; sock_recv_start(from) makes on_end() tell which
 *   on_sent(to, <0)                             the sending side of `to` is dead, or there is no pipe (-EMFILE …), or
 *                                               `from` was closed (-ECANCELED). Bytes may have been lost on the way:
 *                                               `from` is out of step and is to be closed
 *
 * Deadlines are the caller's: sock_spliced() grows while it runs. While it runs `from` may send and be closed, not receive.
 */
void sock_splice(struct sock *to, struct sock *from, uint64_t n);
/* Bytes that went into `to` in its present or, until the next starts, its last splice. */
uint64_t sock_spliced(const struct sock *to);
bool sock_sending(const struct sock *s);
/* shutdown(SHUT_WR) after what is being sent. Not while sock_sending(). */
void sock_shutdown(struct sock *s);
/* Ends all operations and closes; on_closed() comes later, always. Idempotent. Other calls do nothing afterwards. */
void sock_close(struct sock *s);
/* The same, but the peer gets a reset (SO_LINGER 0). */
void sock_reset(struct sock *s);

/* ── plain descriptors ─────────────────────────────────────────────────── */

/* For control sockets, signalfd, pidfd, eventfd: level-triggered readiness. Not for the hot path. */
struct watch {
        struct loop *loop;
        int fd;          /* borrowed */
        uint32_t events; /* EPOLLIN, EPOLLOUT */
        void (*on_ready)(struct watch *w, uint32_t events);
        struct { /* the backend's */
                struct task task;
                uint32_t flags;
        } priv;
        void (*on_stopped)(struct watch *w); /* after watch_stop(): the memory is the caller's again. May be NULL for
                                                objects that outlive the loop. */
};

int watch_start(struct loop *l, struct watch *w);
int watch_set_events(struct watch *w, uint32_t events);
void watch_stop(struct watch *w);

/* SPDX-License-Identifier: Apache-2.0 */

/* Acceptors and watches on io_uring. */

#include <errno.h>
#include <poll.h>

#include "net/uring.h"

#define ACCEPT_BURST 64
/*
 * The kernel tells one waiter of each new connection. When a process dies, its ring goes a little later, and what it is told until
 * then is lost: the connection would wait until the next one comes. So the one who took over looks for himself, often at
 * first, then once a second.
 */
#define ACCEPT_LOOK_FIRST (10 * NSEC_PER_MSEC)
#define ACCEPT_LOOK_LAST NSEC_PER_SEC

/* Of acceptors and watches. */
enum {
        IN_KERNEL = 1u << 0,
        STOPPED = 1u << 1,
        BY_POLL = 1u << 2, /* an acceptor: this kernel does not wait for a non-blocking socket */
        PAUSED = 1u << 3,
};

/* ── acceptors ─────────────────────────────────────────────────────────── */

static void accept_pause(struct acceptor *a) {
        a->priv.flags |= PAUSED;
        timer_start(a->loop, &a->priv.pause, loop_now(a->loop) + ACCEPT_PAUSE);
}

static void accept_arm(struct acceptor *a) {
        struct io_uring_sqe *sqe;

        if (a->priv.flags & (IN_KERNEL | STOPPED | PAUSED))
                return;
        if (a->priv.flags & BY_POLL) {
                if (!uring_poll(a->loop, a->fd, POLLIN, a, TAG_ACCEPT)) {
                        accept_pause(a);
                        return;
                }
        } else {
                sqe = uring_sqe(a->loop, a, TAG_ACCEPT);
                if (!sqe) {
                        accept_pause(a);
                        return;
                }
                sqe->opcode = IORING_OP_ACCEPT;
                sqe->fd = a->fd;
                sqe->accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
                sqe->ioprio = IORING_ACCEPT_MULTISHOT;
        }
        a->priv.flags |= IN_KERNEL;
}

/* Of a stopped one: first cancels what is in the kernel; called again when that is over. */
static void acceptor_task(struct task *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.task);

        if (a->priv.flags & IN_KERNEL) {
                if (!uring_cancel(a->loop, a, TAG_ACCEPT, NOBODY))
                        loop_defer(a->loop, t);
        } else if (a->on_stopped) {
                a->on_stopped(a);
        }
}

static void accept_failed(struct acceptor *a, int error) {
        if (error == -EAGAIN || accept_may_go_on(error))
                return;
        if (!(a->priv.flags & PAUSED))
                accept_pause(a);
        a->on_error(a, error);
}

static void accept_burst(struct acceptor *a) {
        for (int i = 0; i < ACCEPT_BURST && !(a->priv.flags & STOPPED); i++) {
                int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd < 0) {
                        accept_failed(a, -errno);
                        return;
                }
                a->on_accept(a, fd, NULL);
        }
}

/* A pause is over, or it is time to look. */
static void accept_again(struct timer *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.pause);

        if (a->priv.flags & STOPPED)
                return;
        if (!(a->priv.flags & PAUSED))
                accept_burst(a);
        else
                a->priv.flags &= ~PAUSED;
        if (a->priv.flags & (PAUSED | STOPPED))
                return;
        accept_arm(a);
        a->priv.look = MIN(a->priv.look * 2, ACCEPT_LOOK_LAST);
        timer_start(a->loop, t, loop_now(a->loop) + a->priv.look);
}

void uring_accept_event(struct acceptor *a, struct io_uring_cqe *cqe) {
        if (!(cqe->flags & IORING_CQE_F_MORE))
                a->priv.flags &= ~IN_KERNEL;
        if (a->priv.flags & BY_POLL) {
                if (cqe->res >= 0)
                        accept_burst(a);
        } else if (cqe->res >= 0) {
                a->on_accept(a, cqe->res, NULL); /* also while it stops: the connection is made */
        } else if (cqe->res == -EAGAIN) {
                a->priv.flags |= BY_POLL;
        } else if (!(a->priv.flags & STOPPED)) {
                accept_failed(a, cqe->res);
        }
        if (a->priv.flags & STOPPED) {
                if (!(a->priv.flags & IN_KERNEL))
                        loop_defer(a->loop, &a->priv.task);
        } else {
                accept_arm(a);
        }
}

int uring_acceptor_start(struct acceptor *a) {
        a->priv.task.run = acceptor_task;
        a->priv.pause.fire = accept_again;
        a->priv.look = ACCEPT_LOOK_FIRST;
        accept_arm(a);
        if (!(a->priv.flags & PAUSED))
                timer_start(a->loop, &a->priv.pause, loop_now(a->loop) + a->priv.look);
        return 0;
}

void uring_acceptor_stop(struct acceptor *a) {
        if (a->priv.flags & STOPPED)
                return;
        a->priv.flags |= STOPPED;
        loop_defer(a->loop, &a->priv.task);
}

/* ── watches ───────────────────────────────────────────────────────────── */

static int watch_arm(struct watch *w) {
        if (w->priv.flags & (IN_KERNEL | STOPPED))
                return 0;
        if (!uring_poll(w->loop, w->fd, w->events, w, TAG_WATCH))
                return -EBUSY;
        w->priv.flags |= IN_KERNEL;
        return 0;
}

/* Makes up for an arming that found no room; of a stopped one: as acceptor_task(). */
static void watch_task(struct task *t) {
        struct watch *w = CONTAINER_OF(t, struct watch, priv.task);

        if (!(w->priv.flags & STOPPED)) {
                if (watch_arm(w) < 0)
                        loop_defer(w->loop, t);
        } else if (w->priv.flags & IN_KERNEL) {
                if (!uring_cancel(w->loop, w, TAG_WATCH, NOBODY))
                        loop_defer(w->loop, t);
        } else if (w->on_stopped) {
                w->on_stopped(w);
        }
}

void uring_watch_event(struct watch *w, struct io_uring_cqe *cqe) {
        uint32_t events = cqe->res > 0 ? (uint32_t)cqe->res : 0;

        w->priv.flags &= ~IN_KERNEL;
        if (!(w->priv.flags & STOPPED)) {
                events &= w->events | POLLERR | POLLHUP;
                if (events)
                        w->on_ready(w, events);
        }
        if (w->priv.flags & STOPPED || watch_arm(w) < 0)
                loop_defer(w->loop, &w->priv.task);
}

int uring_watch_start(struct watch *w) {
        w->priv.task.run = watch_task;
        return watch_arm(w);
}

int uring_watch_set_events(struct watch *w) {
        if (!(w->priv.flags & IN_KERNEL))
                return 0;
        return uring_cancel(w->loop, w, TAG_WATCH, NOBODY) ? 0 : -EBUSY;
}

void uring_watch_stop(struct watch *w) {
        if (w->priv.flags & STOPPED)
                return;
        w->priv.flags |= STOPPED;
        loop_defer(w->loop, &w->priv.task);
}

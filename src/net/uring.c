/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop over io_uring.
 *
 * One io_uring_enter() a round submits what the callbacks of the last round asked for and waits for what comes. A
 * connection has one multishot receive in the kernel for as long as it receives; its buffers are picked by the kernel
 * from a ring that is filled up before each enter from the pool's stack, so the number of buffers that go round is
 * small. sendfile() and splice() are called directly, as with epoll, and a one-shot poll tells when to go on: as
 * io_uring operations they would need a kernel thread each.
 *
 * A sock's flags say what the kernel holds (URING_RECV, URING_SEND, URING_OUT, URING_IN; each at most once), and
 * run() compares this with what is wanted, so a submission that found no room is simply made up for later.
 * Invariants:
 *   1. an operation's flag is set from its submission to its last completion
 *   2. a closed sock is told so when the flags are clear and no cancel of it is in the kernel, hence no completion
 *      can name memory that is gone
 *   3. receiving stops lazily: only when data comes that nobody wants is the receive cancelled; the data is kept
 *
 * What is asked of the kernel: Linux 6.0 (multishot receive). 6.1 adds deferred task work: completions are prepared
 * only when we ask for them, by us. The ring can do nothing but the few operations listed in `allowed`.
 */

#include <assert.h>
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "net/bulk.h"
#include "net/loop_internal.h"

#define SQ_ENTRIES 1024u
#define CQ_ENTRIES 8192u
#define GROUP 0
#define RING_BUFS 1024u /* a power of two: the most buffers the kernel can have at hand */
#define BULK_BUFS 16u
#define ADAPT_AFTER 256u
#define ACCEPT_BURST 64

/* What a completion belongs to, in the low bits of its pointer. */
enum {
        TAG_RECV,
        TAG_SEND,
        TAG_OUT,
        TAG_IN,
        TAG_CANCEL,
        TAG_ACCEPT,
        TAG_WATCH,
        TAG_LOOP, /* pointer is 0: the wake descriptor; else nobody asks */
        TAG_MASK = 7,
};
#define NOBODY (8 | TAG_LOOP)

/* Of acceptors and watches. */
enum {
        IN_KERNEL = 1u << 0,
        STOPPED = 1u << 1,
        BY_POLL = 1u << 2, /* an acceptor: this kernel does not wait for a non-blocking socket */
        PAUSED = 1u << 3,
};

struct uring_loop {
        struct loop loop;
        struct io_uring ring;
        bool have_ring;
        bool enabled;
        bool wake_armed;
        unsigned cq_mask;
        struct io_uring_buf_ring *bufs;
        struct buf *in_ring[RING_BUFS]; /* by the number the kernel knows them by */
        uint16_t free_ids[RING_BUFS];
        unsigned n_free_ids;
        unsigned n_target; /* buffers the kernel should have at hand */
        unsigned n_received; /* buffers that came back lately, and how many of them were full */
        unsigned n_full;
};

static struct uring_loop *uring_of(struct loop *l) {
        return CONTAINER_OF(l, struct uring_loop, loop);
}

/* ── submitting ────────────────────────────────────────────────────────── */

/*
 * The ring belongs to the thread that runs the loop, which need not be the one that made it. (liburing 2.3 declares
 * functions for this and for the restrictions, but its shared library does not have them.)
 */
static int enable(struct uring_loop *u) {
        int r;

        (void)io_uring_register_ring_fd(&u->ring); /* a little faster; 5.18 */
        r = io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        if (r >= 0)
                u->enabled = true;
        return r;
}

static struct io_uring_sqe *get_sqe(struct loop *l, void *p, unsigned tag) {
        struct uring_loop *u = uring_of(l);
        struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);

        if (UNLIKELY(!sqe)) {
                if (!u->enabled && enable(u) < 0)
                        return NULL;
                (void)io_uring_submit(&u->ring); /* seen again at the next round */
                sqe = io_uring_get_sqe(&u->ring);
                if (!sqe)
                        return NULL;
        }
        memset(sqe, 0, sizeof(*sqe));
        sqe->user_data = (uintptr_t)p | tag;
        return sqe;
}

static bool submit_poll(struct loop *l, int fd, uint32_t events, void *p, unsigned tag) {
        struct io_uring_sqe *sqe = get_sqe(l, p, tag);

        if (!sqe)
                return false;
        io_uring_prep_poll_add(sqe, fd, events);
        return true;
}

/* Cancels the operation whose completion would be (p, tag). */
static bool submit_cancel(struct loop *l, void *p, unsigned tag, uint64_t user_data) {
        struct io_uring_sqe *sqe = get_sqe(l, NULL, 0);

        if (!sqe)
                return false;
        sqe->opcode = IORING_OP_ASYNC_CANCEL;
        sqe->fd = -1;
        sqe->addr = (uintptr_t)p | tag;
        sqe->user_data = user_data;
        return true;
}

static bool sock_cancel(struct sock *s, unsigned tag) {
        if (!submit_cancel(s->loop, s, tag, (uintptr_t)s | TAG_CANCEL))
                return false;
        s->priv.n_cancels++;
        return true;
}

/* One poll of a kind at a time; one that is there already serves the new wish too. */
static void sock_poll(struct sock *s, uint32_t flag) {
        if (s->priv.flags & flag)
                return;
        if (submit_poll(s->loop, s->fd, flag == URING_OUT ? POLLOUT : POLLIN | POLLRDHUP, s,
                flag == URING_OUT ? TAG_OUT : TAG_IN))
                s->priv.flags |= flag;
        else
                sock_queue_later(s);
}

/* ── buffers ───────────────────────────────────────────────────────────── */

static unsigned n_at_hand(const struct uring_loop *u) {
        return RING_BUFS - u->n_free_ids;
}

static void fill_ring(struct uring_loop *u) {
        int n = 0;

        while (n_at_hand(u) < u->n_target) {
                struct buf *b = buf_pool_get(&u->loop.pool);
                uint16_t id;

                if (!b)
                        break;
                id = u->free_ids[--u->n_free_ids];
                u->in_ring[id] = b;
                io_uring_buf_ring_add(u->bufs, b->data, b->cap, id, (int)RING_BUFS - 1, n++);
        }
        if (n > 0)
                io_uring_buf_ring_advance(u->bufs, n);
}

static struct buf *buf_of(struct uring_loop *u, const struct io_uring_cqe *cqe) {
        uint16_t id = (uint16_t)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        struct buf *b;

        if (!(cqe->flags & IORING_CQE_F_BUFFER))
                return NULL;
        b = u->in_ring[id];
        assert(b);
        u->in_ring[id] = NULL;
        u->free_ids[u->n_free_ids++] = id;
        u->n_received++;
        u->n_full += cqe->res > 0 && (uint32_t)cqe->res == b->cap;
        return b;
}

/*
 * Buffers go round in turn, so all of them pass through the cache. Small messages touch only the start of each; a
 * bulk stream fills them, and then few are better: measured with 1 MiB bodies, 16 buffers need a quarter less CPU
 * than 1024, though they run out often.
 */
static void adapt_ring(struct uring_loop *u) {
        unsigned keep = MIN(u->loop.pool.keep, RING_BUFS);

        if (u->n_received < ADAPT_AFTER)
                return;
        u->n_target = u->n_full > u->n_received / 2 ? MIN(keep, BULK_BUFS) : keep;
        u->n_received = u->n_full = 0;
}

/* The kernel found no buffer for s. */
static void wait_for_buf(struct sock *s) {
        s->loop->stats.bufs_empty++;
        if (list_empty(&s->priv.starved_link))
                list_add_tail(&s->loop->starved, &s->priv.starved_link);
}

static void recv_arm(struct sock *s);

/* As many as there are buffers; the others go on waiting. */
static void feed_starved(struct uring_loop *u) {
        unsigned n = n_at_hand(u);
        struct sock *s;

        while ((s = LIST_FIRST(&u->loop.starved, struct sock, priv.starved_link))) {
                if (n == 0 && u->loop.pool.n_used > 0)
                        return;
                list_remove(&s->priv.starved_link);
                if (n == 0) { /* memory is short and nothing will come back */
                        sock_ended(s, -ENOMEM);
                        sock_queue(s);
                        continue;
                }
                n--;
                recv_arm(s);
        }
}

/* ── receiving ─────────────────────────────────────────────────────────── */

static void recv_arm(struct sock *s) {
        const uint32_t mask = SOCK_RECV_ON | URING_RECV | SOCK_ENDED | SOCK_CLOSING;
        struct io_uring_sqe *sqe;

        if ((s->priv.flags & mask) != SOCK_RECV_ON || !list_empty(&s->priv.starved_link))
                return;
        sqe = get_sqe(s->loop, s, TAG_RECV);
        if (!sqe) {
                sock_queue_later(s);
                return;
        }
        sqe->opcode = IORING_OP_RECV;
        sqe->fd = s->fd;
        sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = GROUP;
        s->priv.flags |= URING_RECV;
}

static void recv_cancel(struct sock *s) {
        if ((s->priv.flags & (URING_RECV | URING_STOPPING)) != URING_RECV)
                return;
        if (sock_cancel(s, TAG_RECV))
                s->priv.flags |= URING_STOPPING;
        else
                sock_queue_later(s);
}

/* Hands out what waits, and the end when it is due. False: s was closed meanwhile. */
static bool deliver(struct sock *s) {
        struct buf *b;

        while ((b = s->priv.pending)) {
                if (!(s->priv.flags & SOCK_RECV_ON))
                        return true;
                s->priv.pending = TAKE(b->next);
                s->ops->on_data(s, b, b->data + b->pending_at, b->pending_n);
                if (s->priv.flags & SOCK_CLOSING)
                        return false;
        }
        return sock_tell_end(s);
}

static void try_close(struct sock *s);
static void send_step(struct sock *s);

static void recv_end(struct sock *s, int result) {
        switch (result) {
        case -ENOBUFS:
                if (s->priv.flags & SOCK_RECV_ON)
                        wait_for_buf(s);
                break;
        case -ECANCELED: /* by us; when receiving is wanted again meanwhile, run() sees to it */
        case -EINTR:
                break;
        case -EAGAIN:
                sock_poll(s, URING_IN);
                break;
        default:
                sock_ended(s, result);
        }
}

static void recv_event(struct sock *s, struct io_uring_cqe *cqe) {
        struct buf *b = buf_of(uring_of(s->loop), cqe);

        if (!(cqe->flags & IORING_CQE_F_MORE))
                s->priv.flags &= ~(URING_RECV | URING_STOPPING);
        if (UNLIKELY(s->priv.flags & SOCK_CLOSING)) {
                buf_unref(b);
                try_close(s);
                return;
        }
        if (cqe->res <= 0) {
                buf_unref(b);
                recv_end(s, cqe->res);
        } else if (LIKELY(s->priv.flags & SOCK_RECV_ON && !s->priv.pending)) {
                s->ops->on_data(s, b, b->data, (size_t)cqe->res);
                if (s->priv.flags & SOCK_CLOSING)
                        return;
        } else {
                sock_pend(s, b, b->data, (size_t)cqe->res);
                if (!(s->priv.flags & SOCK_RECV_ON))
                        recv_cancel(s);
        }
        if (!deliver(s))
                return;
        if (UNLIKELY(!(s->priv.flags & URING_RECV))) {
                if (!(s->priv.flags & URING_IN))
                        recv_arm(s);
                if (s->priv.splice_to)
                        sock_queue(s->priv.splice_to);
        }
}

static void ur_recv_start(struct sock *s) {
        recv_arm(s);
        if (s->priv.pending || s->priv.flags & SOCK_ENDED)
                sock_queue(s);
}

static void ur_recv_stop(struct sock *s) {
        list_remove(&s->priv.starved_link);
}

/* ── sending ───────────────────────────────────────────────────────────── */

static void send_iov(struct sock *s) {
        struct io_uring_sqe *sqe;
        bool more = s->priv.flags & SOCK_MORE;

        if (s->priv.flags & (URING_SEND | URING_OUT))
                return;
        sqe = get_sqe(s->loop, s, TAG_SEND);
        if (!sqe) {
                sock_queue_later(s);
                return;
        }
        sqe->fd = s->fd;
        if (s->priv.n_iov == 1 || s->priv.iov_done > 0) {
                size_t n = s->priv.iov->iov_len - s->priv.iov_done;

                sqe->opcode = IORING_OP_SEND;
                sqe->addr = (uintptr_t)s->priv.iov->iov_base + s->priv.iov_done;
                sqe->len = (uint32_t)MIN(n, (size_t)INT32_MAX);
                more |= s->priv.n_iov > 1 || n > INT32_MAX;
        } else {
                s->priv.msg.msg_iov = (struct iovec *)s->priv.iov;
                s->priv.msg.msg_iovlen = MIN((size_t)s->priv.n_iov, (size_t)1024); /* IOV_MAX */
                more |= s->priv.n_iov > 1024;
                sqe->opcode = IORING_OP_SENDMSG;
                sqe->addr = (uintptr_t)&s->priv.msg;
                sqe->len = 1;
        }
        sqe->msg_flags = (uint32_t)(MSG_NOSIGNAL | MSG_WAITALL | (more ? MSG_MORE : 0));
        s->priv.flags |= URING_SEND;
}

static void send_bulk(struct sock *s) {
        struct sock *from = s->priv.splice_from;
        int r;

        if (from) {
                if (from->priv.flags & URING_RECV) { /* takes what we want to splice */
                        recv_cancel(from);
                        if (!(from->priv.flags & URING_STOPPING))
                                sock_queue_later(s);
                        return;
                }
                r = bulk_splice(s);
        } else {
                r = bulk_send_file(s);
        }
        switch (r) {
        case BULK_DONE:
                sock_sent(s, 0);
                break;
        case BULK_OUT:
                sock_poll(s, URING_OUT);
                break;
        case BULK_IN:
                sock_poll(from, URING_IN);
                break;
        case BULK_TURN:
                sock_queue_later(s);
                break;
        default:
                sock_sent(s, r);
        }
}

static void send_step(struct sock *s) {
        if (s->priv.flags & (SOCK_FILE | SOCK_SPLICE))
                send_bulk(s);
        else
                send_iov(s);
}

static void send_event(struct sock *s, int result) {
        s->priv.flags &= ~URING_SEND;
        if (UNLIKELY(s->priv.flags & SOCK_CLOSING)) {
                try_close(s);
                return;
        }
        if (result == -EAGAIN) {
                sock_poll(s, URING_OUT);
                return;
        }
        if (result < 0 && result != -EINTR)
                sock_sent(s, result);
        else if (sock_advance(s, (size_t)MAX(result, 0)))
                sock_sent(s, 0);
        else
                send_step(s);
        (void)sock_tell(s);
}

/* ── readiness ─────────────────────────────────────────────────────────── */

static void ur_connect_start(struct sock *s) {
        sock_poll(s, URING_OUT);
}

static void check_connected(struct sock *s, int result) {
        socklen_t len = sizeof(int);
        int error = 0;

        if (result < 0)
                error = -result;
        else if (result & (POLLERR | POLLHUP) && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                error = errno;
        s->priv.flags = (s->priv.flags & ~SOCK_CONNECTING) | SOCK_CONNECTED;
        s->priv.send_result = -error;
}

static void out_event(struct sock *s, int result) {
        s->priv.flags &= ~URING_OUT;
        if (s->priv.flags & SOCK_CLOSING) {
                try_close(s);
                return;
        }
        if (s->priv.flags & SOCK_CONNECTING)
                check_connected(s, result);
        else if (s->priv.flags & SOCK_SENDING)
                send_step(s);
        (void)sock_tell(s);
}

static void in_event(struct sock *s) {
        s->priv.flags &= ~URING_IN;
        if (s->priv.flags & SOCK_CLOSING) {
                try_close(s);
                return;
        }
        recv_arm(s);
        if (s->priv.splice_to)
                sock_queue(s->priv.splice_to);
}

/* ── connections ───────────────────────────────────────────────────────── */

/* Cancels what is in the kernel, has the descriptor closed, and tells when all that is over. */
static void try_close(struct sock *s) {
        static const struct {
                uint32_t flag;
                unsigned tag;
        } ops[] = {{URING_RECV, TAG_RECV}, {URING_SEND, TAG_SEND}, {URING_OUT, TAG_OUT}, {URING_IN, TAG_IN}};
        const uint32_t in_kernel = URING_RECV | URING_SEND | URING_OUT | URING_IN;

        if (s->priv.flags & URING_CLOSE) {
                struct io_uring_sqe *sqe;

                for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
                        if (s->priv.flags & ops[i].flag && !sock_cancel(s, ops[i].tag)) {
                                sock_queue_later(s);
                                return;
                        }
                sqe = get_sqe(s->loop, NULL, NOBODY);
                if (sqe) {
                        sqe->opcode = IORING_OP_CLOSE;
                        sqe->fd = s->fd;
                        sqe->flags = IOSQE_CQE_SKIP_SUCCESS;
                        s->fd = -1;
                } else {
                        s->fd = fd_close(s->fd);
                }
                s->priv.flags &= ~URING_CLOSE;
        }
        if (!(s->priv.flags & in_kernel) && s->priv.n_cancels == 0 && !(s->priv.flags & SOCK_CLOSED)) {
                list_remove(&s->priv.work_link);
                sock_set_closed(s);
        }
}

static void ur_close(struct sock *s) {
        s->priv.flags |= URING_CLOSE;
        list_remove(&s->priv.starved_link);
        try_close(s);
}

/*
 * A cancel that found nothing met its operation on the way to a completion, or, rarely, between two states (woken
 * and about to be tried again, which may put it to sleep once more). So when something is still there, ask again.
 */
static void cancel_event(struct sock *s, int result) {
        s->priv.n_cancels--;
        if (!(s->priv.flags & SOCK_CLOSING)) {
                if (result < 0 && s->priv.flags & URING_STOPPING) {
                        s->priv.flags &= ~URING_STOPPING;
                        if (s->priv.splice_to)
                                sock_queue_later(s->priv.splice_to);
                }
                return;
        }
        if (result < 0)
                sock_queue_later(s);
        try_close(s);
}

static void cancel_again(struct sock *s) {
        if (s->priv.flags & URING_CLOSE || s->priv.n_cancels > 0)
                return;
        if (s->priv.flags & URING_RECV)
                (void)sock_cancel(s, TAG_RECV);
        if (s->priv.flags & URING_SEND)
                (void)sock_cancel(s, TAG_SEND);
        if (s->priv.flags & URING_OUT)
                (void)sock_cancel(s, TAG_OUT);
        if (s->priv.flags & URING_IN)
                (void)sock_cancel(s, TAG_IN);
        if (s->priv.n_cancels == 0)
                sock_queue_later(s);
}

static void ur_run(struct sock *s) {
        if (s->priv.flags & SOCK_CLOSING) {
                if (s->priv.flags & SOCK_CLOSED)
                        return;
                cancel_again(s);
                try_close(s);
                return;
        }
        if (s->priv.flags & SOCK_CONNECTING)
                sock_poll(s, URING_OUT);
        if (!sock_tell(s))
                return;
        if (s->priv.flags & SOCK_SENDING) {
                send_step(s);
                if (!sock_tell(s))
                        return;
        }
        if (deliver(s))
                recv_arm(s);
}

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
                if (!submit_poll(a->loop, a->fd, POLLIN, a, TAG_ACCEPT)) {
                        accept_pause(a);
                        return;
                }
        } else {
                sqe = get_sqe(a->loop, a, TAG_ACCEPT);
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

static void accept_again(struct timer *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.pause);

        a->priv.flags &= ~PAUSED;
        accept_arm(a);
}

/* Of a stopped one: first cancels what is in the kernel; called again when that is over. */
static void acceptor_task(struct task *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.task);

        if (a->priv.flags & IN_KERNEL) {
                if (!submit_cancel(a->loop, a, TAG_ACCEPT, NOBODY))
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

static void accept_event(struct acceptor *a, struct io_uring_cqe *cqe) {
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

static int ur_acceptor_start(struct acceptor *a) {
        a->priv.task.run = acceptor_task;
        a->priv.pause.fire = accept_again;
        accept_arm(a);
        return 0;
}

static void ur_acceptor_stop(struct acceptor *a) {
        if (a->priv.flags & STOPPED)
                return;
        a->priv.flags |= STOPPED;
        loop_defer(a->loop, &a->priv.task);
}

/* ── watches ───────────────────────────────────────────────────────────── */

static int watch_arm(struct watch *w) {
        if (w->priv.flags & (IN_KERNEL | STOPPED))
                return 0;
        if (!submit_poll(w->loop, w->fd, w->events, w, TAG_WATCH))
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
                if (!submit_cancel(w->loop, w, TAG_WATCH, NOBODY))
                        loop_defer(w->loop, t);
        } else if (w->on_stopped) {
                w->on_stopped(w);
        }
}

static void watch_event(struct watch *w, struct io_uring_cqe *cqe) {
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

static int ur_watch_start(struct watch *w) {
        w->priv.task.run = watch_task;
        return watch_arm(w);
}

static int ur_watch_set_events(struct watch *w) {
        if (!(w->priv.flags & IN_KERNEL))
                return 0;
        return submit_cancel(w->loop, w, TAG_WATCH, NOBODY) ? 0 : -EBUSY;
}

static void ur_watch_stop(struct watch *w) {
        if (w->priv.flags & STOPPED)
                return;
        w->priv.flags |= STOPPED;
        loop_defer(w->loop, &w->priv.task);
}

/* ── rounds ────────────────────────────────────────────────────────────── */

/* A multishot poll ends when the kernel wants it to; one that could not be armed is armed in the next round. */
static void wake_arm(struct uring_loop *u) {
        struct io_uring_sqe *sqe;

        if (u->wake_armed)
                return;
        sqe = get_sqe(&u->loop, NULL, TAG_LOOP);
        if (!sqe)
                return;
        io_uring_prep_poll_multishot(sqe, u->loop.wake_fd, POLLIN);
        u->wake_armed = true;
}

static void handle(struct uring_loop *u, struct io_uring_cqe *cqe) {
        void *p = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)TAG_MASK);

        switch (cqe->user_data & TAG_MASK) {
        case TAG_RECV:
                recv_event(p, cqe);
                break;
        case TAG_SEND:
                send_event(p, cqe->res);
                break;
        case TAG_OUT:
                out_event(p, cqe->res);
                break;
        case TAG_IN:
                in_event(p);
                break;
        case TAG_CANCEL:
                cancel_event(p, cqe->res);
                break;
        case TAG_ACCEPT:
                accept_event(p, cqe);
                break;
        case TAG_WATCH:
                watch_event(p, cqe);
                break;
        case TAG_LOOP:
                if (p)
                        break;
                if (!(cqe->flags & IORING_CQE_F_MORE))
                        u->wake_armed = false;
                loop_woken(&u->loop);
                break;
        }
}

static int enter(struct uring_loop *u, nsec_t timeout) {
        struct __kernel_timespec ts = {
                .tv_sec = (int64_t)(timeout / NSEC_PER_SEC),
                .tv_nsec = (long long)(timeout % NSEC_PER_SEC),
        };
        struct io_uring_cqe *cqe;
        int r;

        if (timeout == 0 || io_uring_cq_ready(&u->ring) > 0)
                r = io_uring_submit_and_get_events(&u->ring);
        else
                r = io_uring_submit_and_wait_timeout(&u->ring, &cqe, 1, timeout == NSEC_INFINITY ? NULL : &ts, NULL);
        switch (r) {
        case -ETIME:
        case -EINTR:
                return 0;
        case -EAGAIN:
        case -EBUSY:
        case -ENOMEM:
                /* The kernel wants its completions fetched first, or is short of memory: what it did not
                 * take stays in the queue. */
                if (io_uring_cq_ready(&u->ring) == 0)
                        (void)poll(NULL, 0, 1);
                return 0;
        }
        return r < 0 ? r : 0;
}

static int ur_wait(struct loop *l, nsec_t timeout) {
        struct uring_loop *u = uring_of(l);
        unsigned n, head;
        int r;

        if (UNLIKELY(!u->enabled)) {
                r = enable(u);
                if (r < 0)
                        return r;
        }
        wake_arm(u);
        adapt_ring(u);
        fill_ring(u);
        feed_starved(u);
        if (!list_empty(&l->work) || !list_empty(&l->later)) /* something found no room in the queue */
                timeout = 0;
        r = enter(u, timeout);
        if (r < 0)
                return r;
        l->now = time_monotonic();
        n = io_uring_cq_ready(&u->ring);
        head = *u->ring.cq.khead;
        for (unsigned i = 0; i < n; i++)
                handle(u, &u->ring.cq.cqes[(head + i) & u->cq_mask]);
        io_uring_cq_advance(&u->ring, n);
        l->stats.events += n;
        return 0;
}

/* ── life ──────────────────────────────────────────────────────────────── */

static const uint8_t allowed[] = {
        IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_ACCEPT, IORING_OP_POLL_ADD,
        IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,
};

static const char *refusal(int error) {
        switch (error) {
        case -ENOSYS:
                return "the kernel has no io_uring";
        case -EPERM:
        case -EACCES:
                return "io_uring is forbidden here (kernel.io_uring_disabled or a sandbox)";
        case -ENOMEM:
                return "no memory for io_uring (see the locked memory limit)";
        case -EMFILE:
        case -ENFILE:
                return "no descriptor for io_uring";
        default:
                return "io_uring of this kernel is too old (Linux 6.0 is needed)";
        }
}

/* The newest set of flags that the kernel knows. */
static int open_ring(struct uring_loop *u, unsigned cq_entries) {
        static const unsigned tries[] = {
                IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN, /* 6.1 */
                IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_COOP_TASKRUN,  /* 6.0 */
                IORING_SETUP_COOP_TASKRUN,
        };
        const unsigned needed = IORING_FEAT_NODROP | IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_EXT_ARG |
                                IORING_FEAT_CQE_SKIP;
        struct io_uring_params params;
        int r = -EINVAL;

        for (unsigned i = 0; i < ARRAY_SIZE(tries) && r == -EINVAL; i++) {
                params = (struct io_uring_params){
                        .flags = IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
                                 IORING_SETUP_CQSIZE | tries[i],
                        .cq_entries = cq_entries,
                };
                r = io_uring_queue_init_params(MIN(SQ_ENTRIES, cq_entries), &u->ring, &params);
        }
        if (r < 0)
                return r;
        u->have_ring = true;
        u->cq_mask = params.cq_entries - 1;
        return (params.features & needed) == needed ? 0 : -EOPNOTSUPP;
}

/* Multishot receive itself cannot be asked for: SEND_ZC came with the same kernel. */
static int check_operations(struct uring_loop *u) {
        struct io_uring_probe *probe = io_uring_get_probe_ring(&u->ring);
        int r = 0;

        if (!probe)
                return -ENOMEM;
        for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++)
                if (!io_uring_opcode_supported(probe, allowed[i]))
                        r = -EOPNOTSUPP;
        if (!io_uring_opcode_supported(probe, IORING_OP_SEND_ZC))
                r = -EOPNOTSUPP;
        io_uring_free_probe(probe);
        return r;
}

static int register_bufs(struct uring_loop *u) {
        struct io_uring_buf_reg reg = {.ring_entries = RING_BUFS, .bgid = GROUP};
        void *p = mmap(NULL, RING_BUFS * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return -ENOMEM;
        u->bufs = p;
        io_uring_buf_ring_init(u->bufs);
        for (unsigned i = 0; i < RING_BUFS; i++)
                u->free_ids[i] = (uint16_t)(RING_BUFS - 1 - i);
        u->n_free_ids = RING_BUFS;
        u->n_target = MIN(u->loop.pool.keep, RING_BUFS);
        reg.ring_addr = (uintptr_t)p;
        return io_uring_register_buf_ring(&u->ring, &reg, 0);
}

static int restrict_ring(struct uring_loop *u) {
        struct io_uring_restriction list[ARRAY_SIZE(allowed) + 2] = {0};
        unsigned n = 0;

        for (; n < ARRAY_SIZE(allowed); n++)
                list[n] = (struct io_uring_restriction){
                        .opcode = IORING_RESTRICTION_SQE_OP,
                        .sqe_op = allowed[n],
                };
        list[n++] = (struct io_uring_restriction){
                .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
                .sqe_flags = IOSQE_BUFFER_SELECT | IOSQE_CQE_SKIP_SUCCESS,
        };
        list[n++] = (struct io_uring_restriction){
                .opcode = IORING_RESTRICTION_REGISTER_OP,
                .register_op = IORING_UNREGISTER_RING_FDS,
        };
        return io_uring_register((unsigned)u->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, list, n);
}

static void ur_free(struct loop *l) {
        struct uring_loop *u = uring_of(l);

        if (u->have_ring) {
                if (u->enabled) /* descriptors may still have to be closed */
                        (void)io_uring_submit(&u->ring);
                io_uring_queue_exit(&u->ring);
        }
        for (unsigned i = 0; i < RING_BUFS; i++)
                u->in_ring[i] = buf_unref(u->in_ring[i]);
        if (u->bufs)
                (void)munmap(u->bufs, RING_BUFS * sizeof(struct io_uring_buf));
        loop_deinit(l);
        free(u);
}

static const struct backend uring_backend = {
        .kind = LOOP_URING,
        .free = ur_free,
        .wait = ur_wait,
        .connect_start = ur_connect_start,
        .recv_start = ur_recv_start,
        .recv_stop = ur_recv_stop,
        .send_start = send_step,
        .close = ur_close,
        .run = ur_run,
        .acceptor_start = ur_acceptor_start,
        .acceptor_stop = ur_acceptor_stop,
        .watch_start = ur_watch_start,
        .watch_set_events = ur_watch_set_events,
        .watch_stop = ur_watch_stop,
};

int uring_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why) {
        unsigned cq_entries = options && options->n_completions ? options->n_completions : CQ_ENTRIES;
        struct uring_loop *u;
        int r;

        u = calloc(1, sizeof(*u));
        if (!u) {
                *ret_why = refusal(-ENOMEM);
                return -ENOMEM;
        }
        u->loop.wake_fd = -1;
        r = open_ring(u, cq_entries);
        if (r >= 0)
                r = check_operations(u);
        if (r >= 0)
                r = loop_init(&u->loop, &uring_backend, options);
        if (r >= 0)
                r = register_bufs(u);
        if (r >= 0)
                r = restrict_ring(u);
        if (r < 0) {
                *ret_why = refusal(r);
                ur_free(&u->loop);
                return r;
        }
        *ret = &u->loop;
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/* Stream sockets on io_uring: receiving, sending, readiness, closing. uring.c has the rules and the invariants. */

#include <errno.h>
#include <poll.h>

#include "base/cleanup.h"
#include "net/bulk.h"
#include "net/uring.h"

static void try_close(struct sock *s);

static bool sock_cancel(struct sock *s, unsigned tag) {
        if (!uring_cancel(s->loop, s, tag, (uintptr_t)s | TAG_CANCEL))
                return false;
        s->priv.n_cancels++;
        return true;
}

/* One poll of a kind at a time; one that is there already serves the new wish too. */
static void sock_poll(struct sock *s, uint32_t flag) {
        if (s->priv.flags & flag)
                return;
        if (uring_poll(s->loop, s->fd, flag == URING_OUT ? POLLOUT : POLLIN | POLLRDHUP, s,
                flag == URING_OUT ? TAG_OUT : TAG_IN))
                s->priv.flags |= flag;
        else
                sock_queue_later(s);
}

/* ── receiving ─────────────────────────────────────────────────────────── */

/* The kernel found no buffer for s. */
static void wait_for_buf(struct sock *s) {
        s->loop->stats.bufs_empty++;
        if (list_empty(&s->priv.starved_link))
                list_add_tail(&s->loop->starved, &s->priv.starved_link);
}

static void recv_arm(struct sock *s) {
        const uint32_t mask = SOCK_RECV_ON | URING_RECV | SOCK_ENDED | SOCK_CLOSING;
        struct io_uring_sqe *sqe;

        /* what waits goes first: else each piece that is taken would let another one in, and the queue never become shorter */
        if ((s->priv.flags & mask) != SOCK_RECV_ON || s->priv.pending || !list_empty(&s->priv.starved_link))
                return;
        sqe = uring_sqe(s->loop, s, TAG_RECV);
        if (!sqe) {
                sock_queue_later(s);
                return;
        }
        sqe->opcode = IORING_OP_RECV;
        sqe->fd = s->fd;
        /*
         * The first receive is a single one: a connection that has but one request, or a response with a long body that is spliced
         * then, ends without an operation that has to be cancelled. So is one behind a full buffer: more is waiting then, and a
         * multishot that never runs dry cannot be cancelled either, it would take all that the peer can send.
         */
        if (s->priv.flags & URING_WARM)
                sqe->ioprio = IORING_RECV_MULTISHOT;
        sqe->flags = IOSQE_BUFFER_SELECT;
        sqe->buf_group = URING_GROUP;
        s->priv.flags |= URING_RECV;
}

void uring_feed_starved(struct uring_loop *u) {
        unsigned n = uring_bufs_at_hand(u);
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

void uring_recv_event(struct sock *s, struct io_uring_cqe *cqe) {
        struct buf *b = uring_buf_of(uring_of(s->loop), cqe);

        if (!(cqe->flags & IORING_CQE_F_MORE))
                s->priv.flags &= ~(URING_RECV | URING_STOPPING);
        if (UNLIKELY(s->priv.flags & SOCK_CLOSING)) {
                buf_unref(b);
                try_close(s);
                return;
        }
        if (cqe->res > 0 && (uint32_t)cqe->res < b->cap)
                s->priv.flags |= URING_WARM;
        else
                s->priv.flags &= ~URING_WARM;
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

void uring_recv_start(struct sock *s) {
        recv_arm(s);
        if (s->priv.pending || s->priv.flags & SOCK_ENDED)
                sock_queue(s);
}

void uring_recv_stop(struct sock *s) {
        list_remove(&s->priv.starved_link);
}

/* ── sending ───────────────────────────────────────────────────────────── */

static void send_iov(struct sock *s) {
        struct io_uring_sqe *sqe;
        bool more = s->priv.flags & SOCK_MORE;

        if (s->priv.flags & (URING_SEND | URING_OUT))
                return;
        sqe = uring_sqe(s->loop, s, TAG_SEND);
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
                from->priv.flags &= ~URING_WARM; /* where one long body came from, others may come */
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

void uring_send_start(struct sock *s) {
        if (s->priv.flags & (SOCK_FILE | SOCK_SPLICE))
                send_bulk(s);
        else
                send_iov(s);
}

void uring_send_event(struct sock *s, int result) {
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
                uring_send_start(s);
        (void)sock_tell(s);
}

/* ── readiness ─────────────────────────────────────────────────────────── */

void uring_connect_start(struct sock *s) {
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

void uring_out_event(struct sock *s, int result) {
        s->priv.flags &= ~URING_OUT;
        if (s->priv.flags & SOCK_CLOSING) {
                try_close(s);
                return;
        }
        if (s->priv.flags & SOCK_CONNECTING)
                check_connected(s, result);
        else if (s->priv.flags & SOCK_SENDING)
                uring_send_start(s);
        (void)sock_tell(s);
}

void uring_in_event(struct sock *s) {
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
                sqe = URING_CLOSES ? uring_sqe(s->loop, NULL, NOBODY) : NULL;
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

void uring_close(struct sock *s) {
        s->priv.flags |= URING_CLOSE;
        list_remove(&s->priv.starved_link);
        try_close(s);
}

/*
 * A cancel that found nothing met its operation on the way to a completion, or, rarely, between two states (woken
 * and about to be tried again, which may put it to sleep once more). So when something is still there, ask again.
 */
void uring_cancel_event(struct sock *s, int result) {
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

void uring_run(struct sock *s) {
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
                uring_send_start(s);
                if (!sock_tell(s))
                        return;
        }
        if (deliver(s))
                recv_arm(s);
}

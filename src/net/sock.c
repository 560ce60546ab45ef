/* SPDX-License-Identifier: Apache-2.0 */

/* The part of a stream socket that does not depend on the backend: argument checks, book-keeping, telling. */

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/cleanup.h"
#include "net/bulk.h"
#include "net/loop_internal.h"

void sock_init(struct sock *s, struct loop *l, int fd, const struct sock_ops *ops) {
        *s = (struct sock){.loop = l, .ops = ops, .fd = fd};
        list_init(&s->priv.work_link);
        list_init(&s->priv.starved_link);
        s->priv.flags = SOCK_WRITABLE;
}

int sock_connect(struct sock *s, struct loop *l, const struct addr *to, const struct sock_ops *ops) {
        CLEANUP(fd_closep) int fd = -1;
        const int one = 1;
        int r = 0;

        fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                return -errno;
        if (connect(fd, &to->sa, to->len) < 0)
                r = -errno;
        /* What is sent is whole: never wait for more to fill a segment. */
        if (to->sa.sa_family != AF_UNIX)
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        sock_init(s, l, TAKE_FD(fd), ops);
        s->priv.flags |= SOCK_TRIED; /* the server speaks second */
        if (r == -EINPROGRESS) {
                s->priv.flags |= SOCK_CONNECTING;
                s->priv.flags &= ~SOCK_WRITABLE;
                l->backend->connect_start(s);
                return 0;
        }
        s->priv.flags |= SOCK_CONNECTED;
        s->priv.send_result = r;
        sock_queue(s);
        return 0;
}

void sock_recv_start(struct sock *s) {
        if (s->priv.flags & (SOCK_RECV_ON | SOCK_CLOSING))
                return;
        assert(!s->priv.splice_to);
        s->priv.flags |= SOCK_RECV_ON;
        s->loop->backend->recv_start(s);
}

void sock_recv_stop(struct sock *s) {
        if (!(s->priv.flags & SOCK_RECV_ON) || s->priv.flags & SOCK_CLOSING)
                return;
        s->priv.flags &= ~SOCK_RECV_ON;
        s->loop->backend->recv_stop(s);
}

/* False: s is closed, nothing starts. */
static bool sending_begin(struct sock *s, uint32_t kind) {
        if (s->priv.flags & SOCK_CLOSING)
                return false;
        assert(!(s->priv.flags & (SOCK_SENDING | SOCK_SENT | SOCK_CONNECTING | SOCK_CONNECTED)));
        s->priv.flags = (s->priv.flags & ~(SOCK_FILE | SOCK_SPLICE | SOCK_MORE)) | SOCK_SENDING | kind;
        return true;
}

void sock_send(struct sock *s, const struct iovec *iov, int n, bool more) {
        if (!sending_begin(s, more ? SOCK_MORE : 0))
                return;
        s->priv.iov = iov;
        s->priv.n_iov = n;
        s->priv.iov_done = 0;
        if (sock_advance(s, 0)) /* nothing but empty ones */
                sock_sent(s, 0);
        else
                s->loop->backend->send_start(s);
}

void sock_send_file(struct sock *s, int file_fd, uint64_t offset, size_t n) {
        if (!sending_begin(s, SOCK_FILE))
                return;
        s->priv.file_fd = file_fd;
        s->priv.file_offset = offset;
        s->priv.left = n;
        if (n == 0)
                sock_sent(s, 0);
        else
                s->loop->backend->send_start(s);
}

void sock_splice(struct sock *to, struct sock *from, uint64_t n) {
        int r;

        if (!sending_begin(to, SOCK_SPLICE))
                return;
        assert(!(from->priv.flags & SOCK_RECV_ON) && !from->priv.splice_to);
        to->priv.left = n;
        to->priv.spliced = 0;
        if (from->priv.flags & SOCK_CLOSING) {
                sock_sent(to, -ECANCELED);
                return;
        }
        if (n == 0 || (from->priv.flags & SOCK_ENDED && !from->priv.pending)) {
                sock_sent(to, 0);
                return;
        }
        to->priv.splice_from = from;
        from->priv.splice_to = to;
        r = bulk_splice_begin(to);
        if (r < 0)
                sock_sent(to, r);
        else
                to->loop->backend->send_start(to);
}

uint64_t sock_spliced(const struct sock *to) {
        return to->priv.spliced;
}

bool sock_sending(const struct sock *s) {
        return s->priv.flags & (SOCK_SENDING | SOCK_SENT);
}

void sock_shutdown(struct sock *s) {
        if (s->priv.flags & SOCK_CLOSING)
                return;
        assert(!sock_sending(s));
        (void)shutdown(s->fd, SHUT_WR); /* ENOTCONN: the receiving side tells */
}

static void close_with(struct sock *s, bool reset) {
        const struct linger linger = {.l_onoff = 1};

        if (s->priv.flags & SOCK_CLOSING)
                return;
        if (reset)
                (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        s->priv.flags |= SOCK_CLOSING;
        s->priv.flags &= ~SOCK_RECV_ON;
        if (s->priv.splice_to)
                sock_sent(s->priv.splice_to, -ECANCELED);
        if (s->priv.splice_from)
                bulk_splice_end(s);
        sock_pending_take(s, UINT64_MAX);
        list_remove(&s->priv.work_link);
        s->loop->backend->close(s);
}

void sock_close(struct sock *s) {
        close_with(s, false);
}

void sock_reset(struct sock *s) {
        close_with(s, true);
}

/* ── for the backends ──────────────────────────────────────────────────── */

void sock_sent(struct sock *s, int result) {
        assert(s->priv.flags & SOCK_SENDING);
        if (s->priv.flags & SOCK_SPLICE)
                bulk_splice_end(s);
        s->priv.flags = (s->priv.flags & ~SOCK_SENDING) | SOCK_SENT;
        s->priv.send_result = result;
        sock_queue(s);
}

void sock_pend(struct sock *s, struct buf *b, const char *p, size_t n) {
        b->next = NULL;
        b->pending_at = (uint32_t)(p - b->data);
        b->pending_n = (uint32_t)n;
        if (s->priv.pending)
                s->priv.pending_last->next = b;
        else
                s->priv.pending = b;
        s->priv.pending_last = b;
}

void sock_pending_take(struct sock *s, uint64_t n) {
        struct buf *b;

        while ((b = s->priv.pending) && n >= b->pending_n) {
                n -= b->pending_n;
                s->priv.pending = TAKE(b->next);
                buf_unref(b);
        }
        if (b) {
                b->pending_at += (uint32_t)n;
                b->pending_n -= (uint32_t)n;
        }
}

bool sock_advance(struct sock *s, size_t n) {
        n += s->priv.iov_done;
        while (s->priv.n_iov > 0 && n >= s->priv.iov->iov_len) {
                n -= s->priv.iov->iov_len;
                s->priv.iov++;
                s->priv.n_iov--;
        }
        s->priv.iov_done = n;
        return s->priv.n_iov == 0;
}

bool sock_tell(struct sock *s) {
        if (s->priv.flags & SOCK_CONNECTED) {
                s->priv.flags &= ~SOCK_CONNECTED;
                s->ops->on_connected(s, s->priv.send_result);
                if (s->priv.flags & SOCK_CLOSING)
                        return false;
        }
        if (s->priv.flags & SOCK_SENT) {
                s->priv.flags &= ~SOCK_SENT;
                list_remove(&s->priv.work_link); /* where sock_sent() put it; the caller goes on with s now */
                s->ops->on_sent(s, s->priv.send_result);
        }
        return !(s->priv.flags & SOCK_CLOSING);
}

bool sock_tell_end(struct sock *s) {
        const uint32_t mask = SOCK_ENDED | SOCK_RECV_ON | SOCK_END_TOLD;

        if ((s->priv.flags & mask) != (SOCK_ENDED | SOCK_RECV_ON))
                return true;
        s->priv.flags |= SOCK_END_TOLD;
        s->ops->on_end(s, s->priv.recv_result);
        return !(s->priv.flags & SOCK_CLOSING);
}

void sock_set_closed(struct sock *s) {
        assert(!(s->priv.flags & SOCK_CLOSED));
        s->priv.flags |= SOCK_CLOSED;
        list_remove(&s->priv.starved_link);
        list_add_tail(&s->loop->closed, &s->priv.work_link);
}

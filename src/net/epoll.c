/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The loop over epoll.
 *
 * A sock is registered once, edge-triggered, for everything; its level is remembered in flags and only EAGAIN or a
 * short transfer takes it away, so epoll_ctl() is called once in a connection's life and a receive that emptied
 * the socket is not repeated. Sends are tried at submission; what they tell is told later from the work list.
 * Acceptors and watches are few and level-triggered.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "net/bulk.h"
#include "net/loop_internal.h"

#define N_EVENTS 256
#define MAX_BURST 64u

/* What an event belongs to, in the low bits of its pointer. */
enum {
        TAG_SOCK,
        TAG_ACCEPTOR,
        TAG_WATCH,
        TAG_WAKE,
        TAG_MASK = 3,
};

/* Of acceptors and watches. */
enum {
        ACTIVE = 1u << 0, /* registered */
        STOPPED = 1u << 1,
};

struct epoll_loop {
        struct loop loop;
        int fd;
        struct epoll_event events[N_EVENTS];
};

static struct epoll_loop *epoll_of(struct loop *l) {
        return CONTAINER_OF(l, struct epoll_loop, loop);
}

static int control(struct loop *l, int op, int fd, uint32_t events, void *p, unsigned tag) {
        struct epoll_event ev = {.events = events, .data.u64 = (uintptr_t)p | tag};

        return epoll_ctl(epoll_of(l)->fd, op, fd, &ev) < 0 ? -errno : 0;
}

/* ── receiving ─────────────────────────────────────────────────────────── */

static int register_sock(struct sock *s) {
        int r;

        if (LIKELY(s->priv.flags & SOCK_REGISTERED))
                return 0;
        r = control(s->loop, EPOLL_CTL_ADD, s->fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, s, TAG_SOCK);
        if (r >= 0)
                s->priv.flags |= SOCK_REGISTERED;
        return r;
}

static void wait_for_buf(struct sock *s) {
        if (s->loop->pool.n_used == 0) { /* none will come back */
                sock_ended(s, -ENOMEM);
                sock_queue(s);
                return;
        }
        s->loop->stats.bufs_empty++;
        if (list_empty(&s->priv.starved_link))
                list_add_tail(&s->loop->starved, &s->priv.starved_link);
}

/* A buffer came back to an exhausted pool: the socks that wait get their turn in the next round. */
static void buf_returned(struct buf_pool *p) {
        struct loop *l = CONTAINER_OF(p, struct loop, pool);
        struct sock *s = LIST_FIRST(&l->starved, struct sock, priv.starved_link);

        if (s) {
                list_remove(&s->priv.starved_link);
                sock_queue_later(s);
        }
}

/* Reads into b once. > 0: bytes; 0: nothing more now, or the end is noted. */
static size_t receive(struct sock *s, struct buf *b) {
        ssize_t n;

        do
                n = recv(s->fd, b->data, b->cap, 0);
        while (n < 0 && errno == EINTR);
        if (n > 0) {
                if ((size_t)n < b->cap && !(s->priv.flags & SOCK_HANGUP))
                        s->priv.flags &= ~SOCK_READABLE;
                return (size_t)n;
        }
        s->priv.flags &= ~SOCK_READABLE;
        if (n == 0)
                sock_ended(s, 0);
        else if (errno != EAGAIN)
                sock_ended(s, -errno);
        return 0;
}

static bool may_receive(const struct sock *s) {
        const uint32_t mask = SOCK_RECV_ON | SOCK_READABLE | SOCK_ENDED | SOCK_CLOSING;

        return (s->priv.flags & mask) == (SOCK_RECV_ON | SOCK_READABLE);
}

static void run_receive(struct sock *s) {
        size_t budget = ROUND_BUDGET;

        while (may_receive(s)) {
                struct buf *b;
                size_t n;

                if (budget == 0) {
                        sock_queue_later(s);
                        return;
                }
                b = buf_pool_get(&s->loop->pool);
                if (!b) {
                        wait_for_buf(s);
                        return;
                }
                n = receive(s, b);
                if (n == 0) {
                        buf_unref(b);
                        break;
                }
                budget -= MIN(budget, n);
                s->ops->on_data(s, b, b->data, n);
        }
        if (UNLIKELY((s->priv.flags & (SOCK_RECV_ON | SOCK_REGISTERED | SOCK_ENDED | SOCK_CLOSING)) == SOCK_RECV_ON)) {
                int r = register_sock(s);

                if (r < 0)
                        sock_ended(s, r);
        }
        sock_tell_end(s);
}

static void ep_recv_start(struct sock *s) {
        int r;

        /*
         * A connection that was just accepted has usually sent its request: that is read before the connection is registered, which
         * one that ends after its first response then never needs to be.
         */
        if (!(s->priv.flags & (SOCK_REGISTERED | SOCK_TRIED))) {
                s->priv.flags |= SOCK_TRIED | SOCK_READABLE;
                sock_queue(s);
                return;
        }
        r = register_sock(s);

        if (r < 0)
                sock_ended(s, r);
        if (s->priv.flags & (SOCK_READABLE | SOCK_ENDED))
                sock_queue(s);
}

static void ep_recv_stop(struct sock *s) {
        list_remove(&s->priv.starved_link);
}

/* ── sending ───────────────────────────────────────────────────────────── */

/* One system call's worth. Bytes, or negative errno. */
static ssize_t send_some(struct sock *s, size_t *ret_asked) {
        int flags = MSG_NOSIGNAL | MSG_DONTWAIT | (s->priv.flags & SOCK_MORE ? MSG_MORE : 0);
        struct msghdr msg = {.msg_iov = (struct iovec *)s->priv.iov, .msg_iovlen = (size_t)s->priv.n_iov};
        size_t asked = 0;
        ssize_t n;

        if (s->priv.n_iov == 1 || s->priv.iov_done > 0) {
                asked = s->priv.iov->iov_len - s->priv.iov_done;
                if (s->priv.n_iov > 1)
                        flags |= MSG_MORE;
                n = send(s->fd, (const char *)s->priv.iov->iov_base + s->priv.iov_done, asked, flags);
        } else {
                msg.msg_iovlen = MIN(msg.msg_iovlen, (size_t)1024); /* IOV_MAX */
                if (msg.msg_iovlen < (size_t)s->priv.n_iov)
                        flags |= MSG_MORE;
                for (size_t i = 0; i < msg.msg_iovlen; i++)
                        asked += msg.msg_iov[i].iov_len;
                n = sendmsg(s->fd, &msg, flags);
        }
        *ret_asked = asked;
        return n < 0 ? -errno : n;
}

static void send_iov(struct sock *s) {
        while (s->priv.flags & SOCK_WRITABLE) {
                size_t asked;
                ssize_t n = send_some(s, &asked);

                if (n == -EINTR)
                        continue;
                if (n == -EAGAIN) {
                        s->priv.flags &= ~SOCK_WRITABLE;
                        break;
                }
                if (n < 0) {
                        sock_sent(s, (int)n);
                        return;
                }
                if (sock_advance(s, (size_t)n)) {
                        sock_sent(s, 0);
                        return;
                }
                /* A short send leaves the socket full, with the wake-up ordered (SOCK_NOSPACE). */
                if ((size_t)n < asked)
                        s->priv.flags &= ~SOCK_WRITABLE;
        }
}

static void send_bulk(struct sock *s) {
        struct sock *from = s->priv.splice_from;
        int r;

        if (!(s->priv.flags & SOCK_WRITABLE))
                return;
        r = s->priv.flags & SOCK_FILE ? bulk_send_file(s) : bulk_splice(s);
        switch (r) {
        case BULK_DONE:
                sock_sent(s, 0);
                break;
        case BULK_OUT:
                s->priv.flags &= ~SOCK_WRITABLE;
                break;
        case BULK_IN:
                from->priv.flags &= ~SOCK_READABLE;
                r = register_sock(from);
                if (r < 0) {
                        sock_ended(from, r);
                        sock_sent(s, 0);
                }
                break;
        case BULK_TURN:
                sock_queue_later(s);
                break;
        default:
                sock_sent(s, r);
        }
}

static void send_step(struct sock *s) {
        int r;

        if (s->priv.flags & (SOCK_FILE | SOCK_SPLICE))
                send_bulk(s);
        else
                send_iov(s);
        if (!(s->priv.flags & SOCK_SENDING) || s->priv.flags & SOCK_WRITABLE)
                return;
        /* It has to wait: now at the latest the readiness must be heard of. */
        r = register_sock(s);
        if (r < 0)
                sock_sent(s, r);
}

/* ── connections ───────────────────────────────────────────────────────── */

static void ep_connect_start(struct sock *s) {
        int r = register_sock(s);

        if (r < 0) {
                s->priv.flags = (s->priv.flags & ~SOCK_CONNECTING) | SOCK_CONNECTED;
                s->priv.send_result = r;
                sock_queue(s);
        }
}

static void check_connected(struct sock *s) {
        socklen_t len = sizeof(int);
        int error = 0;

        if (!(s->priv.flags & SOCK_WRITABLE))
                return;
        /* Writable without an error needs no question. */
        if (s->priv.flags & SOCK_HANGUP && getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                error = errno;
        s->priv.flags = (s->priv.flags & ~SOCK_CONNECTING) | SOCK_CONNECTED;
        s->priv.send_result = -error;
}

static void ep_run(struct sock *s) {
        list_remove(&s->priv.work_link);
        if (s->priv.flags & SOCK_CONNECTING)
                check_connected(s);
        if (!sock_tell(s))
                return;
        if (s->priv.flags & SOCK_SENDING) {
                send_step(s);
                if (!sock_tell(s))
                        return;
        }
        run_receive(s);
}

/*
 * The registration goes with the last descriptor of the connection, which is ours, and saves a system call. But a child has all of them
 * too, between fork() and exec(), and then events would come for a sock that is gone.
 */
static void ep_close(struct sock *s) {
        if (s->loop->forks && s->priv.flags & SOCK_REGISTERED)
                (void)control(s->loop, EPOLL_CTL_DEL, s->fd, 0, NULL, 0);
        s->fd = fd_close(s->fd);
        sock_set_closed(s);
}

static void sock_event(struct sock *s, uint32_t events) {
        if (s->priv.flags & SOCK_CLOSING)
                return;
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
                s->priv.flags |= SOCK_HANGUP | SOCK_READABLE;
        if (events & EPOLLIN)
                s->priv.flags |= SOCK_READABLE;
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
                s->priv.flags |= SOCK_WRITABLE;
        if (s->priv.splice_to)
                sock_queue(s->priv.splice_to);
        ep_run(s);
}

/* ── acceptors ─────────────────────────────────────────────────────────── */

static int listen_on(struct acceptor *a) {
        int r = control(a->loop, EPOLL_CTL_ADD, a->fd, EPOLLIN | EPOLLEXCLUSIVE, a, TAG_ACCEPTOR);

        if (r >= 0)
                a->priv.flags |= ACTIVE;
        return r;
}

static void listen_off(struct acceptor *a) {
        if (a->priv.flags & ACTIVE)
                (void)control(a->loop, EPOLL_CTL_DEL, a->fd, 0, NULL, 0);
        a->priv.flags &= ~ACTIVE;
}

static void listen_again(struct timer *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.pause);
        int r = listen_on(a);

        if (r < 0) {
                timer_start(a->loop, t, loop_now(a->loop) + ACCEPT_PAUSE);
                a->on_error(a, r);
        }
}

static void acceptor_stopped(struct task *t) {
        struct acceptor *a = CONTAINER_OF(t, struct acceptor, priv.task);

        if (a->on_stopped)
                a->on_stopped(a);
}

static int ep_acceptor_start(struct acceptor *a) {
        a->priv.task.run = acceptor_stopped;
        a->priv.pause.fire = listen_again;
        a->priv.burst = 1;
        return listen_on(a);
}

static void ep_acceptor_stop(struct acceptor *a) {
        listen_off(a);
        a->priv.flags |= STOPPED;
        loop_defer(a->loop, &a->priv.task);
}

/* How many to take in one go grows while every round has some, so a lone connection costs one call. */
static void accept_event(struct acceptor *a) {
        bool busy = a->loop->stats.rounds == a->priv.last_round + 1;
        uint32_t burst = busy ? MIN(a->priv.burst * 2, MAX_BURST) : 1;

        a->priv.burst = burst;
        a->priv.last_round = a->loop->stats.rounds;
        for (uint32_t i = 0; i < burst && !(a->priv.flags & STOPPED); i++) {
                struct addr peer;
                int fd;

                peer.len = sizeof(peer.un);
                fd = accept4(a->fd, &peer.sa, &peer.len, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0) {
                        a->on_accept(a, fd, &peer);
                        continue;
                }
                if (errno == EAGAIN) {
                        a->priv.burst = burst / 2;
                        return;
                }
                if (!accept_may_go_on(-errno)) {
                        int error = errno;

                        listen_off(a);
                        timer_start(a->loop, &a->priv.pause, loop_now(a->loop) + ACCEPT_PAUSE);
                        a->on_error(a, -error);
                        return;
                }
        }
}

/* ── watches ───────────────────────────────────────────────────────────── */

static void watch_stopped(struct task *t) {
        struct watch *w = CONTAINER_OF(t, struct watch, priv.task);

        if (w->on_stopped)
                w->on_stopped(w);
}

static int ep_watch_start(struct watch *w) {
        w->priv.task.run = watch_stopped;
        return control(w->loop, EPOLL_CTL_ADD, w->fd, w->events, w, TAG_WATCH);
}

static int ep_watch_set_events(struct watch *w) {
        return control(w->loop, EPOLL_CTL_MOD, w->fd, w->events, w, TAG_WATCH);
}

static void ep_watch_stop(struct watch *w) {
        (void)control(w->loop, EPOLL_CTL_DEL, w->fd, 0, NULL, 0); /* may be closed already */
        w->priv.flags |= STOPPED;
        if (w->on_stopped)
                loop_defer(w->loop, &w->priv.task);
}

/* ── the loop ──────────────────────────────────────────────────────────── */

static void handle(struct loop *l, const struct epoll_event *ev) {
        void *p = (void *)(uintptr_t)(ev->data.u64 & ~(uint64_t)TAG_MASK);
        struct acceptor *a = p;
        struct watch *w = p;

        switch (ev->data.u64 & TAG_MASK) {
        case TAG_SOCK:
                sock_event(p, ev->events);
                break;
        case TAG_ACCEPTOR:
                if (a->priv.flags & ACTIVE)
                        accept_event(a);
                break;
        case TAG_WATCH:
                if (!(w->priv.flags & STOPPED))
                        w->on_ready(w, ev->events);
                break;
        case TAG_WAKE:
                loop_woken(l);
                break;
        }
}

static int ep_wait(struct loop *l, nsec_t timeout) {
        struct epoll_loop *el = epoll_of(l);
        int ms = -1, n;

        if (timeout != NSEC_INFINITY)
                ms = (int)MIN(timeout / NSEC_PER_MSEC + (timeout % NSEC_PER_MSEC != 0), (nsec_t)INT32_MAX);
        n = epoll_wait(el->fd, el->events, N_EVENTS, ms);
        if (n < 0 && errno != EINTR)
                return -errno;
        l->now = time_monotonic();
        /* What an event caused is finished at once, while its bytes are in the cache and its buffer is the next to use. */
        for (int i = 0; i < n; i++) {
                handle(l, &el->events[i]);
                loop_run_work(l);
        }
        l->stats.events += (uint64_t)MAX(n, 0);
        return 0;
}

static void ep_free(struct loop *l) {
        struct epoll_loop *el = epoll_of(l);

        loop_deinit(l);
        fd_close(el->fd);
        free(el);
}

static const struct backend epoll_backend = {
        .kind = LOOP_EPOLL,
        .free = ep_free,
        .wait = ep_wait,
        .connect_start = ep_connect_start,
        .recv_start = ep_recv_start,
        .recv_stop = ep_recv_stop,
        .send_start = send_step,
        .close = ep_close,
        .run = ep_run,
        .acceptor_start = ep_acceptor_start,
        .acceptor_stop = ep_acceptor_stop,
        .watch_start = ep_watch_start,
        .watch_set_events = ep_watch_set_events,
        .watch_stop = ep_watch_stop,
};

int epoll_loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why) {
        struct epoll_loop *el;
        int r;

        el = calloc(1, sizeof(*el));
        if (!el)
                return -ENOMEM;
        el->loop.wake_fd = -1;
        el->fd = epoll_create1(EPOLL_CLOEXEC);
        r = el->fd < 0 ? -errno : loop_init(&el->loop, &epoll_backend, options);
        if (r >= 0) {
                el->loop.pool.on_return = buf_returned;
                r = control(&el->loop, EPOLL_CTL_ADD, el->loop.wake_fd, EPOLLIN, NULL, TAG_WAKE);
        }
        if (r < 0) {
                *ret_why = "no descriptor or memory for the event loop";
                ep_free(&el->loop);
                return r;
        }
        *ret = &el->loop;
        return 0;
}

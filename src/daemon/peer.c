/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer.h"

#include <assert.h>

#include "base/cleanup.h"

struct peer_acceptor {
        struct list link;
        struct acceptor acceptor;
        struct peer_server *server;
};

/* ── peers ─────────────────────────────────────────────────────────────── */

static void start_deadline(struct peer *p, nsec_t timeout) {
        timer_start(p->server->loop, &p->deadline, loop_now(p->server->loop) + timeout);
}

void peer_close(struct peer *p) {
        if (p->closing)
                return;
        p->closing = true;
        if (p->busy && p->server->ops->on_gone)
                p->server->ops->on_gone(p);
        timer_stop(p->server->loop, &p->deadline);
        sock_close(&p->sock);
}

static void on_closed(struct sock *s) {
        struct peer *p = CONTAINER_OF(s, struct peer, sock);

        list_remove(&p->link);
        p->server->n_peers--;
        strbuf_deinit(&p->in);
        strbuf_deinit(&p->out);
        free(p);
}

static void on_deadline(struct timer *t) {
        peer_close(CONTAINER_OF(t, struct peer, deadline));
}

/* Lets the server look at what came, and reads on if it took nothing. */
static void offer(struct peer *p) {
        if (p->in.n > 0)
                p->server->ops->on_input(p);
        if (p->closing || p->busy)
                return;
        if (p->ended || p->in.n > p->server->max_input) {
                peer_close(p);
                return;
        }
        sock_recv_start(&p->sock);
}

static void on_data(struct sock *s, struct buf *b, const char *data, size_t n) {
        struct peer *p = CONTAINER_OF(s, struct peer, sock);
        bool first = p->in.n == 0;

        strbuf_add(&p->in, data, n);
        (void)buf_unref(b);
        if (p->in.failed) {
                peer_close(p);
                return;
        }
        if (p->busy)
                return; /* was on the way when reading stopped */
        if (first)
                start_deadline(p, p->server->request_timeout);
        offer(p);
}

static void on_end(struct sock *s, int result) {
        struct peer *p = CONTAINER_OF(s, struct peer, sock);

        p->ended = true;
        /* a client may close its sending side and still want the reply */
        if (result < 0 || !p->busy)
                peer_close(p);
}

static void on_sent(struct sock *s, int result) {
        struct peer *p = CONTAINER_OF(s, struct peer, sock);

        p->busy = false;
        strbuf_clear(&p->out);
        if (result < 0 || p->last || p->server->idle_timeout == 0 || p->server->closing) {
                peer_close(p);
                return;
        }
        start_deadline(p, p->in.n > 0 ? p->server->request_timeout : p->server->idle_timeout);
        offer(p);
}

static const struct sock_ops sock_ops = {
        .on_data = on_data,
        .on_end = on_end,
        .on_sent = on_sent,
        .on_closed = on_closed,
};

void peer_take(struct peer *p, size_t n) {
        assert(n <= p->in.n && !p->busy);
        p->busy = true;
        sock_recv_stop(&p->sock);
        memmove(p->in.p, p->in.p + n, p->in.n - n);
        p->in.n -= n;
        p->in.p[p->in.n] = '\0';
        timer_stop(p->server->loop, &p->deadline);
}

void peer_reply(struct peer *p, bool last) {
        assert(p->busy);
        if (p->closing)
                return;
        if (p->out.failed || p->out.n == 0) {
                p->busy = false;
                peer_close(p);
                return;
        }
        p->last = last;
        p->iov = (struct iovec){p->out.p, p->out.n};
        start_deadline(p, p->server->request_timeout);
        sock_send(&p->sock, &p->iov, 1, false);
}

/* ── server ────────────────────────────────────────────────────────────── */

static void on_accept(struct acceptor *a, int fd, const struct addr *addr) {
        struct peer_server *s = CONTAINER_OF(a, struct peer_acceptor, acceptor)->server;
        struct peer *p;

        p = s->closing || s->n_peers >= s->max_peers ? NULL : calloc(1, sizeof(*p));
        if (!p) {
                (void)fd_close(fd);
                return;
        }
        p->server = s;
        p->deadline.fire = on_deadline;
        sock_init(&p->sock, s->loop, fd, &sock_ops);
        list_add_tail(&s->peers, &p->link);
        s->n_peers++;
        if (s->ops->on_accept && !s->ops->on_accept(p)) {
                peer_close(p);
                return;
        }
        start_deadline(p, s->request_timeout);
        sock_recv_start(&p->sock);
}

static void on_accept_error(struct acceptor *a, int error) {
        /* the loop tries again by itself, and who could not connect says so */
}

static void on_stopped(struct acceptor *a) {
        struct peer_acceptor *pa = CONTAINER_OF(a, struct peer_acceptor, acceptor);

        list_remove(&pa->link);
        (void)fd_close(a->fd);
        free(pa);
}

void peer_server_init(struct peer_server *s, struct loop *l, const struct peer_ops *ops, void *arg) {
        s->loop = l;
        s->ops = ops;
        s->arg = arg;
        list_init(&s->peers);
        list_init(&s->acceptors);
}

int peer_server_listen(struct peer_server *s, int fd) {
        struct peer_acceptor *pa = calloc(1, sizeof(*pa));
        int r;

        if (!pa) {
                (void)fd_close(fd);
                return -ENOMEM;
        }
        pa->server = s;
        pa->acceptor.fd = fd;
        pa->acceptor.on_accept = on_accept;
        pa->acceptor.on_error = on_accept_error;
        pa->acceptor.on_stopped = on_stopped;
        r = acceptor_start(s->loop, &pa->acceptor);
        if (r < 0) {
                (void)fd_close(fd);
                free(pa);
                return r;
        }
        list_add_tail(&s->acceptors, &pa->link);
        return 0;
}

void peer_server_close(struct peer_server *s) {
        struct peer_acceptor *pa;
        struct peer *p;

        if (s->closing || !s->loop)
                return;
        s->closing = true;
        LIST_FOREACH(pa, &s->acceptors, link)
                acceptor_stop(&pa->acceptor);
        LIST_FOREACH(p, &s->peers, link)
                if (!p->busy) /* a reply that is owed is still given */
                        peer_close(p);
}

bool peer_server_idle(const struct peer_server *s) {
        return !s->loop || (list_empty(&s->acceptors) && list_empty(&s->peers));
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The relay on epoll, edge-triggered. Every descriptor is registered once for everything, so a message costs
 * a recv and a send and a share of an epoll_wait. A receive that returns less than was asked for is not
 * repeated: what comes later makes a new edge (unless the peer has closed already: then the end is still to
 * be read).
 */

#include "relay.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUF_SIZE (64 * 1024)

struct end {
        int fd;
        struct pair *pair;
        bool readable;   /* as far as we know: the last receive did not say otherwise */
        bool writable;
        bool hup;        /* the peer closed its side: read until the end */
        bool eof;        /* the end was read */
        char *pending;   /* what this end could not send yet; NULL: nothing */
        size_t pending_at, pending_n;
};

struct pair {
        struct end ends[2]; /* client, server */
        struct pair *dead_next;
        bool dead;
};

struct thread {
        int ep;
        int listener;
        const struct relay *relay;
        struct pair *dead; /* closed in this round; events of it may still be in the batch */
        char buf[BUF_SIZE];
};

static void pair_close(struct thread *t, struct pair *p) {
        if (p->dead)
                return;
        p->dead = true;
        p->dead_next = t->dead;
        t->dead = p;
        for (int i = 0; i < 2; i++) {
                close(p->ends[i].fd);
                free(p->ends[i].pending);
        }
}

static void free_dead(struct thread *t) {
        while (t->dead) {
                struct pair *p = t->dead;

                t->dead = p->dead_next;
                free(p);
        }
}

/* Sends what is left over; false: still not all, or the pair is dead. */
static bool flush(struct thread *t, struct end *to) {
        while (to->pending) {
                ssize_t n = send(to->fd, to->pending + to->pending_at, to->pending_n, MSG_NOSIGNAL);

                if (n < 0) {
                        if (errno == EAGAIN)
                                to->writable = false;
                        else
                                pair_close(t, to->pair);
                        return false;
                }
                to->pending_at += (size_t)n;
                to->pending_n -= (size_t)n;
                if (to->pending_n == 0) {
                        free(to->pending);
                        to->pending = NULL;
                }
        }
        return true;
}

/* Sends n bytes of the thread's buffer; keeps a copy of what does not go out. */
static void forward(struct thread *t, struct end *to, size_t n) {
        ssize_t sent = send(to->fd, t->buf, n, MSG_NOSIGNAL);

        if (sent < 0 && errno != EAGAIN) {
                pair_close(t, to->pair);
                return;
        }
        if (sent < 0)
                sent = 0;
        if ((size_t)sent == n)
                return;
        to->writable = false;
        to->pending_at = 0;
        to->pending_n = n - (size_t)sent;
        to->pending = malloc(to->pending_n);
        if (!to->pending)
                die("out of memory");
        memcpy(to->pending, t->buf + sent, to->pending_n);
}

static void pump(struct thread *t, struct end *from, struct end *to) {
        while (from->readable && to->writable && !from->pair->dead) {
                ssize_t n;

                if (!flush(t, to))
                        return;
                n = recv(from->fd, t->buf, BUF_SIZE, 0);
                if (n > 0) {
                        if (n < BUF_SIZE && !from->hup)
                                from->readable = false;
                        forward(t, to, (size_t)n);
                } else if (n < 0 && errno == EAGAIN) {
                        from->readable = false;
                } else if (n < 0 || to->eof) {
                        pair_close(t, from->pair);
                } else {
                        from->eof = true;
                        from->readable = false;
                        (void)shutdown(to->fd, SHUT_WR); /* an error shows on the next receive */
                }
        }
}

static void end_event(struct thread *t, struct end *e, uint32_t events) {
        struct pair *p = e->pair;
        struct end *other = &p->ends[e == &p->ends[0]];

        if (p->dead)
                return;
        if (events & EPOLLERR) {
                pair_close(t, p);
                return;
        }
        if ((events & (EPOLLIN | EPOLLRDHUP)) && !e->eof) {
                e->readable = true;
                e->hup = events & EPOLLRDHUP;
                pump(t, e, other);
        }
        if ((events & EPOLLOUT) && !e->writable && !p->dead) {
                e->writable = true;
                if (flush(t, e))
                        pump(t, other, e);
        }
}

static void accept_one(struct thread *t) {
        int fd = accept4(t->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        const struct sockaddr_in *to = &t->relay->to;
        struct pair *p;

        if (fd < 0)
                return;
        p = calloc(1, sizeof(*p));
        if (!p)
                die("out of memory");
        p->ends[0] = (struct end){.fd = fd, .pair = p, .writable = true};
        fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
                die("socket: %s", strerror(errno));
        p->ends[1] = (struct end){.fd = fd, .pair = p}; /* writable when connected */
        if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS) {
                pair_close(t, p);
                return;
        }
        for (int i = 0; i < 2; i++) {
                struct epoll_event ev = {
                        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                        .data.ptr = &p->ends[i],
                };

                if (epoll_ctl(t->ep, EPOLL_CTL_ADD, p->ends[i].fd, &ev) < 0)
                        die("epoll: %s", strerror(errno));
        }
}

void *relay_epoll_main(void *arg) {
        struct thread *t = calloc(1, sizeof(*t));
        struct epoll_event ev = {.events = EPOLLIN}, events[512];

        if (!t)
                die("out of memory");
        t->relay = arg;
        t->ep = epoll_create1(EPOLL_CLOEXEC);
        t->listener = listen_on(&t->relay->listen);
        if (t->ep < 0 || epoll_ctl(t->ep, EPOLL_CTL_ADD, t->listener, &ev) < 0)
                die("epoll: %s", strerror(errno));
        for (;;) {
                int n = epoll_wait(t->ep, events, 512, -1);

                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr)
                                end_event(t, events[i].data.ptr, events[i].events);
                        else
                                accept_one(t); /* level-triggered: more of them come with the next round */
                }
                free_dead(t);
        }
        return NULL;
}

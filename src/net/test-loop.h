/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the tests of the loop share: a loop of the backend under test, socks that record what they are told, and
 * waiting for a condition instead of sleeping. Every test runs once with each backend; state is the backend's name.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/listen.h"
#include "net/loop.h"

#define PATIENCE (30 * NSEC_PER_SEC)

/* One recorded sock. It checks that bytes are those of pattern(), if pattern is set. */
struct end {
        struct sock sock;
        uint64_t received;
        uint64_t pattern_at; /* position of the next byte to come */
        bool check_pattern;
        bool connected, ended, sent, closed;
        int connect_result, end_result, sent_result;
        unsigned n_sent, n_data;
        size_t stop_after; /* stop receiving when so many bytes came; 0: never */
        bool close_on_data, close_on_end;
        struct buf *kept[64]; /* buffers it holds on to */
        unsigned keep, n_kept;
        char last[64];
};

static inline char pattern(uint64_t i) {
        return (char)((i * 2654435761u) >> 13);
}

static inline void end_connected(struct sock *s, int result) {
        struct end *e = CONTAINER_OF(s, struct end, sock);

        assert_false(e->connected || e->closed);
        e->connected = true;
        e->connect_result = result;
}

static inline void end_data(struct sock *s, struct buf *b, const char *p, size_t n) {
        struct end *e = CONTAINER_OF(s, struct end, sock);

        assert_false(e->closed || e->ended);
        assert_true(n > 0);
        assert_true(p >= b->data && p + n <= b->data + b->cap);
        if (e->check_pattern)
                for (size_t i = 0; i < n; i++)
                        if (p[i] != pattern(e->pattern_at + i))
                                fail_msg("byte %ju is wrong", (uintmax_t)(e->pattern_at + i));
        e->pattern_at += n;
        e->received += n;
        e->n_data++;
        memcpy(e->last, p, MIN(n, sizeof(e->last) - 1));
        e->last[MIN(n, sizeof(e->last) - 1)] = '\0';
        if (e->n_kept < e->keep)
                e->kept[e->n_kept++] = b;
        else
                buf_unref(b);
        if (e->stop_after && e->received >= e->stop_after)
                sock_recv_stop(s);
        if (e->close_on_data)
                sock_close(s);
}

static inline void end_end(struct sock *s, int result) {
        struct end *e = CONTAINER_OF(s, struct end, sock);

        assert_false(e->ended || e->closed);
        e->ended = true;
        e->end_result = result;
        if (e->close_on_end)
                sock_close(s);
}

static inline void end_sent(struct sock *s, int result) {
        struct end *e = CONTAINER_OF(s, struct end, sock);

        assert_false(e->closed);
        e->sent = true;
        e->n_sent++;
        e->sent_result = result;
}

static inline void end_closed(struct sock *s) {
        struct end *e = CONTAINER_OF(s, struct end, sock);

        assert_false(e->closed);
        e->closed = true;
}

static const struct sock_ops end_ops = {
        .on_connected = end_connected,
        .on_data = end_data,
        .on_end = end_end,
        .on_sent = end_sent,
        .on_closed = end_closed,
};

#define RUN_UNTIL(l, cond)                                              \
        do {                                                            \
                nsec_t give_up_ = time_monotonic() + PATIENCE;          \
                while (!(cond)) {                                       \
                        assert_true(time_monotonic() < give_up_);       \
                        assert_true(loop_run_once(l, NSEC_PER_SEC) >= 0); \
                }                                                       \
        } while (0)

/* Lets the loop handle all that is there. */
static inline void settle(struct loop *l) {
        struct loop_stats before, after;

        do {
                loop_get_stats(l, &before);
                assert_true(loop_run_once(l, 20 * NSEC_PER_MSEC) >= 0);
                loop_get_stats(l, &after);
        } while (after.events != before.events);
}

static inline struct loop *new_loop(void **state, const struct loop_options *more) {
        struct loop_options options = more ? *more : (struct loop_options){0};
        struct loop *l = NULL;
        const char *why = NULL;
        int r;

        options.backend = strcmp(*state, "uring") == 0 ? LOOP_URING : LOOP_EPOLL;
        r = loop_new(&l, &options, &why);
        if (r < 0 && options.backend == LOOP_URING) {
                print_message("# no io_uring here: %s (%s)\n", why ? why : "?", strerror(-r));
                skip();
        }
        assert_int_equal(r, 0);
        assert_int_equal(loop_backend(l), options.backend);
        return l;
}

static inline int any_listener(struct addr *ret) {
        struct addr a;
        int fd;

        assert_int_equal(addr_parse(&a, STR("127.0.0.1:1"), 0, NULL), 0);
        a.in4.sin_port = 0;
        fd = listen_open(&a, NULL);
        assert_true(fd >= 0);
        assert_int_equal(listen_address(fd, ret), 0);
        return fd;
}

/* Two connected, non-blocking TCP sockets. */
static inline void tcp_pair(int ret[2]) {
        struct addr a;
        int listener = any_listener(&a);

        ret[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(ret[0], &a.sa, a.len), 0);
        do
                ret[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        while (ret[1] < 0 && errno == EAGAIN);
        assert_true(ret[1] >= 0);
        assert_int_equal(fcntl(ret[0], F_SETFL, O_NONBLOCK), 0);
        fd_close(listener);
}

static inline void ends_open(struct loop *l, struct end *a, struct end *b) {
        int fd[2];

        tcp_pair(fd);
        memset(a, 0, sizeof(*a));
        memset(b, 0, sizeof(*b));
        sock_init(&a->sock, l, fd[0], &end_ops);
        sock_init(&b->sock, l, fd[1], &end_ops);
}

static inline void end_close(struct end *e) {
        struct loop *l = e->sock.loop;

        sock_close(&e->sock);
        for (unsigned i = 0; i < e->n_kept; i++)
                e->kept[i] = buf_unref(e->kept[i]);
        e->n_kept = 0;
        RUN_UNTIL(l, e->closed);
}

static inline char *pattern_new(size_t n) {
        char *p = malloc(n);

        for (size_t i = 0; i < n; i++)
                p[i] = pattern(i);
        return p;
}

#define BOTH(f)                                                         \
        {#f " epoll", f, NULL, NULL, (void *)"epoll"}, {#f " uring", f, NULL, NULL, (void *)"uring"}

/* Runs the table; SIGPIPE is ignored, as the loop requires. */
static inline int run_loop_tests(const struct CMUnitTest *tests, size_t n) {
        (void)signal(SIGPIPE, SIG_IGN);
        return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}

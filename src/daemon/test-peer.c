/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/listen.h"

/* A server of lines: each comes back, "later" only when it is asked to, "bye" is the last. */
struct lines {
        struct loop *loop;
        struct peer_server server;
        struct addr addr;
        struct peer *owed; /* said "later" */
        unsigned n_gone;
};

static void on_input(struct peer *p) {
        struct lines *t = p->server->arg;
        char *end = memchr(p->in.p, '\n', p->in.n);
        struct str line;

        if (!end)
                return;
        line = (struct str){p->in.p, (size_t)(end - p->in.p)};
        strbuf_clear(&p->out);
        strbuf_addf(&p->out, "%.*s\n", STR_FMT(line));
        if (str_eq(line, STR("later"))) {
                t->owed = p;
                peer_take(p, line.n + 1);
                return;
        }
        bool last = str_eq(line, STR("bye"));
        peer_take(p, line.n + 1);
        peer_reply(p, last);
}

static void on_gone(struct peer *p) {
        struct lines *t = p->server->arg;

        t->owed = NULL;
        t->n_gone++;
}

static const struct peer_ops ops = {.on_input = on_input, .on_gone = on_gone};

static int setup(void **state) {
        const struct loop_options options = {.backend = LOOP_EPOLL};
        struct lines *t = calloc(1, sizeof(*t));
        int fd;

        signal(SIGPIPE, SIG_IGN);
        assert_int_equal(loop_new(&t->loop, &options, NULL), 0);
        t->addr = (struct addr){.len = sizeof(t->addr.in4), .in4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
        fd = listen_open(&t->addr, NULL);
        assert_true(fd >= 0);
        assert_int_equal(listen_address(fd, &t->addr), 0);
        t->server.max_peers = 2;
        t->server.max_input = 64;
        t->server.request_timeout = 100 * NSEC_PER_MSEC;
        t->server.idle_timeout = 100 * NSEC_PER_MSEC;
        peer_server_init(&t->server, t->loop, &ops, t);
        assert_int_equal(peer_server_listen(&t->server, fd), 0);
        *state = t;
        return 0;
}

static int teardown(void **state) {
        struct lines *t = *state;

        peer_server_close(&t->server);
        while (!peer_server_idle(&t->server))
                assert_int_equal(loop_run_once(t->loop, NSEC_PER_SEC), 0);
        loop_free(t->loop);
        free(t);
        return 0;
}

static int client(struct lines *t) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert_int_equal(connect(fd, &t->addr.sa, t->addr.len), 0);
        return fd;
}

/* Runs the loop until the client has the text, or "" for the end of the connection. */
static void expect(struct lines *t, int fd, const char *text) {
        char got[256];
        size_t n = 0, want = strlen(text);

        for (;;) {
                ssize_t r = recv(fd, got + n, sizeof(got) - n, MSG_DONTWAIT);

                if (r > 0)
                        n += (size_t)r;
                if (want == 0 && (r == 0 || (r < 0 && errno == ECONNRESET)))
                        break;
                if (want > 0 && n >= want)
                        break;
                assert_true(r < 0 && errno == EAGAIN);
                assert_int_equal(loop_run_once(t->loop, 10 * NSEC_PER_MSEC), 0);
        }
        assert_int_equal(n, want);
        assert_memory_equal(got, text, n);
}

static void say(int fd, const char *text) {
        assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

/* Requests in pieces, several at once, replies in order, the last one closes. */
static void test_requests(void **state) {
        struct lines *t = *state;
        CLEANUP(fd_closep) int fd = client(t);

        say(fd, "on");
        assert_int_equal(loop_run_once(t->loop, 10 * NSEC_PER_MSEC), 0);
        say(fd, "e\ntwo\nthr");
        expect(t, fd, "one\ntwo\n");
        say(fd, "ee\nbye\n");
        expect(t, fd, "three\nbye\n");
        expect(t, fd, "");
}

/* A reply that is given later finds a client that has half-closed; one that has left is reported. */
static void test_owed(void **state) {
        struct lines *t = *state;
        CLEANUP(fd_closep) int fd = client(t);

        say(fd, "later\n");
        while (!t->owed)
                assert_int_equal(loop_run_once(t->loop, 10 * NSEC_PER_MSEC), 0);
        strbuf_clear(&t->owed->out);
        strbuf_add_z(&t->owed->out, "now\n");
        peer_reply(t->owed, false);
        expect(t, fd, "now\n");
        say(fd, "later\n");
        while (!t->owed)
                assert_int_equal(loop_run_once(t->loop, 10 * NSEC_PER_MSEC), 0);
        peer_close(t->owed);
        assert_int_equal(t->n_gone, 1);
        expect(t, fd, "");
}

/* Too much, too slow, too many: each is closed, and the others are served. */
static void test_limits(void **state) {
        struct lines *t = *state;
        CLEANUP(fd_closep) int a = client(t);
        CLEANUP(fd_closep) int b = client(t);
        CLEANUP(fd_closep) int c = client(t);
        char big[200];

        expect(t, c, "");
        memset(big, 'x', sizeof(big));
        assert_true(send(b, big, sizeof(big), MSG_NOSIGNAL) > 0);
        expect(t, b, "");
        say(a, "hello\n");
        expect(t, a, "hello\n");
        say(a, "half a li");
        expect(t, a, "");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_requests, setup, teardown),
                cmocka_unit_test_setup_teardown(test_owed, setup, teardown),
                cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

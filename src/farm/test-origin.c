/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/test-origin.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

/* Waits; false: time to go. timeout_ms -1: none. */
static bool wait_for(const struct origin *o, int fd, short events, int timeout_ms) {
        struct pollfd p[] = {{.fd = o->quit[0], .events = POLLIN}, {.fd = fd, .events = events}};

        while (poll(p, 2, timeout_ms) < 0)
                assert(errno == EINTR);
        return (p[0].revents & POLLIN) == 0;
}

static bool read_request(struct origin *o, int fd) {
        size_t n = 0;

        for (;;) {
                ssize_t r;

                if (!wait_for(o, fd, POLLIN, -1))
                        return false;
                r = read(fd, o->request + n, sizeof(o->request) - 1 - n);
                if (r <= 0)
                        return false; /* a check of TCP, or one that gave up */
                n += (size_t)r;
                o->request[n] = '\0';
                if (strstr(o->request, "\r\n\r\n"))
                        return true;
        }
}

static void say(int fd, const char *text) {
        (void)!send(fd, text, strlen(text), MSG_NOSIGNAL);
}

static void say_slowly(const struct origin *o, int fd, const char *text) {
        for (; *text; text++)
                if (!wait_for(o, -1, 0, 1) || send(fd, text, 1, MSG_NOSIGNAL) != 1)
                        return;
}

static void say_much(const struct origin *o, int fd) {
        static const char zeros[65536];

        say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
        for (unsigned i = 0; i < 128 && wait_for(o, fd, POLLOUT, -1); i++)
                if (send(fd, zeros, sizeof(zeros), MSG_NOSIGNAL) < 0)
                        return;
}

static void hold(const struct origin *o, int fd) {
        char c;

        while (wait_for(o, fd, POLLIN, -1) && read(fd, &c, 1) > 0)
                ;
}

static void play(struct origin *o, int fd, enum act act) {
        switch (act) {
        case ACT_200:
                say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                break;
        case ACT_204_HELD:
                say(fd, "HTTP/1.0 204 No Content\r\n\r\n");
                hold(o, fd);
                break;
        case ACT_503:
                say(fd, "HTTP/1.1 503 Service Unavailable\r\n\r\n");
                break;
        case ACT_INTERIM:
                say(fd, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
                break;
        case ACT_NO_REASON:
                say(fd, "HTTP/1.1 200\r\n\r\n");
                break;
        case ACT_SLOW:
                say_slowly(o, fd, "HTTP/1.1 200 OK\r\n\r\n");
                break;
        case ACT_HUGE:
                say_much(o, fd);
                break;
        case ACT_HALF:
                say(fd, "HTTP/1.1 20");
                hold(o, fd);
                break;
        case ACT_HANG:
                hold(o, fd);
                break;
        case ACT_GARBAGE:
                say(fd, "SSH-2.0-OpenSSH_9.2\r\n");
                break;
        case ACT_LF:
                say(fd, "HTTP/1.1 200 OK\n\n");
                break;
        case ACT_LONG:
                say(fd, "HTTP/1.1 200 ");
                for (unsigned i = 0; i < 100; i++)
                        say(fd, "a line that has no end, and goes on for longer than any reason may be ");
                hold(o, fd);
                break;
        case ACT_HALF_CLOSE:
                say(fd, "HTTP/1.1 20");
                break;
        case ACT_RESET: {
                struct linger l = {1, 0};

                (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
                break;
        }
        case ACT_CLOSE:
                break;
        }
}

static void *origin_main(void *arg) {
        struct origin *o = arg;

        while (wait_for(o, o->fd, POLLIN, -1)) {
                int fd = accept4(o->fd, NULL, NULL, SOCK_CLOEXEC);
                unsigned n = __atomic_load_n(&o->n_done, __ATOMIC_RELAXED);

                if (fd < 0)
                        continue;
                if (read_request(o, fd))
                        play(o, fd, o->acts[n < o->n_acts ? n : o->n_acts - 1]);
                (void)close(fd);
                __atomic_store_n(&o->n_done, n + 1, __ATOMIC_RELEASE);
        }
        return NULL;
}

/* A bound socket on a free port of the loopback. */
static int socket_bound(struct addr *ret) {
        struct addr a = {.len = sizeof(a.in4), .in4 = {.sin_family = AF_INET}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        assert(fd >= 0);
        a.in4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        assert(bind(fd, &a.sa, a.len) == 0);
        assert(getsockname(fd, &a.sa, &a.len) == 0);
        *ret = a;
        return fd;
}

void origin_start(struct origin *o, const enum act *acts, unsigned n_acts) {
        *o = (struct origin){.acts = acts, .n_acts = n_acts};
        o->fd = socket_bound(&o->addr);
        assert(listen(o->fd, 64) == 0);
        assert(pipe2(o->quit, O_CLOEXEC) == 0);
        (void)addr_format(&o->addr, o->text);
        assert(pthread_create(&o->thread, NULL, origin_main, o) == 0);
}

void origin_stop(struct origin *o) {
        assert(write(o->quit[1], "q", 1) == 1);
        assert(pthread_join(o->thread, NULL) == 0);
        (void)close(o->quit[0]);
        (void)close(o->quit[1]);
        (void)close(o->fd);
}

unsigned origin_count(const struct origin *o) {
        return __atomic_load_n(&o->n_done, __ATOMIC_ACQUIRE);
}

void test_refused_address(char out[ADDR_TEXT_MAX]) {
        struct addr a;
        int fd = socket_bound(&a);

        (void)addr_format(&a, out);
        (void)close(fd);
}

void test_full_address(char out[ADDR_TEXT_MAX], int fds[3]) {
        struct addr a;

        fds[0] = socket_bound(&a);
        assert(listen(fds[0], 0) == 0);
        for (unsigned i = 1; i < 3; i++) {
                fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
                assert(fds[i] >= 0);
                (void)connect(fds[i], &a.sa, a.len); /* the second one may have to wait already */
        }
        (void)addr_format(&a, out);
}

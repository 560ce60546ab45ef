/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The server behind the proxies: as cheap as it can be, so that the machine's time goes to what is measured.
 *
 *   origin --listen 127.0.0.1:9000 [--threads N]
 *
 * /1k, /100k and /1m answer a body of that size, all other paths a few bytes; every body is fixed and sent
 * together with its head in one call. Keep-alive and pipelined requests; "Connection: close" and HTTP/1.0
 * close. A request's body is skipped when it has a Content-Length. It trusts its clients: never put it on a
 * real network.
 */

#include "bench.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 8192

struct answer {
        const char *path; /* what the request line has after "GET " */
        size_t size;
        char *bytes[2]; /* head and body: [0] keep-alive, [1] close */
        size_t n[2];
};

static struct answer answers[] = {
        {"/1k ", 1024}, {"/100k ", 100 * 1024}, {"/1m ", 1024 * 1024}, {NULL, 3},
};

struct conn {
        int fd;
        bool closing; /* after what is being sent */
        size_t n_in;
        uint64_t skip; /* bytes of a request's body still to come */
        const char *out;
        size_t n_out;
        char in[HEAD_MAX];
};

static struct sockaddr_in arg_listen;
static unsigned arg_threads = 1;

static void answers_init(void) {
        for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
                struct answer *a = &answers[i];

                for (int closing = 0; closing < 2; closing++) {
                        char head[256];
                        int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nServer: origin\r\n"
                                         "Content-Type: text/plain\r\n"
                                         "Content-Length: %zu\r\nConnection: %s\r\n\r\n",
                                         a->size, closing ? "close" : "keep-alive");

                        a->n[closing] = (size_t)n + a->size;
                        a->bytes[closing] = malloc(a->n[closing]);
                        if (!a->bytes[closing])
                                die("out of memory");
                        memcpy(a->bytes[closing], head, (size_t)n);
                        for (size_t k = 0; k < a->size; k++)
                                a->bytes[closing][(size_t)n + k] = body_byte(k);
                }
        }
}

static const struct answer *answer_for(const char *head) {
        const char *path = strchr(head, ' ');
        const struct answer *a = answers;

        while (path && a->path && strncmp(path + 1, a->path, strlen(a->path)) != 0)
                a++;
        return a;
}

/* The value of a header in a NUL-terminated head, NULL when absent. name: with its colon. */
static const char *header(const char *head, const char *name) {
        size_t n = strlen(name);

        for (const char *p = strchr(head, '\n'); p; p = strchr(p + 1, '\n')) {
                if ((p[1] | 0x20) == (name[0] | 0x20) && strncasecmp(p + 1, name, n) == 0)
                        return p + 1 + n + strspn(p + 1 + n, " ");
        }
        return NULL;
}

static void conn_free(struct conn *c) {
        close(c->fd);
        free(c);
}

/* Sends what is due; false when the connection is gone. */
static bool conn_send(struct conn *c) {
        while (c->n_out > 0) {
                ssize_t n = send(c->fd, c->out, c->n_out, MSG_NOSIGNAL);

                if (n < 0 && errno == EAGAIN)
                        return true;
                if (n < 0) {
                        conn_free(c);
                        return false;
                }
                c->out += n;
                c->n_out -= (size_t)n;
        }
        if (c->closing) {
                conn_free(c);
                return false;
        }
        return true;
}

/* Answers the requests that are complete in the buffer; false when the connection is gone. */
static bool conn_answer(struct conn *c) {
        size_t at = 0;

        while (c->n_out == 0 && at < c->n_in) {
                const struct answer *a;
                const char *value;
                char *end;

                if (c->skip > 0) {
                        size_t n = c->skip < c->n_in - at ? (size_t)c->skip : c->n_in - at;

                        c->skip -= n;
                        at += n;
                        continue;
                }
                end = memmem(c->in + at, c->n_in - at, "\r\n\r\n", 4);
                if (!end)
                        break;
                end[2] = '\0';
                a = answer_for(c->in + at);
                value = header(c->in + at, "connection:");
                c->closing = (value && strncasecmp(value, "close", 5) == 0) ||
                             strstr(c->in + at, " HTTP/1.0\r");
                if (c->in[at] != 'G' && (value = header(c->in + at, "content-length:")))
                        c->skip = strtoull(value, NULL, 10);
                at = (size_t)(end - c->in) + 4;
                c->out = a->bytes[c->closing];
                c->n_out = a->n[c->closing];
                if (!conn_send(c))
                        return false;
        }
        memmove(c->in, c->in + at, c->n_in - at);
        c->n_in -= at;
        if (c->n_out == 0 && c->n_in == sizeof(c->in)) { /* not one whole head fits */
                conn_free(c);
                return false;
        }
        return true;
}

static void conn_event(struct conn *c, uint32_t events) {
        if ((events & EPOLLOUT) && c->n_out > 0 && (!conn_send(c) || !conn_answer(c)))
                return;
        while (c->n_out == 0) {
                size_t room = sizeof(c->in) - c->n_in;
                ssize_t n = recv(c->fd, c->in + c->n_in, room, 0);

                if (n < 0 && errno == EAGAIN)
                        return;
                if (n <= 0) {
                        conn_free(c);
                        return;
                }
                c->n_in += (size_t)n;
                if (!conn_answer(c))
                        return;
                /* edge-triggered: less than asked for means that what comes next makes a new event */
                if ((size_t)n < room && !(events & EPOLLRDHUP))
                        return;
        }
}

static void *thread_main(void *arg) {
        int listener = listen_on(&arg_listen), ep = epoll_create1(EPOLL_CLOEXEC);
        struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, events[256];

        if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, listener, &ev) < 0)
                die("epoll: %s", strerror(errno));
        for (;;) {
                int n = epoll_wait(ep, events, 256, -1);

                for (int i = 0; i < n; i++) {
                        struct conn *c = events[i].data.ptr;
                        int fd;

                        if (c) {
                                conn_event(c, events[i].events);
                                continue;
                        }
                        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                        if (fd < 0)
                                continue;
                        c = malloc(sizeof(*c));
                        if (!c)
                                die("out of memory");
                        c->fd = fd;
                        c->closing = false;
                        c->n_in = c->n_out = 0;
                        c->skip = 0;
                        ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
                        ev.data.ptr = c;
                        if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) < 0)
                                die("epoll: %s", strerror(errno));
                }
        }
        return NULL;
}

int main(int argc, char **argv) {
        static const struct option options[] = {
                {"listen", required_argument, NULL, 'l'},
                {"threads", required_argument, NULL, 't'},
                {},
        };
        int o;

        while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
                if (o == 'l')
                        arg_listen = parse_addr(optarg);
                else if (o == 't')
                        arg_threads = (unsigned)parse_number("threads", optarg, 1, 64);
                else
                        return 2;
        }
        if (!arg_listen.sin_port)
                die("--listen is missing");
        raise_nofile();
        answers_init();
        run_threads(arg_threads, thread_main, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One thread of load. Edge-triggered epoll; a request costs a send, a receive and a share of a wait.
 *
 * Closed loop: every connection sends its next request when it has the last byte of the response before.
 * Constant rate: request i is due at start + i / rate, whatever became of the others. It takes the connection
 * that has been idle longest; when there is none it waits, and its latency counts from when it was due. So a
 * server that stalls is charged for all that would have been sent meanwhile (no coordinated omission).
 *
 * Every response must be 200 and have a Content-Length, the expected one, and as many bytes. During the
 * warm-up the bytes themselves are compared too; afterwards the kernel discards what is not in the first
 * segment, which leaves the machine to the proxy.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define HEAD_SIZE 4096
#define BODY_SIZE (256 * 1024)
#define REQUEST_TIMEOUT (10 * NSEC_PER_SEC)
#define SWEEP_EVERY (50 * NSEC_PER_MSEC)
#define RETRY_AFTER (50 * NSEC_PER_MSEC)
#define LINGER (2 * NSEC_PER_SEC) /* after the window, for what is under way */
#define CONNECTS_A_ROUND 32       /* no listener's queue is to overflow */

enum state {
        STATE_NONE,       /* no connection; opens at conn.at */
        STATE_CONNECTING, /* the request waits for it */
        STATE_IDLE,
        STATE_HEAD,       /* sent; the head of the response is not complete */
        STATE_BODY,
        STATE_CLOSING,    /* response complete, the server is to close */
        STATE_PARKED,     /* --idle: done */
};

struct conn {
        int fd;
        enum state state;
        bool server_closes;
        uint64_t at;        /* when the state began; STATE_NONE: when to open */
        uint64_t due;       /* intended start of the request */
        uint64_t body_left;
        size_t n_head;
        struct conn *next;  /* in the list of idle ones */
        char head[HEAD_SIZE + 1];
};

struct run {
        struct client *client;
        const struct load_options *options;
        int ep;
        struct conn *conns;
        unsigned n_conns;
        unsigned n_busy;            /* between request and response, or connecting */
        struct conn *idle, **idle_end;
        uint64_t now;
        uint64_t interval, next_due; /* constant rate */
        uint64_t next_sweep;
        bool in_window, stopping;
        size_t n_request;
        char request[1024];
        char pattern[BODY_SIZE + 26];
        char body[BODY_SIZE];
};

static void start_request(struct run *r, struct conn *c, uint64_t due);

/* ── connections ───────────────────────────────────────────────────────── */

static bool is_busy(const struct conn *c) {
        return c->state == STATE_CONNECTING || c->state == STATE_HEAD || c->state == STATE_BODY;
}

static void set_state(struct run *r, struct conn *c, enum state state) {
        r->n_busy -= is_busy(c);
        c->state = state;
        r->n_busy += is_busy(c);
        c->at = r->now;
}

static void drop(struct run *r, struct conn *c, uint64_t reopen_after) {
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
        set_state(r, c, STATE_NONE);
        c->at = r->now + reopen_after;
}

static void fail(struct run *r, struct conn *c, enum load_error error) {
        r->client->errors[error]++;
        drop(r, c, RETRY_AFTER);
}

static void make_idle(struct run *r, struct conn *c) {
        set_state(r, c, STATE_IDLE);
        c->next = NULL;
        *r->idle_end = c;
        r->idle_end = &c->next;
}

static struct conn *take_idle(struct run *r) {
        struct conn *c = r->idle;

        r->idle = c->next;
        if (!r->idle)
                r->idle_end = &r->idle;
        return c;
}

static void send_request(struct run *r, struct conn *c) {
        ssize_t n = send(c->fd, r->request, r->n_request, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN && c->state == STATE_CONNECTING)
                return; /* goes out when the connection is there */
        if (n != (ssize_t)r->n_request) {
                fail(r, c, c->state == STATE_CONNECTING ? ERROR_CONNECT : ERROR_CLOSED);
                return;
        }
        c->n_head = 0;
        set_state(r, c, STATE_HEAD);
}

static void open_connection(struct run *r, struct conn *c) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        const struct sockaddr_in *to = &r->options->to;

        r->client->opened++;
        c->server_closes = false;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (c->fd < 0)
                die("socket: %s", strerror(errno));
        if ((connect(c->fd, (const struct sockaddr *)to, sizeof(*to)) < 0 && errno != EINPROGRESS) ||
            epoll_ctl(r->ep, EPOLL_CTL_ADD, c->fd, &ev) < 0) {
                fail(r, c, ERROR_CONNECT);
                return;
        }
        set_state(r, c, STATE_CONNECTING);
        send_request(r, c); /* on one machine the connection is there already, as a rule */
}

/* Sends a request, on the connection or on a new one. */
static void start_request(struct run *r, struct conn *c, uint64_t due) {
        c->due = due;
        if (c->fd < 0)
                open_connection(r, c);
        else
                send_request(r, c);
}

/* A connection is free for the next request; may have no descriptor when each request has its own. */
static void next_request(struct run *r, struct conn *c) {
        if (r->options->idle) {
                set_state(r, c, STATE_PARKED);
                return;
        }
        if (r->stopping) {
                if (c->fd >= 0)
                        set_state(r, c, STATE_PARKED);
                return;
        }
        if (!r->interval) {
                start_request(r, c, r->now);
        } else if (!r->idle && r->next_due <= r->now) {
                start_request(r, c, r->next_due);
                r->next_due += r->interval;
        } else {
                make_idle(r, c);
        }
}

/* ── responses ─────────────────────────────────────────────────────────── */

static void complete(struct run *r, struct conn *c, bool hup) {
        if (r->in_window) {
                hist_add(&r->client->hist, r->now - c->due);
                r->client->bytes += r->options->expect;
        }
        if (!c->server_closes) {
                next_request(r, c);
        } else if (hup) {
                drop(r, c, 0);
                next_request(r, c);
        } else {
                set_state(r, c, STATE_CLOSING);
        }
}

/* The value of a header in a NUL-terminated head, NULL when absent. */
static const char *header(const char *head, const char *name) {
        size_t n = strlen(name);

        for (const char *p = strchr(head, '\n'); p; p = strchr(p + 1, '\n')) {
                if ((p[1] | 0x20) == (name[0] | 0x20) && strncasecmp(p + 1, name, n) == 0)
                        return p + 1 + n + strspn(p + 1 + n, " ");
        }
        return NULL;
}

/* Judges a whole head; N_ERRORS: good. */
static enum load_error check_head(struct run *r, struct conn *c) {
        const char *value;

        if (strncmp(c->head, "HTTP/1.1 ", 9) != 0)
                return ERROR_HEAD;
        if (strncmp(c->head + 9, "200", 3) != 0)
                return ERROR_STATUS;
        value = header(c->head, "content-length:");
        if (!value)
                return ERROR_HEAD;
        c->body_left = strtoull(value, NULL, 10);
        if (c->body_left != r->options->expect)
                return ERROR_LENGTH;
        value = header(c->head, "connection:");
        c->server_closes = value && strncasecmp(value, "close", 5) == 0;
        return N_ERRORS;
}

/* The n bytes that come next in the body. */
static bool is_body(struct run *r, struct conn *c, const char *bytes, size_t n) {
        uint64_t at = r->options->expect - c->body_left;

        return memcmp(bytes, r->pattern + at % 26, n) == 0;
}

/* Appends what is there to the head; true when there is more to do on this connection. */
static bool receive_head(struct run *r, struct conn *c, bool hup) {
        size_t room = HEAD_SIZE - c->n_head, n_body;
        ssize_t n = recv(c->fd, c->head + c->n_head, room, 0);
        enum load_error error;
        char *end;

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n <= 0) {
                fail(r, c, ERROR_CLOSED);
                return false;
        }
        c->n_head += (size_t)n;
        end = memmem(c->head, c->n_head, "\r\n\r\n", 4);
        if (!end) {
                if (c->n_head < HEAD_SIZE)
                        return (size_t)n == room || hup;
                fail(r, c, ERROR_HEAD);
                return false;
        }
        end[3] = '\0';
        error = check_head(r, c);
        n_body = c->n_head - (size_t)(end + 4 - c->head);
        if (error == N_ERRORS && n_body > c->body_left)
                error = ERROR_LENGTH;
        else if (error == N_ERRORS && !is_body(r, c, end + 4, n_body))
                error = ERROR_BODY;
        if (error != N_ERRORS) {
                fail(r, c, error);
                return false;
        }
        c->body_left -= n_body;
        set_state(r, c, STATE_BODY);
        if (c->body_left == 0) {
                complete(r, c, hup);
                return false;
        }
        return (size_t)n == room || hup;
}

static bool receive_body(struct run *r, struct conn *c, bool hup) {
        size_t wanted = c->body_left < BODY_SIZE ? (size_t)c->body_left : BODY_SIZE;
        bool compare = !r->in_window;
        /* with MSG_TRUNC TCP throws the bytes away instead of copying them */
        ssize_t n = recv(c->fd, r->body, wanted, compare ? 0 : MSG_TRUNC);

        if (n < 0 && errno == EAGAIN)
                return false;
        if (n <= 0) {
                fail(r, c, ERROR_CLOSED);
                return false;
        }
        if (compare && !is_body(r, c, r->body, (size_t)n)) {
                fail(r, c, ERROR_BODY);
                return false;
        }
        c->body_left -= (size_t)n;
        if (c->body_left == 0) {
                complete(r, c, hup);
                return false;
        }
        return (size_t)n == wanted || hup;
}

static void conn_event(struct run *r, struct conn *c, uint32_t events) {
        bool hup = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR), more = true;

        if (c->state == STATE_CONNECTING) {
                if (events & (EPOLLERR | EPOLLHUP)) {
                        fail(r, c, ERROR_CONNECT);
                        return;
                }
                if (events & EPOLLOUT)
                        send_request(r, c);
        }
        if (c->state == STATE_CLOSING && hup) {
                drop(r, c, 0);
                next_request(r, c);
                return;
        }
        if ((c->state == STATE_IDLE || c->state == STATE_PARKED) && hup) {
                /* an idle connection may be closed; the one that takes it from the list opens another */
                close(c->fd);
                c->fd = -1;
                return;
        }
        if (!(events & (EPOLLIN | EPOLLRDHUP)))
                return;
        while (more && (c->state == STATE_HEAD || c->state == STATE_BODY))
                more = c->state == STATE_HEAD ? receive_head(r, c, hup) : receive_body(r, c, hup);
}

/* ── time ──────────────────────────────────────────────────────────────── */

/* Opens what is to be opened, ends what takes too long. */
static void sweep(struct run *r) {
        unsigned n_opened = 0;

        r->next_sweep = r->now + SWEEP_EVERY;
        for (unsigned i = 0; i < r->n_conns; i++) {
                struct conn *c = &r->conns[i];

                if (c->state == STATE_NONE && c->at <= r->now && !r->stopping) {
                        if (n_opened++ == CONNECTS_A_ROUND) {
                                r->next_sweep = r->now + NSEC_PER_MSEC;
                                return;
                        }
                        /* with a constant rate a connection opens when a request is due */
                        if (r->interval)
                                make_idle(r, c);
                        else
                                start_request(r, c, r->now);
                } else if (is_busy(c) && r->now - c->at > REQUEST_TIMEOUT) {
                        fail(r, c, ERROR_TIMEOUT);
                } else if (c->state == STATE_CLOSING && r->now - c->at > NSEC_PER_SEC) {
                        drop(r, c, 0); /* it said that it closes and does not */
                        next_request(r, c);
                }
        }
}

static void start_due(struct run *r) {
        while (r->interval && !r->stopping && r->idle && r->next_due <= r->now) {
                start_request(r, take_idle(r), r->next_due);
                r->next_due += r->interval;
        }
}

/* Requests that were due and never got a connection: they have waited so far, at least. */
static void count_late(struct run *r) {
        struct client *k = r->client;

        for (; r->interval && r->next_due < k->end; r->next_due += r->interval) {
                hist_add(&k->hist, k->end - r->next_due);
                k->late++;
        }
}

static void pass_edges(struct run *r) {
        struct client *k = r->client;

        if (!r->in_window && !r->stopping && r->now >= k->start) {
                r->in_window = true;
                if (k->on_edge)
                        k->on_edge(false);
        }
        if (!r->stopping && r->now >= k->end) {
                r->stopping = true;
                /* closed loop: what ends later is not of the window; constant rate: it was due in it */
                if (!r->interval)
                        r->in_window = false;
                if (k->on_edge)
                        k->on_edge(true);
                count_late(r);
        }
}

static uint64_t next_wake(const struct run *r) {
        const struct client *k = r->client;
        uint64_t at = r->next_sweep;

        if (!r->in_window && k->start < at)
                at = k->start;
        if (!r->stopping && k->end < at)
                at = k->end;
        if (r->interval && !r->stopping && r->idle && r->next_due < at)
                at = r->next_due;
        return at > r->now ? at - r->now : 0;
}

static bool is_done(const struct run *r) {
        if (r->options->idle) {
                for (unsigned i = 0; i < r->n_conns; i++) {
                        if (r->conns[i].state != STATE_PARKED)
                                return r->now >= r->client->end;
                }
                return true;
        }
        return r->stopping && (r->n_busy == 0 || r->now >= r->client->end + LINGER);
}

static void run_init(struct run *r, struct client *k) {
        const struct load_options *o = k->options;
        int n = snprintf(r->request, sizeof(r->request),
                         "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\nAccept: */*\r\n%s\r\n",
                         o->path, o->host, o->close ? "Connection: close\r\n" : "");

        if (n < 0 || (size_t)n >= sizeof(r->request))
                die("the path is too long");
        r->n_request = (size_t)n;
        r->client = k;
        r->options = o;
        r->idle_end = &r->idle;
        r->ep = epoll_create1(EPOLL_CLOEXEC);
        r->n_conns = o->connections / o->threads + (k->index < o->connections % o->threads);
        r->conns = calloc(r->n_conns ? r->n_conns : 1, sizeof(*r->conns));
        if (r->ep < 0 || !r->conns)
                die("cannot start: %s", strerror(errno));
        for (unsigned i = 0; i < r->n_conns; i++)
                r->conns[i].fd = -1;
        for (size_t i = 0; i < sizeof(r->pattern); i++)
                r->pattern[i] = body_byte(i);
        r->now = now_ns();
        r->next_sweep = r->now;
        if (o->rate > 0) {
                r->interval = (uint64_t)((double)NSEC_PER_SEC * o->threads / o->rate);
                /* the threads take turns */
                r->next_due = r->now + r->interval * k->index / o->threads;
        }
}

void *client_main(void *arg) {
        struct run *r = calloc(1, sizeof(*r));

        if (!r)
                die("out of memory");
        run_init(r, arg);
        (void)prctl(PR_SET_TIMERSLACK, 1); /* requests leave when they are due, not 50 µs later */
        while (!is_done(r)) {
                struct epoll_event events[256];
                uint64_t wait = next_wake(r);
                struct timespec ts = {(time_t)(wait / NSEC_PER_SEC), (long)(wait % NSEC_PER_SEC)};
                int n = epoll_pwait2(r->ep, events, 256, &ts, NULL);

                r->now = now_ns();
                pass_edges(r);
                for (int i = 0; i < n; i++) {
                        conn_event(r, events[i].data.ptr, events[i].events);
                        r->now = now_ns();
                }
                if (r->now >= r->next_sweep)
                        sweep(r);
                start_due(r);
        }
        for (unsigned i = 0; i < r->n_conns; i++) {
                if (is_busy(&r->conns[i]) && r->interval)
                        r->client->errors[ERROR_TIMEOUT]++;
                if (r->conns[i].fd >= 0 && !r->options->idle) /* idle ones are held until the process ends */
                        close(r->conns[i].fd);
        }
        free(r->conns);
        close(r->ep);
        free(r);
        return NULL;
}

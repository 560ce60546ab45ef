/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Connections to servers.
 *
 *   CONNECTING ──► HEAD ──► BODY ──► DONE ──► IDLE ──► HEAD …
 *        │          │        │        │        │
 *        └──────────┴────────┴────────┴────────┴──► CLOSED
 *
 *   CONNECTING  user set; nothing sent
 *   HEAD        user set; request being composed or sent, response head awaited (100 and 103 may come and go)
 *   BODY        user set; response head handed over
 *   DONE        response complete, the user has not let go yet
 *   IDLE        no user; in the pool; whatever arrives now closes it
 *   CLOSED      no user; sock_close() was called
 *
 * A server may answer before it has read the request and close: a failed send therefore does not end the exchange, the receiving
 * side decides.
 */

#include "web/http1/client.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "web/http1/client_internal.h"
#include "web/thread.h"
#include "web/web_internal.h"

/* Below, two more system calls and a pipe cost as much as the copies. */
enum { H1_SPLICE_MIN = 128 << 10 };

static const struct sock_ops h1_upstream_sock_ops;
static void h1_upstream_on_timer(struct timer *t);
static void h1_upstream_flush_task(struct task *t);

static struct h1_upstream *h1_upstream_of(struct sock *s) {
        return CONTAINER_OF(s, struct h1_upstream, sock);
}

static void h1_upstream_deadline(struct h1_upstream *u, nsec_t at) {
        u->deadline = at;
        if (at != NSEC_INFINITY && (u->timer.at == 0 || at < u->timer.at))
                timer_start(u->thread->loop, &u->timer, at);
}

static nsec_t from_now(const struct h1_upstream *u, nsec_t time) {
        return time == NSEC_INFINITY ? NSEC_INFINITY : loop_now(u->thread->loop) + time;
}

/* ── life ──────────────────────────────────────────────────────────────── */

void h1_upstream_close(struct h1_upstream *u) {
        if (u->state == U_CLOSED)
                return;
        if (u->state == U_IDLE)
                upstream_pool_remove(u);
        u->state = U_CLOSED;
        u->user = NULL;
        u->splice_to = NULL;
        timer_stop(u->thread->loop, &u->timer);
        u->pending.buf = buf_unref(u->pending.buf);
        u->pending.n = 0;
        sock_close(&u->sock);
}

static void h1_upstream_on_closed(struct sock *s) {
        struct h1_upstream *u = h1_upstream_of(s);

        h1_body_deinit(&u->body);
        h1_out_clear(&u->out, true);
        buf_unref(u->acc);
        u->pool->n_conns--;
        if (u->flush.queued)
                u->dead = true; /* the task frees it */
        else
                free(u);
}

/* ── getting one ───────────────────────────────────────────────────────── */

static struct h1_upstream *h1_upstream_connect(struct web_thread *t, struct upstream_pool *p, nsec_t timeout) {
        struct addr to;
        uint32_t address = server_addr(p->server, &to);
        struct h1_upstream *u;

        if (address == 0)
                return NULL;
        u = calloc(1, sizeof(*u));
        if (!u)
                return NULL;
        u->thread = t;
        u->pool = p;
        u->address = address;
        u->state = U_CONNECTING;
        u->timer.fire = h1_upstream_on_timer;
        u->flush.run = h1_upstream_flush_task;
        list_init(&u->link);
        if (sock_connect(&u->sock, t->loop, &to, &h1_upstream_sock_ops) < 0) {
                free(u);
                return NULL;
        }
        h1_out_init(&u->out, t, &u->sock);
        p->n_conns++;
        u->connect_began = loop_now(t->loop);
        h1_upstream_deadline(u, from_now(u, timeout));
        return u;
}

struct h1_upstream *h1_upstream_get(struct web_thread *t, struct server *s, const struct farm_settings *settings, bool fresh,
                                    const struct h1_upstream_user_ops *ops, void *user) {
        struct upstream_pool *p = upstream_pool_of(t, s);
        struct h1_upstream *u = NULL;

        if (!p)
                return NULL;
        if (!fresh)
                u = upstream_pool_take(p);
        if (u) {
                u->reused = true;
                u->state = U_HEAD;
                h1_upstream_deadline(u, NSEC_INFINITY);
        } else {
                u = h1_upstream_connect(t, p, settings->connect_timeout);
                if (!u)
                        return NULL;
        }
        p->max_idle = settings->pool > 0 ? MAX(settings->pool / t->web->n_threads, 1u) : 0;
        u->keepalive = settings->keepalive;
        u->ops = ops;
        u->user = user;
        u->keep = u->upgrade = u->request_done = u->paused = u->send_failed = false;
        return u;
}

void h1_upstream_times(struct h1_upstream *u, nsec_t first_byte, nsec_t idle) {
        u->first_byte = first_byte;
        u->idle = idle;
}

/* ── the request ───────────────────────────────────────────────────────── */

static void h1_upstream_await_head(struct h1_upstream *u) {
        /* while we wait for the client's bytes the server is not to blame */
        if (u->state == U_HEAD)
                h1_upstream_deadline(u, u->out.n > 0 || u->request_done ? from_now(u, u->first_byte) : NSEC_INFINITY);
}

void h1_upstream_flush(struct h1_upstream *u, bool done) {
        u->request_done |= done;
        if (u->send_failed) {
                h1_out_clear(&u->out, false);
                return;
        }
        h1_upstream_await_head(u);
        if (u->state == U_BODY && u->upgrade)
                h1_upstream_deadline(u, from_now(u, u->idle)); /* a tunnel is idle only when both sides are */
        if (!u->flush.queued)
                web_thread_defer(u->thread, &u->flush);
}

static void h1_upstream_fail(struct h1_upstream *u, enum h1_upstream_failure f, const char *why) {
        const struct h1_upstream_user_ops *ops = u->ops;
        void *user = u->user;

        h1_upstream_close(u);
        if (user)
                ops->on_fail(user, f, why);
}

static void h1_upstream_flush_task(struct task *t) {
        struct h1_upstream *u = CONTAINER_OF(t, struct h1_upstream, flush);

        if (u->dead) {
                free(u);
                return;
        }
        if (u->state == U_CLOSED || u->state == U_CONNECTING || u->send_failed)
                return;
        if (u->out.failed) {
                h1_upstream_fail(u, H1_UPSTREAM_MEMORY, "out of memory");
                return;
        }
        h1_out_flush(&u->out);
}

static void h1_upstream_on_sent(struct sock *sock, int result) {
        struct h1_upstream *u = h1_upstream_of(sock);

        if (result < 0) {
                u->send_failed = true;
                u->keep = false;
                h1_out_clear(&u->out, false);
                return;
        }
        if (!h1_out_sent(&u->out)) {
                h1_out_flush(&u->out);
                h1_upstream_await_head(u);
                return;
        }
        h1_upstream_await_head(u);
        if (u->user && !u->request_done)
                u->ops->on_sent(u->user);
}

static void h1_upstream_on_connected(struct sock *sock, int result) {
        struct h1_upstream *u = h1_upstream_of(sock);

        if (result < 0) {
                h1_upstream_fail(u, H1_UPSTREAM_CONNECT, strerror(-result));
                return;
        }
        u->connect_took = loop_now(u->thread->loop) - u->connect_began;
        server_connected(u->pool->server, &u->thread->farm_lane, u->connect_took);
        u->state = U_HEAD;
        h1_upstream_deadline(u, NSEC_INFINITY);
        sock_recv_start(&u->sock);
        u->ops->on_ready(u->user);
}

/* ── the response ──────────────────────────────────────────────────────── */

static void h1_upstream_skip(struct h1_upstream *u, size_t n) {
        u->pending.p += n;
        u->pending.n -= n;
        if (u->pending.n == 0)
                u->pending.buf = buf_unref(u->pending.buf);
}

static int h1_upstream_accumulate(struct h1_upstream *u) {
        size_t need = u->acc_n + u->pending.n;

        if (!u->acc || u->acc->cap < need) {
                struct buf *b = web_thread_text(u->thread, MAX(need * 2, (size_t)4096));

                if (!b)
                        return -ENOMEM;
                if (u->acc_n > 0)
                        memcpy(b->data, u->acc->data, u->acc_n);
                buf_unref(u->acc);
                u->acc = b;
        }
        memcpy(u->acc->data + u->acc_n, u->pending.p, u->pending.n);
        u->acc_n += (uint32_t)u->pending.n;
        h1_upstream_skip(u, u->pending.n);
        return 0;
}

static void h1_upstream_complete(struct h1_upstream *u) {
        struct http_field fields[16];
        struct http_fields trailers = {.v = fields, .max = ARRAY_SIZE(fields)};
        bool has = u->body.framing == HTTP_BODY_CHUNKED && http1_chunked_trailers(&u->body.chunked, &trailers) == 0 &&
                   trailers.n > 0;

        u->state = U_DONE;
        h1_upstream_deadline(u, NSEC_INFINITY);
        if (u->pending.n > 0)
                u->keep = false; /* more than one response: nobody asked for that */
        u->ops->on_end(u->user, has ? &trailers : NULL);
}

/* We ask for one protocol only; the server must not choose another (RFC 9110 7.8). */
static bool h1_upstream_may_switch(const struct h1_upstream *u, const struct http_response *res) {
        const struct http_field *f = http_fields_find(&res->fields, HTTP_FIELD_UPGRADE);

        return u->upgrade && f && str_ieq(f->value, STR("websocket"));
}

static bool h1_upstream_head(struct h1_upstream *u) {
        struct web_thread *t = u->thread;
        struct http_response res = {.fields = {.v = t->response_fields, .max = ARRAY_SIZE(t->response_fields)}};
        enum http1_reject why = HTTP1_REJECT_NONE;
        static const struct http1_limits limits = {8192, 65536, WEB_RESPONSE_FIELDS, 8192, 4096};
        struct buf *hold;
        const char *p;
        ssize_t n;

        if (u->acc && h1_upstream_accumulate(u) < 0) {
                h1_upstream_fail(u, H1_UPSTREAM_MEMORY, "out of memory");
                return false;
        }
        p = u->acc ? u->acc->data : u->pending.p;
        n = http1_parse_response(p, u->acc ? u->acc_n : u->pending.n, &limits, u->method, &res, &why);
        if (n == HTTP1_NEED_MORE) {
                if (!u->acc && h1_upstream_accumulate(u) < 0)
                        h1_upstream_fail(u, H1_UPSTREAM_MEMORY, "out of memory");
                return false;
        }
        if (n < 0 || (res.status == 101 && !h1_upstream_may_switch(u, &res))) {
                h1_upstream_fail(u, H1_UPSTREAM_MALFORMED, n < 0 ? http1_reject_text(why) : "101 to what was not asked for");
                return false;
        }
        hold = u->acc ? u->acc : buf_ref(u->pending.buf);
        if (!u->acc) {
                h1_upstream_skip(u, (size_t)n);
        } else {
                if ((size_t)n < u->acc_n)
                        u->pending = (struct slice){buf_ref(hold), hold->data + n, u->acc_n - (size_t)n};
                u->acc = NULL;
                u->acc_n = 0;
        }
        if (res.status >= 200 || res.status == 101) {
                u->state = U_BODY;
                u->keep = res.keep_alive && !u->send_failed && res.status != 101;
                h1_body_deinit(&u->body);
                h1_body_init(&u->body, res.status == 101 ? HTTP_BODY_CLOSE : res.framing, res.content_length);
                if (res.status == 101)
                        u->request_done = false; /* what the client sends now is part of it */
                h1_upstream_deadline(u, from_now(u, u->idle));
        }
        u->ops->on_head(u->user, &res);
        buf_unref(hold);
        if (u->state == U_BODY && u->body.ended) {
                h1_upstream_complete(u);
                return false;
        }
        return u->state == U_HEAD || u->state == U_BODY;
}

static bool h1_upstream_body(struct h1_upstream *u) {
        static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
        enum http1_reject why = HTTP1_REJECT_NONE;
        struct slice data;
        struct str payload;
        ssize_t n = h1_body_next(&u->body, u->pending.p, u->pending.n, &limits, &payload, &why);

        if (n < 0) {
                h1_upstream_fail(u, n == -ENOMEM ? H1_UPSTREAM_MEMORY : H1_UPSTREAM_TRUNCATED,
                                 n == -ENOMEM ? "out of memory" : http1_reject_text(why));
                return false;
        }
        data = (struct slice){payload.n > 0 ? buf_ref(u->pending.buf) : NULL, payload.p, payload.n};
        h1_upstream_skip(u, (size_t)n);
        if (data.n > 0)
                u->ops->on_data(u->user, data);
        if (u->state == U_BODY && u->body.ended) {
                h1_upstream_complete(u);
                return false;
        }
        return u->state == U_BODY;
}

static void h1_upstream_process(struct h1_upstream *u) {
        if (u->processing)
                return;
        u->processing = true;
        while (u->pending.n > 0 && !u->paused && (u->state == U_HEAD   ? h1_upstream_head(u)
                                                  : u->state == U_BODY ? h1_upstream_body(u)
                                                                       : false))
                ;
        u->processing = false;
        if (u->state == U_CLOSED)
                return;
        if (u->pending.n > 0 || u->paused) {
                sock_recv_stop(&u->sock);
                return;
        }
        if (u->state == U_BODY)
                h1_upstream_deadline(u, from_now(u, u->idle));
        sock_recv_start(&u->sock);
}

static void h1_upstream_on_data(struct sock *sock, struct buf *b, const char *p, size_t n) {
        struct h1_upstream *u = h1_upstream_of(sock);
        struct web_thread *t = u->thread;

        if (u->state == U_IDLE || u->state == U_DONE || !u->user) {
                /* bytes that answer nothing: such a connection is never used again */
                buf_unref(b);
                u->keep = false;
                if (u->state == U_IDLE)
                        h1_upstream_close(u);
                return;
        }
        assert(u->pending.n == 0);
        u->pending = (struct slice){b, p, n};
        web_thread_enter(t);
        h1_upstream_process(u);
        web_thread_leave(t);
}

static void h1_upstream_on_end(struct sock *sock, int result) {
        struct h1_upstream *u = h1_upstream_of(sock);

        u->keep = false;
        switch (u->state) {
        case U_HEAD:
                h1_upstream_fail(u, H1_UPSTREAM_CLOSED,
                                 result < 0 ? "the server reset the connection before the response"
                                            : "the server closed the connection before the response");
                break;
        case U_BODY:
                if (result == 0 && u->body.framing == HTTP_BODY_CLOSE) {
                        u->body.ended = true;
                        h1_upstream_complete(u);
                } else {
                        h1_upstream_fail(u, H1_UPSTREAM_TRUNCATED, "the server closed within the response body");
                }
                break;
        case U_IDLE:
                h1_upstream_close(u);
                break;
        default:
                break;
        }
}

void h1_upstream_pause(struct h1_upstream *u) {
        u->paused = true;
        h1_upstream_deadline(u, NSEC_INFINITY);
        sock_recv_stop(&u->sock);
}

void h1_upstream_resume(struct h1_upstream *u) {
        if (!u->paused)
                return;
        u->paused = false;
        h1_upstream_process(u);
}

/* ── splicing ──────────────────────────────────────────────────────────── */

uint64_t h1_upstream_spliceable(const struct h1_upstream *u) {
        if (u->state != U_BODY || u->body.framing != HTTP_BODY_LENGTH || u->pending.n > 0 || u->body.left < H1_SPLICE_MIN)
                return 0;
        return u->body.left;
}

void h1_upstream_splice_begin(struct h1_upstream *u, struct sock *to) {
        u->splice_to = to;
        u->splice_seen = 0;
        h1_upstream_deadline(u, from_now(u, u->idle));
}

void h1_upstream_spliced(struct h1_upstream *u, uint64_t n) {
        u->splice_to = NULL;
        u->body.left -= MIN(n, u->body.left);
        u->paused = false;
        if (u->body.left == 0) {
                u->body.ended = true;
                h1_upstream_complete(u);
                return;
        }
        h1_upstream_process(u);
}

/* Whether the server still owes bytes, and none came since the last look. */
static bool h1_upstream_splice_stalled(struct h1_upstream *u) {
        uint64_t n = sock_spliced(u->splice_to);
        int unsent = 0;

        if (n != u->splice_seen || (ioctl(u->splice_to->fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)) {
                u->splice_seen = n;
                h1_upstream_deadline(u, from_now(u, u->idle));
                return false;
        }
        return true;
}

/* ── letting go ────────────────────────────────────────────────────────── */

void h1_upstream_release(struct h1_upstream *u) {
        struct upstream_pool *p = u->pool;

        if (u->state == U_CLOSED)
                return;
        if (u->state != U_DONE || !u->keep || !u->request_done || u->out.n > 0 || u->pending.n > 0 || u->paused ||
            p->n_idle >= p->max_idle || u->thread->draining) {
                h1_upstream_close(u);
                return;
        }
        u->state = U_IDLE;
        u->user = NULL;
        upstream_pool_add(u);
        h1_upstream_deadline(u, from_now(u, u->keepalive));
        sock_recv_start(&u->sock);
}

void h1_upstream_drop(struct h1_upstream *u) {
        h1_upstream_close(u);
}

/* Whether the server is still busy taking the request: its time to answer has not begun. Looks when the time is over, not before. */
static bool h1_upstream_takes(struct h1_upstream *u) {
        struct tcp_info info = {0};
        socklen_t n = sizeof(info);
        int unsent = 0;

        if (u->out.n == 0 && (ioctl(u->sock.fd, SIOCOUTQ, &unsent) < 0 || unsent == 0))
                return false;
        if (getsockopt(u->sock.fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0 || info.tcpi_bytes_acked == u->acked)
                return false;
        u->acked = info.tcpi_bytes_acked;
        h1_upstream_deadline(u, from_now(u, u->first_byte));
        return true;
}

static void h1_upstream_on_timer(struct timer *t) {
        struct h1_upstream *u = CONTAINER_OF(t, struct h1_upstream, timer);

        if (loop_now(u->thread->loop) < u->deadline) {
                if (u->deadline != NSEC_INFINITY)
                        timer_start(u->thread->loop, &u->timer, u->deadline);
                return;
        }
        switch (u->state) {
        case U_CONNECTING:
                h1_upstream_fail(u, H1_UPSTREAM_CONNECT_TIMEOUT, "no connection in time");
                break;
        case U_HEAD:
                if (h1_upstream_takes(u))
                        break;
                h1_upstream_fail(u, H1_UPSTREAM_FIRST_BYTE, "no response in time");
                break;
        case U_BODY:
                if (u->splice_to && !h1_upstream_splice_stalled(u))
                        break;
                h1_upstream_fail(u, H1_UPSTREAM_IDLE, "the response stopped in the middle");
                break;
        default:
                h1_upstream_close(u);
                break;
        }
}

static const struct sock_ops h1_upstream_sock_ops = {
        .on_connected = h1_upstream_on_connected,
        .on_data = h1_upstream_on_data,
        .on_end = h1_upstream_on_end,
        .on_sent = h1_upstream_on_sent,
        .on_closed = h1_upstream_on_closed,
};

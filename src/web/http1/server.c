/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A client's HTTP/1 connection: what comes in, in which state, and for how long we wait. server_internal.h has the diagram.
 *
 * Receiving is on while pending is empty and off while it is not, so at most one receive buffer is held for bytes that nobody
 * wants yet: a client that sends ahead fills its own socket buffers, not our memory.
 */

#include "web/http1/server.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "web/http1/server_internal.h"

/* A client that keeps a deadline going with single bytes is cut all the same: this many per second, at least. */
enum { H1_MIN_RATE = 128 };
/* LINGER: how much and how long we read only to be polite. */
enum { H1_LINGER_BYTES = 16 << 20 }; /* what a client may send until it has seen an early answer */
enum { H1_HEAD_COPY_MAX = 2048 };
#define H1_LINGER_TIME (2 * NSEC_PER_SEC)
/* How long a drain waits for the first request of a connection that has just been made. */
#define H1_DRAIN_FRESH NSEC_PER_SEC

static const struct sock_ops h1_conn_sock_ops;

static struct h1_conn *h1_conn_of(struct sock *s) {
        return CONTAINER_OF(s, struct h1_conn, sock);
}

struct h1_conn *h1_conn_of_link(struct list *link) {
        return CONTAINER_OF(link, struct h1_conn, link);
}

static const struct web_limits *h1_limits(const struct h1_conn *c) {
        return &c->thread->generation->config->limits;
}

static nsec_t after(nsec_t now, nsec_t time) {
        return time == NSEC_INFINITY ? NSEC_INFINITY : now + time;
}

/* ── life ──────────────────────────────────────────────────────────────── */

void h1_conn_set_deadline(struct h1_conn *c, nsec_t at) {
        c->deadline = at;
        /* a timer that fires too early finds the later deadline and starts again: cheaper than moving it for every request */
        if (at != NSEC_INFINITY && (c->timer.at == 0 || at < c->timer.at))
                timer_start(c->thread->loop, &c->timer, at);
}

static void h1_conn_idle(struct h1_conn *c) {
        const struct web_limits *l = h1_limits(c);

        c->state = H1_HEAD;
        /* a fresh connection has to say something within the time for a head */
        h1_conn_set_deadline(c, after(loop_now(c->thread->loop),
                                      c->served ? l->idle_timeout : MIN(l->idle_timeout, l->header_timeout)));
}

void h1_conn_close(struct h1_conn *c) {
        if (c->state == H1_CLOSED)
                return;
        c->state = H1_CLOSED;
        timer_stop(c->thread->loop, &c->timer);
        c->pending.buf = buf_unref(c->pending.buf);
        c->pending.n = 0;
        sock_close(&c->sock);
}

static void h1_conn_on_closed(struct sock *s) {
        struct h1_conn *c = h1_conn_of(s);

        if (c->stream)
                h1_stream_free(c->stream);
        buf_unref(c->acc);
        web_thread_conn_removed(c->thread, c->port, &c->link);
        free(c);
}

void h1_conn_abort(struct h1_conn *c, enum exchange_end end, const char *why, bool reset) {
        if (c->state == H1_CLOSED)
                return;
        if (c->stream)
                h1_stream_abort(c->stream, end, why);
        if (reset)
                sock_reset(&c->sock);
        h1_conn_close(c);
}

static void h1_conn_linger(struct h1_conn *c) {
        c->state = H1_LINGER;
        c->pending.buf = buf_unref(c->pending.buf);
        c->pending.n = 0;
        sock_shutdown(&c->sock);
        h1_conn_set_deadline(c, loop_now(c->thread->loop) + H1_LINGER_TIME);
        sock_recv_start(&c->sock);
}

/* Bytes that nobody has read make a close a reset, which may destroy the response on its way. */
static bool h1_conn_has_input(const struct h1_conn *c) {
        int n = 0;

        return ioctl(c->sock.fd, SIOCINQ, &n) == 0 && n > 0;
}

void h1_conn_stream_done(struct h1_conn *c, bool keep) {
        bool unread = !c->stream->body.ended || c->pending.n > 0;

        h1_stream_free(c->stream);
        c->stream = NULL;
        c->served = true;
        if (keep && !c->peer_ended && !c->thread->draining && c->port->hosts) {
                h1_conn_idle(c);
                h1_conn_process(c);
        } else if (keep && c->peer_ended && c->pending.n > 0) {
                h1_conn_idle(c); /* it sent its last requests and closed its side: they are answered */
                h1_conn_process(c);
        } else if ((unread || h1_conn_has_input(c)) && !c->peer_ended) {
                h1_conn_linger(c);
        } else {
                h1_conn_close(c);
        }
}

void h1_conn_drain(struct h1_conn *c) {
        if (c->state != H1_HEAD || c->acc)
                return;
        if (c->served)
                h1_conn_close(c);
        else /* its request is probably on the way */
                h1_conn_set_deadline(c, MIN(c->deadline, loop_now(c->thread->loop) + H1_DRAIN_FRESH));
}

void h1_conn_port_checked(struct h1_conn *c) {
        if (!c->port->hosts)
                h1_conn_drain(c);
}

void h1_conn_cut(struct h1_conn *c) {
        h1_conn_abort(c, EXCHANGE_END_PROXY_SHUTDOWN, "the time for draining was over", false);
}

/* ── bytes in ──────────────────────────────────────────────────────────── */

static void h1_conn_pending_skip(struct h1_conn *c, size_t n) {
        c->pending.p += n;
        c->pending.n -= n;
        if (c->pending.n == 0)
                c->pending.buf = buf_unref(c->pending.buf);
}

/* The request cannot be read or is not wanted: answers it, if that is still possible, and ends the connection. */
static void h1_conn_refuse(struct h1_conn *c, struct h1_stream *s, unsigned status, enum exchange_end end, const char *why) {
        c->stream = s;
        c->state = H1_WAIT;
        h1_conn_set_deadline(c, NSEC_INFINITY);
        s->x.end = end;
        h1_stream_refuse(s, status, why);
}

static void h1_conn_reject(struct h1_conn *c, enum http1_reject r) {
        uint64_t held;
        char peer[ADDR_TEXT_MAX];
        struct addr a = {.len = c->peer_len};

        counter_add(&c->thread->words[worker_word_of_reject(r)], 1);
        if (!log_rate_allow(&c->thread->reject_log, loop_now(c->thread->loop), &held))
                return;
        memcpy(&a.sa, &c->peer.sa, MIN((size_t)c->peer_len, sizeof(c->peer)));
        addr_format_host(&a, peer);
        log_warn("web", "request refused", "client=%s reason=%s why=\"%s\" more=%llu", peer, http1_reject_name(r),
                 http1_reject_text(r), (unsigned long long)held);
}

/* Adds pending to the incomplete head. */
static int h1_conn_accumulate(struct h1_conn *c) {
        size_t need = c->acc_n + c->pending.n;

        if (!c->acc || c->acc->cap < need) {
                struct buf *b = web_thread_text(c->thread, MAX(need * 2, (size_t)4096));

                if (!b)
                        return -ENOMEM;
                if (c->acc_n > 0)
                        memcpy(b->data, c->acc->data, c->acc_n);
                buf_unref(c->acc);
                c->acc = b;
        }
        memcpy(c->acc->data + c->acc_n, c->pending.p, c->pending.n);
        c->acc_n += (uint32_t)c->pending.n;
        h1_conn_pending_skip(c, c->pending.n);
        return 0;
}

/*
 * A small head moves to the exchange's memory before it is parsed: the receive buffer, sixteen times as large, is free again at
 * once and still in the cache for the next one.
 */
static const char *h1_conn_head_bytes(struct h1_conn *c, struct h1_stream *s, size_t *ret_n) {
        char *copy;

        if (c->acc) {
                *ret_n = c->acc_n;
                return c->acc->data;
        }
        *ret_n = c->pending.n;
        if (c->pending.n > H1_HEAD_COPY_MAX)
                return c->pending.p;
        copy = arena_alloc(&s->arena, c->pending.n);
        return copy ? memcpy(copy, c->pending.p, c->pending.n) : c->pending.p;
}

/* Out of the array that all heads of the thread are parsed to. */
static int h1_stream_keep_fields(struct h1_stream *s) {
        struct http_fields *f = &s->x.req.fields;
        size_t size = f->n * sizeof(*f->v);
        struct http_field *v = arena_alloc(&s->arena, size);

        if (!v)
                return -ENOMEM;
        if (size > 0)
                memcpy(v, f->v, size);
        f->v = v;
        f->max = f->n;
        return 0;
}

/* The head is complete and `n` bytes long; its bytes at `head`. */
static void h1_conn_take_head(struct h1_conn *c, struct h1_stream *s, const char *head, size_t n) {
        if (c->acc) {
                s->head = c->acc;
                if (n < c->acc_n)
                        c->pending = (struct slice){buf_ref(c->acc), c->acc->data + n, c->acc_n - n};
                c->acc = NULL;
                c->acc_n = 0;
                return;
        }
        if (head == c->pending.p)
                s->head = buf_ref(c->pending.buf);
        h1_conn_pending_skip(c, n);
}

/* Returns false when there is nothing more to do with what is there. */
static bool h1_conn_head(struct h1_conn *c) {
        const struct http1_limits *limits = &c->thread->generation->http1;
        enum http1_reject why = HTTP1_REJECT_NONE;
        struct h1_stream *s;
        const char *head;
        size_t there;
        ssize_t n;

        s = h1_stream_new(c);
        if (!s || (c->acc && h1_conn_accumulate(c) < 0)) {
                if (s)
                        h1_stream_free(s);
                h1_conn_close(c);
                return false;
        }
        if (c->head_begin == 0)
                c->head_begin = loop_now(c->thread->loop);
        head = h1_conn_head_bytes(c, s, &there);
        n = http1_parse_request(head, there, limits, &s->x.req, &why);
        if (n == HTTP1_NEED_MORE) {
                h1_stream_free(s);
                if (!c->acc) {
                        if (h1_conn_accumulate(c) < 0) {
                                h1_conn_close(c);
                                return false;
                        }
                        h1_conn_set_deadline(c, after(c->head_begin, h1_limits(c)->header_timeout));
                }
                return c->pending.n > 0;
        }
        if (n < 0) {
                h1_conn_reject(c, why);
                h1_conn_refuse(c, s, http1_reject_status(why), EXCHANGE_END_CLIENT_REQUEST, http1_reject_text(why));
                return false;
        }
        if (h1_stream_keep_fields(s) < 0) {
                h1_stream_free(s);
                h1_conn_close(c);
                return false;
        }
        h1_conn_take_head(c, s, head, (size_t)n);
        c->stream = s;
        h1_body_init(&s->body, s->x.req.framing, s->x.req.content_length);
        c->state = s->body.ended ? H1_WAIT : H1_BODY;
        h1_conn_set_deadline(c, NSEC_INFINITY);
        h1_stream_begin(s);
        c->head_begin = 0;
        return true;
}

static void h1_conn_bad_body(struct h1_conn *c, unsigned status, enum exchange_end end, const char *why) {
        struct h1_stream *s = c->stream;

        if (s->x.head_sent || s->over) {
                h1_conn_abort(c, end, why, false);
                return;
        }
        if (s->x.handler)
                s->x.handler->on_abort(&s->x);
        h1_conn_refuse(c, s, status, end, why);
}

static void h1_stream_await_body(struct h1_stream *s) {
        nsec_t timeout = s->tunnel ? NSEC_INFINITY : h1_limits(s->conn)->body_timeout;

        s->body_taken = s->x.bytes_in;
        s->body_deadline = after(loop_now(s->conn->thread->loop), timeout);
        if (s->body_deadline < s->conn->deadline)
                h1_conn_set_deadline(s->conn, s->body_deadline);
}

static bool h1_conn_body(struct h1_conn *c) {
        struct h1_stream *s = c->stream;
        enum http1_reject why = HTTP1_REJECT_NONE;
        struct slice data;
        struct str payload;
        ssize_t n;

        if (!s->body_wanted && !s->discard)
                return false;
        n = h1_body_next(&s->body, c->pending.p, c->pending.n, &c->thread->generation->http1, &payload, &why);
        if (n == -ENOMEM) {
                h1_conn_abort(c, EXCHANGE_END_PROXY_LIMIT, "out of memory", false);
                return false;
        }
        if (n < 0) {
                h1_conn_reject(c, why);
                h1_conn_bad_body(c, http1_reject_status(why), EXCHANGE_END_CLIENT_REQUEST, http1_reject_text(why));
                return false;
        }
        s->x.bytes_in += payload.n;
        /* what is only thrown away after the answer is bounded already */
        if (s->x.bytes_in > h1_limits(c)->body && !s->tunnel && !s->discard) {
                if (s->x.site)
                        counter_add(&web_thread_site(c->thread, s->x.site)[SITE_REJECTED_TOO_LARGE], 1);
                h1_conn_bad_body(c, 413, EXCHANGE_END_PROXY_LIMIT, "request body is larger than limits.body");
                return false;
        }
        data = (struct slice){payload.n > 0 ? buf_ref(c->pending.buf) : NULL, payload.p, payload.n};
        h1_conn_pending_skip(c, (size_t)n);
        if (s->body.ended) {
                c->state = H1_WAIT;
                s->x.body_ended = true;
                s->body_deadline = 0;
        }
        if (s->discard || s->over) {
                buf_unref(data.buf);
                if (s->body.ended && s->over)
                        h1_conn_stream_done(c, !s->close_after);
        } else if (data.n > 0 || s->body.ended) {
                s->x.handler->on_body(&s->x, data, s->body.ended);
        }
        return c->state != H1_CLOSED;
}

/* The client of a tunnel sends no more. */
static void h1_conn_tunnel_end(struct h1_conn *c) {
        struct h1_stream *s = c->stream;

        s->body.ended = s->x.body_ended = true;
        c->state = H1_WAIT;
        s->x.handler->on_body(&s->x, (struct slice){NULL, NULL, 0}, true);
}

void h1_conn_process(struct h1_conn *c) {
        if (c->processing || c->state == H1_CLOSED)
                return;
        c->processing = true;
        while (c->pending.n > 0 && (c->state == H1_HEAD   ? h1_conn_head(c)
                                    : c->state == H1_BODY ? h1_conn_body(c)
                                                          : false))
                ;
        c->processing = false;
        if (c->state == H1_CLOSED)
                return;
        if (c->pending.n > 0) {
                sock_recv_stop(&c->sock);
                return;
        }
        if (c->state == H1_BODY && !c->stream->body_wanted && !c->stream->discard) {
                /* nobody wants the body yet: it stays in the client's socket */
                sock_recv_stop(&c->sock);
                return;
        }
        if (c->state == H1_WAIT && !c->stream->x.req.keep_alive) {
                /* its last request: nothing more is expected, and what would come is not looked at before the response is out */
                sock_recv_stop(&c->sock);
                return;
        }
        if (c->state == H1_BODY && c->stream->body_deadline == 0)
                h1_stream_await_body(c->stream);
        if (c->peer_ended) {
                if (c->state == H1_HEAD)
                        h1_conn_close(c);
                else if (c->state == H1_BODY && c->stream->tunnel)
                        h1_conn_tunnel_end(c); /* it closed its side before 101 */
                return;
        }
        sock_recv_start(&c->sock);
}

static void h1_conn_on_data(struct sock *sock, struct buf *b, const char *p, size_t n) {
        struct h1_conn *c = h1_conn_of(sock);
        struct web_thread *t = c->thread;

        if (c->state == H1_LINGER) {
                buf_unref(b);
                c->lingered += (uint32_t)n;
                if (c->lingered > H1_LINGER_BYTES)
                        h1_conn_close(c);
                return;
        }
        assert(c->pending.n == 0);
        c->pending = (struct slice){b, p, n};
        web_thread_enter(t);
        h1_conn_process(c);
        web_thread_leave(t);
}

static void h1_conn_on_end(struct sock *sock, int result) {
        struct h1_conn *c = h1_conn_of(sock);

        c->peer_ended = true;
        if (result < 0) {
                h1_conn_abort(c, c->state == H1_BODY ? EXCHANGE_END_CLIENT_REQUEST : EXCHANGE_END_CLIENT_RESPONSE,
                              "the client reset the connection", false);
                return;
        }
        switch (c->state) {
        case H1_HEAD:
                h1_conn_close(c);
                break;
        case H1_BODY:
                if (c->stream->over) {
                        h1_conn_close(c);
                } else if (c->stream->tunnel) {
                        h1_conn_tunnel_end(c);
                } else {
                        h1_conn_bad_body(c, 400, EXCHANGE_END_CLIENT_REQUEST,
                                         "the client closed before the end of the request body");
                }
                break;
        case H1_LINGER:
                h1_conn_close(c);
                break;
        default:
                /* WAIT: half-closed; the client still reads, so it gets its response */
                break;
        }
}

static void h1_conn_on_sent(struct sock *sock, int result) {
        struct h1_conn *c = h1_conn_of(sock);

        if (c->stream)
                h1_stream_sent(c->stream, result);
}

/* ── deadlines ─────────────────────────────────────────────────────────── */

static uint64_t h1_min_bytes(nsec_t time) {
        return time / NSEC_PER_SEC * H1_MIN_RATE;
}

/* Whether bytes wait in the socket for the client; if not, it is not the one who is slow. */
static bool h1_conn_unsent(const struct h1_conn *c) {
        int n = 0;

        return ioctl(c->sock.fd, SIOCOUTQ, &n) < 0 || n > 0;
}

static uint64_t h1_conn_acked(const struct h1_conn *c) {
        struct tcp_info info = {0};
        socklen_t n = sizeof(info);

        if (getsockopt(c->sock.fd, IPPROTO_TCP, TCP_INFO, &info, &n) < 0)
                return 0;
        return info.tcpi_bytes_acked;
}

/* Sets the earlier of the stream's deadlines. */
static void h1_stream_next_deadline(struct h1_stream *s) {
        nsec_t at = NSEC_INFINITY;

        if (s->body_deadline != 0)
                at = MIN(at, s->body_deadline);
        if (s->write_deadline != 0)
                at = MIN(at, s->write_deadline);
        h1_conn_set_deadline(s->conn, at);
}

static void h1_stream_timeout(struct h1_stream *s, nsec_t now) {
        struct h1_conn *c = s->conn;
        const struct web_limits *l = h1_limits(c);

        if (s->write_deadline != 0 && now >= s->write_deadline) {
                uint64_t acked = h1_conn_acked(c);

                if (s->acked != UINT64_MAX && acked - s->acked < h1_min_bytes(l->write_timeout / 2) + 1 && h1_conn_unsent(c)) {
                        h1_conn_abort(c, EXCHANGE_END_CLIENT_RESPONSE, "the client did not take the response in time", true);
                        return;
                }
                s->acked = acked;
                s->write_deadline = after(now, l->write_timeout / 2);
        }
        if (s->body_deadline != 0 && now >= s->body_deadline) {
                if (c->pending.n > 0 || (!s->body_wanted && !s->discard)) {
                        s->body_deadline = 0; /* we are the ones who wait: process() starts it anew */
                } else if (s->x.bytes_in - s->body_taken < h1_min_bytes(l->body_timeout) + 1) {
                        if (s->x.site)
                                counter_add(&web_thread_site(c->thread, s->x.site)[SITE_REJECTED_TIMEOUT], 1);
                        h1_conn_bad_body(c, 408, EXCHANGE_END_CLIENT_REQUEST, "the request body did not come in time");
                        return;
                } else {
                        h1_stream_await_body(s);
                }
        }
        h1_stream_next_deadline(s);
}

static void h1_conn_on_timer(struct timer *t) {
        struct h1_conn *c = CONTAINER_OF(t, struct h1_conn, timer);
        nsec_t now = loop_now(c->thread->loop);

        if (now < c->deadline) {
                if (c->deadline != NSEC_INFINITY)
                        timer_start(c->thread->loop, &c->timer, c->deadline);
                return;
        }
        if (c->stream) {
                h1_stream_timeout(c->stream, now);
        } else if (c->state == H1_HEAD && c->acc_n > 0) {
                struct h1_stream *s = h1_stream_new(c);

                counter_add(&c->thread->words[WORKER_HEAD_TIMEOUTS], 1);
                if (s)
                        h1_conn_refuse(c, s, 408, EXCHANGE_END_CLIENT_REQUEST, "the request head did not come in time");
                else
                        h1_conn_close(c);
        } else {
                h1_conn_close(c);
        }
}

/* ── accept ────────────────────────────────────────────────────────────── */

static const struct sock_ops h1_conn_sock_ops = {
        .on_data = h1_conn_on_data,
        .on_end = h1_conn_on_end,
        .on_sent = h1_conn_on_sent,
        .on_closed = h1_conn_on_closed,
};

static void h1_refuse_fd(int fd) {
        static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
                                   "Content-Length: 21\r\nContent-Type: text/plain\r\n\r\ntoo many connections\n";

        (void)send(fd, full, sizeof(full) - 1, MSG_DONTWAIT | MSG_NOSIGNAL); /* best effort: we are full */
        (void)close(fd);
}

void h1_conn_accept(struct web_thread *t, struct web_port *port, int fd, const struct addr *peer) {
        struct h1_conn *c;

        if (t->draining || web_thread_full(t)) {
                counter_add(&t->words[t->draining ? WORKER_REFUSED_DRAIN : WORKER_REFUSED_LIMIT], 1);
                h1_refuse_fd(fd);
                return;
        }
        c = calloc(1, sizeof(*c));
        if (!c) {
                counter_add(&t->words[WORKER_REFUSED_MEMORY], 1);
                (void)close(fd);
                return;
        }
        c->thread = t;
        c->port = port;
        c->timer.fire = h1_conn_on_timer;
        c->peer_len = sizeof(c->peer);
        if (peer && peer->len > 0 && peer->len <= sizeof(c->peer)) {
                memcpy(&c->peer, &peer->sa, peer->len);
                c->peer_len = peer->len;
        } else if (getpeername(fd, &c->peer.sa, &c->peer_len) < 0 || c->peer_len > sizeof(c->peer)) {
                c->peer_len = 0; /* gone already: the first receive says so */
        }
        sock_init(&c->sock, t->loop, fd, &h1_conn_sock_ops);
        web_thread_conn_added(t, port, &c->link);
        h1_conn_idle(c);
        sock_recv_start(&c->sock);
}

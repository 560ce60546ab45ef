/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The course of a proxied request.
 *
 *   start ─► pick a server ─► connection (kept or new) ─► request ─► response head ─► body ─► done
 *                ▲                                                       │
 *                └───────── retry, when it is safe ◄─────────────────────┘ failed before anything went to the client
 *
 * Safe means: nothing was sent (the connection could not be made), or repeating the request does no harm (RFC 9110 9.2.2) and its
 * body, if any, is still held. A request that is not idempotent is never sent a second time once bytes of it have left.
 *
 * A kept connection that the server closed just when we used it is no fault of the server: the request, when repeatable, goes out
 * once more on a fresh connection without counting as a try.
 */

#include "web/handler/proxy.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "config/tree.h"
#include "web/handler/proxy_internal.h"
#include "web/site.h"
#include "web/thread.h"

static const struct h1_upstream_user_ops proxy_upstream_ops;
static void proxy_try(struct proxy *p, const struct farm_member *m, bool fresh);

static struct proxy *proxy_of(struct exchange *x) {
        return x->state;
}

/* ── ends ──────────────────────────────────────────────────────────────── */

static void proxy_release_held(struct proxy *p) {
        for (unsigned i = 0; i < p->n_held; i++)
                buf_unref(p->held[i].buf);
        p->n_held = 0;
        p->held_bytes = 0;
}

/* The server's part is over. */
static void proxy_leave(struct proxy *p, enum server_outcome outcome, unsigned status) {
        struct web_thread *t = p->x->thread;

        timer_stop(t->loop, &p->await_continue);
        server_end(p->server, &t->farm_lane, outcome, status, loop_now(t->loop));
        p->server = NULL;
        p->u = NULL;
}

static void proxy_finish(struct proxy *p) {
        p->over = true;
        proxy_release_held(p);
}

static void proxy_give_up(struct proxy *p, unsigned status, enum exchange_end end, const char *why) {
        proxy_finish(p);
        exchange_fail(p->x, status, end, why);
}

/* Whether the request may reach a server a second time. */
static bool proxy_may_repeat(const struct proxy *p) {
        enum farm_retry_methods methods = p->conf->farm->settings.retry_methods;

        if (p->x->head_sent || (p->body_taken && p->body_lost) || methods == FARM_RETRY_NONE)
                return false;
        return methods == FARM_RETRY_ALL || http_method_idempotent(p->x->req.method);
}

/* ── towards the server ────────────────────────────────────────────────── */

/* Takes the reference. */
static void proxy_put_body(struct proxy *p, struct slice data, bool end) {
        p->body_taken = true;
        h1_upstream_send_body(p->u, data, end, end ? p->x->stream->request_trailers(p->x) : NULL);
}

/* A reference, or a copy of what is small: receive buffers are few, and a client that sends single bytes must not hold many. */
static struct slice proxy_hold_piece(struct proxy *p, struct slice data) {
        struct buf *b;

        if (data.n > PROXY_HELD_COPY)
                return (struct slice){buf_ref(data.buf), data.p, data.n};
        b = web_thread_text(p->x->thread, data.n);
        if (b)
                memcpy(b->data, data.p, data.n);
        return (struct slice){b, b ? b->data : NULL, data.n};
}

/* Keeps what may have to be sent again. */
static void proxy_hold(struct proxy *p, struct slice data) {
        if (p->body_lost || data.n == 0)
                return;
        if (!proxy_may_repeat(p) || p->n_held == PROXY_HELD_MAX ||
            p->held_bytes + data.n > PROXY_HELD_BYTES) {
                p->body_lost = true;
                proxy_release_held(p);
                return;
        }
        if (!p->held)
                p->held = arena_alloc(p->x->arena, PROXY_HELD_MAX * sizeof(*p->held));
        data = proxy_hold_piece(p, data);
        if (!p->held || !data.buf) {
                p->body_lost = true;
                buf_unref(data.buf);
                proxy_release_held(p);
                return;
        }
        p->held[p->n_held++] = data;
        p->held_bytes += data.n;
}

static void proxy_send_request(struct proxy *p) {
        struct exchange *x = p->x;

        h1_upstream_times(p->u, p->conf->first_byte_timeout, p->conf->idle_timeout);
        p->at_sent = loop_now(x->thread->loop);
        proxy_send_head(p);
        if (x->req.framing == HTTP_BODY_NONE || (x->req.framing == HTTP_BODY_LENGTH && x->req.content_length == 0))
                return;
        if (p->body_taken) {
                /* a second try: what was held, then what is still to come */
                for (unsigned i = 0; i < p->n_held; i++)
                        proxy_put_body(p, (struct slice){buf_ref(p->held[i].buf), p->held[i].p, p->held[i].n},
                                       p->request_ended && i + 1 == p->n_held);
                if (p->request_ended && p->n_held == 0)
                        proxy_put_body(p, (struct slice){NULL, NULL, 0}, true);
                if (!p->request_ended)
                        exchange_body_start(x);
        } else if (x->req.expect_continue && !p->continue_sent) {
                timer_start(x->thread->loop, &p->await_continue,
                            loop_now(x->thread->loop) + PROXY_CONTINUE_MS * NSEC_PER_MSEC);
        } else {
                exchange_body_start(x);
        }
}

static void proxy_continue(struct proxy *p) {
        timer_stop(p->x->thread->loop, &p->await_continue);
        if (p->continue_sent || p->over)
                return;
        p->continue_sent = true;
        exchange_body_start(p->x);
}

static void proxy_on_continue_timer(struct timer *t) {
        proxy_continue(CONTAINER_OF(t, struct proxy, await_continue));
}

static void proxy_on_ready(void *user) {
        struct proxy *p = user;

        p->x->at_connect = loop_now(p->x->thread->loop);
        proxy_send_request(p);
}

/* One side of a tunnel has closed and its last bytes have gone: so does the other. */
static void proxy_close_tunnel(struct proxy *p) {
        h1_upstream_drop(p->u);
        proxy_leave(p, SERVER_OK, p->x->status);
        proxy_finish(p);
        exchange_send(p->x, NULL, 0, true);
}

static void proxy_on_upstream_sent(void *user) {
        struct proxy *p = user;

        if (p->tunnel && p->request_ended)
                proxy_close_tunnel(p);
        else if (p->body_taken && !p->request_ended)
                exchange_body_start(p->x);
}

static void proxy_on_body(struct exchange *x, struct slice data, bool end) {
        struct proxy *p = proxy_of(x);

        p->request_ended |= end;
        if (!p->u) {
                buf_unref(data.buf); /* the answer was there before the request was */
                return;
        }
        if (!p->tunnel)
                proxy_hold(p, data);
        proxy_put_body(p, data, end && !p->tunnel);
        if (end && p->tunnel && h1_upstream_queued(p->u) == 0) {
                proxy_close_tunnel(p);
                return;
        }
        if (!end && h1_upstream_queued(p->u) > PROXY_QUEUE_HIGH)
                exchange_body_stop(x);
}

/* ── servers ───────────────────────────────────────────────────────────── */

/* What a failure means: the client's answer, the log's words, the server's counter, the word of `retry.on`. */
static const struct {
        unsigned status;
        enum exchange_end end;
        enum server_outcome outcome;
        unsigned retry;
} proxy_failures[] = {
        [H1_UPSTREAM_CONNECT] = {502, EXCHANGE_END_SERVER_CONNECT, SERVER_FAILED_CONNECT, FARM_RETRY_CONNECT},
        [H1_UPSTREAM_CONNECT_TIMEOUT] = {504, EXCHANGE_END_SERVER_CONNECT, SERVER_FAILED_CONNECT, FARM_RETRY_CONNECT},
        [H1_UPSTREAM_CLOSED] = {502, EXCHANGE_END_SERVER_FIRST_BYTE, SERVER_FAILED_RESET, FARM_RETRY_NO_RESPONSE},
        [H1_UPSTREAM_FIRST_BYTE] = {504, EXCHANGE_END_SERVER_FIRST_BYTE, SERVER_FAILED_FIRST_BYTE, FARM_RETRY_FIRST_BYTE},
        [H1_UPSTREAM_MALFORMED] = {502, EXCHANGE_END_SERVER_FIRST_BYTE, SERVER_FAILED_RESPONSE, FARM_RETRY_RESPONSE},
        [H1_UPSTREAM_TRUNCATED] = {502, EXCHANGE_END_SERVER_RESPONSE, SERVER_FAILED_RESET, 0},
        [H1_UPSTREAM_IDLE] = {504, EXCHANGE_END_SERVER_RESPONSE, SERVER_FAILED_RESET, 0},
        [H1_UPSTREAM_MEMORY] = {500, EXCHANGE_END_PROXY_LIMIT, SERVER_ABANDONED, 0},
};

static bool proxy_tries_left(const struct proxy *p) {
        return p->n_tried + 1 < MIN(p->conf->farm->settings.tries, (unsigned)PROXY_TRIED_MAX);
}

static void proxy_count_retry(struct proxy *p) {
        server_retried(p->server, &p->x->thread->farm_lane);
        p->tried[p->n_tried++] = p->server;
        p->x->retries++;
}

/* The attempt failed. Returns whether to make another; otherwise the client has been told. */
static bool proxy_failed(struct proxy *p, enum h1_upstream_failure f, const char *why, bool stale) {
        bool repeat = f == H1_UPSTREAM_CONNECT || f == H1_UPSTREAM_CONNECT_TIMEOUT ? !p->x->head_sent : proxy_may_repeat(p);
        bool again = false;

        p->last = f;
        p->last_why = why;
        if (repeat && stale && !p->stale_retried) {
                p->stale_retried = again = true;
        } else if (repeat && proxy_tries_left(p) && (p->conf->farm->settings.retry_on & proxy_failures[f].retry)) {
                proxy_count_retry(p);
                again = true;
        }
        proxy_leave(p, stale ? SERVER_ABANDONED : proxy_failures[f].outcome, p->x->head_sent ? p->x->status : 0);
        if (!again)
                proxy_give_up(p, proxy_failures[f].status, proxy_failures[f].end, why);
        return again;
}

static void proxy_use(struct proxy *p, const struct farm_member *m) {
        p->server = m->server;
        p->x->server = m->server->name;
        server_begin(p->server, &p->x->thread->farm_lane);
}

static const struct farm_member *proxy_pick(struct proxy *p, enum farm_pick_result *ret) {
        struct web_thread *t = p->x->thread;
        const struct farm_member *m = NULL;

        *ret = farm_pick(p->conf->farm, &t->farm_lane, loop_now(t->loop), p->tried, p->n_tried, &m);
        return *ret == FARM_PICKED ? m : NULL;
}

/* m: the server to ask; NULL: one is picked. */
static void proxy_try(struct proxy *p, const struct farm_member *m, bool fresh) {
        struct exchange *x = p->x;

        do {
                enum farm_pick_result r = FARM_PICKED;

                if (!m)
                        m = proxy_pick(p, &r);
                if (!m && r == FARM_ALL_TRIED && p->n_tried > 0) {
                        proxy_give_up(p, proxy_failures[p->last].status, proxy_failures[p->last].end, p->last_why);
                        return;
                }
                if (!m) {
                        proxy_give_up(p, 503, EXCHANGE_END_SERVER_CONNECT, "no server of the farm is up");
                        return;
                }
                proxy_use(p, m);
                m = NULL;
                p->u = h1_upstream_get(x->thread, p->server, &p->conf->farm->settings, fresh, &proxy_upstream_ops, p);
                if (p->u) {
                        if (p->u->reused)
                                proxy_send_request(p);
                        return;
                }
        } while (proxy_failed(p, H1_UPSTREAM_CONNECT, "no connection can be made", false));
}

static void proxy_on_fail(void *user, enum h1_upstream_failure f, const char *why) {
        struct proxy *p = user;
        bool stale = f == H1_UPSTREAM_CLOSED && p->u->reused && !p->u->acc;

        if (p->tunnel && f == H1_UPSTREAM_IDLE) {
                proxy_close_tunnel(p); /* it has been quiet for as long as it may: an end like others */
                return;
        }
        /* the text may be the connection's, which goes */
        why = arena_str(p->x->arena, str_of(why)).p;
        if (!p->request_ended)
                exchange_body_stop(p->x);
        if (proxy_failed(p, f, why ? why : "out of memory", stale))
                proxy_try(p, NULL, stale);
}

/* ── from the server ───────────────────────────────────────────────────── */

/* A status that `retry.on` names, another server at hand, and nothing against asking again: it is asked. */
static bool proxy_retries_status(struct proxy *p, unsigned status) {
        const struct farm_member *m;
        enum farm_pick_result r;

        if (!farm_retries_status(p->conf->farm, status) || !proxy_may_repeat(p) || !proxy_tries_left(p))
                return false;
        p->tried[p->n_tried++] = p->server;
        m = proxy_pick(p, &r);
        p->n_tried--;
        if (!m)
                return false;
        if (!p->request_ended)
                exchange_body_stop(p->x);
        proxy_count_retry(p);
        h1_upstream_drop(p->u);
        proxy_leave(p, SERVER_OK, status);
        proxy_try(p, m, false);
        return true;
}

static void proxy_interim(struct proxy *p, const struct http_response *res) {
        const struct exchange_head head = {
                .status = res->status, .fields = res->fields.v, .n_fields = res->fields.n, .lines = res->fields.lines, .reason = res->reason};

        if (res->status == 100)
                proxy_continue(p);
        else if (++p->n_interim <= PROXY_INTERIM_MAX)
                exchange_respond(p->x, &head);
}

static void proxy_on_head(void *user, const struct http_response *res) {
        struct proxy *p = user;
        struct exchange *x = p->x;
        struct exchange_head head = {
                .status = res->status,
                .framing = res->framing == HTTP_BODY_CLOSE ? HTTP_BODY_CHUNKED : res->framing,
                .content_length = res->content_length,
                .fields = res->fields.v,
                .n_fields = res->fields.n,
                .lines = res->fields.lines,
                .reason = res->reason,
        };

        if (res->status < 200 && res->status != 101) {
                proxy_interim(p, res);
                return;
        }
        timer_stop(x->thread->loop, &p->await_continue);
        if (proxy_retries_status(p, res->status))
                return;
        x->at_first_byte = loop_now(x->thread->loop);
        server_first_byte(p->server, &x->thread->farm_lane, x->at_first_byte - p->at_sent);
        if (res->framing == HTTP_BODY_NONE && res->has_content_length)
                head.framing = HTTP_BODY_LENGTH; /* what a GET would have got */
        exchange_respond(x, &head);
        proxy_release_held(p);
        p->body_lost = true;
        if (res->status == 101) {
                p->tunnel = true;
                p->request_ended = false;
        }
}

static void proxy_on_data(void *user, struct slice data) {
        struct proxy *p = user;

        exchange_send(p->x, &data, 1, false);
        if (!p->no_splice && h1_upstream_spliceable(p->u) > 0) {
                p->splice_due = true;
                h1_upstream_pause(p->u);
        } else if (p->x->stream->queued(p->x) > PROXY_QUEUE_HIGH) {
                h1_upstream_pause(p->u);
        }
}

/* The way to the client is free: the long rest of the body goes from socket to socket. One attempt for a response. */
static bool proxy_splice(struct proxy *p) {
        uint64_t n;
        struct sock *to;

        if (!p->splice_due)
                return false;
        n = h1_upstream_spliceable(p->u);
        p->splice_due = false;
        p->no_splice = true;
        to = n > 0 ? p->x->stream->splice(p->x, &p->u->sock, n) : NULL;
        if (!to)
                return false;
        h1_upstream_splice_begin(p->u, to);
        p->splicing = true;
        return true;
}

/*
 * Servers are known that leave the body of a GET unread and take it for their next request, or that send a body with the answer to
 * a HEAD. Their next response would then be somebody else's, so such a connection gets no other request.
 */
static bool proxy_may_reuse(const struct http_request *q) {
        bool has_body = q->framing == HTTP_BODY_CHUNKED || (q->framing == HTTP_BODY_LENGTH && q->content_length > 0);

        switch (q->method) {
        case HTTP_HEAD:
                return false;
        case HTTP_GET:
        case HTTP_DELETE:
        case HTTP_OPTIONS:
                return !has_body;
        default:
                return true;
        }
}

static void proxy_on_end(void *user, const struct http_fields *trailers) {
        struct proxy *p = user;
        struct h1_upstream *u = p->u;

        if (trailers)
                exchange_trailers(p->x, trailers);
        proxy_leave(p, SERVER_OK, p->x->status);
        proxy_finish(p);
        if (proxy_may_reuse(&p->x->req))
                h1_upstream_release(u);
        else
                h1_upstream_drop(u);
        exchange_send(p->x, NULL, 0, true);
}

static const struct h1_upstream_user_ops proxy_upstream_ops = {
        .on_ready = proxy_on_ready,
        .on_head = proxy_on_head,
        .on_data = proxy_on_data,
        .on_end = proxy_on_end,
        .on_fail = proxy_on_fail,
        .on_sent = proxy_on_upstream_sent,
};

/* ── the handler ───────────────────────────────────────────────────────── */

/* The client's last stop is this proxy: it gets what we say of ourselves. */
static void proxy_answer_last_hop(struct exchange *x) {
        const struct http_field allow = {
                .name = STR("Allow"), .value = STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), .id = HTTP_FIELD_ALLOW};

        x->handler = NULL;
        if (x->req.method == HTTP_OPTIONS)
                exchange_reply(x, 204, &allow, 1, (struct str){NULL, 0});
        else
                exchange_reply(x, 405, &allow, 1, STR("TRACE ends here, and is not answered"));
}

static void proxy_start(struct exchange *x) {
        struct proxy *p;
        uint64_t hops;

        if (proxy_max_forwards(x, &hops) && hops == 0) {
                proxy_answer_last_hop(x);
                return;
        }
        p = arena_zalloc(x->arena, sizeof(*p));
        if (!p) {
                x->handler = NULL;
                exchange_fail(x, 500, EXCHANGE_END_PROXY_LIMIT, "out of memory");
                return;
        }
        p->x = x;
        p->conf = x->route->conf;
        p->await_continue.fire = proxy_on_continue_timer;
        p->request_ended = x->body_ended;
        x->state = p;
        x->farm = p->conf->farm->name;
        proxy_try(p, NULL, false);
}

static void proxy_on_sent(struct exchange *x) {
        struct proxy *p = proxy_of(x);

        if (!p->u)
                return;
        if (p->splicing) {
                p->splicing = false;
                h1_upstream_spliced(p->u, x->spliced);
        } else if (!proxy_splice(p)) {
                h1_upstream_resume(p->u);
        }
}

static void proxy_on_done(struct exchange *x) {
        assert(proxy_of(x)->over);
}

static void proxy_on_abort(struct exchange *x) {
        struct proxy *p = proxy_of(x);

        if (p->over)
                return;
        if (p->u) {
                h1_upstream_drop(p->u);
                proxy_leave(p, SERVER_ABANDONED, x->head_sent ? x->status : 0);
        }
        proxy_finish(p);
}

const struct handler_ops proxy_handler = {
        .name = "proxy",
        .start = proxy_start,
        .on_body = proxy_on_body,
        .on_sent = proxy_on_sent,
        .on_done = proxy_on_done,
        .on_abort = proxy_on_abort,
};

/* ── configuration ─────────────────────────────────────────────────────── */

int proxy_route_build(struct web_config *w, const struct conf_node *route, struct farm_set *farms, void **ret_conf,
                      char **ret_why) {
        const struct conf_node *target = conf_get(route, "proxy");
        struct proxy_conf *c = arena_zalloc(&w->arena, sizeof(*c));

        if (!c)
                return -ENOMEM;
        if (target->kind == CONF_SCALAR)
                c->farm = farm_set_find(farms, target->text);
        else
                c->farm = farm_set_find_in_place(farms, route->parent->parent->key, route->key);
        if (!c->farm) {
                if (asprintf(ret_why, "line %u: there is no farm for this route", target->start.line) < 0)
                        *ret_why = NULL;
                return -ENOENT;
        }
        c->first_byte_timeout = c->farm->settings.first_byte_timeout;
        c->idle_timeout = c->farm->settings.idle_timeout;
        if (conf_get(route, "timeouts.first_byte"))
                c->first_byte_timeout = conf_duration(route, "timeouts.first_byte");
        if (conf_get(route, "timeouts.idle"))
                c->idle_timeout = conf_duration(route, "timeouts.idle");
        *ret_conf = c;
        return 0;
}

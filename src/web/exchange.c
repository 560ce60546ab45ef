/* SPDX-License-Identifier: Apache-2.0 */

/* Routing, plain answers, and the books of an exchange: what every wire format and every handler share. */

#include "web/exchange.h"

#include <errno.h>
#include <string.h>

#include "web/access_log.h"
#include "web/http/path.h"
#include "web/thread.h"
#include "web/web_internal.h"

/* ── routing ───────────────────────────────────────────────────────────── */

static void exchange_refuse(struct exchange *x, unsigned status, enum exchange_end end, const char *why, int word) {
        if (x->site && word >= 0)
                counter_add(&web_thread_site(x->thread, x->site)[word], 1);
        exchange_fail(x, status, end, why);
}

/* Takes the route's prefix off; the path keeps its leading slash. */
static void exchange_strip(struct exchange *x) {
        struct str strip = x->route->strip;

        while (strip.n > 0 && strip.p[strip.n - 1] == '/')
                strip.n--;
        if (strip.n == 0 || !str_starts(x->path, strip))
                return;
        if (x->path.n == strip.n)
                x->path = STR("/");
        else if (x->path.p[strip.n] == '/')
                x->path = (struct str){x->path.p + strip.n, x->path.n - strip.n};
}

/* OPTIONS * asks about the server itself (RFC 9110 9.3.7). */
static void exchange_options(struct exchange *x) {
        const struct http_field allow = {
                .name = STR("Allow"), .value = STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), .id = HTTP_FIELD_ALLOW};

        exchange_reply(x, 204, &allow, 1, (struct str){NULL, 0});
}

static int exchange_path(struct exchange *x) {
        /* nearly all paths are as they should be, and need no memory */
        char *out = memchr(x->req.path.p, '%', x->req.path.n) || memchr(x->req.path.p, '.', x->req.path.n)
                            ? arena_alloc(x->arena, x->req.path.n)
                            : (char *)(uintptr_t)x->req.path.p;

        return out ? http_path_normalize(x->req.path, out, &x->path) : -ENOMEM;
}

static bool exchange_is_websocket(const struct exchange *x) {
        const struct http_field *f;

        if (!x->req.upgrade || x->req.method != HTTP_GET || x->req.framing != HTTP_BODY_NONE)
                return false;
        f = http_fields_find(&x->req.fields, HTTP_FIELD_UPGRADE);
        return f && str_ieq(f->value, STR("websocket"));
}

/*
 * Many servers, and our own folders, take a run of slashes for one. So that "//admin/" is no way around the route
 * "/admin/", routes are chosen as if there were one; the path keeps its runs where they lead to the same route.
 */
static int exchange_route(struct exchange *x) {
        const struct route *plain;
        struct str path = {NULL, 0};
        char *p;

        x->route = site_route(x->site, x->path);
        if (!memmem(x->path.p, x->path.n, "//", 2))
                return 0;
        path.p = p = arena_alloc(x->arena, x->path.n);
        if (!p)
                return -ENOMEM;
        for (size_t i = 0; i < x->path.n; i++)
                if (x->path.p[i] != '/' || i == 0 || x->path.p[i - 1] != '/')
                        p[path.n++] = x->path.p[i];
        plain = site_route(x->site, path);
        if (plain != x->route) {
                x->route = plain;
                x->path = path;
        }
        return 0;
}

void exchange_begin(struct exchange *x, const struct web_listen *listen) {
        int r;

        x->id = web_thread_request_id(x->thread);
        x->site = listen ? web_listen_site(listen, x->req.host) : NULL;
        if (!x->site) {
                counter_add(&x->thread->words[WORKER_NO_SITE], 1);
                exchange_refuse(x, 404, EXCHANGE_END_PROXY_RULE, "no site for this host", -1);
                return;
        }
        counter_add(&web_thread_site(x->thread, x->site)[SITE_IN_FLIGHT], 1);
        x->counted = true;
        if (x->req.method == HTTP_CONNECT) {
                exchange_refuse(x, 405, EXCHANGE_END_PROXY_RULE, "CONNECT is not offered", SITE_REJECTED_METHOD);
                return;
        }
        if (x->req.path.n == 1 && x->req.path.p[0] == '*') {
                exchange_options(x);
                return;
        }
        r = exchange_path(x);
        if (r == -ENOMEM) {
                exchange_refuse(x, 500, EXCHANGE_END_PROXY_LIMIT, "out of memory", -1);
                return;
        }
        if (r < 0) {
                exchange_refuse(x, 400, EXCHANGE_END_CLIENT_REQUEST, "the path is not valid", SITE_REJECTED_PATH);
                return;
        }
        if (x->req.framing == HTTP_BODY_LENGTH && x->req.content_length > x->thread->generation->config->limits.body) {
                exchange_refuse(x, 413, EXCHANGE_END_PROXY_LIMIT, "request body is larger than limits.body",
                                SITE_REJECTED_TOO_LARGE);
                return;
        }
        if (exchange_route(x) < 0) {
                exchange_refuse(x, 500, EXCHANGE_END_PROXY_LIMIT, "out of memory", -1);
                return;
        }
        if (!x->route) {
                exchange_refuse(x, 404, EXCHANGE_END_PROXY_RULE, "no route for this path", SITE_REJECTED_NO_ROUTE);
                return;
        }
        exchange_strip(x);
        x->websocket = exchange_is_websocket(x);
        x->handler = x->route->handler;
        x->handler->start(x);
}

/* ── books ─────────────────────────────────────────────────────────────── */

void exchange_finish(struct exchange *x) {
        struct web_thread *t = x->thread;
        nsec_t took = loop_now(t->loop) - x->at_begin;

        if (x->site) {
                uint64_t *words = web_thread_site(t, x->site);

                if (x->counted)
                        counter_sub(&words[SITE_IN_FLIGHT], 1);
                if (x->status != 0)
                        counter_add(&words[site_word_of_status(x->status)], 1);
                counter_add(&words[site_word_of_end(x->end)], 1);
                counter_add(&words[SITE_REQUEST_BYTES], x->bytes_in);
                counter_add(&words[SITE_RESPONSE_BYTES], x->bytes_out);
                counter_add(&words[site_word_of_duration(took)], 1);
                counter_add(&words[SITE_DURATION_SUM], took);
        }
        if (t->web->access_log)
                access_log_write(t->web->access_log, t->lane, x);
}

/* ── answering ─────────────────────────────────────────────────────────── */

void exchange_respond(struct exchange *x, const struct exchange_head *head) {
        if (head->status >= 200 || head->status == 101) {
                x->status = head->status;
                x->head_sent = true;
        }
        x->stream->send_head(x, head);
}

void exchange_send(struct exchange *x, const struct slice *v, unsigned n, bool end) {
        x->stream->send(x, v, n, end);
}

void exchange_send_file(struct exchange *x, int fd, uint64_t offset, uint64_t n, bool end) {
        x->stream->send_file(x, fd, offset, n, end);
}

void exchange_trailers(struct exchange *x, const struct http_fields *trailers) {
        x->stream->trailers(x, trailers);
}

void exchange_body_start(struct exchange *x) {
        x->stream->body_start(x);
}

void exchange_body_stop(struct exchange *x) {
        x->stream->body_stop(x);
}

void exchange_reply(struct exchange *x, unsigned status, const struct http_field *fields, unsigned n_fields, struct str body) {
        struct http_field all[8] = {{.name = STR("Content-Type"),
                                     .value = STR("text/plain; charset=utf-8"),
                                     .id = HTTP_FIELD_CONTENT_TYPE}};
        bool bodyless = status == 204 || status == 304;
        struct exchange_head head = {
                .status = status,
                .framing = bodyless ? HTTP_BODY_NONE : HTTP_BODY_LENGTH,
                .content_length = body.n + 1,
                .fields = all,
                .n_fields = bodyless ? 0 : 1,
        };
        const struct slice text[] = {{NULL, body.p, body.n}, {NULL, "\n", 1}};

        for (unsigned i = 0; i < n_fields && head.n_fields < ARRAY_SIZE(all); i++)
                all[head.n_fields++] = fields[i];
        exchange_respond(x, &head);
        exchange_send(x, text, bodyless ? 0 : 2, true);
}

void exchange_fail(struct exchange *x, unsigned status, enum exchange_end end, const char *why) {
        if (x->end == EXCHANGE_END_OK) {
                x->end = end;
                x->why = why;
        }
        if (x->head_sent) {
                x->stream->abort(x);
                return;
        }
        exchange_reply(x, status, NULL, 0, http_status_text(status));
}

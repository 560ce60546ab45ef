/* SPDX-License-Identifier: Apache-2.0 */

/*
 * One exchange on a client's HTTP/1 connection: the response is composed here (RFC 9112), sent at the end of the loop's round, so
 * that head, body and what else came in the same round leave in one send.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "web/http1/server_internal.h"
#include "web/http1/server.h"
#include "web/http1/write.h"

enum {
        H1_STREAMS_KEPT = 1024,    /* per thread */
        H1_ARENA_BLOCK = 4000,     /* head, fields and the handler's state of an ordinary request */
        H1_TRAILERS_MAX = 64,
        H1_DISCARD_MAX = 64 << 10, /* a request body up to here is read only to keep the connection */
};

static struct h1_stream *h1_stream_of(const struct exchange *x) {
        return CONTAINER_OF((struct exchange *)(uintptr_t)x, struct h1_stream, x);
}

/* ── life ──────────────────────────────────────────────────────────────── */

static void h1_stream_flush_task(struct task *t);

static struct h1_stream *h1_stream_alloc(void) {
        struct h1_stream *s = calloc(1, sizeof(*s));

        if (!s)
                return NULL;
        arena_init(&s->arena, H1_ARENA_BLOCK);
        s->flush.run = h1_stream_flush_task;
        return s;
}

static void h1_stream_destroy(struct h1_stream *s) {
        h1_out_clear(&s->out, true);
        arena_deinit(&s->arena);
        free(s);
}

struct h1_stream *h1_stream_new(struct h1_conn *c) {
        struct web_thread *t = c->thread;
        struct h1_stream *s = t->free_streams;

        if (s) {
                t->free_streams = s->next_free;
                t->n_free_streams--;
        } else {
                s = h1_stream_alloc();
                if (!s)
                        return NULL;
        }
        memset(&s->x, 0, sizeof(s->x));
        s->x.req.fields.v = t->generation->fields;
        s->x.req.fields.max = t->generation->http1.fields;
        s->conn = c;
        return s;
}

void h1_stream_free(struct h1_stream *s) {
        struct web_thread *t = s->conn->thread;

        h1_body_deinit(&s->body);
        s->head = buf_unref(s->head);
        h1_out_clear(&s->out, false);
        arena_reset(&s->arena);
        s->generation = s->generation ? thread_generation_unref(s->generation) : NULL;
        s->conn = NULL;
        if (t->n_free_streams >= H1_STREAMS_KEPT && !s->flush.queued) {
                h1_stream_destroy(s);
                return;
        }
        /* everything of the exchange; what stays is memory for the next one */
        s->trailers.n = 0;
        s->body_wanted = s->body_started = s->continue_due = s->chunked = s->no_body = s->close_after = s->over = s->discard = s->cut = s->tunnel = false;
        s->left_known = false;
        s->left = 0;
        s->body_deadline = s->write_deadline = 0;
        s->next_free = t->free_streams;
        t->free_streams = s;
        t->n_free_streams++;
}

void h1_streams_free(struct web_thread *t) {
        while (t->free_streams) {
                struct h1_stream *s = t->free_streams;

                t->free_streams = s->next_free;
                h1_stream_destroy(s);
        }
        t->n_free_streams = 0;
}

/* Many requests come from one connection, and printing an address costs as much as the rest of a head. */
static struct str h1_conn_peer_text(struct h1_conn *c, const struct addr *peer) {
        if (c->peer_text_n == 0) {
                char text[ADDR_TEXT_MAX];
                size_t n = addr_format_host(peer, text);

                c->peer_text_n = (uint8_t)MIN(n, sizeof(c->peer_text));
                memcpy(c->peer_text, text, c->peer_text_n);
        }
        return (struct str){c->peer_text, c->peer_text_n};
}

static void h1_stream_setup(struct h1_stream *s) {
        struct h1_conn *c = s->conn;
        struct exchange *x = &s->x;

        h1_out_init(&s->out, c->thread, &c->sock);
        s->generation = thread_generation_ref(c->thread->generation);
        s->client.len = c->peer_len;
        memcpy(&s->client.sa, &c->peer.sa, MIN((size_t)c->peer_len, sizeof(c->peer)));
        x->arena = &s->arena;
        x->thread = c->thread;
        x->stream = &h1_stream_ops;
        x->client = &s->client;
        x->client_text = h1_conn_peer_text(c, &s->client);
        x->local = &c->port->addr;
        x->at_begin = c->head_begin;
        x->at_head = loop_now(c->thread->loop);
        x->body_ended = s->body.ended;
}

void h1_stream_begin(struct h1_stream *s) {
        h1_stream_setup(s);
        s->continue_due = s->x.req.expect_continue && !s->body.ended;
        exchange_begin(&s->x, s->conn->port->hosts);
}

void h1_stream_abort(struct h1_stream *s, enum exchange_end end, const char *why) {
        if (s->over)
                return;
        s->over = true;
        if (s->x.end == EXCHANGE_END_OK) {
                s->x.end = end;
                s->x.why = why;
        }
        if (h1_out_splicing(&s->out))
                s->x.bytes_out += sock_spliced(&s->conn->sock);
        if (s->x.handler)
                s->x.handler->on_abort(&s->x);
        exchange_finish(&s->x);
}

void h1_stream_refuse(struct h1_stream *s, unsigned status, const char *why) {
        if (!s->x.stream) {
                /* nothing of the head can be trusted */
                s->x.req = (struct http_request){.minor = 1, };
                s->body.ended = false; /* nor where it ends */
                h1_stream_setup(s);
        }
        s->x.handler = NULL;
        s->x.why = why;
        s->close_after = true;
        exchange_reply(&s->x, status, NULL, 0, str_of(why));
}

/* ── composing ─────────────────────────────────────────────────────────── */

static size_t h1_head_size(const struct exchange_head *h) {
        return 256 + h->reason.n + h1_fields_size(h->fields, h->n_fields, h->lines);
}

static char *h1_put_status(char *p, const struct exchange_head *h) {
        p = H1_PUT(p, "HTTP/1.1 ");
        *p++ = (char)('0' + h->status / 100);
        *p++ = (char)('0' + h->status / 10 % 10);
        *p++ = (char)('0' + h->status % 10);
        *p++ = ' ';
        p = h1_put(p, h->reason.n > 0 ? h->reason : http_status_text(h->status));
        return H1_PUT(p, "\r\n");
}

static void h1_stream_flush_soon(struct h1_stream *s) {
        if (!s->flush.queued)
                web_thread_defer(s->conn->thread, &s->flush);
}

static void h1_send_interim(struct h1_stream *s, const struct exchange_head *h) {
        bool date = false;
        char *room, *p;

        if (s->x.req.minor == 0)
                return; /* RFC 9110 15.2: not to a 1.0 client */
        if (h->status == 100) {
                if (!s->continue_due)
                        return;
                s->continue_due = false;
        }
        room = p = h1_out_room(&s->out, h1_head_size(h));
        if (!room)
                return;
        p = h1_put_status(p, h);
        p = h1_put_fields(p, h->fields, h->n_fields, h->lines, &date);
        p = H1_PUT(p, "\r\n");
        h1_out_commit(&s->out, (size_t)(p - room));
        h1_stream_flush_soon(s);
}

/* RFC 9110 15.2.2: the connection is the handler's, byte by byte, from here on. */
static void h1_send_switch(struct h1_stream *s, const struct exchange_head *h) {
        bool date = false;
        char *room, *p;

        room = p = h1_out_room(&s->out, h1_head_size(h));
        if (room) {
                p = h1_put_status(p, h);
                p = h1_put_fields(p, h->fields, h->n_fields, h->lines, &date);
                p = H1_PUT(p, "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
                h1_out_commit(&s->out, (size_t)(p - room));
        }
        s->tunnel = s->close_after = s->body_wanted = s->body_started = true;
        h1_body_deinit(&s->body);
        h1_body_init(&s->body, HTTP_BODY_CLOSE, 0);
        s->x.body_ended = false;
        s->conn->state = H1_BODY;
        h1_stream_flush_soon(s);
}

/* What becomes of a request body that is not here yet when the response begins. */
static void h1_settle_body(struct h1_stream *s) {
        if (s->body.ended || (s->body_started && s->x.end == EXCHANGE_END_OK))
                return; /* here, or still of use to the handler */
        if (!s->continue_due && s->body.framing == HTTP_BODY_LENGTH && s->body.left <= H1_DISCARD_MAX)
                s->discard = true;
        else
                s->close_after = true;
}

static void h1_send_head(struct exchange *x, const struct exchange_head *h) {
        struct h1_stream *s = h1_stream_of(x);
        struct web_thread *t = s->conn->thread;
        bool date = false, bodyless = h->status == 204 || h->status == 304;
        char *room, *p;

        if (h->status == 101) {
                h1_send_switch(s, h);
                return;
        }
        if (h->status < 200) {
                h1_send_interim(s, h);
                return;
        }
        h1_settle_body(s);
        s->no_body = bodyless || x->req.method == HTTP_HEAD;
        s->chunked = h->framing == HTTP_BODY_CHUNKED && x->req.minor >= 1 && !s->no_body;
        if (h->close || !x->req.keep_alive || t->draining || !s->conn->port->hosts ||
            (h->framing == HTTP_BODY_CHUNKED && !s->chunked && !s->no_body))
                s->close_after = true;
        s->left_known = h->framing != HTTP_BODY_CHUNKED && !s->no_body;
        s->left = h->framing == HTTP_BODY_LENGTH ? h->content_length : 0;

        room = p = h1_out_room(&s->out, h1_head_size(h));
        if (!room) {
                s->cut = true;
                h1_stream_flush_soon(s);
                return;
        }
        p = h1_put_status(p, h);
        p = h1_put_fields(p, h->fields, h->n_fields, h->lines, &date);
        if (!date) {
                p = H1_PUT(p, "Date: ");
                p = h1_put(p, web_thread_date(t));
                p = H1_PUT(p, "\r\n");
        }
        if (h->status == 204) {
                /* RFC 9110 8.6: no Content-Length, though servers are known that say 0 */
        } else if (h->framing == HTTP_BODY_LENGTH || (h->framing == HTTP_BODY_NONE && !s->no_body)) {
                p = h1_put_length(p, h->framing == HTTP_BODY_LENGTH ? h->content_length : 0);
        } else if (s->chunked) {
                p = H1_PUT(p, "Transfer-Encoding: chunked\r\n");
        }
        if (s->close_after)
                p = H1_PUT(p, "Connection: close\r\n");
        else if (x->req.minor == 0)
                p = H1_PUT(p, "Connection: keep-alive\r\n");
        p = H1_PUT(p, "\r\n");
        h1_out_commit(&s->out, (size_t)(p - room));
        h1_stream_flush_soon(s);
        /* the body that was not wanted may be waiting already */
        if (s->discard)
                h1_conn_process(s->conn);
}

/* Whether `n` bytes more fit what the head announced. */
static bool h1_account(struct h1_stream *s, uint64_t n) {
        s->x.bytes_out += n;
        if (!s->left_known)
                return true;
        if (n > s->left)
                return false;
        s->left -= n;
        return true;
}

static void h1_finish_body(struct h1_stream *s) {
        s->x.end_sent = true;
        if (s->chunked)
                h1_write_last_chunk(&s->out, &s->trailers);
        if ((s->left_known && s->left > 0) || s->out.failed)
                s->cut = true; /* shorter than announced: the client must not take it for the whole */
}

static void h1_send(struct exchange *x, const struct slice *v, unsigned n, bool end) {
        struct h1_stream *s = h1_stream_of(x);
        uint64_t sum = 0;

        for (unsigned i = 0; i < n; i++)
                sum += v[i].n;
        if (s->no_body || s->cut || !h1_account(s, sum)) {
                s->cut |= !s->no_body;
                for (unsigned i = 0; i < n; i++)
                        buf_unref(v[i].buf);
        } else if (sum > 0) {
                if (s->chunked)
                        h1_write_chunk_begin(&s->out, sum);
                for (unsigned i = 0; i < n; i++)
                        h1_out_slice(&s->out, v[i]);
                if (s->chunked)
                        h1_write_chunk_end(&s->out);
        } else {
                for (unsigned i = 0; i < n; i++)
                        buf_unref(v[i].buf);
        }
        if (end)
                h1_finish_body(s);
        h1_stream_flush_soon(s);
}

static void h1_send_file(struct exchange *x, int fd, uint64_t offset, uint64_t n, bool end) {
        struct h1_stream *s = h1_stream_of(x);

        if (!s->no_body && !s->cut) {
                if (!h1_account(s, n)) {
                        s->cut = true;
                } else if (n > 0) {
                        if (s->chunked)
                                h1_write_chunk_begin(&s->out, n);
                        h1_out_file(&s->out, fd, offset, n);
                        if (s->chunked)
                                h1_write_chunk_end(&s->out);
                }
        }
        if (end)
                h1_finish_body(s);
        h1_stream_flush_soon(s);
}

static struct sock *h1_splice(struct exchange *x, struct sock *from, uint64_t n) {
        struct h1_stream *s = h1_stream_of(x);

        if (!s->left_known || n > s->left || s->cut || s->out.n > 0)
                return NULL;
        h1_out_splice(&s->out, from, (size_t)n);
        h1_stream_flush_soon(s);
        return &s->conn->sock;
}

static void h1_set_trailers(struct exchange *x, const struct http_fields *trailers) {
        struct h1_stream *s = h1_stream_of(x);

        /* the sender's memory may go before we write: into the arena */
        s->trailers.v = arena_alloc(&s->arena, trailers->n * sizeof(*trailers->v));
        s->trailers.n = 0;
        for (unsigned i = 0; s->trailers.v && i < trailers->n; i++) {
                struct http_field f = trailers->v[i];

                f.name = arena_str(&s->arena, f.name);
                f.value = arena_str(&s->arena, f.value);
                if (!f.name.p || !f.value.p)
                        break;
                s->trailers.v[s->trailers.n++] = f;
        }
}

static size_t h1_queued(const struct exchange *x) {
        return h1_stream_of(x)->out.bytes;
}

/* ── request body ──────────────────────────────────────────────────────── */

static void h1_body_start(struct exchange *x) {
        struct h1_stream *s = h1_stream_of(x);

        if (s->body.ended || s->over || s->body_wanted)
                return;
        if (s->continue_due) {
                const struct exchange_head go_on = {.status = 100};

                h1_send_interim(s, &go_on);
        }
        s->body_wanted = s->body_started = true;
        s->body_deadline = 0;
        /* not from here: the handler may be inside a call of its own */
        h1_stream_flush_soon(s);
}

static void h1_body_stop(struct exchange *x) {
        struct h1_stream *s = h1_stream_of(x);

        s->body_wanted = false;
        s->body_deadline = 0;
        sock_recv_stop(&s->conn->sock);
}

static const struct http_fields *h1_request_trailers(struct exchange *x) {
        struct h1_stream *s = h1_stream_of(x);
        struct http_fields f = {.max = H1_TRAILERS_MAX};

        if (s->body.framing != HTTP_BODY_CHUNKED || !s->body.ended || !s->body.chunked.trailer)
                return NULL;
        f.v = arena_alloc(&s->arena, f.max * sizeof(*f.v));
        if (!f.v || http1_chunked_trailers(&s->body.chunked, &f) < 0 || f.n == 0)
                return NULL;
        s->request_trailers = f;
        return &s->request_trailers;
}

/* ── bytes out ─────────────────────────────────────────────────────────── */

static void h1_stream_cut(struct h1_stream *s) {
        /* where only the end of the connection ends the body, an orderly end would look like a whole one */
        bool reset = s->x.head_sent && !s->chunked && !s->left_known && !s->no_body && !s->tunnel;

        h1_conn_abort(s->conn, s->x.end == EXCHANGE_END_OK ? EXCHANGE_END_SERVER_RESPONSE : s->x.end,
                      s->x.why ? s->x.why : "the response could not be completed", reset);
}

static void h1_stream_finished(struct h1_stream *s) {
        struct h1_conn *c = s->conn;

        if (!s->over) {
                s->over = true;
                if (s->x.handler)
                        s->x.handler->on_done(&s->x);
                exchange_finish(&s->x);
        }
        if (!s->body.ended && !s->close_after && c->state == H1_BODY && s->body.framing == HTTP_BODY_LENGTH &&
            s->body.left <= H1_DISCARD_MAX) {
                /* the rest of the body is on its way: once it is through, the connection goes on */
                s->discard = true;
                h1_conn_process(c);
                return;
        }
        h1_conn_stream_done(c, !s->close_after && s->body.ended);
}

static void h1_stream_flush_task(struct task *t) {
        struct h1_stream *s = CONTAINER_OF(t, struct h1_stream, flush);
        struct h1_conn *c = s->conn;

        if (!c || c->state == H1_CLOSED)
                return;
        if (c->state == H1_BODY && s->body_wanted && !s->over)
                h1_conn_process(c);
        if (s->conn != c || c->state == H1_CLOSED)
                return;
        if (s->out.failed)
                s->cut = true;
        if (s->out.n_flying > 0)
                return;
        if (s->out.n == 0) {
                if (s->cut && !s->over)
                        h1_stream_cut(s);
                else if (s->x.end_sent && !s->over)
                        h1_stream_finished(s);
                return;
        }
        s->out.last = s->x.end_sent && s->close_after && !s->cut && !s->tunnel;
        h1_out_flush(&s->out);
        if (s->write_deadline == 0) {
                nsec_t timeout = s->generation->config->limits.write_timeout;

                /* half way for a first look at what the client has taken, the rest to judge (h1_stream_timeout()) */
                s->acked = UINT64_MAX;
                s->write_deadline = timeout == NSEC_INFINITY ? NSEC_INFINITY : loop_now(c->thread->loop) + timeout / 2;
                if (s->write_deadline < c->deadline)
                        h1_conn_set_deadline(c, s->write_deadline);
        }
}

void h1_stream_sent(struct h1_stream *s, int result) {
        if (UNLIKELY(result == -EMFILE || result == -ENFILE) && h1_out_splicing(&s->out))
                result = 0; /* no pipe: nothing was moved, and the handler goes on without */
        if (result < 0) {
                h1_conn_abort(s->conn, result == -EIO ? EXCHANGE_END_SERVER_RESPONSE : EXCHANGE_END_CLIENT_RESPONSE,
                              result == -EIO ? "the file became shorter while it was sent" : "the client closed the connection",
                              false);
                return;
        }
        s->write_deadline = 0;
        if (h1_out_splicing(&s->out)) {
                s->x.spliced = sock_spliced(&s->conn->sock);
                (void)h1_account(s, s->x.spliced);
        }
        if (!h1_out_sent(&s->out)) {
                h1_stream_flush_task(&s->flush);
                return;
        }
        if (s->cut)
                h1_stream_cut(s);
        else if (s->x.end_sent)
                h1_stream_finished(s);
        else if (!s->over && s->x.handler)
                s->x.handler->on_sent(&s->x);
}

static void h1_abort(struct exchange *x) {
        struct h1_stream *s = h1_stream_of(x);

        s->cut = true;
        h1_stream_flush_soon(s);
}

const struct stream_ops h1_stream_ops = {
        .send_head = h1_send_head,
        .send = h1_send,
        .send_file = h1_send_file,
        .splice = h1_splice,
        .trailers = h1_set_trailers,
        .body_start = h1_body_start,
        .body_stop = h1_body_stop,
        .abort = h1_abort,
        .queued = h1_queued,
        .request_trailers = h1_request_trailers,
};

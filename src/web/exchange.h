/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * An exchange: one request and its response, between a wire format (the stream: HTTP/1 today) and a handler. Neither knows the other.
 *
 *      stream                        exchange                       handler
 *      request head parsed  ──────►  exchange_begin(): route  ────► start()
 *      request body bytes   ──────────────────────────────────────► on_body()       after exchange_body_start()
 *                           ◄──────  exchange_respond(), exchange_send…()
 *      all of it written    ──────────────────────────────────────► on_sent()       then it may give more
 *      client gone          ──────────────────────────────────────► on_abort()      instead of anything further
 *
 * Rules:
 *  - All on one thread. The handler may respond from start() or from any later callback of its own.
 *  - Back-pressure down: after exchange_send() the handler waits for on_sent() before it sends much more; it may send in
 *    several calls, all are kept, but what it sends before on_sent() is what it makes us hold.
 *  - Back-pressure up: on_body() comes only between exchange_body_start() and exchange_body_stop().
 *  - The exchange ends when the response has ended (end = true) and on_done() or on_abort() was called: exactly one of the two, exactly once,
 *    and nothing after it. A handler that still has things under way then (an upstream connection) detaches them from x.
 *  - What the handler allocates for the exchange comes from x->arena.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "net/addr.h"
#include "net/buf.h"
#include "web/http/message.h"

struct exchange;
struct route;
struct site;
struct sock;
struct web_thread;

/* How an exchange ended, as in the access log's "end"; who:when. */
#define EXCHANGE_ENDS(X)                         \
        X(OK, "ok")                              \
        X(CLIENT_REQUEST, "client:request")      \
        X(CLIENT_RESPONSE, "client:response")    \
        X(SERVER_CONNECT, "server:connect")      \
        X(SERVER_FIRST_BYTE, "server:first_byte") \
        X(SERVER_RESPONSE, "server:response")    \
        X(PROXY_LIMIT, "proxy:limit")            \
        X(PROXY_RULE, "proxy:rule")              \
        X(PROXY_SHUTDOWN, "proxy:shutdown")

enum exchange_end {
#define X(name, text) EXCHANGE_END_##name,
        EXCHANGE_ENDS(X)
#undef X
        EXCHANGE_N_ENDS,
};

struct handler_ops {
        const char *name; /* "proxy", "folder": as in the configuration */
        void (*start)(struct exchange *x);
        /* Bytes of the request body; the slice's reference is the callee's. end: these are the last (n may be 0). */
        void (*on_body)(struct exchange *x, struct slice data, bool end);
        /* All that was sent so far has left the process. Not after the end was sent. */
        void (*on_sent)(struct exchange *x);
        /* The response was sent to its end. */
        void (*on_done)(struct exchange *x);
        /* The client is gone, or the stream failed or timed out: send nothing any more. */
        void (*on_abort)(struct exchange *x);
};

/* What a handler says its response is. Fields that belong to the connection are the stream's: Connection, Transfer-Encoding,
 * Keep-Alive; it also adds Date when absent, and Content-Length from `framing`. */
struct exchange_head {
        unsigned status;                 /* 100..199 too: interim responses, any number before the final one. 101 is final and opens a tunnel:
                                            request and response body are opaque from then on, until either side closes */
        enum http_framing framing;       /* BODY_NONE, BODY_LENGTH, BODY_CHUNKED = length unknown */
        uint64_t content_length;         /* with BODY_LENGTH; also what HEAD or 304 would have had */
        const struct http_field *fields; /* those with hop_by_hop set are left out; borrowed during the call */
        unsigned n_fields;
        struct str lines;                /* not empty: what the fields were read from (struct http_fields):
                                            what is passed on unchanged is then copied whole instead of put together again */
        struct str reason;               /* empty: the standard phrase */
        bool close;                      /* end the client's connection after this response */
};

struct exchange {
        struct http_request req;
        struct arena *arena;
        struct web_thread *thread;
        const struct site *site;   /* NULL: no site matched */
        const struct route *route; /* NULL: none matched */
        const struct handler_ops *handler;
        void *state;               /* the handler's */
        const struct stream_ops *stream;
        const struct addr *client; /* peer address */
        struct str client_text;    /* the same as text, without port */
        const struct addr *local;
        bool tls;
        struct str path;           /* normalised (dot segments gone), still encoded; routing went by it; `strip` already taken off */
        /* progress */
        bool websocket;            /* asks to upgrade to WebSocket (RFC 6455), in the way that a proxy can pass on */
        bool counted;              /* among the site's requests in flight */
        bool head_sent;            /* the final head was handed over */
        bool end_sent;             /* and the end of the response */
        bool body_ended;           /* the request body was seen whole */
        /* for the log and the counters */
        enum exchange_end end;
        const char *why;           /* sentence, constant or arena; NULL when end is OK */
        unsigned status;           /* of the final head */
        uint64_t bytes_in;         /* of the request body */
        uint64_t bytes_out;        /* of the response body */
        uint64_t spliced;          /* bytes that the last splice brought */
        nsec_t at_begin;           /* first byte of the request head seen */
        nsec_t at_head;            /* head complete */
        nsec_t at_connect;         /* upstream connection ready; 0: none */
        nsec_t at_first_byte;      /* response head from upstream; 0: none */
        struct str farm;
        struct str server;
        unsigned retries;
        uint64_t id;               /* request id, unique in the cluster for all practical purposes */
};

/* What a wire format does for an exchange. */
struct stream_ops {
        void (*send_head)(struct exchange *x, const struct exchange_head *head);
        void (*send)(struct exchange *x, const struct slice *v, unsigned n, bool end);
        void (*send_file)(struct exchange *x, int fd, uint64_t offset, uint64_t n, bool end);
        /* Moves the next n bytes of the response from a socket without a copy; on_sent() tells when it is over and x->spliced how many came.
         * Returns the socket they go to; NULL: not possible with this framing, nothing happened. Only when nothing is queued. */
        struct sock *(*splice)(struct exchange *x, struct sock *from, uint64_t n);
        void (*trailers)(struct exchange *x, const struct http_fields *trailers);
        void (*body_start)(struct exchange *x);
        void (*body_stop)(struct exchange *x);
        void (*abort)(struct exchange *x); /* cut the client off; calls the handler's on_abort() */
        size_t (*queued)(const struct exchange *x); /* bytes of the response that wait to be written */
        const struct http_fields *(*request_trailers)(struct exchange *x); /* after the body's end; NULL: none */
};

/* ── for wire formats ──────────────────────────────────────────────────── */

struct web_listen;

/* The head is complete: finds site and route, starts the handler. Everything up to `local` is filled in by the caller. */
void exchange_begin(struct exchange *x, const struct web_listen *listen);
/* Over: counts and logs. The caller has told the handler. */
void exchange_finish(struct exchange *x);

/* ── for handlers ──────────────────────────────────────────────────────── */

void exchange_respond(struct exchange *x, const struct exchange_head *head);
/* Takes the references of the n slices. Slices without a buf must live until the next on_sent() / on_done(): arena or constant memory. */
void exchange_send(struct exchange *x, const struct slice *v, unsigned n, bool end);
/* n bytes of a regular file; the descriptor is borrowed and must live until on_sent()/on_done()/on_abort(). */
void exchange_send_file(struct exchange *x, int fd, uint64_t offset, uint64_t n, bool end);
/* Asks for the request body (answers Expect: 100-continue). A handler that never does lets the stream discard or cut it. */
void exchange_body_start(struct exchange *x);
/* Trailer fields for a response with HTTP_BODY_CHUNKED, before its end is sent; dropped where the client cannot take them. */
void exchange_trailers(struct exchange *x, const struct http_fields *trailers);
void exchange_body_stop(struct exchange *x);
/* A whole small response: text/plain body made of a sentence, or none for 204/304. Used for every error page too. Before the head only. */
void exchange_reply(struct exchange *x, unsigned status, const struct http_field *fields, unsigned n_fields, struct str body);
/* Something went wrong on the way: before the head it becomes a plain `status` response, after it the client's connection is
 * cut so that it cannot take the part for the whole. Records end and why. */
void exchange_fail(struct exchange *x, unsigned status, enum exchange_end end, const char *why);

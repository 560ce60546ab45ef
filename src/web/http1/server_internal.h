/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Shared by server.c (the connection: bytes in, deadlines, end) and stream.c (one exchange on it: bytes out).
 *
 *            accept
 *              │
 *              ▼       head complete            body complete
 *   ┌──────► HEAD ───────────────────► BODY ───────────────────► WAIT
 *   │          │                        │                          │
 *   │          │ refused, timed out     │ response over first      │ response over
 *   │          ▼                        ▼                          │
 *   │        LINGER ◄────────── discard a little, else             │
 *   │          │                                                   │
 *   │          ▼                                                   │
 *   │        CLOSED ◄───────── not persistent ◄────────────────────┤
 *   └──────────────────────────── keep-alive ◄─────────────────────┘
 *
 *   HEAD    stream == NULL; bytes of an incomplete head are in acc
 *   BODY    stream != NULL; the request body is not complete; after 101 it is whatever comes, until the client closes
 *   WAIT    stream != NULL; the request is complete, further bytes wait in pending (pipelining)
 *   LINGER  the last response was written and our side shut down; input is read and thrown away until the peer closes, so that
 *           a reset cannot destroy the response on its way (RFC 9112 9.6)
 *   CLOSED  sock_close() was called
 */

#include <arpa/inet.h>

#include "web/exchange.h"
#include "web/http1/body.h"
#include "web/http1/out.h"
#include "web/thread.h"

enum h1_state {
        H1_HEAD,
        H1_BODY,
        H1_WAIT,
        H1_LINGER,
        H1_CLOSED,
};

struct h1_stream {
        struct exchange x;
        struct h1_conn *conn;
        struct h1_stream *next_free;
        struct arena arena;
        struct h1_out out;
        struct task flush;
        struct h1_body body;          /* of the request */
        struct buf *head;             /* what the request's slices point into; NULL: the arena */
        struct http_fields request_trailers; /* in the arena, as is its array */
        struct http_fields trailers;  /* of the response, in the arena */
        struct thread_generation *generation;
        bool body_wanted;             /* the handler asked for the request body */
        bool body_started;            /* and did so at least once */
        bool continue_due;            /* 100 is still owed to the client */
        bool chunked;                 /* the response is */
        bool no_body;                 /* HEAD, 204, 304: body bytes are not written */
        bool close_after;             /* the connection ends with this response */
        bool over;                    /* on_done() or on_abort() was called, the exchange is logged */
        bool discard;                 /* the rest of the request body is read and thrown away */
        bool tunnel;                  /* after 101 */
        bool cut;                     /* the response cannot be ended: cut the connection once what is queued has left */
        bool left_known;
        uint64_t left;                /* of a response with Content-Length */
        nsec_t body_deadline;         /* 0: not waiting for body bytes */
        uint64_t body_taken;          /* bytes_in when it was set */
        nsec_t write_deadline;        /* 0: nothing is being written */
        uint64_t acked;               /* what the client had taken when it was set */
        struct addr client;
};

struct h1_conn {
        struct sock sock;
        struct timer timer;
        struct list link;
        struct web_thread *thread;
        struct web_port *port;
        struct h1_stream *stream;
        struct slice pending;   /* received, not looked at; receiving is stopped while there is any */
        struct buf *acc;        /* head that came in pieces */
        uint32_t acc_n;
        uint8_t state;          /* enum h1_state */
        bool peer_ended;        /* will send no more */
        bool processing;        /* inside h1_conn_process() */
        bool served;            /* at least one request was */
        nsec_t deadline;        /* what the timer is for; it may be set to fire earlier. Between requests and in LINGER: the end */
        nsec_t head_begin;      /* first byte of the current head */
        uint32_t lingered;      /* bytes thrown away in LINGER */
        union {
                struct sockaddr sa;
                struct sockaddr_in6 in6;
        } peer;
        socklen_t peer_len;     /* 0: not known */
        uint8_t peer_text_n;
        char peer_text[INET6_ADDRSTRLEN]; /* without port; made for the first request */
};

/* server.c */
void h1_conn_process(struct h1_conn *c);
void h1_conn_close(struct h1_conn *c);
void h1_conn_set_deadline(struct h1_conn *c, nsec_t at);
/* The stream's response has been written; nothing of it is left but the object. */
void h1_conn_stream_done(struct h1_conn *c, bool keep);
void h1_conn_abort(struct h1_conn *c, enum exchange_end end, const char *why, bool reset);

/* stream.c */
struct h1_stream *h1_stream_new(struct h1_conn *c);
void h1_stream_free(struct h1_stream *s);
void h1_stream_sent(struct h1_stream *s, int result);
void h1_stream_begin(struct h1_stream *s);
/* Tells the handler that it is over, once. */
void h1_stream_abort(struct h1_stream *s, enum exchange_end end, const char *why);
/* Composes an error response for a request that could not even be read, and ends the connection after it. */
void h1_stream_refuse(struct h1_stream *s, unsigned status, const char *why);
extern const struct stream_ops h1_stream_ops;

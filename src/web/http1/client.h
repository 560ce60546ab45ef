/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The server side of HTTP/1: connections to servers, kept for the next request in a pool per thread and server. One user at a time.
 *
 *   h1_upstream_get() ──► on_ready (new ones) ──► compose, flush ──► on_head ──► on_data … ──► on_end ──► h1_upstream_release()
 *                              │                                        │            │
 *                              └─────────────── on_fail ◄───────────────┴────────────┘
 *
 * No callback comes from inside h1_upstream_get() or h1_upstream_flush(), and none after release, drop or on_fail() (which closes).
 */

#include "farm/farm.h"
#include "net/loop.h"
#include "web/http1/body.h"
#include "web/http1/out.h"

struct h1_upstream;
struct web_config;
struct web_thread;

enum h1_upstream_failure {
        H1_UPSTREAM_CONNECT,    /* no connection */
        H1_UPSTREAM_CONNECT_TIMEOUT,
        H1_UPSTREAM_CLOSED,     /* closed or reset before the response head */
        H1_UPSTREAM_FIRST_BYTE, /* no response head in time */
        H1_UPSTREAM_MALFORMED,  /* the response is refused: `reject` says why */
        H1_UPSTREAM_TRUNCATED,  /* closed or reset within the response body */
        H1_UPSTREAM_IDLE,       /* no byte of the response body in time */
        H1_UPSTREAM_MEMORY,
};

/* All on the thread of the loop. */
struct h1_upstream_user_ops {
        /* A new connection stands. Pooled ones are ready when h1_upstream_get() returns (u->reused). */
        void (*on_ready)(void *user);
        /* A response head, interim ones (1xx) included; res and its slices live during the call only. */
        void (*on_head)(void *user, const struct http_response *res);
        /* The slice's reference is the user's. */
        void (*on_data)(void *user, struct slice data);
        /* The response is complete. trailers: may be NULL, live during the call. */
        void (*on_end)(void *user, const struct http_fields *trailers);
        void (*on_fail)(void *user, enum h1_upstream_failure f, const char *why);
        /* All that was composed has left. */
        void (*on_sent)(void *user);
};

struct h1_upstream {
        struct sock sock;
        struct timer timer;
        struct list link;        /* pool's idle ones, newest first; or the pool's busy ones */
        struct web_thread *thread;
        struct upstream_pool *pool;
        const struct h1_upstream_user_ops *ops;
        void *user;              /* NULL: idle or closing */
        struct h1_out out;
        struct task flush;
        nsec_t first_byte;       /* times of this request */
        nsec_t idle;
        nsec_t keepalive;
        struct slice pending;    /* received while paused */
        struct buf *acc;         /* response head in pieces */
        uint32_t acc_n;
        struct h1_body body;
        nsec_t deadline;
        nsec_t connect_began;
        nsec_t connect_took;
        uint32_t address;        /* server_addr() number it leads to */
        enum http_method method; /* of the request under way */
        struct sock *splice_to;  /* where the response body goes by splice just now */
        uint64_t splice_seen;    /* bytes at the last look */
        uint64_t acked;          /* what the server had taken at the last look */
        uint8_t state;
        bool keep;               /* the server leaves it open after this response */
        bool reused;
        bool upgrade;            /* the request asks for 101 */
        bool chunked;            /* the request body is */
        bool send_failed;        /* the server takes no more; what it said before may still come */
        bool request_done;       /* the request was composed to its end */
        bool paused;
        bool processing;
        bool dead;               /* closed; only the queued task still holds it */
};

/* A connection to s, from the pool or new. fresh: never a pooled one. NULL: none can be made (no memory, no address). */
struct h1_upstream *h1_upstream_get(struct web_thread *t, struct server *s, const struct farm_settings *settings, bool fresh,
                                    const struct h1_upstream_user_ops *ops, void *user);
/* A request as the user wants it. */
struct h1_request_head {
        enum http_method number;
        struct str method;
        struct str path;
        struct str query;                 /* p is NULL: none */
        const struct http_fields *fields; /* those with hop_by_hop set are left out */
        const struct http_field *extra;   /* follow them */
        unsigned n_extra;
        enum http_framing framing;
        uint64_t content_length;
        bool upgrade;                     /* asks for 101 and WebSocket */
};

/* Composes the head; it leaves at the end of the round. A request without a body ends with it. */
void h1_upstream_send_head(struct h1_upstream *u, const struct h1_request_head *head);
/* A piece of the body, the reference is taken; `end`: the last (n may be 0), with the trailers of a chunked one (may be NULL). */
void h1_upstream_send_body(struct h1_upstream *u, struct slice data, bool end, const struct http_fields *trailers);
/* Bytes that wait to be sent. */
size_t h1_upstream_queued(const struct h1_upstream *u);
/* What is in u->out is sent at the end of the round. `done`: the request ends with it; the time for the response starts when it left. */
void h1_upstream_flush(struct h1_upstream *u, bool done);
/* The times of this request; called before the first flush. */
void h1_upstream_times(struct h1_upstream *u, nsec_t first_byte, nsec_t idle);
/* Back-pressure: no on_data() until resumed. */
void h1_upstream_pause(struct h1_upstream *u);
void h1_upstream_resume(struct h1_upstream *u);
/*
 * The rest of the response body may be moved to `to` by sock_splice(): how many bytes that is, 0 when the framing does not allow it or it is not
 * worth it. Only while paused. The user splices, then reports with h1_upstream_spliced(), which resumes: on_end(), more data or on_fail() follow.
 */
uint64_t h1_upstream_spliceable(const struct h1_upstream *u);
void h1_upstream_splice_begin(struct h1_upstream *u, struct sock *to);
void h1_upstream_spliced(struct h1_upstream *u, uint64_t n);
/* From or after on_end(): the user is done with it; it goes to the pool when it can serve again, else it is closed. */
void h1_upstream_release(struct h1_upstream *u);
/* The user lets go in the middle: closed. */
void h1_upstream_drop(struct h1_upstream *u);

/* After a swap: idle connections to servers that no farm of config has are closed. NULL: all idle ones. */
void upstream_pools_trim(struct web_thread *t, const struct web_config *config);
/* At the end of the thread: closes everything; once upstream_pools_busy() is false the pools can be freed. */
void upstream_pools_close(struct web_thread *t);
bool upstream_pools_busy(const struct web_thread *t);
void upstream_pools_free(struct web_thread *t);

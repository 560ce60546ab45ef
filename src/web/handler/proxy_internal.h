/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* proxy.c (the course of a request over servers) and proxy_head.c (what a request looks like to the server). */

#include "farm/farm.h"
#include "web/exchange.h"
#include "web/http1/client.h"

struct proxy_conf {
        struct farm *farm;
        nsec_t first_byte_timeout;
        nsec_t idle_timeout;
};

enum {
        PROXY_TRIED_MAX = 8,
        PROXY_HELD_MAX = 32,           /* pieces of a request body kept for a retry … */
        PROXY_HELD_BYTES = 64 << 10,   /* … and their bytes: a longer body cannot be sent twice */
        PROXY_HELD_COPY = 4 << 10,     /* pieces up to here are copied */
        PROXY_QUEUE_HIGH = 256 << 10,  /* bytes waiting in one direction at which its source is stopped */
        PROXY_QUEUE_LOW = 64 << 10,
        PROXY_INTERIM_MAX = 16,        /* 1xx responses passed on; more are dropped */
        PROXY_CONTINUE_MS = 1000,      /* how long a server may take to say 100 before the body is sent anyway (RFC 9110 10.1.1) */
};

/*
 * One request on its way. Lives in the exchange's arena.
 *
 *   u == NULL, !over      between two servers, inside proxy_try() only
 *   u != NULL             with a server: connecting, sending, waiting, receiving
 *   u == NULL, over       the response was handed over to its end, or the failure was
 */
struct proxy {
        struct exchange *x;
        const struct proxy_conf *conf;
        struct h1_upstream *u;
        struct server *server;          /* of u; borrowed from the farm, which the exchange's generation holds */
        struct server *tried[PROXY_TRIED_MAX]; /* borrowed likewise */
        unsigned n_tried;
        nsec_t at_sent;
        struct timer await_continue;
        struct slice *held;             /* PROXY_HELD_MAX of them, once there is one */
        unsigned n_held;
        size_t held_bytes;
        bool over;
        bool body_taken;                /* bytes of the request body went to a server */
        bool body_lost;                 /* … and are not held: no second try */
        bool stale_retried;             /* a kept connection turned out to be closed once already */
        bool request_ended;
        bool continue_sent;
        bool splice_due;                /* paused in order to splice once everything before is written */
        bool splicing;
        bool no_splice;                 /* it was tried */
        bool tunnel;                    /* 101 was answered */
        unsigned n_interim;
        enum h1_upstream_failure last;  /* of the attempts before */
        const char *last_why;
};

/* How many more proxies a TRACE or OPTIONS may pass (RFC 9110 7.6.2). False: it does not say. */
bool proxy_max_forwards(const struct exchange *x, uint64_t *ret);
/* Has u send the head of the request. */
void proxy_send_head(struct proxy *p);

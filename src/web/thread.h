/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What one web thread owns. Everything here is touched by that thread only; the control thread reaches it by posting tasks.
 */

#include <pthread.h>

#include "base/clock.h"
#include "base/list.h"
#include "farm/farm.h"
#include "base/log.h"
#include "net/loop.h"
#include "net/pool.h"
#include "web/counters.h"
#include "web/request_id.h"
#include "web/site.h"
#include "web/web.h"

struct h1_stream;

enum { WEB_RESPONSE_FIELDS = 256 }; /* of a server's response */

/* A generation as one thread sees it: the thread's own count of the exchanges that still use it, so that no request touches a
 * shared counter. The last of them gives the thread's share of the configuration back. */
struct thread_generation {
        struct web_generation *shared; /* one reference */
        struct web_config *config;     /* of shared */
        struct http1_limits http1;     /* of config->limits */
        unsigned refs;                 /* the thread's own plus one per exchange */
        struct http_field *fields;     /* owned; http1.fields of them: where heads are parsed to */
};

/* A listening address, for as long as the thread accepts on it or a connection that came through it lives. */
struct web_port {
        struct list link; /* thread's ports */
        struct acceptor acceptor;
        struct web_thread *thread;
        struct addr addr;
        int fd;                         /* owned */
        const struct web_listen *hosts; /* of the current generation; NULL: no longer listened on */
        unsigned n_conns;
        bool accepting;
        bool stopping;                  /* on_stopped() is to come */
};

struct web_thread {
        struct web *web;
        unsigned lane;
        pthread_t thread;
        struct loop *loop;
        int start_result;
        const char *start_why;

        struct thread_generation *generation; /* current; NULL before the first swap */
        struct list ports;
        struct list conns;      /* client connections */
        unsigned n_conns;
        unsigned max_conns;
        bool draining;
        struct task *drained;   /* posted to the control loop when the last connection is gone */
        struct timer drain_timer;
        struct task drain_task, drained_task, stop; /* web.c's */
        struct timer tick;      /* once a second: heartbeat, loop counters */
        nsec_t last_tick;
        uint64_t base_busy, base_rounds, base_events, base_bufs; /* what a worker before this one had counted */

        struct farm_lane farm_lane;
        struct list pools;      /* struct upstream_pool */
        uint64_t *words;        /* this lane of COUNTERS_WORKER */

        struct task *deferred;  /* web_thread_defer(), oldest first */
        struct task **deferred_end;
        struct task run_deferred;
        bool in_callback;

        struct buf_pool text;   /* blocks for heads that we write */
        struct buf_pool large;  /* single allocations for what is larger */
        struct http_field response_fields[WEB_RESPONSE_FIELDS];
        struct h1_stream *free_streams;
        unsigned n_free_streams;

        char date[32];          /* "Date: …" value, IMF-fixdate, 29 characters */
        uint64_t date_second;
        struct log_rate reject_log;
        uint64_t spare_words[SITE_N_WORDS];
        struct request_ids ids;
};

struct thread_generation *thread_generation_ref(struct thread_generation *g);
struct thread_generation *thread_generation_unref(struct thread_generation *g);
/*
 * Runs task when the callback that the loop is in is over: what it caused is then sent in one go, while it is still in the cache. Between
 * web_thread_enter() and web_thread_leave(), at the leave; else at the end of the round.
 */
void web_thread_defer(struct web_thread *t, struct task *task);
static inline void web_thread_enter(struct web_thread *t) {
        t->in_callback = true;
}
void web_thread_leave(struct web_thread *t);
/* IMF-fixdate of now; computed once a second. */
struct str web_thread_date(struct web_thread *t);
/* Words of a site in this thread's lane. */
uint64_t *web_thread_site(struct web_thread *t, const struct site *s);
/* As many client connections as may be, over all threads. */
bool web_thread_full(const struct web_thread *t);
/* A client connection came or went. */
void web_thread_conn_added(struct web_thread *t, struct web_port *p, struct list *link);
void web_thread_conn_removed(struct web_thread *t, struct web_port *p, struct list *link);
/* A receive-style buffer of at least n bytes with one reference, for bytes that we put together ourselves. NULL: no memory. */
struct buf *web_thread_text(struct web_thread *t, size_t n);

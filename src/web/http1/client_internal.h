/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* client.c (a connection to a server) and pool.c (those that wait for the next request). */

#include "web/http1/client.h"

enum h1_upstream_state { U_CONNECTING, U_HEAD, U_BODY, U_DONE, U_IDLE, U_CLOSED };

struct upstream_pool {
        struct list link; /* thread's pools */
        struct server *server; /* one reference */
        struct list idle;
        unsigned n_idle;
        unsigned max_idle;
        unsigned n_conns; /* idle, busy and closing ones */
};

/* pool.c */
/* The pool of s on this thread, made when there is none; NULL: no memory. */
struct upstream_pool *upstream_pool_of(struct web_thread *t, struct server *s);
/* The newest idle connection that still leads to the server's address; it is idle no more. NULL: none. */
struct h1_upstream *upstream_pool_take(struct upstream_pool *p);
void upstream_pool_add(struct h1_upstream *u);
void upstream_pool_remove(struct h1_upstream *u);

/* client.c */
void h1_upstream_close(struct h1_upstream *u);

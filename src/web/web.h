/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The web worker's engine: N threads, one loop each, nothing shared on the hot path. The control thread (the caller's) hands
 * generations in; the threads take them over between two events, and requests in flight end with the generation they began with.
 * All functions are for the control thread; callbacks come on its loop.
 */

#include "net/addr.h"
#include "net/loop.h"

struct access_log;
struct counters;
struct web;
struct web_config;

struct web_options {
        unsigned n_threads;
        enum loop_backend io;
        struct counters *counters;     /* borrowed; one lane per thread */
        struct access_log *access_log; /* borrowed; may be NULL */
};

/* A listening address with one listening socket per thread (SO_REUSEPORT group), in order of the threads. */
struct web_listener {
        struct addr addr;
        const int *fds; /* borrowed during the call; the engine dups what it keeps */
};

/* Starts the threads; nothing is accepted before the first web_swap(). ret_why as loop_new(). */
int web_new(struct web **ret, struct loop *control, const struct web_options *options, const char **ret_why);
/* Stops the threads at once and frees everything. */
struct web *web_free(struct web *w);
/*
 * Makes `config` (taken over, also on failure) the current generation on all threads and accepts on exactly these listeners;
 * those that were there before and have the same address go on untouched. done(arg) when every thread has switched.
 * listeners[i] belongs to config->listens[i].
 */
int web_swap(struct web *w, struct web_config *config, const struct web_listener *listeners, unsigned n_listeners,
             void (*done)(void *arg), void *arg);
/* Stops accepting, closes idle connections, lets requests finish, cuts what is left after `limit`. done(arg) when none is left. */
void web_drain(struct web *w, nsec_t limit, void (*done)(void *arg), void *arg);
enum loop_backend web_backend(const struct web *w);
const char *web_fallback_reason(const struct web *w);

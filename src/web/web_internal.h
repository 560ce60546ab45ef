/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The engine as its own files see it: web.c (threads, generations) and what runs on the threads. */

#include <pthread.h>

#include "web/thread.h"

/* A configuration and how many threads still have requests that began with it. */
struct web_generation {
        struct web_config *config; /* owned */
        unsigned refs;             /* atomic: one per thread, one of the control thread while it is current */
        struct web *web;
        struct task freed;         /* runs on the control loop: a configuration is taken apart where it was built */
};

struct web {
        struct loop *control;      /* borrowed */
        struct counters *counters; /* borrowed */
        int counters_object;       /* COUNTERS_WORKER */
        struct access_log *access_log;
        uint32_t id_seed;          /* of request ids */
        enum loop_backend io;
        enum loop_backend backend; /* what the threads use */
        const char *fallback_reason;
        struct web_thread *threads;
        unsigned n_threads;
        struct web_generation *generation;
        unsigned n_generations;    /* not freed yet */
        bool swapping;
        bool draining;
        nsec_t drain_limit;
        unsigned n_draining;       /* threads that still have connections */
        void (*drained)(void *arg);
        void *drained_arg;
        pthread_mutex_t lock;      /* of the two below; only while threads start */
        pthread_cond_t started;
        unsigned n_started;
};

struct web_generation *web_generation_unref(struct web_generation *g);
uint64_t web_thread_request_id(struct web_thread *t);

/* On the thread; web.c posts them. */
void *web_thread_main(void *arg);
void web_thread_started(struct web_thread *t);
/* Takes the reference g and the descriptors, one for each address of its configuration. */
int web_thread_swap(struct web_thread *t, struct thread_generation *g, const int *fds);
/* drained is posted to the control loop when no connection is left. */
void web_thread_drain(struct web_thread *t, nsec_t limit, struct task *drained);

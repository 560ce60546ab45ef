/* SPDX-License-Identifier: Apache-2.0 */

/* The control thread's side of the engine: starts threads, hands generations in, drains. */

#include "web/web.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "web/web_internal.h"

static uint32_t web_seed(void) {
        uint32_t seed;

        if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != (ssize_t)sizeof(seed))
                seed = (uint32_t)time_wall();
        return seed;
}

/* ── threads ───────────────────────────────────────────────────────────── */

void web_thread_started(struct web_thread *t) {
        struct web *w = t->web;

        (void)pthread_mutex_lock(&w->lock);
        w->n_started++;
        (void)pthread_cond_signal(&w->started);
        (void)pthread_mutex_unlock(&w->lock);
}

static int web_start_thread(struct web *w, unsigned i) {
        struct web_thread *t = &w->threads[i];
        int r;

        t->web = w;
        t->lane = i;
        t->words = counters_lane(w->counters, w->counters_object, i);
        r = -pthread_create(&t->thread, NULL, web_thread_main, t);
        if (r < 0)
                return r;
        w->n_threads++;
        (void)pthread_mutex_lock(&w->lock);
        while (w->n_started < w->n_threads)
                (void)pthread_cond_wait(&w->started, &w->lock);
        (void)pthread_mutex_unlock(&w->lock);
        return t->start_result;
}

int web_new(struct web **ret, struct loop *control, const struct web_options *options, const char **ret_why) {
        struct web *w = calloc(1, sizeof(*w));
        sigset_t all, before;
        int r = 0;

        if (!w)
                return -ENOMEM;
        w->control = control;
        w->counters = options->counters;
        w->counters_object = counters_find(w->counters, COUNTERS_WORKER, STR(""));
        w->access_log = options->access_log;
        w->io = options->io;
        w->id_seed = web_seed();
        (void)pthread_mutex_init(&w->lock, NULL);
        (void)pthread_cond_init(&w->started, NULL);
        if (w->counters_object < 0 || options->n_threads > counters_lanes(w->counters))
                r = -EINVAL;
        /* threads are asked for their number of conns before all of them run */
        w->threads = r < 0 ? NULL : calloc(options->n_threads, sizeof(*w->threads));
        if (!w->threads)
                r = r < 0 ? r : -ENOMEM;

        (void)sigfillset(&all); /* signals are the control thread's */
        (void)pthread_sigmask(SIG_SETMASK, &all, &before);
        for (unsigned i = 0; r == 0 && i < options->n_threads; i++) {
                r = web_start_thread(w, i);
                if (r < 0 && ret_why)
                        *ret_why = w->threads[i].start_why;
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        if (r < 0) {
                web_free(w);
                return r;
        }
        w->backend = loop_backend(w->threads[0].loop);
        w->fallback_reason = loop_fallback_reason(w->threads[0].loop);
        *ret = w;
        return 0;
}

static void web_stop_task(struct task *task) {
        struct web_thread *t = CONTAINER_OF(task, struct web_thread, stop);

        loop_stop(t->loop);
}

struct web *web_free(struct web *w) {
        if (!w)
                return NULL;
        for (unsigned i = 0; i < w->n_threads; i++) {
                struct web_thread *t = &w->threads[i];

                if (t->start_result == 0) {
                        t->stop.run = web_stop_task;
                        loop_post(t->loop, &t->stop);
                }
                (void)pthread_join(t->thread, NULL);
        }
        w->n_threads = 0;
        if (w->generation)
                web_generation_unref(w->generation);
        /* a configuration whose last request ended on a thread is taken apart by a task of this loop */
        while (w->n_generations > 0)
                (void)loop_run_once(w->control, NSEC_PER_MSEC);
        (void)pthread_cond_destroy(&w->started);
        (void)pthread_mutex_destroy(&w->lock);
        free(w->threads);
        free(w);
        return NULL;
}

enum loop_backend web_backend(const struct web *w) {
        return w->backend;
}

const char *web_fallback_reason(const struct web *w) {
        return w->fallback_reason;
}

/* ── generations ───────────────────────────────────────────────────────── */

static void web_generation_free_task(struct task *t) {
        struct web_generation *g = CONTAINER_OF(t, struct web_generation, freed);

        g->web->n_generations--;
        web_config_free(g->config);
        free(g);
}

/* By any thread; the configuration itself is freed by the control thread. */
struct web_generation *web_generation_unref(struct web_generation *g) {
        if (__atomic_sub_fetch(&g->refs, 1, __ATOMIC_ACQ_REL) == 0)
                loop_post(g->web->control, &g->freed);
        return NULL;
}

static struct web_generation *web_generation_new(struct web *w, struct web_config *config) {
        struct web_generation *g = calloc(1, sizeof(*g));

        if (!g) {
                web_config_free(config);
                return NULL;
        }
        g->web = w;
        g->config = config;
        g->refs = 1;
        g->freed.run = web_generation_free_task;
        w->n_generations++;
        return g;
}

/* ── swap ──────────────────────────────────────────────────────────────── */

struct web_swap_part {
        struct task task;
        struct web_thread *thread;
        struct thread_generation *generation;
        int *fds; /* owned, and the descriptors */
        struct web_swap *swap;
};

struct web_swap {
        struct task done_task;
        struct web *web;
        unsigned left; /* atomic */
        void (*done)(void *arg);
        void *arg;
        struct web_swap_part parts[];
};

static void web_swap_free(struct web_swap *s, unsigned n_parts, unsigned n_fds) {
        for (unsigned i = 0; i < n_parts; i++) {
                for (unsigned k = 0; s->parts[i].fds && k < n_fds; k++)
                        (void)fd_close(s->parts[i].fds[k]);
                free(s->parts[i].fds);
                if (s->parts[i].generation)
                        free(s->parts[i].generation->fields);
                free(s->parts[i].generation);
        }
        free(s);
}

static void web_swap_done(struct task *t) {
        struct web_swap *s = CONTAINER_OF(t, struct web_swap, done_task);
        void (*done)(void *arg) = s->done;
        void *arg = s->arg;

        s->web->swapping = false;
        for (unsigned i = 0; i < s->web->n_threads; i++)
                free(s->parts[i].fds);
        free(s);
        if (done)
                done(arg);
}

static void web_swap_task(struct task *task) {
        struct web_swap_part *part = CONTAINER_OF(task, struct web_swap_part, task);
        struct web_swap *s = part->swap;

        if (web_thread_swap(part->thread, part->generation, part->fds) < 0)
                counter_add(&part->thread->words[WORKER_REFUSED_MEMORY], 1);
        if (__atomic_sub_fetch(&s->left, 1, __ATOMIC_ACQ_REL) == 0)
                loop_post(s->web->control, &s->done_task);
}

static int web_swap_prepare(struct web_swap *s, struct web_generation *g, const struct web_listener *l, unsigned n) {
        struct web *w = s->web;

        for (unsigned i = 0; i < w->n_threads; i++) {
                struct web_swap_part *p = &s->parts[i];

                *p = (struct web_swap_part){.task.run = web_swap_task, .thread = &w->threads[i], .swap = s};
                p->generation = calloc(1, sizeof(*p->generation));
                p->fds = calloc(n + 1, sizeof(*p->fds));
                if (!p->generation || !p->fds)
                        return -ENOMEM;
                for (unsigned k = 0; k < n; k++)
                        p->fds[k] = -1;
                for (unsigned k = 0; k < n; k++) {
                        p->fds[k] = fcntl(l[k].fds[i], F_DUPFD_CLOEXEC, 3);
                        if (p->fds[k] < 0)
                                return -errno;
                }
                p->generation->shared = g;
                p->generation->config = g->config;
                p->generation->refs = 1;
                p->generation->http1 = (struct http1_limits)HTTP1_LIMITS_DEFAULT;
                p->generation->http1.target = g->config->limits.target;
                p->generation->http1.head = g->config->limits.head;
                p->generation->http1.fields = g->config->limits.fields;
                p->generation->fields = calloc(g->config->limits.fields, sizeof(*p->generation->fields));
                if (!p->generation->fields)
                        return -ENOMEM;
        }
        return 0;
}

int web_swap(struct web *w, struct web_config *config, const struct web_listener *listeners, unsigned n_listeners,
             void (*done)(void *arg), void *arg) {
        struct web_generation *g, *old = w->generation;
        struct web_swap *s;
        int r = -ENOMEM;

        if (w->swapping || w->draining || n_listeners != config->n_listens) {
                web_config_free(config);
                return w->swapping ? -EBUSY : -EINVAL;
        }
        g = web_generation_new(w, config);
        if (!g)
                return -ENOMEM;
        s = calloc(1, sizeof(*s) + w->n_threads * sizeof(s->parts[0]));
        if (s) {
                s->web = w;
                s->left = w->n_threads;
                s->done = done;
                s->arg = arg;
                s->done_task.run = web_swap_done;
                r = web_swap_prepare(s, g, listeners, n_listeners);
        }
        if (r < 0) {
                if (s)
                        web_swap_free(s, w->n_threads, n_listeners);
                web_generation_unref(g);
                return r;
        }
        __atomic_add_fetch(&g->refs, w->n_threads, __ATOMIC_RELAXED);
        w->swapping = true;
        w->generation = g;
        for (unsigned i = 0; i < w->n_threads; i++)
                loop_post(w->threads[i].loop, &s->parts[i].task);
        if (old)
                web_generation_unref(old);
        return 0;
}

/* ── drain ─────────────────────────────────────────────────────────────── */

static void web_drained_task(struct task *task) {
        struct web_thread *t = CONTAINER_OF(task, struct web_thread, drained_task);
        struct web *w = t->web;

        if (--w->n_draining == 0 && w->drained)
                w->drained(w->drained_arg);
}

static void web_drain_task(struct task *task) {
        struct web_thread *t = CONTAINER_OF(task, struct web_thread, drain_task);

        web_thread_drain(t, t->web->drain_limit, &t->drained_task);
}

void web_drain(struct web *w, nsec_t limit, void (*done)(void *arg), void *arg) {
        if (w->draining)
                return;
        w->draining = true;
        w->drain_limit = limit;
        w->drained = done;
        w->drained_arg = arg;
        w->n_draining = w->n_threads;
        for (unsigned i = 0; i < w->n_threads; i++) {
                struct web_thread *t = &w->threads[i];

                t->drain_task.run = web_drain_task;
                t->drained_task.run = web_drained_task;
                loop_post(t->loop, &t->drain_task);
        }
}

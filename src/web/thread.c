/* SPDX-License-Identifier: Apache-2.0 */

/* What runs on a web thread: ports, generations, connections, the end. web.c is the control thread's side. */

#include "web/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/cleanup.h"
#include "web/http/date.h"
#include "web/http1/client.h"
#include "web/http1/server.h"
#include "web/web_internal.h"

enum {
        WEB_TEXT_BLOCK = 4096 + sizeof(struct buf),
        WEB_TEXT_KEEP = 64,
        WEB_BACKLOG_MAX = 4096,
        WEB_FD_RESERVE = 64,   /* descriptors that are neither clients nor servers */
};

/* ── generations ───────────────────────────────────────────────────────── */

struct thread_generation *thread_generation_ref(struct thread_generation *g) {
        g->refs++;
        return g;
}

struct thread_generation *thread_generation_unref(struct thread_generation *g) {
        if (--g->refs > 0)
                return NULL;
        web_generation_unref(g->shared);
        free(g->fields);
        free(g);
        return NULL;
}

/* ── small services ────────────────────────────────────────────────────── */

/* Single allocations are not kept: sizes differ. */
static void web_large_return(struct buf_pool *p) {
        struct buf *b = p->free;

        p->free = b->next;
        p->n_free--;
        free(b);
}

struct buf *web_thread_text(struct web_thread *t, size_t n) {
        struct buf *b;

        if (n <= WEB_TEXT_BLOCK - sizeof(*b))
                return buf_pool_get(&t->text);
        if (n > UINT32_MAX - sizeof(*b))
                return NULL;
        b = malloc(sizeof(*b) + n);
        if (!b)
                return NULL;
        *b = (struct buf){.data = (char *)(b + 1), .cap = (uint32_t)n, .refs = 1, .pool = &t->large};
        t->large.n_used++;
        return b;
}

struct str web_thread_date(struct web_thread *t) {
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* cannot fail */
        if ((uint64_t)now.tv_sec != t->date_second || t->date[0] == '\0') {
                t->date_second = (uint64_t)now.tv_sec;
                http_date_format(t->date, now.tv_sec);
        }
        return (struct str){t->date, HTTP_DATE_SIZE};
}

uint64_t *web_thread_site(struct web_thread *t, const struct site *s) {
        /* a site that the region has no room for is counted where nobody looks */
        return s->counters >= 0 ? counters_lane(t->web->counters, s->counters, t->lane) : t->spare_words;
}

uint64_t web_thread_request_id(struct web_thread *t) {
        struct timespec now;

        (void)clock_gettime(CLOCK_REALTIME_COARSE, &now); /* cannot fail */
        return request_ids_next(&t->ids, (uint64_t)now.tv_sec);
}

void web_thread_defer(struct web_thread *t, struct task *task) {
        task->queued = true;
        task->next = NULL;
        *t->deferred_end = task;
        t->deferred_end = &task->next;
        if (!t->in_callback && !t->run_deferred.queued)
                loop_defer(t->loop, &t->run_deferred);
}

void web_thread_leave(struct web_thread *t) {
        while (t->deferred) {
                struct task *task = t->deferred;

                t->deferred = task->next;
                if (!t->deferred)
                        t->deferred_end = &t->deferred;
                task->queued = false;
                task->run(task);
        }
        t->in_callback = false;
}

static void web_thread_run_deferred(struct task *task) {
        web_thread_leave(CONTAINER_OF(task, struct web_thread, run_deferred));
}

/* ── connections ───────────────────────────────────────────────────────── */

static void web_port_free(struct web_port *p) {
        list_remove(&p->link);
        (void)fd_close(p->fd);
        free(p);
}

static void web_port_gone(struct web_port *p) {
        if (!p->accepting && !p->stopping && p->n_conns == 0)
                web_port_free(p);
}

static void web_thread_check_drained(struct web_thread *t) {
        if (t->draining && t->n_conns == 0 && t->drained) {
                timer_stop(t->loop, &t->drain_timer);
                loop_post(t->web->control, TAKE(t->drained));
        }
}

void web_thread_conn_added(struct web_thread *t, struct web_port *p, struct list *link) {
        list_add_tail(&t->conns, link);
        __atomic_store_n(&t->n_conns, t->n_conns + 1, __ATOMIC_RELAXED);
        p->n_conns++;
        counter_add(&t->words[WORKER_ACCEPTED_H1], 1);
        counter_set(&t->words[WORKER_CONNECTIONS_H1], t->n_conns);
}

void web_thread_conn_removed(struct web_thread *t, struct web_port *p, struct list *link) {
        list_remove(link);
        __atomic_store_n(&t->n_conns, t->n_conns - 1, __ATOMIC_RELAXED);
        p->n_conns--;
        counter_set(&t->words[WORKER_CONNECTIONS_H1], t->n_conns);
        web_port_gone(p);
        web_thread_check_drained(t);
}

bool web_thread_full(const struct web_thread *t) {
        uint64_t n = 0;

        for (unsigned i = 0; i < t->web->n_threads; i++)
                n += __atomic_load_n(&t->web->threads[i].n_conns, __ATOMIC_RELAXED);
        return n >= t->max_conns;
}

/* ── ports ─────────────────────────────────────────────────────────────── */

static void web_port_on_accept(struct acceptor *a, int fd, const struct addr *peer) {
        struct web_port *p = CONTAINER_OF(a, struct web_port, acceptor);

        h1_conn_accept(p->thread, p, fd, peer);
}

static void web_port_on_error(struct acceptor *a, int error) {
        struct web_thread *t = CONTAINER_OF(a, struct web_port, acceptor)->thread;

        counter_add(&t->words[error == -EMFILE || error == -ENFILE ? WORKER_REFUSED_DESCRIPTORS : WORKER_REFUSED_MEMORY], 1);
}

static void web_port_on_stopped(struct acceptor *a) {
        struct web_port *p = CONTAINER_OF(a, struct web_port, acceptor);

        p->stopping = false;
        p->fd = fd_close(p->fd);
        web_port_gone(p);
}

static void web_port_stop(struct web_port *p) {
        if (!p->accepting)
                return;
        p->accepting = false;
        p->stopping = true;
        acceptor_stop(&p->acceptor);
}

static struct web_port *web_port_find(struct web_thread *t, const struct addr *a) {
        struct web_port *p;

        LIST_FOREACH(p, &t->ports, link)
                if (p->accepting && addr_equal(&p->addr, a))
                        return p;
        return NULL;
}

/* Takes fd, which is always used up. */
static int web_port_open(struct web_thread *t, const struct web_listen *l, int fd) {
        struct web_port *p = web_port_find(t, &l->addr);
        int r;

        if (p) {
                (void)fd_close(fd);
                p->hosts = l;
                return 0;
        }
        p = calloc(1, sizeof(*p));
        if (!p) {
                (void)fd_close(fd);
                return -ENOMEM;
        }
        p->thread = t;
        p->addr = l->addr;
        p->fd = fd;
        p->hosts = l;
        p->acceptor = (struct acceptor){.fd = fd,
                                        .on_accept = web_port_on_accept,
                                        .on_error = web_port_on_error,
                                        .on_stopped = web_port_on_stopped};
        list_add_tail(&t->ports, &p->link);
        r = acceptor_start(t->loop, &p->acceptor);
        if (r < 0) {
                web_port_free(p);
                return r;
        }
        p->accepting = true;
        return 0;
}

/* Who was let in by the kernel before we stopped is served, not turned away without a word. */
static void web_port_take_backlog(struct web_port *p) {
        for (unsigned i = 0; p->accepting && i < WEB_BACKLOG_MAX; i++) {
                int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

                if (fd < 0)
                        return;
                h1_conn_accept(p->thread, p, fd, NULL);
        }
}

/* ── swapping ──────────────────────────────────────────────────────────── */

static unsigned web_max_conns(uint64_t limit) {
        struct rlimit r;

        if (limit != UINT64_MAX)
                return (unsigned)MIN(limit, (uint64_t)UINT32_MAX);
        if (getrlimit(RLIMIT_NOFILE, &r) < 0)
                return 256;
        if (r.rlim_cur <= 2 * WEB_FD_RESERVE)
                return MAX((unsigned)r.rlim_cur / 8, 1u);
        /* a client may need a server's connection too */
        return (unsigned)MIN((r.rlim_cur - WEB_FD_RESERVE) / 2, (rlim_t)UINT32_MAX);
}

int web_thread_swap(struct web_thread *t, struct thread_generation *g, const int *fds) {
        struct thread_generation *old = t->generation;
        const struct web_config *config = g->config;
        struct web_port *p;
        int r = 0;

        LIST_FOREACH(p, &t->ports, link)
                p->hosts = NULL;
        t->generation = g;
        t->max_conns = web_max_conns(config->limits.connections);
        for (unsigned i = 0; i < config->n_listens; i++) {
                int e = web_port_open(t, &config->listens[i], fds[i]);

                r = r < 0 ? r : e;
        }
        LIST_FOREACH(p, &t->ports, link)
                if (!p->hosts)
                        web_port_stop(p);
        for (struct list *l = t->conns.next, *next; l != &t->conns; l = next) {
                next = l->next;
                h1_conn_port_checked(h1_conn_of_link(l));
        }
        upstream_pools_trim(t, config);
        if (old)
                thread_generation_unref(old);
        return r;
}

/* ── draining and the end ──────────────────────────────────────────────── */

static void web_thread_cut_all(struct web_thread *t) {
        struct list *l, *next;

        for (l = t->conns.next; l != &t->conns; l = next) {
                next = l->next;
                h1_conn_cut(h1_conn_of_link(l));
        }
}

static void web_thread_on_drain_timer(struct timer *timer) {
        web_thread_cut_all(CONTAINER_OF(timer, struct web_thread, drain_timer));
}

void web_thread_drain(struct web_thread *t, nsec_t limit, struct task *drained) {
        struct web_port *p;
        struct list *l, *next;

        LIST_FOREACH(p, &t->ports, link) {
                web_port_take_backlog(p);
                web_port_stop(p);
        }
        t->draining = true;
        t->drained = drained;
        for (l = t->conns.next; l != &t->conns; l = next) {
                next = l->next;
                h1_conn_drain(h1_conn_of_link(l));
        }
        upstream_pools_trim(t, NULL);
        timer_start(t->loop, &t->drain_timer, loop_now(t->loop) + limit);
        web_thread_check_drained(t);
}

static void web_thread_on_tick(struct timer *timer) {
        struct web_thread *t = CONTAINER_OF(timer, struct web_thread, tick);
        nsec_t now = loop_now(t->loop);
        struct loop_stats stats;

        loop_get_stats(t->loop, &stats);
        if (t->last_tick != 0 && now - t->last_tick > 2 * NSEC_PER_SEC)
                counter_add(&t->words[WORKER_LOOP_STALLS], 1);
        t->last_tick = now;
        counter_set(&t->words[WORKER_HEARTBEAT], now);
        counter_set(&t->words[WORKER_BUSY_NS], time_of(CLOCK_THREAD_CPUTIME_ID) + t->base_busy);
        counter_set(&t->words[WORKER_LOOP_ROUNDS], stats.rounds + t->base_rounds);
        counter_set(&t->words[WORKER_LOOP_EVENTS], stats.events + t->base_events);
        counter_set(&t->words[WORKER_BUFFERS_EXHAUSTED], stats.bufs_empty + t->base_bufs);
        timer_start(t->loop, &t->tick, now + NSEC_PER_SEC);
}

static int web_thread_init(struct web_thread *t) {
        const struct loop_options options = {.backend = t->web->io};
        int r;

        list_init(&t->ports);
        list_init(&t->conns);
        list_init(&t->pools);
        t->deferred_end = &t->deferred;
        t->run_deferred.run = web_thread_run_deferred;
        r = loop_new(&t->loop, &options, &t->start_why);
        if (r < 0)
                return r;
        buf_pool_init(&t->text, WEB_TEXT_BLOCK, WEB_TEXT_KEEP, UINT32_MAX);
        t->large = (struct buf_pool){.on_return = web_large_return};
        farm_lane_init(&t->farm_lane, t->lane);
        request_ids_init(&t->ids, t->web->id_seed, t->lane);
        t->drain_timer.fire = web_thread_on_drain_timer;
        t->tick.fire = web_thread_on_tick;
        /* the counters of a worker that died go on; its connections are gone */
        counter_set(&t->words[WORKER_CONNECTIONS_H1], 0);
        t->base_busy = counter_get(&t->words[WORKER_BUSY_NS]);
        t->base_rounds = counter_get(&t->words[WORKER_LOOP_ROUNDS]);
        t->base_events = counter_get(&t->words[WORKER_LOOP_EVENTS]);
        t->base_bufs = counter_get(&t->words[WORKER_BUFFERS_EXHAUSTED]);
        web_thread_on_tick(&t->tick);
        return 0;
}

/* Takes everything apart while the loop still runs: sockets end only in rounds of it. */
static void web_thread_deinit(struct web_thread *t) {
        struct web_port *p;

        LIST_FOREACH(p, &t->ports, link)
                web_port_stop(p);
        web_thread_cut_all(t);
        upstream_pools_close(t);
        for (unsigned rounds = 0; rounds < 1000 && (!list_empty(&t->conns) || !list_empty(&t->ports) || upstream_pools_busy(t));
             rounds++)
                (void)loop_run_once(t->loop, NSEC_PER_MSEC);
        upstream_pools_free(t);
        if (t->generation)
                t->generation = thread_generation_unref(t->generation);
        h1_streams_free(t);
        timer_stop(t->loop, &t->tick);
        timer_stop(t->loop, &t->drain_timer);
        buf_pool_deinit(&t->text);
        t->loop = loop_free(t->loop);
}

void *web_thread_main(void *arg) {
        struct web_thread *t = arg;

        t->start_result = web_thread_init(t);
        web_thread_started(t);
        if (t->start_result < 0)
                return NULL;
        (void)loop_run(t->loop);
        web_thread_deinit(t);
        return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "net/loop.h"

#include <assert.h>
#include <errno.h>
#include <sys/eventfd.h>

#include "base/cleanup.h"
#include "net/bulk.h"
#include "net/loop_internal.h"

/*
 * A round:
 *   1. the backend waits, and handles what the kernel reports: most callbacks run here
 *   2. timers that are due
 *   3. in turns, until there is nothing left or a few turns have passed: the work list (what callbacks caused in user
 *      space: a send that was over at once, data that waited), tasks, on_closed()
 * on_closed() runs only in 3, when the kernel's reports of this round have been handled: so none of them
 * can point at memory that is gone.
 */

#define N_BUFS_DEFAULT 64
#define BUF_SIZE_DEFAULT 16384
#define MAX_TURNS 8
#define TRIM_TIME NSEC_PER_SEC

/* ── life ──────────────────────────────────────────────────────────────── */

int loop_init(struct loop *l, const struct backend *backend, const struct loop_options *options) {
        unsigned n_bufs = options && options->n_bufs ? options->n_bufs : N_BUFS_DEFAULT;
        unsigned size = options && options->buf_size ? options->buf_size : BUF_SIZE_DEFAULT;
        unsigned max = options && options->max_bufs ? options->max_bufs : UINT16_MAX / 2;

        l->backend = backend;
        l->forks = options && options->forks;
        l->now = time_monotonic();
        l->tasks_end = &l->tasks;
        list_init(&l->work);
        list_init(&l->later);
        list_init(&l->closed);
        list_init(&l->starved);
        wheel_init(&l->wheel, l->now);
        buf_pool_init(&l->pool, MAX(size, 512u), n_bufs, MAX(max, 1u));
        l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        return l->wake_fd < 0 ? -errno : 0;
}

void loop_deinit(struct loop *l) {
        bulk_pipes_free(l);
        buf_pool_deinit(&l->pool);
        l->wake_fd = fd_close(l->wake_fd);
}

int loop_new(struct loop **ret, const struct loop_options *options, const char **ret_why) {
        enum loop_backend kind = options ? options->backend : LOOP_AUTO;
        const char *uring_why = NULL, *why = NULL;
        int r;

        if (kind != LOOP_EPOLL) {
                r = uring_loop_new(ret, options, &uring_why);
                if (r >= 0 || kind == LOOP_URING) {
                        if (r < 0 && ret_why)
                                *ret_why = uring_why;
                        return r;
                }
        }
        r = epoll_loop_new(ret, options, &why);
        if (r < 0) {
                if (ret_why)
                        *ret_why = why;
                return r;
        }
        (*ret)->fallback_reason = uring_why;
        return 0;
}

struct loop *loop_free(struct loop *l) {
        if (l)
                l->backend->free(l);
        return NULL;
}

nsec_t loop_now(const struct loop *l) {
        return l->now;
}

enum loop_backend loop_backend(const struct loop *l) {
        return l->backend->kind;
}

const char *loop_fallback_reason(const struct loop *l) {
        return l->fallback_reason;
}

void loop_get_stats(const struct loop *l, struct loop_stats *ret) {
        *ret = l->stats;
}

/* ── rounds ────────────────────────────────────────────────────────────── */

static void run_timers(struct loop *l) {
        struct list due = LIST_INIT(due);
        struct timer *t;

        wheel_advance(&l->wheel, l->now, &due);
        while ((t = LIST_FIRST(&due, struct timer, link))) {
                list_remove(&t->link);
                t->at = 0;
                l->stats.events++;
                t->fire(t);
        }
}

static void take_posted(struct loop *l) {
        struct task *t = __atomic_exchange_n(&l->posted, NULL, __ATOMIC_ACQUIRE), *oldest = NULL;

        while (t) {
                struct task *next = t->next;

                t->next = oldest;
                oldest = t;
                t = next;
        }
        for (t = oldest; t; t = t->next) {
                *l->tasks_end = t;
                l->tasks_end = &t->next;
        }
}

void loop_woken(struct loop *l) {
        uint64_t n;

        (void)!read(l->wake_fd, &n, sizeof(n)); /* EAGAIN: somebody's post was taken earlier */
        take_posted(l);
}

/* Those that are there now; what they defer runs in the next turn. */
static void run_tasks(struct loop *l) {
        struct task *t = l->tasks;

        l->tasks = NULL;
        l->tasks_end = &l->tasks;
        while (t) {
                struct task *next = t->next;

                t->next = NULL;
                __atomic_store_n(&t->queued, false, __ATOMIC_RELEASE);
                t->run(t);
                t = next;
        }
}

void loop_run_work(struct loop *l) {
        struct list batch = LIST_INIT(batch);
        struct sock *s;

        if (list_empty(&l->work))
                return;
        list_splice_tail(&batch, &l->work);
        while ((s = LIST_FIRST(&batch, struct sock, priv.work_link))) {
                list_remove(&s->priv.work_link);
                l->backend->run(s);
        }
}

static void run_closed(struct loop *l) {
        struct sock *s;

        while ((s = LIST_FIRST(&l->closed, struct sock, priv.work_link))) {
                list_remove(&s->priv.work_link);
                s->ops->on_closed(s);
        }
}

static bool has_work(const struct loop *l) {
        return !list_empty(&l->work) || l->tasks || !list_empty(&l->closed);
}

static int run_round(struct loop *l, nsec_t max_wait) {
        nsec_t wait = max_wait, next;
        int r;

        list_splice_tail(&l->work, &l->later);
        if (has_work(l)) {
                wait = 0;
        } else if (wait > 0) {
                next = wheel_next(&l->wheel);
                if (l->pool.n_free > l->pool.keep) /* also when nothing happens any more */
                        next = MIN(next, l->trim_at);
                if (next != NSEC_INFINITY)
                        wait = MIN(wait, next > l->now ? next - l->now : 0);
        }
        r = l->backend->wait(l, wait);
        l->stats.rounds++;
        run_timers(l);
        for (unsigned turn = 0; turn < MAX_TURNS && has_work(l); turn++) {
                loop_run_work(l);
                run_tasks(l);
                run_closed(l);
        }
        if (l->now >= l->trim_at) {
                l->trim_at = l->now + TRIM_TIME;
                buf_pool_trim(&l->pool);
        }
        return r;
}

int loop_run_once(struct loop *l, nsec_t max_wait) {
        l->now = time_monotonic();
        return run_round(l, max_wait);
}

int loop_run(struct loop *l) {
        int r = 0;

        l->now = time_monotonic();
        while (!l->stopped && r >= 0)
                r = run_round(l, NSEC_INFINITY);
        l->stopped = false;
        return r;
}

void loop_stop(struct loop *l) {
        l->stopped = true;
}

/* ── tasks and timers ──────────────────────────────────────────────────── */

void loop_defer(struct loop *l, struct task *t) {
        if (t->queued)
                return;
        t->queued = true;
        t->next = NULL;
        *l->tasks_end = t;
        l->tasks_end = &t->next;
}

void loop_post(struct loop *l, struct task *t) {
        struct task *head = __atomic_load_n(&l->posted, __ATOMIC_RELAXED);
        const uint64_t one = 1;

        __atomic_store_n(&t->queued, true, __ATOMIC_RELAXED);
        do
                t->next = head;
        while (!__atomic_compare_exchange_n(&l->posted, &head, t, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
        /* Who found the stack empty wakes; the others' tasks are taken with that one. The counter cannot overflow. */
        if (!head)
                (void)!write(l->wake_fd, &one, sizeof(one));
}

void timer_start(struct loop *l, struct timer *t, nsec_t at) {
        if (t->at)
                list_remove(&t->link);
        t->at = MAX(at, (nsec_t)1);
        wheel_add(&l->wheel, t);
}

void timer_stop(struct loop *l, struct timer *t) {
        if (!t->at)
                return;
        list_remove(&t->link);
        t->at = 0;
}

/* ── listeners and watches ─────────────────────────────────────────────── */

bool accept_may_go_on(int error) {
        switch (error) {
        case -EINTR:
        case -ECONNABORTED:
        case -EPROTO:
        case -EPERM: /* a packet filter */
        case -ENOPROTOOPT:
        case -EOPNOTSUPP:
        case -ENETDOWN:
        case -ENETUNREACH:
        case -EHOSTDOWN:
        case -EHOSTUNREACH:
        case -ENONET:
        case -ETIMEDOUT:
                return true;
        default:
                return false;
        }
}

int acceptor_start(struct loop *l, struct acceptor *a) {
        a->loop = l;
        memset(&a->priv, 0, sizeof(a->priv));
        return l->backend->acceptor_start(a);
}

void acceptor_stop(struct acceptor *a) {
        timer_stop(a->loop, &a->priv.pause);
        a->loop->backend->acceptor_stop(a);
}

int watch_start(struct loop *l, struct watch *w) {
        w->loop = l;
        memset(&w->priv, 0, sizeof(w->priv));
        return l->backend->watch_start(w);
}

int watch_set_events(struct watch *w, uint32_t events) {
        w->events = events;
        return w->loop->backend->watch_set_events(w);
}

void watch_stop(struct watch *w) {
        w->loop->backend->watch_stop(w);
}

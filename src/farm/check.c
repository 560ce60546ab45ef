/* SPDX-License-Identifier: Apache-2.0 */
#include "farm/check.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/list.h"
#include "base/log.h"
#include "farm/farm_internal.h"
#include "farm/probe.h"
#include "farm/resolve.h"

#define FIRST_GAP (10 * NSEC_PER_MSEC)   /* between first checks of new servers */
#define FIRST_WINDOW (1 * NSEC_PER_SEC)  /* in which they all begin, however many there are */

/* What is done for one server. `server` points back with its `job`. */
struct job {
        struct list link;
        struct farm_checker *checker;
        struct server *server;  /* a reference; NULL: removed, waits for its probe to be over */
        const struct farm *farm; /* borrowed from the checker's set */
        struct timer due;
        struct probe probe;
        struct resolver_name name;
        nsec_t began;           /* the last check */
        unsigned good;          /* in a row; one of the two is 0 */
        unsigned bad;
        bool looked_up;         /* once at least, with or without success */
        bool checked;           /* the same */
        bool awaited;           /* counted in n_awaited: one of the two is still to come */
        bool kept;              /* during farm_checker_set(): is in the new set too */
};

struct farm_checker {
        struct loop *loop;
        struct resolver *resolver;
        struct farm_set *set;   /* a reference; NULL: none yet */
        struct list jobs;
        struct list removed;    /* jobs whose probe is not over yet */
        struct rand rand;
        struct log_rate local_rate;
        unsigned n_awaited;     /* servers of which nothing is known yet */
        void (*ready)(void *arg);
        void *ready_arg;
        struct task ready_task;
        struct timer ready_limit;
        struct task stopping;
        void (*stopped)(void *arg);
        void *stopped_arg;
};

/* ── state ──────────────────────────────────────────────────────────────────────────────────────── */

static bool has_address(const struct job *j) {
        return !j->server->named || j->name.addr.len > 0;
}

/* What web threads see: the verdict of the checks, unless there is nowhere to go. */
static void publish(struct job *j) {
        enum server_state state = has_address(j) ? j->server->verdict : SERVER_DOWN;
        uint64_t *words = server_check_words(j->server);

        server_set_state(j->server, state);
        if (counter_get(&words[SERVER_CHECK_STATE]) != state) {
                counter_set(&words[SERVER_CHECK_STATE], state);
                counter_set(&words[SERVER_CHECK_SINCE], time_wall());
        }
}

static void warn_if_none_is_left(const struct farm *f) {
        for (unsigned i = 0; i < f->n_members; i++)
                if (f->members[i].weight > 0 && server_state(f->members[i].server) != SERVER_DOWN)
                        return;
        log_error("farm", "no server is up", "farm=%s", f->name.p);
}

static void log_change(const struct job *j, enum server_state before, const char *why, unsigned after) {
        const struct server *s = j->server;

        if (s->verdict == SERVER_DOWN)
                log_warn("farm", "server is down", "farm=%s server=%s why=\"%s\" after=%u", s->farm.p, s->name.p, why, after);
        else if (before == SERVER_DOWN)
                log_notice("farm", "server is up", "farm=%s server=%s why=\"%s\" after=%u", s->farm.p, s->name.p, why, after);
        else
                log_info("farm", "server is up", "farm=%s server=%s why=\"%s\" after=%u", s->farm.p, s->name.p, why, after);
}

/* The table in farm.h. */
static enum server_state next_state(enum server_state state, const struct job *j) {
        const struct farm_check *check = &j->farm->check;

        if (j->good > 0)
                return state == SERVER_DOWN && j->good < check->rise ? SERVER_DOWN : SERVER_UP;
        return state == SERVER_UP && j->bad < check->fall ? SERVER_UP : SERVER_DOWN;
}

static void judge(struct job *j, enum check_result result, unsigned detail) {
        enum server_state before = j->server->verdict;
        char why[CHECK_TEXT_MAX];

        j->good = result == CHECK_OK ? j->good + 1 : 0;
        j->bad = result == CHECK_OK ? 0 : j->bad + 1;
        j->server->verdict = next_state(before, j);
        publish(j);
        if (j->server->verdict == before)
                return;
        check_result_format(result, detail, why);
        log_change(j, before, why, MAX(j->good, j->bad));
        if (j->server->verdict == SERVER_DOWN)
                warn_if_none_is_left(j->farm);
}

/* ── the first news ─────────────────────────────────────────────────────────────────────────────── */

static void ready_soon(struct farm_checker *c) {
        if (c->ready && !c->ready_task.queued)
                loop_defer(c->loop, &c->ready_task);
}

static void ready_now(struct farm_checker *c) {
        void (*ready)(void *arg) = c->ready;

        c->ready = NULL;
        timer_stop(c->loop, &c->ready_limit);
        if (ready)
                ready(c->ready_arg);
}

static void on_ready_task(struct task *t) {
        ready_now(CONTAINER_OF(t, struct farm_checker, ready_task));
}

static void on_ready_limit(struct timer *t) {
        ready_now(CONTAINER_OF(t, struct farm_checker, ready_limit));
}

/* Counts the job in or out of those that are waited for. */
static void await_update(struct job *j) {
        struct farm_checker *c = j->checker;
        bool awaited = j->farm && ((j->server->named && !j->looked_up) ||
                                   (j->farm->check.kind != FARM_CHECK_NONE && !j->checked && has_address(j)));

        if (awaited == j->awaited)
                return;
        j->awaited = awaited;
        c->n_awaited += awaited ? 1 : -1U;
        if (c->n_awaited == 0)
                ready_soon(c);
}

void farm_checker_await(struct farm_checker *c, nsec_t limit, void (*ready)(void *arg), void *arg) {
        assert(!c->ready && !c->stopped);
        c->ready = ready;
        c->ready_arg = arg;
        timer_start(c->loop, &c->ready_limit, loop_now(c->loop) + limit);
        if (c->n_awaited == 0)
                ready_soon(c);
}

/* ── checks ─────────────────────────────────────────────────────────────────────────────────────── */

/* We could not check: known about the server is what was known before. */
static void local_failure(struct job *j, unsigned error) {
        uint64_t suppressed;
        char why[CHECK_TEXT_MAX];

        if (!log_rate_allow(&j->checker->local_rate, time_monotonic(), &suppressed))
                return;
        check_result_format(CHECK_LOCAL, error, why);
        log_warn("farm", "server could not be checked", "farm=%s server=%s why=\"%s\" suppressed=%llu", j->server->farm.p,
                 j->server->name.p, why, (unsigned long long)suppressed);
}

static void on_result(struct probe *p, enum check_result result, unsigned detail, nsec_t took) {
        struct job *j = CONTAINER_OF(p, struct job, probe);
        uint64_t *words = server_check_words(j->server);

        if (result == CHECK_LOCAL)
                local_failure(j, detail);
        else
                judge(j, result, detail);
        counter_set(&words[SERVER_CHECK_RESULT], result);
        counter_set(&words[SERVER_CHECK_DETAIL], detail);
        counter_set(&words[SERVER_CHECK_STREAK], MAX(j->good, j->bad));
        counter_set(&words[SERVER_CHECK_AT], time_wall());
        counter_set(&words[SERVER_CHECK_DURATION], took);
        counter_add(&words[result == CHECK_OK ? SERVER_CHECKS_OK : SERVER_CHECKS_FAILED], 1);
        j->checked = true;
        await_update(j);
}

/* every ±10 % */
static nsec_t interval(struct job *j) {
        nsec_t every = j->farm->check.every;

        return every - every / 10 + rand_below(&j->checker->rand, every / 5 + 1);
}

static void job_free(struct job *j) {
        list_remove(&j->link);
        probe_deinit(&j->probe);
        free(j);
}

static void checker_maybe_stopped(struct farm_checker *c);

static void on_over(struct probe *p) {
        struct job *j = CONTAINER_OF(p, struct job, probe);
        struct farm_checker *c = j->checker;

        if (!j->server) {
                job_free(j);
                checker_maybe_stopped(c);
                return;
        }
        if (j->farm->check.kind != FARM_CHECK_NONE)
                timer_start(c->loop, &j->due, MAX(j->began + interval(j), loop_now(c->loop)));
}

/* What the server is called in the Host field: its address as configured, unless that is not one. */
static struct str host_of(const struct job *j) {
        struct str address = j->server->address;

        if (j->farm->check.host.n > 0)
                return j->farm->check.host;
        if (address.n == 0 || address.p[0] == ':' || address.p[0] == '*' || str_starts(address, STR("unix:")))
                return STR("localhost");
        return address;
}

static void set_port(struct addr *a, uint16_t port) {
        if (port == 0)
                return;
        if (a->sa.sa_family == AF_INET)
                a->in4.sin_port = htons(port);
        else if (a->sa.sa_family == AF_INET6)
                a->in6.sin6_port = htons(port);
}

static void on_due(struct timer *t) {
        struct job *j = CONTAINER_OF(t, struct job, due);
        struct farm_checker *c = j->checker;
        struct addr addr;

        j->began = loop_now(c->loop);
        if (server_addr(j->server, &addr) == 0) {
                timer_start(c->loop, &j->due, j->began + interval(j)); /* on_name() makes it sooner */
                return;
        }
        set_port(&addr, j->farm->check.port);
        if (probe_start(&j->probe, &addr, &j->farm->check, host_of(j)) < 0) {
                local_failure(j, ENOMEM);
                timer_start(c->loop, &j->due, j->began + interval(j));
        }
}

/* ── names ──────────────────────────────────────────────────────────────────────────────────────── */

static void name_failed(struct job *j, int error) {
        uint64_t *words = server_check_words(j->server);
        char why[CHECK_TEXT_MAX];

        check_result_format(CHECK_NO_ADDRESS, (uint64_t)(int64_t)error, why);
        log_warn("farm", has_address(j) ? "server name does not resolve, last address is kept" : "server is down",
                 "farm=%s server=%s why=\"%s\"", j->server->farm.p, j->server->name.p, why);
        if (has_address(j))
                return;
        counter_set(&words[SERVER_CHECK_RESULT], CHECK_NO_ADDRESS);
        counter_set(&words[SERVER_CHECK_DETAIL], (uint64_t)(int64_t)error);
        counter_set(&words[SERVER_CHECK_AT], time_wall());
}

static void on_name(struct resolver_name *n, int error) {
        struct job *j = CONTAINER_OF(n, struct job, name);
        struct addr before;
        bool had = server_addr(j->server, &before) != 0;
        uint64_t *words = server_check_words(j->server);
        bool failed = counter_get(&words[SERVER_CHECK_RESULT]) == CHECK_NO_ADDRESS && counter_get(&words[SERVER_CHECK_DETAIL]) != 0;
        char text[ADDR_TEXT_MAX];

        j->looked_up = true;
        if (error != 0) {
                name_failed(j, error);
                await_update(j);
                return;
        }
        server_set_addr(j->server, &n->addr);
        (void)addr_format(&n->addr, text);
        log_write(had || failed ? LOG_LEVEL_NOTICE : LOG_LEVEL_INFO, "farm",
                  had ? "server has another address" : "server name resolves", "farm=%s server=%s address=%s",
                  j->server->farm.p, j->server->name.p, text);
        if (counter_get(&words[SERVER_CHECK_RESULT]) == CHECK_NO_ADDRESS) {
                counter_set(&words[SERVER_CHECK_RESULT], CHECK_NEVER);
                counter_set(&words[SERVER_CHECK_DETAIL], 0);
        }
        publish(j);
        await_update(j);
        if (j->farm->check.kind != FARM_CHECK_NONE && j->probe.state == PROBE_IDLE)
                timer_start(j->checker->loop, &j->due, loop_now(j->checker->loop));
}

/* ── generations ────────────────────────────────────────────────────────────────────────────────── */

static struct job *job_new(struct farm_checker *c, struct server *s) {
        struct job *j = calloc(1, sizeof(*j));

        if (!j)
                return NULL;
        list_init(&j->link);
        j->checker = c;
        j->server = s; /* a reference only once it is started */
        j->due.fire = on_due;
        probe_init(&j->probe, c->loop);
        j->probe.on_result = on_result;
        j->probe.on_over = on_over;
        return j;
}

/* The turn-th of n that start together. */
static void job_start(struct job *j, unsigned turn, unsigned n) {
        struct farm_checker *c = j->checker;
        struct server *s = server_ref(j->server);
        nsec_t window = MIN(FIRST_WINDOW, j->farm->check.every);
        nsec_t gap = MIN(FIRST_GAP, window / n);

        s->job = j;
        list_add_tail(&c->jobs, &j->link);
        if (s->named) {
                j->name.host = s->host;
                j->name.port = s->port;
                j->name.on_change = on_name;
                (void)server_addr(s, &j->name.addr); /* it had one if another checker looked after it before */
                resolver_add(c->resolver, &j->name);
        }
        publish(j);
        await_update(j);
        if (j->farm->check.kind != FARM_CHECK_NONE)
                timer_start(c->loop, &j->due, loop_now(c->loop) + turn * gap);
}

static void job_remove(struct job *j) {
        struct farm_checker *c = j->checker;

        timer_stop(c->loop, &j->due);
        resolver_remove(&j->name);
        j->server->job = NULL;
        j->server = server_unref(j->server);
        j->farm = NULL;
        await_update(j);
        if (j->probe.state == PROBE_IDLE) {
                job_free(j);
                return;
        }
        list_remove(&j->link);
        list_add_tail(&c->removed, &j->link);
        probe_cancel(&j->probe);
}

/* The server stays, what is to be checked may have changed. A probe that is under way ends as it began. */
static void job_update(struct job *j, const struct farm *f) {
        struct farm_checker *c = j->checker;
        nsec_t latest = loop_now(c->loop) + f->check.every;
        bool was_checked = j->farm->check.kind != FARM_CHECK_NONE;

        j->farm = f;
        if (f->check.kind == FARM_CHECK_NONE) {
                if (was_checked) {
                        timer_stop(c->loop, &j->due);
                        probe_cancel(&j->probe);
                        j->server->verdict = SERVER_UNKNOWN;
                        j->good = j->bad = 0;
                        publish(j);
                }
        } else if (j->probe.state == PROBE_IDLE && (!was_checked || j->due.at == 0 || j->due.at > latest)) {
                timer_start(c->loop, &j->due, was_checked ? latest : loop_now(c->loop));
        }
        await_update(j);
}

static void jobs_free(struct list *jobs) {
        struct job *j;

        LIST_FOREACH(j, jobs, link)
                job_free(j);
}

/* Jobs for the servers that have none. All or nothing. */
static int jobs_make(struct farm_checker *c, const struct farm_set *set, struct list *jobs, unsigned *ret_n) {
        *ret_n = 0;
        for (unsigned i = 0; i < set->n_farms; i++)
                for (unsigned k = 0; k < set->farms[i]->n_members; k++) {
                        struct server *s = set->farms[i]->members[k].server;
                        struct job *j;

                        if (s->job)
                                continue;
                        j = job_new(c, s);
                        if (!j) {
                                jobs_free(jobs);
                                return -ENOMEM;
                        }
                        j->farm = set->farms[i];
                        list_add_tail(jobs, &j->link);
                        (*ret_n)++;
                }
        return 0;
}

static void jobs_keep(const struct farm_set *set) {
        for (unsigned i = 0; i < set->n_farms; i++)
                for (unsigned k = 0; k < set->farms[i]->n_members; k++) {
                        struct job *j = set->farms[i]->members[k].server->job;

                        if (!j)
                                continue;
                        j->kept = true;
                        job_update(j, set->farms[i]);
                }
}

int farm_checker_set(struct farm_checker *c, struct farm_set *set) {
        struct list fresh = LIST_INIT(fresh);
        struct farm_set *old = c->set;
        unsigned n, turn = 0;
        struct job *j;
        int r;

        assert(!c->stopped);
        r = jobs_make(c, set, &fresh, &n);
        if (r < 0)
                return r;
        LIST_FOREACH(j, &c->jobs, link)
                j->kept = false;
        jobs_keep(set);
        LIST_FOREACH(j, &c->jobs, link)
                if (!j->kept)
                        job_remove(j);
        while ((j = LIST_FIRST(&fresh, struct job, link))) {
                list_remove(&j->link);
                job_start(j, turn++, n);
        }
        c->set = farm_set_ref(set);
        (void)farm_set_unref(old);
        return 0;
}

int farm_checker_new(struct farm_checker **ret, struct loop *loop, const struct farm_checker_options *options) {
        CLEANUP(freep) struct farm_checker *c = NULL;
        int r;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->loop = loop;
        c->ready_task.run = on_ready_task;
        c->ready_limit.fire = on_ready_limit;
        list_init(&c->jobs);
        list_init(&c->removed);
        if (options && options->seed != 0)
                rand_init(&c->rand, options->seed);
        else
                rand_init_system(&c->rand);
        r = resolver_new(&c->resolver, loop, options);
        if (r < 0)
                return r;
        *ret = TAKE(c);
        return 0;
}

static void checker_maybe_stopped(struct farm_checker *c) {
        if (c->stopped && list_empty(&c->removed) && !c->stopping.queued)
                loop_defer(c->loop, &c->stopping);
}

static void on_stopping(struct task *t) {
        struct farm_checker *c = CONTAINER_OF(t, struct farm_checker, stopping);
        void (*stopped)(void *arg) = c->stopped;
        void *arg = c->stopped_arg;

        resolver_free(c->resolver);
        (void)farm_set_unref(c->set);
        free(c);
        stopped(arg);
}

void farm_checker_stop(struct farm_checker *c, void (*stopped)(void *arg), void *arg) {
        struct job *j;

        c->stopped = stopped;
        c->stopped_arg = arg;
        c->stopping.run = on_stopping;
        c->ready = NULL;
        timer_stop(c->loop, &c->ready_limit);
        LIST_FOREACH(j, &c->jobs, link)
                job_remove(j);
        checker_maybe_stopped(c);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/agent.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>

#include "base/log.h"
#include "daemon/access_file.h"
#include "daemon/apply.h"
#include "daemon/gauges.h"
#include "daemon/notify.h"
#include "daemon/snapshot.h"
#include "daemon/start.h"

enum {
        COUNTERS_OBJECTS_MAX = 8192, /* sites, farms and servers of all generations together */
};

#define DRAIN_GRACE (2 * NSEC_PER_SEC) /* what the worker gets beyond its own deadline */

bool agent_serving(const struct agent *a) {
        return a->live && !a->draining && a->worker.applied == a->current->number;
}

/* ── the end ───────────────────────────────────────────────────────────── */

/* Nothing of ours is left in the loop, so all memory can be freed. */
static bool idle(const struct agent *a) {
        return worker_gone(&a->worker) && peer_server_idle(&a->control.server) && peer_server_idle(&a->admin.server);
}

static void finish(struct agent *a, int exit) {
        if (a->finishing)
                return;
        a->finishing = true;
        a->exit = exit;
        timer_stop(a->loop, &a->drain_limit);
        control_close(&a->control);
        admin_http_close(&a->admin);
        worker_kill(&a->worker);
}

static void on_drain_limit(struct timer *t) {
        struct agent *a = CONTAINER_OF(t, struct agent, drain_limit);

        log_warn("agent", "the worker did not end in time, ending it", NULL);
        finish(a, CLI_OK);
}

void agent_drain(struct agent *a) {
        nsec_t limit = a->current->drain;

        if (a->draining || !a->live) {
                finish(a, CLI_OK);
                return;
        }
        a->draining = true;
        notify_send("STOPPING=1\nSTATUS=draining");
        log_notice("agent", "draining", "limit_ms=%llu", (unsigned long long)(limit / NSEC_PER_MSEC));
        if (a->apply)
                apply_cancel(a, "tenon is about to end");
        if (worker_drain(&a->worker, limit) < 0) {
                finish(a, CLI_OK);
                return;
        }
        /* the worker closes its copies; ours would keep the backlog filling with connections that nobody takes */
        listener_set_deinit(&a->current->listeners);
        if (limit != NSEC_INFINITY)
                timer_start(a->loop, &a->drain_limit, loop_now(a->loop) + limit + DRAIN_GRACE);
}

/* ── the worker ────────────────────────────────────────────────────────── */

static void on_ready(struct worker *w) {
        struct agent *a = w->arg;
        int r;

        r = worker_load(w, a->current->number, &a->current->listeners, a->current->bundle_fd);
        if (r < 0)
                log_error("agent", "cannot hand the configuration to the worker", "error=\"%s\"", strerror(-r));
}

static void first_time_live(struct agent *a) {
        a->live = true;
        a->current->applied = time_wall();
        start_announce(a);
        notify_send("READY=1\nSTATUS=generation %llu", (unsigned long long)a->current->number);
}

static void on_applied(struct worker *w, uint64_t generation) {
        struct agent *a = w->arg;

        if (a->apply) {
                apply_on_applied(a, generation);
                return;
        }
        if (!a->live)
                first_time_live(a);
        else
                log_notice("agent", "the new worker serves", "generation=%llu pid=%d", (unsigned long long)generation,
                           (int)worker_pid(w));
}

static void on_refused(struct worker *w, uint64_t generation, struct str why) {
        struct agent *a = w->arg;

        if (a->apply) {
                apply_on_refused(a, generation, why);
                return;
        }
        if (!a->live) {
                fprintf(stderr, "tenon: %.*s%s%s%s\n", STR_FMT(why), w->options.user[0] ? " (the worker runs as user " : "",
                        w->options.user, w->options.user[0] ? ")" : "");
                finish(a, CLI_FAILED);
                return;
        }
        /* it was good before: something outside has changed (a folder is gone); dying makes it try again, with pauses */
        log_error("agent", "the new worker refuses the generation that ran before", "why=\"%.*s\"", STR_FMT(why));
        worker_restart(w);
}

/* No request is left; it ends by itself when the access log is written. */
static void on_drained(struct worker *w) {
        struct agent *a = w->arg;

        timer_start(a->loop, &a->drain_limit, loop_now(a->loop) + DRAIN_GRACE);
}

static void on_death(struct worker *w, bool expected) {
        struct agent *a = w->arg;

        gauges_reset(a->counters);
        if (a->apply)
                apply_on_death(a);
        if (a->finishing)
                return;
        if (a->draining) {
                if (strcmp(w->last_death, "ended with status 0") != 0)
                        log_warn("agent", "the worker ended before its requests did", "how=\"%s\"", w->last_death);
                finish(a, CLI_OK);
        } else if (!a->live && !expected) {
                fprintf(stderr, "tenon: the worker %s before it could serve\n", w->last_death);
                finish(a, CLI_FAILED);
        }
}

static const struct worker_ops worker_ops = {
        .on_ready = on_ready,
        .on_applied = on_applied,
        .on_refused = on_refused,
        .on_drained = on_drained,
        .on_death = on_death,
};

/* ── signals ───────────────────────────────────────────────────────────── */

static void on_reloaded(void *arg, const struct apply_result *r) {
        switch (r->exit) {
        case CLI_OK:
                break; /* said when it went live */
        case CLI_NOTHING_TO_DO:
                log_notice("agent", "nothing to change", "generation=%llu", (unsigned long long)r->generation);
                break;
        default:
                log_error("agent", "reload failed, the configuration stays as it was", "generation=%llu error=\"%s\"",
                          (unsigned long long)r->generation, r->error.n > 0 ? strbuf_z(&r->error) : strbuf_z(&r->counts));
                if (r->diagnostics.n > 0)
                        (void)!write(STDERR_FILENO, strbuf_z(&r->diagnostics), r->diagnostics.n);
        }
}

static void reload(struct agent *a) {
        const struct apply_request request = {.done = on_reloaded, .arg = a};
        struct generation_source source;

        start_source(a, &source);
        apply_start(a, &source, &request);
}

static void reopen_access_log(struct agent *a) {
        int fd;

        if (!a->current->access_log)
                return;
        fd = access_file_open(a->current->access_log);
        if (fd < 0) {
                log_error("agent", "cannot reopen the access log, the old file goes on", "path=\"%s\" error=\"%s\"",
                          a->current->access_log, strerror(-fd));
                return;
        }
        if (worker_set_access_log(&a->worker, fd) < 0)
                log_error("agent", "cannot hand the access log to the worker", NULL);
        (void)fd_close(a->access_log_fd);
        a->access_log_fd = fd;
        log_notice("agent", "access log reopened", "path=\"%s\"", a->current->access_log);
}

static void on_signal(struct watch *w, uint32_t events) {
        struct agent *a = CONTAINER_OF(w, struct agent, signals);
        struct signalfd_siginfo info;

        while (!a->finishing && read(a->signal_fd, &info, sizeof(info)) == sizeof(info))
                switch (info.ssi_signo) {
                case SIGTERM:
                case SIGINT:
                        agent_drain(a);
                        break;
                case SIGHUP:
                        reload(a);
                        break;
                case SIGUSR1:
                        reopen_access_log(a);
                        break;
                }
}

static int take_signals(struct agent *a) {
        sigset_t set;

        (void)signal(SIGPIPE, SIG_IGN);
        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        (void)sigaddset(&set, SIGHUP);
        (void)sigaddset(&set, SIGUSR1);
        if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
                return -errno;
        a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        if (a->signal_fd < 0)
                return -errno;
        a->signals = (struct watch){.fd = a->signal_fd, .events = EPOLLIN, .on_ready = on_signal};
        return watch_start(a->loop, &a->signals);
}

/* ── start ─────────────────────────────────────────────────────────────── */

static void on_tick(struct timer *t) {
        struct agent *a = CONTAINER_OF(t, struct agent, tick);

        /* no rates this time when memory is short */
        (void)rates_sample(&a->rates, a->counters, snapshot_requests, loop_now(a->loop));
        timer_start(a->loop, t, loop_now(a->loop) + NSEC_PER_SEC);
}

/* Every connection needs one descriptor or two: the soft limit is for programs that still use select(). */
static void raise_descriptor_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

static int complain(const char *what, int error) {
        fprintf(stderr, "tenon: %s: %s\n", what, strerror(-error));
        return CLI_FAILED;
}

/* Everything that can be wrong before a worker runs. 0 or an exit status, said. */
static int prepare(struct agent *a) {
        CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT;
        CLEANUP(strbuf_deinit) struct strbuf note = STRBUF_INIT;
        int r;

        r = start_load(a);
        if (r != 0)
                return r;
        if (listener_set_prepare(&a->current->listeners, a->current->addrs, a->current->n_addrs, a->current->n_threads, NULL,
                                 &why) < 0 ||
            listener_set_enable(&a->current->listeners, &why) < 0 ||
            control_open(&a->control, a, a->options->socket, &note, &why) < 0 ||
            admin_http_open(&a->admin, a, generation_root(a->current), &why) < 0) {
                fprintf(stderr, "tenon: %s\n", strbuf_z(&why));
                return CLI_FAILED;
        }
        if (note.n > 0)
                fprintf(stderr, "tenon: %s\n", strbuf_z(&note));
        if (why.n > 0) {
                fprintf(stderr, "tenon: warning: %s\n", strbuf_z(&why));
                a->start_warning = str_dup((struct str){why.p, why.n});
        }
        if (a->current->access_log) {
                a->access_log_fd = access_file_open(a->current->access_log);
                if (a->access_log_fd < 0) {
                        fprintf(stderr, "tenon: cannot write the access log %s: %s\n", a->current->access_log,
                                strerror(-a->access_log_fd));
                        return CLI_FAILED;
                }
        }
        r = counters_new(&a->counters, a->current->n_threads, COUNTERS_OBJECTS_MAX);
        if (r < 0)
                return complain("cannot make the counters", r);
        gauges_declare(a->counters);
        if (generation_declare(a->current, a->counters) < 0)
                log_warn("agent", "the counters are full: some sites or servers are not counted", NULL);
        return 0;
}

static int start(struct agent *a) {
        int r;

        a->worker.options = (struct worker_options){
                .n_threads = a->current->n_threads,
                .io = a->current->io,
                .counters_fd = counters_fd(a->counters),
                .access_log_fd = a->access_log_fd,
        };
        /* a name that is too long is the name of nobody: the worker says so */
        (void)snprintf(a->worker.options.user, sizeof(a->worker.options.user), "%s", geteuid() == 0 ? a->current->user : "");
        r = worker_start(&a->worker);
        if (r < 0)
                return complain("cannot start the worker", r);
        timer_start(a->loop, &a->tick, loop_now(a->loop) + NSEC_PER_SEC);
        return 0;
}

static void deinit(struct agent *a) {
        (void)generation_free(a->current);
        (void)counters_free(a->counters);
        rates_deinit(&a->rates);
        (void)fd_close(a->access_log_fd);
        (void)loop_free(a->loop);
        (void)fd_close(a->signal_fd);
        strbuf_deinit(&a->text);
        strbuf_deinit(&a->overrides);
        free(a->last_failure);
        free(a->start_warning);
}

/* Rounds instead of loop_run(): what must be gone before we may end can only be seen between them. */
static int run(struct agent *a) {
        while (!a->finishing || !idle(a)) {
                int r = loop_run_once(a->loop, a->finishing ? 100 * NSEC_PER_MSEC : NSEC_INFINITY);

                if (r < 0)
                        return complain("the event loop failed", r);
        }
        return a->exit;
}

int agent_run(const struct run_options *options) {
        const struct loop_options loop_options = {.backend = LOOP_EPOLL, .n_bufs = 16, .forks = true};
        struct agent a = {.options = options, .signal_fd = -1, .access_log_fd = -1, .next_number = 1};
        int r;

        a.started = time_wall();
        a.tick.fire = on_tick;
        a.drain_limit.fire = on_drain_limit;
        raise_descriptor_limit();
        r = loop_new(&a.loop, &loop_options, NULL);
        if (r < 0)
                return complain("cannot make an event loop", r);
        worker_init(&a.worker, a.loop, &worker_ops, &a);
        r = take_signals(&a);
        if (r < 0)
                r = complain("cannot take signals", r);
        else
                r = prepare(&a);
        if (r == 0)
                r = start(&a);
        if (r != 0)
                finish(&a, r);
        r = run(&a);
        deinit(&a);
        return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/listeners.h"

/* One life. Outlives its worker->process pointer until the loop has let go of both watches. */
struct worker_process {
        struct worker *worker;
        pid_t pid;
        int pidfd;
        struct channel channel;
        struct watch death;
        struct watch packets;
        struct timer limit; /* READY or the answer to a generation is overdue */
        unsigned n_watches;
        bool deaf;   /* nothing more is read or written */
        bool killed; /* by us */
};

static void set_state(struct worker *w, enum worker_state state) {
        w->state = state;
        w->since = time_wall();
}

const char *worker_state_name(const struct worker *w) {
        switch (w->state) {
        case WORKER_NONE:
                return w->restart_wanted ? "restarting" : "not running";
        case WORKER_STARTING:
                return w->restarts > 0 ? "restarting" : "starting";
        case WORKER_IDLE:
                return "starting";
        case WORKER_LOADING:
                return w->applied ? "serving" : "starting";
        case WORKER_SERVING:
                return "serving";
        case WORKER_DRAINING:
                return "draining";
        }
        return "?";
}

pid_t worker_pid(const struct worker *w) {
        return w->process ? w->process->pid : 0;
}

bool worker_gone(const struct worker *w) {
        return !w->process && w->n_leftovers == 0;
}

/* ── the end of a process ──────────────────────────────────────────────── */

static void process_put(struct worker_process *p) {
        if (--p->n_watches > 0)
                return;
        p->worker->n_leftovers--;
        channel_deinit(&p->channel);
        (void)fd_close(p->pidfd);
        free(p);
}

static void on_death_stopped(struct watch *watch) {
        process_put(CONTAINER_OF(watch, struct worker_process, death));
}

static void on_packets_stopped(struct watch *watch) {
        process_put(CONTAINER_OF(watch, struct worker_process, packets));
}

static void process_kill(struct worker_process *p) {
        /* the process is not waited for yet, so the number is still its own */
        (void)kill(p->pid, SIGKILL);
}

static void describe_death(struct worker *w, const siginfo_t *info) {
        if (info->si_code == CLD_EXITED)
                (void)snprintf(w->last_death, sizeof(w->last_death), "ended with status %d", info->si_status);
        else
                (void)snprintf(w->last_death, sizeof(w->last_death), "was killed by signal %d (%s)", info->si_status,
                               strsignal(info->si_status));
        w->last_death_at = time_wall();
}

static void on_restart(struct timer *t) {
        struct worker *w = CONTAINER_OF(t, struct worker, restart);
        int r;

        w->restarts++;
        r = worker_start(w);
        if (r < 0) {
                log_error("worker", "cannot start the worker, trying again", "error=\"%s\"", strerror(-r));
                w->restart_wanted = true;
                timer_start(w->loop, &w->restart, loop_now(w->loop) + WORKER_PAUSE_MAX);
        }
}

static void schedule_restart(struct worker *w) {
        nsec_t now = loop_now(w->loop);

        if (now - w->started > WORKER_QUICK_DEATH)
                w->pause = 0;
        w->restart_wanted = true;
        timer_start(w->loop, &w->restart, now + w->pause);
        w->pause = w->pause == 0 ? WORKER_PAUSE_MIN : MIN(w->pause * 2, WORKER_PAUSE_MAX);
}

static void turn_deaf(struct worker_process *p) {
        if (!p->deaf)
                watch_stop(&p->packets);
        p->deaf = true;
}

static void on_death(struct watch *watch, uint32_t events) {
        struct worker_process *p = CONTAINER_OF(watch, struct worker_process, death);
        struct worker *w = p->worker;
        bool expected = p->killed || w->state == WORKER_DRAINING;
        siginfo_t info = {0};

        if (waitid((idtype_t)P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
                return;
        timer_stop(w->loop, &p->limit);
        turn_deaf(p);
        watch_stop(&p->death);
        w->process = NULL;
        w->n_leftovers++;
        w->applied = 0;
        describe_death(w, &info);
        set_state(w, WORKER_NONE);
        if (!expected) {
                log_error("worker", "the worker died", "pid=%d how=\"%s\"", (int)p->pid, w->last_death);
                schedule_restart(w);
        }
        w->ops->on_death(w, expected);
}

/* ── its messages ──────────────────────────────────────────────────────── */

static void on_overdue(struct timer *t) {
        struct worker_process *p = CONTAINER_OF(t, struct worker_process, limit);

        log_error("worker", "the worker does not answer, ending it", "pid=%d", (int)p->pid);
        process_kill(p);
}

static void copy_text(char *to, size_t size, struct str text) {
        size_t n = MIN(text.n, size - 1);

        memcpy(to, text.p, n);
        to[n] = '\0';
}

static void expect_answer(struct worker_process *p) {
        timer_start(p->worker->loop, &p->limit, loop_now(p->worker->loop) + WORKER_START_LIMIT);
}

/* false: not something that a worker says now. */
static bool handle(struct worker_process *p, const struct channel_message *m) {
        struct worker *w = p->worker;

        switch (m->type) {
        case CHANNEL_READY:
                if (w->state != WORKER_STARTING)
                        return false;
                timer_stop(w->loop, &p->limit);
                w->io_known = true;
                w->io = m->io == LOOP_URING ? LOOP_URING : LOOP_EPOLL;
                copy_text(w->io_reason, sizeof(w->io_reason), m->text);
                copy_text(w->sandbox_missing, sizeof(w->sandbox_missing), m->text2);
                set_state(w, WORKER_IDLE);
                w->ops->on_ready(w);
                return true;
        case CHANNEL_APPLIED:
                if (w->state != WORKER_LOADING)
                        return w->state == WORKER_DRAINING; /* crossed with our DRAIN */
                timer_stop(w->loop, &p->limit);
                if (!w->applied)
                        set_state(w, WORKER_SERVING);
                w->state = WORKER_SERVING;
                w->applied = m->generation;
                w->ops->on_applied(w, m->generation);
                return true;
        case CHANNEL_REFUSED:
                if (w->state != WORKER_LOADING)
                        return w->state == WORKER_DRAINING;
                timer_stop(w->loop, &p->limit);
                w->state = w->applied ? WORKER_SERVING : WORKER_IDLE;
                w->ops->on_refused(w, m->generation, m->text);
                return true;
        case CHANNEL_DRAINED:
                if (w->state != WORKER_DRAINING)
                        return false;
                w->ops->on_drained(w);
                return true;
        default:
                return false;
        }
}

static void receive(struct worker_process *p) {
        for (;;) {
                struct channel_message m;
                int fds[CHANNEL_FDS_MAX];
                unsigned n_fds;
                int r = channel_receive(&p->channel, &m, fds, &n_fds);

                if (r == 0)
                        return;
                if (r > 0) {
                        for (unsigned i = 0; i < n_fds; i++)
                                (void)fd_close(fds[i]); /* a worker has none to give */
                        if (handle(p, &m)) {
                                if (p->worker->process != p)
                                        return;
                                continue;
                        }
                        r = -EPROTO;
                }
                turn_deaf(p);
                if (r == -EPIPE) {
                        /* it is ending: the pidfd is about to tell, unless it hangs */
                        timer_start(p->worker->loop, &p->limit, loop_now(p->worker->loop) + WORKER_END_LIMIT);
                } else {
                        log_error("worker", "the worker speaks nonsense, ending it", "pid=%d error=\"%s\"", (int)p->pid, strerror(-r));
                        process_kill(p);
                }
                return;
        }
}

static void update_events(struct worker_process *p) {
        if (p->deaf)
                return;
        (void)watch_set_events(&p->packets, EPOLLIN | (channel_waiting(&p->channel) ? EPOLLOUT : 0u));
}

static void on_packets(struct watch *watch, uint32_t events) {
        struct worker_process *p = CONTAINER_OF(watch, struct worker_process, packets);

        if (p->worker->process != p || p->deaf)
                return;
        if (events & EPOLLOUT) {
                if (channel_flush(&p->channel) < 0)
                        process_kill(p);
                update_events(p);
        }
        if (events & ~(uint32_t)EPOLLOUT)
                receive(p);
}

static int send_message(struct worker *w, const struct channel_message *m, const int *fds, unsigned n_fds) {
        int r;

        if (!w->process || w->process->deaf)
                return -ENOTCONN;
        r = channel_send(&w->process->channel, m, fds, n_fds);
        if (r >= 0)
                update_events(w->process);
        return r;
}

void worker_init(struct worker *w, struct loop *l, const struct worker_ops *ops, void *arg) {
        *w = (struct worker){.loop = l, .ops = ops, .arg = arg};
        w->options.counters_fd = w->options.access_log_fd = -1;
        w->restart.fire = on_restart;
        set_state(w, WORKER_NONE);
}

/* ── the beginning of a process ────────────────────────────────────────── */

/* Between fork and exec: nothing but system calls. */
_Noreturn static void become_worker(int fd) {
        static char arg0[] = "tenon", arg1[] = "web";
        char *const argv[] = {arg0, arg1, NULL};
        sigset_t none;

        (void)sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        /* the copy has no CLOEXEC; when it is the right number already dup2() would keep the flag */
        if (fd == CHANNEL_FD ? fcntl(fd, F_SETFD, 0) < 0 : dup2(fd, CHANNEL_FD) < 0)
                _exit(127);
        (void)execv("/proc/self/exe", argv);
        _exit(127);
}

static int spawn(struct worker_process *p, int *ret_fd) {
        CLEANUP(fd_closep) int mine = -1;
        CLEANUP(fd_closep) int theirs = -1;
        int fds[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
                return -errno;
        mine = fds[0];
        theirs = fds[1];
        p->pid = fork();
        if (p->pid < 0)
                return -errno;
        if (p->pid == 0)
                become_worker(theirs);
        p->pidfd = pidfd_open(p->pid, 0);
        if (p->pidfd < 0) {
                int r = -errno;

                (void)kill(p->pid, SIGKILL);
                (void)waitpid(p->pid, NULL, 0);
                return r;
        }
        *ret_fd = TAKE_FD(mine);
        return 0;
}

static int greet(struct worker *w) {
        const struct channel_message hello = {.type = CHANNEL_HELLO, .text = STR(TENON_VERSION)};
        const struct channel_message options = {
                .type = CHANNEL_OPTIONS,
                .n_threads = w->options.n_threads,
                .io = (uint8_t)w->options.io,
                .log_level = (uint8_t)log_level(),
                .text = str_of(w->options.user),
        };
        const struct channel_message counters = {.type = CHANNEL_COUNTERS};
        int r;

        r = send_message(w, &hello, NULL, 0);
        if (r >= 0)
                r = send_message(w, &options, NULL, 0);
        if (r >= 0)
                r = send_message(w, &counters, &w->options.counters_fd, 1);
        if (r >= 0)
                r = worker_set_access_log(w, w->options.access_log_fd);
        return r;
}

static void process_abandon(struct worker_process *p) {
        process_kill(p);
        (void)waitpid(p->pid, NULL, 0);
        (void)fd_close(p->pidfd);
        channel_deinit(&p->channel);
        free(p);
}

int worker_start(struct worker *w) {
        struct worker_process *p = calloc(1, sizeof(*p));
        int fd = -1, r;

        assert(!w->process);
        if (!p)
                return -ENOMEM;
        r = spawn(p, &fd);
        if (r < 0) {
                free(p);
                return r;
        }
        p->worker = w;
        p->limit.fire = on_overdue;
        p->death = (struct watch){.fd = p->pidfd, .events = EPOLLIN, .on_ready = on_death, .on_stopped = on_death_stopped};
        p->packets = (struct watch){.fd = fd, .events = EPOLLIN, .on_ready = on_packets, .on_stopped = on_packets_stopped};
        r = channel_init(&p->channel, fd);
        if (r < 0 || (r = watch_start(w->loop, &p->packets)) < 0) {
                process_abandon(p);
                return r;
        }
        p->n_watches++;
        w->process = p;
        w->restart_wanted = false;
        w->started = loop_now(w->loop);
        set_state(w, WORKER_STARTING);
        r = watch_start(w->loop, &p->death);
        if (r < 0) {
                w->process = NULL;
                w->n_leftovers++;
                set_state(w, WORKER_NONE);
                process_kill(p);
                (void)waitpid(p->pid, NULL, 0);
                watch_stop(&p->packets);
                return r;
        }
        p->n_watches++;
        expect_answer(p);
        r = greet(w);
        if (r < 0)
                process_kill(p); /* its death is then seen, and it is started again */
        log_info("worker", "worker started", "pid=%d", (int)p->pid);
        return 0;
}

/* ── orders ────────────────────────────────────────────────────────────── */

static int send_listener(struct worker *w, const struct listener *l) {
        const struct channel_message m = {.type = CHANNEL_LISTENER, .addr = l->addr};

        for (unsigned sent = 0; sent < l->n_fds;) {
                unsigned n = MIN(l->n_fds - sent, (unsigned)CHANNEL_FDS_MAX);
                int r = send_message(w, &m, l->fds + sent, n);

                if (r < 0)
                        return r;
                sent += n;
        }
        return 0;
}

int worker_load(struct worker *w, uint64_t generation, const struct listener_set *listeners, int bundle_fd) {
        const struct channel_message config = {.type = CHANNEL_CONFIG, .generation = generation};
        int r = 0;

        if (w->state != WORKER_IDLE && w->state != WORKER_SERVING)
                return -ENOTCONN;
        for (unsigned i = 0; r >= 0 && i < listeners->n; i++)
                r = send_listener(w, &listeners->v[i]);
        if (r >= 0)
                r = send_message(w, &config, &bundle_fd, 1);
        if (r < 0) {
                process_kill(w->process); /* half a generation must not stay with it */
                return r;
        }
        w->state = WORKER_LOADING;
        expect_answer(w->process);
        return 0;
}

int worker_set_access_log(struct worker *w, int fd) {
        const struct channel_message m = {.type = CHANNEL_ACCESS_LOG};

        w->options.access_log_fd = fd;
        return w->process ? send_message(w, &m, &fd, fd >= 0 ? 1 : 0) : 0;
}

int worker_drain(struct worker *w, nsec_t limit) {
        const struct channel_message m = {.type = CHANNEL_DRAIN, .limit = limit};
        int r;

        timer_stop(w->loop, &w->restart);
        w->restart_wanted = false;
        if (!w->process)
                return -ENOTCONN;
        timer_stop(w->loop, &w->process->limit);
        r = send_message(w, &m, NULL, 0);
        set_state(w, WORKER_DRAINING);
        return r;
}

void worker_restart(struct worker *w) {
        if (w->process)
                process_kill(w->process);
}

void worker_kill(struct worker *w) {
        timer_stop(w->loop, &w->restart);
        w->restart_wanted = false;
        if (w->process) {
                w->process->killed = true;
                process_kill(w->process);
        }
}

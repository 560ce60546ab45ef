/* SPDX-License-Identifier: Apache-2.0 */
#include "net/test-loop.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ── accepting, connecting, talking ────────────────────────────────────── */

struct server {
        struct acceptor acceptor;
        struct end *ends;
        unsigned n, max;
        int error;
        unsigned n_errors;
        bool stopped, had_peer;
};

static void server_accept(struct acceptor *a, int fd, const struct addr *peer) {
        struct server *v = CONTAINER_OF(a, struct server, acceptor);
        struct end *e;

        assert_true(v->n < v->max);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
        assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
        if (peer)
                assert_int_equal(peer->sa.sa_family, AF_INET);
        e = &v->ends[v->n++];
        sock_init(&e->sock, a->loop, fd, &end_ops);
        sock_recv_start(&e->sock);
}

static void server_error(struct acceptor *a, int error) {
        struct server *v = CONTAINER_OF(a, struct server, acceptor);

        v->error = error;
        v->n_errors++;
}

static void server_stopped(struct acceptor *a) {
        CONTAINER_OF(a, struct server, acceptor)->stopped = true;
}

static void server_start(struct server *v, struct loop *l, unsigned max, struct addr *ret) {
        *v = (struct server){
                .acceptor = {.fd = any_listener(ret), .on_accept = server_accept, .on_error = server_error,
                             .on_stopped = server_stopped},
                .ends = calloc(max, sizeof(struct end)),
                .max = max,
        };
        assert_int_equal(acceptor_start(l, &v->acceptor), 0);
}

static void server_finish(struct server *v) {
        struct loop *l = v->acceptor.loop;

        acceptor_stop(&v->acceptor);
        RUN_UNTIL(l, v->stopped);
        for (unsigned i = 0; i < v->n; i++)
                end_close(&v->ends[i]);
        fd_close(v->acceptor.fd);
        free(v->ends);
}

/* A connection is made, bytes go both ways, both ends are told of the end. */
static void test_echo(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct iovec hello = {(void *)"hello", 5}, world = {(void *)"world!", 6};
        struct end client = {0};
        struct server v;
        struct addr a;

        server_start(&v, l, 4, &a);
        assert_int_equal(sock_connect(&client.sock, l, &a, &end_ops), 0);
        assert_false(client.connected);
        RUN_UNTIL(l, client.connected && v.n == 1);
        assert_int_equal(client.connect_result, 0);
        sock_recv_start(&client.sock);

        sock_send(&client.sock, &hello, 1, false);
        assert_true(sock_sending(&client.sock));
        assert_false(client.sent);
        RUN_UNTIL(l, v.ends[0].received == 5 && client.sent);
        assert_false(sock_sending(&client.sock));
        assert_string_equal(v.ends[0].last, "hello");
        assert_int_equal(client.sent_result, 0);

        sock_send(&v.ends[0].sock, &world, 1, false);
        RUN_UNTIL(l, client.received == 6);
        assert_string_equal(client.last, "world!");
        sock_shutdown(&client.sock);
        RUN_UNTIL(l, v.ends[0].ended);
        assert_int_equal(v.ends[0].end_result, 0);
        sock_close(&v.ends[0].sock);
        RUN_UNTIL(l, client.ended && v.ends[0].closed);
        assert_int_equal(client.end_result, 0);
        end_close(&client);
        server_finish(&v);
        loop_free(l);
}

/* A login shell of Debian allows 1024; what the administrator allows is more. */
static void need_descriptors(rlim_t n) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        if (limit.rlim_max < n) {
                print_message("# only %lu descriptors are allowed here\n", (unsigned long)limit.rlim_max);
                skip();
        }
        limit.rlim_cur = MAX(limit.rlim_cur, n);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* A thousand connections, one request and one answer each. */
static void test_thousand(void **state) {
        enum { N = 1000 };
        struct iovec ping = {(void *)"ping", 4}, pong = {(void *)"pong", 4};
        struct end *clients;
        unsigned done = 0;
        struct server v;
        struct loop *l;
        struct addr a;

        need_descriptors(2 * N + 100);
        l = new_loop(state, NULL);
        clients = calloc(N, sizeof(*clients));
        server_start(&v, l, N, &a);
        for (unsigned i = 0; i < N; i++)
                assert_int_equal(sock_connect(&clients[i].sock, l, &a, &end_ops), 0);
        RUN_UNTIL(l, v.n == N);
        for (unsigned i = 0; i < N; i++) {
                RUN_UNTIL(l, clients[i].connected);
                assert_int_equal(clients[i].connect_result, 0);
                sock_recv_start(&clients[i].sock);
                sock_send(&clients[i].sock, &ping, 1, false);
        }
        for (unsigned i = 0; i < N; i++) {
                RUN_UNTIL(l, v.ends[i].received == 4);
                sock_send(&v.ends[i].sock, &pong, 1, false);
        }
        for (unsigned i = 0; i < N; i++) {
                RUN_UNTIL(l, clients[i].received == 4 && clients[i].sent);
                done++;
        }
        assert_int_equal(done, N);
        for (unsigned i = 0; i < N; i++)
                sock_close(&clients[i].sock);
        for (unsigned i = 0; i < N; i++)
                RUN_UNTIL(l, clients[i].closed && v.ends[i].ended);
        server_finish(&v);
        free(clients);
        loop_free(l);
}

/* While a child holds the descriptor, too, nothing comes any more for a connection that was closed. */
static void test_close_with_children(void **state) {
        struct loop *l = new_loop(state, &(struct loop_options){.forks = true});
        struct end *e = calloc(1, sizeof(*e));
        struct loop_stats before, after;
        int fds[2], child;

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
        sock_init(&e->sock, l, fds[0], &end_ops);
        sock_recv_start(&e->sock);
        settle(l);
        child = dup(fds[0]);
        sock_close(&e->sock);
        RUN_UNTIL(l, e->closed);
        free(e);
        settle(l);
        loop_get_stats(l, &before);
        assert_int_equal(write(fds[1], "x", 1), 1);
        assert_true(loop_run_once(l, 20 * NSEC_PER_MSEC) >= 0);
        loop_get_stats(l, &after);
        assert_int_equal(after.events, before.events);
        fd_close(fds[1]);
        fd_close(child);
        loop_free(l);
}

/* Nobody listens: the result says so, and only closing follows. */
static void test_refused(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct end client = {0};
        struct addr a;

        fd_close(any_listener(&a));
        assert_int_equal(sock_connect(&client.sock, l, &a, &end_ops), 0);
        RUN_UNTIL(l, client.connected);
        assert_int_equal(client.connect_result, -ECONNREFUSED);
        end_close(&client);

        client = (struct end){0};
        assert_int_equal(addr_parse(&a, STR("unix:/nonexistent/socket"), 0, NULL), 0);
        assert_int_equal(sock_connect(&client.sock, l, &a, &end_ops), 0);
        assert_false(client.connected);
        RUN_UNTIL(l, client.connected);
        assert_int_equal(client.connect_result, -ENOENT);
        end_close(&client);
        loop_free(l);
}

/* A connect that hangs is given up by closing: on_connected() does not come. */
static void test_connect_given_up(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct end fill[8] = {0}, client = {0};
        struct addr a;
        int listener = any_listener(&a);

        assert_int_equal(listen(listener, 0), 0); /* a full backlog does not answer */
        for (unsigned i = 0; i < ARRAY_SIZE(fill); i++)
                assert_int_equal(sock_connect(&fill[i].sock, l, &a, &end_ops), 0);
        settle(l);
        assert_int_equal(sock_connect(&client.sock, l, &a, &end_ops), 0);
        settle(l);
        assert_false(client.connected);
        end_close(&client);
        assert_false(client.connected);
        for (unsigned i = 0; i < ARRAY_SIZE(fill); i++)
                end_close(&fill[i]);
        fd_close(listener);
        loop_free(l);
}

/* Without descriptors accepting pauses, says so, and recovers by itself. */
static void test_emfile(void **state) {
        struct loop *l = new_loop(state, NULL);
        int hogs[256], n_hogs = 0, fd[3];
        struct rlimit limit, few;
        struct server v;
        struct addr a;

        /* Before accepting is asked for: io_uring takes the limit of that moment. */
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        few = (struct rlimit){.rlim_cur = ARRAY_SIZE(hogs), .rlim_max = limit.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
        server_start(&v, l, 4, &a);
        for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
                fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        settle(l);
        while (n_hogs < (int)ARRAY_SIZE(hogs) && (hogs[n_hogs] = dup(0)) >= 0)
                n_hogs++;
        assert_true(n_hogs < (int)ARRAY_SIZE(hogs));
        for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
                assert_int_equal(connect(fd[i], &a.sa, a.len), 0);
        RUN_UNTIL(l, v.n_errors > 0);
        assert_int_equal(v.error, -EMFILE);
        assert_int_equal(v.n, 0);
        while (n_hogs > 0)
                fd_close(hogs[--n_hogs]);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        RUN_UNTIL(l, v.n == 3);
        assert_true(v.n_errors < 20);
        for (unsigned i = 0; i < ARRAY_SIZE(fd); i++)
                fd_close(fd[i]);
        server_finish(&v);
        loop_free(l);
}

/* A descriptor that does not listen is an error that is told now and then, not a busy loop. */
static void test_not_listening(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct server v = {.acceptor = {.on_accept = server_accept, .on_error = server_error,
                                        .on_stopped = server_stopped}};
        nsec_t start = time_monotonic();

        v.acceptor.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        assert_int_equal(acceptor_start(l, &v.acceptor), 0);
        RUN_UNTIL(l, v.n_errors == 3);
        assert_int_equal(v.error, -EINVAL);
        assert_true(time_monotonic() - start > 150 * NSEC_PER_MSEC);
        server_finish(&v);
        loop_free(l);
}

static unsigned n_open(void) {
        unsigned n = 0;

        for (int fd = 0; fd < 1024; fd++)
                n += fcntl(fd, F_GETFD) >= 0;
        return n;
}

/* A loop and its socks leave no descriptor open, also when the loop ends right after the last on_closed(). */
static void test_no_leak(void **state) {
        unsigned before = n_open();
        struct loop *l = new_loop(state, NULL);
        struct end a, b;

        ends_open(l, &a, &b);
        sock_splice(&b.sock, &a.sock, 10); /* takes a pipe */
        sock_recv_start(&b.sock);
        settle(l);
        end_close(&a);
        end_close(&b);
        ends_open(l, &a, &b);
        end_close(&a);
        sock_close(&b.sock);
        RUN_UNTIL(l, b.closed);
        loop_free(l);
        assert_int_equal(n_open(), before);
}

/* Where io_uring is forbidden, AUTO is epoll and says why; asking for io_uring is an error that says why. */
static void test_fallback(void **state) {
        struct sock_filter code[] = {
                BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
                BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
                BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        };
        const struct sock_fprog filter = {ARRAY_SIZE(code), code};
        const struct loop_options uring = {.backend = LOOP_URING};
        struct loop *l = NULL;
        const char *why = NULL;
        int status;
        pid_t pid;

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                bool ok = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                          prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 &&
                          loop_new(&l, &uring, &why) == -EPERM && why && !l &&
                          loop_new(&l, NULL, &why) == 0 && loop_backend(l) == LOOP_EPOLL &&
                          loop_fallback_reason(l) == why;

                loop_free(l);
                _exit(ok ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
}

/* ── timers, tasks, posts ──────────────────────────────────────────────── */

struct note {
        struct timer timer;
        struct task task;
        struct loop *loop;
        char name;
        char *log;
        struct note *other;
        nsec_t at, fired;
        unsigned again;
};

static void note_fire(struct timer *t) {
        struct note *n = CONTAINER_OF(t, struct note, timer);
        size_t used = strlen(n->log);

        n->log[used] = n->name;
        n->fired = loop_now(n->loop);
        assert_true(n->fired >= n->at);
        if (n->other)
                timer_stop(n->loop, &n->other->timer);
        if (n->again > 0) {
                n->again--;
                timer_start(n->loop, t, loop_now(n->loop));
        }
}

static void note_start(struct note *n, struct loop *l, char name, char *log, nsec_t after) {
        *n = (struct note){.loop = l, .name = name, .log = log, .timer.fire = note_fire, .at = loop_now(l) + after};
        timer_start(l, &n->timer, n->at);
}

/* In order of time, restart and stop are heeded, also from within a callback, also of timers due in the same round. */
static void test_timers(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct note a, b, c, d, e, f;
        char log[32] = "", order[32] = "";

        note_start(&a, l, 'a', log, 60 * NSEC_PER_MSEC);
        note_start(&b, l, 'b', log, 20 * NSEC_PER_MSEC);
        note_start(&c, l, 'c', log, 40 * NSEC_PER_MSEC);
        note_start(&d, l, 'd', log, 40 * NSEC_PER_MSEC);
        note_start(&e, l, 'e', log, 5 * NSEC_PER_SEC);
        note_start(&f, l, 'f', log, 1 * NSEC_PER_MSEC);
        c.other = &d; /* same tick: c stops d */
        b.again = 2;
        timer_stop(l, &f.timer);
        timer_stop(l, &f.timer);
        e.at = loop_now(l) + 80 * NSEC_PER_MSEC;
        timer_start(l, &e.timer, e.at);
        RUN_UNTIL(l, strlen(log) == 6);
        assert_int_equal(log[0], 'b');
        for (const char *p = log; *p; p++) /* where b comes again depends on how long the rounds last */
                if (*p != 'b')
                        order[strlen(order)] = *p;
        assert_string_equal(order, "cae");
        assert_int_equal(e.timer.at, 0);
        assert_true(e.fired - e.at < NSEC_PER_SEC);
        loop_free(l);
}

/* A round without events lasts as long as the first timer says, no longer than allowed. */
static void test_wait(void **state) {
        struct loop *l = new_loop(state, NULL);
        nsec_t start = time_monotonic();
        char log[32] = "";
        struct note a;

        for (unsigned n = 0; time_monotonic() - start < 10 * NSEC_PER_MSEC; n++) {
                assert_true(n < 5); /* a signal may end a wait early, but it does wait */
                assert_int_equal(loop_run_once(l, 10 * NSEC_PER_MSEC), 0);
        }
        note_start(&a, l, 'a', log, 30 * NSEC_PER_MSEC);
        start = time_monotonic();
        RUN_UNTIL(l, a.fired);
        assert_true(time_monotonic() - start < 900 * NSEC_PER_MSEC);
        loop_free(l);
}

static void note_run(struct task *t) {
        struct note *n = CONTAINER_OF(t, struct note, task);

        n->log[strlen(n->log)] = n->name;
        if (n->other)
                loop_defer(n->loop, &n->other->task);
}

/* Deferred tasks run once each, in order, those deferred meanwhile after the others. */
static void test_defer(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct note a, b, c;
        char log[32] = "";

        a = (struct note){.loop = l, .name = 'a', .log = log, .task.run = note_run, .other = &c};
        b = (struct note){.loop = l, .name = 'b', .log = log, .task.run = note_run};
        c = (struct note){.loop = l, .name = 'c', .log = log, .task.run = note_run};
        loop_defer(l, &a.task);
        loop_defer(l, &b.task);
        loop_defer(l, &a.task);
        assert_string_equal(log, "");
        assert_int_equal(loop_run_once(l, NSEC_INFINITY), 0);
        assert_string_equal(log, "abc");
        loop_free(l);
}

enum { POSTERS = 4, POSTS = 5000 };

struct post {
        struct task task;
        unsigned *n;
};

struct poster {
        struct loop *loop;
        struct post *posts;
};

static void post_run(struct task *t) {
        struct post *p = CONTAINER_OF(t, struct post, task);

        (*p->n)++;
}

static void *post_all(void *arg) {
        struct poster *p = arg;

        for (unsigned i = 0; i < POSTS; i++)
                loop_post(p->loop, &p->posts[i].task);
        return NULL;
}

/* Every post from every thread is run, and a sleeping loop wakes for it. */
static void test_post(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct post *posts = calloc(POSTERS * POSTS, sizeof(*posts));
        struct poster posters[POSTERS];
        pthread_t threads[POSTERS];
        unsigned n = 0;

        for (unsigned i = 0; i < POSTERS * POSTS; i++)
                posts[i] = (struct post){.task.run = post_run, .n = &n};
        for (unsigned i = 0; i < POSTERS; i++) {
                posters[i] = (struct poster){l, posts + i * POSTS};
                assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
        }
        RUN_UNTIL(l, n == POSTERS * POSTS);
        for (unsigned i = 0; i < POSTERS; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        free(posts);
        loop_free(l);
}

static void stop_run(struct task *t) {
        loop_stop(CONTAINER_OF(t, struct note, task)->loop);
}

static void *run_loop(void *arg) {
        assert_int_equal(loop_run(arg), 0);
        return NULL;
}

/* A loop made here may run in another thread; a post stops it. */
static void test_stop_from_outside(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct note n = {.loop = l, .task.run = stop_run};
        pthread_t thread;

        assert_int_equal(pthread_create(&thread, NULL, run_loop, l), 0);
        loop_post(l, &n.task);
        assert_int_equal(pthread_join(thread, NULL), 0);
        loop_free(l);
}

/* ── watches ───────────────────────────────────────────────────────────── */

struct seen {
        struct watch watch;
        unsigned n;
        uint32_t events;
        bool drain, stopped;
};

static void seen_ready(struct watch *w, uint32_t events) {
        struct seen *s = CONTAINER_OF(w, struct seen, watch);
        char c[64];

        assert_false(s->stopped);
        s->n++;
        s->events = events;
        if (s->drain)
                assert_true(read(w->fd, c, sizeof(c)) > 0);
}

static void seen_stopped(struct watch *w) {
        CONTAINER_OF(w, struct seen, watch)->stopped = true;
}

/* Level-triggered: told again until it was read; the events asked for can be changed; a stop is the end. */
static void test_watch(void **state) {
        struct loop *l = new_loop(state, NULL);
        struct seen s = {.watch = {.events = EPOLLIN, .on_ready = seen_ready, .on_stopped = seen_stopped}};
        unsigned n;
        int fd[2];

        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
        s.watch.fd = fd[0];
        assert_int_equal(watch_start(l, &s.watch), 0);
        assert_int_equal(loop_run_once(l, 0), 0);
        assert_int_equal(s.n, 0);
        assert_int_equal(write(fd[1], "x", 1), 1);
        RUN_UNTIL(l, s.n >= 3);
        assert_true(s.events & EPOLLIN);
        s.drain = true;
        n = s.n;
        RUN_UNTIL(l, s.n == n + 1);
        settle(l);
        assert_int_equal(s.n, n + 1);
        s.drain = false;
        assert_int_equal(watch_set_events(&s.watch, EPOLLOUT), 0);
        RUN_UNTIL(l, s.n == n + 3);
        assert_true(s.events & EPOLLOUT);
        watch_stop(&s.watch);
        n = s.n;
        RUN_UNTIL(l, s.stopped);
        assert_int_equal(write(fd[1], "x", 1), 1);
        settle(l);
        assert_int_equal(s.n, n);
        fd_close(fd[0]);
        fd_close(fd[1]);
        loop_free(l);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                BOTH(test_echo), BOTH(test_thousand), BOTH(test_close_with_children), BOTH(test_refused), BOTH(test_connect_given_up),
                BOTH(test_emfile), BOTH(test_not_listening), BOTH(test_no_leak), cmocka_unit_test(test_fallback), BOTH(test_timers), BOTH(test_wait), BOTH(test_defer), BOTH(test_post),
                BOTH(test_stop_from_outside), BOTH(test_watch),
        };

        return run_loop_tests(tests, ARRAY_SIZE(tests));
}

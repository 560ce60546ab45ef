/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "farm/check.h"
#include "farm/farm_internal.h"
#include "farm/probe.h"
#include "farm/test-farm.h"
#include "farm/test-fault.h"
#include "farm/test-origin.h"

/* Every test runs on both kinds of loop: *state is the kind. */
struct fixture {
        struct loop *loop;
        struct farm_checker *checker;
        struct counters *counters;
        bool stopped;
};

static void fixture_init(struct fixture *x, void **state, const struct farm_checker_options *options) {
        const struct loop_options lo = {.backend = *(const enum loop_backend *)*state};

        *x = (struct fixture){0};
        assert_int_equal(loop_new(&x->loop, &lo, NULL), 0);
        assert_int_equal(counters_new(&x->counters, 2, 16), 0);
        assert_true(counters_add(x->counters, COUNTERS_FARM, STR("f"), FARM_N_WORDS) >= 0);
        assert_true(counters_add(x->counters, COUNTERS_SERVER, STR("f/a"), SERVER_N_WORDS) >= 0);
        assert_true(counters_add(x->counters, COUNTERS_SERVER, STR("f/b"), SERVER_N_WORDS) >= 0);
        assert_int_equal(farm_checker_new(&x->checker, x->loop, options), 0);
}

static void on_stopped(void *arg) {
        ((struct fixture *)arg)->stopped = true;
}

/* Runs the loop until the condition holds; it has to within some seconds. */
#define RUN_UNTIL(x, condition)                                                  \
        do {                                                                     \
                nsec_t run_end_ = time_monotonic() + 20 * NSEC_PER_SEC;          \
                while (!(condition)) {                                           \
                        assert_true(time_monotonic() < run_end_);                \
                        assert_true(loop_run_once((x)->loop, 20 * NSEC_PER_MSEC) >= 0); \
                }                                                                \
        } while (0)

static void stop_checker(struct fixture *x) {
        x->stopped = false;
        farm_checker_stop(x->checker, on_stopped, x);
        assert_false(x->stopped);
        RUN_UNTIL(x, x->stopped);
        x->checker = NULL;
}

static void fixture_deinit(struct fixture *x) {
        if (x->checker)
                stop_checker(x);
        loop_free(x->loop);
        counters_free(x->counters);
}

static struct farm *farm_at(struct fixture *x, const char *address, enum farm_check_kind kind, const struct farm *previous) {
        const struct test_server servers[] = {{"a", address, 1}};
        struct farm *f = test_farm_new("f", FARM_ROUND_ROBIN, servers, 1, x->counters, previous);

        f->check = (struct farm_check){
                .kind = kind,
                .every = 10 * NSEC_PER_MSEC,
                .timeout = 15 * NSEC_PER_SEC, /* not to be reached, however busy the machine is */
                .rise = 3,
                .fall = 2,
                .method = STR("GET"),
                .path = STR("/healthz?x=1"),
                .host = STR(""),
        };
        for (unsigned i = 200; i < 300; i++)
                f->check.expect[i / 64] |= UINT64_C(1) << (i % 64);
        return f;
}

/* Hands the farm over to the checker; the server stays ours to look at. */
static struct server *check_farm(struct fixture *x, struct farm *f) {
        struct server *s = server_ref(f->members[0].server);
        struct farm_set *set = test_farm_set(f);

        assert_int_equal(farm_checker_set(x->checker, set), 0);
        (void)farm_set_unref(set);
        return s;
}

static uint64_t n_checks(const struct server *s) {
        const uint64_t *words = server_check_words(s);

        return words[SERVER_CHECKS_OK] + words[SERVER_CHECKS_FAILED];
}

/* ── results ────────────────────────────────────────────────────────────────────────────────────── */

static void expect_first(void **state, const char *address, enum farm_check_kind kind, enum check_result result, uint64_t detail) {
        struct fixture x;
        struct server *s;
        struct farm *f;
        const uint64_t *words;

        fixture_init(&x, state, NULL);
        f = farm_at(&x, address, kind, NULL);
        if (result == CHECK_TIMEOUT || result == CHECK_NO_ANSWER)
                f->check.timeout = 50 * NSEC_PER_MSEC;
        s = check_farm(&x, f);
        words = server_check_words(s);
        assert_int_equal(server_state(s), SERVER_UNKNOWN);
        RUN_UNTIL(&x, n_checks(s) == 1);
        assert_int_equal(words[SERVER_CHECK_RESULT], result);
        assert_int_equal(words[SERVER_CHECK_DETAIL], detail);
        assert_int_equal(words[SERVER_CHECK_STREAK], 1);
        assert_int_equal(server_state(s), result == CHECK_OK ? SERVER_UP : SERVER_DOWN);
        assert_int_equal(words[SERVER_CHECK_STATE], server_state(s));
        assert_true(words[SERVER_CHECK_SINCE] <= words[SERVER_CHECK_AT] && words[SERVER_CHECK_SINCE] > 0);
        assert_true(words[SERVER_CHECK_DURATION] > 0 && words[SERVER_CHECK_DURATION] < 10 * NSEC_PER_SEC);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
}

static void expect_act(void **state, enum act act, enum check_result result, uint64_t detail) {
        struct origin o;

        origin_start(&o, &act, 1);
        expect_first(state, o.text, FARM_CHECK_HTTP, result, detail);
        origin_stop(&o);
}

/* The first check is enough to know: up or down, and why. */
static void test_results(void **state) {
        expect_act(state, ACT_200, CHECK_OK, 200);
        expect_act(state, ACT_204_HELD, CHECK_OK, 204);
        expect_act(state, ACT_INTERIM, CHECK_OK, 200);
        expect_act(state, ACT_NO_REASON, CHECK_OK, 200);
        expect_act(state, ACT_SLOW, CHECK_OK, 200);
        expect_act(state, ACT_HUGE, CHECK_OK, 200);
        expect_act(state, ACT_503, CHECK_STATUS, 503);
        expect_act(state, ACT_GARBAGE, CHECK_NOT_HTTP, 0);
        expect_act(state, ACT_LF, CHECK_NOT_HTTP, 0);
        expect_act(state, ACT_LONG, CHECK_NOT_HTTP, 0);
        expect_act(state, ACT_HANG, CHECK_NO_ANSWER, 0);
        expect_act(state, ACT_HALF, CHECK_NO_ANSWER, 0);
        expect_act(state, ACT_CLOSE, CHECK_CLOSED, 0);
        expect_act(state, ACT_HALF_CLOSE, CHECK_CLOSED, 0);
        expect_act(state, ACT_RESET, CHECK_RESET, ECONNRESET);
}

/* Nobody there, and nobody answering; HTTP and TCP alike. */
static void test_no_connection(void **state) {
        char text[ADDR_TEXT_MAX];
        int fds[3];

        test_refused_address(text);
        expect_first(state, text, FARM_CHECK_HTTP, CHECK_CONNECT, ECONNREFUSED);
        expect_first(state, text, FARM_CHECK_TCP, CHECK_CONNECT, ECONNREFUSED);
        test_full_address(text, fds);
        expect_first(state, text, FARM_CHECK_TCP, CHECK_TIMEOUT, 0);
        for (unsigned i = 0; i < 3; i++)
                (void)close(fds[i]);
}

/* TCP: connected is good enough, whatever it would say. */
static void test_tcp(void **state) {
        const enum act act = ACT_GARBAGE;
        struct origin o;

        origin_start(&o, &act, 1);
        expect_first(state, o.text, FARM_CHECK_TCP, CHECK_OK, 0);
        origin_stop(&o);
}

/* What the server is asked; host NULL: its address. */
static void expect_request(void **state, struct farm *(*make)(struct fixture *x, const struct origin *o), const char *line,
                           const char *host) {
        const enum act act = ACT_200;
        struct fixture x;
        struct origin o;
        struct server *s;
        char want[300];

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        s = check_farm(&x, make(&x, &o));
        RUN_UNTIL(&x, server_state(s) == SERVER_UP);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
        (void)snprintf(want, sizeof(want),
                       "%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: tenon-check\r\nAccept: */*\r\nConnection: close\r\n\r\n", line,
                       host ? host : o.text);
        assert_string_equal(o.request, want);
}

static struct farm *farm_plain(struct fixture *x, const struct origin *o) {
        return farm_at(x, o->text, FARM_CHECK_HTTP, NULL);
}

static struct farm *farm_elsewhere(struct fixture *x, const struct origin *o) {
        char text[ADDR_TEXT_MAX];
        struct farm *f;

        test_refused_address(text);
        f = farm_at(x, text, FARM_CHECK_HTTP, NULL);
        f->check.port = addr_port(&o->addr);
        f->check.method = STR("HEAD");
        f->check.host = STR("shop.example.com");
        return f;
}

static struct farm *farm_short(struct fixture *x, const struct origin *o) {
        char text[ADDR_TEXT_MAX];

        (void)snprintf(text, sizeof(text), ":%u", addr_port(&o->addr));
        return farm_at(x, text, FARM_CHECK_HTTP, NULL);
}

/* Method, path, Host; to the port of the check; ":80" is a server on this machine. */
static void test_request(void **state) {
        expect_request(state, farm_plain, "GET /healthz?x=1", NULL);
        expect_request(state, farm_elsewhere, "HEAD /healthz?x=1", "shop.example.com");
        expect_request(state, farm_short, "GET /healthz?x=1", "localhost");
}

/* ── rise and fall ──────────────────────────────────────────────────────────────────────────────── */

/* Exactly `fall` failures in a row take a server out, exactly `rise` successes bring it back; others do not count. */
static void test_rise_and_fall(void **state) {
        static const enum act acts[] = {ACT_200, ACT_503, ACT_200,   ACT_503, ACT_CLOSE, ACT_200, ACT_200,
                                        ACT_503, ACT_200, ACT_200, ACT_200,   ACT_503, ACT_200};
        static const enum server_state states[] = {SERVER_UP,   SERVER_UP,   SERVER_UP,   SERVER_UP, SERVER_DOWN, SERVER_DOWN, SERVER_DOWN,
                                                   SERVER_DOWN, SERVER_DOWN, SERVER_DOWN, SERVER_UP, SERVER_UP,   SERVER_UP};
        static const uint64_t streaks[] = {1, 1, 1, 1, 2, 1, 2, 1, 1, 2, 3, 1, 1};
        struct fixture x;
        struct origin o;
        struct server *s;
        const uint64_t *words;
        uint64_t since = 0;

        origin_start(&o, acts, ARRAY_SIZE(acts));
        fixture_init(&x, state, NULL);
        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_HTTP, NULL));
        words = server_check_words(s);
        for (unsigned i = 0; i < ARRAY_SIZE(acts); i++) {
                bool changed = i == 0 || states[i] != states[i - 1];

                RUN_UNTIL(&x, n_checks(s) > i);
                assert_int_equal(n_checks(s), i + 1);
                assert_int_equal(server_state(s), states[i]);
                assert_int_equal(words[SERVER_CHECK_STREAK], streaks[i]);
                if (changed)
                        assert_true(words[SERVER_CHECK_SINCE] > since);
                else
                        assert_int_equal(words[SERVER_CHECK_SINCE], since);
                since = words[SERVER_CHECK_SINCE];
        }
        assert_int_equal(words[SERVER_CHECKS_OK], 8);
        assert_int_equal(words[SERVER_CHECKS_FAILED], 5);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* Checks come every `every`, a tenth more or less. */
static void test_pace(void **state) {
        const enum act act = ACT_200;
        struct fixture x;
        struct origin o;
        struct server *s;
        struct farm *f;
        nsec_t begin;

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        f = farm_at(&x, o.text, FARM_CHECK_HTTP, NULL);
        f->check.every = 50 * NSEC_PER_MSEC;
        begin = time_monotonic();
        s = check_farm(&x, f);
        RUN_UNTIL(&x, n_checks(s) == 5);
        assert_true(time_monotonic() - begin >= 170 * NSEC_PER_MSEC); /* 4 × 45 ms, and some for old clocks */
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* What we cannot do says nothing about the server. */
static void test_local_failure(void **state) {
        const enum act act = ACT_200;
        struct rlimit before, none;
        struct fixture x;
        struct origin o;
        struct server *s;

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_HTTP, NULL));
        RUN_UNTIL(&x, n_checks(s) == 1);
        assert_int_equal(server_state(s), SERVER_UP);

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
        none = before;
        none.rlim_cur = 3; /* none but those that are open */
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
        RUN_UNTIL(&x, server_check_words(s)[SERVER_CHECKS_FAILED] >= 5);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(server_check_words(s)[SERVER_CHECK_RESULT], CHECK_LOCAL);
        assert_int_equal(server_check_words(s)[SERVER_CHECK_DETAIL], EMFILE);
        assert_int_equal(server_state(s), SERVER_UP);
        RUN_UNTIL(&x, server_check_words(s)[SERVER_CHECK_RESULT] == CHECK_OK);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* ── generations ────────────────────────────────────────────────────────────────────────────────── */

/* The same server goes on with all it has; without a check it is unknown; with another address it is another server. */
static void test_generations(void **state) {
        const enum act good = ACT_200, bad = ACT_503;
        struct fixture x;
        struct origin o, p;
        struct server *s, *t, *u;
        struct farm *f, *g, *h, *none;
        uint64_t since, checks;

        origin_start(&o, &bad, 1);
        origin_start(&p, &good, 1);
        fixture_init(&x, state, NULL);
        f = farm_at(&x, o.text, FARM_CHECK_HTTP, NULL);
        s = check_farm(&x, f);
        RUN_UNTIL(&x, n_checks(s) == 3);
        assert_int_equal(server_state(s), SERVER_DOWN);
        since = server_check_words(s)[SERVER_CHECK_SINCE];

        g = farm_at(&x, o.text, FARM_CHECK_HTTP, f);
        g->check.expect[503 / 64] |= UINT64_C(1) << (503 % 64); /* from now on that is good */
        t = check_farm(&x, g);
        assert_ptr_equal(s, t);
        assert_int_equal(server_state(s), SERVER_DOWN);
        assert_int_equal(server_check_words(s)[SERVER_CHECK_SINCE], since);
        RUN_UNTIL(&x, server_state(s) == SERVER_UP);

        none = farm_at(&x, o.text, FARM_CHECK_NONE, g);
        u = check_farm(&x, none);
        assert_ptr_equal(s, u);
        assert_int_equal(server_state(s), SERVER_UNKNOWN);
        server_unref(u);

        h = farm_at(&x, o.text, FARM_CHECK_HTTP, none);
        u = check_farm(&x, h);
        assert_ptr_equal(s, u);
        server_unref(u);
        RUN_UNTIL(&x, server_state(s) == SERVER_DOWN);

        u = check_farm(&x, farm_at(&x, p.text, FARM_CHECK_HTTP, h));
        assert_ptr_not_equal(s, u);
        assert_int_equal(server_state(u), SERVER_UNKNOWN);
        checks = n_checks(u); /* the words go on: same name */
        RUN_UNTIL(&x, n_checks(u) > checks);
        assert_int_equal(server_state(u), SERVER_UP);
        assert_int_equal(server_state(s), SERVER_DOWN);
        stop_checker(&x);
        server_unref(s);
        server_unref(t);
        server_unref(u);
        fixture_deinit(&x);
        origin_stop(&o);
        origin_stop(&p);
}

/* A new worker begins with the last verdict, when it is about the same address. */
static void test_new_worker(void **state) {
        const enum act act = ACT_503;
        struct fixture x;
        struct origin o;
        struct server *s;
        struct farm *f;
        uint64_t since;

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_HTTP, NULL));
        RUN_UNTIL(&x, n_checks(s) == 2);
        since = server_check_words(s)[SERVER_CHECK_SINCE];
        stop_checker(&x);
        server_unref(s);

        assert_int_equal(farm_checker_new(&x.checker, x.loop, NULL), 0);
        f = farm_at(&x, o.text, FARM_CHECK_HTTP, NULL);
        assert_int_equal(server_state(f->members[0].server), SERVER_DOWN);
        s = check_farm(&x, f);
        assert_int_equal(server_state(s), SERVER_DOWN);
        assert_int_equal(server_check_words(s)[SERVER_CHECK_SINCE], since);
        stop_checker(&x);
        server_unref(s);

        f = farm_at(&x, "192.0.2.7:80", FARM_CHECK_HTTP, NULL);
        assert_int_equal(server_state(f->members[0].server), SERVER_UNKNOWN);
        farm_free(f);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* Stopping and replacing in the middle of checks that hang leaves nothing behind. */
static void test_stop_while_checking(void **state) {
        const enum act act = ACT_HANG;
        struct fixture x;
        struct origin o;
        struct server *s;
        nsec_t begin;

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        for (unsigned i = 0; i < 3; i++) {
                struct farm *f = farm_at(&x, o.text, FARM_CHECK_HTTP, NULL);

                f->check.timeout = 60 * NSEC_PER_SEC;
                server_unref(check_farm(&x, f));
                for (unsigned k = 0; k < 5; k++)
                        assert_true(loop_run_once(x.loop, 5 * NSEC_PER_MSEC) >= 0);
        }
        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_NONE, NULL));
        begin = time_monotonic();
        stop_checker(&x);
        assert_true(time_monotonic() - begin < 5 * NSEC_PER_SEC);
        assert_int_equal(n_checks(s), 0);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* ── names ──────────────────────────────────────────────────────────────────────────────────────── */

static int lookup_error; /* atomic; of the fake below */
static uint32_t lookup_addr; /* atomic; in host order */
static unsigned n_lookups;  /* atomic */

static int fake_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res) {
        int error = __atomic_load_n(&lookup_error, __ATOMIC_RELAXED);
        struct addrinfo *a;
        struct sockaddr_in *in;

        (void)__atomic_add_fetch(&n_lookups, 1, __ATOMIC_RELAXED);
        assert_string_equal(node, "web.internal");
        if (error != 0)
                return error;
        a = calloc(1, sizeof(*a) + sizeof(*in));
        if (!a)
                return EAI_MEMORY;
        in = (struct sockaddr_in *)(a + 1);
        in->sin_family = AF_INET;
        in->sin_addr.s_addr = htonl(__atomic_load_n(&lookup_addr, __ATOMIC_RELAXED));
        a->ai_family = AF_INET;
        a->ai_addrlen = sizeof(*in);
        a->ai_addr = (struct sockaddr *)in;
        *res = a;
        return 0;
}

static void fake_freeaddrinfo(struct addrinfo *res) {
        free(res);
}

/* A server without an address is down and says why; then it is found, moves, and a failing resolver changes nothing. */
static void test_names(void **state) {
        const struct farm_checker_options options = {
                .getaddrinfo = fake_getaddrinfo, .freeaddrinfo = fake_freeaddrinfo, .lookup_every = 5 * NSEC_PER_MSEC};
        const enum act act = ACT_200;
        struct fixture x;
        struct origin o;
        struct server *s;
        struct addr addr;
        char name[64], why[CHECK_TEXT_MAX];
        uint32_t number;
        unsigned n;

        origin_start(&o, &act, 1);
        (void)snprintf(name, sizeof(name), "web.internal:%u", addr_port(&o.addr));
        __atomic_store_n(&lookup_error, EAI_AGAIN, __ATOMIC_RELAXED);
        fixture_init(&x, state, &options);
        s = check_farm(&x, farm_at(&x, name, FARM_CHECK_HTTP, NULL));
        assert_int_equal(server_state(s), SERVER_DOWN);
        assert_int_equal(server_addr(s, &addr), 0);
        RUN_UNTIL(&x, server_check_words(s)[SERVER_CHECK_DETAIL] == (uint64_t)(int64_t)EAI_AGAIN);
        assert_int_equal(server_state(s), SERVER_DOWN);
        check_result_format(server_check_words(s)[SERVER_CHECK_RESULT], server_check_words(s)[SERVER_CHECK_DETAIL], why);
        assert_string_equal(why, "name does not resolve: Temporary failure in name resolution");

        __atomic_store_n(&lookup_addr, INADDR_LOOPBACK, __ATOMIC_RELAXED);
        __atomic_store_n(&lookup_error, 0, __ATOMIC_RELAXED);
        RUN_UNTIL(&x, server_state(s) == SERVER_UP);
        number = server_addr(s, &addr);
        assert_int_not_equal(number, 0);
        assert_true(addr_equal(&addr, &o.addr));

        __atomic_store_n(&lookup_error, EAI_FAIL, __ATOMIC_RELAXED);
        n = __atomic_load_n(&n_lookups, __ATOMIC_RELAXED);
        RUN_UNTIL(&x, __atomic_load_n(&n_lookups, __ATOMIC_RELAXED) >= n + 3);
        assert_int_equal(server_addr(s, &addr), number);
        assert_int_equal(server_state(s), SERVER_UP);

        __atomic_store_n(&lookup_addr, INADDR_LOOPBACK + 1, __ATOMIC_RELAXED); /* 127.0.0.2: nobody is there */
        __atomic_store_n(&lookup_error, 0, __ATOMIC_RELAXED);
        RUN_UNTIL(&x, server_addr_number(s) != number);
        RUN_UNTIL(&x, server_state(s) == SERVER_DOWN);
        assert_int_not_equal(server_addr(s, &addr), 0);
        assert_int_equal(ntohl(addr.in4.sin_addr.s_addr), INADDR_LOOPBACK + 1);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* The resolver of this machine, and no check at all: the server is usable as soon as it has an address. */
static void test_localhost(void **state) {
        struct fixture x;
        struct server *s;
        struct addr addr;

        fixture_init(&x, state, NULL);
        s = check_farm(&x, farm_at(&x, "localhost:8080", FARM_CHECK_NONE, NULL));
        RUN_UNTIL(&x, server_addr(s, &addr) != 0);
        assert_int_equal(addr_port(&addr), 8080);
        assert_int_equal(server_state(s), SERVER_UNKNOWN);
        stop_checker(&x);
        server_unref(s);
        fixture_deinit(&x);
}

/* ── waiting for the first news ─────────────────────────────────────────────────────────────────── */

static void on_ready(void *arg) {
        ++*(unsigned *)arg;
}

/* Ready when all were looked up and checked once: at once when there is nothing to wait for, and not beyond the limit. */
static void test_await(void **state) {
        const struct farm_checker_options options = {.getaddrinfo = fake_getaddrinfo, .freeaddrinfo = fake_freeaddrinfo};
        const enum act bad = ACT_503, hang = ACT_HANG;
        struct fixture x;
        struct origin o, p;
        struct server *s;
        char name[64];
        unsigned ready = 0;

        origin_start(&o, &bad, 1);
        origin_start(&p, &hang, 1);
        fixture_init(&x, state, &options);
        farm_checker_await(x.checker, 60 * NSEC_PER_SEC, on_ready, &ready);
        assert_int_equal(ready, 0);
        RUN_UNTIL(&x, ready == 1);

        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_HTTP, NULL));
        farm_checker_await(x.checker, 60 * NSEC_PER_SEC, on_ready, &ready);
        RUN_UNTIL(&x, ready == 2);
        assert_int_equal(server_state(s), SERVER_DOWN);
        server_unref(s);

        __atomic_store_n(&lookup_addr, INADDR_LOOPBACK, __ATOMIC_RELAXED);
        __atomic_store_n(&lookup_error, 0, __ATOMIC_RELAXED);
        (void)snprintf(name, sizeof(name), "web.internal:%u", addr_port(&o.addr));
        s = check_farm(&x, farm_at(&x, name, FARM_CHECK_HTTP, NULL));
        farm_checker_await(x.checker, 60 * NSEC_PER_SEC, on_ready, &ready);
        RUN_UNTIL(&x, ready == 3);
        assert_int_equal(server_check_words(s)[SERVER_CHECK_RESULT], CHECK_STATUS);
        server_unref(s);

        __atomic_store_n(&lookup_error, EAI_NONAME, __ATOMIC_RELAXED);
        s = check_farm(&x, farm_at(&x, "web.internal:1", FARM_CHECK_HTTP, NULL)); /* without address there is nothing to check */
        farm_checker_await(x.checker, 60 * NSEC_PER_SEC, on_ready, &ready);
        RUN_UNTIL(&x, ready == 4);
        server_unref(s);

        s = check_farm(&x, farm_at(&x, p.text, FARM_CHECK_HTTP, NULL));
        farm_checker_await(x.checker, 30 * NSEC_PER_MSEC, on_ready, &ready);
        RUN_UNTIL(&x, ready == 5);
        assert_int_equal(server_state(s), SERVER_UNKNOWN);
        farm_checker_await(x.checker, 60 * NSEC_PER_SEC, on_ready, &ready);
        stop_checker(&x);
        assert_int_equal(ready, 5);
        server_unref(s);
        fixture_deinit(&x);
        origin_stop(&o);
        origin_stop(&p);
}

/* With every allocation failing once: all as before, or all as wanted. */
static void test_memory(void **state) {
        const enum act act = ACT_200;
        const struct test_server servers[] = {{"a", "10.0.0.1:80", 1}, {"b", "10.0.0.2:80", 1}};
        struct fixture x;
        struct origin o;
        struct server *s;
        struct farm_set *set;
        unsigned n = 0;
        int r;

        origin_start(&o, &act, 1);
        fixture_init(&x, state, NULL);
        s = check_farm(&x, farm_at(&x, o.text, FARM_CHECK_HTTP, NULL));
        RUN_UNTIL(&x, server_state(s) == SERVER_UP);
        set = test_farm_set(test_farm_new("f", FARM_ROUND_ROBIN, servers, 2, x.counters, NULL));
        do {
                fault_alloc_after(n++);
                r = farm_checker_set(x.checker, set);
                fault_alloc_never();
                if (r < 0) {
                        uint64_t before = n_checks(s);

                        assert_int_equal(r, -ENOMEM);
                        RUN_UNTIL(&x, n_checks(s) > before);
                }
        } while (r < 0);
        assert_int_equal(n, 3);
        (void)farm_set_unref(set);
        stop_checker(&x);
        server_unref(s);

        for (n = 0, r = -1; r < 0; n++) {
                fault_alloc_after(n);
                r = farm_checker_new(&x.checker, x.loop, NULL);
                fault_alloc_never();
        }
        assert_int_equal(n, 3);
        fixture_deinit(&x);
        origin_stop(&o);
}

/* ── status line ────────────────────────────────────────────────────────────────────────────────── */

static void expect_line(const char *text, enum status_line_state want, unsigned status) {
        size_t n = strlen(text);

        for (size_t cut = 0; cut <= n; cut++) { /* in two pieces, at every place */
                struct status_line l = {0};
                enum status_line_state got = status_line_feed(&l, text, cut);

                got = got < STATUS_DONE ? status_line_feed(&l, text + cut, n - cut) : got;
                assert_int_equal(got, want);
                if (want == STATUS_DONE)
                        assert_int_equal(l.status, status);
        }
}

static void test_status_line(void **state) {
        expect_line("HTTP/1.1 200 OK\r\n", STATUS_DONE, 200);
        expect_line("HTTP/1.0 404\r\n", STATUS_DONE, 404);
        expect_line("HTTP/1.1 599 \r\nX: y", STATUS_DONE, 599);
        expect_line("HTTP/1.1 200 \xc3\xa9\t~\r\n", STATUS_DONE, 200);
        expect_line("HTTP/1.1 101 Switching\r\n", STATUS_DONE, 101);
        expect_line("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n", STATUS_DONE, 204);
        expect_line("HTTP/1.1 103 x\r\nA: b\r\nC: d\r\n\r\nHTTP/1.1 102 x\r\n\r\nHTTP/1.1 500 No\r\n", STATUS_DONE, 500);
        expect_line("HTTP/1.1 103 x\r\nA: b\r\n\r\nSSH", STATUS_BAD, 0);
        expect_line("", STATUS_LINE, 0);
        expect_line("HTTP/1.1 200 OK\r", STATUS_LINE, 0);
        expect_line("HTTP/1.1 200", STATUS_LINE, 0);
        expect_line("HTTP/2 200\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.2 200 OK\r\n", STATUS_BAD, 0);
        expect_line("http/1.1 200 OK\r\n", STATUS_BAD, 0);
        expect_line(" HTTP/1.1 200 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1  200 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 20 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 2000 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 099 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 600 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 2x0 OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200OK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200 OK\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200 O\rK\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200 \x01\r\n", STATUS_BAD, 0);
        expect_line("HTTP/1.1 200 \x7f\r\n", STATUS_BAD, 0);
}

/* Interim responses without end do not keep it reading for ever. */
static void test_status_line_limits(void **state) {
        struct status_line l = {0};
        unsigned i;

        for (i = 0; i < 10000 && l.state < STATUS_DONE; i++)
                (void)status_line_feed(&l, "HTTP/1.1 100 Continue\r\n\r\n", 25);
        assert_int_equal(l.state, STATUS_BAD);
        assert_true(i < 1000);
}

static void test_texts(void **state) {
        char out[CHECK_TEXT_MAX];

        check_result_format(CHECK_CONNECT, ECONNREFUSED, out);
        assert_string_equal(out, "connection refused");
        check_result_format(CHECK_STATUS, 503, out);
        assert_string_equal(out, "status 503");
        check_result_format(CHECK_OK, 0, out);
        assert_string_equal(out, "connected");
        check_result_format(CHECK_LOCAL, EMFILE, out);
        assert_string_equal(out, "could not check: too many open files");
        check_result_format(99999, UINT64_MAX, out); /* the words are somebody else's: anything may stand there */
        for (uint64_t i = 0; i <= CHECK_N_RESULTS; i++) {
                check_result_format(i, UINT64_MAX, out);
                assert_true(out[0] != '\0' && strlen(out) < CHECK_TEXT_MAX);
        }
        assert_string_equal(server_state_name(7), "unknown");
}

static bool has_uring(void) {
        const struct loop_options options = {.backend = LOOP_URING};
        const char *why = NULL;
        struct loop *l;

        if (loop_new(&l, &options, &why) < 0) {
                print_message("# only epoll: %s\n", why ? why : "no io_uring");
                return false;
        }
        loop_free(l);
        return true;
}

int main(void) {
        static enum loop_backend uring = LOOP_URING, epoll = LOOP_EPOLL;
#define ON(test, backend) {.name = #test "/" #backend, .test_func = test, .initial_state = &backend}
#define LOOP_TESTS(backend)                                                                                     \
        ON(test_results, backend), ON(test_no_connection, backend), ON(test_tcp, backend), ON(test_request, backend), \
                ON(test_rise_and_fall, backend), ON(test_pace, backend), ON(test_local_failure, backend),        \
                ON(test_generations, backend), ON(test_new_worker, backend), ON(test_stop_while_checking, backend), \
                ON(test_names, backend), ON(test_localhost, backend), ON(test_await, backend), ON(test_memory, backend)
        const struct CMUnitTest plain[] = {
                cmocka_unit_test(test_status_line),
                cmocka_unit_test(test_status_line_limits),
                cmocka_unit_test(test_texts),
                LOOP_TESTS(epoll),
        };
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_status_line),
                cmocka_unit_test(test_status_line_limits),
                cmocka_unit_test(test_texts),
                LOOP_TESTS(epoll),
                LOOP_TESTS(uring),
        };
#undef LOOP_TESTS
#undef ON

        log_set_level(LOG_LEVEL_ERROR);
        return has_uring() ? cmocka_run_group_tests(all, NULL, NULL) : cmocka_run_group_tests(plain, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/access_log.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "web/access_line.h"
#include "web/counters.h"
#include "web/exchange.h"
#include "web/request_id.h"
#include "web/site.h"

static struct site shop = {.name = STR("shop")};
static struct route catalog = {.path = STR("/catalog/"), .site = &shop};

static struct addr client_addr(void) {
        struct addr a = {.len = sizeof(a.in4)};

        a.in4.sin_family = AF_INET;
        assert_int_equal(inet_pton(AF_INET, "198.51.100.7", &a.in4.sin_addr), 1);
        return a;
}

static struct exchange exchange_of(const char *path) {
        struct exchange x = {
                .req = {.method = HTTP_GET,
                        .minor = 1,
                        .method_text = STR("GET"),
                        .path = str_of(path),
                        .host = STR("shop.example.com")},
                .status = 200,
                .at_begin = time_monotonic(),
        };

        x.at_head = x.at_begin;
        return x;
}

static struct access_log *log_to(int fd, unsigned n_lanes, struct counters *c) {
        struct access_log_options o = {
                .n_lanes = n_lanes, .ring = 1 << 18, .node = STR("lb1"), .counters = c, .fd = fd};
        struct access_log *l;

        assert_int_equal(access_log_new(&l, &o), 0);
        return l;
}

static struct counters *counters_with_worker(unsigned n_lanes, int *ret_object) {
        struct counters *c;

        assert_int_equal(counters_new(&c, n_lanes, 4), 0);
        *ret_object = counters_add(c, COUNTERS_WORKER, STR(""), WORKER_N_WORDS);
        assert_true(*ret_object >= 0);
        return c;
}

static int temporary_file(void) {
        char name[] = "/tmp/tenon-test-access-XXXXXX";
        int fd = mkstemp(name);

        assert_true(fd >= 0);
        assert_int_equal(unlink(name), 0);
        return fd;
}

static unsigned count_lines(int fd) {
        char b[65536];
        unsigned n = 0;
        off_t at = 0;
        ssize_t r;

        while ((r = pread(fd, b, sizeof(b), at)) > 0) {
                for (ssize_t i = 0; i < r; i++)
                        n += b[i] == '\n';
                at += r;
        }
        return n;
}

/* Every field, in its order; what is not there is left out. */
static void test_line(void **state) {
        struct http_field fields[] = {
                {.name = STR("User-Agent"), .value = STR("x \"y\"\x01"), .id = HTTP_FIELD_USER_AGENT},
                {.name = STR("Referer"), .value = STR("https://a/"), .id = HTTP_FIELD_REFERER},
        };
        struct addr client = client_addr();
        struct exchange x = exchange_of("/catalog/7");
        struct access_clock clock = {0};
        char out[ACCESS_LINE_MAX];
        size_t n;

        x.req.query = STR("q=1");
        x.req.fields = (struct http_fields){fields, 2, 2};
        x.site = &shop;
        x.route = &catalog;
        x.client = &client;
        x.farm = STR("shop");
        x.server = STR("web1");
        x.retries = 1;
        x.bytes_in = 412;
        x.bytes_out = 18233;
        x.at_begin = 1000 * NSEC_PER_SEC;
        x.at_head = x.at_begin + 100 * NSEC_PER_USEC;
        x.at_connect = x.at_head + 400 * NSEC_PER_USEC;
        x.at_first_byte = x.at_connect + 21700 * NSEC_PER_USEC;
        x.end = EXCHANGE_END_SERVER_RESPONSE;
        x.why = "reset by the server";
        x.id = 0x7fffffffffffffff;
        n = access_line_format(out, &clock, STR("lb1"), &x, x.at_begin + 24900 * NSEC_PER_USEC,
                               1795358403 * NSEC_PER_SEC + 536900 * NSEC_PER_USEC);
        out[n] = '\0';
        assert_string_equal(
                out, "{\"time\":\"2026-11-22T14:40:03.512Z\",\"id\":\"7zzzzzzzzzzzz\",\"node\":\"lb1\","
                     "\"site\":\"shop\","
                     "\"client\":\"198.51.100.7\",\"proto\":\"h1\",\"method\":\"GET\",\"host\":\"shop."
                     "example.com\","
                     "\"path\":\"/catalog/"
                     "7\",\"query\":\"q=1\",\"status\":200,\"bytes_in\":412,\"bytes_out\":18233,"
                     "\"route\":\"/catalog/\",\"farm\":\"shop\",\"server\":\"web1\",\"retries\":1,"
                     "\"ms\":{\"wait\":0.100,\"connect\":0.400,\"first_byte\":21.700,\"total\":24.900},"
                     "\"end\":\"server:response\",\"why\":\"reset by the server\",\"agent\":\"x "
                     "\\\"y\\\"\\u0001\","
                     "\"referer\":\"https://a/\"}\n");
}

/* The longest that a client can send fits, cut. */
static void test_longest(void **state) {
        static char long_text[40000];
        struct http_field fields[] = {
                {.value = {long_text, sizeof(long_text)}, .id = HTTP_FIELD_USER_AGENT},
                {.value = {long_text, sizeof(long_text)}, .id = HTTP_FIELD_REFERER},
        };
        struct exchange x = exchange_of("/");
        struct access_clock clock = {0};
        static char out[ACCESS_LINE_MAX];
        size_t n;

        memset(long_text, 1, sizeof(long_text));
        x.req.method_text = x.req.host = x.req.path = x.req.query =
                (struct str){long_text, sizeof(long_text)};
        x.req.fields = (struct http_fields){fields, 2, 2};
        n = access_line_format(out, &clock, (struct str){long_text, sizeof(long_text)}, &x, time_monotonic(),
                               time_wall());
        assert_true(n > 6 * ACCESS_PATH_MAX && n < ACCESS_LINE_MAX);
        assert_memory_equal(out + n - 2, "}\n", 2);
}

static void test_to_file(void **state) {
        int object, fd = temporary_file();
        struct counters *c = counters_with_worker(2, &object);
        struct access_log *l = log_to(dup(fd), 2, c);
        struct exchange x = exchange_of("/a");

        for (int i = 0; i < 500; i++) {
                access_log_write(l, 0, &x);
                access_log_write(l, 1, &x);
        }
        assert_null(access_log_free(l));
        assert_int_equal(count_lines(fd), 1000);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), 1000);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_DROPPED_FULL), 0);
        (void)counters_free(c);
        (void)close(fd);
}

/* Nobody reads the pipe: lines are lost and counted, the writing thread never waits; once somebody reads,
 * whole lines come. */
static void test_blocked_pipe(void **state) {
        int object, fds[2];
        struct counters *c = counters_with_worker(1, &object);
        struct exchange x = exchange_of("/a");
        struct access_log *l;
        uint64_t lost, written = 0;
        char b[65536], last = '\n';
        ssize_t r;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        l = log_to(fds[1], 1, c);
        for (int i = 0; i < 5000; i++)
                access_log_write(l, 0, &x);
        lost = counters_sum(c, object, WORKER_LOG_DROPPED_FULL);
        assert_true(lost > 0);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), 5000 - lost);
        while (written < 5000 - lost) {
                r = read(fds[0], b, sizeof(b));
                assert_true(r > 0);
                for (ssize_t i = 0; i < r; i++) {
                        assert_true(last != '\n' || b[i] == '{');
                        last = b[i];
                        written += last == '\n';
                }
        }
        (void)access_log_free(l);
        assert_int_equal(read(fds[0], b, sizeof(b)), 0);
        (void)close(fds[0]);
        (void)counters_free(c);
}

/* A reader that never reads does not hold up the end. */
static void test_free_with_blocked_pipe(void **state) {
        struct exchange x = exchange_of("/a");
        struct access_log *l;
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        l = log_to(fds[1], 1, NULL);
        for (int i = 0; i < 5000; i++)
                access_log_write(l, 0, &x);
        assert_null(access_log_free(l));
        (void)close(fds[0]);
}

/* Waits until the counter moves; the writer needs a moment to find out that the disk is full. */
static void write_until(struct access_log *l, struct counters *c, int object, unsigned word) {
        struct exchange x = exchange_of("/a");

        while (counters_sum(c, object, word) == 0)
                access_log_write(l, 0, &x);
}

/* The disk is full: counted. With a new descriptor the log goes on, and what waited is not lost. */
static void test_full_disk(void **state) {
        int object, fd = temporary_file(), full = open("/dev/full", O_WRONLY | O_CLOEXEC);
        struct counters *c = counters_with_worker(1, &object);
        struct access_log *l;

        assert_true(full >= 0);
        l = log_to(full, 1, c);
        write_until(l, c, object, WORKER_LOG_DROPPED_ERROR);
        access_log_set_fd(l, dup(fd));
        (void)access_log_free(l);
        assert_int_equal(count_lines(fd), counters_sum(c, object, WORKER_LOG_LINES));
        (void)counters_free(c);
        (void)close(fd);
}

/* A file that may grow no further takes part of a line; on the next descriptor that line is whole. */
static void test_torn_line(void **state) {
        int object, fd = temporary_file(), next = temporary_file();
        struct counters *c = counters_with_worker(1, &object);
        struct rlimit before, limit;
        struct access_log *l;
        struct stat st;
        char first;

        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = before;
        limit.rlim_cur = 1000;
        (void)signal(SIGXFSZ, SIG_IGN);
        l = log_to(dup(fd), 1, c);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        write_until(l, c, object, WORKER_LOG_DROPPED_ERROR);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_size, 1000);
        access_log_set_fd(l, dup(next));
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        (void)access_log_free(l);
        assert_int_equal(count_lines(fd) + count_lines(next), counters_sum(c, object, WORKER_LOG_LINES));
        /* the writer may have been about to write the rest to the old one */
        if (pread(next, &first, 1, 0) == 1)
                assert_int_equal(first, '{');
        (void)counters_free(c);
        (void)close(fd);
        (void)close(next);
}

static void test_rules(void **state) {
        struct str skip[] = {STR("/healthz"), STR("/quiet/")};
        struct access_log_rules rules = {.skip = skip, .n_skip = 2, .sample = 1000};
        int object, fd = temporary_file();
        struct counters *c = counters_with_worker(1, &object);
        struct access_log *l = log_to(dup(fd), 1, c);
        struct exchange x = exchange_of("/healthz"), quiet = exchange_of("/quiet/x"),
                        loud = exchange_of("/healthz/x");
        uint64_t n;

        assert_int_equal(access_log_set_rules(l, &rules), 0);
        access_log_write(l, 0, &x);
        access_log_write(l, 0, &quiet);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), 0);
        access_log_write(l, 0, &loud);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), 1);
        x.status = 502;
        access_log_write(l, 0, &x);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), 2);
        rules.sample = 100;
        assert_int_equal(access_log_set_rules(l, &rules), 0);
        for (int i = 0; i < 500; i++)
                access_log_write(l, 0, &loud);
        n = counters_sum(c, object, WORKER_LOG_LINES) - 2;
        assert_in_range(n, 10, 120);
        rules.sample = 0;
        assert_int_equal(access_log_set_rules(l, &rules), 0);
        access_log_write(l, 0, &loud);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), n + 2);
        loud.end = EXCHANGE_END_CLIENT_RESPONSE;
        access_log_write(l, 0, &loud);
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES), n + 3);
        (void)access_log_free(l);
        assert_int_equal(count_lines(fd), n + 3);
        (void)counters_free(c);
        (void)close(fd);
}

struct producer {
        struct access_log *log;
        unsigned lane;
};

static void *produce(void *arg) {
        struct producer *p = arg;
        struct exchange x = exchange_of("/some/path/of/usual/length");

        for (int i = 0; i < 20000; i++) {
                access_log_write(p->log, p->lane, &x);
                if (i % 64 == 0)
                        sched_yield();
        }
        return NULL;
}

/* Two threads write while the file is changed under them: no line is lost that was not counted, none is torn.
 */
static void test_rotation_under_load(void **state) {
        int object, fds[4];
        struct counters *c = counters_with_worker(2, &object);
        struct access_log *l;
        pthread_t threads[2];
        struct producer p[2];
        unsigned n = 0;

        for (int i = 0; i < 4; i++)
                fds[i] = temporary_file();
        l = log_to(dup(fds[0]), 2, c);
        for (unsigned i = 0; i < 2; i++) {
                p[i] = (struct producer){l, i};
                assert_int_equal(pthread_create(&threads[i], NULL, produce, &p[i]), 0);
        }
        for (int i = 1; i < 4; i++) {
                while (counters_sum(c, object, WORKER_LOG_LINES) +
                               counters_sum(c, object, WORKER_LOG_DROPPED_FULL) <
                       (uint64_t)i * 4000)
                        sched_yield();
                access_log_set_fd(l, dup(fds[i]));
        }
        for (int i = 0; i < 2; i++)
                assert_int_equal(pthread_join(threads[i], NULL), 0);
        (void)access_log_free(l);
        for (int i = 0; i < 4; i++) {
                char first, last;
                off_t end = lseek(fds[i], 0, SEEK_END);

                if (end > 0) {
                        assert_int_equal(pread(fds[i], &first, 1, 0), 1);
                        assert_int_equal(pread(fds[i], &last, 1, end - 1), 1);
                        assert_true(first == '{' && last == '\n');
                }
                n += count_lines(fds[i]);
                (void)close(fds[i]);
        }
        assert_int_equal(n, counters_sum(c, object, WORKER_LOG_LINES));
        assert_int_equal(counters_sum(c, object, WORKER_LOG_LINES) +
                                 counters_sum(c, object, WORKER_LOG_DROPPED_FULL),
                         40000);
        (void)counters_free(c);
}

/* After a quiet time the writer sleeps; the next line still arrives by itself. */
static void test_wakes_up(void **state) {
        struct exchange x = exchange_of("/a");
        struct pollfd p = {.events = POLLIN};
        struct access_log *l;
        char b[4096];
        int fds[2];

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        l = log_to(fds[1], 1, NULL);
        p.fd = fds[0];
        assert_int_equal(poll(&p, 1, 1500), 0); /* longer than it takes to fall asleep */
        access_log_write(l, 0, &x);
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_true(read(fds[0], b, sizeof(b)) > 0);
        (void)access_log_free(l);
        (void)close(fds[0]);
}

static void test_request_ids(void **state) {
        struct request_ids a, b;
        char x[REQUEST_ID_LEN], y[REQUEST_ID_LEN];
        uint64_t last = 0;

        request_ids_init(&a, 0x12345678, 0);
        request_ids_init(&b, 0x12345678, 1);
        for (unsigned i = 0; i < 100000; i++) {
                uint64_t s = 1800000000 + i / 10, id = request_ids_next(&a, s),
                         other = request_ids_next(&b, s);

                assert_true(id != last && id != other);
                last = id;
        }
        request_id_format(x, request_ids_next(&a, 1800000000));
        request_id_format(y, request_ids_next(&a, 1800000001));
        assert_true(memcmp(x, y, sizeof(x)) < 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_line),
                cmocka_unit_test(test_longest),
                cmocka_unit_test(test_to_file),
                cmocka_unit_test(test_blocked_pipe),
                cmocka_unit_test(test_free_with_blocked_pipe),
                cmocka_unit_test(test_full_disk),
                cmocka_unit_test(test_torn_line),
                cmocka_unit_test(test_rules),
                cmocka_unit_test(test_rotation_under_load),
                cmocka_unit_test(test_wakes_up),
                cmocka_unit_test(test_request_ids),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

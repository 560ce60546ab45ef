/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The engine between scripted clients and servers that close, reset, stall and speak out of turn at every
 * stage of an exchange. After each scenario all gauges must be at 0 and the log must have one line an
 * exchange. Every test runs once with each loop.
 */

#include "web/test-engine.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "web/counters.h"
#include "farm/counters.h"

#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK5 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

/* One or two servers, a client that is connected. */
struct scene {
        struct engine e;
        int a, b; /* listening sockets of the servers */
        uint16_t port_a, port_b;
        int client;
};

#define ONE "farms: {f: {servers: {a: \"127.0.0.1:%u\"}%s}}\nsites: {s: {proxy: f}}\n%s"
#define TWO \
        "farms: {f: {servers: {a: \"127.0.0.1:%u\", b: {address: \"127.0.0.1:%u\", backup: " \
        "true}}%s}}\nsites: {s: {proxy: f}}\n%s"

static void scene_one(struct scene *s, void **state, const char *farm, const char *more) {
        *s = (struct scene){.a = -1, .b = -1};
        s->a = raw_listen(&s->port_a);
        engine_start(&s->e, *(enum loop_backend *)*state, 1, ONE, s->port_a, farm, more);
        s->client = engine_connect(&s->e);
}

/* b is asked only after a. */
static void scene_two(struct scene *s, void **state, const char *farm, const char *more) {
        *s = (struct scene){.a = -1, .b = -1};
        s->a = raw_listen(&s->port_a);
        s->b = raw_listen(&s->port_b);
        engine_start(&s->e, *(enum loop_backend *)*state, 1, TWO, s->port_a, s->port_b, farm, more);
        s->client = engine_connect(&s->e);
}

static void scene_end(struct scene *s, unsigned n_lines) {
        if (s->client >= 0)
                raw_close(s->client);
        engine_stop_expect(&s->e, n_lines);
        raw_close(s->a);
        if (s->b >= 0)
                raw_close(s->b);
}

/* Sends a request without a body and gives the server's side of it. */
static int ask(struct scene *s, const char *request) {
        int server;

        raw_puts(s->client, request);
        server = raw_accept(s->a);
        (void)raw_head(server);
        return server;
}

static void assert_has(const char *text, const char *part) {
        if (!strstr(text, part))
                fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_has_not(const char *text, const char *part) {
        if (strstr(text, part))
                fail_msg("\"%s\" is in: %s", part, text);
}

/* ── as it should be ───────────────────────────────────────────────────── */

static void test_keep_alive(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, GET);
        for (int i = 0; i < 3; i++) {
                raw_puts(server, OK5);
                assert_has_not(raw_response(s.client, 200, "hello"), "Connection:");
                engine_await_server(&s.e, "f/a", SERVER_IDLE, 1);
                raw_puts(s.client, GET);
                (void)raw_head(server);
        }
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        engine_await_server(&s.e, "f/a", SERVER_IDLE, 0);
        scene_end(&s, 4);
}

static void test_pipelining(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        raw_puts(s.client, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nPOST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: "
                           "3\r\n\r\nabcGET /3 HTTP/1.1\r\n");
        server = raw_accept(s.a);
        assert_has(raw_head(server), "GET /1 ");
        raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
        assert_has(raw_head(server), "POST /2 ");
        raw_expect(server, "abc");
        raw_puts(server,
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n2\r\n0\r\nX-T: t\r\n\r\n");
        (void)raw_response(s.client, 200, "1");
        assert_has(raw_head(s.client), "\r\nTransfer-Encoding: chunked\r\n");
        raw_expect(s.client, "1\r\n2\r\n0\r\nX-T: t\r\n\r\n");
        raw_puts(s.client, "Host: h\r\nConnection: close\r\n\r\nGET /4 HTTP/1.1\r\nHost: h\r\n\r\n");
        assert_has(raw_head(server), "GET /3 ");
        raw_puts(server, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n");
        assert_has_not(raw_response(s.client, 204, ""), "Content-Length");
        raw_expect_end(s.client); /* and not a reset: what came after is read */
        raw_close(server);
        scene_end(&s, 3);
}

/* A client that has said all it will still gets all its answers. */
static void test_pipelined_end(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        raw_puts(s.client, GET GET);
        assert_int_equal(shutdown(s.client, SHUT_WR), 0);
        server = raw_accept(s.a);
        for (int i = 0; i < 2; i++) {
                (void)raw_head(server);
                raw_puts(server, OK5);
                (void)raw_response(s.client, 200, "hello");
        }
        raw_expect_end(s.client);
        raw_close(server);
        scene_end(&s, 2);
}

static void test_old_client(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, "GET / HTTP/1.0\r\n\r\n");
        raw_puts(server, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
                         "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
        assert_has(raw_head(s.client), "HTTP/1.1 200 OK\r\n");
        raw_expect(s.client, "hello");
        raw_expect_end(s.client);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        raw_puts(s.client, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        (void)raw_head(server);
        raw_puts(server, OK5);
        assert_has(raw_response(s.client, 200, "hello"), "\r\nConnection: keep-alive\r\n");
        raw_close(server);
        scene_end(&s, 2);
}

static void test_interim(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, GET);
        for (int i = 0; i < 20; i++)
                raw_puts(server, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n");
        raw_puts(server, OK5);
        for (int i = 0; i < 16; i++) /* PROXY_INTERIM_MAX */
                assert_has(raw_head(s.client), "HTTP/1.1 103 ");
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 1);
}

static void test_head(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n");
        raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n");
        assert_has(raw_head(s.client), "\r\nContent-Length: 5000\r\n");
        raw_expect_end(server); /* what would come behind it can belong to nothing */
        raw_close(server);
        raw_puts(s.client, GET);
        server = raw_accept(s.a);
        (void)raw_head(server);
        raw_puts(server, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: x\r\n\r\n");
        assert_has(raw_head(s.client), "\r\nContent-Length: 5000\r\n");
        raw_puts(s.client, GET);
        (void)raw_head(server);
        raw_puts(server, "HTTP/1.0 200 OK\r\n\r\nuntil the end");
        raw_close(server);
        assert_has(raw_head(s.client), "\r\nTransfer-Encoding: chunked\r\n");
        raw_expect(s.client, "d\r\nuntil the end\r\n0\r\n\r\n");
        scene_end(&s, 3);
}

/* ── clients at fault ──────────────────────────────────────────────────── */

static void test_client_leaves_early(void **state) {
        struct scene s;

        scene_one(&s, state, "", "");
        raw_close(s.client); /* said nothing */
        s.client = engine_connect(&s.e);
        raw_reset(s.client);
        s.client = engine_connect(&s.e);
        raw_puts(s.client, "GET / HT"); /* within the head */
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        raw_puts(s.client, "GET / HT");
        raw_reset(s.client);
        s.client = -1;
        assert_false(raw_would_accept(s.a, 20));
        scene_end(&s, 0);
}

static void test_client_leaves_body(void **state) {
        struct scene s;
        int server;

        for (int reset = 0; reset < 2; reset++) {
                scene_one(&s, state, "", "");
                server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
                raw_expect(server, "12345");
                if (reset) {
                        raw_reset(s.client);
                        s.client = -1;
                } else {
                        assert_int_equal(shutdown(s.client, SHUT_WR), 0);
                        (void)raw_response(s.client, 400, NULL);
                        raw_expect_end(s.client);
                }
                raw_expect_gone(server); /* not an orderly request in any case */
                raw_close(server);
                scene_end(&s, 1);
        }
}

static void test_client_leaves_waiting(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, GET);
        raw_reset(s.client);
        s.client = -1;
        raw_expect_gone(server);
        raw_close(server);
        engine_await_site(&s.e, SITE_IN_FLIGHT, 0);
        /* one that only ended its side still gets its answer */
        s.client = engine_connect(&s.e);
        server = ask(&s, GET);
        assert_int_equal(shutdown(s.client, SHUT_WR), 0);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_expect_end(s.client);
        raw_close(server);
        scene_end(&s, 2);
}

static void test_client_leaves_response(void **state) {
        static const uint64_t sizes[] = {100000, 8 << 20};
        char head[100];
        struct scene s;
        int server;

        for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
                scene_one(&s, state, "", "");
                server = ask(&s, GET);
                (void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                               (unsigned long long)sizes[i]);
                raw_puts(server, head);
                (void)raw_send_pattern_until_full(server, 0, sizes[i] - 1);
                (void)raw_head(s.client);
                raw_expect_pattern(s.client, 0, 1000);
                raw_reset(s.client);
                s.client = -1;
                raw_expect_gone(server);
                raw_close(server);
                scene_end(&s, 1);
        }
}

static void test_client_stalls(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "timeouts: {header: 50ms, body: 50ms, idle: 100ms}\n");
        raw_expect_end(s.client); /* never says anything */
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        raw_puts(s.client, "GET / HTTP/1.1\r\nHo");
        (void)raw_response(s.client, 408, NULL);
        raw_expect_end(s.client);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
        raw_expect(server, "123");
        (void)raw_response(s.client, 408, NULL);
        raw_expect_end(s.client);
        raw_expect_gone(server);
        raw_close(server);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_expect_end(s.client); /* idle */
        raw_close(server);
        scene_end(&s, 3);
}

/* The body that nobody wants never comes: the answer does, and the connection ends. */
static void test_client_stalls_unwanted(void **state) {
        struct engine e;
        int client;

        engine_start(&e, *(enum loop_backend *)*state, 1,
                     "sites: {s: {respond: hi}}\ntimeouts: {body: 50ms}\n");
        client = engine_connect(&e);
        raw_puts(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
        (void)raw_response(client, 200, NULL);
        raw_expect_gone(client);
        raw_close(client);
        client = engine_connect(&e);
        raw_puts(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n123");
        (void)raw_response(client, 200, NULL);
        raw_puts(client, "4567890" GET);
        (void)raw_response(client, 200, NULL);
        raw_close(client);
        engine_stop_expect(&e, 3);
}

/* Bytes that come just often enough do not hold the server for ever. */
static void test_client_trickles(void **state) {
        struct scene s;
        struct pollfd p;
        int server;

        scene_one(&s, state, "", "timeouts: {body: 1s}\n");
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
        p = (struct pollfd){.fd = s.client, .events = POLLIN};
        for (int i = 0; i < 20 && poll(&p, 1, 200) == 0; i++)
                raw_puts(s.client, "x");
        assert_true(p.revents & POLLIN);
        (void)raw_response(s.client, 408, NULL);
        raw_close(server);
        scene_end(&s, 1);
}

static void test_client_reads_not(void **state) {
        struct scene s;
        int server, error;
        size_t n;

        scene_one(&s, state, "", "timeouts: {write: 200ms}\n");
        for (int splice = 0; splice < 2; splice++) {
                const int small = 4096;

                assert_int_equal(setsockopt(s.client, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
                server = ask(&s, GET);
                raw_puts(server, splice ? "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n"
                                        : "HTTP/1.1 200 OK\r\n\r\n");
                (void)raw_send_pattern_until_full(server, 0, 100000000);
                raw_expect_gone(server);
                raw_close(server);
                free(raw_read_all(s.client, &n, &error));
                assert_int_equal(error, ECONNRESET);
                raw_close(s.client);
                s.client = engine_connect(&s.e);
        }
        scene_end(&s, 2);
}

static void test_refused(void **state) {
        static const char *const bad[] = {
                "GET / HTTP/1.1\r\n\r\n", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
                "GET / HTTP/1.1\nHost: h\r\n\r\n",
                "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"};
        struct scene s;

        scene_one(&s, state, "", "");
        raw_close(s.client);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                s.client = engine_connect(&s.e);
                raw_puts(s.client, bad[i]);
                raw_puts(s.client, GET GET);
                (void)raw_response(s.client, 400, NULL);
                raw_expect_end(s.client);
                raw_close(s.client);
        }
        s.client = -1;
        assert_false(raw_would_accept(s.a, 0));
        scene_end(&s, ARRAY_SIZE(bad));
}

static void test_limits(void **state) {
        struct engine e;
        int client, more[2];
        uint16_t port;
        int listener = raw_listen(&port), server;

        engine_start(&e, *(enum loop_backend *)*state, 1, ONE, port, "",
                     "limits: {connections: 2, body: 10B, header: 1KiB, target: 512B}\n");
        client = engine_connect(&e);
        raw_puts(client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n");
        (void)raw_response(client, 413, NULL);
        raw_close(client);
        client = engine_connect(&e);
        raw_puts(client, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n");
        server = raw_accept(listener);
        (void)raw_head(server);
        raw_expect(server, "8\r\n12345678\r\n");
        raw_puts(client, "8\r\n12345678\r\n0\r\n\r\n");
        (void)raw_response(client, 413, NULL);
        raw_expect_end(client);
        raw_close(client);
        raw_expect_gone(server);
        raw_close(server);
        client = engine_connect(&e);
        raw_puts(client, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
        raw_send_pattern(client, 0, 2000);
        (void)raw_response(client, 431, NULL);
        raw_close(client);
        for (unsigned end = 0; engine_worker(&e, WORKER_CONNECTIONS_H1) > 0 && end < 5000; end++)
                (void)poll(NULL, 0, 1);
        for (unsigned i = 0; i < 2; i++) {
                more[i] = engine_connect(&e);
                raw_puts(more[i], "GET / HTT"); /* accepted for sure before the next */
        }
        while (engine_worker(&e, WORKER_CONNECTIONS_H1) < 2)
                (void)poll(NULL, 0, 1);
        client = engine_connect(&e);
        (void)raw_response(client, 503, NULL);
        raw_expect_gone(client);
        raw_close(client);
        raw_close(more[0]);
        raw_close(more[1]);
        engine_stop_expect(&e, 3);
        raw_close(listener);
}

/* ── servers at fault ──────────────────────────────────────────────────── */

static void test_server_refuses(void **state) {
        struct scene s;
        int server;

        scene_two(&s, state, "", "");
        raw_close(s.a); /* nobody listens there: the other one is asked, also for a POST */
        raw_puts(s.client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        server = raw_accept(s.b);
        (void)raw_head(server);
        raw_expect(server, "abc");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        raw_close(s.b);
        engine_await_server(&s.e, "f/b", SERVER_IDLE, 0);
        raw_puts(s.client, GET);
        (void)raw_response(s.client, 502, NULL);
        s.a = raw_listen(&s.port_a);
        s.b = raw_listen(&s.port_b);
        scene_end(&s, 2);
}

/* Closed or reset before the response: another server for a GET, none for a POST. */
static void test_server_leaves_early(void **state) {
        struct scene s;
        int server;

        for (int reset = 0; reset < 2; reset++) {
                scene_two(&s, state, "", "");
                server = ask(&s, GET);
                reset ? raw_reset(server) : raw_close(server);
                server = raw_accept(s.b);
                (void)raw_head(server);
                raw_puts(server, OK5);
                (void)raw_response(s.client, 200, "hello");
                raw_close(server);
                server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
                raw_expect(server, "abc");
                reset ? raw_reset(server) : raw_close(server);
                (void)raw_response(s.client, 502, NULL);
                assert_false(raw_would_accept(s.a, 0));
                assert_false(raw_would_accept(s.b, 20));
                scene_end(&s, 2);
        }
}

static void test_server_stalls(void **state) {
        struct scene s;
        size_t n;
        char *all;
        int server, error;

        scene_one(&s, state, ", timeouts: {first_byte: 50ms, idle: 50ms}", "");
        server = ask(&s, GET);
        (void)raw_response(s.client, 504, NULL);
        raw_expect_gone(server);
        raw_close(server);
        server = ask(&s, GET);
        raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Le"); /* within the head */
        (void)raw_response(s.client, 504, NULL);
        raw_close(server);
        server = ask(&s, GET);
        raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123");
        (void)raw_head(s.client);
        all = raw_read_all(s.client, &n, &error);
        assert_string_equal(all, "123");
        free(all);
        raw_expect_gone(server);
        raw_close(server);
        /* the same in the middle of a splice */
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, GET);
        raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        raw_send_pattern(server, 0, 500000);
        (void)raw_head(s.client);
        free(raw_read_all(s.client, &n, &error));
        assert_true(n <= 500000);
        raw_close(server);
        scene_end(&s, 4);
}

/* A response that is cut short never looks whole to the client. */
static void test_server_leaves_response(void **state) {
        static const struct {
                const char *sent;
                const char *got;
                bool reset;
        } cases[] = {
                {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n123", "123", false},
                {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "", false},
                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n", "3\r\n123\r\n", false},
                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n123", "3\r\n123\r\n", false},
                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\nxyz", "3\r\n123\r\n",
                 false},
                {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n0\r\n", "3\r\n123\r\n",
                 false},
                {"HTTP/1.1 200 OK\r\n\r\n123", "3\r\n123\r\n", true},
        };
        struct scene s;
        int server, error;
        char *all;

        scene_one(&s, state, "", "");
        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                server = ask(&s, GET);
                raw_puts(server, cases[i].sent);
                (void)raw_head(s.client);
                if (cases[i].reset) {
                        raw_expect(s.client, cases[i].got);
                        raw_reset(server);
                } else {
                        raw_close(server);
                }
                all = raw_read_all(s.client, NULL, &error);
                assert_string_equal(all, cases[i].reset ? "" : cases[i].got);
                free(all);
                raw_close(s.client);
                s.client = engine_connect(&s.e);
        }
        /* with HTTP/1.0 only a reset tells it */
        server = ask(&s, "GET / HTTP/1.0\r\n\r\n");
        raw_puts(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n123\r\n");
        (void)raw_head(s.client);
        raw_expect(s.client, "123");
        raw_close(server);
        raw_expect_reset(s.client);
        scene_end(&s, ARRAY_SIZE(cases) + 1);
}

static void test_server_malformed(void **state) {
        static const char *const bad[] = {
                "nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n1",
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
                "HTTP/1.1 101 Switching Protocols\r\n\r\n", "HTTP/1.1 200 OK\nA: b\r\n\r\n"};
        struct scene s;

        scene_one(&s, state, "", "");
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                int server = ask(&s, GET);

                raw_puts(server, bad[i]);
                (void)raw_response(s.client, 502, NULL);
                raw_expect_gone(server);
                raw_close(server);
        }
        scene_end(&s, ARRAY_SIZE(bad));
}

/* Says more than it was asked: the surplus reaches nobody. */
static void test_server_surplus(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, GET);
        raw_puts(server, OK5 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        (void)raw_response(s.client, 200, "hello");
        raw_expect_gone(server);
        raw_close(server);
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        engine_await_server(&s.e, "f/a", SERVER_IDLE, 1);
        raw_puts(server, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil");
        engine_await_server(&s.e, "f/a", SERVER_IDLE, 0);
        raw_close(server);
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 3);
}

/* A kept connection that is closed in the face of a request. */
static void test_stale(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, ", retry: {tries: 1}", "");
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_puts(s.client, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        (void)raw_head(server);
        raw_close(server); /* "abc" unread: a reset */
        server = raw_accept(s.a);
        assert_has(raw_head(server), "PUT ");
        raw_expect(server, "abc");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_puts(s.client, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        (void)raw_head(server);
        raw_close(server);
        (void)raw_response(s.client, 502, NULL);
        assert_false(raw_would_accept(s.a, 20));
        scene_end(&s, 3);
}

/* ── request bodies ────────────────────────────────────────────────────── */

static void test_held_body(void **state) {
        struct scene s;
        int server;

        scene_two(&s, state, "", "");
        server = ask(&s, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        raw_expect(server, "3\r\nabc\r\n");
        raw_puts(s.client, "2\r\nde\r\n");
        raw_expect(server, "2\r\nde\r\n");
        raw_reset(server); /* the body is half here */
        server = raw_accept(s.b);
        (void)raw_head(server);
        raw_expect(server, "3\r\nabc\r\n2\r\nde\r\n");
        raw_puts(s.client, "1\r\nf\r\n0\r\nX-T: t\r\n\r\n");
        raw_expect(server, "1\r\nf\r\n0\r\nX-T: t\r\n\r\n");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        /* all of it here */
        server = ask(&s, "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                         "chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: t\r\n\r\n");
        raw_expect(server, "3\r\nabc\r\n0\r\nX-T: t\r\n\r\n");
        raw_reset(server);
        server = raw_accept(s.b);
        (void)raw_head(server);
        raw_expect(server, "3\r\nabc\r\n0\r\nX-T: t\r\n\r\n");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        /* too long to be kept */
        server = ask(&s, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
        raw_send_pattern(s.client, 0, 100000);
        raw_expect_pattern(server, 0, 100000);
        raw_reset(server);
        (void)raw_response(s.client, 502, NULL);
        assert_false(raw_would_accept(s.b, 20));
        /* in single bytes: kept up to a number of pieces */
        server = ask(&s, "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
        for (int i = 0; i < 20; i++) {
                raw_puts(s.client, "x");
                raw_expect(server, "x");
        }
        raw_reset(server);
        server = raw_accept(s.b);
        (void)raw_head(server);
        raw_expect(server, "xxxxxxxxxxxxxxxxxxxx");
        for (int i = 20; i < 100; i++) {
                raw_puts(s.client, "y");
                raw_expect(server, "y");
        }
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 4);
}

static void test_expect(void **state) {
        static const char post[] =
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, post);
        raw_puts(server, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_expect(s.client, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_puts(s.client, "abc");
        raw_expect(server, "abc");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        /* the server says nothing about it: after a second the body is asked for all the same */
        raw_puts(s.client, post);
        (void)raw_head(server);
        raw_expect(s.client, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_puts(s.client, "abc");
        raw_expect(server, "abc");
        raw_puts(server, "HTTP/1.1 100 Continue\r\n\r\n" OK5);
        (void)raw_response(s.client, 200, "hello");
        /* the client does not wait */
        raw_puts(s.client, post);
        raw_puts(s.client, "abc");
        (void)raw_head(server);
        raw_puts(server, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_expect(server, "abc");
        raw_expect(s.client, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        /* the server wants none of it: nobody knows whether the body comes, so the connection ends */
        raw_puts(s.client, post);
        (void)raw_head(server);
        raw_puts(server, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno");
        assert_has(raw_response(s.client, 417, "no"), "\r\nConnection: close\r\n");
        raw_expect_end(s.client);
        raw_expect_gone(server);
        raw_close(server);
        /* the server goes while we wait for its word */
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, post);
        raw_close(server);
        assert_has(raw_response(s.client, 502, NULL), "\r\nConnection: close\r\n");
        /* and the client does */
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, post);
        raw_reset(s.client);
        s.client = engine_connect(&s.e);
        engine_await_site(&s.e, SITE_IN_FLIGHT, 0);
        raw_close(server);
        scene_end(&s, 6);
}

/* The answer is there before the request is. */
static void test_early_response(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc");
        raw_expect(server, "abc");
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_expect_gone(server); /* its request is never complete */
        raw_close(server);
        raw_send_pattern(s.client, 0, 997); /* little is left: the connection goes on */
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        engine_await_server(&s.e, "f/a", SERVER_IDLE, 0);
        /* much is left */
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nabc");
        raw_expect(server, "abc");
        raw_puts(server, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        raw_close(server);
        (void)raw_response(s.client, 413, "no");
        raw_expect_end(s.client);
        raw_close(s.client);
        /* the server does not even answer */
        s.client = engine_connect(&s.e);
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000\r\n\r\nabc");
        raw_close(server);
        assert_has(raw_response(s.client, 502, NULL), "\r\nConnection: close\r\n");
        raw_expect_end(s.client);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc");
        raw_close(server);
        assert_has_not(raw_response(s.client, 502, NULL), "\r\nConnection: close\r\n");
        raw_send_pattern(s.client, 0, 997);
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 6);
}

/* Both directions at once. */
static void test_duplex(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, "", "");
        server = ask(&s, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        raw_puts(server, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        (void)raw_head(s.client);
        for (int i = 0; i < 100; i++) {
                raw_puts(s.client, "3\r\nabc\r\n");
                raw_expect(server, "3\r\nabc\r\n");
                raw_puts(server, "4\r\ndefg\r\n");
                raw_expect(s.client, "4\r\ndefg\r\n");
        }
        raw_puts(s.client, "0\r\n\r\n");
        raw_expect(server, "0\r\n\r\n");
        raw_puts(server, "0\r\n\r\n");
        raw_expect(s.client, "0\r\n\r\n");
        engine_await_server(&s.e, "f/a", SERVER_IDLE, 1);
        raw_close(server);
        scene_end(&s, 1);
}

/* Nobody holds what the server does not take. */
static void test_upload(void **state) {
        const uint64_t size = 100 << 20;
        struct scene s;
        uint64_t sent, got = 0;
        char head[100];
        int server;

        scene_one(&s, state, "", "");
        (void)snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %llu\r\n\r\n",
                       (unsigned long long)size);
        server = ask(&s, head);
        sent = raw_send_pattern_until_full(s.client, 0, size);
        assert_true(sent < size / 2);
        while (got < size) {
                uint64_t n = MIN(size - got, (uint64_t)1 << 20);

                if (sent < size)
                        sent += raw_send_pattern_until_full(s.client, sent, MIN(size - sent, n));
                n = MIN(n, sent - got);
                raw_expect_pattern(server, got, n);
                got += n;
        }
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 1);
}

/* A server that reads slowly is not late with its answer: the time for that begins when it has the request. */
static void test_upload_slow(void **state) {
        const int small = 32 << 10;
        const uint64_t size = 2560 << 10, step = 64 << 10;
        struct scene s;
        char head[100];
        int server;

        scene_one(&s, state, ", timeouts: {first_byte: 1s}", "");
        assert_int_equal(setsockopt(s.a, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
        (void)snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %llu\r\n\r\n",
                       (unsigned long long)size);
        server = ask(&s, head);
        raw_send_pattern(s.client, 0, size);
        for (uint64_t got = 0; got < size; got += step) {
                (void)poll(NULL, 0, 50);
                raw_expect_pattern(server, got, step);
        }
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_puts(s.client, GET); /* but one that has it all must answer */
        (void)raw_head(server);
        (void)raw_response(s.client, 504, NULL);
        raw_close(server);
        scene_end(&s, 2);
}

/* ── long responses ────────────────────────────────────────────────────── */

static void test_download(void **state) {
        static const uint64_t sizes[] = {1, 16000, 131072, 1 << 20, 32 << 20};
        struct scene s;
        int server = -1;

        scene_one(&s, state, "", "");
        for (unsigned i = 0; i < 3 * ARRAY_SIZE(sizes); i++) {
                uint64_t size = sizes[i / 3], sent = 0, got = 0;
                char head[100];

                if (server < 0)
                        server = ask(&s, GET);
                else
                        raw_puts(s.client, GET), (void)raw_head(server);
                (void)snprintf(head, sizeof(head),
                               i % 3 == 2 ? "HTTP/1.1 200 OK\r\n\r\n"
                                          : "HTTP/1.1 200 OK\r\nContent-Length: %llu\r\n\r\n",
                               (unsigned long long)size);
                raw_puts(server, head);
                if (i % 3 == 1) /* head and body apart */
                        assert_has(raw_head(s.client), "200 OK");
                if (i % 3 == 2)
                        size = MIN(size, (uint64_t)16000); /* all of it fits on the way */
                sent = raw_send_pattern_until_full(server, 0, size);
                if (i % 3 != 1)
                        assert_has(raw_head(s.client), "200 OK");
                if (i % 3 == 2) {
                        raw_close(server);
                        raw_expect_chunked(s.client, size);
                        raw_close(s.client);
                        server = -1;
                        s.client = engine_connect(&s.e);
                        continue;
                }
                while (got < size) {
                        uint64_t n = MIN(sent - got, (uint64_t)1 << 20);

                        raw_expect_pattern(s.client, got, n);
                        got += n;
                        if (sent < size)
                                sent += raw_send_pattern_until_full(server, sent,
                                                                    MIN(size - sent, (uint64_t)1 << 20));
                }
        }
        scene_end(&s, 3 * ARRAY_SIZE(sizes));
}

static void test_splice_broken(void **state) {
        struct scene s;
        size_t n;
        int server, error;

        for (int reset = 0; reset < 2; reset++) {
                scene_one(&s, state, "", "");
                server = ask(&s, GET);
                raw_puts(server, "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n");
                (void)raw_head(s.client);
                raw_send_pattern(server, 0, 1000000);
                raw_expect_pattern(s.client, 0, 1000000);
                raw_send_pattern(server, 1000000, 1000000);
                reset ? raw_reset(server) : raw_close(server);
                free(raw_read_all(s.client, &n, &error));
                assert_true(reset ? n <= 1000000 : n == 1000000);
                scene_end(&s, 1);
        }
}

/* ── tunnels ───────────────────────────────────────────────────────────── */

#define UPGRADE "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
#define SWITCH "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static int tunnel(struct scene *s) {
        int server = ask(s, UPGRADE "early");

        raw_puts(server, SWITCH "first");
        assert_has(raw_head(s->client), "101 Switching");
        raw_expect(s->client, "first");
        raw_expect(server, "early");
        raw_send_pattern(s->client, 0, 200000);
        raw_expect_pattern(server, 0, 200000);
        raw_send_pattern(server, 0, 200000);
        raw_expect_pattern(s->client, 0, 200000);
        return server;
}

static void test_tunnel(void **state) {
        struct scene s;
        int server;

        scene_one(&s, state, ", timeouts: {idle: 200ms}", "");
        server = tunnel(&s);
        raw_puts(server, "bye");
        raw_close(server);
        raw_expect(s.client, "bye");
        raw_expect_end(s.client);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = tunnel(&s);
        raw_puts(s.client, "bye");
        raw_close(s.client);
        raw_expect(server, "bye");
        raw_expect_gone(server);
        raw_close(server);
        s.client = engine_connect(&s.e);
        server = tunnel(&s);
        raw_reset(server);
        raw_expect_gone(s.client);
        raw_close(s.client);
        s.client = engine_connect(&s.e);
        server = tunnel(&s);
        raw_reset(s.client);
        raw_expect_gone(server);
        raw_close(server);
        s.client = engine_connect(&s.e);
        server = tunnel(&s); /* and then silence */
        raw_expect_gone(server);
        raw_expect_gone(s.client);
        raw_close(server);
        raw_close(s.client);
        /* closed before it stood */
        s.client = engine_connect(&s.e);
        server = ask(&s, UPGRADE);
        assert_int_equal(shutdown(s.client, SHUT_WR), 0);
        engine_await_site(&s.e, SITE_IN_FLIGHT, 1);
        raw_puts(server, SWITCH);
        assert_has(raw_head(s.client), "101 Switching");
        raw_expect_gone(server);
        raw_close(server);
        raw_expect_end(s.client);
        raw_close(s.client);
        /* refused */
        s.client = engine_connect(&s.e);
        server = ask(&s, UPGRADE);
        raw_puts(server, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(server);
        scene_end(&s, 7);
}

/* One side reads nothing: the other is stopped, not the memory filled. */
static void test_tunnel_pressure(void **state) {
        const uint64_t size = 64 << 20;
        struct scene s;
        uint64_t sent, back;
        int server;

        scene_one(&s, state, "", "");
        server = tunnel(&s);
        sent = raw_send_pattern_until_full(s.client, 0, size);
        assert_true(sent < size);
        back = raw_send_pattern_until_full(server, 0, size);
        assert_true(back < size);
        raw_expect_pattern(server, 0, sent);
        raw_expect_pattern(s.client, 0, back);
        raw_close(server);
        scene_end(&s, 1);
}

/* ── swap and drain ────────────────────────────────────────────────────── */

static void test_swap(void **state) {
        struct scene s;
        int old, new, upload, client, server;

        scene_one(&s, state, "", "");
        s.b = raw_listen(&s.port_b);
        old = ask(&s, GET);
        upload = engine_connect(&s.e);
        raw_puts(upload, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc");
        server = raw_accept(s.a);
        (void)raw_head(server);
        raw_expect(server, "abc");
        engine_swap(&s.e, "farms: {f: {servers: {b: \"127.0.0.1:%u\"}}}\nsites: {s: {proxy: f}}\n", s.port_b);
        client = engine_connect(&s.e);
        raw_puts(client, GET);
        new = raw_accept(s.b);
        (void)raw_head(new);
        raw_puts(new, OK5);
        (void)raw_response(client, 200, "hello");
        raw_close(client);
        raw_puts(upload, "def");
        raw_expect(server, "def");
        raw_puts(server, OK5);
        (void)raw_response(upload, 200, "hello");
        raw_close(server);
        raw_puts(old, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(old);
        raw_puts(s.client, GET); /* the connection lives, and asks the new one */
        (void)raw_head(new);
        raw_puts(new, OK5);
        (void)raw_response(s.client, 200, "hello");
        raw_close(new);
        raw_close(upload);
        for (int i = 0; i < 20; i++)
                engine_swap(&s.e, "farms: {f: {servers: {x%d: \"127.0.0.1:%u\"}}}\nsites: {s: {proxy: f}}\n",
                            i, s.port_b);
        scene_end(&s, 4);
}

/* The engine is stopped while all is under way. */
static void test_stop(void **state) {
        struct scene s;
        int server[5], client[5];

        scene_one(&s, state, "", "");
        for (unsigned i = 0; i < ARRAY_SIZE(server); i++) {
                client[i] = engine_connect(&s.e);
                raw_puts(client[i], i == 1   ? "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\nabc"
                                    : i == 2 ? UPGRADE
                                             : GET);
                server[i] = raw_accept(s.a);
                (void)raw_head(server[i]);
                if (i == 2)
                        raw_puts(server[i], SWITCH);
                if (i == 3)
                        raw_puts(server[i], "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n");
                if (i == 3)
                        raw_send_pattern(server[i], 0, 300000);
                if (i >= 2 && i < 4)
                        (void)raw_head(client[i]);
        }
        s.e.drained = true; /* without a drain: at once */
        scene_end(&s, ARRAY_SIZE(server));
        for (unsigned i = 0; i < ARRAY_SIZE(server); i++) {
                raw_close(server[i]);
                raw_close(client[i]);
        }
}

static void test_drain(void **state) {
        struct scene s;
        int server, idle, ws, wserver;

        scene_one(&s, state, "", "");
        idle = engine_connect(&s.e);
        ws = s.client;
        wserver = tunnel(&s);
        s.client = idle;
        server = ask(&s, GET);
        raw_puts(server, OK5);
        (void)raw_response(idle, 200, "hello");
        s.client = engine_connect(&s.e);
        raw_puts(s.client, GET);
        (void)raw_head(server);
        engine_drain_begin(&s.e, 300);
        raw_expect_end(idle);
        raw_close(idle);
        raw_puts(server, OK5);
        assert_has(raw_response(s.client, 200, "hello"), "\r\nConnection: close\r\n");
        raw_expect_end(s.client);
        raw_expect_gone(ws); /* cut at the limit */
        raw_expect_gone(wserver);
        engine_drain_end(&s.e);
        raw_close(ws);
        raw_close(wserver);
        raw_close(server);
        scene_end(&s, 3);
}

static void test_drain_unused(void **state) {
        struct scene s;

        scene_one(&s, state, "", "");
        engine_drain_begin(&s.e, 1000);
        raw_expect_gone(s.client);
        engine_drain_end(&s.e);
        scene_end(&s, 0);
}

static enum loop_backend uring = LOOP_URING, epoll = LOOP_EPOLL;

#define BOTH(test) \
        {#test " (io_uring)", test, NULL, NULL, &uring}, { \
#test " (epoll)", test, NULL, NULL, &epoll \
        }

int main(void) {
        const struct CMUnitTest tests[] = {
                BOTH(test_keep_alive),
                BOTH(test_pipelining),
                BOTH(test_pipelined_end),
                BOTH(test_old_client),
                BOTH(test_interim),
                BOTH(test_head),
                BOTH(test_client_leaves_early),
                BOTH(test_client_leaves_body),
                BOTH(test_client_leaves_waiting),
                BOTH(test_client_leaves_response),
                BOTH(test_client_stalls),
                BOTH(test_client_stalls_unwanted),
                BOTH(test_client_trickles),
                BOTH(test_client_reads_not),
                BOTH(test_refused),
                BOTH(test_limits),
                BOTH(test_server_refuses),
                BOTH(test_server_leaves_early),
                BOTH(test_server_stalls),
                BOTH(test_server_leaves_response),
                BOTH(test_server_malformed),
                BOTH(test_server_surplus),
                BOTH(test_stale),
                BOTH(test_held_body),
                BOTH(test_expect),
                BOTH(test_early_response),
                BOTH(test_duplex),
                BOTH(test_upload),
                BOTH(test_upload_slow),
                BOTH(test_download),
                BOTH(test_splice_broken),
                BOTH(test_tunnel),
                BOTH(test_tunnel_pressure),
                BOTH(test_swap),
                BOTH(test_stop),
                BOTH(test_drain),
                BOTH(test_drain_unused),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A few exchanges of every kind with the n-th allocation of the web thread failing, or all from the n-th on,
 * for every n until none fails. Connections may end early; what looks whole is right, nothing is left behind,
 * and with memory all is well again. Our own malloc() stands in front of the library's.
 */

#include "web/test-engine.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "web/test-engine-origin.h"
#include "web/web_internal.h"

static long countdown = -1; /* allocations of the web thread that still succeed; -1: all */
static bool for_good;       /* all that follow fail too */
static long n_live;         /* allocations of all threads but the servers' that are not freed */
static pthread_t web_thread;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

static bool fails(void) {
        long left = __atomic_load_n(&countdown, __ATOMIC_ACQUIRE);

        if (left < 0 || !pthread_equal(pthread_self(), web_thread))
                return false;
        if (left > 0 || !for_good)
                __atomic_store_n(&countdown, left - 1, __ATOMIC_RELEASE);
        if (left > 0)
                return false;
        errno = ENOMEM;
        return true;
}

static void count(long change) {
        if (!origin_thread)
                (void)__atomic_fetch_add(&n_live, change, __ATOMIC_RELAXED);
}

static void *counted(void *p) {
        count(p ? 1 : 0);
        return p;
}

void *malloc(size_t n) {
        return fails() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size) {
        return fails() ? NULL : counted(__libc_calloc(n, size));
}

void *aligned_alloc(size_t align, size_t n) {
        return fails() ? NULL : counted(__libc_memalign(align, n));
}

void *realloc(void *p, size_t n) {
        if (fails())
                return NULL;
        return p ? __libc_realloc(p, n) : counted(__libc_realloc(p, n));
}

void *reallocarray(void *p, size_t n, size_t size) {
        if (__builtin_mul_overflow(n, size, &n)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, n);
}

void free(void *p) {
        count(p ? -1 : 0);
        __libc_free(p);
}

/* ── the exchanges ─────────────────────────────────────────────────────── */

static const struct {
        const char *first, *second; /* two segments */
        unsigned responses;
        uint64_t id, bytes;
} exchanges[] = {
        {"GET /1/0/100 HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 1, 100},
        {"GET /2/1/3000 HTTP/1.1\r\nHos", "t: h\r\n\r\n", 1, 2, 3000},
        {"GET /3/0/10 HTTP/1.1\r\nHost: h\r\n\r\nGET /3/1/10 HTTP/1.1\r\nHost: h\r\n\r\nGET /3/2/10 "
         "HTTP/1.1\r\nHost: h\r\n\r\n",
         "", 3, 3, 10},
        {"PUT /4/0/100 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "0\r\nX-T: t\r\n\r\n", 1,
         4, 100},
        {"POST /5/1/100 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "", 1, 5, 100},
        {"GET /6/0/400000 HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 6, 400000},
        {"GET /7/8/10 HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 7,
         10}, /* closed before the response: tried twice */
        {"GET /8/10/10000 HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 8, 10000}, /* cut */
        {"GET /x/../9/0/100 HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 9, 100},
        {"POST /r HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n", "hello", 1, 0, 2},
        {"GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", "", 1, 0, 0},
        {"nonsense\r\n\r\n", "", 1, 0, 0},
};

/* Reads a response; false: the connection is of no more use. */
static bool read_response(struct reader *r, uint64_t id, uint64_t bytes) {
        bool chunked = false, close = false, ours = false, known = false;
        uint64_t n = 0;
        unsigned status;
        char line[1024];

        do {
                if (!reader_line(r, line, sizeof(line)))
                        return false;
                if (strncmp(line, "HTTP/1.1 ", 9) != 0)
                        fail_msg("not a response: \"%s\"", line);
                status = (unsigned)strtoul(line + 9, NULL, 10);
                while (reader_line(r, line, sizeof(line)) && line[0] != '\0') {
                        chunked |= strcasecmp(line, "Transfer-Encoding: chunked") == 0;
                        close |= strcasecmp(line, "Connection: close") == 0;
                        ours |= strncmp(line, "X-Id: ", 6) == 0;
                        if (strncmp(line, "Content-Length: ", 16) == 0) {
                                n = strtoull(line + 16, NULL, 10);
                                known = true;
                        }
                }
        } while (status < 200 && !r->ended);
        if (chunked) {
                if (!reader_chunked(r, id, false, &n))
                        return false;
        } else if (ours) {
                if (!known || !reader_body(r, n, id, false, 0))
                        return false;
        } else {
                for (uint64_t i = 0; i < n; i++)
                        if (reader_byte(r) < 0)
                                return false;
        }
        if (status == 200)
                assert_int_equal(n, bytes);
        return !close && !r->ended;
}

static void converse(struct engine *e) {
        struct reader r = {.fd = -1};

        for (unsigned i = 0; i < ARRAY_SIZE(exchanges); i++) {
                bool good = true;

                if (r.fd < 0)
                        r = (struct reader){.fd = engine_connect(e)};
                (void)origin_send(r.fd, exchanges[i].first, strlen(exchanges[i].first));
                if (exchanges[i].second[0]) {
                        raw_await_read(r.fd);
                        (void)origin_send(r.fd, exchanges[i].second, strlen(exchanges[i].second));
                }
                for (unsigned k = 0; good && k < exchanges[i].responses; k++)
                        good = read_response(&r, exchanges[i].id, exchanges[i].bytes);
                if (!good) {
                        raw_close(r.fd);
                        r.fd = -1;
                }
        }
        if (r.fd >= 0)
                raw_close(r.fd);
}

/* Returns whether an allocation was made to fail. */
static bool attempt(enum loop_backend io, struct origin *o, const uint16_t *ports, long n) {
        struct engine e;
        long left;

        engine_start(&e, io, 1,
                     "farms: {f: {servers: {a: \"127.0.0.1:%u\", b: \"127.0.0.1:%u\"}}}\n"
                     "sites: {s: {routes: {/: {proxy: f}, /r: {respond: hi}}}}\n",
                     ports[0], ports[1]);
        web_thread = e.web->threads[0].thread;
        __atomic_store_n(&countdown, n, __ATOMIC_RELEASE);
        converse(&e);
        left = __atomic_exchange_n(&countdown, -1, __ATOMIC_ACQ_REL);
        if (n >= 0) { /* with memory all is well again */
                int client = engine_connect(&e);

                raw_puts(client, "GET /r HTTP/1.1\r\nHost: h\r\n\r\n");
                (void)raw_response(client, 200, "hi");
                raw_close(client);
        }
        free(engine_stop(&e));
        assert_int_equal(origin_complaints(o), 0);
        origin_forget(o);
        return left <= 0 && n >= 0;
}

static void test_sweep(void **state) {
        enum loop_backend io = *(enum loop_backend *)*state;
        uint16_t ports[2];
        struct origin *o = origin_start(2, ports, 100);
        long live;

        for (int i = 0; i < 3; i++) /* what libc keeps */
                (void)attempt(io, o, ports, -1);
        live = n_live;
        for (int all = 0; all < 2; all++) {
                long n = 0;

                for_good = all;
                while (attempt(io, o, ports, n)) {
                        assert_int_equal(n_live, live);
                        assert_in_range(++n, 1, 10000);
                }
                print_message("# %ld allocations\n", n);
                assert_int_equal(n_live, live);
        }
        (void)origin_stop(o);
}

static enum loop_backend uring = LOOP_URING, epoll = LOOP_EPOLL;

int main(void) {
        const struct CMUnitTest tests[] = {
                {"test_sweep (io_uring)", test_sweep, NULL, NULL, &uring},
                {"test_sweep (epoll)", test_sweep, NULL, NULL, &epoll},
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

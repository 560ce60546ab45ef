/* SPDX-License-Identifier: Apache-2.0 */
#include "web/test-engine.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/diag.h"
#include "daemon/schema.h"
#include "farm/farm.h"
#include "net/listen.h"
#include "web/access_log.h"
#include "web/counters.h"
#include "web/site.h"
#include "web/web.h"

/* ── engine ────────────────────────────────────────────────────────────── */

static struct config *load(const char *text) {
        struct diag_list diags;
        struct config *c = NULL;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, "test.yaml", str_of(text), &root_schema, &diags);
        if (r < 0) {
                struct strbuf out = STRBUF_INIT;

                diag_format(&diags, &out, false);
                fail_msg("%s", strbuf_z(&out));
        }
        diag_list_deinit(&diags);
        return c;
}

static void on_swapped(void *arg) {
        ((struct engine *)arg)->swapped = true;
}

static void on_drained(void *arg) {
        ((struct engine *)arg)->drained = true;
}

static void run_until(struct engine *e, const bool *flag) {
        nsec_t end = time_monotonic() + PATIENCE_SECONDS * NSEC_PER_SEC;

        while (!*flag) {
                assert_true(time_monotonic() < end);
                assert_true(loop_run_once(e->control, 10 * NSEC_PER_MSEC) >= 0);
        }
}

int engine_swap_begin(struct engine *e, const char *text) {
        struct strbuf all = STRBUF_INIT;
        struct farm_set *farms = NULL;
        struct web_config *built = NULL;
        struct web_listener *listeners;
        struct config *config;
        char *why = NULL;
        int r;

        strbuf_addf(&all, "version: 1\nlisten: [\"127.0.0.1:%u\"]\n%s", e->port, text);
        config = load(strbuf_z(&all));
        strbuf_deinit(&all);
        assert_true(web_config_declare(config_root(config), e->region) >= 0);
        assert_true(farm_set_declare(config_root(config), e->region) >= 0);
        r = farm_set_build(&farms, config_root(config), e->counters, e->farms, &why);
        assert_int_equal(r, 0);
        (void)farm_set_ref(farms);
        r = web_config_build(&built, config, farms, e->counters, &why);
        if (r < 0)
                fail_msg("%s", why);
        listeners = calloc(built->n_listens + 1, sizeof(*listeners));
        for (unsigned i = 0; i < built->n_listens; i++)
                listeners[i] = (struct web_listener){built->listens[i].addr, e->fds};
        e->swapped = false;
        r = web_swap(e->web, built, listeners, built->n_listens, on_swapped, e);
        free(listeners);
        (void)config_free(config);
        if (r < 0) {
                (void)farm_set_unref(farms);
                return r;
        }
        (void)farm_set_unref(e->farms);
        e->farms = farms;
        return 0;
}

static void PRINTF_LIKE(2, 0) swap_text(struct engine *e, const char *format, va_list ap) {
        struct strbuf text = STRBUF_INIT;

        strbuf_addv(&text, format, ap);
        assert_int_equal(engine_swap_begin(e, strbuf_z(&text)), 0);
        strbuf_deinit(&text);
        run_until(e, &e->swapped);
}

void engine_swap(struct engine *e, const char *format, ...) {
        va_list ap;

        va_start(ap, format);
        swap_text(e, format, ap);
        va_end(ap);
}

static void open_listeners(struct engine *e) {
        struct addr a = {.len = sizeof(a.in4),
                         .in4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};

        e->fds = calloc(e->n_threads, sizeof(*e->fds));
        for (unsigned i = 0; i < e->n_threads; i++) {
                e->fds[i] = listen_open(&a, &(struct listen_options){.reuse_port = true});
                assert_true(e->fds[i] >= 0);
                assert_int_equal(listen_address(e->fds[i], &a), 0);
        }
        e->port = addr_port(&a);
}

void engine_start(struct engine *e, enum loop_backend io, unsigned n_threads, const char *format, ...) {
        struct access_log_options log = {.n_lanes = n_threads};
        struct web_options options = {.n_threads = n_threads, .io = io};
        const char *why = "";
        va_list ap;
        int r;

        *e = (struct engine){.io = io, .n_threads = n_threads};
        assert_int_equal(loop_new(&e->control, &(struct loop_options){.backend = LOOP_EPOLL}, &why), 0);
        assert_int_equal(counters_new(&e->region, n_threads, 64), 0);
        assert_true(counters_add(e->region, COUNTERS_WORKER, STR(""), WORKER_N_WORDS) >= 0);
        /* as in life: who adds objects is not who counts */
        assert_int_equal(counters_open(&e->counters, counters_fd(e->region)), 0);
        e->log_fd = memfd_create("log", MFD_CLOEXEC);
        log.counters = e->counters;
        log.fd = fcntl(e->log_fd, F_DUPFD_CLOEXEC, 3);
        assert_int_equal(access_log_new(&e->log, &log), 0);
        open_listeners(e);
        options.counters = e->counters;
        options.access_log = e->log;
        r = web_new(&e->web, e->control, &options, &why);
        if (r == -ENOSYS || r == -EPERM) {
                print_message("no io_uring here: %s\n", why);
                skip();
        }
        assert_int_equal(r, 0);
        va_start(ap, format);
        swap_text(e, format, ap);
        va_end(ap);
}

void engine_drain_begin(struct engine *e, unsigned limit_ms) {
        web_drain(e->web, limit_ms * NSEC_PER_MSEC, on_drained, e);
}

void engine_drain_end(struct engine *e) {
        run_until(e, &e->drained);
}

static void check_gauges(struct engine *e) {
        for (int i = 0; i < counters_count(e->counters); i++) {
                switch (counters_kind_of(e->counters, i)) {
                case COUNTERS_SITE:
                        assert_int_equal(counters_sum(e->counters, i, SITE_IN_FLIGHT), 0);
                        break;
                case COUNTERS_SERVER:
                        assert_int_equal(counters_sum(e->counters, i, SERVER_IN_FLIGHT), 0);
                        assert_int_equal(counters_sum(e->counters, i, SERVER_IDLE), 0);
                        break;
                case COUNTERS_WORKER:
                        assert_int_equal(counters_sum(e->counters, i, WORKER_CONNECTIONS_H1), 0);
                        break;
                default:
                        break;
                }
        }
}

static char *read_log(struct engine *e, unsigned *ret_lines) {
        struct stat st;
        char *text;

        assert_int_equal(fstat(e->log_fd, &st), 0);
        text = calloc(1, (size_t)st.st_size + 1);
        assert_int_equal(pread(e->log_fd, text, (size_t)st.st_size, 0), st.st_size);
        *ret_lines = 0;
        for (const char *p = text; (p = strchr(p, '\n')); p++)
                ++*ret_lines;
        return text;
}

char *engine_stop(struct engine *e) {
        uint64_t ends = 0;
        unsigned n_lines;
        char *text;

        if (!e->drained) {
                engine_drain_begin(e, 1000 * PATIENCE_SECONDS / 2);
                engine_drain_end(e);
        }
        e->web = web_free(e->web);
        e->log = access_log_free(e->log);
        (void)farm_set_unref(e->farms);
        check_gauges(e);
        text = read_log(e, &n_lines);
        for (int i = 0; i < counters_count(e->counters); i++)
                for (unsigned w = SITE_END_FIRST;
                     counters_kind_of(e->counters, i) == COUNTERS_SITE && w <= SITE_END_LAST; w++)
                        ends += counters_sum(e->counters, i, w);
        /* heads that were refused belong to no site */
        assert_true(ends <= n_lines);
        assert_int_equal(engine_worker(e, WORKER_LOG_LINES), n_lines);
        e->counters = counters_free(e->counters);
        e->region = counters_free(e->region);
        e->control = loop_free(e->control);
        for (unsigned i = 0; i < e->n_threads; i++)
                (void)close(e->fds[i]);
        free(e->fds);
        (void)close(e->log_fd);
        return text;
}

void engine_stop_expect(struct engine *e, unsigned n_lines) {
        char *text = engine_stop(e);
        unsigned n = 0;

        for (const char *p = text; (p = strchr(p, '\n')); p++)
                n++;
        if (n != n_lines)
                print_message("%s", text);
        free(text);
        assert_int_equal(n, n_lines);
}

static uint64_t value_of(struct engine *e, enum counters_kind kind, const char *name, unsigned word) {
        int object = counters_find(e->counters, kind, str_of(name));

        assert_true(object >= 0);
        return counters_sum(e->counters, object, word);
}

uint64_t engine_site(struct engine *e, unsigned word) {
        return value_of(e, COUNTERS_SITE, "s", word);
}

uint64_t engine_worker(struct engine *e, unsigned word) {
        return value_of(e, COUNTERS_WORKER, "", word);
}

uint64_t engine_server(struct engine *e, const char *name, unsigned word) {
        return value_of(e, COUNTERS_SERVER, name, word);
}

static void await(struct engine *e, enum counters_kind kind, const char *name, unsigned word,
                  uint64_t value) {
        nsec_t end = time_monotonic() + PATIENCE_SECONDS * NSEC_PER_SEC;

        while (value_of(e, kind, name, word) != value) {
                if (time_monotonic() > end)
                        fail_msg("%s: word %u is %llu, not %llu", name, word,
                                 (unsigned long long)value_of(e, kind, name, word),
                                 (unsigned long long)value);
                (void)poll(NULL, 0, 1);
        }
}

void engine_await_site(struct engine *e, unsigned word, uint64_t value) {
        await(e, COUNTERS_SITE, "s", word, value);
}

void engine_await_server(struct engine *e, const char *name, unsigned word, uint64_t value) {
        await(e, COUNTERS_SERVER, name, word, value);
}

/* ── sockets ───────────────────────────────────────────────────────────── */

static int patient(int fd) {
        const struct timeval t = {.tv_sec = PATIENCE_SECONDS};
        const int one = 1;

        assert_true(fd >= 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
        return fd;
}

int raw_listen(uint16_t *ret_port) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(a);
        int fd = patient(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

        assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        assert_int_equal(listen(fd, 512), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        *ret_port = ntohs(a.sin_port);
        return fd;
}

int raw_accept(int listener) {
        return patient(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
}

bool raw_would_accept(int listener, int ms) {
        struct pollfd p = {.fd = listener, .events = POLLIN};

        return poll(&p, 1, ms) > 0;
}

int raw_connect(uint16_t port) {
        struct sockaddr_in a = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
        int fd = patient(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        return fd;
}

int engine_connect(const struct engine *e) {
        return raw_connect(e->port);
}

void raw_send(int fd, const void *p, size_t n) {
        while (n > 0) {
                ssize_t r = send(fd, p, n, MSG_NOSIGNAL);

                if (r < 0)
                        fail_msg("send: %s", strerror(errno));
                p = (const char *)p + r;
                n -= (size_t)r;
        }
}

void raw_puts(int fd, const char *text) {
        raw_send(fd, text, strlen(text));
}

void raw_read(int fd, void *p, size_t n) {
        while (n > 0) {
                ssize_t r = recv(fd, p, n, 0);

                if (r <= 0)
                        fail_msg("%zu bytes are missing: %s", n, r < 0 ? strerror(errno) : "end");
                p = (char *)p + r;
                n -= (size_t)r;
        }
}

const char *raw_head(int fd) {
        static char head[65536];
        size_t n = 0;

        do {
                assert_true(n + 1 < sizeof(head));
                raw_read(fd, head + n, 1);
                head[++n] = '\0';
        } while (n < 4 || memcmp(head + n - 4, "\r\n\r\n", 4) != 0);
        return head;
}

void raw_expect(int fd, const char *text) {
        size_t n = strlen(text);
        char *there = calloc(1, n + 1);

        raw_read(fd, there, n);
        assert_string_equal(there, text);
        free(there);
}

const char *raw_response(int fd, unsigned status, const char *body) {
        const char *head = raw_head(fd), *length = strstr(head, "\r\nContent-Length: ");
        size_t n = length ? strtoul(length + 18, NULL, 10) : 0;
        char *there = calloc(1, n + 1);

        if (strtoul(head + 9, NULL, 10) != status)
                fail_msg("not %u: %s", status, head);
        raw_read(fd, there, n);
        if (body)
                assert_string_equal(there, body);
        free(there);
        return head;
}

static int end_of(int fd) {
        char c;
        ssize_t r = recv(fd, &c, 1, 0);

        if (r > 0)
                fail_msg("there is more: '%c'", c);
        return r < 0 ? errno : 0;
}

void raw_expect_end(int fd) {
        assert_int_equal(end_of(fd), 0);
}

void raw_expect_reset(int fd) {
        assert_int_equal(end_of(fd), ECONNRESET);
}

void raw_expect_gone(int fd) {
        int error = end_of(fd);

        assert_true(error == 0 || error == ECONNRESET);
}

char *raw_read_all(int fd, size_t *ret_n, int *ret_error) {
        size_t n = 0, cap = 65536;
        char *p = malloc(cap);
        ssize_t r;

        while ((r = recv(fd, p + n, cap - n - 1, 0)) > 0) {
                n += (size_t)r;
                if (cap - n < 2) {
                        cap *= 2;
                        p = realloc(p, cap);
                }
        }
        p[n] = '\0';
        *ret_error = r < 0 ? errno : 0;
        if (r < 0)
                assert_int_equal(errno, ECONNRESET);
        if (ret_n)
                *ret_n = n;
        return p;
}

void raw_close(int fd) {
        assert_int_equal(close(fd), 0);
}

void raw_reset(int fd) {
        const struct linger linger = {.l_onoff = 1};

        assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
        raw_close(fd);
}

static size_t fill_pattern(char *p, size_t size, uint64_t from, uint64_t n) {
        size_t k = (size_t)MIN(n, (uint64_t)size);

        for (size_t i = 0; i < k; i++)
                p[i] = raw_pattern(from + i);
        return k;
}

void raw_send_pattern(int fd, uint64_t from, uint64_t n) {
        char block[65536];

        while (n > 0) {
                size_t k = fill_pattern(block, sizeof(block), from, n);

                raw_send(fd, block, k);
                from += k;
                n -= k;
        }
}

void raw_expect_pattern(int fd, uint64_t from, uint64_t n) {
        char block[65536], wanted[65536];

        while (n > 0) {
                size_t k = fill_pattern(wanted, sizeof(wanted), from, n);

                raw_read(fd, block, k);
                if (memcmp(block, wanted, k) != 0)
                        fail_msg("wrong bytes at %llu", (unsigned long long)from);
                from += k;
                n -= k;
        }
}

void raw_expect_chunked(int fd, uint64_t n) {
        uint64_t at = 0;

        for (;;) {
                char line[20];
                unsigned i = 0;
                uint64_t chunk;

                do
                        raw_read(fd, &line[i], 1);
                while (line[i++] != '\n' && i < sizeof(line) - 1);
                line[i] = '\0';
                chunk = strtoull(line, NULL, 16);
                if (chunk > 0)
                        raw_expect_pattern(fd, at, chunk);
                at += chunk;
                raw_expect(fd, "\r\n");
                if (chunk == 0)
                        break;
        }
        assert_int_equal(at, n);
}

void raw_await_read(int fd) {
        int n = 1;

        for (unsigned i = 0; n > 0 && i < 5; i++) {
                assert_int_equal(ioctl(fd, SIOCOUTQ, &n), 0);
                (void)poll(NULL, 0, 1);
        }
}

uint64_t raw_send_pattern_until_full(int fd, uint64_t from, uint64_t n) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        uint64_t sent = 0;
        char block[65536];

        while (sent < n && poll(&p, 1, 250) > 0) {
                size_t k = fill_pattern(block, sizeof(block), from + sent, n - sent);
                ssize_t r = send(fd, block, k, MSG_NOSIGNAL | MSG_DONTWAIT);

                if (r < 0 && errno == EAGAIN)
                        continue;
                if (r <= 0)
                        break; /* the test finds out */
                sent += (uint64_t)r;
        }
        return sent;
}

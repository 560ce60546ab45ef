/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listeners.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "net/listen.h"

/* A free port of 127.0.0.1: bound by the caller of nobody any more. */
static struct addr free_addr(void) {
        struct addr a = {.len = sizeof(a.in4), .in4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}}};
        int fd = listen_open(&a, NULL);

        assert_true(fd >= 0);
        assert_int_equal(listen_address(fd, &a), 0);
        close(fd);
        return a;
}

static int try_connect(const struct addr *a) {
        CLEANUP(fd_closep) int fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        return connect(fd, &a->sa, a->len) < 0 ? -errno : 0;
}

/* The next set keeps what stays, and dropping the old one closes only what went. */
static void test_hand_over(void **state) {
        struct addr addrs[] = {free_addr(), free_addr(), free_addr()};
        struct listener_set first = {0}, second = {0};
        CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT;

        assert_int_equal(listener_set_prepare(&first, addrs, 2, 3, NULL, &why), 0);
        assert_int_equal(try_connect(&addrs[0]), -ECONNREFUSED);
        assert_int_equal(listener_set_enable(&first, &why), 0);
        assert_int_equal(first.v[0].n_fds, 3);
        assert_int_equal(try_connect(&addrs[0]), 0);
        assert_int_equal(listener_set_prepare(&second, addrs + 1, 2, 3, &first, &why), 0);
        assert_int_equal(listener_set_enable(&second, &why), 0);
        assert_int_equal(try_connect(&addrs[2]), 0);
        listener_set_deinit(&first);
        assert_int_equal(try_connect(&addrs[0]), -ECONNREFUSED);
        assert_int_equal(try_connect(&addrs[1]), 0);
        assert_non_null(listener_set_find(&second, &addrs[1]));
        assert_null(listener_set_find(&second, &addrs[0]));
        listener_set_deinit(&second);
        assert_int_equal(try_connect(&addrs[1]), -ECONNREFUSED);
}

/* One address that is taken and nothing is made; a sharer that would be let in by the kernel is refused all the same. */
static void test_taken(void **state) {
        const struct listen_options shared = {.reuse_port = true};
        struct addr addrs[] = {free_addr(), free_addr()};
        struct listener_set set = {0};
        CLEANUP(strbuf_deinit) struct strbuf why = STRBUF_INIT;
        CLEANUP(fd_closep) int other = listen_open(&addrs[1], &shared);

        assert_true(other >= 0);
        assert_int_equal(listener_set_prepare(&set, addrs, 2, 2, NULL, &why), -EADDRINUSE);
        assert_null(set.v);
        assert_non_null(strstr(strbuf_z(&why), "cannot listen on 127.0.0.1:"));
        assert_non_null(strstr(strbuf_z(&why), "ss -ltnp"));
        assert_int_equal(try_connect(&addrs[0]), -ECONNREFUSED);
}

static void assert_url(const char *text, const char *expected) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        struct addr a;

        assert_int_equal(addr_parse(&a, str_of(text), 80, NULL), 0);
        listener_url(&a, &out);
        assert_string_equal(strbuf_z(&out), expected);
}

static void test_urls(void **state) {
        assert_url(":80", "http://localhost/");
        assert_url("0.0.0.0:8080", "http://localhost:8080/");
        assert_url("192.0.2.1:80", "http://192.0.2.1/");
        assert_url("[2001:db8::1]:81", "http://[2001:db8::1]:81/");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_hand_over),
                cmocka_unit_test(test_taken),
                cmocka_unit_test(test_urls),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/route/netlist.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct addr ip(const char *text) {
        struct addr a = {0};

        if (strchr(text, ':')) {
                a.len = sizeof(a.in6);
                a.in6.sin6_family = AF_INET6;
                assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
        } else {
                a.len = sizeof(a.in4);
                a.in4.sin_family = AF_INET;
                assert_int_equal(inet_pton(AF_INET, text, &a.in4.sin_addr), 1);
        }
        return a;
}

static bool has(const struct net_list *l, const char *text) {
        struct addr a = ip(text);

        return net_list_has(l, &a);
}

static void test_has(void **state) {
        struct str texts[] = {STR("10.0.0.0/8"),  STR("192.0.2.7"), STR("2001:db8::/32"),
                              STR("10.1.0.0/16"), STR("::1"),       STR("192.0.2.8/31")};
        struct addr none = {0}, un = {.len = sizeof(struct sockaddr_un), .un = {.sun_family = AF_UNIX}};
        const struct net_list *l;
        struct arena a;
        unsigned bad;

        arena_init(&a, 4096);
        assert_int_equal(net_list_build(&l, &a, texts, ARRAY_SIZE(texts), &bad), 0);
        assert_true(has(l, "10.0.0.0"));
        assert_true(has(l, "10.255.255.255"));
        assert_true(has(l, "10.1.2.3"));
        assert_false(has(l, "11.0.0.0"));
        assert_false(has(l, "9.255.255.255"));
        assert_true(has(l, "192.0.2.7"));
        assert_true(has(l, "192.0.2.9"));
        assert_false(has(l, "192.0.2.6"));
        assert_false(has(l, "192.0.2.10"));
        assert_true(has(l, "2001:db8:ffff::1"));
        assert_false(has(l, "2001:db9::"));
        assert_true(has(l, "::1"));
        assert_false(has(l, "::2"));
        assert_true(has(l, "::ffff:10.2.3.4"));
        assert_false(net_list_has(l, &none));
        assert_false(net_list_has(l, &un));
        assert_false(net_list_has(NULL, &un));
        assert_int_equal(net_list_build(&l, &a, texts, 0, &bad), 0);
        assert_false(has(l, "10.0.0.0"));
        arena_deinit(&a);
}

static void test_valid(void **state) {
        assert_true(net_valid(STR("0.0.0.0/0")));
        assert_true(net_valid(STR("::/0")));
        assert_true(net_valid(STR("::1/128")));
        assert_false(net_valid(STR("")));
        assert_false(net_valid(STR("/8")));
        assert_false(net_valid(STR("10.0.0.0/")));
        assert_false(net_valid(STR("10.0.0.0/33")));
        assert_false(net_valid(STR("10.0.0.1/8")));
        assert_false(net_valid(STR("10.0.0/8")));
        assert_false(net_valid(STR("::/129")));
        assert_false(net_valid(STR("localhost")));
        assert_false(net_valid(STR("10.0.0.0\0/8")));
        assert_false(net_valid(STR("2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000")));
}

static void test_bad(void **state) {
        struct str texts[] = {STR("10.0.0.0/8"), STR("x")};
        const struct net_list *l;
        struct arena a;
        unsigned bad = 9;

        arena_init(&a, 4096);
        assert_int_equal(net_list_build(&l, &a, texts, 2, &bad), -EINVAL);
        assert_int_equal(bad, 1);
        arena_deinit(&a);
}

/* Everything is in the networks of length 0. */
static void test_all(void **state) {
        struct str v4[] = {STR("0.0.0.0/0")}, both[] = {STR("::/0"), STR("0.0.0.0/0")};
        const struct net_list *l;
        struct arena a;
        unsigned bad;

        arena_init(&a, 4096);
        assert_int_equal(net_list_build(&l, &a, v4, 1, &bad), 0);
        assert_true(has(l, "255.255.255.255"));
        assert_true(has(l, "0.0.0.0"));
        assert_false(has(l, "2001:db8::1"));
        assert_int_equal(net_list_build(&l, &a, both, 2, &bad), 0);
        assert_true(has(l, "255.255.255.255"));
        assert_true(has(l, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
        arena_deinit(&a);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_has),
                cmocka_unit_test(test_valid),
                cmocka_unit_test(test_bad),
                cmocka_unit_test(test_all),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

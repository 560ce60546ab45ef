/* SPDX-License-Identifier: Apache-2.0 */
#include "web/route/host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/site.h"

static struct site sites[64];

static const struct host_table *build(struct arena *a, const char *const *hosts, unsigned n) {
        static struct host_entry e[64];
        const struct host_table *t;
        unsigned twice;

        for (unsigned i = 0; i < n; i++)
                e[i] = (struct host_entry){str_of(hosts[i]), &sites[i]};
        assert_int_equal(host_table_build(&t, a, e, n, &twice), 0);
        return t;
}

static int find(const struct host_table *t, const char *host) {
        const struct site *s = host_table_find(t, str_of(host));

        return s ? (int)(s - sites) : -1;
}

/* Exact before suffix, longer suffix before shorter, default last; case and final dot mean nothing. */
static void test_find(void **state) {
        static const char *const hosts[] = {"www.example.com", "*.example.com", "*.eu.example.com", "*",
                                            "[::1]",           "Example.ORG."};
        const struct host_table *t;
        struct arena a;

        arena_init(&a, 4096);
        t = build(&a, hosts, ARRAY_SIZE(hosts));
        assert_int_equal(find(t, "www.example.com"), 0);
        assert_int_equal(find(t, "WWW.eXample.com."), 0);
        assert_int_equal(find(t, "a.example.com"), 1);
        assert_int_equal(find(t, "a.b.example.com"), 1);
        assert_int_equal(find(t, "b.eu.example.com"), 2);
        assert_int_equal(find(t, "eu.example.com"), 1);
        assert_int_equal(find(t, "example.com"), 3);
        assert_int_equal(find(t, ".example.com"), 3);
        assert_int_equal(find(t, "badexample.com"), 3);
        assert_int_equal(find(t, "[::1]"), 4);
        assert_int_equal(find(t, "example.org"), 5);
        assert_int_equal(find(t, ""), 3);
        assert_int_equal(find(t, "."), 3);
        arena_deinit(&a);
}

/* Without a default an unknown host has no site; the same host twice is refused, however it is written. */
static void test_edges(void **state) {
        static const char *const hosts[] = {"a.test"};
        struct host_entry twice[] = {
                {STR("a.test"), &sites[0]}, {STR("b.test"), &sites[1]}, {STR("A.test."), &sites[2]}};
        struct host_entry suffix[] = {{STR("*.a.test"), &sites[0]}, {STR("*.A.test"), &sites[1]}};
        struct host_entry any[] = {{STR("*"), &sites[0]}, {STR("*"), &sites[1]}};
        char longest[300];
        const struct host_table *t;
        struct arena a;
        unsigned at = 99;

        arena_init(&a, 4096);
        t = build(&a, hosts, 1);
        assert_int_equal(find(t, "b.test"), -1);
        assert_int_equal(find(t, "x.a.test"), -1);
        memset(longest, 'a', sizeof(longest));
        assert_null(host_table_find(t, (struct str){longest, sizeof(longest)}));
        assert_int_equal(host_table_build(&t, &a, NULL, 0, &at), 0);
        assert_int_equal(find(t, "a.test"), -1);
        assert_int_equal(host_table_build(&t, &a, twice, 3, &at), -EEXIST);
        assert_int_equal(at, 2);
        assert_int_equal(host_table_build(&t, &a, suffix, 2, &at), -EEXIST);
        assert_int_equal(at, 1);
        assert_int_equal(host_table_build(&t, &a, any, 2, &at), -EEXIST);
        assert_int_equal(at, 1);
        arena_deinit(&a);
}

static void random_name(char out[32], unsigned labels) {
        size_t n = 0;

        for (unsigned i = 0; i < labels; i++)
                n += (size_t)snprintf(out + n, 32 - n, "%s%c", i ? "." : "", "abc"[rand() % 3]);
}

static int naive(char hosts[][32], unsigned n, const char *host) {
        size_t best = 0, len = strlen(host);
        int found = -1;

        for (unsigned i = 0; i < n; i++) {
                size_t k = strlen(hosts[i]);

                if (strcmp(hosts[i], host) == 0)
                        return (int)i;
                if (strcmp(hosts[i], "*") == 0 && best == 0)
                        found = (int)i;
                else if (hosts[i][0] == '*' && k > 1 && len > k - 1 && k > best &&
                         strcmp(host + len - k + 1, hosts[i] + 1) == 0) {
                        best = k;
                        found = (int)i;
                }
        }
        return found;
}

/* The table says what going through the list says. */
static void test_random(void **state) {
        srand(1);
        for (int round = 0; round < 300; round++) {
                char hosts[40][32];
                const char *list[40];
                unsigned n = 0;
                const struct host_table *t;
                struct arena a;

                for (int i = 0; i < 40; i++) {
                        char name[32] = "*.";
                        bool known = false;

                        random_name(rand() % 2 ? name : name + 2, 1 + (unsigned)rand() % 4);
                        if (rand() % 50 == 0)
                                strcpy(name, "*");
                        for (unsigned k = 0; k < n; k++)
                                known |= strcmp(hosts[k], name) == 0;
                        if (!known) {
                                strcpy(hosts[n], name);
                                list[n] = hosts[n];
                                n++;
                        }
                }
                arena_init(&a, 4096);
                t = build(&a, list, n);
                for (int i = 0; i < 200; i++) {
                        char host[32];

                        random_name(host, 1 + (unsigned)rand() % 5);
                        assert_int_equal(find(t, host), naive(hosts, n, host));
                }
                arena_deinit(&a);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_find),
                cmocka_unit_test(test_edges),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

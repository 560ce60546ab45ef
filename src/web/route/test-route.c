/* SPDX-License-Identifier: Apache-2.0 */
#include "web/route/route.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct route route(const char *path) {
        bool exact = path[0] == '=';

        return (struct route){.path = str_of(path + exact), .exact = exact};
}

static void assert_route(const struct site *s, const char *path, const char *expect) {
        const struct route *r = site_route(s, str_of(path));

        if (!expect) {
                assert_null(r);
                return;
        }
        assert_non_null(r);
        assert_int_equal(r->exact, expect[0] == '=');
        assert_string_equal(r->path.p, expect + (expect[0] == '='));
}

static void test_longest(void **state) {
        struct route v[] = {route("/"),         route("/api/"),    route("/api/v1"),  route("=/api/v1"),
                            route("/api-old/"), route("=/health"), route("/a/b/c/d/")};
        struct site s = {.routes = v, .n_routes = ARRAY_SIZE(v)};
        const struct route *twice;

        assert_int_equal(site_sort_routes(&s, &twice), 0);
        assert_route(&s, "/", "/");
        assert_route(&s, "/apix", "/");
        assert_route(&s, "/api", "/api/");
        assert_route(&s, "/api/", "/api/");
        assert_route(&s, "/api/v1", "=/api/v1");
        assert_route(&s, "/api/v1/", "/api/v1");
        assert_route(&s, "/api/v1/x", "/api/v1");
        assert_route(&s, "/api/v1x", "/api/");
        assert_route(&s, "/api-old/x", "/api-old/");
        assert_route(&s, "/api-", "/");
        assert_route(&s, "/health", "=/health");
        assert_route(&s, "/health/", "/");
        assert_route(&s, "/a/b/c/x", "/");
        assert_route(&s, "/a/b/c/d", "/a/b/c/d/");
        assert_route(&s, "*", NULL);
}

static void test_edges(void **state) {
        struct route none[1], v[] = {route("/api/"), route("=/x")},
                              twice_v[] = {route("/api/"), route("/b"), route("/api")};
        struct site s = {.routes = none};
        const struct route *twice;

        assert_int_equal(site_sort_routes(&s, &twice), 0);
        assert_route(&s, "/", NULL);
        s = (struct site){.routes = v, .n_routes = 2};
        assert_int_equal(site_sort_routes(&s, &twice), 0);
        assert_route(&s, "/", NULL);
        assert_route(&s, "/x/", NULL);
        assert_route(&s, "/x", "=/x");
        s = (struct site){.routes = twice_v, .n_routes = 3};
        assert_int_equal(site_sort_routes(&s, &twice), -EEXIST);
}

static void test_rest(void **state) {
        struct route r = route("/static/");

        assert_true(str_eq(route_rest(&r, STR("/static/a/b")), STR("a/b")));
        assert_true(str_eq(route_rest(&r, STR("/static/")), STR("")));
        assert_true(str_eq(route_rest(&r, STR("/static")), STR("")));
        assert_true(str_eq(route_rest(&r, STR("/static/a/")), STR("a/")));
        r = route("/");
        assert_true(str_eq(route_rest(&r, STR("/a/b")), STR("a/b")));
        r = route("=/x/robots.txt");
        assert_true(str_eq(route_rest(&r, STR("/x/robots.txt")), STR("robots.txt")));
}

static void random_path(char out[40], unsigned segments) {
        static const char *const words[] = {"a", "b", "a-", "ab", "a0", "A"};
        size_t n = 0;

        out[0] = '\0';
        for (unsigned i = 0; i < segments; i++)
                n += (size_t)snprintf(out + n, 40 - n, "/%s", words[rand() % 6]);
        if (n == 0 || rand() % 2)
                (void)snprintf(out + n, 40 - n, "/");
}

static const struct route *naive(const struct site *s, const char *path) {
        const struct route *best = NULL;

        for (unsigned i = 0; i < s->n_routes; i++) {
                const struct route *r = &s->routes[i];
                size_t n = r->path.n;

                if (r->exact) {
                        if (strcmp(r->path.p, path) == 0)
                                return r;
                        continue;
                }
                if (r->path.p[n - 1] == '/')
                        n--;
                if (strncmp(path, r->path.p, n) == 0 && (path[n] == '/' || path[n] == '\0') &&
                    (!best || r->path.n > best->path.n))
                        best = r;
        }
        return best;
}

/* Up to 400 routes beside and below each other; the table says what going through the list says. */
static void test_random(void **state) {
        srand(2);
        for (int round = 0; round < 150; round++) {
                static char paths[400][40];
                static struct route v[400];
                const struct route *twice;
                struct site s = {.routes = v};
                unsigned n = 1 + (unsigned)rand() % 400;

                for (unsigned i = 0; i < n; i++) {
                        bool known = false, exact = rand() % 5 == 0;
                        size_t len;

                        random_path(paths[i], (unsigned)rand() % 6);
                        len = strlen(paths[i]);
                        for (unsigned k = 0; k < s.n_routes; k++) {
                                size_t l = v[k].path.n - (!exact && v[k].path.p[v[k].path.n - 1] == '/');

                                known |= v[k].exact == exact &&
                                         l == len - (!exact && paths[i][len - 1] == '/') &&
                                         memcmp(v[k].path.p, paths[i], l) == 0;
                        }
                        if (!known)
                                v[s.n_routes++] = (struct route){.path = {paths[i], len}, .exact = exact};
                }
                assert_int_equal(site_sort_routes(&s, &twice), 0);
                for (int i = 0; i < 300; i++) {
                        char path[40];

                        random_path(path, (unsigned)rand() % 7);
                        assert_ptr_equal(site_route(&s, str_of(path)), naive(&s, path));
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_longest),
                cmocka_unit_test(test_edges),
                cmocka_unit_test(test_rest),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

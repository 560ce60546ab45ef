/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "web/http/path.h"

/* One spelling for all that means the same; the buffer is exactly as large as promised. */
static void test_normalize(void **state) {
        static const struct {
                const char *raw, *expected; /* NULL: refused */
        } cases[] = {
                {"/", "/"},
                {"*", "*"},
                {"/a/b", "/a/b"},
                {"/a/b/", "/a/b/"},
                {"//", "//"},
                {"/a//b", "/a//b"},
                {"///a", "///a"},
                {"/.", "/"},
                {"/./", "/"},
                {"/./a", "/a"},
                {"/a/.", "/a/"},
                {"/a/./", "/a/"},
                {"/a/./b", "/a/b"},
                {"/a/..", "/"},
                {"/a/../", "/"},
                {"/a/../b", "/b"},
                {"/a/b/..", "/a/"},
                {"/a/b/../..", "/"},
                {"/a/b/../../", "/"},
                {"/a/b/c/./../../g", "/a/g"}, /* RFC 3986 5.2.4 */
                {"/a//../b", "/a/b"},
                {"//..", "/"},
                {"/a/%2e%2e/b", "/b"},
                {"/a/%2E./b", "/b"},
                {"/a/.%2e", "/"},
                {"/%2e/a", "/a"},
                {"/...", "/..."},
                {"/..a", "/..a"},
                {"/a..", "/a.."},
                {"/.a", "/.a"},
                {"/.well-known/x", "/.well-known/x"},
                {"/a/..b/../c", "/a/c"},
                {"/%41%7e%2D%5f", "/A~-_"},
                {"/%2f", "/%2F"},
                {"/a/..%2fb", "/a/..%2Fb"},
                {"/%c3%a4", "/%C3%A4"},
                {"/%00", "/%00"},
                {"/%25", "/%25"},
                {"/%252e%252e", "/%252e%252e"},
                {"/a;b=c,d", "/a;b=c,d"},
                {"/\"<>\\^`{|}", "/\"<>\\^`{|}"},
                {"", NULL},
                {"a", NULL},
                {"**", NULL},
                {"/..", NULL},
                {"/../", NULL},
                {"/../a", NULL},
                {"/a/../..", NULL},
                {"/a/../../b", NULL},
                {"/./..", NULL},
                {"/%2e%2e", NULL},
                {"/%2e%2e/%2e%2e/etc/passwd", NULL},
                {"/%", NULL},
                {"/%2", NULL},
                {"/%g0", NULL},
                {"/%0g", NULL},
                {"/%%", NULL},
                {"/a%2/b", NULL},
                {"/%u0041", NULL},
                {"/a/%/../b", NULL},
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct str raw = str_of(cases[i].raw), ret = {NULL, 0};
                char *out = malloc(raw.n ? raw.n : 1);
                int r = http_path_normalize(raw, out, &ret);

                if (cases[i].expected ? r != 0 || !str_eq(ret, str_of(cases[i].expected)) : r != -EBADMSG || ret.p)
                        fail_msg("%s: %d %.*s", cases[i].raw, r, STR_FMT(ret));
                if (r == 0) { /* doing it twice changes nothing */
                        struct str again;
                        char *out2 = malloc(ret.n);

                        assert_int_equal(http_path_normalize(ret, out2, &again), 0);
                        assert_true(str_eq(ret, again));
                        free(out2);
                }
                free(out);
        }
}

/* A file name is plain bytes without anything that the file system or a log would trip over. */
static void test_decode(void **state) {
        static const struct {
                const char *path, *expected;
        } cases[] = {
                {"/", "/"},
                {"/a/b.html", "/a/b.html"},
                {"//a///b//", "/a/b/"},
                {"/%C3%A4%20x", "/\xc3\xa4 x"},
                {"/%252e%252e/", "/%2e%2e/"},
                {"/%25", "/%"},
                {"/%3Fq", "/?q"},
                {"/a%2Fb", NULL},
                {"/%2F", NULL},
                {"/%00", NULL},
                {"/a%00.html", NULL},
                {"/%0A", NULL},
                {"/%0D%0A", NULL},
                {"/%09", NULL},
                {"/%1F", NULL},
                {"/%7F", NULL},
                {"/%", NULL},
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct str path = str_of(cases[i].path), ret = {NULL, 0};
                char *out = malloc(path.n);
                int r = http_path_decode(path, out, &ret);

                if (cases[i].expected ? r != 0 || !str_eq(ret, str_of(cases[i].expected)) : r != -EBADMSG || ret.p)
                        fail_msg("%s: %d %.*s", cases[i].path, r, STR_FMT(ret));
                free(out);
        }
}

/* Whatever the path: what comes out of both begins with one slash, has no dot segment, NUL or control character. */
static void test_random(void **state) {
        static const char alphabet[] = "//..%2ef50aA~";
        unsigned seed = 1;

        for (unsigned round = 0; round < 300000; round++) {
                char raw[16], out[16], name[16];
                struct str path, file;
                size_t n = 1 + rand_r(&seed) % 15;

                raw[0] = '/';
                for (size_t i = 1; i < n; i++)
                        raw[i] = alphabet[rand_r(&seed) % (sizeof(alphabet) - 1)];
                if (http_path_normalize((struct str){raw, n}, out, &path) < 0)
                        continue;
                assert_true(path.n > 0 && path.n <= n && path.p[0] == '/');
                if (http_path_decode(path, name, &file) < 0)
                        continue;
                assert_true(file.n > 0 && file.n <= path.n && file.p[0] == '/' && !(file.n > 1 && file.p[1] == '/'));
                for (size_t i = 0; i < file.n; i++) {
                        size_t j = i + 1;

                        assert_true((unsigned char)file.p[i] >= 0x20);
                        if (file.p[i] != '/')
                                continue;
                        while (j < file.n && file.p[j] != '/')
                                j++;
                        assert_false(str_eq((struct str){file.p + i + 1, j - i - 1}, STR(".")));
                        assert_false(str_eq((struct str){file.p + i + 1, j - i - 1}, STR("..")));
                }
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_normalize),
                cmocka_unit_test(test_decode),
                cmocka_unit_test(test_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

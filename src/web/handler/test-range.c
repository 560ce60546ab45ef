/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/range.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/handler/mime.h"

/* The ranges as text, "first+n" each; "ignore", "none". */
static const char *parsed(const char *value, uint64_t size) {
        static char out[1024];
        struct range v[RANGES_MAX];
        unsigned n;
        size_t len = 0;

        switch (range_parse(str_of(value), size, v, &n)) {
        case RANGE_IGNORE:
                return "ignore";
        case RANGE_UNSATISFIABLE:
                return "none";
        case RANGE_OK:
                break;
        }
        for (unsigned i = 0; i < n; i++)
                len += (size_t)snprintf(out + len, sizeof(out) - len, "%s%llu+%llu", i ? " " : "",
                                        (unsigned long long)v[i].first, (unsigned long long)v[i].n);
        return out;
}

static void test_parse(void **state) {
        static const struct {
                const char *value;
                uint64_t size;
                const char *want;
        } cases[] = {
                {"bytes=0-0", 10, "0+1"},
                {"bytes=0-9", 10, "0+10"},
                {"bytes=0-10", 10, "0+10"},
                {"bytes=5-", 10, "5+5"},
                {"bytes=-3", 10, "7+3"},
                {"bytes=-99", 10, "0+10"},
                {"bytes=-0", 10, "none"},
                {"bytes=10-", 10, "none"},
                {"bytes=10-20", 10, "none"},
                {"bytes=9-18446744073709551615", 10, "9+1"},
                {"bytes=0-99999999999999999999999", 10, "0+10"},
                {"bytes=99999999999999999999999-", 10, "none"},
                {"bytes=-99999999999999999999999", 10, "0+10"},
                {"bytes=18446744073709551614-", UINT64_MAX, "18446744073709551614+1"},
                {"bytes=5-4", 10, "ignore"},
                {"bytes=99999999999999999999999-5", 10, "ignore"},
                {"bytes=", 10, "ignore"},
                {"bytes=,", 10, "ignore"},
                {"bytes=-", 10, "ignore"},
                {"bytes=x", 10, "ignore"},
                {"bytes=1", 10, "ignore"},
                {"bytes=1-2-3", 10, "ignore"},
                {"bytes=1 -2", 10, "ignore"},
                {"bytes=+1-2", 10, "ignore"},
                {"bytes=--2", 10, "ignore"},
                {"bytes 1-2", 10, "ignore"},
                {"lines=1-2", 10, "ignore"},
                {"", 10, "ignore"},
                {"=0-1", 10, "ignore"},
                {"Bytes=0-1", 10, "0+2"},
                {"bytes= 0-1 , ,4-5,", 10, "0+2 4+2"},
                {"bytes=0-1,x", 10, "ignore"},
                {"bytes=0-1,99-", 10, "0+2"},
                {"bytes=4-5,0-1", 10, "4+2 0+2"},
                {"bytes=0-1,2-3", 10, "0+4"},
                {"bytes=0-3,2-5", 10, "0+6"},
                {"bytes=6-7,0-1,2-5", 10, "0+8"},
                {"bytes=0-1,8-9,2-7", 10, "ignore"}, /* together: all of it */
                {"bytes=0-9", 10, "0+10"},
                {"bytes=0-5,0-5,8-8", 10, "0+6 8+1"},
                {"bytes=0-5,0-5,0-5", 10, "ignore"},
                {"bytes=0-,0-,0-,0-", 10, "ignore"},
                {"bytes=0-", 0, "none"},
                {"bytes=-1", 0, "ignore"},
                {"bytes=-0", 0, "none"},
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                const char *got = parsed(cases[i].value, cases[i].size);

                if (strcmp(got, cases[i].want) != 0)
                        fail_msg("%s of %llu: %s, not %s", cases[i].value, (unsigned long long)cases[i].size,
                                 got, cases[i].want);
        }
}

/* Whatever is asked for: what comes back lies inside, does not overlap, and is what was asked for. */
static void test_random(void **state) {
        srand(4);
        for (int round = 0; round < 200000; round++) {
                char text[256] = "bytes=";
                unsigned n_specs = 1 + (unsigned)rand() % 5, n = 0;
                size_t len = strlen(text), size = (size_t)rand() % 40;
                struct range v[RANGES_MAX];
                bool want[64] = {false}, got[64] = {false};

                for (unsigned i = 0; i < n_specs; i++) {
                        unsigned a = (unsigned)rand() % 45, b = a + (unsigned)rand() % 10;

                        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%u-%u", i ? "," : "", a,
                                                b);
                        for (unsigned k = a; k <= b && k < size; k++)
                                want[k] = true;
                }
                if (range_parse(str_of(text), size, v, &n) != RANGE_OK)
                        continue;
                assert_in_range(n, 1, n_specs);
                for (unsigned i = 0; i < n; i++) {
                        assert_true(v[i].n > 0 && v[i].first + v[i].n <= size);
                        for (uint64_t k = v[i].first; k < v[i].first + v[i].n; k++) {
                                assert_false(got[k]);
                                got[k] = true;
                        }
                }
                assert_memory_equal(got, want, sizeof(got));
        }
}

static void test_mime(void **state) {
        assert_true(str_eq(mime_type(STR("a.html")), STR("text/html; charset=utf-8")));
        assert_true(str_eq(mime_type(STR("x/y.tar.GZ")), STR("application/gzip")));
        assert_true(str_eq(mime_type(STR("site.webmanifest")), STR("application/manifest+json")));
        assert_true(str_eq(mime_type(STR("a.JS")), STR("text/javascript; charset=utf-8")));
        assert_true(str_eq(mime_type(STR("a.zst")), STR("application/zstd")));
        assert_true(str_eq(mime_type(STR("a.3g2")), STR("video/3gpp2")));
        assert_true(str_eq(mime_type(STR("a.js/README")), STR("application/octet-stream")));
        assert_true(str_eq(mime_type(STR("js")), STR("application/octet-stream")));
        assert_true(str_eq(mime_type(STR("a.")), STR("application/octet-stream")));
        assert_true(str_eq(mime_type(STR("a.averylongending")), STR("application/octet-stream")));
        assert_true(str_eq(mime_type(STR("")), STR("application/octet-stream")));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_mime),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

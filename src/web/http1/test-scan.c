/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "base/macro.h"
#include "web/http/chars.h"
#include "web/http1/scan.h"
#include "web/http1/test-guard.h"

static struct guard guard;

static const char *plain(const char *p, const char *end, unsigned class) {
        while (p < end && http_char_is(*p, class))
                p++;
        return p;
}

/* All three functions of all scanners give what the table says, on bytes that end at a guard page. */
static void agree(const char *bytes, size_t n) {
        const char *p = guard_copy(&guard, bytes, n), *end = p + n;

        for (const struct http1_scan *const *s = http1_scans(); *s; s++) {
                assert_ptr_equal((*s)->token(p, end), plain(p, end, HTTP_CHAR_TOKEN));
                assert_ptr_equal((*s)->target(p, end), plain(p, end, HTTP_CHAR_TARGET));
                assert_ptr_equal((*s)->value(p, end), plain(p, end, HTTP_CHAR_VALUE));
        }
}

/* Every byte at every place of runs up to three vectors long. */
static void test_each_byte(void **state) {
        char bytes[100];

        for (size_t n = 0; n <= sizeof(bytes); n++) {
                memset(bytes, 'a', n);
                agree(bytes, n);
                for (size_t at = 0; at < n; at += 1 + n / 40)
                        for (unsigned b = 0; b < 256; b++) {
                                bytes[at] = (char)b;
                                agree(bytes, n);
                                bytes[at] = 'a';
                        }
        }
}

/* Random bytes, most of them allowed, so that runs get long. */
static void test_random(void **state) {
        static const char few[] = "\0\t\r\n #:\x1f\x20\x21\x7e\x7f\x80\xff\x0f\x10";
        unsigned seed = 7;
        char bytes[200];

        for (unsigned round = 0; round < 200000; round++) {
                size_t n = rand_r(&seed) % sizeof(bytes);
                unsigned rare = 1 + rand_r(&seed) % 64;

                for (size_t i = 0; i < n; i++)
                        bytes[i] = rand_r(&seed) % rare ? "abzAZ019-_"[rand_r(&seed) % 10]
                                   : rand_r(&seed) % 2  ? few[rand_r(&seed) % (sizeof(few) - 1)]
                                                        : (char)rand_r(&seed);
                agree(bytes, n);
        }
}

/* The portable one is always there, the one in use is one of those that were tested. */
static void test_choice(void **state) {
        const struct http1_scan *const *s = http1_scans();

        assert_ptr_equal(s[0], &http1_scan_portable);
        while (*s && *s != http1_scan)
                s++;
        assert_non_null(*s);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_byte),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_choice),
        };
        int r;

        guard = guard_new(4096);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        guard_free(&guard);
        return r;
}

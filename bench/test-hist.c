/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "hist.h"

static struct hist *hist_new(void) {
        struct hist *h = calloc(1, sizeof(*h));

        assert_non_null(h);
        return h;
}

/* No values: no percentile. */
static void test_empty(void **state) {
        struct hist *h = hist_new();

        assert_int_equal(hist_percentile(h, 99), 0);
        free(h);
}

/* Small values are exact. */
static void test_small(void **state) {
        struct hist *h = hist_new();

        for (uint64_t v = 1; v <= 100; v++)
                hist_add(h, v);
        assert_int_equal(hist_percentile(h, 1), 1);
        assert_int_equal(hist_percentile(h, 50), 50);
        assert_int_equal(hist_percentile(h, 99), 99);
        assert_int_equal(hist_percentile(h, 100), 100);
        assert_int_equal(h->n, 100);
        assert_int_equal(h->sum, 5050);
        free(h);
}

/* Every value comes back at most a part too large, and never too small. */
static void test_error_is_bounded(void **state) {
        for (uint64_t v = 1; v < UINT64_MAX / 3; v += v / 7 + 1) {
                struct hist *h = hist_new();
                uint64_t back;

                hist_add(h, v);
                hist_add(h, UINT64_MAX / 2); /* so that the largest does not cap the first */
                back = hist_percentile(h, 50);
                assert_true(back >= v);
                assert_true(back - v <= v / HIST_PARTS);
                free(h);
        }
}

/* The last percentile is the largest value itself. */
static void test_max(void **state) {
        struct hist *h = hist_new();

        hist_add(h, 1000001);
        assert_int_equal(hist_percentile(h, 100), 1000001);
        hist_add(h, UINT64_MAX);
        assert_true(hist_percentile(h, 100) == UINT64_MAX);
        free(h);
}

/* Two histograms merged are one of all values. */
static void test_merge(void **state) {
        struct hist *a = hist_new(), *b = hist_new(), *all = hist_new();

        for (uint64_t v = 1; v < 100000; v += 13) {
                hist_add(v % 2 ? a : b, v * v);
                hist_add(all, v * v);
        }
        hist_merge(a, b);
        assert_memory_equal(a, all, sizeof(*a));
        free(a);
        free(b);
        free(all);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_empty),
                cmocka_unit_test(test_small),
                cmocka_unit_test(test_error_is_bounded),
                cmocka_unit_test(test_max),
                cmocka_unit_test(test_merge),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

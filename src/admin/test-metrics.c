/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/metrics.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Families, samples, labels and numbers as the text format wants them. */
static void test_samples(void **state) {
        const struct metrics_label labels[] = {{"site", STR("www")}, {"who", STR("a\\b\"c\nd")}};
        struct strbuf b = STRBUF_INIT;
        struct metrics m;

        metrics_init(&m, &b);
        metrics_family(&m, "x_total", "counter", "Help text.");
        metrics_u64(&m, "", NULL, 0, UINT64_MAX);
        metrics_u64(&m, "code=\"2xx\"", NULL, 0, 1);
        metrics_u64(&m, "", labels, 1, 2);
        metrics_u64(&m, "code=\"2xx\"", labels, 2, 3);
        metrics_family(&m, "y", "gauge", "Other.");
        metrics_double(&m, "", NULL, 0, 0.5);
        metrics_double(&m, "", NULL, 0, NAN);
        metrics_double(&m, "", NULL, 0, -INFINITY);
        metrics_seconds(&m, "", NULL, 0, 1 * NSEC_PER_SEC + 5);
        assert_string_equal(strbuf_z(&b), "# HELP x_total Help text.\n"
                                          "# TYPE x_total counter\n"
                                          "x_total 18446744073709551615\n"
                                          "x_total{code=\"2xx\"} 1\n"
                                          "x_total{site=\"www\"} 2\n"
                                          "x_total{code=\"2xx\",site=\"www\",who=\"a\\\\b\\\"c\\nd\"} 3\n"
                                          "# HELP y Other.\n"
                                          "# TYPE y gauge\n"
                                          "y 0.5\n"
                                          "y NaN\n"
                                          "y -Inf\n"
                                          "y 1.000000005\n");
        strbuf_deinit(&b);
}

/* Plain buckets become cumulative, with +Inf equal to the count. */
static void test_histogram(void **state) {
        const struct metrics_label labels[] = {{"site", STR("www")}};
        const char *const bounds[] = {"0.001", "1"};
        const uint64_t counts[] = {4, 2, 1};
        struct strbuf b = STRBUF_INIT;
        struct metrics m;

        metrics_init(&m, &b);
        metrics_family(&m, "d_seconds", "histogram", "Durations.");
        metrics_histogram(&m, labels, 1, bounds, counts, 2, 3500 * NSEC_PER_MSEC);
        assert_string_equal(strbuf_z(&b), "# HELP d_seconds Durations.\n"
                                          "# TYPE d_seconds histogram\n"
                                          "d_seconds_bucket{site=\"www\",le=\"0.001\"} 4\n"
                                          "d_seconds_bucket{site=\"www\",le=\"1\"} 6\n"
                                          "d_seconds_bucket{site=\"www\",le=\"+Inf\"} 7\n"
                                          "d_seconds_sum{site=\"www\"} 3.500000000\n"
                                          "d_seconds_count{site=\"www\"} 7\n");
        strbuf_deinit(&b);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_samples),
                cmocka_unit_test(test_histogram),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

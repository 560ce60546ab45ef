/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint64_t total(const struct counters *c, int object) {
        return counters_sum(c, object, 0);
}

/* Ten seconds of history, objects that come later, and a counter that goes back. */
static void test_rates(void **state) {
        struct counters *c;
        struct rates r = {0};
        nsec_t now = 100 * NSEC_PER_SEC;
        uint64_t *word;

        assert_int_equal(counters_new(&c, 1, 8), 0);
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("a"), 1), 0);
        word = counters_lane(c, 0, 0);
        assert_true(rates_of(&r, 0) == 0);
        assert_int_equal(rates_sample(&r, c, total, now), 0);
        assert_true(rates_of(&r, 0) == 0);
        for (unsigned i = 0; i < 30; i++) {
                counter_add(word, i < 20 ? 1000 : 50);
                now += NSEC_PER_SEC;
                assert_int_equal(rates_sample(&r, c, total, now), 0);
        }
        assert_true(rates_of(&r, 0) > 49.9 && rates_of(&r, 0) < 50.1);
        assert_true(rates_of(&r, 1) == 0);
        /* a new object's past is no burst */
        assert_int_equal(counters_add(c, COUNTERS_SITE, STR("b"), 1), 1);
        counter_add(counters_lane(c, 1, 0), 1000000);
        assert_int_equal(rates_sample(&r, c, total, now += NSEC_PER_SEC), 0);
        assert_true(rates_of(&r, 1) == 0);
        counter_set(word, 1);
        assert_int_equal(rates_sample(&r, c, total, now += NSEC_PER_SEC), 0);
        assert_true(rates_of(&r, 0) == 0);
        rates_deinit(&r);
        counters_free(c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_rates),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

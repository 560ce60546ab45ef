/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "net/wheel.h"

#define TICK (UINT64_C(1) << WHEEL_TICK_BITS)

static void add(struct wheel *w, struct timer *t, nsec_t at) {
        t->at = at;
        wheel_add(w, t);
}

static unsigned count(struct list *l) {
        struct timer *t;
        unsigned n = 0;

        while ((t = LIST_FIRST(l, struct timer, link))) {
                list_remove(&t->link);
                n++;
        }
        return n;
}

/* Never early, at most a tick late. */
static void test_never_early(void **state) {
        struct list due = LIST_INIT(due);
        struct wheel *w = malloc(sizeof(*w));
        struct timer t = {0};
        nsec_t start = 1000 * TICK + 12345;

        wheel_init(w, start);
        for (nsec_t d = 1; d < NSEC_PER_SEC * 100; d = d * 3 + 7) {
                nsec_t at = start + d;

                add(w, &t, at);
                assert_true(wheel_next(w) <= at + TICK);
                wheel_advance(w, at - 1, &due);
                assert_int_equal(count(&due), 0);
                wheel_advance(w, at + TICK, &due);
                assert_int_equal(count(&due), 1);
                assert_int_equal(wheel_next(w), NSEC_INFINITY);
                start = at + TICK;
        }
        free(w);
}

/* Random timers, random steps: everything comes, in order, at the first step that reaches it. */
static void test_random(void **state) {
        enum { N = 2000 };
        struct timer *timers = calloc(N, sizeof(*timers));
        struct wheel *w = malloc(sizeof(*w));
        nsec_t now = 77 * NSEC_PER_SEC;
        unsigned left = N;

        srandom(4711);
        wheel_init(w, now);
        for (unsigned i = 0; i < N; i++) {
                nsec_t range = NSEC_PER_MSEC << (random() % 28);

                add(w, &timers[i], now + 1 + (nsec_t)random() * (nsec_t)random() % range);
        }
        for (unsigned i = 0; i < N; i += 10) { /* some are taken back */
                list_remove(&timers[i].link);
                left--;
        }
        while (left > 0) {
                struct list due = LIST_INIT(due);
                nsec_t next = wheel_next(w), last = 0;
                struct timer *t;

                assert_int_not_equal(next, NSEC_INFINITY);
                assert_true(next > now);
                for (unsigned i = 0; i < N; i++) /* the wake-up is never later than the first timer */
                        if (i % 10 && timers[i].at)
                                assert_true(next <= timers[i].at + TICK);
                now = random() % 4 ? next : next + (nsec_t)random() * 1000;
                wheel_advance(w, now, &due);
                while ((t = LIST_FIRST(&due, struct timer, link))) {
                        nsec_t tick = (t->at + TICK - 1) / TICK;

                        assert_true(t->at <= now);
                        assert_true(tick >= last);
                        last = tick;
                        t->at = 0;
                        list_remove(&t->link);
                        left--;
                }
                for (unsigned i = 0; i < N; i++)
                        if (i % 10 && timers[i].at)
                                assert_true(timers[i].at + TICK > now);
        }
        free(timers);
        free(w);
}

/* A machine that slept for a year wakes to everything that is due, and to nothing else. */
static void test_long_sleep(void **state) {
        struct list due = LIST_INIT(due);
        struct wheel *w = malloc(sizeof(*w));
        nsec_t year = NSEC_PER_SEC * 3600 * 24 * 365, now = NSEC_PER_SEC;
        struct timer a = {0}, b = {0}, c = {0}, never = {0};

        wheel_init(w, now);
        add(w, &a, now + NSEC_PER_SEC);
        add(w, &b, now + year / 2);
        add(w, &c, now + year + NSEC_PER_SEC);
        add(w, &never, NSEC_INFINITY);
        wheel_advance(w, now + year, &due);
        assert_ptr_equal(LIST_FIRST(&due, struct timer, link), &a);
        assert_int_equal(count(&due), 2);
        wheel_advance(w, now + year + 2 * NSEC_PER_SEC, &due);
        assert_ptr_equal(LIST_FIRST(&due, struct timer, link), &c);
        assert_int_equal(count(&due), 1);
        wheel_advance(w, now + 100 * year, &due);
        assert_int_equal(count(&due), 0);
        assert_int_not_equal(wheel_next(w), NSEC_INFINITY);
        list_remove(&never.link);
        assert_int_equal(wheel_next(w), NSEC_INFINITY);
        free(w);
}

/* A time that has passed is due at once, in order of starting; time that stands still or goes back does no harm. */
static void test_past(void **state) {
        struct list due = LIST_INIT(due);
        struct wheel *w = malloc(sizeof(*w));
        struct timer a = {0}, b = {0};

        wheel_init(w, 10 * NSEC_PER_SEC);
        add(w, &a, 1);
        add(w, &b, 10 * NSEC_PER_SEC);
        assert_true(wheel_next(w) <= 10 * NSEC_PER_SEC + TICK);
        wheel_advance(w, 9 * NSEC_PER_SEC, &due);
        assert_ptr_equal(LIST_FIRST(&due, struct timer, link), &a);
        assert_int_equal(count(&due), 1);
        wheel_advance(w, 10 * NSEC_PER_SEC + TICK, &due);
        assert_int_equal(count(&due), 1);
        free(w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_never_early),
                cmocka_unit_test(test_random),
                cmocka_unit_test(test_long_sleep),
                cmocka_unit_test(test_past),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

/* Blocks are aligned, do not overlap, and large ones do not displace the current block. */
static void test_alloc(void **state) {
        struct arena a;
        char *small, *large, *next;

        arena_init(&a, 256);
        small = arena_alloc(&a, 10);
        large = arena_alloc(&a, 4096);
        next = arena_alloc(&a, 10);
        assert_non_null(small);
        assert_non_null(large);
        assert_int_equal((uintptr_t)small % _Alignof(max_align_t), 0);
        assert_ptr_equal(next, small + 16);
        memset(large, 1, 4096);
        arena_deinit(&a);
}

/* After a reset the first block serves again. */
static void test_reset(void **state) {
        struct arena a;
        char *first;

        arena_init(&a, 256);
        first = arena_alloc(&a, 10);
        for (unsigned i = 0; i < 100; i++)
                assert_non_null(arena_zalloc(&a, 100));
        arena_reset(&a);
        assert_int_equal(a.used, 0);
        assert_ptr_equal(arena_alloc(&a, 10), first);
        arena_deinit(&a);
}

static void test_text(void **state) {
        struct arena a;
        struct str s;

        arena_init(&a, 64);
        s = arena_printf(&a, "%s-%d", "a long enough text to need a block of its own, more than sixty-four bytes", 7);
        assert_true(str_ends(s, STR("-7")));
        assert_true(str_eq(arena_str(&a, STR("x")), STR("x")));
        assert_null(arena_alloc(&a, SIZE_MAX));
        arena_deinit(&a);
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_alloc),
                cmocka_unit_test(test_reset),
                cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests(all, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "base/str.h"

/* Comparison ignores ASCII case only where it says so. */
static void test_compare(void **state) {
        assert_true(str_eq(STR("a"), STR("a")));
        assert_false(str_eq(STR("a"), STR("A")));
        assert_true(str_ieq(STR("Content-Length"), STR("content-LENGTH")));
        assert_false(str_ieq(STR("ab"), STR("abc")));
        assert_true(str_eq((struct str){NULL, 0}, STR("")));
        assert_true(str_starts(STR("/api/x"), STR("/api/")));
        assert_false(str_starts(STR("/ap"), STR("/api/")));
        assert_true(str_ends(STR("www.example.com"), STR(".example.com")));
        assert_false(str_ends(STR("com"), STR(".example.com")));
}

static void test_trim(void **state) {
        assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
        assert_int_equal(str_trim(STR(" \t ")).n, 0);
}

/* Numbers are digits only and never wrap. */
static void test_to_u64(void **state) {
        uint64_t v = 7;

        assert_int_equal(str_to_u64(STR("18446744073709551615"), &v), 0);
        assert_true(v == UINT64_MAX);
        assert_int_equal(str_to_u64(STR("18446744073709551616"), &v), -ERANGE);
        assert_int_equal(str_to_u64(STR("+1"), &v), -EINVAL);
        assert_int_equal(str_to_u64(STR(""), &v), -EINVAL);
        assert_int_equal(str_to_u64(STR("1 "), &v), -EINVAL);
        assert_true(v == UINT64_MAX);
}

static void test_strbuf(void **state) {
        struct strbuf b = STRBUF_INIT;

        assert_string_equal(strbuf_z(&b), "");
        for (unsigned i = 0; i < 1000; i++)
                strbuf_addf(&b, "%u,", i);
        strbuf_add_u64(&b, UINT64_MAX);
        assert_int_equal(b.n, 10 * 2 + 90 * 3 + 900 * 4 + 20);
        assert_string_equal(b.p + b.n - 20, "18446744073709551615");
        assert_false(b.failed);
        assert_int_equal(strbuf_reserve(&b, SIZE_MAX), -ENOMEM);
        assert_true(b.failed);
        strbuf_clear(&b);
        assert_string_equal(strbuf_z(&b), "");
        strbuf_deinit(&b);
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_compare),
                cmocka_unit_test(test_trim),
                cmocka_unit_test(test_to_u64),
                cmocka_unit_test(test_strbuf),
        };

        return cmocka_run_group_tests(all, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_escaped(struct str in, const char *expected) {
        struct strbuf b = STRBUF_INIT;

        json_escape(&b, in);
        assert_string_equal(strbuf_z(&b), expected);
        strbuf_deinit(&b);
}

/* Commas stand between members and nowhere else, at every depth. */
static void test_nesting(void **state) {
        struct strbuf b = STRBUF_INIT;
        struct json j;

        json_init(&j, &b);
        json_object_begin(&j);
        json_key(&j, "a");
        json_array_begin(&j);
        json_u64(&j, UINT64_MAX);
        json_i64(&j, INT64_MIN);
        json_object_begin(&j);
        json_object_end(&j);
        json_array_begin(&j);
        json_array_end(&j);
        json_array_end(&j);
        json_key(&j, "b");
        json_z(&j, NULL);
        json_key(&j, "c");
        json_bool(&j, true);
        json_key(&j, "d");
        json_double(&j, 1.25, 1);
        json_key(&j, "e");
        json_double(&j, INFINITY, 1);
        json_object_end(&j);
        assert_string_equal(strbuf_z(&b),
                            "{\"a\":[18446744073709551615,-9223372036854775808,{},[]],\"b\":null,\"c\":true,"
                            "\"d\":1.2,\"e\":null}");
        strbuf_deinit(&b);
}

/* What is written is valid JSON whatever the bytes were. */
static void test_escaping(void **state) {
        assert_escaped(STR(""), "");
        assert_escaped(STR("plain"), "plain");
        assert_escaped(STR("a\"b\\c"), "a\\\"b\\\\c");
        assert_escaped(STR("\n\r\t\x01\x7f"), "\\n\\r\\t\\u0001\\u007f");
        assert_escaped(STR("h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!"), "h\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80!");
        /* stray continuation, overlong, surrogate, beyond U+10FFFF, cut off */
        assert_escaped(STR("x\x80y"), "x\xef\xbf\xbdy");
        assert_escaped(STR("\xc0\xaf"), "\xef\xbf\xbd\xef\xbf\xbd");
        assert_escaped(STR("\xed\xa0\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        assert_escaped(STR("\xf4\x90\x80\x80"), "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
        assert_escaped(STR("ab\xe2\x82"), "ab\xef\xbf\xbd\xef\xbf\xbd");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nesting),
                cmocka_unit_test(test_escaping),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

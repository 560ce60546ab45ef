/* SPDX-License-Identifier: Apache-2.0 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "config/internal.h"

static const char *const words[] = {"round-robin", "least-conn", NULL};

/* Good text: the value. */
static void good(const struct schema *s, const char *text, uint64_t expected) {
        struct value_error err = {};
        uint64_t v = 0;

        assert_int_equal(value_parse(s, str_of(text), &v, &err), 0);
        assert_int_equal(v, expected);
        strbuf_deinit(&err.message);
        strbuf_deinit(&err.hint);
}

/* Bad text: the rule, and a part of the hint. */
static void bad(const struct schema *s, const char *text, enum diag_id id, const char *hint) {
        struct value_error err = {};
        uint64_t v = 77;

        assert_int_equal(value_parse(s, str_of(text), &v, &err), -EINVAL);
        assert_int_equal(v, 77);
        assert_string_equal(diag_id_text(err.id), diag_id_text(id));
        assert_true(err.message.n > 0);
        if (hint)
                assert_non_null(strstr(strbuf_z(&err.hint), hint));
        else
                assert_int_equal(err.hint.n, 0);
        strbuf_deinit(&err.message);
        strbuf_deinit(&err.hint);
}

static void test_durations(void **state) {
        const struct schema s = {.type = SCHEMA_DURATION, .max = 86400 * NSEC_PER_SEC};
        const struct schema some = {.type = SCHEMA_DURATION, .flags = SCHEMA_NONE, .min = NSEC_PER_MSEC};

        good(&s, "10s", 10 * NSEC_PER_SEC);
        good(&s, "10 s", 10 * NSEC_PER_SEC);
        good(&s, "250us", 250 * NSEC_PER_USEC);
        good(&s, "1500ms", 1500 * NSEC_PER_MSEC);
        good(&s, "5m", 300 * NSEC_PER_SEC);
        good(&s, "1h", 3600 * NSEC_PER_SEC);
        good(&s, "1d", 86400 * NSEC_PER_SEC);
        good(&s, "0", 0);
        good(&s, "0s", 0);
        bad(&s, "30", DIAG_E108, "\"30s\"");
        bad(&s, "2d", DIAG_E107, NULL);
        bad(&s, "1.5s", DIAG_E106, "\"1500ms\"");
        bad(&s, "1m30s", DIAG_E106, "\"90s\"");
        bad(&s, "5 minutes", DIAG_E106, "\"5m\"");
        bad(&s, "5x", DIAG_E106, "us, ms, s, m, h, d");
        bad(&s, "-5s", DIAG_E106, "\"10s\"");
        bad(&s, "", DIAG_E106, "\"10s\"");
        bad(&s, "99999999999999999999999s", DIAG_E106, NULL);
        bad(&s, "999999999999999d", DIAG_E106, NULL);
        bad(&some, "0s", DIAG_E107, "none");
}

static void test_sizes(void **state) {
        const struct schema s = {.type = SCHEMA_SIZE};

        good(&s, "64KiB", 65536);
        good(&s, "1B", 1);
        good(&s, "2GiB", 2ull << 30);
        bad(&s, "64k", DIAG_E106, "\"64KiB\"");
        bad(&s, "64MB", DIAG_E106, "\"64MiB\"");
        bad(&s, "64", DIAG_E108, "\"64KiB\"");
        bad(&s, "8192", DIAG_E108, "\"8192B\"");
        bad(&s, "1.5GiB", DIAG_E106, "\"1536MiB\"");
        bad(&s, "99999999999TiB", DIAG_E106, NULL);
}

static void test_numbers(void **state) {
        const struct schema s = {.type = SCHEMA_INT, .min = 1, .max = 64};

        good(&s, "1", 1);
        good(&s, "64", 64);
        bad(&s, "0", DIAG_E107, NULL);
        bad(&s, "65", DIAG_E107, NULL);
        bad(&s, "99999999999999999999999", DIAG_E107, NULL);
        bad(&s, "010", DIAG_E106, NULL);
        bad(&s, "0x10", DIAG_E106, NULL);
        bad(&s, "1e1", DIAG_E106, NULL);
        bad(&s, "+1", DIAG_E106, NULL);
}

static void test_booleans(void **state) {
        const struct schema s = {.type = SCHEMA_BOOL};

        good(&s, "true", 1);
        good(&s, "false", 0);
        bad(&s, "yes", DIAG_E106, "true");
        bad(&s, "Off", DIAG_E106, "false");
        bad(&s, "TRUE", DIAG_E106, "true");
        bad(&s, "maybe", DIAG_E106, NULL);
}

static void test_words(void **state) {
        const struct schema s = {.type = SCHEMA_CHOICE, .choices = words};

        good(&s, "round-robin", 0);
        good(&s, "least-conn", 1);
        bad(&s, "roundrobin", DIAG_E114, "round-robin");
        bad(&s, "least_conn", DIAG_E114, "least-conn");
        bad(&s, "random", DIAG_E114, NULL);
}

static void test_shares(void **state) {
        const struct schema s = {.type = SCHEMA_PERCENT};

        good(&s, "100%", 1000);
        good(&s, "0%", 0);
        good(&s, "12.5%", 125);
        bad(&s, "10", DIAG_E108, "\"10%\"");
        bad(&s, "101%", DIAG_E106, NULL);
        bad(&s, "100.1%", DIAG_E106, NULL);
        bad(&s, "1.25%", DIAG_E106, NULL);
        bad(&s, "half", DIAG_E106, NULL);
}

static void test_names(void **state) {
        const struct schema s = {.type = SCHEMA_NAME};
        const struct schema address = {.type = SCHEMA_NAME, .flags = SCHEMA_NAMED};

        good(&s, "web-1.a_b", 0);
        good(&address, "[::1]:80", 0);
        bad(&s, "-web", DIAG_E113, NULL);
        bad(&s, "a b", DIAG_E113, NULL);
        bad(&s, "a:80", DIAG_E113, NULL);
        bad(&s, "", DIAG_E113, NULL);
        bad(&s, "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeefffffffff", DIAG_E113, NULL);
}

/* What is shown in messages is what the parser takes. */
static void test_format(void **state) {
        const struct schema duration = {.type = SCHEMA_DURATION}, size = {.type = SCHEMA_SIZE},
                            number = {.type = SCHEMA_INT};
        struct strbuf b = STRBUF_INIT;

        value_format(&duration, 90 * NSEC_PER_SEC, &b);
        strbuf_add_char(&b, ' ');
        value_format(&duration, 0, &b);
        strbuf_add_char(&b, ' ');
        value_format(&duration, 7200 * NSEC_PER_SEC, &b);
        strbuf_add_char(&b, ' ');
        value_format(&size, 65536, &b);
        strbuf_add_char(&b, ' ');
        value_format(&size, 65537, &b);
        strbuf_add_char(&b, ' ');
        value_format(&number, 65536, &b);
        assert_string_equal(b.p, "90s 0s 2h 64KiB 65537B 65536");
        strbuf_deinit(&b);
}

/* Letters put in, left out, changed, swapped: one each. Case is no difference. */
static void test_distance(void **state) {
        assert_int_equal(damerau_distance(STR("timeout"), STR("timeout"), 2), 0);
        assert_int_equal(damerau_distance(STR("timout"), STR("timeout"), 2), 1);
        assert_int_equal(damerau_distance(STR("tiimeout"), STR("timeout"), 2), 1);
        assert_int_equal(damerau_distance(STR("timeuot"), STR("timeout"), 2), 1);
        assert_int_equal(damerau_distance(STR("Timeout"), STR("timeout"), 2), 0);
        assert_int_equal(damerau_distance(STR("tmieotu"), STR("timeout"), 2), 2);
        assert_int_equal(damerau_distance(STR("abc"), STR("xyz"), 2), 3);
        assert_int_equal(damerau_distance(STR(""), STR("abcd"), 2), 3);
}

static void test_suggest(void **state) {
        struct suggest s = {.wanted = STR("shopp")}, none = {.wanted = STR("app")};

        suggest_try(&s, STR("ship"));
        suggest_try(&s, STR("shop"));
        suggest_try(&s, STR("chop"));
        assert_true(str_eq(s.best, STR("shop")));
        suggest_try(&none, STR("web"));
        suggest_try(&none, STR("api"));
        assert_true(str_eq(none.best, STR("api")));
        none = (struct suggest){.wanted = STR("app")};
        suggest_try(&none, STR("axi")); /* two of three: another word */
        assert_null(none.best.p);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_durations), cmocka_unit_test(test_sizes),
                cmocka_unit_test(test_numbers),   cmocka_unit_test(test_booleans),
                cmocka_unit_test(test_words),     cmocka_unit_test(test_shares),
                cmocka_unit_test(test_names),     cmocka_unit_test(test_format),
                cmocka_unit_test(test_distance),  cmocka_unit_test(test_suggest),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

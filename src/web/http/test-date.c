/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "web/http/date.h"

static const int64_t now = 1795402127; /* November 2026 */
static const int64_t example = 784111777; /* the example of RFC 9110 5.6.7 */

static int parse(const char *text, int64_t *ret) {
        return http_date_parse(str_of(text), now, ret);
}

/* All three forms of the same instant. */
static void test_forms(void **state) {
        static const char *const forms[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT",
                                            "Sun Nov  6 08:49:37 1994"};
        int64_t v;

        for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
                v = 0;
                assert_int_equal(parse(forms[i], &v), 0);
                assert_int_equal(v, example);
        }
        assert_int_equal(parse("Wed Nov 16 08:49:37 1994", &v), 0);
        assert_int_equal(v, example + 10 * 86400);
}

/* Two digits of a year are at most 50 years ahead. */
static void test_century(void **state) {
        int64_t v;
        char out[HTTP_DATE_SIZE + 1] = {0};

        assert_int_equal(parse("Sunday, 06-Nov-76 08:49:37 GMT", &v), 0);
        http_date_format(out, v);
        assert_string_equal(out, "Fri, 06 Nov 2076 08:49:37 GMT");
        assert_int_equal(parse("Sunday, 06-Nov-77 08:49:37 GMT", &v), 0);
        http_date_format(out, v);
        assert_string_equal(out, "Sun, 06 Nov 1977 08:49:37 GMT");
        assert_int_equal(http_date_parse(STR("Sunday, 06-Nov-05 08:49:37 GMT"), 2524608000 + 20 * 31557600LL, &v), 0);
        http_date_format(out, v); /* seen from 2070, 05 is 2105 */
        assert_string_equal(out, "Fri, 06 Nov 2105 08:49:37 GMT");
}

static void test_refused(void **state) {
        static const char *const bad[] = {
                "", "Sun", "Sun,", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC", "sun, 06 Nov 1994 08:49:37 GMT",
                "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
                "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
                "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT", "Sun, 31 Nov 1994 08:49:37 GMT",
                "Sun, 29 Feb 1994 08:49:37 GMT", "Sun, 29 Feb 1900 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT",
                "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
                "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 06 08:49:37 1994 GMT",
                "Sun Nov 6 08:49:37 1994", "Sun Nov   6 08:49:37 1994", "Sun, -6 Nov 1994 08:49:37 GMT", "0", "1994-11-06",
        };
        int64_t v = 42;

        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
                if (parse(bad[i], &v) != -EINVAL)
                        fail_msg("accepted: %s", bad[i]);
        assert_int_equal(v, 42);
        assert_int_equal(parse("Thu, 29 Feb 2024 23:59:60 GMT", &v), 0);
        assert_int_equal(parse("Tue, 29 Feb 2000 00:00:00 GMT", &v), 0);
}

/* What we write, the C library writes too, and we read back. */
static void test_round_trip(void **state) {
        static const int64_t ends[] = {-62135596800, -1, 0, 1, 951782399, 951782400, 4107542399, 253402300799};
        char out[HTTP_DATE_SIZE + 1] = {0}, expected[64];
        int64_t v;

        for (int64_t t = -62135596800; t <= 253402300799; t += 86400 * 11 + 12345) {
                struct tm tm;
                time_t seconds = (time_t)t;

                http_date_format(out, t);
                gmtime_r(&seconds, &tm);
                strftime(expected, sizeof(expected), "%a, %d %b ", &tm);
                snprintf(expected + strlen(expected), 32, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                         tm.tm_sec);
                assert_string_equal(out, expected);
                assert_int_equal(parse(out, &v), 0);
                assert_int_equal(v, t);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(ends); i++) {
                http_date_format(out, ends[i]);
                assert_int_equal(parse(out, &v), 0);
                assert_int_equal(v, ends[i]);
        }
        http_date_format(out, INT64_MAX);
        assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
        http_date_format(out, INT64_MIN);
        assert_string_equal(out, "Mon, 01 Jan 0001 00:00:00 GMT");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_century),
                cmocka_unit_test(test_refused),
                cmocka_unit_test(test_round_trip),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

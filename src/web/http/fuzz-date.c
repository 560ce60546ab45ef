/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the clock says (eight bytes, little endian), then a date. Invariants: a date that was understood is the one that is
 * written from it, in the form that we write; what we write is what gmtime() says; two digits mean a year not more than 50 years
 * ahead of the clock and less than 50 behind.
 */

#include <errno.h>
#include <time.h>

#include "base/str.h"
#include "web/http/date.h"
#include "fuzz.h"

#define FIRST (-62135596800)
#define LAST 253402300799

/* The slow way to write it. */
static void check_format(int64_t seconds) {
        char out[HTTP_DATE_SIZE], expected[64];
        time_t t = (time_t)MIN(MAX(seconds, (int64_t)FIRST), (int64_t)LAST);
        struct tm tm;
        int64_t again;
        size_t n;

        http_date_format(out, seconds);
        CHECK(gmtime_r(&t, &tm));
        n = strftime(expected, sizeof(expected) - 8, "%a, %d %b ", &tm);
        snprintf(expected + n, sizeof(expected) - n, "%04d %02d:%02d:%02d GMT", tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
        CHECK(memcmp(out, expected, HTTP_DATE_SIZE) == 0);
        CHECK(http_date_parse((struct str){out, HTTP_DATE_SIZE}, 0, &again) == 0 && again == t);
}

static int year_of(int64_t seconds) {
        time_t t = (time_t)seconds;
        struct tm tm;

        CHECK(gmtime_r(&t, &tm));
        return tm.tm_year + 1900;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        char out[HTTP_DATE_SIZE];
        int64_t now, then = INT64_MIN;
        struct str text;
        bool leap;

        if (n < sizeof(now))
                return 0;
        memcpy(&now, data, sizeof(now));
        text = (struct str){(const char *)data + sizeof(now), n - sizeof(now)};
        check_format(now);
        now = MIN(MAX(now, (int64_t)0), (int64_t)LAST - (int64_t)51 * 366 * 24 * 60 * 60); /* what is ahead has four digits, too */
        if (http_date_parse(text, now, &then) < 0) {
                CHECK(then == INT64_MIN);
                return 0;
        }
        CHECK(then >= FIRST && then <= LAST + 1);
        leap = memmem(text.p, text.n, ":60 ", 4); /* is the next minute when written */
        if (!leap)
                check_format(then);
        http_date_format(out, then);
        if (text.n == HTTP_DATE_SIZE && text.p[3] == ',' && !leap) /* IMF-fixdate; a wrong day of the week is let pass */
                CHECK(memcmp(out + 3, text.p + 3, HTTP_DATE_SIZE - 3) == 0);
        if (memchr(text.p, '-', text.n) && !leap) { /* RFC 850 */
                CHECK(year_of(then) <= year_of(now) + 50 && year_of(then) > year_of(now) - 50);
                CHECK(memcmp(out + 14, strchr(strchr(text.p, '-') + 1, '-') + 1, 2) == 0);
        }
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http/date.h"

#include <errno.h>

enum {
        DAY = 24 * 60 * 60,
};

struct civil {
        int64_t year;
        unsigned month; /* 1..12 */
        unsigned day;   /* 1..31 */
        unsigned hour, minute, second;
};

static const char day_names[7][10] = {"Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"};
static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

/* ── calendar ───────────────────────────────────────────────────────────── */

/*
 * Years are counted from March, so that the odd day comes last, in eras of 400 years = 146097 days. Month m from March begins on
 * day (153 m + 2) / 5. Only dates from year 1 on come here, so all divisions are of positive numbers.
 */
static const int64_t era_days = 146097;
static const int64_t epoch_offset = 719468; /* days from 0000-03-01 to 1970-01-01 */

static int64_t days_of(const struct civil *c) {
        int64_t year = c->year - (c->month <= 2);
        int64_t era = year / 400, of_era = year % 400;
        int64_t of_year = (153 * (int64_t)((c->month + 9) % 12) + 2) / 5 + c->day - 1;

        return era * era_days + of_era * 365 + of_era / 4 - of_era / 100 + of_year - epoch_offset;
}

static void civil_of_days(int64_t days, struct civil *ret) {
        int64_t d = days + epoch_offset;
        int64_t era = d / era_days, of_era = d % era_days;
        int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
        int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
        unsigned month = (unsigned)((5 * of_year + 2) / 153);

        ret->day = (unsigned)(of_year - (153 * (int64_t)month + 2) / 5 + 1);
        ret->month = month < 10 ? month + 3 : month - 9;
        ret->year = year + era * 400 + (ret->month <= 2);
}

static unsigned days_in_month(int64_t year, unsigned month) {
        static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
        bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

        return days[month - 1] + (month == 2 && leap);
}

/* ── format ─────────────────────────────────────────────────────────────── */

static void put2(char *p, unsigned v) {
        p[0] = (char)('0' + v / 10);
        p[1] = (char)('0' + v % 10);
}

void http_date_format(char out[HTTP_DATE_SIZE], int64_t seconds) {
        static const int64_t first = -62135596800, last = 253402300799; /* 0001-01-01 00:00:00, 9999-12-31 23:59:59 */
        int64_t days, rest;
        struct civil c;

        seconds = MIN(MAX(seconds, first), last);
        days = (seconds - first) / DAY + first / DAY;
        rest = (seconds - first) % DAY;
        civil_of_days(days, &c);

        memcpy(out, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_SIZE);
        memcpy(out, day_names[(days - first / DAY + 4) % 7], 3); /* 0001-01-01 was a Monday */
        put2(out + 5, c.day);
        memcpy(out + 8, month_names[c.month - 1], 3);
        put2(out + 12, (unsigned)(c.year / 100));
        put2(out + 14, (unsigned)(c.year % 100));
        put2(out + 17, (unsigned)(rest / 3600));
        put2(out + 20, (unsigned)(rest / 60 % 60));
        put2(out + 23, (unsigned)(rest % 60));
}

/* ── parse ──────────────────────────────────────────────────────────────── */

/* Each take_ function removes something from the front of *s, or returns false. */

static bool take(struct str *s, struct str literal) {
        if (!str_starts(*s, literal))
                return false;
        s->p += literal.n;
        s->n -= literal.n;
        return true;
}

static bool take_digits(struct str *s, unsigned n, unsigned *ret) {
        uint64_t v;

        if (s->n < n || str_to_u64((struct str){s->p, n}, &v) < 0)
                return false;
        s->p += n;
        s->n -= n;
        *ret = (unsigned)v;
        return true;
}

static bool take_month(struct str *s, unsigned *ret) {
        for (unsigned i = 0; i < 12; i++)
                if (take(s, (struct str){month_names[i], 3})) {
                        *ret = i + 1;
                        return true;
                }
        return false;
}

static bool take_time(struct str *s, struct civil *c) {
        return take_digits(s, 2, &c->hour) && take(s, STR(":")) && take_digits(s, 2, &c->minute) && take(s, STR(":")) &&
               take_digits(s, 2, &c->second);
}

/* "06 Nov 1994 08:49:37 GMT" */
static bool take_imf(struct str *s, struct civil *c) {
        unsigned year;

        if (!take_digits(s, 2, &c->day) || !take(s, STR(" ")) || !take_month(s, &c->month) || !take(s, STR(" ")) ||
            !take_digits(s, 4, &year) || !take(s, STR(" ")) || !take_time(s, c) || !take(s, STR(" GMT")))
                return false;
        c->year = year;
        return true;
}

/* "06-Nov-94 08:49:37 GMT" */
static bool take_rfc850(struct str *s, int64_t now, struct civil *c) {
        struct civil today;
        unsigned year;

        if (!take_digits(s, 2, &c->day) || !take(s, STR("-")) || !take_month(s, &c->month) || !take(s, STR("-")) ||
            !take_digits(s, 2, &year) || !take(s, STR(" ")) || !take_time(s, c) || !take(s, STR(" GMT")))
                return false;
        civil_of_days(MAX(now, (int64_t)0) / DAY, &today);
        c->year = today.year / 100 * 100 + year;
        while (c->year > today.year + 50)
                c->year -= 100;
        while (c->year + 100 <= today.year + 50)
                c->year += 100;
        return true;
}

/* "Nov  6 08:49:37 1994" */
static bool take_asctime(struct str *s, struct civil *c) {
        unsigned year;

        if (!take_month(s, &c->month) || !take(s, STR(" ")) ||
            !(take(s, STR(" ")) ? take_digits(s, 1, &c->day) : take_digits(s, 2, &c->day)) || !take(s, STR(" ")) ||
            !take_time(s, c) || !take(s, STR(" ")) || !take_digits(s, 4, &year))
                return false;
        c->year = year;
        return true;
}

static bool take_any(struct str *s, int64_t now, struct civil *c) {
        for (unsigned i = 0; i < 7; i++) {
                if (take(s, str_of(day_names[i])))
                        return take(s, STR(", ")) && take_rfc850(s, now, c);
                if (take(s, (struct str){day_names[i], 3}))
                        return take(s, STR(", ")) ? take_imf(s, c) : take(s, STR(" ")) && take_asctime(s, c);
        }
        return false;
}

int http_date_parse(struct str text, int64_t now, int64_t *ret) {
        struct civil c = {0};

        if (!take_any(&text, now, &c) || text.n > 0)
                return -EINVAL;
        /* Second 60 is a leap second. */
        if (c.year < 1 || c.day < 1 || c.day > days_in_month(c.year, c.month) || c.hour > 23 || c.minute > 59 || c.second > 60)
                return -EINVAL;
        *ret = days_of(&c) * DAY + c.hour * 3600 + c.minute * 60 + c.second;
        return 0;
}

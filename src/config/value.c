/* SPDX-License-Identifier: Apache-2.0 */

/* Text to typed values. The schema says what a text means, never YAML: `no`, `012` and `1:30` are text
 * wherever text is wanted. */

#include <errno.h>

#include "base/cleanup.h"
#include "config/internal.h"

struct unit {
        const char *name;
        uint64_t factor;
};

static const struct unit durations[] = {
        {"us", NSEC_PER_USEC}, {"ms", NSEC_PER_MSEC},         {"s", NSEC_PER_SEC},
        {"m", 60 * NSEC_PER_SEC}, {"h", 3600 * NSEC_PER_SEC}, {"d", 86400 * NSEC_PER_SEC},
        {NULL, 0},
};

static const struct unit sizes[] = {
        {"B", 1}, {"KiB", 1u << 10}, {"MiB", 1u << 20}, {"GiB", 1u << 30}, {"TiB", 1ull << 40}, {NULL, 0},
};

static const struct unit *unit_find(const struct unit *units, struct str name) {
        for (; units->name; units++)
                if (str_eq(name, str_of(units->name)))
                        return units;
        return NULL;
}

static int fail(struct value_error *err, enum diag_id id, const char *message) {
        err->id = id;
        strbuf_add_z(&err->message, message);
        return -EINVAL;
}

/* Splits "10 s" or "10s" into digits and the rest. */
static void split_number(struct str text, struct str *ret_digits, struct str *ret_rest) {
        size_t n = 0;

        while (n < text.n && text.p[n] >= '0' && text.p[n] <= '9')
                n++;
        *ret_digits = (struct str){text.p, n};
        *ret_rest = str_trim((struct str){text.p + n, text.n - n});
}

static void format_units(const struct unit *units, uint64_t v, struct strbuf *out) {
        const struct unit *best = &units[0];

        for (const struct unit *u = units; u->name; u++)
                if (v > 0 && v % u->factor == 0)
                        best = u;
        strbuf_add_u64(out, v / best->factor);
        strbuf_add_z(out, best->name);
}

void value_format(const struct schema *s, uint64_t v, struct strbuf *out) {
        if (s->type == SCHEMA_DURATION && v == 0)
                strbuf_add_z(out, "0s");
        else if (s->type == SCHEMA_DURATION)
                format_units(durations, v, out);
        else if (s->type == SCHEMA_SIZE)
                format_units(sizes, v, out);
        else
                strbuf_add_u64(out, v);
}

static int check_range(const struct schema *s, uint64_t v, struct value_error *err) {
        bool low = v < s->min, high = s->max > 0 && v > s->max;

        if (!low && !high)
                return 0;
        err->id = DIAG_E107;
        strbuf_add_z(&err->message, low ? "is too small: " : "is too large: ");
        if (s->max > 0) {
                value_format(s, s->min, &err->message);
                strbuf_add_z(&err->message, " to ");
                value_format(s, s->max, &err->message);
        } else {
                strbuf_add_z(&err->message, "at least ");
                value_format(s, s->min, &err->message);
        }
        strbuf_add_z(&err->message, " is allowed");
        if (v == 0 && s->flags & SCHEMA_NONE)
                strbuf_add_z(&err->hint, "\"none\" switches it off");
        return -EINVAL;
}

/* "1.5s", "1m30s": not taken, but their sense is plain, so the hint says how to write it. */
static bool add_up(const struct unit *units, struct str text, uint64_t *ret) {
        uint64_t sum = 0;

        while (text.n > 0) {
                struct str digits, rest;
                uint64_t whole, fraction = 0, scale = 1;
                size_t n = 0;
                const struct unit *u;

                split_number(text, &digits, &rest);
                if (str_to_u64(digits, &whole) < 0 || whole > UINT32_MAX)
                        return false;
                if (rest.n > 1 && rest.p[0] == '.') {
                        split_number((struct str){rest.p + 1, rest.n - 1}, &digits, &rest);
                        if (str_to_u64(digits, &fraction) < 0 || digits.n > 6)
                                return false;
                        for (size_t i = 0; i < digits.n; i++)
                                scale *= 10;
                }
                while (n < rest.n && (rest.p[n] < '0' || rest.p[n] > '9'))
                        n++;
                u = unit_find(units, str_trim((struct str){rest.p, n}));
                if (!u || __builtin_mul_overflow(whole, u->factor, &whole) ||
                    __builtin_mul_overflow(fraction, u->factor, &fraction) ||
                    __builtin_add_overflow(whole, fraction / scale, &whole) ||
                    __builtin_add_overflow(sum, whole, &sum))
                        return false;
                text = (struct str){rest.p + n, rest.n - n};
        }
        *ret = sum;
        return sum > 0;
}

static void hint_units(const struct unit *units, struct str digits, struct str rest, const char *usual,
                       struct value_error *err) {
        static const struct {
                const char *typed;
                const char *meant;
        } slips[] = {
                {"sec", "s"},   {"secs", "s"},    {"second", "s"}, {"seconds", "s"}, {"S", "s"},
                {"min", "m"},   {"mins", "m"},    {"minute", "m"}, {"minutes", "m"}, {"M", "m"},
                {"hour", "h"},  {"hours", "h"},   {"H", "h"},      {"day", "d"},     {"days", "d"},
                {"msec", "ms"}, {"millis", "ms"}, {"usec", "us"},  {"k", "KiB"},     {"K", "KiB"},
                {"kb", "KiB"},  {"KB", "KiB"},    {"kB", "KiB"},   {"kib", "KiB"},   {"Ki", "KiB"},
                {"m", "MiB"},   {"M", "MiB"},     {"mb", "MiB"},   {"MB", "MiB"},    {"mib", "MiB"},
                {"Mi", "MiB"},  {"g", "GiB"},     {"G", "GiB"},    {"gb", "GiB"},    {"GB", "GiB"},
                {"gib", "GiB"}, {"Gi", "GiB"},    {"b", "B"},      {"bytes", "B"},   {"T", "TiB"},
                {"TB", "TiB"},
        };

        if (digits.n == 0) {
                strbuf_addf(&err->hint, "write a number and a unit, such as \"10%s\"", usual);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(slips); i++)
                if (str_eq(rest, str_of(slips[i].typed)) && unit_find(units, str_of(slips[i].meant))) {
                        strbuf_addf(&err->hint, "did you mean \"%.*s%s\"?", STR_FMT(digits), slips[i].meant);
                        return;
                }
        strbuf_add_z(&err->hint, "units are");
        for (const struct unit *u = units; u->name; u++)
                strbuf_addf(&err->hint, "%s %s", u == units ? "" : ",", u->name);
}

static int parse_quantity(const struct schema *s, const struct unit *units, struct str text, uint64_t *ret,
                          struct value_error *err) {
        bool time = s->type == SCHEMA_DURATION;
        const char *kind = time ? "duration" : "size", *usual = time ? "s" : "KiB";
        struct str digits, rest;
        const struct unit *u;
        uint64_t v;

        split_number(text, &digits, &rest);
        if (digits.n > 0 && rest.n == 0 && str_to_u64(digits, &v) == 0 && v > 0) {
                err->id = DIAG_E108;
                strbuf_addf(&err->message, "has no unit");
                if (v >= 1000) /* who thinks in thousands thinks in the small unit */
                        usual = time ? "ms" : "B";
                strbuf_addf(&err->hint, "did you mean \"%.*s%s\"?", STR_FMT(digits), usual);
                return -EINVAL;
        }
        u = rest.n > 0 ? unit_find(units, rest) : &units[0];
        if (digits.n == 0 || !u || str_to_u64(digits, &v) < 0 || __builtin_mul_overflow(v, u->factor, &v) ||
            v > INT64_MAX) {
                err->id = DIAG_E106;
                strbuf_addf(&err->message, u && digits.n > 0 ? "is beyond any %s" : "is not a %s", kind);
                if (add_up(units, text, &v) && v <= INT64_MAX) {
                        strbuf_add_z(&err->hint, "write \"");
                        format_units(units, v, &err->hint);
                        strbuf_add_char(&err->hint, '"');
                } else if (!u || digits.n == 0) {
                        hint_units(units, digits, rest, usual, err);
                }
                return -EINVAL;
        }
        if (check_range(s, v, err) < 0)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int parse_int(const struct schema *s, struct str text, uint64_t *ret, struct value_error *err) {
        uint64_t v;
        int r = str_to_u64(text, &v);

        if (r == -ERANGE)
                v = UINT64_MAX;
        else if (r < 0)
                return fail(err, DIAG_E106, "is not a whole number");
        else if (text.n > 1 && text.p[0] == '0')
                return fail(err, DIAG_E106, "is not a whole number: it begins with 0");
        if (check_range(s, v, err) < 0)
                return -EINVAL;
        *ret = v;
        return 0;
}

static int parse_bool(struct str text, uint64_t *ret, struct value_error *err) {
        static const char *const yes[] = {"yes", "on", "y", "1"}, *const no[] = {"no", "off", "n", "0"};

        if (str_eq(text, STR("true")) || str_eq(text, STR("false"))) {
                *ret = text.p[0] == 't';
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
                if (str_ieq(text, str_of(yes[i])) || str_ieq(text, STR("true")))
                        strbuf_add_z(&err->hint, err->hint.n ? "" : "did you mean true?");
                else if (str_ieq(text, str_of(no[i])) || str_ieq(text, STR("false")))
                        strbuf_add_z(&err->hint, err->hint.n ? "" : "did you mean false?");
        return fail(err, DIAG_E106, "is not true or false");
}

static int parse_choice(const struct schema *s, struct str text, uint64_t *ret, struct value_error *err) {
        struct suggest suggest = {.wanted = text};

        for (unsigned i = 0; s->choices[i]; i++) {
                if (str_eq(text, str_of(s->choices[i]))) {
                        *ret = i;
                        return 0;
                }
                suggest_try(&suggest, str_of(s->choices[i]));
        }
        if (suggest.best.p)
                strbuf_addf(&err->hint, "did you mean \"%.*s\"?", STR_FMT(suggest.best));
        err->id = DIAG_E114;
        strbuf_add_z(&err->message, "is not one of");
        for (unsigned i = 0; s->choices[i]; i++)
                strbuf_addf(&err->message, "%s %s", i == 0 ? "" : ",", s->choices[i]);
        return -EINVAL;
}

static int parse_percent(struct str text, uint64_t *ret, struct value_error *err) {
        struct str digits, rest;
        uint64_t whole, tenth = 0;

        split_number(text, &digits, &rest);
        if (str_to_u64(digits, &whole) < 0 || whole > 100)
                return fail(err, DIAG_E106, "is not a share from 0% to 100%");
        if (rest.n == 3 && rest.p[0] == '.' && rest.p[1] >= '0' && rest.p[1] <= '9') {
                tenth = (uint64_t)(rest.p[1] - '0');
                rest = (struct str){rest.p + 2, 1};
        }
        if (rest.n == 0) {
                strbuf_addf(&err->hint, "did you mean \"%.*s%%\"?", STR_FMT(digits));
                return fail(err, DIAG_E108, "has no unit");
        }
        if (!str_eq(rest, STR("%")) || whole * 10 + tenth > 1000)
                return fail(err, DIAG_E106, "is not a share from 0% to 100%");
        *ret = whole * 10 + tenth;
        return 0;
}

/* `address`: what a thing may be called that was named by its address. */
/* What is named by its address may have any name that an address may be: the path of a socket, say. */
static bool is_address_name(struct str text) {
        bool colon = false;

        for (size_t i = 0; i < text.n; i++) {
                if ((unsigned char)text.p[i] < ' ' || text.p[i] == 0x7f)
                        return false;
                colon |= text.p[i] == ':';
        }
        return colon;
}

static bool is_name(struct str text, bool address) {
        if (text.n == 0 || text.n > SCHEMA_NAME_MAX)
                return false;
        if (address && is_address_name(text))
                return true;
        for (size_t i = 0; i < text.n; i++) {
                char c = ascii_lower(text.p[i]);
                bool alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

                if (!alnum && (i == 0 || !strchr("-_.", c)))
                        return false;
        }
        return true;
}

int value_parse(const struct schema *s, struct str text, uint64_t *ret, struct value_error *err) {
        uint64_t v = 0;
        int r = 0;

        err->id = DIAG_E106;
        if (s->parse)
                r = s->parse(text, &v, &err->message, &err->hint);
        else if (s->type == SCHEMA_DURATION)
                r = parse_quantity(s, durations, text, &v, err);
        else if (s->type == SCHEMA_SIZE)
                r = parse_quantity(s, sizes, text, &v, err);
        else if (s->type == SCHEMA_INT)
                r = parse_int(s, text, &v, err);
        else if (s->type == SCHEMA_BOOL)
                r = parse_bool(text, &v, err);
        else if (s->type == SCHEMA_CHOICE)
                r = parse_choice(s, text, &v, err);
        else if (s->type == SCHEMA_PERCENT)
                r = parse_percent(text, &v, err);
        else if (s->type == SCHEMA_NAME && !is_name(text, s->flags & SCHEMA_NAMED))
                r = fail(err, DIAG_E113,
                         "is not a name: letters, digits, \"-\", \"_\" and \".\" are allowed, at most 58");
        if (r == 0)
                *ret = v;
        return r;
}

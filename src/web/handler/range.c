/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/range.h"

#define OVERLAPS_MAX 2 /* RFC 9110 14.2: "more than two overlapping ranges" are a sign of bad intent */

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* Digits at the front of *s; saturates, since any number that large means the same: beyond the end. */
static bool take_number(struct str *s, uint64_t *ret) {
        size_t i = 0;
        uint64_t v = 0;

        for (; i < s->n && is_digit(s->p[i]); i++)
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(s->p[i] - '0'), &v))
                        v = UINT64_MAX;
        *s = (struct str){s->p + i, s->n - i};
        *ret = v;
        return i > 0;
}

static bool take_char(struct str *s, char c) {
        if (s->n == 0 || s->p[0] != c)
                return false;
        *s = (struct str){s->p + 1, s->n - 1};
        return true;
}

/* One range-spec. n is 0 when it is valid but lies outside. False: not valid. */
static bool parse_spec(struct str spec, uint64_t size, struct range *ret) {
        uint64_t first, last = UINT64_MAX;

        *ret = (struct range){0};
        if (take_char(&spec, '-')) {
                uint64_t n;

                if (!take_number(&spec, &n) || spec.n > 0)
                        return false;
                n = MIN(n, size);
                *ret = (struct range){size - n, n};
                return true;
        }
        if (!take_number(&spec, &first) || !take_char(&spec, '-'))
                return false;
        if (spec.n > 0 && (!take_number(&spec, &last) || spec.n > 0 || last < first))
                return false;
        if (first < size)
                *ret = (struct range){first, (last < size ? last + 1 : size) - first};
        return true;
}

/* "-N" with N > 0. */
static bool is_suffix_of_some(struct str spec) {
        for (size_t i = 1; i < spec.n; i++)
                if (spec.p[0] == '-' && spec.p[i] != '0')
                        return true;
        return false;
}

static bool touches(struct range a, struct range b) {
        return a.first <= b.first + b.n && b.first <= a.first + a.n;
}

static bool overlaps(struct range a, struct range b) {
        return a.first < b.first + b.n && b.first < a.first + a.n;
}

static unsigned count_overlaps(const struct range *v, unsigned n) {
        unsigned found = 0;

        for (unsigned i = 0; i < n; i++)
                for (unsigned k = i + 1; k < n; k++)
                        found += overlaps(v[i], v[k]);
        return found;
}

/* Unites what touches, in the place of the one asked for first. The order is the client's otherwise. */
static unsigned coalesce(struct range *v, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                for (unsigned k = i + 1; k < n; k++) {
                        uint64_t end;

                        if (!touches(v[i], v[k]))
                                continue;
                        end = MAX(v[i].first + v[i].n, v[k].first + v[k].n);
                        v[i].first = MIN(v[i].first, v[k].first);
                        v[i].n = end - v[i].first;
                        memmove(&v[k], &v[k + 1], (n - k - 1) * sizeof(*v));
                        n--;
                        k = i; /* it has grown: it may touch those passed by */
                }
        return n;
}

enum range_result range_parse(struct str value, uint64_t size, struct range ret[RANGES_MAX],
                              unsigned *ret_n) {
        unsigned n = 0, n_specs = 0;
        const char *equals = value.n > 0 ? memchr(value.p, '=', value.n) : NULL;
        struct str rest;

        if (!equals || !str_ieq((struct str){value.p, (size_t)(equals - value.p)}, STR("bytes")))
                return RANGE_IGNORE;
        rest = (struct str){equals + 1, value.n - (size_t)(equals + 1 - value.p)};
        while (rest.n > 0) {
                const char *comma = memchr(rest.p, ',', rest.n);
                struct str spec = str_trim((struct str){rest.p, comma ? (size_t)(comma - rest.p) : rest.n});

                rest = comma ? (struct str){comma + 1, rest.n - (size_t)(comma + 1 - rest.p)}
                             : (struct str){NULL, 0};
                if (spec.n == 0) /* RFC 9110 5.6.1.2: empty elements are nothing */
                        continue;
                if (++n_specs > RANGES_MAX || !parse_spec(spec, size, &ret[n]))
                        return RANGE_IGNORE;
                if (ret[n].n > 0)
                        n++;
                else if (size == 0 && is_suffix_of_some(spec))
                        /* A suffix of nothing is satisfied, but Content-Range has no words for it. */
                        return RANGE_IGNORE;
        }
        if (n_specs == 0)
                return RANGE_IGNORE;
        if (n == 0)
                return RANGE_UNSATISFIABLE;
        if (count_overlaps(ret, n) > OVERLAPS_MAX)
                return RANGE_IGNORE;
        n = coalesce(ret, n);
        if (n_specs > 1 && n == 1 && ret[0].n == size)
                return RANGE_IGNORE;
        *ret_n = n;
        return RANGE_OK;
}

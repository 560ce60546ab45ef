/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

bool str_ieq(struct str a, struct str b) {
        if (a.n != b.n)
                return false;
        for (size_t i = 0; i < a.n; i++)
                if (ascii_lower(a.p[i]) != ascii_lower(b.p[i]))
                        return false;
        return true;
}

bool str_starts(struct str s, struct str prefix) {
        return s.n >= prefix.n && str_eq((struct str){s.p, prefix.n}, prefix);
}

bool str_ends(struct str s, struct str suffix) {
        return s.n >= suffix.n && str_eq((struct str){s.p + s.n - suffix.n, suffix.n}, suffix);
}

struct str str_trim(struct str s) {
        while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
                s.p++;
                s.n--;
        }
        while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
                s.n--;
        return s;
}

int str_to_u64(struct str s, uint64_t *ret) {
        uint64_t v = 0;

        if (s.n == 0)
                return -EINVAL;
        for (size_t i = 0; i < s.n; i++)
                if (s.p[i] < '0' || s.p[i] > '9')
                        return -EINVAL;
        for (size_t i = 0; i < s.n; i++)
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
                        return -ERANGE;
        *ret = v;
        return 0;
}

char *str_dup(struct str s) {
        char *p = malloc(s.n + 1);

        if (!p)
                return NULL;
        if (s.n > 0)
                memcpy(p, s.p, s.n);
        p[s.n] = '\0';
        return p;
}

void strbuf_deinit(struct strbuf *b) {
        free(b->p);
        *b = (struct strbuf)STRBUF_INIT;
}

int strbuf_reserve(struct strbuf *b, size_t extra) {
        size_t need, cap;
        char *p;

        if (__builtin_add_overflow(b->n, extra, &need) || need == SIZE_MAX) {
                b->failed = true;
                return -ENOMEM;
        }
        need++;
        if (need <= b->cap)
                return 0;
        cap = MAX(need, MIN(b->cap * 2, need + (1 << 20)));
        cap = MAX(cap, (size_t)64);
        p = realloc(b->p, cap);
        if (!p) {
                b->failed = true;
                return -ENOMEM;
        }
        b->p = p;
        b->cap = cap;
        return 0;
}

void strbuf_add(struct strbuf *b, const void *p, size_t n) {
        if (strbuf_reserve(b, n) < 0)
                return;
        if (n > 0)
                memcpy(b->p + b->n, p, n);
        b->n += n;
        b->p[b->n] = '\0';
}

void strbuf_add_str(struct strbuf *b, struct str s) {
        strbuf_add(b, s.p, s.n);
}

void strbuf_add_z(struct strbuf *b, const char *z) {
        strbuf_add(b, z, strlen(z));
}

void strbuf_add_char(struct strbuf *b, char c) {
        strbuf_add(b, &c, 1);
}

void strbuf_add_u64(struct strbuf *b, uint64_t v) {
        char tmp[20];

        strbuf_add(b, tmp, format_u64(tmp, v));
}

void strbuf_addv(struct strbuf *b, const char *fmt, va_list ap) {
        va_list again;
        int n;

        va_copy(again, ap);
        n = vsnprintf(NULL, 0, fmt, again);
        va_end(again);
        if (n < 0 || strbuf_reserve(b, (size_t)n) < 0)
                return;
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
        b->n += (size_t)n;
}

void strbuf_addf(struct strbuf *b, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        strbuf_addv(b, fmt, ap);
        va_end(ap);
}

const char *strbuf_z(const struct strbuf *b) {
        return b->p ? b->p : "";
}

size_t format_u64(char out[20], uint64_t v) {
        char tmp[20];
        size_t n = 0;

        do {
                tmp[n++] = (char)('0' + v % 10);
                v /= 10;
        } while (v > 0);
        for (size_t i = 0; i < n; i++)
                out[i] = tmp[n - 1 - i];
        return n;
}

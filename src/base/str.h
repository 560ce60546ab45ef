/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * struct str: a borrowed slice of bytes, pointer and length, not terminated.
 * struct strbuf: a growing, owned string, kept terminated.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/macro.h"

struct str {
        const char *p;
        size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_FMT(s) (int)(s).n, (s).p /* for printf("%.*s") */

static inline struct str str_of(const char *z) {
        return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b) {
        return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case only, whatever the locale. */
static inline char ascii_lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool str_ieq(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Without leading and trailing space and tab (OWS, RFC 9110 5.6.3). */
struct str str_trim(struct str s);
/* Decimal digits only, at least one, no sign. -EINVAL, or -ERANGE when it does not fit. */
int str_to_u64(struct str s, uint64_t *ret);
/* A terminated heap copy; NULL when memory is short. */
char *str_dup(struct str s);

struct strbuf {
        char *p; /* terminated; NULL while nothing was added */
        size_t n;
        size_t cap;
        bool failed; /* an allocation failed: what was added since is lost */
};

#define STRBUF_INIT {NULL, 0, 0, false}

void strbuf_deinit(struct strbuf *b);
/* Room for `extra` more bytes and the terminator. -ENOMEM sets `failed`. */
int strbuf_reserve(struct strbuf *b, size_t extra);
void strbuf_add(struct strbuf *b, const void *p, size_t n);
void strbuf_add_str(struct strbuf *b, struct str s);
void strbuf_add_z(struct strbuf *b, const char *z);
void strbuf_add_char(struct strbuf *b, char c);
void strbuf_add_u64(struct strbuf *b, uint64_t v);
void strbuf_addf(struct strbuf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void strbuf_addv(struct strbuf *b, const char *fmt, va_list ap) PRINTF_LIKE(2, 0);
/* Never NULL. */
const char *strbuf_z(const struct strbuf *b);

static inline void strbuf_clear(struct strbuf *b) {
        b->n = 0;
        b->failed = false;
        if (b->p)
                b->p[0] = '\0';
}

/* Decimal digits of v, not terminated; returns how many. At most 20. */
size_t format_u64(char out[20], uint64_t v);

/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* For the fuzz targets of this folder: what holds for every message that was accepted, and the comparison with the oracle. */

#include "base/str.h"
#include "web/http/chars.h"
#include "web/http1/parse.h"
#include "web/http1/scan.h"
#include "fuzz.h"
#include "oracle.h"

enum {
        FUZZ_FIELDS = 64,
};

static inline bool all_are(struct str s, unsigned class) {
        for (size_t i = 0; i < s.n; i++)
                if (!http_char_is(s.p[i], class))
                        return false;
        return true;
}

static inline bool is_inside(struct str s, const char *p, size_t n) {
        return s.n == 0 || (s.p >= p && s.p + s.n <= p + n);
}

/* A copy of its own, so that the address sanitizer sees a read behind its end. */
static inline char *copy_of(const char *p, size_t n) {
        char *copy = malloc(n ? n : 1);

        CHECK(copy);
        if (n > 0)
                memcpy(copy, p, n);
        return copy;
}

/* A place to cut the input: any, but always the same for the same input. */
static inline size_t cut_of(const char *p, size_t n) {
        uint32_t h = 2166136261U;

        for (size_t i = 0; i < n; i++)
                h = (h ^ (unsigned char)p[i]) * 16777619U;
        return h % (n + 1);
}

static inline void check_fields(const struct http_fields *f, const char *p, size_t n) {
        CHECK(f->n <= f->max);
        for (unsigned i = 0; i < f->n; i++) {
                const struct http_field *field = &f->v[i];

                CHECK(is_inside(field->name, p, n) && is_inside(field->value, p, n));
                CHECK(field->name.n > 0 && all_are(field->name, HTTP_CHAR_TOKEN));
                CHECK(all_are(field->value, HTTP_CHAR_VALUE));
                CHECK(str_eq(str_trim(field->value), field->value));
                CHECK(field->id == http_field_lookup(field->name));
        }
}

static inline bool same_fields(const struct http_fields *a, const struct http_fields *b) {
        if (a->n != b->n)
                return false;
        for (unsigned i = 0; i < a->n; i++)
                if (!str_eq(a->v[i].name, b->v[i].name) || !str_eq(a->v[i].value, b->v[i].value) || a->v[i].id != b->v[i].id ||
                    a->v[i].hop_by_hop != b->v[i].hop_by_hop)
                        return false;
        return true;
}

/* The fields as the oracle notes them, compared with what it noted; returns what of *text is left. */
static inline struct str expect_fields(const struct http_fields *f, struct str text) {
        for (unsigned i = 0; i < f->n; i++) {
                struct str parts[] = {f->v[i].name, STR(":"), f->v[i].value, STR("\n")};

                for (unsigned k = 0; k < ARRAY_SIZE(parts); k++) {
                        CHECK(str_starts(text, parts[k]));
                        text.p += parts[k].n;
                        text.n -= parts[k].n;
                }
        }
        return text;
}

/* Outcome of a chunked body. */
struct fuzz_body {
        int result; /* 1 ended, 0 wants more, -1 refused */
        enum http1_reject why;
        size_t used;
        char *data;
        size_t data_n;
        struct http1_chunked decoder;
        struct http_field v[FUZZ_FIELDS];
        struct http_fields trailers;
};

/* Decodes p in pieces of `step` bytes, each in memory of its own. */
static inline void fuzz_body_decode(struct fuzz_body *b, const char *p, size_t n, size_t step,
                                    const struct http1_limits *limits) {
        *b = (struct fuzz_body){.data = malloc(n + 1), .trailers = {.max = FUZZ_FIELDS}};
        b->trailers.v = b->v;
        CHECK(b->data);
        http1_chunked_init(&b->decoder);
        while (b->used < n && b->result == 0) {
                size_t piece = MIN(step, n - b->used), at = 0;
                char *copy = copy_of(p + b->used, piece);
                enum http1_chunk_event event = HTTP1_CHUNK_DATA;

                while (event == HTTP1_CHUNK_DATA) {
                        struct str data = {NULL, 0};
                        ssize_t r = http1_chunked_feed(&b->decoder, copy + at, piece - at, limits, &event, &data, &b->why);

                        if (r < 0) {
                                CHECK(r == -74 /* EBADMSG */ && b->why != HTTP1_REJECT_NONE);
                                b->result = -1;
                                break;
                        }
                        CHECK((size_t)r <= piece - at);
                        if (event == HTTP1_CHUNK_DATA) {
                                CHECK(data.n > 0 && data.p + data.n == copy + at + r && data.p >= copy + at);
                                memcpy(b->data + b->data_n, data.p, data.n);
                                b->data_n += data.n;
                        }
                        at += (size_t)r;
                }
                b->used += at;
                if (event == HTTP1_CHUNK_END)
                        b->result = 1;
                else if (b->result == 0)
                        CHECK(at == piece);
                free(copy);
        }
        if (b->result == 1) {
                CHECK(http1_chunked_trailers(&b->decoder, &b->trailers) == 0);
                check_fields(&b->trailers, b->decoder.trailer, b->decoder.trailer_n);
        }
}

/*
 * The same body without chunk extensions, for the oracle: llhttp refuses some that the grammar has (white space, quoted pairs, an
 * extension behind an unquoted value). Only for what our decoder did not refuse. `out` has room for n bytes; returns how many it got.
 */
static inline size_t fuzz_strip_extensions(char *out, const char *p, size_t n) {
        size_t i = 0, w = 0;

        while (i < n) {
                uint64_t size = 0;

                for (; i < n && http_char_is(p[i], HTTP_CHAR_HEX); out[w++] = p[i++])
                        size = size << 4 | http_hex_value(p[i]);
                while (i < n && p[i] != '\r')
                        i++;
                size = size > 0 ? size + 4 : n; /* both line ends; behind the last chunk everything */
                for (; i < n && size > 0; size--)
                        out[w++] = p[i++];
        }
        return w;
}

/*
 * Two differences are known: llhttp does not see an option with a tab beside it, and with HTTP/1.0 it only looks for keep-alive, while
 * close is stronger (RFC 9112 9.3).
 */
static inline void fuzz_compare_keep_alive(const struct oracle *o, bool keep_alive, unsigned minor, struct str head) {
        CHECK(o->keep_alive == keep_alive || memchr(head.p, '\t', head.n) || (minor == 0 && !keep_alive));
}

/* Compares a chunked body that lies at p[head..n] with what llhttp makes of it. */
static inline void fuzz_compare_chunked(struct oracle *o, const char *p, size_t head, size_t n, const struct fuzz_body *b) {
        char *message = copy_of(p, n);
        size_t body_n = fuzz_strip_extensions(message + head, p + head, n - head);

        oracle_run(o, message, head + body_n);
        if (o->failed)
                fprintf(stderr, "llhttp: %s\n", o->error);
        CHECK(o->head_complete && !o->failed && o->complete == (b->result == 1));
        CHECK(o->body_n == b->data_n && memcmp(o->body, b->data, b->data_n) == 0);
        if (o->complete) /* what lies behind the body is the same in both */
                CHECK(head + body_n - o->message_n == n - head - b->used);
        free(message);
}

static inline void fuzz_body_free(struct fuzz_body *b) {
        http1_chunked_deinit(&b->decoder);
        free(b->data);
}

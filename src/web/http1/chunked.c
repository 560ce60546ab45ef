/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The chunked coding, RFC 9112 7.1, one byte after the other but for the data.
 *
 *      SIZE ──hex──► SIZE
 *        ├──";" or BWS──► EXT_* (the grammar of chunk-ext) ──CR──┐
 *        └──CR──► SIZE_LF ◄────────────────────────────────────────┘
 *      SIZE_LF ──LF──► DATA ──all of it──► DATA_CR ──► DATA_LF ──► SIZE
 *        └──LF after size 0──► TRAILER_START
 *      TRAILER_START ──CR──► TRAILER_END ──LF──► END
 *        └──else──► TRAILER_LINE ──CRLF, line judged──► TRAILER_START
 *
 * Any other byte leads to FAILED, from where nothing leads away. Trailers, which are rare, are copied: they can only be used when
 * they are complete, and their input buffer is long gone by then.
 */

#include <errno.h>
#include <stdlib.h>

#include "web/http/chars.h"
#include "web/http1/head.h"

enum {
        MAX_DIGITS = 15, /* below 2^60, so no sum of sizes in use can wrap */
};

enum state {
        SIZE,
        EXT_NEXT,         /* white space before ";" */
        EXT_NAME_START,   /* after ";" */
        EXT_NAME,
        EXT_NAME_END,     /* white space after the name: "=" or ";" follows */
        EXT_VALUE_START,  /* after "=" */
        EXT_VALUE,
        EXT_QUOTED,
        EXT_ESCAPED,      /* after a backslash in quotes */
        EXT_QUOTED_END,   /* after the closing quote */
        SIZE_LF,
        DATA,
        DATA_CR,
        DATA_LF,
        TRAILER_START,
        TRAILER_LINE,
        TRAILER_END,
        END,
        FAILED,
};

void http1_chunked_init(struct http1_chunked *c) {
        *c = (struct http1_chunked){.state = SIZE};
}

void http1_chunked_deinit(struct http1_chunked *c) {
        free(c->trailer);
        c->trailer = NULL;
}

static int refuse(struct http1_chunked *c, enum http1_reject why) {
        c->state = FAILED;
        c->why = (uint8_t)why;
        return -EBADMSG;
}

/* ── size and extensions ────────────────────────────────────────────────── */

static inline bool is_space(char b) {
        return b == ' ' || b == '\t';
}

/* A byte of extension, white space included. */
static int count_ext(struct http1_chunked *c, const struct http1_limits *limits) {
        return c->ext++ < limits->chunk_ext ? 0 : refuse(c, HTTP1_REJECT_CHUNK_EXTENSION);
}

static int size_byte(struct http1_chunked *c, char b, const struct http1_limits *limits) {
        if (http_char_is(b, HTTP_CHAR_HEX)) {
                if (c->digits == MAX_DIGITS)
                        return refuse(c, HTTP1_REJECT_CHUNK_SIZE);
                c->digits++;
                c->left = c->left << 4 | http_hex_value(b);
                return 0;
        }
        if (c->digits == 0)
                return refuse(c, HTTP1_REJECT_CHUNK_SIZE);
        if (b == ';' || is_space(b)) {
                c->state = b == ';' ? EXT_NAME_START : EXT_NEXT;
                return count_ext(c, limits);
        }
        if (b != '\r')
                return refuse(c, b == '\n' ? HTTP1_REJECT_BARE_LF : HTTP1_REJECT_CHUNK_SIZE);
        c->state = SIZE_LF;
        return 0;
}

/* Where an extension byte leads; FAILED when the grammar has no place for it. */
static enum state ext_next(enum state s, char b) {
        bool token = http_char_is(b, HTTP_CHAR_TOKEN);

        switch (s) {
        case EXT_NEXT: /* nothing but ";" may follow white space: not the end of the line */
                return is_space(b) ? s : b == ';' ? EXT_NAME_START : FAILED;
        case EXT_NAME_START:
                return is_space(b) ? s : token ? EXT_NAME : FAILED;
        case EXT_NAME:
                if (token)
                        return s;
                if (b == '=')
                        return EXT_VALUE_START;
                return is_space(b) ? EXT_NAME_END : b == ';' ? EXT_NAME_START : b == '\r' ? SIZE_LF : FAILED;
        case EXT_NAME_END:
                return is_space(b) ? s : b == '=' ? EXT_VALUE_START : b == ';' ? EXT_NAME_START : FAILED;
        case EXT_VALUE_START:
                return is_space(b) ? s : b == '"' ? EXT_QUOTED : token ? EXT_VALUE : FAILED;
        case EXT_VALUE:
                if (token)
                        return s;
                return is_space(b) ? EXT_NEXT : b == ';' ? EXT_NAME_START : b == '\r' ? SIZE_LF : FAILED;
        case EXT_QUOTED:
                if (b == '"')
                        return EXT_QUOTED_END;
                return b == '\\' ? EXT_ESCAPED : http_char_is(b, HTTP_CHAR_VALUE) ? s : FAILED;
        case EXT_ESCAPED:
                return http_char_is(b, HTTP_CHAR_VALUE) ? EXT_QUOTED : FAILED;
        case EXT_QUOTED_END:
                return is_space(b) ? EXT_NEXT : b == ';' ? EXT_NAME_START : b == '\r' ? SIZE_LF : FAILED;
        default:
                return FAILED;
        }
}

static int ext_byte(struct http1_chunked *c, char b, const struct http1_limits *limits) {
        enum state next = ext_next(c->state, b);

        if (b != '\r' && b != '\n' && count_ext(c, limits) < 0)
                return -EBADMSG;
        if (next == FAILED)
                return refuse(c, b == '\n' ? HTTP1_REJECT_BARE_LF : HTTP1_REJECT_CHUNK_EXTENSION);
        c->state = next;
        return 0;
}

static int size_end(struct http1_chunked *c, char b) {
        if (b != '\n')
                return refuse(c, HTTP1_REJECT_BARE_CR);
        c->state = c->left > 0 ? DATA : TRAILER_START;
        return 0;
}

/* ── trailers ───────────────────────────────────────────────────────────── */

/*
 * RFC 9110 6.5.1: not framing, routing, request modifiers, authentication, response control or content format; and 6.5.2: what a
 * recipient merges must be known to be safe. Our table holds just such fields, but for two; the others go by their names.
 */
static bool may_be_trailer(struct str name) {
        static const struct str prefixes[] = {STR("content-"), STR("proxy-"), STR("x-forwarded-"), STR("access-control-")};
        static const struct str others[] = {STR("age"), STR("expires"), STR("pragma"), STR("retry-after"), STR("warning"),
                                            STR("www-authenticate"), STR("x-real-ip"), STR("origin"), STR("cookie2"),
                                            STR("set-cookie2"), STR("strict-transport-security")};
        enum http_field_id id = http_field_lookup(name);

        if (id != HTTP_FIELD_OTHER)
                return id == HTTP_FIELD_ETAG || id == HTTP_FIELD_DATE;
        if (str_ieq(name, STR("content-digest"))) /* RFC 9530 6.2 */
                return true;
        for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++)
                if (name.n >= prefixes[i].n && str_ieq((struct str){name.p, prefixes[i].n}, prefixes[i]))
                        return false;
        for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
                if (str_ieq(name, others[i]))
                        return false;
        return true;
}

/* The last line, which may be incomplete: refused as soon as something in it is wrong. */
static int judge_line(struct http1_chunked *c, const struct http1_limits *limits) {
        struct http1_cursor line = {c->trailer + c->trailer_line, c->trailer + c->trailer_n, HTTP1_REJECT_NONE};
        const char *start = line.p, *colon = memchr(start, ':', (size_t)(line.end - start));
        struct http_field f;
        int r = http1_field_line(&line, &f);

        if (r < 0 || c->n_trailers == limits->fields)
                return refuse(c, HTTP1_REJECT_TRAILER);
        if (colon && !may_be_trailer((struct str){start, (size_t)(colon - start)}))
                return refuse(c, HTTP1_REJECT_TRAILER);
        if (r == HTTP1_NEED_MORE)
                return 0;
        c->n_trailers++;
        c->trailer_line = c->trailer_n;
        c->state = TRAILER_START;
        return 0;
}

/* Copies up to the end of the line or of the input; returns the bytes used. */
static ssize_t trailer_bytes(struct http1_chunked *c, const char *p, size_t n, const struct http1_limits *limits) {
        const char *lf = memchr(p, '\n', n);
        size_t take = lf ? (size_t)(lf - p) + 1 : n;
        int r;

        if (!c->trailer) {
                c->trailer = malloc(MAX(limits->trailer, 1U));
                if (!c->trailer)
                        return -ENOMEM;
                c->trailer_cap = limits->trailer;
        }
        if (take > c->trailer_cap - c->trailer_n)
                return refuse(c, HTTP1_REJECT_TRAILER);
        memcpy(c->trailer + c->trailer_n, p, take);
        c->trailer_n += (uint32_t)take;
        r = judge_line(c, limits);
        return r < 0 ? r : (ssize_t)take;
}

/* ── the machine ────────────────────────────────────────────────────────── */

/* One byte outside of chunk data and trailer lines. */
static int take_byte(struct http1_chunked *c, char b, const struct http1_limits *limits) {
        switch ((enum state)c->state) {
        case SIZE:
                return size_byte(c, b, limits);
        case SIZE_LF:
                return size_end(c, b);
        case DATA_CR:
                if (b != '\r')
                        return refuse(c, HTTP1_REJECT_CHUNK_END);
                c->state = DATA_LF;
                return 0;
        case DATA_LF:
                if (b != '\n')
                        return refuse(c, HTTP1_REJECT_CHUNK_END);
                c->state = SIZE;
                c->digits = 0;
                c->ext = 0;
                return 0;
        case TRAILER_END:
                if (b != '\n')
                        return refuse(c, HTTP1_REJECT_TRAILER);
                c->state = END;
                return 0;
        default:
                return ext_byte(c, b, limits);
        }
}

ssize_t http1_chunked_feed(struct http1_chunked *c, const char *p, size_t n, const struct http1_limits *limits,
                           enum http1_chunk_event *ret_event, struct str *ret_data, enum http1_reject *ret_why) {
        size_t i = 0;
        ssize_t r = 0;

        *ret_event = HTTP1_CHUNK_MORE;
        while (i < n && c->state != END && c->state != FAILED) {
                if (c->state == DATA) {
                        *ret_data = (struct str){p + i, MIN(n - i, c->left)};
                        c->left -= ret_data->n;
                        if (c->left == 0)
                                c->state = DATA_CR;
                        *ret_event = HTTP1_CHUNK_DATA;
                        return (ssize_t)(i + ret_data->n);
                }
                if (c->state == TRAILER_START) {
                        c->state = p[i] == '\r' ? TRAILER_END : TRAILER_LINE;
                        r = p[i] == '\r';
                } else if (c->state == TRAILER_LINE) {
                        r = trailer_bytes(c, p + i, n - i, limits);
                } else {
                        r = take_byte(c, p[i], limits) < 0 ? -EBADMSG : 1;
                }
                if (r < 0 && r != -EBADMSG)
                        return r;
                if (r > 0)
                        i += (size_t)r;
        }
        if (c->state == FAILED) {
                *ret_why = c->why;
                return -EBADMSG;
        }
        if (c->state == END)
                *ret_event = HTTP1_CHUNK_END;
        return (ssize_t)i;
}

int http1_chunked_trailers(const struct http1_chunked *c, struct http_fields *ret) {
        struct http1_cursor lines;

        ret->n = 0;
        if (!c->trailer)
                return 0;
        lines = (struct http1_cursor){c->trailer, c->trailer + c->trailer_n, HTTP1_REJECT_NONE};
        while (lines.p < lines.end) {
                if (ret->n == ret->max)
                        return -ENOSPC;
                (void)http1_field_line(&lines, &ret->v[ret->n]); /* was judged when it came in */
                ret->n++;
        }
        return 0;
}

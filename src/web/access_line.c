/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The fields and their order are in docs; keys whose value is not there are left out, numbers are always
 * there. The room is checked once, by the caller, for the longest line that can be; nothing here looks at it
 * again.
 */

#include "web/access_line.h"

#include <assert.h>

#include "web/exchange.h"
#include "web/request_id.h"
#include "web/site.h"

_Static_assert(ACCESS_LINE_MAX >=
                       ACCESS_ESCAPED_MAX(ACCESS_PATH_MAX + ACCESS_QUERY_MAX + ACCESS_AGENT_MAX +
                                          ACCESS_REFERER_MAX + 9 * ACCESS_NAME_MAX + ADDR_TEXT_MAX),
               "the longest line fits: eight names, and one more for keys and numbers");

/* ── escaping ──────────────────────────────────────────────────────────── */

/* Eight bytes at a time: whether any is a control character, quote, backslash or not ASCII. Exact about
 * "any", not about which. */
static bool any_special(uint64_t w) {
        const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
        uint64_t quote = w ^ ones * '"', backslash = w ^ ones * '\\', del = w ^ ones * 0x7f;
        /* x - 1 borrows through the high bit of a byte only if the byte was 0; w - 0x20 likewise if it was
         * below 0x20. False alarms come only above a true one, and bytes with the high bit set are special
         * anyway. */
        uint64_t t = (w - ones * 0x20) | (quote - ones) | (backslash - ones) | (del - ones) | w;

        return t & high;
}

static bool is_continuation(unsigned char c) {
        return (c & 0xc0) == 0x80;
}

/* Bytes of the valid UTF-8 sequence at p (RFC 3629: shortest form, no surrogates, up to U+10FFFF); 0: there
 * is none. p[0] >= 0x80. */
static size_t utf8_sequence(const unsigned char *p, size_t n) {
        if (p[0] >= 0xc2 && p[0] <= 0xdf)
                return n >= 2 && is_continuation(p[1]) ? 2 : 0;
        if (p[0] >= 0xe0 && p[0] <= 0xef) {
                unsigned char low = p[0] == 0xe0 ? 0xa0 : 0x80, high = p[0] == 0xed ? 0x9f : 0xbf;

                return n >= 3 && p[1] >= low && p[1] <= high && is_continuation(p[2]) ? 3 : 0;
        }
        if (p[0] >= 0xf0 && p[0] <= 0xf4) {
                unsigned char low = p[0] == 0xf0 ? 0x90 : 0x80, high = p[0] == 0xf4 ? 0x8f : 0xbf;

                return n >= 4 && p[1] >= low && p[1] <= high && is_continuation(p[2]) && is_continuation(p[3])
                               ? 4
                               : 0;
        }
        return 0;
}

static char *put_unicode(char *out, unsigned char c) {
        static const char hex[] = "0123456789abcdef";

        memcpy(out, "\\u00", 4);
        out[4] = hex[c >> 4];
        out[5] = hex[c & 15];
        return out + 6;
}

static char *put_special(char *out, const unsigned char *p, size_t n, size_t *ret_used) {
        size_t len;

        *ret_used = 1;
        if (p[0] == '"' || p[0] == '\\') {
                *out++ = '\\';
                *out++ = (char)p[0];
                return out;
        }
        if (p[0] < 0x80)
                return put_unicode(out, p[0]);
        len = utf8_sequence(p, n);
        if (len == 0) {
                memcpy(out, "\xef\xbf\xbd", 3);
                return out + 3;
        }
        *ret_used = len;
        if (p[0] == 0xc2 && p[1] < 0xa0) /* C1: some terminals obey these too */
                return put_unicode(out, p[1]);
        memcpy(out, p, len);
        return out + len;
}

char *access_escape(char *out, struct str s) {
        const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;

        while (p < end) {
                size_t used;

                while (end - p >= 8) {
                        uint64_t w;

                        memcpy(&w, p, 8);
                        if (any_special(w))
                                break;
                        memcpy(out, &w, 8);
                        out += 8;
                        p += 8;
                }
                /* up to and with the next special byte, at most a word's worth */
                for (int i = 0; i < 8 && p < end; i++, p += used) {
                        if (*p >= 0x20 && *p < 0x7f && *p != '"' && *p != '\\') {
                                *out++ = (char)*p;
                                used = 1;
                        } else
                                out = put_special(out, p, (size_t)(end - p), &used);
                }
        }
        return out;
}

/* ── pieces ────────────────────────────────────────────────────────────── */

#define PUT(out, literal) ((char *)memcpy((out), "" literal, sizeof(literal) - 1) + sizeof(literal) - 1)

static char *put_cut(char *out, struct str s, size_t max) {
        out = access_escape(out, (struct str){s.p, MIN(s.n, max)});
        return s.n > max ? PUT(out, "\u2026") : out;
}

static char *put_u64(char *out, uint64_t v) {
        return out + format_u64(out, v);
}

static char *put_digits(char *out, unsigned v, unsigned n) {
        for (unsigned i = n; i-- > 0; v /= 10)
                out[i] = (char)('0' + v % 10);
        return out + n;
}

/* Milliseconds with three places: what a file costs is microseconds. */
static char *put_ms(char *out, nsec_t d) {
        uint64_t us = d / NSEC_PER_USEC;

        out = put_u64(out, us / 1000);
        *out++ = '.';
        return put_digits(out, (unsigned)(us % 1000), 3);
}

static char *put_time(char *out, struct access_clock *c, nsec_t wall) {
        uint64_t second = wall / NSEC_PER_SEC;

        if (second != c->second) {
                time_t t = (time_t)second;
                struct tm tm = {0};
                char *p = c->text;

                (void)gmtime_r(&t, &tm); /* fails for years that do not fit an int */
                p = put_digits(p, (unsigned)tm.tm_year + 1900, 4);
                *p++ = '-';
                p = put_digits(p, (unsigned)tm.tm_mon + 1, 2);
                *p++ = '-';
                p = put_digits(p, (unsigned)tm.tm_mday, 2);
                *p++ = 'T';
                p = put_digits(p, (unsigned)tm.tm_hour, 2);
                *p++ = ':';
                p = put_digits(p, (unsigned)tm.tm_min, 2);
                *p++ = ':';
                p = put_digits(p, (unsigned)tm.tm_sec, 2);
                *p++ = '.';
                c->second = second;
        }
        memcpy(out, c->text, sizeof(c->text));
        out = put_digits(out + sizeof(c->text), (unsigned)(wall % NSEC_PER_SEC / NSEC_PER_MSEC), 3);
        *out++ = 'Z';
        return out;
}

static struct str end_text(enum exchange_end end) {
        static const struct str texts[] = {
#define X(name, text) {text, sizeof(text) - 1},
                EXCHANGE_ENDS(X)
#undef X
        };

        assert(end < EXCHANGE_N_ENDS);
        return texts[end];
}

static char *put_client(char *out, const struct exchange *x) {
        char text[ADDR_TEXT_MAX];

        out = PUT(out, ",\"client\":\"");
        if (x->client_text.n > 0)
                out = access_escape(out, x->client_text);
        else if (x->client)
                out = access_escape(out, (struct str){text, addr_format_host(x->client, text)});
        *out++ = '"';
        return out;
}

/* ,"key":"value" where there is a value. */
#define PUT_TEXT(out, key, value, max)                                  \
        ({                                                              \
                struct str put_v_ = (value);                            \
                char *put_o_ = (out);                                   \
                                                                        \
                if (put_v_.n > 0) {                                     \
                        put_o_ = PUT(put_o_, ",\"" key "\":\"");        \
                        put_o_ = put_cut(put_o_, put_v_, max);          \
                        *put_o_++ = '"';                                \
                }                                                       \
                put_o_;                                                 \
        })

#define PUT_NUMBER(out, key, value) put_u64(PUT(out, ",\"" key "\":"), value)

static struct str field(const struct exchange *x, enum http_field_id id) {
        const struct http_field *f = http_fields_find(&x->req.fields, id);

        return f ? f->value : (struct str){0};
}

static nsec_t between(nsec_t from, nsec_t to) {
        return to > from ? to - from : 0;
}

/* Each is the time that the step took by itself; a step that was not reached is left out. */
static char *put_timers(char *out, const struct exchange *x, nsec_t now) {
        out = put_ms(PUT(out, ",\"ms\":{\"wait\":"), between(x->at_begin, x->at_head));
        if (x->at_connect)
                out = put_ms(PUT(out, ",\"connect\":"), between(x->at_head, x->at_connect));
        if (x->at_first_byte)
                out = put_ms(PUT(out, ",\"first_byte\":"),
                             between(x->at_connect ? x->at_connect : x->at_head, x->at_first_byte));
        out = put_ms(PUT(out, ",\"total\":"), between(x->at_begin, now));
        *out++ = '}';
        return out;
}

static char *put_request(char *out, const struct exchange *x) {
        out = x->req.minor == 0 ? PUT(out, ",\"proto\":\"h1.0\"") : PUT(out, ",\"proto\":\"h1\"");
        out = PUT_TEXT(out, "method", x->req.method_text, ACCESS_NAME_MAX);
        out = PUT_TEXT(out, "host", x->req.host, ACCESS_NAME_MAX);
        out = PUT_TEXT(out, "path", x->req.path, ACCESS_PATH_MAX);
        return PUT_TEXT(out, "query", x->req.query, ACCESS_QUERY_MAX);
}

static char *put_work(char *out, const struct exchange *x) {
        if (x->route)
                out = PUT_TEXT(out, "route", x->route->path, ACCESS_NAME_MAX);
        if (x->farm.n == 0)
                return out;
        out = PUT_TEXT(out, "farm", x->farm, ACCESS_NAME_MAX);
        out = PUT_TEXT(out, "server", x->server, ACCESS_NAME_MAX);
        return PUT_NUMBER(out, "retries", x->retries);
}

size_t access_line_format(char *out, struct access_clock *clock, struct str node, const struct exchange *x,
                          nsec_t now, nsec_t wall) {
        char *p = out;

        p = put_time(PUT(p, "{\"time\":\""), clock, wall - between(x->at_begin, now));
        p = PUT(p, "\",\"id\":\"");
        request_id_format(p, x->id);
        p += REQUEST_ID_LEN;
        *p++ = '"';
        p = PUT_TEXT(p, "node", node, ACCESS_NAME_MAX);
        if (x->site)
                p = PUT_TEXT(p, "site", x->site->name, ACCESS_NAME_MAX);
        p = put_client(p, x);
        p = put_request(p, x);
        p = PUT_NUMBER(p, "status", x->status);
        p = PUT_NUMBER(p, "bytes_in", x->bytes_in);
        p = PUT_NUMBER(p, "bytes_out", x->bytes_out);
        p = put_work(p, x);
        p = put_timers(p, x, now);
        p = PUT_TEXT(p, "end", end_text(x->end), ACCESS_NAME_MAX);
        p = PUT_TEXT(p, "why", str_of(x->why), ACCESS_NAME_MAX);
        p = PUT_TEXT(p, "agent", field(x, HTTP_FIELD_USER_AGENT), ACCESS_AGENT_MAX);
        p = PUT_TEXT(p, "referer", field(x, HTTP_FIELD_REFERER), ACCESS_REFERER_MAX);
        p = PUT(p, "}\n");
        assert((size_t)(p - out) <= ACCESS_LINE_MAX);
        return (size_t)(p - out);
}

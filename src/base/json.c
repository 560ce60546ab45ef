/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>
#include <math.h>

/* Comma and colon in front of a value. */
static void begin_value(struct json *j) {
        uint64_t bit = (uint64_t)1 << j->depth;

        if (j->after_key) {
                j->after_key = false;
                return;
        }
        if (j->depth > 0 && (j->filled & bit))
                strbuf_add_char(j->out, ',');
        j->filled |= bit;
}

static void container_begin(struct json *j, char bracket) {
        begin_value(j);
        strbuf_add_char(j->out, bracket);
        assert(j->depth < JSON_DEPTH_MAX);
        j->depth++;
        j->filled &= ~((uint64_t)1 << j->depth);
}

static void container_end(struct json *j, char bracket) {
        assert(j->depth > 0 && !j->after_key);
        j->depth--;
        strbuf_add_char(j->out, bracket);
}

void json_object_begin(struct json *j) {
        container_begin(j, '{');
}

void json_object_end(struct json *j) {
        container_end(j, '}');
}

void json_array_begin(struct json *j) {
        container_begin(j, '[');
}

void json_array_end(struct json *j) {
        container_end(j, ']');
}

/* Length of the UTF-8 sequence at p (RFC 3629: no overlong forms, no surrogates), 0 when there is none. */
static size_t utf8_length(const unsigned char *p, size_t n) {
        size_t len;
        unsigned char lo = 0x80, hi = 0xbf;

        if (p[0] < 0x80)
                return 1;
        if (p[0] >= 0xc2 && p[0] <= 0xdf) {
                len = 2;
        } else if (p[0] >= 0xe0 && p[0] <= 0xef) {
                len = 3;
                lo = p[0] == 0xe0 ? 0xa0 : 0x80;
                hi = p[0] == 0xed ? 0x9f : 0xbf;
        } else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
                len = 4;
                lo = p[0] == 0xf0 ? 0x90 : 0x80;
                hi = p[0] == 0xf4 ? 0x8f : 0xbf;
        } else {
                return 0;
        }
        if (n < len || p[1] < lo || p[1] > hi)
                return 0;
        for (size_t i = 2; i < len; i++)
                if (p[i] < 0x80 || p[i] > 0xbf)
                        return 0;
        return len;
}

static void escape_control(struct strbuf *out, unsigned char c) {
        switch (c) {
        case '\n':
                strbuf_add_z(out, "\\n");
                break;
        case '\r':
                strbuf_add_z(out, "\\r");
                break;
        case '\t':
                strbuf_add_z(out, "\\t");
                break;
        default:
                strbuf_addf(out, "\\u%04x", c);
        }
}

void json_escape(struct strbuf *out, struct str s) {
        const unsigned char *p = (const unsigned char *)s.p;
        size_t plain = 0; /* bytes in front of i that go as they are */

        for (size_t i = 0; i < s.n;) {
                size_t len = utf8_length(p + i, s.n - i);

                if (len > 1 || (len == 1 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f)) {
                        plain += len;
                        i += len;
                        continue;
                }
                strbuf_add(out, p + i - plain, plain);
                plain = 0;
                if (len == 0)
                        strbuf_add_z(out, "\xef\xbf\xbd");
                else if (p[i] == '"' || p[i] == '\\')
                        strbuf_add(out, (char[]){'\\', (char)p[i]}, 2);
                else
                        escape_control(out, p[i]);
                i++;
        }
        if (plain > 0)
                strbuf_add(out, p + s.n - plain, plain);
}

static void quoted(struct json *j, struct str s) {
        strbuf_add_char(j->out, '"');
        json_escape(j->out, s);
        strbuf_add_char(j->out, '"');
}

void json_key_str(struct json *j, struct str key) {
        assert(j->depth > 0 && !j->after_key);
        begin_value(j);
        quoted(j, key);
        strbuf_add_char(j->out, ':');
        j->after_key = true;
}

void json_key(struct json *j, const char *key) {
        json_key_str(j, str_of(key));
}

void json_str(struct json *j, struct str s) {
        begin_value(j);
        quoted(j, s);
}

void json_z(struct json *j, const char *z) {
        if (z)
                json_str(j, str_of(z));
        else
                json_put_null(j);
}

void json_u64(struct json *j, uint64_t v) {
        begin_value(j);
        strbuf_add_u64(j->out, v);
}

void json_i64(struct json *j, int64_t v) {
        begin_value(j);
        if (v < 0)
                strbuf_add_char(j->out, '-');
        strbuf_add_u64(j->out, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void json_double(struct json *j, double v, unsigned digits) {
        if (!isfinite(v)) {
                json_put_null(j);
                return;
        }
        begin_value(j);
        strbuf_addf(j->out, "%.*f", (int)digits, v);
}

void json_bool(struct json *j, bool v) {
        begin_value(j);
        strbuf_add_z(j->out, v ? "true" : "false");
}

void json_put_null(struct json *j) {
        begin_value(j);
        strbuf_add_z(j->out, "null");
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The path of a request, as it was received. What http_path_normalize() and http_path_decode() make of it, one after the other, is
 * what a slow model makes of it in one go: a list of decoded segments.
 */

#include <errno.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "web/http/chars.h"
#include "web/http/path.h"
#include "fuzz.h"

enum {
        SEGMENTS_MAX = 4096,
};

struct model {
        char *bytes;                       /* of all segments, decoded */
        struct str segments[SEGMENTS_MAX];
        unsigned n;
        bool directory; /* ends with a slash */
};

/* Decodes the segment at raw[i]; false when an escape is broken. */
static bool decode_segment(struct str raw, size_t *i, char *out, struct str *ret) {
        size_t n = 0;

        while (*i < raw.n && raw.p[*i] != '/') {
                char c = raw.p[(*i)++];

                if (c == '%') {
                        if (raw.n - *i < 2 || !http_char_is(raw.p[*i], HTTP_CHAR_HEX) || !http_char_is(raw.p[*i + 1], HTTP_CHAR_HEX))
                                return false;
                        c = (char)(http_hex_value(raw.p[*i]) << 4 | http_hex_value(raw.p[*i + 1]));
                        *i += 2;
                }
                out[n++] = c;
        }
        *ret = (struct str){out, n};
        return true;
}

/* False: the path is to be refused. Empty segments count, since ".." removes them, too. */
static bool model_read(struct model *m, struct str raw) {
        size_t used = 0;

        if (raw.n == 0 || raw.p[0] != '/')
                return false;
        for (size_t i = 0; i < raw.n;) {
                struct str s;

                i++;
                if (!decode_segment(raw, &i, m->bytes + used, &s))
                        return false;
                used += s.n;
                m->directory = s.n == 0 || str_eq(s, STR(".")) || str_eq(s, STR(".."));
                if (str_eq(s, STR("..")) && m->n-- == 0)
                        return false;
                if (!str_eq(s, STR(".")) && !str_eq(s, STR("..")))
                        m->segments[m->n++] = s;
        }
        return true;
}

/* The file name, or false when one of the segments cannot be part of one. */
static bool model_write(const struct model *m, struct strbuf *out) {
        for (unsigned i = 0; i < m->n; i++) {
                struct str s = m->segments[i];

                for (size_t k = 0; k < s.n; k++)
                        if (s.p[k] == '/' || (unsigned char)s.p[k] < 0x20 || s.p[k] == 0x7f)
                                return false;
                if (s.n > 0) {
                        strbuf_add_char(out, '/');
                        strbuf_add_str(out, s);
                }
        }
        if (m->directory || out->n == 0)
                strbuf_add_char(out, '/');
        return true;
}

static void check_normal(struct str raw, struct str normal) {
        CLEANUP(freep) char *out = malloc(normal.n + 1);
        struct str again;

        CHECK(out && normal.n > 0 && normal.n <= raw.n && normal.p[0] == '/');
        CHECK(http_path_normalize(normal, out, &again) == 0 && str_eq(again, normal));
        for (size_t i = 0; i < normal.n; i++)
                if (normal.p[i] == '%')
                        CHECK(normal.n - i >= 3 && normal.p[i + 1] < 'a' && normal.p[i + 2] < 'a');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        struct str raw = {(const char *)data, n}, normal = {NULL, 0}, file = {NULL, 0};
        CLEANUP(freep) char *out = malloc(n ? n : 1), *out2 = malloc(n ? n : 1), *bytes = malloc(n + 1); /* exact: ASan looks on */
        CLEANUP(strbuf_deinit) struct strbuf expected = STRBUF_INIT;
        static struct model m;
        bool good;

        if (n == 0 || n > SEGMENTS_MAX)
                return 0;
        CHECK(out && out2 && bytes);
        if (str_eq(raw, STR("*"))) {
                CHECK(http_path_normalize(raw, out, &normal) == 0 && str_eq(raw, normal));
                return 0;
        }
        m.bytes = bytes;
        m.n = 0;
        good = model_read(&m, raw);
        CHECK(http_path_normalize(raw, out, &normal) == (good ? 0 : -EBADMSG));
        if (!good)
                return 0;
        check_normal(raw, normal);
        good = model_write(&m, &expected);
        CHECK(http_path_decode(normal, out2, &file) == (good ? 0 : -EBADMSG));
        if (good)
                CHECK(str_eq(file, (struct str){expected.p, expected.n}));
        return 0;
}

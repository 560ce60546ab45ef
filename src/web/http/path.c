/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http/path.h"

#include <errno.h>
#include <sys/types.h>

#include "web/http/chars.h"

static bool is_escape(struct str s, size_t i) {
        return s.n - i >= 3 && http_char_is(s.p[i + 1], HTTP_CHAR_HEX) && http_char_is(s.p[i + 2], HTTP_CHAR_HEX);
}

static char escaped_byte(const char *p) {
        return (char)(http_hex_value(p[1]) << 4 | http_hex_value(p[2]));
}

/* Nothing to decode and no segment that begins with a dot: most paths. */
static bool is_normal(struct str s) {
        if (memchr(s.p, '%', s.n))
                return false;
        for (const char *p = s.p; (p = memchr(p, '/', (size_t)(s.p + s.n - p))); p++)
                if (p + 1 < s.p + s.n && p[1] == '.')
                        return false;
        return true;
}

/* Copies one segment from raw[*i] to out, normalised. Returns its length, or -EBADMSG. */
static ssize_t copy_segment(struct str raw, size_t *i, char *out) {
        static const char digits[] = "0123456789ABCDEF";
        size_t n = 0;

        while (*i < raw.n && raw.p[*i] != '/') {
                if (raw.p[*i] != '%') {
                        out[n++] = raw.p[(*i)++];
                        continue;
                }
                if (!is_escape(raw, *i))
                        return -EBADMSG;
                if (http_char_is(escaped_byte(raw.p + *i), HTTP_CHAR_HOST)) { /* unreserved */
                        out[n++] = escaped_byte(raw.p + *i);
                } else {
                        out[n++] = '%';
                        out[n++] = digits[http_hex_value(raw.p[*i + 1])];
                        out[n++] = digits[http_hex_value(raw.p[*i + 2])];
                }
                *i += 3;
        }
        return (ssize_t)n;
}

/* RFC 3986 5.2.4, but that climbing above the root is an error. `n` counts what is in out: whole segments, each with its slash. */
static int remove_dots(struct str raw, char *out, struct str *ret) {
        size_t n = 0, i = 0;

        while (i < raw.n) {
                const char *segment = out + n + 1;
                ssize_t length;
                bool dots;

                i++; /* the slash */
                length = copy_segment(raw, &i, out + n + 1);
                if (length < 0)
                        return (int)length;
                out[n] = '/';
                dots = (length == 1 && segment[0] == '.') || (length == 2 && segment[0] == '.' && segment[1] == '.');
                if (!dots) {
                        n += 1 + (size_t)length;
                        continue;
                }
                if (length == 2) {
                        if (n == 0)
                                return -EBADMSG;
                        do
                                n--;
                        while (out[n] != '/');
                }
                if (i == raw.n) /* a directory was meant */
                        out[n++] = '/';
        }
        *ret = (struct str){out, n};
        return 0;
}

int http_path_normalize(struct str raw, char *out, struct str *ret) {
        if (str_eq(raw, STR("*"))) {
                *ret = raw;
                return 0;
        }
        if (raw.n == 0 || raw.p[0] != '/')
                return -EBADMSG;
        if (is_normal(raw)) {
                *ret = raw;
                return 0;
        }
        return remove_dots(raw, out, ret);
}

int http_path_decode(struct str path, char *out, struct str *ret) {
        size_t n = 0;

        for (size_t i = 0; i < path.n; i++) {
                char c = path.p[i];

                if (c == '/' && n > 0 && out[n - 1] == '/')
                        continue;
                if (c == '%') {
                        if (!is_escape(path, i))
                                return -EBADMSG;
                        c = escaped_byte(path.p + i);
                        if (c == '/')
                                return -EBADMSG;
                        i += 2;
                }
                if ((unsigned char)c < 0x20 || c == 0x7f)
                        return -EBADMSG;
                out[n++] = c;
        }
        *ret = (struct str){out, n};
        return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A look at the bytes before libyaml sees them. It finds what cannot be in a configuration, with the exact
 * place, and it makes sure that "line" means the same to libyaml, to our excerpts and to editors: libyaml
 * also breaks lines at a lone CR and at the Unicode line ends U+0085, U+2028 and U+2029, which are refused
 * here.
 */

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

#include "config/internal.h"

struct scanner {
        struct diag_list *diags;
        struct str text;
        size_t pos;
        struct conf_mark mark;
};

static int refuse(struct scanner *s, const char *what, const char *hint) {
        struct conf_mark end = s->mark;
        struct diag *d;

        end.column++;
        d = diag_add(s->diags, DIAG_E102, s->mark, end, "%s", what);
        diag_hint(s->diags, d, "%s", hint);
        return -EBADMSG;
}

/* Length of the character at pos and the character; 0: no UTF-8 (RFC 3629). */
static size_t decode(const struct scanner *s, uint32_t *ret) {
        const unsigned char *p = (const unsigned char *)s->text.p + s->pos;
        size_t left = s->text.n - s->pos, len;
        uint32_t c;

        if (p[0] < 0x80) {
                *ret = p[0];
                return 1;
        }
        len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
        if (p[0] < 0xc2 || p[0] > 0xf4 || left < len)
                return 0;
        c = p[0] & (0x7fu >> len);
        for (size_t i = 1; i < len; i++) {
                if ((p[i] & 0xc0) != 0x80)
                        return 0;
                c = c << 6 | (p[i] & 0x3fu);
        }
        if ((len == 3 && c < 0x800) || (len == 4 && c < 0x10000) || (c >= 0xd800 && c < 0xe000) ||
            c > 0x10ffff)
                return 0;
        *ret = c;
        return len;
}

static int scan_char(struct scanner *s) {
        char what[96];
        uint32_t c;
        size_t len = decode(s, &c);

        if (len == 0) {
                (void)snprintf(what, sizeof(what), "the byte 0x%02x is not UTF-8 text",
                               (unsigned char)s->text.p[s->pos]);
                return refuse(s, what, "save the file as UTF-8");
        }
        if (c == '\n') {
                s->mark.line++;
                s->mark.column = 0;
        } else if (c == '\r' && (s->pos + 1 == s->text.n || s->text.p[s->pos + 1] != '\n')) {
                return refuse(s, "a carriage return stands alone", "lines end with LF or CR LF");
        } else if ((c < 0x20 && c != '\t' && c != '\r') || (c >= 0x7f && c < 0xa0)) {
                (void)snprintf(what, sizeof(what), "the control character U+%04X cannot be in the file", c);
                return refuse(s, what, "remove it; in double quotes it can be written as an escape");
        } else if (c == 0x2028 || c == 0x2029) {
                (void)snprintf(what, sizeof(what), "the line separator U+%04X cannot be in the file", c);
                return refuse(s, what, "use an ordinary line end");
        } else if (c == 0xfeff || c == 0xfffe || c == 0xffff) {
                (void)snprintf(what, sizeof(what), "the character U+%04X cannot be in the file", c);
                return refuse(s, what, "remove it");
        }
        s->mark.column++;
        s->pos += len;
        return 0;
}

static bool is_blank(struct str text) {
        for (size_t i = 0; i < text.n; i++)
                if (!strchr(" \t\r\n", text.p[i]))
                        return false;
        return true;
}

int scan_text(struct diag_list *diags, unsigned file, struct conf_mark *ret_end) {
        struct scanner s = {.diags = diags, .text = diags->sources[file].text, .mark = {1, 1, file}};
        struct conf_mark whole = {0, 0, file};
        struct diag *d;
        int r;

        if (s.text.n > CONFIG_MAX_SIZE) {
                (void)diag_add(diags, DIAG_E112, whole, whole, "the file is larger than %u MiB",
                               CONFIG_MAX_SIZE >> 20);
                return -EBADMSG;
        }
        if (s.text.n >= 2 && (memcmp(s.text.p, "\xff\xfe", 2) == 0 || memcmp(s.text.p, "\xfe\xff", 2) == 0)) {
                d = diag_add(diags, DIAG_E102, whole, whole, "the file is UTF-16 text");
                diag_hint(diags, d, "save it as UTF-8");
                return -EBADMSG;
        }
        if (s.text.n >= 3 && memcmp(s.text.p, "\xef\xbb\xbf", 3) == 0)
                s.pos = 3; /* a byte order mark says what we know, and takes no column */
        if (is_blank((struct str){s.text.p + s.pos, s.text.n - s.pos})) {
                d = diag_add(diags, DIAG_E101, whole, whole, "the file is empty");
                diag_hint(diags, d, "the smallest one: version: 1, and a site under `sites:`");
                return -EBADMSG;
        }
        while (s.pos < s.text.n) {
                r = scan_char(&s);
                if (r < 0)
                        return r;
        }
        *ret_end = s.mark;
        return 0;
}

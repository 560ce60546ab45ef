/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What a server answers to a health check. Invariants: the status does not depend on how the bytes arrive; it is what a simple
 * reader of whole lines finds; nothing is read behind the status line.
 */

#include "base/cleanup.h"
#include "base/str.h"
#include "farm/probe.h"
#include "fuzz.h"

/* Takes the line in front, without its end; false when it has none yet. */
static bool take_line(struct str *s, struct str *ret) {
        const char *end = s->n > 1 ? memmem(s->p, s->n, "\r\n", 2) : NULL;

        if (!end)
                return false;
        *ret = (struct str){s->p, (size_t)(end - s->p)};
        s->n -= ret->n + 2;
        s->p = end + 2;
        return true;
}

static bool is_digit(char c, char first, char last) {
        return c >= first && c <= last;
}

/* The status of a whole line, 0 when it is none. */
static unsigned status_of(struct str line) {
        const char *p = line.p;

        if (line.n < 12 || !str_starts(line, STR("HTTP/1.")) || !is_digit(p[7], '0', '1') || p[8] != ' ' ||
            !is_digit(p[9], '1', '5') || !is_digit(p[10], '0', '9') || !is_digit(p[11], '0', '9') || (line.n > 12 && p[12] != ' '))
                return 0;
        for (size_t i = 12; i < line.n; i++)
                if ((p[i] < 0x20 && p[i] != '\t' && p[i] >= 0) || p[i] == 0x7f)
                        return 0;
        return (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + p[11] - '0');
}

/* The final status in complete text; 0 when it does not hold one. */
static unsigned model(struct str text) {
        struct str line;

        while (take_line(&text, &line)) {
                unsigned status = status_of(line);

                if (status == 0 || status == 101 || status >= 200)
                        return status;
                do
                        if (!take_line(&text, &line) || (line.n > 0 && (memchr(line.p, '\r', line.n) || memchr(line.p, '\n', line.n))))
                                return 0;
                while (line.n > 0);
        }
        return 0;
}

static struct status_line feed(struct str s, size_t step) {
        struct status_line l = {0};

        for (size_t i = 0; i < s.n; i += step) {
                size_t piece = MIN(step, s.n - i);
                CLEANUP(freep) char *copy = malloc(piece); /* ASan looks on */

                CHECK(copy);
                memcpy(copy, s.p + i, piece);
                status_line_feed(&l, copy, piece);
        }
        return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        struct status_line whole, other;
        unsigned status;

        strbuf_add(&text, data, n);
        if (n == 0)
                return 0;
        whole = feed((struct str){text.p, n}, n);
        for (size_t step = 1; step < 4; step++) {
                other = feed((struct str){text.p, n}, step);
                CHECK(other.state == whole.state && other.total == whole.total && other.status == whole.status);
        }
        CHECK(whole.total <= n);
        status = model((struct str){text.p, n});
        if (whole.state == STATUS_DONE) {
                CHECK(whole.status == 101 || (whole.status >= 200 && whole.status <= 599));
                CHECK(text.p[whole.total - 1] == '\n' && status == whole.status);
        } else if (n < 1000) { /* there are limits */
                CHECK(status == 0);
        }
        return 0;
}

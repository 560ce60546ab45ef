/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "web/http1/head.h"
#include "web/http1/scan.h"

static inline bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

/* SP 3DIGIT: 100 to 599. */
static int status_code(struct http1_cursor *c, uint16_t *ret) {
        size_t n = (size_t)(c->end - c->p);

        if ((n > 0 && c->p[0] != ' ') || (n > 1 && (c->p[1] < '1' || c->p[1] > '5')) || (n > 2 && !is_digit(c->p[2])) ||
            (n > 3 && !is_digit(c->p[3])))
                return http1_reject(c, HTTP1_REJECT_STATUS_LINE);
        if (n < 4)
                return HTTP1_NEED_MORE;
        *ret = (uint16_t)((c->p[1] - '0') * 100 + (c->p[2] - '0') * 10 + (c->p[3] - '0'));
        c->p += 4;
        return 1;
}

/*
 * [SP reason] CRLF. RFC 9112 4 asks for the space also before an empty reason; many servers leave it out, and nothing else can be
 * meant, so it may be absent.
 */
static int reason_phrase(struct http1_cursor *c, struct str *ret) {
        const char *start, *stop;

        *ret = (struct str){c->p, 0};
        if (c->p == c->end)
                return HTTP1_NEED_MORE;
        if (*c->p == ' ') {
                start = c->p + 1;
                stop = http1_scan->value(start, c->end);
                *ret = (struct str){start, (size_t)(stop - start)};
                c->p = stop;
        }
        return http1_line_end(c, HTTP1_REJECT_STATUS_LINE);
}

static int status_line(struct http1_cursor *c, struct http_response *s) {
        int r;

        r = http1_version(c, HTTP1_REJECT_STATUS_LINE, &s->minor);
        if (r > 0)
                r = status_code(c, &s->status);
        if (r > 0)
                r = reason_phrase(c, &s->reason);
        return r;
}

/* RFC 9112 6.3: what follows the head. */
static enum http_framing framing_of(const struct http1_head *h, enum http_method method, unsigned status) {
        if (h->bodyless || method == HTTP_HEAD || status == 304 || (method == HTTP_CONNECT && status / 100 == 2))
                return HTTP_BODY_NONE;
        if (h->chunked)
                return HTTP_BODY_CHUNKED;
        return h->length_seen ? HTTP_BODY_LENGTH : HTTP_BODY_CLOSE;
}

static int parse(struct http1_cursor *c, const struct http1_limits *limits, enum http_method method,
                 struct http_response *s) {
        struct http1_head h = {0};
        int r;

        r = status_line(c, s);
        if (r <= 0)
                return r;
        h.old = s->minor == 0;
        h.bodyless = s->status / 100 == 1 || s->status == 204; /* must not have either field: RFC 9110 8.6, RFC 9112 6.1 */
        h.zero_allowed = s->status == 204;                     /* seen in practice, and says the same */
        r = http1_field_section(c, &h, &s->fields, MIN(limits->fields, s->fields.max));
        if (r <= 0)
                return r;
        s->framing = framing_of(&h, method, s->status);
        s->content_length = h.content_length;
        s->has_content_length = h.length_seen;
        s->keep_alive = !h.close && (!h.old || h.keep_alive) && s->framing != HTTP_BODY_CLOSE;
        return 1;
}

ssize_t http1_parse_response(const char *p, size_t n, const struct http1_limits *limits, enum http_method method,
                             struct http_response *ret, enum http1_reject *ret_why) {
        struct http1_cursor c = {p, p + MIN(n, (size_t)limits->head), HTTP1_REJECT_NONE};
        int r = parse(&c, limits, method, ret);

        if (r > 0)
                return c.p - p;
        if (r == HTTP1_NEED_MORE && n < limits->head)
                return HTTP1_NEED_MORE;
        *ret_why = r == HTTP1_NEED_MORE ? HTTP1_REJECT_HEAD_TOO_LARGE : c.why;
        return -EBADMSG;
}

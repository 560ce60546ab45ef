/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "web/http/authority.h"
#include "web/http/chars.h"
#include "web/http1/head.h"
#include "web/http1/scan.h"

enum {
        MAX_METHOD = 64,
};

static int parse_method(struct http1_cursor *c, struct http_request *q) {
        const char *stop = http1_scan->token(c->p, c->p + MIN(c->end - c->p, (ptrdiff_t)MAX_METHOD + 1));
        size_t n = (size_t)(stop - c->p);

        if (n > MAX_METHOD)
                return http1_reject(c, HTTP1_REJECT_METHOD);
        if (stop == c->end)
                return HTTP1_NEED_MORE;
        if (*stop != ' ' || n == 0)
                return http1_reject(c, *stop == '\n'   ? HTTP1_REJECT_BARE_LF
                                       : *stop == '\r' ? HTTP1_REJECT_REQUEST_LINE
                                                       : HTTP1_REJECT_METHOD);
        q->method_text = (struct str){c->p, n};
        q->method = http_method_lookup(q->method_text);
        c->p = stop + 1;
        return 1;
}

/* Whether a target with this first byte can be of any form that goes with the method: garbage is not read to its end. */
static bool may_begin_target(enum http_method method, char first) {
        if (method == HTTP_CONNECT)
                return first == '[' || http_char_is(first, HTTP_CHAR_HOST);
        return first == '/' || (first | 0x20) == 'h' || (first == '*' && method == HTTP_OPTIONS);
}

/* The bytes of the target, up to the space behind it. */
static int scan_target(struct http1_cursor *c, struct http_request *q, uint32_t limit) {
        const char *stop = http1_scan->target(c->p, c->p + MIN(c->end - c->p, (ptrdiff_t)limit + 1));
        size_t n = (size_t)(stop - c->p);

        if (n > 0 && !may_begin_target(q->method, *c->p))
                return http1_reject(c, HTTP1_REJECT_TARGET);
        if (n > limit)
                return http1_reject(c, HTTP1_REJECT_LINE_TOO_LONG);
        if (stop == c->end)
                return HTTP1_NEED_MORE;
        if (*stop != ' ')
                return http1_reject(c, *stop == '\n'   ? HTTP1_REJECT_BARE_LF
                                       : *stop == '\r' ? HTTP1_REJECT_REQUEST_LINE /* HTTP/0.9 */
                                                       : HTTP1_REJECT_TARGET);
        if (n == 0)
                return http1_reject(c, HTTP1_REJECT_REQUEST_LINE);
        q->target = (struct str){c->p, n};
        c->p = stop + 1;
        return 1;
}

static void split_query(struct http_request *q, struct str s) {
        const char *mark = s.n > 0 ? memchr(s.p, '?', s.n) : NULL;

        q->path = s;
        q->query = (struct str){NULL, 0};
        if (mark) {
                q->path.n = (size_t)(mark - s.p);
                q->query = (struct str){mark + 1, s.n - q->path.n - 1};
        }
}

/* "http://" or "https://" in any case: its length, or 0. */
static size_t scheme_length(struct str s) {
        if (s.n > 7 && str_ieq((struct str){s.p, 7}, STR("http://")))
                return 7;
        if (s.n > 8 && str_ieq((struct str){s.p, 8}, STR("https://")))
                return 8;
        return 0;
}

/* RFC 9112 3.2.2 */
static int absolute_form(struct http1_cursor *c, struct http_request *q) {
        size_t n = scheme_length(q->target);
        struct str rest = {q->target.p + n, q->target.n - n};
        struct http_authority a;

        if (n == 0)
                return http1_reject(c, HTTP1_REJECT_TARGET);
        for (n = 0; n < rest.n && rest.p[n] != '/' && rest.p[n] != '?';)
                n++;
        q->authority = (struct str){rest.p, n};
        if (http_authority_parse(q->authority, &a) < 0)
                return http1_reject(c, HTTP1_REJECT_TARGET);
        q->host = a.host;
        split_query(q, (struct str){rest.p + n, rest.n - n});
        if (q->path.n == 0) /* the asterisk: RFC 9112 3.2.4 */
                q->path = q->method == HTTP_OPTIONS && !q->query.p ? STR("*") : STR("/");
        return 1;
}

/* RFC 9112 3.2.3: host and port, both. */
static int authority_form(struct http1_cursor *c, struct http_request *q) {
        struct http_authority a;

        if (http_authority_parse(q->target, &a) < 0 || !a.has_port)
                return http1_reject(c, HTTP1_REJECT_TARGET);
        q->authority = q->target;
        q->host = a.host;
        split_query(q, (struct str){q->target.p, 0});
        return 1;
}

static int split_target(struct http1_cursor *c, struct http_request *q) {
        q->authority = q->host = (struct str){NULL, 0};
        if (q->method == HTTP_CONNECT)
                return authority_form(c, q);
        if (q->target.p[0] == '/' || (q->method == HTTP_OPTIONS && str_eq(q->target, STR("*")))) {
                split_query(q, q->target);
                return 1;
        }
        return absolute_form(c, q);
}

static int request_line(struct http1_cursor *c, const struct http1_limits *limits, struct http_request *q) {
        int r;

        r = parse_method(c, q);
        if (r > 0)
                r = scan_target(c, q, limits->target);
        if (r > 0)
                r = split_target(c, q);
        if (r > 0)
                r = http1_version(c, HTTP1_REJECT_REQUEST_LINE, &q->minor);
        if (r > 0)
                r = http1_line_end(c, HTTP1_REJECT_REQUEST_LINE);
        return r;
}

/* What the head says as a whole, once it is complete. */
static int conclude(struct http1_cursor *c, const struct http1_head *h, struct http_request *q) {
        if (!h->host_seen && !h->old)
                return http1_reject(c, HTTP1_REJECT_HOST_MISSING);
        if (!h->host_given) {
                q->authority = h->host_text;
                q->host = h->host;
        }
        q->keep_alive = !h->close && (!h->old || h->keep_alive);
        q->expect_continue = h->expect_continue && !h->old;         /* RFC 9110 10.1.1 */
        q->upgrade = h->upgrade && h->upgrade_option && !h->old;    /* RFC 9110 7.8 */
        q->te_trailers = h->te_trailers;
        q->framing = h->chunked ? HTTP_BODY_CHUNKED : h->length_seen ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
        q->content_length = h->content_length;
        return 1;
}

static int parse(struct http1_cursor *c, const struct http1_limits *limits, struct http_request *q) {
        struct http1_head h = {.request = true, .zero_allowed = true};
        int r = 1;

        if (c->p < c->end && *c->p == '\r')
                r = http1_line_end(c, HTTP1_REJECT_REQUEST_LINE);
        if (r > 0)
                r = request_line(c, limits, q);
        if (r <= 0)
                return r;
        h.old = q->minor == 0;
        h.host_given = q->authority.p != NULL;
        h.bodyless = q->method == HTTP_CONNECT || q->method == HTTP_TRACE;
        r = http1_field_section(c, &h, &q->fields, MIN(limits->fields, q->fields.max));
        return r > 0 ? conclude(c, &h, q) : r;
}

ssize_t http1_parse_request(const char *p, size_t n, const struct http1_limits *limits, struct http_request *ret,
                            enum http1_reject *ret_why) {
        struct http1_cursor c = {p, p + MIN(n, (size_t)limits->head), HTTP1_REJECT_NONE};
        int r = parse(&c, limits, ret);

        if (r > 0)
                return c.p - p;
        if (r == HTTP1_NEED_MORE && n < limits->head)
                return HTTP1_NEED_MORE;
        *ret_why = r == HTTP1_NEED_MORE ? HTTP1_REJECT_HEAD_TOO_LARGE : c.why;
        return -EBADMSG;
}

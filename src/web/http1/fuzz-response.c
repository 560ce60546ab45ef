/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A response head and whatever follows it; the first byte chooses the method of the request: H HEAD, C CONNECT, others GET.
 * Invariants as in fuzz-request.c.
 */

#include <errno.h>

#include "web/http1/fuzz-common.h"

static const struct http1_limits limits = {.target = 200, .head = 1000, .fields = FUZZ_FIELDS, .trailer = 200, .chunk_ext = 32};

struct result {
        ssize_t r;
        enum http1_reject why;
        struct http_response s;
        struct http_field v[FUZZ_FIELDS];
};

static void parse(struct result *out, enum http_method method, const char *p, size_t n) {
        out->s = (struct http_response){.fields = {.v = out->v, .max = FUZZ_FIELDS}};
        out->why = HTTP1_REJECT_NONE;
        out->r = http1_parse_response(p, n, &limits, method, &out->s, &out->why);
        CHECK(out->r >= 0 ? (size_t)out->r <= n : out->r == -EBADMSG && out->why != HTTP1_REJECT_NONE);
}

static void check_accepted(const struct http_response *s, enum http_method method, const char *p, size_t n) {
        bool bodyless = s->status / 100 == 1 || s->status == 204 || s->status == 304 || method == HTTP_HEAD ||
                        (method == HTTP_CONNECT && s->status / 100 == 2);

        CHECK(s->minor <= 1 && s->status >= 100 && s->status <= 599);
        CHECK(is_inside(s->reason, p, n) && all_are(s->reason, HTTP_CHAR_VALUE));
        CHECK(bodyless == (s->framing == HTTP_BODY_NONE));
        CHECK(!s->keep_alive || s->framing != HTTP_BODY_CLOSE);
        CHECK(s->has_content_length ? s->content_length <= INT64_MAX : s->content_length == 0);
        check_fields(&s->fields, p, n);
}

static bool same(const struct result *a, const struct result *b) {
        if (a->r != b->r || a->why != b->why)
                return false;
        if (a->r <= 0)
                return true;
        return a->s.status == b->s.status && a->s.minor == b->s.minor && a->s.keep_alive == b->s.keep_alive &&
               a->s.framing == b->s.framing && a->s.content_length == b->s.content_length &&
               a->s.has_content_length == b->s.has_content_length && str_eq(a->s.reason, b->s.reason) &&
               same_fields(&a->s.fields, &b->s.fields);
}

static void check_prefix(const struct result *whole, enum http_method method, const char *p, size_t n) {
        const struct http1_scan *best = http1_scan;
        char *copy = copy_of(p, n);
        struct result part;

        http1_scan = &http1_scan_portable;
        parse(&part, method, copy, n);
        http1_scan = best;
        if (part.r == HTTP1_NEED_MORE)
                CHECK(whole->r <= 0 || n < (size_t)whole->r);
        else
                CHECK(same(whole, &part));
        free(copy);
}

static void check_round_trip(const struct result *whole, enum http_method method) {
        struct strbuf b = STRBUF_INIT;
        struct result again;

        strbuf_addf(&b, "HTTP/1.%d %d %.*s\r\n", whole->s.minor, whole->s.status, STR_FMT(whole->s.reason));
        for (unsigned i = 0; i < whole->s.fields.n; i++)
                strbuf_addf(&b, "%.*s:%.*s\r\n", STR_FMT(whole->v[i].name), STR_FMT(whole->v[i].value));
        strbuf_add_z(&b, "\r\n");
        CHECK(!b.failed);
        parse(&again, method, b.p, b.n);
        CHECK(again.r == (ssize_t)b.n);
        again.r = whole->r;
        CHECK(same(whole, &again));
        strbuf_deinit(&b);
}

static void compare_body(const struct result *whole, struct oracle *o, const char *p, size_t n) {
        size_t head = (size_t)whole->r;
        struct fuzz_body b;

        switch (whole->s.framing) {
        case HTTP_BODY_NONE:
                CHECK(!o->failed && o->complete && o->message_n == head && o->body_n == 0);
                break;
        case HTTP_BODY_LENGTH:
                CHECK(!o->failed && o->complete == (n - head >= whole->s.content_length));
                CHECK(o->body_n == MIN(n - head, whole->s.content_length));
                CHECK(!o->complete || o->message_n == head + whole->s.content_length);
                break;
        case HTTP_BODY_CLOSE:
                CHECK(!o->failed && !o->complete && o->body_n == n - head);
                break;
        case HTTP_BODY_CHUNKED:
                fuzz_body_decode(&b, p + head, n - head, n, &limits);
                if (b.result >= 0)
                        fuzz_compare_chunked(o, p, head, n, &b);
                fuzz_body_free(&b);
        }
}

static void compare(const struct result *whole, enum http_method method, const char *p, size_t n) {
        static struct oracle o;

        /* llhttp does not know the request: its user says where it makes that there is no body. */
        o.response = true;
        o.no_body = method == HTTP_HEAD || whole->s.status == 304 || (method == HTTP_CONNECT && whole->s.status / 100 == 2);
        oracle_run(&o, p, n);
        if (!o.head_complete)
                fprintf(stderr, "llhttp: %s\n", o.error);
        CHECK(o.head_complete);
        CHECK(o.n_fields == whole->s.fields.n);
        expect_fields(&whole->s.fields, (struct str){o.fields, o.fields_n});
        CHECK(o.has_length == whole->s.has_content_length && o.content_length == whole->s.content_length);
        CHECK(o.until_close == (whole->s.framing == HTTP_BODY_CLOSE));
        if (whole->s.framing != HTTP_BODY_NONE) {
                CHECK(o.chunked == (whole->s.framing == HTTP_BODY_CHUNKED));
                fuzz_compare_keep_alive(&o, whole->s.keep_alive, whole->s.minor, (struct str){p, (size_t)whole->r});
        }
        compare_body(whole, &o, p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *p = (const char *)data;
        enum http_method method = HTTP_GET;
        struct result whole;

        if (n == 0)
                return 0;
        if (p[0] == 'H')
                method = HTTP_HEAD;
        if (p[0] == 'C')
                method = HTTP_CONNECT;
        p++;
        n--;
        parse(&whole, method, p, n);
        check_prefix(&whole, method, p, cut_of(p, n));
        check_prefix(&whole, method, p, n);
        if (whole.r <= 0)
                return 0;
        check_accepted(&whole.s, method, p, (size_t)whole.r);
        check_round_trip(&whole, method);
        if (oracle_available() && n <= ORACLE_TEXT)
                compare(&whole, method, p, n);
        return 0;
}

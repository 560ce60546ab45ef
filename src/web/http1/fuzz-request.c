/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A request head and whatever follows it. Invariants: the answer does not depend on where the input is cut or which scanner reads
 * it; what was accepted is made of allowed bytes, says the same when written out anew, and means the same to llhttp.
 */

#include <errno.h>

#include "web/http/authority.h"
#include "web/http/path.h"
#include "web/http1/fuzz-common.h"

static const struct http1_limits limits = {.target = 200, .head = 1000, .fields = FUZZ_FIELDS, .trailer = 200, .chunk_ext = 32};

struct result {
        ssize_t r;
        enum http1_reject why;
        struct http_request q;
        struct http_field v[FUZZ_FIELDS];
};

static void parse(struct result *out, const char *p, size_t n) {
        out->q = (struct http_request){.fields = {.v = out->v, .max = FUZZ_FIELDS}};
        out->why = HTTP1_REJECT_NONE;
        out->r = http1_parse_request(p, n, &limits, &out->q, &out->why);
        CHECK(out->r >= 0 ? (size_t)out->r <= n : out->r == -EBADMSG && out->why != HTTP1_REJECT_NONE);
}

static void check_path(const struct http_request *q) {
        struct str normal, again, file;
        char *out, *out2;

        CHECK(q->path.n == 0 ? q->method == HTTP_CONNECT : q->path.p[0] == '/' || str_eq(q->path, STR("*")));
        out = malloc(q->path.n + 1);
        out2 = malloc(q->path.n + 1);
        CHECK(out && out2);
        if (http_path_normalize(q->path, out, &normal) == 0) {
                CHECK(normal.n <= q->path.n && all_are(normal, HTTP_CHAR_TARGET));
                CHECK(http_path_normalize(normal, out2, &again) == 0 && str_eq(normal, again));
                if (normal.p[0] == '/' && http_path_decode(normal, out2, &file) == 0) {
                        CHECK(file.n > 0 && file.n <= normal.n && file.p[0] == '/');
                        CHECK(!memchr(file.p, '\0', file.n) && !memmem(file.p, file.n, "//", 2));
                        CHECK(!memmem(file.p, file.n, "/../", 4) && !memmem(file.p, file.n, "/./", 3));
                        CHECK(!str_ends(file, STR("/..")) && !str_ends(file, STR("/.")));
                }
        }
        free(out);
        free(out2);
}

static void check_accepted(const struct http_request *q, const char *p, size_t n) {
        struct http_authority a;

        CHECK(q->minor <= 1);
        CHECK(q->method_text.n > 0 && all_are(q->method_text, HTTP_CHAR_TOKEN) && is_inside(q->method_text, p, n));
        CHECK(q->target.n > 0 && all_are(q->target, HTTP_CHAR_TARGET) && is_inside(q->target, p, n));
        CHECK(is_inside(q->query, p, n) && is_inside(q->authority, p, n) && is_inside(q->host, p, n));
        CHECK(q->authority.n > 0 ? http_authority_parse(q->authority, &a) == 0 && str_eq(a.host, q->host)
                                 : q->minor == 0 && q->host.n == 0);
        CHECK(q->framing != HTTP_BODY_CLOSE);
        CHECK(q->framing == HTTP_BODY_LENGTH ? q->content_length <= INT64_MAX : q->content_length == 0);
        check_fields(&q->fields, p, n);
        check_path(q);
}

static bool same(const struct result *a, const struct result *b) {
        if (a->r != b->r || a->why != b->why)
                return false;
        if (a->r <= 0)
                return true;
        return a->q.method == b->q.method && a->q.minor == b->q.minor && a->q.keep_alive == b->q.keep_alive &&
               a->q.expect_continue == b->q.expect_continue && a->q.upgrade == b->q.upgrade &&
               a->q.te_trailers == b->q.te_trailers && a->q.framing == b->q.framing &&
               a->q.content_length == b->q.content_length && str_eq(a->q.method_text, b->q.method_text) &&
               str_eq(a->q.target, b->q.target) && str_eq(a->q.path, b->q.path) && str_eq(a->q.query, b->q.query) &&
               str_eq(a->q.authority, b->q.authority) && str_eq(a->q.host, b->q.host) && same_fields(&a->q.fields, &b->q.fields);
}

/* A prefix asks for more, or has the answer of the whole. Read by the portable scanner, to compare the two. */
static void check_prefix(const struct result *whole, const char *p, size_t n) {
        const struct http1_scan *best = http1_scan;
        char *copy = copy_of(p, n);
        struct result part;

        http1_scan = &http1_scan_portable;
        parse(&part, copy, n);
        http1_scan = best;
        if (part.r == HTTP1_NEED_MORE)
                CHECK(whole->r <= 0 || n < (size_t)whole->r);
        else
                CHECK(same(whole, &part));
        free(copy);
}

/* Written out from what was understood, it is understood in the same way. */
static void check_round_trip(const struct result *whole) {
        struct strbuf b = STRBUF_INIT;
        struct result again;

        strbuf_addf(&b, "%.*s %.*s HTTP/1.%d\r\n", STR_FMT(whole->q.method_text), STR_FMT(whole->q.target), whole->q.minor);
        for (unsigned i = 0; i < whole->q.fields.n; i++)
                strbuf_addf(&b, "%.*s:%.*s\r\n", STR_FMT(whole->v[i].name), STR_FMT(whole->v[i].value));
        strbuf_add_z(&b, "\r\n");
        CHECK(!b.failed);
        parse(&again, b.p, b.n);
        CHECK(again.r == (ssize_t)b.n);
        again.r = whole->r;
        CHECK(same(whole, &again));
        strbuf_deinit(&b);
}

/* The body behind the head ends where llhttp says, and has the same bytes. */
static void compare_body(const struct result *whole, struct oracle *o, const char *p, size_t n) {
        size_t head = (size_t)whole->r;
        struct fuzz_body b;

        switch (whole->q.framing) {
        case HTTP_BODY_NONE:
                CHECK(!o->failed && o->complete && o->message_n == head && o->body_n == 0);
                break;
        case HTTP_BODY_LENGTH:
                CHECK(!o->failed && o->complete == (n - head >= whole->q.content_length));
                CHECK(o->body_n == MIN(n - head, whole->q.content_length));
                CHECK(!o->complete || o->message_n == head + whole->q.content_length);
                break;
        default:
                fuzz_body_decode(&b, p + head, n - head, n, &limits);
                if (b.result >= 0)
                        fuzz_compare_chunked(o, p, head, n, &b);
                fuzz_body_free(&b);
        }
}

static void compare(const struct result *whole, const char *p, size_t n) {
        static struct oracle o;

        oracle_run(&o, p, n);
        if (o.method_unknown) /* it has a list of methods; we forward any */
                return;
        if (!o.head_complete)
                fprintf(stderr, "llhttp: %s\n", o.error);
        CHECK(o.head_complete);
        CHECK(o.n_fields == whole->q.fields.n);
        expect_fields(&whole->q.fields, (struct str){o.fields, o.fields_n});
        CHECK(o.chunked == (whole->q.framing == HTTP_BODY_CHUNKED));
        CHECK(o.has_length == (whole->q.framing == HTTP_BODY_LENGTH));
        CHECK(o.content_length == whole->q.content_length);
        fuzz_compare_keep_alive(&o, whole->q.keep_alive, whole->q.minor, (struct str){p, (size_t)whole->r});
        compare_body(whole, &o, p, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
        const char *p = (const char *)data;
        struct result whole;

        parse(&whole, p, n);
        check_prefix(&whole, p, cut_of(p, n));
        check_prefix(&whole, p, n);
        if (whole.r <= 0)
                return 0;
        check_accepted(&whole.q, p, (size_t)whole.r);
        check_round_trip(&whole);
        if (oracle_available() && n <= ORACLE_TEXT)
                compare(&whole, p, n);
        return 0;
}

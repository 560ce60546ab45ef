/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "web/http1/parse.h"
#include "web/http1/test-guard.h"

static const struct http1_limits limits = {.fields = 8, .trailer = 64, .chunk_ext = 16};
static struct guard guard;

struct outcome {
        int result; /* 1 ended, 0 wants more, -EBADMSG */
        enum http1_reject why;
        size_t used;
        char data[512];
        size_t n_data;
        char trailers[256]; /* "name=value;" of each */
};

/* One buffer: until it is used up or the body ends. Adds to *o. */
static void feed(struct http1_chunked *c, const char *p, size_t n, struct outcome *o) {
        enum http1_chunk_event event;
        size_t used = 0;
        struct str data;

        do {
                ssize_t r = http1_chunked_feed(c, p + used, n - used, &limits, &event, &data, &o->why);

                if (r < 0) {
                        o->result = (int)r;
                        return;
                }
                assert_true((size_t)r <= n - used);
                if (event == HTTP1_CHUNK_DATA) {
                        assert_true(data.n > 0 && data.p >= p + used && data.p + data.n == p + used + r);
                        memcpy(o->data + o->n_data, data.p, data.n);
                        o->n_data += data.n;
                }
                used += (size_t)r;
        } while (event == HTTP1_CHUNK_DATA);
        o->used += used;
        if (event == HTTP1_CHUNK_MORE)
                assert_int_equal(used, n);
        o->result = event == HTTP1_CHUNK_END;
}

static void note_trailers(const struct http1_chunked *c, struct outcome *o) {
        struct http_field v[8];
        struct http_fields fields = {.v = v, .max = ARRAY_SIZE(v)};

        assert_int_equal(http1_chunked_trailers(c, &fields), 0);
        for (unsigned i = 0; i < fields.n; i++)
                snprintf(o->trailers + strlen(o->trailers), sizeof(o->trailers) - strlen(o->trailers), "%.*s=%.*s;",
                         STR_FMT(v[i].name), STR_FMT(v[i].value));
}

/* The body in pieces of `step` bytes behind a first piece of `first`; each piece ends at a guard page. */
static struct outcome decode(struct str body, size_t first, size_t step) {
        struct outcome o = {0};
        struct http1_chunked c;

        http1_chunked_init(&c);
        for (size_t at = 0, n; at < body.n && o.result == 0; at += n) {
                n = MIN(at == 0 && first > 0 ? first : step, body.n - at);
                feed(&c, guard_copy(&guard, body.p + at, n), n, &o);
        }
        if (o.result == 1)
                note_trailers(&c, &o);
        http1_chunked_deinit(&c);
        return o;
}

static bool same(const struct outcome *a, const struct outcome *b) {
        return a->result == b->result && a->why == b->why && a->n_data == b->n_data &&
               memcmp(a->data, b->data, a->n_data) == 0 && strcmp(a->trailers, b->trailers) == 0 &&
               (a->result < 0 || a->used == b->used);
}

/* The outcome, the same however the body is cut. */
static struct outcome decode_all_ways(struct str body) {
        struct outcome whole = decode(body, 0, body.n), bytes = decode(body, 0, 1);

        if (!same(&whole, &bytes))
                fail_msg("byte by byte: %d %s, at once: %d %s: %.*s", bytes.result, http1_reject_name(bytes.why), whole.result,
                         http1_reject_name(whole.why), STR_FMT(body));
        for (size_t first = 1; first < body.n; first++) {
                struct outcome two = decode(body, first, body.n);

                if (!same(&whole, &two))
                        fail_msg("split at %zu: %.*s", first, STR_FMT(body));
        }
        return whole;
}

static void good(struct str body, const char *data, const char *trailers) {
        struct outcome o = decode_all_ways(body);

        if (o.result != 1 || o.used != body.n || !str_eq((struct str){o.data, o.n_data}, str_of(data)) ||
            strcmp(o.trailers, trailers) != 0)
                fail_msg("%d %s used %zu data %.*s trailers %s: %.*s", o.result, http1_reject_name(o.why), o.used, (int)o.n_data,
                         o.data, o.trailers, STR_FMT(body));
        for (size_t n = 0; n < body.n; n++) /* and not before its end */
                if (decode((struct str){body.p, n}, 0, body.n).result != 0)
                        fail_msg("ends after %zu of %.*s", n, STR_FMT(body));
}

static void bad(struct str body, enum http1_reject why) {
        struct outcome o = decode_all_ways(body);

        if (o.result != -EBADMSG || o.why != why)
                fail_msg("%d %s, expected %s: %.*s", o.result, http1_reject_name(o.why), http1_reject_name(why), STR_FMT(body));
}

#define GOOD(body, data) good(STR(body), data, "")
#define BAD(body, reason) bad(STR(body), HTTP1_REJECT_##reason)
#define END "0\r\n\r\n"

static void test_data(void **state) {
        GOOD("0\r\n\r\n", "");
        GOOD("000000000000000\r\n\r\n", "");
        GOOD("5\r\nhello\r\n" END, "hello");
        GOOD("5\r\nhello\r\n1\r\n \r\n00005\r\nworld\r\n" END, "hello world");
        GOOD("a\r\n0123456789\r\n" END, "0123456789");
        GOOD("A\r\n0123456789\r\n" END, "0123456789");
        GOOD("1f\r\n0123456789012345678901234567890\r\n" END, "0123456789012345678901234567890");
        GOOD("4\r\n\r\n\r\n\r\n" END, "\r\n\r\n");
        GOOD("5\r\n0\r\n\r\n\r\n" END, "0\r\n\r\n");
        assert_int_equal(decode(STR("5\r\nhello\r\n" END "GET / HTTP/1.1"), 0, 100).used, 15);
        assert_int_equal(decode(STR("FFFFFFFFFFFFFFF\r\nabc"), 0, 100).n_data, 3);
}

static void test_size(void **state) {
        BAD("\r\n", CHUNK_SIZE);
        BAD("g\r\n", CHUNK_SIZE);
        BAD("0x5\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("+5\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("-1\r\nhello\r\n" END, CHUNK_SIZE);
        BAD(" 5\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("\t5\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("5.\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("5_0\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("5,\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("5h\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("5\0\r\nhello\r\n" END, CHUNK_SIZE);
        BAD("\xb5\r\nhello\r\n" END, CHUNK_SIZE);
        BAD(";a=b\r\n", CHUNK_SIZE);
        BAD("0000000000000005\r\nhello\r\n" END, CHUNK_SIZE); /* 16 digits */
        BAD("FFFFFFFFFFFFFFFF\r\n", CHUNK_SIZE);
        BAD("10000000000000000\r\n", CHUNK_SIZE);
        BAD("100000000000000000000000000000005\r\n", CHUNK_SIZE);
        BAD("5\r\nhello\r\n\r\n", CHUNK_SIZE);
        BAD("5\nhello\r\n" END, BARE_LF);
        BAD("5\rhello\r\n" END, BARE_CR);
        BAD("5\r\r\nhello\r\n" END, BARE_CR);
        BAD("\n", CHUNK_SIZE);
        BAD("0\n\r\n", BARE_LF);
        BAD("0\r\r\n", BARE_CR);
}

static void test_data_end(void **state) {
        BAD("5\r\nhello" END, CHUNK_END);
        BAD("5\r\nhello!\r\n" END, CHUNK_END);
        BAD("5\r\nhello\n" END, CHUNK_END);
        BAD("5\r\nhello\r" END, CHUNK_END);
        BAD("5\r\nhello \r\n" END, CHUNK_END);
        BAD("5\r\nhello\n\r" END, CHUNK_END);
        BAD("3\r\nhello\r\n" END, CHUNK_END);
}

/* RFC 9112 7.1.1: read past, by its grammar. White space stands only where the grammar has BWS. */
static void test_extensions(void **state) {
        static const char *const fine[] = {";a",     ";a=b",  ";a=\"b\"", ";a=\"\"", ";a=b;c=d", ";a;b", " ;a",     "\t;\ta",  ";a =b",
                                           ";a= b",  ";a=b ;c", ";a ;b",    ";a=\"b\" ;c", ";a=\";\"", ";a=\"\\\"\"", ";a=\"\\\\\"",
                                           ";a=\"\t \x80\"", ";a=\"\\\xff\"", ";!#$=%&'", ";a=\"b\";c", ";0=0"};
        static const char *const wrong[] = {" ",       "\t",       ";",         "; ",    ";=",       ";=b",       ";a=",       ";a= ",
                                            ";a ",     ";a=b ",    ";a=\"b\" ", ";;a",   ";a;",      ";a=b=c",    ";a=\"b",    ";a=\"b\\\"",
                                            ";a=\"b\"c", ";a b",    ";a=b c",    ";a=\"\x01\"", ";a=\"\x7f\"", ";a=\"\\\x01\"", ";(", ";a=(",
                                            ";a\x80",  ";\x80",    " a",        " 5",    ";a=b\"",   ";\"a\"",    ";a=,",      " \x0b;a"};
        char body[128];

        for (unsigned i = 0; i < ARRAY_SIZE(fine); i++) {
                snprintf(body, sizeof(body), "5%s\r\nhello\r\n0%s\r\n\r\n", fine[i], fine[i]);
                good(str_of(body), "hello", "");
        }
        for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
                snprintf(body, sizeof(body), "5%s\r\nhello\r\n0\r\n\r\n", wrong[i]);
                bad(str_of(body), HTTP1_REJECT_CHUNK_EXTENSION);
                snprintf(body, sizeof(body), "0%s\r\n\r\n", wrong[i]);
                bad(str_of(body), HTTP1_REJECT_CHUNK_EXTENSION);
        }
        BAD("5;a\0\r\nhello\r\n" END, CHUNK_EXTENSION);
        BAD("5;a\nhello\r\n" END, BARE_LF);
        BAD("5;a=\"\n\"\r\nhello\r\n" END, BARE_LF);
        BAD("5;a=\"\r\n\"\r\nhello\r\n" END, CHUNK_EXTENSION);
        BAD("5;a\rb\r\nhello\r\n" END, BARE_CR);
        /* The limit holds for each chunk. */
        GOOD("1;aaaaaaaaaaaaaaa\r\nx\r\n1;aaaaaaaaaaaaaaa\r\ny\r\n" END, "xy");
        BAD("1;aaaaaaaaaaaaaaaa\r\nx\r\n" END, CHUNK_EXTENSION);
        BAD("1               ;a\r\nx\r\n" END, CHUNK_EXTENSION);
        BAD("1;a=\"bbbbbbbbbbbbb\r\n", CHUNK_EXTENSION);
}

static void test_trailers(void **state) {
        static const char *const forbidden[] = {
                "Content-Length: 5", "content-length:5", "Transfer-Encoding: chunked", "TE: x", "Trailer: x", "Host: a", "Connection: close",
                "Keep-Alive: 1", "Upgrade: x", "Authorization: x", "Proxy-Authorization: x", "Proxy-Authenticate: x", "Proxy-Foo: x",
                "WWW-Authenticate: x", "Cookie: x", "Set-Cookie: x", "Content-Type: x", "Content-Encoding: x", "Content-Range: x",
                "Content-Foo: x", "Cache-Control: x", "Expect: x", "Max-Forwards: 1", "Range: x", "If-Match: x", "If-None-Match: x",
                "If-Range: x", "Age: 1", "Expires: 1", "Location: x", "Retry-After: 1", "Vary: x", "Warning: x", "Pragma: x",
                "X-Forwarded-For: x", "X-Forwarded-Port: 1", "X-Real-IP: x", "Forwarded: x", "Via: x", "Server: x", "User-Agent: x",
                "Access-Control-Allow-Origin: *",
        };
        char body[128];

        good(STR("0\r\nA: b\r\n\r\n"), "", "A=b;");
        good(STR("5\r\nhello\r\n0;x\r\nGrpc-Status: 0\r\nX:\r\nY: \t z \r\n\r\n"), "hello", "Grpc-Status=0;X=;Y=z;");
        good(STR("0\r\nETag: \"a\"\r\nDate: x\r\nContent-Digest: y\r\n\r\n"), "", "ETag=\"a\";Date=x;Content-Digest=y;");
        good(STR("0\r\nA: \x80\xff\r\n\r\n"), "", "A=\x80\xff;");
        for (unsigned i = 0; i < ARRAY_SIZE(forbidden); i++) {
                snprintf(body, sizeof(body), "0\r\nA: b\r\n%s\r\n\r\n", forbidden[i]);
                bad(str_of(body), HTTP1_REJECT_TRAILER);
        }
        BAD("0\r\nA : b\r\n\r\n", TRAILER);
        BAD("0\r\n: b\r\n\r\n", TRAILER);
        BAD("0\r\nA\r\n\r\n", TRAILER);
        BAD("0\r\n A: b\r\n\r\n", TRAILER);
        BAD("0\r\nA: b\r\n c\r\n\r\n", TRAILER);
        BAD("0\r\nA: b\n\r\n", TRAILER);
        BAD("0\r\nA: b\r\n\n", TRAILER);
        BAD("0\r\n\n", TRAILER);
        BAD("0\r\n\r\r\n", TRAILER);
        BAD("0\r\nA: b\rc\r\n\r\n", TRAILER);
        BAD("0\r\nA: b\r\r\n\r\n", TRAILER);
        BAD("0\r\nA: \0\r\n\r\n", TRAILER);
        BAD("0\r\nA: \x7f\r\n\r\n", TRAILER);
        BAD("0\r\nGET / HTTP/1.1\r\n\r\n", TRAILER);

        /* Limits: bytes of all lines, number of lines. */
        good(STR("0\r\nA: 34567890123456789012345678901234567890123456789012345678901\r\n\r\n"), "",
             "A=34567890123456789012345678901234567890123456789012345678901;");
        BAD("0\r\nA: 345678901234567890123456789012345678901234567890123456789012\r\n\r\n", TRAILER);
        BAD("0\r\nA: 34567890123456789012345678901234567890123456789012345678901234567890", TRAILER);
        good(STR("0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\n\r\n"), "", "a=;b=;c=;d=;e=;f=;g=;h=;");
        BAD("0\r\na:\r\nb:\r\nc:\r\nd:\r\ne:\r\nf:\r\ng:\r\nh:\r\ni:\r\n\r\n", TRAILER);
}

/* More trailers than the caller has room for; after the end and after a refusal the answer stays. */
static void test_states(void **state) {
        struct http_field v[1];
        struct http_fields fields = {.v = v, .max = 1};
        struct http1_chunked c;
        struct outcome o = {0};

        http1_chunked_init(&c);
        assert_int_equal(http1_chunked_trailers(&c, &fields), 0);
        feed(&c, "", 0, &o);
        assert_int_equal(o.result, 0);
        feed(&c, "0\r\nA: b\r\nB: c\r\n\r\n", 17, &o);
        assert_int_equal(o.result, 1);
        assert_int_equal(http1_chunked_trailers(&c, &fields), -ENOSPC);
        o.used = 0;
        feed(&c, "x", 1, &o);
        assert_int_equal(o.result, 1);
        assert_int_equal(o.used, 0);
        http1_chunked_deinit(&c);

        http1_chunked_init(&c);
        feed(&c, "x", 1, &o);
        assert_int_equal(o.why, HTTP1_REJECT_CHUNK_SIZE);
        o.why = HTTP1_REJECT_NONE;
        feed(&c, "0\r\n\r\n", 5, &o);
        assert_int_equal(o.result, -EBADMSG);
        assert_int_equal(o.why, HTTP1_REJECT_CHUNK_SIZE);
        http1_chunked_deinit(&c);
}

void *__real_malloc(size_t n);
void *__wrap_malloc(size_t n);

static bool short_of_memory;

void *__wrap_malloc(size_t n) {
        return short_of_memory ? NULL : __real_malloc(n);
}

/* Only trailers need memory; when there is none, that is said, and nothing leaks. */
static void test_out_of_memory(void **state) {
        enum http1_chunk_event event;
        enum http1_reject why;
        struct http1_chunked c;
        struct str data;

        short_of_memory = true;
        http1_chunked_init(&c);
        assert_int_equal(http1_chunked_feed(&c, "1;a\r\nx", 6, &limits, &event, &data, &why), 6);
        assert_int_equal(http1_chunked_feed(&c, "\r\n0\r\nA: b\r\n\r\n", 13, &limits, &event, &data, &why), -ENOMEM);
        http1_chunked_deinit(&c);
        short_of_memory = false;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_data),       cmocka_unit_test(test_size),     cmocka_unit_test(test_data_end),
                cmocka_unit_test(test_extensions), cmocka_unit_test(test_trailers), cmocka_unit_test(test_states),
                cmocka_unit_test(test_out_of_memory),
        };
        int r;

        guard = guard_new(4096);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        guard_free(&guard);
        return r;
}

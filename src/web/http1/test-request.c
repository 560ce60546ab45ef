/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "web/http1/parse.h"
#include "web/http1/test-guard.h"

enum {
        MAX_FIELDS = 16,
};

static const struct http1_limits limits = HTTP1_LIMITS_DEFAULT;
static struct guard guard;

static ssize_t parse(const char *p, size_t n, const struct http1_limits *l, struct http_request *q, enum http1_reject *why) {
        static struct http_field fields[MAX_FIELDS];

        *q = (struct http_request){.fields = {.v = fields, .max = MAX_FIELDS}};
        *why = HTTP1_REJECT_NONE;
        return http1_parse_request(guard_copy(&guard, p, n), n, l, q, why);
}

/* Every proper prefix asks for more; the whole is accepted with its length, also with something behind it. */
static struct http_request accepted_n(struct str head, const struct http1_limits *l) {
        static char longer[65536];
        struct http_request q;
        enum http1_reject why;

        for (size_t n = 0; n < head.n; n++) {
                if (parse(head.p, n, l, &q, &why) != HTTP1_NEED_MORE)
                        fail_msg("%s after %zu bytes of %.*s", http1_reject_name(why), n, STR_FMT(head));
        }
        memcpy(longer, head.p, head.n);
        memcpy(longer + head.n, "\r\n\r\nnext\1", 9);
        assert_int_equal(parse(longer, head.n + 9, l, &q, &why), head.n);
        if (parse(head.p, head.n, l, &q, &why) != (ssize_t)head.n)
                fail_msg("%s: %.*s", http1_reject_name(why), STR_FMT(head));
        return q;
}

static struct http_request accepted(const char *head) {
        return accepted_n(str_of(head), &limits);
}

/* Refused for this reason, however the input is cut: once refused, always refused, and for the same reason. */
static void refused_n(struct str head, const struct http1_limits *l, enum http1_reject expected) {
        struct http_request q;
        enum http1_reject why;
        bool seen = false;

        for (size_t n = 0; n <= head.n; n++) {
                ssize_t r = parse(head.p, n, l, &q, &why);

                if (r == HTTP1_NEED_MORE && !seen)
                        continue;
                if (r != -EBADMSG || why != expected)
                        fail_msg("%zd %s, expected %s, after %zu bytes of %.*s", r, http1_reject_name(why),
                                 http1_reject_name(expected), n, STR_FMT(head));
                seen = true;
        }
        if (!seen)
                fail_msg("not refused for %s: %.*s", http1_reject_name(expected), STR_FMT(head));
}

#define REFUSED(head, reason) refused_n(STR(head), &limits, HTTP1_REJECT_##reason)
#define H "Host: a\r\n"
#define assert_str(a, literal) assert_true(str_eq((a), STR(literal)))

/* A browser's request: everything is found where it is. */
static void test_ordinary(void **state) {
        struct http_request q = accepted("GET /a/b?c=d&e HTTP/1.1\r\nHost: www.example.com:8080\r\n"
                                         "User-Agent: x/1 (y; z)\r\nX-Empty:\r\nX-Space: \t a b \t\r\n\r\n");

        assert_int_equal(q.method, HTTP_GET);
        assert_int_equal(q.minor, 1);
        assert_str(q.target, "/a/b?c=d&e");
        assert_str(q.path, "/a/b");
        assert_str(q.query, "c=d&e");
        assert_str(q.authority, "www.example.com:8080");
        assert_str(q.host, "www.example.com");
        assert_true(q.keep_alive);
        assert_false(q.upgrade || q.expect_continue || q.te_trailers);
        assert_int_equal(q.framing, HTTP_BODY_NONE);
        assert_int_equal(q.fields.n, 4);
        assert_int_equal(q.fields.v[1].id, HTTP_FIELD_USER_AGENT);
        assert_str(q.fields.v[1].value, "x/1 (y; z)");
        assert_str(q.fields.v[2].value, "");
        assert_str(q.fields.v[3].name, "X-Space");
        assert_str(q.fields.v[3].value, "a b");
}

/* What two readers might understand differently is refused, each for its own reason. */
static void test_smuggling(void **state) {
        REFUSED("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", CONTENT_LENGTH_TWICE);
        REFUSED("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n", CONTENT_LENGTH);
        REFUSED("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING_OLD);
        REFUSED("GET / HTTP/1.1\r\n" H "A : b\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\r\n c\r\n\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\n\r\n", BARE_LF);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\rc\r\n\r\n", BARE_CR);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ordinary),
                cmocka_unit_test(test_smuggling),
        };
        int r;

        guard = guard_new(65536);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        guard_free(&guard);
        return r;
}

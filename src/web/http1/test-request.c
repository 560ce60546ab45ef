/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>

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

/* ── request line ───────────────────────────────────────────────────────── */

static void test_methods(void **state) {
        static const struct {
                const char *head;
                enum http_method method;
        } cases[] = {
                {"GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET},
                {"HEAD / HTTP/1.1\r\n" H "\r\n", HTTP_HEAD},
                {"POST / HTTP/1.1\r\n" H "\r\n", HTTP_POST},
                {"PUT / HTTP/1.1\r\n" H "\r\n", HTTP_PUT},
                {"DELETE / HTTP/1.1\r\n" H "\r\n", HTTP_DELETE},
                {"CONNECT a:1 HTTP/1.1\r\n" H "\r\n", HTTP_CONNECT},
                {"OPTIONS / HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS},
                {"TRACE / HTTP/1.1\r\n" H "\r\n", HTTP_TRACE},
                {"PATCH / HTTP/1.1\r\n" H "\r\n", HTTP_PATCH},
                {"get / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER}, /* methods are case-sensitive */
                {"GETS / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER},
                {"PROPFIND / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER},
                {"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER},
                {"0123456789012345678901234567890123456789012345678901234567890123 / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER},
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
                assert_int_equal(accepted(cases[i].head).method, cases[i].method);
        REFUSED("01234567890123456789012345678901234567890123456789012345678901234 / HTTP/1.1\r\n", METHOD);
        REFUSED(" GET / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("\tGET / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("GE\tT / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("GE(T / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("GET: / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("G\xc3\xa4T / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("G\0T / HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", METHOD); /* TLS */
        REFUSED("\0\0\0\0", METHOD);
        REFUSED("{\"json\": 1}", METHOD);
        REFUSED("<xml>", METHOD);
}

/* Every byte at every place of the request line: accepted only where the grammar has it. */
static void test_request_line_bytes(void **state) {
        static const char line[] = "GET /ab HTTP/1.1\r\n" H "\r\n";
        struct http_request q;
        enum http1_reject why;

        for (size_t at = 0; at < 18; at++)
                for (unsigned b = 0; b < 256; b++) {
                        char head[sizeof(line)];
                        bool good;

                        memcpy(head, line, sizeof(line));
                        head[at] = (char)b;
                        if (at < 3)
                                good = b > 0x20 && b < 0x7f && !memchr("\"(),/:;<=>?@[\\]{}", (int)b, 17);
                        else if (at == 5 || at == 6)
                                good = b > 0x20 && b < 0x7f && b != '#';
                        else if (at == 15)
                                good = b == '1' || b == '0';
                        else
                                good = b == (unsigned char)line[at];
                        if ((parse(head, sizeof(line) - 1, &limits, &q, &why) > 0) != good)
                                fail_msg("byte %02x at %zu: %s", b, at, http1_reject_name(why));
                }
}

static void test_request_line_refused(void **state) {
        REFUSED("GET  / HTTP/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET /  HTTP/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/1.1 \r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / a HTTP/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET\t/ HTTP/1.1\r\n" H "\r\n", METHOD);
        REFUSED("GET /\tHTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET / HTTP/1.1\n" H "\r\n", BARE_LF);
        REFUSED("GET / HTTP/1.1\r" H "\r\n", BARE_CR);
        REFUSED("GET / HTTP/1.1\r\r\n" H "\r\n", BARE_CR);
        REFUSED("GET /\r\n", REQUEST_LINE); /* HTTP/0.9 */
        REFUSED("GET /\n", BARE_LF);
        REFUSED("GET / \r\n", REQUEST_LINE);
        REFUSED("GET\r\n", REQUEST_LINE);
        REFUSED("GET\n", BARE_LF);
        REFUSED("GET \r\n", REQUEST_LINE);
        REFUSED("GET / http/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / Http/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/1.10\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/11\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/1.\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/-1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP 1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTPS/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / SIP/2.0\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("GET / HTTP/1.2\r\n" H "\r\n", VERSION);
        REFUSED("GET / HTTP/1.9\r\n" H "\r\n", VERSION);
        REFUSED("GET / HTTP/2.0\r\n" H "\r\n", VERSION);
        REFUSED("GET / HTTP/0.9\r\n" H "\r\n", VERSION);
        REFUSED("GET / HTTP/3.1\r\n" H "\r\n", VERSION);
        REFUSED("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", TARGET);
        assert_int_equal(http1_reject_status(HTTP1_REJECT_VERSION), 505);
}

/* RFC 9112 2.2: one empty line before a request, as some old clients send after a body. */
static void test_empty_line_first(void **state) {
        assert_int_equal(accepted("\r\nGET / HTTP/1.1\r\n" H "\r\n").method, HTTP_GET);
        REFUSED("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", REQUEST_LINE);
        REFUSED("\nGET / HTTP/1.1\r\n" H "\r\n", BARE_LF);
        REFUSED("\rGET / HTTP/1.1\r\n" H "\r\n", BARE_CR);
        REFUSED("\r\n GET / HTTP/1.1\r\n" H "\r\n", METHOD);
}

/* ── target ─────────────────────────────────────────────────────────────── */

static void test_target_forms(void **state) {
        static const struct {
                const char *head, *path, *query, *authority, *host; /* query NULL: none */
        } cases[] = {
                {"GET / HTTP/1.1\r\n" H "\r\n", "/", NULL, "a", "a"},
                {"GET /? HTTP/1.1\r\n" H "\r\n", "/", "", "a", "a"},
                {"GET /?a?b/c HTTP/1.1\r\n" H "\r\n", "/", "a?b/c", "a", "a"},
                {"GET //a HTTP/1.1\r\n" H "\r\n", "//a", NULL, "a", "a"},
                {"GET /a/../b%2e HTTP/1.1\r\n" H "\r\n", "/a/../b%2e", NULL, "a", "a"},
                {"GET /\"<>\\^`{|}'? HTTP/1.1\r\n" H "\r\n", "/\"<>\\^`{|}'", "", "a", "a"},
                {"GET /:@a HTTP/1.1\r\n" H "\r\n", "/:@a", NULL, "a", "a"},
                {"OPTIONS * HTTP/1.1\r\n" H "\r\n", "*", NULL, "a", "a"},
                {"GET http://b/c?d HTTP/1.1\r\n" H "\r\n", "/c", "d", "b", "b"},
                {"GET http://b HTTP/1.1\r\n" H "\r\n", "/", NULL, "b", "b"},
                {"GET http://b? HTTP/1.1\r\n" H "\r\n", "/", "", "b", "b"},
                {"GET http://b?c/d HTTP/1.1\r\n" H "\r\n", "/", "c/d", "b", "b"},
                {"GET HTTPS://B:8443/ HTTP/1.1\r\n" H "\r\n", "/", NULL, "B:8443", "B"},
                {"GET http://[::1]:80/ HTTP/1.1\r\n" H "\r\n", "/", NULL, "[::1]:80", "[::1]"},
                {"GET http://b/ HTTP/1.1\r\nHost:\r\n\r\n", "/", NULL, "b", "b"},
                {"GET http://b/ HTTP/1.0\r\n\r\n", "/", NULL, "b", "b"},
                {"OPTIONS http://b HTTP/1.1\r\n" H "\r\n", "*", NULL, "b", "b"},
                {"OPTIONS http://b/ HTTP/1.1\r\n" H "\r\n", "/", NULL, "b", "b"},
                {"OPTIONS http://b?c HTTP/1.1\r\n" H "\r\n", "/", "c", "b", "b"},
                {"CONNECT b:443 HTTP/1.1\r\n" H "\r\n", "", NULL, "b:443", "b"},
                {"CONNECT [::1]:443 HTTP/1.1\r\nHost:\r\n\r\n", "", NULL, "[::1]:443", "[::1]"},
                {"GET / HTTP/1.0\r\n\r\n", "/", NULL, "", ""},
                {"GET / HTTP/1.0\r\nHost:\r\n\r\n", "/", NULL, "", ""},
                {"GET / HTTP/1.0\r\nHost: c:1\r\n\r\n", "/", NULL, "c:1", "c"},
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct http_request q = accepted(cases[i].head);

                if (!str_eq(q.path, str_of(cases[i].path)) || !str_eq(q.query, str_of(cases[i].query)) ||
                    !q.query.p != !cases[i].query || !str_eq(q.authority, str_of(cases[i].authority)) ||
                    !str_eq(q.host, str_of(cases[i].host)))
                        fail_msg("%s: path %.*s query %.*s authority %.*s host %.*s", cases[i].head, STR_FMT(q.path),
                                 STR_FMT(q.query), STR_FMT(q.authority), STR_FMT(q.host));
        }
}

static void test_target_refused(void **state) {
        REFUSED("GET a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET a/b HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET ?a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET * HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("OPTIONS ** HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("OPTIONS *?a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET a:80 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT / HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT a: HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT :80 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT a:80/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT http://a:80 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("CONNECT u@a:80 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET ftp://a/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET ws://a/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http:/a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http:a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http:// HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http:/// HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://? HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://:80/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://u@a/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://u:p@a/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://a:65536/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET http://a\\b/ HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET x", TARGET); /* at the first byte */
        REFUSED("OPTIONS x", TARGET);
        REFUSED("CONNECT /", TARGET);
        REFUSED("GET /#a HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET /a\x7f HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET /\0 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET /\x80 HTTP/1.1\r\n" H "\r\n", TARGET);
        REFUSED("GET /a\rb HTTP/1.1\r\n" H "\r\n", REQUEST_LINE);
}

/* The target's authority wins over Host, which must be valid all the same. */
static void test_target_wins(void **state) {
        assert_str(accepted("GET http://b/ HTTP/1.1\r\nHost: c\r\n\r\n").host, "b");
        REFUSED("GET http://b/ HTTP/1.1\r\nHost: c d\r\n\r\n", HOST_INVALID);
        REFUSED("GET http://b/ HTTP/1.1\r\nHost: b\r\nHost: b\r\n\r\n", HOST_TWICE);
        REFUSED("GET http://b/ HTTP/1.1\r\n\r\n", HOST_MISSING);
}

/* ── Host ───────────────────────────────────────────────────────────────── */

static void test_host(void **state) {
        static const char *const good[] = {"a", "A.example", "a-b.c", "a_b", "~a", "1.2.3.4", "1.2.3.4:80", "a:0", "a:65535",
                                           "a:00080", "a.", "a.:80", "[::]", "[::1]", "[::1]:80", "[1:2:3:4:5:6:7:8]",
                                           "[::ffff:1.2.3.4]:1", "[fe80::1]", "xn--bcher-kva.example"};
        static const char *const bad[] = {"a b", "a,b", "a, b", "a/b", "a\\b", "u@a", "u:p@a", "a:", ":80", "a:b", "a:80:80", "a:-1",
                                          "a:+1", "a:65536", "a:99999", "a:000080", "a:8 0", "a :80", "a: 80", "http://a", "a?b",
                                          "a#b", "a%20b", "%61", "a..b", ".a", ".", "..", "[", "[]", "[::1", "::1", "[::1]a", "[::1]:",
                                          "[::1]:x", "[::1]:65536", "[:::]", "[1:2:3:4:5:6:7:8:9]", "[1:2]", "[g::]", "[12345::]",
                                          "[fe80::1%25eth0]", "[fe80::1%eth0]", "[v1.a]", "[1.2.3.4]", "[::1.2.3]", "[::1]]",
                                          "a\x01", "a\xc3\xa4", "b\xc3\xbc-x.example", "\"a\"", "(a)", "a;b", "a=b", "a!", "*",
                                          "*.a", "a'b", "a&b", "a$b", "<a>", "a|b", "a^b", "a`b", "{a}"};
        char head[1024];

        for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
                snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
                assert_true(str_eq(accepted(head).authority, str_of(good[i])));
        }
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                enum http1_reject why = strchr(bad[i], 1) ? HTTP1_REJECT_FIELD_VALUE : HTTP1_REJECT_HOST_INVALID;

                snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
                refused_n(str_of(head), &limits, why);
                snprintf(head, sizeof(head), "GET / HTTP/1.0\r\nhost: %s\r\n\r\n", bad[i]);
                refused_n(str_of(head), &limits, why);
        }
        REFUSED("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\nHost: [::1\0]\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\n\r\n", HOST_MISSING);
        REFUSED("GET / HTTP/1.1\r\nHost:\r\n\r\n", HOST_INVALID);
        REFUSED("GET / HTTP/1.1\r\nHost: \t \r\n\r\n", HOST_INVALID);
        REFUSED("OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n", HOST_INVALID);
        REFUSED("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", HOST_TWICE);
        REFUSED("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhOST: b\r\n\r\n", HOST_TWICE);
        REFUSED("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", HOST_TWICE);
        REFUSED("GET / HTTP/1.0\r\nHost:\r\nHost:\r\n\r\n", HOST_TWICE);

        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %0255d\r\n\r\n", 0);
        assert_int_equal(accepted(head).host.n, 255);
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: %0256d\r\n\r\n", 0);
        refused_n(str_of(head), &limits, HTTP1_REJECT_HOST_INVALID);
}

/* ── field syntax ───────────────────────────────────────────────────────── */

static void test_field_syntax(void **state) {
        struct http_request q = accepted("GET / HTTP/1.1\r\n" H "A:b\r\nA:\r\nA:  b\r\nA_b: c\r\n!#$%&'*+-.^_`|~: 1\r\n"
                                         "a: b:c\r\nA: \"q\r\nA: \x80\xff\t~\r\n\r\n");

        assert_int_equal(q.fields.n, 9);
        assert_str(q.fields.v[1].value, "b");
        assert_str(q.fields.v[3].value, "b");
        assert_str(q.fields.v[4].name, "A_b");
        assert_str(q.fields.v[6].value, "b:c");
        assert_str(q.fields.v[8].value, "\x80\xff\t~");

        REFUSED("GET / HTTP/1.1\r\n" H ": b\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\n\r\n", BARE_LF);
        REFUSED("GET / HTTP/1.1\r\n" H "A b: c\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED("GET / HTTP/1.1\r\n" H "A\t: c\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED("GET / HTTP/1.1\r\n" H "Content-Length : 1\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED("GET / HTTP/1.1\r\n" H "\"A\": c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A(b): c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\xc3\xa4: c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\0: c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\rB: c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n" H "A\x7f: c\r\n\r\n", FIELD_NAME);
        REFUSED("GET / HTTP/1.1\r\n A: b\r\n" H "\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n\tA: b\r\n" H "\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n \r\n" H "\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H " folded\r\n\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\r\n\tfolded\r\n\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\r\n \r\n\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H "A:\r\n b\r\n\r\n", FOLDED);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\r\r\n\r\n", BARE_CR);
        REFUSED("GET / HTTP/1.1\r\n" H "A:\rb\r\n\r\n", BARE_CR);
        REFUSED("GET / HTTP/1.1\r\n" H "A: \0\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\n" H "A: \x0b\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\n" H "A: \x1b[0m\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\n" H "A: \x7f\r\n\r\n", FIELD_VALUE);
        REFUSED("GET / HTTP/1.1\r\n" H "\n", BARE_LF);
        REFUSED("GET / HTTP/1.1\r\n" H "\r\r\n", BARE_CR);
        REFUSED("GET / HTTP/1.1\r\n" H "A: b\n\n", BARE_LF);
}

/* Every byte in a name and in a value, at places that every scanner reaches in another way. */
static void test_field_bytes(void **state) {
        static const char line[] = "GET / HTTP/1.1\r\n" H "Abcdefghijklmnopqrstuvwxyz0123456789abcdef: "
                                   "0123456789012345678901234567890123456789\r\n\r\n";
        size_t name = strlen("GET / HTTP/1.1\r\n" H), value = name + 44;
        struct http_request q;
        enum http1_reject why;

        for (size_t at = name; at < value + 40; at++)
                for (unsigned b = 0; b < 256; b++) {
                        char head[sizeof(line)];
                        bool good;

                        memcpy(head, line, sizeof(line));
                        head[at] = (char)b;
                        if (at < name + 42)
                                good = (b > 0x20 && b < 0x7f && !memchr("\"(),/;<=>?@[\\]{}", (int)b, 16)) && !(b == ':' && at == name);
                        else if (at == name + 42)
                                good = b == ':';
                        else
                                good = b == '\t' || (b >= 0x20 && b != 0x7f);
                        if (at == name + 42 && b != ':')
                                good = false;
                        if ((parse(head, sizeof(line) - 1, &limits, &q, &why) > 0) != good)
                                fail_msg("byte %02x at %zu: %s", b, at, http1_reject_name(why));
                }
}

/* ── framing ────────────────────────────────────────────────────────────── */

#define POST "POST / HTTP/1.1\r\n" H

static void test_content_length(void **state) {
        static const struct {
                const char *head;
                uint64_t length;
        } good[] = {
                {POST "Content-Length: 0\r\n\r\n", 0},
                {POST "content-length:5\r\n\r\n", 5},
                {POST "CONTENT-LENGTH:   5\r\n\r\n", 5},
                {POST "Content-Length: 0005\r\n\r\n", 5},
                {POST "Content-Length: 9223372036854775807\r\n\r\n", INT64_MAX},
                {"GET / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 5},
                {"HEAD / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 5},
                {"DELETE / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", 5},
                {"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 5},
                {"CONNECT a:1 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0},
        };
        static const char *const bad[] = {"", "+5", "-5", "-0", "0x5", "5a", "a", "5 5", "5,5", "5, 5", ",5", "5,", "5;", "5.0", "1e1",
                                          "\"5\"", "9223372036854775808", "18446744073709551615", "18446744073709551616",
                                          "18446744073709551621", "99999999999999999999999", "00000000000000000005", "5\t5",
                                          "\xb2", "5\x80", "0b1", "NaN", "5 ", "5\t", "\t5", " \t 5"};

        for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
                struct http_request q = accepted(good[i].head);

                assert_int_equal(q.framing, HTTP_BODY_LENGTH);
                assert_true(q.content_length == good[i].length);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                char head[256];

                snprintf(head, sizeof(head), POST "Content-Length: %s\r\n\r\n", bad[i]);
                refused_n(str_of(head), &limits, HTTP1_REJECT_CONTENT_LENGTH);
        }
        REFUSED(POST "Content-Length: 5\0\r\n\r\n", FIELD_VALUE);
        REFUSED(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", CONTENT_LENGTH_TWICE);
        REFUSED(POST "Content-Length: 5\r\nA: b\r\ncontent-length: 6\r\n\r\n", CONTENT_LENGTH_TWICE);
        REFUSED(POST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n", CONTENT_LENGTH_TWICE);
        REFUSED(POST "Content-Length:\r\n 5\r\n\r\n", CONTENT_LENGTH);
        REFUSED("CONNECT a:1 HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", CONNECT_BODY);
        REFUSED("TRACE / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", CONNECT_BODY);
}

static void test_transfer_encoding(void **state) {
        static const char *const bad[] = {"", "chunke", "chunkedd", "xchunked", "chunked,", ",chunked", "chunked, chunked", "gzip",
                                          "gzip, chunked", "chunked, gzip", "identity", "identity, chunked", "chunked;a=b",
                                          "chunked ; q", "\"chunked\"", "chunked chunked", "chun\tked", "x", "\x63hunked\x80",
                                          "\xef\xbb\xbfxchunked", "trailers, chunked", "chunked ", "chunked\t", "\tchunked", " \t chunked"};

        assert_int_equal(accepted(POST "Transfer-Encoding: chunked\r\n\r\n").framing, HTTP_BODY_CHUNKED);
        assert_int_equal(accepted(POST "transfer-encoding:CHUNKED\r\n\r\n").framing, HTTP_BODY_CHUNKED);
        assert_int_equal(accepted("GET / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n").framing, HTTP_BODY_CHUNKED);
        assert_int_equal(accepted(POST "\r\n").framing, HTTP_BODY_NONE);
        for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
                char head[256];

                snprintf(head, sizeof(head), POST "Transfer-Encoding: %s\r\n\r\n", bad[i]);
                refused_n(str_of(head), &limits, HTTP1_REJECT_TRANSFER_ENCODING);
        }
        REFUSED(POST "Transfer-Encoding: chunked\x0b\r\n\r\n", FIELD_VALUE);
        REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(POST "Transfer-Encoding : chunked\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED(POST "Transfer-Encoding:\r\n chunked\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING_OLD);
        REFUSED("POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING_OLD);
        REFUSED("CONNECT a:1 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", CONNECT_BODY);
        REFUSED("TRACE / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", CONNECT_BODY);
        /* Names that only look like it are other fields. */
        assert_int_equal(accepted(POST "Transfer_Encoding: chunked\r\n\r\n").framing, HTTP_BODY_NONE);
        assert_int_equal(accepted(POST "X-Transfer-Encoding: chunked\r\n\r\n").framing, HTTP_BODY_NONE);
        assert_int_equal(accepted(POST "Content_Length: 5\r\n\r\n").framing, HTTP_BODY_NONE);
}

/* ── connection ─────────────────────────────────────────────────────────── */

#define GET "GET / HTTP/1.1\r\n" H
#define GET10 "GET / HTTP/1.0\r\n" H

static void test_keep_alive(void **state) {
        assert_true(accepted(GET "\r\n").keep_alive);
        assert_true(accepted(GET "Connection: keep-alive\r\n\r\n").keep_alive);
        assert_true(accepted(GET "Connection: a, , ,b\r\n\r\n").keep_alive);
        assert_true(accepted(GET "Connection: closed\r\n\r\n").keep_alive);
        assert_true(accepted(GET "Connection:\r\n\r\n").keep_alive);
        assert_false(accepted(GET "Connection: close\r\n\r\n").keep_alive);
        assert_false(accepted(GET "connection: CLOSE\r\n\r\n").keep_alive);
        assert_false(accepted(GET "Connection: keep-alive, close\r\n\r\n").keep_alive);
        assert_false(accepted(GET "Connection: close,keep-alive\r\n\r\n").keep_alive);
        assert_false(accepted(GET "Connection: keep-alive\r\nConnection: x ,\tclose\t\r\n\r\n").keep_alive);
        assert_false(accepted(GET10 "\r\n").keep_alive);
        assert_true(accepted(GET10 "Connection: Keep-Alive\r\n\r\n").keep_alive);
        assert_false(accepted(GET10 "Connection: Keep-Alive, close\r\n\r\n").keep_alive);
        assert_false(accepted(GET10 "Proxy-Connection: keep-alive\r\n\r\n").keep_alive);
}

static void test_flags(void **state) {
        assert_true(accepted(GET "Expect: 100-continue\r\n\r\n").expect_continue);
        assert_true(accepted(GET "Expect: 100-Continue\r\n\r\n").expect_continue);
        assert_false(accepted(GET "Expect: 200-ok\r\n\r\n").expect_continue);
        assert_false(accepted(GET10 "Expect: 100-continue\r\n\r\n").expect_continue);
        assert_true(accepted(GET "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
        assert_true(accepted(GET "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n\r\n").upgrade);
        assert_false(accepted(GET "Upgrade: websocket\r\n\r\n").upgrade);
        assert_false(accepted(GET "Connection: upgrade\r\n\r\n").upgrade);
        assert_false(accepted(GET "Connection: upgrade\r\nUpgrade:\r\n\r\n").upgrade);
        assert_false(accepted(GET10 "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
        assert_true(accepted(GET "TE: trailers\r\n\r\n").te_trailers);
        assert_true(accepted(GET "TE: gzip;q=0.5, Trailers\r\n\r\n").te_trailers);
        assert_false(accepted(GET "TE: gzip\r\n\r\n").te_trailers);
}

/* Which of the fields behind Host are marked, as a string of 0 and 1. */
static void hop_by_hop(const char *fields, const char *expected) {
        char head[4096];
        struct http_request q;

        snprintf(head, sizeof(head), GET "%s\r\n", fields);
        q = accepted(head);
        assert_int_equal(q.fields.n - 1, strlen(expected));
        for (unsigned i = 0; expected[i]; i++)
                if (q.fields.v[i + 1].hop_by_hop != (expected[i] == '1'))
                        fail_msg("%.*s in %s", STR_FMT(q.fields.v[i + 1].name), fields);
        assert_false(q.fields.v[0].hop_by_hop);
}

static void test_hop_by_hop(void **state) {
        hop_by_hop("Connection: close\r\nKeep-Alive: 1\r\nProxy-Connection: x\r\nTE: gzip\r\nUpgrade: x\r\nHTTP2-Settings: a\r\n"
                   "Proxy-Authorization: a\r\nTrailer: a\r\nProxy-Authenticate: a\r\nA: b\r\n",
                   "1111111000");
        hop_by_hop("Transfer-Encoding: chunked\r\n", "1");
        hop_by_hop("A: 1\r\nConnection: a, B\r\nb: 2\r\nC: 3\r\nAA: 4\r\nA: 5\r\n", "111001");
        hop_by_hop("Connection: x\r\nA: 1\r\nConnection: y,a\r\nX: 2\r\n", "1111");
        /* A client cannot take away what we or the servers rely on. */
        hop_by_hop("Connection: host, content-length, content-type, cookie, authorization, forwarded, via, range, expect\r\n"
                   "Content-Length: 0\r\nContent-Type: a\r\nCookie: a\r\nAuthorization: a\r\nForwarded: a\r\nVia: a\r\n"
                   "Range: a\r\nExpect: a\r\n",
                   "100000000");
        hop_by_hop("Connection: x-forwarded-for, X-Forwarded-Proto, x-forwarded-port, x-real-ip, x-forwardedfor\r\n"
                   "X-Forwarded-For: a\r\nX-Forwarded-Proto: a\r\nX-Forwarded-Port: a\r\nX-Real-IP: a\r\nX-ForwardedFor: a\r\n",
                   "100001");
        /* Names that CGI cannot tell from those. */
        hop_by_hop("X_Forwarded_For: a\r\nX-Forwarded_Proto: a\r\nx_real_ip: a\r\nX_Forwarded_Anything: a\r\nContent_Length: 5\r\n"
                   "Transfer_Encoding: chunked\r\nX_Other: a\r\nA_b: a\r\nContent__Length: 5\r\n_: a\r\n",
                   "1111110000");
        hop_by_hop("Connection: 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\r\n31: a\r\n",
                   "11");
        REFUSED(GET "Connection: 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32\r\n\r\n",
                CONNECTION);
}

/* ── limits ─────────────────────────────────────────────────────────────── */

static void test_limits(void **state) {
        static const struct http1_limits small = {.target = 10, .head = 60, .fields = 3};
        struct http1_limits exact = limits;
        char head[512];

        assert_str(accepted_n(STR("GET /123456789 HTTP/1.1\r\n" H "\r\n"), &small).target, "/123456789");
        refused_n(STR("GET /1234567890 HTTP/1.1\r\n" H "\r\n"), &small, HTTP1_REJECT_LINE_TOO_LONG);
        refused_n(STR("GET /1234567890\1 HTTP/1.1\r\n" H "\r\n"), &small, HTTP1_REJECT_LINE_TOO_LONG);
        refused_n(STR("GET /123456789\1 HTTP/1.1\r\n" H "\r\n"), &small, HTTP1_REJECT_TARGET);
        assert_int_equal(accepted_n(STR("GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\n\r\n"), &small).fields.n, 3);
        refused_n(STR("GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\nC: 3\r\n\r\n"), &small, HTTP1_REJECT_TOO_MANY_FIELDS);
        refused_n(STR("GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\n C: 3\r\n\r\n"), &small, HTTP1_REJECT_FOLDED);
        refused_n(STR("GET / HTTP/1.1\r\n" H "A: 1\r\nB: 2\r\n\n\r\n"), &small, HTTP1_REJECT_BARE_LF);
        refused_n(STR("GET / HTTP/1.1\r\n" H "A: 567890123456789012345678901234567890"), &small, HTTP1_REJECT_HEAD_TOO_LARGE);
        refused_n(STR("GET / HTTP/1.1\r\n" H "A: 567890123456789012345678901234567890\1"), &small, HTTP1_REJECT_HEAD_TOO_LARGE);

        /* A head of exactly the limit is good, one byte more is not. */
        snprintf(head, sizeof(head), GET "A: %0100d\r\n\r\n", 0);
        exact.head = (uint32_t)strlen(head);
        accepted_n(str_of(head), &exact);
        exact.head--;
        refused_n(str_of(head), &exact, HTTP1_REJECT_HEAD_TOO_LARGE);

        refused_n((struct str){head, strlen(head) - 1}, &exact, HTTP1_REJECT_HEAD_TOO_LARGE); /* nor can it still become good */

        /* The caller's array bounds the number of fields as well. */
        snprintf(head, sizeof(head), GET "A:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n");
        strcat(head, "\r\n");
        assert_int_equal(accepted(head).fields.n, MAX_FIELDS);
        strcpy(head + strlen(head) - 2, "A:\r\n\r\n");
        refused_n(str_of(head), &limits, HTTP1_REJECT_TOO_MANY_FIELDS);

        assert_int_equal(http1_reject_status(HTTP1_REJECT_LINE_TOO_LONG), 414);
        assert_int_equal(http1_reject_status(HTTP1_REJECT_HEAD_TOO_LARGE), 431);
        assert_int_equal(http1_reject_status(HTTP1_REJECT_TOO_MANY_FIELDS), 431);
}

/* The names for counters are the constants in lower case. */
static void test_reject_names(void **state) {
        static const char *const constants[] = {
#define X(id, status, label, text) #id,
                HTTP1_REJECTS(X)
#undef X
        };

        for (unsigned i = 0; i < HTTP1_N_REJECTS; i++) {
                const char *name = http1_reject_name(i);

                assert_non_null(name);
                assert_true(str_ieq(str_of(name), str_of(constants[i])));
                for (const char *c = name; *c; c++)
                        assert_true(*c < 'A' || *c > 'Z');
                assert_non_null(http1_reject_text(i));
                assert_true(i == 0 || http1_reject_status(i) >= 400);
                assert_true(str_of(http1_reject_label(i)).n > 0);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ordinary),
                cmocka_unit_test(test_methods),
                cmocka_unit_test(test_request_line_bytes),
                cmocka_unit_test(test_request_line_refused),
                cmocka_unit_test(test_empty_line_first),
                cmocka_unit_test(test_target_forms),
                cmocka_unit_test(test_target_refused),
                cmocka_unit_test(test_target_wins),
                cmocka_unit_test(test_host),
                cmocka_unit_test(test_field_syntax),
                cmocka_unit_test(test_field_bytes),
                cmocka_unit_test(test_content_length),
                cmocka_unit_test(test_transfer_encoding),
                cmocka_unit_test(test_keep_alive),
                cmocka_unit_test(test_flags),
                cmocka_unit_test(test_hop_by_hop),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_reject_names),
        };
        int r;

        guard = guard_new(65536);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        guard_free(&guard);
        return r;
}

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

static ssize_t parse(struct str head, enum http_method method, struct http_response *s, enum http1_reject *why) {
        static struct http_field fields[MAX_FIELDS];

        *s = (struct http_response){.fields = {.v = fields, .max = MAX_FIELDS}};
        *why = HTTP1_REJECT_NONE;
        return http1_parse_response(guard_copy(&guard, head.p, head.n), head.n, &limits, method, s, why);
}

/* Every proper prefix asks for more. */
static struct http_response accepted_to(enum http_method method, const char *text) {
        struct str head = str_of(text);
        struct http_response s;
        enum http1_reject why;

        for (size_t n = 0; n < head.n; n++)
                if (parse((struct str){head.p, n}, method, &s, &why) != HTTP1_NEED_MORE)
                        fail_msg("%s after %zu bytes of %s", http1_reject_name(why), n, text);
        if (parse(head, method, &s, &why) != (ssize_t)head.n)
                fail_msg("%s: %s", http1_reject_name(why), text);
        return s;
}

static struct http_response accepted(const char *head) {
        return accepted_to(HTTP_GET, head);
}

static void refused_n(struct str head, enum http_method method, enum http1_reject expected) {
        struct http_response s;
        enum http1_reject why;
        bool seen = false;

        for (size_t n = 0; n <= head.n; n++) {
                ssize_t r = parse((struct str){head.p, n}, method, &s, &why);

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

#define REFUSED(head, reason) refused_n(STR(head), HTTP_GET, HTTP1_REJECT_##reason)
#define assert_str(a, literal) assert_true(str_eq((a), STR(literal)))
#define OK "HTTP/1.1 200 OK\r\n"

static void test_ordinary(void **state) {
        struct http_response s = accepted(OK "Server: x\r\nContent-Length: 12\r\nX-A: b c\r\n\r\n");

        assert_int_equal(s.status, 200);
        assert_int_equal(s.minor, 1);
        assert_str(s.reason, "OK");
        assert_true(s.keep_alive);
        assert_int_equal(s.framing, HTTP_BODY_LENGTH);
        assert_true(s.has_content_length && s.content_length == 12);
        assert_int_equal(s.fields.n, 3);
        assert_int_equal(s.fields.v[0].id, HTTP_FIELD_SERVER);
}

static void test_status_line(void **state) {
        assert_str(accepted("HTTP/1.1 404 Not Found, sorry \xc3\xa4\t!\r\n\r\n").reason, "Not Found, sorry \xc3\xa4\t!");
        assert_str(accepted("HTTP/1.1 200 \r\n\r\n").reason, "");
        assert_str(accepted("HTTP/1.1 200\r\n\r\n").reason, ""); /* without the space that RFC 9112 4 asks for */
        assert_str(accepted("HTTP/1.1 200  \r\n\r\n").reason, " ");
        assert_int_equal(accepted("HTTP/1.0 200 OK\r\n\r\n").minor, 0);
        assert_int_equal(accepted("HTTP/1.1 100 Continue\r\n\r\n").status, 100);
        assert_int_equal(accepted("HTTP/1.1 599 x\r\n\r\n").status, 599);

        REFUSED("HTTP/1.1 099 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 600 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 999 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 20 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 2000 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 200x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 2x0 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 +20 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1  200 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1\t200 x\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 200\tOK\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 \r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 200 O\0K\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 200 O\x7fK\r\n\r\n", STATUS_LINE);
        REFUSED("HTTP/1.1 200 OK\n\r\n", BARE_LF);
        REFUSED("HTTP/1.1 200\n\r\n", BARE_LF);
        REFUSED("HTTP/1.1 200 O\rK\r\n\r\n", BARE_CR);
        REFUSED("HTTP/1.1 200\rOK\r\n\r\n", BARE_CR);
        REFUSED("HTTP/2.0 200 OK\r\n\r\n", VERSION);
        REFUSED("HTTP/1.2 200 OK\r\n\r\n", VERSION);
        REFUSED("HTTP/2 200 OK\r\n\r\n", STATUS_LINE);
        REFUSED("http/1.1 200 OK\r\n\r\n", STATUS_LINE);
        REFUSED("ICY 200 OK\r\n\r\n", STATUS_LINE);
        REFUSED("\r\nHTTP/1.1 200 OK\r\n\r\n", STATUS_LINE);
        REFUSED(" HTTP/1.1 200 OK\r\n\r\n", STATUS_LINE);
        REFUSED("<html>", STATUS_LINE);
        REFUSED("SSH-2.0-OpenSSH\r\n", STATUS_LINE);
}

/* Field lines are judged as those of requests are. */
static void test_fields(void **state) {
        struct http_response s = accepted(OK "Host: anything, at all\r\nHost: again\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
                                             "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\n");

        assert_int_equal(s.fields.n, 6);
        assert_true(s.fields.v[3].hop_by_hop);
        assert_false(s.fields.v[4].hop_by_hop || s.fields.v[5].hop_by_hop);
        REFUSED(OK "A : b\r\n\r\n", SPACE_BEFORE_COLON);
        REFUSED(OK "A: b\r\n c\r\n\r\n", FOLDED);
        REFUSED(OK " A: b\r\n\r\n", FOLDED);
        REFUSED(OK "A: b\n\r\n", BARE_LF);
        REFUSED(OK "A: b\rc\r\n\r\n", BARE_CR);
        REFUSED(OK "A: \0\r\n\r\n", FIELD_VALUE);
        REFUSED(OK "A\r\n\r\n", FIELD_NAME);
        REFUSED(OK "\n", BARE_LF);
}

/* RFC 9112 6.3: what follows, by method and status. */
static void test_framing(void **state) {
        static const struct {
                enum http_method method;
                const char *head;
                enum http_framing framing;
                bool has_length, keep_alive;
        } cases[] = {
                {HTTP_GET, OK "\r\n", HTTP_BODY_CLOSE, false, false},
                {HTTP_GET, OK "Connection: keep-alive\r\n\r\n", HTTP_BODY_CLOSE, false, false},
                {HTTP_GET, OK "Content-Length: 0\r\n\r\n", HTTP_BODY_LENGTH, true, true},
                {HTTP_GET, OK "Transfer-Encoding: chunked\r\n\r\n", HTTP_BODY_CHUNKED, false, true},
                {HTTP_GET, OK "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n", HTTP_BODY_CHUNKED, false, false},
                {HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", HTTP_BODY_LENGTH, true, false},
                {HTTP_GET, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n", HTTP_BODY_LENGTH, true, true},
                {HTTP_GET, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", HTTP_BODY_CLOSE, false, false},
                {HTTP_HEAD, OK "\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_HEAD, OK "Content-Length: 5\r\n\r\n", HTTP_BODY_NONE, true, true},
                {HTTP_HEAD, OK "Transfer-Encoding: chunked\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 304 x\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_NONE, true, true},
                {HTTP_GET, "HTTP/1.1 304 x\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 204 x\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 204 x\r\nContent-Length: 0\r\n\r\n", HTTP_BODY_NONE, true, true},
                {HTTP_GET, "HTTP/1.1 100 x\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 101 x\r\nUpgrade: y\r\nConnection: upgrade\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 103 x\r\nLink: y\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_GET, "HTTP/1.1 205 x\r\nContent-Length: 0\r\n\r\n", HTTP_BODY_LENGTH, true, true},
                {HTTP_CONNECT, OK "\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_CONNECT, OK "Content-Length: 5\r\n\r\n", HTTP_BODY_NONE, true, true},
                {HTTP_CONNECT, OK "Transfer-Encoding: chunked\r\n\r\n", HTTP_BODY_NONE, false, true},
                {HTTP_CONNECT, "HTTP/1.1 403 x\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH, true, true},
                {HTTP_POST, "HTTP/1.1 500 x\r\nContent-Length: 5\r\n\r\n", HTTP_BODY_LENGTH, true, true},
        };

        for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
                struct http_response s = accepted_to(cases[i].method, cases[i].head);

                if (s.framing != cases[i].framing || s.has_content_length != cases[i].has_length ||
                    s.keep_alive != cases[i].keep_alive)
                        fail_msg("%s", cases[i].head);
        }
}

static void test_framing_refused(void **state) {
        REFUSED(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED(OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", LENGTH_AND_CHUNKED);
        REFUSED(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", CONTENT_LENGTH_TWICE);
        REFUSED(OK "Content-Length: 5, 5\r\n\r\n", CONTENT_LENGTH);
        REFUSED(OK "Content-Length: -1\r\n\r\n", CONTENT_LENGTH);
        REFUSED(OK "Content-Length: 9223372036854775808\r\n\r\n", CONTENT_LENGTH);
        REFUSED(OK "Transfer-Encoding: gzip, chunked\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(OK "Transfer-Encoding: identity\r\n\r\n", TRANSFER_ENCODING);
        REFUSED(OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING);
        REFUSED("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", TRANSFER_ENCODING_OLD);
        REFUSED("HTTP/1.1 204 x\r\nTransfer-Encoding: chunked\r\n\r\n", CONNECT_BODY);
        REFUSED("HTTP/1.1 204 x\r\nContent-Length: 1\r\n\r\n", CONNECT_BODY);
        REFUSED("HTTP/1.1 100 x\r\nTransfer-Encoding: chunked\r\n\r\n", CONNECT_BODY);
        REFUSED("HTTP/1.1 100 x\r\nContent-Length: 0\r\n\r\n", CONNECT_BODY);
        REFUSED("HTTP/1.1 101 x\r\nContent-Length: 1\r\n\r\n", CONNECT_BODY);
        /* Also where no body follows, the fields must not contradict each other. */
        refused_n(STR(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_HEAD, HTTP1_REJECT_LENGTH_AND_CHUNKED);
        refused_n(STR("HTTP/1.1 304 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"), HTTP_GET,
                  HTTP1_REJECT_CONTENT_LENGTH_TWICE);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_ordinary), cmocka_unit_test(test_status_line),     cmocka_unit_test(test_fields),
                cmocka_unit_test(test_framing),  cmocka_unit_test(test_framing_refused),
        };
        int r;

        guard = guard_new(65536);
        r = cmocka_run_group_tests(tests, NULL, NULL);
        guard_free(&guard);
        return r;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "web/http/authority.h"
#include "web/http/chars.h"
#include "web/http/message.h"

#define assert_str(a, literal) assert_true(str_eq((a), STR(literal)))

/* The table says what the grammar says (RFC 9110 5.6.2, 5.5; RFC 3986 2.3). */
static void test_chars(void **state) {
        for (int c = 0; c < 256; c++) {
                bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

                assert_int_equal(!!http_char_is((char)c, HTTP_CHAR_TOKEN), alnum || (c && strchr("!#$%&'*+-.^_`|~", c)));
                assert_int_equal(!!http_char_is((char)c, HTTP_CHAR_VALUE), c == '\t' || (c >= ' ' && c != 0x7f));
                assert_int_equal(!!http_char_is((char)c, HTTP_CHAR_TARGET), c > ' ' && c < 0x7f && c != '#');
                assert_int_equal(!!http_char_is((char)c, HTTP_CHAR_HOST), alnum || (c && strchr("-._~", c)));
                assert_int_equal(!!http_char_is((char)c, HTTP_CHAR_HEX), c < 0x80 && isxdigit(c));
                if (http_char_is((char)c, HTTP_CHAR_HEX)) {
                        char digit[2] = {(char)c};

                        assert_int_equal(http_hex_value((char)c), strtoul(digit, NULL, 16));
                }
        }
}

/* Every name is found in any case, and nothing that differs in one character is. */
static void test_field_names(void **state) {
        assert_int_equal(http_field_name(HTTP_FIELD_OTHER).n, 0);
        for (unsigned id = 1; id < HTTP_N_FIELDS; id++) {
                struct str name = http_field_name(id);
                char other[64];

                assert_true(name.n > 0 && name.n < sizeof(other));
                assert_int_equal(http_field_lookup(name), id);
                for (size_t i = 0; i < name.n; i++)
                        other[i] = (char)toupper(name.p[i]);
                assert_int_equal(http_field_lookup((struct str){other, name.n}), id);
                for (size_t i = 0; i < name.n; i++)
                        other[i] = (char)tolower(name.p[i]);
                assert_int_equal(http_field_lookup((struct str){other, name.n}), id);
                for (size_t i = 0; i < name.n; i++)
                        for (int c = 0; c < 256; c++) {
                                memcpy(other, name.p, name.n);
                                other[i] = (char)c;
                                assert_int_equal(http_field_lookup((struct str){other, name.n}),
                                                 c < 0x80 && tolower(c) == tolower(name.p[i]) ? id : HTTP_FIELD_OTHER);
                        }
                assert_int_equal(http_field_lookup((struct str){name.p, name.n - 1}), HTTP_FIELD_OTHER);
                memcpy(other, name.p, name.n);
                other[name.n] = 's';
                assert_int_equal(http_field_lookup((struct str){other, name.n + 1}), HTTP_FIELD_OTHER);
        }
        assert_str(http_field_name(HTTP_FIELD_CONTENT_LENGTH), "Content-Length");
        assert_str(http_field_name(HTTP_FIELD_HTTP2_SETTINGS), "HTTP2-Settings");
        assert_int_equal(http_field_lookup(STR("")), HTTP_FIELD_OTHER);
        assert_int_equal(http_field_lookup(STR("x")), HTTP_FIELD_OTHER);
        assert_int_equal(http_field_lookup(STR("Content_Length")), HTTP_FIELD_OTHER);
}

static void test_fields_find(void **state) {
        struct http_field v[3] = {{.id = HTTP_FIELD_HOST}, {.id = HTTP_FIELD_COOKIE}, {.id = HTTP_FIELD_COOKIE}};
        struct http_fields f = {.v = v, .n = 3, .max = 3};

        assert_ptr_equal(http_fields_find(&f, HTTP_FIELD_COOKIE), &v[1]);
        assert_null(http_fields_find(&f, HTTP_FIELD_VIA));
}

static void test_methods(void **state) {
        static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"};

        for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
                assert_int_equal(http_method_lookup(str_of(names[i])), HTTP_GET + i);
        assert_int_equal(http_method_lookup(STR("get")), HTTP_OTHER);
        assert_int_equal(http_method_lookup(STR("")), HTTP_OTHER);
        assert_int_equal(http_method_lookup(STR("GETT")), HTTP_OTHER);
        assert_true(http_method_idempotent(HTTP_PUT) && http_method_idempotent(HTTP_DELETE));
        assert_false(http_method_idempotent(HTTP_POST) || http_method_idempotent(HTTP_PATCH) || http_method_idempotent(HTTP_OTHER));
}

static void test_status_text(void **state) {
        assert_str(http_status_text(200), "OK");
        assert_str(http_status_text(431), "Request Header Fields Too Large");
        assert_str(http_status_text(299), "Unknown");
        assert_str(http_status_text(0), "Unknown");
}

static void test_lists(void **state) {
        struct str list = STR(" a,, b c ,\t\"d,e\\\"f,\" ,g;h=\"i,j\", "), member;

        assert_true(http_list_next(&list, &member));
        assert_str(member, "a");
        assert_true(http_list_next(&list, &member));
        assert_str(member, "b c");
        assert_true(http_list_next(&list, &member));
        assert_str(member, "\"d,e\\\"f,\"");
        assert_true(http_list_next(&list, &member));
        assert_str(member, "g;h=\"i,j\"");
        assert_false(http_list_next(&list, &member));
        assert_false(http_list_next(&list, &member));

        assert_true(http_list_has(STR("gzip, Br ;q=1"), STR("br")));
        assert_true(http_list_has(STR("x,chunked"), STR("chunked")));
        assert_false(http_list_has(STR("xbr, brx, b r"), STR("br")));
        assert_false(http_list_has(STR("\"a, br\""), STR("br")));
        assert_false(http_list_has(STR("a;br"), STR("br")));
        assert_false(http_list_has(STR(""), STR("br")));
        assert_false(http_list_has((struct str){NULL, 0}, STR("br")));
}

static void test_authority(void **state) {
        struct http_authority a = {.port = 7};

        assert_int_equal(http_authority_parse(STR("www.example.com:8080"), &a), 0);
        assert_str(a.host, "www.example.com");
        assert_true(a.has_port && a.port == 8080);
        assert_int_equal(http_authority_parse(STR("[2001:db8::1]"), &a), 0);
        assert_str(a.host, "[2001:db8::1]");
        assert_false(a.has_port);
        assert_int_equal(http_authority_parse(STR(""), &a), -EBADMSG);
        assert_int_equal(http_authority_parse(STR("[::1]x"), &a), -EBADMSG);
        assert_int_equal(http_authority_parse(STR("a:70000"), &a), -EBADMSG);
        assert_int_equal(http_authority_parse(STR("[::\0]"), &a), -EBADMSG);
        assert_int_equal(http_authority_parse(STR("[1111:2222:3333:4444:5555:6666:7777:8888:9999:0000:1111]"), &a), -EBADMSG);
        assert_str(a.host, "[2001:db8::1]"); /* untouched on failure */
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_chars),   cmocka_unit_test(test_field_names), cmocka_unit_test(test_fields_find),
                cmocka_unit_test(test_methods), cmocka_unit_test(test_status_text), cmocka_unit_test(test_lists),
                cmocka_unit_test(test_authority),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

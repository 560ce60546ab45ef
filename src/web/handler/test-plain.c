/* SPDX-License-Identifier: Apache-2.0 */

/* The handlers that need nothing but their configuration: redirect, respond. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "web/handler/redirect.h"
#include "web/handler/test-stream.h"

static struct fake_web *web;

static int setup(void **state) {
        web = fake_web_new("sites:\n"
                           "  s:\n"
                           "    hosts: [\"*\"]\n"
                           "    routes:\n"
                           "      /old/: {redirect: \"https://new.example/\", keep_path: true}\n"
                           "      /shop/: {redirect: \"https://new.example/s\", code: 302, keep_path: true}\n"
                           "      /here/: {redirect: /there/, code: 307}\n"
                           "      /q/: {redirect: \"/x?a=1\", keep_path: true}\n"
                           "      =/one: {redirect: /two, code: 303, keep_path: true}\n"
                           "      =/hello: {respond: \"hi there\\n\"}\n"
                           "      =/json: {respond: \"{}\", content_type: application/json, status: 503}\n"
                           "      =/none: {respond: \"\", status: 204}\n");
        return 0;
}

static int teardown(void **state) {
        web = fake_web_free(web);
        return 0;
}

static void assert_location(const char *target, unsigned status, const char *location) {
        static const char *const methods[] = {"GET", "POST", "HEAD", "DELETE"};

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                struct answer a = fake_request(web, methods[i], target, NULL);

                assert_int_equal(a.status, status);
                assert_string_equal(answer_field(&a, "Location"), location);
                answer_deinit(&a);
        }
}

static void test_redirect(void **state) {
        assert_location("/old/a/b", 308, "https://new.example/a/b");
        assert_location("/old/a?x=1&y", 308, "https://new.example/a?x=1&y");
        assert_location("/old", 308, "https://new.example/");
        assert_location("/old/", 308, "https://new.example/");
        assert_location("/old/%20%2F", 308, "https://new.example/%20%2F");
        assert_location("/shop/a", 302, "https://new.example/s/a");
        assert_location("/shop", 302, "https://new.example/s");
        assert_location("/here/x?y", 307, "/there/");
        assert_location("/q/?b=2", 308, "/x?a=1&b=2");
        assert_location("/one?x", 303, "/two?x");
}

static void assert_same_host(const char *path, const char *location) {
        struct arena a;

        arena_init(&a, 512);
        assert_true(str_eq(redirect_location(&a, str_of(path), STR("/"), (struct str){0}), str_of(location)));
        arena_deinit(&a);
}

/* No path leads to another host, and none out of the field. */
static void test_location(void **state) {
        assert_same_host("/a", "/a/");
        assert_same_host("//evil.example/a", "/evil.example/a/");
        assert_same_host("/\\evil.example", "/%5Cevil.example/");
        assert_same_host("/\t/evil.example", "/%09/evil.example/");
        assert_same_host("/a\r\nSet-Cookie: x", "/a%0D%0ASet-Cookie:%20x/");
        assert_same_host("/\xc3\xbc", "/%C3%BC/");
        assert_same_host("///", "//");
}

static void test_respond(void **state) {
        static const char *const methods[] = {"GET", "POST", "PATCH", "OPTIONS"};
        struct answer a;

        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                a = fake_request(web, methods[i], "/hello", NULL);
                assert_int_equal(a.status, 200);
                assert_string_equal(answer_field(&a, "Content-Type"), "text/plain; charset=utf-8");
                assert_string_equal(strbuf_z(&a.body), "hi there\n");
                answer_deinit(&a);
        }
        a = fake_request(web, "HEAD", "/hello", NULL);
        assert_int_equal(a.status, 200);
        assert_int_equal(a.content_length, 9);
        answer_deinit(&a);
        a = fake_request(web, "GET", "/json", NULL);
        assert_int_equal(a.status, 503);
        assert_string_equal(answer_field(&a, "Content-Type"), "application/json");
        assert_string_equal(strbuf_z(&a.body), "{}");
        answer_deinit(&a);
        a = fake_request(web, "GET", "/none", NULL);
        assert_int_equal(a.status, 204);
        assert_int_equal(a.framing, HTTP_BODY_NONE);
        assert_string_equal(strbuf_z(&a.fields), "");
        answer_deinit(&a);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_redirect),
                cmocka_unit_test(test_location),
                cmocka_unit_test(test_respond),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "web/handler/folder.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "web/handler/test-stream.h"
#include "web/handler/test-tree.h"

static struct tree tree;
static struct fake_web *web;

static int setup(void **state) {
        char yaml[1024];

        tree_make(&tree);
        (void)snprintf(yaml, sizeof(yaml),
                       "sites:\n"
                       "  s:\n"
                       "    hosts: [\"*\"]\n"
                       "    routes:\n"
                       "      /: {folder: %s, cache_control: \"max-age=60\"}\n"
                       "      /files/: {folder: %s, index: [index.html, index.htm], not_found: /404.html}\n"
                       "      =/robots: {folder: %s/sub}\n"
                       "      =/deep/a.txt: {folder: %s}\n",
                       tree.root, tree.root, tree.root, tree.root);
        web = fake_web_new(yaml);
        return 0;
}

static int teardown(void **state) {
        web = fake_web_free(web);
        tree_remove(&tree);
        return 0;
}

static struct answer get(const char *target) {
        return fake_request(web, "GET", target, NULL);
}

static void assert_body(struct answer *a, const char *text) {
        assert_int_equal(a->status, 200);
        assert_string_equal(strbuf_z(&a->body), text);
        answer_deinit(a);
}

static void assert_status(const char *target, unsigned status) {
        struct answer a = get(target);

        if (a.status != status)
                print_error("%s: %u\n", target, a.status);
        assert_int_equal(a.status, status);
        assert_null(a.body.p ? strstr(a.body.p, "secret") : NULL);
        assert_null(a.body.p ? strstr(a.body.p, "root:") : NULL);
        answer_deinit(&a);
}

/* Files by path, with their type, validators and the route's Cache-Control. */
static void test_files(void **state) {
        struct answer a = get("/a.txt");

        assert_string_equal(answer_field(&a, "Content-Type"), "text/plain; charset=utf-8");
        assert_string_equal(answer_field(&a, "Last-Modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_string_equal(answer_field(&a, "Accept-Ranges"), "bytes");
        assert_string_equal(answer_field(&a, "Cache-Control"), "max-age=60");
        assert_int_equal(answer_field(&a, "ETag")[0], '"');
        assert_int_equal(a.content_length, 11);
        assert_body(&a, "hello world");
        a = get("/sub/x.css");
        assert_string_equal(answer_field(&a, "Content-Type"), "text/css; charset=utf-8");
        assert_body(&a, "p{}");
        a = get("/noext");
        assert_string_equal(answer_field(&a, "Content-Type"), "application/octet-stream");
        assert_body(&a, "x");
        a = get("/empty.txt");
        assert_int_equal(a.content_length, 0);
        assert_body(&a, "");
        a = get("/sp%20ace+%c3%BC%25.txt?x=/../..");
        assert_body(&a, "odd");
        a = get("//sub///x.css");
        assert_body(&a, "p{}");
        a = get("/sub/./y/../x.css");
        assert_body(&a, "p{}");
        a = get("/.well-known/acme/token");
        assert_body(&a, "token");
        a = get("/link-in.txt");
        assert_body(&a, "hello world");
        a = get("/sub/link-up.txt");
        assert_body(&a, "hello world");
        a = get("/files/a.txt");
        assert_string_equal(answer_field(&a, "Cache-Control"), "");
        assert_body(&a, "hello world");
        a = get("/deep/a.txt");
        assert_body(&a, "hello world");
}

static void test_big(void **state) {
        for (int i = 0; i < 3; i++) {
                struct answer a = get("/big.bin");

                assert_int_equal(a.status, 200);
                assert_int_equal(a.body.n, TREE_BIG_SIZE);
                for (size_t k = 0; k < TREE_BIG_SIZE; k++)
                        assert_true(a.body.p[k] == tree_big(k));
                answer_deinit(&a);
        }
}

static void assert_redirect(const char *target, const char *location) {
        struct answer a = get(target);

        assert_int_equal(a.status, 301);
        assert_string_equal(answer_field(&a, "Location"), location);
        answer_deinit(&a);
}

/* A folder without its slash is sent there; with it the first index file answers. */
static void test_folders(void **state) {
        struct answer a = get("/");

        assert_string_equal(answer_field(&a, "Content-Type"), "text/html; charset=utf-8");
        assert_body(&a, "<p>index\n");
        a = get("/sub/");
        assert_body(&a, "<p>sub\n");
        a = get("/files/second/");
        assert_body(&a, "<p>second\n");
        a = get("/files/");
        assert_body(&a, "<p>index\n");
        assert_redirect("/sub", "/sub/");
        assert_redirect("/sub?a=b", "/sub/?a=b");
        assert_redirect("/files", "/files/");
        assert_redirect("//sub", "/sub/");
        assert_redirect("///%73ub", "/%73ub/");
        assert_status("/empty/", 404);
        assert_status("/second/", 404);
        assert_status("/nothing/", 404);
        assert_status("/a.txt/", 404);
        assert_status("/a.txt/x", 404);
}

/* Whatever the path, nothing outside and nothing hidden. */
static void test_never_outside(void **state) {
        static const char *const never[] = {
                "/link-out.txt", "/link-abs.txt", "/link-abs-in.txt", "/folder-out/secret.txt",
                "/folder-root/etc/passwd", "/proc/etc/passwd", "/cwd/meson.build", "/folder-out",
                "/folder-out/", "/loop", "/dangling", "/fifo", "/.secret", "/.git/config",
                "/sub/.env", "/.well-known/.hidden", "/.well-known", "/.git", "/.",
                "/%2egit/config", "/...", "/sub/%2eenv", "/files/.secret", "/nothing",
                "/%252e%252e/outside/secret.txt", "/..%5coutside", "/\\..\\outside", "/a.txt%20",
        };
        static const char *const bad[] = {
                "/../outside/secret.txt", "/%2e%2e/outside/secret.txt", "/.%2E/outside/secret.txt",
                "/sub/../../outside/secret.txt", "/files/../../outside/secret.txt",
                "/..%2foutside%2fsecret.txt", "/sub%2fx.css", "/a.txt%00.html", "/%0a", "/%zz",
                "/%",
        };

        for (size_t i = 0; i < ARRAY_SIZE(never); i++)
                if (strcmp(never[i], "/.") != 0)
                        assert_status(never[i], 404);
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_status(bad[i], 400);
        assert_true(fake_count(web, "s", SITE_REJECTED_OUTSIDE) >= 6);
        assert_true(fake_count(web, "s", SITE_REJECTED_PATH) >= ARRAY_SIZE(bad));
}

static void test_forbidden(void **state) {
        tree_drop(&tree);
        assert_status("/locked.txt", 403);
        tree_raise(&tree);
}

static void test_long_path(void **state) {
        static char path[9000];

        memset(path, 'a', sizeof(path) - 1);
        path[0] = '/';
        assert_status(path, 404);
        for (size_t i = 0; i < sizeof(path) - 1; i += 2)
                path[i] = '/';
        assert_status(path, 404);
}

/* The page is sent with status 404, and only with the field that says what it is. */
static void test_not_found_page(void **state) {
        static const char *const targets[] = {"/files/nothing", "/files/.git/config", "/files/link-out.txt",
                                              "/files/empty/"};

        for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
                struct answer a = fake_request(web, "GET", targets[i], "If-None-Match: *\nRange: bytes=0-1");

                assert_int_equal(a.status, 404);
                assert_string_equal(strbuf_z(&a.fields), "Content-Type: text/html; charset=utf-8\n");
                assert_string_equal(strbuf_z(&a.body), "<p>gone\n");
                answer_deinit(&a);
        }
}

static void test_methods(void **state) {
        static const char *const others[] = {"POST", "PUT", "DELETE", "PATCH", "TRACE", "BREW"};
        struct answer a = fake_request(web, "HEAD", "/big.bin", NULL);

        assert_int_equal(a.status, 200);
        assert_int_equal(a.content_length, TREE_BIG_SIZE);
        assert_int_equal(a.body.n, 0);
        answer_deinit(&a);
        a = fake_request(web, "HEAD", "/a.txt", "Range: bytes=0-1"); /* RFC 9110 14.2: only GET */
        assert_int_equal(a.status, 200);
        assert_int_equal(a.content_length, 11);
        answer_deinit(&a);
        a = fake_request(web, "OPTIONS", "/a.txt", NULL);
        assert_int_equal(a.status, 204);
        assert_string_equal(answer_field(&a, "Allow"), "GET, HEAD, OPTIONS");
        answer_deinit(&a);
        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                a = fake_request(web, others[i], "/a.txt", NULL);
                assert_int_equal(a.status, 405);
                assert_string_equal(answer_field(&a, "Allow"), "GET, HEAD, OPTIONS");
                answer_deinit(&a);
        }
        assert_int_equal(fake_count(web, "s", SITE_REJECTED_METHOD), ARRAY_SIZE(others));
}

/* ── conditions, RFC 9110 13 ───────────────────────────────────────────── */

static char etag[64];

/* "E": replaced by the file's entity tag. */
static unsigned conditional(const char *method, const char *fields) {
        struct strbuf f = STRBUF_INIT;
        struct answer a;
        unsigned status;

        for (const char *p = fields; *p; p++) {
                if (*p == '$')
                        strbuf_add_z(&f, etag);
                else
                        strbuf_add_char(&f, *p);
        }
        a = fake_request(web, method, "/a.txt", strbuf_z(&f));
        status = a.status;
        if (status == 304) {
                assert_string_equal(answer_field(&a, "ETag"), etag);
                assert_string_equal(answer_field(&a, "Cache-Control"), "max-age=60");
                assert_string_equal(answer_field(&a, "Content-Type"), "");
                assert_string_equal(answer_field(&a, "Last-Modified"), "");
                assert_int_equal(a.framing, HTTP_BODY_NONE);
        }
        if (status == 206)
                status = a.content_length == 2 && strcmp(strbuf_z(&a.body), "he") == 0 ? 206 : 0;
        strbuf_deinit(&f);
        answer_deinit(&a);
        return status;
}

#define SAME "Sun, 06 Nov 1994 08:49:37 GMT"
#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static void test_conditions(void **state) {
        static const struct {
                const char *fields;
                unsigned status;
        } cases[] = {
                {"If-None-Match: $", 304},
                {"If-None-Match: W/$", 304},
                {"If-None-Match: \"x\", $", 304},
                {"If-None-Match: \"x\"\nIf-None-Match: $", 304},
                {"If-None-Match: \"a,b\",,$", 304},
                {"If-None-Match: *", 304},
                {"If-None-Match: \"x\"", 200},
                {"If-None-Match: x", 200},
                {"If-None-Match: \"", 200},
                {"If-None-Match:", 200},
                {"If-Modified-Since: " SAME, 304},
                {"If-Modified-Since: " AFTER, 304},
                {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304},
                {"If-Modified-Since: Sun Nov  6 08:49:37 1994", 304},
                {"If-Modified-Since: " BEFORE, 200},
                {"If-Modified-Since: yesterday", 200},
                {"If-Modified-Since: " SAME "\nIf-Modified-Since: " SAME, 200},
                {"If-None-Match: \"x\"\nIf-Modified-Since: " AFTER, 200}, /* the tag decides alone */
                {"If-None-Match: $\nIf-Modified-Since: " BEFORE, 304},
                {"If-Match: $", 200},
                {"If-Match: *", 200},
                {"If-Match: \"x\", $", 200},
                {"If-Match: W/$", 412}, /* strong comparison */
                {"If-Match: \"x\"", 412},
                {"If-Match: x", 412},
                {"If-Unmodified-Since: " SAME, 200},
                {"If-Unmodified-Since: " BEFORE, 412},
                {"If-Unmodified-Since: yesterday", 200},
                {"If-Match: $\nIf-Unmodified-Since: " BEFORE, 200}, /* the tag decides alone */
                {"If-Match: \"x\"\nIf-None-Match: $", 412},
                {"If-Match: $\nIf-None-Match: $", 304},
                {"If-Unmodified-Since: " BEFORE "\nIf-Modified-Since: " AFTER, 412},
                {"If-Unmodified-Since: " SAME "\nIf-Modified-Since: " SAME, 304},
                {"Range: bytes=0-1", 206},
                {"Range: bytes=0-1\nIf-Range: $", 206},
                {"Range: bytes=0-1\nIf-Range: W/$", 200},
                {"Range: bytes=0-1\nIf-Range: \"x\"", 200},
                {"Range: bytes=0-1\nIf-Range: " SAME, 206},
                {"Range: bytes=0-1\nIf-Range: " AFTER, 200}, /* exactly, not "since" */
                {"Range: bytes=0-1\nIf-Range: " BEFORE, 200},
                {"Range: bytes=0-1\nIf-Range: x", 200},
                {"Range: bytes=0-1\nIf-Range: $\nIf-Range: $", 200},
                {"Range: bytes=0-1\nRange: bytes=0-1", 200},
                {"If-Range: $", 200},
                {"Range: bytes=0-1\nIf-None-Match: $", 304},
                {"Range: bytes=0-1\nIf-Match: \"x\"", 412},
                {"Range: bytes=0-1\nIf-Match: $\nIf-Range: $", 206},
                {"Range: bytes=99-\nIf-Range: \"x\"", 200},
                {"Range: bytes=99-", 416},
        };
        struct answer a = get("/a.txt");

        (void)snprintf(etag, sizeof(etag), "%s", answer_field(&a, "ETag"));
        answer_deinit(&a);
        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                unsigned status = conditional("GET", cases[i].fields);

                if (status != cases[i].status)
                        fail_msg("%s: %u, not %u", cases[i].fields, status, cases[i].status);
                if (status == 304 || status == 412)
                        assert_int_equal(conditional("HEAD", cases[i].fields), status);
        }
}

/* ── ranges ────────────────────────────────────────────────────────────── */

static void assert_range(const char *target, const char *range, const char *content_range, const char *body) {
        char field[128];
        struct answer a;

        (void)snprintf(field, sizeof(field), "Range: %s", range);
        a = fake_request(web, "GET", target, field);
        assert_int_equal(a.status, 206);
        assert_string_equal(answer_field(&a, "Content-Range"), content_range);
        assert_string_equal(strbuf_z(&a.body), body);
        assert_int_equal(answer_field(&a, "ETag")[0], '"');
        answer_deinit(&a);
}

static void test_ranges(void **state) {
        struct answer a;
        struct stat st;
        char path[256], etag_now[64];

        assert_range("/a.txt", "bytes=0-4", "bytes 0-4/11", "hello");
        assert_range("/a.txt", "bytes=6-", "bytes 6-10/11", "world");
        assert_range("/a.txt", "bytes=-5", "bytes 6-10/11", "world");
        assert_range("/a.txt", "bytes=-50", "bytes 0-10/11", "hello world");
        assert_range("/a.txt", "BYTES=10-99", "bytes 10-10/11", "d");
        assert_range("/a.txt", "bytes=0-2,3-4", "bytes 0-4/11", "hello");
        assert_range("/a.txt", "bytes=0-0, 99-", "bytes 0-0/11", "h");
        a = fake_request(web, "GET", "/a.txt", "Range: bytes=11-");
        assert_int_equal(a.status, 416);
        assert_string_equal(answer_field(&a, "Content-Range"), "bytes */11");
        answer_deinit(&a);
        a = fake_request(web, "GET", "/empty.txt", "Range: bytes=0-");
        assert_int_equal(a.status, 416);
        assert_string_equal(answer_field(&a, "Content-Range"), "bytes */0");
        answer_deinit(&a);
        a = fake_request(web, "GET", "/empty.txt", "Range: bytes=-5");
        assert_int_equal(a.status, 200);
        answer_deinit(&a);
        /* beyond 4 GiB */
        (void)snprintf(path, sizeof(path), "%s/huge.bin", tree.root);
        assert_int_equal(stat(path, &st), 0);
        a = fake_request(web, "GET", "/huge.bin", "Range: bytes=-3");
        assert_int_equal(a.status, 206);
        assert_string_equal(answer_field(&a, "Content-Range"), "bytes 5368709117-5368709119/5368709120");
        assert_string_equal(strbuf_z(&a.body), "end");
        (void)snprintf(etag_now, sizeof(etag_now), "%s", answer_field(&a, "ETag"));
        assert_true(strlen(etag_now) > 4);
        answer_deinit(&a);
        a = fake_request(web, "HEAD", "/huge.bin", NULL);
        assert_int_equal(a.content_length, (uint64_t)5 << 30);
        answer_deinit(&a);
}

/* Parts in the order asked for, each with its own head; the announced length is that of all together (the
 * stream checks). */
static void assert_parts(const char *target, const char *range, const unsigned (*parts)[2], unsigned n,
                         unsigned size) {
        char field[256], head[256];
        const char *boundary, *p;
        struct answer a;

        (void)snprintf(field, sizeof(field), "Range: %s", range);
        a = fake_request(web, "GET", target, field);
        assert_int_equal(a.status, 206);
        assert_string_equal(answer_field(&a, "Content-Range"), "");
        boundary = strstr(answer_field(&a, "Content-Type"), "multipart/byteranges; boundary=");
        assert_non_null(boundary);
        boundary += strlen("multipart/byteranges; boundary=");
        p = strbuf_z(&a.body);
        for (unsigned i = 0; i < n; i++) {
                (void)snprintf(head, sizeof(head),
                               "%s--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes "
                               "%u-%u/%u\r\n\r\n",
                               i ? "\r\n" : "", boundary, parts[i][0], parts[i][1], size);
                assert_int_equal(strncmp(p, head, strlen(head)), 0);
                p += strlen(head);
                for (unsigned k = parts[i][0]; k <= parts[i][1]; k++)
                        assert_true(*p++ == tree_big(k));
        }
        (void)snprintf(head, sizeof(head), "\r\n--%s--\r\n", boundary);
        assert_string_equal(p, head);
        answer_deinit(&a);
}

static void test_multipart(void **state) {
        static const unsigned two[][2] = {{0, 9}, {20, 29}}, swapped[][2] = {{5000, 5009}, {0, 0}};
        static const unsigned merged[][2] = {{0, 29}, {99990, 99999}};
        struct answer a;

        assert_parts("/big.bin", "bytes=0-9,20-29", two, 2, TREE_BIG_SIZE);
        assert_parts("/big.bin", "bytes=5000-5009, 0-0", swapped, 2, TREE_BIG_SIZE);
        assert_parts("/big.bin", "bytes=0-9,-10,10-29", merged, 2, TREE_BIG_SIZE);
        a = fake_request(web, "GET", "/big.bin", "Range: bytes=0-,0-,0-,0-,0-");
        assert_int_equal(a.status, 200);
        answer_deinit(&a);
        a = fake_request(web, "GET", "/big.bin",
                         "Range: "
                         "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-"
                         "28,30-30");
        assert_int_equal(a.status, 206);
        answer_deinit(&a);
        a = fake_request(web, "GET", "/big.bin",
                         "Range: "
                         "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-"
                         "28,30-30,32-32");
        assert_int_equal(a.status, 200);
        answer_deinit(&a);
        /* small, from memory */
        a = fake_request(web, "GET", "/a.txt", "Range: bytes=0-0,10-10");
        assert_int_equal(a.status, 206);
        assert_non_null(strstr(strbuf_z(&a.body), "\r\n\r\nd\r\n--"));
        answer_deinit(&a);
}

/* ── files that change ─────────────────────────────────────────────────── */

static void truncate_big(void *arg) {
        char path[256];

        (void)snprintf(path, sizeof(path), "%s/shrinks.bin", tree.root);
        assert_int_equal(truncate(path, 1000), 0);
}

/* What is missing is not made up: the client is cut off. */
static void test_truncated_while_sent(void **state) {
        static char zeros[50000];
        struct answer a;

        tree_write(&tree, "shrinks.bin", zeros, sizeof(zeros));
        web->before_pump = truncate_big;
        a = get("/shrinks.bin");
        assert_int_equal(a.content_length, sizeof(zeros));
        assert_true(a.cut);
        assert_true(a.body.n <= 1000);
        answer_deinit(&a);
        a = get("/shrinks.bin");
        assert_int_equal(a.content_length, 1000);
        assert_false(a.cut);
        answer_deinit(&a);
}

/* A file may change at any time, and every answer is one of its states. */
static void test_changes_show(void **state) {
        for (int i = 0; i < 200; i++) {
                char text[64], path[256], other[256];
                struct answer a;

                (void)snprintf(text, sizeof(text), "state %06d of always the same size", i);
                if (i % 3 == 0) {
                        tree_write(&tree, "new.txt", text, strlen(text));
                        (void)snprintf(path, sizeof(path), "%s/changes.txt", tree.root);
                        (void)snprintf(other, sizeof(other), "%s/new.txt", tree.root);
                        assert_int_equal(rename(other, path), 0);
                } else
                        tree_write(&tree, "changes.txt", text, strlen(text));
                a = get("/changes.txt");
                assert_body(&a, text);
                a = get("/changes.txt");
                assert_body(&a, text);
        }
}

/* The validators of a file that was modified a moment ago do not promise more than they know. */
static void test_young_etag_is_weak(void **state) {
        char path[256];
        struct answer a;

        tree_write(&tree, "young.txt", "x", 1);
        (void)snprintf(path, sizeof(path), "%s/young.txt", tree.root);
        assert_int_equal(utimensat(AT_FDCWD, path, NULL, 0), 0);
        a = get("/young.txt");
        assert_int_equal(strncmp(answer_field(&a, "ETag"), "W/\"", 3), 0);
        answer_deinit(&a);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_files),
                cmocka_unit_test(test_big),
                cmocka_unit_test(test_folders),
                cmocka_unit_test(test_never_outside),
                cmocka_unit_test(test_forbidden),
                cmocka_unit_test(test_long_path),
                cmocka_unit_test(test_not_found_page),
                cmocka_unit_test(test_methods),
                cmocka_unit_test(test_conditions),
                cmocka_unit_test(test_ranges),
                cmocka_unit_test(test_multipart),
                cmocka_unit_test(test_truncated_while_sent),
                cmocka_unit_test(test_changes_show),
                cmocka_unit_test(test_young_etag_is_weak),
        };

        return cmocka_run_group_tests(tests, setup, teardown);
}

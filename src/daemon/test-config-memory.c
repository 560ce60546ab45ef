/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Loading with the n-th allocation failing, for every n until none fails: it ends with -ENOMEM, never with a
 * wrong answer, and leaves nothing behind. Our own malloc() stands in front of the library's, so that
 * libyaml's allocations fail as well.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/diag.h"
#include "config/emit.h"
#include "daemon/schema.h"

static long countdown = -1; /* allocations that still succeed; -1: all */
static bool counting;
static long n_live;

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static bool fails(void) {
        if (countdown < 0)
                return false;
        if (countdown == 0) {
                errno = ENOMEM;
                return true;
        }
        countdown--;
        return false;
}

static void *counted(void *p) {
        n_live += counting && p;
        return p;
}

void *malloc(size_t n) {
        return fails() ? NULL : counted(__libc_malloc(n));
}

void *calloc(size_t n, size_t size) {
        return fails() ? NULL : counted(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n) {
        if (fails())
                return NULL;
        return p ? __libc_realloc(p, n) : counted(__libc_realloc(p, n));
}

void *reallocarray(void *p, size_t n, size_t size) {
        if (__builtin_mul_overflow(n, size, &n)) {
                errno = ENOMEM;
                return NULL;
        }
        return realloc(p, n);
}

void free(void *p) {
        n_live -= counting && p;
        __libc_free(p);
}

/* One load with everything a caller does with it. */
static int attempt(const char *text) {
        struct diag_list diags;
        struct config *c = NULL;
        struct strbuf out = STRBUF_INIT;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, "tenon.yaml", str_of(text), &root_schema, &diags);
        diag_format(&diags, &out, false);
        diag_format_json(&diags, &out);
        if (c)
                conf_emit(config_root(c), EMIT_EFFECTIVE, &out);
        strbuf_deinit(&out);
        config_free(c);
        diag_list_deinit(&diags);
        return r;
}

static void sweep(const char *text, int expected) {
        bool done = false;

        assert_int_equal(attempt(text), expected); /* also lets libc set up what it keeps */
        for (long n = 0; !done; n++) {
                long left;
                int r;

                assert_in_range(n, 0, 100000);
                n_live = 0;
                counting = true;
                countdown = n;
                r = attempt(text);
                left = countdown;
                countdown = -1;
                counting = false;
                done = left > 0;
                if (r != expected)
                        assert_int_equal(r, -ENOMEM);
                assert_int_equal(n_live, 0);
                if (done)
                        assert_int_equal(r, expected);
        }
}

static void test_good(void **state) {
        sweep("version: 1\n"
              "accept: [W101, W103]\n"
              "x-check: &check {path: /healthz, every: 5s}\n"
              "defaults: {check: *check, connect: {timeout: 100ms}}\n"
              "farms:\n"
              "  app: {servers: [\":9001\", \":9002\"], check: {every: 1s}}\n"
              "  other: [\"10.0.0.1:80\"]\n"
              "sites:\n"
              "  a: {hosts: a.example, proxy: app, routes: {/x/: {proxy: [\"10.0.0.1:80\"]}, /f: {folder: "
              "/srv, index: [a, b]}}}\n"
              "  b: {hosts: [b.example, \"*\"], listen: [\":80\", \":8080\"], respond: \"hi\"}\n",
              0);
}

static void test_many_mistakes(void **state) {
        sweep("version: 1\n"
              "timeouts: {idle: 30, header: 1m30s, heder: 5s}\n"
              "farms:\n"
              "  app: {servers: {a: {weight: 300}, b: \"10.0.0.1\"}, balance: robin, balance: x}\n"
              "  list: [a, a, {weight: 1}]\n"
              "sites:\n"
              "  a: {hosts: [a.example, A.example], proxy: apq, routes: {/x: {}, /x/: {respond: {}, folder: "
              "/}, y: {}}}\n"
              "  b: {hosts: a.example, proxy: none}\n",
              -EBADMSG);
}

static void test_syntax(void **state) {
        sweep("version: 1\nfarms: {a: [\n", -EBADMSG);
        sweep("version: 1\nfarms\n  a: b\n", -EBADMSG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_good),
                cmocka_unit_test(test_many_mistakes),
                cmocka_unit_test(test_syntax),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/health.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macro.h"

static const struct health_check checks[] = {
        {"config", true, STR("generation 3"), false},
        {"farm api", false, STR("0 of 2 up"), true},
        {"listeners", false, STR("drained"), false},
};

static void assert_written(enum health_format format, unsigned n, const char *expected) {
        struct strbuf b = STRBUF_INIT;

        health_write(&b, format, checks, n);
        assert_string_equal(strbuf_z(&b), expected);
        strbuf_deinit(&b);
}

/* A failed check fails the whole, one that is only a detail does not; each format says the same. */
static void test_formats(void **state) {
        assert_true(health_ok(checks, 0));
        assert_true(health_ok(checks, 2));
        assert_false(health_ok(checks, 3));
        assert_written(HEALTH_WORD, 2, "ok\n");
        assert_written(HEALTH_WORD, 3, "failed\n");
        assert_written(HEALTH_VERBOSE, 3,
                       "[+]config ok: generation 3\n[!]farm api failed: 0 of 2 up\n[-]listeners failed: drained\nfailed\n");
        assert_written(HEALTH_JSON, 2,
                       "{\"status\":\"pass\",\"checks\":{\"config\":[{\"status\":\"pass\",\"output\":\"generation 3\"}],"
                       "\"farm api\":[{\"status\":\"warn\",\"output\":\"0 of 2 up\"}]}}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_formats),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

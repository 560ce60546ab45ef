/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

#define NOW (1000000 * NSEC_PER_SEC)
#define AGO(s) (NOW - (s) * NSEC_PER_SEC)

static const struct status_server servers[] = {
        {.name = "web1", .address = "10.0.0.1:80", .state = "up", .usable = true, .since = AGO(600), .weight = 2, .requests = 900,
         .rate = 12.5, .check = "status 200", .checked_at = AGO(1)},
        {.name = "web2", .address = "10.0.0.2:80", .state = "down", .since = AGO(240), .weight = 1, .errors = 3,
         .check = "connection refused", .checked_at = AGO(2)},
};
static const struct status_site sites[] = {
        {.name = "shop", .hosts = STR("shop.example.com"), .requests = 123456, .client_errors = 7, .server_errors = 1, .rate = 28100},
};
static const struct status_listener listeners[] = {{"0.0.0.0:80", 2, "http://localhost/"}};

static struct status sample(const struct status_farm *farm) {
        return (struct status){
                .version = "0.1.0", .config = "/etc/tenon.yaml", .socket = "/run/t.sock", .admin = "http://127.0.0.1:9443",
                .now = NOW, .started = AGO(90000), .generation = 3, .applied = AGO(300), .io = "io_uring", .io_key = "uring",
                .io_wanted = "auto", .connections = 5, .rate = 28100,
                .worker = {.pid = 42, .state = "serving", .serving = true, .since = AGO(90000), .n_threads = 2},
                .listeners = listeners, .n_listeners = 1, .sites = sites, .n_sites = 1, .farms = farm, .n_farms = 1,
        };
}

static void assert_has(struct strbuf *b, const char *text) {
        if (!strstr(strbuf_z(b), text))
                fail_msg("no \"%s\" in:\n%s", text, strbuf_z(b));
}

static void test_numbers(void **state) {
        static const struct {
                double v;
                const char *text;
        } cases[] = {{0, "0"}, {0.04, "0"}, {0.3, "0.3"}, {7, "7.0"}, {42.4, "42"}, {999, "999"}, {999.7, "1.0k"}, {28100, "28.1k"},
                     {123456, "123k"}, {999999, "1.0M"}, {5e15, "5000T"}};

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

                status_format_number(&b, cases[i].v);
                assert_string_equal(strbuf_z(&b), cases[i].text);
        }
}

static void test_times(void **state) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        status_format_age(&b, 59 * NSEC_PER_SEC);
        strbuf_add_char(&b, '|');
        status_format_age(&b, 60 * NSEC_PER_SEC);
        strbuf_add_char(&b, '|');
        status_format_age(&b, 7384 * NSEC_PER_SEC);
        strbuf_add_char(&b, '|');
        status_format_age(&b, (3 * 86400 + 4 * 3600) * NSEC_PER_SEC);
        strbuf_add_char(&b, '|');
        status_format_time(&b, 1763822403512 * NSEC_PER_MSEC);
        assert_string_equal(strbuf_z(&b), "59s|1m|2h 3m|3d 4h|2025-11-22T14:40:03.512Z");
}

/* A farm with a server left needs attention but is no degradation; without one it is. */
static void test_attention(void **state) {
        struct status_farm farm = {.name = "app", .balance = "round-robin", .servers = servers, .n_servers = 2, .n_usable = 1};
        struct status s = sample(&farm);
        struct status_attention v[8];
        struct arena arena;

        arena_init(&arena, 1024);
        assert_int_equal(status_attention(&s, &arena, v, 8), 1);
        assert_string_equal(v[0].text.p, "farm app: server web2 is down for 4m: connection refused");
        assert_false(v[0].degraded);
        assert_false(status_degraded(&s));
        farm.n_usable = 0;
        assert_int_equal(status_attention(&s, &arena, v, 8), 2);
        assert_true(v[0].degraded);
        assert_true(status_degraded(&s));
        assert_int_equal(status_attention(&s, &arena, v, 1), 1);
        farm.n_usable = 1;
        s.last_failure = "cannot bind 0.0.0.0:81";
        s.last_failure_at = AGO(5);
        assert_true(status_degraded(&s));
        s.last_failure = NULL;
        s.worker.serving = false;
        s.worker.state = "restarting";
        assert_true(status_degraded(&s));
        s.draining = true;
        assert_false(status_degraded(&s));
        arena_deinit(&arena);
}

static void test_text(void **state) {
        struct status_farm farm = {.name = "app", .balance = "round-robin", .servers = servers, .n_servers = 2, .n_usable = 1,
                                   .requests = 900, .errors = 3};
        struct status s = sample(&farm);
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        assert_int_equal(status_format_text(&s, STR(""), false, &b), 0);
        assert_has(&b, "generation 3 for 5m · 1 thing needs attention\n");
        assert_has(&b, "serving for 1d 1h · pid 42 · 2 threads · io_uring · 0 restarts\n");
        assert_has(&b, "28.1k req/s");
        assert_has(&b, "LISTEN   0.0.0.0:80  http://localhost/\n");
        assert_has(&b, "app      1/2 up");
        assert_has(&b, "web2   down      4m");
        assert_has(&b, "! farm app: server web2 is down");
        assert_null(strchr(strbuf_z(&b), '\033'));
        strbuf_clear(&b);
        assert_int_equal(status_format_text(&s, STR("app/web2"), true, &b), 0);
        assert_has(&b, "\033[31mdown\033[0m      4m");
        assert_null(strstr(strbuf_z(&b), "web1"));
        assert_int_equal(status_format_text(&s, STR("app/web3"), false, &b), -ENOENT);
        assert_int_equal(status_format_text(&s, STR("nothing"), false, &b), -ENOENT);
}

static void test_json(void **state) {
        struct status_farm farm = {.name = "app", .balance = "round-robin", .servers = servers, .n_servers = 2, .n_usable = 1};
        struct status s = sample(&farm);
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        assert_int_equal(status_format_json(&s, STR(""), &b), 0);
        assert_has(&b, "\"healthy\":true,\"generation\":3,");
        assert_has(&b, "\"io\":{\"backend\":\"uring\",\"wanted\":\"auto\",\"reason\":null}");
        assert_has(&b, "\"worker\":{\"pid\":42,\"state\":\"serving\",\"serving\":true,");
        assert_has(&b, "\"hint\":\"tenon status app/web2\"");
        strbuf_clear(&b);
        assert_int_equal(status_format_json(&s, STR("app/web1"), &b), 0);
        assert_true(str_starts(str_of(strbuf_z(&b)), STR("{\"name\":\"web1\",")));
        assert_int_equal(status_format_json(&s, STR("app/"), &b), -ENOENT);
        assert_int_equal(status_format_json(&s, STR("ap"), &b), -ENOENT);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_numbers), cmocka_unit_test(test_times), cmocka_unit_test(test_attention),
                cmocka_unit_test(test_text),    cmocka_unit_test(test_json),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

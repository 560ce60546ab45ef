/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/diag.h"
#include "config/schema.h"
#include "farm/farm.h"
#include "farm/schema.h"
#include "farm/test-farm.h"
#include "farm/test-fault.h"

/* As much of a root as farms need: sites with routes, in which a farm may stand in place. */
static const struct schema route_keys[] = {
        {.name = "proxy",
         .type = SCHEMA_MAP,
         .keys = farm_keys,
         .scalar = &farm_ref_schema,
         .short_list = "servers",
         .inherit = "defaults",
         .help = "x"},
        {.name = "folder", .type = SCHEMA_TEXT, .help = "x"},
        SCHEMA_END,
};
static int any_name(struct str text, uint64_t *ret_value, struct strbuf *why, struct strbuf *hint) {
        return 0;
}

static const struct schema route_schema = {.name = "route", .type = SCHEMA_MAP, .keys = route_keys, .help = "x"};
static const struct schema site_keys[] = {
        {.name = "routes", .type = SCHEMA_DICT, .item = &route_schema, .parse = any_name, .dflt = "{}", .help = "x"},
        SCHEMA_END,
};
static const struct schema site_schema = {.name = "site", .type = SCHEMA_MAP, .keys = site_keys, .help = "x"};
static struct schema root_keys[4]; /* farms, defaults, sites */
static const struct schema root_schema = {.name = "", .type = SCHEMA_MAP, .keys = root_keys, .help = "x"};

static struct config *load(const char *text) {
        struct diag_list diags;
        struct config *c = NULL;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, "test.yaml", str_of(text), &root_schema, &diags);
        if (r < 0) {
                struct strbuf out = STRBUF_INIT;

                diag_format(&diags, &out, false);
                print_message("%s\n", strbuf_z(&out));
                strbuf_deinit(&out);
        }
        assert_int_equal(r, 0);
        diag_list_deinit(&diags);
        return c;
}

static struct farm_set *build(const char *text, struct counters *counters, const struct farm_set *previous) {
        struct config *c = load(text);
        struct farm_set *set = NULL;
        char *why = NULL;

        assert_int_equal(farm_set_declare(config_root(c), counters), 0);
        assert_int_equal(farm_set_build(&set, config_root(c), counters, previous, &why), 0);
        assert_null(why);
        (void)config_free(c); /* the set keeps nothing of it */
        return set;
}

static struct counters *region(void) {
        struct counters *c;

        assert_int_equal(counters_new(&c, 2, 64), 0);
        return c;
}

/* Every setting arrives where it belongs. */
static void test_settings(void **state) {
        struct counters *c = region();
        struct farm_set *set = build("farms:\n"
                                     "  shop:\n"
                                     "    servers:\n"
                                     "      web1: {address: 10.0.0.21:8080, weight: 2}\n"
                                     "      web2: 10.0.0.22:8080\n"
                                     "      web3: {address: web3.internal:8080, backup: true, weight: 7}\n"
                                     "      web4: {address: 'unix:/run/app.sock', weight: 0}\n"
                                     "    balance: least-conn\n"
                                     "    check: {path: /healthz, every: 3s, timeout: 500ms, expect: [200, 204, 300-302, 4xx], rise: 4, fall: 5,\n"
                                     "            host: shop.example.com, port: 81, method: HEAD}\n"
                                     "    connect: {timeout: 250ms, pool: 7, keepalive: none}\n"
                                     "    retry: {tries: 4, on: [no-response, timeout, \"503\"], methods: all}\n"
                                     "    timeouts: {first_byte: 10s, idle: none}\n",
                                     c, NULL);
        const struct farm *f = farm_set_find(set, STR("shop"));
        const unsigned expected[] = {200, 204, 300, 301, 302, 400, 499};
        const unsigned unexpected[] = {0, 199, 201, 303, 399, 500, 1024, 4000000000};

        assert_non_null(f);
        assert_int_equal(f->n_members, 4);
        assert_string_equal(f->members[0].server->name.p, "web1");
        assert_int_equal(f->members[0].weight, 2);
        assert_int_equal(f->members[1].weight, 1);
        assert_true(f->members[2].backup && f->members[2].server->named);
        assert_string_equal(f->members[2].server->host, "web3.internal");
        assert_int_equal(f->members[2].server->port, 8080);
        assert_int_equal(server_state(f->members[2].server), SERVER_DOWN);
        assert_int_equal(f->members[3].weight, 0);
        assert_int_equal(f->total_weight, 3);
        assert_int_equal(f->balance, FARM_LEAST_CONN);
        assert_int_equal(f->check.kind, FARM_CHECK_HTTP);
        assert_int_equal(f->check.every, 3 * NSEC_PER_SEC);
        assert_int_equal(f->check.timeout, 500 * NSEC_PER_MSEC);
        assert_int_equal(f->check.rise, 4);
        assert_int_equal(f->check.fall, 5);
        assert_int_equal(f->check.port, 81);
        assert_true(str_eq(f->check.path, STR("/healthz")));
        assert_true(str_eq(f->check.host, STR("shop.example.com")));
        assert_true(str_eq(f->check.method, STR("HEAD")));
        for (unsigned i = 0; i < ARRAY_SIZE(expected); i++)
                assert_true(farm_status_in(f->check.expect, expected[i]));
        for (unsigned i = 0; i < ARRAY_SIZE(unexpected); i++)
                assert_false(farm_status_in(f->check.expect, unexpected[i]));
        assert_int_equal(f->settings.connect_timeout, 250 * NSEC_PER_MSEC);
        assert_int_equal(f->settings.pool, 7);
        assert_true(f->settings.keepalive == NSEC_INFINITY);
        assert_int_equal(f->settings.tries, 4);
        assert_int_equal(f->settings.retry_on, FARM_RETRY_NO_RESPONSE | FARM_RETRY_FIRST_BYTE);
        assert_int_equal(f->settings.retry_methods, FARM_RETRY_ALL);
        assert_true(farm_retries_status(f, 503));
        assert_false(farm_retries_status(f, 502));
        assert_int_equal(f->settings.first_byte_timeout, 10 * NSEC_PER_SEC);
        assert_true(f->settings.idle_timeout == NSEC_INFINITY);
        (void)farm_set_unref(set);
        counters_free(c);
}

/* The defaults of the schema, and TCP checks; the short forms. */
static void test_defaults(void **state) {
        struct counters *c = region();
        struct farm_set *set = build("farms:\n"
                                     "  plain: [\"10.0.0.1:80\", \"10.0.0.2:80\"]\n"
                                     "  tcp: {servers: {a: \":81\"}, check: {tcp: true}}\n"
                                     "  path: {servers: {a: \":81\"}, check: /}\n",
                                     c, NULL);
        const struct farm *f = farm_set_find(set, STR("plain"));
        struct addr addr;

        assert_int_equal(set->n_farms, 3);
        assert_string_equal(f->members[1].server->name.p, "10.0.0.2:80");
        assert_int_equal(f->balance, FARM_ROUND_ROBIN);
        assert_int_equal(f->check.kind, FARM_CHECK_NONE);
        assert_int_equal(f->settings.tries, 2);
        assert_int_equal(f->settings.retry_on, FARM_RETRY_CONNECT | FARM_RETRY_NO_RESPONSE);
        assert_int_equal(f->settings.retry_methods, FARM_RETRY_IDEMPOTENT);
        assert_int_equal(f->settings.connect_timeout, NSEC_PER_SEC);
        f = farm_set_find(set, STR("tcp"));
        assert_int_equal(f->check.kind, FARM_CHECK_TCP);
        assert_int_not_equal(server_addr(f->members[0].server, &addr), 0);
        assert_int_equal(ntohl(addr.in4.sin_addr.s_addr), INADDR_LOOPBACK);
        f = farm_set_find(set, STR("path"));
        assert_int_equal(f->check.kind, FARM_CHECK_HTTP);
        assert_true(str_eq(f->check.method, STR("GET")));
        assert_true(farm_status_in(f->check.expect, 399) && !farm_status_in(f->check.expect, 400));
        (void)farm_set_unref(set);
        counters_free(c);
}

/* Farms in place are found by site and path, and take part in everything else. */
static void test_in_place(void **state) {
        struct counters *c = region();
        struct farm_set *set = build("defaults: {balance: random-two}\n"
                                     "farms: {app: [\"10.0.0.1:80\"]}\n"
                                     "sites:\n"
                                     "  shop:\n"
                                     "    routes:\n"
                                     "      /: {proxy: app}\n"
                                     "      /static/: {folder: /srv}\n"
                                     "      /api/: {proxy: {servers: {api1: \"10.0.0.2:80\"}}}\n"
                                     "      \"=/one\": {proxy: [\"10.0.0.3:80\"]}\n",
                                     c, NULL);
        const struct farm *f = farm_set_find_in_place(set, STR("shop"), STR("/api/"));

        assert_int_equal(set->n_farms, 3);
        assert_non_null(f);
        assert_string_equal(f->name.p, "shop:/api/");
        assert_int_equal(f->balance, FARM_RANDOM_TWO);
        assert_non_null(farm_set_find_in_place(set, STR("shop"), STR("=/one")));
        assert_null(farm_set_find_in_place(set, STR("shop"), STR("/")));
        assert_true(counters_find(c, COUNTERS_SERVER, STR("shop:/api//api1")) >= 0);
        assert_int_equal(f->members[0].server->words.object, counters_find(c, COUNTERS_SERVER, STR("shop:/api//api1")));
        assert_int_equal(f->words.object, counters_find(c, COUNTERS_FARM, STR("shop:/api/")));
        (void)farm_set_unref(set);
        counters_free(c);
}

/* A server goes on while farm, name and address are the same, whatever else changes; else it is another one. */
static void test_generations(void **state) {
        struct counters *c = region();
        struct farm_set *one = build("farms: {f: {servers: {a: \"10.0.0.1:80\", b: \"10.0.0.2:80\", c: \"10.0.0.3:80\"}}}", c, NULL);
        struct server *a = server_ref(one->farms[0]->members[0].server), *b = one->farms[0]->members[1].server,
                      *old_c = one->farms[0]->members[2].server;
        struct farm_lane lane = test_lane(1, 1);
        struct farm_set *two;
        const struct farm *f;

        server_begin(a, &lane);
        server_set_state(a, SERVER_DOWN);
        two = build("farms: {g: {servers: {b: \"10.0.0.2:80\"}}, f: {servers: {c: \"10.0.0.33:80\", a: {address: \"10.0.0.1:80\", weight: 9}}}}", c,
                    one);
        f = farm_set_find(two, STR("f"));
        assert_ptr_equal(f->members[1].server, a);
        assert_ptr_not_equal(f->members[0].server, old_c);
        assert_ptr_not_equal(farm_set_find(two, STR("g"))->members[0].server, b);
        assert_int_equal(server_state(a), SERVER_DOWN);
        assert_int_equal(server_in_flight(a), 1); /* not reset: a request is under way */
        (void)farm_set_unref(one);
        server_end(a, &lane, SERVER_OK, 200, 1);
        (void)farm_set_unref(two);
        assert_int_equal(server_state(a), SERVER_DOWN); /* as long as somebody has it */
        assert_int_equal(counters_sum(c, a->words.object, SERVER_CODE_2XX), 1);
        server_unref(a);
        counters_free(c);
}

/* A new worker starts with nothing in flight, but keeps what was counted. */
static void test_new_worker(void **state) {
        static const char text[] = "farms: {f: {servers: {a: \"10.0.0.1:80\"}}}";
        struct counters *c = region();
        struct farm_set *set = build(text, c, NULL);
        struct farm_lane lane = test_lane(1, 1);
        struct server *a = set->farms[0]->members[0].server;

        server_begin(a, &lane);
        server_begin(a, &lane);
        server_idle(a, &lane, 1);
        server_first_byte(a, &lane, 7 * NSEC_PER_MSEC);
        server_connected(a, &lane, 31 * NSEC_PER_SEC);
        server_retried(a, &lane);
        server_end(a, &lane, SERVER_FAILED_RESET, 404, 1);
        assert_int_equal(server_in_flight(a), 1);
        (void)farm_set_unref(set); /* the worker crashed */
        set = build(text, c, NULL);
        a = set->farms[0]->members[0].server;
        assert_int_equal(server_in_flight(a), 0);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_IDLE), 0);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_CODE_4XX), 1);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_ERROR_RESET), 1);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_RETRIES), 1);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_FIRST_BYTE_10MS), 1);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_FIRST_BYTE_SUM), 7 * NSEC_PER_MSEC);
        assert_int_equal(counters_sum(c, a->words.object, SERVER_CONNECT_MORE), 1);
        (void)farm_set_unref(set);
        counters_free(c);
}

/* Without room in the region everything works, only nobody sees the numbers. */
static void test_full_region(void **state) {
        struct config *config = load("farms: {f: {servers: {a: \"10.0.0.1:80\", b: \"10.0.0.2:80\"}}}");
        struct farm_lane lane = test_lane(1, 1);
        const struct farm_member *m;
        struct counters *c;
        struct farm_set *set;
        char *why;

        assert_int_equal(counters_new(&c, 2, 2), 0);
        assert_int_equal(farm_set_declare(config_root(config), c), -ENOSPC);
        assert_int_equal(farm_set_build(&set, config_root(config), c, NULL, &why), 0);
        assert_true(set->farms[0]->members[0].server->words.object >= 0);
        assert_int_equal(set->farms[0]->members[1].server->words.object, -1);
        for (unsigned i = 0; i < 10; i++) {
                assert_int_equal(farm_pick(set->farms[0], &lane, 1, NULL, 0, &m), FARM_PICKED);
                server_begin(m->server, &lane);
                server_end(m->server, &lane, SERVER_OK, 200, 1);
        }
        assert_int_equal(server_in_flight(set->farms[0]->members[1].server), 0);
        (void)farm_set_unref(set);
        (void)config_free(config);
        counters_free(c);
}

/* Names that are too long for the region are cut the same way every time, and stay apart. */
static void test_long_names(void **state) {
        char a[COUNTERS_NAME_MAX], b[COUNTERS_NAME_MAX], farm[200];
        struct str x, y;

        memset(farm, 'f', sizeof(farm));
        x = server_object_name((struct str){farm, 200}, STR("a"), a);
        y = server_object_name((struct str){farm, 200}, STR("b"), b);
        assert_int_equal(x.n, COUNTERS_NAME_MAX - 1);
        assert_int_equal(strlen(a), x.n);
        assert_false(str_eq(x, y));
        assert_true(str_eq(x, server_object_name((struct str){farm, 200}, STR("a"), b)));
        x = server_object_name((struct str){farm, 117}, STR("a"), a);
        assert_int_equal(x.n, 119);
        assert_true(str_ends(x, STR("f/a")));
        assert_true(str_eq(farm_object_name(STR("shop"), a), STR("shop")));
}

/* With every allocation failing once: an error, a sentence where there was memory for it, and nothing left behind. */
static void test_memory(void **state) {
        struct config *config = load("farms: {f: {servers: {a: \"10.0.0.1:80\", b: \"x.internal:80\"}, check: {path: /}}, g: [\":1\"], h: [\":1\"]}\n"
                                     "sites: {s: {routes: {/: {proxy: [\":2\"]}}}}");
        struct counters *c = region();
        struct farm_set *set = NULL;
        unsigned n = 0;
        char *why;
        int r;

        assert_int_equal(farm_set_declare(config_root(config), c), 0);
        do {
                fault_alloc_after(n++);
                r = farm_set_build(&set, config_root(config), n % 2 ? c : NULL, NULL, &why);
                fault_alloc_never();
                if (r < 0) {
                        assert_int_equal(r, -ENOMEM);
                        assert_null(set);
                        free(why);
                }
        } while (r < 0 || n < 10);
        assert_true(n > 20);
        (void)farm_set_unref(set);
        (void)config_free(config);
        counters_free(c);
}

int main(void) {
        const struct CMUnitTest all[] = {
                cmocka_unit_test(test_settings),
                cmocka_unit_test(test_defaults),
                cmocka_unit_test(test_in_place),
                cmocka_unit_test(test_generations),
                cmocka_unit_test(test_new_worker),
                cmocka_unit_test(test_full_region),
                cmocka_unit_test(test_long_names),
                cmocka_unit_test(test_memory),
        };

        root_keys[0] = farm_schema;
        root_keys[1] = farm_defaults_schema;
        root_keys[2] = (struct schema){.name = "sites", .type = SCHEMA_DICT, .item = &site_schema, .dflt = "{}", .help = "x"};
        return cmocka_run_group_tests(all, NULL, NULL);
}

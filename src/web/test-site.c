/* SPDX-License-Identifier: Apache-2.0 */
#include "web/site.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "web/handler/test-stream.h"
#include "web/route/netlist.h"

static const struct web_listen *listen_of(struct fake_web *f, const char *text) {
        struct addr a;

        assert_int_equal(addr_parse(&a, str_of(text), 80, NULL), 0);
        for (unsigned i = 0; i < f->config->n_listens; i++)
                if (addr_equal(&f->config->listens[i].addr, &a))
                        return &f->config->listens[i];
        return NULL;
}

static const char *site_of(struct fake_web *f, const char *listen, const char *host) {
        const struct site *s = web_listen_site(listen_of(f, listen), str_of(host));

        return s ? s->name.p : "none";
}

/* Each address has its own table of hosts. */
static void test_listens(void **state) {
        struct fake_web *f = fake_web_new(
                "listen: [\":80\"]\n"
                "sites:\n"
                "  shop: {hosts: [shop.test, \"*.shop.test\"], respond: shop}\n"
                "  rest: {hosts: [\"*\"], listen: [\":80\", \"127.0.0.1:8080\"], respond: rest}\n"
                "  admin: {hosts: [shop.test], listen: [\"127.0.0.1:8080\"], respond: admin}\n");

        assert_int_equal(f->config->n_sites, 3);
        assert_int_equal(f->config->n_listens, 2);
        assert_string_equal(site_of(f, ":80", "SHOP.test"), "shop");
        assert_string_equal(site_of(f, ":80", "x.shop.test."), "shop");
        assert_string_equal(site_of(f, ":80", "other"), "rest");
        assert_string_equal(site_of(f, "127.0.0.1:8080", "shop.test"), "admin");
        assert_string_equal(site_of(f, "127.0.0.1:8080", "x.shop.test"), "rest");
        assert_null(listen_of(f, ":81"));
        (void)fake_web_free(f);
}

/* What the schema says by default, and what the file says instead. */
static void test_limits(void **state) {
        struct fake_web *f = fake_web_new("sites: {s: {respond: x}}\n");
        struct web_limits l = f->config->limits;
        struct addr a;

        assert_int_equal(l.header_timeout, 10 * NSEC_PER_SEC);
        assert_int_equal(l.idle_timeout, 60 * NSEC_PER_SEC);
        assert_int_equal(l.head, 32768);
        assert_int_equal(l.target, 8192);
        assert_int_equal(l.fields, 128);
        assert_true(l.body == UINT64_MAX);
        assert_true(l.connections == UINT64_MAX);
        (void)fake_web_free(f);
        f = fake_web_new("sites: {s: {respond: x}}\n"
                         "timeouts: {header: 5s, idle: none}\n"
                         "limits: {body: 1MiB, connections: 100}\n"
                         "trusted_proxies: [10.0.0.0/8]\n");
        l = f->config->limits;
        assert_int_equal(l.header_timeout, 5 * NSEC_PER_SEC);
        assert_true(l.idle_timeout == NSEC_INFINITY);
        assert_int_equal(l.body, 1 << 20);
        assert_int_equal(l.connections, 100);
        assert_int_equal(addr_parse(&a, STR("10.1.2.3"), 80, NULL), 0);
        assert_true(net_list_has(f->config->trusted_proxies, &a));
        assert_int_equal(addr_parse(&a, STR("11.1.2.3"), 80, NULL), 0);
        assert_false(net_list_has(f->config->trusted_proxies, &a));
        (void)fake_web_free(f);
}

/* A folder that is not there shows before the configuration is used, with its place. */
static void test_folder_missing(void **state) {
        struct config *c = fake_web_load("sites: {s: {folder: /nothing/here}}\n");
        struct web_config *w = NULL;
        char *why = NULL;

        assert_int_equal(web_config_build(&w, c, NULL, NULL, &why), -ENOENT);
        assert_string_equal(why, "line 1: cannot open folder \"/nothing/here\": No such file or directory");
        assert_null(w);
        free(why);
        (void)config_free(c);
}

/* A site whose counters found no place works all the same. */
static void test_counters(void **state) {
        struct fake_web *f = fake_web_new("sites: {s: {respond: x}}\n");
        struct answer a = fake_request(f, "GET", "/", NULL);

        assert_true(f->config->sites[0].counters >= 0);
        assert_int_equal(fake_count(f, "s", SITE_IN_FLIGHT), 1);
        answer_deinit(&a);
        f->config->sites[0].counters = -1;
        a = fake_request(f, "GET", "/", NULL);
        assert_int_equal(a.status, 200);
        answer_deinit(&a);
        (void)fake_web_free(f);
}

static void test_routes(void **state) {
        struct fake_web *f = fake_web_new("farms: {app: [\"127.0.0.1:1\"]}\n"
                                          "sites:\n"
                                          "  s:\n"
                                          "    routes:\n"
                                          "      /: {respond: root}\n"
                                          "      /api/: {proxy: app, strip: /api}\n"
                                          "      =/api/ping: {respond: pong}\n");
        struct answer a = fake_request(f, "GET", "/x", NULL);
        const struct route *r = site_route(&f->config->sites[0], STR("/api/x"));

        assert_string_equal(a.route, "/");
        answer_deinit(&a);
        a = fake_request(f, "GET", "/api/ping", NULL);
        assert_string_equal(strbuf_z(&a.body), "pong");
        answer_deinit(&a);
        assert_string_equal(r->handler->name, "proxy");
        assert_true(str_eq(r->strip, STR("/api")));
        (void)fake_web_free(f);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_listens),
                cmocka_unit_test(test_limits),
                cmocka_unit_test(test_folder_missing),
                cmocka_unit_test(test_counters),
                cmocka_unit_test(test_routes),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

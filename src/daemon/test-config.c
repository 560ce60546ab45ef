/* SPDX-License-Identifier: Apache-2.0 */

/* The loaded configuration, with the whole schema: what the other parts find in the checked tree. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "config/config.h"
#include "config/diag.h"
#include "daemon/schema.h"

static struct config *load(const char *text) {
        struct diag_list diags;
        struct config *c = NULL;
        struct strbuf out = STRBUF_INIT;
        int r;

        diag_list_init(&diags);
        r = config_load(&c, "/etc/tenon/tenon.yaml", str_of(text), &root_schema, &diags);
        if (r < 0) {
                diag_format(&diags, &out, false);
                print_message("%s\n", strbuf_z(&out));
        }
        assert_int_equal(r, 0);
        strbuf_deinit(&out);
        diag_list_deinit(&diags);
        return c;
}

static void assert_text(struct str s, const char *z) {
        char *p = str_dup(s);

        assert_string_equal(p, z);
        free(p);
}

/* The three lines of the manual are a complete configuration: everything else has a default. */
static void test_minimal(void **state) {
        struct config *c = load("version: 1\nfarms: {app: [\"127.0.0.1:9000\"]}\nsites: {www: {hosts: "
                                "[\"*\"], proxy: app}}\n");
        const struct conf_node *root = config_root(c), *farm, *site, *route;

        assert_text(conf_text(root, "cluster"), "tenon");
        assert_int_equal(conf_duration(root, "timeouts.header"), 10 * NSEC_PER_SEC);
        assert_int_equal(conf_u64(root, "limits.header"), 32768);
        assert_true(conf_u64(root, "limits.body") == UINT64_MAX);
        assert_true(conf_u64(root, "limits.connections") == UINT64_MAX);
        assert_in_range(conf_u64(root, "threads"), 1, 64);
        assert_true(conf_get(root, "threads")->is_auto);
        assert_text(conf_get(root, "listen")->first->text, ":80");
        farm = conf_get(root, "farms.app");
        assert_int_equal(conf_choice(farm, "balance"), 0);
        assert_null(conf_get(farm, "check"));
        assert_int_equal(conf_get(farm, "retry.on")->n_children, 2);
        assert_text(farm->first->first->key, "127.0.0.1:9000");
        assert_text(conf_text(farm->first->first, "address"), "127.0.0.1:9000");
        assert_int_equal(conf_u64(farm->first->first, "weight"), 1);
        assert_false(conf_bool(farm->first->first, "backup"));
        site = conf_get(root, "sites.www");
        assert_text(conf_get(site, "hosts")->first->text, "*");
        assert_text(conf_get(site, "listen")->first->text, ":80");
        route = conf_child(conf_get(site, "routes"), STR("/"));
        assert_text(conf_text(route, "proxy"), "app");
        assert_null(conf_get(route, "index"));
        assert_text(conf_get(root, "admin.listen")->first->text, "localhost");
        assert_int_equal(conf_u64(root, "admin.port"), 9443);
        assert_text(conf_text(root, "log.access.to"), "none");
        config_free(c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_minimal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* What two configurations differ in, and configurations whose bytes come from elsewhere; with the whole schema. */

#include "config/diff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/diag.h"
#include "daemon/schema.h"

DEFINE_CLEANUP(struct config *, config_free)

static struct config *load_input(const struct config_input *input, int expected) {
        struct diag_list diags;
        struct config *c = NULL;

        diag_list_init(&diags);
        assert_int_equal(config_load_input(&c, input, &root_schema, &diags), expected);
        diag_list_deinit(&diags);
        return c;
}

static struct config *load(const char *text) {
        const struct config_input input = {.name = "/etc/tenon/tenon.yaml", .text = str_of(text)};

        return load_input(&input, 0);
}

/* The text of the difference. */
static void assert_diff(const char *before, const char *after, const char *expected) {
        CLEANUP(config_freep) struct config *a = load(before);
        CLEANUP(config_freep) struct config *b = load(after);
        CLEANUP(config_diff_deinit) struct config_diff diff = {0};
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;

        assert_int_equal(config_diff(&diff, config_root(a), config_root(b)), 0);
        config_diff_format(&diff, &out, false);
        assert_string_equal(strbuf_z(&out), expected);
}

#define HEAD "version: 1\n"
#define SITE "sites: {www: {hosts: [\"*\"], proxy: app}}\n"

/* Other words for the same, another order, a default written out: no difference. */
static void test_same(void **state) {
        assert_diff(HEAD "farms: {app: {servers: {a: 10.0.0.1:80, b: 10.0.0.2:80}, check: {path: /, every: 2s}}}\n" SITE,
                    SITE HEAD "farms: {app: {check: {every: 2000ms, path: /}, balance: round-robin,\n"
                              "       servers: {b: {address: 10.0.0.2:80}, a: {address: 10.0.0.1:80, weight: 1}}}}\n",
                    "");
}

/* Servers come, go and change weight: one group, signs and effects as the manual shows them. */
static void test_servers(void **state) {
        assert_diff(HEAD "farms: {app: {servers: {web1: {address: 10.0.0.1:80, weight: 2}, web2: 10.0.0.2:80}}}\n" SITE,
                    HEAD "farms: {app: {servers: {web1: 10.0.0.1:80, web4: {address: 10.0.0.4:80, backup: true}}}}\n" SITE,
                    "farms.app.servers\n"
                    "  ~ web1.weight: 2 → 1                            effect: immediate\n"
                    "  - web2: 10.0.0.2:80                             effect: gets no new requests; those in flight finish\n"
                    "  + web4: {address: 10.0.0.4:80, backup: true}    effect: gets requests at once\n");
}

/* Names with dots, lists by item, keys of the top level, what only a restart can change. */
static void test_other_keys(void **state) {
        assert_diff(HEAD "threads: 2\nlisten: [\":81\", \":82\"]\nfarms: {app: [\"10.0.0.1:80\", \"10.0.0.2:80\"]}\n" SITE,
                    HEAD "threads: 4\nlisten: [\":82\", \":83\"]\nfarms: {app: [\"10.0.0.1:80\"]}\n"
                         "sites: {www: {hosts: [\"*\"], routes: {/: {proxy: app}, /x/: {respond: \"a b\"}}}}\n",
                    "~ threads: 2 → 4                                effect: needs a restart\n"
                    "- listen: :81                                   effect: stops listening; open connections go on\n"
                    "+ listen: :83                                   effect: new listener\n"
                    "farms.app.servers\n"
                    "  - 10.0.0.2:80: 10.0.0.2:80                      effect: gets no new requests; those in flight finish\n"
                    "sites.www.routes\n"
                    "  + /x/: {respond: \"a b\"}                         effect: new requests\n");
}

/* The same as JSON; `restart` is what makes apply refuse. */
static void test_json(void **state) {
        CLEANUP(config_freep) struct config *a = load(HEAD "io: epoll\n");
        CLEANUP(config_freep) struct config *b = load(HEAD "io: auto\n");
        CLEANUP(config_diff_deinit) struct config_diff diff = {0};
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;

        assert_int_equal(config_diff(&diff, config_root(a), config_root(b)), 0);
        assert_int_equal(diff.n, 1);
        assert_true(diff.v[0].restart);
        config_diff_format_json(&diff, &out);
        assert_string_equal(strbuf_z(&out), "[{\"change\":\"changed\",\"path\":\"io\",\"before\":\"epoll\",\"after\":\"auto\","
                                            "\"effect\":\"needs a restart\",\"restart\":true}]");
}

/* The command line goes before the file; a mistake in it is a mistake like others. */
static void test_overrides(void **state) {
        struct config_input input = {
                .name = "/x/tenon.yaml",
                .text = STR(HEAD "threads: 2\nlisten: [\":81\"]\nfarms: {app: [\"10.0.0.1:80\"]}\n" SITE),
                .overrides = STR("listen: [\":8080\"]\nio: epoll\n"),
        };
        CLEANUP(config_freep) struct config *c = load_input(&input, 0);
        const struct conf_node *root = config_root(c);

        assert_int_equal(conf_get(root, "listen")->n_children, 1);
        assert_true(str_eq(conf_get(root, "listen")->first->text, STR(":8080")));
        assert_true(str_eq(conf_get(root, "sites.www.listen")->first->text, STR(":8080")));
        assert_int_equal(conf_u64(root, "threads"), 2);
        assert_true(str_eq(conf_text(root, "io"), STR("epoll")));
        input.overrides = STR("listen: [\"nonsense\"]\n");
        assert_null(load_input(&input, -EBADMSG));
}

/* Included texts that are given are not looked for on the disk. */
static void test_given(void **state) {
        const struct diag_source included[] = {{STR("/nowhere/a.yaml"), STR("farms: {app: [\"10.0.0.1:80\"]}\n")},
                                               {STR("/nowhere/b.yaml"), STR(SITE)}};
        struct config_input input = {.name = "/nowhere/tenon.yaml", .text = STR(HEAD "include: [\"*.yaml\"]\n"), .included = included, .n_included = 2};
        CLEANUP(config_freep) struct config *c = load_input(&input, 0);

        assert_non_null(conf_get(config_root(c), "farms.app"));
        assert_non_null(conf_get(config_root(c), "sites.www"));
        input.included = NULL;
        assert_null(load_input(&input, -EBADMSG));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_same), cmocka_unit_test(test_servers),   cmocka_unit_test(test_other_keys),
                cmocka_unit_test(test_json), cmocka_unit_test(test_overrides), cmocka_unit_test(test_given),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

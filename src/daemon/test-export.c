/* SPDX-License-Identifier: Apache-2.0 */

/* The metrics page of a configuration that runs: what every scraper relies on, and the budget of series. */

#include "daemon/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "daemon/agent.h"
#include "daemon/gauges.h"
#include "daemon/snapshot.h"
#include "farm/counters.h"
#include "web/counters.h"

enum {
        SERIES_PER_SERVER = 40,
        SERIES_PER_SITE = 150,
        SERIES_FIXED = 400,
        LINES_MAX = 4096,
};

static const char text[] = "version: 1\n"
                           "threads: 2\n"
                           "cluster: shop\n"
                           "farms: {app: {servers: {web1: 10.0.0.1:80, web2: 10.0.0.2:80}, check: /}}\n"
                           "sites:\n"
                           "  www: {hosts: [www.example.com], proxy: app}\n"
                           "  other: {hosts: [other.example.com], routes: {/a/b/: {proxy: {servers: [\"10.0.0.3:80\"]}}}}\n";

struct fixture {
        struct agent a;
        struct strbuf out;
        char *lines[LINES_MAX];
        unsigned n;
};

static int setup(void **state) {
        const struct generation_source source = {.name = "test.yaml", .text = {text, sizeof(text) - 1}};
        struct fixture *f = calloc(1, sizeof(*f));
        struct diag_list diags;

        diag_list_init(&diags);
        assert_int_equal(generation_load(&f->a.current, &source, &diags), 0);
        diag_list_deinit(&diags);
        assert_int_equal(counters_new(&f->a.counters, 2, 64), 0);
        gauges_declare(f->a.counters);
        assert_int_equal(generation_declare(f->a.current, f->a.counters), 0);
        f->a.current->number = 7;
        *state = f;
        return 0;
}

static int teardown(void **state) {
        struct fixture *f = *state;

        (void)generation_free(f->a.current);
        (void)counters_free(f->a.counters);
        strbuf_deinit(&f->out);
        free(f);
        return 0;
}

static void print(struct fixture *f) {
        f->n = 0;
        strbuf_clear(&f->out);
        export_metrics(&f->a, &f->out);
        assert_false(f->out.failed);
        assert_true(f->out.p[f->out.n - 1] == '\n');
        for (char *p = strtok(f->out.p, "\n"); p; p = strtok(NULL, "\n")) {
                assert_true(f->n < LINES_MAX);
                f->lines[f->n++] = p;
        }
}

static uint64_t *words(struct fixture *f, enum counters_kind kind, const char *name, unsigned lane) {
        int object = counters_find(f->a.counters, kind, str_of(name));

        assert_true(object >= 0);
        return counters_lane(f->a.counters, object, lane);
}

static void assert_line(struct fixture *f, const char *line) {
        for (unsigned i = 0; i < f->n; i++)
                if (strcmp(f->lines[i], line) == 0)
                        return;
        fail_msg("no line %s", line);
}

static unsigned count(struct fixture *f, const char *part) {
        unsigned n = 0;

        for (unsigned i = 0; i < f->n; i++)
                n += f->lines[i][0] != '#' && strstr(f->lines[i], part) != NULL;
        return n;
}

/* HELP and TYPE once, in front of samples of that family only; no series twice. */
static void test_format(void **state) {
        struct fixture *f = *state;
        char family[128] = "";

        print(f);
        for (unsigned i = 0; i < f->n; i++) {
                const char *line = f->lines[i];
                size_t n = strcspn(line, "{ ");

                if (strncmp(line, "# HELP ", 7) == 0) {
                        assert_true(sscanf(line + 7, "%127s", family) == 1);
                        for (unsigned k = 0; k < i; k++)
                                assert_int_not_equal(strncmp(f->lines[k], line, 7 + strlen(family) + 1), 0);
                        assert_int_equal(strncmp(f->lines[i + 1], "# TYPE ", 7), 0);
                        continue;
                }
                if (line[0] == '#')
                        continue;
                assert_true(strncmp(line, family, strlen(family)) == 0);
                assert_true(n == strlen(family) || strncmp(line + strlen(family), "_bucket", 7) == 0 ||
                            strncmp(line + strlen(family), "_sum", 4) == 0 || strncmp(line + strlen(family), "_count", 6) == 0);
                n = (size_t)(strrchr(line, ' ') - line);
                for (unsigned k = 0; k < i; k++)
                        assert_false(strncmp(f->lines[k], line, n + 1) == 0);
        }
}

static void test_budget(void **state) {
        struct fixture *f = *state;
        unsigned n = 0;

        print(f);
        assert_in_range(count(f, "server=\"web1\""), 1, SERIES_PER_SERVER);
        assert_in_range(count(f, "site=\"www\""), 1, SERIES_PER_SITE);
        for (unsigned i = 0; i < f->n; i++)
                n += f->lines[i][0] != '#' && !strstr(f->lines[i], "site=") && !strstr(f->lines[i], "farm=");
        assert_in_range(n, 1, SERIES_FIXED);
}

/* Lanes are summed, nanoseconds become seconds, buckets become cumulative, names are split into labels. */
static void test_values(void **state) {
        struct fixture *f = *state;

        counter_add(&words(f, COUNTERS_SITE, "www", 0)[SITE_CODE_2XX], 3);
        counter_add(&words(f, COUNTERS_SITE, "www", 1)[SITE_CODE_2XX], 4);
        counter_add(&words(f, COUNTERS_SITE, "www", 1)[SITE_CODE_502], 1);
        counter_add(&words(f, COUNTERS_SITE, "www", 0)[SITE_DURATION_5MS], 2);
        counter_add(&words(f, COUNTERS_SITE, "www", 0)[SITE_DURATION_SUM], 9 * NSEC_PER_MSEC);
        counter_add(&words(f, COUNTERS_SITE, "www", 0)[SITE_END_FIRST + EXCHANGE_END_SERVER_CONNECT], 1);
        counter_add(&words(f, COUNTERS_WORKER, "", 1)[WORKER_REJECT_FIRST + HTTP1_REJECT_BARE_LF], 5);
        counter_set(&words(f, COUNTERS_SERVER, "app/web1", 0)[SERVER_CHECK_STATE], SERVER_DOWN);
        counter_add(&words(f, COUNTERS_SERVER, "other:/a/b//10.0.0.3:80", 0)[SERVER_RETRIES], 2);
        counter_add(&words(f, COUNTERS_SERVER, "app/web2", 0)[SERVER_CONNECT_2500US], 1);
        print(f);
        assert_line(f, "tenon_build_info{version=\"" TENON_VERSION "\",cluster=\"shop\"} 1");
        assert_line(f, "tenon_config_generation 7");
        assert_line(f, "tenon_http_requests_total{code=\"2xx\",protocol=\"h1\",site=\"www\"} 7");
        assert_line(f, "tenon_http_requests_total{code=\"502\",protocol=\"h1\",site=\"www\"} 1");
        assert_line(f, "tenon_http_request_duration_seconds_bucket{site=\"www\",le=\"0.0025\"} 0");
        assert_line(f, "tenon_http_request_duration_seconds_bucket{site=\"www\",le=\"30\"} 2");
        assert_line(f, "tenon_http_request_duration_seconds_sum{site=\"www\"} 0.009000000");
        assert_line(f, "tenon_http_terminations_total{site=\"www\",who=\"server\",phase=\"connect\"} 1");
        assert_line(f, "tenon_http1_rejected_heads_total{cause=\"bare_lf\",reason=\"smuggling\"} 5");
        assert_line(f, "tenon_server_up{farm=\"app\",server=\"web1\"} 0");
        assert_line(f, "tenon_server_retries_total{farm=\"other:/a/b/\",server=\"10.0.0.3:80\"} 2");
        assert_line(f, "tenon_server_connect_duration_seconds_bucket{farm=\"app\",server=\"web2\",le=\"0.001\"} 0");
        assert_line(f, "tenon_server_connect_duration_seconds_bucket{farm=\"app\",server=\"web2\",le=\"0.01\"} 1");
        assert_line(f, "tenon_farm_servers{state=\"up\",farm=\"app\"} 1");
}

/* A worker that died leaves no requests in flight behind, but all that it counted. */
static void test_gauges(void **state) {
        struct fixture *f = *state;

        counter_set(&words(f, COUNTERS_SITE, "www", 0)[SITE_IN_FLIGHT], 3);
        counter_set(&words(f, COUNTERS_SITE, "www", 0)[SITE_CODE_2XX], 9);
        counter_set(&words(f, COUNTERS_WORKER, "", 1)[WORKER_CONNECTIONS_H1], 2);
        counter_set(&words(f, COUNTERS_SERVER, "app/web1", 1)[SERVER_IDLE], 4);
        gauges_reset(f->a.counters);
        print(f);
        assert_line(f, "tenon_http_in_flight{site=\"www\"} 0");
        assert_line(f, "tenon_connections{protocol=\"h1\"} 0");
        assert_line(f, "tenon_server_connections{state=\"idle\",farm=\"app\",server=\"web1\"} 0");
        assert_line(f, "tenon_http_requests_total{code=\"2xx\",protocol=\"h1\",site=\"www\"} 9");
}

/* The status finds the same numbers. */
static void test_status(void **state) {
        struct fixture *f = *state;
        struct snapshot *snap;
        const struct status *s;

        counter_set(&words(f, COUNTERS_SITE, "www", 0)[SITE_CODE_404], 2);
        counter_set(&words(f, COUNTERS_SERVER, "app/web2", 0)[SERVER_CHECK_STATE], SERVER_DOWN);
        assert_int_equal(snapshot_new(&snap, &f->a), 0);
        s = snapshot_status(snap);
        assert_int_equal(s->n_sites, 2);
        assert_int_equal(s->sites[0].requests, 2);
        assert_int_equal(s->sites[0].client_errors, 2);
        assert_int_equal(s->n_farms, 2);
        assert_string_equal(s->farms[1].name, "other:/a/b/");
        assert_int_equal(s->farms[0].n_usable, 1);
        assert_string_equal(s->farms[0].servers[1].state, "down");
        snapshot_free(snap);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_format, setup, teardown),
                cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
                cmocka_unit_test_setup_teardown(test_values, setup, teardown),
                cmocka_unit_test_setup_teardown(test_gauges, setup, teardown),
                cmocka_unit_test_setup_teardown(test_status, setup, teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}

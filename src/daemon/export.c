/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/export.h"

#include <stdio.h>
#include <sys/resource.h>

#include "admin/metrics.h"
#include "daemon/agent.h"
#include "daemon/process_facts.h"
#include "daemon/snapshot.h"
#include "farm/counters.h"
#include "web/counters.h"

struct exporter {
        struct metrics m;
        const struct agent *a;
        const struct counters *c;
        const struct status *status;
};

struct word {
        unsigned word;
        const char *metric;
        const char *labels;
};

static const struct word site_words[] = {
#define X(name, metric, labels) {SITE_##name, metric, labels},
        SITE_WORDS_PLAIN(X)
#undef X
};

static const struct word worker_words[] = {
#define X(name, metric, labels) {WORKER_##name, metric, labels},
        WORKER_WORDS_PLAIN(X)
#undef X
};

static const struct word server_words[] = {
#define X(name, metric, labels) {SERVER_##name, metric, labels},
        SERVER_WORDS_PLAIN(X)
#undef X
};

static const struct word farm_words[] = {
#define X(name, metric, labels) {FARM_##name, metric, labels},
        FARM_WORDS(X)
#undef X
};

static const char *const site_bounds[] = {
#define X(name, ns, le) le,
        SITE_DURATIONS(X)
#undef X
};

static const char *const server_bounds[] = {
#define X(name, ns, le, connect) le,
        SERVER_BUCKETS(X)
#undef X
};

/* Whether the connect histogram prints this bound; the counts of those that it does not go to the next one. */
static const bool connect_bounds[] = {
#define X(name, ns, le, connect) connect,
        SERVER_BUCKETS(X)
#undef X
};

static const struct {
        enum site_word word;
        const char *labels;
} site_codes[] = {
        {SITE_CODE_1XX, "code=\"1xx\",protocol=\"h1\""}, {SITE_CODE_2XX, "code=\"2xx\",protocol=\"h1\""},
        {SITE_CODE_3XX, "code=\"3xx\",protocol=\"h1\""}, {SITE_CODE_4XX, "code=\"4xx\",protocol=\"h1\""},
        {SITE_CODE_5XX, "code=\"5xx\",protocol=\"h1\""},
#define X(code) {SITE_CODE_##code, "code=\"" #code "\",protocol=\"h1\""},
        SITE_CODES_EXACT(X)
#undef X
};

static const char *const end_texts[] = {
#define X(name, text) text,
        EXCHANGE_ENDS(X)
#undef X
};

/* ── the objects of a kind, family by family ───────────────────────────── */

static bool is(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

/* Nanoseconds where the metric says seconds. */
static void put_word(struct exporter *e, const char *metric, const char *text, const struct metrics_label *labels, unsigned n_labels,
                     uint64_t v) {
        if (strstr(metric, "_seconds"))
                metrics_seconds(&e->m, text, labels, n_labels, v);
        else
                metrics_u64(&e->m, text, labels, n_labels, v);
}

static void put_words(struct exporter *e, const char *metric, const struct word *words, size_t n, int object,
                      const struct metrics_label *labels, unsigned n_labels) {
        for (size_t i = 0; i < n; i++)
                if (is(words[i].metric, metric))
                        put_word(e, metric, words[i].labels, labels, n_labels, counters_sum(e->c, object, words[i].word));
}

static void put_site_durations(struct exporter *e, int object, const struct metrics_label *label) {
        uint64_t counts[ARRAY_SIZE(site_bounds) + 1];

        for (unsigned i = 0; i <= ARRAY_SIZE(site_bounds); i++)
                counts[i] = counters_sum(e->c, object, SITE_DURATION_1MS + i);
        metrics_histogram(&e->m, label, 1, site_bounds, counts, ARRAY_SIZE(site_bounds),
                          counters_sum(e->c, object, SITE_DURATION_SUM));
}

/* "client:request" -> who="client",phase="request"; "ok" has no phase. */
static void put_site_ends(struct exporter *e, int object, const struct metrics_label *site) {
        for (unsigned i = 0; i < EXCHANGE_N_ENDS; i++) {
                const char *colon = strchr(end_texts[i], ':');
                struct metrics_label labels[3] = {
                        *site,
                        {"who", {end_texts[i], colon ? (size_t)(colon - end_texts[i]) : strlen(end_texts[i])}},
                        {"phase", str_of(colon ? colon + 1 : "")},
                };

                metrics_u64(&e->m, "", labels, 3, counters_sum(e->c, object, SITE_END_FIRST + i));
        }
}

static void put_site(struct exporter *e, const char *metric, int object) {
        const struct metrics_label label = {"site", str_of(counters_name_of(e->c, object))};

        if (is(metric, "tenon_http_requests_total"))
                for (unsigned i = 0; i < ARRAY_SIZE(site_codes); i++)
                        metrics_u64(&e->m, site_codes[i].labels, &label, 1, counters_sum(e->c, object, site_codes[i].word));
        else if (is(metric, "tenon_http_request_duration_seconds"))
                put_site_durations(e, object, &label);
        else if (is(metric, "tenon_http_terminations_total"))
                put_site_ends(e, object, &label);
        else
                put_words(e, metric, site_words, ARRAY_SIZE(site_words), object, &label, 1);
}

/* What was refused before a site could be known: heads by the reason of their causes, under site="". */
static void put_refused_heads(struct exporter *e, int object) {
        for (unsigned i = 1; i < HTTP1_N_REJECTS; i++) {
                const char *reason = http1_reject_label((enum http1_reject)i);
                const struct metrics_label labels[] = {{"site", STR("")}, {"reason", str_of(reason)}};
                uint64_t n = 0;
                bool first = true;

                for (unsigned k = 1; k < HTTP1_N_REJECTS; k++)
                        if (is(http1_reject_label((enum http1_reject)k), reason)) {
                                n += counters_sum(e->c, object, WORKER_REJECT_FIRST + k);
                                first &= k >= i;
                        }
                if (first)
                        metrics_u64(&e->m, "", labels, 2, n);
        }
        metrics_u64(&e->m, "site=\"\",reason=\"timeout\"", NULL, 0, counters_sum(e->c, object, WORKER_HEAD_TIMEOUTS));
}

static void put_worker(struct exporter *e, const char *metric, int object) {
        if (is(metric, "tenon_http_rejected_total")) {
                put_refused_heads(e, object);
                return;
        }
        if (!is(metric, "tenon_http1_rejected_heads_total")) {
                put_words(e, metric, worker_words, ARRAY_SIZE(worker_words), object, NULL, 0);
                return;
        }
        for (unsigned i = 1; i < HTTP1_N_REJECTS; i++) {
                const struct metrics_label labels[] = {
                        {"cause", str_of(http1_reject_name((enum http1_reject)i))},
                        {"reason", str_of(http1_reject_label((enum http1_reject)i))},
                };

                metrics_u64(&e->m, "", labels, 2, counters_sum(e->c, object, WORKER_REJECT_FIRST + i));
        }
}

static void put_first_byte(struct exporter *e, int object, const struct metrics_label *labels) {
        uint64_t counts[SERVER_N_BUCKETS + 1];

        for (unsigned i = 0; i <= SERVER_N_BUCKETS; i++)
                counts[i] = counters_sum(e->c, object, SERVER_FIRST_BYTE_1MS + i);
        metrics_histogram(&e->m, labels, 2, server_bounds, counts, SERVER_N_BUCKETS,
                          counters_sum(e->c, object, SERVER_FIRST_BYTE_SUM));
}

static void put_connect(struct exporter *e, int object, const struct metrics_label *labels) {
        const char *bounds[SERVER_N_BUCKETS];
        uint64_t counts[SERVER_N_BUCKETS + 1], held = 0;
        unsigned n = 0;

        for (unsigned i = 0; i < SERVER_N_BUCKETS; i++) {
                held += counters_sum(e->c, object, SERVER_CONNECT_1MS + i);
                if (!connect_bounds[i])
                        continue;
                bounds[n] = server_bounds[i];
                counts[n++] = held;
                held = 0;
        }
        counts[n] = held + counters_sum(e->c, object, SERVER_CONNECT_MORE);
        metrics_histogram(&e->m, labels, 2, bounds, counts, n, counters_sum(e->c, object, SERVER_CONNECT_SUM));
}

static void put_server(struct exporter *e, const char *metric, int object) {
        struct str name = str_of(counters_name_of(e->c, object)), server = name;
        const uint64_t *check = counters_lane((struct counters *)e->c, object, 0);
        const char *slash = memrchr(name.p, '/', name.n);
        struct metrics_label labels[2];

        /* a farm in place has slashes in its name, a server has none */
        if (slash) {
                server = (struct str){slash + 1, name.n - (size_t)(slash + 1 - name.p)};
                name.n = (size_t)(slash - name.p);
        }
        labels[0] = (struct metrics_label){"farm", name};
        labels[1] = (struct metrics_label){"server", server};
        if (is(metric, "tenon_server_first_byte_seconds")) {
                put_first_byte(e, object, labels);
        } else if (is(metric, "tenon_server_connect_duration_seconds")) {
                put_connect(e, object, labels);
        } else if (is(metric, "tenon_server_up")) {
                metrics_u64(&e->m, "", labels, 2, counter_get(&check[SERVER_CHECK_STATE]) != SERVER_DOWN);
        } else if (is(metric, "tenon_checks_total")) {
                metrics_u64(&e->m, "result=\"ok\"", labels, 2, counter_get(&check[SERVER_CHECKS_OK]));
                metrics_u64(&e->m, "result=\"failed\"", labels, 2, counter_get(&check[SERVER_CHECKS_FAILED]));
        } else if (is(metric, "tenon_check_duration_seconds")) {
                metrics_seconds(&e->m, "", labels, 2, counter_get(&check[SERVER_CHECK_DURATION]));
        } else {
                put_words(e, metric, server_words, ARRAY_SIZE(server_words), object, labels, 2);
        }
}

static void put_farm(struct exporter *e, const char *metric, int object) {
        const struct metrics_label label = {"farm", str_of(counters_name_of(e->c, object))};

        put_words(e, metric, farm_words, ARRAY_SIZE(farm_words), object, &label, 1);
}

static void put_object(struct exporter *e, const char *metric, int object) {
        switch (counters_kind_of(e->c, object)) {
        case COUNTERS_WORKER:
                put_worker(e, metric, object);
                break;
        case COUNTERS_SITE:
                put_site(e, metric, object);
                break;
        case COUNTERS_FARM:
                put_farm(e, metric, object);
                break;
        case COUNTERS_SERVER:
                put_server(e, metric, object);
                break;
        default:
                break;
        }
}

static void put_counters(struct exporter *e) {
        static const struct {
                const char *name, *type, *help;
        } families[] = {
#define X(name, type, help) {name, type, help},
                WEB_METRICS(X) FARM_METRICS(X)
#undef X
        };

        for (unsigned i = 0; i < ARRAY_SIZE(families); i++) {
                metrics_family(&e->m, families[i].name, families[i].type, families[i].help);
                for (int object = 0; object < counters_count(e->c); object++)
                        put_object(e, families[i].name, object);
        }
}

/* ── what the agent knows ──────────────────────────────────────────────── */

static void gauge(struct exporter *e, const char *name, const char *help, uint64_t v) {
        metrics_family(&e->m, name, "gauge", help);
        metrics_u64(&e->m, "", NULL, 0, v);
}

static void put_farm_states(struct exporter *e) {
        metrics_family(&e->m, "tenon_farm_servers", "gauge", "Servers of a farm, by whether they can get requests.");
        for (unsigned i = 0; i < e->status->n_farms; i++) {
                const struct status_farm *f = &e->status->farms[i];
                const struct metrics_label label = {"farm", str_of(f->name)};

                metrics_u64(&e->m, "state=\"up\"", &label, 1, f->n_usable);
                metrics_u64(&e->m, "state=\"down\"", &label, 1, f->n_servers - f->n_usable);
        }
}

static void put_node(struct exporter *e) {
        const struct status *s = e->status;
        const struct metrics_label build[] = {{"version", STR(TENON_VERSION)}, {"cluster", str_of(s->cluster)}};

        metrics_family(&e->m, "tenon_build_info", "gauge", "1; the labels say what runs.");
        metrics_u64(&e->m, "", build, s->cluster ? 2 : 1, 1);
        metrics_family(&e->m, "tenon_start_time_seconds", "gauge", "When the agent was started, since 1970.");
        metrics_seconds(&e->m, "", NULL, 0, s->started);
        gauge(e, "tenon_config_generation", "Generation of the configuration that is live.", s->generation);
        metrics_family(&e->m, "tenon_config_apply_timestamp_seconds", "gauge", "When it went live, since 1970.");
        metrics_seconds(&e->m, "", NULL, 0, s->applied);
        metrics_family(&e->m, "tenon_config_applies_total", "counter", "Attempts to change the configuration, by result.");
        metrics_u64(&e->m, "result=\"ok\"", NULL, 0, e->a->n_applied);
        metrics_u64(&e->m, "result=\"failed\"", NULL, 0, e->a->n_failed);
        gauge(e, "tenon_worker_up", "1 while the worker serves.", s->worker.serving);
        metrics_family(&e->m, "tenon_worker_restarts_total", "counter", "Times the worker died and was started again.");
        metrics_u64(&e->m, "", NULL, 0, s->worker.restarts);
        metrics_family(&e->m, "tenon_worker_heartbeat_age_seconds", "gauge", "Since the slowest thread of the worker last moved.");
        metrics_seconds(&e->m, "", NULL, 0, s->worker.heartbeat_age);
        if (s->io_key) {
                const struct metrics_label io[] = {{"backend", str_of(s->io_key)}};

                metrics_family(&e->m, "tenon_io_info", "gauge", "1; the label says how the worker talks to the kernel.");
                metrics_u64(&e->m, "", io, 1, 1);
        }
        put_farm_states(e);
}

/* ── processes ─────────────────────────────────────────────────────────── */

static void put_processes(struct exporter *e) {
        static const char *const labels[] = {"process=\"agent\"", "process=\"web\""};
        const pid_t pids[] = {getpid(), worker_pid(&e->a->worker)};
        struct process_facts facts[2];
        bool known[2];

        for (unsigned i = 0; i < 2; i++)
                known[i] = pids[i] > 0 && process_facts_read(&facts[i], pids[i]) == 0;
#define FAMILY(name, type, help, put, field)                                                       \
        metrics_family(&e->m, name, type, help);                                                   \
        for (unsigned i = 0; i < 2; i++)                                                           \
                if (known[i])                                                                      \
                        put(&e->m, labels[i], NULL, 0, facts[i].field)
        FAMILY("process_cpu_seconds_total", "counter", "CPU time of the process.", metrics_seconds, cpu);
        FAMILY("process_resident_memory_bytes", "gauge", "Resident memory of the process.", metrics_u64, resident);
        FAMILY("process_virtual_memory_bytes", "gauge", "Address space of the process.", metrics_u64, virtual);
        FAMILY("process_open_fds", "gauge", "Open descriptors.", metrics_u64, open_fds);
        FAMILY("process_max_fds", "gauge", "Limit of open descriptors.", metrics_u64, max_fds);
        FAMILY("process_threads", "gauge", "Threads of the process.", metrics_u64, threads);
        FAMILY("process_start_time_seconds", "gauge", "When the process was started, since 1970.", metrics_seconds, started);
#undef FAMILY
}

void export_metrics(const struct agent *a, struct strbuf *out) {
        struct exporter e = {.a = a, .c = a->counters};
        struct snapshot *snap;

        metrics_init(&e.m, out);
        if (snapshot_new(&snap, a) < 0) {
                out->failed = true;
                return;
        }
        e.status = snapshot_status(snap);
        put_node(&e);
        put_counters(&e);
        put_processes(&e);
        snapshot_free(snap);
}

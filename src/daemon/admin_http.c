/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/admin_http.h"

#include <assert.h>
#include <errno.h>

#include "admin/health.h"
#include "admin/metrics.h"
#include "base/log.h"
#include "config/tree.h"
#include "daemon/agent.h"
#include "daemon/export.h"
#include "daemon/snapshot.h"
#include "net/listen.h"
#include "web/http1/parse.h"

enum {
        PEERS_MAX = 64,
        FIELDS_MAX = 64,
        CHECKS_MAX = 4,
        HEAD_MAX = 8192,
};

#define STALL (5 * NSEC_PER_SEC)

struct request {
        struct http_request http;
        struct str path;
        bool verbose;
        bool json;
};

static struct agent *agent_of(struct peer *p) {
        return p->server->arg;
}

/* ── responses ─────────────────────────────────────────────────────────── */

static void respond(struct peer *p, const struct request *r, unsigned status, const char *type, const char *extra, struct str body) {
        bool last = !r || !r->http.keep_alive || p->server->closing;

        strbuf_clear(&p->out);
        strbuf_addf(&p->out, "HTTP/1.1 %u %.*s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nCache-Control: no-store\r\n", status,
                    STR_FMT(http_status_text(status)), type, body.n);
        strbuf_addf(&p->out, "%s%s\r\n", extra, last ? "Connection: close\r\n" : "");
        if (!r || r->http.method != HTTP_HEAD)
                strbuf_add_str(&p->out, body);
        peer_reply(p, last);
}

static void respond_text(struct peer *p, const struct request *r, unsigned status, const char *extra, const char *text) {
        respond(p, r, status, "text/plain; charset=utf-8", extra, str_of(text));
}

static void respond_health(struct peer *p, const struct request *r, const struct health_check *checks, unsigned n) {
        CLEANUP(strbuf_deinit) struct strbuf body = STRBUF_INIT;
        enum health_format format = r->json ? HEALTH_JSON : r->verbose ? HEALTH_VERBOSE : HEALTH_WORD;

        health_write(&body, format, checks, n);
        respond(p, r, health_ok(checks, n) ? 200 : 503, health_content_type(format), "", (struct str){strbuf_z(&body), body.n});
}

/* ── checks ────────────────────────────────────────────────────────────── */

static const char *const not_live = "no configuration is live yet";

/* What /livez says: whether the loops turn, nothing else. Without a worker there is none that could. */
static struct health_check check_loops(const struct agent *a) {
        nsec_t age = snapshot_heartbeat_age(a->counters, time_monotonic());

        if (!a->worker.process)
                return (struct health_check){"loops", false, STR("no worker runs"), false};
        if (age > STALL)
                return (struct health_check){"loops", false, STR("a thread of the worker has not moved for over 5 s"), false};
        return (struct health_check){"loops", true, STR(""), false};
}

static unsigned ready_checks(const struct agent *a, struct health_check *v) {
        bool serves = a->current && a->worker.applied == a->current->number && a->worker.applied != 0;

        v[0] = (struct health_check){"config", a->live, str_of(a->live ? "" : not_live), false};
        v[1] = (struct health_check){"worker", serves || a->draining, str_of(serves || a->draining ? "" : worker_state_name(&a->worker)), false};
        v[2] = (struct health_check){"listeners", !a->draining, str_of(a->draining ? "draining" : ""), false};
        v[3] = check_loops(a);
        return 4;
}

/* The farms are shown, but do not make the node unready: the other sites are served, and a balancer in front would only take
 * away the last node that can say 503. */
static void respond_ready_verbose(struct peer *p, const struct request *r) {
        struct agent *a = agent_of(p);
        struct health_check *v;
        struct snapshot *snap;
        const struct status *s;
        unsigned n;

        if (snapshot_new(&snap, a) < 0) {
                respond_text(p, r, 500, "", "out of memory\n");
                return;
        }
        s = snapshot_status(snap);
        v = calloc(CHECKS_MAX + (size_t)s->n_farms, 2 * sizeof(*v));
        if (!v) {
                snapshot_free(snap);
                respond_text(p, r, 500, "", "out of memory\n");
                return;
        }
        n = ready_checks(a, v);
        struct arena arena;
        arena_init(&arena, 1024);
        for (unsigned i = 0; i < s->n_farms; i++) {
                struct str name = arena_printf(&arena, "farm %s", s->farms[i].name);
                struct str detail = arena_printf(&arena, "%u of %u up", s->farms[i].n_usable, s->farms[i].n_servers);

                if (name.p && detail.p)
                        v[n++] = (struct health_check){name.p, s->farms[i].n_usable > 0, detail, true};
        }
        respond_health(p, r, v, n);
        arena_deinit(&arena);
        free(v);
        snapshot_free(snap);
}

static void get_ready(struct peer *p, const struct request *r) {
        struct health_check v[CHECKS_MAX];
        unsigned n = ready_checks(agent_of(p), v);

        if (r->verbose || r->json)
                respond_ready_verbose(p, r);
        else
                respond_health(p, r, v, n);
}

static void get_ready_one(struct peer *p, const struct request *r, struct str name) {
        struct health_check v[CHECKS_MAX];
        unsigned n = ready_checks(agent_of(p), v);

        for (unsigned i = 0; i < n; i++)
                if (str_eq(name, str_of(v[i].name))) {
                        respond_health(p, r, &v[i], 1);
                        return;
                }
        respond_text(p, r, 404, "", "no such check: config, worker, listeners, loops\n");
}

static void get_farm(struct peer *p, const struct request *r, struct str name) {
        struct snapshot *snap;
        const struct status *s;
        char detail[48];

        if (snapshot_new(&snap, agent_of(p)) < 0) {
                respond_text(p, r, 500, "", "out of memory\n");
                return;
        }
        s = snapshot_status(snap);
        for (unsigned i = 0; i < s->n_farms; i++) {
                struct health_check one;

                if (!str_eq(name, str_of(s->farms[i].name)))
                        continue;
                (void)snprintf(detail, sizeof(detail), "%u of %u up", s->farms[i].n_usable, s->farms[i].n_servers);
                one = (struct health_check){s->farms[i].name, s->farms[i].n_usable > 0, str_of(detail), false};
                respond_health(p, r, &one, 1);
                snapshot_free(snap);
                return;
        }
        snapshot_free(snap);
        respond_text(p, r, 404, "", "no such farm\n");
}

static void get_metrics(struct peer *p, const struct request *r) {
        CLEANUP(strbuf_deinit) struct strbuf body = STRBUF_INIT;

        export_metrics(agent_of(p), &body);
        if (body.failed)
                respond_text(p, r, 500, "", "out of memory\n");
        else
                respond(p, r, 200, METRICS_CONTENT_TYPE, "", (struct str){body.p, body.n});
}

/* ── requests ──────────────────────────────────────────────────────────── */

static bool below(struct str path, struct str prefix, struct str *ret_rest) {
        if (!str_starts(path, prefix) || path.n == prefix.n)
                return false;
        *ret_rest = (struct str){path.p + prefix.n, path.n - prefix.n};
        return true;
}

static void route(struct peer *p, const struct request *r) {
        struct health_check one;
        struct str rest;

        if (r->http.method != HTTP_GET && r->http.method != HTTP_HEAD) {
                respond_text(p, r, 405, "Allow: GET, HEAD\r\n", "only GET and HEAD here\n");
        } else if (str_eq(r->path, STR("/livez"))) {
                one = check_loops(agent_of(p));
                respond_health(p, r, &one, 1);
        } else if (str_eq(r->path, STR("/readyz")) || str_eq(r->path, STR("/lbz"))) {
                get_ready(p, r);
        } else if (below(r->path, STR("/readyz/"), &rest)) {
                get_ready_one(p, r, rest);
        } else if (below(r->path, STR("/farms/"), &rest)) {
                get_farm(p, r, rest);
        } else if (str_eq(r->path, STR("/metrics"))) {
                get_metrics(p, r);
        } else if (str_eq(r->path, STR("/"))) {
                respond_text(p, r, 200, "", "tenon " TENON_VERSION "\n/livez /readyz[?verbose] /readyz/CHECK /lbz /farms/NAME /metrics\n");
        } else {
                respond_text(p, r, 404, "", "not found; here are /livez /readyz /lbz /farms/NAME /metrics\n");
        }
}

static bool accepts_json(const struct http_request *http) {
        const struct http_field *accept = http_fields_find(&http->fields, HTTP_FIELD_ACCEPT);

        return accept && http_list_has(accept->value, STR("application/health+json"));
}

static void on_input(struct peer *p) {
        const struct http1_limits limits = {.target = 1024, .head = HEAD_MAX, .fields = FIELDS_MAX, .trailer = 1, .chunk_ext = 1};
        struct http_field fields[FIELDS_MAX];
        struct request r = {.http = {.fields = {.v = fields, .max = FIELDS_MAX}}};
        CLEANUP(freep) char *head = NULL;
        enum http1_reject why;
        ssize_t n;

        n = http1_parse_request(p->in.p, p->in.n, &limits, &r.http, &why);
        if (n == HTTP1_NEED_MORE)
                return;
        if (n < 0) {
                peer_take(p, p->in.n);
                respond_text(p, NULL, http1_reject_status(why), "", http1_reject_text(why));
                return;
        }
        /* the slices point into what peer_take() is about to move */
        head = str_dup((struct str){p->in.p, (size_t)n});
        if (!head) {
                peer_close(p);
                return;
        }
        r.http.fields = (struct http_fields){.v = fields, .max = FIELDS_MAX};
        n = http1_parse_request(head, (size_t)n, &limits, &r.http, &why);
        assert(n > 0);
        peer_take(p, (size_t)n);
        if (r.http.framing != HTTP_BODY_NONE) {
                respond_text(p, NULL, 413, "", "no bodies here\n");
                return;
        }
        r.path = r.http.path;
        r.verbose = r.http.query.p && (str_eq(r.http.query, STR("verbose")) || str_starts(r.http.query, STR("verbose=")) );
        r.json = accepts_json(&r.http);
        route(p, &r);
}

static const struct peer_ops ops = {.on_input = on_input};

/* ── addresses ─────────────────────────────────────────────────────────── */

static int bind_one(struct admin_http *h, const struct addr *addr, struct strbuf *why) {
        const struct listen_options options = {.v6_only = addr->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&addr->in6.sin6_addr)};
        char text[ADDR_TEXT_MAX];
        int fd, r;

        if (h->n_addrs == ADMIN_ADDRS_MAX)
                return -E2BIG;
        fd = listen_open(addr, &options);
        r = fd < 0 ? fd : peer_server_listen(&h->server, fd);
        if (r < 0) {
                (void)addr_format(addr, text);
                strbuf_addf(why, "cannot listen on the admin address %s: %s; choose another with --admin ADDR:PORT or `admin:`", text,
                            strerror(-r));
                return r;
        }
        h->addrs[h->n_addrs++] = *addr;
        return 0;
}

/* "localhost" is both loopback addresses; one of them is enough (a machine without IPv6). */
static int bind_localhost(struct admin_http *h, uint16_t port, struct strbuf *why) {
        CLEANUP(strbuf_deinit) struct strbuf unused = STRBUF_INIT;
        struct addr v4, v6;
        int r;

        (void)addr_parse(&v4, STR("127.0.0.1"), port, NULL);
        (void)addr_parse(&v6, STR("::1"), port, NULL);
        r = bind_one(h, &v4, why);
        if (r >= 0)
                (void)bind_one(h, &v6, &unused);
        return r;
}

static int bind_item(struct admin_http *h, struct str item, uint16_t port, struct strbuf *why) {
        struct addr addr;
        int r;

        if (str_eq(item, STR("localhost")))
                return bind_localhost(h, port, why);
        r = addr_parse(&addr, item, port, NULL);
        if (r < 0) {
                strbuf_addf(why, "the admin address %.*s is none", STR_FMT(item));
                return r;
        }
        return bind_one(h, &addr, why);
}

int admin_http_open(struct admin_http *h, struct agent *a, const struct conf_node *root, struct strbuf *why) {
        const struct conf_node *admin = conf_get(root, "admin"), *list = conf_get(admin, "listen");
        bool is_default = list && list->is_default && conf_get(admin, "port")->is_default;
        int r = 0;

        if (!admin || !list)
                return 0;
        h->server.max_peers = PEERS_MAX;
        h->server.max_input = 2 * HEAD_MAX;
        h->server.request_timeout = 10 * NSEC_PER_SEC;
        h->server.idle_timeout = 60 * NSEC_PER_SEC;
        peer_server_init(&h->server, a->loop, &ops, a);
        h->open = true;
        CONF_FOREACH(item, list) {
                r = bind_item(h, item->text, (uint16_t)conf_u64(admin, "port"), why);
                if (r < 0)
                        break;
        }
        return is_default ? 0 : r;
}

void admin_http_close(struct admin_http *h) {
        if (!h->open)
                return;
        h->open = false;
        peer_server_close(&h->server);
}

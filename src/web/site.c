/* SPDX-License-Identifier: Apache-2.0 */

/*
 * From the checked tree to sites, routes and host tables. The schema has seen to types, defaults and
 * references; what can still fail here is memory, and what the machine says (a folder that cannot be opened).
 */

#include "web/site.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "config/config.h"
#include "config/tree.h"
#include "farm/farm.h"
#include "web/counters.h"
#include "web/handler/folder.h"
#include "web/handler/proxy.h"
#include "web/handler/redirect.h"
#include "web/handler/respond.h"
#include "web/route/host.h"
#include "web/route/netlist.h"
#include "web/route/route.h"

#define ARENA_BLOCK 16384
#define PORT_DEFAULT 80

DEFINE_CLEANUP(struct web_config *, web_config_free)

/* What is there while a configuration is made. */
struct build {
        struct web_config *w;
        const struct conf_node *root;
        struct farm_set *farms; /* borrowed */
        struct counters *counters;
        char *why;              /* heap; NULL: nothing said yet */
};

/* ── routes ────────────────────────────────────────────────────────────── */

static int build_action(struct build *b, struct route *r, const struct conf_node *n) {
        if (conf_get(n, "proxy")) {
                r->handler = &proxy_handler;
                return proxy_route_build(b->w, n, b->farms, &r->conf, &b->why);
        }
        if (conf_get(n, "folder")) {
                r->handler = &folder_handler;
                return folder_route_build(b->w, n, &r->conf, &b->why);
        }
        if (conf_get(n, "redirect")) {
                r->handler = &redirect_handler;
                return redirect_route_build(b->w, n, &r->conf);
        }
        assert(conf_get(n, "respond")); /* the schema lets every route have exactly one action */
        r->handler = &respond_handler;
        return respond_route_build(b->w, n, &r->conf);
}

static int build_route(struct build *b, struct site *site, struct route *r, const struct conf_node *n) {
        struct str path = arena_str(&b->w->arena, n->key);

        r->exact = str_starts(path, STR("="));
        r->path = r->exact ? (struct str){path.p + 1, path.n - 1} : path;
        r->strip = arena_str(&b->w->arena, conf_text(n, "strip"));
        r->site = site;
        if (!path.p || !r->strip.p)
                return -ENOMEM;
        return build_action(b, r, n);
}

static int build_routes(struct build *b, struct site *site, const struct conf_node *routes) {
        const struct route *twice;
        int r;

        site->routes = arena_zalloc(&b->w->arena, routes->n_children * sizeof(*site->routes));
        if (!site->routes)
                return -ENOMEM;
        CONF_FOREACH(n, routes) {
                r = build_route(b, site, &site->routes[site->n_routes++], n);
                if (r < 0)
                        return r;
        }
        r = site_sort_routes(site, &twice);
        if (r < 0 && asprintf(&b->why, "site \"%.*s\" has two routes for \"%.*s\"", STR_FMT(site->name),
                              STR_FMT(twice->path)) < 0)
                b->why = NULL;
        return r;
}

/* ── sites ─────────────────────────────────────────────────────────────── */

static int build_sites(struct build *b, const struct conf_node *sites) {
        struct web_config *w = b->w;

        w->sites = arena_zalloc(&w->arena, (sites ? sites->n_children : 0) * sizeof(*w->sites));
        if (!w->sites)
                return -ENOMEM;
        CONF_FOREACH(n, sites) {
                struct site *s = &w->sites[w->n_sites++];
                int r;

                s->name = arena_str(&w->arena, n->key);
                if (!s->name.p)
                        return -ENOMEM;
                s->counters = b->counters ? counters_find(b->counters, COUNTERS_SITE, n->key) : -ENOENT;
                r = build_routes(b, s, conf_get(n, "routes"));
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ── addresses ─────────────────────────────────────────────────────────── */

/* One host of one site on one address. */
struct binding {
        struct addr addr;
        struct host_entry entry;
        unsigned order;
        unsigned line;
};

static int compare_addrs(const struct addr *a, const struct addr *b) {
        if (a->len != b->len)
                return a->len < b->len ? -1 : 1;
        return memcmp(&a->sa, &b->sa, a->len);
}

static int compare_bindings(const void *a, const void *b) {
        const struct binding *x = a, *y = b;
        int c = compare_addrs(&x->addr, &y->addr);

        return c ? c : x->order < y->order ? -1 : 1;
}

static unsigned count_bindings(const struct conf_node *sites) {
        unsigned n = 0;

        CONF_FOREACH(site, sites)
                n += conf_get(site, "hosts")->n_children * conf_get(site, "listen")->n_children;
        return n;
}

static int collect_bindings(struct build *b, const struct conf_node *sites, struct binding *v,
                            unsigned *ret_n) {
        const struct site *s = b->w->sites;
        unsigned n = 0;

        CONF_FOREACH(site, sites) {
                CONF_FOREACH(address, conf_get(site, "listen")) {
                        struct addr addr = {0};
                        int r = addr_parse(&addr, address->text, PORT_DEFAULT, NULL);

                        if (r < 0)
                                return r;
                        CONF_FOREACH(host, conf_get(site, "hosts")) {
                                struct str name = arena_str(&b->w->arena, host->text);

                                if (!name.p)
                                        return -ENOMEM;
                                v[n] = (struct binding){addr, {name, s}, n, host->start.line};
                                n++;
                        }
                }
                s++;
        }
        *ret_n = n;
        return 0;
}

/* The bindings v[0..n-1] have the same address. */
static int build_listen(struct build *b, const struct binding *v, unsigned n) {
        CLEANUP(freep) struct host_entry *entries = calloc(n, sizeof(*entries));
        struct web_listen *l = &b->w->listens[b->w->n_listens++];
        unsigned twice = 0;
        int r;

        if (!entries)
                return -ENOMEM;
        l->addr = v[0].addr;
        for (unsigned i = 0; i < n; i++)
                entries[i] = v[i].entry;
        r = host_table_build(&l->hosts, &b->w->arena, entries, n, &twice);
        if (r == -EEXIST &&
            asprintf(&b->why, "line %u: another site has the host \"%.*s\" on the same address",
                     v[twice].line, STR_FMT(v[twice].entry.host)) < 0)
                b->why = NULL;
        return r;
}

static int build_listens(struct build *b, const struct conf_node *sites) {
        unsigned n = count_bindings(sites);
        CLEANUP(freep) struct binding *v = calloc(MAX(n, 1u), sizeof(*v));
        int r;

        b->w->listens = arena_zalloc(&b->w->arena, n * sizeof(*b->w->listens));
        if (!v || !b->w->listens)
                return -ENOMEM;
        r = collect_bindings(b, sites, v, &n);
        if (r < 0)
                return r;
        qsort(v, n, sizeof(*v), compare_bindings);
        for (unsigned first = 0, end; first < n; first = end) {
                for (end = first + 1; end < n && compare_addrs(&v[first].addr, &v[end].addr) == 0;)
                        end++;
                r = build_listen(b, &v[first], end - first);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ── the side of the clients ───────────────────────────────────────────── */

static void build_limits(struct build *b) {
        const struct conf_node *limits = conf_get(b->root, "limits"),
                               *timeouts = conf_get(b->root, "timeouts");

        b->w->limits = (struct web_limits){
                .header_timeout = conf_duration(timeouts, "header"),
                .idle_timeout = conf_duration(timeouts, "idle"),
                .body_timeout = conf_duration(timeouts, "body"),
                .write_timeout = conf_duration(timeouts, "write"),
                .target = (uint32_t)conf_u64(limits, "target"),
                .head = (uint32_t)conf_u64(limits, "header"),
                .fields = (uint32_t)conf_u64(limits, "fields"),
                .body = conf_u64(limits, "body"),
                .connections = conf_u64(limits, "connections"),
        };
}

static int build_trusted(struct build *b) {
        const struct conf_node *list = conf_get(b->root, "trusted_proxies");
        CLEANUP(freep) struct str *texts = calloc(list ? list->n_children + 1 : 1, sizeof(*texts));
        unsigned n = 0, bad = 0;
        int r;

        if (!texts)
                return -ENOMEM;
        CONF_FOREACH(network, list)
                texts[n++] = network->text;
        r = net_list_build(&b->w->trusted_proxies, &b->w->arena, texts, n, &bad);
        if (r == -EINVAL &&
            asprintf(&b->why, "trusted_proxies: \"%.*s\" is not a network", STR_FMT(texts[bad])) < 0)
                b->why = NULL;
        return r;
}

static int build_caches(struct build *b) {
        struct web_config *w = b->w;

        w->n_lanes = b->counters ? counters_lanes(b->counters) : 1;
        w->file_caches = arena_zalloc(&w->arena, w->n_lanes * sizeof(struct file_cache *));
        return w->file_caches ? 0 : -ENOMEM;
}

static int build_all(struct build *b) {
        const struct conf_node *sites = conf_get(b->root, "sites");
        int r;

        build_limits(b);
        r = build_caches(b);
        if (r >= 0)
                r = build_trusted(b);
        if (r >= 0)
                r = build_sites(b, sites);
        if (r >= 0)
                r = build_listens(b, sites);
        return r;
}

int web_config_build(struct web_config **ret, const struct config *config, struct farm_set *farms,
                     struct counters *counters, char **ret_why) {
        CLEANUP(web_config_freep) struct web_config *w = calloc(1, sizeof(*w));
        struct build b = {.w = w, .root = config_root(config), .farms = farms, .counters = counters};
        int r;

        if (!w)
                return -ENOMEM;
        arena_init(&w->arena, ARENA_BLOCK);
        r = build_all(&b);
        if (r < 0) {
                *ret_why =
                        b.why ? b.why
                              : str_dup(r == -ENOMEM ? STR("out of memory") : STR("cannot build the sites"));
                return r;
        }
        w->farms = farms;
        *ret = TAKE(w);
        return 0;
}

int web_config_declare(const struct conf_node *root, struct counters *c) {
        int r = counters_add(c, COUNTERS_WORKER, STR(""), WORKER_N_WORDS);

        if (r < 0)
                return r;
        CONF_FOREACH(site, conf_get(root, "sites")) {
                r = counters_add(c, COUNTERS_SITE, site->key, SITE_N_WORDS);
                if (r < 0)
                        return r;
        }
        return 0;
}

struct web_config *web_config_free(struct web_config *w) {
        if (!w)
                return NULL;
        folders_close(w);
        (void)farm_set_unref(w->farms);
        arena_deinit(&w->arena);
        free(w);
        return NULL;
}

const struct site *web_listen_site(const struct web_listen *l, struct str host) {
        return host_table_find(l->hosts, host);
}

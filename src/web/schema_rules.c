/* SPDX-License-Identifier: Apache-2.0 */
#include "web/schema_rules.h"

#include <stdlib.h>

#include "config/check.h"
#include "net/addr.h"

/* --- routes */

/* "/api/" and "/api" match the same paths. */
static struct str without_slash(struct str path) {
        if (path.n > 1 && path.p[0] != '=' && path.p[path.n - 1] == '/')
                path.n--;
        return path;
}

struct item {
        struct str text;    /* what must be unique */
        char address[ADDR_TEXT_MAX];
        const struct conf_node *node;
        const struct conf_node *listen;
        unsigned order;
};

static int compare_str(struct str a, struct str b, bool fold) {
        for (size_t i = 0; i < a.n && i < b.n; i++) {
                unsigned char x = (unsigned char)a.p[i], y = (unsigned char)b.p[i];

                if (fold) {
                        x = (unsigned char)ascii_lower((char)x);
                        y = (unsigned char)ascii_lower((char)y);
                }
                if (x != y)
                        return x < y ? -1 : 1;
        }
        return a.n == b.n ? 0 : a.n < b.n ? -1 : 1;
}

static int by_path(const void *a, const void *b) {
        const struct item *x = a, *y = b;
        int r = compare_str(x->text, y->text, false);

        return r ? r : x->order < y->order ? -1 : 1;
}

void web_check_site(struct config_check *c, const struct conf_node *site) {
        const struct conf_node *routes = conf_get(site, "routes");
        struct item *items;
        unsigned n = 0;
        struct diag *d;

        if (!routes)
                return;
        if (routes->n_children == 0) {
                if (check_clean(c))
                        check_key(c, DIAG_E109, routes, "site \"%.*s\" has no route", STR_FMT(site->key));
                return;
        }
        items = check_alloc(c, routes->n_children * sizeof(*items));
        if (!items)
                return;
        CONF_FOREACH(route, routes) {
                items[n] = (struct item){.text = without_slash(route->key), .node = route, .order = n};
                n++;
        }
        qsort(items, n, sizeof(*items), by_path);
        for (unsigned i = 1; i < n; i++) {
                if (!str_eq(items[i - 1].text, items[i].text))
                        continue;
                d = check_key(c, DIAG_E203, items[i].node,
                              "the routes \"%.*s\" and \"%.*s\" are for the same paths",
                              STR_FMT(items[i - 1].node->key), STR_FMT(items[i].node->key));
                check_relate(c, d, items[i - 1].node, "the other one");
        }
}

static bool is_prefix(struct str prefix, struct str path) {
        if (path.n > 0 && path.p[0] == '=')
                path = (struct str){path.p + 1, path.n - 1};
        prefix = without_slash(prefix);
        if (prefix.n == 1)
                return true;
        return str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/');
}

static bool is_in_folder(const struct conf_node *route) {
        return conf_get(route, "folder") && conf_text(route, "folder").n > 0;
}

void web_check_route(struct config_check *c, const struct conf_node *route) {
        const struct conf_node *strip = conf_get(route, "strip");
        const struct conf_node *status = conf_get(route, "status");
        struct diag *d;

        if (strip && !is_prefix(strip->text, route->key)) {
                d = check_value(c, DIAG_E110, strip, "strip: \"%.*s\" is not a prefix of the route \"%.*s\"",
                                STR_FMT(strip->text), STR_FMT(route->key));
                diag_hint(check_diags(c), d, "paths without the prefix would come through unchanged");
        }
        if (status && (status->value == 204 || status->value == 304) && conf_text(route, "respond").n > 0) {
                d = check_value(c, DIAG_E110, status, "a response with status %u has no body",
                                (unsigned)status->value);
                diag_hint(check_diags(c), d, "respond: \"\"");
        }
        if (is_in_folder(route) && route->key.n > 0 && route->key.p[0] == '=' &&
            str_ends(route->key, STR("/")) && conf_get(route, "index") &&
            conf_get(route, "index")->n_children == 0)
                check_key(c, DIAG_E110, route, "an exact route to a folder needs an `index`");
}

void web_check_folder(struct config_check *c, const struct conf_node *folder) {
        static const char *const whole[] = {"/",    "/etc",  "/root", "/proc", "/sys",
                                            "/dev", "/home", "/var",  "/usr"};
        struct str path = folder->text;

        while (path.n > 1 && path.p[path.n - 1] == '/')
                path.n--;
        for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
                if (str_eq(path, str_of(whole[i])))
                        check_value(c, DIAG_W111, folder,
                                    "folder: \"%s\" shows the files of the system to everybody", whole[i]);
}

/* --- sites */

void web_prepare_sites(struct config_check *c, struct conf_node *sites) {
        if (sites->kind == CONF_MAP && sites->n_children == 1 && sites->first->kind == CONF_MAP)
                check_default(c, sites->first, "hosts", "*");
}

static unsigned count_pairs(const struct conf_node *sites) {
        unsigned n = 0;

        CONF_FOREACH(site, sites) {
                const struct conf_node *hosts = conf_get(site, "hosts"), *listen = conf_get(site, "listen");

                if (hosts && listen && n < 1000000)
                        n += hosts->n_children * listen->n_children;
        }
        return n;
}

static int by_host(const void *a, const void *b) {
        const struct item *x = a, *y = b;
        int r = strcmp(x->address, y->address);

        if (r == 0)
                r = compare_str(x->text, y->text, true);
        return r ? r : x->order < y->order ? -1 : 1;
}

static unsigned collect_pairs(const struct conf_node *sites, struct item *items) {
        unsigned n = 0;

        CONF_FOREACH(site, sites) {
                CONF_FOREACH(listen, conf_get(site, "listen")) {
                        struct addr a;

                        if (addr_parse(&a, listen->text, 80, NULL) < 0)
                                continue;
                        CONF_FOREACH(host, conf_get(site, "hosts")) {
                                struct str text = host->text;

                                if (text.n > 1 && text.p[text.n - 1] == '.')
                                        text.n--;
                                items[n] = (struct item){
                                        .text = text, .node = host, .listen = listen, .order = n};
                                (void)addr_format(&a, items[n].address);
                                n++;
                        }
                }
        }
        return n;
}

static const struct conf_node *site_of(const struct conf_node *host) {
        return host->parent->parent;
}

static void check_hosts_unique(struct config_check *c, const struct conf_node *sites) {
        unsigned n = count_pairs(sites);
        struct item *items;
        struct diag *d;

        if (n < 2 || n > 1000000)
                return;
        items = check_alloc(c, n * sizeof(*items));
        if (!items)
                return;
        n = collect_pairs(sites, items);
        qsort(items, n, sizeof(*items), by_host);
        for (unsigned i = 1; i < n; i++) {
                const struct item *a = &items[i - 1], *b = &items[i];

                if (strcmp(a->address, b->address) != 0 || compare_str(a->text, b->text, true) != 0)
                        continue;
                if (site_of(a->node) == site_of(b->node)) {
                        if (a->node == b->node)
                                continue; /* the address is there twice */
                        d = check_value(c, DIAG_E103, b->node, "the host \"%.*s\" is in the list twice",
                                        STR_FMT(b->text));
                } else {
                        d = check_value(c, DIAG_E202, b->node,
                                        "the sites \"%.*s\" and \"%.*s\" are both for \"%.*s\" on %.*s",
                                        STR_FMT(site_of(a->node)->key), STR_FMT(site_of(b->node)->key),
                                        STR_FMT(b->text), STR_FMT(b->listen->text));
                }
                check_relate(c, d, a->node, "the other one");
        }
}

void web_check_sites(struct config_check *c, const struct conf_node *sites) {
        struct diag *d;

        CONF_FOREACH(site, sites) {
                if (site->bad || site->kind != CONF_MAP || conf_get(site, "hosts") || sites->n_children < 2 ||
                    !check_clean(c))
                        continue;
                d = check_key(c, DIAG_E109, site, "site \"%.*s\" needs the key \"hosts\"",
                              STR_FMT(site->key));
                diag_hint(check_diags(c), d,
                          "with several sites each says which hosts it is for; one of them may be \"*\"");
        }
        check_hosts_unique(c, sites);
        if (check_clean(c) && sites->n_children == 0)
                (void)check_value(c, DIAG_W112, check_root(c), "there is no site: nothing is served");
}

/* --- the side of the clients */

void web_check_timeouts(struct config_check *c, const struct conf_node *timeouts) {
        struct diag *d;

        CONF_FOREACH(t, timeouts) {
                if (!t->is_none)
                        continue;
                d = check_value(c, DIAG_W107, t,
                                "without the time-out \"%.*s\" a silent client holds its connection for ever",
                                STR_FMT(t->key));
                diag_hint(check_diags(c), d, "a long one is safer, such as 1h");
        }
}

void web_check_limits(struct config_check *c, const struct conf_node *limits) {
        const struct conf_node *target = conf_get(limits, "target");

        if (conf_u64(limits, "target") > conf_u64(limits, "header"))
                check_value(c, DIAG_E107, target,
                            "the limit of the target is greater than that of the whole header");
}

void web_check_trusted(struct config_check *c, const struct conf_node *networks) {
        CONF_FOREACH(n, networks) {
                if (str_ends(n->text, STR("/0")))
                        check_value(c, DIAG_W109, n,
                                    "every client is trusted to say in X-Forwarded-For who it is");
        }
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/generation.h"

#include <assert.h>
#include <errno.h>

#include "base/counters.h"
#include "daemon/bundle.h"
#include "daemon/schema.h"
#include "farm/farm.h"
#include "net/addr.h"
#include "web/counters.h"

enum {
        ADDRS_MAX = 256,
        DEFAULT_PORT = 80,
};

const struct conf_node *generation_root(const struct generation *g) {
        return config_root(g->config);
}

struct generation *generation_free(struct generation *g) {
        if (!g)
                return NULL;
        listener_set_deinit(&g->listeners);
        (void)fd_close(g->bundle_fd);
        (void)config_free(g->config);
        for (unsigned i = 0; i < g->n_warnings; i++)
                free(g->warnings[i]);
        free(g->warnings);
        free(g->addrs);
        free(g->name);
        free(g);
        return NULL;
}

static int add_addr(struct generation *g, struct str text) {
        const char *why;
        struct addr addr;
        int r;

        r = addr_parse(&addr, text, DEFAULT_PORT, &why);
        if (r < 0)
                return r; /* the schema has checked it */
        for (unsigned i = 0; i < g->n_addrs; i++)
                if (addr_equal(&g->addrs[i], &addr))
                        return 0;
        if (g->n_addrs == ADDRS_MAX)
                return -E2BIG;
        g->addrs[g->n_addrs++] = addr;
        return 0;
}

static int add_list(struct generation *g, const struct conf_node *list) {
        CONF_FOREACH(item, list) {
                int r = add_addr(g, item->text);

                if (r < 0)
                        return r;
        }
        return 0;
}

/* The addresses of all sites; the schema gave those of the file to a site without its own. */
static int read_addrs(struct generation *g) {
        int r = 0;

        g->addrs = calloc(ADDRS_MAX, sizeof(*g->addrs));
        if (!g->addrs)
                return -ENOMEM;
        CONF_FOREACH(site, conf_get(generation_root(g), "sites")) {
                r = add_list(g, conf_get(site, "listen"));
                if (r < 0)
                        return r;
        }
        return 0;
}

static void read_settings(struct generation *g) {
        const struct conf_node *root = generation_root(g), *n;
        uint64_t threads = conf_u64(root, "threads");

        g->n_threads = threads == UINT64_MAX ? 1 : (unsigned)threads; /* "auto" that could not be decided */
        g->io = (enum loop_backend)conf_choice(root, "io");
        g->user = conf_text(root, "user").p;
        n = conf_get(root, "log.access.to");
        g->access_log = n && !n->is_none && n->text.n > 0 ? n->text.p : NULL;
        g->drain = conf_duration(root, "timeouts.drain");
        g->log_level = (enum log_level)conf_choice(root, "log.level");
}

/* Warnings live on in `tenon status`, where the one who did not see the start finds them. */
static int keep_warnings(struct generation *g, const struct diag_list *diags) {
        g->warnings = calloc(diags->n_warnings + 1, sizeof(*g->warnings));
        if (!g->warnings)
                return -ENOMEM;
        for (const struct diag *d = diags->first; d && g->n_warnings < diags->n_warnings; d = d->next) {
                CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

                if (diag_is_error(d->id))
                        continue;
                strbuf_addf(&b, "%s: %.*s", diag_id_text(d->id), STR_FMT(d->message));
                if (b.failed)
                        return -ENOMEM;
                g->warnings[g->n_warnings++] = TAKE(b.p);
                b = (struct strbuf)STRBUF_INIT;
        }
        return 0;
}

/* The very bytes that were checked, with those of included files, and what the command line says. */
static int seal(struct generation *g, const struct generation_source *source, const struct diag_list *diags) {
        /* the overrides are the last source, when there are any */
        unsigned n = diags->n_sources - (source->overrides.n > 0);
        CLEANUP(freep) struct bundle_text *texts = calloc(n + 1, sizeof(*texts));

        if (!texts)
                return -ENOMEM;
        texts[0] = (struct bundle_text){STR("overrides"), source->overrides};
        for (unsigned i = 0; i < n; i++)
                texts[i + 1] = (struct bundle_text){diags->sources[i].name, diags->sources[i].text};
        g->bundle_fd = bundle_write(texts, n + 1);
        return MIN(g->bundle_fd, 0);
}

static int load(struct generation *g, const struct generation_source *source, struct diag_list *diags) {
        const struct config_input input = {
                .name = source->name, .text = source->text, .read = source->from_file, .overrides = source->overrides};
        int r;

        r = config_load_input(&g->config, &input, &root_schema, diags);
        if (r < 0)
                return r;
        r = config_check_files(g->config, diags);
        diag_sort(diags);
        if (r < 0)
                return r;
        r = read_addrs(g);
        if (r < 0)
                return r;
        read_settings(g);
        r = keep_warnings(g, diags);
        if (r < 0)
                return r;
        return seal(g, source, diags);
}

int generation_load(struct generation **ret, const struct generation_source *source, struct diag_list *diags) {
        CLEANUP(generation_freep) struct generation *g = calloc(1, sizeof(*g));
        int r;

        if (!g)
                return -ENOMEM;
        g->bundle_fd = -1;
        g->name = str_dup(str_of(source->name));
        if (!g->name)
                return -ENOMEM;
        r = load(g, source, diags);
        if (r < 0)
                return r;
        *ret = TAKE(g);
        return 0;
}

int generation_declare(const struct generation *g, struct counters *c) {
        const struct conf_node *root = generation_root(g);
        int r = 0;

        CONF_FOREACH(site, conf_get(root, "sites")) {
                int one = MIN(counters_add(c, COUNTERS_SITE, site->key, SITE_N_WORDS), 0);

                r = MIN(r, one);
        }
        return MIN(r, farm_set_declare(root, c));
}

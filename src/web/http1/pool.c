/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Idle connections to servers, one pool per thread and server, found through the server's slot of the thread. The newest is used first,
 * so that those which are not needed grow old and end.
 */

#include <stdlib.h>

#include "web/http1/client_internal.h"
#include "web/site.h"
#include "web/thread.h"

struct upstream_pool *upstream_pool_of(struct web_thread *t, struct server *s) {
        struct upstream_pool *p = s->slots[t->lane];

        if (p)
                return p;
        p = calloc(1, sizeof(*p));
        if (!p)
                return NULL;
        p->server = server_ref(s);
        list_init(&p->idle);
        list_add_tail(&t->pools, &p->link);
        s->slots[t->lane] = p;
        return p;
}

static void upstream_pool_free(struct web_thread *t, struct upstream_pool *p) {
        p->server->slots[t->lane] = NULL;
        server_unref(p->server);
        list_remove(&p->link);
        free(p);
}

void upstream_pool_remove(struct h1_upstream *u) {
        list_remove(&u->link);
        u->pool->n_idle--;
        server_idle(u->pool->server, &u->thread->farm_lane, -1);
}

void upstream_pool_add(struct h1_upstream *u) {
        list_add_head(&u->pool->idle, &u->link);
        u->pool->n_idle++;
        server_idle(u->pool->server, &u->thread->farm_lane, 1);
}

struct h1_upstream *upstream_pool_take(struct upstream_pool *p) {
        uint32_t address = server_addr_number(p->server);
        struct h1_upstream *u;

        LIST_FOREACH(u, &p->idle, link) {
                if (u->address != address) {
                        h1_upstream_close(u); /* the name leads elsewhere now */
                        continue;
                }
                upstream_pool_remove(u);
                return u;
        }
        return NULL;
}

static bool config_has_server(const struct web_config *config, const struct server *s) {
        for (unsigned i = 0; config && config->farms && i < config->farms->n_farms; i++)
                for (unsigned k = 0; k < config->farms->farms[i]->n_members; k++)
                        if (config->farms->farms[i]->members[k].server == s)
                                return true;
        return false;
}

void upstream_pools_trim(struct web_thread *t, const struct web_config *config) {
        struct upstream_pool *p;

        LIST_FOREACH(p, &t->pools, link) {
                struct h1_upstream *u;

                if (config_has_server(config, p->server))
                        continue;
                LIST_FOREACH(u, &p->idle, link)
                        h1_upstream_close(u);
                if (p->n_conns == 0)
                        upstream_pool_free(t, p);
        }
}

void upstream_pools_close(struct web_thread *t) {
        upstream_pools_trim(t, NULL);
}

bool upstream_pools_busy(const struct web_thread *t) {
        const struct upstream_pool *p;

        LIST_FOREACH(p, &t->pools, link)
                if (p->n_conns > 0)
                        return true;
        return false;
}

void upstream_pools_free(struct web_thread *t) {
        struct upstream_pool *p;

        LIST_FOREACH(p, &t->pools, link)
                upstream_pool_free(t, p);
}

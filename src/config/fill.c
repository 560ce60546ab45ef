/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The second pass: what was not written. First what a map inherits, key by key, then the defaults of the
 * schema. After it every key that has a default is there.
 */

#include <assert.h>

#include "config/internal.h"

static void *or_fail(struct config_check *c, void *p) {
        if (!p)
                c->failed = true;
        return p;
}

static struct conf_node *default_scalar(struct config_check *c, struct str text, const struct schema *s) {
        struct conf_node *n =
                or_fail(c, node_scalar(c->config, text, (struct conf_mark){}, (struct conf_mark){}));

        if (!n)
                return NULL;
        check_types(c, n, s);
        n->is_default = true;
        assert(c->failed || !n->bad); /* the schema's own defaults are good */
        return n;
}

static struct conf_node *default_container(struct config_check *c, enum conf_kind kind,
                                           const struct schema *s) {
        struct conf_node *n =
                or_fail(c, node_new(c->config, kind, (struct conf_mark){}, (struct conf_mark){}));

        if (n) {
                n->schema = s;
                n->is_default = true;
        }
        return n;
}

static struct conf_node *default_list(struct config_check *c, const char *words, const struct schema *s) {
        struct conf_node *list = default_container(c, CONF_LIST, s);

        while (list && *words) {
                size_t n = strcspn(words, " ");
                struct conf_node *item = default_scalar(c, (struct str){words, n}, s->item);

                if (!item)
                        return NULL;
                node_append(list, item);
                words += n + strspn(words + n, " ");
        }
        return list;
}

void fill_key(struct config_check *c, struct conf_node *map, const struct schema *s, const char *text) {
        struct conf_node *n;

        if (s->type == SCHEMA_LIST)
                n = default_list(c, text, s);
        else if (!schema_is_scalar(s) && strcmp(text, "{}") == 0)
                n = default_container(c, CONF_MAP, s);
        else
                n = default_scalar(c, str_of(text), s);
        if (!n)
                return;
        n->key = str_of(s->name);
        node_append(map, n);
}

void check_default(struct config_check *c, struct conf_node *map, const char *key, const char *text) {
        const struct schema *s = schema_key(map->schema, str_of(key));

        assert(s);
        if (!node_child(map, str_of(key)))
                fill_key(c, map, s, text);
}

/* --- inheritance */

static bool has_action(const struct conf_node *map) {
        for (const struct conf_node *n = map->first; n; n = n->next)
                if (schema_key(map->schema, n->key)->flags & SCHEMA_ACTION)
                        return true;
        return false;
}

static void inherit_keys(struct config_check *c, struct conf_node *map, const struct conf_node *from) {
        bool decided = has_action(map);

        for (const struct conf_node *n = from->first; n && !c->failed; n = n->next) {
                const struct schema *k = schema_key(map->schema, n->key);
                struct conf_node *own = node_child(map, n->key), *copy;

                if (own && own->kind == CONF_MAP && n->kind == CONF_MAP && k && k->type == SCHEMA_MAP)
                        inherit_keys(c, own, n);
                if (own || !k || (decided && k->flags & SCHEMA_ACTION))
                        continue;
                copy = or_fail(c, node_copy(c->config, n));
                if (!copy)
                        return;
                node_set_key(copy, n);
                copy->is_default = true;
                node_append(map, copy);
        }
        for (struct conf_node *n = map->first, *next; n; n = next) {
                const struct schema *k = schema_key(map->schema, n->key);

                next = n->next;
                if (n->is_default && k->with && !node_child(map, str_of(k->with)))
                        node_remove(n); /* an option of an action that was not inherited */
        }
}

/* --- defaults */

static void fill_node(struct config_check *c, struct conf_node *n);

static void fill_map(struct config_check *c, struct conf_node *n, const struct schema *s) {
        const struct conf_node *from = s->inherit ? node_find(c->config->root, s->inherit) : NULL;

        if (from && from->kind == CONF_MAP)
                inherit_keys(c, n, from);
        SCHEMA_FOREACH(k, s) {
                struct conf_node *copy;

                if (node_child(n, str_of(k->name)) || (k->with && !node_child(n, str_of(k->with))))
                        continue;
                from = k->dflt_from ? node_find(c->config->root, k->dflt_from) : NULL;
                if (from) {
                        copy = or_fail(c, node_copy(c->config, from));
                        if (!copy)
                                return;
                        copy->key = str_of(k->name);
                        copy->schema = k;
                        copy->is_default = true;
                        node_append(n, copy);
                } else if (k->dflt) {
                        fill_key(c, n, k, k->dflt);
                }
        }
}

static void fill_node(struct config_check *c, struct conf_node *n) {
        const struct schema *s = n->schema;

        if (c->failed || !s || n->kind == CONF_SCALAR || s->flags & SCHEMA_PARTIAL)
                return;
        if (s->prepare)
                s->prepare(c, n);
        if (s->type == SCHEMA_MAP)
                fill_map(c, n, s);
        for (struct conf_node *child = n->first; child; child = child->next)
                fill_node(c, child);
}

void fill_tree(struct config_check *c) {
        fill_node(c, c->config->root);
}

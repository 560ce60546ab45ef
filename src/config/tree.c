/* SPDX-License-Identifier: Apache-2.0 */
#include "config/tree.h"

#include <assert.h>

#include "config/internal.h"

struct conf_node *node_new(struct config *c, enum conf_kind kind, struct conf_mark start,
                           struct conf_mark end) {
        struct conf_node *n = arena_zalloc(&c->arena, sizeof(*n));

        if (!n)
                return NULL;
        n->kind = kind;
        n->start = start;
        n->end = end;
        n->text = STR("");
        c->n_nodes++;
        return n;
}

struct conf_node *node_scalar(struct config *c, struct str text, struct conf_mark start,
                              struct conf_mark end) {
        struct conf_node *n = node_new(c, CONF_SCALAR, start, end);

        if (!n)
                return NULL;
        n->text = arena_str(&c->arena, text);
        return n->text.p ? n : NULL;
}

void node_append(struct conf_node *parent, struct conf_node *child) {
        child->parent = parent;
        child->next = NULL;
        if (parent->last)
                parent->last->next = child;
        else
                parent->first = child;
        parent->last = child;
        parent->n_children++;
}

void node_remove(struct conf_node *child) {
        struct conf_node *parent = child->parent, **at = &parent->first, *before = NULL;

        while (*at != child) {
                before = *at;
                at = &before->next;
        }
        *at = child->next;
        if (parent->last == child)
                parent->last = before;
        parent->n_children--;
        child->parent = NULL;
        child->next = NULL;
}

void node_set_key(struct conf_node *n, const struct conf_node *from) {
        n->key = from->key;
        n->key_mark = from->key_mark;
        n->key_end = from->key_end;
}

struct conf_node *node_copy(struct config *c, const struct conf_node *from) {
        struct conf_node *n = node_new(c, from->kind, from->start, from->end);

        if (!n)
                return NULL;
        n->text = from->text;
        n->quoted = from->quoted;
        n->is_default = from->is_default;
        n->is_auto = from->is_auto;
        n->is_none = from->is_none;
        n->bad = from->bad;
        n->schema = from->schema;
        n->value = from->value;
        for (const struct conf_node *child = from->first; child; child = child->next) {
                struct conf_node *copy = node_copy(c, child);

                if (!copy)
                        return NULL;
                node_set_key(copy, child);
                node_append(n, copy);
        }
        return n;
}

struct conf_node *node_child(const struct conf_node *map, struct str key) {
        if (!map || map->kind != CONF_MAP)
                return NULL;
        for (struct conf_node *n = map->first; n; n = n->next)
                if (str_eq(n->key, key))
                        return n;
        return NULL;
}

const struct conf_node *node_find(const struct conf_node *n, const char *path) {
        while (n && *path) {
                size_t len = strcspn(path, ".");

                n = node_child(n, (struct str){path, len});
                path += len;
                if (*path == '.')
                        path++;
        }
        return n;
}

const struct conf_node *conf_child(const struct conf_node *n, struct str key) {
        return node_child(n, key);
}

const struct conf_node *conf_get(const struct conf_node *n, const char *path) {
        n = node_find(n, path);
        if (n && n->is_none && n->schema && n->schema->type == SCHEMA_MAP)
                return NULL;
        return n;
}

static const struct conf_node *typed(const struct conf_node *n, const char *path) {
        n = node_find(n, path);
        assert(n && n->kind == CONF_SCALAR && n->schema);
        return n;
}

nsec_t conf_duration(const struct conf_node *n, const char *path) {
        n = typed(n, path);
        assert(n->schema->type == SCHEMA_DURATION);
        return n->value;
}

uint64_t conf_u64(const struct conf_node *n, const char *path) {
        return typed(n, path)->value;
}

bool conf_bool(const struct conf_node *n, const char *path) {
        n = typed(n, path);
        assert(n->schema->type == SCHEMA_BOOL);
        return n->value != 0;
}

unsigned conf_choice(const struct conf_node *n, const char *path) {
        n = typed(n, path);
        assert(n->schema->type == SCHEMA_CHOICE);
        return (unsigned)n->value;
}

struct str conf_text(const struct conf_node *n, const char *path) {
        n = node_find(n, path);
        return n && n->kind == CONF_SCALAR ? n->text : STR("");
}

static void path_below_root(const struct conf_node *n, struct strbuf *out) {
        unsigned i = 0;

        if (!n->parent)
                return;
        path_below_root(n->parent, out);
        if (n->parent->kind == CONF_LIST) {
                for (const struct conf_node *s = n->parent->first; s != n; s = s->next)
                        i++;
                strbuf_addf(out, "[%u]", i);
                return;
        }
        if (out->n > 0)
                strbuf_add_char(out, '.');
        strbuf_add_str(out, n->key);
}

void node_path(const struct conf_node *n, struct strbuf *out) {
        path_below_root(n, out);
}

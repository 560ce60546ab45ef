/* SPDX-License-Identifier: Apache-2.0 */
#include "config/diff.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "config/schema.h"

/* ── values as text ────────────────────────────────────────────────────── */

/* Whether YAML would take the text for something else, or we would. */
static bool needs_quotes(struct str s) {
        if (s.n == 0)
                return true;
        for (size_t i = 0; i < s.n; i++)
                if ((unsigned char)s.p[i] <= 0x20 || strchr(",[]{}#&*!|>'\"%@`", s.p[i]))
                        return true;
        return false;
}

static void put_text(struct strbuf *out, struct str s) {
        if (!needs_quotes(s)) {
                strbuf_add_str(out, s);
                return;
        }
        strbuf_add_char(out, '"');
        json_escape(out, s);
        strbuf_add_char(out, '"');
}

static unsigned written_children(const struct conf_node *n, const struct conf_node **ret_last) {
        unsigned count = 0;

        CONF_FOREACH(child, n)
                if (!child->is_default) {
                        *ret_last = child;
                        count++;
                }
        return count;
}

static void put_value(struct strbuf *out, const struct conf_node *n);

/* Without defaults, and as short as the schema allows: {address: 10.0.0.22:80} is 10.0.0.22:80. */
static void put_map(struct strbuf *out, const struct conf_node *n) {
        const struct conf_node *only = NULL;
        unsigned count = written_children(n, &only);
        const char *sep = "";

        if (count == 1 && n->schema && n->schema->short_scalar && str_eq(only->key, str_of(n->schema->short_scalar))) {
                put_value(out, only);
                return;
        }
        if (count == 1 && n->schema && n->schema->short_list && str_eq(only->key, str_of(n->schema->short_list))) {
                put_value(out, only);
                return;
        }
        strbuf_add_char(out, '{');
        CONF_FOREACH(child, n) {
                if (child->is_default)
                        continue;
                strbuf_add_z(out, sep);
                put_text(out, child->key);
                strbuf_add_z(out, ": ");
                put_value(out, child);
                sep = ", ";
        }
        strbuf_add_char(out, '}');
}

static void put_value(struct strbuf *out, const struct conf_node *n) {
        const char *sep = "";

        if (n->is_none) {
                strbuf_add_z(out, "none");
        } else if (n->kind == CONF_SCALAR) {
                put_text(out, n->text);
        } else if (n->kind == CONF_MAP) {
                put_map(out, n);
        } else {
                strbuf_add_char(out, '[');
                CONF_FOREACH(child, n) {
                        strbuf_add_z(out, sep);
                        put_value(out, child);
                        sep = ", ";
                }
                strbuf_add_char(out, ']');
        }
}

/* ── comparing ─────────────────────────────────────────────────────────── */

static bool has_value(const struct conf_node *n) {
        switch (n->schema ? n->schema->type : SCHEMA_NO_TYPE) {
        case SCHEMA_BOOL:
        case SCHEMA_INT:
        case SCHEMA_CHOICE:
        case SCHEMA_DURATION:
        case SCHEMA_SIZE:
        case SCHEMA_PERCENT:
                return true;
        default:
                return false;
        }
}

static bool equal(const struct conf_node *a, const struct conf_node *b) {
        const struct conf_node *x, *y;

        if (a->kind != b->kind || a->is_none != b->is_none)
                return false;
        if (a->kind == CONF_SCALAR)
                return has_value(a) && has_value(b) ? a->value == b->value : str_eq(a->text, b->text);
        if (a->n_children != b->n_children)
                return false;
        if (a->kind == CONF_MAP) {
                for (x = a->first; x; x = x->next) {
                        y = conf_child(b, x->key);
                        if (!y || !equal(x, y))
                                return false;
                }
                return true;
        }
        for (x = a->first, y = b->first; x && y; x = x->next, y = y->next)
                if (!equal(x, y))
                        return false;
        return true;
}

enum {
        GROUP_DEPTH = 3, /* farms.shop.servers is a group, as is farms.shop */
};

struct differ {
        struct config_diff *d;
        struct strbuf path;
        unsigned depth;
        size_t group; /* bytes of the path that name the group */
};

static struct str keep(struct config_diff *d, struct str s) {
        struct str copy = arena_str(&d->arena, s);

        if (!copy.p)
                d->failed = true;
        return copy.p ? copy : STR("");
}

static struct str keep_value(struct config_diff *d, const struct conf_node *n) {
        CLEANUP(strbuf_deinit) struct strbuf b = STRBUF_INIT;

        if (!n)
                return STR("");
        put_value(&b, n);
        if (b.failed)
                d->failed = true;
        return keep(d, (struct str){strbuf_z(&b), b.n});
}

/* Of the node or of anything around it. */
static bool needs_restart(const struct conf_node *n) {
        for (; n; n = n->parent)
                if (n->schema && n->schema->flags & SCHEMA_RESTART)
                        return true;
        return false;
}

/* The keys from the root down to n; at most max of them. Returns how many there are. */
static unsigned ancestry(const struct conf_node *n, struct str *keys, unsigned max) {
        unsigned depth = 0;

        for (const struct conf_node *p = n; p->parent; p = p->parent)
                depth += p->key.n > 0;
        for (unsigned i = depth; n->parent; n = n->parent)
                if (n->key.n > 0 && --i < max)
                        keys[i] = n->key;
        return depth;
}

static struct str effect_of(enum config_change_kind kind, bool restart, const struct conf_node *n) {
        struct str keys[4] = {{NULL, 0}};
        unsigned depth = ancestry(n, keys, ARRAY_SIZE(keys));
        bool farm = str_eq(keys[0], STR("farms"));

        if (restart)
                return STR("needs a restart");
        if (str_eq(keys[0], STR("listen")) || (str_eq(keys[0], STR("sites")) && str_eq(keys[2], STR("listen"))))
                return kind == CONFIG_ADDED     ? STR("new listener")
                       : kind == CONFIG_REMOVED ? STR("stops listening; open connections go on")
                                                : STR("");
        if (farm && depth == 4 && str_eq(keys[2], STR("servers")) && kind != CONFIG_CHANGED)
                return kind == CONFIG_ADDED ? STR("gets requests at once") : STR("gets no new requests; those in flight finish");
        if (farm && str_eq(n->key, STR("weight")))
                return STR("immediate");
        if (farm && str_eq(keys[2], STR("check")))
                return STR("from the next check on");
        if (str_eq(keys[0], STR("log")) || str_eq(keys[0], STR("accept")) || str_eq(keys[0], STR("cluster")))
                return STR("immediate");
        return STR("new requests");
}

static void add(struct differ *c, enum config_change_kind kind, const struct conf_node *before, const struct conf_node *after) {
        struct config_diff *d = c->d;
        struct config_change *v;

        if (d->n == d->cap) {
                v = realloc(d->v, sizeof(*v) * (d->cap * 2 + 16));
                if (!v) {
                        d->failed = true;
                        return;
                }
                d->v = v;
                d->cap = d->cap * 2 + 16;
        }
        v = &d->v[d->n++];
        *v = (struct config_change){.kind = kind, .restart = needs_restart(after ? after : before)};
        v->path = keep(d, (struct str){strbuf_z(&c->path), c->path.n});
        v->group = c->group;
        v->before = keep_value(d, before);
        v->after = keep_value(d, after);
        v->effect = effect_of(kind, v->restart, after ? after : before);
}

static void compare(struct differ *c, const struct conf_node *a, const struct conf_node *b);

static size_t enter(struct differ *c, struct str key) {
        size_t n = c->path.n;

        if (c->depth <= GROUP_DEPTH)
                c->group = n;
        c->depth++;
        if (n > 0)
                strbuf_add_char(&c->path, '.');
        strbuf_add_str(&c->path, key);
        return n;
}

static void leave(struct differ *c, size_t n) {
        c->depth--;
        if (c->depth <= GROUP_DEPTH)
                c->group = n;
        c->path.n = n;
        if (c->path.p)
                c->path.p[n] = '\0';
}

static void compare_maps(struct differ *c, const struct conf_node *a, const struct conf_node *b) {
        CONF_FOREACH(x, a) {
                const struct conf_node *y = conf_child(b, x->key);
                size_t n = enter(c, x->key);

                if (y)
                        compare(c, x, y);
                else
                        add(c, CONFIG_REMOVED, x, NULL);
                leave(c, n);
        }
        CONF_FOREACH(y, b) {
                if (!conf_child(a, y->key)) {
                        size_t n = enter(c, y->key);

                        add(c, CONFIG_ADDED, NULL, y);
                        leave(c, n);
                }
        }
}

static bool list_has(const struct conf_node *list, const struct conf_node *item) {
        CONF_FOREACH(n, list)
                if (equal(n, item))
                        return true;
        return false;
}

/* Items that came and went; when there are none the order is what changed. */
static void compare_lists(struct differ *c, const struct conf_node *a, const struct conf_node *b) {
        unsigned before = c->d->n;

        CONF_FOREACH(x, a)
                if (!list_has(b, x))
                        add(c, CONFIG_REMOVED, x, NULL);
        CONF_FOREACH(y, b)
                if (!list_has(a, y))
                        add(c, CONFIG_ADDED, NULL, y);
        if (c->d->n == before)
                add(c, CONFIG_CHANGED, a, b);
}

static void compare(struct differ *c, const struct conf_node *a, const struct conf_node *b) {
        /* a default that follows another key is said where that key is */
        if (equal(a, b) || (a->is_default && b->is_default))
                return;
        if (a->kind != b->kind || a->is_none || b->is_none || a->kind == CONF_SCALAR)
                add(c, CONFIG_CHANGED, a, b);
        else if (a->kind == CONF_MAP)
                compare_maps(c, a, b);
        else
                compare_lists(c, a, b);
}

int config_diff(struct config_diff *ret, const struct conf_node *before, const struct conf_node *after) {
        struct differ c = {.d = ret, .path = STRBUF_INIT};

        *ret = (struct config_diff){0};
        arena_init(&ret->arena, 4096);
        compare(&c, before, after);
        if (c.path.failed)
                ret->failed = true;
        strbuf_deinit(&c.path);
        return ret->failed ? -ENOMEM : 0;
}

void config_diff_deinit(struct config_diff *d) {
        arena_deinit(&d->arena);
        free(d->v);
        *d = (struct config_diff){0};
}

/* ── text ──────────────────────────────────────────────────────────────── */

/* In characters, not bytes. */
static void pad_to(struct strbuf *out, size_t start, size_t width) {
        size_t n = 0;

        for (size_t i = start; i < out->n; i++)
                n += ((unsigned char)out->p[i] & 0xc0) != 0x80;
        for (; n < width; n++)
                strbuf_add_char(out, ' ');
}

static void put_change(const struct config_change *v, size_t group, struct strbuf *out, bool color) {
        static const char *const signs[] = {[CONFIG_ADDED] = "+", [CONFIG_REMOVED] = "-", [CONFIG_CHANGED] = "~"};
        static const char *const colors[] = {[CONFIG_ADDED] = "32", [CONFIG_REMOVED] = "31", [CONFIG_CHANGED] = "33"};
        struct str name = {v->path.p + group, v->path.n - group};
        size_t start;

        if (group > 0) {
                name.p++;
                name.n--;
                strbuf_add_z(out, "  ");
        }
        if (color)
                strbuf_addf(out, "\033[%sm%s\033[0m ", colors[v->kind], signs[v->kind]);
        else
                strbuf_addf(out, "%s ", signs[v->kind]);
        start = out->n;
        strbuf_addf(out, "%.*s: ", STR_FMT(name));
        if (v->kind == CONFIG_CHANGED)
                strbuf_addf(out, "%.*s → %.*s", STR_FMT(v->before), STR_FMT(v->after));
        else
                strbuf_add_str(out, v->kind == CONFIG_ADDED ? v->after : v->before);
        if (v->effect.n > 0) {
                pad_to(out, start, 44);
                strbuf_addf(out, "  effect: %.*s", STR_FMT(v->effect));
        }
        strbuf_add_char(out, '\n');
}

void config_diff_format(const struct config_diff *d, struct strbuf *out, bool color) {
        struct str group = STR("");

        for (unsigned i = 0; i < d->n; i++) {
                size_t n = d->v[i].group;
                struct str mine = {d->v[i].path.p, n};

                if (n > 0 && !str_eq(mine, group))
                        strbuf_addf(out, "%.*s\n", STR_FMT(mine));
                group = mine;
                put_change(&d->v[i], n, out, color);
        }
}

void config_diff_format_json(const struct config_diff *d, struct strbuf *out) {
        static const char *const kinds[] = {[CONFIG_ADDED] = "added", [CONFIG_REMOVED] = "removed", [CONFIG_CHANGED] = "changed"};
        struct json j;

        json_init(&j, out);
        json_array_begin(&j);
        for (unsigned i = 0; i < d->n; i++) {
                const struct config_change *v = &d->v[i];

                json_object_begin(&j);
                json_key(&j, "change");
                json_z(&j, kinds[v->kind]);
                json_key(&j, "path");
                json_str(&j, v->path);
                if (v->kind != CONFIG_ADDED) {
                        json_key(&j, "before");
                        json_str(&j, v->before);
                }
                if (v->kind != CONFIG_REMOVED) {
                        json_key(&j, "after");
                        json_str(&j, v->after);
                }
                json_key(&j, "effect");
                json_str(&j, v->effect);
                json_key(&j, "restart");
                json_bool(&j, v->restart);
                json_object_end(&j);
        }
        json_array_end(&j);
}

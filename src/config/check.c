/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The first pass over what was written: every value gets its entry of the schema, is read as that type, and
 * short forms become long ones. A value that is refused is said and taken out, so that the later passes see
 * only what is good (or absent).
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "config/internal.h"

static void check_map(struct config_check *c, struct conf_node *n, const struct schema *s);

/* --- saying what is wrong */

const struct conf_node *check_root(const struct config_check *c) {
        return c->config->root;
}

struct diag_list *check_diags(struct config_check *c) {
        return c->diags;
}

bool check_clean(const struct config_check *c) {
        return c->diags->n_errors == 0;
}

void *check_alloc(struct config_check *c, size_t n) {
        void *p = arena_zalloc(&c->config->arena, n);

        if (!p)
                c->failed = true;
        return p;
}

/* Maps and lists in block style have no visible end: their first character is enough. */
static struct conf_mark end_of(const struct conf_node *n) {
        struct conf_mark end = n->end;

        if (n->kind != CONF_SCALAR && end.line != n->start.line) {
                end = n->start;
                end.column++;
        }
        return end;
}

static struct diag *say(struct config_check *c, enum diag_id id, const struct conf_node *n, bool key,
                        const char *fmt, va_list ap) PRINTF_LIKE(5, 0);

static struct diag *say(struct config_check *c, enum diag_id id, const struct conf_node *n, bool key,
                        const char *fmt, va_list ap) {
        CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT, text = STRBUF_INIT;
        struct diag *d;

        /* what was not written has the place of what it came from */
        while (n->parent && (key ? n->key_mark.line == 0 : n->start.line == 0)) {
                n = n->parent;
                key = true;
        }
        strbuf_addv(&text, fmt, ap);
        if (key && n->key_mark.line > 0)
                d = diag_add(c->diags, id, n->key_mark, n->key_end, "%s", strbuf_z(&text));
        else
                d = diag_add(c->diags, id, n->start, end_of(n), "%s", strbuf_z(&text));
        node_path(n, &path);
        if (text.failed || path.failed)
                c->failed = true;
        if (d && path.n > 0)
                d->path = arena_str(&c->diags->arena, (struct str){path.p, path.n});
        return d;
}

struct diag *check_value(struct config_check *c, enum diag_id id, const struct conf_node *n, const char *fmt,
                         ...) {
        struct diag *d;
        va_list ap;

        va_start(ap, fmt);
        d = say(c, id, n, false, fmt, ap);
        va_end(ap);
        return d;
}

struct diag *check_key(struct config_check *c, enum diag_id id, const struct conf_node *n, const char *fmt,
                       ...) {
        struct diag *d;
        va_list ap;

        va_start(ap, fmt);
        d = say(c, id, n, true, fmt, ap);
        va_end(ap);
        return d;
}

void check_relate(struct config_check *c, struct diag *d, const struct conf_node *n, const char *fmt, ...) {
        bool key = n->key_mark.line > 0;
        char text[160];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        diag_relate(c->diags, d, key ? n->key_mark : n->start, key ? n->key_end : end_of(n), "%s", text);
}

/* What a value is called: its key, or for an item what the schema calls one. */
static struct str called(const struct conf_node *n) {
        if (n->key.n > 0)
                return n->key;
        return n->schema && n->schema->name ? str_of(n->schema->name) : STR("value");
}

/* --- scalars */

static void resolve_auto(struct config_check *c, struct conf_node *n, const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        struct value_error err = {};

        n->is_auto = true;
        n->value = UINT64_MAX;
        if (!s->decide || !s->decide(&text))
                return;
        n->text = arena_str(&c->config->arena, (struct str){strbuf_z(&text), text.n});
        if (!n->text.p || text.failed)
                c->failed = true;
        else if (value_parse(s, n->text, &n->value, &err) < 0)
                n->value = UINT64_MAX;
        strbuf_deinit(&err.message);
        strbuf_deinit(&err.hint);
}

static void resolve_path(struct config_check *c, struct conf_node *n) {
        struct str folder = c->config->folder;

        for (const char *const *word = n->schema->choices; word && *word; word++)
                if (str_eq(n->text, str_of(*word)))
                        return; /* no path: "stdout" */

        if (n->text.n == 0 || n->text.p[0] == '/' || folder.n == 0)
                return;
        n->text = arena_printf(&c->config->arena, "%.*s/%.*s", STR_FMT(folder), STR_FMT(n->text));
        if (!n->text.p) {
                n->text = STR("");
                c->failed = true;
        }
}

static void check_scalar(struct config_check *c, struct conf_node *n, const struct schema *s) {
        struct value_error err = {};
        struct diag *d;

        if (!n->quoted && s->flags & SCHEMA_NONE && str_eq(n->text, STR("none"))) {
                n->is_none = true;
                n->value = UINT64_MAX;
                return;
        }
        if (!n->quoted && s->flags & SCHEMA_AUTO && str_eq(n->text, STR("auto"))) {
                resolve_auto(c, n, s);
                return;
        }
        if (value_parse(s, n->text, &n->value, &err) < 0) {
                d = check_value(c, err.id, n, "%.*s: \"%.*s\" %s", STR_FMT(called(n)), STR_FMT(n->text),
                                strbuf_z(&err.message));
                if (err.hint.n > 0)
                        diag_hint(c->diags, d, "%s", strbuf_z(&err.hint));
                n->bad = true;
        } else if (s->type == SCHEMA_FILE || s->type == SCHEMA_FOLDER) {
                resolve_path(c, n);
        }
        if (err.message.failed || err.hint.failed)
                c->failed = true;
        strbuf_deinit(&err.message);
        strbuf_deinit(&err.hint);
}

/* --- kinds and short forms */

static void wrong_kind(struct config_check *c, struct conf_node *n, const struct schema *s) {
        static const char *const kinds[] = {"a single value", "a map", "a list"};
        CLEANUP(strbuf_deinit) struct strbuf wanted = STRBUF_INIT;
        struct diag *d;

        schema_describe(s, &wanted);
        d = check_value(c, DIAG_E105, n, "%.*s is %s, but must be a %s", STR_FMT(called(n)), kinds[n->kind],
                        strbuf_z(&wanted));
        if (s->example)
                diag_hint(c->diags, d, "for example: %s", s->example);
        n->bad = true;
        c->failed |= wanted.failed;
}

static void no_value(struct config_check *c, struct conf_node *n, const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf wanted = STRBUF_INIT;
        struct diag *d;

        schema_describe(s, &wanted);
        if (n->key.n > 0)
                d = check_key(c, DIAG_E115, n, "\"%.*s\" has no value", STR_FMT(n->key));
        else
                d = check_value(c, DIAG_E115, n, "an empty item in a list");
        diag_hint(c->diags, d, "wanted: %s", strbuf_z(&wanted));
        n->bad = true;
        c->failed |= wanted.failed;
}

/* n itself becomes the container; what it was becomes its only child. */
static void wrap(struct config_check *c, struct conf_node *n, enum conf_kind kind, const char *key) {
        struct conf_node *inner = node_new(c->config, n->kind, n->start, n->end);

        if (!inner) {
                c->failed = true;
                return;
        }
        inner->text = n->text;
        inner->quoted = n->quoted;
        inner->first = n->first;
        inner->last = n->last;
        inner->n_children = n->n_children;
        for (struct conf_node *child = inner->first; child; child = child->next)
                child->parent = inner;
        inner->key = key ? str_of(key) : STR("");
        n->kind = kind;
        n->text = STR("");
        n->quoted = false;
        n->first = n->last = NULL;
        n->n_children = 0;
        node_append(n, inner);
}

/* [a, b] -> {a: a, b: b}: each item is named by its own text, or by that of the key its short form stands
 * for. */
static void name_items(struct config_check *c, struct conf_node *n, const struct schema *s) {
        for (struct conf_node *item = n->first, *next; item; item = next) {
                const char *by = s->item->short_scalar;
                const struct conf_node *text = item;
                struct conf_node *other;
                struct diag *d;

                next = item->next;
                if (item->kind == CONF_MAP && by)
                        text = node_child(item, str_of(by));
                if (!text || text->kind != CONF_SCALAR || text->text.n == 0) {
                        check_value(c, DIAG_E105, item, "%s in a list needs %s: it is its name",
                                    s->item->name, by ? by : "text");
                        node_remove(item);
                        continue;
                }
                if (text->text.n > SCHEMA_NAME_MAX) {
                        d = check_value(c, DIAG_E113, text, "\"%.*s\" is too long to be a name",
                                        STR_FMT(text->text));
                        diag_hint(c->diags, d, "give it one: {name: %.*s}", STR_FMT(text->text));
                        node_remove(item);
                        continue;
                }
                other = n->first;
                while (other != item && !str_eq(other->key, text->text))
                        other = other->next;
                if (other != item) {
                        d = check_value(c, DIAG_E103, item, "\"%.*s\" is in the list twice",
                                        STR_FMT(text->text));
                        check_relate(c, d, other, "first here");
                        node_remove(item);
                        continue;
                }
                item->key = text->text;
        }
        n->kind = CONF_MAP;
}

static void expand_map(struct config_check *c, struct conf_node *n, const struct schema *s) {
        if (n->kind == CONF_SCALAR) {
                if (!n->quoted && s->flags & SCHEMA_NONE && str_eq(n->text, STR("none"))) {
                        n->is_none = true;
                        return;
                }
                if (s->scalar) {
                        n->schema = s->scalar;
                        check_scalar(c, n, s->scalar);
                        return;
                }
                if (s->short_scalar)
                        wrap(c, n, CONF_MAP, s->short_scalar);
        } else if (n->kind == CONF_LIST && s->short_list) {
                wrap(c, n, CONF_MAP, s->short_list);
        }
        if (c->failed)
                return;
        if (n->kind != CONF_MAP)
                wrong_kind(c, n, s);
        else
                check_map(c, n, s);
}

static void drop_bad(struct conf_node *n) {
        for (struct conf_node *child = n->first, *next; child; child = next) {
                next = child->next;
                if (!child->bad)
                        continue;
                node_remove(child);
                n->lost = true;
        }
}

static void check_list(struct config_check *c, struct conf_node *n, const struct schema *s) {
        if (n->kind != CONF_LIST)
                wrap(c, n, CONF_LIST, NULL);
        for (struct conf_node *item = n->first; item && !c->failed; item = item->next)
                check_types(c, item, s->item);
        drop_bad(n);
}

static bool is_note(struct str key) {
        return str_starts(key, STR("x-"));
}

static void check_name(struct config_check *c, struct conf_node *n, const struct schema *s) {
        struct value_error err = {};
        const struct schema *names =
                &(struct schema){.type = SCHEMA_NAME, .flags = s->flags & SCHEMA_NAMED, .parse = s->parse};
        struct diag *d;

        if (value_parse(names, n->key, &n->value, &err) < 0) {
                d = check_key(c, s->parse ? DIAG_E106 : err.id, n, "%s: \"%.*s\" %s", s->item->name,
                              STR_FMT(n->key), strbuf_z(&err.message));
                if (err.hint.n > 0)
                        diag_hint(c->diags, d, "%s", strbuf_z(&err.hint));
                n->bad = true;
        }
        n->value = 0;
        c->failed |= err.message.failed || err.hint.failed;
        strbuf_deinit(&err.message);
        strbuf_deinit(&err.hint);
}

static void remove_notes(struct conf_node *n) {
        for (struct conf_node *child = n->first, *next; child; child = next) {
                next = child->next;
                if (is_note(child->key))
                        node_remove(child);
        }
}

static void check_dict(struct config_check *c, struct conf_node *n, const struct schema *s) {
        bool named = false;

        if (n->kind == CONF_SCALAR && s->flags & SCHEMA_NAMED)
                wrap(c, n, CONF_LIST, NULL);
        if (n->kind == CONF_LIST && s->flags & SCHEMA_NAMED) {
                name_items(c, n, s);
                named = true;
        }
        if (n->kind != CONF_MAP) {
                wrong_kind(c, n, s);
                return;
        }
        remove_notes(n);
        for (struct conf_node *entry = n->first; entry && !c->failed; entry = entry->next) {
                if (!named)
                        check_name(c, entry, s);
                check_types(c, entry, s->item);
        }
}

void check_types(struct config_check *c, struct conf_node *n, const struct schema *s) {
        n->schema = s;
        if (n->kind == CONF_SCALAR && n->text.n == 0 && !n->quoted) {
                no_value(c, n, s);
                return;
        }
        if (s->type == SCHEMA_MAP)
                expand_map(c, n, s);
        else if (s->type == SCHEMA_DICT)
                check_dict(c, n, s);
        else if (s->type == SCHEMA_LIST)
                check_list(c, n, s);
        else if (n->kind != CONF_SCALAR)
                wrong_kind(c, n, s);
        else
                check_scalar(c, n, s);
}

/* --- maps with fixed keys */

static void unknown_key(struct config_check *c, struct conf_node *n, const struct schema *s,
                        const struct schema *lifted) {
        CLEANUP(strbuf_deinit) struct strbuf keys = STRBUF_INIT;
        struct suggest suggest = {.wanted = n->key};
        struct diag *d;

        SCHEMA_FOREACH(k, s) {
                strbuf_addf(&keys, "%s%s", keys.n ? ", " : "", k->name);
                suggest_try(&suggest, str_of(k->name));
        }
        SCHEMA_FOREACH(l, lifted ? lifted : &(const struct schema){}) {
                strbuf_addf(&keys, "%s%s", keys.n ? ", " : "", l->name);
                suggest_try(&suggest, str_of(l->name));
        }
        d = check_key(c, DIAG_E104, n, "unknown key \"%.*s\"", STR_FMT(n->key));
        if (suggest.best.p)
                diag_hint(c->diags, d, "did you mean \"%.*s\"?", STR_FMT(suggest.best));
        diag_note(c->diags, d, "keys here: %s", strbuf_z(&keys));
        c->failed |= keys.failed;
}

/* The entry of the map's dict that lifted keys go to, made when it is not there. */
static struct conf_node *lift_target(struct config_check *c, struct conf_node *n, const struct schema *s,
                                     struct conf_node *key) {
        struct conf_node *dict = node_child(n, str_of(s->lift)), *entry;

        if (!dict) {
                dict = node_new(c->config, CONF_MAP, key->key_mark, key->key_end);
                if (!dict)
                        return NULL;
                dict->key = str_of(s->lift);
                node_append(n, dict);
        }
        if (dict->kind != CONF_MAP)
                return NULL;
        entry = node_child(dict, str_of(s->lift_to));
        if (!entry) {
                entry = node_new(c->config, CONF_MAP, key->key_mark, key->key_end);
                if (!entry)
                        return NULL;
                entry->key = str_of(s->lift_to);
                node_append(dict, entry);
        }
        return entry->kind == CONF_MAP ? entry : NULL;
}

static void lift(struct config_check *c, struct conf_node *n, const struct schema *s, struct conf_node *key) {
        struct conf_node *entry = lift_target(c, n, s, key), *there;
        struct diag *d;

        there = node_child(entry, key->key);
        node_remove(key);
        key->bad = true;
        if (!entry)
                return; /* the dict itself is wrong, and is said */
        if (there) {
                d = check_key(c, DIAG_E103, key, "\"%.*s\" is defined twice for %s", STR_FMT(key->key),
                              s->lift_to);
                check_relate(c, d, there, "first defined here");
                return;
        }
        key->bad = false;
        node_append(entry, key);
}

static void check_exclusive(struct config_check *c, struct conf_node *n, const struct schema *s) {
        const struct conf_node *first = NULL;
        struct diag *d;

        for (struct conf_node *child = n->first; child; child = child->next) {
                const struct schema *k = schema_key(s, child->key);

                if (!k || !(k->flags & SCHEMA_ACTION))
                        continue;
                if (!first) {
                        first = child;
                        continue;
                }
                d = check_key(c, DIAG_E110, child, "\"%.*s\" and \"%.*s\" exclude each other",
                              STR_FMT(first->key), STR_FMT(child->key));
                check_relate(c, d, first, "one of them is here");
                child->bad = true;
        }
}

static void check_map(struct config_check *c, struct conf_node *n, const struct schema *s) {
        const struct schema *lifted = s->lift ? schema_key(s, str_of(s->lift))->item : NULL;

        remove_notes(n);
        if (lifted)
                for (struct conf_node *child = n->first, *next; child; child = next) {
                        next = child->next;
                        if (!schema_key(s, child->key) && schema_key(lifted, child->key))
                                lift(c, n, s, child);
                }
        for (struct conf_node *child = n->first; child && !c->failed; child = child->next) {
                const struct schema *k = schema_key(s, child->key);

                if (k) {
                        check_types(c, child, k);
                } else {
                        unknown_key(c, child, s, lifted);
                        child->bad = true;
                }
        }
        check_exclusive(c, n, s);
        drop_bad(n);
}

/* --- completeness: what inheritance may still have given */

static void check_action(struct config_check *c, const struct conf_node *n, const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf words = STRBUF_INIT;

        CONF_FOREACH(child, n) {
                if (schema_key(s, child->key)->flags & SCHEMA_ACTION)
                        return;
        }
        SCHEMA_FOREACH(k, s) {
                if (k->flags & SCHEMA_ACTION)
                        strbuf_addf(&words, "%s%s", words.n ? ", " : "", k->name);
        }
        check_key(c, DIAG_E109, n, "%s \"%.*s\" needs exactly one of: %s", s->name, STR_FMT(n->key),
                  strbuf_z(&words));
        c->failed |= words.failed;
}

static void check_companions(struct config_check *c, const struct conf_node *n, const struct schema *s) {
        CONF_FOREACH(child, n) {
                const struct schema *k = schema_key(s, child->key);

                if (k->with && !node_child(n, str_of(k->with)))
                        check_key(c, DIAG_E110, child, "\"%s\" has a meaning only beside \"%s\"", k->name,
                                  k->with);
        }
}

static void check_required(struct config_check *c, const struct conf_node *n, const struct schema *s) {
        struct diag *d;

        SCHEMA_FOREACH(k, s) {
                if (!(k->flags & SCHEMA_REQUIRED) || node_child(n, str_of(k->name)))
                        continue;
                if (n->parent)
                        d = check_key(c, DIAG_E109, n, "\"%.*s\" needs the key \"%s\"", STR_FMT(called(n)),
                                      k->name);
                else
                        d = check_value(c, DIAG_E109, n, "the key \"%s\" is missing", k->name);
                if (k->example)
                        diag_hint(c->diags, d, "for example: %s: %s", k->name, k->example);
        }
}

void check_complete(struct config_check *c, const struct conf_node *n) {
        const struct schema *s = n->schema;

        if (n->kind != CONF_MAP || s->type != SCHEMA_MAP || n->bad || n->lost)
                return; /* what is missing may be what was refused */
        if (s->flags & SCHEMA_ONE_OF)
                check_action(c, n, s);
        check_companions(c, n, s);
        check_required(c, n, s);
}

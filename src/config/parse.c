/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Events of libyaml into a tree in which every node knows its place. Limits are kept here, while the tree
 * grows: a hostile file costs at most CONFIG_MAX_NODES nodes, however its aliases are nested.
 *
 * What YAML allows and tenon does not (tags, merge keys, several documents, maps as keys) is said and left
 * out; the rest of the tree is then still worth checking. The first syntax error ends it all: what follows it
 * would be guesswork.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "config/internal.h"

#define TEXT_OF(x) #x
#define NUMBER(constant) TEXT_OF(constant)

struct anchor {
        struct anchor *next;
        struct str name;
        struct conf_node *node;
        bool open; /* the node is not complete yet */
};

struct parser {
        struct config *config;
        struct diag_list *diags;
        unsigned file;
        struct conf_mark end; /* behind the last character */
        yaml_parser_t yaml;
        struct conf_node *root;
        struct conf_node *stack[CONFIG_MAX_DEPTH]; /* open maps and lists */
        unsigned depth;
        struct conf_node key; /* of the value to come, where key.key.p is set */
        bool drop;            /* the value to come is left out: its key was refused */
        struct anchor *anchors;
        unsigned n_anchors;
};

/* At the end of a text without a final line end libyaml is already one line further. */
static struct conf_mark mark_of(const struct parser *p, yaml_mark_t m) {
        if (m.line >= p->end.line)
                return p->end;
        return (struct conf_mark){(unsigned)m.line + 1, (unsigned)m.column + 1, p->file};
}

static struct str text_of(const yaml_char_t *z, size_t n) {
        return (struct str){(const char *)z, n};
}

static int say(struct parser *p, enum diag_id id, const yaml_event_t *e, const char *message,
               const char *hint) {
        struct diag *d =
                diag_add(p->diags, id, mark_of(p, e->start_mark), mark_of(p, e->end_mark), "%s", message);

        if (hint)
                diag_hint(p->diags, d, "%s", hint);
        return -EBADMSG;
}

static int too_many(struct parser *p, const yaml_event_t *e) {
        char message[64];

        (void)snprintf(message, sizeof(message), "more than %u values in one configuration",
                       CONFIG_MAX_NODES);
        return say(p, DIAG_E112, e, message, NULL);
}

/* --- anchors and aliases */

static int anchor_add(struct parser *p, const yaml_event_t *e, const yaml_char_t *name, struct conf_node *n) {
        struct anchor *a;

        if (!name)
                return 0;
        if (p->n_anchors++ == CONFIG_MAX_ANCHORS)
                return say(p, DIAG_E112, e, "the file has more than " NUMBER(CONFIG_MAX_ANCHORS) " anchors", NULL);
        a = arena_zalloc(&p->config->arena, sizeof(*a));
        if (!a)
                return -ENOMEM;
        a->name = arena_str(&p->config->arena, str_of((const char *)name));
        if (!a->name.p)
                return -ENOMEM;
        a->node = n;
        a->open = n->kind != CONF_SCALAR;
        a->next = p->anchors;
        p->anchors = a;
        return 0;
}

static void anchor_close(struct parser *p, const struct conf_node *n) {
        for (struct anchor *a = p->anchors; a; a = a->next)
                if (a->node == n)
                        a->open = false;
}

static unsigned height(const struct conf_node *n, unsigned *n_nodes) {
        unsigned h = 0, sub;

        (*n_nodes)++;
        for (const struct conf_node *child = n->first; child; child = child->next) {
                sub = height(child, n_nodes);
                h = MAX(h, sub);
        }
        return h + (n->kind != CONF_SCALAR);
}

static int alias_get(struct parser *p, const yaml_event_t *e, struct conf_node **ret) {
        struct str name = str_of((const char *)e->data.alias.anchor);
        struct suggest suggest = {.wanted = name};
        struct config *c = p->config;
        struct anchor *a = p->anchors;
        struct diag *d;
        unsigned n = 0, h;

        while (a && !str_eq(a->name, name))
                a = a->next;
        if (!a || a->open) {
                for (const struct anchor *other = p->anchors; other; other = other->next)
                        suggest_try(&suggest, other->name);
                d = diag_add(p->diags, DIAG_E204, mark_of(p, e->start_mark), mark_of(p, e->end_mark),
                             a ? "the alias \"*%.*s\" stands within what it stands for"
                               : "no anchor \"&%.*s\" above this alias",
                             STR_FMT(name));
                if (!a && suggest.best.p)
                        diag_hint(p->diags, d, "did you mean \"*%.*s\"?", STR_FMT(suggest.best));
                else if (!a)
                        diag_hint(p->diags, d, "text that begins with \"*\" needs quotes");
                return -EBADMSG;
        }
        h = height(a->node, &n);
        c->n_alias_nodes += n;
        if (c->n_alias_nodes > CONFIG_MAX_ALIAS_NODES)
                return say(p, DIAG_E112, e, "the aliases of this file stand for more than " NUMBER(CONFIG_MAX_ALIAS_NODES) " values",
                           NULL);
        if (p->depth + h > CONFIG_MAX_DEPTH)
                return say(p, DIAG_E112, e, "values are nested more than " NUMBER(CONFIG_MAX_DEPTH) " deep", NULL);
        *ret = node_copy(c, a->node);
        return *ret ? 0 : -ENOMEM;
}

/* --- building */

static int take_key(struct parser *p, const yaml_event_t *e) {
        struct str text = text_of(e->data.scalar.value, e->data.scalar.length);

        p->key =
                (struct conf_node){.key_mark = mark_of(p, e->start_mark), .key_end = mark_of(p, e->end_mark)};
        p->key.key = arena_str(&p->config->arena, text);
        if (!p->key.key.p)
                return -ENOMEM;
        if (memchr(text.p, '\0', text.n)) {
                (void)say(p, DIAG_E102, e, "a key cannot hold the character U+0000", NULL);
                p->drop = true;
        } else if (str_eq(text, STR("<<")) && e->data.scalar.plain_implicit) {
                (void)say(p, DIAG_E111, e, "merge keys are not taken",
                          "repeat the keys, use an alias for a whole value, or `defaults:`");
                p->drop = true;
        }
        return 0;
}

/* Hangs the node where the events are: into the open list, under the key that came, or as the root. */
static void attach(struct parser *p, struct conf_node *n) {
        struct conf_node *parent = p->depth > 0 ? p->stack[p->depth - 1] : NULL;

        if (!parent) {
                p->root = n;
                return;
        }
        if (parent->kind == CONF_MAP) {
                node_set_key(n, &p->key);
                p->key = (struct conf_node){};
                if (p->drop) {
                        p->drop = false;
                        n->parent = parent; /* so that the stack can unwind; but it is nobody's child */
                        return;
                }
        }
        node_append(parent, n);
}

static bool wants_key(const struct parser *p) {
        return p->depth > 0 && p->stack[p->depth - 1]->kind == CONF_MAP && !p->key.key.p;
}

static int check_tag(struct parser *p, const yaml_event_t *e, const yaml_char_t *tag) {
        if (!tag)
                return 0;
        (void)say(p, DIAG_E111, e, "tags are not taken: the type of every value is known",
                  "remove the tag that begins with \"!\"");
        return 0;
}

static int on_scalar(struct parser *p, const yaml_event_t *e) {
        struct str text = text_of(e->data.scalar.value, e->data.scalar.length);
        struct conf_node *n;

        (void)check_tag(p, e, e->data.scalar.tag);
        if (wants_key(p)) {
                if (e->data.scalar.anchor)
                        (void)say(p, DIAG_E111, e, "keys cannot have anchors", NULL);
                return take_key(p, e);
        }
        if (p->config->n_nodes >= CONFIG_MAX_NODES)
                return too_many(p, e);
        n = node_scalar(p->config, text, mark_of(p, e->start_mark), mark_of(p, e->end_mark));
        if (!n)
                return -ENOMEM;
        n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        if (text.n > 0 && memchr(text.p, '\0', text.n)) {
                (void)say(p, DIAG_E102, e, "a value cannot hold the character U+0000", NULL);
                n->text = STR("");
                n->quoted = true;
        }
        attach(p, n);
        return anchor_add(p, e, e->data.scalar.anchor, n);
}

static int on_start(struct parser *p, const yaml_event_t *e, enum conf_kind kind, const yaml_char_t *anchor,
                    const yaml_char_t *tag) {
        struct conf_node *n;

        (void)check_tag(p, e, tag);
        if (wants_key(p))
                return say(p, DIAG_E111, e, "a key must be a plain word, not a map or a list",
                           "text that begins with \"{\" or \"[\" needs quotes");
        if (p->depth == CONFIG_MAX_DEPTH)
                return say(p, DIAG_E112, e, "values are nested more than " NUMBER(CONFIG_MAX_DEPTH) " deep", NULL);
        if (p->config->n_nodes >= CONFIG_MAX_NODES)
                return too_many(p, e);
        n = node_new(p->config, kind, mark_of(p, e->start_mark), mark_of(p, e->end_mark));
        if (!n)
                return -ENOMEM;
        attach(p, n);
        p->stack[p->depth++] = n;
        return anchor_add(p, e, anchor, n);
}

static int by_key(const void *a, const void *b) {
        const struct conf_node *x = *(struct conf_node *const *)a, *y = *(struct conf_node *const *)b;
        int r = memcmp(x->key.p, y->key.p, MIN(x->key.n, y->key.n));

        if (r != 0)
                return r;
        if (x->key.n != y->key.n)
                return x->key.n < y->key.n ? -1 : 1;
        return x->key_mark.line != y->key_mark.line ? (x->key_mark.line < y->key_mark.line ? -1 : 1)
                                                    : (x->key_mark.column < y->key_mark.column ? -1 : 1);
}

static void say_twice(struct parser *p, const struct conf_node *first, const struct conf_node *again) {
        struct diag *d;

        if (first->key_mark.line == again->key_mark.line)
                d = diag_add(p->diags, DIAG_E103, again->key_mark, again->key_end,
                             "\"%.*s\" is defined twice in line %u", STR_FMT(again->key),
                             again->key_mark.line);
        else
                d = diag_add(p->diags, DIAG_E103, again->key_mark, again->key_end,
                             "\"%.*s\" is defined twice: lines %u and %u", STR_FMT(again->key),
                             first->key_mark.line, again->key_mark.line);
        diag_relate(p->diags, d, first->key_mark, first->key_end, "first defined here");
}

/* YAML leaves it to us to notice keys that come twice; the first one stays. */
static int find_duplicates(struct parser *p, struct conf_node *map) {
        CLEANUP(freep) struct conf_node **sorted = NULL;
        unsigned n = 0, first = 0;

        if (map->n_children < 2)
                return 0;
        sorted = calloc(map->n_children, sizeof(*sorted));
        if (!sorted)
                return -ENOMEM;
        for (struct conf_node *child = map->first; child; child = child->next)
                sorted[n++] = child;
        qsort(sorted, n, sizeof(*sorted), by_key);
        for (unsigned i = 1; i < n; i++) {
                if (!str_eq(sorted[i]->key, sorted[first]->key)) {
                        first = i;
                        continue;
                }
                say_twice(p, sorted[first], sorted[i]);
                sorted[i]->bad = true;
        }
        for (struct conf_node *child = map->first, *next; child; child = next) {
                next = child->next;
                if (child->bad)
                        node_remove(child);
        }
        return 0;
}

static int on_end(struct parser *p, const yaml_event_t *e) {
        struct conf_node *n = p->stack[--p->depth];

        if (e->end_mark.line != e->start_mark.line || e->end_mark.column != e->start_mark.column)
                n->end = mark_of(p, e->end_mark); /* flow style: behind the closing bracket */
        anchor_close(p, n);
        return n->kind == CONF_MAP ? find_duplicates(p, n) : 0;
}

static int on_alias(struct parser *p, const yaml_event_t *e) {
        struct conf_node *n = NULL;
        int r;

        if (wants_key(p))
                return say(p, DIAG_E111, e, "a key cannot be an alias",
                           "text that begins with \"*\" needs quotes");
        if (p->config->n_nodes >= CONFIG_MAX_NODES)
                return too_many(p, e);
        r = alias_get(p, e, &n);
        if (r < 0)
                return r;
        attach(p, n);
        return 0;
}

/* 1: the document is complete. */
static int on_event(struct parser *p, const yaml_event_t *e) {
        switch (e->type) {
        case YAML_SCALAR_EVENT:
                return on_scalar(p, e);
        case YAML_MAPPING_START_EVENT:
                return on_start(p, e, CONF_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag);
        case YAML_SEQUENCE_START_EVENT:
                return on_start(p, e, CONF_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag);
        case YAML_MAPPING_END_EVENT:
        case YAML_SEQUENCE_END_EVENT:
                return on_end(p, e);
        case YAML_ALIAS_EVENT:
                return on_alias(p, e);
        case YAML_DOCUMENT_START_EVENT:
                if (!p->root)
                        return 0;
                (void)say(p, DIAG_E111, e, "a second document begins here",
                          "one file is one document: remove the line \"---\"");
                return 1;
        case YAML_STREAM_END_EVENT:
                return 1;
        default:
                return 0;
        }
}

static int run(struct parser *p) {
        yaml_event_t e;
        int r = 0;

        while (r == 0) {
                if (!yaml_parser_parse(&p->yaml, &e)) {
                        if (p->yaml.error == YAML_MEMORY_ERROR)
                                return -ENOMEM;
                        syntax_explain(p->diags, p->end, &p->yaml);
                        return -EBADMSG;
                }
                r = on_event(p, &e);
                yaml_event_delete(&e);
        }
        return MIN(r, 0);
}

static int root_must_be_map(struct parser *p) {
        struct conf_mark whole = {0, 0, p->file};
        struct diag *d;

        if (p->root && p->root->kind == CONF_MAP)
                return 0;
        d = p->root ? diag_add(p->diags, DIAG_E105, p->root->start, p->root->end,
                               "the file must be a map of settings")
                    : diag_add(p->diags, DIAG_E101, whole, whole, "the file holds only comments");
        diag_hint(p->diags, d, "it begins with: version: 1");
        return -EBADMSG;
}

int parse_source(struct config *c, struct diag_list *diags, unsigned file, struct conf_node **ret) {
        struct parser p = {.config = c, .diags = diags, .file = file};
        struct str text = diags->sources[file].text;
        int r;

        r = scan_text(diags, file, &p.end);
        if (r < 0)
                return r;
        if (text.n >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0)
                text = (struct str){text.p + 3, text.n - 3};
        if (!yaml_parser_initialize(&p.yaml))
                return -ENOMEM;
        yaml_parser_set_encoding(&p.yaml, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text.p, text.n);
        r = run(&p);
        yaml_parser_delete(&p.yaml);
        if (r == 0)
                r = root_must_be_map(&p);
        if (r == 0)
                *ret = p.root;
        return r;
}

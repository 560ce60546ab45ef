/* SPDX-License-Identifier: Apache-2.0 */
#include "config/schema.h"

#include <stdio.h>

#include "config/internal.h"

const struct schema *schema_key(const struct schema *map, struct str name) {
        SCHEMA_FOREACH(k, map)
                if (str_eq(name, str_of(k->name)))
                        return k;
        return NULL;
}

static const struct schema *step(const struct schema *s, struct str name) {
        if (s->type == SCHEMA_LIST)
                s = s->item;
        if (s->type == SCHEMA_DICT)
                return s->item;
        return s->type == SCHEMA_MAP ? schema_key(s, name) : NULL;
}

const struct schema *schema_find(const struct schema *root, struct str path) {
        const struct schema *s = root;

        while (s && path.n > 0) {
                const char *dot = memchr(path.p, '.', path.n);
                size_t n = dot ? (size_t)(dot - path.p) : path.n;

                s = step(s, (struct str){path.p, n});
                path = dot ? (struct str){dot + 1, path.n - n - 1} : STR("");
        }
        return s;
}

bool schema_is_scalar(const struct schema *s) {
        return s->type < SCHEMA_MAP;
}

static void describe_choices(const struct schema *s, struct strbuf *out) {
        for (unsigned i = 0; s->choices[i]; i++)
                strbuf_addf(out, "%s%s", i == 0 ? "" : s->choices[i + 1] ? ", " : " or ", s->choices[i]);
}

static void describe_scalar(const struct schema *s, struct strbuf *out) {
        static const char *const names[] = {
                [SCHEMA_TEXT] = "text",         [SCHEMA_NAME] = "name",       [SCHEMA_BOOL] = "true or false",
                [SCHEMA_INT] = "whole number",  [SCHEMA_CHOICE] = "word",     [SCHEMA_DURATION] = "duration",
                [SCHEMA_SIZE] = "size",         [SCHEMA_PERCENT] = "share",   [SCHEMA_REF] = "name",
                [SCHEMA_FILE] = "path of a file", [SCHEMA_FOLDER] = "path of a folder",
        };

        if (s->type == SCHEMA_CHOICE) {
                strbuf_add_z(out, "word: ");
                describe_choices(s, out);
        } else if (s->type == SCHEMA_REF) {
                strbuf_addf(out, "name from `%s`", s->ref);
        } else {
                strbuf_add_z(out, s->unit ? s->unit : names[s->type]);
        }
        if ((s->type == SCHEMA_INT || s->type == SCHEMA_DURATION || s->type == SCHEMA_SIZE) &&
            s->max > s->min) {
                strbuf_add_z(out, " from ");
                value_format(s, s->min, out);
                strbuf_add_z(out, " to ");
                value_format(s, s->max, out);
        }
}

static const char *plural(const char *word, char out[32]) {
        size_t n = strlen(word);
        bool es = n > 0 && word[n - 1] == 's';

        (void)snprintf(out, 32, "%s%s", word, es ? "es" : "s");
        return out;
}

void schema_describe(const struct schema *s, struct strbuf *out) {
        char name[32];

        if (s->type == SCHEMA_LIST) {
                strbuf_addf(out, "list of %s", plural(s->item->name, name));
                if (s->item->type == SCHEMA_CHOICE) {
                        strbuf_add_z(out, ": ");
                        describe_choices(s->item, out);
                }
        } else if (s->type == SCHEMA_DICT) {
                strbuf_addf(out, "map of names, each with a %s", s->item->name);
        } else if (s->type == SCHEMA_MAP) {
                if (s->scalar) {
                        describe_scalar(s->scalar, out);
                        strbuf_add_z(out, ", or a ");
                }
                strbuf_add_z(out, "map of settings");
        } else {
                describe_scalar(s, out);
        }
        if (s->flags & SCHEMA_NONE)
                strbuf_add_z(out, ", or none");
        if (s->flags & SCHEMA_AUTO)
                strbuf_add_z(out, ", or auto");
}

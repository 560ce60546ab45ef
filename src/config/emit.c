/* SPDX-License-Identifier: Apache-2.0 */
#include "config/emit.h"

#include "config/schema.h"

static bool is_plain_char(char c) {
        char l = ascii_lower(c);

        return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || strchr("_./%@+~$()=;-", c);
}

/* Words that other readers of YAML would not take for text. */
static bool looks_typed(struct str s) {
        static const char *const words[] = {"true", "false", "yes",  "no", "on",   "off",
                                            "y",    "n",     "null", "~",  ".inf", ".nan"};
        bool number = true, digit = false;

        for (size_t i = 0; i < ARRAY_SIZE(words); i++)
                if (str_ieq(s, str_of(words[i])))
                        return true;
        for (size_t i = 0; i < s.n; i++) {
                bool is_digit = s.p[i] >= '0' && s.p[i] <= '9';

                number = number && (is_digit || strchr("+-._:eExXoO", s.p[i]));
                digit = digit || is_digit;
        }
        return number && digit;
}

static bool is_plain(struct str s, bool typed) {
        if (s.n == 0 || strchr("-@%=~$.", s.p[0]))
                return false;
        for (size_t i = 0; i < s.n; i++) {
                bool inner_colon = s.p[i] == ':' && i > 0 && i + 1 < s.n; /* 10.0.0.1:80 */

                if (s.p[i] == '\0' || (!is_plain_char(s.p[i]) && !inner_colon))
                        return false;
        }
        return typed || !looks_typed(s);
}

static void emit_text(struct str s, bool typed, struct strbuf *out) {
        if (is_plain(s, typed)) {
                strbuf_add_str(out, s);
                return;
        }
        strbuf_add_char(out, '"');
        for (size_t i = 0; i < s.n; i++) {
                unsigned char c = (unsigned char)s.p[i];

                if (c == '"' || c == '\\')
                        strbuf_addf(out, "\\%c", c);
                else if (c == '\n')
                        strbuf_add_z(out, "\\n");
                else if (c == '\t')
                        strbuf_add_z(out, "\\t");
                else if (c < 0x20 || c == 0x7f)
                        strbuf_addf(out, "\\x%02X", c);
                else if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0)
                        strbuf_addf(out, "\\x%02X", (unsigned char)s.p[++i]); /* C1 controls */
                else if (c == 0xe2 && i + 2 < s.n && (unsigned char)s.p[i + 1] == 0x80 &&
                         ((unsigned char)s.p[i + 2] & 0xfe) == 0xa8)
                        strbuf_addf(out, "\\u%04X",
                                    0x2000u + ((unsigned char)s.p[i += 2] & 0x3fu)); /* line separators */
                else if (c == 0xef && i + 2 < s.n && (unsigned char)s.p[i + 1] == 0xbb &&
                         (unsigned char)s.p[i + 2] == 0xbf) {
                        strbuf_add_z(out, "\\uFEFF");
                        i += 2;
                } else
                        strbuf_add_char(out, (char)c);
        }
        strbuf_add_char(out, '"');
}

static bool is_typed(const struct schema *s) {
        return s && s->type != SCHEMA_TEXT && s->type != SCHEMA_NAME && s->type != SCHEMA_REF &&
               s->type != SCHEMA_FILE && s->type != SCHEMA_FOLDER;
}

static void emit_scalar(const struct conf_node *n, enum emit_mode mode, struct strbuf *out) {
        if (n->is_none)
                strbuf_add_z(out, "none");
        else if (n->is_auto && mode == EMIT_LONG)
                strbuf_add_z(out, "auto");
        else if (n->schema && (n->schema->flags & (SCHEMA_NONE | SCHEMA_AUTO)) && !n->is_auto &&
                 (str_eq(n->text, STR("none")) || str_eq(n->text, STR("auto"))))
                strbuf_addf(out, "\"%.*s\"", STR_FMT(n->text)); /* the quotes say that it is not the word */
        else
                emit_text(n->text, is_typed(n->schema), out);
}

static bool is_shown(const struct conf_node *n, enum emit_mode mode) {
        return mode == EMIT_EFFECTIVE || !n->is_default;
}

static bool has_shown(const struct conf_node *n, enum emit_mode mode) {
        CONF_FOREACH(child, n) {
                if (is_shown(child, mode))
                        return true;
        }
        return false;
}

static bool is_flat(const struct conf_node *list) {
        CONF_FOREACH(item, list) {
                if (item->kind != CONF_SCALAR)
                        return false;
        }
        return true;
}

static void indent(struct strbuf *out, unsigned depth) {
        for (unsigned i = 0; i < depth; i++)
                strbuf_add_z(out, "  ");
}

static void emit_flat_list(const struct conf_node *n, enum emit_mode mode, struct strbuf *out) {
        strbuf_add_char(out, '[');
        CONF_FOREACH(item, n) {
                if (item != n->first)
                        strbuf_add_z(out, ", ");
                emit_scalar(item, mode, out);
        }
        strbuf_add_char(out, ']');
}

static void emit_children(const struct conf_node *n, enum emit_mode mode, unsigned depth, struct strbuf *out);

/* What stands behind "key:" or "-", with the line's end. */
static void emit_value(const struct conf_node *n, enum emit_mode mode, unsigned depth, struct strbuf *out) {
        if (n->kind == CONF_SCALAR) {
                strbuf_add_char(out, ' ');
                emit_scalar(n, mode, out);
                if (n->is_auto && mode == EMIT_EFFECTIVE && !str_eq(n->text, STR("auto")))
                        strbuf_add_z(out, "  # auto");
                strbuf_add_char(out, '\n');
        } else if (n->kind == CONF_LIST && is_flat(n)) {
                strbuf_add_char(out, ' ');
                emit_flat_list(n, mode, out);
                strbuf_add_char(out, '\n');
        } else if (!has_shown(n, mode)) {
                strbuf_add_z(out, n->kind == CONF_MAP ? " {}\n" : " []\n");
        } else {
                strbuf_add_char(out, '\n');
                emit_children(n, mode, depth + 1, out);
        }
}

static void emit_child(const struct conf_node *child, enum emit_mode mode, unsigned depth,
                       struct strbuf *out) {
        if (!is_shown(child, mode))
                return;
        indent(out, depth);
        if (child->parent->kind == CONF_MAP) {
                emit_text(child->key, false, out);
                strbuf_add_char(out, ':');
        } else {
                strbuf_add_char(out, '-');
        }
        emit_value(child, mode, depth, out);
}

/* As written in the order of the file; complete in the order of the manual. */
static void emit_children(const struct conf_node *n, enum emit_mode mode, unsigned depth,
                          struct strbuf *out) {
        if (mode == EMIT_EFFECTIVE && n->schema && n->schema->type == SCHEMA_MAP) {
                SCHEMA_FOREACH(k, n->schema) {
                        const struct conf_node *child = conf_child(n, str_of(k->name));

                        if (child)
                                emit_child(child, mode, depth, out);
                }
                return;
        }
        CONF_FOREACH(child, n)
                emit_child(child, mode, depth, out);
}

void conf_emit(const struct conf_node *n, enum emit_mode mode, struct strbuf *out) {
        struct strbuf value = STRBUF_INIT;

        if (n->kind == CONF_MAP && has_shown(n, mode)) {
                emit_children(n, mode, 0, out);
                return;
        }
        emit_value(n, mode, 0, &value);
        strbuf_add(out, strbuf_z(&value) + 1, value.n > 0 ? value.n - 1 : 0); /* without the blank in front */
        out->failed |= value.failed;
        strbuf_deinit(&value);
}

const struct conf_node *conf_find(const struct conf_node *n, struct str path) {
        if (path.n == 0)
                return n;
        CONF_FOREACH(child, n) {
                struct str rest = {path.p + child->key.n, path.n - child->key.n};
                const struct conf_node *found;

                if (n->kind != CONF_MAP || !str_starts(path, child->key) || (rest.n > 0 && rest.p[0] != '.'))
                        continue;
                found = conf_find(child, rest.n > 0 ? (struct str){rest.p + 1, rest.n - 1} : rest);
                if (found)
                        return found;
        }
        return NULL;
}

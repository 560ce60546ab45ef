/* SPDX-License-Identifier: Apache-2.0 */
#include "config/json-schema.h"

#include <string.h>

#include "base/json.h"
#include "config/schema.h"

#define NAME_PATTERN "^(?!x-)[A-Za-z0-9][A-Za-z0-9_.-]{0,57}$"
#define ADDRESS_NAME_PATTERN                                                                             \
        "^(?!x-)([A-Za-z0-9][A-Za-z0-9_.-]{0,57}|(?=.{1,58}$)[^\\x00-\\x1f\\x7f:]*:[^\\x00-\\x1f\\x7f]*)$"

static void put(struct json *j, const struct schema *s, bool inherits);

static void put_type(struct json *j, const char *type) {
        json_key(j, "type");
        json_z(j, type);
}

static void put_pattern(struct json *j, const char *pattern) {
        put_type(j, "string");
        json_key(j, "pattern");
        json_z(j, pattern);
}

/* Text may look like a number or a boolean to a reader of YAML that knows no schema. */
static void put_text(struct json *j) {
        json_key(j, "type");
        json_array_begin(j);
        json_z(j, "string");
        json_z(j, "number");
        json_z(j, "boolean");
        json_array_end(j);
}

static bool is_number(const char *word, uint64_t *ret) {
        return str_to_u64(str_of(word), ret) == 0;
}

static void put_words(struct json *j, const struct schema *s) {
        uint64_t v;

        json_key(j, "enum");
        json_array_begin(j);
        for (unsigned i = 0; s->choices[i]; i++) {
                json_z(j, s->choices[i]);
                if (is_number(s->choices[i], &v))
                        json_u64(j, v);
        }
        json_array_end(j);
}

static void put_int(struct json *j, const struct schema *s) {
        json_key(j, "anyOf");
        json_array_begin(j);
        json_object_begin(j);
        put_type(j, "integer");
        json_key(j, "minimum");
        json_u64(j, s->min);
        if (s->max > 0) {
                json_key(j, "maximum");
                json_u64(j, s->max);
        }
        json_object_end(j);
        json_object_begin(j);
        put_pattern(j, "^(0|[1-9][0-9]*)$");
        json_object_end(j);
        json_array_end(j);
}

static void put_quantity(struct json *j, const struct schema *s, const char *pattern) {
        if (s->min > 0) {
                put_pattern(j, pattern);
                return;
        }
        json_key(j, "anyOf");
        json_array_begin(j);
        json_object_begin(j);
        put_pattern(j, pattern);
        json_object_end(j);
        json_object_begin(j);
        json_key(j, "const");
        json_u64(j, 0);
        json_object_end(j);
        json_array_end(j);
}

static void put_pattern_or_integer(struct json *j, const struct schema *s) {
        json_key(j, "anyOf");
        json_array_begin(j);
        json_object_begin(j);
        put_pattern(j, s->pattern);
        json_object_end(j);
        json_object_begin(j);
        put_type(j, "integer");
        json_object_end(j);
        json_array_end(j);
}

static void put_scalar(struct json *j, const struct schema *s) {
        switch (s->type) {
        case SCHEMA_NAME:
                put_pattern(j, NAME_PATTERN);
                break;
        case SCHEMA_BOOL:
                json_key(j, "enum");
                json_array_begin(j);
                json_bool(j, true);
                json_bool(j, false);
                json_z(j, "true");
                json_z(j, "false");
                json_array_end(j);
                break;
        case SCHEMA_INT:
                put_int(j, s);
                break;
        case SCHEMA_CHOICE:
                put_words(j, s);
                break;
        case SCHEMA_DURATION:
                put_quantity(j, s, "^(0|[0-9]+[ \\t]*(us|ms|s|m|h|d))$");
                break;
        case SCHEMA_SIZE:
                put_quantity(j, s, "^(0|[0-9]+[ \\t]*(B|KiB|MiB|GiB|TiB))$");
                break;
        case SCHEMA_PERCENT:
                put_pattern(j, "^(100(\\.0)?|[0-9]{1,2}(\\.[0-9])?)[ \\t]*%$");
                break;
        default:
                if (!s->pattern)
                        put_text(j);
                else if (s->flags & SCHEMA_NUMERIC)
                        put_pattern_or_integer(j, s);
                else
                        put_pattern(j, s->pattern);
        }
}

/* --- maps and lists */

static void put_required(struct json *j, const char *const *names, unsigned n) {
        json_object_begin(j);
        json_key(j, "required");
        json_array_begin(j);
        for (unsigned i = 0; i < n; i++)
                json_z(j, names[i]);
        json_array_end(j);
        json_object_end(j);
}

static void put_properties(struct json *j, const struct schema *s, const struct schema *lifted,
                           bool inherits) {
        json_key(j, "properties");
        json_object_begin(j);
        SCHEMA_FOREACH(k, s) {
                json_key(j, k->name);
                put(j, k, inherits);
        }
        SCHEMA_FOREACH(l, lifted ? lifted : &(const struct schema){}) {
                json_key(j, l->name);
                put(j, l, inherits);
        }
        json_object_end(j);
        json_key(j, "patternProperties");
        json_object_begin(j);
        json_key(j, "^x-");
        json_object_begin(j);
        json_object_end(j);
        json_object_end(j);
        json_key(j, "additionalProperties");
        json_bool(j, false);
}

/* Exactly one of the actions; where some may be inherited, at most one. */
static void put_actions(struct json *j, const struct schema *s, bool inherits) {
        json_key(j, inherits ? "not" : "oneOf");
        if (inherits) {
                /* no two of them: there are only two where this is used */
                json_object_begin(j);
                json_key(j, "required");
                json_array_begin(j);
                SCHEMA_FOREACH(k, s) {
                        if (k->flags & SCHEMA_ACTION)
                                json_z(j, k->name);
                }
                json_array_end(j);
                json_object_end(j);
                return;
        }
        json_array_begin(j);
        SCHEMA_FOREACH(k, s) {
                if (k->flags & SCHEMA_ACTION)
                        put_required(j, &k->name, 1);
        }
        json_array_end(j);
}

static void put_companions(struct json *j, const struct schema *s) {
        json_key(j, "dependentRequired");
        json_object_begin(j);
        SCHEMA_FOREACH(k, s) {
                if (!k->with)
                        continue;
                json_key(j, k->name);
                json_array_begin(j);
                json_z(j, k->with);
                json_array_end(j);
        }
        json_object_end(j);
}

static void put_presence(struct json *j, const struct schema *s, const struct schema *lifted) {
        json_key(j, "allOf");
        json_array_begin(j);
        SCHEMA_FOREACH(k, s) {
                if (!(k->flags & SCHEMA_REQUIRED))
                        continue;
                if (!lifted || strcmp(k->name, s->lift) != 0) {
                        put_required(j, &k->name, 1);
                        continue;
                }
                json_object_begin(j);
                json_key(j, "anyOf");
                json_array_begin(j);
                put_required(j, &k->name, 1);
                SCHEMA_FOREACH(l, lifted) {
                        if (l->flags & SCHEMA_ACTION)
                                put_required(j, &l->name, 1);
                }
                json_array_end(j);
                json_object_end(j);
        }
        json_array_end(j);
}

static void put_object(struct json *j, const struct schema *s, bool inherits) {
        const struct schema *lifted = s->lift ? schema_key(s, str_of(s->lift))->item : NULL;
        bool required = false, actions = false;

        SCHEMA_FOREACH(k, s) {
                required = required || k->flags & SCHEMA_REQUIRED;
                actions = actions || k->flags & SCHEMA_ACTION;
        }
        put_type(j, "object");
        put_properties(j, s, lifted, inherits);
        if (actions)
                put_actions(j, s, inherits);
        if (!inherits)
                put_companions(j, lifted ? lifted : s);
        if (required)
                put_presence(j, s, lifted);
}

static void put_alternatives(struct json *j, const struct schema *s, bool inherits) {
        const struct schema *k;

        json_object_begin(j);
        put_object(j, s, inherits);
        json_object_end(j);
        if (s->scalar)
                put(j, s->scalar, inherits);
        if (s->short_scalar) {
                k = schema_key(s, str_of(s->short_scalar));
                put(j, k, inherits);
        }
        if (s->short_list) {
                k = schema_key(s, str_of(s->short_list));
                json_object_begin(j);
                put_type(j, "array");
                json_key(j, "items");
                put(j, k->item, inherits);
                json_object_end(j);
        }
}

static void put_dict(struct json *j, const struct schema *s, bool inherits) {
        json_object_begin(j);
        put_type(j, "object");
        json_key(j, "patternProperties");
        json_object_begin(j);
        json_key(j, "^x-");
        json_object_begin(j);
        json_object_end(j);
        json_key(j, s->pattern ? s->pattern : s->flags & SCHEMA_NAMED ? ADDRESS_NAME_PATTERN : NAME_PATTERN);
        put(j, s->item, inherits);
        json_object_end(j);
        json_key(j, "additionalProperties");
        json_bool(j, false);
        json_object_end(j);
}

static void put_array(struct json *j, const struct schema *item, bool inherits) {
        json_object_begin(j);
        put_type(j, "array");
        json_key(j, "items");
        put(j, item, inherits);
        json_object_end(j);
}

static void put_word(struct json *j, const char *word) {
        json_object_begin(j);
        json_key(j, "const");
        json_z(j, word);
        json_object_end(j);
}

static void put_forms(struct json *j, const struct schema *s, bool inherits) {
        json_key(j, "anyOf");
        json_array_begin(j);
        if (s->type == SCHEMA_MAP) {
                put_alternatives(j, s, inherits);
        } else if (s->type == SCHEMA_DICT) {
                put_dict(j, s, inherits);
                if (s->flags & SCHEMA_NAMED) {
                        put_array(j, s->item, inherits);
                        put(j, s->item, inherits);
                }
        } else if (s->type == SCHEMA_LIST) {
                put_array(j, s->item, inherits);
                put(j, s->item, inherits);
        } else {
                json_object_begin(j);
                put_scalar(j, s);
                json_object_end(j);
        }
        if (s->flags & SCHEMA_NONE)
                put_word(j, "none");
        if (s->flags & SCHEMA_AUTO)
                put_word(j, "auto");
        json_array_end(j);
}

static void put_default(struct json *j, const struct schema *s) {
        uint64_t v;

        if (!s->dflt || strcmp(s->dflt, "{}") == 0 || s->type == SCHEMA_LIST)
                return;
        json_key(j, "default");
        if (s->type == SCHEMA_BOOL)
                json_bool(j, strcmp(s->dflt, "true") == 0);
        else if (s->type == SCHEMA_INT && is_number(s->dflt, &v))
                json_u64(j, v);
        else
                json_z(j, s->dflt);
}

static void put(struct json *j, const struct schema *s, bool inherits) {
        inherits = inherits || s->inherit || s->flags & SCHEMA_PARTIAL;
        json_object_begin(j);
        if (s->help) {
                json_key(j, "description");
                json_z(j, s->help);
        }
        put_default(j, s);
        put_forms(j, s, inherits);
        json_object_end(j);
}

void schema_format_json(const struct schema *root, struct strbuf *out) {
        struct json j;

        json_init(&j, out);
        json_object_begin(&j);
        json_key(&j, "$schema");
        json_z(&j, "https://json-schema.org/draft/2020-12/schema");
        json_key(&j, "title");
        json_z(&j, "tenon.yaml");
        json_key(&j, "description");
        json_z(&j, root->help);
        put_object(&j, root, false);
        json_object_end(&j);
        strbuf_add_char(out, '\n');
}

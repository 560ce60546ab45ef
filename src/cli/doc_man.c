/* SPDX-License-Identifier: Apache-2.0 */

/* The manual page of the configuration file, from the schema. */

#include "base/cleanup.h"
#include "cli/doc.h"
#include "config/diag.h"
#include "config/schema.h"

static const char head[] = "tenon.yaml(5)\n"
                           "\n"
                           "# NAME\n"
                           "\n"
                           "tenon.yaml - configuration of tenon\n"
                           "\n"
                           "# SYNOPSIS\n"
                           "\n"
                           "_/etc/tenon/tenon.yaml_\n"
                           "\n"
                           "# DESCRIPTION\n"
                           "\n"
                           "One YAML file says what tenon does. The smallest one has three lines:\n"
                           "\n"
                           "```\n"
                           "version: 1\n"
                           "farms: {app: [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]}\n"
                           "sites: {www: {hosts: [\"\\*\"], proxy: app}}\n"
                           "```\n"
                           "\n"
                           "*tenon check* says everything that is wrong with a file, *tenon config "
                           "--effective* shows it with all defaults, and *tenon doc* KEY "
                           "explains a key with the text of this page. If a file has a mistake, nothing of "
                           "it becomes effective.\n"
                           "\n"
                           "# FORM\n"
                           "\n"
                           "Things that have a name are maps, keyed by it; a list is used only where order "
                           "means something, or where the values are all there is to "
                           "say. Names have up to 58 letters, digits, \"-\", \"\\_\" and \".\".\n"
                           "\n"
                           "Every key has a type; what YAML makes of a value does not matter. _no_, _012_ "
                           "and _1:30_ are text where text is wanted. Booleans are _true_ and "
                           "_false_, nothing else.\n"
                           "\n"
                           "Durations and sizes have a unit: _us ms s m h d_ and _B KiB MiB GiB TiB_. _none_ "
                           "means off, _auto_ lets tenon decide.\n"
                           "\n"
                           "A list of one value may be written as the value. Anchors and aliases may be "
                           "used; tags, merge keys and several documents may not. Keys that "
                           "begin with _x-_ are left alone: they are for notes and anchors. Every other key "
                           "that is not on this page is an error.\n"
                           "\n";

/* scdoc takes "_" and "*" for emphasis, "\" for an escape, and a few marks at the beginning of a line. */
static void add_escaped(struct strbuf *out, const char *text) {
        for (; *text; text++) {
                if (strchr("_*\\`#[]|<>~", *text))
                        strbuf_add_char(out, '\\');
                strbuf_add_char(out, *text);
        }
}

static void add_fact(struct strbuf *out, const char *word, const char *text) {
        strbuf_addf(out, ". %s: ", word);
        add_escaped(out, text);
}

/* The facts in one line: type, default and what else there is to know. */
static void add_facts(struct strbuf *out, const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf type = STRBUF_INIT;

        schema_describe(s, &type);
        strbuf_add_z(out, "\tType: ");
        add_escaped(out, strbuf_z(&type));
        out->failed |= type.failed;
        if (s->flags & SCHEMA_REQUIRED)
                strbuf_add_z(out, ". Required");
        else if (s->dflt_from)
                add_fact(out, "Default: that of the top level", s->dflt_from);
        else if (s->dflt && s->dflt[0] && strcmp(s->dflt, "{}") != 0)
                add_fact(out, "Default", s->dflt);
        if (s->with)
                add_fact(out, "Only beside", s->with);
        if (s->flags & SCHEMA_RESTART)
                strbuf_add_z(out, ". A change needs a restart");
        if (s->example)
                add_fact(out, "Example", s->example);
        strbuf_add_z(out, "\n\n");
}

static void add_entry(struct strbuf *out, const char *path, const struct schema *s) {
        strbuf_add_char(out, '*');
        add_escaped(out, path);
        strbuf_add_z(out, "*\n\t");
        add_escaped(out, s->help ? s->help : "");
        strbuf_add_z(out, "\n\n");
        add_facts(out, s);
}

static void add_keys(struct strbuf *out, const char *prefix, const struct schema *map);

static void add_inner(struct strbuf *out, const char *path, const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf below = STRBUF_INIT;

        if (s->type == SCHEMA_DICT) {
                strbuf_addf(&below, "%s.*", path);
                add_inner(out, strbuf_z(&below), s->item);
        } else if (s->type == SCHEMA_MAP && !s->inherit) {
                add_keys(out, path, s);
        } else if (s->type == SCHEMA_MAP && strncmp(path, "farms", 5) == 0) {
                add_keys(out, path, s); /* the same keys in place are not listed again */
        }
        out->failed |= below.failed;
}

static void add_keys(struct strbuf *out, const char *prefix, const struct schema *map) {
        SCHEMA_FOREACH(k, map) {
                CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT;

                strbuf_addf(&path, "%s%s%s", prefix, prefix[0] ? "." : "", k->name);
                add_entry(out, strbuf_z(&path), k);
                if (!(k->flags & SCHEMA_PARTIAL))
                        add_inner(out, strbuf_z(&path), k);
                out->failed |= path.failed;
        }
}

static void add_rules(struct strbuf *out) {
        strbuf_add_z(out, "# WARNINGS\n\n*accept* silences these, by their id:\n\n");
        for (unsigned i = 0; i < DIAG_N_IDS; i++)
                if (!diag_is_error((enum diag_id)i))
                        strbuf_addf(out, "*%s*\n\t%s\n\n", diag_id_text((enum diag_id)i),
                                    diag_id_about((enum diag_id)i));
}

void doc_man(const struct schema *root, struct strbuf *out) {
        strbuf_add_z(out, head);
        strbuf_add_z(out, "# KEYS\n\n");
        add_keys(out, "", root);
        add_rules(out);
        strbuf_add_z(out, "# SEE ALSO\n\n*tenon*(1)\n");
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The third pass: references, then the rules that concern several keys, which the parts of the schema bring
 * along. */

#include "base/cleanup.h"
#include "config/internal.h"

#define NAMES_SHOWN 12

static void say_unknown(struct config_check *c, const struct conf_node *n, const struct schema *s,
                        const struct conf_node *dict, const struct schema *item) {
        struct suggest suggest = {.wanted = n->text};
        CLEANUP(strbuf_deinit) struct strbuf names = STRBUF_INIT;
        const struct conf_node *near;
        unsigned shown = 0;
        struct diag *d;

        d = check_value(c, DIAG_E201, n, "%s \"%.*s\" does not exist", item->name, STR_FMT(n->text));
        if (!d)
                return; /* nobody will see a hint */
        CONF_FOREACH(entry, dict) {
                suggest_try(&suggest, entry->key);
                if (shown++ < NAMES_SHOWN)
                        strbuf_addf(&names, "%s%.*s", names.n ? ", " : "", STR_FMT(entry->key));
        }
        if (shown > NAMES_SHOWN)
                strbuf_addf(&names, " … and %u more", shown - NAMES_SHOWN);
        near = suggest.best.p ? node_child(dict, suggest.best) : NULL;
        if (near && near->key_mark.line > 0)
                diag_hint(c->diags, d, "did you mean \"%.*s\"? (defined at line %u)", STR_FMT(suggest.best),
                          near->key_mark.line);
        else if (near)
                diag_hint(c->diags, d, "did you mean \"%.*s\"?", STR_FMT(suggest.best));
        else if (shown == 0)
                diag_hint(c->diags, d, "nothing is defined under `%s:`", s->ref);
        if (shown > 0)
                diag_note(c->diags, d, "%s: %s", s->ref, strbuf_z(&names));
        c->failed |= names.failed;
}

static void check_reference(struct config_check *c, const struct conf_node *n, const struct schema *s) {
        const struct conf_node *dict = node_find(c->config->root, s->ref);
        const struct schema *names = schema_find(c->config->schema, str_of(s->ref));

        if (dict && dict->kind != CONF_MAP)
                return;
        if (!node_child(dict, n->text))
                say_unknown(c, n, s, dict, names->item);
}

/* `partial`: within a map that only gives its keys to others. */
static void walk(struct config_check *c, struct conf_node *n, bool partial) {
        const struct schema *s = n->schema;

        if (!s || c->failed)
                return;
        partial = partial || s->flags & SCHEMA_PARTIAL;
        if (s->type == SCHEMA_REF && n->kind == CONF_SCALAR && !n->is_none && !n->is_auto)
                check_reference(c, n, s);
        for (struct conf_node *child = n->first; child; child = child->next)
                walk(c, child, partial);
        if (partial || n->bad || n->is_none)
                return;
        check_complete(c, n);
        if (s->check)
                s->check(c, n);
}

void check_rules(struct config_check *c) {
        walk(c, c->config->root, false);
}

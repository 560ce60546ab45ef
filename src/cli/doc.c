/* SPDX-License-Identifier: Apache-2.0 */

/* tenon doc: a key of the configuration, or a rule of the check, explained from the table that the program
 * itself works with. */

#include <stdlib.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "cli/doc.h"
#include "config/diag.h"
#include "config/schema.h"
#include "config/suggest.h"

#define WIDTH 96

/* Wraps at blanks; every line begins with `indent` blanks. */
static void add_wrapped(struct strbuf *out, const char *text, unsigned indent) {
        while (*text) {
                size_t n = strlen(text), room = WIDTH - indent;

                if (n > room) {
                        n = room;
                        while (n > 0 && text[n] != ' ')
                                n--;
                        if (n == 0)
                                n = strcspn(text, " ");
                }
                strbuf_addf(out, "%*s%.*s\n", (int)indent, "", (int)n, text);
                text += n;
                text += strspn(text, " ");
        }
}

static void add_first_sentence(struct strbuf *out, const char *help) {
        const char *end = help ? strstr(help, ". ") : NULL;

        if (help)
                strbuf_addf(out, "%.*s\n",
                            end ? (int)(end - help)
                                : (int)strcspn(help, "") - (help[strlen(help) - 1] == '.'),
                            help);
}

static void list_keys(struct strbuf *out, const struct schema *s) {
        unsigned width = 0;

        SCHEMA_FOREACH(k, s)
                width = MAX(width, (unsigned)strlen(k->name));
        SCHEMA_FOREACH(l, s) {
                strbuf_addf(out, "  %-*s  ", (int)width, l->name);
                add_first_sentence(out, l->help);
        }
}

static const struct schema *inner(const struct schema *s) {
        while (s->type == SCHEMA_DICT || (s->type == SCHEMA_LIST && s->item->type == SCHEMA_MAP))
                s = s->item;
        return s;
}

static const char *since_of(const struct schema *root, const char *path) {
        const char *since = root->since;

        for (const char *p = path; *p; p++)
                if (p[1] == '.' || p[1] == '\0') {
                        const struct schema *s =
                                schema_find(root, (struct str){path, (size_t)(p + 1 - path)});

                        if (s && s->since)
                                since = s->since;
                }
        return since;
}

static void add_fact(struct strbuf *out, const char *name, const char *text) {
        strbuf_addf(out, "  %-9s %s\n", name, text);
}

static void describe_forms(struct strbuf *out, const struct schema *s) {
        if (s->short_scalar)
                strbuf_addf(out, "  %-9s a single value means {%s: value}\n", "short", s->short_scalar);
        if (s->short_list)
                strbuf_addf(out, "  %-9s a list means {%s: list}\n", "short", s->short_list);
        if (s->with)
                strbuf_addf(out, "  %-9s only beside `%s`\n", "needs", s->with);
        if (s->inherit)
                strbuf_addf(out, "  %-9s what it does not say from `%s`\n", "inherits", s->inherit);
}

static void explain_key(struct strbuf *out, const struct schema *root, const char *path,
                        const struct schema *s) {
        CLEANUP(strbuf_deinit) struct strbuf type = STRBUF_INIT;
        const struct schema *in = inner(s);

        schema_describe(s, &type);
        strbuf_addf(out, "%s\n\n", path);
        add_wrapped(out, s->help ? s->help : "", 2);
        strbuf_add_char(out, '\n');
        add_fact(out, "type", strbuf_z(&type));
        if (s->flags & SCHEMA_REQUIRED)
                add_fact(out, "default", "none: the key is required");
        else if (s->dflt_from)
                strbuf_addf(out, "  %-9s that of `%s`\n", "default", s->dflt_from);
        else if (s->dflt && strcmp(s->dflt, "{}") != 0)
                add_fact(out, "default", s->dflt[0] ? s->dflt : "empty");
        if (s->example && s->name)
                strbuf_addf(out, "  %-9s %s: %s\n", "example", s->name, s->example);
        describe_forms(out, s);
        add_fact(out, "change",
                 s->flags & SCHEMA_RESTART ? "needs a restart" : "takes effect with `tenon apply`");
        add_fact(out, "since", since_of(root, path));
        if (in != s && in->help) {
                strbuf_add_char(out, '\n');
                add_wrapped(out, in->help, 2);
                if (in->type == SCHEMA_MAP)
                        describe_forms(out, in);
        }
        if (in->type == SCHEMA_MAP) {
                strbuf_addf(out, "\nkeys%s:\n", in != s ? " of each" : "");
                list_keys(out, in);
        }
        if (in->lift)
                strbuf_addf(out, "\nThe keys of `%s` may stand directly here: they are the route %s then.\n",
                            in->lift, in->lift_to);
        out->failed |= type.failed;
}

static int unknown(struct cli *cli, const char *path) {
        const char *dot = strrchr(path, '.');
        struct str upper = dot ? (struct str){path, (size_t)(dot - path)} : STR("");
        const struct schema *s = schema_find(cli->schema, upper);
        struct suggest suggest = {.wanted = str_of(dot ? dot + 1 : path)};

        s = s ? inner(s) : NULL;
        if (s && s->type == SCHEMA_MAP)
                SCHEMA_FOREACH(k, s)
                        suggest_try(&suggest, str_of(k->name));
        if (suggest.best.p)
                return cli_usage(cli, "there is no key %s; did you mean %.*s%s%.*s?", path, STR_FMT(upper),
                                 dot ? "." : "", STR_FMT(suggest.best));
        return cli_usage(cli, "there is no key %s", path);
}

int cli_doc(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        int man = cli_option(cli, "--man", NULL);
        const struct schema *s;
        enum diag_id id;

        if (man < 0 || cli_arguments(cli, man ? 0 : 1) != 0)
                return CLI_USAGE;
        if (man) {
                doc_man(cli->schema, &out);
        } else if (cli->argc < 2) {
                strbuf_add_z(&out, "keys of tenon.yaml (`tenon doc KEY` explains one, `tenon doc "
                                   "farms.*.check` one further in):\n");
                list_keys(&out, cli->schema);
        } else if (diag_id_parse(str_of(cli->argv[1]), &id) == 0) {
                strbuf_addf(&out, "%s\n\n  %s: %s\n", cli->argv[1], diag_is_error(id) ? "error" : "warning",
                            diag_id_about(id));
                if (!diag_is_error(id))
                        strbuf_addf(&out, "  known and meant: accept: [%s]\n", cli->argv[1]);
        } else {
                s = schema_find(cli->schema, str_of(cli->argv[1]));
                if (!s)
                        return unknown(cli, cli->argv[1]);
                explain_key(&out, cli->schema, cli->argv[1], s);
        }
        return cli_finish(cli, &out, CLI_OK);
}

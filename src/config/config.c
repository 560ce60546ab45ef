/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The order of things: parse (parse.c), add what `include:` names (include.c), give every value its type
 * (check.c), fill in what was not written (fill.c), references and rules (rules.c). Errors do not stop it
 * after the parse: each pass leaves only what is good.
 */

#include "config/config.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "config/internal.h"

DEFINE_CLEANUP(struct config *, config_free)

struct config *config_free(struct config *c) {
        if (!c)
                return NULL;
        arena_deinit(&c->arena);
        free(c);
        return NULL;
}

const struct conf_node *config_root(const struct config *c) {
        return c->root;
}

const struct schema *config_schema(const struct config *c) {
        return c->schema;
}

/* Where relative paths begin. Without a working directory they stay relative. */
static int set_folder(struct config *c, const char *name) {
        const char *slash = strrchr(name, '/');
        struct str part = slash ? (struct str){name, (size_t)(slash - name)} : STR("");
        CLEANUP(freep) char *cwd = NULL;

        c->place = arena_str(&c->arena, slash == name ? STR("/") : part);
        if (!c->place.p)
                return -ENOMEM;
        if (name[0] == '/') {
                c->folder = arena_str(&c->arena, part);
                return c->folder.p ? 0 : -ENOMEM;
        }
        errno = 0;
        cwd = getcwd(NULL, 0);
        if (!cwd && errno == ENOMEM)
                return -ENOMEM;
        if (!cwd)
                c->folder = arena_str(&c->arena, part);
        else if (part.n == 0 || str_eq(part, STR(".")))
                c->folder = arena_str(&c->arena, str_of(cwd));
        else
                c->folder = arena_printf(&c->arena, "%s/%.*s", cwd, STR_FMT(part));
        return c->folder.p ? 0 : -ENOMEM;
}

/* `accept: [W101]`: its words were checked with the rest. */
static void silence(struct config *c, struct diag_list *diags) {
        enum diag_id id;

        CONF_FOREACH(item, node_child(c->root, STR("accept"))) {
                if (diag_id_parse(item->text, &id) == 0)
                        diag_silence(diags, id);
        }
}

static int check(struct config *c, struct diag_list *diags) {
        struct config_check ck = {.config = c, .diags = diags};

        check_types(&ck, c->root, c->schema);
        if (!ck.failed)
                fill_tree(&ck);
        if (!ck.failed)
                check_rules(&ck);
        if (ck.failed)
                return -ENOMEM;
        silence(c, diags);
        return 0;
}

/* What the command line says, in the file's own words, in place of what the file says. */
static int override(struct config *c, struct diag_list *diags, struct str text) {
        struct conf_node *root = NULL;
        int r;

        if (text.n == 0)
                return 0;
        r = diag_add_source(diags, STR("command line options"), text);
        if (r < 0)
                return r;
        r = parse_source(c, diags, diags->n_sources - 1, &root);
        if (r < 0)
                return r;
        for (struct conf_node *n = root->first, *next; n; n = next) {
                struct conf_node *there = node_child(c->root, n->key);

                next = n->next;
                node_remove(n);
                if (there)
                        node_remove(there);
                node_append(c->root, n);
        }
        return 0;
}

static int load(struct config *c, const struct config_input *input, struct diag_list *diags) {
        int r;

        r = set_folder(c, input->name);
        if (r < 0)
                return r;
        r = parse_source(c, diags, 0, &c->root);
        if (r < 0)
                return r;
        r = input->included ? include_given(c, diags, input->included, input->n_included)
                            : include_all(c, diags);
        if (r < 0)
                return r;
        r = override(c, diags, input->overrides);
        if (r < 0)
                return r;
        return check(c, diags);
}

static int load_text(struct config **ret, const struct config_input *input, struct str text,
                     const struct schema *schema, struct diag_list *diags) {
        CLEANUP(config_freep) struct config *c = NULL;
        int r;

        assert(diags->n_sources == 0); /* marks count files from the main one */
        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        arena_init(&c->arena, 16384);
        c->schema = schema;
        r = diag_add_source(diags, str_of(input->name), text);
        if (r < 0)
                return r;
        r = load(c, input, diags);
        diag_sort(diags);
        if (r == -ENOMEM || diags->failed)
                return -ENOMEM;
        if (r < 0 || diags->n_errors > 0)
                return -EBADMSG;
        *ret = TAKE(c);
        return 0;
}

int config_load_input(struct config **ret, const struct config_input *input, const struct schema *schema,
                      struct diag_list *diags) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        struct conf_mark none = {};
        int r;

        if (!input->read)
                return load_text(ret, input, input->text, schema, diags);
        r = read_file(input->name, &text, diags, none, none);
        if (r == -EBADMSG && diag_add_source(diags, str_of(input->name), STR("")) < 0)
                return -ENOMEM;
        if (r < 0)
                return r;
        return load_text(ret, input, (struct str){strbuf_z(&text), text.n}, schema, diags);
}

int config_load(struct config **ret, const char *name, struct str text, const struct schema *schema,
                struct diag_list *diags) {
        const struct config_input input = {.name = name, .text = text};

        return config_load_input(ret, &input, schema, diags);
}

int config_load_file(struct config **ret, const char *path, const struct schema *schema,
                     struct diag_list *diags) {
        const struct config_input input = {.name = path, .read = true};
        CLEANUP(config_freep) struct config *c = NULL;
        int r;

        r = config_load_input(&c, &input, schema, diags);
        if (r < 0)
                return r;
        r = config_check_files(c, diags);
        diag_sort(diags);
        if (r < 0)
                return r;
        *ret = TAKE(c);
        return 0;
}

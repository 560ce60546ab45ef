/* SPDX-License-Identifier: Apache-2.0 */

/*
 * `include:` names patterns of files: the parts of one configuration in several files. Named things (farms,
 * sites …) of all files come together; any other key, and any name, may be in one file only.
 */

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "config/internal.h"

static int say_unreadable(const char *path, int error, struct diag_list *diags, struct conf_mark start,
                          struct conf_mark end) {
        struct diag *d;

        if (error == ENOENT || error == ENOTDIR)
                d = diag_add(diags, DIAG_E301, start, end, "the file %s does not exist", path);
        else if (error == EISDIR)
                d = diag_add(diags, DIAG_E302, start, end, "%s is a folder, not a file", path);
        else if (error == ENXIO)
                d = diag_add(diags, DIAG_E302, start, end, "%s is not an ordinary file", path);
        else
                d = diag_add(diags, DIAG_E303, start, end, "the file %s cannot be read: %s", path,
                             strerror(error));
        if (error == ENOENT && start.line == 0)
                diag_hint(diags, d,
                          "name the file on the command line, or write one: `man tenon.yaml` begins with "
                          "three lines");
        return -EBADMSG;
}

int read_file(const char *path, struct strbuf *ret, struct diag_list *diags, struct conf_mark start,
              struct conf_mark end) {
        CLEANUP(fd_closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        struct stat st;
        ssize_t n;

        if (fd < 0 || fstat(fd, &st) < 0)
                return errno == ENOMEM ? -ENOMEM : say_unreadable(path, errno, diags, start, end);
        if (S_ISDIR(st.st_mode))
                return say_unreadable(path, EISDIR, diags, start, end);
        do {
                if (strbuf_reserve(ret, 16384) < 0)
                        return -ENOMEM;
                do
                        n = read(fd, ret->p + ret->n, 16384);
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return say_unreadable(path, errno == EAGAIN ? ENXIO : errno, diags, start, end);
                ret->n += (size_t)n;
                ret->p[ret->n] = '\0';
        } while (n > 0 && ret->n <= CONFIG_MAX_SIZE);
        return 0;
}

static void say_twice(struct diag_list *diags, const struct conf_node *there, const struct conf_node *n) {
        struct diag *d;

        d = diag_add(diags, DIAG_E116, n->key_mark, n->key_end, "\"%.*s\" is defined in two files",
                     STR_FMT(n->key));
        diag_relate(diags, d, there->key_mark, there->key_end, "first defined here");
}

static void move_names(struct diag_list *diags, struct conf_node *into, struct conf_node *from) {
        for (struct conf_node *n = from->first, *next; n; n = next) {
                struct conf_node *there = node_child(into, n->key);

                next = n->next;
                if (there && !str_starts(n->key, STR("x-"))) {
                        say_twice(diags, there, n);
                } else {
                        node_remove(n);
                        node_append(into, n);
                }
        }
}

static void move_keys(struct config *c, struct diag_list *diags, struct conf_node *from) {
        for (struct conf_node *n = from->first, *next; n; n = next) {
                struct conf_node *there = node_child(c->root, n->key);
                const struct schema *s = schema_key(c->schema, n->key);
                struct diag *d;

                next = n->next;
                if (str_starts(n->key, STR("x-")))
                        continue;
                if (str_eq(n->key, STR("include"))) {
                        d = diag_add(diags, DIAG_E111, n->key_mark, n->key_end,
                                     "an included file cannot include others");
                        diag_hint(diags, d, "name them in the main file");
                } else if (!there) {
                        node_remove(n);
                        node_append(c->root, n);
                } else if (s && s->type == SCHEMA_DICT && there->kind == CONF_MAP && n->kind == CONF_MAP) {
                        move_names(diags, there, n);
                } else if (!str_eq(n->key, STR("version")) || !str_eq(n->text, there->text)) {
                        say_twice(diags, there, n);
                }
        }
}

static int include_file(struct config *c, struct diag_list *diags, const char *path,
                        const struct conf_node *at) {
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        struct conf_node *root;
        int r;

        r = read_file(path, &text, diags, at->start, at->end);
        if (r < 0)
                return r;
        r = diag_add_source(diags, str_of(path), (struct str){strbuf_z(&text), text.n});
        if (r == -E2BIG) {
                (void)diag_add(diags, DIAG_E112, at->start, at->end,
                               "more than %u files in one configuration", DIAG_MAX_SOURCES);
                return -EBADMSG;
        }
        if (r < 0)
                return r;
        r = parse_source(c, diags, diags->n_sources - 1, &root);
        if (r == 0)
                move_keys(c, diags, root);
        return r;
}

static int include_glob(struct config *c, struct diag_list *diags, const struct conf_node *item) {
        struct str pattern = item->text;
        glob_t g = {};
        int r;

        if (item->text.p[0] != '/' && c->place.n > 0)
                pattern = arena_printf(&c->arena, "%.*s/%.*s", STR_FMT(c->place), STR_FMT(item->text));
        if (!pattern.p)
                return -ENOMEM;
        r = glob(pattern.p, 0, NULL, &g);
        if (r == GLOB_NOSPACE) {
                globfree(&g);
                return -ENOMEM;
        }
        if (r != 0 && strpbrk(item->text.p, "*?[")) {
                (void)diag_add(diags, DIAG_E304, item->start, item->end, "no file matches \"%.*s\"",
                               STR_FMT(item->text));
                r = -EBADMSG;
        } else if (r != 0) {
                r = include_file(c, diags, pattern.p, item);
        }
        for (size_t i = 0; i < g.gl_pathc; i++) {
                int one = include_file(c, diags, g.gl_pathv[i], item);

                if (one < 0)
                        r = r == -ENOMEM ? r : one;
        }
        globfree(&g);
        return r;
}

int include_given(struct config *c, struct diag_list *diags, const struct diag_source *included, unsigned n) {
        for (unsigned i = 0; i < n; i++) {
                struct conf_node *root;
                int r = diag_add_source(diags, included[i].name, included[i].text);

                if (r >= 0)
                        r = parse_source(c, diags, diags->n_sources - 1, &root);
                if (r < 0)
                        return r;
                move_keys(c, diags, root);
        }
        return 0;
}

int include_all(struct config *c, struct diag_list *diags) {
        const struct conf_node *include = node_child(c->root, STR("include"));
        int r = 0, one;

        if (!include)
                return 0;
        if (include->kind == CONF_SCALAR && include->text.n > 0)
                return include_glob(c, diags, include);
        for (const struct conf_node *item = include->first; include->kind == CONF_LIST && item;
             item = item->next) {
                if (item->kind != CONF_SCALAR || item->text.n == 0)
                        continue; /* the check says it */
                one = include_glob(c, diags, item);
                if (one == -ENOMEM)
                        return one;
                if (one < 0)
                        r = one;
        }
        return r;
}

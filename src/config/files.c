/* SPDX-License-Identifier: Apache-2.0 */

/* What the configuration says about files and folders, compared with what there is. Kept apart from the load,
 * which reads nothing. */

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "config/internal.h"

static void say(struct config_check *c, enum diag_id id, const struct conf_node *n, const char *what,
                const char *reason) {
        check_value(c, id, n, "%.*s: \"%s\" %s%s", STR_FMT(n->key), n->text.p, what, reason);
}

static void check_readable(struct config_check *c, const struct conf_node *n, bool folder) {
        struct stat st;

        if (stat(n->text.p, &st) < 0) {
                if (errno == ENOENT || errno == ENOTDIR)
                        say(c, DIAG_E301, n, "does not exist", "");
                else
                        say(c, DIAG_E303, n, "cannot be read: ", strerror(errno));
                return;
        }
        if (folder != S_ISDIR(st.st_mode)) {
                say(c, DIAG_E302, n, "is ", folder ? "not a folder" : "a folder, not a file");
                return;
        }
        if (access(n->text.p, folder ? R_OK | X_OK : R_OK) < 0)
                say(c, DIAG_E303, n, "cannot be read: ", strerror(errno));
        else if (folder && st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX))
                say(c, DIAG_W110, n, "may be written to by everybody on this machine", "");
}

/* A file that tenon makes: its folder must be there. */
static void check_writable(struct config_check *c, const struct conf_node *n) {
        const char *slash = strrchr(n->text.p, '/');
        char folder[4096];
        struct stat st;

        (void)snprintf(folder, sizeof(folder), "%.*s",
                       slash && slash != n->text.p ? (int)(slash - n->text.p) : 1, slash ? n->text.p : ".");
        if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
                say(c, DIAG_E301, n, "is in a folder that does not exist", "");
        else if (stat(n->text.p, &st) == 0 && S_ISDIR(st.st_mode))
                say(c, DIAG_E302, n, "is a folder, not a file", "");
}

static void walk(struct config_check *c, const struct conf_node *n) {
        const struct schema *s = n->schema;

        CONF_FOREACH(child, n)
                walk(c, child);
        if (!s || n->kind != CONF_SCALAR || n->is_none || n->is_auto || n->text.n == 0)
                return;
        if (s->type == SCHEMA_FOLDER)
                check_readable(c, n, true);
        else if (s->type == SCHEMA_FILE && !(s->flags & SCHEMA_OUTPUT))
                check_readable(c, n, false);
        else if (s->type == SCHEMA_FILE && n->text.p[0] == '/')
                check_writable(c, n);
}

int config_check_files(const struct config *config, struct diag_list *diags) {
        struct config_check c = {.config = (struct config *)config, .diags = diags};
        unsigned before = diags->n_errors;
        enum diag_id id;

        walk(&c, config->root);
        CONF_FOREACH(item, node_child(config->root, STR("accept"))) {
                if (diag_id_parse(item->text, &id) == 0)
                        diag_silence(diags, id);
        }
        if (c.failed || diags->failed)
                return -ENOMEM;
        return diags->n_errors > before ? -EBADMSG : 0;
}

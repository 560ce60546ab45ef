/* SPDX-License-Identifier: Apache-2.0 */

/* tenon config: the configuration as tenon understands it, as text that can be loaded again. */

#include <errno.h>

#include "base/cleanup.h"
#include "cli/cli.h"
#include "config/config.h"
#include "config/diag.h"
#include "config/emit.h"

DEFINE_CLEANUP(struct config *, config_free)

/* [FILE] [PATH]: alone, an argument is a file when it looks like one. */
static bool is_file(const char *arg) {
        struct str s = str_of(arg);

        return strchr(arg, '/') || str_ends(s, STR(".yaml")) || str_ends(s, STR(".yml")) ||
               access(arg, F_OK) == 0;
}

static int show(struct cli *cli, const struct config *c, const char *path, enum emit_mode mode) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        const struct conf_node *n = conf_find(config_root(c), str_of(path));

        if (!n || (mode == EMIT_LONG && n->is_default)) {
                (void)fprintf(cli->err, "tenon: the configuration has no %s%s\n", path,
                              n ? "; with --effective its default is shown" : "; `tenon doc` lists the keys");
                return CLI_FAILED;
        }
        conf_emit(n, mode, &out);
        return cli_finish(cli, &out, CLI_OK);
}

int cli_config(struct cli *cli) {
        CLEANUP(config_freep) struct config *config = NULL;
        CLEANUP(diag_list_deinit) struct diag_list diags;
        CLEANUP(strbuf_deinit) struct strbuf text = STRBUF_INIT;
        int effective, long_form, r;
        const char *path = "";
        bool file;

        diag_list_init(&diags);
        effective = cli_option(cli, "--effective", NULL);
        long_form = cli_option(cli, "--long", NULL);
        if (effective < 0 || long_form < 0 || cli_arguments(cli, 2) != 0)
                return CLI_USAGE;
        if (effective && long_form)
                return cli_usage(cli, "--effective and --long exclude each other");
        file = cli->argc > 2 || (cli->argc > 1 && is_file(cli->argv[1]));
        if (cli->argc > 2)
                path = cli->argv[2];
        else if (cli->argc > 1 && !file)
                path = cli->argv[1];
        r = config_load_file(&config, cli_file(cli, file ? 1 : 3), cli->schema, &diags);
        if (r < 0) {
                diag_format(&diags, &text, cli->color_err);
                (void)fputs(r == -ENOMEM ? "tenon: out of memory\n" : strbuf_z(&text), cli->err);
                return r == -ENOMEM ? CLI_FAILED : CLI_FOUND_ERRORS;
        }
        return show(cli, config, path, effective ? EMIT_EFFECTIVE : EMIT_LONG);
}

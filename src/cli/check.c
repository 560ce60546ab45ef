/* SPDX-License-Identifier: Apache-2.0 */

/* tenon check: what is wrong with a configuration, all of it, in one go. Nothing is changed. */

#include <errno.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "config/config.h"
#include "config/diag.h"

DEFINE_CLEANUP(struct config *, config_free)

static void add_count(struct strbuf *out, unsigned n, const char *what) {
        strbuf_addf(out, "%s%u %s%s", out->n > 0 && out->p[out->n - 1] != ' ' ? ", " : "", n, what,
                    n == 1 ? "" : "s");
}

static unsigned children(const struct config *c, const char *key) {
        const struct conf_node *n = conf_get(config_root(c), key);

        return n ? n->n_children : 0;
}

static void summary(struct strbuf *out, const struct config *c, const struct diag_list *diags,
                    const char *file, nsec_t took) {
        unsigned ms = (unsigned)((took + NSEC_PER_MSEC / 2) / NSEC_PER_MSEC);

        if (c && diags->n_warnings == 0) {
                strbuf_addf(out, "%s is good: ", file);
                add_count(out, children(c, "sites"), "site");
                add_count(out, children(c, "farms"), "farm");
                strbuf_addf(out, ", checked in %u ms\n", ms);
                return;
        }
        strbuf_add_char(out, '\n');
        diag_format_counts(diags, out);
        strbuf_addf(out, " in %u ms · nothing was changed\n", ms);
}

int cli_check(struct cli *cli) {
        CLEANUP(config_freep) struct config *config = NULL;
        CLEANUP(diag_list_deinit) struct diag_list diags;
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        nsec_t start = time_monotonic();
        const char *file;
        int json, r;

        diag_list_init(&diags);
        json = cli_option(cli, "--json", NULL);
        if (json < 0 || cli_arguments(cli, 1) != 0)
                return CLI_USAGE;
        file = cli_file(cli, 1);
        r = config_load_file(&config, file, cli->schema, &diags);
        if (r == -ENOMEM) {
                (void)fputs("tenon: out of memory\n", cli->err);
                return CLI_FAILED;
        }
        if (json) {
                diag_format_json(&diags, &out);
        } else {
                diag_format(&diags, &out, cli->color_out);
                if (!cli->quiet)
                        summary(&out, r == 0 ? config : NULL, &diags, file, time_monotonic() - start);
        }
        return cli_finish(cli, &out, r < 0 ? CLI_FOUND_ERRORS : CLI_OK);
}

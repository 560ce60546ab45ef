/* SPDX-License-Identifier: Apache-2.0 */

/* tenon help: the table of commands. */

#include "base/cleanup.h"
#include "cli/cli.h"

static const char common[] =
        "\n"
        "options of all commands:\n"
        "  -h, --help      what a command does and which options it has\n"
        "  -q, --quiet     only data and errors\n"
        "  -v, --verbose   more talk\n"
        "      --no-color  no colours; so does NO_COLOR in the environment\n"
        "\n"
        "FILE is ./tenon.yaml if that exists, else /etc/tenon/tenon.yaml. Try: tenon run --to :9000\n";

int cli_help(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        unsigned width = 0;

        if (cli->argc == 2) {
                char *argv[] = {cli->argv[0], cli->argv[1], (char[]){"--help"}, NULL};

                return cli_main(cli, 3, argv);
        }
        if (cli->command && cli_arguments(cli, 0) != 0)
                return CLI_USAGE;
        strbuf_add_z(&out, "usage: tenon COMMAND [OPTIONS] [ARGUMENTS]\n\n");
        for (const struct cli_command *c = cli->commands; c->name; c++)
                if (c->help)
                        width = MAX(width, (unsigned)strlen(c->name));
        for (const struct cli_command *c = cli->commands; c->name; c++)
                if (c->help)
                        strbuf_addf(&out, "  %-*s  %s\n", (int)width, c->name, c->help);
        strbuf_add_z(&out, common);
        return cli_finish(cli, &out, CLI_OK);
}

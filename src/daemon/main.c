/* SPDX-License-Identifier: Apache-2.0 */

/* The program: its table of commands. */

#include "cli/cli.h"
#include "daemon/schema.h"

static const struct cli_command commands[] = {
        {"check", cli_check, "say everything that is wrong with a configuration", "[FILE] [--json]",
         "--json   the findings as a JSON array\n"},
        {NULL},
};

int main(int argc, char **argv) {
        struct cli cli = {.commands = commands, .schema = &root_schema, .out = stdout, .err = stderr};

        return cli_main(&cli, argc, argv);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* The program: its table of commands. */

#include "cli/cli.h"
#include "daemon/schema.h"

static const struct cli_command commands[] = {
        {"check", cli_check, "say everything that is wrong with a configuration", "[FILE] [--json]",
         "  --json       the findings as a JSON array\n"},
        {"config", cli_config, "show the configuration as tenon understands it", "[--effective | --long] [FILE] [PATH]",
         "  --effective  with all defaults, and what \"auto\" means here\n"
         "  --long       as written, in the long form (this is the default)\n"},
        {"doc", cli_doc, "explain a key of the configuration, or a rule of the check", "[PATH | ID]", NULL},
        {"schema", cli_schema, "print the JSON Schema of the configuration, for editors", NULL, NULL},
        {"completion", cli_completion, "print the completion for a shell", "bash|zsh|fish", NULL},
        {"version", cli_version, "print the version", NULL, NULL},
        {"help", cli_help, "list the commands, or explain one", "[COMMAND]", NULL},
        {NULL},
};

int main(int argc, char **argv) {
        struct cli cli = {.commands = commands, .schema = &root_schema, .out = stdout, .err = stderr};

        return cli_main(&cli, argc, argv);
}

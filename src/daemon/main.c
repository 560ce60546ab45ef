/* SPDX-License-Identifier: Apache-2.0 */

/* The program: its table of commands. */

#include "cli/cli.h"
#include "daemon/schema.h"

static const struct cli_command commands[] = {
        {"check", cli_check, "say everything that is wrong with a configuration", "[FILE] [--json]",
         "--json   the findings as a JSON array\n"},
        {"status", cli_status, "what runs, and what needs attention", "[SITE|FARM|FARM/SERVER] [--json]",
         "--json         the same as JSON\n--socket PATH  of the tenon to ask\n"},
        {"apply", cli_apply, "change the configuration of the tenon that runs", "[FILE] [--json]",
         "--json         the result as JSON\n--socket PATH  of the tenon to change\n"},
        {"diff", cli_diff, "what apply would change", "[FILE] [--json]",
         "--json         the result as JSON\n--socket PATH  of the tenon to compare with\n"},
        {"overview", cli_overview, NULL, "", NULL},
        {NULL},
};

int main(int argc, char **argv) {
        struct cli cli = {.commands = commands, .schema = &root_schema, .out = stdout, .err = stderr};

        return cli_main(&cli, argc, argv);
}

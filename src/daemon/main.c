/* SPDX-License-Identifier: Apache-2.0 */

/* The program: its table of commands. */

#include "cli/cli.h"
#include "cli/run.h"
#include "daemon/agent.h"
#include "daemon/schema.h"
#include "daemon/web_process.h"

/* The agent. */
static int run(struct cli *cli) {
        struct run_options options;
        int r = cli_run_options(cli, &options);

        return r != 0 ? r : agent_run(&options);
}

/* The worker: only the agent starts it. */
static int web(struct cli *cli) {
        return web_process_run();
}

static const struct cli_command commands[] = {
        {"check", cli_check, "say everything that is wrong with a configuration", "[FILE] [--json]",
         "  --json       the findings as a JSON array\n"},
        {"run", run, "serve: the agent and its worker, in the foreground", RUN_USAGE, RUN_OPTIONS},
        {"status", cli_status, "what runs, and what needs attention", "[SITE|FARM|FARM/SERVER] [--json]",
         "  --json         the same as JSON\n  --socket PATH  of the tenon to ask\n"},
        {"apply", cli_apply, "change the configuration of the tenon that runs", "[FILE] [--json]",
         "  --json         the result as JSON\n  --socket PATH  of the tenon to change\n"},
        {"diff", cli_diff, "what apply would change", "[FILE] [--json]",
         "  --json         the result as JSON\n  --socket PATH  of the tenon to compare with\n"},
        {"config", cli_config, "show the configuration as tenon understands it", "[--effective | --long] [FILE] [PATH]",
         "  --effective  with all defaults, and what \"auto\" means here\n"
         "  --long       as written, in the long form (this is the default)\n"},
        {"doc", cli_doc, "explain a key of the configuration, or a rule of the check", "[PATH | ID]", NULL},
        {"schema", cli_schema, "print the JSON Schema of the configuration, for editors", NULL, NULL},
        {"completion", cli_completion, "print the completion for a shell", "bash|zsh|fish", NULL},
        {"version", cli_version, "print the version", NULL, NULL},
        {"help", cli_help, "list the commands, or explain one", "[COMMAND]", NULL},
        {"overview", cli_overview, NULL, "", NULL},
        {"web", web, NULL, "", NULL},
        {NULL},
};

int main(int argc, char **argv) {
        struct cli cli = {.commands = commands, .schema = &root_schema, .out = stdout, .err = stderr};

        return cli_main(&cli, argc, argv);
}

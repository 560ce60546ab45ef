/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The command line: a table of commands, the options that all of them understand, and what they need to do
 * their work. Data goes to `out`, talk goes to `err`. A command that needs more than this folder may use
 * (run, apply …) lives with its part and is put into the table by daemon/main.c.
 */

#include <stdbool.h>
#include <stdio.h>

#include "base/str.h"

struct schema;

enum cli_exit {
        CLI_OK = 0,
        CLI_FAILED = 1,
        CLI_USAGE = 2,
        CLI_FOUND_ERRORS = 3, /* check */
        CLI_UNREACHABLE = 4,  /* no tenon answers */
        CLI_TIMED_OUT = 5,
        CLI_NO_QUORUM = 6,
        CLI_REFUSED = 7,
        CLI_DEGRADED = 8,     /* status */
        CLI_NOTHING_TO_DO = 10, /* apply */
};

struct cli;

struct cli_command {
        const char *name;
        int (*run)(struct cli *cli);  /* enum cli_exit */
        const char *help;             /* one line; NULL: hidden */
        const char *usage;            /* behind the name: "[FILE] [--json]" */
        const char *options;          /* one line each: "--json  machine-readable\n"; may be NULL */
};

struct cli {
        int argc;                     /* of the command: argv[0] is its name, common options are taken out */
        char **argv;
        const struct cli_command *command;
        const struct cli_command *commands; /* all; ends with an entry without name */
        const struct schema *schema;  /* of the configuration */
        FILE *out;
        FILE *err;
        bool quiet;
        bool verbose;
        bool color_out;               /* whether to colour what goes there */
        bool color_err;
};

/* Finds the command and runs it. `cli` comes with commands, schema, out and err. */
int cli_main(struct cli *cli, int argc, char **argv);

/*
 * Takes `--name` out of the arguments. With ret_value, `--name=value` or `--name value`: *ret_value is set
 * (borrowed) when the option is there. 1: was there, 0: was not, -EINVAL: the value is missing, or there is
 * one where none belongs (said on err).
 */
int cli_option(struct cli *cli, const char *name, const char **ret_value);
/* After the options: at most `max` arguments are left. 0, or CLI_USAGE (said on err: an unknown option, or
 * one argument too many). */
int cli_arguments(struct cli *cli, int max);
/* A wrong use of the command: the sentence, and how to use it. Returns CLI_USAGE. */
int cli_usage(struct cli *cli, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* argument i (from 1), else ./tenon.yaml if that exists, else /etc/tenon/tenon.yaml. */
const char *cli_file(const struct cli *cli, int i);
/* Prints and reports a failure to write, also of what stdio held back. Returns `code`, or CLI_FAILED. */
int cli_finish(struct cli *cli, const struct strbuf *text, int code);

/* --- the commands of this folder */
int cli_check(struct cli *cli);
int cli_completion(struct cli *cli);
int cli_config(struct cli *cli);
int cli_doc(struct cli *cli);
int cli_help(struct cli *cli);
int cli_schema(struct cli *cli);
int cli_version(struct cli *cli);
int cli_status(struct cli *cli);
int cli_apply(struct cli *cli);
int cli_diff(struct cli *cli);
int cli_overview(struct cli *cli); /* no command at all */

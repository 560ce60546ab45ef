/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/suggest.h"

static void remove_argument(struct cli *cli, int i) {
        for (; i < cli->argc; i++)
                cli->argv[i] = cli->argv[i + 1]; /* the last one is NULL */
        cli->argc--;
}

int cli_option(struct cli *cli, const char *name, const char **ret_value) {
        size_t n = strlen(name);

        for (int i = 1; i < cli->argc; i++) {
                const char *arg = cli->argv[i];
                const char *value = NULL;

                if (strcmp(arg, "--") == 0)
                        return 0;
                if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
                        continue;
                if (arg[n] == '=')
                        value = arg + n + 1;
                if (!ret_value && value) {
                        (void)cli_usage(cli, "option %s takes no value", name);
                        return -EINVAL;
                }
                remove_argument(cli, i);
                if (ret_value && !value) {
                        if (i >= cli->argc) {
                                (void)cli_usage(cli, "option %s needs a value", name);
                                return -EINVAL;
                        }
                        value = cli->argv[i];
                        remove_argument(cli, i);
                }
                if (ret_value)
                        *ret_value = value;
                return 1;
        }
        return 0;
}

int cli_usage(struct cli *cli, const char *fmt, ...) {
        const struct cli_command *c = cli->command;
        va_list ap;

        (void)fputs("tenon: ", cli->err);
        va_start(ap, fmt);
        (void)vfprintf(cli->err, fmt, ap);
        va_end(ap);
        if (c)
                (void)fprintf(cli->err, "\nusage: tenon %s%s%s\n", c->name, c->usage ? " " : "",
                              c->usage ? c->usage : "");
        else
                (void)fputs("\n`tenon help` lists the commands\n", cli->err);
        return CLI_USAGE;
}

/* The words of a text that begin with "--". */
static void try_options(struct suggest *s, const char *text) {
        while (text && (text = strstr(text, "--"))) {
                size_t n = strcspn(text, " ]|=\n");

                suggest_try(s, (struct str){text, n});
                text += n;
        }
}

static int unknown_option(struct cli *cli, const char *arg) {
        struct suggest s = {.wanted = {arg, strcspn(arg, "=")}};

        try_options(&s, cli->command->usage);
        try_options(&s, cli->command->options);
        try_options(&s, "--help --quiet --verbose --no-color");
        if (s.best.p)
                return cli_usage(cli, "unknown option %s; did you mean %.*s?", arg, STR_FMT(s.best));
        return cli_usage(cli, "unknown option %s", arg);
}

int cli_arguments(struct cli *cli, int max) {
        bool literal = false;

        for (int i = 1; i < cli->argc; i++) {
                const char *arg = cli->argv[i];

                if (!literal && strcmp(arg, "--") == 0) {
                        literal = true;
                        remove_argument(cli, i--);
                } else if (!literal && arg[0] == '-' && arg[1] != '\0') {
                        return unknown_option(cli, arg);
                }
        }
        if (cli->argc - 1 > max)
                return cli_usage(cli, "one argument too many: %s", cli->argv[max + 1]);
        return 0;
}

const char *cli_file(const struct cli *cli, int i) {
        if (cli->argc > i)
                return cli->argv[i];
        return access("tenon.yaml", F_OK) == 0 ? "tenon.yaml" : "/etc/tenon/tenon.yaml";
}

int cli_finish(struct cli *cli, const struct strbuf *text, int code) {
        if (text->failed) {
                (void)fputs("tenon: out of memory\n", cli->err);
                return CLI_FAILED;
        }
        if (fwrite(strbuf_z(text), 1, text->n, cli->out) != text->n || fflush(cli->out) != 0) {
                if (errno != EPIPE)
                        (void)fprintf(cli->err, "tenon: cannot write: %s\n", strerror(errno));
                return CLI_FAILED;
        }
        return code;
}

/* --- finding the command */

static const struct cli_command *find(const struct cli_command *commands, const char *name) {
        for (const struct cli_command *c = commands; c->name; c++)
                if (strcmp(c->name, name) == 0)
                        return c;
        return NULL;
}

static int unknown_command(struct cli *cli, const char *name) {
        struct suggest s = {.wanted = str_of(name)};

        if (name[0] == '-')
                return cli_usage(cli, "unknown option %s", name);
        for (const struct cli_command *c = cli->commands; c->name; c++)
                if (c->help)
                        suggest_try(&s, str_of(c->name));
        if (s.best.p)
                return cli_usage(cli, "unknown command \"%s\"; did you mean \"%.*s\"?", name,
                                 STR_FMT(s.best));
        return cli_usage(cli, "unknown command \"%s\"", name);
}

static bool wants_color(FILE *f, bool forbidden) {
        const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

        return !forbidden && !(no && no[0]) && term && strcmp(term, "dumb") != 0 && isatty(fileno(f));
}

static int help_on(struct cli *cli) {
        const struct cli_command *c = cli->command;
        struct strbuf b = STRBUF_INIT;
        int r;

        strbuf_addf(&b, "usage: tenon %s%s%s\n%s\n", c->name, c->usage ? " " : "", c->usage ? c->usage : "",
                    c->help ? c->help : "");
        if (c->options)
                strbuf_addf(&b, "\n%s", c->options);
        r = cli_finish(cli, &b, CLI_OK);
        strbuf_deinit(&b);
        return r;
}

/* Options that stand before the command belong to all of them just like those behind it. */
static int take_common(struct cli *cli, bool *ret_help) {
        static const char *const names[] = {"-q", "-v", "-h", "--quiet", "--verbose", "--help", "--no-color"};
        bool set[ARRAY_SIZE(names)] = {};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                int r;

                while ((r = cli_option(cli, names[i], NULL)) > 0)
                        set[i] = true;
                if (r < 0)
                        return r;
        }
        cli->quiet = set[0] || set[3];
        cli->verbose = set[1] || set[4];
        *ret_help = set[2] || set[5];
        cli->color_out = wants_color(cli->out, set[6]);
        cli->color_err = wants_color(cli->err, set[6]);
        return 0;
}

int cli_main(struct cli *cli, int argc, char **argv) {
        const char *name;
        bool help;

        cli->argc = argc;
        cli->argv = argv;
        cli->command = NULL;
        if (take_common(cli, &help) < 0)
                return CLI_USAGE;
        name = cli->argc > 1 ? cli->argv[1] : help ? "help" : "overview";
        if (strcmp(name, "--version") == 0)
                name = "version";
        cli->command = find(cli->commands, name);
        if (!cli->command)
                return unknown_command(cli, name);
        if (cli->argc > 1)
                remove_argument(cli, 0);
        return help ? help_on(cli) : cli->command->run(cli);
}

/* SPDX-License-Identifier: Apache-2.0 */

/*
 * tenon completion: what a shell needs to complete our commands, their options, and the keys for `tenon doc`.
 * All of it comes from the table of commands and the schema.
 */

#include "base/cleanup.h"
#include "cli/cli.h"
#include "config/schema.h"

static void add_commands(struct cli *cli, struct strbuf *out) {
        bool first = true;

        for (const struct cli_command *c = cli->commands; c->name; c++) {
                if (!c->help)
                        continue;
                strbuf_addf(out, "%s%s", first ? "" : " ", c->name);
                first = false;
        }
}

/* The words of the usage that begin with "--". */
static void add_options(const struct cli_command *c, struct strbuf *out) {
        for (const char *p = c->usage ? strstr(c->usage, "--") : NULL; p; p = strstr(p, "--")) {
                size_t n = strcspn(p, " ]|=");

                strbuf_addf(out, " %.*s", (int)n, p);
                p += n;
        }
}

static void add_paths(struct strbuf *out, const char *prefix, const struct schema *s, unsigned depth) {
        CLEANUP(strbuf_deinit) struct strbuf path = STRBUF_INIT;

        if (s->type == SCHEMA_DICT) {
                strbuf_addf(&path, "%s.*", prefix);
                add_paths(out, strbuf_z(&path), s->item, depth);
        }
        if (s->type == SCHEMA_MAP && depth < 5)
                SCHEMA_FOREACH(k, s) {
                        strbuf_clear(&path);
                        strbuf_addf(&path, "%s%s%s", prefix, prefix[0] ? "." : "", k->name);
                        strbuf_addf(out, "%s ", strbuf_z(&path));
                        if (!k->inherit)
                                add_paths(out, strbuf_z(&path), k, depth + 1);
                }
        out->failed |= path.failed;
}

static void bash(struct cli *cli, struct strbuf *out) {
        strbuf_add_z(out, "# bash completion for tenon\n_tenon() {\n"
                          "    local cur=${COMP_WORDS[COMP_CWORD]} words=\n"
                          "    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='");
        add_commands(cli, out);
        strbuf_add_z(out, "'\n    else\n        case ${COMP_WORDS[1]} in\n");
        for (const struct cli_command *c = cli->commands; c->name; c++) {
                if (!c->help)
                        continue;
                strbuf_addf(out, "        %s) words='", c->name);
                if (strcmp(c->name, "doc") == 0)
                        add_paths(out, "", cli->schema, 0);
                else if (strcmp(c->name, "completion") == 0)
                        strbuf_add_z(out, "bash zsh fish");
                else if (strcmp(c->name, "help") == 0)
                        add_commands(cli, out);
                add_options(c, out);
                strbuf_add_z(out, " --help --no-color' ;;\n");
        }
        strbuf_add_z(out, "        esac\n    fi\n"
                          "    local IFS=$' \\n'\n"
                          "    set -f\n"
                          "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\") $(compgen -f -- \"$cur\"))\n"
                          "    set +f\n"
                          "}\ncomplete -o filenames -F _tenon tenon\n");
}

static void add_quoted(struct strbuf *out, const char *text) {
        for (; *text; text++)
                if (*text == '\'')
                        strbuf_add_z(out, "'\\''");
                else
                        strbuf_add_char(out, *text);
}

static void zsh(struct cli *cli, struct strbuf *out) {
        strbuf_add_z(out, "#compdef tenon\n_tenon() {\n    local -a commands\n    commands=(\n");
        for (const struct cli_command *c = cli->commands; c->name; c++) {
                if (!c->help)
                        continue;
                strbuf_addf(out, "        '%s:", c->name);
                add_quoted(out, c->help);
                strbuf_add_z(out, "'\n");
        }
        strbuf_add_z(out, "    )\n    if (( CURRENT == 2 )); then\n        _describe command commands\n      "
                          "  return\n    fi\n"
                          "    case $words[2] in\n");
        for (const struct cli_command *c = cli->commands; c->name; c++) {
                if (!c->help)
                        continue;
                strbuf_addf(out, "    %s) compadd -- ", c->name);
                if (strcmp(c->name, "doc") == 0) {
                        strbuf_add_z(out, "${(s: :):-'");
                        add_paths(out, "", cli->schema, 0);
                        strbuf_add_z(out, "'}");
                } else if (strcmp(c->name, "completion") == 0) {
                        strbuf_add_z(out, "bash zsh fish");
                } else if (strcmp(c->name, "help") == 0) {
                        add_commands(cli, out);
                }
                add_options(c, out);
                strbuf_add_z(out, " --help --no-color; _files ;;\n");
        }
        strbuf_add_z(out, "    esac\n}\n_tenon \"$@\"\n");
}

static void fish(struct cli *cli, struct strbuf *out) {
        for (const struct cli_command *c = cli->commands; c->name; c++) {
                CLEANUP(strbuf_deinit) struct strbuf options = STRBUF_INIT;

                if (!c->help)
                        continue;
                strbuf_addf(out, "complete -c tenon -n __fish_use_subcommand -f -a %s -d '", c->name);
                add_quoted(out, c->help);
                strbuf_add_z(out, "'\n");
                add_options(c, &options);
                if (strcmp(c->name, "doc") == 0)
                        add_paths(&options, "", cli->schema, 0);
                else if (strcmp(c->name, "completion") == 0)
                        strbuf_add_z(&options, " bash zsh fish");
                if (options.n > 0)
                        strbuf_addf(out, "complete -c tenon -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                                    c->name, strbuf_z(&options));
                out->failed |= options.failed;
        }
}

int cli_completion(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        const char *shell;

        if (cli_arguments(cli, 1) != 0)
                return CLI_USAGE;
        shell = cli->argc > 1 ? cli->argv[1] : "";
        if (strcmp(shell, "bash") == 0)
                bash(cli, &out);
        else if (strcmp(shell, "zsh") == 0)
                zsh(cli, &out);
        else if (strcmp(shell, "fish") == 0)
                fish(cli, &out);
        else
                return cli_usage(cli, "which shell? bash, zsh or fish");
        return cli_finish(cli, &out, CLI_OK);
}

/* SPDX-License-Identifier: Apache-2.0 */

/* tenon status: one screen about the node, or about one site, farm or server. Without any command: the same and what to do next. */

#include "base/json.h"
#include "cli/control.h"

static void make_request(struct cli *cli, struct strbuf *out, bool as_json, const char *name) {
        struct json j;

        json_init(&j, out);
        json_object_begin(&j);
        json_key(&j, "command");
        json_z(&j, "status");
        json_key(&j, "as");
        json_z(&j, as_json ? "json" : "text");
        json_key(&j, "color");
        json_bool(&j, cli->color_out);
        if (name) {
                json_key(&j, "name");
                json_z(&j, name);
        }
        json_object_end(&j);
        strbuf_add_char(out, '\n');
}

static int print(struct cli *cli, const json_t *reply, bool as_json) {
        CLEANUP(strbuf_deinit) struct strbuf out = STRBUF_INIT;
        const json_t *status = json_object_get(reply, "status");
        const char *text = control_text(reply, "text");
        int code = control_exit(cli, reply);

        if (as_json && status) {
                CLEANUP(freep) char *dump = json_dumps(status, JSON_INDENT(2) | JSON_PRESERVE_ORDER);

                strbuf_addf(&out, "%s\n", dump ? dump : "");
        } else if (!as_json && text) {
                strbuf_add_z(&out, text);
        }
        return cli_finish(cli, &out, code);
}

int cli_status(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf request = STRBUF_INIT;
        CLEANUP(json_decrefp) json_t *reply = NULL;
        const char *path;
        int json, r;

        json = cli_option(cli, "--json", NULL);
        if (json < 0 || control_option(cli, &path) != 0 || cli_arguments(cli, 1) != 0)
                return CLI_USAGE;
        make_request(cli, &request, json > 0, cli->argc > 1 ? cli->argv[1] : NULL);
        r = control_ask(cli, path, &request, false, &reply);
        return r != 0 ? r : print(cli, reply, json > 0);
}

static const char nothing_runs[] = "No tenon runs here.\n\n"
                                   "  tenon run --to :9000 --listen :8080   in front of a server on port 9000, without a file\n"
                                   "  tenon check FILE                      what is wrong with a configuration\n"
                                   "  tenon run FILE                        serve it\n"
                                   "  tenon help                            all commands\n";

static const char next_commands[] = "\nNext: tenon status NAME   tenon check FILE   tenon apply FILE\n";

int cli_overview(struct cli *cli) {
        CLEANUP(strbuf_deinit) struct strbuf request = STRBUF_INIT;
        CLEANUP(json_decrefp) json_t *reply = NULL;
        int r;

        make_request(cli, &request, false, NULL);
        r = control_ask(cli, NULL, &request, true, &reply);
        if (r == CLI_UNREACHABLE)
                (void)fputs(nothing_runs, cli->out);
        if (r != 0)
                return r;
        r = print(cli, reply, false);
        (void)fputs(next_commands, cli->out);
        return r;
}
